//! A gRPC client that sends any bytes as a message.

use std::net::SocketAddr;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Endpoint;
use tonic::{Request, Status};

/// The method that exports a signal.
pub fn export(of: &str) -> String {
    let service = match of {
        "traces" => "trace.v1.TraceService",
        "logs" => "logs.v1.LogsService",
        "metrics" => "metrics.v1.MetricsService",
        other => panic!("no signal: {other}"),
    };
    format!("/opentelemetry.proto.collector.{service}/Export")
}

/// Calls a method with these bytes as its message.
pub async fn call(to: SocketAddr, method: &str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
    let channel = Endpoint::from_shared(format!("http://{to}")).unwrap().connect().await.unwrap();
    let mut client = Grpc::new(channel).max_encoding_message_size(usize::MAX);
    client.ready().await.unwrap();
    client.unary(Request::new(message), method.parse().unwrap(), Raw).await.map(tonic::Response::into_inner)
}

#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(to, &item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; bytes::Buf::remaining(from)];
        bytes::Buf::copy_to_slice(from, &mut item);
        Ok(Some(item))
    }
}
