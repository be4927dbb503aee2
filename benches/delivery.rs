//! What an acknowledgement costs: its latency at full and at half load, how many share one sync, and how long a start takes
//! that finds the log full.
//!
//!     cargo bench --bench delivery [-- SECONDS]
//!
//! Requests of 100 spans come from 8 threads of this process. At full load each sends the next one when the last is
//! acknowledged; at half load they come at half of the rate that was reached. The disk is that of `target/`; on one that does
//! not honour a sync the figures mean nothing.

#[allow(dead_code, reason = "spans alone are sent here")]
mod requests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use weir::config::{Config, Destination, Durability};
use weir::run::Pipeline;
use weir::{Kind, Signal};

const SENDERS: u64 = 8;
const SPANS: usize = 100;
const FILL_BYTES: u64 = 512 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let [fill, folder] = arguments.as_slice()
        && fill == "fill"
    {
        return fill_and_die(Path::new(folder));
    }
    let seconds = arguments.first().map_or(5, |seconds| seconds.parse().expect("a number of seconds"));
    let time = Duration::from_secs(seconds);
    println!("{SENDERS} senders, {SPANS} spans a request, {seconds} s each, default chain");
    println!(
        "{:<10} {:<6} {:>12} {:>10} {:>10} {:>12} {:>12}",
        "durability", "load", "spans/s", "p50 ms", "p99 ms", "acks/sync", "ms/sync"
    );
    for durability in [Durability::Memory, Durability::Fsync] {
        let full = acknowledgements(durability, time, None);
        acknowledgements(durability, time, Some(full / 2.0));
    }
    recovery();
}

/// The folder of one run, on the disk of `target/`.
fn folder() -> tempfile::TempDir {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    tempfile::tempdir_in(target).expect("a folder")
}

fn config(folder: &Path, durability: Durability) -> Config {
    let mut config = Config::default();
    config.write.to = Destination::Local(folder.to_owned());
    config.log.durability = durability;
    config
}

/// Sends for so long; gives the requests in a second.
fn acknowledgements(durability: Durability, time: Duration, rate: Option<f64>) -> f64 {
    let folder = folder();
    let pipeline = Pipeline::builder().config(config(folder.path(), durability)).start().expect("a pipeline");
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
        let sender = |number: u64| {
            let (pipeline, stop, sent) = (&pipeline, &stop, &sent);
            scope.spawn(move || {
                let requests: Vec<Vec<u8>> = (0..32).map(|of| requests::spans_of(number * 32 + of, SPANS)).collect();
                let mut took = Vec::new();
                for request in requests.iter().cycle() {
                    if let Some(rate) = rate {
                        let due = Duration::from_secs_f64(sent.fetch_add(1, Relaxed) as f64 / rate);
                        std::thread::sleep(due.saturating_sub(started.elapsed()));
                    }
                    if stop.load(Relaxed) {
                        break;
                    }
                    let begun = Instant::now();
                    match pipeline.ingest(Signal::Spans, request) {
                        Ok(_) => took.push(begun.elapsed()),
                        Err(error) if error.kind() == Kind::Overload => std::thread::sleep(Duration::from_millis(1)),
                        Err(error) => panic!("{error}"),
                    }
                }
                took
            })
        };
        let senders: Vec<_> = (0..SENDERS).map(sender).collect();
        std::thread::sleep(time);
        stop.store(true, Relaxed);
        senders.into_iter().flat_map(|sender| sender.join().expect("no panic")).collect()
    });
    let per_second = latencies.len() as f64 / started.elapsed().as_secs_f64();
    let metric = |name: &str| {
        let families = pipeline.metrics();
        let family = families.iter().find(|family| family.name == name).expect("the metric");
        family.samples.iter().map(|(_, value)| value).sum::<f64>()
    };
    let (syncs, sync_seconds) = (metric("weir_log_syncs_total"), metric("weir_log_sync_seconds_total"));
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let (name, load) = (
        if durability == Durability::Fsync { "fsync" } else { "memory" },
        if rate.is_some() { "half" } else { "full" },
    );
    let per_sync = |value: f64| if syncs > 0.0 { format!("{:.1}", value / syncs) } else { "-".to_owned() };
    println!(
        "{name:<10} {load:<6} {:>12.0} {:>10.2} {:>10.2} {:>12} {:>12}",
        per_second * SPANS as f64,
        at(0.5),
        at(0.99),
        per_sync(latencies.len() as f64),
        per_sync(sync_seconds * 1e3),
    );
    pipeline.shutdown();
    per_second
}

/// How long a start takes that finds acknowledged requests in no epoch.
fn recovery() {
    let folder = folder();
    let child = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["fill", &folder.path().display().to_string()])
        .output()
        .expect("it runs");
    assert!(!child.status.success(), "it dies");
    let started = Instant::now();
    let pipeline = Pipeline::builder().config(without_epochs(folder.path())).start().expect("a pipeline");
    let (recovery, read) = (pipeline.recovery(), started.elapsed());
    pipeline.flush().expect("everything is written");
    let per_gib = |time: Duration| time.as_secs_f64() * (1_u64 << 30) as f64 / recovery.bytes as f64;
    println!(
        "recovery: {} MiB of log, {} rows: listening after {:.1} s ({:.1} s/GiB), all in files after {:.1} s ({:.1} s/GiB)",
        recovery.bytes >> 20,
        recovery.rows,
        read.as_secs_f64(),
        per_gib(read),
        started.elapsed().as_secs_f64(),
        per_gib(started.elapsed()),
    );
    pipeline.shutdown();
}

fn without_epochs(folder: &Path) -> Config {
    let mut config = config(folder, Durability::Fsync);
    config.write.epoch = Duration::from_secs(3_600);
    config.write.first_epoch = config.write.epoch;
    config
}

/// Acknowledges requests that no epoch has, and ends as a crash does.
fn fill_and_die(folder: &Path) {
    let pipeline = Pipeline::builder().config(without_epochs(folder)).start().expect("a pipeline");
    let mut bytes = 0;
    for number in 0.. {
        let request = requests::spans(number);
        while let Err(error) = pipeline.ingest(Signal::Spans, &request) {
            assert_eq!(error.kind(), Kind::Overload, "{error}");
            std::thread::sleep(Duration::from_millis(1));
        }
        bytes += request.len() as u64;
        if bytes >= FILL_BYTES {
            std::process::abort();
        }
    }
}
