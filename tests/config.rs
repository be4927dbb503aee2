//! The configuration: what is read, what is refused, and how that is said.
//!
//! `tests/config/bad` has a file for each mistake, beside the exact message that it gets. `WEIR_BLESS=1 cargo test
//! --test config` writes the messages anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use weir::config::{
    Attributes, ColumnType, Compression, Config, Destination, Faults, Lookup, OnError, Plugin, Promoted, SECTIONS,
    SHIPPED, Source, TimeUnit, WebhookMapping,
};
use weir::{Error, Kind, Signal};

const MIB: u64 = 1 << 20;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn read(text: &str) -> Result<Config, Faults> {
    Config::from_toml("weir.toml", text)
}

fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|faults| panic!("refused:\n{text}\n{faults}"))
}

fn refused(text: &str) -> String {
    read(text).expect_err("is refused").to_string()
}

fn bad_files() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder("bad")).expect("the folder of bad files");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    paths
}

#[test]
fn every_bad_file_gets_the_message_beside_it() {
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    let paths = bad_files();
    assert!(paths.len() >= 30, "only {} bad files", paths.len());
    let mut differ = Vec::new();
    for path in paths {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a bad file");
        let faults = Config::from_toml(&name, &text).expect_err(&name).to_string();
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, &faults).expect("the message is written");
        } else if fs::read_to_string(&expected).unwrap_or_default() != faults {
            differ.push(format!("{name} now gets:\n{faults}"));
        }
    }
    assert!(differ.is_empty(), "{}\n(WEIR_BLESS=1 writes them anew)", differ.join("\n"));
}

#[test]
fn no_message_stands_without_its_file() {
    let files: BTreeSet<PathBuf> = bad_files().into_iter().collect();
    for entry in fs::read_dir(folder("bad")).expect("the folder of bad files") {
        let path = entry.expect("an entry").path();
        assert!(files.contains(&path.with_extension("toml")), "{} has no .toml", path.display());
    }
}

#[test]
fn every_fault_says_where_it_is_what_was_expected_and_how_to_cure_it() {
    for path in bad_files() {
        let text = fs::read_to_string(&path).expect("a bad file");
        for fault in Config::from_toml("weir.toml", &text).expect_err("is refused").iter() {
            let whole = fault.place.is_some() && fault.expected.is_some() && fault.help.is_some();
            assert!(whole, "{}: {}", path.display(), fault.message);
        }
    }
}

#[test]
fn an_empty_file_is_the_default_configuration() {
    assert_eq!(good(""), Config::default());
    let empty_sections: String = SECTIONS
        .iter()
        .filter(|section| !section.header.starts_with("[["))
        .filter(|section| section.path != "plugin.limits")
        .map(|section| format!("{}\n", section.header))
        .collect();
    assert_eq!(good(&empty_sections), Config::default());
}

#[test]
fn without_a_plugin_section_the_chain_is_enrich_then_sample() {
    let names: Vec<String> = Config::default().plugins.into_iter().map(|plugin| plugin.name).collect();
    assert_eq!(names, ["enrich", "sample"]);
    assert!(names.iter().all(|name| SHIPPED.contains(&name.as_str())));
}

#[test]
fn an_empty_array_of_plugins_is_no_plugins_at_all() {
    assert_eq!(good("plugin = []").plugins, []);
}

#[test]
fn the_ten_line_example_reads_as_it_reads_aloud() {
    let text = fs::read_to_string(folder("good/example.toml")).expect("the example");
    let config = good(&text);
    let mut sample = Plugin::shipped("sample");
    sample.signals = Some(vec![Signal::Spans]);
    sample.config = json!({ "keep": 0.1 }).as_object().expect("an object").clone();
    let expected = Config { plugins: vec![sample], ..Config::default() };
    assert_eq!(config, expected);
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, text)| (key.to_owned(), text.to_owned())).into()
}

#[test]
fn every_key_reaches_its_setting() {
    let config = Config::from_file(folder("good/everything.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.directory, folder("good"));

    let receive = &config.receive;
    assert_eq!(receive.grpc, Some("127.0.0.1:14317".parse().expect("an address")));
    assert_eq!(receive.http, None);
    assert_eq!((receive.request_bytes_max, receive.memory_bytes_max), (16 * MIB, 64 * MIB));
    assert_eq!(receive.connections_max, 64);
    assert_eq!(receive.header_timeout, Duration::from_secs(5));
    assert_eq!(receive.body_timeout, Duration::from_secs(60));
    assert_eq!(receive.idle_timeout, Duration::from_secs(3_600));
    assert_eq!(receive.cors_origins, ["https://shop.example", "http://localhost:3000"]);

    let alertmanager = &receive.alertmanager;
    assert_eq!(
        (&alertmanager.service_labels[..], &alertmanager.environment_labels[..]),
        (&["app".into()][..], &[][..])
    );
    assert_eq!(alertmanager.severity_label, "priority");
    let pagerduty = &receive.pagerduty;
    assert_eq!(pagerduty.secret.as_ref().map(|secret| secret.reveal()), Some("hidden"));
    assert_eq!(pagerduty.environment.as_deref(), Some("production"));
    assert_eq!(pagerduty.services, texts([("Checkout API", "checkout")]));
    assert_eq!(pagerduty.severities, texts([("high", "sev2")]));
    let element = |pointer: &str| Lookup::Element(pointer.to_owned());
    let constant = |text: &str| Lookup::Constant(text.to_owned());
    let webhook = WebhookMapping {
        name: "statuspage".to_owned(),
        for_each: Some("/incidents".to_owned()),
        event: vec![element("/status")],
        time: vec![element("/resolved_at"), element("/updated_at")],
        time_unit: TimeUnit::Milliseconds,
        id: vec![element("/id")],
        uid: vec![Lookup::Payload("/meta/id".to_owned())],
        service: vec![element("/a~1b"), constant("shop")],
        environment: vec![constant("production")],
        severity: vec![element("/impact")],
        title: vec![element("/name")],
        url: vec![element("/shortlink")],
        fingerprint: vec![element("/name")],
        attributes: [("shop.tier".to_owned(), vec![constant("gold")])].into(),
        map: [("event".to_owned(), texts([("*", ""), ("resolved", "itops.incident.resolved")]))].into(),
    };
    assert_eq!(receive.webhooks, [webhook]);

    assert_eq!(config.batch.rows_max, 1_000);
    assert_eq!(config.batch.delay_max, Duration::from_millis(20));
    assert_eq!(config.batch.workers, 4);

    let write = &config.write;
    assert_eq!(write.to, Destination::S3 { bucket: "telemetry".into(), prefix: "shop/eu".into() });
    assert_eq!(write.writer, "weir-2");
    assert_eq!(write.epoch, Duration::from_secs(300));
    assert_eq!(write.first_epoch, Duration::from_millis(500));
    assert_eq!(write.file_bytes_max, 1_024 * MIB);
    assert_eq!(write.row_group_rows, 100_000);
    assert_eq!(write.compression, Compression::Zstd(19));
    assert_eq!(write.attributes, Attributes::Residual);
    assert_eq!(write.staging_folder(), Path::new("/var/lib/weir/staging"));
    assert_eq!(
        write.promote,
        [
            Promoted::new("http.response.status_code", ColumnType::Int32),
            Promoted::new("shop.tier", ColumnType::Text),
            Promoted::new("shop.items", ColumnType::Int64),
        ]
    );
    assert_eq!(write.promote[0].column, "http_response_status_code");

    let s3 = &write.s3;
    assert_eq!(s3.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert_eq!(s3.region.as_deref(), Some("eu-central-1"));
    assert_eq!(s3.access_key_id.as_ref().map(|secret| secret.reveal()), Some("AKIAHIDDEN"));
    assert_eq!(s3.secret_access_key.as_ref().map(|secret| secret.reveal()), Some("hidden"));
    assert!(s3.allow_http && s3.virtual_hosted);

    let watch = &config.watch;
    assert!(!watch.metrics);
    assert_eq!(watch.listen, Some("127.0.0.1:9464".parse().expect("an address")));
    assert_eq!(watch.otlp.as_deref(), Some("http://collector:4317"));
    assert_eq!(watch.otlp_interval, Duration::from_secs(15));
}

#[test]
fn every_key_of_a_plugin_reaches_its_setting() {
    let config = Config::from_file(folder("good/everything.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    let names: Vec<&str> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(names, ["enrich", "redact-logs", "mine"]);

    let [enrich, redact, mine] = &config.plugins[..] else { panic!("three plugins") };
    let settings = json!({
        "set": { "team": "shop" },
        "since": "2026-01-02T03:04:05Z",
        "top": 18_446_744_073_709_551_615_u64,
        "deep": [[1, 2.5], [true]],
    });
    assert_eq!(serde_json::Value::Object(enrich.config.clone()), settings);
    assert_eq!(enrich.component_path(&config.directory), None);

    assert_eq!(redact.source, Source::Shipped("redact".into()));
    assert_eq!(redact.signals, Some(vec![Signal::Logs]));
    assert_eq!(redact.on_error, Some(OnError::DeadLetter));

    assert_eq!(mine.component_path(&config.directory), Some(folder("good/plugins/mine.wasm")));
    assert_eq!(serde_json::Value::Object(mine.config.clone()), json!({ "rules": [{ "name": "a" }, { "name": "b" }] }));
    assert_eq!((mine.signals.as_ref(), mine.on_error), (None, Some(OnError::Stop)));
    assert_eq!(mine.limits.memory_bytes_max, 128 * MIB);
    assert_eq!(mine.limits.call_time_max, Duration::from_secs(1));
    assert_eq!(mine.limits.rows_emitted_max, 5);
    assert_eq!(mine.limits.state_bytes_max, 0);
    assert_eq!(mine.limits.log_lines_per_second_max, 0);
    assert_eq!(mine.limits.component_bytes_max, MIB);
}

#[test]
fn a_default_gives_way_to_a_setting_that_it_contradicts() {
    assert_eq!(good("receive.memory_max = \"16MiB\"").receive.request_bytes_max, 4 * MIB);
    assert_eq!(good("write.epoch = \"1s\"").write.first_epoch, Duration::from_secs(1));
}

#[test]
fn staging_is_beside_the_tables_and_local() {
    assert_eq!(good("write.to = \"/srv/weir\"").write.staging_folder(), Path::new("/srv/weir/_staging"));
    assert_eq!(good("write.to = \"s3://bucket\"").write.staging_folder(), Path::new("./data/_staging"));
}

#[test]
fn sizes_are_in_powers_of_two_or_bytes() {
    for text in ["1048576", "\"1048576\"", "\"1048576B\"", "\"1024KiB\"", "\"1MiB\"", "\"1 MiB\"", "0x100000"] {
        assert_eq!(good(&format!("write.file_max = {text}")).write.file_bytes_max, MIB, "{text}");
    }
}

#[test]
fn the_limits_of_a_range_are_part_of_it() {
    for (key, least, most) in [
        ("batch.rows_max", "1", "1048576"),
        ("batch.delay_max", "\"1ms\"", "\"60s\""),
        ("write.file_max", "\"1MiB\"", "\"16GiB\""),
        ("write.compression_level", "1", "22"),
        ("receive.connections_max", "1", "65536"),
    ] {
        good(&format!("{key} = {least}"));
        good(&format!("{key} = {most}"));
    }
    for just_outside in ["batch.rows_max = 1048577", "write.file_max = 1048575", "batch.delay_max = \"60001ms\""] {
        assert!(refused(just_outside).contains("the "), "{just_outside}");
    }
}

#[test]
fn several_faults_are_found_in_one_run_in_the_order_of_the_file() {
    let text = fs::read_to_string(folder("bad/several.toml")).expect("the file");
    let faults = read(&text).expect_err("is refused");
    let lines: Vec<usize> = faults.iter().filter_map(|fault| Some(fault.place.as_ref()?.line)).collect();
    assert_eq!(lines, [2, 3, 6, 7, 10, 11, 14]);
}

#[test]
fn a_file_with_faults_without_end_is_answered_shortly() {
    let unknown: String = (0..50_000).map(|n| format!("a{n} = 1\n")).collect();
    let garbage = "?\n".repeat(300_000);
    let one_line = "?,".repeat(300_000);
    for text in [unknown, garbage, one_line] {
        let faults = read(&text).expect_err("is refused");
        assert!(faults.iter().count() <= 100);
        assert!(faults.to_string().len() < 20_000, "{}", faults.to_string().len());
    }
}

#[test]
fn no_fault_repeats_a_secret() {
    for path in bad_files() {
        let text = fs::read_to_string(&path).expect("a bad file");
        let faults = refused(&text);
        for secret in ["AKIAHIDDEN", "hidden", "1234567890"] {
            assert!(!faults.contains(secret), "{}:\n{faults}", path.display());
        }
    }
    let config = Config::from_file(folder("good/everything.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    let debug = format!("{config:?}");
    assert!(!debug.contains("AKIAHIDDEN") && !debug.contains("hidden"), "{debug}");
}

#[test]
fn faults_are_plain_text_unless_colour_is_asked_for() {
    let faults = read("[batch]\nrows_max = 0\n").expect_err("is refused");
    assert!(!faults.to_string().contains('\u{1b}'));
    let coloured = faults.render(true);
    assert!(coloured.starts_with("\u{1b}[1;31merror\u{1b}[0m"), "{coloured:?}");
}

#[test]
fn as_an_error_faults_are_for_the_reader_of_the_configuration() {
    let error = Error::from(read("[batch]\nrows_max = 0\n").expect_err("is refused"));
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.message().starts_with("`batch.rows_max` is 0, below the least, 1\n --> weir.toml:2:12\n"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_cure() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weir.toml");
    let missing = Config::from_file(&path).expect_err("there is none").to_string();
    assert!(
        missing.contains("cannot read") && missing.contains("weir.toml") && missing.contains("help: "),
        "{missing}"
    );

    fs::write(&path, b"[write]\nto = \"\xff\"\n").expect("a file");
    let binary = Config::from_file(&path).expect_err("is no text").to_string();
    assert!(binary.contains("not UTF-8 text, from line 2 on"), "{binary}");

    fs::write(&path, "#".repeat((1 << 20) + 1)).expect("a file");
    let large = Config::from_file(&path).expect_err("is large").to_string();
    assert!(large.contains("larger than 1 MiB"), "{large}");
}

#[test]
fn a_granted_file_reaches_the_plugin_inside_its_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("owners.csv"), "service,owner\n\"cart\",ann\n").expect("a file");
    let path = folder.path().join("weir.toml");
    fs::write(&path, "[[plugin]]\nuse = \"enrich\"\nconfig.on = \"service\"\nfiles.inventory = \"owners.csv\"\n")
        .expect("a file");
    let config = Config::from_file(&path).unwrap_or_else(|faults| panic!("{faults}"));
    let text = config.plugins[0].configuration_json(&config.directory).expect("its configuration");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json, json!({ "on": "service", "inventory": "service,owner\n\"cart\",ann\n" }));
}

#[test]
fn a_granted_file_that_cannot_be_handed_over_is_named_with_its_plugin() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("owners.csv");
    let mut plugin = Plugin::shipped("enrich");
    plugin.files.insert("inventory".into(), "owners.csv".into());
    let refused = |plugin: &Plugin, what: &str| {
        let error = plugin.configuration_json(folder.path()).expect_err("is refused");
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.message().starts_with("plugin `enrich`: ") && error.message().contains(what), "{error}");
    };

    refused(&plugin, "files.inventory: cannot read");
    fs::write(&path, b"\xff").expect("a file");
    refused(&plugin, "not UTF-8");
    fs::write(&path, "x".repeat(16 << 20)).expect("a file");
    assert!(plugin.configuration_json(folder.path()).is_ok(), "the limit is part of what is allowed");
    fs::write(&path, "x".repeat((16 << 20) + 1)).expect("a file");
    refused(&plugin, "larger than 16 MiB");
    plugin.config.insert("inventory".into(), json!(1));
    refused(&plugin, "both in `config` and in `files`");
}

#[test]
fn the_defaults_that_the_table_of_keys_names_are_the_defaults() {
    let mut text = String::new();
    // A webhook needs a name and more: it is not there by default.
    for section in SECTIONS.iter().filter(|section| section.path != "receive.webhook") {
        if section.path == "plugin" {
            text += "[[plugin]]\nuse = \"enrich\"\n[[plugin]]\nuse = \"sample\"\n";
        } else {
            text += &format!("{}\n", section.header);
        }
        for key in section.keys.iter().filter(|key| !key.default.is_empty()) {
            text += &format!("{} = {}\n", key.name, key.default);
        }
    }
    assert_eq!(good(&text), Config::default());
}

#[test]
fn every_key_is_read_and_refuses_a_value_of_a_wrong_kind() {
    for section in SECTIONS {
        for key in section.keys.iter().filter(|key| !key.is_section()) {
            // No key is a date.
            let line = format!("{} = 2026-01-01", key.name);
            let text = match section.path {
                "plugin" => format!("[[plugin]]\n{line}\n"),
                "plugin.limits" => format!("[[plugin]]\nuse = \"sample\"\n{}\n{line}\n", section.header),
                _ => format!("{}\n{line}\n", section.header),
            };
            let path = format!("`{}.{}` is a date or time", section.path, key.name);
            assert!(refused(&text).contains(&path), "{path}:\n{}", refused(&text));
        }
    }
}

fn documentation() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).expect("the documentation")
}

/// The rows of the table of a section's keys.
fn key_rows(section: &weir::config::Section) -> String {
    let rows = section.keys.iter().filter(|key| !key.is_section()).map(|key| {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        format!("| `{}` | {default} | {} |\n", key.name, key.meaning)
    });
    rows.collect()
}

/// The documentation with the tables as the keys say them; it must have a heading and a table for each section.
fn with_tables(mut documentation: String) -> String {
    for section in SECTIONS {
        let heading = format!("## `{}`\n", section.header);
        let start = documentation.find(&heading).unwrap_or_else(|| panic!("no heading {heading}"));
        let table = "|---|---|---|\n";
        let rows =
            start + documentation[start..].find(table).unwrap_or_else(|| panic!("no table of {heading}")) + table.len();
        let end = rows
            + documentation[rows..]
                .lines()
                .take_while(|line| line.starts_with('|'))
                .map(|line| line.len() + 1)
                .sum::<usize>();
        documentation.replace_range(rows..end, &key_rows(section));
    }
    documentation
}

#[test]
fn the_documentation_has_every_key_with_its_default_and_meaning() {
    let (is, expected) = (documentation(), with_tables(documentation()));
    if std::env::var_os("WEIR_BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        fs::write(path, expected).expect("the documentation can be written");
        return;
    }
    let other = is.lines().zip(expected.lines()).find(|(is, expected)| is != expected);
    assert!(is == expected, "docs/configuration.md is behind (WEIR_BLESS=1 rewrites its tables): {other:?}");
}

#[test]
fn the_examples_of_the_documentation_are_right() {
    let documentation = documentation();
    let examples: Vec<&str> =
        documentation.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 2, "{} examples", examples.len());
    for example in examples {
        good(example);
    }
}

/// Pieces of which texts are made that come far into the reading.
const PIECES: &[&str] = &[
    "[receive]",
    "[receive.pagerduty]",
    "[[receive.webhook]]",
    "[batch]",
    "[[plugin]]",
    "[plugin.limits]",
    "[write]",
    "[write.s3]",
    "[watch]",
    "[[write]]",
    "\n",
    "\n",
    " = ",
    " = ",
    "\"",
    "'",
    "\"\"\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ".",
    "#",
    "grpc",
    "http",
    "request_max",
    "memory_max",
    "rows_max",
    "delay_max",
    "use",
    "path",
    "name",
    "signals",
    "config",
    "files",
    "on_error",
    "limits",
    "to",
    "writer",
    "epoch",
    "promote",
    "staging",
    "endpoint",
    "secret_access_key",
    "listen",
    "otlp",
    "for_each",
    "event",
    "map",
    "services",
    "\"/a~1\"",
    "\"#/~\"",
    "\"sample\"",
    "\"s3://bucket/a\"",
    "\"127.0.0.1:1\"",
    "\"64MiB\"",
    "\"1é\"",
    "\"ü5s\"",
    "\"5s\"",
    "\"spans\"",
    "\"off\"",
    "0",
    "-1",
    "nan",
    "1e999",
    "0xff",
    "true",
    "2026-01-01",
    "99999999999999999999999999999999999999999",
    "é",
    "\u{1f980}",
    "\t",
    "\r\n",
    "\0",
    "\u{1b}",
];

proptest! {
    #[test]
    fn arbitrary_text_is_read_or_refused_and_never_panics(text in any::<String>()) {
        if let Err(faults) = read(&text) {
            prop_assert!(faults.iter().count() > 0);
            prop_assert!(!faults.render(true).is_empty());
        }
    }

    #[test]
    fn text_of_likely_pieces_is_read_or_refused_and_never_panics(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60),
    ) {
        if let Err(faults) = read(&pieces.concat()) {
            let shown = faults.to_string();
            prop_assert!(shown.starts_with("error: "));
            prop_assert!(shown.chars().all(|char| char == '\n' || !char.is_control()), "{:?}", shown);
        }
    }

    #[test]
    fn arbitrary_values_are_read_or_refused_and_never_panic(
        key in 0..1_000_usize,
        value in prop_oneof!["[-+0-9.a-zA-Z:/ ]{0,24}", any::<String>()],
        quoted in any::<bool>(),
    ) {
        let keys: Vec<String> = SECTIONS
            .iter()
            .filter(|section| !section.path.starts_with("plugin"))
            .flat_map(|section| section.keys.iter().map(|key| format!("{}.{}", section.path, key.name)))
            .collect();
        let value = if quoted { json!(value).to_string() } else { value };
        if let Err(faults) = read(&format!("{} = {value}\n", keys[key % keys.len()])) {
            prop_assert!(faults.to_string().starts_with("error: "));
        }
    }
}

#[test]
fn deep_nesting_is_refused_without_a_stack_overflow() {
    let brackets = format!("[[plugin]]\nuse = \"sample\"\nconfig.a = {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(refused(&brackets).contains("max recursion depth"));
    let dots = format!("[[plugin]]\nuse = \"sample\"\nconfig{} = 1", ".a".repeat(10_000));
    assert!(refused(&dots).contains("a key of at most 16 parts"));
    // Each way of nesting within its own limit, one in the other.
    let both = format!("{{ a{} = ", ".a".repeat(15)).repeat(75) + "1" + &" }".repeat(75);
    assert!(
        refused(&format!("[[plugin]]\nuse = \"sample\"\nconfig = {both}")).contains("nested deeper than 32 levels")
    );
}
