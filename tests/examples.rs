//! The examples run, and what they say of themselves is stored.

mod service;

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use service::{Service, http, program, rows};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use weir::config::Plugin;

/// An example's program: cargo puts it beside the folder of the test's own.
fn example(name: &str) -> Command {
    let own = std::env::current_exe().unwrap();
    let path: PathBuf = own.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(name);
    if !path.is_file() {
        // `cargo test` has built them; `cargo test --test examples` has not.
        let built = Command::new(env!("CARGO")).args(["build", "--examples"]).status().unwrap();
        assert!(built.success() && path.is_file(), "{} is not built", path.display());
    }
    Command::new(path)
}

#[test]
fn embed_writes_its_row_without_a_socket_and_redacts_it() {
    let folder = tempfile::tempdir().unwrap();
    let done = example("embed").current_dir(folder.path()).arg("tables").output().unwrap();
    let (out, err) = (program::printed(&done.stdout), program::printed(&done.stderr));
    assert!(done.status.success(), "{out}\n{err}");
    assert!(out.contains("accepted 1 row") && out.contains("logs: 1 rows in 1 file"), "{out}");
    assert_eq!(err, "", "nothing is logged behind the embedder's back");
    let stored = rows::read(&folder.path().join("tables"), "logs");
    let body = format!("{:?}", stored[0]["body"]);
    assert!(body.contains("paid") && !body.contains("alice@example.com"), "{body}");
}

#[test]
fn embed_is_as_short_as_it_says() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/embed.rs")).unwrap();
    assert!(text.lines().count() < 60, "{} lines", text.lines().count());
}

#[test]
fn instrumented_sends_its_traces_metrics_and_logs() {
    const REQUESTS: usize = 30;
    let service = Service::start(|_| {});
    let done = example("instrumented")
        .arg(REQUESTS.to_string())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", service.grpc))
        .output()
        .unwrap();
    let (out, err) = (program::printed(&done.stdout), program::printed(&done.stderr));
    assert!(done.status.success(), "{out}\n{err}");
    let (summary, folder) = service.stop();
    let [spans, logs, metrics] = ["spans", "logs", "metrics"].map(|table| rows::read(folder.path(), table));
    assert_eq!((spans.len(), logs.len(), metrics.len()), (2 * REQUESTS, REQUESTS / 10, 2), "{summary:?}");
    let text = |text: &str| rows::Cell::Text(text.to_owned());
    for row in spans.iter().chain(&logs).chain(&metrics) {
        assert_eq!(row["service_name"], text("bakery"));
    }
    // Each line of the log belongs to the span of a request that failed.
    for line in &logs {
        let of = spans.iter().find(|span| span["span_id"] == line["span_id"]).expect("the span of the line");
        assert_eq!((&of["status_code"], &of["trace_id"]), (&text("ERROR"), &line["trace_id"]));
    }
    let requests = metrics.iter().map(|point| match point["count"] {
        rows::Cell::Int(count) => count,
        _ => 0,
    });
    assert_eq!(requests.sum::<i128>(), REQUESTS as i128);
}

#[test]
fn a_kpi_of_ones_own_has_fewer_than_sixty_lines_and_good_tests() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/business-kpi/src/lib.rs")).unwrap();
    assert!(text.lines().count() < 60, "{} lines", text.lines().count());
    let tested = Command::new(env!("CARGO"))
        .args(["test", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/business-kpi/Cargo.toml"))
        .output()
        .unwrap();
    let (out, err) = (program::printed(&tested.stdout), program::printed(&tested.stderr));
    assert!(tested.status.success() && out.contains("4 passed"), "{out}\n{err}");
}

#[test]
fn a_kpi_of_ones_own_is_built_for_the_sandbox_and_keeps_its_table() {
    const MINUTE: u64 = 60_000_000_000;
    const START: u64 = 1_772_496_000_000_000_000;
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut build = program::weir(repository, &["plugin", "build", "examples/business-kpi"]);
    let built = build.env("CARGO_NET_OFFLINE", "true").output().unwrap();
    assert!(built.status.success(), "{}", program::printed(&built.stderr));
    let mut plugin = Plugin::file("orders", repository.join("examples/business-kpi/target/weir/business-kpi.wasm"));
    plugin.config.insert("span".to_owned(), "order".into());
    plugin.config.insert("target".to_owned(), 2.0.into());
    plugin.limits.call_time_max = Duration::from_secs(10);
    let service = Service::start(|config| config.plugins = vec![plugin]);
    let spans = |number: u64, name: &str, at: u64| {
        let (start_time_unix_nano, end_time_unix_nano) = (at, at + 1_000);
        Span { start_time_unix_nano, end_time_unix_nano, ..service::span(number, name) }
    };
    // Three orders in a minute, none in the next.
    let mut sent: Vec<_> = (0..3).map(|number| spans(number, "order", START + number)).collect();
    sent.push(spans(3, "browse", START + MINUTE));
    let answer = http::post(service.http, "/v1/traces", &service::traces(sent).encode_to_vec());
    assert_eq!(answer.status, 200);
    let (summary, folder) = service.stop();
    let mut rows = rows::read(folder.path(), "orders_per_minute");
    rows.sort_by_key(|row| format!("{:?}", row["minute"]));
    let orders: Vec<_> = rows.iter().map(|row| (&row["orders"], &row["target"])).collect();
    let [none, two, three] = [0.0, 2.0, 3.0].map(|value: f64| rows::Cell::Double(value.to_bits()));
    assert_eq!(orders, [(&three, &two), (&none, &two)], "{summary:?}");
}
