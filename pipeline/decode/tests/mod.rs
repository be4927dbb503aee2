//! The decoder against prost: what prost decodes, row by row, is what the batch holds, and what prost refuses is refused.

mod agree;
pub(crate) use super::json::tests::arbitrary;
pub(crate) mod expected;
mod refusals;
mod rules;
pub(crate) mod show;

use super::{Builder, Decoded, decode};
use crate::Signal;
use crate::batch::Batch;
use agree::by_prost;
use proptest::prelude::*;
use prost::Message;

pub(crate) fn batch_of(signal: Signal, bodies: &[Vec<u8>]) -> Batch {
    let mut builder = Builder::new(signal);
    for body in bodies {
        decode(body, &mut builder).expect("a valid request");
    }
    builder.finish()
}

fn check(signal: Signal, bodies: &[Vec<u8>]) -> Result<(), TestCaseError> {
    // From the bytes, because prost leaves out a double that is -0.0 as if it were the default.
    let expected: Vec<_> = bodies.iter().map(|body| by_prost(signal, body).expect("its own bytes")).collect();
    let mut builder = Builder::new(signal);
    for (body, rows) in bodies.iter().zip(&expected) {
        let decoded = decode(body, &mut builder).expect("a valid request");
        prop_assert_eq!(decoded.rows, rows.len() as u64);
    }
    let expected: Vec<_> = expected.concat();
    prop_assert_eq!(builder.rows(), expected.len());
    let batch = builder.finish();
    prop_assert_eq!(builder.rows(), 0);
    let rows = show::rows(&batch);
    prop_assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        prop_assert_eq!(row, expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spans_become_the_rows_that_prost_reads(requests in prop::collection::vec(arbitrary::traces(), 1..3)) {
        let bodies: Vec<_> = requests.iter().map(Message::encode_to_vec).collect();
        check(Signal::Spans, &bodies)?;
    }

    #[test]
    fn log_records_become_the_rows_that_prost_reads(requests in prop::collection::vec(arbitrary::logs(), 1..3)) {
        let bodies: Vec<_> = requests.iter().map(Message::encode_to_vec).collect();
        check(Signal::Logs, &bodies)?;
    }

    #[test]
    fn data_points_become_the_rows_that_prost_reads(requests in prop::collection::vec(arbitrary::metrics(), 1..3)) {
        let bodies: Vec<_> = requests.iter().map(Message::encode_to_vec).collect();
        check(Signal::Metrics, &bodies)?;
    }
}

fn decoded(signal: Signal, body: &[u8]) -> crate::Result<(Decoded, Batch)> {
    let mut builder = Builder::new(signal);
    let decoded = decode(body, &mut builder)?;
    Ok((decoded, builder.finish()))
}
