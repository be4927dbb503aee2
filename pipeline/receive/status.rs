//! Why a request is refused, and `google.rpc.Status`, in which every refusal is worded.

use crate::{Error, Kind};
use std::time::Duration;
use tonic::Code;

/// The longest message of a status, in bytes: gRPC sends it as a header, and clients limit those.
const MESSAGE_BYTES_MAX: usize = 1024;

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The bytes can never be accepted.
    Invalid,
    /// No such path or method of gRPC.
    NotFound,
    /// The path exists, for these methods of HTTP only.
    Method(&'static str),
    /// The body is neither protobuf nor JSON.
    MediaType,
    /// The body is compressed in a way that is not known.
    Coding,
    /// Nothing proves that it is from whom it should be.
    Unauthenticated,
    /// A page of an origin that is not allowed.
    Origin,
    /// Over the limit of size.
    TooLarge,
    /// Trouble that passes: the client must send it again.
    Retry,
    /// The client went away in the middle of the body. Should it still listen, it must send it again.
    Gone,
}

impl Reason {
    /// The code, as gRPC and `google.rpc.Status` number them.
    pub(super) fn code(self) -> Code {
        match self {
            Self::Invalid | Self::MediaType => Code::InvalidArgument,
            Self::NotFound | Self::Method(_) | Self::Coding => Code::Unimplemented,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Origin => Code::PermissionDenied,
            Self::TooLarge => Code::ResourceExhausted,
            Self::Retry | Self::Gone => Code::Unavailable,
        }
    }

    /// The status of HTTP.
    pub(super) fn http(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::NotFound => 404,
            Self::Method(_) => 405,
            Self::MediaType | Self::Coding => 415,
            Self::Origin => 403,
            Self::TooLarge => 413,
            Self::Retry | Self::Gone => 503,
        }
    }

    /// Whether the answer names a time to wait.
    pub(super) fn is_retryable(self) -> bool {
        matches!(self, Self::Retry | Self::Gone)
    }
}

/// A refusal: why, and the message that says so.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        Self { reason, message }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Reason::Invalid, message)
    }

    pub(super) fn retry(message: impl Into<String>) -> Self {
        Self::new(Reason::Retry, message)
    }

    pub(super) fn too_large(what: &str, bytes_max: usize) -> Self {
        let message = format!(
            "{what} exceeds the limit of {bytes_max} bytes; send smaller batches, or raise receive.request_max"
        );
        Self::new(Reason::TooLarge, message)
    }
}

impl From<Error> for Refusal {
    /// Only what the sender has wrong is final: a client drops what it cannot send again, so trouble of ours, known or
    /// not, is always worth a retry.
    fn from(error: Error) -> Self {
        match error.kind() {
            Kind::Data => Self::invalid(error.message()),
            Kind::Overload | Kind::Storage | Kind::Plugin | Kind::Config | Kind::Bug => Self::retry(error.message()),
        }
    }
}

/// `google.rpc.Status` in protobuf, with a `RetryInfo` among its details if there is a time to wait.
pub(super) fn protobuf(code: Code, message: &str, retry: Option<Duration>) -> Vec<u8> {
    let mut status = Vec::new();
    put_varint(&mut status, 1, code as u64);
    put_bytes(&mut status, 2, message.as_bytes());
    if let Some(wait) = retry {
        let mut duration = Vec::new();
        put_varint(&mut duration, 1, wait.as_secs());
        put_varint(&mut duration, 2, u64::from(wait.subsec_nanos()));
        let mut info = Vec::new();
        put_bytes(&mut info, 1, &duration);
        let mut any = Vec::new();
        put_bytes(&mut any, 1, RETRY_INFO.as_bytes());
        put_bytes(&mut any, 2, &info);
        put_bytes(&mut status, 3, &any);
    }
    status
}

/// `google.rpc.Status` in ProtoJSON.
pub(super) fn json(code: Code, message: &str, retry: Option<Duration>) -> String {
    let mut status = serde_json::json!({ "code": code as i32, "message": message });
    if let Some(wait) = retry {
        let delay = format!("{}s", wait.as_secs_f64());
        status["details"] = serde_json::json!([{ "@type": RETRY_INFO, "retryDelay": delay }]);
    }
    status.to_string()
}

/// Appends a field of protobuf whose value is a number. Zero is the default, and left out.
pub(super) fn put_varint(to: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        to.push(field << 3);
        put_number(to, value);
    }
}

/// Appends a field of protobuf whose value is a string, bytes or a message.
pub(super) fn put_bytes(to: &mut Vec<u8>, field: u8, value: &[u8]) {
    to.push(field << 3 | 2);
    put_number(to, value.len() as u64);
    to.extend_from_slice(value);
}

fn put_number(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}
