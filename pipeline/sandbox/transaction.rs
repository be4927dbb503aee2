//! What one call has done so far, and how it is undone.

use super::budget::Budget;
use super::held::{Held, Key};
use super::state::{Overlay, State};
use crate::Signal;
use crate::batch::{Batch, View};
use arrow_array::ArrayRef;
use arrow_buffer::BooleanBuffer;
use std::collections::{BTreeMap, BTreeSet};

/// Rows for a table of the plugin's own, or rows that it takes out of one.
#[derive(Clone, Debug)]
pub struct EmittedRows {
    /// The number of the table in the plugin's description.
    pub table: usize,
    /// A column for each of the table's.
    pub columns: Vec<ArrayRef>,
    /// How many rows.
    pub rows: usize,
    /// Whether the rows of these keys are taken out of the table.
    pub retracted: bool,
}

/// What a successful call did besides changing the batch and the state.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// The rows that stay; all of them where it is `None`.
    pub keep: Option<BooleanBuffer>,
    /// How many rows were masked out, by the reason that the plugin gave.
    pub dropped: Vec<(String, u64)>,
    /// How many rows of the batch the plugin holds back.
    pub held: usize,
    /// How many rows it took back of those that it held, before it dropped some of them.
    pub taken_back: usize,
    /// Rows that were held before and go on.
    pub released: Vec<View>,
    /// Rows for the plugin's tables, in the order in which they were emitted.
    pub emitted: Vec<EmittedRows>,
    /// Additions to the plugin's counters.
    pub counters: BTreeMap<String, u64>,
    /// Whether it asks for another call of `advance` with the watermark as it is.
    pub again: bool,
}

/// A batch that a call works on, with what it was before the first change.
#[derive(Debug)]
struct Working {
    batch: View,
    before: Option<View>,
    /// The rows that are neither dropped nor held; all of them where it is `None`.
    keep: Option<BooleanBuffer>,
    /// Rows that are held, with their keys.
    held: Vec<(u32, Key)>,
}

impl Working {
    fn new(batch: View) -> Self {
        Self { batch, before: None, keep: None, held: Vec::new() }
    }

    fn undone(self) -> View {
        self.before.unwrap_or(self.batch)
    }

    /// The rows that are held, as a batch of their own, with the columns as they are now.
    fn hold(&self, held: &mut Held) -> usize {
        let rows: Vec<u32> = self.held.iter().map(|(row, _)| *row).collect();
        if !rows.is_empty() {
            held.hold(self.batch.take(&rows), self.held.iter().map(|(_, key)| key.clone()).collect());
        }
        rows.len()
    }
}

/// The batch that a call was given; those it took back of what it held come behind it.
const GIVEN: usize = 0;

/// A call that is running.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    /// The batch that was given, if one was, and then those of held rows; a guest's handle is the place here.
    batches: Vec<Working>,
    given: bool,
    /// The keys whose rows were taken back, by signal.
    taken: BTreeMap<Signal, BTreeSet<Key>>,
    taken_back: usize,
    pub(crate) state: Overlay,
    pub(crate) effects: Effects,
    pub(crate) emitted_rows: usize,
    pub(crate) budget: Budget,
    /// The first way in which the guest broke the contract in this call.
    pub(crate) breach: Option<String>,
}

impl Transaction {
    pub(crate) fn new(batch: Option<View>, state: State, memory_bytes: usize) -> Self {
        let given = batch.is_some();
        let none = || View::from(Batch { signal: Signal::Spans, rows: 0, columns: Vec::new() });
        let batch = batch.unwrap_or_else(none);
        Self {
            batches: vec![Working::new(batch)],
            given,
            state: Overlay::new(state),
            budget: Budget::new(memory_bytes),
            ..Self::default()
        }
    }

    fn working(&mut self, handle: usize) -> Result<&mut Working, String> {
        self.batches.get_mut(handle).ok_or_else(|| "there is no such batch in this call".into())
    }

    pub(crate) fn batch(&self, handle: usize) -> Result<&View, String> {
        let working = self.batches.get(handle).filter(|_| handle != GIVEN || self.given);
        working.map(|working| &working.batch).ok_or_else(|| "there is no such batch in this call".into())
    }

    /// Changes the batch.
    pub(crate) fn change<T>(
        &mut self,
        handle: usize,
        change: impl FnOnce(&mut View) -> crate::Result<T>,
    ) -> Result<T, String> {
        let Working { batch, before, .. } = self.working(handle)?;
        if before.is_none() {
            *before = Some(batch.clone());
        }
        change(batch).map_err(|error| error.message().to_owned())
    }

    /// Drops the rows whose bit is clear in addition to those that were dropped before.
    pub(crate) fn keep(&mut self, handle: usize, rows: &BooleanBuffer, reason: String) -> Result<(), String> {
        let working = self.working(handle)?;
        let (kept, before) = match &working.keep {
            Some(keep) => (keep & rows, keep.count_set_bits()),
            None => (rows.clone(), rows.len()),
        };
        let dropped = (before - kept.count_set_bits()) as u64;
        working.keep = Some(kept);
        if dropped > 0 {
            match self.effects.dropped.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, rows)) => *rows += dropped,
                None => self.effects.dropped.push((reason, dropped)),
            }
        }
        Ok(())
    }

    /// Holds the rows whose bit is set and that are still in the batch, each under its key.
    pub(crate) fn hold(
        &mut self,
        handle: usize,
        rows: &BooleanBuffer,
        key: impl Fn(usize) -> Result<Key, String>,
    ) -> Result<(), String> {
        let working = self.working(handle)?;
        let chosen = match &working.keep {
            Some(keep) => keep & rows,
            None => rows.clone(),
        };
        for row in chosen.set_indices() {
            working.held.push((row as u32, key(row)?));
        }
        let left = match &working.keep {
            Some(keep) => keep & &!&chosen,
            None => !&chosen,
        };
        working.keep = Some(left);
        Ok(())
    }

    /// Takes back the rows that are held under these keys; gives the handles of the batches.
    pub(crate) fn held(&mut self, signal: Signal, keys: Vec<Vec<u8>>) -> Result<Vec<usize>, String> {
        let taken = self.taken.entry(signal).or_default();
        let new: BTreeSet<Key> = keys.into_iter().map(Key::from).filter(|key| !taken.contains(key)).collect();
        let batches = self.state.held().find(signal, &new);
        taken.extend(new);
        let bytes = batches.iter().map(Batch::memory_bytes).sum();
        self.budget.take(bytes)?;
        let first = self.batches.len();
        self.taken_back += batches.iter().map(Batch::rows).sum::<usize>();
        self.batches.extend(batches.into_iter().map(|batch| Working::new(batch.into())));
        Ok((first..self.batches.len()).collect())
    }

    /// The call succeeded: the batch (all its rows), the state and the other effects of the call.
    pub(crate) fn commit(self) -> (Option<View>, State, Effects) {
        let (mut state, mut effects) = (self.state.commit(), self.effects);
        for (signal, keys) in &self.taken {
            state.held.release(*signal, keys);
        }
        effects.taken_back = self.taken_back;
        let mut given = None;
        for (handle, working) in self.batches.into_iter().enumerate() {
            effects.held += working.hold(&mut state.held);
            if handle == GIVEN {
                effects.keep = working.keep;
                given = Some(working.batch).filter(|_| self.given);
                continue;
            }
            let mut batch = working.batch;
            if let Some(keep) = working.keep {
                batch.keep(&keep);
            }
            if batch.rows() > 0 {
                effects.released.push(batch);
            }
        }
        (given, state, effects)
    }

    /// The call failed: the batch and the state as they were before it.
    pub(crate) fn undo(self) -> (Option<View>, State) {
        let given = self.batches.into_iter().next().filter(|_| self.given).map(Working::undone);
        (given, self.state.discard())
    }
}
