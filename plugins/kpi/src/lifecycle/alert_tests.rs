use super::*;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
/// 2026-01-31T10:00:00Z
const TEN: i64 = 1_769_853_600 * SECOND;

type AlertFact = Fact<AlertStep, AlertAttributes>;
use AlertStep::{Fired, Resolved, Suppressed};

fn at(minute: i64) -> i64 {
    TEN + minute * MINUTE
}

fn service(name: &str) -> ServiceKey {
    ServiceKey { namespace: "shop".to_owned(), service: name.to_owned(), environment: "production".to_owned() }
}

fn fact(step: AlertStep, minute: i64) -> AlertFact {
    let attributes = AlertAttributes { fingerprint: Some("f".to_owned()), ..AlertAttributes::default() };
    Fact { time: at(minute), step, uid: None, attributes }
}

fn facts(told: &[AlertFact]) -> AlertFacts {
    let mut known = AlertFacts::default();
    for fact in told {
        known.add(&service("cart"), fact.clone());
    }
    known
}

/// An alert of the fingerprint `f` of the service `cart`.
fn alert(id: &str, started: i64, ended: Option<i64>) -> Occurrence {
    let told: Vec<_> =
        [Some(fact(Fired, started)), ended.map(|ended| fact(Resolved, ended))].into_iter().flatten().collect();
    let mut occurrences = facts(&told).occurrences(id);
    assert_eq!(occurrences.len(), 1);
    occurrences.remove(0)
}

fn rows(alerts: &[Occurrence]) -> Vec<AlertRow> {
    alert_rows(alerts.iter().cloned(), |_, _| None, &Settings::default())
}

fn groups(rows: &[AlertRow]) -> Vec<&str> {
    rows.iter().map(|row| row.group_id.as_str()).collect()
}

fn duplicates(rows: &[AlertRow]) -> Vec<bool> {
    rows.iter().map(|row| row.is_duplicate).collect()
}

#[test]
fn an_alert_is_a_row_with_all_that_was_said_of_it() {
    let mut fired = fact(Fired, 0);
    fired.attributes.severity = Some(Severity::Sev2);
    fired.attributes.name = Some("slow".to_owned());
    let rows = rows(&facts(&[fired, fact(Resolved, 5)]).occurrences("a1"));
    let expected = AlertRow {
        alert_id: "a1".to_owned(),
        environment: "production".to_owned(),
        service_namespace: "shop".to_owned(),
        service_name: "cart".to_owned(),
        name: Some("slow".to_owned()),
        fingerprint: "f".to_owned(),
        group_id: "f#a1".to_owned(),
        incident_id: None,
        severity: Some("sev2"),
        started_at: Timestamp(at(0)),
        ended_at: Some(Timestamp(at(5))),
        is_duplicate: false,
        suppressed: false,
    };
    assert_eq!(rows, [expected]);
}

#[test]
fn the_same_fingerprint_while_one_is_open_is_a_duplicate() {
    let found = rows(&[alert("a1", 0, Some(60)), alert("a2", 30, Some(31)), alert("a3", 59, None)]);
    assert_eq!(duplicates(&found), [false, true, true]);
    assert_eq!(groups(&found), ["f#a1"; 3]);
}

#[test]
fn the_same_fingerprint_within_five_minutes_of_its_end_is_a_duplicate() {
    let mut late = alert("a3", 15, Some(16));
    late.started += 1;
    let found = rows(&[alert("a1", 0, Some(1)), alert("a2", 6, Some(10)), late]);
    assert_eq!(duplicates(&found), [false, true, false]);
}

#[test]
fn a_group_ends_with_a_pause_of_more_than_fifteen_minutes() {
    let mut late = alert("a3", 32, None);
    late.started += 1;
    let found = rows(&[alert("a1", 0, Some(1)), alert("a2", 16, Some(17)), late]);
    assert_eq!(groups(&found), ["f#a1", "f#a1", "f#a3"]);
    let settings = Settings { alert_group_s: 1000, ..Settings::default() };
    let alerts = [alert("a1", 0, Some(1)), alert("a2", 17, None)];
    assert_eq!(groups(&alert_rows(alerts, |_, _| None, &settings)), ["f#a1", "f#a1"]);
}

#[test]
fn an_alert_that_ends_early_does_not_end_the_one_that_is_open_longer() {
    let found = rows(&[alert("a1", 0, Some(60)), alert("a2", 1, Some(2)), alert("a3", 50, None)]);
    assert_eq!(duplicates(&found), [false, true, true]);
}

#[test]
fn an_alert_of_which_no_end_is_told_is_over_after_a_day() {
    let day = 24 * 60;
    let found = rows(&[alert("a1", 0, None), alert("a2", day + 5, None), alert("a3", 2 * day + 21, None)]);
    assert_eq!(duplicates(&found), [false, true, false]);
    assert_eq!(groups(&found), ["f#a1", "f#a1", "f#a3"]);
}

#[test]
fn a_group_key_says_the_group() {
    let keyed = |alert: Occurrence, key: &str| Occurrence { group_key: Some(key.to_owned()), ..alert };
    let found = rows(&[
        keyed(alert("a1", 0, None), "g"),
        keyed(alert("a2", 900, None), "g"),
        keyed(Occurrence { fingerprint: "other".to_owned(), ..alert("a3", 1, None) }, "g"),
        keyed(alert("a4", 1, None), "h"),
    ]);
    assert_eq!(groups(&found), ["g", "h", "g", "g"]);
}

#[test]
fn alerts_of_other_services_or_fingerprints_are_no_duplicates() {
    let elsewhere = Occurrence { service: service("checkout"), ..alert("a2", 1, None) };
    let other = Occurrence { fingerprint: "g".to_owned(), ..alert("a3", 1, None) };
    let found = rows(&[alert("a1", 0, None), elsewhere, other]);
    assert_eq!(duplicates(&found), [false; 3]);
    assert_eq!(groups(&found), ["f#a1", "g#a3", "f#a2"]);
}

#[test]
fn an_alert_belongs_to_the_incident_of_its_service_during_which_it_began() {
    let incident_of = |of: &ServiceKey, time: i64| {
        (*of == service("cart") && (at(10)..at(20)).contains(&time)).then(|| "i1".to_owned())
    };
    let elsewhere = Occurrence { service: service("checkout"), ..alert("a3", 15, None) };
    let alerts = [alert("a1", 9, None), alert("a2", 10, None), elsewhere];
    let found = alert_rows(alerts, incident_of, &Settings::default());
    let incidents: Vec<_> = found.iter().map(|row| row.incident_id.as_deref()).collect();
    assert_eq!(incidents, [None, Some("i1"), None]);
}

#[test]
fn an_alert_fired_again_while_it_is_open_is_the_same_and_after_its_end_another() {
    let told = [fact(Fired, 0), fact(Fired, 1), fact(Resolved, 5), fact(Resolved, 6), fact(Fired, 8), fact(Fired, 9)];
    let occurrences = facts(&told).occurrences("a1");
    let found: Vec<_> = occurrences.iter().map(|alert| (alert.alert_id.as_str(), alert.started, alert.ended)).collect();
    assert_eq!(found, [("a1", at(0), Some(at(5))), ("a1#2", at(8), None)]);
    assert_eq!(duplicates(&rows(&occurrences)), [false, true]);
}

#[test]
fn an_alert_that_begins_and_ends_at_once_has_ended() {
    assert_eq!(alert("a1", 0, Some(0)).ended, Some(at(0)));
}

#[test]
fn an_alert_is_suppressed_from_when_it_is_said() {
    let told = [fact(Fired, 0), fact(Suppressed, 1), fact(Resolved, 2), fact(Fired, 10)];
    let suppressed: Vec<_> = facts(&told).occurrences("a1").iter().map(|alert| alert.suppressed).collect();
    assert_eq!(suppressed, [true, false]);
    let only = facts(&[fact(Suppressed, 3)]).occurrences("a1");
    assert_eq!((only[0].started, only[0].suppressed), (at(3), true));
}

#[test]
fn an_end_without_a_beginning_is_no_alert_yet() {
    let mut known = facts(&[fact(Resolved, 5)]);
    assert!(known.occurrences("a1").is_empty());
    assert!(known.add(&service("cart"), fact(Fired, 0)));
    assert_eq!(known.occurrences("a1")[0].ended, Some(at(5)));
}

#[test]
fn the_severity_told_last_counts() {
    let told = |minute, severity| {
        let mut fact = fact(Fired, minute);
        fact.attributes.severity = Some(severity);
        fact
    };
    let known = facts(&[told(3, Severity::Sev4), told(0, Severity::Sev1)]);
    assert_eq!(known.occurrences("a1")[0].severity, Some(Severity::Sev4));
}

#[test]
fn the_order_of_arrival_and_duplicates_make_no_difference() {
    let mut told = vec![fact(Fired, 0), fact(Resolved, 5), fact(Fired, 8), fact(Suppressed, 9), fact(Resolved, 30)];
    let expected = facts(&told);
    let mut alerts =
        vec![alert("a1", 0, Some(1)), alert("a2", 0, None), alert("a3", 30, None), alert("a4", 3000, None)];
    let expected_rows = rows(&alerts);
    for _ in 0..told.len() {
        told.rotate_left(1);
        assert_eq!(facts(&[told.clone(), told.clone()].concat()), expected);
        alerts.rotate_left(1);
        assert_eq!(rows(&alerts), expected_rows);
    }
    told.reverse();
    assert_eq!(facts(&told), expected);
    let json = serde_json::to_string(&expected).expect("json");
    assert_eq!(serde_json::from_str::<AlertFacts>(&json).expect("facts"), expected);
}

#[test]
fn every_column_is_described_and_the_key_is_the_alert() {
    let table = AlertRow::table();
    assert_eq!((table.name, table.key, table.time), ("alerts", &["alert_id"][..], "started_at"));
    assert!(table.columns.iter().all(|(_, _, about)| about.len() > 8), "{:?}", table.columns);
}

#[test]
fn what_is_said_of_the_next_alert_of_an_id_is_not_said_of_the_one_before() {
    let mut again = fact(Fired, 10);
    again.attributes.severity = Some(Severity::Sev1);
    let occurrences = facts(&[fact(Fired, 0), fact(Resolved, 5), again]).occurrences("a1");
    let severities: Vec<_> = occurrences.iter().map(|alert| alert.severity).collect();
    assert_eq!(severities, [None, Some(Severity::Sev1)]);
}
