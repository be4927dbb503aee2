//! The order in which events arrive, and how often each does, makes no difference.

use super::*;

/// Calls `each` with every order of the items.
fn permutations<T: Clone>(items: &mut [T], length: usize, each: &mut impl FnMut(&[T])) {
    if length <= 1 {
        return each(items);
    }
    for index in 0..length {
        permutations(items, length - 1, each);
        items.swap(if length.is_multiple_of(2) { index } else { 0 }, length - 1);
    }
}

/// Numbers of a seed: xorshift64*.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// Of the seed in `SEED`, or of one that differs from run to run.
    fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0_u8)).max(1);
        println!("replay with SEED={seed}");
        Self { seed, state: seed }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn shuffled<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        let mut items = items.to_vec();
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
        items
    }
}

#[test]
fn every_order_of_arrival_gives_the_same_incident() {
    let mut told = vec![
        with(Declared, 4, impact(0)),
        with(Detected, 3, severity(Severity::Sev3)),
        fact(Acknowledged, 5),
        with(Mitigated, 20, severity(Severity::Sev2)),
        fact(Resolved, 30),
        fact(Reopened, 90),
        with(Resolved, 120, severity(Severity::Sev4)),
    ];
    let (known, expected) = (facts(&told), views(&told));
    assert_eq!((expected.len(), expected[0].flaps, expected[0].clocks.resolved), (1, 1, Some(at(120))));
    let mut orders = std::collections::BTreeSet::new();
    permutations(&mut told, 7, &mut |order| {
        assert_eq!(facts(order), known, "{order:?}");
        assert_eq!(views(order), expected, "{order:?}");
        orders.insert(order.iter().map(|fact| (fact.time, fact.step)).collect::<Vec<_>>());
    });
    assert_eq!(orders.len(), 5040);
}

#[test]
fn every_order_of_arrival_gives_the_same_two_incidents() {
    let mut told = vec![
        with(Declared, 0, impact(-5)),
        fact(Acknowledged, 2),
        fact(Resolved, 10),
        fact(Closed, 20),
        with(Reopened, 300, impact(295)),
        fact(Acknowledged, 301),
        fact(Resolved, 330),
    ];
    let expected = views(&told);
    assert_eq!(expected.len(), 2);
    permutations(&mut told, 7, &mut |order| assert_eq!(views(order), expected, "{order:?}"));
}

#[test]
fn duplicates_change_nothing() {
    let told = whole();
    let mut known = facts(&told);
    for fact in &told {
        assert!(!known.add(&service("cart"), fact.clone()), "{fact:?}");
    }
    assert_eq!(known, facts(&told));
    assert!(known.add(&service("cart"), fact(Reopened, 61)));
}

#[test]
fn an_event_sent_again_with_its_uid_is_one_whatever_its_time() {
    let again = |minute| Fact { uid: Some("u1".to_owned()), ..fact(Reopened, minute) };
    let told = [fact(Declared, 0), fact(Resolved, 10), again(20), fact(Resolved, 30), again(40)];
    let incident = view(&told);
    assert_eq!((incident.flaps, incident.status), (1, Status::Resolved));
    let other = Fact { uid: Some("u2".to_owned()), ..fact(Reopened, 40) };
    let incident = view(&[fact(Declared, 0), fact(Resolved, 10), again(20), fact(Resolved, 30), other]);
    assert_eq!((incident.flaps, incident.status), (2, Status::Open));
}

#[test]
fn copies_that_differ_are_made_one_in_any_order() {
    let one = with(Declared, 0, severity(Severity::Sev3));
    let mut copies = vec![one, with(Declared, 0, severity(Severity::Sev1)), with(Declared, 0, impact(-1))];
    let known = facts(&copies);
    permutations(&mut copies, 3, &mut |order| assert_eq!(facts(order), known));
    let incident = view(&copies);
    assert_eq!((incident.severity, incident.clocks.started), (Some(Severity::Sev1), Some(at(-1))));
}

#[test]
fn what_is_kept_is_bounded_and_the_same_in_any_order() {
    let steps = (0..1000).map(|minute| fact(if minute % 2 == 0 { Resolved } else { Reopened }, minute));
    let updates = (0..1000).map(|minute| with(Updated, minute, severity(Severity::Sev3)));
    let told: Vec<_> = steps.chain(updates).chain([with(Updated, 2000, severity(Severity::Sev1))]).collect();
    let known = facts(&told);
    assert_eq!((known.steps.iter().count(), known.updates.iter().count()), (STEPS_MAX, UPDATES_MAX));
    let incident = &known.view("i1", &Settings::default())[0];
    assert_eq!(incident.severity, Some(Severity::Sev1));
    assert_eq!(incident.quality, [Quality::NoStart, Quality::Truncated]);
    let mut random = Random::new();
    let shuffled = random.shuffled(&told);
    assert_eq!(facts(&shuffled), known, "seed {}", random.seed);
}

#[test]
fn facts_survive_being_stored() {
    let told = [whole(), vec![with(Updated, 40, severity(Severity::Sev4)), fact(Reopened, 500)]].concat();
    let known = facts(&told);
    let json = serde_json::to_string(&known).expect("json");
    assert_eq!(serde_json::from_str::<IncidentFacts>(&json).expect("facts"), known);
    assert!(json.len() < 100 * told.len(), "{} bytes: {json}", json.len());
}

#[test]
fn random_events_shuffled_and_duplicated_give_the_same_incidents() {
    let steps = [Declared, Detected, Acknowledged, Mitigated, Resolved, Closed, Cancelled, Reopened, Updated];
    let mut random = Random::new();
    for round in 0..500 {
        let count = 1 + random.below(40);
        let told: Vec<_> = (0..count)
            .map(|_| {
                let uid = (random.below(3) == 0).then(|| format!("u{}", random.below(12)));
                let minute = random.below(900) as i64;
                let severity = [None, Some(Severity::Sev1), Some(Severity::Sev4)][random.below(3)];
                let impact_start = (random.below(4) == 0).then(|| at(minute - random.below(30) as i64));
                let attributes = IncidentAttributes { severity, impact_start, ..IncidentAttributes::default() };
                let fact = Fact { uid, ..with(steps[random.below(steps.len())], minute, attributes) };
                (service(["", "cart", "checkout"][random.below(3)]), fact)
            })
            .collect();
        let fold = |told: &[(ServiceKey, IncidentFact)]| {
            told.iter().fold(IncidentFacts::default(), |mut known, (service, fact)| {
                known.add(service, fact.clone());
                known
            })
        };
        let expected = fold(&told);
        let twice = [told.clone(), random.shuffled(&told)[..count / 2].to_vec()].concat();
        let seed = random.seed;
        assert_eq!(fold(&random.shuffled(&twice)), expected, "seed {seed}, round {round}");
        let incidents = expected.view("i", &Settings::default());
        let ids: std::collections::BTreeSet<_> = incidents.iter().map(|incident| &incident.incident_id).collect();
        assert_eq!(ids.len(), incidents.len(), "seed {seed}, round {round}");
        let negative = |seconds: Option<f64>| seconds.is_some_and(|seconds| seconds < 0.0);
        for Durations { ttd_s, tta_s, ttm_s, ttr_s, .. } in incidents.iter().map(|incident| incident.durations) {
            assert!(![ttd_s, tta_s, ttm_s, ttr_s].into_iter().any(negative), "seed {seed}, round {round}");
        }
    }
}
