//! The row account: what was received was written, dropped (by plugin and reason) or set aside as dead letters, and
//! `/metrics`, the summary and the files themselves say the same.

mod service;

use prost::Message;
use serde_json::json;
use service::samples::Samples;
use service::{Service, http, rows};
use sha2::{Digest, Sha256};
use weir::config::{Config, OnError, Plugin};
use weir::{Signal, run::Summary};

const SPANS: u64 = 2_000;
const LOGS: u64 = 700;
/// Every request of spans has a bad one before and after it.
const REQUESTS: u64 = 20;

/// The chain: spans are sampled, every batch of logs meets a plugin that panics.
fn chain(config: &mut Config, policy: OnError) {
    let mut sample = Plugin::shipped("sample");
    sample.config = json!({ "keep": 0.5, "keep_errors": true }).as_object().unwrap().clone();
    sample.signals = Some(vec![Signal::Spans]);
    let mut panics = Plugin::file("panics", weir_build::guest("panics").unwrap());
    panics.signals = Some(vec![Signal::Logs]);
    panics.on_error = Some(policy);
    config.plugins = vec![sample, panics];
    config.batch.rows_max = 256;
}

struct Outcome {
    samples: Samples,
    summary: Summary,
    /// Rows in the files of `spans`, `logs`, and the dead letters of logs.
    stored: [u64; 3],
}

fn outcome(policy: OnError) -> Outcome {
    let service = Service::start(|config| chain(config, policy));
    let bad = service::traces(vec![service::span(1, "never stored")]).encode_to_vec();
    for request in 0..REQUESTS {
        let spans = (0..SPANS / REQUESTS).map(|n| service::span(request * SPANS / REQUESTS + n, "work")).collect();
        let logs = (0..LOGS / REQUESTS).map(|n| service::log(&format!("line {n}"))).collect();
        assert_eq!(http::post(service.http, "/v1/traces", &bad[..bad.len() - 1]).status, 400);
        assert_eq!(http::post(service.http, "/v1/traces", &service::traces(spans).encode_to_vec()).status, 200);
        assert_eq!(http::post_json(service.http, "/v1/logs", b"{\"resourceLogs\": 7}").status, 400);
        assert_eq!(http::post(service.http, "/v1/logs", &service::logs(logs).encode_to_vec()).status, 200);
    }
    service.pipeline.flush().unwrap();
    let page = http::get(service.http, "/metrics");
    assert_eq!(page.status, 200);
    let samples = Samples::parse(&page.text());
    let (summary, folder) = service.stop();
    let stored = ["spans", "logs", "_dead_letter/logs"].map(|table| rows::read(folder.path(), table).len() as u64);
    Outcome { samples, summary, stored }
}

/// Both sides of the account, by the metrics, the summary, and the rows in the files.
fn assert_balanced(outcome: &Outcome) {
    let Outcome { samples, summary, stored } = outcome;
    assert_eq!(samples.sum("weir_rows_received_total", &[("signal", "spans")]), SPANS);
    assert_eq!(samples.sum("weir_rows_received_total", &[("signal", "logs")]), LOGS);
    let received = samples.sum("weir_rows_received_total", &[]);
    let dropped = samples.sum("weir_rows_dropped_total", &[]);
    let dead = samples.sum("weir_rows_dead_lettered_total", &[]);
    let written = |table| samples.sum("weir_rows_written_total", &[("table", table)]);
    assert_eq!(samples.sum("weir_rows_pending", &[]), 0, "all is flushed");
    assert_eq!(received, written("spans") + written("logs") + dropped + dead, "{samples:#?}");
    assert_eq!([written("spans"), written("logs"), dead], *stored, "the metrics against the files: {samples:#?}");

    let of_summary = |signal| summary.received.iter().find(|(of, _)| *of == signal).unwrap().1;
    assert_eq!((of_summary(Signal::Spans), of_summary(Signal::Logs)), (SPANS, LOGS));
    assert_eq!(summary.dropped.iter().map(|(_, _, rows)| rows).sum::<u64>(), dropped, "{summary:?}");
    assert_eq!(summary.dead_lettered.iter().map(|(_, rows)| rows).sum::<u64>(), dead, "{summary:?}");
    for (table, rows) in ["spans", "logs"].into_iter().zip(stored) {
        let found = summary.written.iter().find(|written| written.table == table);
        assert_eq!(found.map_or(0, |written| written.rows), *rows, "{table}: {summary:?}");
    }
    assert_eq!(summary.pending, 0);
    assert!(summary.failure.is_none(), "{summary:?}");

    let refused = samples.sum("weir_requests_total", &[("outcome", "invalid")]);
    assert_eq!(refused, 2 * REQUESTS, "bad requests are counted as such: {samples:#?}");
}

/// About half of the spans are kept, and all of those that failed.
fn assert_sampled(outcome: &Outcome) {
    let dropped = outcome.samples.sum("weir_rows_dropped_total", &[("plugin", "sample")]);
    assert_eq!(outcome.stored[0] + dropped, SPANS);
    let fine = SPANS - SPANS / 10;
    assert!((fine * 4 / 10..fine * 6 / 10).contains(&dropped), "{dropped} of {fine} were dropped");
}

#[test]
fn rows_that_a_panicking_plugin_drops_are_counted_by_its_name() {
    let outcome = outcome(OnError::Drop);
    assert_balanced(&outcome);
    assert_sampled(&outcome);
    assert_eq!(outcome.stored[1..], [0, 0]);
    assert_eq!(outcome.samples.sum("weir_rows_dropped_total", &[("plugin", "panics")]), LOGS);
    assert!(outcome.samples.sum("weir_plugin_faults_total", &[("plugin", "panics")]) > 0);
}

#[test]
fn rows_that_a_panicking_plugin_sets_aside_are_dead_letters_in_files() {
    let outcome = outcome(OnError::DeadLetter);
    assert_balanced(&outcome);
    assert_sampled(&outcome);
    assert_eq!(outcome.stored[1..], [0, LOGS]);
    assert_eq!(outcome.samples.sum("weir_rows_dead_lettered_total", &[("plugin", "panics")]), LOGS);
}

#[test]
fn rows_that_a_panicking_plugin_lets_pass_are_stored_as_they_were() {
    let outcome = outcome(OnError::Pass);
    assert_balanced(&outcome);
    assert_sampled(&outcome);
    assert_eq!(outcome.stored[1..], [LOGS, 0]);
    assert!(outcome.samples.sum("weir_plugin_faults_total", &[("plugin", "panics")]) > 0);
}

#[test]
fn a_plugin_that_may_stop_the_pipeline_does_and_the_account_still_holds() {
    let service = Service::start(|config| chain(config, OnError::Stop));
    let logs = service::logs(vec![service::log("the end")]).encode_to_vec();
    assert_eq!(http::post(service.http, "/v1/logs", &logs).status, 200);
    let failed = service.pipeline.failure();
    service.runtime.block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(30), failed.wait()).await.expect("it stops");
    });
    // What comes now is told to come back: it is neither taken nor lost.
    let late = http::post(service.http, "/v1/logs", &logs);
    assert_eq!(late.status, 503);
    assert!(late.header("retry-after").is_some());
    assert_eq!(http::get(service.http, "/readyz").status, 503);
    let (summary, folder) = service.stop();
    assert!(summary.failure.as_ref().is_some_and(|error| error.message().contains("panics")), "{summary:?}");
    let received: u64 = summary.received.iter().map(|(_, rows)| rows).sum();
    let tables = summary.written.iter().filter(|written| !written.table.starts_with('_'));
    let written: u64 = tables.map(|written| written.rows).sum();
    let dropped: u64 = summary.dropped.iter().map(|(_, _, rows)| rows).sum();
    let dead: u64 = summary.dead_lettered.iter().map(|(_, rows)| rows).sum();
    assert_eq!(received, 1);
    assert_eq!(received, written + dropped + dead + summary.pending, "{summary:?}");
    let stored = rows::read(folder.path(), "logs").len() + rows::read(folder.path(), "_dead_letter/logs").len();
    assert_eq!(stored as u64, written + dead, "{summary:?}");
}

#[test]
fn rows_that_wait_are_pending() {
    let service = Service::start(|config| {
        config.plugins.clear();
        config.batch.delay_max = std::time::Duration::from_secs(60);
        config.write.first_epoch = std::time::Duration::from_secs(60);
    });
    let logs = service::logs((0..10).map(|number| service::log(&format!("line {number}"))).collect()).encode_to_vec();
    let account = || {
        let samples = Samples::parse(&http::get(service.http, "/metrics").text());
        ["weir_rows_received_total", "weir_rows_pending", "weir_rows_written_total"].map(|name| samples.sum(name, &[]))
    };
    assert_eq!(account(), [0, 0, 0]);
    assert_eq!(http::post(service.http, "/v1/logs", &logs).status, 200);
    assert_eq!(account(), [10, 10, 0], "acknowledged, and in no file yet");
    service.pipeline.flush().unwrap();
    assert_eq!(account(), [10, 0, 10]);
    assert_eq!(service.stop().0.pending, 0);
}

#[test]
fn the_record_of_an_epoch_says_which_plugins_made_it_and_what_became_of_rows() {
    let service = Service::start(|config| chain(config, OnError::DeadLetter));
    let spans = (0..100).map(|n| service::span(n, "work")).collect();
    assert_eq!(http::post(service.http, "/v1/traces", &service::traces(spans).encode_to_vec()).status, 200);
    let logs = (0..7).map(|n| service::log(&format!("line {n}"))).collect();
    assert_eq!(http::post(service.http, "/v1/logs", &service::logs(logs).encode_to_vec()).status, 200);
    let (summary, folder) = service.stop();

    let staging = folder.path().join("_staging");
    let records = std::fs::read_dir(&staging).unwrap().map(|entry| entry.unwrap().path());
    let last = records.filter(|path| path.extension().is_some_and(|extension| extension == "record")).max().unwrap();
    let text = std::fs::read_to_string(last).unwrap();
    let record: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let about = &record["about"];
    let sha256 = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let sample = std::fs::read("plugins/sample/sample.wasm").unwrap();
    let panics = std::fs::read(weir_build::guest("panics").unwrap()).unwrap();
    assert_eq!(about["plugins"][0]["name"], "sample");
    assert_eq!(about["plugins"][0]["sha256"], sha256(&sample));
    assert_eq!(about["plugins"][1]["sha256"], sha256(&panics));
    assert_eq!(about["rows"]["received"], 107);
    assert_eq!(about["rows"]["dead_lettered"], 7);
    assert_eq!(about["rows"]["dropped"], summary.dropped.iter().map(|(.., rows)| rows).sum::<u64>());
}
