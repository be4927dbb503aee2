//! What is kept of the signals: counts by slot, those of many services together.
//!
//! All counts are integers, in parts of [`ONE`], so that sums do not depend on the order of their parts.

use crate::codec::{In, Out};
use crate::config::Rules;

/// A request in the fixed-point numbers in which requests are counted: a sampled span stands for a fraction more than
/// one, and a data point's requests are spread over the slots that it covers.
pub(crate) const ONE: u64 = 1 << 16;
/// The greatest weight of a row, so that no sum overflows: a thousand million.
const WEIGHT_MAX: f64 = 1e9;

/// A quarter of an hour, in seconds: slots are forgotten by them. Every time zone is a whole number of them away from UTC.
pub(crate) const BLOCK_S: i64 = 900;

/// Requests as fixed-point numbers.
#[inline]
pub(crate) fn fixed(weight: f64) -> u64 {
    // A weight that is not a number counts as nothing.
    (weight.clamp(0.0, WEIGHT_MAX) * ONE as f64).round() as u64
}

/// Fixed-point numbers as requests.
pub(crate) fn requests(fixed: u64) -> f64 {
    fixed as f64 / ONE as f64
}

/// Where counts come from. The first that a service has is its source of truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Histograms of the stable conventions.
    Metrics,
    /// Histograms of the convention before, which may be sent beside those.
    Legacy,
    /// Spans of kind SERVER and CONSUMER.
    Spans,
}

/// Requests of a source in a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requests, in parts of [`ONE`].
    pub(crate) valid: u64,
    /// Those that failed.
    pub(crate) bad: u64,
    /// Those over the latency threshold.
    pub(crate) slow: u64,
    /// Rows that speak of the slot, also where they tell of no request.
    pub(crate) rows: u64,
}

impl Counts {
    const NONE: Self = Self { valid: 0, bad: 0, slow: 0, rows: 0 };

    #[inline]
    pub(crate) fn add(&mut self, other: Self) {
        // Wrapping, since what was added wrongly is taken away again by `sub`: the sum is right whatever the order.
        self.valid = self.valid.wrapping_add(other.valid);
        self.bad = self.bad.wrapping_add(other.bad);
        self.slow = self.slow.wrapping_add(other.slow);
        self.rows = self.rows.wrapping_add(other.rows);
    }

    pub(crate) fn sub(&mut self, other: Self) {
        self.valid = self.valid.wrapping_sub(other.valid);
        self.bad = self.bad.wrapping_sub(other.bad);
        self.slow = self.slow.wrapping_sub(other.slow);
        self.rows = self.rows.wrapping_sub(other.rows);
    }
}

/// What is known of a service in a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// By [`Source`].
    pub(crate) sources: [Counts; 3],
    /// Probes that found it well, and those that did not.
    pub(crate) probes: [u64; 2],
    /// Whether rows were counted that could not be checked for being duplicates.
    pub(crate) unchecked: bool,
}

impl Slot {
    #[inline]
    pub(crate) fn of(&self, source: Source) -> &Counts {
        &self.sources[source as usize]
    }

    pub(crate) fn probed(&self) -> bool {
        self.probes != [0, 0]
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn write(&self, out: &mut Out) {
        let used = |index: usize| u64::from(self.sources[index] != Counts::NONE) << index;
        let sources = used(0) | used(1) | used(2);
        out.u(sources | u64::from(self.probed()) << 3 | u64::from(self.unchecked) << 4);
        for counts in self.sources.iter().filter(|counts| **counts != Counts::NONE) {
            write_fixed(counts.valid, out);
            write_fixed(counts.bad, out);
            write_fixed(counts.slow, out);
            out.u(counts.rows);
        }
        if self.probed() {
            out.u(self.probes[0]).u(self.probes[1]);
        }
    }

    fn read(bytes: &mut In<'_>) -> Option<Self> {
        let mut slot = Self::default();
        let used = bytes.u()?;
        for (index, counts) in slot.sources.iter_mut().enumerate().filter(|(index, _)| used >> index & 1 == 1) {
            let _ = index;
            let (valid, bad, slow) = (read_fixed(bytes)?, read_fixed(bytes)?, read_fixed(bytes)?);
            *counts = Counts { valid, bad, slow, rows: bytes.u()? };
        }
        if used & 8 != 0 {
            slot.probes = [bytes.u()?, bytes.u()?];
        }
        slot.unchecked = used & 16 != 0;
        Some(slot)
    }
}

/// What stands before a slot in its short form: so many requests, none of which failed or was slow; else one of these.
const PLAIN_MAX: u64 = 200;
/// A number of requests, none of which failed or was slow.
const PLAIN: u64 = 201;
/// Requests, those that failed, and the slow ones.
const SPANS: u64 = 202;
/// Anything else.
const OTHER: u64 = 203;

impl Slot {
    /// The requests that spans tell of, those that failed and the slow ones, where a slot has nothing else and all are whole.
    fn plain(&self) -> Option<[u64; 3]> {
        let spans = self.of(Source::Spans);
        let whole = [spans.valid, spans.bad, spans.slow].iter().all(|count| count.is_multiple_of(ONE));
        let alone = Self { sources: [Counts::NONE, Counts::NONE, *spans], ..Self::default() } == *self;
        let plain = whole && alone && spans.rows == spans.valid / ONE;
        plain.then_some([spans.rows, spans.bad / ONE, spans.slow / ONE])
    }

    /// Writes it as it is in a page: mostly a byte. Never begins with a zero.
    pub(crate) fn write_short(&self, out: &mut Out) {
        match self.plain() {
            Some([valid @ 1..=PLAIN_MAX, 0, 0]) => out.0.push(valid as u8),
            Some([valid, 0, 0]) => {
                out.0.push(PLAIN as u8);
                out.u(valid);
            }
            Some([valid, bad, slow]) => {
                out.0.push(SPANS as u8);
                out.u(valid).u(bad).u(slow);
            }
            None => {
                out.0.push(OTHER as u8);
                self.write(out);
            }
        }
    }

    pub(crate) fn read_short(bytes: &mut In<'_>) -> Option<Self> {
        let (&first, rest) = bytes.0.split_first()?;
        bytes.0 = rest;
        let [valid, bad, slow] = match first.into() {
            valid @ 1..=PLAIN_MAX => [valid, 0, 0],
            PLAIN => [bytes.u()?, 0, 0],
            SPANS => [bytes.u()?, bytes.u()?, bytes.u()?],
            OTHER => return Self::read(bytes),
            _ => return None,
        };
        let parts = |count: u64| count.wrapping_mul(ONE);
        let spans = Counts { valid: parts(valid), bad: parts(bad), slow: parts(slow), rows: valid };
        Some(Self { sources: [Counts::NONE, Counts::NONE, spans], ..Self::default() })
    }
}

/// Whole requests, which most are, without their fraction of zeros.
pub(crate) fn write_fixed(value: u64, out: &mut Out) {
    // Rotating keeps every bit: a whole number has its low bits at the top, where they are zeros.
    if value.is_multiple_of(ONE) {
        out.u(value / ONE * 2);
    } else {
        out.u(1).u(value);
    }
}

pub(crate) fn read_fixed(bytes: &mut In<'_>) -> Option<u64> {
    match bytes.u()? {
        1 => bytes.u(),
        whole => Some((whole / 2).wrapping_mul(ONE)),
    }
}

/// Services of a page.
pub(crate) const PAGE: u32 = 128;

/// A slot of many services: those of consecutive numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    slots: Vec<Slot>,
}

impl Page {
    /// The slot of the service of that place.
    pub(crate) fn at(&self, place: usize) -> Slot {
        self.slots.get(place).copied().unwrap_or_default()
    }

    /// The slot of a place that was [asked for](Self::at_mut) before.
    #[inline]
    pub(crate) fn get(&self, place: usize) -> &Slot {
        &self.slots[place]
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, place: usize) -> &mut Slot {
        if place >= self.slots.len() {
            self.slots.resize(place + 1, Slot::default());
        }
        &mut self.slots[place]
    }

    /// The slots that say something, one after the other; a zero and how many there are stand for those that do not.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        let (mut out, mut next) = (Out(std::mem::take(bytes)), 0);
        for (place, slot) in self.slots.iter().enumerate().filter(|(_, slot)| !slot.is_empty()) {
            if place > next {
                out.u(0).u((place - next) as u64);
            }
            slot.write_short(&mut out);
            next = place + 1;
        }
        *bytes = out.0;
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut page = Self::default();
        read_each(bytes, |place, slot| {
            page.slots.resize(place, Slot::default());
            page.slots.push(slot);
            true
        })?;
        Some(page)
    }

    /// The slot of one place, without more than a glance at the others.
    pub(crate) fn decode_one(bytes: &[u8], wanted: usize) -> Option<Slot> {
        let mut found = Slot::default();
        read_each(bytes, |place, slot| {
            if place == wanted {
                found = slot;
            }
            place < wanted
        })?;
        Some(found)
    }
}

/// Hands over the slots of a page that say something, with their places, while `each` wants more.
fn read_each(bytes: &[u8], mut each: impl FnMut(usize, Slot) -> bool) -> Option<()> {
    let (mut bytes, mut place) = (In(bytes), 0);
    while let Some(first) = bytes.0.first() {
        if *first == 0 {
            bytes.0 = &bytes.0[1..];
            place += usize::try_from(bytes.u()?).ok().filter(|apart| *apart <= PAGE as usize)?;
            continue;
        }
        let slot = Slot::read_short(&mut bytes)?;
        if place >= PAGE as usize {
            return None;
        }
        if !each(place, slot) {
            return Some(());
        }
        place += 1;
    }
    Some(())
}

/// Slots in a row, as an evaluation wants them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    /// The number of the first.
    pub(crate) first: i64,
    pub(crate) slots: Vec<Slot>,
}

impl Timeline {
    /// The slot of that number; an empty one where there is none.
    pub(crate) fn at(&self, slot: i64) -> &Slot {
        const EMPTY: &Slot = &Slot { sources: [Counts::NONE; 3], probes: [0, 0], unchecked: false };
        usize::try_from(slot - self.first).ok().and_then(|index| self.slots.get(index)).unwrap_or(EMPTY)
    }
}

/// Which source is the truth of a service: metrics where there were any within the hour before, else spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    /// The last slot with metrics, and with those of the older convention.
    pub(crate) last: [Option<i64>; 2],
}

impl Truth {
    /// The source at a slot; asked in the order of slots.
    pub(crate) fn at(&mut self, rules: &Rules, slots: &Timeline, slot: i64) -> Source {
        let known = slots.at(slot);
        for (last, source) in self.last.iter_mut().zip([Source::Metrics, Source::Legacy]) {
            if known.of(source).rows > 0 {
                *last = Some(slot);
            }
            if last.is_some_and(|last| slot - last <= rules.hour) {
                return source;
            }
        }
        Source::Spans
    }

    pub(crate) fn write(&self, out: &mut Out) {
        out.maybe(self.last[0]).maybe(self.last[1]);
    }

    pub(crate) fn read(bytes: &mut In<'_>) -> Option<Self> {
        Some(Self { last: [bytes.maybe()?, bytes.maybe()?] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_back_as_it_was_written() {
        let mut page = Page::default();
        page.at_mut(3).sources[2] = Counts { valid: 7 * ONE, bad: 1, slow: ONE + 1, rows: 5 };
        page.at_mut(3).unchecked = true;
        page.at_mut(4).probes = [1, 2];
        page.at_mut(PAGE as usize - 1).sources[0] = Counts { valid: u64::MAX, bad: 0, slow: 0, rows: 1 };
        let mut bytes = Vec::new();
        page.encode(&mut bytes);
        assert_eq!(Page::decode(&bytes), Some(page.clone()));
        for place in 0..PAGE as usize {
            assert_eq!(Page::decode_one(&bytes, place), Some(page.at(place)), "{place}");
        }
        assert_eq!(Page::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Page::decode_one(&bytes[..bytes.len() - 1], PAGE as usize - 1), None);
        assert_eq!(Page::decode(&[0, 128, 1, 1]), None, "beyond the page");
    }

    #[test]
    fn a_slot_of_a_thousand_requests_takes_few_bytes() {
        let mut page = Page::default();
        for place in 0..PAGE as usize {
            page.at_mut(place).sources[2] = Counts { valid: 1000 * ONE, bad: 3 * ONE, slow: 0, rows: 1000 };
        }
        let mut bytes = Vec::new();
        page.encode(&mut bytes);
        assert!(bytes.len() <= 5 * PAGE as usize, "{}", bytes.len());
    }

    #[test]
    fn a_weight_that_is_no_number_counts_as_nothing() {
        assert_eq!(fixed(f64::NAN), 0);
        assert_eq!(fixed(-1.0), 0);
        assert_eq!(fixed(f64::INFINITY), 1_000_000_000 * ONE);
        assert_eq!(requests(fixed(1.5)), 1.5);
    }
}
