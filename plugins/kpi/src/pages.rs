//! Slots at hand, and how what calls change of them comes into the state.
//!
//! Rows come in the order of time and of many services: so a slot of [`PAGE`] services is one entry of the state. A batch
//! touches many of them and changes each a little, and the next one changes them again. So a call writes only what it
//! changed, in one entry (the journal); pages are written, and the journal is deleted, when it has grown, when pages leave
//! the memory, and before anybody reads them in the state.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use weir_sdk::{BytesState, Error, Result};

use crate::codec::{In, Mixed, Out};
use crate::config::Rules;
use crate::keys::ServiceId;
use crate::slots::{PAGE, Page, Slot};

/// A quarter of an hour, a page of services, and a slot. The oldest sort first, and the slots of a page stand together.
pub(crate) type At = (i64, u32, i64);

pub(crate) const PAGES: BytesState<At> = BytesState::named("c");
/// What calls have changed that the pages in the state do not have yet, by their numbers.
const JOURNAL: BytesState<u64> = BytesState::named("j");

/// So many pages are at hand, of at most 16 KB each.
const AT_HAND: usize = 1024;
/// The journal is worked into the pages after so many calls or bytes: reading it is part of a start.
const JOURNAL_CALLS: u64 = 64;
const JOURNAL_BYTES: usize = 512 << 10;

pub(crate) fn broken() -> Error {
    Error::new("slots in the state cannot be read: discard the state")
}

/// The page of a service in a slot, and its place there.
pub(crate) fn page_of(rules: &Rules, id: ServiceId, slot: i64) -> (At, usize) {
    ((slot.div_euclid(rules.block), id / PAGE, slot), (id % PAGE) as usize)
}

/// A page at hand.
#[derive(Debug)]
struct AtHand {
    at: At,
    page: Page,
    /// The places that this call has changed, a bit each.
    touched: [u64; 2],
    /// Whether it is not in the state as it is here.
    ahead: bool,
    /// How many bytes it has in the state.
    stored: usize,
}

impl AtHand {
    fn load(at: At) -> Result<Self> {
        let bytes = PAGES.get(&at).unwrap_or_default();
        let page = Page::decode(&bytes).ok_or_else(broken)?;
        Ok(Self { at, page, touched: [0; 2], ahead: false, stored: bytes.len() })
    }

    /// The places that this call has changed.
    fn places(&self) -> impl Iterator<Item = usize> {
        let bits = |word: usize, mut bits: u64| {
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits.wrapping_sub(1);
                (bit < 64).then_some(word * 64 + bit)
            })
        };
        bits(0, self.touched[0]).chain(bits(1, self.touched[1]))
    }
}

/// A page at hand and the place of a service there, until pages are [put away](Pages::era).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    page: u32,
    place: u32,
}

/// The pages at hand.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    at_hand: Vec<AtHand>,
    known: HashMap<At, u32, Mixed>,
    /// Those that this call has changed.
    changed: Vec<u32>,
    /// The numbers of the entries of the journal, and their bytes.
    journal: Range<u64>,
    journal_bytes: usize,
    /// How often pages were put away: places from before are none any more.
    era: u64,
    /// The bytes that pages have come to take in the state, less those that they took.
    grown: i64,
}

impl Pages {
    /// The pages that are ahead of the state.
    pub(crate) fn load(rules: &Rules) -> Result<Self> {
        let mut pages = Self::default();
        let mut entries = Vec::new();
        JOURNAL.each(&(), |number, bytes| {
            entries.push((number, bytes));
            Ok(())
        })?;
        for (number, bytes) in entries {
            pages.replay(rules, &bytes)?;
            pages.journal.end = number + 1;
            pages.journal_bytes += bytes.len();
        }
        Ok(pages)
    }

    fn replay(&mut self, rules: &Rules, bytes: &[u8]) -> Result {
        let mut bytes = In(bytes);
        while !bytes.0.is_empty() {
            let mut head = || Some((bytes.i()?, bytes.small()?, bytes.u()?));
            let (slot, page, places) = head().ok_or_else(broken)?;
            let first = page.checked_mul(PAGE).ok_or_else(broken)?;
            for _ in 0..places {
                let place = bytes.small().filter(|place| *place < PAGE).ok_or_else(broken)?;
                let known = Slot::read_short(&mut bytes).ok_or_else(broken)?;
                let place = self.open(rules, first + place, slot)?;
                let page = &mut self.at_hand[place.page as usize];
                *page.page.at_mut(place.place as usize) = known;
                page.ahead = true;
            }
        }
        Ok(())
    }

    /// The place of a service in a slot.
    pub(crate) fn open(&mut self, rules: &Rules, id: ServiceId, slot: i64) -> Result<Place> {
        // Rows of many slots at once must not fill the memory.
        if self.at_hand.len() >= 2 * AT_HAND {
            self.put_away()?;
        }
        let (at, place) = page_of(rules, id, slot);
        let page = match self.known.entry(at) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                self.at_hand.push(AtHand::load(at)?);
                *entry.insert(self.at_hand.len() as u32 - 1)
            }
        };
        // So that it is there from now on.
        self.at_hand[page as usize].page.at_mut(place);
        Ok(Place { page, place: place as u32 })
    }

    /// How often pages were put away. A [`Place`] is good while this is the same.
    #[inline]
    pub(crate) fn era(&self) -> u64 {
        self.era
    }

    /// The slot of that place.
    #[inline]
    pub(crate) fn slot(&self, place: Place) -> &Slot {
        self.at_hand[place.page as usize].page.get(place.place as usize)
    }

    /// The slot of that place, to be changed; and whether it is the first time in this call.
    #[inline]
    pub(crate) fn touch(&mut self, place: Place) -> (&mut Slot, bool) {
        let page = &mut self.at_hand[place.page as usize];
        let (word, bit) = ((place.place as usize / 64) & 1, 1_u64 << (place.place % 64));
        let first = page.touched[word] & bit == 0;
        if first {
            if page.touched == [0; 2] {
                self.changed.push(place.page);
            }
            page.touched[word] |= bit;
            page.ahead = true;
        }
        (page.page.at_mut(place.place as usize), first)
    }

    /// The end of a call: what it has changed comes into the state.
    pub(crate) fn save(&mut self) -> Result {
        if self.changed.is_empty() {
            return Ok(());
        }
        if self.journal.end >= JOURNAL_CALLS || self.journal_bytes >= JOURNAL_BYTES {
            return self.fold();
        }
        if self.at_hand.len() > AT_HAND {
            return self.put_away();
        }
        let mut out = Out::default();
        for number in std::mem::take(&mut self.changed) {
            let page = &mut self.at_hand[number as usize];
            let (.., services, slot) = page.at;
            let places = page.touched[0].count_ones() + page.touched[1].count_ones();
            out.i(slot).u(services.into()).u(places.into());
            for place in page.places() {
                page.page.get(place).write_short(out.u(place as u64));
            }
            page.touched = [0; 2];
        }
        self.journal_bytes += out.0.len();
        JOURNAL.put(&self.journal.end, &out.0)?;
        self.journal.end += 1;
        Ok(())
    }

    /// Whether pages are in the state as they are here.
    pub(crate) fn is_settled(&self) -> bool {
        self.journal.is_empty() && self.changed.is_empty()
    }

    /// Works the journal into the pages: from now on they are in the state as they are here.
    pub(crate) fn fold(&mut self) -> Result {
        let mut bytes = Vec::new();
        for page in self.at_hand.iter_mut().filter(|page| page.ahead) {
            bytes.clear();
            page.page.encode(&mut bytes);
            self.grown += bytes.len() as i64 - page.stored as i64;
            (page.ahead, page.stored, page.touched) = (false, bytes.len(), [0; 2]);
            PAGES.put(&page.at, &bytes)?;
        }
        self.changed.clear();
        self.journal.by_ref().for_each(|number| JOURNAL.delete(&number));
        (self.journal, self.journal_bytes) = (0..0, 0);
        Ok(())
    }

    /// Works the journal in, and keeps at hand only what the next calls are likely to want.
    fn put_away(&mut self) -> Result {
        self.fold()?;
        // Rows come for the newest slot and, while they are a little late, the one before.
        let newest = self.at_hand.iter().map(|page| page.at.2).max().unwrap_or(0);
        self.at_hand.retain(|page| page.at.2 >= newest - 1);
        if self.at_hand.len() > AT_HAND {
            self.at_hand.clear();
        }
        self.number();
        Ok(())
    }

    fn number(&mut self) {
        self.era += 1;
        self.known = (0..).zip(&self.at_hand).map(|(number, page)| (page.at, number)).collect();
    }

    /// The pages of before that quarter of an hour are no more. The journal has to be worked in before.
    pub(crate) fn forget(&mut self, block: i64) {
        let before = self.at_hand.len();
        self.at_hand.retain(|page| page.at.0 >= block);
        if self.at_hand.len() < before {
            self.number();
        }
    }

    /// The bytes by which pages in the state have grown since this was asked last.
    pub(crate) fn take_grown(&mut self) -> i64 {
        std::mem::take(&mut self.grown)
    }
}
