//! The engine: the compiler, its cache, and the clock that bounds every call.

use crate::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use wasmtime::{Cache, CacheConfig, Config};

/// How often a running guest looks whether its time is up.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// How long the ticker sleeps when it finds no guest running: so much later than its time may the next one be interrupted.
/// Most calls take microseconds and are never seen, and a wake a millisecond is 2 to 3 of 100 parts of the CPU time of full load.
const IDLE_TICK: Duration = Duration::from_millis(10);

/// What an engine keeps on disk.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Keep compiled code, so that the next start need not compile.
    pub cache: bool,
    /// Where; the user's cache directory if not given.
    pub cache_dir: Option<PathBuf>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { cache: true, cache_dir: None }
    }
}

/// Compiles plugins and runs them; a clone is another handle of the same engine.
///
/// An engine has one thread, named `weir-ticker`, that wakes every millisecond while guests run, and every ten while none does, to
/// advance the engine's epoch, by which guests are interrupted. It ends soon after the last handle (plugins and instances are
/// handles too).
#[derive(Clone)]
pub struct Engine {
    pub(crate) wasm: wasmtime::Engine,
    pub(crate) calls: Calls,
}

/// How many guests run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<AtomicUsize>);

impl Calls {
    /// A guest runs until what is returned is dropped.
    pub(crate) fn begin(&self) -> Running {
        self.0.fetch_add(1, Relaxed);
        Running(Arc::clone(&self.0))
    }
}

/// A guest that runs.
pub(crate) struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// An engine and its ticker.
    ///
    /// # Errors
    ///
    /// The cache directory cannot be used, or the machine is one that the compiler does not know.
    pub fn new(options: &EngineOptions) -> Result<Self> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        // The stack of a guest lies on the thread that calls it, which has 2 MiB.
        config.max_wasm_stack(512 << 10);
        if options.cache {
            config.cache(Some(cache(options.cache_dir.clone())?));
        }
        let wasm = wasmtime::Engine::new(&config)
            .map_err(|error| Error::bug(format!("the WebAssembly engine does not start: {error:#}")))?;
        let calls = Calls::default();
        start_ticker(&wasm, calls.clone())?;
        Ok(Self { wasm, calls })
    }
}

fn cache(folder: Option<PathBuf>) -> Result<Cache> {
    let mut config = CacheConfig::new();
    // Whoever waits for the first start waits for this, too; the default takes twice as long to save a tenth.
    config.with_baseline_compression_level(1);
    if let Some(folder) = folder {
        let folder = std::path::absolute(&folder)
            .map_err(|error| Error::storage(format!("cache directory {}: {error}", folder.display())))?;
        config.with_directory(folder);
    }
    Cache::new(config).map_err(|error| {
        Error::storage(format!("the cache of compiled plugins cannot be used: {error:#}; give another directory"))
    })
}

fn start_ticker(engine: &wasmtime::Engine, calls: Calls) -> Result<()> {
    let engine = Arc::new(engine.weak());
    let ticker = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(if calls.0.load(Relaxed) > 0 { TICK } else { IDLE_TICK });
        }
    };
    std::thread::Builder::new()
        .name("weir-ticker".into())
        .stack_size(64 << 10)
        .spawn(ticker)
        .map(|_| ())
        .map_err(|error| Error::overload(format!("the thread that bounds the time of plugins does not start: {error}")))
}
