//! The receivers against real sockets: what a client sees, and what the pipeline gets.

mod abuse;
mod limits;
mod otlp;
mod refusals;
mod serving;
mod webhooks;

use super::{Accepted, Budget, Counters, Entry, Intake, Permit, Settings, bind};
use crate::{Error, Result, Signal};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const GRPC: (&str, &str) = ("content-type", "application/grpc");
const TRACES: &str = "/v1/traces";
const TRACE_EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const PATHS: [(Signal, &str, &str); 3] = [
    (Signal::Spans, TRACES, TRACE_EXPORT),
    (Signal::Metrics, "/v1/metrics", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"),
    (Signal::Logs, "/v1/logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
];

/// What the pipeline behind the receivers does with a request.
type Behaviour = Box<dyn Fn(Signal, &[u8]) -> Result<Accepted> + Send + Sync>;

/// A pipeline that records what it gets.
struct Recorder {
    seen: Mutex<Vec<(Signal, Bytes)>>,
    behaviour: Behaviour,
    budget: Arc<Budget>,
    held_max: AtomicUsize,
    /// Bodies that begin with `wait` are let through by this.
    gate: Semaphore,
    waiting: AtomicUsize,
}

impl Recorder {
    fn seen(&self) -> Vec<(Signal, Bytes)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Intake for Recorder {
    async fn submit(&self, signal: Signal, body: Bytes) -> Result<Accepted> {
        if body.starts_with(b"wait") {
            self.waiting.fetch_add(1, Relaxed);
            self.gate.acquire().await.unwrap().forget();
        }
        let answer = (self.behaviour)(signal, &body)?;
        self.seen.lock().unwrap().push((signal, body));
        Ok(answer)
    }

    async fn enter(&self, body_bytes: usize) -> Entry {
        self.budget.enter(body_bytes).await
    }

    fn admit(&self, bytes: usize) -> Result<Permit> {
        let permit = self.budget.hold(bytes)?;
        self.held_max.fetch_max(self.budget.held(), Relaxed);
        Ok(permit)
    }
}

/// In place of the real conversion: `{}` is empty, what begins with `{` is what follows, anything else is no JSON.
fn json_to_protobuf(_: Signal, body: &[u8]) -> Result<Vec<u8>> {
    match body {
        b"{}" => Ok(Vec::new()),
        [b'{', rest @ ..] => Ok(rest.to_vec()),
        _ => Err(Error::data("expected '{'")),
    }
}

struct Running {
    grpc: SocketAddr,
    http: SocketAddr,
    intake: Arc<Recorder>,
    counters: Arc<Counters>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

fn settings() -> Settings {
    let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    Settings { grpc: any, http: any, ..Settings::new(json_to_protobuf) }
}

/// Receivers whose pipeline takes everything.
async fn start() -> Running {
    start_with(settings(), 1 << 30, |_, _| Ok(Accepted { rows: 1, ..Accepted::default() })).await
}

async fn start_set(change: impl FnOnce(&mut Settings)) -> Running {
    let mut settings = settings();
    change(&mut settings);
    start_with(settings, 1 << 30, |_, _| Ok(Accepted { rows: 1, ..Accepted::default() })).await
}

async fn start_answering(answer: impl Fn(Signal, &[u8]) -> Result<Accepted> + Send + Sync + 'static) -> Running {
    start_with(settings(), 1 << 30, answer).await
}

async fn start_with(
    settings: Settings,
    budget_bytes: usize,
    behaviour: impl Fn(Signal, &[u8]) -> Result<Accepted> + Send + Sync + 'static,
) -> Running {
    let receivers = bind(settings).await.unwrap();
    let (addrs, counters) = (receivers.local_addrs(), receivers.counters());
    let intake = Arc::new(Recorder {
        seen: Mutex::default(),
        behaviour: Box::new(behaviour),
        budget: Budget::new(budget_bytes),
        held_max: AtomicUsize::new(0),
        gate: Semaphore::new(0),
        waiting: AtomicUsize::new(0),
    });
    let (stop, stopped) = oneshot::channel();
    let serve = receivers.serve(Arc::clone(&intake), async { drop(stopped.await) });
    let serving = tokio::spawn(serve);
    Running { grpc: addrs.grpc.unwrap(), http: addrs.http.unwrap(), intake, counters, stop: Some(stop), serving }
}

/// A response, whole.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

impl Reply {
    async fn of(response: http::Response<hyper::body::Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Self { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The code of gRPC: in the trailers after a message, in the headers without one.
    fn grpc_code(&self) -> i32 {
        let value = self.trailers.get("grpc-status").or_else(|| self.headers.get("grpc-status"));
        value.expect("a grpc-status").to_str().unwrap().parse().unwrap()
    }

    fn grpc_details(&self) -> Option<RpcStatus> {
        let status = tonic::Status::from_header_map(&self.headers).unwrap();
        (!status.details().is_empty()).then(|| RpcStatus::decode(status.details()).unwrap())
    }

    fn status_protobuf(&self) -> RpcStatus {
        assert_eq!(self.header("content-type"), "application/x-protobuf");
        RpcStatus::decode(self.body.clone()).unwrap()
    }

    fn status_json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<RpcAny>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RpcAny {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(message, optional, tag = "2")]
    value: Option<RetryInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<RpcDuration>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RpcDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl RpcStatus {
    fn retry_delay(&self) -> Option<Duration> {
        let info = self.details.iter().find(|any| any.type_url == "type.googleapis.com/google.rpc.RetryInfo")?;
        let delay = info.value.as_ref()?.delay.as_ref()?;
        Some(Duration::new(delay.seconds as u64, delay.nanos as u32))
    }
}

fn request<B>(method: &str, uri: &str, headers: &[(&str, &str)], body: B) -> Request<B> {
    let mut builder = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body).unwrap()
}

/// One request over HTTP/1.1, on a connection of its own.
async fn http1(addr: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = request(method, path, headers, Full::new(body.into()));
    request.headers_mut().insert("host", "weir".parse().unwrap());
    Reply::of(sender.send_request(request).await.unwrap()).await
}

async fn post(addr: SocketAddr, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    http1(addr, "POST", path, headers, body).await
}

type Http2<B> = hyper::client::conn::http2::SendRequest<B>;

async fn http2<B>(addr: SocketAddr) -> Http2<B>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    let stream = TcpStream::connect(addr).await.unwrap();
    let io = TokioIo::new(stream);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// One call of gRPC with these bytes as its body: prefix and message, or what a bad client sends.
async fn grpc_raw(addr: SocketAddr, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut sender = http2(addr).await;
    let headers = [&[GRPC, ("te", "trailers")], headers].concat();
    let request = request("POST", &format!("http://weir{path}"), &headers, Full::new(body.into()));
    Reply::of(sender.send_request(request).await.unwrap()).await
}

async fn grpc(addr: SocketAddr, path: &str, message: &[u8]) -> Reply {
    grpc_raw(addr, path, &[], framed(0, message)).await
}

/// A message with the prefix of gRPC.
fn framed(compressed: u8, message: &[u8]) -> Vec<u8> {
    [&[compressed], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).unwrap()
}

/// Sends these bytes as they are, and reads until the server closes.
async fn raw(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

/// Waits until `condition` holds; the test fails if it does not within ten seconds.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came true: {what}");
}
