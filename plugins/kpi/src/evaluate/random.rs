//! Random days against a second, plain implementation of the rules: verdicts of single slots in a list, walked by index.

use super::tests::{failed, traffic, whole};
use super::*;
use crate::codec::mix;
use crate::machine::{Derived, Kind};
use crate::slots::Slot;

const DAY: usize = 8640;
const DAYS: u64 = 300;

#[derive(Clone, Copy, PartialEq)]
enum Plain {
    Good,
    Degraded,
    Bad,
    Nothing,
}

/// A day of runs, each of one share of failures or of silence, with a verdict for each slot.
fn day(seed: u64) -> (Timeline, Vec<Plain>) {
    let mut draw = {
        let mut count = 0;
        move |limit: u64| {
            count += 1;
            mix(mix(seed, count), 0xda7) % limit
        }
    };
    let (mut slots, mut verdicts): (Vec<Slot>, Vec<Plain>) = (vec![traffic(100, 0)], vec![Plain::Good]);
    while slots.len() < DAY {
        let (bad, verdict, least, most) = match draw(12) {
            0 => (100, Plain::Bad, 1, 12),
            1 => (50, Plain::Bad, 1, 60),
            2 => (49, Plain::Degraded, 1, 40),
            3 => (5, Plain::Degraded, 1, 60),
            // Shorter silence is none.
            4 => (0, Plain::Nothing, 3, 90),
            5 => (4, Plain::Good, 1, 3),
            6 => (0, Plain::Good, 28, 32),
            _ => (0, Plain::Good, 1, 200),
        };
        // Silence right after silence is one; it cannot come before the first data.
        let silent = verdict == Plain::Nothing;
        for _ in 0..least + draw(most - least + 1) {
            slots.push(if silent { Slot::default() } else { traffic(100, bad) });
            verdicts.push(verdict);
        }
    }
    slots.truncate(DAY);
    verdicts.truncate(DAY);
    (Timeline { first: 0, slots }, verdicts)
}

/// The end of the day may cut a silence so short that it is none: the slot before it then speaks for it.
fn end_of_day(verdicts: &mut [Plain]) {
    let silent = verdicts.iter().rev().take_while(|verdict| **verdict == Plain::Nothing).count();
    if silent > 0 && silent < 3 {
        let last = verdicts[DAY - silent - 1];
        verdicts[DAY - silent..].fill(last);
    }
}

fn failing(verdict: Plain) -> bool {
    matches!(verdict, Plain::Bad | Plain::Degraded)
}

/// The first symptom: backwards from the slot that opens an incident, over less than 30 s of GOOD in a row.
fn first_symptom(verdicts: &[Plain], opened: usize) -> i64 {
    let (mut first, mut good) = (opened, 0);
    for slot in (opened.saturating_sub(359)..=opened).rev() {
        match verdicts[slot] {
            Plain::Good => good += 1,
            Plain::Nothing => {}
            Plain::Bad | Plain::Degraded => (first, good) = (slot, 0),
        }
        if good == 3 {
            break;
        }
    }
    first as i64
}

fn plain_incidents(verdicts: &[Plain]) -> (Vec<Derived>, Option<Derived>) {
    let (mut done, mut open): (Vec<Derived>, Option<Derived>) = (Vec::new(), None);
    let (mut bad, mut not_good, mut good, mut end) = (0, 0, 0, 0);
    for (slot, &verdict) in verdicts.iter().enumerate().filter(|(_, verdict)| **verdict != Plain::Nothing) {
        bad = if verdict == Plain::Bad { bad + 1 } else { 0 };
        if !failing(verdict) {
            (not_good, good) = (0, good + 1);
            if good == 30 {
                done.extend(open.take().map(|incident| Derived { mitigated: Some(end), ..incident }));
            }
            continue;
        }
        not_good += 1;
        let failures = |from: i64| {
            let failing = (from..=slot as i64).filter(|slot| failing(verdicts[*slot as usize]));
            let mut types = Types::default();
            failing.for_each(|slot| types.merge(&failed(slot, Source::Spans).expect("types")));
            types
        };
        if let Some(incident) = &mut open {
            incident.failures.merge(&failures(slot as i64));
            incident.flaps += u32::from(good > 0);
            if bad >= 6 {
                incident.kind = Kind::Down;
            }
        } else if bad >= 6 || not_good >= 30 {
            let kind = if bad >= 6 { Kind::Down } else { Kind::Degraded };
            let started = first_symptom(verdicts, slot);
            open = Some(Derived {
                kind,
                started,
                detected: slot as i64 + 1,
                mitigated: None,
                flaps: 0,
                failures: failures(started),
            });
        }
        (good, end) = (0, slot as i64 + 1);
    }
    (done, open)
}

#[test]
fn random_days_are_what_a_plain_implementation_makes_of_them() {
    let mut found = 0;
    for seed in 0..DAYS {
        let (slots, mut verdicts) = day(seed);
        end_of_day(&mut verdicts);
        let history = whole(&slots);
        let (done, open) = plain_incidents(&verdicts);
        assert_eq!((&history.ended, &history.open), (&done, &open), "seed {seed}");
        found += done.len();
        for (state, verdict) in [
            (State::Up, Plain::Good),
            (State::Degraded, Plain::Degraded),
            (State::Down, Plain::Bad),
            (State::Unknown, Plain::Nothing),
        ] {
            // Maintenance of the other tests, which is in all days: those slots are apart.
            let apart = |slot: usize| (7200..7380).contains(&slot);
            let plain = verdicts.iter().enumerate().filter(|(slot, one)| **one == verdict && !apart(*slot)).count();
            let sums: u64 = history.hours.iter().map(|hour| hour.sums.of(state)).sum();
            assert_eq!(sums, plain as u64, "seed {seed}, {}", state.name());
        }
    }
    assert!(found as u64 > DAYS * 3, "{found} incidents are too few to say anything");
}
