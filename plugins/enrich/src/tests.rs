use serde_json::{Value, json};
use weir_sdk::OnError;
use weir_sdk::testing::{Plugin, TestBatch, Tested, run};

use super::Enrich;

const INVENTORY: &str = "service,owner,tier\ncart,Ann,1\nsearch,Bob,\n";

fn batch() -> TestBatch {
    TestBatch::spans()
        .dictionary("service_name", [Some("cart"), Some("search"), Some("unknown"), None, Some("cart")])
        .attribute("user.id", [Some("u1"), Some("u2"), None, Some("u1"), None])
}

fn enrich(config: &Value, batch: TestBatch) -> Tested {
    run::<Enrich>(&config.to_string(), batch).expect("an enriched batch")
}

fn mistake(config: &Value) -> String {
    Plugin::<Enrich>::configure(&config.to_string()).expect_err("a mistake").to_string()
}

#[test]
fn the_inventory_becomes_columns_and_unknown_services_stay_null() {
    let tested = enrich(&json!({ "inventory": INVENTORY }), batch());
    assert_eq!(tested.column("owner"), [json!("Ann"), json!("Bob"), Value::Null, Value::Null, json!("Ann")]);
    assert_eq!(tested.column("tier"), [json!("1"), Value::Null, Value::Null, Value::Null, json!("1")]);
    assert_eq!(tested.kept().len(), 5);
}

#[test]
fn a_batch_whose_service_is_text_row_by_row_gives_the_same() {
    let config = json!({ "inventory": INVENTORY });
    let plain = batch().column("service_name", [Some("cart"), Some("search"), Some("unknown"), None, Some("cart")]);
    assert_eq!(enrich(&config, plain).column("owner"), enrich(&config, batch()).column("owner"));
}

#[test]
fn the_inventory_becomes_attributes_with_a_prefix() {
    let config =
        json!({ "inventory": "name,owner\ncart,Ann", "key": "name", "as": "attributes", "prefix": "service." });
    assert_eq!(enrich(&config, batch()).attribute("service.owner")[0], "Ann");
    let config = json!({ "inventory": INVENTORY, "as": "resource" });
    assert_eq!(enrich(&config, batch()).column("resource.owner")[1], "Bob");
}

#[test]
fn attributes_are_set_with_their_types() {
    let config =
        json!({ "set": { "attributes.env": "prod", "attributes.shard": 3, "canary": true, "attributes.share": 0.5 } });
    let tested = enrich(&config, batch());
    assert_eq!(tested.attribute("env"), ["prod"; 5]);
    assert_eq!(tested.attribute("shard"), [3; 5]);
    assert_eq!(tested.attribute("share"), [0.5; 5]);
    assert_eq!(tested.column("canary"), [true; 5]);
}

#[test]
fn attributes_are_renamed_and_deleted() {
    let tested = enrich(&json!({ "rename": { "attributes.user.id": "attributes.enduser.id" } }), batch());
    assert_eq!(tested.attribute("enduser.id")[..2], ["u1", "u2"]);
    assert!(tested.attribute("user.id").iter().all(Value::is_null));
    let tested = enrich(&json!({ "delete": ["attributes.user.id"] }), batch());
    assert!(tested.attribute("user.id").iter().all(Value::is_null));
}

#[test]
fn a_hash_is_keyed_and_the_same_for_the_same_value() {
    let config = |secret: &str| json!({ "hash": { "attributes": ["attributes.user.id"], "secret": secret } });
    let tested = enrich(&config("0123456789abcdef"), batch());
    let hashes = tested.attribute("user.id");
    // The first half of what `openssl dgst -sha256 -hmac 0123456789abcdef` says of it.
    assert_eq!(hashes[0], HASH_OF_U1);
    assert_eq!(hashes[0], hashes[3]);
    assert_ne!(hashes[0], hashes[1]);
    assert!(hashes[2].is_null());
    assert_ne!(enrich(&config("another secret!!"), batch()).attribute("user.id")[0], hashes[0]);
}

const HASH_OF_U1: &str = "5162bddb18bda0082a7b39c472f7d118";

#[test]
fn numbers_are_hashed_as_their_text() {
    let config = json!({ "hash": { "attributes": ["attributes.n"], "secret": "0123456789abcdef" } });
    let numbers = enrich(&config, TestBatch::logs().attribute("n", [42, 7]));
    let texts = enrich(&config, TestBatch::logs().attribute("n", ["42", "7"]));
    assert_eq!(numbers.attribute("n"), texts.attribute("n"));
}

#[test]
fn without_a_configuration_nothing_is_read_or_changed() {
    let tested = enrich(&json!({}), batch());
    assert!(tested.read().is_empty());
    assert_eq!(tested.columns(), ["attributes.user.id", "service_name"]);
}

#[test]
fn it_declares_what_it_writes() {
    let config = json!({ "inventory": INVENTORY, "delete": ["attributes.a"], "set": { "attributes.b": 1 } });
    let plugin = Plugin::<Enrich>::configure(&config.to_string()).expect("a plugin");
    let description = plugin.description();
    let names: Vec<_> = description.writes.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["attributes.a", "attributes.b", "owner", "tier"]);
    assert_eq!((description.name.as_str(), description.stateful), ("enrich", false));
}

#[test]
fn it_fails_closed_where_it_hides_something_and_passes_otherwise() {
    let policy =
        |config: Value| Plugin::<Enrich>::configure(&config.to_string()).expect("a plugin").description().on_error;
    assert_eq!(policy(json!({ "inventory": INVENTORY })), OnError::Pass);
    assert_eq!(policy(json!({ "delete": ["attributes.a"] })), OnError::DeadLetter);
    assert_eq!(policy(json!({ "hash": { "attributes": [], "secret": "0123456789abcdef" } })), OnError::DeadLetter);
}

#[test]
fn mistakes_name_their_key() {
    assert!(mistake(&json!({ "delete": ["name"] })).starts_with("delete[0]: \"name\" is no attribute"));
    assert!(mistake(&json!({ "rename": { "attributes.a": "b" } })).starts_with("rename.attributes.a: \"b\" is no"));
    assert!(mistake(&json!({ "hash": { "attributes": [], "secret": "short" } })).starts_with("hash.secret: 5 bytes"));
    assert!(mistake(&json!({ "hash": { "attributes": [] } })).starts_with("hash.secret: missing"));
    assert!(mistake(&json!({ "set": { "attributes.a": [1] } })).starts_with("set"));
    assert!(mistake(&json!({ "key": "name" })).starts_with("key: "));
    assert!(
        mistake(&json!({ "inventory": "service,cost centre\n" })).starts_with("inventory: line 1: \"cost centre\"")
    );
    assert!(mistake(&json!({ "inventry": "" })).starts_with("inventry: unknown field"));
}
