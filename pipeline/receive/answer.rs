//! What goes back to the client: acceptances and refusals, in the protocol of the request.

use super::status::{self, Reason, Refusal};
use super::{Accepted, Outcome, Protocol};
use crate::Signal;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The compressions that are understood, for `accept-encoding` and `grpc-accept-encoding`.
pub(super) const CODINGS: HeaderValue = HeaderValue::from_static("gzip, zstd, identity");
pub(super) const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// How a request is authenticated that must be: by its signature.
const SIGNATURE: HeaderValue = HeaderValue::from_static("Signature");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How a call ended that was not refused.
pub(super) enum Reply {
    /// An export, with what the pipeline took of it.
    Export(Signal, Accepted),
    /// A page beside OTLP: status, content type, body.
    Page(u16, &'static str, String),
    /// The answer to a browser that asks whether it may send.
    Preflight(HeaderMap),
}

/// How the call is counted; `None` for what is not an export.
pub(super) fn outcome(result: &Result<Reply, Refusal>) -> Option<Outcome> {
    match result {
        Ok(Reply::Export(_, accepted)) if accepted.rejected > 0 => Some(Outcome::Partial),
        Ok(Reply::Export(..)) => Some(Outcome::Accepted),
        Ok(Reply::Page(..) | Reply::Preflight(_)) => None,
        Err(refusal) => Some(match refusal.reason {
            Reason::Invalid => Outcome::Invalid,
            Reason::TooLarge => Outcome::TooLarge,
            Reason::Unauthenticated => Outcome::Unauthenticated,
            Reason::Retry => Outcome::Retry,
            Reason::Gone => Outcome::Abandoned,
            Reason::NotFound | Reason::Method(_) | Reason::MediaType | Reason::Coding | Reason::Origin => {
                Outcome::Unsupported
            }
        }),
    }
}

/// The response to a call.
pub(super) fn render(
    protocol: Protocol,
    result: Result<Reply, Refusal>,
    retry_after: Duration,
) -> Response<AnswerBody> {
    match (result, protocol) {
        (Ok(Reply::Export(signal, accepted)), Protocol::Grpc) => grpc_export(signal, &accepted),
        (Ok(Reply::Export(signal, accepted)), _) => http_export(protocol, signal, &accepted),
        (Ok(Reply::Page(status, content_type, body)), _) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            respond(status, HeaderValue::from_static(content_type), body)
        }
        (Ok(Reply::Preflight(headers)), _) => {
            let mut response = Response::new(AnswerBody::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            *response.headers_mut() = headers;
            response
        }
        (Err(refusal), Protocol::Grpc) => grpc_refusal(&refusal, retry_after),
        (Err(refusal), _) => http_refusal(protocol, &refusal, retry_after),
    }
}

fn http_export(protocol: Protocol, signal: Signal, accepted: &Accepted) -> Response<AnswerBody> {
    let body = if protocol.is_json() { export_json(signal, accepted).into_bytes() } else { export_protobuf(accepted) };
    respond(StatusCode::OK, content_type(protocol), body)
}

fn grpc_export(_: Signal, accepted: &Accepted) -> Response<AnswerBody> {
    let message = export_protobuf(accepted);
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let frame = [&[0], &length.to_be_bytes()[..], &message].concat();
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let mut response = Response::new(AnswerBody { data: Some(Bytes::from(frame)), trailers: Some(trailers) });
    response.headers_mut().insert(header::CONTENT_TYPE, content_type(Protocol::Grpc));
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, CODINGS);
    response
}

/// A refusal in gRPC is a response of headers only.
fn grpc_refusal(refusal: &Refusal, retry_after: Duration) -> Response<AnswerBody> {
    let code = refusal.reason.code();
    // Without RetryInfo a client takes RESOURCE_EXHAUSTED for final, and UNAVAILABLE for "at once".
    let details = match refusal.reason.is_retryable() {
        true => Bytes::from(status::protobuf(code, &refusal.message, Some(retry_after))),
        false => Bytes::new(),
    };
    let status = tonic::Status::with_details(code, &refusal.message, details);
    let mut response = Response::new(AnswerBody::default());
    let headers = response.headers_mut();
    if status.add_header(headers).is_err() {
        headers.insert(GRPC_STATUS, HeaderValue::from(code as i32));
    }
    headers.insert(header::CONTENT_TYPE, content_type(Protocol::Grpc));
    headers.insert(GRPC_ACCEPT_ENCODING, CODINGS);
    response
}

fn http_refusal(protocol: Protocol, refusal: &Refusal, retry_after: Duration) -> Response<AnswerBody> {
    let code = refusal.reason.code();
    let wait = refusal.reason.is_retryable().then_some(retry_after);
    let body = if protocol.is_json() {
        status::json(code, &refusal.message, wait).into_bytes()
    } else {
        status::protobuf(code, &refusal.message, wait)
    };
    let http = StatusCode::from_u16(refusal.reason.http()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = respond(http, content_type(protocol), body);
    let headers = response.headers_mut();
    if let Some(wait) = wait {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    match refusal.reason {
        Reason::Method(allow) => drop(headers.insert(header::ALLOW, HeaderValue::from_static(allow))),
        Reason::Coding => drop(headers.insert(header::ACCEPT_ENCODING, CODINGS)),
        Reason::Unauthenticated => drop(headers.insert(header::WWW_AUTHENTICATE, SIGNATURE)),
        _ => {}
    }
    response
}

fn respond(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody { data: Some(body.into()), trailers: None });
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn content_type(protocol: Protocol) -> HeaderValue {
    HeaderValue::from_static(match protocol {
        Protocol::Grpc => "application/grpc",
        Protocol::HttpProtobuf => "application/x-protobuf",
        Protocol::HttpJson | Protocol::Webhook => "application/json",
    })
}

/// `Export…ServiceResponse`: the three differ in names only, which protobuf does not send. Full success is no bytes.
fn export_protobuf(accepted: &Accepted) -> Vec<u8> {
    let mut response = Vec::new();
    if accepted.rejected > 0 {
        let mut partial = Vec::new();
        status::put_varint(&mut partial, 1, accepted.rejected);
        status::put_bytes(&mut partial, 2, accepted.message.as_bytes());
        status::put_bytes(&mut response, 1, &partial);
    }
    response
}

fn export_json(signal: Signal, accepted: &Accepted) -> String {
    if accepted.rejected == 0 {
        return "{}".to_owned();
    }
    let rejected = match signal {
        Signal::Spans => "rejectedSpans",
        Signal::Logs => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
    };
    // ProtoJSON writes 64-bit integers as strings.
    let partial = serde_json::json!({ rejected: accepted.rejected.to_string(), "errorMessage": accepted.message });
    serde_json::json!({ "partialSuccess": partial }).to_string()
}

/// The body of a response: at most one piece of data, and the trailers of gRPC.
#[derive(Debug, Default)]
pub(super) struct AnswerBody {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl AnswerBody {
    /// Leaves the body out, as the answer to `HEAD` must.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().filter(|data| !data.is_empty()).map(Frame::data);
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.as_ref().is_none_or(Bytes::is_empty) && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, Bytes::len) as u64)
    }
}
