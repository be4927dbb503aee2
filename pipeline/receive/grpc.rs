//! OTLP/gRPC: three unary calls, read straight off HTTP/2.
//!
//! tonic's server would answer a message over the limit with OUT_OF_RANGE, on which OTLP clients send the same again,
//! and would take its memory before the budget is asked. A unary call is five bytes and a message: read here.

use super::answer::Reply;
use super::body::{Coding, Gatherer, Held, Reader};
use super::status::{Reason, Refusal};
use super::{Intake, Server, http::media_type, http::submit};
use crate::Signal;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use hyper::body::Incoming;

/// Before a message: one byte that says whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The signal that a path of gRPC exports.
pub(super) fn signal(path: &str) -> Option<Signal> {
    match path {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Some(Signal::Spans),
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Some(Signal::Metrics),
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Some(Signal::Logs),
        _ => None,
    }
}

/// Answers one call. `grpc-timeout` is left to the client, which resets the stream when it has waited long enough.
pub(super) async fn call<I: Intake>(server: &Server<I>, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let path = request.uri().path();
    let Some(signal) = signal(path) else {
        return Err(Refusal::new(
            Reason::NotFound,
            format!("unknown method {path}: OTLP has Export of three services"),
        ));
    };
    if request.method() != Method::POST {
        return Err(Refusal::new(Reason::Method("POST"), "a call of gRPC is a POST"));
    }
    if !matches!(media_type(request.headers()).as_str(), "application/grpc" | "application/grpc+proto") {
        return Err(Refusal::new(Reason::Coding, "messages are read in protobuf: send application/grpc+proto"));
    }
    let coding = Coding::from_header(request.headers().get("grpc-encoding"))?;
    let announced = announced(request.headers());
    let mut reader = Reader::new(request.into_body(), &server.settings, &server.counters);
    reader.allow_extra(PREFIX_BYTES);
    let held = message(server, &mut reader, coding, announced).await?;
    submit(server, signal, held).await
}

/// The length of the message, if the client sends a content-length.
fn announced(headers: &HeaderMap) -> Option<usize> {
    let length: usize = headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    length.checked_sub(PREFIX_BYTES)
}

/// Reads the one message of a unary call.
async fn message<I: Intake>(
    server: &Server<I>,
    reader: &mut Reader<'_>,
    coding: Coding,
    announced: Option<usize>,
) -> Result<Held, Refusal> {
    let bytes_max = server.settings.body_bytes_max;
    let (prefix, mut piece) = prefix(reader).await?;
    let [compressed, length @ ..] = prefix;
    let coding = match (compressed, coding) {
        (0, _) => Coding::Identity,
        (1, Coding::Identity) => {
            return Err(Refusal::invalid("the message is marked as compressed, but grpc-encoding does not say how"));
        }
        (1, coding) => coding,
        (other, _) => {
            return Err(Refusal::invalid(format!("a message cannot begin with {other}: only 0 or 1")));
        }
    };
    let length = u32::from_be_bytes(length) as usize;
    if length > bytes_max || announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(Refusal::too_large("the message as announced", bytes_max));
    }
    reader.enter(&*server.intake, coding, Some(length)).await;
    let mut gatherer = Gatherer::new(&*server.intake, coding, Some(length), bytes_max)?;
    let mut left = length;
    loop {
        if piece.len() > left {
            return Err(Refusal::invalid("more than one message in a unary call"));
        }
        left -= piece.len();
        gatherer.push(&piece).await?;
        piece = match reader.next().await? {
            Some(next) => next,
            None if left == 0 => break,
            None => {
                return Err(Refusal::invalid(format!(
                    "the message is truncated: {left} of {length} bytes are missing"
                )));
            }
        };
    }
    // A compressed message of no bytes is not what any compression makes of an empty one, but the meaning is plain.
    if length == 0 { Ok(Held { bytes: Bytes::new(), permits: Vec::new() }) } else { gatherer.finish() }
}

/// The prefix, and what came with it of the message.
async fn prefix(reader: &mut Reader<'_>) -> Result<([u8; PREFIX_BYTES], Bytes), Refusal> {
    let mut prefix = [0; PREFIX_BYTES];
    let mut filled = 0;
    while let Some(mut piece) = reader.next().await? {
        let head = piece.split_to(piece.len().min(PREFIX_BYTES - filled));
        prefix[filled..filled + head.len()].copy_from_slice(&head);
        filled += head.len();
        if filled == PREFIX_BYTES {
            return Ok((prefix, piece));
        }
    }
    let message = match filled {
        0 => "a unary call without a message".to_owned(),
        _ => format!("the prefix of the message is truncated: {filled} of {PREFIX_BYTES} bytes came"),
    };
    Err(Refusal::invalid(message))
}
