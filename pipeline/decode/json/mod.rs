//! OTLP/JSON → the same message in OTLP protobuf.
//!
//! One decoder then serves both encodings, so a message gives the same rows whichever way it came. The JSON is walked
//! once, driven by the table of messages in the module `descriptors`, and written as protobuf on the way; no tree is built.
//!
//! What is accepted is ProtoJSON with OTLP's own rule for ids: trace and span ids are hex, in either case. An id of the
//! wrong length passes as it is, for it does not spoil its row. Where ProtoJSON leaves a choice or would refuse what harms
//! nobody: a field given twice appends (repeated), merges (a message) or lets the last one win (the rest, and the members
//! of a oneof), as protobuf itself does.

mod descriptors;
mod ignore;
mod output;
mod path;
mod scalars;
mod walk;

#[cfg(test)]
pub(crate) mod tests;

use crate::{Error, Result, Signal};
use serde::de::DeserializeSeed;
use serde_json::Deserializer;
use walk::Walk;

/// The protobuf bytes of an `Export…ServiceRequest` of that signal, given as JSON.
///
/// # Errors
///
/// A `Data` error if the body is not JSON, or a value in it is not what its field takes, or nests too deep. It names
/// the field, the value, and the line and column at which reading stopped.
pub fn to_protobuf(signal: Signal, body: &[u8]) -> Result<Vec<u8>> {
    if body.trim_ascii().is_empty() {
        return Err(Error::data("the body is empty: the smallest OTLP/JSON request is {}"));
    }
    let mut json = Deserializer::from_slice(body);
    // serde_json's own limit, 128, is less than values of 64 levels need; the walk counts instead.
    json.disable_recursion_limit();
    let mut walk = Walk::new(body.len());
    match walk.request(descriptors::request(signal)).deserialize(&mut json).and_then(|()| json.end()) {
        Ok(()) => Ok(walk.finish()),
        Err(error) => Err(refusal(&walk, &error)),
    }
}

/// serde_json's error, with the path of the field in front and its place behind.
fn refusal(walk: &Walk, error: &serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let text = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    Error::data(format!("{}: {text} (line {line}, column {column})", walk.path()))
}
