//! Days in an object store that fails now and then.

use std::sync::atomic::Ordering::SeqCst;

use super::super::store::{Bucket, Fails};
use super::*;
use crate::Kind;
use crate::write::Pending;

const OBJECT: &str = "bucket/a/daily/day=2026-01-01/weir.parquet";

fn bucket(fails: Fails) -> (Bucket, Writer) {
    let bucket = Bucket::new(fails);
    let writer = begin(bucket.options(1));
    (bucket, writer)
}

fn rows(bucket: &Bucket) -> Vec<Found> {
    rows_of(&bucket.batches())
}

#[test]
fn a_day_is_one_object_that_is_replaced() {
    let (bucket, writer) = bucket(Fails::Before);
    for order in 1..=3 {
        put(&writer, order, &[given("a", order as f64)]);
        writer.close_epoch().unwrap();
    }
    assert_eq!(bucket.names(), [OBJECT]);
    assert_eq!(rows(&bucket), [found(NOON, "a", 3.0, 2)]);
    assert!(bucket.place.staged().is_empty());
}

#[test]
fn a_day_that_has_no_row_left_has_no_object() {
    let (bucket, writer) = bucket(Fails::Before);
    put(&writer, 1, &[given("a", 1.0)]);
    writer.close_epoch().unwrap();
    writer.upsert("daily", 2, batch(NOON, 2, &[given("a", 0.0)]), true).unwrap();
    writer.close_epoch().unwrap();
    assert!(bucket.names().is_empty());
    assert_eq!(writer.pending(), Pending::default());
}

/// Every request of two epochs fails once, then the process ends or goes on: the table is the same. With `Fails::After` only
/// the answer is lost.
#[test]
fn whichever_request_fails_the_table_ends_the_same() {
    for fails in [Fails::Before, Fails::After] {
        for good in 0..5 {
            for restart in [false, true] {
                let (bucket, mut writer) = bucket(fails);
                put(&writer, 1, &[given("a", 1.0), given("b", 1.0)]);
                writer.close_epoch().unwrap();
                bucket.store.good.store(good, SeqCst);
                bucket.store.bad.store(1, SeqCst);
                put(&writer, 2, &[given("a", 2.0)]);
                writer.upsert("daily", 2, batch(NOON + DAY, 2, &[given("c", 2.0)]), false).unwrap();
                let ended = writer.close_epoch();
                assert_eq!(ended.is_err(), good < 4, "a request to read and one to write for each day");
                if let Err(error) = ended {
                    assert_eq!(error.kind(), Kind::Storage);
                    if restart {
                        drop(writer);
                        writer = begin(bucket.options(1));
                    }
                    writer.close_epoch().unwrap();
                }
                bucket.store.bad.store(0, SeqCst);
                let expected = [found(NOON, "a", 2.0, 1), found(NOON, "b", 1.0, 0), found(NOON + DAY, "c", 2.0, 0)];
                assert_eq!(rows(&bucket), expected, "{fails:?} {good} {restart}");
                assert_eq!(writer.pending(), Pending::default());
            }
        }
    }
}

#[test]
fn an_older_epoch_is_never_published_over_a_newer_one() {
    for fails in [Fails::Before, Fails::After] {
        let (bucket, writer) = bucket(fails);
        // The request to read the day fails, and then the one to write it.
        bucket.store.bad.store(1, SeqCst);
        put(&writer, 1, &[given("a", 1.0), given("b", 1.0)]);
        writer.close_epoch().unwrap_err();
        bucket.store.good.store(1, SeqCst);
        bucket.store.bad.store(1, SeqCst);
        put(&writer, 2, &[given("a", 2.0)]);
        writer.close_epoch().unwrap_err();
        assert_eq!(bucket.place.staged().len(), 2);
        drop(writer);
        let writer = begin(bucket.options(1));
        writer.close_epoch().unwrap();
        assert_eq!(rows(&bucket), [found(NOON, "a", 2.0, 1), found(NOON, "b", 1.0, 0)]);
        drop(writer);
        begin(bucket.options(1)).close_epoch().unwrap();
        assert_eq!(rows(&bucket), [found(NOON, "a", 2.0, 1), found(NOON, "b", 1.0, 0)]);
    }
}

#[test]
fn with_the_store_away_every_row_is_in_a_recorded_file_at_the_end() {
    let (bucket, writer) = bucket(Fails::Before);
    put(&writer, 1, &[given("a", 1.0)]);
    writer.close_epoch().unwrap();
    bucket.store.bad.store(usize::MAX, SeqCst);
    put(&writer, 2, &[given("a", 2.0)]);
    writer.write("spans", spans(&[NOON])).unwrap();
    assert_eq!(writer.finish().unwrap_err().kind(), Kind::Storage);
    drop(writer);
    bucket.store.bad.store(0, SeqCst);
    let writer = begin(bucket.options(1));
    assert_eq!(writer.taken_over(), 2);
    writer.close_epoch().unwrap();
    assert_eq!(bucket.names(), [OBJECT, "bucket/a/spans/day=2026-01-01/hour=12/weir-2-0.parquet"]);
    let (days, others): (Vec<_>, Vec<_>) =
        bucket.batches().into_iter().partition(|rows| rows.column_by_name("revision").is_some());
    assert_eq!(rows_of(&days), [found(NOON, "a", 2.0, 1)]);
    assert_eq!(others.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

#[test]
fn a_removal_that_fails_is_repeated_before_the_next_rows_appear() {
    for fails in [Fails::Before, Fails::After] {
        let (bucket, writer) = bucket(fails);
        put(&writer, 1, &[given("a", 1.0)]);
        writer.close_epoch().unwrap();
        bucket.store.good.store(1, SeqCst);
        bucket.store.bad.store(1, SeqCst);
        writer.upsert("daily", 2, batch(NOON, 2, &[given("a", 0.0)]), true).unwrap();
        assert_eq!(writer.close_epoch().unwrap_err().kind(), Kind::Storage);
        assert_eq!(writer.pending().rows, 1);
        put(&writer, 3, &[given("b", 3.0)]);
        writer.close_epoch().unwrap();
        assert_eq!(rows(&bucket), [found(NOON, "b", 3.0, 0)]);
        assert_eq!(writer.pending(), Pending::default());
    }
}
