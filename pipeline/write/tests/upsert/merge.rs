//! Which row stays, and what becomes of the file.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use super::*;
use crate::Kind;
use crate::write::{Closed, Pending};

/// Every order of the numbers below `count`.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let insert = |shorter: Vec<usize>| {
        (0..=last).map(move |at| {
            let mut longer = shorter.clone();
            longer.insert(at, last);
            longer
        })
    };
    permutations(last).into_iter().flat_map(insert).collect()
}

#[test]
fn the_row_of_the_newest_batch_stays_whatever_the_order_of_calls() {
    for order in permutations(4) {
        let place = Place::new();
        let writer = begin(place.options());
        for &at in &order {
            put(&writer, at as u64, &[given("a", at as f64), given("b", 10.0 - at as f64)]);
        }
        assert!(place.published().is_empty());
        let closed = writer.close_epoch().unwrap();
        assert_eq!((closed.files, closed.rows), (1, 2));
        assert_eq!(daily(&place), [found(NOON, "a", 3.0, 0), found(NOON, "b", 7.0, 0)], "{order:?}");
        assert_eq!(place.published(), [FILE]);
        assert_eq!(writer.pending(), Pending::default());
    }
}

#[test]
fn of_one_batch_the_latest_call_and_its_last_row_count() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 7, &[given("a", 1.0)]);
    put(&writer, 7, &[given("a", 2.0), given("a", 3.0), given("b", 5.0)]);
    put(&writer, 6, &[given("a", 4.0), given("b", 6.0)]);
    writer.close_epoch().unwrap();
    assert_eq!(daily(&place), [found(NOON, "a", 3.0, 0), found(NOON, "b", 5.0, 0)]);
}

#[test]
fn a_row_that_changed_has_a_revision_more_for_each_epoch() {
    let place = Place::new();
    let writer = begin(place.options());
    for epoch in 0..4 {
        for step in 0..3 {
            put(&writer, epoch * 3 + step, &[given("a", (epoch * 3 + step) as f64)]);
        }
        writer.close_epoch().unwrap();
        assert_eq!(daily(&place), [found(NOON, "a", (epoch * 3 + 2) as f64, epoch as i64)]);
    }
    assert_eq!(place.published(), [FILE]);
    let written = writer.written()["daily"];
    assert_eq!((written.rows, written.files), (4, 4), "each time the day was written counts");
}

#[test]
fn a_row_whose_content_is_the_same_keeps_its_revision_and_when_it_was_computed() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", f64::NAN), given("b", 1.0), given("c", 1.0)]);
    writer.close_epoch().unwrap();
    put(&writer, 2, &[given("a", f64::NAN), given("b", 2.0)]);
    writer.close_epoch().unwrap();
    let expected = [found(NOON, "a", f64::NAN, 0), found(NOON, "b", 2.0, 1), found(NOON, "c", 1.0, 0)];
    assert_eq!(daily(&place), expected);
    assert_eq!(computed_at(&place), [1, 2, 1]);
}

#[test]
fn a_row_computed_by_another_plugin_is_another_row() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0)]);
    writer.close_epoch().unwrap();
    let rows = batch(NOON, 1, &[given("a", 1.0)]);
    let columns = [0, 1, 2, 3].map(|at| Arc::clone(rows.column(at)));
    let rows = upserts().derived("daily", &columns, 1, "kpi 2.0.0", "abc").unwrap();
    writer.upsert("daily", 2, rows, false).unwrap();
    writer.close_epoch().unwrap();
    assert_eq!(daily(&place), [found(NOON, "a", 1.0, 1)]);
}

#[test]
fn a_file_in_which_nothing_changes_is_not_written_again() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0), given("b", 2.0)]);
    writer.close_epoch().unwrap();
    let before = inode(&place);
    put(&writer, 2, &[given("b", 2.0)]);
    assert_eq!(writer.pending().rows, 1);
    let closed = writer.close_epoch().unwrap();
    assert_eq!(closed, Closed { epoch: 2, ..Closed::default() });
    assert_eq!(inode(&place), before);
    assert_eq!(writer.pending(), Pending::default());
    put(&writer, 3, &[given("b", 3.0)]);
    writer.close_epoch().unwrap();
    assert_ne!(inode(&place), before, "a file is never changed in its place");
}

#[test]
fn null_is_a_value_of_a_key_like_others() {
    let place = Place::new();
    let writer = begin(place.options());
    let keys = [(None, None), (None, Some(0)), (Some(""), None), (Some(""), Some(0)), (Some("a"), Some(-1))];
    for (order, value) in [(1, 1.0), (2, 2.0)] {
        let rows: Vec<Given> = keys.iter().map(|&(service, code)| (service, code, value)).collect();
        put(&writer, order, &rows);
        writer.close_epoch().unwrap();
    }
    let row =
        |(service, code): (Option<&str>, Option<i64>)| (NOON, service.map(str::to_owned), code, "2".to_owned(), 1);
    assert_eq!(daily(&place), keys.map(row), "in the order of keys, null first");
}

#[test]
fn tables_and_days_have_files_of_their_own() {
    let place = Place::new();
    let writer = begin(place.options());
    for epoch in 1..=2 {
        for (table, factor) in [("daily", 1.0), ("hourly", 10.0)] {
            for day in 0..3 {
                let rows = batch(NOON + day * DAY, 0, &[given("a", factor * (day as f64) * epoch as f64)]);
                writer.upsert(table, epoch, rows, false).unwrap();
            }
        }
        writer.write("spans", spans(&[NOON + epoch as i64])).unwrap();
        writer.close_epoch().unwrap();
    }
    for (table, factor) in [("daily", 2.0), ("hourly", 20.0)] {
        let expected = [0, 1, 2].map(|day| found(NOON + day * DAY, "a", factor * day as f64, i64::from(day > 0)));
        assert_eq!(rows_in(&place, table), expected);
        let files = place.published().iter().filter(|name| name.starts_with(table)).count();
        assert_eq!(files, 3);
    }
    assert_eq!(place.times("spans"), [NOON + 1, NOON + 2]);
}

#[test]
fn a_row_that_comes_after_the_epoch_of_a_newer_one_does_not_replace_it() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 5, &[given("a", 5.0)]);
    writer.close_epoch().unwrap();
    put(&writer, 4, &[given("a", 4.0), given("b", 4.0)]);
    writer.close_epoch().unwrap();
    assert_eq!(daily(&place), [found(NOON, "a", 5.0, 0), found(NOON, "b", 4.0, 0)]);
}

#[test]
fn a_reader_finds_each_key_once_at_any_moment() {
    const KEYS: [&str; 3] = ["a", "b", "c"];
    let place = Place::new();
    let writer = begin(place.options());
    let step = |order: u64| {
        put(&writer, order, &KEYS.map(|key| given(key, order as f64)));
        writer.close_epoch().unwrap();
    };
    step(0);
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                let rows = daily(&place);
                let keys: BTreeSet<_> = rows.iter().map(|row| row.1.clone()).collect();
                let revisions: BTreeSet<_> = rows.iter().map(|row| row.4).collect();
                assert_eq!((rows.len(), keys.len(), revisions.len()), (3, 3, 1), "{rows:?}");
                reads.fetch_add(1, Relaxed);
            }
        });
        let mut order = 1;
        while order < 20 || reads.load(Relaxed) < 20 {
            step(order);
            order += 1;
        }
        done.store(true, Relaxed);
    });
}

#[test]
fn rows_of_many_threads_are_merged_while_epochs_end() {
    const THREADS: [&str; 4] = ["a", "b", "c", "d"];
    let place = Place::new();
    let writer = begin(place.options());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| {
            while !done.load(Relaxed) {
                writer.close_epoch().unwrap();
            }
        });
        let write = |name: &'static str| {
            let writer = &writer;
            move || (0..50).for_each(|order| put(writer, order, &[given(name, order as f64)]))
        };
        let threads: Vec<_> = THREADS.iter().map(|name| scope.spawn(write(name))).collect();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        done.store(true, Relaxed);
        ended.into_iter().for_each(|end| end.unwrap());
        closing.join().unwrap();
    });
    writer.close_epoch().unwrap();
    let values: Vec<_> = daily(&place).into_iter().map(|row| (row.1.unwrap(), row.3)).collect();
    assert_eq!(values, THREADS.map(|name| (name.to_owned(), "49".to_owned())));
    assert_eq!(writer.pending(), Pending::default());
}

fn numbered(order: u64, codes: impl Iterator<Item = i64>) -> RecordBatch {
    let rows: Vec<Given> = codes.map(|code| (Some("shop"), Some(code), order as f64)).collect();
    batch(NOON, order as i64, &rows)
}

#[test]
fn rows_that_newer_ones_replace_are_let_go_before_the_epoch_ends() {
    let place = Place::new();
    let one = numbered(0, 0..1000).get_array_memory_size() as u64;
    let writer = begin(WriteOptions { memory_bytes_max: 4 * one as usize, ..place.options() });
    for order in 0..100 {
        writer.upsert("daily", order, numbered(order, 0..1000), false).unwrap();
        let memory = writer.pending().memory_bytes;
        assert!(memory <= 6 * one, "{memory} of {one} each");
    }
    assert_eq!(writer.pending().rows, 100_000);
    writer.close_epoch().unwrap();
    assert_eq!(daily(&place).len(), 1000);
    assert!(daily(&place).iter().all(|row| row.3 == "99"));
    assert_eq!(writer.pending(), Pending::default());
}

#[test]
fn rows_of_many_keys_go_to_the_disk_before_memory_is_full() {
    let place = Place::new();
    let one = numbered(0, 0..1000).get_array_memory_size() as u64;
    let writer = begin(WriteOptions { memory_bytes_max: 2 * one as usize, ..place.options() });
    for part in 0..20 {
        writer.upsert("daily", 1, numbered(1, part * 1000..(part + 1) * 1000), false).unwrap();
        let memory = writer.pending().memory_bytes;
        assert!(memory <= 4 * one, "{memory} of {one} each");
    }
    assert!(place.published().is_empty(), "what is on the disk waits for the end of the epoch");
    assert_eq!(writer.pending().rows, 20_000);
    writer.close_epoch().unwrap();
    let rows = daily(&place);
    assert_eq!(rows.len(), 20_000);
    assert!(rows.iter().all(|row| row.4 == 0));
    assert_eq!(writer.pending(), Pending::default());
}

#[test]
fn a_day_of_a_hundred_thousand_keys_is_merged_within_seconds() {
    const ROWS: i64 = 100_000;
    let place = Place::new();
    let writer = begin(WriteOptions { row_group_rows: 30_000, ..place.options() });
    writer.upsert("daily", 1, numbered(1, 0..ROWS), false).unwrap();
    writer.close_epoch().unwrap();
    let began = Instant::now();
    writer.upsert("daily", 2, numbered(2, (0..ROWS).step_by(2)), false).unwrap();
    writer.close_epoch().unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let rows = daily(&place);
    assert_eq!(rows.len() as i64, ROWS);
    for (at, (row, code)) in rows.iter().zip(0..).enumerate() {
        assert_eq!((row.2, row.4), (Some(code), i64::from(at % 2 == 0)));
    }
}

#[test]
fn rows_that_replace_others_and_rows_that_are_appended_are_not_mistaken_for_each_other() {
    let place = Place::new();
    let writer = begin(place.options());
    let rows = batch(NOON, 1, &[given("a", 1.0)]);
    assert_eq!(writer.write("daily", rows).unwrap_err().kind(), Kind::Bug);
    assert_eq!(writer.upsert("spans", 1, spans(&[NOON]), false).unwrap_err().kind(), Kind::Bug);
    assert_eq!(writer.upsert("daily", 1, spans(&[NOON]), false).unwrap_err().kind(), Kind::Bug);
    assert_eq!(writer.pending(), Pending::default());
}

fn with_columns(place: &Place, change: impl FnOnce(&mut DerivedTable)) -> (Writer, Arc<Tables>) {
    let mut table = declared("daily");
    change(&mut table);
    let tables = Tables::new(TableOptions { derived: vec![table], ..TableOptions::default() }).unwrap();
    let tables = Arc::new(tables);
    (Writer::start(place.options(), Arc::clone(&tables)).unwrap().0, tables)
}

#[test]
fn a_column_that_is_new_is_null_in_rows_that_were_written_before() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0), given("b", 1.0)]);
    writer.close_epoch().unwrap();
    drop(writer);
    let (writer, tables) = with_columns(&place, |table| table.columns.push(column("more", DataType::Int64)));
    let mut columns = batch(NOON, 2, &[given("a", 1.0)]).columns()[..4].to_vec();
    columns.push(Arc::new(Int64Array::from(vec![7])));
    let rows = tables.derived("daily", &columns, 2, "kpi 1.0.0", "abc").unwrap();
    writer.upsert("daily", 2, rows, false).unwrap();
    writer.close_epoch().unwrap();
    assert_eq!(daily(&place), [found(NOON, "a", 1.0, 1), found(NOON, "b", 1.0, 0)]);
    let more = read(&place.to(), "daily", &["more"]).unwrap();
    let more: Vec<_> = more[0].column(0).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(more, [Some(7), None]);
}

#[test]
fn a_file_whose_rows_cannot_be_kept_is_not_replaced() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0)]);
    writer.close_epoch().unwrap();
    drop(writer);
    let text = |table: &mut DerivedTable| table.columns[3].data_type = DataType::Utf8;
    let (writer, tables) = with_columns(&place, text);
    let mut columns = batch(NOON, 2, &[given("b", 2.0)]).columns()[..4].to_vec();
    columns[3] = Arc::new(StringArray::from(vec!["2"]));
    writer.upsert("daily", 2, tables.derived("daily", &columns, 2, "kpi", "abc").unwrap(), false).unwrap();
    for _ in 0..2 {
        let error = writer.close_epoch().unwrap_err();
        assert_eq!(error.kind(), Kind::Storage);
        assert!(error.message().starts_with(FILE) && error.message().contains("column `value`"), "{error}");
    }
    assert_eq!(daily(&place), [found(NOON, "a", 1.0, 0)]);
    assert_eq!((writer.pending().rows, place.staged().len()), (1, 1));
    std::fs::rename(place.to().join(FILE), place.0.path().join("aside")).unwrap();
    writer.close_epoch().unwrap();
    assert_eq!(place.published(), [FILE]);
    assert_eq!(writer.pending(), Pending::default());
}
