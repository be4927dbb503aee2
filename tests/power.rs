//! The power fails, the process dies or the disk fails at any operation of the whole pipeline, on a simulated disk: what was
//! acknowledged is in the tables once, and nothing else is.

mod service;

use service::oracle::{Load, Oracle};
use service::rows::{self, Row};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir::config::{Compression, Config, Destination, Plugin};
use weir::files::{Fault, Files, Random, Simulated};
use weir::receive::Intake;
use weir::run::Pipeline;
use weir::{Error, Result, Signal};

const HOUR: Duration = Duration::from_secs(3600);

/// Longer than anything here may take.
const HANGS: Duration = Duration::from_secs(60);

/// Who waits for so long for an answer gives up.
const UNANSWERED: Duration = Duration::from_secs(1);

/// Small files, small segments, one worker, and no epoch by the clock: the operations come in the same order each time.
fn config(plugins: &[Plugin]) -> Config {
    let mut config = Config { plugins: plugins.to_vec(), ..Config::default() };
    config.write.to = Destination::Local("/data".into());
    (config.write.epoch, config.write.first_epoch) = (HOUR, HOUR);
    config.write.row_group_rows = 4;
    config.write.file_bytes_max = 20 << 10;
    config.write.compression = Compression::None;
    config.batch.workers = 1;
    config.log.segment_bytes = 32 << 10;
    config.log.reserve_bytes = 8 << 10;
    config.watch.metrics = false;
    config
}

fn counter() -> Vec<Plugin> {
    vec![Plugin::file("counter", weir_build::guest("counter").unwrap())]
}

/// The requests of a test and what became of them, over any number of starts on what is left of one disk.
struct World {
    config: Config,
    load: Load,
    oracle: Oracle,
    next: u64,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new(seed: u64, plugins: &[Plugin]) -> Self {
        let load = Load { seed, rows_max: 6, note_bytes_max: 1500 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { config: config(plugins), load, oracle: Oracle::default(), next: 0, runtime }
    }

    fn start(&self, files: &Simulated) -> Result<Pipeline> {
        Pipeline::builder().config(self.config.clone()).files(Arc::new(files.clone())).start()
    }

    /// Sends the next request.
    fn ingest(&mut self, pipeline: &Pipeline) -> Result<()> {
        let request = self.next;
        self.next += 1;
        self.oracle.sends(request);
        let was_lost = pipeline.failure().lost().cloned();
        let intake = pipeline.intake();
        let body = self.load.encode(request).into();
        // A log that finds no space waits for it, which is for ever where the process is dead.
        let signal = self.load.shape(request).0;
        let submitted =
            self.runtime.block_on(async { tokio::time::timeout(UNANSWERED, intake.submit(signal, body)).await });
        submitted.unwrap_or_else(|_| Err(Error::overload("there was no answer")))?;
        assert!(was_lost.is_none(), "acknowledged, though {was_lost:?}");
        self.oracle.acknowledged(request);
        Ok(())
    }

    /// Starts on what is left, which must succeed, and finds in the tables what has to be there.
    fn check(&self, files: &Simulated) {
        let pipeline = self.start(files).unwrap_or_else(|error| panic!("it does not start any more: {error}"));
        pipeline.flush().unwrap();
        let summary = pipeline.shutdown();
        assert!(summary.failure.is_none() && summary.dead_lettered.is_empty(), "{summary:?}");
        let stored = Signal::ALL.into_iter().flat_map(|signal| {
            let rows = table(files, signal.name());
            rows.into_iter().map(move |row| (signal, row))
        });
        let checked = self.oracle.all_is_there(self.load, stored);
        let counted = checked.and_then(|check| {
            if self.config.plugins.is_empty() { Ok(()) } else { check.counts_are_exact(table(files, "running")) }
        });
        counted.unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}

/// The rows of a table.
fn table(files: &Simulated, name: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut folders = vec![PathBuf::from("/data").join(name)];
    while let Some(folder) = folders.pop() {
        let Ok(Some(_)) = files.stat(&folder) else { continue };
        for entry in files.list(&folder).unwrap() {
            let path = folder.join(&entry.name);
            if entry.stat.is_folder {
                folders.push(path);
            } else {
                rows.extend(rows::of_content(files.read(&path).unwrap()));
            }
        }
    }
    rows
}

/// Runs a test, which must end.
fn ends(what: String, test: impl FnOnce() + Send + 'static) {
    let (done, ended) = sync_channel(1);
    let thread = std::thread::spawn(move || {
        test();
        // Nobody waits any more where this comes too late.
        let _ = done.send(());
    });
    if ended.recv_timeout(HANGS) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        panic!("{what}: it hangs");
    }
    if let Err(panic) = thread.join() {
        eprintln!("{what}");
        std::panic::resume_unwind(panic);
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// How many seeds a random test tries: `WEIR_SEEDS`, or this many; or the one of `WEIR_SEED`.
fn for_seeds(usual: u64, test: impl Fn(u64) + Send + Clone + 'static) {
    let seeds = match setting("WEIR_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("WEIR_SEEDS").unwrap_or(usual),
    };
    for_all(seeds, |seed| format!("seed {seed} failed; WEIR_SEED={seed} runs it alone"), test);
}

/// Runs a test for every number, a few at a time; what fails is named.
fn for_all(
    numbers: Range<u64>,
    name: impl Fn(u64) -> String + Copy + Send,
    test: impl Fn(u64) + Send + Clone + 'static,
) {
    const THREADS: u64 = 3;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (numbers, test) = (numbers.clone(), test.clone());
                scope.spawn(move || {
                    for number in numbers.filter(|number| number % THREADS == thread) {
                        let test = test.clone();
                        ends(name(number), move || test(number));
                    }
                })
            })
            .collect();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        ended.into_iter().for_each(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    });
}

/// One process, from its start to its death or end.
fn live(world: &mut World, files: &Simulated, random: &mut Random, steps: u64) {
    let Ok(pipeline) = world.start(files) else { return };
    for _ in 0..steps {
        let done = if random.below(4) > 0 { world.ingest(&pipeline) } else { pipeline.flush() };
        if done.is_err() && random.one_in(2) {
            break;
        }
    }
    if random.one_in(2) {
        files.stop_at(0);
    }
}

fn lives(seed: u64, plugins: &[Plugin], faults: bool) {
    let mut random = Random::new(seed);
    let mut files = Simulated::new(random.any());
    let mut world = World::new(random.any(), plugins);
    for _ in 0..4 {
        if random.below(4) > 0 {
            files.stop_at(random.below(300));
        }
        if faults && random.one_in(2) {
            files.fail_at(random.below(250), FAULTS[random.below(4) as usize]);
        }
        live(&mut world, &files, &mut random, 16);
        // A real disk that fails a sync is read-only until the next boot, so that only the power cut follows a fault.
        files = if !faults && random.one_in(3) { files.restart() } else { files.crash() };
    }
    world.check(&files);
}

const FAULTS: [Fault; 4] = [Fault::Full, Fault::Io, Fault::Short, Fault::TooManyOpen];

#[test]
fn what_was_acknowledged_is_stored_once_through_any_lives_and_deaths() {
    for_seeds(600, |seed| lives(seed, &[], seed % 2 == 0));
}

#[test]
fn the_state_of_a_plugin_is_that_of_the_stored_rows_through_any_lives_and_deaths() {
    let plugins = counter();
    for_seeds(100, move |seed| lives(seed, &plugins, false));
}

/// Two epochs and what comes after, whatever fails; the pipeline, if it starts.
fn script(world: &mut World, files: &Simulated) -> Option<Pipeline> {
    let pipeline = world.start(files).ok()?;
    for step in 0..10 {
        let _ = if step % 4 == 3 { pipeline.flush() } else { world.ingest(&pipeline) };
    }
    Some(pipeline)
}

/// How many operations the script has, the end of the pipeline included.
fn operations(plugins: &[Plugin]) -> u64 {
    let (files, mut world) = (Simulated::new(1), World::new(1, plugins));
    drop(script(&mut world, &files).unwrap());
    let operations = files.operations();
    world.check(&files);
    assert!(operations > 100, "{operations}");
    operations
}

#[test]
fn the_process_may_die_and_the_power_fail_at_every_operation() {
    let plugins = counter();
    let test = move |operation| {
        let (files, mut world) = (Simulated::new(operation), World::new(1, &plugins));
        files.stop_at(operation);
        drop(script(&mut world, &files));
        world.check(&files.restart());
        world.check(&files.crash());
    };
    for_all(0..operations(&counter()), |operation| format!("stopped at operation {operation}"), test);
}

/// The pipeline after the fault: it goes on as if nothing had been, or it is lost, says so and takes nothing more.
fn recovers_or_is_lost(world: &mut World, files: &Simulated, fault: Fault) {
    let Some(pipeline) = script(world, files) else { return };
    let failure = pipeline.failure();
    // Twice, for the fault may be still to come.
    for _ in 0..2 {
        let ingested = world.ingest(&pipeline);
        let ended = pipeline.flush().or_else(|_| pipeline.flush());
        // Who waits for the log may hear of it before the pipeline does.
        let until = Instant::now() + Duration::from_secs(5);
        while ingested.is_err() && failure.lost().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if failure.lost().is_some() {
            break;
        }
        assert!(failure.get().is_none(), "{:?}", failure.get());
        ingested.unwrap_or_else(|error| panic!("{fault:?}, and it takes nothing more: {error}"));
        ended.unwrap_or_else(|error| panic!("{fault:?}, and no epoch ends any more: {error}"));
    }
    if failure.lost().is_some() {
        world.ingest(&pipeline).unwrap_err();
        pipeline.flush().unwrap_err();
    }
}

#[test]
fn a_fault_of_the_disk_at_any_operation_loses_nothing_that_was_acknowledged() {
    let of = |number: u64| (number / 4, FAULTS[number as usize % 4]);
    let name = move |number| format!("{:?} at operation {}", of(number).1, of(number).0);
    for_all(0..operations(&[]) * 4, name, move |number| {
        let (operation, fault) = of(number);
        let (files, mut world) = (Simulated::new(operation), World::new(1, &[]));
        files.fail_at(operation, fault);
        recovers_or_is_lost(&mut world, &files, fault);
        // The process alone is started again, or the machine.
        world.check(&if (operation + number).is_multiple_of(2) { files.restart() } else { files.crash() });
    });
}

#[test]
fn an_epoch_ends_on_a_disk_that_has_no_space_but_the_reserve() {
    for_seeds(20, |seed| {
        let (files, mut world) = (Simulated::new(seed), World::new(seed, &[]));
        world.config.log.reserve_bytes = 512 << 10;
        let pipeline = world.start(&files).unwrap();
        files.set_capacity(bytes(&files, Path::new("/")) + 60_000 + Random::new(seed).below(30_000));
        // The log waits for space, and nothing but the end of an epoch can give it some.
        while world.ingest(&pipeline).is_ok() {}
        pipeline.flush().unwrap();
        assert!(pipeline.summary().pending == 0 && pipeline.failure().get().is_none());
        files.set_capacity(u64::MAX);
        pipeline.flush().unwrap();
        world.ingest(&pipeline).unwrap();
        drop(pipeline);
        world.check(&files.crash());
    });
}

#[test]
fn the_shutdown_does_not_wait_for_space_on_the_disk() {
    let (files, mut world) = (Simulated::new(1), World::new(1, &[]));
    world.config.log.reserve_bytes = 0;
    let pipeline = world.start(&files).unwrap();
    files.set_capacity(bytes(&files, Path::new("/")) + 60_000);
    while world.ingest(&pipeline).is_ok() {}
    let (done, ended) = sync_channel(1);
    let ending = std::thread::spawn(move || {
        // Nobody receives once the test has failed.
        let _ = done.send(pipeline.shutdown());
    });
    let summary = ended.recv_timeout(HANGS).expect("it ends");
    assert!(summary.failure.is_some(), "not all could be written: {summary:?}");
    ending.join().unwrap();
    let files = files.crash();
    files.set_capacity(u64::MAX);
    world.check(&files);
}

#[test]
fn a_request_that_comes_while_the_pipeline_ends_is_refused_or_stored() {
    for_seeds(30, |seed| {
        let (files, world) = (Simulated::new(seed), World::new(seed, &[]));
        let pipeline = world.start(&files).unwrap();
        let (intake, load, next) = (pipeline.intake(), world.load, AtomicU64::new(0));
        let oracle = Mutex::new(world.oracle);
        let send = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            loop {
                let request = next.fetch_add(1, Relaxed);
                oracle.lock().unwrap().sends(request);
                let (signal, body) = (load.shape(request).0, load.encode(request).into());
                if runtime.block_on(intake.submit(signal, body)).is_err() {
                    return;
                }
                oracle.lock().unwrap().acknowledged(request);
            }
        };
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(send)));
            std::thread::sleep(Duration::from_millis(seed % 7));
            assert!(pipeline.shutdown().failure.is_none());
        });
        World { oracle: oracle.into_inner().unwrap(), ..world }.check(&files.restart());
    });
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_nothing_that_was_acknowledged() {
    for_seeds(30, |seed| {
        let (files, mut world) = (Simulated::new(seed), World::new(seed, &[]));
        let pipeline = world.start(&files).unwrap();
        let used: u64 = bytes(&files, Path::new("/"));
        for _ in 0..3 {
            world.ingest(&pipeline).unwrap();
        }
        files.set_capacity(used + Random::new(seed).below(120 << 10));
        std::thread::scope(|scope| {
            // A request that finds no space for a segment waits for it.
            let filling = scope.spawn(|| {
                for step in 0..10 {
                    let _ = if step % 4 == 3 { pipeline.flush() } else { world.ingest(&pipeline) };
                }
            });
            std::thread::sleep(Duration::from_millis(100));
            files.set_capacity(u64::MAX);
            filling.join().unwrap();
        });
        if pipeline.failure().lost().is_none() {
            pipeline.flush().or_else(|_| pipeline.flush()).unwrap();
        }
        drop(pipeline);
        world.check(&files.crash());
    });
}

/// What files have together.
fn bytes(files: &Simulated, folder: &Path) -> u64 {
    let entries = files.list(folder).unwrap().into_iter();
    entries
        .map(|entry| if entry.stat.is_folder { bytes(files, &folder.join(&entry.name)) } else { entry.stat.bytes })
        .sum()
}
