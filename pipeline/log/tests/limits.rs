//! What is refused before it is taken.

use super::*;
use crate::Kind;

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
