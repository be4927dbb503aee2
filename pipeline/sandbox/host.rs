//! What a guest can call: its batch, its state, its tables, the log and its counters.

use super::bindings::{BatchHandle, columns as wit, host};
use super::call_clock::CallClock;
use super::contract::{ColumnType, Contract, Mode, column_of, is_attribute, plain_name};
use super::limits::{Limits, Memory};
use super::transaction::{EmittedRows, Transaction};
use super::{incoming, outgoing};
use crate::Signal;
use crate::batch::View;
use arrow_array::Array as _;
use arrow_buffer::BooleanBuffer;
use std::sync::Arc;
use wasmtime::component::Resource;

/// How much of a message of a guest is kept, in bytes.
const MESSAGE_BYTES: usize = 4096;
/// How many counters one plugin may have, and how long their names may be.
const COUNTERS: usize = 256;
const NAME_BYTES: usize = 128;
/// Texts may grow by this much wherever they stand; growth beyond it is weighed with the number of rows.
const FREE_GROWTH: usize = 64;

/// How serious a plugin says that its message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// For the record.
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody must look.
    Error,
}

/// A message of a plugin on its way to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// How serious it is.
    pub level: Level,
    /// What it says: at most 4 KiB, without control characters.
    pub message: String,
}

/// Where the messages of a plugin go. Returns at once; it decides which to show and counts the others.
pub type Log = Arc<dyn Fn(Noted) + Send + Sync>;

/// Everything that a store of `wasmtime` holds for its guest.
pub(crate) struct Guest {
    pub(crate) memory: Memory,
    pub(crate) limits: Limits,
    pub(crate) log: Log,
    /// The plugin's description, once it is known.
    pub(crate) contract: Option<Arc<Contract>>,
    pub(crate) call: Transaction,
    pub(crate) clock: CallClock,
    pub(crate) time: std::time::Duration,
    pub(crate) timed_out: bool,
    pub(crate) panicked: Option<String>,
}

/// A message as it may enter a log: bounded, on one line.
pub(crate) fn bounded(message: &str) -> String {
    let mut end = message.len().min(MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let mut text: String = message[..end].chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
    if end < message.len() {
        text.push('…');
    }
    text
}

impl Guest {
    fn contract(&self) -> Result<&Contract, String> {
        self.contract.as_deref().ok_or_else(|| "the plugin is not configured yet".into())
    }

    /// Remembers that the guest broke the contract: the call fails, also where the guest makes light of the answer. Without
    /// this a plugin that redacts could let a batch through whose changes were refused.
    fn breach<T>(&mut self, result: Result<T, String>) -> Result<T, String> {
        if let Err(message) = &result {
            self.call.breach.get_or_insert_with(|| message.clone());
        }
        result
    }

    fn declared_read(&mut self, path: &str) -> Result<(), String> {
        if self.contract()?.reads(path) {
            return Ok(());
        }
        let path = bounded(path);
        self.breach(Err(format!("column `{path}` is read, but the description's `reads` does not declare it")))
    }

    fn declared_write(&mut self, path: &str) -> Result<ColumnType, String> {
        if let Some(column) = self.contract()?.writes(path) {
            return Ok(column.column_type);
        }
        let path = bounded(path);
        self.breach(Err(format!("column `{path}` is written, but the description's `writes` does not declare it")))
    }

    /// Bits for the rows of the batch, as a guest gave them.
    fn mask(&mut self, handle: usize, rows: wit::Bits) -> Result<BooleanBuffer, String> {
        let mask = incoming::mask(rows, self.call.batch(handle)?.rows(), "rows");
        self.breach(mask)
    }

    fn stateful(&mut self, what: &str) -> Result<(), String> {
        if self.contract()?.stateful {
            return Ok(());
        }
        self.breach(Err(format!("{what}, but the description does not say `stateful`")))
    }

    fn holds(&mut self, handle: usize, rows: wit::Bits, keys: wit::Column) -> Result<(), String> {
        self.stateful("rows are held")?;
        let rows = self.mask(handle, rows)?;
        self.call.budget.take(incoming::held_bytes(&keys) + rows.count_set_bits() * 64)?;
        let keys = incoming::keys(keys, rows.len()).map_err(|error| format!("keys of held rows: {error}"));
        let keys = self.breach(keys)?;
        let held = self.call.hold(handle, &rows, |row| {
            keys.get(row).cloned().flatten().ok_or_else(|| format!("row {row} is held, and its key is null"))
        });
        self.breach(held)
    }

    fn written(&mut self, handle: usize, path: &str, values: wit::Column) -> Result<(), String> {
        let column_type = self.declared_write(path)?;
        let batch = self.call.batch(handle)?;
        let rows = batch.rows();
        if !is_attribute(path) && !batch.has_column(path) && !plain_name(path) {
            let path = bounded(path);
            let error = format!("`{path}` cannot be the name of a column: a-z, 0-9 and _, a letter first");
            return self.breach(Err(error));
        }
        self.call.budget.take(incoming::held_bytes(&values) + path.len())?;
        let array = incoming::array(values, column_type, rows);
        let array = self.breach(array.map_err(|error| format!("column `{}`: {error}", bounded(path))))?;
        self.call.change(handle, |batch| batch.write(path, &array))
    }

    fn replaced(&mut self, handle: usize, place: &str, replacements: wit::Text) -> Result<(), String> {
        self.declared_write(place)?;
        self.call.budget.take(replacements.bytes.len() + replacements.offsets.len() * 4)?;
        let rows = self.call.batch(handle)?.rows();
        let texts = self.call.change(handle, |batch| batch.texts(place))?;
        let error_at = |error| format!("replacements of `{}`: {error}", bounded(place));
        let replacements = incoming::text(replacements, Some(texts.len()));
        let replacements = self.breach(replacements.map_err(error_at))?;
        // A text may stand in many rows: what a long replacement would take is bounded before it is made.
        let growth = |(old, new): (Option<&str>, Option<&str>)| {
            let grown = new?.len().saturating_sub(old?.len());
            (grown > FREE_GROWTH).then_some(grown)
        };
        let growth: usize = texts.iter().zip(&replacements).filter_map(growth).sum();
        self.call.budget.take(growth.saturating_mul(rows)).map_err(error_at)?;
        self.call.change(handle, |batch| batch.replace_texts(place, &replacements))
    }

    fn emitted(&mut self, table: &str, rows: usize, columns: Vec<wit::Column>, retracted: bool) -> Result<(), String> {
        let contract = self.contract.clone().ok_or("the plugin is not configured yet")?;
        let Some(number) = contract.tables.iter().position(|known| known.name == table) else {
            let table = bounded(table);
            let error = format!("table `{table}` is emitted into, but the description does not declare it");
            return self.breach(Err(error));
        };
        if retracted && contract.tables[number].mode != Mode::Upsert {
            return self.breach(Err(format!("rows are retracted from table `{table}`, which is not of mode upsert")));
        }
        let declared = &contract.tables[number].columns;
        if columns.len() != declared.len() {
            let error = format!("table `{table}` has {} columns, and {} were emitted", declared.len(), columns.len());
            return self.breach(Err(error));
        }
        let (limit, total) = (self.limits.rows_emitted, self.call.emitted_rows.saturating_add(rows));
        if total > limit {
            return Err(format!("{total} rows emitted in one call, {limit} allowed ([plugin.limits] rows_emitted)"));
        }
        self.call.budget.take(columns.iter().map(incoming::held_bytes).sum())?;
        let mut arrays = Vec::with_capacity(columns.len());
        for (column, declared) in columns.into_iter().zip(declared) {
            let at = |error| format!("column `{}` of table `{table}`: {error}", declared.name);
            let array = incoming::array(column, declared.column_type, rows).map_err(at);
            let array = self.breach(array)?;
            arrays.push(incoming::plain_text(array, &mut |bytes| self.call.budget.take(bytes)).map_err(at)?);
        }
        self.call.emitted_rows = total;
        if rows > 0 {
            self.call.effects.emitted.push(EmittedRows { table: number, columns: arrays, rows, retracted });
        }
        Ok(())
    }
}

impl wit::Host for Guest {}

/// The place of a batch among those of the call.
fn handle(batch: &Resource<BatchHandle>) -> usize {
    batch.rep() as usize
}

impl host::HostBatch for Guest {
    fn signal(&mut self, batch: Resource<BatchHandle>) -> host::Signal {
        match self.call.batch(handle(&batch)).map(View::signal) {
            Ok(Signal::Logs) => host::Signal::Logs,
            Ok(Signal::Metrics) => host::Signal::Metrics,
            Ok(Signal::Spans) | Err(_) => host::Signal::Spans,
        }
    }

    fn rows(&mut self, batch: Resource<BatchHandle>) -> u32 {
        self.call.batch(handle(&batch)).map_or(0, |batch| batch.rows() as u32)
    }

    fn read(&mut self, batch: Resource<BatchHandle>, column: String) -> Result<wit::Column, String> {
        self.declared_read(&column)?;
        let array = self.call.batch(handle(&batch))?.read(&column).map_err(|error| error.message().to_owned())?;
        outgoing::column(&*array).map_err(|error| format!("column `{column}`: {error}"))
    }

    fn write(&mut self, batch: Resource<BatchHandle>, column: String, values: wit::Column) -> Result<(), String> {
        self.written(handle(&batch), &column, values)
    }

    fn remove(&mut self, batch: Resource<BatchHandle>, column: String, rows: wit::Bits) -> Result<(), String> {
        self.declared_write(&column)?;
        let rows = self.mask(handle(&batch), rows)?;
        self.call.change(handle(&batch), |batch| batch.remove(&column, &rows))
    }

    fn texts(&mut self, batch: Resource<BatchHandle>, place: String) -> Result<wit::Text, String> {
        self.declared_read(&place)?;
        let texts = self.call.change(handle(&batch), |batch| batch.texts(&place))?;
        Ok(outgoing::text(&texts))
    }

    fn replace_texts(
        &mut self,
        batch: Resource<BatchHandle>,
        place: String,
        replacements: wit::Text,
    ) -> Result<(), String> {
        self.replaced(handle(&batch), &place, replacements)
    }

    fn places(&mut self, batch: Resource<BatchHandle>) -> Vec<String> {
        self.call
            .batch(handle(&batch))
            .map(|batch| batch.places().into_iter().map(str::to_owned).collect())
            .unwrap_or_default()
    }

    fn rename(&mut self, batch: Resource<BatchHandle>, from: String, to: String) -> Result<(), String> {
        self.declared_write(&from)?;
        self.declared_write(&to)?;
        if column_of(&from) != column_of(&to) {
            return Err(format!("`{}` and `{}` are not attributes of one column", bounded(&from), bounded(&to)));
        }
        self.call.budget.take(to.len())?;
        self.call.change(handle(&batch), |batch| batch.rename(&from, &to))
    }

    fn keep(&mut self, batch: Resource<BatchHandle>, rows: wit::Bits, reason: String) -> Result<(), String> {
        let rows = self.mask(handle(&batch), rows)?;
        self.call.budget.take(rows.len() / 8)?;
        self.call.keep(handle(&batch), &rows, shortened(&reason))
    }

    fn hold(&mut self, batch: Resource<BatchHandle>, rows: wit::Bits, keys: wit::Column) -> Result<(), String> {
        self.holds(handle(&batch), rows, keys)
    }

    fn drop(&mut self, _: Resource<BatchHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// A name that becomes a label.
fn shortened(name: &str) -> String {
    bounded(name).chars().take(NAME_BYTES / 4).collect()
}

fn signal_of(signal: host::Signal) -> Signal {
    match signal {
        host::Signal::Spans => Signal::Spans,
        host::Signal::Logs => Signal::Logs,
        host::Signal::Metrics => Signal::Metrics,
    }
}

impl host::Host for Guest {
    fn held(&mut self, signal: host::Signal, keys: Vec<Vec<u8>>) -> Result<Vec<Resource<BatchHandle>>, String> {
        self.stateful("held rows are asked for")?;
        let handles = self.call.held(signal_of(signal), keys)?;
        Ok(handles.into_iter().map(|handle| Resource::new_own(handle as u32)).collect())
    }

    fn emit(&mut self, table: String, rows: u32, columns: Vec<wit::Column>) -> Result<(), String> {
        self.emitted(&table, rows as usize, columns, false)
    }

    fn retract(&mut self, table: String, rows: u32, columns: Vec<wit::Column>) -> Result<(), String> {
        self.emitted(&table, rows as usize, columns, true)
    }

    fn state_get(&mut self, key: Vec<u8>) -> Option<Vec<u8>> {
        self.call.state.get(&key).map(<[u8]>::to_vec)
    }

    fn state_put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), String> {
        self.stateful("state is kept")?;
        self.call.state.put(key, value, self.limits.state_bytes)
    }

    fn state_delete(&mut self, key: Vec<u8>) {
        self.call.state.delete(key);
    }

    fn state_scan(&mut self, prefix: Vec<u8>, after: Option<Vec<u8>>, limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.call.state.scan(&prefix, after.as_deref(), limit as usize, self.limits.memory_bytes)
    }

    fn log(&mut self, level: host::Level, message: String) {
        let level = match level {
            host::Level::Debug => Level::Debug,
            host::Level::Info => Level::Info,
            host::Level::Warn => Level::Warn,
            host::Level::Error => Level::Error,
        };
        (self.log)(Noted { level, message: bounded(&message) });
    }

    fn advance_again(&mut self) {
        self.call.effects.again = true;
    }

    fn count(&mut self, counter: String, add: u64) {
        let counters = &mut self.call.effects.counters;
        let counter = shortened(&counter);
        // More names than anybody reads would be a leak of memory in whatever shows them.
        if counters.len() < COUNTERS || counters.contains_key(&counter) {
            let value = counters.entry(counter).or_default();
            *value = value.saturating_add(add);
        }
    }

    fn panicked(&mut self, message: String) {
        self.panicked = Some(bounded(&message));
    }
}

impl Guest {
    pub(crate) fn new(limits: Limits, log: Log) -> Self {
        Self {
            memory: Memory::new(limits.memory_bytes),
            time: limits.time_per_call,
            limits,
            log,
            contract: None,
            call: Transaction::default(),
            clock: CallClock::start(),
            timed_out: false,
            panicked: None,
        }
    }
}
