//! The chain: plugins in their order, each call a transaction, each fault answered by a policy.
//!
//! Stateless plugins have one instance a worker. A stateful plugin has one instance, which takes the batches in the order
//! of their numbers, so that the same input gives the same output however many workers there are.

mod counts;
mod health;
mod stage;
mod state;
mod turnstile;

pub use counts::{Counts, LogSink, Numbers, PluginNumbers};
pub use state::{Kept, decode as decode_kept, encode as encode_kept, fold as fold_kept};

use crate::batch::{Batch, View};
use crate::sandbox::{ColumnType, Limits, OnError, Plugin, TableDef};
use crate::{Error, Result, Signal};
use arrow_array::ArrayRef;
use stage::{Call, Passed, Stage};
use std::sync::Arc;
use std::time::Instant;
use turnstile::Turns;

/// A monotonic clock.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// A plugin and how it is used.
#[derive(Debug)]
pub struct Link {
    /// The loaded plugin.
    pub plugin: Plugin,
    /// Its configuration, a JSON object.
    pub config_json: String,
    /// Its name in counts, messages and emitted rows; different from every other's in the chain.
    pub name: String,
    /// The signals it is used for; all that it takes, if not given.
    pub signals: Option<Vec<Signal>>,
    /// What becomes of a batch when it fails; what the plugin says of itself, if not given.
    pub on_error: Option<OnError>,
    /// Its limits.
    pub limits: Limits,
}

/// Rows that a plugin emitted into a table of its own, or takes out of one.
#[derive(Clone, Debug)]
pub struct Emitted {
    /// The table's name.
    pub table: Arc<str>,
    /// A column for each of the table's, in their order, of the types that [`ColumnType::data_type`] gives.
    pub columns: Vec<ArrayRef>,
    /// How many rows.
    pub rows: usize,
    /// Whether the rows of these keys are taken out of the table.
    pub retracted: bool,
    /// The plugin that emitted them, by its name in the chain.
    pub plugin: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// The first 16 hexadecimal digits of the SHA-256 of its configuration.
    pub config_hash: Arc<str>,
}

/// A batch that a plugin failed on.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The batch as it was before that plugin.
    pub batch: Batch,
    /// The plugin, by its name in the chain.
    pub plugin: Arc<str>,
    /// What went wrong.
    pub reason: String,
}

/// What became of a batch. Its rows are in `batches`, in `dead`, held by a plugin, or counted as dropped.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What comes out behind the last plugin: what is left of the batch, and rows that plugins had held before.
    pub batches: Vec<View>,
    /// The batch where a plugin failed whose policy is to set it aside.
    pub dead: Vec<DeadLetter>,
    /// Rows for tables of the plugins' own, in the order of the plugins.
    pub emitted: Vec<Emitted>,
    /// A plugin failed whose policy is to stop the pipeline; its batch is among the dead letters.
    pub stop: Option<Error>,
}

/// Plugins in their order.
pub struct Chain {
    stages: Vec<Stage>,
    counts: Arc<Counts>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.stages.iter().map(|stage| &stage.name)).finish()
    }
}

impl Chain {
    /// Starts and configures every plugin, for so many workers.
    ///
    /// # Errors
    ///
    /// A plugin finds mistakes in its configuration or fails to start; two have one name, or tables or columns that
    /// contradict each other.
    pub fn new(links: Vec<Link>, workers: usize, counts: Arc<Counts>) -> Result<Self> {
        Self::with_clock(links, workers, counts, Arc::new(Instant::now))
    }

    /// The same with a clock of the caller's, by which plugins are put aside and messages are limited.
    ///
    /// # Errors
    ///
    /// As [`Chain::new`].
    pub fn with_clock(links: Vec<Link>, workers: usize, counts: Arc<Counts>, clock: Clock) -> Result<Self> {
        let mut stages: Vec<Stage> = Vec::with_capacity(links.len());
        for link in links {
            if stages.iter().any(|stage| *stage.name == *link.name) {
                return Err(Error::config(format!("two plugins are named `{}`: give one another name", link.name)));
            }
            stages.push(Stage::new(link, workers, &counts, &clock)?);
        }
        let chain = Self { stages, counts };
        chain.check_tables()?;
        for signal in Signal::ALL {
            chain.check_columns(signal)?;
        }
        Ok(chain)
    }

    /// Each plugin in its order: name, version, the SHA-256 of its module, and the hash of its configuration that derived
    /// rows carry.
    pub fn plugins(&self) -> impl Iterator<Item = [&str; 4]> {
        self.stages.iter().map(Stage::identity)
    }

    /// Takes a batch through the chain, and then tells the stateful plugins how far event time has come, if `watermark_ns`
    /// says it. Blocks until it is through; called by worker number `worker`.
    ///
    /// The batches are numbered 0, 1, 2… in the order in which they were accepted, and each number must be used exactly
    /// once: a stateful plugin waits for a number until it comes. A number may have no batch.
    pub fn process(&self, worker: usize, sequence: u64, batch: Option<Batch>, watermark_ns: Option<i64>) -> Outcome {
        let stateful = self.stages.iter().filter(|stage| stage.contract.stateful);
        let mut turns = Turns::new(sequence, stateful.map(|stage| &stage.turnstile));
        let mut outcome = Outcome::default();
        let mut batches = Vec::from_iter(batch.map(View::from));
        self.counts.rows_in(batches.iter().map(View::rows).sum());
        for stage in &self.stages {
            let mut pass = |batches| self.pass(stage, worker, batches, watermark_ns, &mut outcome);
            batches = if stage.contract.stateful { turns.next(|| pass(batches)) } else { pass(batches) };
        }
        self.counts.rows_out(batches.iter().map(View::rows).sum());
        outcome.batches = batches;
        outcome
    }

    /// One plugin: what comes out behind it.
    fn pass(
        &self,
        stage: &Stage,
        worker: usize,
        batches: Vec<View>,
        watermark_ns: Option<i64>,
        outcome: &mut Outcome,
    ) -> Vec<View> {
        let mut out = Vec::with_capacity(batches.len());
        for batch in batches {
            if !stage.takes(batch.signal()) {
                out.push(batch);
                continue;
            }
            match stage.call(worker, Call::Process(batch)) {
                Passed::Through(batch, effects) => self.through(stage, batch, effects, &mut out, outcome),
                Passed::Failed(batch, label, reason) => {
                    out.extend(batch.and_then(|batch| self.fail(stage, batch, label, reason, outcome)));
                }
            }
        }
        if stage.contract.stateful {
            // A fault here changes nothing, and is counted as every other.
            if let Some(watermark_ns) = watermark_ns
                && let Passed::Through(_, effects) = stage.call(worker, Call::Advance(watermark_ns))
            {
                self.through(stage, None, effects, &mut out, outcome);
            }
            for evicted in stage.evict(watermark_ns) {
                if stage.overflow_passes() {
                    self.counts.overflowed(&stage.name, evicted.limit, evicted.rows.rows() as u64);
                    out.push(evicted.rows.into());
                } else {
                    self.counts.dropped(&stage.name, evicted.limit, evicted.rows.rows() as u64);
                }
            }
        }
        out
    }

    /// What a call that succeeded leaves.
    fn through(
        &self,
        stage: &Stage,
        batch: Option<View>,
        mut effects: crate::sandbox::Effects,
        out: &mut Vec<View>,
        outcome: &mut Outcome,
    ) {
        for (reason, rows) in effects.dropped.drain(..) {
            self.counts.dropped(&stage.name, &reason, rows);
        }
        let keep = effects.keep.take();
        // What was held before came before what is in this batch.
        out.append(&mut effects.released);
        outcome.emitted.extend(stage.emitted(effects));
        let Some(mut batch) = batch else { return };
        if let Some(keep) = &keep {
            batch.keep(keep);
        }
        if keep.is_none() || batch.rows() > 0 {
            out.push(batch);
        }
    }

    /// Applies the policy of a plugin that failed. `label` is for the counts, `reason` for people.
    fn fail(
        &self,
        stage: &Stage,
        batch: View,
        label: &'static str,
        reason: String,
        outcome: &mut Outcome,
    ) -> Option<View> {
        let rows = batch.rows() as u64;
        match stage.on_error {
            OnError::Pass => return Some(batch),
            OnError::Drop => self.counts.dropped(&stage.name, "error", rows),
            OnError::DeadLetter | OnError::Stop => {
                self.counts.dead_lettered(&stage.name, label, rows);
                if stage.on_error == OnError::Stop {
                    outcome.stop = Some(Error::plugin(format!("{reason}; its `on_error` is \"stop\"")));
                }
                outcome.dead.push(DeadLetter { batch: batch.settle(), plugin: stage.name.clone(), reason });
            }
        }
        None
    }

    /// The plugins that ask to be told again how far event time has come, though it stands still.
    pub fn asking(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().filter(|stage| stage.asks()).map(|stage| &*stage.name)
    }

    /// The tables that the plugins emit, each once.
    pub fn tables(&self) -> Vec<TableDef> {
        let mut tables: Vec<TableDef> = Vec::new();
        for table in self.stages.iter().flat_map(|stage| &stage.contract.tables) {
            if !tables.iter().any(|known| known.name == table.name) {
                tables.push(table.clone());
            }
        }
        tables
    }

    /// The columns that plugins add to the table of a signal: name, type and description.
    pub fn added_columns(&self, signal: Signal) -> Vec<(String, ColumnType, String)> {
        let mut added: Vec<(String, ColumnType, String)> = Vec::new();
        for column in self.writers(signal).flat_map(|stage| &stage.contract.writes) {
            // A column that some signal has is written where it is, and not added where it is not: a plugin of spans and logs
            // that writes `trace_state` does not give one to logs.
            let has = |signal| crate::batch::schema::columns(signal).iter().any(|known| known.name == column.name);
            let known = Signal::ALL.into_iter().any(has) || added.iter().any(|(name, ..)| *name == column.name);
            if !known && !column.name.contains(['.', '*']) {
                added.push((column.name.clone(), column.column_type, column.description.clone()));
            }
        }
        added
    }

    fn writers(&self, signal: Signal) -> impl Iterator<Item = &Stage> {
        self.stages.iter().filter(move |stage| stage.takes(signal))
    }

    fn check_columns(&self, signal: Signal) -> Result<()> {
        let added = self.added_columns(signal);
        for stage in self.writers(signal) {
            for column in &stage.contract.writes {
                let other = added.iter().find(|(name, ..)| *name == column.name);
                if let Some((name, column_type, _)) = other.filter(|(_, other, _)| *other != column.column_type) {
                    return Err(Error::config(format!(
                        "plugin `{}` adds column `{name}` to {signal} as {}, and another plugin as {column_type}",
                        stage.name, column.column_type
                    )));
                }
            }
        }
        Ok(())
    }

    fn check_tables(&self) -> Result<()> {
        let tables = self.tables();
        for stage in &self.stages {
            for table in &stage.contract.tables {
                if tables.iter().any(|known| known.name == table.name && known != table) {
                    return Err(Error::config(format!(
                        "plugin `{}` emits table `{}`, which another plugin emits with other columns",
                        stage.name, table.name
                    )));
                }
            }
        }
        Ok(())
    }
}
