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

/// The row of "a" ends.
fn end_all(writer: &Writer, order: u64) {
    writer.upsert("daily", order, batch(NOON, order as i64, &[given("a", 0.0)]), true).unwrap();
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
fn a_day_that_has_no_row_left_is_an_object_without_rows() {
    let (bucket, writer) = bucket(Fails::Before);
    put(&writer, 1, &[given("a", 1.0)]);
    writer.close_epoch().unwrap();
    end_all(&writer, 2);
    writer.close_epoch().unwrap();
    assert_eq!((bucket.names(), rows(&bucket)), (vec![OBJECT.to_owned()], vec![]));
    assert_eq!(writer.pending(), Pending::default());
    put(&writer, 3, &[given("a", 1.0)]);
    writer.close_epoch().unwrap();
    assert_eq!(rows(&bucket), [found(NOON, "a", 1.0, 0)]);
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
    assert_eq!(writer.close_epoch().unwrap_err().kind(), Kind::Storage);
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

/// What the epochs of a day do: a row comes, changes, ends, comes back as it was, ends and comes back again, so that contents
/// come back that were there before.
const LATE: [Option<f64>; 6] = [Some(1.0), Some(2.0), None, Some(1.0), None, Some(1.0)];

/// What an epoch does to the day.
fn change(writer: &Writer, number: usize) {
    match LATE[number] {
        // Computed at the same time, so that nothing but the file's own name for its changes tells it from an earlier one.
        Some(value) => writer.upsert("daily", 1, batch(NOON, 1, &[given("a", value)]), false).unwrap(),
        None => end_all(writer, 1),
    }
}

/// Runs an epoch of a day until it is published.
fn late_epoch(writer: &Writer, number: usize) {
    change(writer, number);
    while writer.close_epoch().is_err() {}
}

/// What the table has after so many epochs.
fn after(epochs: usize) -> Vec<Found> {
    let revision = i64::from(epochs == 2);
    epochs
        .checked_sub(1)
        .and_then(|last| LATE[last])
        .map(|value| found(NOON, "a", value, revision))
        .into_iter()
        .collect()
}

/// Each PUT in turn gets no answer and arrives after each later epoch, or after a restart, or not before the next attempt.
#[test]
fn a_put_that_arrives_late_never_brings_an_older_version_of_a_day_back() {
    for late in 0..LATE.len() {
        for arrives in late..=LATE.len() {
            for restart in [false, true] {
                let (bucket, mut writer) = bucket(Fails::OnTheWay);
                for number in 0..LATE.len() {
                    let is_late = number == late;
                    // The day is read, and then written.
                    bucket.store.good.store(if is_late { 1 } else { usize::MAX }, SeqCst);
                    bucket.store.bad.store(usize::from(is_late), SeqCst);
                    if number == arrives && !is_late {
                        assert_eq!(bucket.deliver(), 0, "PUT {late} after {number} epochs");
                        assert_eq!(rows(&bucket), after(number), "PUT {late} after {number} epochs");
                    }
                    late_epoch(&writer, number);
                    if is_late && restart {
                        drop(writer);
                        writer = begin(bucket.options(1));
                    }
                    assert_eq!(rows(&bucket), after(number + 1), "PUT {late}, {number}");
                }
                assert_eq!(bucket.deliver(), 0);
                assert_eq!(rows(&bucket), after(LATE.len()), "PUT {late} at the end");
            }
        }
    }
}

#[test]
fn a_put_that_arrives_before_it_is_repeated_counts_as_done() {
    for number in 0..LATE.len() {
        for restart in [false, true] {
            let (bucket, mut writer) = bucket(Fails::OnTheWay);
            (0..number).for_each(|number| late_epoch(&writer, number));
            bucket.store.good.store(1, SeqCst);
            bucket.store.bad.store(1, SeqCst);
            change(&writer, number);
            writer.close_epoch().unwrap_err();
            assert_eq!(rows(&bucket), after(number), "it is still on its way");
            assert_eq!(bucket.deliver(), 1);
            if restart {
                drop(writer);
                writer = begin(bucket.options(1));
            }
            writer.close_epoch().unwrap();
            assert_eq!(rows(&bucket), after(number + 1), "no revision is counted twice");
            assert_eq!(writer.pending(), Pending::default());
        }
    }
}

#[test]
fn a_put_whose_answer_is_lost_is_not_refused_by_itself() {
    let bucket = Bucket::new(Fails::After);
    let writer = begin(bucket.options(3));
    put(&writer, 1, &[given("a", 1.0)]);
    writer.close_epoch().unwrap();
    // The store has it and its answer is lost, so that the repetition finds another version than the one it should replace.
    bucket.store.good.store(1, SeqCst);
    bucket.store.bad.store(1, SeqCst);
    put(&writer, 2, &[given("a", 2.0)]);
    let closed = writer.close_epoch().unwrap();
    assert_eq!((closed.files, closed.rows), (1, 1), "it is counted");
    assert_eq!(rows(&bucket), [found(NOON, "a", 2.0, 1)]);
}

#[test]
fn a_store_without_conditions_takes_what_comes() {
    let (bucket, writer) = bucket(Fails::OnTheWay);
    bucket.store.unconditional.store(true, SeqCst);
    for number in 0..LATE.len() {
        late_epoch(&writer, number);
        assert_eq!(rows(&bucket), after(number + 1));
    }
}

/// For this there is no cure, and docs/operators.md says so. It also shows that it is the condition which helps elsewhere.
#[test]
fn a_store_without_conditions_cannot_refuse_what_arrives_late() {
    let (bucket, writer) = bucket(Fails::OnTheWay);
    bucket.store.unconditional.store(true, SeqCst);
    late_epoch(&writer, 0);
    // The day is read, then written on a condition, which the store does not know, and then without one.
    bucket.store.good.store(2, SeqCst);
    bucket.store.bad.store(1, SeqCst);
    late_epoch(&writer, 1);
    late_epoch(&writer, 2);
    assert_eq!(rows(&bucket), after(3));
    assert_eq!(bucket.deliver(), 1);
    assert_eq!(rows(&bucket), after(2), "it is the older version");
}
