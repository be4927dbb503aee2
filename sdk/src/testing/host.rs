//! The stand-in for Weir in native tests: one a thread, so that tests do not meet.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;

use crate::raw::columns::Column;
use crate::raw::host::Level;
use crate::raw::{Mode, Table};

use super::memory::{Lent, Memory};
use super::stored::Stored;
use crate::raw::ColumnDeclaration;
use crate::raw::host::Signal;
use std::rc::Rc;

/// What a call has done besides changing its batch.
#[derive(Clone, Default)]
pub(crate) struct Effects {
    pub(crate) emitted: Vec<(String, serde_json::Value)>,
    pub(crate) retracted: Vec<(String, serde_json::Value)>,
    /// The batches of held rows that the call has taken back.
    pub(crate) released: Vec<Rc<Lent>>,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) logs: Vec<(Level, String)>,
    /// Whether the call has asked for another `advance`.
    pub(crate) again: bool,
}

/// What a plugin keeps with Weir between calls.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    pub(crate) state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Rows that are held, in the order in which they were, each with its key.
    pub(crate) held: Vec<(Vec<u8>, Memory)>,
}

#[derive(Default)]
struct Host {
    kept: Kept,
    /// Rows that the call under way holds.
    holds: Vec<(Vec<u8>, Memory)>,
    tables: Vec<Table>,
    writes: Vec<ColumnDeclaration>,
    effects: Effects,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// Runs a call: what it keeps is undone where it fails.
pub(crate) fn call<T, E>(
    kept: &mut Kept,
    tables: Vec<Table>,
    writes: Vec<ColumnDeclaration>,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<(T, Effects), E> {
    HOST.with_borrow_mut(|host| {
        *host = Host { kept: kept.clone(), tables, writes, ..Host::default() };
    });
    let value = call()?;
    HOST.with_borrow_mut(|host| {
        *kept = std::mem::take(&mut host.kept);
        kept.held.append(&mut host.holds);
        Ok((value, std::mem::take(&mut host.effects)))
    })
}

pub(crate) fn hold(key: Vec<u8>, row: Memory) {
    HOST.with_borrow_mut(|host| host.holds.push((key, row)));
}

pub(crate) fn held(signal: Signal, keys: &[Vec<u8>]) -> Result<Vec<Rc<Lent>>, String> {
    HOST.with_borrow_mut(|host| {
        let wanted = |(key, row): &(Vec<u8>, Memory)| row.signal == signal && keys.contains(key);
        let (taken, left): (Vec<_>, Vec<_>) = std::mem::take(&mut host.kept.held).into_iter().partition(wanted);
        host.kept.held = left;
        let batches = taken.into_iter().map(|(_, row)| Rc::new(Lent::new(row, host.writes.clone())));
        let batches: Vec<_> = batches.collect();
        host.effects.released.extend(batches.iter().cloned());
        Ok(batches)
    })
}

pub(crate) fn emit(table: &str, rows: u32, columns: &[Column]) -> Result<(), String> {
    HOST.with_borrow_mut(|host| {
        let rows = host.rows_of(table, rows, columns)?;
        host.effects.emitted.extend(rows);
        Ok(())
    })
}

pub(crate) fn retract(table: &str, rows: u32, columns: &[Column]) -> Result<(), String> {
    HOST.with_borrow_mut(|host| {
        let rows = host.rows_of(table, rows, columns)?;
        let upsert = host.tables.iter().any(|declared| declared.name == table && declared.mode == Mode::Upsert);
        if !upsert {
            return Err(format!("rows are retracted from table \"{table}\", which is not of mode upsert"));
        }
        host.effects.retracted.extend(rows);
        Ok(())
    })
}

impl Host {
    fn rows_of(&self, table: &str, rows: u32, columns: &[Column]) -> Result<Vec<(String, serde_json::Value)>, String> {
        let host = self;
        let declared = host.tables.iter().find(|declared| declared.name == table);
        let declared =
            declared.ok_or_else(|| format!("table \"{table}\" is not declared: emits::<…>() in describe"))?;
        let stored = declared.columns.iter().zip(columns).map(|(column, values)| {
            let at = |error| format!("column \"{}\" of table \"{table}\": {error}", column.name);
            Stored::from_raw(values).map_err(at)
        });
        let columns: Vec<_> = stored.collect::<Result<_, _>>()?;
        let row = |row| {
            let cells = declared.columns.iter().zip(&columns);
            let cells = cells.map(|(column, stored)| (column.name.clone(), stored.json(row)));
            (table.to_owned(), serde_json::Value::Object(cells.collect()))
        };
        Ok((0..rows as usize).map(row).collect())
    }
}

pub(crate) fn state_get(key: &[u8]) -> Option<Vec<u8>> {
    HOST.with_borrow(|host| host.kept.state.get(key).cloned())
}

pub(crate) fn state_put(key: &[u8], value: &[u8]) -> Result<(), String> {
    HOST.with_borrow_mut(|host| host.kept.state.insert(key.to_owned(), value.to_owned()));
    Ok(())
}

pub(crate) fn state_delete(key: &[u8]) {
    HOST.with_borrow_mut(|host| host.kept.state.remove(key));
}

pub(crate) fn state_scan(prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
    let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
    HOST.with_borrow(|host| {
        let entries = host.kept.state.range::<[u8], _>((from, Bound::Unbounded));
        let entries = entries.take_while(|(key, _)| key.starts_with(prefix)).take(limit as usize);
        entries.map(|(key, value)| (key.clone(), value.clone())).collect()
    })
}

pub(crate) fn log(level: Level, message: &str) {
    HOST.with_borrow_mut(|host| host.effects.logs.push((level, message.to_owned())));
}

pub(crate) fn advance_again() {
    HOST.with_borrow_mut(|host| host.effects.again = true);
}

pub(crate) fn count(counter: &str, add: u64) {
    HOST.with_borrow_mut(|host| *host.effects.counters.entry(counter.to_owned()).or_default() += add);
}
