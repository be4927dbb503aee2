//! Which rows of a slot are known: their ids, in the state and at hand.
//!
//! In the state they lie in the order in which they came, in chunks: a batch adds to the last one. At hand they are a set
//! for each slot, made again from the chunks where it is needed and not there.

use std::collections::HashMap;

use weir_sdk::{BytesState, Error, Result, count};

use crate::codec::{In, Mixed, Out, mix};
use crate::config::Rules;
use crate::keys::ServiceId;
use crate::store::Totals;

/// A slot, and the number of a chunk of it. The oldest sort first.
const IDS: BytesState<(i64, u32)> = BytesState::named("i");

/// A chunk is added to while it is shorter.
const CHUNK_BYTES: usize = 8 << 10;
/// So many ids are at hand, about 14 bytes each, and those of so many slots.
const AT_HAND: usize = 1 << 20;
const SLOTS_AT_HAND: usize = 512;

/// What is known of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is new, and known from now on.
    New,
    Known,
    /// It is not known, and cannot be: there are too many of its service and slot.
    Unchecked,
}

/// Numbers that are hashes themselves, in a table without gaps for what was removed: nothing ever is.
#[derive(Debug, Default)]
struct Table {
    /// Zero where there is none.
    places: Vec<u64>,
    used: usize,
}

impl Table {
    /// A table that need not grow for so many numbers.
    fn for_numbers(numbers: usize) -> Self {
        Self { places: vec![0; numbers * 3 / 2 + 1], used: 0 }
    }

    /// Where the number is, or where it would be.
    #[inline]
    fn place(&self, number: u64) -> usize {
        let size = self.places.len();
        let mut at = (((number & u64::from(u32::MAX)) * size as u64) >> 32) as usize;
        while self.places[at] != 0 && self.places[at] != number {
            at += 1;
            if at == size {
                at = 0;
            }
        }
        at
    }

    /// Adds a number; whether it is new.
    #[inline]
    fn insert(&mut self, number: u64) -> bool {
        let number = number.max(1);
        if self.used * 4 >= self.places.len() * 3 {
            self.grow();
        }
        let at = self.place(number);
        let new = self.places[at] == 0;
        self.places[at] = number;
        self.used += usize::from(new);
        new
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.places.len() * 3 / 2).max(32);
        for number in std::mem::replace(&mut self.places, vec![0; size]) {
            if number != 0 {
                let at = self.place(number);
                self.places[at] = number;
            }
        }
    }

    #[inline]
    fn contains(&self, number: u64) -> bool {
        !self.places.is_empty() && self.places[self.place(number.max(1))] != 0
    }

    /// What stands where the search for a number begins.
    #[inline]
    fn glance(&self, number: u64) -> u64 {
        let at = ((number & u64::from(u32::MAX)) * self.places.len() as u64) >> 32;
        self.places.get(at as usize).copied().unwrap_or(0)
    }
}

/// Sets of more numbers are many tables, so that they do not stand twice in memory while they grow.
const SPLIT: usize = 1 << 15;
const PARTS: usize = 64;
/// From so many numbers on a set is made as large as it is expected to become: growing costs more than adding.
const GUESS: usize = 1 << 10;

/// A set of numbers that are hashes themselves.
#[derive(Debug)]
struct Set {
    parts: Vec<Table>,
    len: usize,
    /// How many numbers it may come to have.
    expected: usize,
}

impl Set {
    fn new(expected: usize) -> Self {
        Self { parts: vec![Table::default()], len: 0, expected }
    }

    #[inline]
    fn part(&self, number: u64) -> usize {
        if self.parts.len() == 1 { 0 } else { (number >> 58) as usize }
    }

    #[inline]
    fn insert(&mut self, number: u64) -> bool {
        let part = self.part(number);
        let new = self.parts[part].insert(number);
        self.len += usize::from(new);
        if new && (self.len == GUESS || self.len == SPLIT) {
            self.make_room();
        }
        new
    }

    #[inline]
    fn contains(&self, number: u64) -> bool {
        self.parts[self.part(number)].contains(number)
    }

    #[cold]
    fn make_room(&mut self) {
        let wanted = self.expected.max(self.len + self.len / 2);
        let parts = if wanted > SPLIT { PARTS } else { 1 };
        if parts == self.parts.len() && self.len > GUESS {
            return;
        }
        // Parts are not of one size: a little more for each.
        let each = (wanted + wanted / 8) / parts;
        let tables = (0..parts).map(|_| Table::for_numbers(each)).collect();
        let whole = std::mem::replace(&mut self.parts, tables);
        for number in whole.into_iter().flat_map(|table| table.places).filter(|number| *number != 0) {
            let part = self.part(number);
            self.parts[part].insert(number);
        }
    }
}

/// The ids of a slot.
#[derive(Debug)]
struct OfSlot {
    slot: i64,
    known: Set,
    /// What this call has added.
    new: Vec<(ServiceId, u64)>,
    /// The last chunk, as it is in the state.
    chunk: u32,
    bytes: Vec<u8>,
    /// The last call that asked for it.
    used: u64,
}

/// A chunk is runs of ids of a service.
fn read_chunk(bytes: &[u8], mut each: impl FnMut(ServiceId, u64)) -> Option<()> {
    let mut bytes = In(bytes);
    while !bytes.0.is_empty() {
        let (service, ids) = (bytes.small()?, bytes.u()?);
        for _ in 0..ids {
            each(service, bytes.hash()?);
        }
    }
    Some(())
}

impl OfSlot {
    fn load(slot: i64, expected: usize) -> Result<Self> {
        let mut ids = Self { slot, known: Set::new(expected), new: Vec::new(), chunk: 0, bytes: Vec::new(), used: 0 };
        IDS.each(&slot, |(_, chunk), bytes| {
            let read = read_chunk(&bytes, |service, id| _ = ids.known.insert(mix(id, service.into())));
            read.ok_or_else(|| Error::new("ids in the state cannot be read: discard the state"))?;
            (ids.chunk, ids.bytes) = (chunk, bytes);
            Ok(())
        })?;
        Ok(ids)
    }

    fn save(&mut self, totals: &mut Totals) -> Result {
        if self.new.is_empty() {
            return Ok(());
        }
        if self.bytes.len() >= CHUNK_BYTES {
            self.chunk += 1;
            self.bytes.clear();
        }
        let before = self.bytes.len();
        let mut out = Out(std::mem::take(&mut self.bytes));
        out.0.reserve(self.new.len() * 9);
        for run in self.new.chunk_by(|one, other| one.0 == other.0) {
            let service = run.first().map_or(0, |(service, _)| *service);
            out.u(service.into()).u(run.len() as u64);
            run.iter().for_each(|(_, id)| _ = out.hash(*id));
        }
        self.new.clear();
        totals.id_bytes += (out.0.len() - before) as u64;
        IDS.put(&(self.slot, self.chunk), &out.0)?;
        // A full one is not added to: there is no need to keep it at hand.
        if out.0.len() >= CHUNK_BYTES {
            self.chunk += 1;
            out.0 = Vec::new();
        }
        self.bytes = out.0;
        Ok(())
    }
}

/// The ids of all slots.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    at_hand: Vec<OfSlot>,
    places: HashMap<i64, usize, Mixed>,
    calls: u64,
    /// How many the slots before came to have: the next ones are likely to.
    expected: usize,
}

impl Ids {
    /// The place of a slot's ids, for this call.
    pub(crate) fn place(&mut self, slot: i64) -> Result<usize> {
        let place = match self.places.get(&slot) {
            Some(&place) => place,
            None => {
                let newer = self.at_hand.iter().all(|ids| ids.slot < slot);
                let last = self.at_hand.iter().max_by_key(|ids| ids.slot).filter(|_| newer);
                self.expected = last.map_or(self.expected, |ids| ids.known.len.max(self.expected / 2));
                // A slot in the past has few, whatever the newest ones have.
                let expected = if newer { self.expected + self.expected / 16 } else { 0 };
                self.at_hand.push(OfSlot::load(slot, expected)?);
                self.places.insert(slot, self.at_hand.len() - 1);
                self.at_hand.len() - 1
            }
        };
        self.at_hand[place].used = self.calls;
        Ok(place)
    }

    /// Brings what the search for these ids will look at into the processor's caches. One after the other each would be waited
    /// for; a loop that does nothing else waits for many at once.
    #[inline]
    pub(crate) fn warm(&self, place: usize, ids: impl Iterator<Item = (ServiceId, u64)>) {
        let Some(of_slot) = self.at_hand.get(place) else { return };
        let set = &of_slot.known;
        let seen = ids.fold(0, |seen, (service, id)| {
            let number = mix(id, service.into());
            seen ^ set.parts[set.part(number)].glance(number)
        });
        std::hint::black_box(seen);
    }

    /// Looks for an id of a service in the slot of that place, and knows it from now on, if there is `room`.
    #[inline]
    pub(crate) fn see(&mut self, place: usize, service: ServiceId, id: u64, room: bool) -> Seen {
        let ids = &mut self.at_hand[place];
        let number = mix(id, service.into());
        if !room {
            return if ids.known.contains(number) { Seen::Known } else { Seen::Unchecked };
        }
        if !ids.known.insert(number) {
            return Seen::Known;
        }
        ids.new.push((service, id));
        Seen::New
    }

    /// Writes what is new, and keeps at hand what the next calls are likely to want.
    pub(crate) fn save(&mut self, totals: &mut Totals) -> Result {
        self.at_hand.iter_mut().try_for_each(|ids| ids.save(totals))?;
        self.calls += 1;
        let mut ids: usize = self.at_hand.iter().map(|ids| ids.known.len).sum();
        if ids <= AT_HAND && self.at_hand.len() <= SLOTS_AT_HAND {
            return Ok(());
        }
        // The newest stay, and of those that were asked for last as many as there is room for.
        self.at_hand.sort_unstable_by_key(|ids| (ids.used, ids.slot));
        let surplus = self.at_hand.len().saturating_sub(SLOTS_AT_HAND / 2);
        let last = self.at_hand.len().saturating_sub(1);
        let old = self.at_hand.iter().take(last).enumerate().take_while(|(place, of_slot)| {
            let is_old = *place < surplus || ids > AT_HAND / 2;
            ids -= of_slot.known.len;
            is_old
        });
        let old = old.count();
        self.at_hand.drain(..old);
        self.places = self.at_hand.iter().enumerate().map(|(place, ids)| (ids.slot, place)).collect();
        Ok(())
    }

    /// Forgets what is older than the floor, and the oldest while there is more than is allowed: such slots are closed.
    pub(crate) fn forget(&mut self, rules: &Rules, totals: &mut Totals) -> Result {
        let limit = rules.config.dedup_bytes_max;
        let over = totals.id_bytes > limit;
        let mut forgotten = false;
        loop {
            let page = IDS.first(16)?;
            let mut kept = page.is_empty();
            for (at, bytes) in page {
                let old = totals.floor.is_some_and(|floor| at.0 < floor);
                let surplus = over && totals.id_bytes > limit / 10 * 9;
                if !old && !surplus {
                    kept = true;
                    break;
                }
                if !old {
                    // Rows of this slot could not be told from their duplicates any more.
                    count("slots_closed_early", 1);
                    totals.floor = totals.floor.max(Some(at.0 + 1));
                }
                IDS.delete(&at);
                forgotten = true;
                totals.id_bytes = totals.id_bytes.saturating_sub(bytes.len() as u64);
            }
            if kept {
                break;
            }
        }
        if forgotten {
            let floor = totals.floor.unwrap_or(i64::MIN);
            self.at_hand.retain(|ids| ids.slot >= floor);
            self.places = self.at_hand.iter().enumerate().map(|(place, ids)| (ids.slot, place)).collect();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_knows_what_was_added_and_nothing_else_whatever_its_size() {
        for expected in [0, 5_000, 90_000, 400_000] {
            let mut set = Set::new(expected);
            let numbers = |from: u64, to: u64| (from..to).map(|number| mix(0, number));
            assert!(numbers(0, 200_000).all(|number| set.insert(number)));
            assert!(set.insert(0), "also the number that stands for none");
            assert!(numbers(0, 200_000).chain([0]).all(|number| !set.insert(number)));
            assert!(numbers(0, 200_000).all(|number| set.contains(number)));
            assert!(!numbers(200_000, 300_000).any(|number| set.contains(number)));
            assert_eq!(set.len, 200_001);
        }
    }

    #[test]
    fn a_chunk_is_read_back_and_one_that_is_cut_is_none() {
        let mut out = Out::default();
        out.u(300).u(2).hash(1).hash(2).u(7).u(1).hash(3);
        let mut read = Vec::new();
        assert_eq!(read_chunk(&out.0, |service, id| read.push((service, id))), Some(()));
        assert_eq!(read, [(300, 1), (300, 2), (7, 3)]);
        assert_eq!(read_chunk(&out.0[..out.0.len() - 1], |_, _| ()), None);
    }
}
