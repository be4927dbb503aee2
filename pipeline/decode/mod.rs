//! The `decode` stage: OTLP protobuf into columns, in one pass over the bytes.

mod common;
pub mod json;
mod logs;
mod metrics;
mod spans;
#[cfg(test)]
pub(crate) mod tests;
mod values;
mod wire;

use crate::batch::{Batch, schema};
use crate::{Error, Result, Signal};
use common::Rows;
use std::sync::Arc;

/// How deep the values of attributes and bodies may nest: a plain value is at level 1, the members of an array or of a
/// key-value list are one level deeper than it.
pub const VALUE_DEPTH_MAX: usize = 64;

/// How many rows one request may bring, less what the builder holds already.
pub const ROWS_MAX: usize = 1 << 20;

/// How many bytes of requests make one batch at most: whatever they hold, every offset of a column fits into 31 bits.
const INPUT_MAX: usize = 512 << 20;

/// Collects decoded rows of one signal until they are taken as a batch.
#[derive(Debug)]
pub struct Builder {
    rows: Kind,
    count: usize,
    bytes: usize,
    input: usize,
}

#[derive(Debug)]
enum Kind {
    Spans(Box<spans::Spans>),
    Logs(Box<logs::Logs>),
    Metrics(Box<metrics::Metrics>),
}

/// What one request brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// How many rows.
    pub rows: u64,
    /// How many ids were not valid and became null: of the wrong length, or all zero, or absent where one must be.
    pub invalid_ids: u64,
}

impl Builder {
    /// An empty builder for rows of that signal.
    pub fn new(signal: Signal) -> Self {
        let rows = match signal {
            Signal::Spans => Kind::Spans(Box::default()),
            Signal::Logs => Kind::Logs(Box::default()),
            Signal::Metrics => Kind::Metrics(Box::default()),
        };
        Self { rows, count: 0, bytes: 0, input: 0 }
    }

    /// The signal of the rows.
    pub fn signal(&self) -> Signal {
        match self.rows {
            Kind::Spans(_) => Signal::Spans,
            Kind::Logs(_) => Signal::Logs,
            Kind::Metrics(_) => Signal::Metrics,
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.count
    }

    /// The memory that they hold, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes all rows; the builder is empty then and can be used again.
    pub fn finish(&mut self) -> Batch {
        let signal = self.signal();
        let mut names = schema::columns(signal).iter();
        let mut columns = Vec::with_capacity(names.len());
        self.each(&mut |part| {
            if let Some(column) = names.next() {
                columns.push((Arc::from(column.name), Arc::new(part.finish())));
            }
        });
        let rows = std::mem::take(&mut self.count);
        (self.bytes, self.input) = (0, 0);
        Batch { signal, rows, columns }
    }

    fn each(&mut self, see: &mut dyn FnMut(&mut dyn crate::batch::build::Part)) {
        match &mut self.rows {
            Kind::Spans(rows) => rows.each(see),
            Kind::Logs(rows) => rows.each(see),
            Kind::Metrics(rows) => rows.each(see),
        }
    }
}

/// Decodes an OTLP export request of the builder's signal. A refused request leaves the builder as it was.
pub fn decode(body: &[u8], into: &mut Builder) -> Result<Decoded> {
    if body.len() > INPUT_MAX - into.input {
        let (size, held) = (body.len(), into.input);
        let why = format!("a request of {size} bytes after {held} bytes exceeds the {INPUT_MAX} bytes of a batch");
        let (data, overload) = (body.len() > INPUT_MAX, "take the batch before the next request");
        return Err(if data { Error::data(why) } else { Error::overload(format!("{why}; {overload}")) });
    }
    let mut invalid_ids = 0;
    let read = match &mut into.rows {
        Kind::Spans(rows) => rows.request(body, &mut invalid_ids),
        Kind::Logs(rows) => rows.request(body, &mut invalid_ids),
        Kind::Metrics(rows) => rows.request(body, &mut invalid_ids),
    };
    if let Err(refusal) = read {
        into.each(&mut |part| part.rollback());
        return Err(*refusal);
    }
    let mut bytes = 0;
    into.each(&mut |part| bytes += part.commit());
    let rows = match &mut into.rows {
        Kind::Spans(rows) => rows.common().rows(),
        Kind::Logs(rows) => rows.common().rows(),
        Kind::Metrics(rows) => rows.common().rows(),
    };
    into.bytes = bytes;
    into.input += body.len();
    let before = std::mem::replace(&mut into.count, rows);
    Ok(Decoded { rows: (rows - before) as u64, invalid_ids })
}
