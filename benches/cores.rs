//! What a second core is good for: rows in a second of the whole pipeline in one process, held to one core, two, and so on.
//!
//!     cargo bench --bench cores [-- ROWS]
//!
//! Senders are threads of the process, four for each core, that hand over requests made before; so the cores do nothing but the
//! pipeline's work, from the bytes of requests to published files; the log is in memory, for there is one disk however many cores there
//! are. `taskset` (util-linux) holds a process to its cores; there
//! are as many workers as cores. Each number of cores has its turn in each of several rounds, and the fastest counts.

#[allow(dead_code, reason = "one shape is sent here")]
mod requests;

use requests::shaped::{self, Shape};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use weir::config::{Config, Destination, Durability};
use weir::run::Pipeline;
use weir::{Kind, Signal};

const ROUNDS: usize = 3;
const SENDERS_PER_CORE: usize = 4;
const ROWS_PER_REQUEST: usize = 1_000;
/// Requests that are different; they are sent again and again.
const REQUESTS: u64 = 200;
const SHAPE: Shape = Shape { rows: ROWS_PER_REQUEST, resources: 4, services: 100 };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let [turn, signal, cores, rows] = arguments.as_slice()
        && turn == "turn"
    {
        return one_turn(signal, number(cores), number(rows));
    }
    let rows = arguments.first().map_or(2_000_000, |rows| number(rows));
    let most = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{rows} rows, {ROWS_PER_REQUEST} a request, {SENDERS_PER_CORE} senders a core, default chain, log in memory"
    );
    println!("{:<8} {:>6} {:>12} {:>10}", "signal", "cores", "rows/s", "of one");
    for signal in Signal::ALL {
        let counts: Vec<usize> = (0..).map(|power| 1 << power).take_while(|cores| *cores <= most).collect();
        let mut best = vec![0.0_f64; counts.len()];
        for _ in 0..ROUNDS {
            for (best, cores) in best.iter_mut().zip(&counts) {
                *best = best.max(turn(signal, *cores, rows));
            }
        }
        for (rate, cores) in best.iter().zip(&counts) {
            println!("{:<8} {cores:>6} {rate:>12.0} {:>9.2}x", signal.name(), rate / best[0]);
        }
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("{text}: not a number"))
}

/// Rows in a second, as a process of its own says that is held to so many cores.
fn turn(signal: Signal, cores: usize, rows: usize) -> f64 {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(format!("0-{}", cores - 1)).arg(program);
    command.args(["turn", signal.name(), &cores.to_string(), &rows.to_string()]);
    let output = command.output().expect("taskset, of util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)))
}

fn one_turn(signal: &str, cores: usize, rows: usize) {
    let signal = Signal::ALL.into_iter().find(|known| known.name() == signal).expect("a signal");
    let body = match signal {
        Signal::Spans => shaped::spans,
        Signal::Logs => shaped::logs,
        Signal::Metrics => shaped::metrics,
    };
    let bodies: Vec<Vec<u8>> = (0..REQUESTS).map(|number| body(number, &SHAPE)).collect();
    // The first pipeline compiles the plugins.
    pass(signal, &bodies, cores, bodies.len());
    let requests = rows.div_ceil(ROWS_PER_REQUEST);
    let took = pass(signal, &bodies, cores, requests);
    println!("{}", (requests * ROWS_PER_REQUEST) as f64 / took.as_secs_f64());
}

/// Sends so many requests through a pipeline of its own; the time until all is published.
fn pass(signal: Signal, bodies: &[Vec<u8>], cores: usize, requests: usize) -> Duration {
    // On the disk of `target/`: what is in memory elsewhere would not be.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut config = Config::default();
    config.write.to = Destination::Local(folder.path().to_owned());
    config.batch.workers = cores;
    config.log.durability = Durability::Memory;
    let pipeline = Pipeline::builder().config(config).start().expect("a pipeline");
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores * SENDERS_PER_CORE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= requests {
                        return;
                    }
                    while let Err(error) = pipeline.ingest(signal, &bodies[number % bodies.len()]) {
                        assert_eq!(error.kind(), Kind::Overload, "{error}");
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
    });
    pipeline.shutdown();
    began.elapsed()
}
