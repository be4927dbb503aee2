//! Rules followed from slot to slot.
//!
//! Whether a rule fires is a function of the slots before, and of many of them: hours. Where an evaluation goes on from
//! where the last one ended, the sums of the windows are carried along, and a slot costs a look at those that enter the
//! windows and at those that leave them. What comes out is what [`super::rows`] works out of all slots, to the last bit.

use super::history::Sums;
use super::row::{Alerts, REPORTED, Worked, row};
use super::{Config, HOUR_SLOTS, History, Objective, RuleName, SLOT_NS, SloRow, Slot, Step, firing};
use crate::codec::{In, Out};
use weir_sdk::Timestamp;

/// A window that ends now, of so many slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    slots: i64,
    sums: Sums,
}

/// How the rules of an objective stand.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    objective: String,
    firing: [bool; 4],
    /// What they did in the hour so far.
    alerts: Alerts,
}

/// How all rules of a service stand at the end of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    /// The first slot that was not looked at, by its number since 1970.
    at: i64,
    /// The hour so far.
    hour: Sums,
    windows: Vec<Window>,
    standing: Vec<Standing>,
}

/// The start of the hour of a slot.
fn hour_of(slot: i64) -> i64 {
    slot.div_euclid(HOUR_SLOTS) * HOUR_SLOTS
}

impl Watch {
    /// The windows that are summed up slot by slot, in slots, where slots are kept for `reach` before the hour; the longer
    /// ones reach into hours of which there are no slots. None where a window does so in a part of the hour.
    pub(crate) fn windows(config: &Config, reach: i64) -> Option<Vec<i64>> {
        let rules = RuleName::ALL.map(|name| config.rule(name));
        let spans = rules.into_iter().flat_map(|rule| [rule.long, rule.short]).chain(REPORTED).chain([config.period]);
        let mut spans: Vec<i64> = spans.map(super::config::Span::slots).collect();
        spans.sort_unstable();
        spans.dedup();
        let short = spans.partition_point(|slots| *slots <= reach);
        let clear = spans.get(short).is_none_or(|slots| *slots >= reach + HOUR_SLOTS);
        spans.truncate(short);
        clear.then_some(spans)
    }

    /// Begins where all was worked out from the slots.
    pub(crate) fn begin<'a>(
        history: &History,
        windows: &[i64],
        at_ns: i64,
        worked: impl Iterator<Item = (&'a Objective, &'a Worked)>,
    ) -> Self {
        let at = at_ns.div_euclid(SLOT_NS);
        let windows = windows.iter().map(|&slots| Window { slots, sums: history.between(at - slots, at) });
        let standing = worked.map(|(objective, worked)| Standing {
            objective: objective.name.clone(),
            firing: worked.firing,
            alerts: worked.alerts.clone(),
        });
        Self { at, hour: history.between(hour_of(at), at), windows: windows.collect(), standing: standing.collect() }
    }

    /// Whether it can be followed from that time on, with these windows and objectives.
    pub(crate) fn stands_at(&self, at_ns: i64, windows: &[i64], objectives: &[&Objective]) -> bool {
        self.at * SLOT_NS == at_ns
            && self.windows.iter().map(|window| window.slots).eq(windows.iter().copied())
            && self.standing.iter().map(|known| &known.objective).eq(objectives.iter().map(|known| &known.name))
    }

    /// Follows the rules up to a time: the rows of the hours in between and of the part of one at the end, each with the place
    /// of its objective. `hours` has the hours before; `slots` gives the slots that come in, and for each window those that
    /// leave it.
    pub(crate) fn follow(
        &mut self,
        config: &Config,
        objectives: &[&Objective],
        names: (&str, &str),
        hours: &History,
        until_ns: i64,
        mut slots: impl FnMut(Option<usize>, i64) -> Slot,
    ) -> Vec<(usize, SloRow)> {
        let until = until_ns.div_euclid(SLOT_NS);
        let mut rows = Vec::new();
        while self.at < until {
            let slot = Sums::from(&slots(None, self.at));
            let start = hour_of(self.at);
            self.hour = self.hour.plus(slot);
            for (number, window) in self.windows.iter_mut().enumerate() {
                let left = Sums::from(&slots(Some(number), self.at - window.slots));
                window.sums = window.sums.plus(slot) - left;
            }
            self.at += 1;
            let (end, hour, windows) = (self.at, self.hour, &self.windows);
            let window = |slots: i64| {
                let known = windows.iter().find(|window| window.slots == slots).map(|window| window.sums);
                known.unwrap_or_else(|| match end - slots >= start {
                    true => hour,
                    false => hours.between(end - slots, start).plus(hour),
                })
            };
            for (place, (standing, objective)) in self.standing.iter_mut().zip(objectives).enumerate() {
                let before = Step { end: (end - 1) * SLOT_NS, firing: standing.firing };
                let step = Step { end: end * SLOT_NS, firing: firing(config, objective, &window) };
                standing.alerts.note(&before, &step);
                standing.firing = step.firing;
                if end % HOUR_SLOTS == 0 || end == until {
                    rows.extend(row(config, objective, names, end, &standing.alerts, &window).map(|row| (place, row)));
                }
                if end % HOUR_SLOTS == 0 {
                    standing.alerts = Alerts::default();
                }
            }
            if end % HOUR_SLOTS == 0 {
                self.hour = Sums::default();
            }
        }
        rows
    }

    pub(crate) fn write(&self, out: &mut Out) {
        out.i(self.at);
        write_sums(&self.hour, out);
        out.list(&self.windows, |out, window| write_sums(&window.sums, out.i(window.slots)));
        out.list(&self.standing, |out, standing| {
            let flags = standing.firing.iter().chain([&standing.alerts.page, &standing.alerts.ticket]);
            let flags = flags.enumerate().fold(0, |flags, (bit, set)| flags | u64::from(*set) << bit);
            out.text(&standing.objective).u(flags);
            let times = standing.alerts.fired_at.iter().chain(&standing.alerts.cleared_at);
            times.for_each(|time| _ = out.maybe(time.map(|time| time.0)));
        });
    }

    pub(crate) fn read(bytes: &mut In<'_>) -> Option<Self> {
        let (at, hour) = (bytes.i()?, read_sums(bytes)?);
        let windows = bytes.list(|bytes| Some(Window { slots: bytes.i()?, sums: read_sums(bytes)? }))?;
        let standing = bytes.list(|bytes| {
            let (objective, flags) = (bytes.text()?, bytes.u()?);
            let set = |bit: usize| flags >> bit & 1 == 1;
            let mut alerts = Alerts { page: set(4), ticket: set(5), ..Alerts::default() };
            for time in alerts.fired_at.iter_mut().chain(&mut alerts.cleared_at) {
                *time = bytes.maybe()?.map(Timestamp);
            }
            Some(Standing { objective, firing: [set(0), set(1), set(2), set(3)], alerts })
        })?;
        Some(Self { at, hour, windows, standing })
    }
}

fn write_sums(sums: &Sums, out: &mut Out) {
    // Most are whole requests: turned, so that their fraction of zeros takes nothing.
    for sum in [sums.valid, sums.bad, sums.planned_valid, sums.planned_bad] {
        out.u(sum.rotate_right(20).cast_unsigned());
    }
}

fn read_sums(bytes: &mut In<'_>) -> Option<Sums> {
    let mut sum = || Some(bytes.u()?.cast_signed().rotate_left(20));
    Some(Sums { valid: sum()?, bad: sum()?, planned_valid: sum()?, planned_bad: sum()? })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DAY, Random, at, config, hours_of, objective, random_day, rows_of};
    use super::super::{HOUR_NS, rows};
    use super::*;

    #[test]
    fn windows_that_end_in_hours_without_slots_are_not_followed() {
        let hours = |hours: i64| hours * HOUR_SLOTS;
        let followed = [30, 180, hours(1), hours(2), hours(6)];
        assert_eq!(Watch::windows(&config(), hours(7)).as_deref(), Some(&followed[..]));
        assert_eq!(Watch::windows(&config(), hours(6)).as_deref(), Some(&followed[..]));
        assert_eq!(Watch::windows(&config(), hours(5) + 10).as_deref(), None, "six hours end in an hour that is cut");
    }

    #[test]
    fn what_is_followed_is_what_is_worked_out() {
        for seed in 1..=12 {
            let (mut random, slots, objective) = (Random(seed), random_day(seed), objective());
            let slot_at = |start: i64| {
                let found = slots.binary_search_by_key(&start, |slot| slot.start).ok().map(|at| slots[at]);
                found.unwrap_or(Slot { start, valid: 0.0, bad: 0.0, planned: false })
            };
            let until = |end: i64| History::new([], slots.iter().copied().filter(|slot| slot.start < end));
            let mut end = at(8, 20, 0);
            let names = ("production", "checkout");
            let worked = rows(&until(end), &config(), &objective, names, end, end);
            let windows = Watch::windows(&config(), 7 * HOUR_SLOTS).expect("windows");
            let mut watch = Watch::begin(&until(end), &windows, end, [(&objective, &worked)].into_iter());
            while end < at(24, 0, 0) {
                assert!(watch.stands_at(end, &windows, &[&objective]), "seed {seed}");
                let first = end;
                end = (end + SLOT_NS * (1 + random.below(500) as i64)).min(at(24, 0, 0));
                let open = end.div_euclid(HOUR_NS) * HOUR_NS;
                let hours = hours_of(&slots).into_iter().filter(|hour| hour.start < open);
                let slots = |window: Option<usize>, slot: i64| {
                    assert!(window.is_none_or(|_| slot * SLOT_NS >= DAY), "before what is kept");
                    slot_at(slot * SLOT_NS)
                };
                let hours = History::new(hours, []);
                let found = watch.follow(&config(), &[&objective], names, &hours, end, slots);
                let found: Vec<SloRow> = found.into_iter().map(|(_, row)| row).collect();
                assert_eq!(found, rows_of(&until(end), first, end), "seed {seed}, {} to {}", first - DAY, end - DAY);
                let mut out = Out::default();
                watch.write(&mut out);
                assert_eq!(Watch::read(&mut In(&out.0)).as_ref(), Some(&watch), "seed {seed}");
            }
        }
    }
}
