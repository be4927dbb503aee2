//! Many threads and tasks, one sync for all that came meanwhile.

use std::path::Path;

use super::*;
use crate::files::{Entry, File, Lock, Real, Stat};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The operating system's file system with slow syncs, as of a disk that honours them.
#[derive(Debug, Default)]
struct Slow {
    syncs: Arc<AtomicU64>,
}

#[derive(Debug)]
struct SlowFile(Box<dyn File>, Arc<AtomicU64>);

impl File for SlowFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
    fn seek(&mut self, to: u64) -> io::Result<()> {
        self.0.seek(to)
    }
    fn sync(&mut self) -> io::Result<()> {
        std::thread::sleep(Duration::from_millis(1));
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.sync()
    }
    fn allocate(&mut self, bytes: u64) -> io::Result<()> {
        self.0.allocate(bytes)
    }
}

impl Files for Slow {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(SlowFile(Real.create(path)?, self.syncs.clone())))
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Real.read(path)
    }
    fn read_range(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        Real.read_range(path, offset, len)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Real.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        Real.remove(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        Real.list(folder)
    }
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        Real.make_folder(folder)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        Real.sync_folder(folder)
    }
    fn set_len(&self, path: &Path, bytes: u64) -> io::Result<()> {
        Real.set_len(path, bytes)
    }
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        Real.stat(path)
    }
    fn lock(&self, folder: &Path) -> io::Result<Lock> {
        Real.lock(folder)
    }
}

#[test]
fn one_sync_serves_all_threads_that_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (threads, each) = (16, 40);
    let options = || Options { segment_bytes: 1 << 20, reserve_bytes: 0, ..Options::new(folder.path()) };
    let slow = Slow::default();
    let syncs = slow.syncs.clone();
    let (log, _) = Log::open(Arc::new(slow), options(), 0).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let log = &log;
            scope.spawn(move || {
                let mut random = Random::new(thread);
                for _ in 0..each {
                    let record = append(log, &mut random, 4000);
                    log.wait_durable(record.lsn).unwrap();
                    assert!(log.durable_lsn() > record.lsn);
                }
            });
        }
    });
    let stats = log.stats();
    assert_eq!(stats.records, threads * each);
    assert_eq!(log.durable_lsn(), threads * each);
    assert!(stats.syncs * 4 < stats.records, "{} syncs for {} records", stats.syncs, stats.records);
    assert_eq!(stats.records_per_sync.iter().sum::<u64>(), stats.syncs);
    // Each commit has one sync, each segment one more.
    assert_eq!(syncs.load(Ordering::Relaxed), stats.syncs + stats.segments);
    assert!(stats.sync_ns_last >= 1_000_000 && stats.sync_ns >= stats.syncs * 1_000_000);
    drop(log);
    let (_, recovered) = Log::open(Arc::new(Real), options(), 0).unwrap();
    assert_eq!(read(recovered).len() as u64, threads * each);
}

#[test]
fn tasks_are_told_when_their_records_are_durable() {
    let files = Simulated::new(1);
    let (log, _) = open(&files, Options { background: true, ..options(1) }, 0).unwrap();
    let log = Arc::new(log);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|task| {
            let log = log.clone();
            runtime.spawn(async move {
                let record = append(&log, &mut Random::new(task), 500);
                log.durable(record.lsn).await.unwrap();
                assert!(log.durable_lsn() > record.lsn);
            })
        })
        .collect();
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    assert_eq!(log.durable_lsn(), 200);
}
