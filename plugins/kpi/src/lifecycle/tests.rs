//! From records to rows.

use std::collections::BTreeMap;

use super::*;

impl Attributes for BTreeMap<String, String> {
    fn text(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

/// An event of the service `cart` from `2026-01-31T10:00:00Z` on, its attributes as `key=value`.
fn event(event_name: &str, time: &str, attributes: &[&str]) -> Event {
    let attributes = attributes.iter().filter_map(|attribute| attribute.split_once('='));
    let attributes: BTreeMap<_, _> =
        attributes.map(|(key, value)| (format!("itops.{key}"), value.to_owned())).collect();
    let record = Record {
        event_name,
        time_ns: parse_time(&format!("2026-01-31T{time}Z")).expect("a time"),
        observed_ns: 0,
        namespace: "shop",
        service: "cart",
        version: "1.2",
        environment: "production",
        attributes: &attributes,
    };
    record.event().expect("a whole event").expect("an event")
}

#[test]
fn a_deployment_its_incident_and_its_alerts_are_told_by_records_and_end_as_rows() {
    let settings = Settings::default();
    let (mut change, mut incident, mut alert) =
        (ChangeFacts::default(), IncidentFacts::default(), AlertFacts::default());
    let committed = "change.committed_at=2026-01-31T10:30:00+01:00";
    let events = [
        event("itops.incident.resolved", "10:40:00", &["incident.id=i1"]),
        event("incident.mitigated", "10:35:00", &["incident.id=i1"]),
        event("itops.alert.fired", "10:12:00", &["alert.id=a1", "alert.fingerprint=f", "alert.severity=critical"]),
        event("itops.deployment.finished", "10:05:00", &["change.id=c1", "change.result=success", committed]),
        event(
            "itops.incident.declared",
            "10:13:00",
            &["incident.id=i1", "incident.cause_change_id=c1", "incident.impact_start_time=1769854200000000000"],
        ),
    ];
    for Event { service, subject } in events {
        let changed = match subject {
            Subject::Incident(_, fact) => incident.add(&service, fact),
            Subject::Alert(_, fact) => alert.add(&service, fact),
            Subject::Change(_, fact) => change.add(&service, fact),
            Subject::Maintenance(..) => false,
        };
        assert!(changed);
    }

    let incidents = incident.view("i1", &settings);
    let told = &incidents[0];
    assert_eq!((told.durations.ttd_s, told.durations.ttm_s), (Some(180.0), Some(1500.0)));
    assert_eq!((told.durations.ttr_s, told.status.as_str()), (Some(1800.0), "resolved"));

    let caused: Vec<Caused> = incidents.iter().filter_map(Caused::by).collect();
    let row = change.row("c1", &caused, &settings).expect("a row");
    assert_eq!((row.failed, row.lead_time_s, row.recovery_s), (Some(true), Some(2100.0), Some(1800.0)));

    let during = |service: &ServiceKey, time: i64| {
        let within = |impact: &Interval| impact.from <= time && impact.to.is_none_or(|to| time < to);
        let found = incidents.iter().find(|told| told.service == *service && told.impact.iter().any(within));
        found.map(|told| told.incident_id.clone())
    };
    let rows = alert_rows(alert.occurrences("a1"), during, &settings);
    assert_eq!((rows[0].incident_id.as_deref(), rows[0].severity), (Some("i1"), Some("sev1")));
}
