//! Webhooks: who may send what, and that what comes of it goes the way of any request of logs.

use super::*;
use crate::receive::{Outcome, Protocol, Webhook};

const PATH: &str = "/v1/webhooks/pager";

/// In place of a real webhook: the payload `{` followed by what the request is, signed with `good` if it asks for that.
struct Pager {
    is_signed: bool,
}

impl Webhook for Pager {
    fn memory_bytes_max(&self, body: &[u8]) -> usize {
        body.len() * 100
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
        let signature = headers.get("x-signature").map(|value| value.as_bytes());
        let expected = format!("good {}", body.len());
        let good = !self.is_signed || signature == Some(expected.as_bytes());
        if good { Ok(()) } else { Err("the signature is missing or wrong".to_owned()) }
    }

    fn to_protobuf(&self, body: &[u8]) -> Result<Vec<u8>> {
        match body {
            b"{panic" => panic!("a bug"),
            b"{large" => Ok(vec![b'x'; 100_000]),
            _ => json_to_protobuf(Signal::Logs, body).map_err(|error| error.within("/event/id")),
        }
    }
}

fn with_pager(settings: &mut Settings) {
    settings.webhooks.insert("pager".to_owned(), Arc::new(Pager { is_signed: false }));
}

fn with_signed_pager(settings: &mut Settings) {
    settings.webhooks.insert("pager".to_owned(), Arc::new(Pager { is_signed: true }));
}

#[tokio::test]
async fn a_payload_is_handed_on_as_a_request_of_logs_and_answered_in_json() {
    let running = start_set(with_pager).await;
    for addr in [running.http, running.grpc] {
        let reply = post(addr, PATH, &[("content-type", "application/json; charset=utf-8")], "{event").await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "application/json"));
        assert_eq!(&reply.body[..], b"{}");
    }
    let event = (Signal::Logs, Bytes::from("event"));
    assert_eq!(running.intake.seen(), [event.clone(), event]);
    assert_eq!(running.counters.snapshot().requests(Protocol::Webhook, Outcome::Accepted), 2);
}

#[tokio::test]
async fn a_payload_without_events_is_a_success_that_reaches_nobody() {
    let running = start_set(with_pager).await;
    let reply = post(running.http, PATH, &[JSON], "{}").await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &b"{}"[..]));
    assert!(running.intake.seen().is_empty());
}

#[tokio::test]
async fn a_compressed_payload_is_read_and_its_signature_is_of_what_was_compressed() {
    let running = start_set(with_signed_pager).await;
    let headers = [JSON, ("content-encoding", "gzip"), ("x-signature", "good 6")];
    assert_eq!(post(running.http, PATH, &headers, gzip(b"{event")).await.status, 200);
    assert_eq!(running.intake.seen(), [(Signal::Logs, Bytes::from("event"))]);
}

#[tokio::test]
async fn a_wrong_signature_is_401_with_a_status_and_the_payload_is_not_looked_at() {
    let running = start_set(with_signed_pager).await;
    for headers in [vec![JSON], vec![JSON, ("x-signature", "good 7")]] {
        for body in ["{event", "{panic..", "nonsense"] {
            let reply = post(running.http, PATH, &headers, body).await;
            assert_eq!((reply.status.as_u16(), reply.header("www-authenticate")), (401, "Signature"), "{body}");
            assert_eq!(reply.header("retry-after"), "");
            let expected = serde_json::json!({ "code": 16, "message": "the signature is missing or wrong" });
            assert_eq!(reply.status_json(), expected);
        }
    }
    assert!(running.intake.seen().is_empty());
    let snapshot = running.counters.snapshot();
    assert_eq!((snapshot.requests(Protocol::Webhook, Outcome::Unauthenticated), snapshot.panics), (6, 0));
}

#[tokio::test]
async fn what_can_never_succeed_is_400_and_names_its_place() {
    let running = start_set(with_pager).await;
    let reply = post(running.http, PATH, &[JSON], "nonsense").await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (400, ""));
    assert_eq!(reply.status_json(), serde_json::json!({ "code": 3, "message": "/event/id: expected '{'" }));
}

#[tokio::test]
async fn a_large_payload_is_read_like_a_small_one() {
    let running = start_set(with_pager).await;
    let body = format!("{{{}", "x".repeat(300_000));
    assert_eq!(post(running.http, PATH, &[JSON], body.clone()).await.status, 200);
    assert_eq!(running.intake.seen(), [(Signal::Logs, Bytes::from(body[1..].to_owned()))]);
}

#[tokio::test]
async fn passing_trouble_is_503_and_a_panic_is_too() {
    let mut settings = settings();
    with_pager(&mut settings);
    let running = start_with(settings, 1 << 30, |_, _| Err(Error::storage("the disk is full"))).await;
    for body in ["{event", "{panic"] {
        let reply = post(running.http, PATH, &[JSON], body).await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"), "{body}");
        assert_eq!(reply.status_json()["code"], 14);
    }
    assert_eq!(running.intake.budget.held(), 0);
}

#[tokio::test]
async fn an_unknown_webhook_is_404_and_the_known_ones_are_named() {
    let running = start_set(with_pager).await;
    for path in ["/v1/webhooks/other", "/v1/webhooks/", "/v1/webhooks/pager/", "/v1/webhooks/pager/x"] {
        let reply = post(running.http, path, &[PROTOBUF], "{event").await;
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.status_json()["message"].as_str().unwrap().ends_with("there are pager"));
    }
    let none = start().await;
    let reply = post(none.http, PATH, &[JSON], "{event").await;
    assert_eq!(reply.status, 404);
    assert!(reply.status_json()["message"].as_str().unwrap().contains("takes no webhooks"));
}

#[tokio::test]
async fn whatever_is_not_a_post_in_json_is_405_or_415_with_a_status_in_json() {
    let running = start_set(with_pager).await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let reply = http1(running.http, method, PATH, &[], "").await;
        assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, "POST"), "{method}");
        assert_eq!(reply.status_json()["code"], 12);
    }
    for headers in [vec![], vec![PROTOBUF], vec![("content-type", "text/json")]] {
        let reply = post(running.http, PATH, &headers, "{event").await;
        assert_eq!(reply.status, 415, "{headers:?}");
        assert_eq!(reply.status_json()["code"], 3);
    }
    let reply = post(running.http, PATH, &[JSON, ("content-encoding", "br")], "{event").await;
    assert_eq!((reply.status.as_u16(), reply.header("accept-encoding")), (415, "gzip, zstd, identity"));
    assert!(running.intake.seen().is_empty());
}

#[tokio::test]
async fn the_limits_are_those_of_any_request_for_the_body_and_for_what_it_becomes() {
    let running = start_set(|settings| {
        with_pager(settings);
        settings.body_bytes_max = 2_000;
    })
    .await;
    let padded = |bytes: usize| format!("{{{}", "x".repeat(bytes - 1));
    assert_eq!(post(running.http, PATH, &[JSON], padded(20)).await.status, 200, "20 bytes take at most 2,000");
    for (how, body) in [("in memory", padded(21)), ("as sent", padded(2_001)), ("in protobuf", "{large".to_owned())] {
        let reply = post(running.http, PATH, &[JSON], body).await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (413, ""), "{how}");
        assert_eq!(reply.status_json()["code"], 8, "{how}");
    }
    assert_eq!(running.intake.seen().len(), 1);
}

#[tokio::test]
async fn the_memory_that_a_payload_takes_is_held_while_it_is_read_and_given_back() {
    let mut settings = settings();
    with_pager(&mut settings);
    let running = start_with(settings, 100_000, |_, _| Ok(Accepted { rows: 1, ..Accepted::default() })).await;
    let body = format!("{{{}", "x".repeat(799));
    assert_eq!(post(running.http, PATH, &[JSON], body).await.status, 200);
    assert!(running.intake.held_max.load(Relaxed) >= 80_800, "{:?}", running.intake.held_max);
    let body = format!("{{{}", "x".repeat(999));
    let reply = post(running.http, PATH, &[JSON], body).await;
    assert_eq!(reply.status, 503, "a body and the memory for it are more than there is");
    assert_eq!((running.intake.seen().len(), running.intake.budget.held()), (1, 0));
}
