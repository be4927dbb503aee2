//! A plugin's own keyed state, which Weir keeps: it survives the instance, and a failed call leaves it as it was.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result, host, json};

const SCAN_ROWS: u32 = 256;

/// A map of the plugin's, kept by Weir. A plugin with one says [`STATEFUL`](crate::Processor::STATEFUL).
///
/// Values are stored as JSON. Maps of one plugin are told apart by their names.
#[derive(Debug)]
pub struct State<K, V> {
    name: &'static str,
    entry: PhantomData<fn(K) -> V>,
}

impl<K: Key, V: Serialize + DeserializeOwned> State<K, V> {
    /// The map of that name. Two maps of one name are one map.
    pub const fn named(name: &'static str) -> Self {
        Self { name, entry: PhantomData }
    }

    fn prefix(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        write_text(self.name.as_bytes(), &mut bytes);
        bytes
    }

    fn key(&self, key: &impl Key) -> Vec<u8> {
        let mut bytes = self.prefix();
        key.write(&mut bytes);
        bytes
    }

    fn value(&self, bytes: &[u8]) -> Result<V> {
        let text = std::str::from_utf8(bytes).map_err(|error| self.fault(&error))?;
        json::read(text).map_err(|fault| self.fault(&fault))
    }

    #[cold]
    fn fault(&self, fault: &dyn std::fmt::Display) -> Error {
        Error::new(format!("state \"{}\" holds a value of another type: {fault}", self.name))
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// What is stored there is no such value.
    pub fn get(&self, key: &K) -> Result<Option<V>> {
        host::state_get(&self.key(key)).map(|bytes| self.value(&bytes)).transpose()
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    ///
    /// The state has reached its limit.
    pub fn put(&self, key: &K, value: &V) -> Result {
        host::state_put(&self.key(key), &serde_json::to_vec(value)?).map_err(Error::new)
    }

    /// Removes a key.
    pub fn delete(&self, key: &K) {
        host::state_delete(&self.key(key));
    }

    /// All entries, in the order of their keys.
    ///
    /// # Errors
    ///
    /// What is stored there are no such entries.
    pub fn scan(&self) -> Result<Vec<(K, V)>> {
        self.scan_prefix(&())
    }

    /// The entries whose key begins with these parts: for keys `(String, u64)`, those of a `String`.
    ///
    /// # Errors
    ///
    /// As for [`scan`](Self::scan).
    pub fn scan_prefix(&self, parts: &impl Key) -> Result<Vec<(K, V)>> {
        let bytes = BytesState::<K>::named(self.name);
        let mut entries = Vec::new();
        bytes.each(parts, |key, value| {
            entries.push((key, self.value(&value)?));
            Ok(())
        })?;
        Ok(entries)
    }
}

/// A map of the plugin's whose values are bytes of its own: for what is written often, and small.
///
/// Maps of one plugin are told apart by their names, whatever their values are.
#[derive(Debug)]
pub struct BytesState<K> {
    name: &'static str,
    entry: PhantomData<fn(K)>,
}

impl<K: Key> BytesState<K> {
    /// The map of that name. Two maps of one name are one map.
    pub const fn named(name: &'static str) -> Self {
        Self { name, entry: PhantomData }
    }

    fn prefix(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        write_text(self.name.as_bytes(), &mut bytes);
        bytes
    }

    fn key(&self, key: &impl Key) -> Vec<u8> {
        let mut bytes = self.prefix();
        key.write(&mut bytes);
        bytes
    }

    fn read_key(&self, bytes: &[u8]) -> Result<K> {
        let mut bytes = bytes.get(self.prefix().len()..).unwrap_or_default();
        let key = K::read(&mut bytes).filter(|_| bytes.is_empty());
        key.ok_or_else(|| Error::new(format!("state \"{}\" holds a key of another type", self.name)))
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<Vec<u8>> {
        host::state_get(&self.key(key))
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    ///
    /// The state has reached its limit.
    pub fn put(&self, key: &K, value: &[u8]) -> Result {
        host::state_put(&self.key(key), value).map_err(Error::new)
    }

    /// Removes a key.
    pub fn delete(&self, key: &K) {
        host::state_delete(&self.key(key));
    }

    /// The first entries, in the order of their keys: at most so many, and fewer where Weir hands out less at once. None
    /// only if there are none.
    ///
    /// # Errors
    ///
    /// What is stored there are no such entries.
    pub fn first(&self, limit: u32) -> Result<Vec<(K, Vec<u8>)>> {
        let page = host::state_scan(&self.prefix(), None, limit);
        page.into_iter().map(|(key, value)| Ok((self.read_key(&key)?, value))).collect()
    }

    /// Hands over the entries whose key begins with these parts, in the order of their keys.
    ///
    /// # Errors
    ///
    /// What is stored there are no such entries, or what `each` answers.
    pub fn each(&self, parts: &impl Key, mut each: impl FnMut(K, Vec<u8>) -> Result) -> Result {
        let prefix = self.key(parts);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = host::state_scan(&prefix, after.as_deref(), SCAN_ROWS);
            // A page may be cut short by its bytes: only an empty one is the last.
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, value) in page {
                each(self.read_key(&key)?, value)?;
            }
        }
    }
}

/// What can be a key: its bytes sort as its values do.
pub trait Key: Sized {
    /// Appends the bytes.
    fn write(&self, bytes: &mut Vec<u8>);

    /// Takes a key from the front of the bytes.
    fn read(bytes: &mut &[u8]) -> Option<Self>;
}

/// Zero ends a text, a zero within it becomes 0 255: so a text sorts before those that it begins.
fn write_text(text: &[u8], bytes: &mut Vec<u8>) {
    for &byte in text {
        bytes.push(byte);
        if byte == 0 {
            bytes.push(255);
        }
    }
    bytes.extend([0, 0]);
}

impl Key for String {
    fn write(&self, bytes: &mut Vec<u8>) {
        write_text(self.as_bytes(), bytes);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let mut text = Vec::new();
        loop {
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            if byte != 0 {
                text.push(byte);
                continue;
            }
            let (&next, rest) = bytes.split_first()?;
            *bytes = rest;
            match next {
                0 => return Self::from_utf8(text).ok(),
                _ => text.push(0),
            }
        }
    }
}

macro_rules! integer_keys {
    ($($integer:ty, $flip:expr;)*) => {$(
        impl Key for $integer {
            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend((*self ^ $flip).to_be_bytes());
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                let (first, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(Self::from_be_bytes(*first) ^ $flip)
            }
        }
    )*};
}

integer_keys! {
    u32, 0;
    u64, 0;
    i64, i64::MIN;
}

impl<const N: usize> Key for [u8; N] {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(*first)
    }
}

macro_rules! tuple_keys {
    ($(($($part:ident $index:tt),*);)*) => {$(
        impl<$($part: Key),*> Key for ($($part,)*) {
            fn write(&self, _bytes: &mut Vec<u8>) {
                $(self.$index.write(_bytes);)*
            }

            fn read(_bytes: &mut &[u8]) -> Option<Self> {
                Some(($($part::read(_bytes)?,)*))
            }
        }
    )*};
}

tuple_keys! {
    ();
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(key: &impl Key) -> Vec<u8> {
        let mut bytes = Vec::new();
        key.write(&mut bytes);
        bytes
    }

    #[test]
    fn keys_sort_as_their_values_do() {
        let texts = ["", "\0", "\0a", "a", "a\0", "a\0b", "aa", "b"].map(String::from);
        assert!(texts.map(|text| bytes(&text)).is_sorted());
        assert!([i64::MIN, -2, -1, 0, 1, i64::MAX].map(|number| bytes(&number)).is_sorted());
        let pairs = [("a", 2_u64), ("a", 10), ("a\0", 1), ("ab", 0)].map(|(text, number)| (text.to_owned(), number));
        assert!(pairs.map(|pair| bytes(&pair)).is_sorted());
    }

    #[test]
    fn keys_are_read_back() {
        let key = ("a\0b".to_owned(), -5_i64, [7_u8; 8]);
        let bytes = bytes(&key);
        let mut rest = bytes.as_slice();
        assert_eq!(<(String, i64, [u8; 8])>::read(&mut rest), Some(key));
        assert!(rest.is_empty());
    }

    #[test]
    fn bytes_are_kept_as_they_are_and_handed_over_in_order() {
        let state = BytesState::<(i64, u32)>::named("bytes");
        for slot in [3, -1, 700] {
            state.put(&(slot, 1), &[0, 255, slot as u8]).expect("room");
        }
        assert_eq!(state.get(&(-1, 1)), Some(vec![0, 255, 255]));
        let first: Vec<_> = state.first(2).expect("entries").into_iter().map(|(key, _)| key).collect();
        assert_eq!(first, [(-1, 1), (3, 1)]);
        state.delete(&(-1, 1));
        let mut found = Vec::new();
        let each = |key, value| {
            found.push((key, value));
            Ok(())
        };
        state.each(&(), each).expect("entries");
        assert_eq!(found, [((3, 1), vec![0, 255, 3]), ((700, 1), vec![0, 255, 188])]);
    }

    #[test]
    fn entries_are_found_by_their_first_parts_and_maps_do_not_mix() {
        let (state, other) = (State::<(String, u64), f64>::named("a"), State::<(String, u64), f64>::named("ab"));
        for number in 0..600 {
            state.put(&("x".to_owned(), number), &0.1).expect("room");
        }
        state.put(&("xy".to_owned(), 1), &2.5).expect("room");
        other.put(&("x".to_owned(), 1), &3.0).expect("room");
        let found = state.scan_prefix(&"x".to_owned()).expect("entries");
        assert_eq!(found.len(), 600);
        assert!(found.iter().enumerate().all(|(index, ((_, number), value))| *number == index as u64 && *value == 0.1));
        assert_eq!(state.scan().expect("entries").len(), 601);
        state.delete(&("xy".to_owned(), 1));
        assert_eq!(state.get(&("xy".to_owned(), 1)).expect("a value"), None);
    }
}
