//! What is kept for the stateful plugins: the seam by which an epoch records it and puts it back.

use super::Chain;
use crate::sandbox::{ChunkEntry, Entry, Held};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Lengths and numbers are little-endian; nothing has this length.
const NOTHING: u32 = u32::MAX;

/// What is kept for one plugin, or what of it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The plugin, by its name in the chain.
    pub plugin: String,
    /// Keys and values; a key without a value was deleted.
    pub entries: Vec<Entry>,
    /// Held rows, as each call held them; a number without content has none left.
    pub held: Vec<ChunkEntry>,
}

impl Chain {
    /// What changed for each stateful plugin since this was asked last, as [`decode`] reads it; everything, if `all`. None
    /// where nothing changed. No batch may be under way.
    ///
    /// # Errors
    ///
    /// `Bug` where held rows cannot be encoded.
    pub fn record(&self, all: bool) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let mut plugins = 0;
        count(&mut bytes, plugins);
        for stage in self.stages.iter().filter(|stage| stage.contract.stateful) {
            let (before, mut some) = (bytes.len(), false);
            content(&mut bytes, Some(stage.name.as_bytes()));
            let entries = |bytes: &mut Vec<u8>, entries: usize, size: usize| {
                // In one piece of the right size: it may be most of the memory that there is.
                bytes.reserve_exact(size + 64);
                count(bytes, entries);
                some = entries > 0;
            };
            let entry = |bytes: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>| {
                content(bytes, Some(key));
                content(bytes, value);
            };
            let held = stage.with_state(|state| state.changes(all, &mut bytes, entries, entry))?;
            held_rows(&mut bytes, &held);
            if all || some || !held.is_empty() {
                plugins += 1;
            } else {
                bytes.truncate(before);
            }
        }
        bytes[..size_of::<u64>()].copy_from_slice(&(plugins as u64).to_le_bytes());
        Ok((all || plugins > 0).then_some(bytes))
    }

    /// The same, read again: for whoever looks at it.
    ///
    /// # Errors
    ///
    /// As for [`record`](Self::record).
    pub fn kept(&self, all: bool) -> Result<Vec<Kept>> {
        self.record(all)?.map_or(Ok(Vec::new()), |bytes| decode(&bytes))
    }

    /// How many bytes are kept for the stateful plugins.
    pub fn kept_bytes(&self) -> usize {
        let stateful = self.stages.iter().filter(|stage| stage.contract.stateful);
        stateful.map(|stage| stage.with_state(|state| state.bytes() + state.held().bytes())).sum()
    }

    /// How many bytes of linear memory the instances of all plugins have taken, of those that no call uses just now.
    pub fn guest_bytes(&self) -> usize {
        self.stages.iter().map(|stage| stage.guest_bytes()).sum()
    }

    /// Puts back what was kept, over what an earlier record says, before the first batch.
    ///
    /// # Errors
    ///
    /// `Config` where it is of a plugin that the chain does not have, or that keeps nothing; `Storage` where it cannot be
    /// read.
    pub fn restore(&self, kept: Vec<Kept>) -> Result<()> {
        for Kept { plugin, entries, held } in kept {
            let stage = self.stages.iter().find(|stage| *stage.name == *plugin && stage.contract.stateful);
            let Some(stage) = stage else {
                return Err(Error::config(format!(
                    "there is state of plugin `{plugin}`, and the configuration has no stateful plugin of that name: give it \
                     its name back, or discard the state with `weir repair --discard-state {plugin}`"
                )));
            };
            stage.with_state(|state| {
                state.restore(entries);
                held.into_iter().try_for_each(|chunk| state.held.restore(chunk))
            })?;
            stage.evict(None);
        }
        Ok(())
    }
}

/// What is kept, in bytes: for each plugin its name, its entries and its held rows, each with its length; a value that is
/// deleted has the length 2³² − 1.
pub fn encode(kept: &[Kept]) -> Vec<u8> {
    let mut bytes = Vec::new();
    count(&mut bytes, kept.len());
    for Kept { plugin, entries, held } in kept {
        content(&mut bytes, Some(plugin.as_bytes()));
        count(&mut bytes, entries.len());
        for (key, value) in entries {
            content(&mut bytes, Some(key));
            content(&mut bytes, value.as_deref());
        }
        held_rows(&mut bytes, held);
    }
    bytes
}

fn held_rows(bytes: &mut Vec<u8>, held: &[ChunkEntry]) {
    bytes.reserve_exact(held.iter().map(|(_, chunk)| 16 + chunk.as_ref().map_or(0, Vec::len)).sum::<usize>() + 64);
    count(bytes, held.len());
    for (number, chunk) in held {
        bytes.extend(number.to_le_bytes());
        content(bytes, chunk.as_deref());
    }
}

/// The inverse of [`encode`].
///
/// # Errors
///
/// `Storage` where the bytes are not what it made.
pub fn decode(bytes: &[u8]) -> Result<Vec<Kept>> {
    let mut reader = Reader(bytes);
    let kept = reader.kept().filter(|_| reader.0.is_empty());
    kept.ok_or_else(|| Error::storage("the state of plugins is recorded in a form that cannot be read"))
}

/// What is kept in the end: a whole record of it, and what changed since, in their order, each as [`encode`] made it.
///
/// # Errors
///
/// `Storage` where one of them cannot be read.
pub fn fold(states: &[Vec<u8>]) -> Result<Vec<Kept>> {
    let mut plugins: BTreeMap<String, Folded> = BTreeMap::new();
    for state in states {
        for Kept { plugin, entries, held } in decode(state)? {
            let folded = plugins.entry(plugin).or_default();
            folded.entries.extend(entries);
            folded.held.extend(held);
        }
    }
    let kept = plugins.into_iter().map(|(plugin, mut folded)| {
        folded.entries.retain(|_, value| value.is_some());
        folded.held.retain(|_, chunk| chunk.is_some());
        Kept { plugin, entries: folded.entries.into_iter().collect(), held: folded.held.into_iter().collect() }
    });
    Ok(kept.collect())
}

/// The last word on each key and on each number.
#[derive(Default)]
struct Folded {
    entries: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    held: BTreeMap<u64, Option<Vec<u8>>>,
}

impl Kept {
    /// The bytes of keys and values, and of held rows as they are recorded.
    pub fn bytes(&self) -> u64 {
        let entries = self.entries.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
        let held = self.held.iter().map(|(_, chunk)| chunk.as_ref().map_or(0, Vec::len));
        entries.chain(held).sum::<usize>() as u64
    }

    /// How many rows are held.
    ///
    /// # Errors
    ///
    /// `Storage` where they cannot be read.
    pub fn held_rows(&self) -> Result<u64> {
        let mut held = Held::default();
        self.held.iter().cloned().try_for_each(|chunk| held.restore(chunk))?;
        Ok(held.rows() as u64)
    }
}

fn count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend((count as u64).to_le_bytes());
}

fn content(bytes: &mut Vec<u8>, content: Option<&[u8]>) {
    match content {
        Some(content) => {
            bytes.extend((content.len() as u32).to_le_bytes());
            bytes.extend(content);
        }
        None => bytes.extend(NOTHING.to_le_bytes()),
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*first))
    }

    fn content(&mut self) -> Option<Option<Vec<u8>>> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        let length = u32::from_le_bytes(*first);
        if length == NOTHING {
            return Some(None);
        }
        let (content, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(Some(content.to_vec()))
    }

    fn kept(&mut self) -> Option<Vec<Kept>> {
        // Nothing is reserved by a count: it may be anything.
        let mut all = Vec::new();
        for _ in 0..self.number()? {
            let plugin = String::from_utf8(self.content()??).ok()?;
            let mut kept = Kept { plugin, ..Kept::default() };
            for _ in 0..self.number()? {
                kept.entries.push((self.content()??, self.content()?));
            }
            for _ in 0..self.number()? {
                kept.held.push((self.number()?, self.content()?));
            }
            all.push(kept);
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_state_and_its_changes_fold_to_what_is_left() {
        let kept = |plugin: &str, entries: &[(&[u8], Option<&[u8]>)], held: &[(u64, Option<&[u8]>)]| {
            let entries = entries.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
            let held = held.iter().map(|(number, chunk)| (*number, chunk.map(<[u8]>::to_vec))).collect();
            Kept { plugin: plugin.into(), entries, held }
        };
        let whole = [
            kept("a", &[(b"gone", Some(b"1")), (b"other", Some(b"2")), (b"same", Some(b"3"))], &[(1, Some(b"x"))]),
            kept("b", &[(b"key", Some(b"9"))], &[]),
        ];
        let changes = [kept("a", &[(b"gone", None), (b"other", Some(b"22"))], &[(1, None), (2, Some(b"yy"))])];
        let folded = fold(&[encode(&whole), encode(&changes)]).expect("both can be read");
        let expected = kept("a", &[(b"other", Some(b"22")), (b"same", Some(b"3"))], &[(2, Some(b"yy"))]);
        assert_eq!(folded, [expected, whole[1].clone()]);
        assert_eq!(folded[0].bytes(), 5 + 2 + 4 + 1 + 2);
    }

    #[test]
    fn what_is_kept_is_read_back_and_nothing_else_is() {
        let kept = vec![
            Kept {
                plugin: "counter".into(),
                entries: vec![(b"a".to_vec(), Some(b"1".to_vec())), (b"b".to_vec(), None), (vec![], Some(vec![]))],
                held: vec![(7, Some(vec![1, 2, 3])), (9, None)],
            },
            Kept { plugin: "other".into(), ..Kept::default() },
        ];
        let bytes = encode(&kept);
        assert_eq!(decode(&bytes).expect("its own bytes"), kept);
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "cut after {end} bytes");
        }
        assert!(decode(&[&*bytes, &[0]].concat()).is_err(), "there is more than it says");
    }
}
