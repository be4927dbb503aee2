//! The batch and the host as Weir gives them.

use crate::batch::Source;
use crate::raw::columns::{Column, Text};
use crate::raw::host::{self, Batch, Level, Signal};

impl Source for Batch {
    fn signal(&self) -> Signal {
        Batch::signal(self)
    }

    fn rows(&self) -> usize {
        Batch::rows(self) as usize
    }

    fn read(&self, column: &str) -> Result<Column, String> {
        Batch::read(self, column)
    }

    fn write(&self, column: &str, values: &Column) -> Result<(), String> {
        Batch::write(self, column, values)
    }

    fn remove(&self, column: &str, rows: &[u8]) -> Result<(), String> {
        Batch::remove(self, column, rows)
    }

    fn texts(&self, place: &str) -> Result<Text, String> {
        Batch::texts(self, place)
    }

    fn replace_texts(&self, place: &str, replacements: &Text) -> Result<(), String> {
        Batch::replace_texts(self, place, replacements)
    }

    fn places(&self) -> Vec<String> {
        Batch::places(self)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), String> {
        Batch::rename(self, from, to)
    }

    fn keep(&self, rows: &[u8], reason: &str) -> Result<(), String> {
        Batch::keep(self, rows, reason)
    }

    fn hold(&self, rows: &[u8], keys: &Column) -> Result<(), String> {
        Batch::hold(self, rows, keys)
    }
}

pub(crate) fn held(signal: Signal, keys: &[Vec<u8>]) -> Result<Vec<Batch>, String> {
    host::held(signal, keys)
}

pub(crate) fn emit(table: &str, rows: u32, columns: &[Column]) -> Result<(), String> {
    host::emit(table, rows, columns)
}

pub(crate) fn retract(table: &str, rows: u32, columns: &[Column]) -> Result<(), String> {
    host::retract(table, rows, columns)
}

pub(crate) fn state_get(key: &[u8]) -> Option<Vec<u8>> {
    host::state_get(key)
}

pub(crate) fn state_put(key: &[u8], value: &[u8]) -> Result<(), String> {
    host::state_put(key, value)
}

pub(crate) fn state_delete(key: &[u8]) {
    host::state_delete(key);
}

pub(crate) fn state_scan(prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
    host::state_scan(prefix, after, limit)
}

pub(crate) fn log(level: Level, message: &str) {
    host::log(level, message);
}

pub(crate) fn advance_again() {
    host::advance_again();
}

pub(crate) fn count(counter: &str, add: u64) {
    host::count(counter, add);
}

/// Tells Weir of a panic before the plugin traps.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = payload.downcast_ref::<&str>().copied();
        let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let message = message.unwrap_or("a panic without a message");
        match panic.location() {
            Some(place) => host::panicked(&format!("{message} at {place}")),
            None => host::panicked(message),
        }
    }));
}
