//! What a slot says of its service: GOOD, DEGRADED, BAD, or nothing.

use crate::config::Rules;
use crate::slots::{Slot, Source, Timeline, requests};

/// The verdict on a slot. Of two, the greater is the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Nothing can be said.
    NoData,
    Good,
    Degraded,
    Bad,
}

/// What a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    None,
    Metrics,
    Spans,
    Probe,
    Silence,
    Maintenance,
}

impl Basis {
    const ALL: [Self; 6] = [Self::None, Self::Metrics, Self::Spans, Self::Probe, Self::Silence, Self::Maintenance];

    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Metrics => Some("metrics"),
            Self::Spans => Some("spans"),
            Self::Probe => Some("probe"),
            Self::Silence => Some("silence"),
            Self::Maintenance => Some("maintenance"),
        }
    }

    pub(crate) fn number(self) -> u64 {
        self as u64
    }

    pub(crate) fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// Whether the slot has a row of the source, or was probed.
pub(crate) fn is_seen(slot: &Slot, source: Source) -> bool {
    slot.of(source).rows > 0 || slot.probed()
}

/// The verdict on a slot of a service that is not silent.
pub(crate) fn verdict(rules: &Rules, slots: &Timeline, at: i64, source: Source) -> (Verdict, Basis) {
    let basis = if source == Source::Spans { Basis::Spans } else { Basis::Metrics };
    let (traffic, probe) = (of_traffic(rules, slots, at, source), of_probes(rules, slots, at));
    // They disagree: the worse wins. They agree: traffic is what users saw.
    if probe > traffic {
        (probe, Basis::Probe)
    } else {
        (traffic, if traffic == Verdict::NoData { Basis::None } else { basis })
    }
}

/// From the smallest trailing window with enough requests.
fn of_traffic(rules: &Rules, slots: &Timeline, at: i64, source: Source) -> Verdict {
    let config = &rules.config;
    let (mut valid, mut bad, mut slow) = (0_u64, 0_u64, 0_u64);
    for slot in (at - rules.window + 1..=at).rev() {
        let counts = slots.at(slot).of(source);
        valid = valid.saturating_add(counts.valid);
        bad = bad.saturating_add(counts.bad);
        slow = slow.saturating_add(counts.slow);
        let requests = requests(valid);
        if requests < config.requests_min {
            continue;
        }
        let (bad, slow) = (bad as f64 / valid as f64, slow as f64 / valid as f64);
        return if bad >= config.bad_ratio {
            Verdict::Bad
        } else if bad >= config.degraded_ratio || slow > config.slow_ratio {
            Verdict::Degraded
        } else {
            Verdict::Good
        };
    }
    Verdict::NoData
}

/// From the latest slot that was probed: a probe speaks until the next one does.
fn of_probes(rules: &Rules, slots: &Timeline, at: i64) -> Verdict {
    let probed = (at - rules.window + 1..=at).rev().map(|slot| slots.at(slot)).find(|slot| slot.probed());
    // Of a check of which only a part has come, one of the two may be below nothing.
    let numbers = |slot: &Slot| slot.probes.map(|count| count.cast_signed().max(0));
    let Some([good, bad]) = probed.map(numbers) else { return Verdict::NoData };
    if bad as f64 >= rules.config.probe_bad_ratio * (good + bad) as f64 && bad > 0 {
        Verdict::Bad
    } else {
        Verdict::Good
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::slots::{Counts, ONE};

    fn rules() -> Rules {
        Rules::new(Config::default()).expect("defaults are right")
    }

    fn traffic(slots: &[(u64, u64, u64)]) -> Timeline {
        let slot = |&(valid, bad, slow): &(u64, u64, u64)| {
            let mut slot = Slot::default();
            slot.sources[Source::Spans as usize] =
                Counts { valid: valid * ONE, bad: bad * ONE, slow: slow * ONE, rows: valid };
            slot
        };
        Timeline { first: 0, slots: slots.iter().map(slot).collect() }
    }

    fn last(slots: &Timeline) -> Verdict {
        verdict(&rules(), slots, slots.slots.len() as i64 - 1, Source::Spans).0
    }

    #[test]
    fn half_of_the_requests_failing_is_bad_and_a_twentieth_degraded() {
        assert_eq!(last(&traffic(&[(100, 50, 0)])), Verdict::Bad);
        assert_eq!(last(&traffic(&[(100, 49, 0)])), Verdict::Degraded);
        assert_eq!(last(&traffic(&[(100, 5, 0)])), Verdict::Degraded);
        assert_eq!(last(&traffic(&[(100, 4, 0)])), Verdict::Good);
    }

    #[test]
    fn more_than_half_of_the_requests_slow_is_degraded() {
        assert_eq!(last(&traffic(&[(100, 0, 50)])), Verdict::Good);
        assert_eq!(last(&traffic(&[(100, 0, 51)])), Verdict::Degraded);
    }

    #[test]
    fn the_smallest_window_with_twenty_requests_decides() {
        assert_eq!(last(&traffic(&[(1000, 1000, 0), (20, 0, 0)])), Verdict::Good);
        assert_eq!(last(&traffic(&[(1000, 1000, 0), (19, 0, 0)])), Verdict::Bad);
        assert_eq!(last(&traffic(&[(10, 10, 0), (10, 0, 0), (10, 0, 0)])), Verdict::Good);
    }

    #[test]
    fn fewer_than_twenty_requests_in_five_minutes_say_nothing_without_a_probe() {
        let mut slots = traffic(&[(0, 0, 0); 31]);
        slots.slots[0] = traffic(&[(100, 0, 0)]).slots[0];
        slots.slots[30] = traffic(&[(19, 19, 0)]).slots[0];
        assert_eq!(last(&slots), Verdict::NoData);
        slots.slots[30].probes = [1, 0];
        assert_eq!(verdict(&rules(), &slots, 30, Source::Spans), (Verdict::Good, Basis::Probe));
    }

    #[test]
    fn half_of_the_probes_failing_is_bad() {
        let mut slots = traffic(&[(0, 0, 0)]);
        slots.slots[0].probes = [1, 1];
        assert_eq!(last(&slots), Verdict::Bad);
        slots.slots[0].probes = [2, 1];
        assert_eq!(last(&slots), Verdict::Good);
    }

    #[test]
    fn where_probe_and_traffic_disagree_the_worse_wins() {
        let mut slots = traffic(&[(100, 10, 0)]);
        slots.slots[0].probes = [0, 1];
        assert_eq!(verdict(&rules(), &slots, 0, Source::Spans), (Verdict::Bad, Basis::Probe));
        slots.slots[0].probes = [1, 0];
        assert_eq!(verdict(&rules(), &slots, 0, Source::Spans), (Verdict::Degraded, Basis::Spans));
    }

    #[test]
    fn a_probe_speaks_until_the_next_one() {
        let mut slots = traffic(&[(0, 0, 0); 3]);
        slots.slots[0].probes = [0, 1];
        assert_eq!(last(&slots), Verdict::Bad);
    }
}
