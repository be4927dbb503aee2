//! Plugins that ask for another turn get it while event time stands still, and before the pipeline ends; one that asks for
//! ever keeps nothing from ending.

mod service;

use prost::Message;
use serde_json::json;
use service::{Service, http, rows};
use std::path::Path;
use std::time::{Duration, Instant};
use weir::config::Plugin;

/// More rows than any turn but those at the end could get to.
const ROWS: u64 = 300;

fn start(for_ever: bool) -> Service {
    Service::start(|config| {
        let mut plugin = Plugin::file("asks-again", weir_build::guest("asks-again").unwrap());
        plugin.config = json!({ "for_ever": for_ever }).as_object().unwrap().clone();
        plugin.limits.call_time_max = Duration::from_secs(20);
        config.plugins = vec![plugin];
    })
}

/// How many turns left a row. Tables of plugins have folders of days only.
fn turns(folder: &Path) -> u64 {
    rows::files(folder, "turns").iter().map(|file| rows::read_file(file).len() as u64).sum()
}

fn send(service: &Service, rows: u64) {
    let logs = service::logs((0..rows).map(|number| service::log(&format!("line {number}"))).collect());
    assert_eq!(http::post(service.http, "/v1/logs", &logs.encode_to_vec()).status, 200);
}

#[test]
fn what_a_plugin_has_left_to_do_is_done_before_the_end() {
    let service = start(false);
    send(&service, ROWS);
    let (summary, folder) = service.stop();
    assert!(summary.failure.is_none(), "{summary:?}");
    assert_eq!(turns(folder.path()), ROWS);
}

#[test]
fn while_it_runs_a_plugin_is_called_again_though_no_row_comes() {
    let service = start(false);
    send(&service, 3);
    let began = Instant::now();
    loop {
        let samples = service::samples::Samples::parse(&http::get(service.http, "/metrics").text());
        if samples.sum("weir_plugin_rows_emitted_total", &[("plugin", "asks-again")]) == 3 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{samples:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    service.stop();
}

#[test]
fn a_plugin_that_asks_for_ever_does_not_keep_the_pipeline_from_ending() {
    let service = start(true);
    send(&service, 3);
    let (summary, folder) = service.stop();
    assert!(summary.failure.is_none(), "{summary:?}");
    assert_eq!(turns(folder.path()), 3);
}
