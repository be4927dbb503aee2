//! What evaluations have found of a service so far, and where the next one can begin.

use crate::codec::{In, Out};
use crate::config::{Rules, Window};
use crate::intervals::{Interval, Sums};
use crate::machine::{Derived, Machine};
use crate::slots::Truth;

/// Everything that an evaluation carries from one slot to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The first slot that it has not seen.
    pub(crate) slot: i64,
    pub(crate) machine: Machine,
    /// The last slot with data; none before the first.
    pub(crate) last_seen: Option<i64>,
    /// The last distances between slots with data: the service's interval is their median.
    pub(crate) gaps: Vec<i64>,
    pub(crate) truth: Truth,
    /// How many incidents have ended.
    pub(crate) ended: u64,
    /// The hour of the slot, up to it.
    pub(crate) hour: Sums,
}

/// Distances that the interval is the median of.
const GAPS: usize = 9;

impl Checkpoint {
    /// A slot with data.
    pub(crate) fn seen(&mut self, slot: i64, longest: i64) {
        if let Some(gap) = self.last_seen.map(|last| slot - last).filter(|gap| (1..=longest).contains(gap)) {
            if self.gaps.len() == GAPS {
                self.gaps.remove(0);
            }
            self.gaps.push(gap);
        }
        self.last_seen = Some(slot);
    }

    /// The service's interval in slots.
    pub(crate) fn interval(&self) -> i64 {
        let mut gaps = self.gaps.clone();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied().unwrap_or(1)
    }

    fn write(&self, out: &mut Out) {
        out.i(self.slot);
        self.machine.write(out);
        out.maybe(self.last_seen).list(&self.gaps, |out, gap| _ = out.i(*gap));
        self.truth.write(out);
        self.hour.write(out.u(self.ended));
    }

    fn read(bytes: &mut In<'_>) -> Option<Self> {
        let (slot, machine) = (bytes.i()?, Machine::read(bytes)?);
        let (last_seen, gaps) = (bytes.maybe()?, bytes.list(In::i)?);
        let truth = Truth::read(bytes)?;
        Some(Self { slot, machine, last_seen, gaps, truth, ended: bytes.u()?, hour: Sums::read(bytes)? })
    }
}

/// An hour of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hour {
    /// The slot that it begins with.
    pub(crate) start: i64,
    pub(crate) sums: Sums,
}

/// What is known of a service from its slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// At the begin of hours, in their order.
    pub(crate) checkpoints: Vec<Checkpoint>,
    /// Where the last evaluation ended, if one can begin there.
    pub(crate) latest: Option<Checkpoint>,
    pub(crate) hours: Vec<Hour>,
    pub(crate) intervals: Vec<Interval>,
    /// Incidents that have ended, and how many before them are forgotten.
    pub(crate) ended: Vec<Derived>,
    pub(crate) forgotten: u64,
    /// The incident that is open.
    pub(crate) open: Option<Derived>,
    /// Up to which slot it was evaluated.
    pub(crate) done: i64,
    /// The last slot with data.
    pub(crate) last_seen: Option<i64>,
    /// Silences of always-on services and others, for the count of the silent: from, to.
    pub(crate) silences: Vec<(i64, i64)>,
}

impl History {
    /// Goes back to where all up to that slot can be evaluated again; tells where.
    pub(crate) fn rewind(&mut self, rules: &Rules, to: i64) -> Checkpoint {
        self.latest.take_if(|latest| latest.slot > to);
        // Rows from before the first that was known: nothing before them is known, so all begins anew.
        if self.checkpoints.first().is_some_and(|first| first.slot > to && first.last_seen.is_none()) {
            self.checkpoints.clear();
        }
        let keep = self.checkpoints.partition_point(|checkpoint| checkpoint.slot <= to).max(1);
        self.checkpoints.truncate(keep);
        let hourly = self.checkpoints.last();
        let from = match (&self.latest, hourly) {
            (Some(latest), Some(hourly)) if latest.slot >= hourly.slot => latest.clone(),
            (Some(latest), None) => latest.clone(),
            (_, Some(hourly)) => hourly.clone(),
            (None, None) => Checkpoint { slot: to, ..Checkpoint::default() },
        };
        self.cut(rules, &from);
        from
    }

    /// Forgets what was found from the checkpoint on.
    fn cut(&mut self, rules: &Rules, from: &Checkpoint) {
        let hour = rules.window_start(from.slot, Window::Hour);
        self.hours.retain(|known| known.start < hour);
        if from.hour != Sums::default() {
            self.hours.push(Hour { start: hour, sums: from.hour });
        }
        self.intervals.retain(|interval| interval.from < from.slot);
        if let Some(last) = self.intervals.last_mut() {
            last.to = last.to.min(from.slot);
        }
        let ended = usize::try_from(from.ended.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        self.ended.truncate(ended);
        self.open = from.machine.open().cloned();
        self.silences.retain(|(start, _)| *start < from.slot);
    }

    /// Forgets what no row depends on any more: all but incidents before `horizon`, and those before `incidents`.
    pub(crate) fn forget(&mut self, rules: &Rules, horizon: i64, incidents: i64) {
        let first = self.checkpoints.partition_point(|checkpoint| checkpoint.slot <= horizon).saturating_sub(1);
        self.checkpoints.drain(..first);
        let day = rules.window_start(horizon, Window::Day);
        self.hours.retain(|hour| hour.start >= day);
        self.silences.retain(|(_, to)| *to >= horizon);
        // The last one is what the next slot may continue.
        let old = self.intervals.partition_point(|interval| interval.to <= horizon);
        self.intervals.drain(..old.min(self.intervals.len().saturating_sub(1)));
        let old = self.ended.partition_point(|incident| incident.mitigated.is_some_and(|end| end < incidents));
        self.ended.drain(..old);
        self.forgotten += old as u64;
    }

    pub(crate) fn write(&self, out: &mut Out) {
        out.list(&self.checkpoints, |out, checkpoint| checkpoint.write(out)).flag(self.latest.is_some());
        if let Some(latest) = &self.latest {
            latest.write(out);
        }
        out.list(&self.hours, |out, hour| hour.sums.write(out.i(hour.start)));
        out.list(&self.intervals, |out, interval| interval.write(out));
        out.list(&self.ended, |out, derived| derived.write(out)).u(self.forgotten).flag(self.open.is_some());
        if let Some(open) = &self.open {
            open.write(out);
        }
        out.i(self.done).maybe(self.last_seen);
        out.list(&self.silences, |out, (from, to)| _ = out.i(*from).i(to - from));
    }

    pub(crate) fn read(bytes: &mut In<'_>) -> Option<Self> {
        let checkpoints = bytes.list(Checkpoint::read)?;
        let latest = if bytes.flag()? { Some(Checkpoint::read(bytes)?) } else { None };
        let hours = bytes.list(|bytes| Some(Hour { start: bytes.i()?, sums: Sums::read(bytes)? }))?;
        let intervals = bytes.list(Interval::read)?;
        let (ended, forgotten) = (bytes.list(Derived::read)?, bytes.u()?);
        let open = if bytes.flag()? { Some(Derived::read(bytes)?) } else { None };
        let (done, last_seen) = (bytes.i()?, bytes.maybe()?);
        let silences = bytes.list(|bytes| {
            let from = bytes.i()?;
            Some((from, from + bytes.i()?))
        })?;
        Some(Self { checkpoints, latest, hours, intervals, ended, forgotten, open, done, last_seen, silences })
    }
}
