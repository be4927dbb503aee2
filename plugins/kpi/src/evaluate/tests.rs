use super::*;
use crate::codec::{In, Out};
use crate::config::Config;
use crate::machine::{Derived, Kind};
use crate::slots::{ONE, Slot};

const DAY: i64 = 8640;

fn rules() -> Rules {
    Rules::new(Config::default()).expect("defaults are right")
}

/// The number of the slot that begins at that time of the day.
const fn at(hour: i64, minute: i64, second: i64) -> i64 {
    (hour * 3600 + minute * 60 + second) / 10
}

/// What all requests that failed in a slot failed of: 500, 503 and timeout take turns.
pub(super) fn failed(slot: i64, _: Source) -> weir_sdk::Result<Types> {
    let mut types = Types::default();
    types.add(["500", "503", "timeout"][(slot / 17 % 3) as usize], 1 + slot % 5);
    Ok(types)
}

pub(super) fn traffic(valid: u64, bad: u64) -> Slot {
    let mut slot = Slot::default();
    if valid > 0 {
        slot.sources[Source::Spans as usize] = Counts { valid: valid * ONE, bad: bad * ONE, slow: 0, rows: valid };
    }
    slot
}

/// A day of ten requests a second, with failures: from, to, how many of a hundred requests.
fn day(failures: &[(i64, i64, u64)], silences: &[(i64, i64)]) -> Timeline {
    let slot = |slot: i64| {
        let silent = silences.iter().any(|(from, to)| (*from..*to).contains(&slot));
        let bad = failures.iter().find(|(from, to, _)| (*from..*to).contains(&slot)).map_or(0, |failure| failure.2);
        if silent { Slot::default() } else { traffic(100, bad) }
    };
    Timeline { first: 0, slots: (0..DAY).map(slot).collect() }
}

fn golden() -> Timeline {
    let failures = [
        (at(10, 0, 0), at(10, 20, 0), 100),
        (at(10, 22, 0), at(10, 23, 0), 100),
        (at(14, 0, 0), at(14, 0, 30), 100),
        (at(16, 0, 0), at(16, 10, 0), 20),
        (at(20, 10, 0), at(20, 20, 0), 100),
    ];
    day(&failures, &[(at(18, 0, 0), at(18, 10, 0))])
}

const MAINTENANCE: [(i64, i64); 1] = [(at(20, 0, 0), at(20, 30, 0))];

fn part(slots: &Timeline, from: i64, until: i64) -> Timeline {
    Timeline { first: from, slots: (from..until).map(|slot| *slots.at(slot)).collect() }
}

/// Evaluates in steps: from, until. Between them the history is written and read back.
fn stepped(slots: &Timeline, steps: impl IntoIterator<Item = (i64, i64)>, always_on: bool) -> History {
    let rules = rules();
    let mut history = History::default();
    for step in steps {
        let load = |from, until| Ok(part(slots, from, until));
        let (from, until) = step;
        let ask =
            Ask { from, until, maintenance: &MAINTENANCE, always_on, pipeline_gap: &|_| false, failures: &failed };
        evaluate_again(&rules, &mut history, &ask, load).expect("slots");
        let mut out = Out::default();
        history.write(&mut out);
        let read = History::read(&mut In(&out.0)).expect("a history");
        assert_eq!(read, history);
        history = read;
    }
    history
}

pub(super) fn whole(slots: &Timeline) -> History {
    stepped(slots, [(0, DAY)], false)
}

fn total(history: &History) -> crate::intervals::Sums {
    history.hours.iter().fold(Default::default(), |mut sum: crate::intervals::Sums, hour| {
        sum.add(&hour.sums);
        sum
    })
}

#[test]
fn the_golden_day_has_the_stated_seconds() {
    let history = whole(&golden());
    let sums = total(&history);
    let seconds = |slots: u64| slots * 10;
    assert_eq!(seconds(sums.agreed()), 84_600);
    assert_eq!(seconds(sums.of(State::Up) + sums.of(State::Degraded)), 82_710);
    assert_eq!(seconds(sums.of(State::Degraded)), 600);
    assert_eq!(seconds(sums.of(State::Down)), 1290);
    assert_eq!(seconds(sums.of(State::Unknown)), 600);
    assert_eq!(seconds(sums.planned_of(State::Down)), 600);
    assert_eq!(sums.requests(), (840_000.0, 14_100.0));
}

#[test]
fn the_golden_day_has_the_stated_incidents() {
    let history = whole(&golden());
    // What its requests failed of in the slots that were not GOOD: those of its two parts in the case of the first.
    let failures = |parts: &[(i64, i64)]| {
        let mut types = Types::default();
        for slot in parts.iter().flat_map(|(from, to)| *from..*to) {
            types.merge(&failed(slot, Source::Spans).expect("types"));
        }
        types
    };
    let parts = |started, mitigated| match started == at(10, 0, 0) {
        true => failures(&[(started, at(10, 20, 0)), (at(10, 22, 0), mitigated)]),
        false => failures(&[(started, mitigated)]),
    };
    let incident = |kind, started, detected, mitigated, flaps| Derived {
        kind,
        started,
        detected,
        mitigated: Some(mitigated),
        flaps,
        failures: parts(started, mitigated),
    };
    assert_eq!(
        history.ended,
        [
            incident(Kind::Down, at(10, 0, 0), at(10, 1, 0), at(10, 23, 0), 1),
            incident(Kind::Degraded, at(16, 0, 0), at(16, 5, 0), at(16, 10, 0), 0),
            incident(Kind::Down, at(20, 10, 0), at(20, 11, 0), at(20, 20, 0), 0),
        ]
    );
}

#[test]
fn a_short_outage_is_downtime_though_it_opens_no_incident() {
    let history = whole(&day(&[(at(14, 0, 0), at(14, 0, 30), 100)], &[]));
    assert_eq!(total(&history).of(State::Down), 3);
    assert!(history.ended.is_empty());
}

#[test]
fn the_intervals_join_and_are_those_of_the_sums() {
    let history = whole(&golden());
    assert!(history.intervals.windows(2).all(|pair| pair[0].to == pair[1].from));
    for state in State::ALL {
        let slots: i64 = history.intervals.iter().filter(|one| one.state == state).map(|one| one.to - one.from).sum();
        assert_eq!(slots as u64, total(&history).of(state), "{}", state.name());
    }
}

#[test]
fn evaluated_in_steps_it_is_the_same_as_at_once() {
    let slots = golden();
    let whole = whole(&slots);
    for step in [1, 6, 7, 90, 361] {
        let steps = (0..DAY).step_by(step).map(|from| (from, (from + step as i64).min(DAY)));
        let stepped = stepped(&slots, steps, false);
        assert_eq!((&stepped.hours, &stepped.intervals), (&whole.hours, &whole.intervals), "steps of {step}");
        assert_eq!((&stepped.ended, &stepped.open), (&whole.ended, &whole.open), "steps of {step}");
    }
}

#[test]
fn evaluated_again_from_anywhere_it_is_the_same() {
    let slots = golden();
    let whole = whole(&slots);
    let again = stepped(&slots, (0..90).rev().map(|step| (step * 97, DAY)), false);
    assert_eq!((&again.hours, &again.intervals, &again.ended), (&whole.hours, &whole.intervals, &whole.ended));
}

#[test]
fn a_gap_is_unknown_from_the_last_data_on_once_it_is_long_enough() {
    let short = whole(&day(&[], &[(100, 102)]));
    assert_eq!(total(&short).of(State::Unknown), 0);
    let long = whole(&day(&[], &[(100, 103)]));
    assert_eq!(total(&long).of(State::Unknown), 3);
}

#[test]
fn the_interval_of_a_service_makes_its_silence_longer() {
    // A slot with data every minute: silence begins after three minutes, up to which the last probe speaks.
    let mut slots = Timeline { first: 0, slots: vec![Slot::default(); DAY as usize] };
    slots.slots.iter_mut().step_by(6).for_each(|slot| slot.probes = [1, 0]);
    slots.slots[600..610].iter_mut().for_each(|slot| slot.probes = [0, 0]);
    let history = stepped(&slots, [(0, 2000)], false);
    let learning = total(&stepped(&slots, [(0, 100)], false)).of(State::Unknown);
    assert_eq!(total(&history).of(State::Unknown), learning);
    slots.slots[600..635].iter_mut().for_each(|slot| slot.probes = [0, 0]);
    let silent = total(&stepped(&slots, [(0, 2000)], false)).of(State::Unknown);
    assert_eq!(silent, learning + 35 + 6);
}

#[test]
fn an_always_on_service_that_is_silent_for_five_minutes_is_down() {
    let slots = day(&[], &[(100, 200)]);
    let history = stepped(&slots, [(0, DAY)], true);
    assert_eq!(total(&history).of(State::Down), 100);
    let expected = Derived {
        kind: Kind::Silent,
        started: 100,
        detected: 130,
        mitigated: Some(200),
        flaps: 0,
        failures: Types::default(),
    };
    assert_eq!(history.ended, [expected]);
    let stepwise = stepped(&slots, (0..DAY).map(|slot| (slot, slot + 1)), true);
    assert_eq!((&stepwise.ended, &stepwise.intervals), (&history.ended, &history.intervals));
}

#[test]
fn an_always_on_service_that_is_silent_for_less_is_unknown() {
    let history = stepped(&day(&[], &[(100, 129)]), [(0, DAY)], true);
    assert_eq!((total(&history).of(State::Down), total(&history).of(State::Unknown)), (0, 29));
    assert!(history.ended.is_empty());
}

#[test]
fn silence_of_half_of_all_services_is_a_gap_and_no_outage() {
    let (rules, slots) = (rules(), day(&[], &[(100, 200)]));
    let mut history = History::default();
    let gap = |slot| slot == 130;
    let ask = Ask { from: 0, until: DAY, maintenance: &[], always_on: true, pipeline_gap: &gap, failures: &failed };
    evaluate_again(&rules, &mut history, &ask, |_, _| Ok(slots.clone())).expect("slots");
    assert_eq!((total(&history).of(State::Down), total(&history).of(State::Unknown)), (0, 100));
    assert!(history.ended.is_empty());
}

#[test]
fn a_service_that_is_gone_has_no_more_hours() {
    let mut slots = day(&[], &[]);
    slots.slots.resize(3 * DAY as usize, Slot::default());
    let rules = rules();
    let mut history = History::default();
    let load = |from, until| Ok(part(&slots, from, until));
    let ask = Ask {
        from: 0,
        until: 3 * DAY,
        maintenance: &[],
        always_on: false,
        pipeline_gap: &|_| false,
        failures: &failed,
    };
    evaluate_again(&rules, &mut history, &ask, load).expect("slots");
    assert_eq!(total(&history).agreed(), 2 * DAY as u64);
}

#[test]
fn metrics_are_the_truth_where_they_exist() {
    let mut slots = day(&[(0, DAY, 100)], &[]);
    for slot in &mut slots.slots[100..] {
        slot.sources[Source::Metrics as usize] = Counts { valid: 50 * ONE, bad: 0, slow: 0, rows: 1 };
    }
    let sums = total(&whole(&slots));
    assert_eq!(sums.requests().1, 100.0 * 100.0);
    assert_eq!(sums.of(State::Down), 100);
}

#[test]
fn rows_from_before_the_first_that_was_known_are_evaluated_too() {
    let slots = golden();
    let late = stepped(&slots, [(5000, DAY), (0, DAY)], false);
    assert_eq!(late.intervals, whole(&slots).intervals);
}
