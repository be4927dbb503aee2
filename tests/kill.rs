//! The real program under load, killed at any instant and started again, over and over: every row that was acknowledged is in
//! the tables once, as it was sent, and the state of a plugin is that of those rows.
//!
//! `WEIR_KILL_CYCLES` is how often it is killed, `WEIR_SEED` replays the plan: what is sent, and when it is killed. The
//! instants themselves are those of the machine.

mod service;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use service::oracle::{Load, Oracle};
use service::program::{Program, signal, weir};
use service::rows;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use weir::Signal;
use weir::files::Random;

/// Clients that send at the same time, each its next request after the answer to the last one. One of them speaks gRPC.
const SENDERS: usize = 4;

/// When and how a process of the program is killed.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// So long after its start, whatever it does then: as a rule it loads plugins or reads the log.
    Starting(Duration),
    /// So long after it began to listen.
    Serving(Duration),
    /// It is asked to end under load, and killed so long after that.
    Ending(Duration, Duration),
}

impl Death {
    /// `start` is how long a start takes.
    fn plan(random: &mut Random, start: Duration) -> Self {
        let mut micros = |most: Duration| Duration::from_micros(random.below(most.as_micros() as u64 + 1));
        let (early, serving, ending) =
            (micros(start * 3 / 2), micros(Duration::from_millis(900)), micros(Duration::from_millis(150)));
        match random.below(10) {
            0..3 => Self::Starting(early),
            3..8 => Self::Serving(serving),
            _ => Self::Ending(serving / 3, ending),
        }
    }
}

/// The test: the folder of the program, and what was sent to it.
struct Bench {
    folder: tempfile::TempDir,
    load: Load,
    oracle: Mutex<Oracle>,
    next: AtomicU64,
    deaths: BTreeMap<&'static str, u64>,
}

impl Bench {
    fn new(seed: u64, durability: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let counter = weir_build::guest("counter").unwrap();
        let configuration = format!(
            "[receive]\ngrpc = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
             [log]\ndurability = \"{durability}\"\nsegment = \"1MiB\"\nreserve = \"1MiB\"\n\
             [batch]\nrows_max = 300\ndelay_max = \"20ms\"\n\
             [write]\nepoch = \"200ms\"\nfirst_epoch = \"50ms\"\nrow_group_rows = 1024\nfile_max = \"1MiB\"\n\
             [[plugin]]\nuse = \"enrich\"\n[[plugin]]\nuse = \"sample\"\n[[plugin]]\npath = \"{}\"\n",
            counter.display()
        );
        std::fs::write(folder.path().join("weir.toml"), configuration).unwrap();
        let load = Load { seed, rows_max: 12, note_bytes_max: 1200 };
        Self { folder, load, oracle: Mutex::default(), next: AtomicU64::new(0), deaths: BTreeMap::new() }
    }

    fn spawn(&self) -> Program {
        Program::spawn(weir(self.folder.path(), &["run", "-c", "weir.toml"]))
    }

    /// Runs the program once, until it is dead.
    fn live(&mut self, death: Death) {
        let mut program = self.spawn();
        let process = program.id();
        let kind = std::thread::scope(|scope| {
            if let Death::Starting(after) = death {
                scope.spawn(move || {
                    std::thread::sleep(after);
                    signal(process, "KILL");
                });
            }
            if !program.listens() {
                return "before it listened";
            }
            for sender in 0..SENDERS {
                let (this, to) = (&*self, if sender == 0 { program.grpc } else { program.http });
                scope.spawn(move || if sender == 0 { this.send_by_grpc(to) } else { this.send_by_http(to) });
            }
            match death {
                Death::Starting(_) => return "as soon as it listened",
                Death::Serving(after) => std::thread::sleep(after),
                Death::Ending(after, later) => {
                    std::thread::sleep(after);
                    signal(process, "TERM");
                    std::thread::sleep(later);
                }
            }
            signal(process, "KILL");
            if matches!(death, Death::Serving(_)) { "under load" } else { "while it ended" }
        });
        let (status, said) = program.ended();
        // A process that ends by itself does so because it was asked to, and well.
        let killed = status.code().is_none();
        assert!(killed || (status.success() && matches!(death, Death::Ending(..))), "{death:?}: {status}\n{said}");
        *self.deaths.entry(if killed { kind } else { "not: it ended in time" }).or_default() += 1;
    }

    /// Sends requests, each once, until one is not answered.
    fn send_by_http(&self, to: SocketAddr) {
        let send = || -> Result<()> {
            let mut stream = BufReader::new(TcpStream::connect(to)?);
            stream.get_ref().set_read_timeout(Some(Duration::from_secs(60)))?;
            loop {
                let (request, signal, body) = self.begin();
                if post(&mut stream, signal, &body)? {
                    self.oracle.lock().unwrap().acknowledged(request);
                } else {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        };
        // An error is what ends it, whatever the error: the program is dead.
        let _ = send();
    }

    fn send_by_grpc(&self, to: SocketAddr) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{to}")).unwrap();
            let Ok(channel) = endpoint.connect().await else { return };
            loop {
                let (request, signal, _) = self.begin();
                let rows = 0..self.load.shape(request).1;
                let (channel, load) = (channel.clone(), self.load);
                let sent = match signal {
                    Signal::Spans => {
                        TraceServiceClient::new(channel).export(load.traces(request, rows)).await.map(drop)
                    }
                    Signal::Logs => LogsServiceClient::new(channel).export(load.logs(request, rows)).await.map(drop),
                    Signal::Metrics => {
                        MetricsServiceClient::new(channel).export(load.metrics(request, rows)).await.map(drop)
                    }
                };
                match sent {
                    Ok(()) => self.oracle.lock().unwrap().acknowledged(request),
                    Err(_) => return,
                }
            }
        });
    }

    /// The next request, which counts as sent.
    fn begin(&self) -> (u64, Signal, Vec<u8>) {
        let request = self.next.fetch_add(1, Relaxed);
        let (signal, body) = (self.load.shape(request).0, self.load.encode(request));
        self.oracle.lock().unwrap().sends(request);
        (request, signal, body)
    }

    /// Runs the program a last time, to its end.
    fn end(&self) {
        let mut program = self.spawn();
        let listens = program.listens();
        let (status, said) = if listens { program.terminate() } else { program.ended() };
        assert!(listens && status.success(), "{status}\n{said}");
        assert!(!self.folder.path().join("data/_dead_letter").exists(), "there are dead letters\n{said}");
    }

    /// The rows of all signals, a file at a time.
    fn stored(&self) -> impl Iterator<Item = (Signal, rows::Row)> {
        let data = self.data();
        Signal::ALL.into_iter().flat_map(move |signal| {
            let files = rows::files(&data, signal.name());
            files.into_iter().flat_map(|file| rows::read_file(&file)).map(move |row| (signal, row))
        })
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }
}

/// Posts a request on a connection that stays; whether it was accepted.
fn post(stream: &mut BufReader<TcpStream>, signal: Signal, body: &[u8]) -> Result<bool> {
    let path = match signal {
        Signal::Spans => "traces",
        Signal::Logs => "logs",
        Signal::Metrics => "metrics",
    };
    let head = format!(
        "POST /v1/{path} HTTP/1.1\r\nhost: weir\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
    let (mut status, mut length) = (String::new(), 0);
    stream.read_line(&mut status)?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().map_err(Error::other)?;
            }
            Some(_) => {}
            None if line == "\r\n" => break,
            None => return Err(Error::other("the head of an answer ends early")),
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    match status.split(' ').nth(1) {
        Some("200") => Ok(true),
        Some("429" | "503") => Ok(false),
        other => panic!("the status {other:?} loses data"),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Kills the program so many times; with what was sent.
fn killed(cycles: u64, durability: &str) -> (Bench, u64) {
    let now = weir::watch::clock::now_ns().cast_unsigned();
    let seed = number("WEIR_SEED").unwrap_or(now);
    println!("WEIR_SEED={seed} replays the plan");
    let mut bench = Bench::new(seed, durability);
    // The first start compiles plugins, which is not what a usual start does.
    bench.live(Death::Serving(Duration::from_millis(300)));
    let begun = Instant::now();
    assert!(bench.spawn().listens());
    let start = begun.elapsed();
    let mut random = Random::new(seed);
    for _ in 0..cycles {
        bench.live(Death::plan(&mut random, start));
    }
    bench.end();
    (bench, seed)
}

fn epochs(folder: &Path) -> usize {
    let names = Signal::ALL.into_iter().flat_map(|signal| rows::files(folder, signal.name()));
    let epoch = |name: String| name.split('-').nth(1).map(str::to_owned);
    let epochs: std::collections::BTreeSet<_> =
        names.filter_map(|file| epoch(file.file_name()?.to_string_lossy().into_owned())).collect();
    epochs.len()
}

#[test]
fn what_was_acknowledged_is_stored_once_however_often_the_program_is_killed() {
    let cycles = number("WEIR_KILL_CYCLES").unwrap_or(50);
    let (bench, seed) = killed(cycles, "fsync");
    let oracle = bench.oracle.lock().unwrap();
    let check = oracle.all_is_there(bench.load, bench.stored()).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    let found = oracle.found(&check);
    println!("killed {:?}; {found:?}, in files of {} epochs", bench.deaths, epochs(&bench.data()));
    assert!(found.requests_acknowledged > cycles * 5, "hardly anything was sent: {found:?}");
    let totals = rows::files(&bench.data(), "running").iter().flat_map(|file| rows::read_file(file)).collect();
    check.counts_are_exact(totals).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
}

#[test]
fn a_log_in_memory_loses_rows_when_the_program_is_killed_and_stores_none_twice() {
    let (bench, seed) = killed(number("WEIR_KILL_CYCLES").unwrap_or(50) / 5, "memory");
    let oracle = bench.oracle.lock().unwrap();
    let check = oracle.no_row_is_wrong_or_twice(bench.load, bench.stored());
    let check = check.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    println!("killed {:?}; {:?} are there of {}", bench.deaths, oracle.found(&check), oracle.acknowledgements());
    let totals = rows::files(&bench.data(), "running").iter().flat_map(|file| rows::read_file(file)).collect();
    check.counts_are_exact(totals).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
}
