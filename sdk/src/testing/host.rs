//! The stand-in for Weir in native tests: one a thread, so that tests do not meet.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;

use crate::raw::Table;
use crate::raw::columns::Column;
use crate::raw::host::Level;

use super::memory::Stored;

/// What a call has done besides changing its batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    pub(crate) emitted: Vec<(String, serde_json::Value)>,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) logs: Vec<(Level, String)>,
}

#[derive(Default)]
struct Host {
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    tables: Vec<Table>,
    effects: Effects,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// Runs a call: its state is undone where it fails.
pub(crate) fn call<T, E>(tables: Vec<Table>, call: impl FnOnce() -> Result<T, E>) -> Result<(T, Effects), E> {
    let before = HOST.with_borrow_mut(|host| {
        host.effects = Effects::default();
        host.tables = tables;
        host.state.clone()
    });
    let result = call();
    HOST.with_borrow_mut(|host| match result {
        Ok(value) => Ok((value, std::mem::take(&mut host.effects))),
        Err(error) => {
            host.state = before;
            Err(error)
        }
    })
}

pub(crate) fn state() -> BTreeMap<Vec<u8>, Vec<u8>> {
    HOST.with_borrow(|host| host.state.clone())
}

pub(crate) fn set_state(state: BTreeMap<Vec<u8>, Vec<u8>>) {
    HOST.with_borrow_mut(|host| host.state = state);
}

pub(crate) fn emit(table: &str, rows: u32, columns: &[Column]) -> Result<(), String> {
    HOST.with_borrow_mut(|host| {
        let declared = host.tables.iter().find(|declared| declared.name == table);
        let declared =
            declared.ok_or_else(|| format!("table \"{table}\" is not declared: emits::<…>() in describe"))?;
        let columns: Vec<_> = columns.iter().map(Stored::from_raw).collect::<Result<_, _>>()?;
        for row in 0..rows as usize {
            let cells =
                declared.columns.iter().zip(&columns).map(|(column, stored)| (column.name.clone(), stored.json(row)));
            host.effects.emitted.push((table.to_owned(), serde_json::Value::Object(cells.collect())));
        }
        Ok(())
    })
}

pub(crate) fn state_get(key: &[u8]) -> Option<Vec<u8>> {
    HOST.with_borrow(|host| host.state.get(key).cloned())
}

pub(crate) fn state_put(key: &[u8], value: &[u8]) -> Result<(), String> {
    HOST.with_borrow_mut(|host| host.state.insert(key.to_owned(), value.to_owned()));
    Ok(())
}

pub(crate) fn state_delete(key: &[u8]) {
    HOST.with_borrow_mut(|host| host.state.remove(key));
}

pub(crate) fn state_scan(prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
    let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
    HOST.with_borrow(|host| {
        let entries = host.state.range::<[u8], _>((from, Bound::Unbounded));
        let entries = entries.take_while(|(key, _)| key.starts_with(prefix)).take(limit as usize);
        entries.map(|(key, value)| (key.clone(), value.clone())).collect()
    })
}

pub(crate) fn log(level: Level, message: &str) {
    HOST.with_borrow_mut(|host| host.effects.logs.push((level, message.to_owned())));
}

pub(crate) fn count(counter: &str, add: u64) {
    HOST.with_borrow_mut(|host| *host.effects.counters.entry(counter.to_owned()).or_default() += add);
}
