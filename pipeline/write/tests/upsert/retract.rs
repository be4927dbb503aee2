//! Keys that have no row any more.

use super::*;
use crate::write::Pending;

fn retract(writer: &Writer, order: u64, services: &[&'static str]) {
    let rows: Vec<Given> = services.iter().map(|service| given(service, 0.0)).collect();
    writer.upsert("daily", order, batch(NOON, 0, &rows), true).unwrap();
}

#[test]
fn a_row_that_is_retracted_is_gone_after_the_epoch() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0), given("b", 1.0)]);
    writer.close_epoch().unwrap();
    retract(&writer, 2, &["a"]);
    assert_eq!(daily(&place).len(), 2);
    let closed = writer.close_epoch().unwrap();
    assert_eq!((closed.files, closed.rows), (1, 1));
    assert_eq!(daily(&place), [found(NOON, "b", 1.0, 0)]);
}

#[test]
fn a_day_that_has_no_row_left_has_no_file() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0), given("b", 1.0)]);
    writer.upsert("daily", 1, batch(NOON + DAY, 1, &[given("a", 1.0)]), false).unwrap();
    writer.close_epoch().unwrap();
    let before = writer.written()["daily"];
    retract(&writer, 2, &["a", "b"]);
    assert_eq!(writer.pending().rows, 2);
    assert_eq!(writer.close_epoch().unwrap().files, 0);
    assert_eq!(place.published(), ["daily/day=2026-01-02/weir.parquet"]);
    assert_eq!(writer.pending(), Pending::default());
    assert_eq!(writer.written()["daily"], before, "nothing was written");
}

#[test]
fn a_key_that_has_a_row_again_begins_anew() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0)]);
    writer.close_epoch().unwrap();
    retract(&writer, 2, &["a"]);
    writer.close_epoch().unwrap();
    put(&writer, 3, &[given("a", 3.0)]);
    writer.close_epoch().unwrap();
    assert_eq!(daily(&place), [found(NOON, "a", 3.0, 0)]);
}

#[test]
fn within_an_epoch_the_newest_says_whether_there_is_a_row() {
    for (row, retraction, expected) in [(1, 2, vec![]), (2, 1, vec![found(NOON, "a", 2.0, 1)])] {
        for row_first in [false, true] {
            let place = Place::new();
            let writer = begin(place.options());
            put(&writer, 0, &[given("a", 0.0)]);
            writer.close_epoch().unwrap();
            if row_first {
                put(&writer, row, &[given("a", row as f64)]);
            }
            retract(&writer, retraction, &["a"]);
            if !row_first {
                put(&writer, row, &[given("a", row as f64)]);
            }
            writer.close_epoch().unwrap();
            assert_eq!(daily(&place), expected, "{row} {retraction} {row_first}");
        }
    }
}

#[test]
fn a_key_without_a_row_may_be_retracted_and_nothing_happens() {
    let place = Place::new();
    let writer = begin(place.options());
    retract(&writer, 1, &["a"]);
    assert_eq!(writer.close_epoch().unwrap().files, 0);
    assert!(place.published().is_empty());
    put(&writer, 2, &[given("b", 1.0)]);
    writer.close_epoch().unwrap();
    let before = inode(&place);
    retract(&writer, 3, &["a"]);
    writer.close_epoch().unwrap();
    assert_eq!(inode(&place), before);
    assert_eq!(writer.pending(), Pending::default());
}

#[test]
fn a_late_row_does_not_bring_back_what_was_retracted() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0)]);
    writer.close_epoch().unwrap();
    retract(&writer, 3, &["a"]);
    writer.close_epoch().unwrap();
    put(&writer, 2, &[given("a", 2.0)]);
    writer.close_epoch().unwrap();
    assert!(daily(&place).is_empty());
}
