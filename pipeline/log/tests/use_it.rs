//! A log that nothing happens to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::Kind;
use crate::files::Real;

#[test]
fn what_was_appended_is_recovered_in_order_from_any_position() {
    let files = Simulated::new(1);
    let mut random = Random::new(2);
    let (log, recovered) = open(&files, options(1), 0).unwrap();
    assert_eq!(recovered.records_total(), 0);
    let mut records = Vec::new();
    for _ in 0..40 {
        records.extend((0..random.below(4)).map(|_| append(&log, &mut random, 9000)));
        log.commit_pending().unwrap();
    }
    assert!(log.stats().segments > 3);
    drop(log);
    for from in 0..=records.len() {
        let (log, recovered) = open(&files, options(2), from as Lsn).unwrap();
        assert_eq!(log.next_lsn(), records.len() as Lsn);
        assert_eq!(recovered.records_total(), (records.len() - from) as u64);
        assert_eq!(read(recovered), records[from..]);
    }
}

#[test]
fn a_log_goes_on_where_it_was_closed() {
    let files = Simulated::new(1);
    let mut random = Random::new(2);
    let mut records = Vec::new();
    for life in 0..12 {
        let (log, recovered) = open(&files, options(life), 0).unwrap();
        assert_eq!(read(recovered), records, "life {life}");
        records.extend((0..life % 4).map(|_| append(&log, &mut random, 3000)));
        log.close().unwrap();
        log.close().unwrap();
    }
}

#[test]
fn an_empty_log_begins_at_the_position_of_the_epoch() {
    let files = Simulated::new(1);
    let (log, _) = open(&files, options(1), 77).unwrap();
    assert_eq!((log.next_lsn(), log.durable_lsn()), (77, 77));
    assert_eq!(append(&log, &mut Random::new(1), 9).lsn, 77);
    log.close().unwrap();
    assert_eq!(segments(&files), [Path::new("/log/00000000000000000077.wal")]);
}

#[test]
fn a_log_that_ends_below_the_position_of_the_epoch_goes_on_there() {
    let files = Simulated::new(1);
    let (log, _) = open(&files, options(1), 0).unwrap();
    append(&log, &mut Random::new(1), 9);
    drop(log);
    let (log, recovered) = open(&files, options(2), 50).unwrap();
    assert_eq!(read(recovered), []);
    let record = append(&log, &mut Random::new(1), 9);
    drop(log);
    assert_eq!(record.lsn, 50);
    assert_eq!(read(open(&files, options(3), 50).unwrap().1), [record]);
}

#[test]
fn a_record_may_be_larger_than_a_segment_or_empty() {
    let files = Simulated::new(1);
    let (log, _) = open(&files, options(1), 0).unwrap();
    for bytes in [0, 200_000, 0, 1, 32 << 10] {
        log.append(Signal::Logs, 5, &vec![7; bytes]).unwrap();
    }
    drop(log);
    let lengths: Vec<usize> = read(open(&files, options(2), 0).unwrap().1).iter().map(|r| r.payload.len()).collect();
    assert_eq!(lengths, [0, 200_000, 0, 1, 32 << 10]);
}

#[test]
fn nothing_is_durable_before_it_is_committed() {
    let files = Simulated::new(1);
    let (log, _) = open(&files, options(1), 0).unwrap();
    append(&log, &mut Random::new(1), 9);
    assert_eq!((log.next_lsn(), log.durable_lsn()), (1, 0));
    assert!(log.stats().pending_bytes > 0);
    log.commit_pending().unwrap();
    assert_eq!((log.next_lsn(), log.durable_lsn(), log.stats().pending_bytes), (1, 1, 0));
    log.wait_durable(0).unwrap();
}

#[test]
fn trimming_removes_whole_segments_below_a_position_and_never_the_last() {
    let files = Simulated::new(1);
    let mut random = Random::new(2);
    let (log, _) = open(&files, options(1), 0).unwrap();
    let mut records = Vec::new();
    for _ in 0..30 {
        records.push(append(&log, &mut random, 9000));
        log.commit_pending().unwrap();
    }
    let before = segments(&files).len();
    assert!(before > 3);
    log.trim(15).unwrap();
    let left = segments(&files).len();
    assert!(left < before && left > 1, "{before} segments, then {left}");
    log.trim(30).unwrap();
    assert_eq!((segments(&files).len(), log.stats().segments), (1, 1));
    drop(log);
    let files = files.crash();
    let (log, recovered) = open(&files, options(2), 30).unwrap();
    assert_eq!((read(recovered), log.next_lsn()), (vec![], 30));
}

#[test]
fn two_processes_cannot_have_one_log() {
    let files = Simulated::new(1);
    let _first = open(&files, options(1), 0).unwrap();
    let refused = open(&files, options(2), 0).unwrap_err();
    assert_eq!(refused.kind(), Kind::Storage);
    assert!(refused.message().starts_with("/log is in use by another process"), "{refused}");
}

#[test]
fn a_log_in_memory_has_everything_durable_at_once() {
    let log = Log::memory(9);
    assert_eq!(log.append(Signal::Spans, 1, b"x").unwrap(), 9);
    log.wait_durable(9).unwrap();
    log.admit(u64::MAX).unwrap();
    log.trim(10).unwrap();
    assert_eq!((log.next_lsn(), log.durable_lsn(), log.stats().records), (10, 10, 1));
    log.close().unwrap();
    assert_eq!(log.append(Signal::Spans, 1, b"x").unwrap_err().kind(), Kind::Overload);
}

#[test]
fn a_closed_log_refuses_and_tells_who_waits() {
    let files = Simulated::new(1);
    let (log, _) = open(&files, options(1), 0).unwrap();
    let never = log.durable(5);
    log.close().unwrap();
    assert_eq!(log.append(Signal::Spans, 1, b"x").unwrap_err().kind(), Kind::Overload);
    assert_eq!(log.wait_durable(5).unwrap_err().kind(), Kind::Overload);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(never).unwrap_err().kind(), Kind::Overload);
}

#[test]
fn a_folder_of_the_operating_system_serves_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        || Options { reserve_bytes: 1 << 20, segment_bytes: 1 << 20, ..Options::new(folder.path().join("a/log")) };
    let mut random = Random::new(3);
    let (log, _) = Log::open(Arc::new(Real), options(), 0).unwrap();
    let records: Vec<Record> = (0..100).map(|_| append(&log, &mut random, 60_000)).collect();
    log.wait_durable(99).unwrap();
    assert!(log.stats().has_reserve && log.stats().segments > 2);
    assert!(log.release_reserve().unwrap() && !log.release_reserve().unwrap());
    assert!(log.take_reserve().unwrap());
    drop(log);
    let (log, recovered) = Log::open(Arc::new(Real), options(), 0).unwrap();
    assert_eq!(read(recovered), records);
    log.trim(100).unwrap();
    assert_eq!(log.stats().segments, 1);
}

#[test]
fn the_thread_ends_with_the_log() {
    let files = Simulated::new(1);
    for _ in 0..3 {
        let (log, _) = open(&files, Options { background: true, ..options(1) }, 0).unwrap();
        append(&log, &mut Random::new(1), 99);
        std::thread::sleep(Duration::from_millis(1));
        drop(log);
    }
    assert_eq!(read(open(&files, options(1), 0).unwrap().1).len(), 3);
}
