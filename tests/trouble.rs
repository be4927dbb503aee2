//! Trouble of the disk that passes: it is told for as long as it lasts, what could not be done is done when it is over, and
//! nobody has to send anything for that. And what does not pass: after a panic nothing more is recorded.

mod service;

use prost::Message;
use service::rows::{self, Cell};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir::config::Config;
use weir::files::{Entry, File, Files, Lock, Simulated, Stat};
use weir::run::Pipeline;
use weir::{Kind, Signal};

/// Longer than anything here may take.
const HANGS: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Create,
    /// Of what gets this name.
    Rename,
    Remove,
}

/// What happens before an operation: it fails, waits or panics.
type Before = Arc<dyn Fn(Operation, &Path) -> io::Result<()> + Send + Sync>;

/// A disk with a test in its way.
#[derive(Clone)]
struct Disk {
    files: Simulated,
    before: Arc<Mutex<Option<Before>>>,
}

impl Disk {
    fn new() -> Self {
        Self { files: Simulated::new(1), before: Arc::default() }
    }

    /// From now on this comes before every operation.
    fn set(&self, before: impl Fn(Operation, &Path) -> io::Result<()> + Send + Sync + 'static) {
        *self.before.lock().unwrap() = Some(Arc::new(before));
    }

    /// Everything is as it should be.
    fn mend(&self) {
        *self.before.lock().unwrap() = None;
    }

    fn before(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let before = self.before.lock().unwrap().clone();
        before.map_or(Ok(()), |before| before(operation, path))
    }

    /// What the next process finds.
    fn restart(&self) -> Self {
        Self { files: self.files.restart(), before: Arc::default() }
    }

    fn start(&self, configure: impl FnOnce(&mut Config)) -> Pipeline {
        let mut config = service::by_hand();
        (config.log.segment_bytes, config.log.reserve_bytes) = (128 << 10, 0);
        configure(&mut config);
        Pipeline::builder().config(config).files(Arc::new(self.clone())).start().unwrap()
    }

    /// The epochs that have a record.
    fn records(&self) -> Vec<String> {
        let names = self.files.list(Path::new("/data/_staging")).unwrap().into_iter().map(|entry| entry.name);
        names.filter(|name| name.ends_with(".record")).collect()
    }

    /// Ends the pipeline and finds each of the requests below a number in the tables, once.
    fn check(&self, pipeline: Pipeline, requests: u64) {
        let summary = pipeline.shutdown();
        assert!(summary.failure.is_none() && summary.pending == 0, "{summary:?}");
        let paths = below(&self.files, Path::new("/data/logs")).into_iter();
        let number = |row: rows::Row| match &row["event_name"] {
            Cell::Text(number) => number.parse::<u64>().unwrap(),
            other => panic!("{other:?}"),
        };
        let numbers: Vec<u64> =
            paths.flat_map(|path| rows::of_content(self.files.read(&path).unwrap())).map(number).collect();
        assert_eq!(numbers.len() as u64, requests, "each once");
        assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), (0..requests).collect());
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Files for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.before(Operation::Create, path)?;
        self.files.create(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.read(path)
    }

    fn read_range(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.files.read_range(path, offset, len)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Operation::Rename, to)?;
        self.files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.before(Operation::Remove, path)?;
        self.files.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.files.list(folder)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.files.make_folder(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.files.sync_folder(folder)
    }

    fn set_len(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.files.set_len(path, bytes)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.files.stat(path)
    }

    fn free(&self, folder: &Path) -> io::Result<Option<u64>> {
        self.files.free(folder)
    }

    fn lock(&self, folder: &Path) -> io::Result<Lock> {
        self.files.lock(folder)
    }
}

fn refuse_if(refused: bool) -> io::Result<()> {
    if refused { Err(io::Error::other("input/output error (of the test)")) } else { Ok(()) }
}

/// Every file below a folder.
fn below(files: &Simulated, folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = files.list(folder) else { return Vec::new() };
    let of = |entry: Entry| {
        let path = folder.join(&entry.name);
        if entry.stat.is_folder { below(files, &path) } else { vec![path] }
    };
    entries.into_iter().flat_map(of).collect()
}

/// A request of one log record, numbered, with so many bytes that take next to nothing in a file.
fn request(number: u64, bytes: usize) -> Vec<u8> {
    let mut record = service::log(&"x".repeat(bytes));
    record.event_name = number.to_string();
    service::logs(vec![record]).encode_to_vec()
}

/// Waits for what must come.
fn until(what: &str, mut come: impl FnMut() -> bool) {
    let end = Instant::now() + HANGS;
    while !come() {
        assert!(Instant::now() < end, "it never comes: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn metric(pipeline: &Pipeline, name: &str, label: Option<&str>) -> f64 {
    let families = pipeline.metrics();
    let family = families.iter().find(|family| family.name == name).unwrap();
    let has_it = |labels: &[(&str, String)]| label.is_none_or(|label| labels.iter().any(|(_, value)| value == label));
    family.samples.iter().find(|(labels, _)| has_it(labels)).unwrap().1
}

fn says(pipeline: &Pipeline, part: &str) -> bool {
    pipeline.trouble().is_some_and(|trouble| trouble.message().contains(part))
}

/// What is left to be done is to let go of the log, which is as large as it may be, so that no request causes another epoch.
/// For a while the files cannot be removed whose names end in that.
fn a_log_is_let_go_when_it_can_be(removed: &'static str, is_published: bool) {
    let disk = Disk::new();
    let pipeline = disk.start(|config| {
        (config.log.disk_soft_bytes, config.log.disk_hard_bytes) = (1 << 20, 2 << 20);
    });
    disk.set(move |operation, path| {
        refuse_if(operation == Operation::Remove && path.to_str().is_some_and(|path| path.ends_with(removed)))
    });
    let mut requests = 0;
    until("a log that is full though all of it is in an epoch", || {
        match pipeline.ingest(Signal::Logs, &request(requests, 50_000)) {
            Ok(_) => requests += 1,
            Err(refused) => {
                assert_eq!(refused.kind(), Kind::Overload, "{refused}");
                let all = |stage| metric(&pipeline, "weir_lag_requests", Some(stage)) == 0.0;
                return all("epoch") && all("publish") == is_published && says(&pipeline, "cannot remove");
            }
        }
        false
    });
    disk.mend();
    until("room", || pipeline.ingest(Signal::Logs, &request(requests, 50_000)).is_ok());
    until("the end of the trouble", || pipeline.trouble().is_none());
    disk.check(pipeline, requests + 1);
}

#[test]
fn a_full_log_of_which_a_segment_could_not_be_removed_is_trimmed_when_it_can_be() {
    a_log_is_let_go_when_it_can_be(".wal", true);
}

/// Nothing is moved before: with an old record, an old file of a day could come back after a power cut.
#[test]
fn an_epoch_is_published_and_a_full_log_trimmed_when_the_record_before_can_be_removed() {
    a_log_is_let_go_when_it_can_be(".record", false);
}

#[test]
fn tables_that_are_away_are_trouble_until_they_are_back_whatever_is_committed_meanwhile() {
    let disk = Disk::new();
    let soon = Duration::from_millis(20);
    let pipeline = disk.start(|config| (config.write.epoch, config.write.first_epoch) = (soon, soon));
    disk.set(|operation, path| refuse_if(operation == Operation::Rename && path.starts_with("/data/logs")));
    let is_told = || says(&pipeline, "the tables cannot be written: cannot move a staged file to /data/logs/");
    pipeline.ingest(Signal::Logs, &request(0, 100)).unwrap();
    until("trouble", is_told);
    // An epoch that is committed says nothing about the tables.
    for number in 1..4 {
        let epochs = metric(&pipeline, "weir_epochs_total", None);
        pipeline.ingest(Signal::Logs, &request(number, 100)).unwrap();
        until("an epoch", || {
            assert!(is_told(), "{:?}", pipeline.trouble());
            metric(&pipeline, "weir_epochs_total", None) > epochs
        });
        assert!(is_told(), "{:?}", pipeline.trouble());
    }
    // Nobody sends anything more.
    disk.mend();
    until("the end of the trouble", || pipeline.trouble().is_none());
    disk.check(pipeline, 4);
}

#[test]
fn after_a_panic_at_the_end_of_an_epoch_nothing_is_recorded_and_the_next_start_has_everything() {
    let disk = Disk::new();
    let pipeline = disk.start(|config| config.write.first_epoch = Duration::from_millis(5));
    let first = disk.records();
    let panicked = AtomicBool::new(false);
    disk.set(move |operation, path| {
        let is_record = path.to_str().is_some_and(|path| path.ends_with(".record.new"));
        assert!(operation != Operation::Create || !is_record || panicked.swap(true, Relaxed), "a panic of the test");
        Ok(())
    });
    pipeline.ingest(Signal::Logs, &request(0, 100)).unwrap();
    let failure = pipeline.failure();
    until("the failure", || failure.get().is_some());
    assert!(failure.message().contains("weir-epoch"), "{}", failure.message());
    assert!(failure.lost().is_some(), "nobody knows what it left undone");
    let summary = pipeline.shutdown();
    assert_eq!(summary.failure.map(|error| error.kind()), Some(Kind::Bug));
    assert_eq!(disk.records(), first, "no epoch is recorded");

    let disk = disk.restart();
    let pipeline = disk.start(|_| {});
    assert_eq!(pipeline.recovery().requests, 1);
    disk.check(pipeline, 1);
}

#[test]
fn an_epoch_that_is_staged_while_another_thread_panics_is_not_recorded() {
    let disk = Disk::new();
    let pipeline = disk.start(|config| {
        (config.write.epoch, config.write.first_epoch) = (Duration::from_millis(5), Duration::from_millis(5));
    });
    let (failure, staging) = (pipeline.failure(), AtomicBool::new(false));
    disk.set(move |operation, path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match operation {
            Operation::Create if name.starts_with("weir-2-") => {
                staging.store(true, Relaxed);
                until("the panic", || failure.lost().is_some());
            }
            Operation::Rename if path.starts_with("/data/logs") => {
                until("the second epoch", || staging.load(Relaxed));
                panic!("a panic of the test");
            }
            _ => {}
        }
        Ok(())
    });
    pipeline.ingest(Signal::Logs, &request(0, 100)).unwrap();
    until("the first epoch", || metric(&pipeline, "weir_epoch", None) == 1.0);
    pipeline.ingest(Signal::Logs, &request(1, 100)).unwrap();
    let failure = pipeline.failure();
    until("the failure", || failure.get().is_some());
    drop(pipeline);
    assert!(!disk.records().contains(&"weir-2.record".to_owned()), "{:?}", disk.records());

    let disk = disk.restart();
    let pipeline = disk.start(|_| {});
    disk.check(pipeline, 2);
}
