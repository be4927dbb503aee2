//! Attributes, column by column: for each row its keys and values in their order, each value with the type it came in.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

use super::build::same_text;
use super::value::{Any, Tag, Value, pack, text_of, visit_texts, write_json, write_json_text};

/// Distinct texts, numbered in the order in which they were first seen.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    offsets: Vec<u32>,
    bytes: Vec<u8>,
    table: HashTable<u32>,
    state: DefaultHashBuilder,
}

impl Texts {
    /// How many distinct texts there are.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    pub(crate) fn bytes_of(&self, id: u32) -> &[u8] {
        let end = self.offsets[id as usize] as usize;
        let start = if id == 0 { 0 } else { self.offsets[id as usize - 1] as usize };
        &self.bytes[start..end]
    }

    /// The text of that number.
    pub fn get(&self, id: u32) -> &str {
        text_of(self.bytes_of(id))
    }

    /// The number of a text, if it is there.
    pub fn find(&self, text: &str) -> Option<u32> {
        let hash = self.state.hash_one(text.as_bytes());
        self.table.find(hash, |&id| self.bytes_of(id) == text.as_bytes()).copied()
    }

    /// The number of a text, which is added where it is new; its bytes are UTF-8, as the caller has seen.
    pub(crate) fn intern(&mut self, text: &[u8]) -> u32 {
        let hash = self.state.hash_one(text);
        let (offsets, bytes) = (&self.offsets, &self.bytes);
        let at = |id: u32| {
            let start = if id == 0 { 0 } else { offsets[id as usize - 1] as usize };
            &bytes[start..offsets[id as usize] as usize]
        };
        if let Some(&id) = self.table.find(hash, |&id| at(id) == text) {
            return id;
        }
        let id = self.offsets.len() as u32;
        self.bytes.extend_from_slice(text);
        self.offsets.push(self.bytes.len() as u32);
        let (offsets, bytes, state) = (&self.offsets, &self.bytes, &self.state);
        self.table.insert_unique(hash, id, |&id| {
            let start = if id == 0 { 0 } else { offsets[id as usize - 1] as usize };
            state.hash_one(&bytes[start..offsets[id as usize] as usize])
        });
        id
    }

    /// The memory that the texts hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() + self.offsets.len() * 12
    }

    /// Forgets every text but the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        for id in length..self.len() {
            let hash = self.state.hash_one(self.bytes_of(id as u32));
            if let Ok(found) = self.table.find_entry(hash, |&known| known as usize == id) {
                found.remove();
            }
        }
        self.offsets.truncate(length);
        self.bytes.truncate(self.offsets.last().map_or(0, |&end| end as usize));
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len() as u32).map(|id| self.get(id))
    }
}

/// A key and a value of a row; the key is a number of [`Attributes::keys`].
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub(crate) key: u32,
    pub(crate) value: Value,
}

/// The attributes of each row of a batch.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    pub(crate) ends: Vec<u32>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) keys: Texts,
    pub(crate) arena: Vec<u8>,
    /// The key that came after each key the last time: what to try first.
    pub(super) follow: Vec<u32>,
}

/// Moves values into another arena. What lies together is copied together: the content of a row is, and that of rows
/// that follow each other.
pub(super) struct Mover<'a> {
    from: &'a [u8],
    run: std::ops::Range<usize>,
}

impl<'a> Mover<'a> {
    pub(super) fn new(from: &'a [u8]) -> Self {
        Self { from, run: 0..0 }
    }

    /// The value as it will be when its run is copied.
    #[inline]
    pub(super) fn moved(&mut self, value: Value, to: &mut Vec<u8>) -> Value {
        if !value.is_long() {
            return value;
        }
        let span = value.span();
        if span.start != self.run.end {
            self.finish(to);
            self.run = span.start..span.start;
        }
        self.run.end = span.end;
        Value::long(value.tag, to.len() + span.start - self.run.start, span.len())
    }

    /// Copies what was moved and not copied yet; before anything else is put into that arena.
    pub(super) fn finish(&mut self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.from[self.run.clone()]);
        self.run = self.run.end..self.run.end;
    }
}

/// How long attributes were, to go back there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark(usize, usize, usize, usize);

impl Attributes {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn range(&self, row: usize) -> std::ops::Range<usize> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        start..self.ends[row] as usize
    }

    /// The keys and values of a row, in their order.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (&str, Any<'_>)> {
        self.entries[self.range(row)].iter().map(|entry| (self.keys.get(entry.key), entry.value.resolve(&self.arena)))
    }

    /// The first value that a row has under a key.
    pub fn get(&self, row: usize, key: u32) -> Option<Value> {
        self.entries[self.range(row)].iter().find(|entry| entry.key == key).map(|entry| entry.value)
    }

    /// The first value that a row has under a key of that name.
    pub fn find(&self, row: usize, key: &str) -> Option<Any<'_>> {
        Some(self.get(row, self.keys.find(key)?)?.resolve(&self.arena))
    }

    /// The bytes that the attributes hold.
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.entries.len() * size_of::<Entry>() + self.ends.len() * 4 + self.keys.bytes.len()
    }

    /// Appends a row as a JSON object; a key that stands twice in the row stands twice in the object.
    pub fn write_json(&self, out: &mut Vec<u8>, row: usize) {
        out.push(b'{');
        for (index, entry) in self.entries[self.range(row)].iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_json_text(out, self.keys.get(entry.key));
            out.push(b':');
            write_json(out, entry.value.resolve(&self.arena));
        }
        out.push(b'}');
    }

    // Building: push entries, then end the row.

    /// The key that is likely to come next: the same keys come in the same order in most rows.
    #[inline]
    fn guess(&self) -> u32 {
        self.entries.last().and_then(|last| self.follow.get(last.key as usize).copied()).unwrap_or(0)
    }

    /// The number of a key, if it is the one that is likely to come next.
    #[inline]
    pub(crate) fn expected(&self, key: &[u8]) -> Option<u32> {
        let guess = self.guess();
        ((guess as usize) < self.keys.len() && same_text(self.keys.bytes_of(guess), key)).then_some(guess)
    }

    #[inline]
    pub(crate) fn push(&mut self, key: &[u8], value: Value) {
        let key = self.expected(key).unwrap_or_else(|| self.unexpected(key));
        self.push_numbered(key, value);
    }

    /// Adds an entry whose key has that number.
    #[inline]
    pub(crate) fn push_numbered(&mut self, key: u32, value: Value) {
        self.entries.push(Entry { key, value });
    }

    /// The number of a key that was not the likely one.
    pub(crate) fn unexpected(&mut self, key: &[u8]) -> u32 {
        let key = self.keys.intern(key);
        if let Some(last) = self.entries.last() {
            let last = last.key as usize;
            if self.follow.len() <= last {
                self.follow.resize(last + 1, 0);
            }
            self.follow[last] = key;
        }
        key
    }

    /// Ends a row that may be the same as one of the last few; the number of the row that has these entries.
    pub(crate) fn end_shared_row(&mut self) -> u32 {
        const LOOK_BACK: usize = 16;
        let start = self.ends.last().map_or(0, |&end| end as usize);
        let new = &self.entries[start..];
        let rows = self.rows();
        let same = (rows.saturating_sub(LOOK_BACK)..rows).rev().find(|&row| {
            let old = &self.entries[self.range(row)];
            old.len() == new.len()
                && old.iter().zip(new).all(|(old, new)| old.key == new.key && self.same_value(old.value, new.value))
        });
        if let Some(row) = same {
            self.forget_open_row();
            return row as u32;
        }
        self.end_row();
        rows as u32
    }

    /// Drops the entries that were pushed since the last row ended.
    pub(crate) fn forget_open_row(&mut self) {
        let start = self.ends.last().map_or(0, |&end| end as usize);
        let content = self.entries[start..].iter().filter(|entry| entry.value.is_long());
        let arena = content.map(|entry| entry.value.span().start).min().unwrap_or(self.arena.len());
        self.entries.truncate(start);
        self.arena.truncate(arena);
    }

    fn same_value(&self, a: Value, b: Value) -> bool {
        a.tag == b.tag && if a.is_long() { self.arena[a.span()] == self.arena[b.span()] } else { a.bits == b.bits }
    }

    /// Takes everything; room for as much is left.
    pub(crate) fn harvest(&mut self) -> Self {
        let empty = Self {
            ends: Vec::with_capacity(self.ends.len()),
            entries: Vec::with_capacity(self.entries.len()),
            arena: Vec::with_capacity(self.arena.len()),
            ..Self::default()
        };
        std::mem::replace(self, empty)
    }

    pub(crate) fn end_row(&mut self) {
        self.ends.push(self.entries.len() as u32);
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.ends.len(), self.entries.len(), self.arena.len(), self.keys.len())
    }

    pub(crate) fn truncate(&mut self, mark: Mark) {
        self.ends.truncate(mark.0);
        self.entries.truncate(mark.1);
        self.arena.truncate(mark.2);
        self.keys.truncate(mark.3);
    }

    // Changing a finished column.

    /// Makes room for so many rows that are like those of `other`, and so many entries more in each.
    pub(super) fn reserve_like(&mut self, other: &Self, rows: usize, more: usize) {
        let share = |all: usize| (all as u64 * rows as u64).div_ceil(other.rows().max(1) as u64) as usize;
        self.ends.reserve(rows);
        self.entries.reserve(share(other.entries.len()) + more * rows);
        self.arena.reserve(share(other.arena.len()));
    }

    /// The rows of these numbers, in that order, with the content that they need and no more.
    pub(crate) fn take(&self, rows: impl Iterator<Item = usize>) -> Self {
        let mut kept = Self { keys: self.keys.clone(), ..Self::default() };
        kept.reserve_like(self, rows.size_hint().0, 0);
        let mut mover = Mover::new(&self.arena);
        for row in rows {
            for entry in &self.entries[self.range(row)] {
                let value = mover.moved(entry.value, &mut kept.arena);
                kept.entries.push(Entry { key: entry.key, value });
            }
            kept.end_row();
        }
        mover.finish(&mut kept.arena);
        kept
    }

    /// Rebuilds every row through `change`, which is given the row's entries and may edit them.
    pub(crate) fn rebuild(&mut self, mut change: impl FnMut(usize, &mut Vec<Entry>, &mut Vec<u8>, &mut Texts)) {
        let mut entries = Vec::with_capacity(self.entries.len() + self.ends.len());
        let mut ends = Vec::with_capacity(self.ends.len());
        let mut scratch = Vec::new();
        for row in 0..self.rows() {
            scratch.clear();
            scratch.extend_from_slice(&self.entries[self.range(row)]);
            change(row, &mut scratch, &mut self.arena, &mut self.keys);
            entries.extend_from_slice(&scratch);
            ends.push(entries.len() as u32);
        }
        self.entries = entries;
        self.ends = ends;
    }

    /// Sets a key of a row to a value of this arena: its first entry is replaced, further ones of that key go.
    pub(crate) fn set_in(entries: &mut Vec<Entry>, key: u32, value: Value) {
        let mut set = false;
        entries.retain_mut(|entry| {
            if entry.key != key {
                return true;
            }
            entry.value = value;
            !std::mem::replace(&mut set, true)
        });
        if !set {
            entries.push(Entry { key, value });
        }
    }

    /// Calls `see` with every text that occurs in a row: keys, texts, nested ones included.
    pub(crate) fn visit_texts(&self, see: &mut dyn FnMut(&str)) {
        let mut used = vec![false; self.keys.len()];
        for entry in &self.entries {
            if !std::mem::replace(&mut used[entry.key as usize], true) {
                see(self.keys.get(entry.key));
            }
            visit_texts(entry.value.resolve(&self.arena), see);
        }
    }

    /// Every text passed through `edit`, which may return another. The arena is written anew, so that no byte of what was
    /// replaced remains.
    pub(crate) fn edit_texts(&mut self, edit: &mut dyn FnMut(&str) -> Option<String>) {
        let mut new = Self { ends: std::mem::take(&mut self.ends), ..Self::default() };
        let keys: Vec<u32> = self
            .keys
            .iter()
            .map(|key| match edit(key) {
                Some(other) => new.keys.intern(other.as_bytes()),
                None => new.keys.intern(key.as_bytes()),
            })
            .collect();
        let mut scratch = Vec::new();
        for entry in &self.entries {
            let any = entry.value.resolve(&self.arena);
            let value = edit_value(any, entry.value, &mut new.arena, &mut scratch, edit);
            new.entries.push(Entry { key: keys[entry.key as usize], value });
        }
        *self = new;
    }
}

/// A value passed through `edit`, its content stored in `arena`.
pub(crate) fn edit_value(
    any: Any<'_>,
    value: Value,
    arena: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    edit: &mut dyn FnMut(&str) -> Option<String>,
) -> Value {
    scratch.clear();
    pack::edited(scratch, any, edit);
    let tag = scratch[0];
    let long = tag >= Tag::Text as u8;
    if !long {
        return value;
    }
    let start = arena.len();
    arena.extend_from_slice(&scratch[5..]);
    let tag = if tag == Tag::Text as u8 { Tag::Text } else { value.tag };
    Value::long(tag, start, scratch.len() - 5)
}
