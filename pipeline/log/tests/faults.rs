//! Full disks, failing syncs, short writes, no more files.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::Kind;
use crate::files::Fault;
use crate::log::Committed;

/// A log with one durable record, and how often it was said to be lost.
fn begun(files: &Simulated) -> (Log, Arc<AtomicU64>) {
    let lost = Arc::new(AtomicU64::new(0));
    let count = lost.clone();
    let on_lost = Arc::new(move |_: &crate::Error| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let (log, _) = open(files, Options { on_lost, ..options(1) }, 0).unwrap();
    append(&log, &mut Random::new(1), 100);
    log.commit_pending().unwrap();
    (log, lost)
}

#[test]
fn a_failed_write_or_sync_loses_the_log_for_good_and_tells_everybody_once() {
    // The write of the commit, and its sync.
    for (operation, fault) in [(0, Fault::Io), (0, Fault::Short), (0, Fault::Full), (1, Fault::Io), (1, Fault::Full)] {
        let files = Simulated::new(1);
        let (log, lost) = begun(&files);
        let record = append(&log, &mut Random::new(2), 3000);
        let told = log.durable(record.lsn);
        files.fail_at(files.operations() + operation, fault);
        let error = log.commit_pending().unwrap_err();
        assert_eq!(error.kind(), Kind::Storage);
        assert!(error.message().contains("nothing more is acknowledged"), "{error}");
        for refused in [
            log.wait_durable(record.lsn).unwrap_err(),
            log.commit_pending().unwrap_err(),
            log.admit(1).unwrap_err(),
            log.append(Signal::Logs, 1, b"x").unwrap_err(),
            log.close().unwrap_err(),
        ] {
            assert_eq!(refused, error);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(told).unwrap_err(), error);
        log.wait_durable(0).unwrap();
        assert_eq!((lost.load(Ordering::Relaxed), log.durable_lsn()), (1, 1));
        drop(log);
        assert_eq!(lost.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn what_a_failed_sync_left_in_memory_only_is_made_durable_by_the_next_start() {
    for seed in 0..200 {
        let files = Simulated::new(seed);
        let (log, _) = begun(&files);
        append(&log, &mut Random::new(seed), 3000);
        files.fail_at(files.operations() + 1, Fault::Io);
        log.commit_pending().unwrap_err();
        drop(log);
        // The process starts again and sees what the disk does not have.
        let files = files.restart();
        let (log, recovered) = open(&files, options(seed), 0).unwrap();
        assert_eq!(read(recovered).len(), 2, "seed {seed}");
        append(&log, &mut Random::new(seed), 3000);
        log.commit_pending().unwrap();
        let (_, recovered) = open(&files.crash(), options(seed + 1), 0).unwrap();
        assert_eq!(read(recovered).len(), 3, "seed {seed}");
    }
}

#[test]
fn a_full_disk_keeps_records_waiting_and_refuses_more_until_there_is_space() {
    let files = Simulated::new(1);
    let (log, lost) = begun(&files);
    files.set_capacity(40 << 10);
    let mut random = Random::new(3);
    let records: Vec<Record> = (0..20).map(|_| append(&log, &mut random, 6000)).collect();
    assert_eq!(log.commit_pending().unwrap(), Committed::Waiting);
    assert!(log.stats().is_full && log.durable_lsn() > 1 && log.durable_lsn() < log.next_lsn());
    let refused = log.admit(1).unwrap_err();
    assert_eq!(refused.kind(), Kind::Overload);
    // A shorter one than usual would do, and even for that there is no room.
    assert!(
        refused.message().contains("cannot begin a segment of 12288 bytes in /log, where 8192 bytes are free"),
        "{refused}"
    );
    assert!(refused.message().contains("make room there, or set log.folder"), "{refused}");
    assert_eq!(log.commit_pending().unwrap(), Committed::Waiting);
    let last = append(&log, &mut random, 6000);
    files.set_capacity(u64::MAX);
    assert_eq!(log.commit_pending().unwrap(), Committed::All);
    log.admit(1).unwrap();
    assert_eq!((log.durable_lsn(), log.stats().pending_bytes), (22, 0));
    drop(log);
    assert_eq!(lost.load(Ordering::Relaxed), 0);
    let found = read(open(&files.crash(), options(2), 1).unwrap().1);
    assert_eq!(found, [records, vec![last]].concat());
}

#[test]
fn too_many_open_files_are_no_loss() {
    let files = Simulated::new(1);
    let (log, _) = open(&files, options(1), 0).unwrap();
    append(&log, &mut Random::new(1), 100);
    // After the removal of a segment that is not there.
    files.fail_at(files.operations() + 1, Fault::TooManyOpen);
    assert_eq!(log.commit_pending().unwrap(), Committed::Waiting);
    assert!(log.admit(1).unwrap_err().message().contains("too many open files"));
    assert_eq!(log.commit_pending().unwrap(), Committed::All);
    log.admit(1).unwrap();
}

#[test]
fn the_thread_tries_again_until_there_is_space() {
    let files = Simulated::new(1);
    let options = Options { background: true, full_pause: Duration::from_millis(2), ..options(1) };
    let (log, _) = open(&files, options, 0).unwrap();
    files.set_capacity(0);
    let record = append(&log, &mut Random::new(1), 100);
    while !log.stats().is_full {
        std::thread::sleep(Duration::from_millis(1));
    }
    files.set_capacity(u64::MAX);
    log.wait_durable(record.lsn).unwrap();
    assert!(!log.stats().is_full);
}

#[test]
fn closing_on_a_full_disk_says_what_is_not_durable_and_tells_who_waits() {
    let files = Simulated::new(1);
    let (log, _) = open(&files, Options { background: true, ..options(1) }, 0).unwrap();
    files.set_capacity(0);
    let record = append(&log, &mut Random::new(1), 100);
    let refused = log.close().unwrap_err();
    assert!(refused.message().contains("1 records waited for space"), "{refused}");
    log.wait_durable(record.lsn).unwrap_err();
}

#[test]
fn the_reserve_lets_a_log_be_opened_and_drained_on_a_full_disk() {
    let files = Simulated::new(1);
    let with_reserve = |seed| Options { reserve_bytes: 16 << 10, ..options(seed) };
    let (log, _) = open(&files, with_reserve(1), 0).unwrap();
    assert!(log.stats().has_reserve);
    append(&log, &mut Random::new(1), 100);
    log.commit_pending().unwrap();
    // The last commit is written again, for which there is no space but the reserve.
    let crashed = files.crash();
    drop(log);
    let files = crashed;
    files.set_capacity(48 << 10);
    let (log, recovered) = open(&files, with_reserve(2), 0).unwrap();
    assert_eq!(read(recovered).len(), 1);
    assert!(!log.release_reserve().unwrap() || !log.stats().has_reserve);
    files.set_capacity(u64::MAX);
    assert!(log.take_reserve().unwrap() && log.stats().has_reserve);
}

#[test]
fn a_log_without_space_for_its_last_records_says_so() {
    let files = Simulated::new(1);
    let (log, _) = begun(&files);
    // Before it is sealed: then nothing would be written again.
    let crashed = files.crash();
    drop(log);
    let files = crashed;
    files.set_capacity(0);
    let refused = open(&files, options(2), 0).unwrap_err();
    assert_eq!(refused.kind(), Kind::Storage);
    assert!(refused.message().contains("before there is space for its last records"), "{refused}");
    files.set_capacity(u64::MAX);
    assert_eq!(read(open(&files, options(2), 0).unwrap().1).len(), 1);
}

#[test]
fn a_failed_sync_of_the_folder_after_a_removal_loses_the_log_also_when_it_is_closed() {
    for closed in [false, true] {
        let files = Simulated::new(1);
        let (log, lost) = begun(&files);
        let mut random = Random::new(2);
        (0..3).for_each(|_| drop(append(&log, &mut random, 9000)));
        while log.stats().segments < 2 {
            append(&log, &mut random, 9000);
            log.commit_pending().unwrap();
        }
        if closed {
            log.close().unwrap();
        }
        // Every segment but the last is removed, or all of them, and then the folder is synced.
        let removed = log.stats().segments - u64::from(!closed);
        files.fail_at(files.operations() + removed, Fault::Io);
        let error = if closed { log.clear(log.next_lsn()) } else { log.trim(log.next_lsn()) }.unwrap_err();
        assert!(crate::files::Lost::is(&error), "{error}");
        assert_eq!(lost.load(Ordering::Relaxed), 1, "whoever has the log is told");
        assert_eq!(log.append(Signal::Logs, 1, b"x").unwrap_err(), error);
        assert_eq!(log.admit(1).unwrap_err(), error);
        drop(log);
        assert_eq!(lost.load(Ordering::Relaxed), 1);
    }
}
