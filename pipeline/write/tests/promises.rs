//! When rows appear, and that each does so once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::Kind;
use crate::files::{Fault, Simulated};
use crate::write::partition::locked;
use crate::write::{Along, Closed, Pending};

#[test]
fn no_file_appears_before_the_end_of_its_epoch() {
    let place = Place::new();
    let writer = start(WriteOptions { row_group_rows: 1, file_bytes_max: 1, ..place.options() });
    writer.write("spans", spans(&[NOON, NOON + HOUR])).unwrap();
    writer.write("logs", rows(Signal::Logs, &[sample::row(NOON, "shop")])).unwrap();
    assert_eq!(place.staged().len(), 3, "all of them are on the disk");
    assert!(place.published().is_empty());
    let closed = writer.close_epoch().unwrap();
    assert_eq!((closed.files, closed.rows), (3, 3));
    assert_eq!(place.published().len(), 3);
    assert!(place.staged().is_empty());
}

#[test]
fn an_epoch_without_rows_publishes_nothing() {
    let place = Place::new();
    let writer = place.start();
    writer.write("spans", spans(&[])).unwrap();
    assert_eq!(writer.close_epoch().unwrap(), Closed::default());
    assert!(place.published().is_empty());
}

#[test]
fn what_is_pending_and_what_was_written_add_up() {
    let place = Place::new();
    let writer = start(WriteOptions { row_group_rows: 2, ..place.options() });
    writer.write("spans", spans(&[NOON, NOON + 1])).unwrap();
    writer.write("spans", spans(&[NOON + 2])).unwrap();
    let pending = writer.pending();
    assert_eq!(pending.rows, 3);
    assert!(pending.memory_bytes > 0 && pending.staged_bytes > 0, "{pending:?}");
    let closed = writer.close_epoch().unwrap();
    assert_eq!(writer.pending(), Pending::default());
    let written = writer.written()["spans"];
    let size = std::fs::metadata(place.to().join(&place.published()[0])).unwrap().len();
    assert_eq!((written.rows, written.files, written.bytes), (3, 1, size));
    assert_eq!((closed.rows, closed.files, closed.bytes), (3, 1, size));
}

#[test]
fn rows_in_memory_stay_within_their_budget() {
    let place = Place::new();
    let one = spans(&[NOON]).get_array_memory_size() as u64;
    let writer = start(WriteOptions { memory_bytes_max: 3 * one as usize, ..place.options() });
    for time in 0..20 {
        writer.write("spans", spans(&[NOON + time])).unwrap();
        let memory = writer.pending().memory_bytes;
        assert!(memory <= 4 * one, "{memory} of {}", 3 * one);
    }
    writer.close_epoch().unwrap();
    assert_eq!(place.times("spans"), (NOON..NOON + 20).collect::<Vec<_>>());
}

#[test]
fn no_more_folders_are_open_than_allowed_and_none_of_their_rows_is_lost() {
    let place = Place::new();
    let writer = start(WriteOptions { open_partitions_max: 2, ..place.options() });
    let open = || locked(&writer.open).partitions.len();
    let mut expected: Vec<i64> = (0..5).map(|hour| NOON + hour * HOUR).collect();
    writer.write("spans", spans(&expected)).unwrap();
    assert_eq!(open(), 2);
    for hour in [0, 4, 1, 0] {
        let time = NOON + hour * HOUR + expected.len() as i64;
        writer.write("spans", spans(&[time])).unwrap();
        expected.push(time);
        assert_eq!(open(), 2);
    }
    expected.sort_unstable();
    assert!(place.published().is_empty());
    writer.close_epoch().unwrap();
    assert_eq!(place.times("spans"), expected);
    assert_eq!(writer.pending(), Pending::default());
}

#[test]
fn rows_that_are_not_the_tables_are_refused_whole() {
    let place = Place::new();
    let writer = place.start();
    assert_eq!(writer.write("logs", spans(&[NOON])).unwrap_err().kind(), Kind::Bug);
    assert_eq!(writer.write("spam", spans(&[NOON])).unwrap_err().kind(), Kind::Bug);
    assert_eq!(writer.pending(), Pending::default());
}

#[test]
fn rows_outlive_trouble_with_the_destination_and_are_published_once() {
    let place = Place::new();
    let writer = place.start();
    // A file stands where the table's folder should be.
    std::fs::write(place.to().join("spans"), "").unwrap();
    writer.write("logs", rows(Signal::Logs, &[sample::row(NOON, "shop")])).unwrap();
    writer.write("spans", spans(&[NOON, NOON + HOUR])).unwrap();
    for _ in 0..2 {
        let error = writer.close_epoch().unwrap_err();
        assert_eq!(error.kind(), Kind::Storage);
        assert!(error.message().contains("tables/spans"), "{error}");
    }
    writer.write("spans", spans(&[NOON + 1])).unwrap();
    assert!(writer.pending().rows >= 3);
    std::fs::remove_file(place.to().join("spans")).unwrap();
    writer.close_epoch().unwrap();
    assert_eq!(place.times("spans"), [NOON, NOON + 1, NOON + HOUR]);
    assert_eq!(place.times("logs"), [NOON]);
    assert_eq!(writer.pending(), Pending::default());
}

#[test]
fn rows_outlive_trouble_with_the_staging_folder() {
    let place = Place::new();
    let writer = place.start();
    let aside = place.0.path().join("aside");
    std::fs::rename(place.staging(), &aside).unwrap();
    writer.write("spans", spans(&[NOON])).unwrap();
    assert_eq!(writer.close_epoch().unwrap_err().kind(), Kind::Storage);
    writer.write("spans", spans(&[NOON + 1])).unwrap();
    assert_eq!(writer.pending().rows, 2);
    std::fs::rename(&aside, place.staging()).unwrap();
    writer.close_epoch().unwrap();
    assert_eq!(place.times("spans"), [NOON, NOON + 1]);
}

#[test]
fn rows_are_refused_while_memory_is_full_and_the_disk_takes_nothing() {
    let place = Place::new();
    let writer = start(WriteOptions { memory_bytes_max: 1, ..place.options() });
    let aside = place.0.path().join("aside");
    std::fs::rename(place.staging(), &aside).unwrap();
    writer.write("spans", spans(&[NOON])).unwrap();
    for _ in 0..2 {
        assert_eq!(writer.write("spans", spans(&[NOON + 1])).unwrap_err().kind(), Kind::Storage);
    }
    assert_eq!(writer.pending().rows, 1, "what is refused is not kept");
    std::fs::rename(&aside, place.staging()).unwrap();
    writer.write("spans", spans(&[NOON + 2])).unwrap();
    writer.close_epoch().unwrap();
    assert_eq!(place.times("spans"), [NOON, NOON + 2]);
}

/// A writer on a disk of its own, with little memory.
fn on(files: &Simulated) -> Writer {
    start(WriteOptions {
        memory_bytes_max: 1,
        files: Arc::new(files.clone()),
        ..WriteOptions::new(Destination::Local("/tables".into()), "/staging")
    })
}

#[test]
fn rows_that_a_full_disk_did_not_take_are_written_once_there_is_room() {
    let files = Simulated::new(1);
    let writer = on(&files);
    writer.write("spans", spans(&[NOON])).unwrap();
    files.set_capacity(0);
    // Its row group is encoded by now, and the file is there.
    for _ in 0..3 {
        assert_eq!(writer.write("spans", spans(&[NOON + HOUR])).unwrap_err().kind(), Kind::Storage);
    }
    files.set_capacity(u64::MAX);
    writer.write("spans", spans(&[NOON + HOUR])).unwrap();
    writer.close_epoch().unwrap();
    assert_eq!(writer.written()["spans"].rows, 2);
    let left = writer.pending();
    assert_eq!((left.rows, left.memory_bytes, left.staged_bytes), (0, 0, 0));
}

#[test]
fn an_epoch_that_lost_rows_by_a_panic_is_not_recorded_and_nobody_waits_for_them() {
    let files = Simulated::new(1);
    let writer = on(&files);
    writer.write("spans", spans(&[NOON])).unwrap();
    files.fail_at(files.operations(), Fault::Panic);
    let more = || writer.write("spans", spans(&[NOON + HOUR]));
    assert!(catch_unwind(AssertUnwindSafe(more)).is_err(), "the file of the rows is made");
    let refused = more().unwrap_err();
    assert_eq!(refused.kind(), Kind::Bug);
    assert!(refused.message().contains("panicked while it encoded rows of spans/"), "{refused}");
    writer.rotate(Along { position: 1, ..Along::default() });
    for _ in 0..2 {
        assert_eq!(writer.commit().unwrap_err().kind(), Kind::Bug);
    }
    assert_eq!((writer.recorded_epoch(), writer.recorded_position()), (0, 0));
}

#[test]
fn rows_of_many_threads_are_published_once_while_epochs_end() {
    many_threads(|options| WriteOptions { row_group_rows: 3, open_partitions_max: 2, ..options });
}

/// Threads make room for each other: of the rows that one encodes and of epochs that end, too.
#[test]
fn rows_of_many_threads_are_published_once_while_memory_is_short() {
    let one = spans(&[NOON]).get_array_memory_size();
    many_threads(move |options| WriteOptions { memory_bytes_max: 8 * one, ..options });
}

fn many_threads(with: impl Fn(WriteOptions) -> WriteOptions) {
    const THREADS: i64 = 4;
    const WRITES: i64 = 25;
    let place = Place::new();
    let writer = start(with(place.options()));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| {
            while !done.load(Relaxed) {
                writer.close_epoch().unwrap();
            }
        });
        let write = |thread: i64| {
            let writer = &writer;
            move || {
                for at in 0..WRITES {
                    let time = NOON + (at % 3) * HOUR + thread * WRITES + at;
                    writer.write("spans", spans(&[time])).unwrap();
                }
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(write(thread))).collect();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        done.store(true, Relaxed);
        ended.into_iter().for_each(|end| end.unwrap());
        closing.join().unwrap();
    });
    writer.close_epoch().unwrap();
    let mut expected: Vec<i64> = (0..THREADS * WRITES).map(|row| NOON + (row % WRITES % 3) * HOUR + row).collect();
    expected.sort_unstable();
    assert_eq!(place.times("spans"), expected);
    assert_eq!(writer.pending(), Pending::default());
}
