//! The work whose instructions are counted: `instructions WHAT ROUNDS`, where WHAT is one of what `instructions` alone prints.
//! A round is done on 8,192 rows. `cargo xtask instructions` runs it under callgrind.

#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    reason = "a part of the pipeline is compiled here, without who uses it"
)]

#[path = "../../pipeline/batch/mod.rs"]
mod batch;
#[path = "../../pipeline/decode/mod.rs"]
mod decode;
#[path = "../../pipeline/error.rs"]
mod error;
#[path = "../requests/mod.rs"]
mod requests;
#[path = "../../pipeline/signal.rs"]
mod signal;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{Array as _, Int64Array, StringArray};
use arrow_buffer::BooleanBuffer;
use batch::{Batch, View};
use decode::Builder;
use error::{Error, Kind, Result};
use signal::Signal;
use std::hint::black_box;
use std::sync::Arc;

const WORK: [&str; 8] = [
    "decode-spans",
    "decode-logs",
    "decode-metrics",
    "decode-span-alone",
    "decode-values",
    "boundary-3-2-mask",
    "boundary-1-mask",
    "boundary-settle",
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, rounds] = arguments.as_slice() else {
        println!("{}", WORK.join("\n"));
        return Ok(());
    };
    let rounds: u32 = rounds.parse().map_err(|_| Error::config(format!("{rounds}: not a number of rounds")))?;
    match what.as_str() {
        "decode-spans" => decoded(Signal::Spans, &[requests::spans(0)], rounds),
        "decode-logs" => decoded(Signal::Logs, &[requests::logs(0)], rounds),
        "decode-metrics" => decoded(Signal::Metrics, &[requests::metrics(0)], rounds),
        // A request for each row; and a request in which no value comes twice.
        "decode-span-alone" => decoded(Signal::Spans, &requests::unkind::one_row(requests::ROWS), rounds),
        "decode-values" => decoded(Signal::Spans, &[requests::unkind::values(requests::ROWS)], rounds),
        "boundary-3-2-mask" => at_the_boundary(rounds, three_read_two_written),
        "boundary-1-mask" => at_the_boundary(rounds, one_read),
        "boundary-settle" => at_the_boundary(rounds, |view| Ok(three_read_two_written(view)?.settle())),
        other => Err(Error::config(format!("{other}: none of {}", WORK.join(", ")))),
    }
}

fn decoded(signal: Signal, bodies: &[Vec<u8>], rounds: u32) -> Result<()> {
    let mut builder = Builder::new(signal);
    for _ in 0..rounds {
        for body in bodies {
            decode::decode(black_box(body), &mut builder)?;
        }
        drop(black_box(builder.finish()));
    }
    Ok(())
}

/// What the host does with a batch for a plugin. Its way into the sandbox and back is not here.
fn at_the_boundary<T>(rounds: u32, work: impl Fn(View) -> Result<T>) -> Result<()> {
    let mut builder = Builder::new(Signal::Spans);
    decode::decode(&requests::spans(0), &mut builder)?;
    let batch: Batch = builder.finish();
    for _ in 0..rounds {
        drop(black_box(work(View::from(black_box(batch.clone())))?));
    }
    Ok(())
}

fn three_read_two_written(mut batch: View) -> Result<View> {
    let (duration, status) = (batch.read("duration_ns")?, batch.read("status_code")?);
    let path = batch.read("attributes.url.path")?;
    let (duration, path) = (duration.as_primitive::<Int64Type>(), path.as_string::<i32>());
    let micros: Int64Array = duration.values().iter().map(|ns| ns / 1000).collect();
    let paths: StringArray = path.iter().map(|path| path.map(|path| &path[..path.len() / 2])).collect();
    let keep = BooleanBuffer::collect_bool(batch.rows(), |row| duration.value(row) >= 1_000_000 || status.is_null(row));
    batch.write("duration_us", &(Arc::new(micros) as _))?;
    batch.write("attributes.url.path", &(Arc::new(paths) as _))?;
    batch.keep(&keep);
    Ok(batch)
}

fn one_read(mut batch: View) -> Result<View> {
    let duration = batch.read("duration_ns")?;
    let duration = duration.as_primitive::<Int64Type>();
    batch.keep(&BooleanBuffer::collect_bool(batch.rows(), |row| duration.value(row) >= 500_000_000));
    Ok(batch)
}
