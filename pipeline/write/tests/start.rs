//! What a writer finds when it starts, and what it leaves to the next one.

use std::collections::BTreeSet;

use super::*;
use crate::{Error, Kind};

fn refusal(options: WriteOptions) -> Error {
    Writer::start(options, tables()).unwrap_err()
}

#[test]
fn a_writer_that_ends_without_closing_its_epoch_publishes_nothing_and_the_next_one_clears_what_it_left() {
    let place = Place::new();
    let writer = start(WriteOptions { row_group_rows: 1, file_bytes_max: 1, ..place.options() });
    writer.write("spans", spans(&[NOON, NOON + HOUR])).unwrap();
    drop(writer);
    assert_eq!(place.staged().len(), 2);
    std::fs::write(place.staging().join("weir-2-7-0.parquet"), "another writer's").unwrap();
    let writer = place.start();
    assert_eq!(place.staged(), ["weir-2-7-0.parquet"]);
    writer.write("spans", spans(&[NOON + 1])).unwrap();
    writer.close_epoch().unwrap();
    assert_eq!(place.times("spans"), [NOON + 1]);
}

#[test]
fn a_second_writer_is_refused_and_told_who_has_the_folder() {
    let place = Place::new();
    let writer = place.start();
    let error = refusal(place.options());
    assert_eq!(error.kind(), Kind::Storage);
    let expected = format!("{} is in use by another process, {}:", place.staging().display(), std::process::id());
    assert!(error.message().starts_with(&expected), "{error}");

    let elsewhere = WriteOptions { staging: place.0.path().join("other"), ..place.options() };
    let error = refusal(elsewhere);
    assert!(error.message().starts_with(&format!("{} is in use", place.to().display())), "{error}");

    drop(writer);
    place.start();
}

#[test]
fn no_name_is_published_twice() {
    let place = Place::new();
    let mut names = BTreeSet::new();
    let mut rows = 0;
    for restart in 0..4 {
        if restart == 2 {
            std::fs::remove_dir_all(place.staging()).unwrap();
        }
        let writer = start(WriteOptions { row_group_rows: 1, ..place.options() });
        for _ in 0..2 {
            writer.write("spans", spans(&[NOON + rows])).unwrap();
            writer.close_epoch().unwrap();
            rows += 1;
            names.extend(place.published());
            assert_eq!(names.len() as i64, rows, "{names:?}");
        }
        // What is staged and not recorded goes with the writer; its name may come again, for it was never published.
        writer.write("spans", spans(&[NOON])).unwrap();
    }
    assert_eq!(place.times("spans"), (NOON..NOON + rows).collect::<Vec<_>>());
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let place = Place::new();
    for name in ["", "Weir", "a/b", "..", "a.b", &"a".repeat(33)] {
        let error = refusal(WriteOptions { writer_name: name.to_owned(), ..place.options() });
        assert_eq!(error.kind(), Kind::Config, "{name:?}");
    }
    for level in [0, 23] {
        let error = refusal(WriteOptions { zstd_level: Some(level), ..place.options() });
        assert_eq!(error.kind(), Kind::Config, "{level}");
    }
}
