//! Webhooks of other tools through the whole pipeline: what they send is rows of `logs`.

mod service;

use service::{Service, http, rows};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use weir::config::Config;

fn payload(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/webhooks").join(name)).unwrap()
}

/// A service with the webhooks of a configuration, whose plugins change nothing.
fn start(configuration: &str) -> Service {
    let receive = Config::from_toml("weir.toml", configuration).unwrap().receive;
    Service::start(|config| {
        config.receive = weir::config::Receive { grpc: config.receive.grpc, http: config.receive.http, ..receive };
        config.plugins.clear();
    })
}

fn text(row: &rows::Row, column: &str) -> String {
    match &row[column] {
        rows::Cell::Text(text) => text.clone(),
        rows::Cell::Null => String::new(),
        other => panic!("{column}: {other:?}"),
    }
}

/// The attribute of that name, which is text.
fn attribute(row: &rows::Row, name: &str) -> String {
    let rows::Cell::Json(rows::Json::Object(attributes)) = &row["attributes"] else { panic!("{row:?}") };
    match attributes.iter().find(|(key, _)| key == name) {
        Some((_, rows::Json::Text(text))) => text.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

fn time(row: &rows::Row, column: &str) -> i64 {
    let rows::Cell::Time(time) = row[column] else { panic!("{row:?}") };
    time
}

#[test]
fn alerts_are_rows_at_the_times_they_happened_and_a_resent_one_can_be_told() {
    let service = start("");
    let body = payload("alertmanager.firing_and_resolved.json");
    for _ in 0..2 {
        let answer = http::post_json(service.http, "/v1/webhooks/alertmanager", &body);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    }
    let (summary, folder) = service.stop();
    assert!(summary.failure.is_none());
    let stored = rows::read(folder.path(), "logs");
    assert_eq!(stored.len(), 6);
    let known: BTreeSet<_> = stored
        .iter()
        .map(|row| {
            let columns = ["event_name", "service_name", "environment", "body"].map(|column| text(row, column));
            (time(row, "time"), columns, attribute(row, "log.record.uid"))
        })
        .collect();
    let found: Vec<_> =
        known.iter().map(|(time, columns, _)| (*time, columns.each_ref().map(String::as_str))).collect();
    let expected = [
        (1_772_532_000_123_456_789, ["itops.alert.fired", "node", "", "A target of node is down."]),
        (1_772_533_230_500_000_000, ["itops.alert.fired", "checkout", "production", "checkout fails often"]),
        (1_772_533_500_000_000_000, ["itops.alert.resolved", "cart", "production", ""]),
    ];
    assert_eq!(found, expected, "three events, each stored twice with the same id");
    assert!(stored.iter().all(|row| time(row, "observed_time") > 1_772_540_000_000_000_000), "when they came in");
}

#[test]
fn incidents_with_the_right_signature_are_rows_and_others_are_not() {
    let service = start("[receive.pagerduty]\nsecret = \"s3cr3t\"\nenvironment = \"production\"\n");
    let send = |signature: &str, body: &[u8]| {
        let headers = [("content-type", "application/json"), ("x-pagerduty-signature", signature)];
        http::send(service.http, "POST", "/v1/webhooks/pagerduty", &headers, body)
    };
    let body = payload("pagerduty.triggered.json");
    // openssl dgst -sha256 -hmac s3cr3t tests/webhooks/pagerduty.triggered.json
    let good = "v1=851491cb3d266b076ab01465b4628e9cc69533a2faf897607e4952c5c41395ba";
    let refused = send(&good.replace("v1=", "v1=0"), &body);
    assert_eq!(refused.status, 401);
    let status: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(status["code"], 16);
    assert!(status["message"].as_str().unwrap().contains("receive.pagerduty.secret"), "{status}");
    assert_eq!(send(good, &payload("pagerduty.resolved.json")).status, 401, "the signature of another body");
    assert_eq!(send(&format!("v1=00,{good}"), &body).status, 200);
    let (_, folder) = service.stop();
    let stored = rows::read(folder.path(), "logs");
    assert_eq!(stored.len(), 1);
    assert_eq!(text(&stored[0], "event_name"), "itops.incident.declared");
    assert_eq!(attribute(&stored[0], "itops.incident.id"), "Q1CHKOUT");
    assert_eq!(attribute(&stored[0], "log.record.uid"), "01HXWEIR000000000000000001");
}

#[test]
fn a_mapped_webhook_has_a_path_of_its_own_and_is_taken_as_a_whole_or_not_at_all() {
    let service = start(&String::from_utf8(payload("deploys.toml")).unwrap());
    let good = payload("deploys.two_runs.json");
    let bad = String::from_utf8(good.clone()).unwrap().replace("\"1772533231500\"", "\"soon\"");
    let refused = http::post_json(service.http, "/v1/webhooks/deploys", bad.as_bytes());
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("/1/finished: expected a time"), "{}", refused.text());
    assert_eq!(http::post_json(service.http, "/v1/webhooks/deploys", &good).status, 200);
    let unknown = http::post_json(service.http, "/v1/webhooks/statuspage", &good);
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("there are alertmanager, deploys, pagerduty"), "{}", unknown.text());
    let (_, folder) = service.stop();
    let stored: Vec<_> =
        rows::read(folder.path(), "logs").iter().map(|row| attribute(row, "itops.change.id")).collect();
    assert_eq!(stored.iter().collect::<BTreeSet<_>>(), BTreeSet::from([&"4711".to_owned(), &"4712".to_owned()]));
    assert_eq!(stored.len(), 2, "none of those that came with a bad one");
}
