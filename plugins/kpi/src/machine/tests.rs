use super::*;
use crate::config::Config;

fn rules() -> Rules {
    Rules::new(Config::default()).expect("defaults are right")
}

/// Feeds runs of verdicts: `G6 B3 D1 -2`. Between any two slots the machine is written and read back.
fn fed(runs: &str) -> (Machine, Vec<Derived>) {
    let (rules, mut machine, mut closed, mut slot) = (rules(), Machine::default(), Vec::new(), 0);
    for run in runs.split_whitespace() {
        let (verdict, length) = run.split_at(1);
        let verdict = match verdict {
            "G" => Verdict::Good,
            "B" => Verdict::Bad,
            "D" => Verdict::Degraded,
            _ => Verdict::NoData,
        };
        for _ in 0..length.parse::<i64>().expect("a length") {
            closed.extend(machine.push(&rules, slot, verdict));
            let mut out = Out::default();
            machine.write(&mut out);
            assert_eq!(Machine::read(&mut In(&out.0)).as_ref(), Some(&machine));
            slot += 1;
        }
    }
    (machine, closed)
}

fn open(runs: &str) -> Option<Derived> {
    fed(runs).0.open().cloned()
}

#[test]
fn one_good_slot_ends_a_suspicion() {
    assert_eq!(open("G9 B5 G1 B5"), None);
}

#[test]
fn sixty_seconds_of_bad_in_a_row_open_an_incident_at_the_end_of_the_slot() {
    let incident = open("G9 B6").expect("an incident");
    assert_eq!((incident.kind, incident.started, incident.detected), (Kind::Down, 9, 15));
}

#[test]
fn three_hundred_seconds_not_good_open_a_degraded_incident() {
    assert_eq!(open("G9 D29"), None);
    let incident = open("G9 D30").expect("an incident");
    assert_eq!((incident.kind, incident.started, incident.detected), (Kind::Degraded, 9, 39));
    assert_eq!(open("G9 D5 B1 D24").map(|incident| incident.kind), Some(Kind::Degraded));
}

#[test]
fn bad_after_degraded_raises_the_same_incident() {
    let incident = open("G9 D30 B6").expect("an incident");
    assert_eq!((incident.kind, incident.started, incident.detected), (Kind::Down, 9, 39));
    assert_eq!(open("G9 D30 B5").map(|incident| incident.kind), Some(Kind::Degraded));
}

#[test]
fn three_hundred_seconds_of_good_end_it_at_the_end_of_the_last_slot_not_good() {
    assert!(fed("G9 B6 G29").1.is_empty());
    let (machine, closed) = fed("G9 B6 D2 G30");
    assert_eq!(machine.open(), None);
    assert_eq!(closed[0].mitigated, Some(17));
}

#[test]
fn a_relapse_while_recovering_is_a_flap_of_the_same_incident() {
    let (_, closed) = fed("G9 B6 G12 B6 G1 D1 G30");
    assert_eq!(closed.len(), 1);
    assert_eq!((closed[0].flaps, closed[0].mitigated), (2, Some(9 + 6 + 12 + 6 + 1 + 1)));
}

#[test]
fn slots_without_data_freeze_the_timers() {
    assert_eq!(open("G9 B3 -50 B3").map(|incident| (incident.started, incident.detected)), Some((9, 65)));
    let (_, closed) = fed("G9 B6 G15 -50 G15");
    assert_eq!(closed[0].mitigated, Some(15));
}

#[test]
fn the_first_symptom_is_found_backwards_over_less_than_thirty_seconds_of_good() {
    assert_eq!(open("G9 B2 G2 B6").map(|incident| incident.started), Some(9));
    assert_eq!(open("G9 B2 G3 B6").map(|incident| incident.started), Some(14));
    assert_eq!(open("G9 D1 -5 G2 B6").map(|incident| incident.started), Some(9));
}

#[test]
fn the_first_symptom_lies_at_most_an_hour_back() {
    let flapping = "B1 G1 ".repeat(400);
    let incident = open(&format!("G9 {flapping} B6")).expect("an incident");
    assert_eq!(incident.detected, 9 + 800 + 6);
    assert_eq!(incident.started, incident.detected - 360);
}

#[test]
fn a_service_that_was_never_good_can_be_down() {
    assert_eq!(open("B6").map(|incident| incident.started), Some(0));
}

#[test]
fn silence_opens_an_incident_when_it_is_known_and_begins_where_it_began() {
    let rules = rules();
    let (mut machine, _) = fed("G9");
    machine.silence(&rules, 10, 39, 60);
    let incident = machine.open().cloned().expect("an incident");
    assert_eq!((incident.kind, incident.started, incident.detected), (Kind::Silent, 10, 39));
    let closed: Vec<_> = (60..90).filter_map(|slot| machine.push(&rules, slot, Verdict::Good)).collect();
    assert_eq!(closed[0].mitigated, Some(60));
}
