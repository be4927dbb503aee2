//! What one call has done so far, and how it is undone.

use super::budget::Budget;
use super::contract::column_of;
use super::state::{Overlay, State};
use crate::batch::{Batch, Column};
use arrow_array::ArrayRef;
use arrow_buffer::BooleanBuffer;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows for a table of the plugin's own.
#[derive(Clone, Debug)]
pub struct EmittedRows {
    /// The number of the table in the plugin's description.
    pub table: usize,
    /// A column for each of the table's.
    pub columns: Vec<ArrayRef>,
    /// How many rows.
    pub rows: usize,
}

/// What a successful call did besides changing the batch and the state.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// The rows that stay; all of them where it is `None`.
    pub keep: Option<BooleanBuffer>,
    /// How many rows were masked out, by the reason that the plugin gave.
    pub dropped: Vec<(String, u64)>,
    /// Rows for the plugin's tables, in the order in which they were emitted.
    pub emitted: Vec<EmittedRows>,
    /// Additions to the plugin's counters.
    pub counters: BTreeMap<String, u64>,
}

/// A call that is running: the batch is changed in place, and the columns it touched are kept as they were.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    batch: Option<Batch>,
    /// The columns as they were before the first change to each; `None` was not there.
    before: Vec<(Arc<str>, Option<Column>)>,
    pub(crate) state: Overlay,
    pub(crate) effects: Effects,
    pub(crate) emitted_rows: usize,
    pub(crate) budget: Budget,
    /// The first way in which the guest broke the contract in this call.
    pub(crate) breach: Option<String>,
}

impl Transaction {
    pub(crate) fn new(batch: Option<Batch>, state: State, memory_bytes: usize) -> Self {
        Self { batch, state: Overlay::new(state), budget: Budget::new(memory_bytes), ..Self::default() }
    }

    pub(crate) fn batch(&self) -> Result<&Batch, String> {
        self.batch.as_ref().ok_or_else(|| "there is no batch in this call".into())
    }

    /// Changes the batch in the column that `path` is in.
    pub(crate) fn change(
        &mut self,
        path: &str,
        change: impl FnOnce(&mut Batch) -> crate::Result<()>,
    ) -> Result<(), String> {
        let Some(batch) = &mut self.batch else { return Err("there is no batch in this call".into()) };
        let column = column_of(path);
        if !self.before.iter().any(|(name, _)| &**name == column) {
            self.before.push((column.into(), batch.column(column).cloned()));
        }
        change(batch).map_err(|error| error.message().to_owned())
    }

    /// Drops the rows whose bit is clear in addition to those that were dropped before.
    pub(crate) fn keep(&mut self, rows: &BooleanBuffer, reason: String) {
        let (kept, before) = match &self.effects.keep {
            Some(keep) => (keep & rows, keep.count_set_bits()),
            None => (rows.clone(), rows.len()),
        };
        let dropped = (before - kept.count_set_bits()) as u64;
        self.effects.keep = Some(kept);
        if dropped > 0 {
            match self.effects.dropped.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, rows)) => *rows += dropped,
                None => self.effects.dropped.push((reason, dropped)),
            }
        }
    }

    /// The call succeeded: the batch (all its rows), the state and the other effects of the call.
    pub(crate) fn commit(self) -> (Option<Batch>, State, Effects) {
        (self.batch, self.state.commit(), self.effects)
    }

    /// The call failed: the batch and the state as they were before it.
    pub(crate) fn undo(self) -> (Option<Batch>, State) {
        let mut batch = self.batch;
        if let Some(batch) = &mut batch {
            for (name, column) in self.before {
                let at = batch.columns.iter().position(|(known, _)| *known == name);
                match (at, column) {
                    (Some(at), Some(column)) => batch.columns[at].1 = column,
                    (Some(at), None) => drop(batch.columns.remove(at)),
                    (None, Some(column)) => batch.columns.push((name, column)),
                    (None, None) => {}
                }
            }
        }
        (batch, self.state.discard())
    }
}
