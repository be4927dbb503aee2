//! Plugins in native tests: batches in memory, and what a plugin did to them.
//!
//! ```
//! use weir_sdk::prelude::*;
//! use weir_sdk::testing::{Plugin, TestBatch};
//!
//! struct Slow;
//!
//! impl Processor for Slow {
//!     type Config = NoConfig;
//!     const SIGNALS: Signals = Signals::SPANS;
//!
//!     fn new(_: NoConfig) -> Result<Self> { Ok(Self) }
//!
//!     fn describe(&self, plugin: &mut Description) {
//!         plugin.writes("slow", Type::Bool, "whether it took longer than a second");
//!     }
//!
//!     fn process(&mut self, spans: &mut Batch) -> Result {
//!         let duration = spans.i64("duration_ns")?;
//!         spans.set("slow", duration.iter().map(|ns| ns.map(|ns| ns > 1_000_000_000)))
//!     }
//! }
//!
//! weir_sdk::plugin!(Slow);
//! # fn main() {
//! let spans = TestBatch::spans().column("duration_ns", [5, 2_000_000_000]).attribute("http.route", ["/a", "/b"]);
//! let tested = Plugin::<Slow>::configure("{}").unwrap().process(spans).unwrap();
//! assert_eq!(tested.column("slow"), [false, true]);
//! # }
//! ```

use std::collections::BTreeMap;

use serde_json::Value;

use crate::raw::host::Level;
use crate::{Cell, ColumnBuilder, Error, Identity, Processor, Result, Runtime, Signal, plugin, raw};

pub(crate) mod host;
mod memory;
mod stored;

use memory::{Lent, Memory};
use stored::Stored;

/// A batch to try a plugin on.
#[derive(Clone, Debug)]
pub struct TestBatch {
    signal: Signal,
    rows: Option<usize>,
    columns: BTreeMap<String, Stored>,
}

impl TestBatch {
    /// A batch of spans.
    pub fn spans() -> Self {
        Self::of(Signal::Spans)
    }

    /// A batch of log records.
    pub fn logs() -> Self {
        Self::of(Signal::Logs)
    }

    /// A batch of data points.
    pub fn metrics() -> Self {
        Self::of(Signal::Metrics)
    }

    fn of(signal: Signal) -> Self {
        Self { signal, rows: None, columns: BTreeMap::new() }
    }

    /// How many rows it has; needed only where it has no column.
    ///
    /// # Panics
    ///
    /// A column has another length.
    #[must_use]
    pub fn rows(mut self, rows: usize) -> Self {
        let known = *self.rows.get_or_insert(rows);
        assert!(known == rows, "the batch has {known} rows, not {rows}");
        self
    }

    /// A column, a value a row; `None` is null.
    ///
    /// # Panics
    ///
    /// It has another length than a column before it.
    #[must_use]
    pub fn column<C: Cell>(self, name: &str, values: impl IntoIterator<Item = C>) -> Self {
        self.with(name.to_owned(), Stored::new(ColumnBuilder::from_values(values)))
    }

    /// A column of text as Weir hands out text that repeats: each distinct text once, and a key a row.
    ///
    /// # Panics
    ///
    /// It has another length than a column before it.
    #[must_use]
    pub fn dictionary<C: Cell>(self, name: &str, values: impl IntoIterator<Item = C>) -> Self {
        self.with(name.to_owned(), Stored::new(ColumnBuilder::from_values(values)).dictionary())
    }

    /// An attribute of the rows, by its key: `None` where a row has it not.
    ///
    /// # Panics
    ///
    /// It has another length than a column before it.
    #[must_use]
    pub fn attribute<C: Cell>(self, key: &str, values: impl IntoIterator<Item = C>) -> Self {
        self.column(&format!("attributes.{key}"), values)
    }

    /// An attribute of the rows' resources, by its key.
    ///
    /// # Panics
    ///
    /// It has another length than a column before it.
    #[must_use]
    pub fn resource<C: Cell>(self, key: &str, values: impl IntoIterator<Item = C>) -> Self {
        self.column(&format!("resource.{key}"), values)
    }

    /// A column of lists of unsigned integers, such as `bucket_counts`: a list a row, `None` is null.
    ///
    /// # Panics
    ///
    /// It has another length than a column before it.
    #[must_use]
    pub fn u64_lists(self, name: &str, rows: impl IntoIterator<Item = Option<Vec<u64>>>) -> Self {
        self.with(name.to_owned(), Stored::u64_lists(rows.into_iter().collect()))
    }

    /// A column of lists of numbers, such as `bounds`: a list a row, `None` is null.
    ///
    /// # Panics
    ///
    /// It has another length than a column before it.
    #[must_use]
    pub fn f64_lists(self, name: &str, rows: impl IntoIterator<Item = Option<Vec<f64>>>) -> Self {
        self.with(name.to_owned(), Stored::f64_lists(rows.into_iter().collect()))
    }

    fn with(self, name: String, column: Stored) -> Self {
        let mut batch = self.rows(column.rows());
        batch.columns.insert(name, column);
        batch
    }
}

/// What a call did.
#[derive(Clone, Debug)]
pub struct Tested {
    batch: Memory,
    emitted: Vec<(String, Value)>,
    retracted: Vec<(String, Value)>,
    released: Vec<Memory>,
    counters: BTreeMap<String, u64>,
    logs: Vec<(Level, String)>,
    again: bool,
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    read: Vec<String>,
}

impl Tested {
    /// The rows that stay, by their numbers.
    pub fn kept(&self) -> Vec<usize> {
        (0..self.batch.rows).filter(|&row| self.batch.stays(row)).collect()
    }

    /// The rows that go, by their numbers, each with the reason.
    pub fn dropped(&self) -> Vec<(usize, &str)> {
        let rows = self.batch.dropped.iter().enumerate();
        rows.filter_map(|(row, reason)| Some((row, reason.as_deref()?))).collect()
    }

    /// The rows that are held back, by their numbers.
    pub fn held(&self) -> Vec<usize> {
        (0..self.batch.rows).filter(|&row| self.batch.held[row]).collect()
    }

    /// The values of a column in the held rows that go on after this call, as JSON, in the order in which they were held.
    pub fn released(&self, column: &str) -> Vec<Value> {
        let rows = self.released.iter().flat_map(|batch| (0..batch.rows).map(move |row| (batch, row)));
        let staying = rows.filter(|(batch, row)| batch.stays(*row));
        staying.map(|(batch, row)| batch.columns.get(column).map_or(Value::Null, |values| values.json(row))).collect()
    }

    /// The reasons for which held rows are dropped by this call.
    pub fn released_dropped(&self) -> Vec<&str> {
        self.released.iter().flat_map(|batch| batch.dropped.iter().flatten().map(String::as_str)).collect()
    }

    /// The values of a column in all rows, as JSON (ids in hex); nulls where there is no such column.
    pub fn column(&self, name: &str) -> Vec<Value> {
        match self.batch.columns.get(name) {
            Some(column) => (0..self.batch.rows).map(|row| column.json(row)).collect(),
            None => vec![Value::Null; self.batch.rows],
        }
    }

    /// The values of an attribute in all rows.
    pub fn attribute(&self, key: &str) -> Vec<Value> {
        self.column(&format!("attributes.{key}"))
    }

    /// The names of the columns, attributes by their paths.
    pub fn columns(&self) -> Vec<&str> {
        self.batch.columns.keys().map(String::as_str).collect()
    }

    /// The columns that the plugin has read, by name.
    pub fn read(&self) -> &[String] {
        &self.read
    }

    /// The rows emitted into a table, as JSON objects.
    pub fn emitted(&self, table: &str) -> Vec<&Value> {
        self.emitted.iter().filter(|(name, _)| name == table).map(|(_, row)| row).collect()
    }

    /// The rows retracted from a table, as JSON objects.
    pub fn retracted(&self, table: &str) -> Vec<&Value> {
        self.retracted.iter().filter(|(name, _)| name == table).map(|(_, row)| row).collect()
    }

    /// What was added to a counter.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    /// Whether the plugin asked for another call of `advance`.
    pub fn again(&self) -> bool {
        self.again
    }

    /// The messages, in their order.
    pub fn logs(&self) -> Vec<&str> {
        self.logs.iter().map(|(_, message)| message.as_str()).collect()
    }

    /// The messages of that level, `warn` for one.
    pub fn logs_of(&self, level: &str) -> Vec<&str> {
        let name = |level: Level| match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let logs = self.logs.iter().filter(|(one, _)| name(*one) == level);
        logs.map(|(_, message)| message.as_str()).collect()
    }

    /// The plugin's state after the call, as bytes.
    pub fn state(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.state
    }
}

/// A configured plugin, called as Weir calls it: a failed call changes nothing.
pub struct Plugin<P> {
    runtime: Runtime<P>,
    config: String,
    kept: host::Kept,
}

impl<P> std::fmt::Debug for Plugin<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({})", self.config)
    }
}

impl<P: Processor + Identity> Plugin<P> {
    /// The plugin with a configuration, as JSON.
    ///
    /// # Errors
    ///
    /// The mistakes that the plugin finds in it.
    pub fn configure(json: &str) -> Result<Self> {
        Ok(Self { runtime: Runtime::configure(json)?, config: json.to_owned(), kept: host::Kept::default() })
    }

    /// A new instance takes the place of this one, as after a fault or a restart: it has the state and the held rows, and
    /// nothing else.
    ///
    /// # Errors
    ///
    /// As for [`configure`](Self::configure).
    pub fn restart(&mut self) -> Result {
        self.runtime = Runtime::configure(&self.config)?;
        Ok(())
    }

    /// The same with another configuration: the operator has changed it between two runs.
    ///
    /// # Errors
    ///
    /// As for [`configure`](Self::configure).
    pub fn reconfigure(&mut self, json: &str) -> Result {
        json.clone_into(&mut self.config);
        self.restart()
    }

    /// What the plugin says of itself.
    pub fn description(&self) -> raw::Description {
        self.runtime.describe()
    }

    /// The plugin processes a batch.
    ///
    /// # Errors
    ///
    /// What the plugin answers.
    pub fn process(&mut self, batch: TestBatch) -> Result<Tested> {
        let description = self.description();
        self.call(batch, description.tables, description.writes, |runtime, lent| {
            plugin::process(&mut runtime.processor, lent)
        })
    }

    /// Event time passes a point, in nanoseconds since 1970.
    ///
    /// # Errors
    ///
    /// What the plugin answers.
    pub fn advance(&mut self, watermark: i64) -> Result<Tested> {
        let description = self.description();
        self.call(TestBatch::spans(), description.tables, description.writes, |runtime, _| {
            runtime.advance(watermark).map_err(Error::new)
        })
    }

    fn call(
        &mut self,
        batch: TestBatch,
        tables: Vec<raw::Table>,
        writes: Vec<raw::ColumnDeclaration>,
        call: impl FnOnce(&mut Runtime<P>, &Lent) -> Result,
    ) -> Result<Tested> {
        let memory = Memory::new(batch.signal, batch.rows.unwrap_or(0), batch.columns);
        let lent = Lent::new(memory, writes.clone());
        let ((), effects) = host::call(&mut self.kept, tables, writes, || call(&mut self.runtime, &lent))?;
        let released = effects.released.iter().map(|lent| lent.batch.borrow().clone()).collect();
        let read = lent.read.into_inner().into_iter().collect();
        Ok(Tested {
            batch: lent.batch.into_inner(),
            emitted: effects.emitted,
            retracted: effects.retracted,
            released,
            counters: effects.counters,
            logs: effects.logs,
            again: effects.again,
            state: self.kept.state.clone(),
            read,
        })
    }
}

/// A plugin with this configuration on this batch: [`Plugin::configure`] and [`Plugin::process`] in one.
///
/// # Errors
///
/// What the plugin answers, to either.
pub fn run<P: Processor + Identity>(config: &str, batch: TestBatch) -> Result<Tested> {
    Plugin::<P>::configure(config)?.process(batch)
}
