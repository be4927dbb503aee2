use super::*;
use crate::config::Config;
use crate::failures::Types;
use crate::lifecycle::Interval;

const MINUTE: i64 = 60_000_000_000;

fn rules(config: Config) -> Rules {
    Rules::new(config).expect("a right configuration")
}

fn service() -> ServiceKey {
    ServiceKey { namespace: String::new(), service: "shop".to_owned(), environment: "production".to_owned() }
}

/// An incident of the signals, in minutes: from, to.
fn derived(kind: Kind, from: i64, to: i64) -> Derived {
    Derived {
        kind,
        started: from * 6,
        detected: from * 6 + 6,
        mitigated: Some(to * 6),
        flaps: 0,
        failures: Types::default(),
    }
}

/// An incident that was told, in minutes: the begin of the impact, detected, mitigated, resolved.
fn told(
    id: &str,
    started: Option<i64>,
    detected: i64,
    mitigated: Option<i64>,
    resolved: Option<i64>,
) -> ExplicitIncident {
    let time = |minutes: Option<i64>| minutes.map(|minutes| minutes * MINUTE);
    let clocks = Clocks {
        started: time(started.or(Some(detected))),
        onset_estimated: started.is_none(),
        detected: Some(detected * MINUTE),
        mitigated: time(mitigated),
        resolved: time(resolved),
        ..Clocks::default()
    };
    let status = if resolved.is_some() { Status::Resolved } else { Status::Open };
    ExplicitIncident {
        incident_id: id.to_owned(),
        service: service(),
        severity: None,
        kind: None,
        status,
        planned: false,
        clocks,
        durations: clocks.durations(status, &Settings::default()),
        flaps: 0,
        impact: Vec::new(),
        fingerprint: None,
        recurrence_of: None,
        cause_change_id: None,
        url: None,
        root_service: None,
        quality: Vec::new(),
        first_event: detected * MINUTE,
    }
}

fn found(derived: &[Derived], explicit: Vec<ExplicitIncident>) -> Vec<Incident> {
    incidents(&rules(Config::default()), &service(), derived, explicit, &[])
}

#[test]
fn a_told_and_a_found_incident_within_a_quarter_of_an_hour_are_one() {
    let down = [derived(Kind::Down, 600, 620)];
    let one = found(&down, vec![told("inc-1", None, 603, None, Some(626))]);
    assert_eq!(one.iter().map(|incident| incident.id.as_str()).collect::<Vec<_>>(), ["inc-1"]);
    assert_eq!(found(&down, vec![told("inc-1", Some(585), 585, None, None)]).len(), 1);
    assert_eq!(found(&down, vec![told("inc-1", Some(584), 584, None, None)]).len(), 2);
    assert_eq!(found(&down, vec![told("inc-1", Some(635), 635, None, None)]).len(), 1);
    assert_eq!(found(&down, vec![told("inc-1", Some(636), 636, None, None)]).len(), 2);
}

#[test]
fn a_fingerprint_that_was_told_stays_and_another_is_that_of_the_signals() {
    let down = [derived(Kind::Down, 600, 620)];
    let alone = found(&down, Vec::new()).remove(0);
    let silent = found(&down, vec![told("inc-1", None, 603, None, None)]).remove(0);
    assert_eq!((silent.kind, silent.fingerprint), (alone.kind.clone(), alone.fingerprint));
    let named = ExplicitIncident { fingerprint: Some("pool".to_owned()), ..told("inc-1", None, 603, None, None) };
    let named = found(&down, vec![named]).remove(0);
    assert_eq!((named.kind, named.fingerprint.as_deref()), (alone.kind, Some("pool")));
}

#[test]
fn the_earliest_detection_names_the_source() {
    let down = [derived(Kind::Down, 600, 620)];
    let signals = &found(&down, vec![told("inc-1", None, 603, None, None)])[0];
    assert_eq!((signals.source, signals.clocks.detected), (Some("signals"), Some(601 * MINUTE)));
    let event = &found(&down, vec![told("inc-1", Some(598), 599, None, None)])[0];
    assert_eq!((event.source, event.clocks.detected), (Some("event"), Some(599 * MINUTE)));
}

#[test]
fn what_was_told_of_begin_and_end_goes_before_what_was_measured() {
    let down = [derived(Kind::Down, 600, 620)];
    let told_all = &found(&down, vec![told("inc-1", Some(595), 603, Some(618), Some(626))])[0];
    assert_eq!(told_all.clocks.started, Some(595 * MINUTE));
    assert_eq!(told_all.durations.ttm_s, Some(23.0 * 60.0));
    assert_eq!(told_all.durations.ttr_s, Some(31.0 * 60.0));
    let told_less = &found(&down, vec![told("inc-1", None, 603, None, Some(626))])[0];
    assert_eq!((told_less.clocks.started, told_less.clocks.onset_estimated), (Some(600 * MINUTE), false));
    assert_eq!(told_less.durations.ttm_s, Some(20.0 * 60.0));
    assert_eq!(told_less.durations.ttd_s, Some(60.0));
}

#[test]
fn an_incident_whose_impact_has_ended_is_mitigated_until_somebody_resolves_it() {
    let one = &found(&[derived(Kind::Down, 600, 620)], vec![told("inc-1", None, 603, None, None)])[0];
    assert_eq!((one.status, one.durations.ttr_s), (Status::Mitigated, None));
}

#[test]
fn a_cancelled_incident_takes_nothing_from_what_was_measured() {
    let mut cancelled = told("inc-1", None, 603, None, None);
    cancelled.status = Status::Cancelled;
    let both = found(&[derived(Kind::Down, 600, 620)], vec![cancelled]);
    assert_eq!(both.len(), 2);
    assert_eq!(both.iter().filter(|incident| incident.counts()).count(), 1);
}

#[test]
fn the_nearer_of_two_is_the_one() {
    let two = [derived(Kind::Down, 600, 605), derived(Kind::Down, 615, 620)];
    let incidents = found(&two, vec![told("inc-1", None, 616, None, None)]);
    assert_eq!(incidents.len(), 2);
    assert_eq!(incidents[1].id, "inc-1");
}

#[test]
fn a_found_incident_is_resolved_when_its_impact_ends() {
    let one = &found(&[derived(Kind::Down, 600, 623)], Vec::new())[0];
    assert_eq!((one.status, one.clocks.resolved), (Status::Resolved, Some(623 * MINUTE)));
    assert_eq!((one.durations.ttd_s, one.durations.ttr_s), (Some(60.0), Some(1380.0)));
}

#[test]
fn an_incident_that_began_in_maintenance_is_planned() {
    let maintenance =
        Maintenance { interval: Interval { from: 590 * MINUTE, to: Some(601 * MINUTE) }, after_the_fact: true };
    let both = [derived(Kind::Down, 600, 620), derived(Kind::Down, 700, 720)];
    let incidents = incidents(&rules(Config::default()), &service(), &both, Vec::new(), &[maintenance]);
    assert_eq!(incidents.iter().map(|one| one.planned).collect::<Vec<_>>(), [true, false]);
    assert_eq!(incidents[0].quality, ["maintenance_declared_late"]);
    // It is no earlier incident of the other.
    assert_eq!(incidents[1].recurrence_of, None);
}

#[test]
fn an_incident_recurs_within_thirty_days_of_the_end_of_one_like_it() {
    let day = 24 * 60;
    let all = [
        derived(Kind::Down, 0, 10),
        derived(Kind::Degraded, 300, 310),
        derived(Kind::Down, 10 + 30 * day, 20 + 30 * day),
        derived(Kind::Down, 21 + 60 * day, 30 + 60 * day),
    ];
    let incidents = found(&all, Vec::new());
    let recurs: Vec<_> = incidents.iter().map(|one| one.recurrence_of.clone()).collect();
    assert_eq!(recurs, [None, None, Some(incidents[0].id.clone()), None]);
}

#[test]
fn found_incidents_that_follow_each_other_soon_are_one_where_that_is_configured() {
    let all = [derived(Kind::Down, 0, 10), derived(Kind::Down, 100, 110), derived(Kind::Down, 400, 410)];
    assert_eq!(found(&all, Vec::new()).len(), 3);
    let rules = rules(Config { reopen_derived_s: 4 * 3600, ..Config::default() });
    let incidents = incidents(&rules, &service(), &all, Vec::new(), &[]);
    assert_eq!(incidents.len(), 2);
    assert_eq!((incidents[0].flaps, incidents[0].clocks.mitigated), (1, Some(110 * MINUTE)));
}

#[test]
fn impact_costs_minutes_times_the_rate_of_the_severity() {
    let rates = [("sev2".to_owned(), 3.0), ("*".to_owned(), 1.0)];
    let config = Config { cost_per_minute: [("shop".to_owned(), rates.into())].into(), ..Config::default() };
    let rules = rules(config);
    let all = [derived(Kind::Down, 0, 10), derived(Kind::Degraded, 300, 310)];
    let incidents = incidents(&rules, &service(), &all, Vec::new(), &[]);
    let costs: Vec<_> = incidents.iter().map(|one| one.row(&rules, &service()).cost).collect();
    assert_eq!(costs, [Some(30.0), Some(10.0)]);
}
