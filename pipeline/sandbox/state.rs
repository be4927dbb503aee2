//! The keyed state of a plugin, and the changes of a call that is not over yet.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::held::{ChunkEntry, Held};
use super::limits::bytes_text;
use crate::Result;

/// What an entry takes besides its key and value: the map's own nodes.
const ENTRY_BYTES: usize = 32;

/// A key and its value, which is nothing where the key was deleted.
pub type Entry = (Vec<u8>, Option<Vec<u8>>);

/// What Weir keeps for one plugin: keys and values, in the order of the keys, and the rows that it holds.
#[derive(Clone, Debug, Default)]
pub struct State {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
    /// Keys that were put or deleted since an epoch recorded them last.
    changed: BTreeSet<Vec<u8>>,
    pub(crate) held: Held,
}

impl State {
    /// Hands over what changed since this was asked last, or all of it, if `all`: to `count` how many entries there are and
    /// about how many bytes they take, then to `entry` each with its value (none where it was deleted); gives the held rows.
    /// Nothing is copied on the way: of a large state there is not room for two.
    ///
    /// # Errors
    ///
    /// `Bug` where held rows cannot be encoded; nothing counts as told then.
    pub(crate) fn changes<T>(
        &mut self,
        all: bool,
        into: &mut T,
        count: impl FnOnce(&mut T, usize, usize),
        mut entry: impl FnMut(&mut T, &[u8], Option<&[u8]>),
    ) -> Result<Vec<ChunkEntry>> {
        let held = self.held.changes(all)?;
        let changed = std::mem::take(&mut self.changed);
        if all {
            count(into, self.entries.len(), self.bytes);
            self.entries.iter().for_each(|(key, value)| entry(into, key, Some(value)));
            return Ok(held);
        }
        let value = |key: &[u8]| self.entries.get(key).map(Vec::as_slice);
        let bytes = changed.iter().map(|key| entry_bytes(key, value(key).unwrap_or_default())).sum();
        count(into, changed.len(), bytes);
        changed.iter().for_each(|key| entry(into, key, value(key)));
        Ok(held)
    }

    /// Puts entries back as they were recorded, over what an earlier record says.
    pub(crate) fn restore(&mut self, entries: Vec<Entry>) {
        for (key, value) in entries {
            let old = self.entries.get(&key).map_or(0, |old| entry_bytes(&key, old));
            self.bytes -= old;
            match value {
                Some(value) => {
                    self.bytes += entry_bytes(&key, &value);
                    self.entries.insert(key, value);
                }
                None => drop(self.entries.remove(&key)),
            }
        }
    }

    /// All entries, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(key, value)| (&**key, &**value))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the entries count towards the limit on state.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows that the plugin holds.
    pub fn held(&self) -> &Held {
        &self.held
    }
}

fn entry_bytes(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_BYTES
}

/// A state and the puts and deletes of the call that is running: they stand once [`Overlay::commit`] is called.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    base: State,
    /// `None` is a deleted entry.
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
}

impl Overlay {
    pub(crate) fn new(base: State) -> Self {
        let bytes = base.bytes;
        Self { base, changes: BTreeMap::new(), bytes }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        match self.changes.get(key) {
            Some(change) => change.as_deref(),
            None => self.base.entries.get(key).map(Vec::as_slice),
        }
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>, limit: usize) -> std::result::Result<(), String> {
        let before = self.get(&key).map_or(0, |old| entry_bytes(&key, old));
        let bytes = self.bytes - before + entry_bytes(&key, &value);
        if bytes > limit {
            let limit = bytes_text(limit);
            return Err(format!("state limit {limit} reached ([plugin.limits] state): delete entries, or raise it"));
        }
        self.bytes = bytes;
        self.changes.insert(key, Some(value));
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        if let Some(old) = self.get(&key) {
            self.bytes -= entry_bytes(&key, old);
            self.changes.insert(key, None);
        }
    }

    /// Entries whose key starts with `prefix` and is greater than `after`, at most `limit`, together at most `bytes`.
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        bytes: usize,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let range = (start, Bound::Unbounded);
        let mut old =
            self.base.entries.range::<[u8], _>(range).take_while(|(key, _)| key.starts_with(prefix)).peekable();
        let mut new = self.changes.range::<[u8], _>(range).take_while(|(key, _)| key.starts_with(prefix)).peekable();
        let mut found = Vec::new();
        let mut held = 0;
        while found.len() < limit {
            let (key, value) = match (old.peek(), new.peek()) {
                (Some((old_key, _)), Some((new_key, _))) if old_key < new_key => match old.next() {
                    Some((key, value)) => (key, Some(value)),
                    None => break,
                },
                (Some((old_key, _)), Some((new_key, _))) => {
                    if old_key == new_key {
                        old.next();
                    }
                    match new.next() {
                        Some((key, value)) => (key, value.as_ref()),
                        None => break,
                    }
                }
                (Some(_), None) => match old.next() {
                    Some((key, value)) => (key, Some(value)),
                    None => break,
                },
                (None, _) => match new.next() {
                    Some((key, value)) => (key, value.as_ref()),
                    None => break,
                },
            };
            let Some(value) = value else { continue };
            held += entry_bytes(key, value);
            if held > bytes && !found.is_empty() {
                break;
            }
            found.push((key.clone(), value.clone()));
        }
        found
    }

    /// The rows that are held, as they were before the call.
    pub(crate) fn held(&self) -> &Held {
        &self.base.held
    }

    /// The state with the changes.
    pub(crate) fn commit(mut self) -> State {
        for (key, change) in self.changes {
            self.base.changed.insert(key.clone());
            match change {
                Some(value) => {
                    self.base.entries.insert(key, value);
                }
                None => {
                    self.base.entries.remove(&key);
                }
            }
        }
        self.base.bytes = self.bytes;
        self.base
    }

    /// The state without the changes.
    pub(crate) fn discard(self) -> State {
        self.base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(entries: &[(&str, &str)]) -> State {
        let mut state = State::default();
        state.restore(
            entries.iter().map(|(key, value)| (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))).collect(),
        );
        state
    }

    fn keys(found: &[(Vec<u8>, Vec<u8>)]) -> Vec<&str> {
        found.iter().map(|(key, _)| std::str::from_utf8(key).expect("text")).collect()
    }

    fn changed() -> Overlay {
        let mut overlay = Overlay::new(state(&[("a/1", "x"), ("a/2", "y"), ("a/4", "z"), ("b", "w")]));
        overlay.put(b"a/3".to_vec(), b"new".to_vec(), 1000).expect("below the limit");
        overlay.put(b"a/4".to_vec(), b"other".to_vec(), 1000).expect("below the limit");
        overlay.delete(b"a/1".to_vec());
        overlay
    }

    #[test]
    fn a_call_sees_its_own_changes_in_the_order_of_the_keys() {
        let overlay = changed();
        assert_eq!(overlay.get(b"a/4"), Some(&b"other"[..]));
        assert_eq!(overlay.get(b"a/1"), None);
        assert_eq!(keys(&overlay.scan(b"a/", None, 10, 1000)), ["a/2", "a/3", "a/4"]);
        assert_eq!(keys(&overlay.scan(b"a/", Some(b"a/2"), 1, 1000)), ["a/3"]);
        assert_eq!(keys(&overlay.scan(b"a/", Some(b"0"), 10, 1000)), ["a/2", "a/3", "a/4"]);
        assert_eq!(keys(&overlay.scan(b"", None, 10, 1000)), ["a/2", "a/3", "a/4", "b"]);
    }

    fn entries(state: &State) -> Vec<(&[u8], &[u8])> {
        state.entries().collect()
    }

    #[test]
    fn discarding_leaves_the_state_as_it_was_and_committing_changes_it() {
        let before = state(&[("a/1", "x"), ("a/2", "y"), ("a/4", "z"), ("b", "w")]);
        assert_eq!(entries(&changed().discard()), entries(&before));
        let after = state(&[("a/2", "y"), ("a/3", "new"), ("a/4", "other"), ("b", "w")]);
        assert_eq!(entries(&changed().commit()), entries(&after));
    }

    #[test]
    fn the_limit_counts_what_is_replaced_and_deleted_as_gone() {
        let mut overlay = Overlay::new(State::default());
        let limit = 10 + ENTRY_BYTES;
        overlay.put(b"k".to_vec(), vec![0; 9], limit).expect("exactly the limit");
        overlay.put(b"k".to_vec(), vec![1; 9], limit).expect("in the place of the old");
        let error = overlay.put(b"l".to_vec(), vec![], limit).expect_err("over the limit");
        assert_eq!(error, "state limit 42 bytes reached ([plugin.limits] state): delete entries, or raise it");
        overlay.delete(b"k".to_vec());
        overlay.put(b"l".to_vec(), vec![0; 9], limit).expect("there is room again");
    }

    fn changes(state: &mut State, all: bool) -> Vec<Entry> {
        let mut told = (0, Vec::new());
        let entry = |told: &mut (usize, Vec<Entry>), key: &[u8], value: Option<&[u8]>| {
            told.1.push((key.to_vec(), value.map(<[u8]>::to_vec)));
        };
        state.changes(all, &mut told, |told, entries, _| told.0 = entries, entry).expect("no held rows");
        assert_eq!(told.0, told.1.len());
        told.1
    }

    #[test]
    fn the_changes_since_the_last_record_make_the_same_state_over_the_one_recorded_before() {
        let mut recorded = state(&[("a/1", "x"), ("a/2", "y"), ("a/4", "z"), ("b", "w")]);
        let mut now = changed().commit();
        let entries_changed = changes(&mut now, false);
        assert_eq!(
            keys(&entries_changed.iter().map(|(key, _)| (key.clone(), Vec::new())).collect::<Vec<_>>()),
            ["a/1", "a/3", "a/4"]
        );
        recorded.restore(entries_changed);
        assert_eq!((entries(&recorded), recorded.bytes()), (entries(&now), now.bytes()));
        assert!(changes(&mut now, false).is_empty(), "what is recorded is not changed any more");
        let mut whole = State::default();
        whole.restore(changes(&mut now, true));
        assert_eq!((entries(&whole), whole.bytes()), (entries(&now), now.bytes()));
    }
}
