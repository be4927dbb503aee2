//! Payloads, and the events that are made of them.
//!
//! `tests/webhooks` has payloads, `NAME.CASE.json`, beside their events, `NAME.CASE.expected.json`, and the
//! configuration of the webhook, `NAME.toml`. `WEIR_BLESS=1 cargo test --lib webhook` writes the events anew.

use super::{Webhook, memory_bytes_max};
use crate::config::Config;
use crate::{Kind, Result};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{self, KeyValue};
use prost::Message;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// When the payloads come in.
const OBSERVED_NS: u64 = 1_772_540_000_000_000_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/webhooks")
}

/// The payloads of the folder, and their names.
fn payloads() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), path);
    let mut found: Vec<_> = entries.map(name).collect();
    found.retain(|(name, _)| name.ends_with(".json") && !name.ends_with(".expected.json"));
    found.sort();
    found
}

fn webhook(name: &str, configuration: &str) -> Webhook {
    let config = Config::from_toml("weir.toml", configuration).unwrap_or_else(|faults| panic!("{faults}"));
    Webhook::all(&config.receive).into_iter().find(|webhook| webhook.name() == name).unwrap()
}

/// The webhook of that name with its configuration of the folder.
fn of_folder(name: &str) -> Webhook {
    webhook(name, &fs::read_to_string(folder().join(name).with_extension("toml")).unwrap_or_default())
}

fn any(value: Option<&v1::AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        None => Value::Null,
        Some(AnyValue::StringValue(text)) => json!(text),
        Some(AnyValue::BoolValue(bool)) => json!(bool),
        Some(AnyValue::IntValue(integer)) => json!(integer),
        Some(AnyValue::DoubleValue(double)) => json!(double),
        Some(AnyValue::ArrayValue(array)) => array.values.iter().map(|value| any(Some(value))).collect(),
        Some(AnyValue::KvlistValue(list)) => attributes(&list.values),
        Some(other) => panic!("no webhook makes {other:?}"),
    }
}

fn attributes(all: &[KeyValue]) -> Value {
    let found: Map<String, Value> = all.iter().map(|one| (one.key.clone(), any(one.value.as_ref()))).collect();
    assert_eq!(found.len(), all.len(), "an attribute is there twice: {all:?}");
    Value::Object(found)
}

/// The events of a request, each whole.
fn events(protobuf: &[u8]) -> Vec<Value> {
    let request = ExportLogsServiceRequest::decode(protobuf).unwrap();
    let mut events = Vec::new();
    for of in &request.resource_logs {
        let resource = attributes(&of.resource.as_ref().unwrap().attributes);
        for (scope, record) in of.scope_logs.iter().flat_map(|scope| scope.log_records.iter().map(move |r| (scope, r)))
        {
            events.push(json!({
                "resource": resource,
                "scope": scope.scope.as_ref().unwrap().name,
                "event_name": record.event_name,
                "time_unix_nano": record.time_unix_nano,
                "observed_time_unix_nano": record.observed_time_unix_nano,
                "body": any(record.body.as_ref()),
                "attributes": attributes(&record.attributes),
            }));
        }
    }
    events
}

fn read(webhook: &Webhook, body: impl AsRef<[u8]>) -> Result<Vec<Value>> {
    webhook.to_protobuf(body.as_ref(), OBSERVED_NS).map(|protobuf| events(&protobuf))
}

/// The message of a refusal that is final.
fn refused(webhook: &Webhook, body: impl AsRef<[u8]>) -> String {
    let error = read(webhook, body).expect_err("is refused");
    assert_eq!(error.kind(), Kind::Data, "{error}");
    error.message().to_owned()
}

/// The payload of the folder, after `change`.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut payload = serde_json::from_str(&fs::read_to_string(folder().join(name)).unwrap()).unwrap();
    change(&mut payload);
    payload.to_string()
}

#[test]
fn every_payload_becomes_the_events_beside_it() {
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    let payloads = payloads();
    assert!(payloads.len() >= 15, "only {} payloads", payloads.len());
    let mut differ = Vec::new();
    for (name, path) in payloads {
        let webhook = of_folder(name.split('.').next().unwrap());
        let found = read(&webhook, fs::read(&path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = format!("{:#}\n", Value::Array(found));
        let expected = path.with_extension("expected.json");
        if bless {
            fs::write(&expected, found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            differ.push(format!("{name} is now\n{found}"));
        }
    }
    assert!(differ.is_empty(), "{}\n(WEIR_BLESS=1 writes them anew)", differ.join("\n"));
}

#[test]
fn no_events_stand_without_their_payload() {
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(stem) = name.strip_suffix(".expected.json") {
            assert!(folder().join(format!("{stem}.json")).exists(), "{name} has no payload");
        }
    }
}

#[test]
fn an_event_is_the_same_whenever_and_in_whatever_company_it_comes() {
    let webhook = of_folder("alertmanager");
    let name = "alertmanager.firing_and_resolved.json";
    let first = read(&webhook, changed(name, |_| {})).unwrap();
    let reversed = changed(name, |payload| payload["alerts"].as_array_mut().unwrap().reverse());
    let again = webhook.to_protobuf(reversed.as_bytes(), OBSERVED_NS + 1).unwrap();
    let known = |events: &[Value]| -> Vec<[Value; 4]> {
        let of = |event: &Value| {
            let attributes = &event["attributes"];
            let (uid, id) = (&attributes["log.record.uid"], &attributes["itops.alert.id"]);
            [uid, id, &event["event_name"], &event["time_unix_nano"]].map(Value::clone)
        };
        let mut all: Vec<_> = events.iter().map(of).collect();
        all.sort_by_key(|event| event[0].to_string());
        all
    };
    assert_eq!(known(&first), known(&events(&again)));
    let uids: std::collections::BTreeSet<String> = known(&first).iter().map(|event| event[0].to_string()).collect();
    assert_eq!(uids.len(), first.len(), "no two events have the same");
}

#[test]
fn an_alert_that_fires_again_is_another_one_and_its_end_belongs_to_it() {
    let webhook = of_folder("alertmanager");
    let one = |status: &str, starts: &str| {
        let payload = changed("alertmanager.firing_and_resolved.json", |payload| {
            let alert = &mut payload["alerts"][0];
            alert["status"] = json!(status);
            alert["startsAt"] = json!(starts);
            alert["endsAt"] = json!("2026-03-03T18:00:00Z");
            payload["alerts"].as_array_mut().unwrap().truncate(1);
        });
        let event = read(&webhook, payload).unwrap().remove(0);
        (event["attributes"]["itops.alert.id"].clone(), event["attributes"]["log.record.uid"].clone())
    };
    let (fired, fired_uid) = one("firing", "2026-03-03T10:00:00Z");
    let (resolved, resolved_uid) = one("resolved", "2026-03-03T11:00:00+01:00");
    let (later, _) = one("firing", "2026-03-03T12:00:00Z");
    assert_eq!(fired, resolved, "the same instant, written in another way");
    assert!(fired_uid != resolved_uid && fired != later);
}

#[test]
fn labels_of_service_environment_and_severity_are_those_of_the_configuration() {
    let configuration = "[receive.alertmanager]\nservice_labels = [\"team\", \"job\"]\nenvironment_labels = []\n\
                         severity_label = \"env\"\n";
    let webhook = webhook("alertmanager", configuration);
    let events = read(&webhook, changed("alertmanager.firing_and_resolved.json", |_| {})).unwrap();
    let of =
        |service: &str| events.iter().find(|event| event["resource"] == json!({ "service.name": service })).unwrap();
    assert_eq!(of("kubernetes-pods")["attributes"]["itops.alert.severity"], "production");
    assert_eq!(of("node")["attributes"].get("itops.alert.severity"), None);
}

#[test]
fn what_alertmanager_never_sends_is_refused_with_its_place() {
    let webhook = of_folder("alertmanager");
    let mut refusals = String::new();
    let mut refuse = |change: fn(&mut Value)| {
        let message = refused(&webhook, changed("alertmanager.firing_and_resolved.json", change));
        refusals += &(message + "\n");
    };
    refuse(|payload| *payload = json!([]));
    refuse(|payload| payload["version"] = json!("3"));
    refuse(|payload| payload["version"] = json!(4));
    refuse(|payload| drop(payload.as_object_mut().unwrap().remove("groupKey")));
    refuse(|payload| payload["alerts"] = json!({}));
    refuse(|payload| payload["alerts"] = Value::Null);
    refuse(|payload| payload["alerts"][2] = json!("alert"));
    refuse(|payload| payload["alerts"][1]["status"] = json!("silenced"));
    refuse(|payload| payload["alerts"][1]["endsAt"] = json!("0001-01-01T00:00:00Z"));
    refuse(|payload| payload["alerts"][0]["startsAt"] = json!(1_772_533_230));
    refuse(|payload| payload["alerts"][0]["fingerprint"] = json!(""));
    refuse(|payload| payload["alerts"][0]["labels"]["a/b~c"] = json!(1));
    refuse(|payload| payload["alerts"][0]["annotations"] = json!(["summary"]));
    let expected = "\
the payload: expected an object with a member \"version\", found an array
/version: expected \"4\", as Alertmanager sends, or \"1\", as Grafana does, found \"3\"
/version: expected a string, found 4
/groupKey: is missing
/alerts: expected an array, found an object
/alerts: is missing
/alerts/2: expected an object with a member \"startsAt\", found \"alert\"
/alerts/1/status: expected \"firing\" or \"resolved\", found \"silenced\"
/alerts/1/endsAt: expected a time in RFC 3339 from 1970 to 2262, found \"0001-01-01T00:00:00Z\"
/alerts/0/startsAt: expected a string, found 1772533230
/alerts/0/fingerprint: expected a string that is not empty, found \"\"
/alerts/0/labels/a~1b~0c: expected a string, found 1
/alerts/0/annotations: expected an object, found an array
";
    assert_eq!(refusals, expected);
}

#[test]
fn what_pagerduty_never_sends_is_refused_with_its_place() {
    let webhook = of_folder("pagerduty");
    let mut refusals = String::new();
    let mut refuse = |change: fn(&mut Value)| {
        refusals += &(refused(&webhook, changed("pagerduty.triggered.json", change)) + "\n");
    };
    refuse(|payload| *payload = json!({ "messages": [] }));
    refuse(|payload| payload["event"]["id"] = json!(""));
    refuse(|payload| payload["event"]["occurred_at"] = json!("now"));
    refuse(|payload| payload["event"]["event_type"] = json!(1));
    refuse(|payload| payload["event"]["data"] = Value::Null);
    refuse(|payload| drop(payload["event"]["data"].as_object_mut().unwrap().remove("id")));
    refuse(|payload| payload["event"]["data"]["assignees"] = json!("Ann"));
    refuse(|payload| payload["event"]["data"]["service"] = json!({ "summary": ["Checkout API"] }));
    let expected = "\
/event: is missing
/event/id: expected a string that is not empty, found \"\"
/event/occurred_at: expected a time in RFC 3339 from 1970 to 2262, found \"now\"
/event/event_type: expected a string, found 1
/event/data: is missing
/event/data/id: is missing
/event/data/assignees: expected an array, found \"Ann\"
/event/data/service/summary: expected a string, found an array
";
    assert_eq!(refusals, expected);
}

#[test]
fn every_step_of_an_incident_in_pagerduty_has_its_event() {
    let webhook = of_folder("pagerduty");
    for (kind, event) in [
        ("triggered", "declared"),
        ("acknowledged", "acknowledged"),
        ("unacknowledged", "updated"),
        ("escalated", "updated"),
        ("delegated", "updated"),
        ("reassigned", "updated"),
        ("priority_updated", "updated"),
        ("conference_bridge.updated", "updated"),
        ("of_a_kind_that_is_not_known_yet", "updated"),
        ("resolved", "resolved"),
        ("reopened", "reopened"),
    ] {
        let payload = changed("pagerduty.triggered.json", |payload| {
            payload["event"]["event_type"] = json!(format!("incident.{kind}"));
        });
        let events = read(&webhook, payload).unwrap();
        assert_eq!(events[0]["event_name"], format!("itops.incident.{event}"), "{kind}");
        assert_eq!(events[0]["attributes"]["itops.incident.action"], kind);
    }
}

#[test]
fn a_mapped_payload_without_what_is_read_is_refused_with_every_place_that_was_tried() {
    let statuspage = of_folder("statuspage");
    let message = |change: fn(&mut Value)| refused(&statuspage, changed("statuspage.monitoring.json", change));
    assert_eq!(
        message(|payload| payload["incident"]["updated_at"] = json!("")),
        "/incident/resolved_at or /incident/updated_at: is missing or empty, but `time` of the webhook `statuspage` is \
         read there"
    );
    assert_eq!(
        message(|payload| payload["incident"]["id"] = json!({})),
        "/incident/id: expected a string, a number or a boolean, found an object"
    );
    assert_eq!(
        message(|payload| payload["incident"]["updated_at"] = json!(-1)),
        "/incident/updated_at: expected a time from 1970 to 2262, in RFC 3339 or as a whole number of seconds, found -1"
    );
    let checks = of_folder("checks");
    let message = |change: fn(&mut Value)| refused(&checks, changed("checks.firing_and_resolved.json", change));
    assert_eq!(
        message(|payload| payload["checks"][1]["state"] = json!("pending")),
        "/checks/1/state: expected a lifecycle event: add the value to `map.event` of the webhook `checks`, or \
         `\"*\" = \"\"` to leave out all that are not there, found \"pending\""
    );
    assert_eq!(
        message(|payload| drop(payload.as_object_mut().unwrap().remove("checks"))),
        "/checks: is missing, but `for_each` of the webhook `checks` is read there"
    );
    assert_eq!(message(|payload| payload["checks"] = json!(1)), "/checks: expected an array, found 1");
}

#[test]
fn a_number_too_large_for_its_unit_is_no_time() {
    let deploys = of_folder("deploys");
    for number in [json!(i64::MAX), json!(9_300_000_000_000_u64), json!(1.5), json!(true)] {
        let payload = changed("deploys.two_runs.json", |payload| payload[0]["finished"] = number.clone());
        assert!(refused(&deploys, payload).starts_with("/0/finished: expected a time"), "{number}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let webhook = of_folder("alertmanager");
    for body in ["", " \n", "nonsense", "{", "{} {}", "{\"version\": \"4\u{1}\"}", "\u{feff}{}"] {
        let message = refused(&webhook, body);
        assert!(message.starts_with("the body is empty") || message.starts_with("the payload is not JSON"), "{body:?}");
    }
    assert!(refused(&webhook, b"{\"version\": \"\xff\"}").starts_with("the payload is not JSON"));
}

#[test]
fn deep_json_is_refused_without_a_stack_overflow() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let body = open.repeat(200_000) + "1" + &close.repeat(200_000);
        assert!(refused(&of_folder("calendar"), body).contains("recursion limit exceeded"));
    }
}

#[test]
fn an_empty_list_is_no_events_and_no_bytes() {
    let payload = changed("alertmanager.firing_and_resolved.json", |payload| payload["alerts"] = json!([]));
    let protobuf = of_folder("alertmanager").to_protobuf(payload.as_bytes(), OBSERVED_NS).unwrap();
    assert_eq!(protobuf, b"");
}

#[test]
fn what_is_said_once_cannot_be_made_large_by_repeating_it() {
    let webhook = of_folder("alertmanager");
    let payload = changed("alertmanager.firing_and_resolved.json", |payload| {
        payload["groupKey"] = json!("k".repeat(1 << 20));
        let alert = payload["alerts"][2].clone();
        payload["alerts"].as_array_mut().unwrap().extend(std::iter::repeat_n(alert, 1000));
    });
    assert!(refused(&webhook, payload).contains("what is said once of all of them is too long: send"));
}

#[test]
fn the_memory_of_usual_payloads_is_far_more_than_their_events_take() {
    for (name, path) in payloads() {
        let body = fs::read(path).unwrap();
        let webhook = of_folder(name.split('.').next().unwrap());
        let protobuf = webhook.to_protobuf(&body, OBSERVED_NS).unwrap();
        let most = memory_bytes_max(&body);
        assert!(protobuf.len() * 6 < most, "{name}: {most} for {}", protobuf.len());
    }
}

#[test]
fn an_outage_of_two_thousand_alerts_is_within_the_limits_by_default() {
    let payload = changed("alertmanager.firing_and_resolved.json", |payload| {
        payload["groupKey"] = json!("k".repeat(1000));
        let alert = payload["alerts"][0].clone();
        payload["alerts"].as_array_mut().unwrap().extend(std::iter::repeat_n(alert, 2000));
    });
    assert!(memory_bytes_max(payload.as_bytes()) < 64 << 20, "{}", memory_bytes_max(payload.as_bytes()));
    assert_eq!(read(&of_folder("alertmanager"), payload).unwrap().len(), 2003);
}

#[test]
fn only_a_body_that_the_secret_has_signed_is_from_pagerduty() {
    let open = of_folder("pagerduty");
    assert_eq!(open.verify(None, b"{}"), Ok(()), "without a secret nothing is checked");
    let webhook = webhook("pagerduty", "[receive.pagerduty]\nsecret = \"s3cr3t\"\n");
    assert!(webhook.verify(None, b"{}").unwrap_err().contains("has no header X-PagerDuty-Signature"));
    assert!(webhook.verify(Some(b"v1=00"), b"{}").unwrap_err().contains("receive.pagerduty.secret"));
    // printf '{}' | openssl dgst -sha256 -hmac s3cr3t
    let signed = b"v1=608b0c406f3dda19702d71a048483b8c331283106d80a208e3cf43dbde505286";
    assert_eq!(webhook.verify(Some(signed), b"{}"), Ok(()));
    assert!(webhook.verify(Some(signed), b"{} ").is_err());
}
