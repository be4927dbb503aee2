//! Joins the stages. This is the one place that knows them all.
//!
//! A request is decoded into the rows that gather (`coalesce`) and enters the log; it is acknowledged once it is durable
//! there (`intake`). A batch waits in the `queue`, a worker takes it through the chain into the tables (`workers`). An epoch
//! ends at a position of the log (`ending`): what every record below has become, rows and state, is one commit.

mod account;
mod backfill;
mod check;
mod coalesce;
mod ending;
mod failure;
mod housekeeping;
mod intake;
mod queue;
mod trouble;
mod watermark;
mod workers;

pub use account::{Summary, TableWritten};
pub use backfill::{Backfilled, Stored, backfill};
pub use check::{Checked, check, check_plugin};
pub use failure::Failure;
pub use intake::{Ingest, NoIntake};

use crate::chain::{self, Chain, Counts};
use crate::config::{Config, Destination, Durability, Receive};
use crate::files::{Files, Real};
use crate::log::{self, Log, Lsn};
use crate::receive::{self, Accepted, Budget, Receivers};
use crate::tables::Tables;
use crate::watch::{self, Family};
use crate::write::{self, Writer};
use crate::{Error, Result, Signal, decode};
use coalesce::Coalescer;
use queue::Queue;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use trouble::Troubles;

/// How long a shutdown waits for what is under way before it reports what is left.
const SHUTDOWN_MAX: Duration = Duration::from_secs(60);

/// In the place of a position: the log is not being read any more.
const NOT_REPLAYING: Lsn = Lsn::MAX;

/// What a start found in the log that no epoch had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Requests that were acknowledged.
    pub requests: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long it took to read and decode them.
    pub took: Duration,
}

/// What may wait for each worker, in bytes of rows, before new requests have to wait: more than two batches of spans.
const LEVEL_BYTES_PER_WORKER: usize = 8 << 20;

/// How long a shutdown lets an object store take what is not published yet.
const PUBLISH_MAX: Duration = Duration::from_secs(30);

/// What every thread of a pipeline shares.
struct Shared {
    config: Config,
    budget: Arc<Budget>,
    coalescer: Coalescer,
    queue: Queue,
    chain: Chain,
    counts: Arc<Counts>,
    tables: Arc<Tables>,
    writer: Writer,
    log: Log,
    /// While the log is read at the start: the position up to which its records have entered.
    replaying: AtomicU64,
    /// Held by whoever ends an epoch.
    ending: Mutex<()>,
    /// When the last epoch ended.
    ended: Mutex<Instant>,
    /// Epochs that this run has ended.
    epochs: AtomicU64,
    received: [AtomicU64; 3],
    invalid_ids: AtomicU64,
    refused: AtomicU64,
    /// New requests are refused.
    stopping: AtomicBool,
    failure: Failure,
    troubles: Troubles,
    receivers: Mutex<Option<Arc<receive::Counters>>>,
    /// How long a shutdown waits for an object store.
    publish_max: Duration,
}

/// Told how far reading the log has come: bytes read, bytes in all.
pub type Progress = Box<dyn Fn(u64, u64) + Send + Sync>;

/// Builds a [`Pipeline`].
#[derive(Default)]
pub struct Builder {
    config: Config,
    files: Option<Arc<dyn Files>>,
    store: Option<(write::Destination, Duration)>,
    progress: Option<Progress>,
}

impl Builder {
    /// The settings; without, the defaults.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Called about once a second while a start reads the log.
    #[must_use]
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// The file system, for tests of what happens when it fails; without, the operating system's.
    #[doc(hidden)]
    #[must_use]
    pub fn files(mut self, files: Arc<dyn Files>) -> Self {
        self.files = Some(files);
        self
    }

    /// An object store in the place of `write.to`, and how long a shutdown waits for it, for tests of one that is slow.
    #[doc(hidden)]
    #[must_use]
    pub fn store(mut self, store: write::Destination, publish_max: Duration) -> Self {
        self.store = Some((store, publish_max));
        self
    }

    /// Loads the plugins, opens the tables, finishes what an earlier run has begun and takes what it has acknowledged: the
    /// last epoch is published, the state of the plugins is put back, the log is read from there. Starts the threads:
    /// `weir-worker-N` (`batch.workers` of them), `weir-log` and `weir-clock`. Sockets are another step, [`Pipeline::bind`].
    ///
    /// An object store and `watch.otlp` need a tokio runtime around the call; a local folder needs none.
    pub fn start(self) -> Result<Pipeline> {
        let config = self.config;
        let workers = match config.batch.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            workers => workers,
        };
        let counts = Arc::new(Counts::default());
        let (links, _) = check::links(&config)?;
        let chain = Chain::new(links, workers, Arc::clone(&counts))?;
        let tables = Arc::new(check::tables(&config, &chain)?);
        let files = self.files.unwrap_or_else(|| Arc::new(Real));
        let mut options = check::write_options(&config, Arc::clone(&files))?;
        let mut publish_max = PUBLISH_MAX;
        if let Some((store, most)) = self.store {
            (options.to, publish_max) = (store, most);
        }
        let (writer, mut restored) = Writer::start(options, Arc::clone(&tables))?;
        for state in std::mem::take(&mut restored.state) {
            chain.restore(chain::decode_kept(&state)?)?;
        }
        let failure = Failure::default();
        let (log, recovered) = open_log(&config, files, restored.position, &failure)?;
        let shared = Arc::new(Shared {
            budget: budget(&config.receive, workers),
            coalescer: Coalescer::new(workers, config.batch.rows_max, config.batch.delay_max),
            queue: Queue::new(restored.watermark),
            chain,
            counts,
            tables,
            writer,
            log,
            replaying: AtomicU64::new(restored.position),
            ending: Mutex::default(),
            ended: Mutex::new(Instant::now()),
            epochs: AtomicU64::new(0),
            received: Default::default(),
            invalid_ids: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            failure,
            troubles: Troubles::default(),
            receivers: Mutex::default(),
            publish_max,
            config,
        });
        let mut threads = Vec::new();
        for worker in 0..workers {
            threads.push(workers::start(&shared, worker)?);
        }
        let clock = housekeeping::start(&shared)?;
        // From here on dropping the pipeline ends its threads.
        let mut pipeline =
            Pipeline { shared, workers: threads, clock: Some(clock), exporter: None, recovery: Recovery::default() };
        let shared = &pipeline.shared;
        if let Some(recovered) = recovered {
            let silent: Progress = Box::new(|_, _| {});
            pipeline.recovery = intake::replay(shared, recovered, &*self.progress.unwrap_or(silent))?;
        }
        if let Some(endpoint) = &shared.config.watch.otlp {
            let from = Arc::clone(shared);
            let collect = Arc::new(move || account::families(&from));
            let exporter = watch::Exporter::start(endpoint, shared.config.watch.otlp_interval, collect)?;
            pipeline.exporter = Some(exporter);
        }
        Ok(pipeline)
    }
}

/// The memory for requests and rows. Workers need a batch each to work on, one that waits and what gathers; more that waits only
/// takes memory.
fn budget(receive: &Receive, workers: usize) -> Arc<Budget> {
    let bytes_max = usize::try_from(receive.memory_bytes_max).unwrap_or(usize::MAX);
    Budget::paced(bytes_max, workers.saturating_mul(LEVEL_BYTES_PER_WORKER).min(bytes_max / 2), receive.wait_max)
}

/// The log from a position on, and what is in it; a log in memory has nothing.
fn open_log(
    config: &Config,
    files: Arc<dyn Files>,
    from: Lsn,
    failure: &Failure,
) -> Result<(Log, Option<log::Recovered>)> {
    if config.log.durability == Durability::Memory {
        return Ok((Log::memory(from), None));
    }
    let mut options = log::Options::new(config.log_folder());
    options.segment_bytes = config.log.segment_bytes;
    options.disk_soft_bytes = config.log.disk_soft_bytes;
    options.disk_hard_bytes = config.log.disk_hard_bytes;
    options.reserve_bytes = config.log.reserve_bytes;
    options.quarantine = config.log.quarantine;
    let failure = failure.clone();
    options.on_lost = Arc::new(move |error| failure.set_lost(error.clone()));
    let (log, recovered) = Log::open(files, options, from)?;
    Ok((log, Some(recovered)))
}

/// A running pipeline. Dropping it without [`shutdown`](Pipeline::shutdown) writes what is there, too.
pub struct Pipeline {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    clock: Option<JoinHandle<()>>,
    exporter: Option<watch::Exporter>,
    recovery: Recovery,
}

impl Pipeline {
    /// Where a pipeline begins.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Takes an OTLP `Export…ServiceRequest` in protobuf, in this process.
    pub fn ingest(&self, signal: Signal, body: &[u8]) -> Result<Accepted> {
        intake::take(&self.shared, signal, body)
    }

    /// Takes an OTLP `Export…ServiceRequest` in JSON, in this process.
    pub fn ingest_json(&self, signal: Signal, body: &[u8]) -> Result<Accepted> {
        intake::take(&self.shared, signal, &decode::json::to_protobuf(signal, body)?)
    }

    /// What receivers hand requests to.
    pub fn intake(&self) -> Arc<Ingest> {
        Arc::new(Ingest::new(Arc::clone(&self.shared)))
    }

    /// Binds the addresses of the configuration; `serve` of what it returns runs the receivers.
    pub async fn bind(&self) -> Result<Receivers> {
        let receivers = receive::bind(intake::settings(&self.shared)).await?;
        *self.shared.receivers.lock().unwrap_or_else(PoisonError::into_inner) = Some(receivers.counters());
        Ok(receivers)
    }

    /// Binds the listener of `watch.listen`, where `/metrics`, `/healthz` and `/readyz` are if it is set; it takes no OTLP.
    pub async fn bind_watch(&self) -> Result<Option<Receivers>> {
        match self.shared.config.watch.listen {
            Some(address) if self.shared.config.watch.metrics => {
                receive::bind(intake::watch_settings(&self.shared, address)).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Blocks until every row accepted so far is in a published file.
    pub fn flush(&self) -> Result<()> {
        self.shared.coalescer.flush(true, &self.shared.queue);
        if !self.shared.queue.drained(SHUTDOWN_MAX) {
            return Err(Error::overload("the rows accepted so far are not all processed after 60 s; try again later"));
        }
        self.shared.end_epoch()
    }

    /// What the start found in the log.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Weir's own metrics, as of now.
    pub fn metrics(&self) -> Vec<Family> {
        account::families(&self.shared)
    }

    /// Where every row went so far.
    pub fn summary(&self) -> Summary {
        account::summary(&self.shared)
    }

    /// What an operator should know though nothing is wrong.
    pub fn warnings(&self) -> Vec<String> {
        let config = &self.shared.config;
        let mut warnings = Vec::new();
        if config.log.durability == Durability::Memory {
            warnings.push(
                "log.durability is \"memory\": requests are acknowledged before they are on the disk, and a crash loses them"
                    .into(),
            );
        }
        warnings.extend(self.shared.log.nearly_full());
        if config.watch.metrics && config.watch.listen.is_none() && config.receive.http.is_none() {
            warnings.push("the metrics are served nowhere: receive.http is off; set watch.listen to an address".into());
        }
        warnings
    }

    /// Why requests are told to come back, or rows wait to be written, while the disk or the store is in trouble. Nothing that
    /// was acknowledged is lost, and the pipeline goes on by itself when the trouble is over.
    pub fn trouble(&self) -> Option<Error> {
        self.shared.trouble()
    }

    /// Tells the [`trouble`](Pipeline::trouble), also of a pipeline that is shut down meanwhile.
    pub fn troubles(&self) -> impl Fn() -> Option<Error> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.trouble()
    }

    /// Whether `/metrics`, `/healthz` and `/readyz` are on the HTTP receiver.
    pub fn serves_pages(&self) -> bool {
        self.shared.config.watch.metrics && self.shared.config.watch.listen.is_none()
    }

    /// The plugins of the chain, in their order.
    pub fn plugin_names(&self) -> Vec<String> {
        let names: Vec<_> = self.shared.config.plugins.iter().map(|plugin| plugin.name.clone()).collect();
        if names.is_empty() { vec!["none".into()] } else { names }
    }

    /// Where the tables are: a folder or an `s3://` address.
    pub fn destination(&self) -> String {
        match &self.shared.config.write.to {
            Destination::Local(path) => path.display().to_string(),
            Destination::S3 { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
        }
    }

    /// The failure that stops this pipeline, when there is one.
    pub fn failure(&self) -> Failure {
        self.shared.failure.clone()
    }

    /// Refuses new rows, writes and publishes all that was accepted, and ends the threads. An object store is given 30 s; a disk
    /// that takes nothing is waited for, and [`troubles`](Pipeline::troubles) tells why.
    ///
    /// What could not be published is in the summary: its `failure` says why, and `pending` how many rows stay in staging,
    /// from where the next start publishes them.
    pub fn shutdown(mut self) -> Summary {
        let ended = self.end();
        if let Some(exporter) = self.exporter.take()
            && let Err(error) = exporter.shutdown()
        {
            eprintln!("warning: {error}");
        }
        let mut summary = account::summary(&self.shared);
        summary.failure = summary.failure.or(ended.err());
        summary
    }

    fn end(&mut self) -> Result<()> {
        use std::sync::atomic::Ordering::Relaxed;
        if self.shared.stopping.swap(true, Relaxed) {
            return Ok(());
        }
        // Somebody may be waiting for the store already.
        self.shared.writer.publishes_for(self.shared.publish_max);
        self.shared.coalescer.close(&self.shared.queue);
        if let Some(clock) = self.clock.take() {
            clock.thread().unpark();
            let _ = clock.join();
        }
        self.shared.finish_asking();
        self.shared.queue.close();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
        // First, so that nobody waits for a log that waits for space. What it could not take was not acknowledged.
        let closed = self.shared.log.close();
        let ended = self.shared.end_last_epoch();
        closed.and(ended)?;
        self.shared.log.clear(self.shared.writer.published_position())
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // The rows that could not be published stay in staging; nobody is left to be told.
        let _ = self.end();
    }
}
