use super::*;
use weir_sdk::testing::{TestBatch, run};

fn spans() -> TestBatch {
    TestBatch::spans()
        .column("name", ["GET /u/alice@example.com", "GET /"])
        .column("service_name", ["shop", "10.0.0.1"])
        .attribute("url.full", ["https://shop/?email=alice%40example.com", "https://shop/"])
        .attribute("card", [4_111_111_111_111_111i64, 12])
        .attribute("user.name", [Some("bob"), None])
        .attribute("user.age", [42i64, 7])
        .resource("host.ip", ["10.1.2.3", "10.1.2.3"])
}

#[test]
fn secrets_are_gone_from_names_attributes_and_resources() {
    let tested = run::<Redact>("{}", spans()).unwrap();
    assert_eq!(tested.column("name"), ["GET /u/[REDACTED:email]", "GET /"]);
    assert_eq!(tested.column("service_name"), ["shop", "[REDACTED:ip]"]);
    assert_eq!(tested.attribute("url.full"), ["https://shop/?email=[REDACTED:email]", "https://shop/"]);
    assert_eq!(tested.attribute("card")[0], "[REDACTED:card]");
    assert_eq!(tested.column("resource.host.ip"), ["[REDACTED:ip]", "[REDACTED:ip]"]);
    assert_eq!((tested.counter("redacted_email"), tested.counter("redacted_card")), (2, 1));
}

#[test]
fn the_values_of_configured_keys_are_replaced_whole_whatever_their_type() {
    let tested = run::<Redact>(r#"{"keys": ["user.*"]}"#, spans()).unwrap();
    assert_eq!(tested.attribute("user.name")[0], "[REDACTED:key]");
    assert!(tested.attribute("user.name")[1].is_null());
    assert_eq!(tested.attribute("user.age"), ["[REDACTED:key]", "[REDACTED:key]"]);
}

#[test]
fn what_is_excepted_stays() {
    let config = r#"{"except": ["service_name", "resource.host.ip"]}"#;
    let tested = run::<Redact>(config, spans()).unwrap();
    assert_eq!(tested.column("service_name"), ["shop", "10.0.0.1"]);
    assert_eq!(tested.column("resource.host.ip"), ["10.1.2.3", "10.1.2.3"]);
    assert_eq!(tested.column("name")[0], "GET /u/[REDACTED:email]");
}

#[test]
fn a_batch_that_it_fails_on_is_a_dead_letter() {
    assert!(matches!(Redact::ON_ERROR, OnError::DeadLetter));
}

#[test]
fn an_unknown_key_and_a_short_hash_key_are_mistakes() {
    assert!(run::<Redact>(r#"{"detekt": []}"#, spans()).is_err());
    let error = run::<Redact>(r#"{"mode": "hash", "key": "short"}"#, spans()).err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.starts_with("key: ") && error.contains("16")));
}
