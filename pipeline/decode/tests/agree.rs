//! The decoder held against prost on any bytes. Tests use it, and the fuzz target (`fuzz/decode.rs`).

use super::{expected, show};
use crate::Signal;
use crate::batch::{Attributes, Batch, Column};
use crate::decode::{Builder, decode};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

/// What prost makes of bytes: the rows, or nothing where it refuses them.
pub(crate) fn by_prost(signal: Signal, body: &[u8]) -> Result<Vec<expected::Row>, prost::DecodeError> {
    Ok(match signal {
        Signal::Spans => expected::spans(&ExportTraceServiceRequest::decode(body)?),
        Signal::Logs => expected::logs(&ExportLogsServiceRequest::decode(body)?),
        Signal::Metrics => expected::metrics(&ExportMetricsServiceRequest::decode(body)?),
    })
}

/// The decoder does as prost does, after another request as well as alone; where it refuses, rows that were there before
/// stay as they were. `good` is a request that prost takes.
pub(crate) fn agree(signal: Signal, good: &[u8], body: &[u8]) {
    let mut builder = Builder::new(signal);
    decode(good, &mut builder).expect("a valid request");
    let mut alone = Builder::new(signal);
    match (by_prost(signal, body), decode(body, &mut alone)) {
        (Ok(expected), Ok(decoded)) => {
            assert_eq!(decoded.rows, expected.len() as u64);
            assert_eq!(shown(&alone.finish()), comparable(expected.clone()));
            let before = by_prost(signal, good).expect("a valid request");
            assert_eq!(decode(body, &mut builder).expect("taken before, taken again"), decoded);
            assert_eq!(shown(&builder.finish()), comparable([before, expected].concat()));
        }
        (Err(_), Err(refusal)) => {
            assert_eq!(refusal.kind(), crate::Kind::Data);
            assert_eq!((alone.rows(), alone.bytes()), (0, 0));
            let (rows, bytes) = (builder.rows(), builder.bytes());
            decode(body, &mut builder).expect_err("refused before, refused again");
            assert_eq!((builder.rows(), builder.bytes()), (rows, bytes));
            let mut untouched = Builder::new(signal);
            decode(good, &mut untouched).expect("a valid request");
            same(&builder.finish(), &untouched.finish());
        }
        (prost, ours) => panic!("{body:?}: prost says {:?}, the decoder {:?}", prost.err(), ours.err()),
    }
}

fn shown(batch: &Batch) -> Vec<expected::Row> {
    comparable(show::rows(batch))
}

/// Without what prost knows nothing of: sampling has tests of its own.
fn comparable(mut rows: Vec<expected::Row>) -> Vec<expected::Row> {
    for row in &mut rows {
        row.retain(|(name, _)| name != "adjusted_count");
    }
    rows
}

/// Two batches are the same also in what no row shows: keys, arenas, dictionaries.
fn same(a: &Batch, b: &Batch) {
    assert_eq!(show::rows(a), show::rows(b));
    for ((name, a), (_, b)) in a.columns().zip(b.columns()) {
        let inner = |column: &Column| match column {
            Column::Array(array) => format!("{array:?}"),
            Column::Attributes(attributes) => hidden(attributes),
            Column::Shared(shared) => format!("{:?} {}", shared.keys, hidden(&shared.values)),
            Column::Values(values) => format!("{:?}", values.arena),
            Column::Children(children) => format!("{:?} {}", children.ends, hidden(&children.attributes)),
        };
        assert_eq!(inner(a), inner(b), "{name}");
    }
}

fn hidden(attributes: &Attributes) -> String {
    let keys: Vec<_> = attributes.keys.iter().collect();
    format!("{keys:?} {:?} {:?}", attributes.ends, attributes.arena)
}
