use std::collections::BTreeMap;

use super::*;

enum Value {
    Text(&'static str),
    Int(i64),
    Bool(bool),
}

impl Attributes for BTreeMap<&'static str, Value> {
    fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn int(&self, key: &str) -> Option<i64> {
        match self.get(key)? {
            Value::Int(int) => Some(*int),
            _ => None,
        }
    }

    fn bool(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Value::Bool(bool) => Some(*bool),
            _ => None,
        }
    }
}

type Values = Vec<(&'static str, Value)>;

fn read(event_name: &str, values: Values) -> Result<Option<Event>, Malformed> {
    let attributes: BTreeMap<_, _> = values.into_iter().collect();
    let record = Record {
        event_name,
        time_ns: 1_000,
        observed_ns: 2_000,
        namespace: "shop",
        service: "cart",
        version: "1.2",
        environment: "production",
        attributes: &attributes,
    };
    record.event()
}

fn incident(values: Values) -> Fact<IncidentStep, IncidentAttributes> {
    let values = values.into_iter().chain([("itops.incident.id", Value::Text("i1"))]).collect();
    match read("itops.incident.declared", values).expect("an event").expect("an event").subject {
        Subject::Incident(id, fact) if id == "i1" => fact,
        other => panic!("{other:?}"),
    }
}

fn malformed(event_name: &str, values: Values) -> String {
    read(event_name, values).expect_err("a malformed event").to_string()
}

#[test]
fn each_event_of_the_page_is_known_with_its_prefix_and_without() {
    let steps = [
        ("incident", "declared detected acknowledged mitigated resolved reopened closed cancelled updated"),
        ("alert", "fired resolved suppressed"),
        ("deployment", "started finished rolled_back"),
        ("maintenance", "scheduled started ended cancelled"),
    ];
    let mut seen = Vec::new();
    for (subject, steps) in steps {
        for step in steps.split(' ') {
            let values = || {
                let id = if subject == "deployment" { "change" } else { subject };
                let id = ATTRIBUTES.iter().find(|key| **key == format!("itops.{id}.id")).expect("an id");
                vec![(*id, Value::Text("x")), ("itops.alert.fingerprint", Value::Text("f"))]
            };
            let name = format!("{subject}.{step}");
            let short = read(&name, values()).expect("an event").expect("an event");
            let long = read(&format!("itops.{name}"), values()).expect("an event").expect("an event");
            assert_eq!(short, long, "{name}");
            assert!(!seen.contains(&short), "{name} is another event");
            assert!(is_lifecycle(&name));
            seen.push(short);
        }
    }
    assert_eq!(seen.len(), 19);
}

#[test]
fn another_log_record_is_no_event() {
    for name in [
        "",
        "incident",
        "itops.incident",
        "itops.incident.deleted",
        "itops.itops.incident.declared",
        "Incident.declared",
    ] {
        assert_eq!(read(name, Vec::new()), Ok(None), "{name}");
        assert!(!is_lifecycle(name));
    }
}

#[test]
fn an_event_names_its_service_time_and_uid() {
    let values = vec![("itops.incident.id", Value::Text("i1")), (UID, Value::Text("u1"))];
    let event = read("itops.incident.detected", values).expect("an event").expect("an event");
    let (namespace, service, environment) = ("shop".to_owned(), "cart".to_owned(), "production".to_owned());
    assert_eq!(event.service, ServiceKey { namespace, service, environment });
    let attributes = IncidentAttributes::default();
    let fact = Fact { time: 1_000, step: IncidentStep::Detected, uid: Some("u1".to_owned()), attributes };
    assert_eq!(event.subject, Subject::Incident("i1".to_owned(), fact));
}

#[test]
fn an_event_without_a_time_has_that_at_which_it_was_seen() {
    let attributes = BTreeMap::from([("itops.incident.id", Value::Text("i1"))]);
    let mut record = Record {
        event_name: "itops.incident.closed",
        time_ns: 0,
        observed_ns: 7,
        namespace: "",
        service: "",
        version: "",
        environment: "",
        attributes: &attributes,
    };
    let Some(Event { subject: Subject::Incident(_, fact), .. }) = record.event().expect("an event") else {
        panic!("an incident");
    };
    assert_eq!(fact.time, 7);
    record.observed_ns = 0;
    assert_eq!(record.event().expect_err("no time").attribute, "time");
}

#[test]
fn attributes_are_read_with_their_prefix_and_without() {
    let short = incident(vec![("incident.severity", Value::Text("sev1"))]);
    assert_eq!(short.attributes.severity, Some(Severity::Sev1));
    let both = vec![("incident.severity", Value::Text("sev1")), ("itops.incident.severity", Value::Text("sev2"))];
    assert_eq!(incident(both).attributes.severity, Some(Severity::Sev2));
}

#[test]
fn every_attribute_of_an_incident_is_read() {
    let fact = incident(vec![
        ("itops.incident.severity", Value::Int(3)),
        ("itops.incident.impact_start_time", Value::Text("1970-01-01T00:00:01Z")),
        ("itops.incident.fault_start_time", Value::Int(5)),
        ("itops.incident.kind", Value::Text("outage")),
        ("itops.incident.fingerprint", Value::Text("f")),
        ("itops.incident.cause_change_id", Value::Int(77)),
        ("itops.incident.planned", Value::Bool(true)),
        ("itops.incident.url", Value::Text("https://example.org/1")),
        ("itops.incident.root_service", Value::Text("db")),
    ]);
    let expected = IncidentAttributes {
        severity: Some(Severity::Sev3),
        impact_start: Some(1_000_000_000),
        fault_start: Some(5),
        kind: Some("outage".to_owned()),
        fingerprint: Some("f".to_owned()),
        cause_change_id: Some("77".to_owned()),
        planned: Some(true),
        url: Some("https://example.org/1".to_owned()),
        root_service: Some("db".to_owned()),
    };
    assert_eq!(fact.attributes, expected);
}

#[test]
fn every_attribute_of_a_change_is_read() {
    let values = vec![
        ("itops.change.id", Value::Text("c1")),
        ("itops.change.approved", Value::Text("true")),
        ("itops.change.window_start", Value::Int(10)),
        ("itops.change.window_end", Value::Text("20")),
        ("itops.change.planned", Value::Bool(false)),
        ("itops.change.committed_at", Value::Int(5)),
        ("itops.change.result", Value::Text("timeout")),
    ];
    let event = read("itops.deployment.finished", values).expect("an event").expect("an event");
    let Subject::Change(id, fact) = event.subject else { panic!("a change") };
    let expected = ChangeAttributes {
        approved: Some(true),
        window_start: Some(10),
        window_end: Some(20),
        committed_at: Some(5),
        result: Some(ChangeResult::Timeout),
        version: Some("1.2".to_owned()),
    };
    assert_eq!((id.as_str(), fact.step, fact.attributes), ("c1", ChangeStep::Finished, expected));
}

#[test]
fn every_result_of_a_pipeline_is_known() {
    for result in ["success", "failure", "error", "timeout", "cancellation", "skip"] {
        assert!(ChangeResult::parse(result).is_some(), "{result}");
    }
    assert_eq!(ChangeResult::parse("cancelled"), None);
}

#[test]
fn every_attribute_of_an_alert_and_of_a_maintenance_is_read() {
    let values = vec![
        ("itops.alert.id", Value::Text("a1")),
        ("itops.alert.fingerprint", Value::Int(9)),
        ("itops.alert.name", Value::Text("slow")),
        ("itops.alert.group_key", Value::Text("g")),
        ("itops.alert.severity", Value::Text("critical")),
    ];
    let event = read("itops.alert.fired", values).expect("an event").expect("an event");
    let Subject::Alert(_, fact) = event.subject else { panic!("an alert") };
    let text = |text: &str| Some(text.to_owned());
    let expected = AlertAttributes {
        fingerprint: text("9"),
        name: text("slow"),
        group_key: text("g"),
        severity: Some(Severity::Sev1),
    };
    assert_eq!(fact.attributes, expected);

    let values = vec![
        ("itops.maintenance.id", Value::Text("m1")),
        ("itops.maintenance.start", Value::Text("1970-01-01T00:00:01+00:00")),
        ("itops.maintenance.end", Value::Int(2_000_000_000)),
    ];
    let event = read("itops.maintenance.scheduled", values).expect("an event").expect("an event");
    let Subject::Maintenance(_, fact) = event.subject else { panic!("a maintenance") };
    assert_eq!(fact.attributes, MaintenanceAttributes { start: Some(1_000_000_000), end: Some(2_000_000_000) });
}

#[test]
fn an_event_without_a_required_attribute_is_malformed() {
    let expected = "\"itops.incident.id\" is missing, but expected is text that is not empty";
    assert_eq!(malformed("itops.incident.declared", Vec::new()), expected);
    assert_eq!(malformed("itops.incident.declared", vec![("itops.incident.id", Value::Text(""))]), expected);
    assert!(malformed("deployment.started", Vec::new()).starts_with("\"itops.change.id\" is missing"));
    assert!(malformed("maintenance.started", Vec::new()).starts_with("\"itops.maintenance.id\" is missing"));
    let alert = vec![("itops.alert.id", Value::Text("a"))];
    assert!(malformed("alert.fired", alert).starts_with("\"itops.alert.fingerprint\" is missing"));
}

#[test]
fn a_malformed_attribute_is_named_with_its_value_and_what_was_expected() {
    let with =
        |key, value| malformed("itops.incident.declared", vec![("itops.incident.id", Value::Text("i")), (key, value)]);
    let expected = "\"itops.incident.impact_start_time\" is \"yesterday\", but expected is RFC 3339 text or integer \
                    Unix nanoseconds, after 1970: it is not RFC 3339 (2026-01-31T10:00:00Z)";
    assert_eq!(with("itops.incident.impact_start_time", Value::Text("yesterday")), expected);
    let wrong = [
        ("itops.incident.impact_start_time", Value::Int(0)),
        ("itops.incident.impact_start_time", Value::Int(-5)),
        ("itops.incident.fault_start_time", Value::Text("9223372036854775808")),
        ("itops.incident.fault_start_time", Value::Bool(true)),
        ("itops.incident.fault_start_time", Value::Text("1960-01-01T00:00:00Z")),
        ("itops.incident.severity", Value::Text("sev9")),
        ("itops.incident.planned", Value::Text("yes")),
        ("itops.incident.planned", Value::Int(1)),
    ];
    for (key, value) in wrong {
        let message = with(key, value);
        assert!(message.starts_with(&format!("\"{key}\" is \"")), "{message}");
    }
    let change = |key, value| malformed("deployment.finished", vec![("change.id", Value::Text("c")), (key, value)]);
    assert!(change("itops.change.result", Value::Text("ok")).contains("success, failure, error"));
    assert!(change("itops.change.planned", Value::Text("maybe")).contains("true or false"));
}

#[test]
fn an_end_that_is_not_after_its_start_is_malformed() {
    let values = vec![
        ("maintenance.id", Value::Text("m")),
        ("maintenance.start", Value::Int(10)),
        ("maintenance.end", Value::Int(10)),
    ];
    let message = malformed("maintenance.scheduled", values);
    assert_eq!(message, "\"itops.maintenance.end\" is \"10\", but expected is a time after its start, 10 ns");
    let values = vec![
        ("change.id", Value::Text("c")),
        ("change.window_start", Value::Int(11)),
        ("change.window_end", Value::Int(10)),
    ];
    assert!(malformed("deployment.started", values).starts_with("\"itops.change.window_end\" is \"10\""));
}

#[test]
fn text_too_long_to_keep_is_malformed_and_shown_shortened() {
    let long: &'static str = Box::leak("ü".repeat(TEXT_BYTES_MAX / 2 + 1).into_boxed_str());
    let message = malformed("itops.incident.declared", vec![("itops.incident.id", Value::Text(long))]);
    assert!(message.contains("at most 1024 bytes, not 1026"), "{message}");
    assert!(message.contains(&format!("\"{}…\"", "ü".repeat(SHOWN_CHARS_MAX))), "{message}");
    let fits: &'static str = Box::leak("x".repeat(TEXT_BYTES_MAX).into_boxed_str());
    assert!(read("itops.incident.declared", vec![("itops.incident.id", Value::Text(fits))]).is_ok());
}
