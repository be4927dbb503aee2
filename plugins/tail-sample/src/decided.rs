//! The traces that are decided, so that rows that come late follow: the newest so many, the oldest are forgotten.

use std::collections::{HashMap, VecDeque};

use weir_sdk::prelude::*;

use crate::traces::TraceId;

/// The threshold by which a trace was kept, 0 where it was kept whatever its randomness; none where it was dropped.
pub(crate) type Decision = Option<u64>;

/// So many decisions go into one entry of the state: an entry each would cost more than what is in it.
const CHUNK: usize = 1024;

/// Decisions by their number: a threshold and the ids that have it, in hexadecimal digits.
const STATE: State<u64, Vec<(Decision, String)>> = State::named("decided");

#[derive(Debug)]
pub(crate) struct Decided {
    decisions: HashMap<TraceId, Decision>,
    /// The entries of the state, the oldest first, each with its key.
    chunks: VecDeque<(u64, Vec<TraceId>)>,
    max: usize,
}

impl Decided {
    pub(crate) fn load(max: usize) -> Result<Self> {
        let mut decided = Self { decisions: HashMap::new(), chunks: VecDeque::new(), max };
        for (number, groups) in STATE.scan()? {
            let mut ids = Vec::new();
            for (decision, hex) in groups {
                for id in hex.as_bytes().chunks(32) {
                    let id = read_hex(id).ok_or_else(|| Error::new("state \"decided\" holds what is no trace id"))?;
                    decided.decisions.insert(id, decision);
                    ids.push(id);
                }
            }
            decided.chunks.push_back((number, ids));
        }
        Ok(decided)
    }

    pub(crate) fn get(&self, id: &TraceId) -> Option<Decision> {
        self.decisions.get(id).copied()
    }

    /// Remembers decisions, of which no trace is remembered yet; tells how many older ones are forgotten for them.
    pub(crate) fn add(&mut self, decisions: &[(TraceId, Decision)]) -> Result<usize> {
        for chunk in decisions.chunks(CHUNK) {
            self.decisions.extend(chunk.iter().copied());
            let number = self.chunks.back().map_or(0, |(number, _)| number + 1);
            let ids = chunk.iter().map(|(id, _)| *id).collect();
            self.store(number, &ids)?;
            self.chunks.push_back((number, ids));
        }
        let mut excess = self.decisions.len().saturating_sub(self.max);
        let forgotten = excess;
        while excess > 0 {
            let Some((number, mut ids)) = self.chunks.pop_front() else { break };
            for id in ids.drain(..ids.len().min(excess)) {
                self.decisions.remove(&id);
                excess -= 1;
            }
            if ids.is_empty() {
                STATE.delete(&number);
            } else {
                self.store(number, &ids)?;
                self.chunks.push_front((number, ids));
            }
        }
        Ok(forgotten)
    }

    fn store(&self, number: u64, ids: &Vec<TraceId>) -> Result {
        let mut groups: Vec<(Decision, String)> = Vec::new();
        for id in ids {
            let Some(decision) = self.get(id) else { continue };
            // Neighbours share their threshold more often than not; so the order of the ids is kept too.
            match groups.last_mut() {
                Some((last, hex)) if *last == decision => write_hex(id, hex),
                _ => {
                    let mut hex = String::new();
                    write_hex(id, &mut hex);
                    groups.push((decision, hex));
                }
            }
        }
        STATE.put(&number, &groups)
    }
}

fn write_hex(id: &TraceId, hex: &mut String) {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    hex.extend(id.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

fn read_hex(hex: &[u8]) -> Option<TraceId> {
    let mut id = [0; 16];
    let (pairs, rest) = hex.as_chunks::<2>();
    if pairs.len() != id.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> TraceId {
        [number; 16]
    }

    #[test]
    fn decisions_are_read_back_in_their_order_and_the_oldest_are_forgotten_first() {
        let mut decided = Decided::load(4).expect("an empty state");
        let first = [(id(0xa1), None), (id(2), Some(0)), (id(3), None)];
        assert_eq!(decided.add(&first).expect("room"), 0);
        let mut decided = Decided::load(4).expect("what was stored");
        assert_eq!(first.map(|(id, _)| decided.get(&id)), first.map(|(_, decision)| Some(decision)));
        assert_eq!(decided.add(&[(id(4), Some(7)), (id(5), None), (id(6), None)]).expect("room"), 2);
        let decided = Decided::load(4).expect("what was stored");
        assert_eq!(
            [0xa1, 2, 3, 4, 5, 6].map(|number| decided.get(&id(number)).is_some()),
            [false, false, true, true, true, true]
        );
        assert_eq!(decided.get(&id(4)), Some(Some(7)));
    }

    #[test]
    fn many_decisions_take_several_entries_and_none_is_lost() {
        let mut decided = Decided::load(3000).expect("an empty state");
        let all: Vec<_> = (0..3000_u128).map(|number| (number.to_be_bytes(), Some(number as u64 % 3))).collect();
        assert_eq!(decided.add(&all).expect("room"), 0);
        let decided = Decided::load(3000).expect("what was stored");
        assert_eq!(decided.chunks.len(), 3);
        assert!(all.iter().all(|(id, decision)| decided.get(id) == Some(*decision)));
    }
}
