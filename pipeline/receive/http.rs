//! OTLP/HTTP, and the step that every request passes: from its path to who answers it.

use super::answer::{self, AnswerBody, Reply, render};
use super::body::{Coding, Gatherer, Held, Reader};
use super::status::{Reason, Refusal};
use super::{Accepted, Counters, Intake, Listener, Outcome, Protocol, Server, grpc, webhook};
use crate::{Error, Signal};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, Version};
use hyper::body::Incoming;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

/// JSON that takes more than this is converted on a thread that may block: a millisecond is a long time for other
/// calls.
const JSON_INLINE_BYTES_MAX: usize = 128 << 10;

/// Answers one request, whatever it is.
///
/// Authentication will sit here, before anything of the request but its headers is looked at: a token of the headers,
/// or the certificate of the connection, becomes a tenant or a refusal.
pub(super) async fn route<I: Intake>(
    server: &Server<I>,
    listener: Listener,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let protocol = protocol(&request);
    let origin = allowed_origin(&server.settings.cors_allowed_origins, request.headers());
    let head_only = request.method() == Method::HEAD;
    let mut count = Count { counters: &server.counters, protocol, outcome: Some(Outcome::Abandoned) };
    let result = match unwinding(handle(server, listener, protocol, origin.as_ref(), request)).await {
        Some(result) => result,
        None => {
            server.counters.panics.fetch_add(1, Relaxed);
            Err(Refusal::retry("this call failed inside Weir, which is a bug: please report it; retry later"))
        }
    };
    count.outcome = answer::outcome(&result);
    let mut response = render(protocol, result, server.settings.retry_after);
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    if head_only {
        response.body_mut().clear();
    }
    response
}

/// Counts a request when it is over, also if its client went away.
struct Count<'a> {
    counters: &'a Counters,
    protocol: Protocol,
    outcome: Option<Outcome>,
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            self.counters.request(self.protocol, outcome);
        }
    }
}

/// Awaits `future`; `None` if it panics. Whatever it shares is counters and an [`Intake`], which other calls go on to
/// use as they would if each call ran on a thread of its own.
async fn unwinding<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
        Err(_) => Poll::Ready(None),
    })
    .await
}

async fn handle<I: Intake>(
    server: &Server<I>,
    listener: Listener,
    protocol: Protocol,
    origin: Option<&HeaderValue>,
    request: Request<Incoming>,
) -> Result<Reply, Refusal> {
    if protocol == Protocol::Grpc {
        return grpc::call(server, request).await;
    }
    let path = request.uri().path();
    if let Some(signal) = signal(path) {
        if request.method() == Method::OPTIONS && !server.settings.cors_allowed_origins.is_empty() {
            return preflight(origin, request.headers());
        }
        return export(server, signal, request).await;
    }
    if let Some(name) = path.strip_prefix(webhook::PREFIX) {
        let name = name.to_owned();
        return webhook::call(server, &name, request).await;
    }
    if grpc::signal(path).is_some() {
        let message = "gRPC is spoken over HTTP/2 with content-type application/grpc";
        return refuse(server, request, Refusal::new(Reason::MediaType, message)).await;
    }
    let page = match (&server.settings.extra, listener) {
        (Some(extra), Listener::Http) => extra(path),
        _ => None,
    };
    match page {
        Some((status, content_type, body)) if matches!(*request.method(), Method::GET | Method::HEAD) => {
            Ok(Reply::Page(status, content_type, body))
        }
        Some(_) => Err(not_allowed(&request, "GET, HEAD")),
        None => {
            let message = format!("nothing is at {path}: OTLP goes to /v1/traces, /v1/metrics and /v1/logs");
            refuse(server, request, Refusal::new(Reason::NotFound, message)).await
        }
    }
}

fn signal(path: &str) -> Option<Signal> {
    match path {
        "/v1/traces" => Some(Signal::Spans),
        "/v1/metrics" => Some(Signal::Metrics),
        "/v1/logs" => Some(Signal::Logs),
        _ => None,
    }
}

/// Which protocol a request speaks, by its version, content type and path.
fn protocol(request: &Request<Incoming>) -> Protocol {
    let media = media_type(request.headers());
    if request.version() == Version::HTTP_2 && (media == "application/grpc" || media.starts_with("application/grpc+")) {
        Protocol::Grpc
    } else if request.uri().path().starts_with(webhook::PREFIX) {
        Protocol::Webhook
    } else if media == "application/json" {
        Protocol::HttpJson
    } else {
        Protocol::HttpProtobuf
    }
}

/// The content type in lower case, without parameters such as the character set.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let media = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    String::from_utf8_lossy(media).to_ascii_lowercase()
}

async fn export<I: Intake>(server: &Server<I>, signal: Signal, request: Request<Incoming>) -> Result<Reply, Refusal> {
    if request.method() != Method::POST {
        return Err(not_allowed(&request, "POST"));
    }
    let json = match media_type(request.headers()).as_str() {
        "application/x-protobuf" => false,
        "application/json" => true,
        other => {
            let message = format!("unknown content-type {other:?}: send application/x-protobuf or application/json");
            return refuse(server, request, Refusal::new(Reason::MediaType, message)).await;
        }
    };
    let held = read_body(server, request).await?;
    let held = if json { to_protobuf(server, signal, held).await? } else { held };
    submit(server, signal, held).await
}

/// The whole body, decompressed. A client whose body is refused gets to see why.
pub(super) async fn read_body<I: Intake>(server: &Server<I>, request: Request<Incoming>) -> Result<Held, Refusal> {
    let headers = request.headers();
    let coding = match Coding::from_header(headers.get(header::CONTENT_ENCODING)) {
        Ok(coding) => coding,
        Err(refusal) => return refuse(server, request, refusal).await,
    };
    let (bytes_expected, drains) = (content_length(headers), drains(&request));
    let mut reader = Reader::new(request.into_body(), &server.settings, &server.counters);
    let read = read(server, &mut reader, coding, bytes_expected).await;
    if read.is_err() && drains {
        reader.drain().await;
    }
    read
}

/// Reads and decompresses a whole body.
async fn read<I: Intake>(
    server: &Server<I>,
    reader: &mut Reader<'_>,
    coding: Coding,
    bytes_expected: Option<usize>,
) -> Result<Held, Refusal> {
    let bytes_max = server.settings.body_bytes_max;
    if bytes_expected.is_some_and(|bytes| bytes > bytes_max) {
        return Err(Refusal::too_large("the request as announced", bytes_max));
    }
    reader.enter(&*server.intake, coding, bytes_expected).await;
    let mut gatherer = Gatherer::new(&*server.intake, coding, bytes_expected, bytes_max)?;
    while let Some(piece) = reader.next().await? {
        gatherer.push(&piece).await?;
    }
    gatherer.finish()
}

/// Hands a message in protobuf to the pipeline. An empty one is a success: it holds nothing that could fail.
pub(super) async fn submit<I: Intake>(server: &Server<I>, signal: Signal, held: Held) -> Result<Reply, Refusal> {
    server.counters.body_bytes.fetch_add(held.bytes.len() as u64, Relaxed);
    if held.bytes.is_empty() {
        return Ok(Reply::Export(signal, Accepted::default()));
    }
    let accepted = server.intake.submit(signal, held.bytes).await?;
    drop(held.permits);
    Ok(Reply::Export(signal, accepted))
}

/// The same message in protobuf, of about the same size.
async fn to_protobuf<I: Intake>(server: &Server<I>, signal: Signal, json: Held) -> Result<Held, Refusal> {
    let convert = server.settings.json_to_protobuf;
    let bytes = json.bytes.len();
    converted(server, json, bytes, move |body: Bytes| convert(signal, &body)).await
}

/// What `convert` makes of a body, for which it takes about `bytes_taken`. Both are in memory for a moment, and both
/// are accounted.
pub(super) async fn converted<I: Intake>(
    server: &Server<I>,
    body: Held,
    bytes_taken: usize,
    convert: impl FnOnce(Bytes) -> Result<Vec<u8>, Error> + Send + 'static,
) -> Result<Held, Refusal> {
    let Held { bytes, mut permits } = body;
    let bytes_max = server.settings.body_bytes_max;
    permits.push(server.intake.admit(bytes_taken)?);
    let protobuf = aside(bytes_taken, move || convert(bytes)).await??;
    if protobuf.len() > bytes_max {
        return Err(Refusal::too_large("the request in protobuf", bytes_max));
    }
    // Numbers may be longer in protobuf than in JSON.
    permits.push(server.intake.admit(protobuf.len().saturating_sub(bytes_taken))?);
    Ok(Held { bytes: Bytes::from(protobuf), permits })
}

/// Does the work on so many bytes here if they are few, and on a thread that may block if not.
pub(super) async fn aside<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    if bytes <= JSON_INLINE_BYTES_MAX {
        return Ok(work());
    }
    let work = tokio::task::spawn_blocking(work);
    work.await.map_err(|_| Refusal::retry("converting JSON failed, which is a bug: please report it"))
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the body must be read before a refusal is seen: HTTP/2 closes the stream alone, and a client that waits for
/// `100 Continue` has not sent anything.
fn drains(request: &Request<Incoming>) -> bool {
    request.version() != Version::HTTP_2 && !request.headers().contains_key(header::EXPECT)
}

/// Refuses a request whose body nobody has read.
pub(super) async fn refuse<I, T>(
    server: &Server<I>,
    request: Request<Incoming>,
    refusal: Refusal,
) -> Result<T, Refusal> {
    if drains(&request) {
        Reader::new(request.into_body(), &server.settings, &server.counters).drain().await;
    }
    Err(refusal)
}

pub(super) fn not_allowed(request: &Request<Incoming>, allow: &'static str) -> Refusal {
    let message = format!("{} is not for {}: use {allow}", request.method(), request.uri().path());
    Refusal::new(Reason::Method(allow), message)
}

/// The origin to name in the answer, if the request comes from a web page that may send.
fn allowed_origin(allowed: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    allowed.iter().any(|one| one == "*" || one.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// The answer to a browser that asks before it sends.
fn preflight(origin: Option<&HeaderValue>, headers: &HeaderMap) -> Result<Reply, Refusal> {
    if origin.is_none() {
        let message = "this origin is not among receive.cors_origins";
        return Err(Refusal::new(Reason::Origin, message));
    }
    let mut answer = HeaderMap::new();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    // OTLP clients send headers of their users' choice; the origin is what is checked.
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    Ok(Reply::Preflight(answer))
}
