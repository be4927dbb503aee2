//! What the plugins that make KPIs cost: batches of 8,192 rows through the shipped `kpi` and `utilization`, in the
//! sandbox, with their state committed after every call and `advance` as event time moves.
//!
//!     cargo bench --bench kpi [-- spans|histograms|resources [SERVICES]]
//!     cargo bench --bench kpi -- scale [HOURS]
//!
//! For 10, 1,000 and 30,000 services (10,000 in three environments): nanoseconds a row in `process` and in `advance`, the
//! longest call, what the same counting costs without a sandbox and without a state, and what is kept. Times are of the
//! processor, not of the clock on the wall: the machine may have other work. Rows come as fast as
//! the table says; the clock starts when the first hour's evaluations have begun, and runs for so much event time.

#[allow(dead_code, reason = "other benches use the other requests")]
#[path = "../requests/mod.rs"]
mod requests;

mod load;
mod native;
mod scale;

use load::{Kind, Load};
use std::sync::Arc;
use std::time::Duration;
use weir::batch::Batch;
use weir::chain::{Chain, Counts, Link};
use weir::sandbox::{Engine, EngineOptions, Limits, Plugin, shipped};
use weir::{Error, Result};

const SERVICES: [usize; 3] = [10, 1_000, 30_000];
/// How far event time is behind the newest row.
const BEHIND_NS: i64 = 300 * load::SECOND_NS;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let asked = |word: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == word);
    let number = arguments.iter().find_map(|argument| argument.parse().ok());
    if arguments.iter().any(|argument| argument == "scale") {
        return scale::run(number.map_or(3, |hours: usize| hours as i64));
    }
    let engine = Engine::new(&EngineOptions { cache: true, cache_dir: None })?;
    for kind in [Kind::Spans, Kind::Histograms, Kind::Resources] {
        let every = arguments.len() == 1 && number.is_some();
        if !(every || asked(kind.name())) {
            continue;
        }
        println!("\n{}: {}", kind.name(), kind.about());
        println!(
            "{:>9} {:<15} {:>9} {:>9} {:>9} {:>9} {:>8} {:>10} {:>9} {:>9} {:>9}",
            "services",
            "plugin",
            "process",
            "advance",
            "together",
            "longest",
            "native",
            "state",
            "a service",
            "guest",
            "rows out"
        );
        for services in SERVICES.into_iter().filter(|services| number.is_none_or(|number| number == *services)) {
            let load = Load::new(kind, services)?;
            for plugins in [&["kpi"][..], &["utilization"], &["kpi", "utilization"]] {
                measure(&engine, &load, plugins)?;
            }
        }
    }
    Ok(())
}

/// What was measured of a chain.
#[derive(Default)]
struct Seen {
    process: Duration,
    advance: Duration,
    longest: Duration,
    native: Duration,
    rows: usize,
}

fn measure(engine: &Engine, load: &Load, plugins: &[&str]) -> Result<()> {
    let counts = Arc::new(Counts::default());
    let links = plugins.iter().map(|name| link(engine, name, load)).collect::<Result<Vec<_>>>()?;
    let chain = Chain::new(links, 1, counts.clone())?;
    let mut native = native::Counted::default();
    let (mut seen, mut sequence, mut told) = (Seen::default(), 0, i64::MIN);
    let (warm, all) = load.batches();
    let mut emitted_before = 0;
    for number in 0..all {
        if number == warm {
            seen = Seen::default();
            emitted_before = emitted(&counts);
        }
        let batch = load.batch(number)?;
        seen.native += timed(|| native.count(&batch))?;
        seen.rows += batch.rows();
        let took = call(&chain, &mut sequence, Some(batch), None)?;
        seen.process += took;
        seen.longest = seen.longest.max(took);
        let watermark = load.time_of(number) - BEHIND_NS;
        if watermark >= told.saturating_add(load::SECOND_NS) {
            told = watermark;
            let took = call(&chain, &mut sequence, None, Some(watermark))?;
            seen.advance += took;
            seen.longest = seen.longest.max(took);
        }
        // What an epoch does: else all that ever changed is remembered for it.
        if number % 64 == 0 {
            chain.kept(false)?;
        }
    }
    if let Some(name) = plugins.iter().find(|name| counts.snapshot().plugins[**name].faults.values().sum::<u64>() > 0) {
        return Err(Error::plugin(format!("plugin `{name}` failed: what was measured says nothing")));
    }
    let ns = |time: Duration| time.as_nanos() as f64 / seen.rows as f64;
    let state = chain.kept_bytes();
    println!(
        "{:>9} {:<15} {:>6.0} ns {:>6.0} ns {:>6.0} ns {:>6.1} ms {:>6.1} x {:>6.1} MiB {:>7.1} k {:>5.0} MiB {:>9}",
        load.services,
        plugins.join("+"),
        ns(seen.process),
        ns(seen.advance),
        ns(seen.process + seen.advance),
        seen.longest.as_secs_f64() * 1e3,
        seen.process.as_secs_f64() / seen.native.as_secs_f64(),
        state as f64 / f64::from(1 << 20),
        state as f64 / load.services as f64 / 1e3,
        chain.guest_bytes() as f64 / f64::from(1 << 20),
        emitted(&counts) - emitted_before,
    );
    if std::env::var_os("WEIR_BENCH_COUNTERS").is_some() {
        for name in plugins {
            println!("{:>25} {:?}", "", counts.snapshot().plugins[*name].counters);
        }
    }
    Ok(())
}

fn emitted(counts: &Counts) -> u64 {
    counts.snapshot().plugins.values().map(|plugin| plugin.rows_emitted).sum()
}

/// A call of the chain, and how long it took.
fn call(chain: &Chain, sequence: &mut u64, batch: Option<Batch>, watermark_ns: Option<i64>) -> Result<Duration> {
    let began = ran();
    let outcome = chain.process(0, *sequence, batch, watermark_ns);
    let took = ran() - began;
    *sequence += 1;
    outcome.stop.map_or(Ok(took), Err)
}

fn timed(act: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let began = ran();
    act()?;
    Ok(ran() - began)
}

/// For how long this thread has run; other work of the machine does not count.
fn ran() -> Duration {
    // Linux adds up when a thread gives way; else what is told may be some milliseconds old.
    std::thread::yield_now();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    Duration::from_nanos(told.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("nanoseconds"))
}

/// The module of a plugin: the shipped one, or that of the folder which `WEIR_BENCH_MODULES` names.
fn module(name: &str) -> Result<Vec<u8>> {
    if let Some(folder) = std::env::var_os("WEIR_BENCH_MODULES") {
        let path = std::path::Path::new(&folder).join(format!("{name}.wasm"));
        return std::fs::read(&path).map_err(|error| Error::storage(format!("{}: {error}", path.display())));
    }
    let module = shipped(name).ok_or_else(|| Error::config(format!("no plugin `{name}` is shipped")))?;
    Ok(module.to_vec())
}

/// A plugin with its defaults; for many services with the settings that its README names for them.
fn link(engine: &Engine, name: &str, load: &Load) -> Result<Link> {
    let mut limits = Limits { time_per_call: Duration::from_secs(20), ..Limits::default() };
    let mut config = "{}";
    if load.kind == Kind::Histograms {
        // Two blocks of the points of so many series are more than the default.
        limits = Limits { state_bytes: 256 << 20, ..limits };
    }
    if load.services > 10_000 {
        limits = Limits { memory_bytes: 256 << 20, state_bytes: 1 << 30, rows_emitted: 1_000_000, ..limits };
        config = match name {
            "kpi" => r#"{ "slots_bytes_max": 500000000, "refresh_s": 300 }"#,
            _ => r#"{ "instances_max": 30000 }"#,
        };
    }
    let module = module(name)?;
    let plugin = Plugin::load(engine, name, &module, &limits)?;
    Ok(Link { plugin, config_json: config.into(), name: name.into(), signals: None, on_error: None, limits })
}
