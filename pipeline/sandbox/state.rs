//! The keyed state of a plugin, and the changes of a call that is not over yet.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::limits::bytes_text;

/// What an entry takes besides its key and value: the map's own nodes.
const ENTRY_BYTES: usize = 32;

/// Keys and values of one plugin, in the order of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl State {
    /// All entries, in the order of their keys: what an epoch records.
    pub fn snapshot(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The state with these entries: the inverse of [`State::snapshot`].
    pub fn restore(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        let bytes = entries.iter().map(|(key, value)| entry_bytes(key, value)).sum();
        Self { entries, bytes }
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

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>, limit: usize) -> Result<(), String> {
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

    /// The state with the changes.
    pub(crate) fn commit(mut self) -> State {
        for (key, change) in self.changes {
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
        State::restore(entries.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())))
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

    #[test]
    fn discarding_leaves_the_state_as_it_was_and_committing_changes_it() {
        let before = state(&[("a/1", "x"), ("a/2", "y"), ("a/4", "z"), ("b", "w")]);
        assert_eq!(changed().discard(), before);
        assert_eq!(changed().commit(), state(&[("a/2", "y"), ("a/3", "new"), ("a/4", "other"), ("b", "w")]));
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

    #[test]
    fn a_restored_snapshot_is_the_same_state() {
        let state = changed().commit();
        assert_eq!(State::restore(state.snapshot()), state);
    }
}
