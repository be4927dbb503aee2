//! Service level objectives: hourly good and valid requests, the error budget that is left, and multi-window burn
//! rates.
//!
//! A burn rate is how many times faster than allowed the error budget goes: the bad share of a window, divided by the
//! share that the objective allows. A rule fires while it is high in a long window (it matters) and in a short one (it
//! still goes on), and clears as soon as either stops.
//!
//! All of it is a function of the slots: whether a rule fires at the end of a slot depends on the slots before that end
//! and on nothing that was computed earlier. So any range of hours can be computed again, in any order, with the same
//! result.
//!
//! Burn rates take the slots of planned maintenance in, as whoever is on call does; `good`, `valid` and the budget
//! leave them out, as the availability beside them does.

mod config;
mod history;
mod row;
mod watch;

pub(crate) use config::{Config, Objective, Rule, RuleName};
pub(crate) use history::{History, Hour, Slot};
pub(crate) use row::{SloRow, rows};
pub(crate) use watch::Watch;

use history::{Cursor, Sums};

/// Length of a slot, in nanoseconds.
pub(crate) const SLOT_NS: i64 = 10_000_000_000;
/// Slots of an hour.
const HOUR_SLOTS: i64 = 360;
/// Nanoseconds of an hour.
pub(crate) const HOUR_NS: i64 = HOUR_SLOTS * SLOT_NS;

/// A rate that is as high as its rule asks, but for the rounding of floating-point numbers, is high enough.
const ROUNDING: f64 = 1e-9;

/// Which rules fire at the end of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// End of the slot, in nanoseconds since 1970.
    pub(crate) end: i64,
    /// Whether each rule fires, in the order of [`RuleName::ALL`].
    pub(crate) firing: [bool; 4],
}

impl Step {
    /// Whether that rule fires.
    pub(crate) fn fires(&self, rule: RuleName) -> bool {
        self.firing[rule as usize]
    }

    /// Whether somebody is to be called now.
    pub(crate) fn page(&self) -> bool {
        self.fires(RuleName::PageFast) || self.fires(RuleName::PageSlow)
    }

    /// Whether somebody is to look at it in working hours.
    pub(crate) fn ticket(&self) -> bool {
        self.fires(RuleName::TicketFast) || self.fires(RuleName::TicketSlow)
    }
}

/// The moment at which a rule began or stopped to fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    /// The rule.
    pub(crate) rule: RuleName,
    /// Whether it began; otherwise it stopped.
    pub(crate) fired: bool,
    /// The end of the slot that made it so, in nanoseconds since 1970.
    pub(crate) at: i64,
}

/// The burn rate of these sums, where there was anything valid.
fn burn(sums: &Sums, objective: &Objective) -> Option<f64> {
    let allowed = sums.valid() * objective.allowed();
    (allowed > 0.0).then(|| sums.bad() / allowed)
}

/// Which rules fire where `window` gives the sums of the last so many slots.
fn firing(config: &Config, objective: &Objective, window: &impl Fn(i64) -> Sums) -> [bool; 4] {
    let burns =
        |sums: &Sums, rule: &Rule| burn(sums, objective).is_some_and(|burn| burn >= rule.burn * (1.0 - ROUNDING));
    RuleName::ALL.map(|name| {
        let rule = config.rule(name);
        let (long, short) = (window(rule.long.slots()), window(rule.short.slots()));
        burns(&long, rule) && burns(&short, rule) && long.bad() >= config.bad_min
    })
}

/// Which rules fire, slot by slot, for the slots that end after `from` and not after `until` (nanoseconds since 1970).
pub(crate) fn steps<'a>(
    history: &'a History,
    config: &'a Config,
    objective: &'a Objective,
    from: i64,
    until: i64,
) -> impl Iterator<Item = Step> + 'a {
    let (first, last) = (from.div_euclid(SLOT_NS) + 1, until.div_euclid(SLOT_NS));
    let rules = RuleName::ALL.map(|name| config.rule(name));
    let mut head = history.cursor(first);
    let mut tails = rules.map(|rule| {
        let tail = |slots: i64| history.cursor(first - slots);
        (tail(rule.long.slots()), tail(rule.short.slots()))
    });
    (first..=last).map(move |end| {
        let sums = history.before(&mut head, end);
        // The tails of a rule's windows: each goes forward by a slot a step.
        let mut windows = [(0, Sums::default()); 8];
        let spans = rules.iter().flat_map(|rule| [rule.long.slots(), rule.short.slots()]);
        let cursors = tails.iter_mut().flat_map(|(long, short)| [long, short]);
        for ((window, slots), tail) in windows.iter_mut().zip(spans).zip(cursors) {
            *window = (slots, sums - history.before(tail, end - slots));
        }
        let window = |slots: i64| windows.iter().find(|(known, _)| *known == slots).map_or(sums, |(_, sums)| *sums);
        let firing = firing(config, objective, &window);
        Step { end: end * SLOT_NS, firing }
    })
}

/// When rules begin and stop to fire, in the order of time, for the slots that end after `from` and not after `until`.
pub(crate) fn edges(history: &History, config: &Config, objective: &Objective, from: i64, until: i64) -> Vec<Edge> {
    let mut steps = steps(history, config, objective, from.saturating_sub(SLOT_NS), until);
    let Some(mut before) = steps.next() else { return Vec::new() };
    let mut edges = Vec::new();
    for step in steps {
        edges.extend(changes(&before, &step));
        before = step;
    }
    edges
}

fn changes<'a>(before: &'a Step, step: &'a Step) -> impl Iterator<Item = Edge> + 'a {
    let changed = RuleName::ALL.into_iter().filter(|&rule| step.fires(rule) != before.fires(rule));
    changed.map(|rule| Edge { rule, fired: step.fires(rule), at: step.end })
}

#[cfg(test)]
mod tests;
