//! Broken bytes: nothing panics, prost and the decoder agree, and a refused request leaves no trace.

use super::{Builder, Signal, arbitrary, batch_of, by_prost, decode, decoded, show};
use crate::batch::{Batch, Column};
use proptest::prelude::*;
use prost::Message;

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

fn hidden(attributes: &crate::batch::Attributes) -> String {
    let keys: Vec<_> = attributes.keys.iter().collect();
    format!("{keys:?} {:?} {:?}", attributes.ends, attributes.arena)
}

/// The decoder does as prost does; where it refuses, rows that were there before stay as they were.
fn agree(signal: Signal, good: &[u8], body: &[u8]) {
    let mut builder = Builder::new(signal);
    decode(good, &mut builder).expect("a valid request");
    match (by_prost(signal, body), decoded(signal, body)) {
        (Ok(expected), Ok((_, batch))) => {
            // Sampling has tests of its own.
            let without_count = |mut row: Vec<(String, String)>| {
                row.retain(|(name, _)| name != "adjusted_count");
                row
            };
            let rows: Vec<_> = show::rows(&batch).into_iter().map(without_count).collect();
            assert_eq!(rows, expected.into_iter().map(without_count).collect::<Vec<_>>());
        }
        (Err(_), Err(refusal)) => {
            assert_eq!(refusal.kind(), crate::Kind::Data);
            let (rows, bytes) = (builder.rows(), builder.bytes());
            decode(body, &mut builder).expect_err("refused before, refused again");
            assert_eq!((builder.rows(), builder.bytes()), (rows, bytes));
            same(&builder.finish(), &batch_of(signal, &[good.to_vec()]));
        }
        (prost, ours) => panic!("{body:?}: prost says {:?}, the decoder {:?}", prost.err(), ours.err()),
    }
}

/// Every place where the bytes may end, and some bits flipped.
fn maim(signal: Signal, good: &[u8], body: &[u8], flips: &[(prop::sample::Index, u8)]) {
    for end in 0..body.len() {
        agree(signal, good, &body[..end]);
    }
    for (at, bit) in flips.iter().filter(|_| !body.is_empty()) {
        let mut body = body.to_vec();
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        agree(signal, good, &body);
    }
}

fn flips() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn broken_spans_are_refused_as_by_prost(good in arbitrary::traces(), body in arbitrary::traces(), flips in flips()) {
        maim(Signal::Spans, &good.encode_to_vec(), &body.encode_to_vec(), &flips);
    }

    #[test]
    fn broken_logs_are_refused_as_by_prost(good in arbitrary::logs(), body in arbitrary::logs(), flips in flips()) {
        maim(Signal::Logs, &good.encode_to_vec(), &body.encode_to_vec(), &flips);
    }

    #[test]
    fn broken_metrics_are_refused_as_by_prost(good in arbitrary::metrics(), body in arbitrary::metrics(), flips in flips()) {
        maim(Signal::Metrics, &good.encode_to_vec(), &body.encode_to_vec(), &flips);
    }

    #[test]
    fn two_requests_one_after_the_other_are_one_request(a in arbitrary::metrics(), b in arbitrary::metrics()) {
        agree(Signal::Metrics, &[], &[a.encode_to_vec(), b.encode_to_vec()].concat());
    }
}
