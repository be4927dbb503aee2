//! A disk that is full or nearly so, and a log that may have little of it: whoever sends is told to come back, whoever runs it
//! is told why, nothing is lost, and it goes on by itself.

mod service;

use prost::Message;
use service::rows::{self, Cell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir::config::Config;
use weir::files::{Files, Simulated};
use weir::run::Pipeline;
use weir::{Kind, Signal};

const MIB: u64 = 1 << 20;

/// Longer than anything here may take.
const HANGS: Duration = Duration::from_secs(60);

fn start(files: &Simulated, configure: impl FnOnce(&mut Config)) -> Pipeline {
    let mut config = service::by_hand();
    (config.log.segment_bytes, config.log.reserve_bytes) = (MIB, MIB);
    configure(&mut config);
    Pipeline::builder().config(config).files(Arc::new(files.clone())).start().unwrap()
}

/// A request of one log record, numbered, with so many bytes that take next to nothing in a file.
fn request(number: u64, bytes: u64) -> Vec<u8> {
    let mut record = service::log(&"x".repeat(bytes as usize));
    record.event_name = number.to_string();
    service::logs(vec![record]).encode_to_vec()
}

/// Sends a request until it is taken, as clients do.
fn insist(pipeline: &Pipeline, number: u64, bytes: u64) {
    let (body, until) = (request(number, bytes), Instant::now() + HANGS);
    while let Err(refused) = pipeline.ingest(Signal::Logs, &body) {
        assert_eq!(refused.kind(), Kind::Overload, "{refused}");
        assert!(Instant::now() < until, "request {number} is never taken: {refused}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for what must come.
fn until(what: &str, mut come: impl FnMut() -> bool) {
    let end = Instant::now() + HANGS;
    while !come() {
        assert!(Instant::now() < end, "it never comes: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn metric(pipeline: &Pipeline, name: &str) -> f64 {
    pipeline.metrics().iter().find(|family| family.name == name).unwrap().samples[0].1
}

/// Every file below a folder.
fn below(files: &Simulated, folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = files.list(folder) else { return Vec::new() };
    let of = |entry: weir::files::Entry| {
        let path = folder.join(&entry.name);
        if entry.stat.is_folder { below(files, &path) } else { vec![path] }
    };
    entries.into_iter().flat_map(of).collect()
}

fn used(files: &Simulated) -> u64 {
    below(files, Path::new("/")).iter().map(|path| files.stat(path).unwrap().unwrap().bytes).sum()
}

/// Ends the pipeline and finds each of the requests below a number in the tables, once.
fn check(pipeline: Pipeline, files: &Simulated, requests: u64) {
    let summary = pipeline.shutdown();
    assert!(summary.failure.is_none() && summary.pending == 0, "{summary:?}");
    let stored =
        below(files, Path::new("/data/logs")).into_iter().flat_map(|path| rows::of_content(files.read(&path).unwrap()));
    let number = |row: rows::Row| match &row["event_name"] {
        Cell::Text(number) => number.parse::<u64>().unwrap(),
        other => panic!("{other:?}"),
    };
    let numbers: Vec<u64> = stored.map(number).collect();
    assert_eq!(numbers.len() as u64, requests, "each once");
    assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), (0..requests).collect());
}

#[test]
fn a_disk_with_less_room_than_the_log_wants_takes_many_times_what_it_has() {
    let files = Simulated::new(1);
    files.set_capacity(4 * MIB);
    let pipeline = start(&files, |config| {
        (config.log.segment_bytes, config.log.reserve_bytes) = (8 * MIB, 8 * MIB);
    });
    assert!(pipeline.warnings().iter().any(|warning| warning.contains("the disk of /data/_log is nearly full: ")));
    (0..240).for_each(|number| insist(&pipeline, number, 50_000));
    assert!(metric(&pipeline, "weir_epochs_total") >= 2.0, "an epoch has ended each time that the disk was full");
    files.set_capacity(u64::MAX);
    check(pipeline, &files, 240);
}

#[test]
fn a_full_disk_is_told_with_what_is_missing_and_not_any_more_when_there_is_room() {
    let files = Simulated::new(1);
    let pipeline = start(&files, |config| config.log.reserve_bytes = 0);
    assert_eq!(pipeline.trouble(), None);
    files.set_capacity(used(&files) + 100);
    std::thread::scope(|scope| {
        // It finds no room, and waits for some.
        let waiting = scope.spawn(|| pipeline.ingest(Signal::Logs, &request(0, 1000)));
        until("trouble", || pipeline.trouble().is_some());
        let told = pipeline.trouble().unwrap();
        for part in [
            "12288 bytes in /data/_log, where 100 bytes are free",
            "log.folder",
            "nothing that was acknowledged is lost",
        ] {
            assert!(told.message().contains(part), "no {part:?} in {told}");
        }
        let refused = pipeline.ingest(Signal::Logs, &request(1, 1000)).unwrap_err();
        assert_eq!((refused.kind(), &refused), (Kind::Overload, &told), "clients are told the same");
        assert_eq!(metric(&pipeline, "weir_log_disk_full"), 1.0);
        assert_eq!(metric(&pipeline, "weir_log_disk_free_bytes"), 100.0);
        files.set_capacity(u64::MAX);
        waiting.join().unwrap().unwrap();
    });
    until("the end of the trouble", || pipeline.trouble().is_none());
    assert_eq!(metric(&pipeline, "weir_log_disk_full"), 0.0);
    insist(&pipeline, 1, 1000);
    check(pipeline, &files, 2);
}

/// The end of an epoch waits for the rows before it, and these for memory that only a file can give back.
#[test]
fn rows_that_find_the_disk_full_get_what_is_kept_for_the_end_of_the_epoch() {
    let files = Simulated::new(1);
    let pipeline = start(&files, |config| config.log.segment_bytes = 128 * MIB);
    insist(&pipeline, 0, 1000);
    // The segment is there already, so that the log takes what comes.
    files.set_capacity(used(&files));
    (1..60).for_each(|number| insist(&pipeline, number, MIB));
    until("an epoch", || metric(&pipeline, "weir_epochs_total") >= 1.0);
    files.set_capacity(u64::MAX);
    until("the end of the trouble", || pipeline.trouble().is_none());
    check(pipeline, &files, 60);
}

#[test]
fn without_the_reserve_nothing_new_is_taken_until_there_is_room_for_it_again() {
    let files = Simulated::new(1);
    files.set_capacity(50_000);
    let pipeline = start(&files, |_| {});
    let refused = pipeline.ingest(Signal::Logs, &request(0, 1000)).unwrap_err();
    assert!(refused.message().contains("needed for the end of the epoch"), "{refused}");
    files.set_capacity(u64::MAX);
    insist(&pipeline, 0, 1000);
    check(pipeline, &files, 1);
}

#[test]
fn an_epoch_ends_before_senders_wait_for_room_in_the_log() {
    let files = Simulated::new(1);
    let pipeline = start(&files, |config| {
        config.log.segment_bytes = 128 << 10;
        (config.log.disk_soft_bytes, config.log.disk_hard_bytes) = (MIB, 2 * MIB);
    });
    // As much as the log may have, a dozen times.
    (0..240).for_each(|number| insist(&pipeline, number, 50_000));
    assert!(metric(&pipeline, "weir_epochs_total") >= 6.0, "each frees the log of what it has");
    check(pipeline, &files, 240);
}

#[test]
fn a_log_that_may_have_two_segments_only_is_freed_of_the_full_one() {
    let files = Simulated::new(1);
    let pipeline = start(&files, |config| {
        config.log.segment_bytes = 512 << 10;
        (config.log.disk_soft_bytes, config.log.disk_hard_bytes) = (MIB, MIB);
    });
    (0..100).for_each(|number| insist(&pipeline, number, 50_000));
    let epochs = metric(&pipeline, "weir_epochs_total");
    // A segment has ten of the requests.
    assert!((4.0..=12.0).contains(&epochs), "{epochs} epochs");
    check(pipeline, &files, 100);
}
