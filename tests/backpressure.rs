//! When memory is full, clients are told to come back and when; nothing is queued without end, and nothing is lost.

mod service;

use prost::Message;
use service::{Service, grpc, http, rows};
use std::collections::BTreeSet;
use std::time::Duration;
use tonic::Code;
use weir::config::{Config, Plugin};
use weir::{Kind, Signal};

const MIB: u64 = 1 << 20;

/// Room for a MiB of rows, which stay where they are until they are asked for.
fn tiny(config: &mut Config) {
    config.plugins.clear();
    config.receive.memory_bytes_max = MIB;
    config.receive.request_bytes_max = MIB;
    config.receive.wait_max = Duration::ZERO;
    config.batch.rows_max = 1 << 20;
    config.batch.delay_max = Duration::from_secs(60);
}

/// A request of one log record, numbered, of about 50 KiB.
fn request(number: usize) -> Vec<u8> {
    let mut record = service::log(&format!("{number} {}", "x".repeat(50_000)));
    record.event_name = number.to_string();
    service::logs(vec![record]).encode_to_vec()
}

/// The numbers of the records that are stored; each once.
fn numbers(folder: &std::path::Path) -> BTreeSet<usize> {
    let stored = rows::read(folder, "logs");
    let number = |row: &rows::Row| match &row["event_name"] {
        rows::Cell::Text(number) => number.parse().unwrap(),
        other => panic!("{other:?}"),
    };
    let numbers: BTreeSet<usize> = stored.iter().map(number).collect();
    assert_eq!(numbers.len(), stored.len(), "no row is stored twice");
    numbers
}

#[test]
fn a_full_memory_is_answered_with_503_and_a_time_and_nothing_is_lost() {
    let service = Service::start(tiny);
    let mut acknowledged = BTreeSet::new();
    let refused = (0..100).find_map(|number| {
        let answer = http::post(service.http, "/v1/logs", &request(number));
        match answer.status {
            200 => drop(acknowledged.insert(number)),
            _ => return Some((number, answer)),
        }
        None
    });
    let (number, answer) = refused.expect("a MiB is full before 5 MB are in it");
    assert!(!acknowledged.is_empty(), "some had room");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert!(answer.text().contains("memory"), "{}", answer.text());
    assert_eq!(http::get(service.http, "/healthz").status, 200, "it is not broken");
    assert_eq!(http::get(service.http, "/readyz").status, 503, "but has no room");

    service.pipeline.flush().unwrap();
    assert_eq!(http::get(service.http, "/readyz").status, 200);
    assert_eq!(http::post(service.http, "/v1/logs", &request(number)).status, 200, "now there is room for it");
    acknowledged.insert(number);
    let (summary, folder) = service.stop();
    assert_eq!(numbers(folder.path()), acknowledged, "{summary:?}");
}

#[test]
fn a_full_memory_is_answered_with_unavailable_and_a_retry_info() {
    let service = Service::start(tiny);
    let call = |number| {
        let method = grpc::export("logs");
        service.runtime.block_on(grpc::call(service.grpc, &method, request(number)))
    };
    let refused = (0..100).find_map(|number| call(number).err()).expect("a MiB is full before 5 MB are in it");
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    let details = String::from_utf8_lossy(refused.details());
    assert!(details.contains("type.googleapis.com/google.rpc.RetryInfo"), "{details:?}");
    service.stop();
}

#[test]
fn an_embedder_is_told_to_come_back_too() {
    let service = Service::start(tiny);
    let refused = (0..100).find_map(|number| service.pipeline.ingest(Signal::Logs, &request(number)).err());
    assert_eq!(refused.expect("a MiB is full before 5 MB are in it").kind(), Kind::Overload);
    service.stop();
}

/// Clients that come back until they are heard, as those of OpenTelemetry do, against a chain that is slower than they.
#[test]
fn clients_that_come_back_get_everything_through_a_slow_chain() {
    assert!(told_to_wait_by_a_slow_chain(50, Duration::ZERO) > 0, "the chain was never behind: this shows nothing");
}

/// The same with patience: clients are as fast as the chain is, and none is sent away.
#[test]
fn clients_wait_for_a_slow_chain_before_they_are_told_to_come_back() {
    assert_eq!(told_to_wait_by_a_slow_chain(20, Duration::from_secs(60)), 0);
}

/// How often clients were told to come back, of which each sends so many requests.
fn told_to_wait_by_a_slow_chain(requests: usize, wait_max: Duration) -> usize {
    const CLIENTS: usize = 4;
    let service = Service::start(|config| {
        tiny(config);
        config.receive.wait_max = wait_max;
        config.batch.delay_max = Duration::from_millis(5);
        config.batch.rows_max = 4;
        config.plugins = vec![slow()];
    });
    let told_to_wait: usize = std::thread::scope(|scope| {
        let client = |client: usize| {
            let send = |number| {
                let body = request(number);
                let mut refused = 0;
                loop {
                    let answer = http::post(service.http, "/v1/logs", &body);
                    match answer.status {
                        200 => return refused,
                        503 => assert!(answer.header("retry-after").is_some()),
                        other => panic!("{other}: {}", answer.text()),
                    }
                    refused += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
            };
            (0..requests).map(|request| send(client * requests + request)).sum::<usize>()
        };
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    let (summary, folder) = service.stop();
    assert_eq!(numbers(folder.path()), (0..CLIENTS * requests).collect(), "{summary:?}");
    told_to_wait
}

/// A plugin that never comes back by itself: its time limit makes it slow, its policy lets the rows pass.
fn slow() -> Plugin {
    let mut plugin = Plugin::file("slow", weir_build::guest("loops").unwrap());
    plugin.limits.call_time_max = Duration::from_millis(200);
    plugin.on_error = Some(weir::config::OnError::Pass);
    plugin
}
