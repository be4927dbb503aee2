//! What is refused before it is taken.

use super::*;
use crate::Kind;
use crate::log::Committed;

fn refusal(log: &Log, bytes: u64) -> String {
    let refused = log.admit(bytes).unwrap_err();
    assert_eq!(refused.kind(), Kind::Overload);
    refused.message().to_owned()
}

#[test]
fn from_the_soft_limit_on_new_data_is_refused_until_the_log_is_trimmed() {
    let files = Simulated::new(1);
    let limits = Options { disk_soft_bytes: 96 << 10, disk_hard_bytes: 128 << 10, ..options(1) };
    let (log, _) = open(&files, limits, 0).unwrap();
    let mut random = Random::new(1);
    while log.stats().segment_bytes < 96 << 10 {
        log.admit(1).unwrap();
        append(&log, &mut random, 9000);
        log.commit_pending().unwrap();
    }
    let said = refusal(&log, 1);
    assert!(said.contains("98304 bytes on the disk, and log.disk_soft is 98304"), "{said}");
    log.trim(log.durable_lsn()).unwrap();
    log.admit(1).unwrap();
}

#[test]
fn files_of_others_count_towards_the_limits() {
    let files = Simulated::new(1);
    let (log, _) =
        open(&files, Options { disk_soft_bytes: 1 << 20, disk_hard_bytes: 2 << 20, ..options(1) }, 0).unwrap();
    log.set_other_bytes((1 << 20) - 1);
    log.admit(1).unwrap();
    log.set_other_bytes(1 << 20);
    assert!(refusal(&log, 1).contains("log.disk_soft"));
    log.set_other_bytes(0);
    log.admit(1).unwrap();
}

#[test]
fn a_request_over_the_hard_limit_is_refused() {
    let files = Simulated::new(1);
    let (log, _) =
        open(&files, Options { disk_soft_bytes: 1 << 20, disk_hard_bytes: 2 << 20, ..options(1) }, 0).unwrap();
    log.admit(2 << 20).unwrap();
    assert!(refusal(&log, (2 << 20) + 1).contains("log.disk_hard, 2097152"));
}

#[test]
fn what_waits_in_memory_has_a_limit() {
    let files = Simulated::new(1);
    let (log, _) = open(&files, Options { pending_bytes_max: 10_000, ..options(1) }, 0).unwrap();
    log.append(Signal::Logs, 0, &[0; 9000]).unwrap();
    log.admit(1).unwrap();
    log.append(Signal::Logs, 0, &[0; 9000]).unwrap();
    let said = refusal(&log, 1);
    assert!(said.contains("18096 bytes wait to be brought to the disk, and 10000 is the limit"), "{said}");
    log.commit_pending().unwrap();
    log.admit(1).unwrap();
}

#[test]
fn limits_that_cannot_work_are_refused_with_the_cure() {
    let with = |change: fn(&mut Options)| {
        let mut options = options(1);
        change(&mut options);
        let refused = open(&Simulated::new(1), options, 0).unwrap_err();
        assert_eq!(refused.kind(), Kind::Config);
        refused.message().to_owned()
    };
    assert_eq!(with(|o| o.segment_bytes = 9), "log.segment is 9, and a segment needs at least 16384");
    assert_eq!(
        with(|o| o.disk_soft_bytes = 40_000),
        "log.disk_soft is 40000, and must be at least two segments (log.segment), which is 65536"
    );
    assert_eq!(
        with(|o| o.disk_hard_bytes = 70_000),
        "log.disk_hard is 70000, and must not be below log.disk_soft, which is 8589934592"
    );
}

#[test]
fn on_a_nearly_full_disk_segments_are_shorter_than_usual_and_not_longer_than_what_is_left() {
    let files = Simulated::new(1);
    let (log, _) =
        open(&files, Options { segment_bytes: 8 << 20, disk_soft_bytes: 64 << 20, ..options(1) }, 0).unwrap();
    files.set_capacity(5 << 20);
    let record = vec![1; 300 << 10];
    let mut lengths = Vec::new();
    for _ in 0..10 {
        log.append(Signal::Logs, 0, &record).unwrap();
        assert_eq!(log.commit_pending().unwrap(), Committed::All);
        let all = segments(&files).into_iter().map(|path| files.stat(&path).unwrap().unwrap().bytes);
        lengths = all.collect();
    }
    assert_eq!(lengths, [2 << 20, 1 << 20, 1 << 20]);
    drop(log);
    let found = read(open(&files.crash(), options(2), 0).unwrap().1);
    assert!(found.len() == 10 && found.iter().all(|found| found.payload == record));
}

#[test]
fn a_reserve_that_does_not_fit_is_half_of_what_is_free_and_grows_when_there_is_room() {
    let files = Simulated::new(1);
    files.set_capacity(10 << 20);
    let (log, _) = open(&files, Options { reserve_bytes: 8 << 20, ..options(1) }, 0).unwrap();
    let reserve = || files.stat(&PathBuf::from("/log/reserve")).unwrap().unwrap().bytes;
    assert!(log.stats().has_reserve && reserve() == 5 << 20);
    assert!(log.nearly_full().unwrap().contains("5242880 bytes are free, beside 5242880 of 8388608"));
    files.set_capacity(20 << 20);
    assert!(log.take_reserve().unwrap() && reserve() == 8 << 20);
    assert_eq!(log.nearly_full(), None);
    // One that is there is kept, however little is free.
    files.set_capacity(8 << 20);
    assert!(log.take_reserve().unwrap() && reserve() == 8 << 20);
}

#[test]
fn while_the_reserve_is_given_up_nothing_new_is_taken() {
    let files = Simulated::new(1);
    let (log, _) = open(&files, Options { reserve_bytes: 1 << 20, ..options(1) }, 0).unwrap();
    log.admit(1).unwrap();
    log.release_reserve().unwrap();
    assert!(refusal(&log, 1).contains("needed for the end of the epoch"));
    assert!(log.is_full() && log.shortage().is_some() && log.stats().is_full);
    // What was taken before is made durable.
    append(&log, &mut Random::new(1), 3000);
    assert_eq!(log.commit_pending().unwrap(), Committed::All);
    log.take_reserve().unwrap();
    log.admit(1).unwrap();
    assert!(!log.is_full() && log.shortage().is_none());
}

#[test]
fn an_epoch_would_free_the_segments_that_have_records_which_no_epoch_has_but_the_last() {
    let files = Simulated::new(1);
    let (log, _) = open(&files, options(1), 0).unwrap();
    let mut firsts = Vec::new();
    while log.stats().segments < 4 {
        let lsn = log.append(Signal::Logs, 0, &[0; 9000]).unwrap();
        let before = log.stats().segments;
        log.commit_pending().unwrap();
        firsts.extend((log.stats().segments > before).then_some(lsn));
    }
    let freed = |recorded| log.bytes_to_free(recorded) / (32 << 10);
    assert_eq!((freed(0), freed(1), freed(firsts[1] - 1), freed(firsts[1])), (3, 3, 3, 2));
    assert_eq!((freed(firsts[3] - 1), freed(firsts[3]), freed(log.next_lsn())), (1, 0, 0));
}
