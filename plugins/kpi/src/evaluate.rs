//! The evaluation of a service: from its slots to states, sums and incidents. Pure: equal facts give equal results.

use crate::config::{Rules, Window};
use crate::failures::Types;
use crate::history::{Checkpoint, History, Hour};
use crate::intervals::{Interval, State};
use crate::slots::{Counts, Source, Timeline};
use crate::verdict::{Basis, Verdict, is_seen, verdict};

/// What an evaluation rests on, besides the rules.
pub(crate) struct Facts<'a> {
    /// The slots from a window before the first that is evaluated.
    pub(crate) slots: &'a Timeline,
    /// Planned maintenance: from and to, in slots, in their order and apart.
    pub(crate) maintenance: &'a [(i64, i64)],
    /// Whether silence of the service is an outage.
    pub(crate) always_on: bool,
    /// Whether so many services are silent at a slot that the pipeline has a gap.
    pub(crate) pipeline_gap: &'a dyn Fn(i64) -> bool,
    /// What requests failed of in a slot, by a source.
    pub(crate) failures: &'a dyn Fn(i64, Source) -> weir_sdk::Result<Types>,
}

impl Facts<'_> {
    fn in_maintenance(&self, slot: i64) -> bool {
        let after = self.maintenance.partition_point(|(from, _)| *from <= slot);
        after.checked_sub(1).is_some_and(|index| slot < self.maintenance[index].1)
    }
}

/// Evaluates from the checkpoint, at which the history was cut, up to the slot `until`.
pub(crate) fn evaluate(
    rules: &Rules,
    facts: &Facts<'_>,
    from: Checkpoint,
    until: i64,
    history: &mut History,
) -> weir_sdk::Result {
    let slot = from.slot;
    let mut walk = Walk { rules, facts, at: from, history, counted: slot };
    walk.run(until)
}

struct Walk<'a> {
    rules: &'a Rules,
    facts: &'a Facts<'a>,
    at: Checkpoint,
    history: &'a mut History,
    counted: i64,
}

impl Walk<'_> {
    fn run(&mut self, until: i64) -> weir_sdk::Result {
        let mut slot = self.at.slot;
        while slot < until {
            self.checkpoint(slot);
            let source = self.source(slot);
            if is_seen(self.facts.slots.at(slot), source) {
                self.at.seen(slot, self.rules.stale_max);
                self.judge(slot, source)?;
                slot += 1;
                continue;
            }
            let Some(last) = self.at.last_seen else {
                slot += 1;
                continue;
            };
            let mut end = slot + 1;
            while end < until && !is_seen(self.facts.slots.at(end), self.source(end)) {
                end += 1;
            }
            self.gap(last + 1, slot, end, source)?;
            slot = end;
        }
        self.finish(until);
        Ok(())
    }

    fn source(&mut self, slot: i64) -> Source {
        self.at.truth.at(self.rules, self.facts.slots, slot)
    }

    /// Slots without data up to `end`, of a silence that began at `start` and was looked at up to `slot`.
    fn gap(&mut self, start: i64, slot: i64, end: i64, source: Source) -> weir_sdk::Result {
        let (rules, interval) = (self.rules, self.at.interval());
        let stale = (rules.config.stale_intervals * interval).clamp(rules.stale_min, rules.stale_max);
        if end - start < stale {
            return (slot..end).try_for_each(|slot| self.judge(slot, source));
        }
        match self.history.silences.last_mut() {
            Some((from, to)) if *from == start => *to = end,
            _ => self.history.silences.push((start, end)),
        }
        let known = start + rules.always_on;
        let outage = self.facts.always_on && end >= known && !(self.facts.pipeline_gap)(known);
        let onset = if outage { (start - 1 + interval).max(slot) } else { end };
        if outage {
            self.at.machine.silence(rules, onset, known, end);
        }
        let retired = start + rules.retire;
        for slot in slot..end.min(retired) {
            match slot < onset {
                true => self.record(slot, State::Unknown, Basis::None, Counts::default()),
                false => self.record(slot, State::Down, Basis::Silence, Counts::default()),
            }
        }
        Ok(())
    }

    /// A slot of a service that is not silent.
    fn judge(&mut self, slot: i64, source: Source) -> weir_sdk::Result {
        let (verdict, basis) = verdict(self.rules, self.facts.slots, slot, source);
        if let Some(ended) = self.at.machine.push(self.rules, slot, verdict) {
            self.history.ended.push(ended);
            self.at.ended += 1;
        }
        let counts = *self.facts.slots.at(slot).of(source);
        // Not the stray failures among requests that are slow, or where only a probe fails.
        let failing = counts.bad > 0 && counts.bad as f64 >= self.rules.config.degraded_ratio * counts.valid as f64;
        if failing && matches!(verdict, Verdict::Degraded | Verdict::Bad) {
            self.at.machine.failed(&(self.facts.failures)(slot, source)?);
        }
        self.record(slot, State::of(verdict), if verdict == Verdict::NoData { Basis::None } else { basis }, counts);
        Ok(())
    }

    fn record(&mut self, slot: i64, state: State, basis: Basis, counts: Counts) {
        let maintenance = self.facts.in_maintenance(slot);
        let hour = self.rules.window_start(slot, Window::Hour);
        if self.history.hours.last().is_none_or(|last| last.start != hour) {
            self.history.hours.push(Hour { start: hour, sums: Default::default() });
        }
        if let Some(last) = self.history.hours.last_mut() {
            last.sums.add_slot(state, maintenance, counts, self.facts.slots.at(slot).unchecked);
        }
        let (state, basis) = if maintenance { (State::Maintenance, Basis::Maintenance) } else { (state, basis) };
        // Cut at midnight, so that the rows of a day are all of that day.
        let midnight = hour == slot && self.rules.window_start(slot, Window::Day) == slot;
        match self.history.intervals.last_mut() {
            Some(last) if last.to == slot && last.state == state && last.basis == basis && !midnight => {
                last.to = slot + 1;
            }
            _ => self.history.intervals.push(Interval { from: slot, to: slot + 1, state, basis }),
        }
        self.counted = slot + 1;
    }

    /// Whether an evaluation can begin at this slot: what comes cannot change what the slots before it were.
    fn is_settled(&self, slot: i64) -> bool {
        let Some(last) = self.at.last_seen else { return true };
        let silent = slot - last - 1;
        let open = if self.facts.always_on { self.rules.always_on } else { 0 };
        silent == 0 || silent >= self.rules.stale_max.max(open)
    }

    /// The state before a slot, to begin with later.
    fn here(&self, slot: i64) -> Checkpoint {
        let hour = self.rules.window_start(slot, Window::Hour);
        let sums = self.history.hours.last().filter(|last| last.start == hour).map(|last| last.sums);
        Checkpoint { slot, hour: sums.unwrap_or_default(), ..self.at.clone() }
    }

    /// Keeps a checkpoint where an hour begins, or as soon after as one can be.
    fn checkpoint(&mut self, slot: i64) {
        let hour = self.rules.window_start(slot, Window::Hour);
        let due = self.history.checkpoints.last().is_none_or(|last| last.slot < hour);
        if due && self.is_settled(slot) {
            self.history.checkpoints.push(self.here(slot));
        }
    }

    fn finish(&mut self, until: i64) {
        if self.is_settled(until) {
            self.history.latest = Some(self.here(until));
        }
        self.history.open = self.at.machine.open().cloned();
        self.history.last_seen = self.at.last_seen;
        self.history.done = until;
    }
}

impl History {
    /// Whether an interval goes on. One that has come to midnight is over: it would be cut there.
    pub(crate) fn is_open(&self, rules: &Rules, interval: &Interval) -> bool {
        interval.to == self.done && rules.window_start(interval.to, Window::Day) != interval.to
    }
}

/// What is to be evaluated of a service, and what besides its slots that rests on.
pub(crate) struct Ask<'a> {
    /// The first slot that has changed.
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) maintenance: &'a [(i64, i64)],
    pub(crate) always_on: bool,
    pub(crate) pipeline_gap: &'a dyn Fn(i64) -> bool,
    pub(crate) failures: &'a dyn Fn(i64, Source) -> weir_sdk::Result<Types>,
}

/// Evaluates a service from the first slot that has changed, or from where an evaluation can begin before it; tells
/// from where. `load` gives the slots from one up to another.
pub(crate) fn evaluate_again(
    rules: &Rules,
    history: &mut History,
    ask: &Ask<'_>,
    load: impl FnOnce(i64, i64) -> weir_sdk::Result<Timeline>,
) -> weir_sdk::Result<i64> {
    let checkpoint = history.rewind(rules, ask.from);
    let first = checkpoint.slot;
    let slots = load(first - rules.window, ask.until)?;
    let Ask { maintenance, always_on, pipeline_gap, failures, .. } = *ask;
    let facts = Facts { slots: &slots, maintenance, always_on, pipeline_gap, failures };
    evaluate(rules, &facts, checkpoint, ask.until, history)?;
    Ok(first)
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
