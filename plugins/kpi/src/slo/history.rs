//! What a service's requests were, slot by slot, and hour by hour where the slots are no longer kept; sums of any
//! window.

use std::ops::Sub;

use super::{HOUR_NS, HOUR_SLOTS, SLOT_NS};

/// The requests of 10 s. A slot without one is not there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slot {
    /// Start of the slot, in nanoseconds since 1970.
    pub(crate) start: i64,
    /// Valid requests, weighted by what each stands for.
    pub(crate) valid: f64,
    /// Bad ones of them.
    pub(crate) bad: f64,
    /// Whether the slot is in planned maintenance.
    pub(crate) planned: bool,
}

/// The requests of an hour whose slots are no longer kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Hour {
    /// Start of the hour, in nanoseconds since 1970.
    pub(crate) start: i64,
    /// Valid requests, in maintenance or not.
    pub(crate) valid: f64,
    /// Bad ones of them.
    pub(crate) bad: f64,
    /// Valid requests in planned maintenance.
    pub(crate) planned_valid: f64,
    /// Bad ones of them.
    pub(crate) planned_bad: f64,
}

/// Sums in 2^-20 of a request: whole numbers, so that a sum is the same whatever was added first and nothing is lost
/// when a window moves. They wrap around; a difference is right while it is below 8.8e12 requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) valid: i64,
    pub(super) bad: i64,
    pub(super) planned_valid: i64,
    pub(super) planned_bad: i64,
}

const UNIT: f64 = (1_u64 << 20) as f64;
/// More than this no slot has had: what claims so is cut, so that one row cannot spoil the sums of a month.
const COUNT_MAX: f64 = 1e12;

fn units(count: f64) -> i64 {
    (count.clamp(0.0, COUNT_MAX) * UNIT).round() as i64
}

impl Sums {
    fn zip(self, other: Self, with: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            valid: with(self.valid, other.valid),
            bad: with(self.bad, other.bad),
            planned_valid: with(self.planned_valid, other.planned_valid),
            planned_bad: with(self.planned_bad, other.planned_bad),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        self.zip(other, i64::wrapping_add)
    }

    /// The share of `part` in `whole`.
    fn share(self, part: i64, whole: i64) -> Self {
        let share = |count: i64, _| (i128::from(count) * i128::from(part) / i128::from(whole.max(1))) as i64;
        self.zip(Self::default(), share)
    }

    /// Bad requests, in maintenance or not.
    pub(super) fn bad(&self) -> f64 {
        self.bad as f64 / UNIT
    }

    /// Valid requests, in maintenance or not.
    pub(super) fn valid(&self) -> f64 {
        self.valid as f64 / UNIT
    }

    /// Valid requests outside planned maintenance, and the bad ones of them.
    pub(super) fn unplanned(&self) -> (f64, f64) {
        let outside = |all: i64, planned: i64| all.wrapping_sub(planned) as f64 / UNIT;
        (outside(self.valid, self.planned_valid), outside(self.bad, self.planned_bad))
    }

    /// Whether there was no request at all.
    pub(super) fn is_empty(&self) -> bool {
        self.valid == 0
    }
}

impl Sub for Sums {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        self.zip(earlier, i64::wrapping_sub)
    }
}

impl From<&Slot> for Sums {
    fn from(slot: &Slot) -> Self {
        let valid = units(slot.valid);
        let bad = units(slot.bad).min(valid);
        let planned = |count| if slot.planned { count } else { 0 };
        Self { valid, bad, planned_valid: planned(valid), planned_bad: planned(bad) }
    }
}

impl From<&Hour> for Sums {
    fn from(hour: &Hour) -> Self {
        let valid = units(hour.valid);
        let bad = units(hour.bad).min(valid);
        Self {
            valid,
            bad,
            planned_valid: units(hour.planned_valid).min(valid),
            planned_bad: units(hour.planned_bad).min(bad),
        }
    }
}

/// A slot or an hour, with what came before it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Number of its first slot since 1970.
    start: i64,
    slots: i64,
    before: Sums,
}

/// A service's requests in the order of time, with running sums: any window is the difference of two of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    segments: Vec<Segment>,
    total: Sums,
}

/// A place in a history from which sums are taken; it goes forward only, so that a walk costs a look at each segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor(usize);

/// Sums of so many slots from one on.
type Part = (i64, i64, Sums);

/// Puts parts in the order of their starts. They mostly come in it, and a sort that finds them so is a look at each.
fn sort(parts: &mut [Part]) {
    parts.sort_by_key(|(start, ..)| *start);
}

impl History {
    /// A history of slots and, before them, hours, in any order. Slots of one start are added up.
    ///
    /// An hour of which there is any slot is taken from its slots. Of an hour without slots that a window cuts, the
    /// window has the share of its time.
    pub(crate) fn new(hours: impl IntoIterator<Item = Hour>, slots: impl IntoIterator<Item = Slot>) -> Self {
        Self::cut(hours, slots, i64::MIN)
    }

    /// The same where slots before that time (nanoseconds since 1970) are forgotten: of the hour that it lies in they
    /// are what the others leave of the hour, spread evenly.
    pub(crate) fn cut(
        hours: impl IntoIterator<Item = Hour>,
        slots: impl IntoIterator<Item = Slot>,
        since_ns: i64,
    ) -> Self {
        let since = since_ns.div_euclid(SLOT_NS);
        let mut all: Vec<Part> =
            slots.into_iter().map(|slot| (slot.start.div_euclid(SLOT_NS), 1, Sums::from(&slot))).collect();
        sort(&mut all);
        let mut coarse: Vec<Part> = Vec::new();
        for hour in hours {
            let start = hour.start.div_euclid(HOUR_NS) * HOUR_SLOTS;
            let at = all.partition_point(|(known, ..)| *known < start);
            let known = all.iter().skip(at).take_while(|(known, ..)| *known < start + HOUR_SLOTS);
            let cut = (start + 1..start + HOUR_SLOTS).contains(&since);
            if cut || known.clone().next().is_none() {
                let known = known.fold(Sums::default(), |sums, (.., slot)| sums.plus(*slot));
                let rest = Sums::from(&hour).zip(known, |hour, known| hour.saturating_sub(known).max(0));
                // Of two that tell of one hour the later one counts.
                coarse.retain(|(known, ..)| *known != start);
                coarse.push((start, if cut { since - start } else { HOUR_SLOTS }, rest));
            }
        }
        all.append(&mut coarse);
        sort(&mut all);
        let mut history = Self { segments: Vec::with_capacity(all.len()), total: Sums::default() };
        for (start, slots, sums) in all {
            if history.segments.last().is_none_or(|last| last.start != start) {
                history.segments.push(Segment { start, slots, before: history.total });
            }
            history.total = history.total.plus(sums);
        }
        history
    }

    /// Start of the oldest slot or hour, in nanoseconds since 1970.
    pub(crate) fn start(&self) -> Option<i64> {
        self.segments.first().map(|segment| segment.start * SLOT_NS)
    }

    /// A place for sums from this slot on.
    pub(super) fn cursor(&self, slot: i64) -> Cursor {
        Cursor(self.segments.partition_point(|segment| segment.start + segment.slots <= slot))
    }

    /// All that was before a slot, by its number since 1970; not before that of the last call with this cursor.
    pub(super) fn before(&self, cursor: &mut Cursor, slot: i64) -> Sums {
        while self.segments.get(cursor.0).is_some_and(|segment| segment.start + segment.slots <= slot) {
            cursor.0 += 1;
        }
        let Some(segment) = self.segments.get(cursor.0) else { return self.total };
        if segment.start >= slot {
            return segment.before;
        }
        let after = self.segments.get(cursor.0 + 1).map_or(self.total, |next| next.before);
        segment.before.plus((after - segment.before).share(slot - segment.start, segment.slots))
    }

    /// The sums from one slot to another, by their numbers since 1970.
    pub(super) fn between(&self, from: i64, to: i64) -> Sums {
        self.before(&mut self.cursor(to), to) - self.before(&mut self.cursor(from), from)
    }
}
