//! What the receivers count about themselves.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The protocol a request speaks, which is also the one it is answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP in protobuf, and whatever is not recognizable as one of the others.
    HttpProtobuf,
    /// OTLP/HTTP in JSON.
    HttpJson,
    /// The webhook of some other tool, in JSON.
    Webhook,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 4] = [Self::Grpc, Self::HttpProtobuf, Self::HttpJson, Self::Webhook];

    /// Whether its answers are in JSON.
    pub(super) fn is_json(self) -> bool {
        matches!(self, Self::HttpJson | Self::Webhook)
    }

    /// Its name, as a label of a metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http_protobuf",
            Self::HttpJson => "http_json",
            Self::Webhook => "webhook",
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was taken.
    Accepted,
    /// Some of its rows were rejected.
    Partial,
    /// It cannot be decoded.
    Invalid,
    /// It is over the limit of size.
    TooLarge,
    /// Unknown path, method, media type or encoding.
    Unsupported,
    /// Its signature is missing or wrong.
    Unauthenticated,
    /// The client was told to retry later.
    Retry,
    /// The client went away before it was answered.
    Abandoned,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Partial,
        Self::Invalid,
        Self::TooLarge,
        Self::Unsupported,
        Self::Unauthenticated,
        Self::Retry,
        Self::Abandoned,
    ];

    /// Its name, as a label of a metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Partial => "partial",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Unauthenticated => "unauthenticated",
            Self::Retry => "retry",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The counters of the receivers. They only grow, except `connections_open`.
#[derive(Debug, Default)]
pub struct Counters {
    requests: [[AtomicU64; Outcome::ALL.len()]; Protocol::ALL.len()],
    pub(super) wire_bytes: AtomicU64,
    pub(super) body_bytes: AtomicU64,
    pub(super) connections_open: AtomicU64,
    pub(super) connections_accepted: AtomicU64,
    pub(super) connections_refused: AtomicU64,
    pub(super) connections_timed_out: AtomicU64,
    pub(super) accept_errors: AtomicU64,
    pub(super) panics: AtomicU64,
}

/// The values of [`Counters`] at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    requests: [[u64; Outcome::ALL.len()]; Protocol::ALL.len()],
    /// Bytes of bodies as they came over the wire.
    pub wire_bytes: u64,
    /// Bytes of bodies after decompression.
    pub body_bytes: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Connections taken.
    pub connections_accepted: u64,
    /// Connections closed at once, because as many as allowed were open.
    pub connections_refused: u64,
    /// Connections closed because a header did not come, or because they were idle.
    pub connections_timed_out: u64,
    /// Times the system could not give a connection, for want of file descriptors for example.
    pub accept_errors: u64,
    /// Calls that panicked, and were answered as "retry later".
    pub panics: u64,
}

impl Counters {
    pub(super) fn request(&self, protocol: Protocol, outcome: Outcome) {
        self.requests[protocol as usize][outcome as usize].fetch_add(1, Relaxed);
    }

    /// The values now.
    pub fn snapshot(&self) -> Snapshot {
        let requests = std::array::from_fn(|protocol| {
            std::array::from_fn(|outcome| self.requests[protocol][outcome].load(Relaxed))
        });
        Snapshot {
            requests,
            wire_bytes: self.wire_bytes.load(Relaxed),
            body_bytes: self.body_bytes.load(Relaxed),
            connections_open: self.connections_open.load(Relaxed),
            connections_accepted: self.connections_accepted.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
            connections_timed_out: self.connections_timed_out.load(Relaxed),
            accept_errors: self.accept_errors.load(Relaxed),
            panics: self.panics.load(Relaxed),
        }
    }
}

impl Snapshot {
    /// How many requests of that protocol had that outcome.
    pub fn requests(&self, protocol: Protocol, outcome: Outcome) -> u64 {
        self.requests[protocol as usize][outcome as usize]
    }
}
