use super::*;

#[path = "incident_order_tests.rs"]
mod order;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
/// 2026-01-31T10:00:00Z
const TEN: i64 = 1_769_853_600 * SECOND;

type IncidentFact = Fact<IncidentStep, IncidentAttributes>;
use IncidentStep::{Acknowledged, Cancelled, Closed, Declared, Detected, Mitigated, Reopened, Resolved, Updated};

fn at(minute: i64) -> i64 {
    TEN + minute * MINUTE
}

fn fact(step: IncidentStep, minute: i64) -> IncidentFact {
    Fact { time: at(minute), step, uid: None, attributes: IncidentAttributes::default() }
}

fn with(step: IncidentStep, minute: i64, attributes: IncidentAttributes) -> IncidentFact {
    Fact { attributes, ..fact(step, minute) }
}

fn impact(minute: i64) -> IncidentAttributes {
    IncidentAttributes { impact_start: Some(at(minute)), ..IncidentAttributes::default() }
}

fn severity(severity: Severity) -> IncidentAttributes {
    IncidentAttributes { severity: Some(severity), ..IncidentAttributes::default() }
}

fn service(name: &str) -> ServiceKey {
    ServiceKey { namespace: "shop".to_owned(), service: name.to_owned(), environment: "production".to_owned() }
}

fn facts(facts: &[IncidentFact]) -> IncidentFacts {
    let mut known = IncidentFacts::default();
    for fact in facts {
        known.add(&service("cart"), fact.clone());
    }
    known
}

fn views(told: &[IncidentFact]) -> Vec<ExplicitIncident> {
    facts(told).view("i1", &Settings::default())
}

fn view(told: &[IncidentFact]) -> ExplicitIncident {
    let mut incidents = views(told);
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    incidents.remove(0)
}

fn minutes(seconds: Option<f64>) -> Option<f64> {
    seconds.map(|seconds| seconds / 60.0)
}

/// Impact from 10:00, detected 10:03, acknowledged 10:05, mitigated 10:20, resolved 10:30, closed 11:00.
fn whole() -> Vec<IncidentFact> {
    vec![
        with(Declared, 4, impact(0)),
        fact(Detected, 3),
        fact(Acknowledged, 5),
        fact(Mitigated, 20),
        fact(Resolved, 30),
        fact(Closed, 60),
    ]
}

#[test]
fn durations_are_those_between_the_clocks() {
    let incident = view(&whole());
    assert_eq!(minutes(incident.durations.ttd_s), Some(3.0));
    assert_eq!(minutes(incident.durations.tta_s), Some(2.0));
    assert_eq!(minutes(incident.durations.ttm_s), Some(20.0));
    assert_eq!(minutes(incident.durations.ttr_s), Some(30.0));
    assert_eq!((incident.status, incident.flaps, incident.quality.as_slice()), (Status::Closed, 0, &[][..]));
    assert_eq!(incident.impact, [Interval { from: at(0), to: Some(at(20)) }]);
    assert!(!incident.clocks.onset_estimated);
}

#[test]
fn each_duration_can_count_from_and_to_where_it_is_configured() {
    let mut told = whole();
    told.push(with(Updated, 40, IncidentAttributes { fault_start: Some(at(-10)), ..IncidentAttributes::default() }));
    let durations = |settings: Settings| facts(&told).view("i1", &settings)[0].durations;
    use super::super::settings::{AcknowledgeFrom, DetectFrom, ResolveFrom, ResolveTo};
    let default = Settings::default;
    let fault = durations(Settings { ttd_from: DetectFrom::FaultStart, ..default() });
    assert_eq!(minutes(fault.ttd_s), Some(13.0));
    let started = durations(Settings { tta_from: AcknowledgeFrom::Started, ..default() });
    assert_eq!(minutes(started.tta_s), Some(5.0));
    let detected = durations(Settings { ttr_from: ResolveFrom::Detected, ..default() });
    assert_eq!(minutes(detected.ttr_s), Some(27.0));
    let mitigated = durations(Settings { ttr_to: ResolveTo::Mitigated, ..default() });
    assert_eq!(minutes(mitigated.ttr_s), Some(20.0));
    let closed = durations(Settings { ttr_to: ResolveTo::Closed, ..default() });
    assert_eq!(minutes(closed.ttr_s), Some(60.0));
}

#[test]
fn an_open_incident_has_no_durations() {
    let incident = view(&[with(Declared, 4, impact(0)), fact(Acknowledged, 5)]);
    assert_eq!((incident.status, incident.durations), (Status::Open, Durations::default()));
    assert_eq!(incident.impact, [Interval { from: at(0), to: None }]);
    let settings = Settings { durations_while_open: true, ..Settings::default() };
    let told = facts(&[with(Declared, 4, impact(0)), fact(Acknowledged, 5)]);
    assert_eq!(minutes(told.view("i1", &settings)[0].durations.ttd_s), Some(4.0));
}

#[test]
fn a_mitigated_incident_has_all_durations_but_that_to_its_resolution() {
    let incident = view(&whole()[..4]);
    assert_eq!(incident.status, Status::Mitigated);
    assert_eq!(minutes(incident.durations.ttm_s), Some(20.0));
    assert_eq!(incident.durations.ttr_s, None);
}

#[test]
fn a_cancelled_incident_has_no_durations_and_no_impact() {
    let mut told = whole();
    told.push(fact(Cancelled, 70));
    let incident = view(&told);
    assert_eq!((incident.status, incident.durations), (Status::Cancelled, Durations::default()));
    assert!(incident.impact.is_empty());
}

#[test]
fn an_incident_that_nobody_acknowledged_has_no_time_to_acknowledgement() {
    let told: Vec<_> = whole().into_iter().filter(|fact| fact.step != Acknowledged).collect();
    let incident = view(&told);
    assert_eq!((incident.clocks.acknowledged, incident.durations.tta_s), (None, None));
    assert_eq!(minutes(incident.durations.ttr_s), Some(30.0));
}

#[test]
fn an_incident_reopened_within_four_hours_continues() {
    let told = [whole(), vec![fact(Reopened, 30 + 240), fact(Mitigated, 280), fact(Resolved, 300)]].concat();
    let incident = view(&told);
    assert_eq!((incident.flaps, incident.status), (1, Status::Resolved));
    assert_eq!((incident.clocks.mitigated, incident.clocks.closed), (Some(at(280)), None));
    assert_eq!(minutes(incident.durations.ttr_s), Some(300.0));
    assert_eq!(minutes(incident.durations.tta_s), Some(2.0));
    let (first, second) = (Interval { from: at(0), to: Some(at(20)) }, Interval { from: at(270), to: Some(at(280)) });
    assert_eq!(incident.impact, [first, second]);
}

#[test]
fn an_incident_reopened_and_not_ended_again_is_open() {
    let incident = view(&[whole(), vec![fact(Reopened, 61)]].concat());
    assert_eq!((incident.status, incident.clocks.resolved), (Status::Open, None));
    assert_eq!(incident.durations, Durations::default());
}

#[test]
fn an_incident_reopened_later_than_four_hours_is_a_new_one() {
    let mut reopened = fact(Reopened, 30 + 240);
    reopened.time += 1;
    let incidents = views(&[whole(), vec![reopened.clone(), fact(Mitigated, 280), fact(Resolved, 300)]].concat());
    assert_eq!(incidents.len(), 2);
    assert_eq!(incidents[0], view(&whole()));
    let again = &incidents[1];
    assert_eq!((again.incident_id.as_str(), again.recurrence_of.as_deref()), ("i1#2", Some("i1")));
    assert_eq!((again.clocks.started, again.clocks.detected), (Some(reopened.time), Some(reopened.time)));
    assert_eq!((again.clocks.acknowledged, again.flaps, again.durations.ttd_s), (None, 0, None));
    assert_eq!((again.first_event, again.status), (reopened.time, Status::Resolved));
}

#[test]
fn how_long_reopening_continues_an_incident_is_configurable() {
    let told = facts(&[whole(), vec![fact(Reopened, 30 + 61)]].concat());
    let settings = Settings { reopen_s: 3600, ..Settings::default() };
    assert_eq!(told.view("i1", &settings).len(), 2);
    assert_eq!(told.view("i1", &Settings::default()).len(), 1);
}

#[test]
fn what_an_incident_is_stays_when_it_is_new_again_and_when_it_began_does_not() {
    let told = IncidentAttributes {
        severity: Some(Severity::Sev2),
        kind: Some("outage".to_owned()),
        fingerprint: Some("f".to_owned()),
        cause_change_id: Some("c1".to_owned()),
        planned: Some(true),
        url: Some("u".to_owned()),
        ..impact(-1)
    };
    let incidents =
        views(&[with(Declared, 0, told), fact(Resolved, 10), with(Reopened, 600, severity(Severity::Sev1))]);
    let [first, second] = &incidents[..] else { panic!("{incidents:?}") };
    assert_eq!((first.severity, second.severity), (Some(Severity::Sev2), Some(Severity::Sev1)));
    assert_eq!((&first.kind, &first.url, &first.fingerprint), (&second.kind, &second.url, &second.fingerprint));
    assert_eq!((first.planned, second.planned), (true, true));
    assert_eq!((first.cause_change_id.as_deref(), second.cause_change_id.as_deref()), (Some("c1"), None));
    assert_eq!((first.clocks.started, second.clocks.started), (Some(at(-1)), Some(at(600))));
}

#[test]
fn what_comes_back_after_thirty_days_or_under_another_fingerprint_is_no_recurrence() {
    let month = 30 * 24 * 60;
    let named = |step, minute, name: &str| {
        with(step, minute, IncidentAttributes { fingerprint: Some(name.to_owned()), ..IncidentAttributes::default() })
    };
    let recurrence = |reopened: IncidentFact| {
        views(&[named(Declared, 0, "f"), fact(Resolved, 10), reopened])[1].recurrence_of.clone()
    };
    assert_eq!(recurrence(fact(Reopened, 10 + month)), Some("i1".to_owned()));
    assert_eq!(recurrence(fact(Reopened, 11 + month)), None);
    assert_eq!(recurrence(named(Reopened, 600, "g")), None);
}

#[test]
fn a_mitigated_incident_can_be_reopened_at_any_time() {
    let incident = view(&[with(Declared, 0, impact(0)), fact(Mitigated, 10), fact(Reopened, 600), fact(Resolved, 610)]);
    assert_eq!((incident.flaps, incident.clocks.mitigated), (1, None));
    let (first, second) = (Interval { from: at(0), to: Some(at(10)) }, Interval { from: at(600), to: Some(at(610)) });
    assert_eq!(incident.impact, [first, second]);
    assert_eq!(incident.quality, [Quality::NoMitigation]);
}

#[test]
fn reopening_an_open_incident_changes_nothing_and_is_flagged() {
    let incident = view(&[fact(Declared, 0), fact(Reopened, 10), fact(Mitigated, 20), fact(Resolved, 20)]);
    assert_eq!((incident.flaps, incident.status), (0, Status::Resolved));
    assert_eq!(incident.quality, [Quality::ReopenedWhileOpen]);
}

#[test]
fn a_reopening_says_when_its_own_part_began_and_not_the_whole() {
    let told = [whole(), vec![with(Reopened, 90, impact(85))]].concat();
    let incident = view(&told);
    assert_eq!(incident.clocks.started, Some(at(0)));
    assert_eq!(incident.impact[1], Interval { from: at(85), to: None });
}

#[test]
fn overlapping_incidents_each_keep_their_own_durations() {
    let one = view(&whole());
    let shifted: Vec<_> = whole().into_iter().map(|fact| Fact { time: fact.time + 10 * MINUTE, ..fact }).collect();
    let other = view(&shifted);
    assert!(other.impact[0].from < one.impact[0].to.expect("an end"));
    assert_eq!(minutes(one.durations.ttr_s), Some(30.0));
    assert_eq!(minutes(other.durations.ttr_s), Some(40.0));
}

#[test]
fn the_severity_told_last_counts_whenever_it_arrives() {
    let updated = [with(Updated, 40, severity(Severity::Sev4)), with(Updated, 10, severity(Severity::Sev1))];
    let incident = view(&[whole(), updated.to_vec()].concat());
    assert_eq!(incident.severity, Some(Severity::Sev4));
    let tie = [with(Updated, 40, severity(Severity::Sev4)), with(Acknowledged, 40, severity(Severity::Sev2))];
    assert_eq!(view(&tie).severity, Some(Severity::Sev2));
}

#[test]
fn a_start_that_nobody_measured_is_the_declaration_and_gives_no_time_to_detection() {
    let incident = view(&[fact(Declared, 4), fact(Mitigated, 20), fact(Resolved, 30)]);
    assert_eq!((incident.clocks.started, incident.clocks.detected), (Some(at(4)), Some(at(4))));
    assert!(incident.clocks.onset_estimated);
    assert_eq!((incident.durations.ttd_s, minutes(incident.durations.ttr_s)), (None, Some(26.0)));
    let incident = view(&[fact(Declared, 4), fact(Detected, 6), fact(Resolved, 30)]);
    assert_eq!(minutes(incident.durations.ttd_s), Some(2.0));
}

#[test]
fn a_negative_interval_up_to_five_seconds_is_zero() {
    let mut acknowledged = fact(Acknowledged, 3);
    acknowledged.time -= 5 * SECOND;
    let incident = view(&[fact(Detected, 3), acknowledged, fact(Mitigated, 9), fact(Resolved, 9)]);
    assert_eq!((incident.durations.tta_s, incident.quality.as_slice()), (Some(0.0), &[][..]));
}

#[test]
fn a_longer_negative_interval_is_null_and_flagged() {
    let mut acknowledged = fact(Acknowledged, 3);
    acknowledged.time -= 5 * SECOND + 1;
    let incident = view(&[fact(Detected, 3), acknowledged, fact(Mitigated, 9), fact(Resolved, 9)]);
    assert_eq!((incident.durations.tta_s, incident.quality.as_slice()), (None, &[Quality::ClockSkew][..]));
}

#[test]
fn pieces_that_are_missing_are_null_and_flagged() {
    let incident = view(&[fact(Closed, 60)]);
    assert_eq!((incident.status, incident.durations), (Status::Closed, Durations::default()));
    assert_eq!(incident.quality, [Quality::NoStart, Quality::NoMitigation, Quality::NoResolution]);
    assert!(incident.impact.is_empty());
    assert_eq!(view(&[fact(Updated, 0)]).quality, [Quality::NoStart]);
}

#[test]
fn the_service_is_that_of_the_earliest_event_that_names_one() {
    let mut known = IncidentFacts::default();
    known.add(&service("cart"), fact(Resolved, 10));
    known.add(&service(""), fact(Declared, 0));
    known.add(&service("checkout"), fact(Detected, 1));
    assert_eq!(known.view("i1", &Settings::default())[0].service, service("checkout"));
}

#[test]
fn of_a_step_told_twice_the_first_counts() {
    let incident = view(&[whole(), vec![fact(Resolved, 45), fact(Mitigated, 25), fact(Detected, 7)]].concat());
    assert_eq!(incident.clocks, view(&whole()).clocks);
}

#[test]
fn an_incident_of_nothing_is_none() {
    assert!(IncidentFacts::default().view("i1", &Settings::default()).is_empty());
}

#[test]
fn an_incident_that_ended_before_its_impact_began_had_none() {
    let incident = view(&[with(Declared, 4, impact(30)), fact(Mitigated, 20), fact(Resolved, 31)]);
    assert!(incident.impact.is_empty());
    assert_eq!((incident.durations.ttm_s, incident.quality.as_slice()), (None, &[Quality::ClockSkew][..]));
}

#[test]
fn a_reopening_whose_part_began_before_the_end_of_the_last_begins_when_it_is_told() {
    let incident = view(&[whole(), vec![with(Reopened, 90, impact(15))]].concat());
    assert_eq!(incident.impact[1].from, at(90));
}

#[test]
fn what_comes_back_after_it_was_cancelled_is_no_recurrence() {
    let incidents = views(&[fact(Declared, 0), fact(Cancelled, 10), fact(Reopened, 600)]);
    assert_eq!((incidents.len(), &incidents[1].recurrence_of), (2, &None));
}
