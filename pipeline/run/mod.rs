//! Joins the stages. This is the one place that knows them all.
//!
//! A request is decoded into the rows that gather (`coalesce`), a batch of them waits in the `queue`, a worker takes it
//! through the chain into the tables (`workers`), and the epochs publish what was written (`housekeeping`). The
//! write-ahead log will stand between decoding and the acknowledgement, in [`Intake::submit`](crate::receive::Intake).

mod account;
mod check;
mod coalesce;
mod failure;
mod housekeeping;
mod intake;
mod queue;
mod watermark;
mod workers;

pub use account::{Summary, TableWritten};
pub use check::{Checked, check, check_plugin};
pub use failure::Failure;
pub use intake::{Ingest, NoIntake};

use crate::chain::{Chain, Counts};
use crate::config::{Config, Destination};
use crate::receive::{self, Accepted, Budget, Receivers};
use crate::tables::Tables;
use crate::watch::{self, Family};
use crate::write::Writer;
use crate::{Error, Result, Signal, decode};
use coalesce::Coalescer;
use queue::Queue;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use watermark::Watermark;

/// How long a shutdown waits for what is under way before it reports what is left.
const SHUTDOWN_MAX: Duration = Duration::from_secs(60);

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
    watermark: Mutex<Watermark>,
    received: [AtomicU64; 3],
    invalid_ids: AtomicU64,
    refused: AtomicU64,
    stopping: AtomicBool,
    failure: Failure,
    /// Why the last epoch could not be published, if it could not.
    trouble: Mutex<Option<Error>>,
    receivers: Mutex<Option<Arc<receive::Counters>>>,
}

impl Shared {
    /// Ends the epoch, and notes whether its files could be published.
    fn close_epoch(&self) -> Result<()> {
        self.note(self.writer.close_epoch().map(drop))
    }

    fn note(&self, closed: Result<()>) -> Result<()> {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = closed.as_ref().err().cloned();
        closed
    }
}

/// Builds a [`Pipeline`].
#[derive(Default)]
pub struct Builder {
    config: Config,
}

impl Builder {
    /// The settings; without, the defaults.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Loads the plugins, opens the tables and starts the threads: `weir-worker-N` (`batch.workers` of them) and
    /// `weir-clock`. Sockets are another step, [`Pipeline::bind`].
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
        let writer = Writer::start(check::write_options(&config)?, Arc::clone(&tables))?;
        let shared = Arc::new(Shared {
            budget: Budget::new(usize::try_from(config.receive.memory_bytes_max).unwrap_or(usize::MAX)),
            coalescer: Coalescer::new(workers, config.batch.rows_max, config.batch.delay_max),
            queue: Queue::default(),
            chain,
            counts,
            tables,
            writer,
            watermark: Mutex::default(),
            received: Default::default(),
            invalid_ids: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            failure: Failure::default(),
            trouble: Mutex::default(),
            receivers: Mutex::default(),
            config,
        });
        let mut threads = Vec::new();
        for worker in 0..workers {
            threads.push(workers::start(&shared, worker)?);
        }
        let clock = housekeeping::start(&shared)?;
        let exporter = match &shared.config.watch.otlp {
            Some(endpoint) => {
                let from = Arc::clone(&shared);
                let collect = Arc::new(move || account::families(&from));
                Some(watch::Exporter::start(endpoint, shared.config.watch.otlp_interval, collect)?)
            }
            None => None,
        };
        Ok(Pipeline { shared, workers: threads, clock: Some(clock), exporter })
    }
}

/// A running pipeline. Dropping it without [`shutdown`](Pipeline::shutdown) writes what is there, too.
pub struct Pipeline {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    clock: Option<JoinHandle<()>>,
    exporter: Option<watch::Exporter>,
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
        self.shared.close_epoch()
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
        if config.watch.metrics && config.watch.listen.is_none() && config.receive.http.is_none() {
            warnings.push("the metrics are served nowhere: receive.http is off; set watch.listen to an address".into());
        }
        warnings
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

    /// Refuses new rows, writes and publishes all that was accepted, and ends the threads.
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
        self.shared.coalescer.flush(true, &self.shared.queue);
        self.shared.queue.close();
        if let Some(clock) = self.clock.take() {
            clock.thread().unpark();
            let _ = clock.join();
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
        self.shared.note(self.shared.writer.finish().map(drop))
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // The rows that could not be published stay in staging; nobody is left to be told.
        let _ = self.end();
    }
}
