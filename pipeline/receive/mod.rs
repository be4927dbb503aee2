//! The `receive` stage: OTLP over gRPC and HTTP, and webhooks → decompressed protobuf, handed to an [`Intake`].
//!
//! `listen` binds and accepts, `connection` bounds what a connection may cost, `http` and `grpc` speak OTLP, `webhook`
//! takes what other tools send, `body` reads and decompresses within limits, `status` and `answer` word what goes
//! back. Both listeners speak HTTP/1.1 and HTTP/2, and serve the paths of both protocols.
//!
//! This stage never sees a batch, and it never answers with a status on which an OTLP client would drop data that it
//! could send again: trouble of ours is always `503` or `UNAVAILABLE`, with a time to wait.

mod answer;
mod body;
mod budget;
mod connection;
mod counters;
mod grpc;
mod http;
mod listen;
mod status;
#[cfg(test)]
mod tests;
mod webhook;

pub use budget::{Budget, Entry, Permit};
pub use counters::{Counters, Outcome, Protocol, Snapshot};
pub use listen::{LocalAddrs, Receivers, bind};

use crate::{Error, Result, Signal};
use ::http::HeaderMap;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What one request brought, as the pipeline took it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Rows (spans, log records or data points) that were taken.
    pub rows: u64,
    /// Rows that can never be taken.
    pub rejected: u64,
    /// Why rows were rejected, in English; empty if `rejected` is 0.
    pub message: String,
}

/// Where the receivers hand requests. Implemented by [`run`](crate::run).
pub trait Intake: Send + Sync + 'static {
    /// Takes one request; `body` is a decompressed OTLP `Export…ServiceRequest` of that signal in protobuf, never
    /// empty.
    ///
    /// An error of kind [`Data`](crate::Kind::Data) is answered as final, every other kind as "retry later". When the
    /// client goes away, the future is dropped where it waits.
    fn submit(&self, signal: Signal, body: Bytes) -> impl Future<Output = Result<Accepted, Error>> + Send;

    /// Waits, before a body is read, until there is room for one of about so many bytes, but not for ever. What is returned keeps
    /// the room while the body comes.
    fn enter(&self, body_bytes: usize) -> impl Future<Output = Entry> + Send;

    /// Holds `bytes` more of the memory budget until the permit is dropped; called before memory for a body is
    /// allocated, and again each time it has to grow. The permits are dropped when `submit` returns.
    ///
    /// An error of kind [`Overload`](crate::Kind::Overload) makes the client retry later.
    fn admit(&self, bytes: usize) -> Result<Permit, Error>;
}

/// Turns an OTLP request in JSON into the same request in protobuf.
pub type JsonToProtobuf = fn(Signal, &[u8]) -> Result<Vec<u8>>;

/// What turns the payloads of one webhook into OTLP.
pub trait Webhook: Send + Sync + 'static {
    /// The memory in bytes that [`to_protobuf`](Self::to_protobuf) takes at most beside the body.
    fn memory_bytes_max(&self, body: &[u8]) -> usize;

    /// Whether a request is from whom it should be; if not, why, as a message for the sender.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), String>;

    /// The events of a payload as an OTLP request of logs in protobuf; no bytes if there are none.
    ///
    /// An error of kind [`Data`](crate::Kind::Data) is answered as final, every other kind as "retry later".
    fn to_protobuf(&self, body: &[u8]) -> Result<Vec<u8>>;
}

/// Pages beside OTLP, for `GET` on the HTTP listener: path → (status, content type, body), `None` for a path unknown.
pub type Pages = Arc<dyn Fn(&str) -> Option<(u16, &'static str, String)> + Send + Sync>;

/// The settings of the receivers. Each limit bounds what one client can cost.
#[derive(Clone)]
pub struct Settings {
    /// Where gRPC is served; `None` for nowhere. Default `127.0.0.1:4317`.
    pub grpc: Option<SocketAddr>,
    /// Where HTTP is served; `None` for nowhere. Default `127.0.0.1:4318`.
    pub http: Option<SocketAddr>,
    /// The size of a request body, both before and after decompression. Default 64 MiB.
    pub body_bytes_max: usize,
    /// Connections open at once, on both listeners together. Default 1,024.
    pub connections_max: usize,
    /// Calls at once on one HTTP/2 connection. Default 128.
    pub streams_max: u32,
    /// Time for the header of a request to arrive. Default 10 s.
    pub header_timeout: Duration,
    /// Time between two pieces of a body. Default 30 s.
    pub body_idle_timeout: Duration,
    /// Time for a whole body to arrive. Default 5 min.
    pub body_timeout: Duration,
    /// Time after which a connection without a call is closed. Default 5 min.
    pub idle_timeout: Duration,
    /// Time that calls have to finish at shutdown. Default 10 s.
    pub shutdown_timeout: Duration,
    /// When a client is told to come back. Default 1 s.
    pub retry_after: Duration,
    /// Origins of web pages that may send from a browser, or `*` for any. Default none.
    pub cors_allowed_origins: Vec<String>,
    /// Turns JSON into protobuf.
    pub json_to_protobuf: JsonToProtobuf,
    /// Webhooks, by the names at the end of their paths, `/v1/webhooks/NAME`. Default none.
    pub webhooks: BTreeMap<String, Arc<dyn Webhook>>,
    /// Pages beside OTLP, such as `/metrics`.
    pub extra: Option<Pages>,
}

impl Settings {
    /// The defaults.
    pub fn new(json_to_protobuf: JsonToProtobuf) -> Self {
        Self {
            grpc: Some(SocketAddr::from(([127, 0, 0, 1], 4317))),
            http: Some(SocketAddr::from(([127, 0, 0, 1], 4318))),
            body_bytes_max: 64 << 20,
            connections_max: 1024,
            streams_max: 128,
            header_timeout: Duration::from_secs(10),
            body_idle_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(300),
            shutdown_timeout: Duration::from_secs(10),
            retry_after: Duration::from_secs(1),
            cors_allowed_origins: Vec::new(),
            json_to_protobuf,
            webhooks: BTreeMap::new(),
            extra: None,
        }
    }
}

/// What every call needs, shared by all connections.
struct Server<I> {
    settings: Settings,
    intake: Arc<I>,
    counters: Arc<Counters>,
}

/// Which of the two listeners a connection came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    Grpc,
    Http,
}

impl Listener {
    /// The key of the configuration that sets its address.
    fn key(self) -> &'static str {
        match self {
            Self::Grpc => "receive.grpc",
            Self::Http => "receive.http",
        }
    }
}
