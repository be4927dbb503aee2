//! How long a service was in which state: sums by hour, and a log of intervals.

use crate::codec::{In, Out};
use crate::slots::{Counts, requests};
use crate::verdict::{Basis, Verdict};

/// What a service was in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Up,
    Degraded,
    Down,
    Unknown,
    Maintenance,
}

impl State {
    pub(crate) const ALL: [Self; 5] = [Self::Up, Self::Degraded, Self::Down, Self::Unknown, Self::Maintenance];

    pub(crate) fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::NoData => Self::Unknown,
            Verdict::Good => Self::Up,
            Verdict::Degraded => Self::Degraded,
            Verdict::Bad => Self::Down,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Unknown => "unknown",
            Self::Maintenance => "maintenance",
        }
    }
}

/// Slots in a row of one state. The last one of a service has no end yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) state: State,
    pub(crate) basis: Basis,
}

impl Interval {
    pub(crate) fn write(&self, out: &mut Out) {
        out.i(self.from).i(self.to - self.from).u(self.state as u64).u(self.basis.number());
    }

    pub(crate) fn read(bytes: &mut In<'_>) -> Option<Self> {
        let from = bytes.i()?;
        let to = from + bytes.i()?;
        let state = *State::ALL.get(usize::try_from(bytes.u()?).ok()?)?;
        Some(Self { from, to, state, basis: Basis::from_number(bytes.u()?)? })
    }
}

/// Slots and requests of an hour. Those in maintenance are apart from the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Slots by [`State`], the degraded ones not among those that were up.
    pub(crate) slots: [u64; 5],
    /// What the slots in maintenance would have been, by [`State`].
    pub(crate) planned: [u64; 4],
    /// Requests outside maintenance, in parts of [`ONE`](crate::slots::ONE).
    pub(crate) valid: u64,
    /// Those that failed.
    pub(crate) bad: u64,
    /// The same within maintenance.
    pub(crate) planned_valid: u64,
    pub(crate) planned_bad: u64,
    /// Whether requests were counted that may be duplicates.
    pub(crate) unchecked: bool,
}

impl Sums {
    pub(crate) fn add_slot(&mut self, state: State, maintenance: bool, counts: Counts, unchecked: bool) {
        self.unchecked |= unchecked;
        if maintenance {
            self.slots[State::Maintenance as usize] += 1;
            if let Some(planned) = self.planned.get_mut(state as usize) {
                *planned += 1;
            }
            self.planned_valid = self.planned_valid.saturating_add(counts.valid);
            self.planned_bad = self.planned_bad.saturating_add(counts.bad);
            return;
        }
        self.slots[state as usize] += 1;
        self.valid = self.valid.saturating_add(counts.valid);
        self.bad = self.bad.saturating_add(counts.bad);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.slots.iter_mut().zip(other.slots).for_each(|(sum, more)| *sum += more);
        self.planned.iter_mut().zip(other.planned).for_each(|(sum, more)| *sum += more);
        self.valid = self.valid.saturating_add(other.valid);
        self.bad = self.bad.saturating_add(other.bad);
        self.planned_valid = self.planned_valid.saturating_add(other.planned_valid);
        self.planned_bad = self.planned_bad.saturating_add(other.planned_bad);
        self.unchecked |= other.unchecked;
    }

    pub(crate) fn of(&self, state: State) -> u64 {
        self.slots[state as usize]
    }

    pub(crate) fn planned_of(&self, state: State) -> u64 {
        self.planned.get(state as usize).copied().unwrap_or(0)
    }

    /// Slots of agreed service time.
    pub(crate) fn agreed(&self) -> u64 {
        self.slots.iter().sum::<u64>() - self.of(State::Maintenance)
    }

    pub(crate) fn requests(&self) -> (f64, f64) {
        (requests(self.valid), requests(self.bad))
    }

    pub(crate) fn write(&self, out: &mut Out) {
        self.slots.iter().chain(&self.planned).for_each(|count| _ = out.u(*count));
        out.u(self.valid).u(self.bad).u(self.planned_valid).u(self.planned_bad).flag(self.unchecked);
    }

    pub(crate) fn read(bytes: &mut In<'_>) -> Option<Self> {
        let mut sums = Self::default();
        for count in sums.slots.iter_mut().chain(&mut sums.planned) {
            *count = bytes.u()?;
        }
        (sums.valid, sums.bad) = (bytes.u()?, bytes.u()?);
        (sums.planned_valid, sums.planned_bad) = (bytes.u()?, bytes.u()?);
        sums.unchecked = bytes.flag()?;
        Some(sums)
    }
}
