//! The shipped `kpi` with more services than it tells apart, and all its limits at their defaults.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, TimestampNanosecondType};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use weir::batch::Batch;
use weir::chain::{Chain, Counts, Emitted, Link};
use weir::sandbox::{Engine, EngineOptions, Limits, Plugin, shipped};
use weir::{Signal, decode};

const SECOND_NS: u64 = 1_000_000_000;
/// 2026-03-03T10:00:00Z
const START_NS: u64 = 1_772_532_000 * SECOND_NS;
/// What is told apart, as the plugin's README has it.
const SERVICES_MAX: u64 = 30_000;
const SERVICES: u64 = SERVICES_MAX + 50;
/// How often each service has a request, and after how many minutes.
const ROUNDS: u64 = 4;
const ROUND_NS: u64 = 300 * SECOND_NS;

/// A request each of the services from one number up to another.
fn requests(round: u64, services: std::ops::Range<u64>) -> Batch {
    let request = |service: u64| {
        let name = AnyValue { value: Some(any_value::Value::StringValue(format!("service-{service:05}"))) };
        let name = KeyValue { key: "service.name".into(), value: Some(name), ..Default::default() };
        let start = START_NS + round * ROUND_NS + service * 1_000;
        let span = Span {
            trace_id: u128::from(service + 1).to_be_bytes().to_vec(),
            span_id: (round + 1).to_be_bytes().to_vec(),
            kind: 2,
            start_time_unix_nano: start,
            end_time_unix_nano: start + 1_000_000,
            ..Default::default()
        };
        ResourceSpans {
            resource: Some(Resource { attributes: vec![name], ..Default::default() }),
            scope_spans: vec![ScopeSpans { spans: vec![span], ..Default::default() }],
            ..Default::default()
        }
    };
    let request = ExportTraceServiceRequest { resource_spans: services.map(request).collect() };
    let mut builder = decode::Builder::new(Signal::Spans);
    decode::decode(&request.encode_to_vec(), &mut builder).expect("it decodes");
    builder.finish()
}

/// The chain, and what it has emitted of hours: the newest row of each service and hour.
struct Running {
    chain: Chain,
    sequence: u64,
    /// Where the service's name, the hour and its requests stand in the rows.
    columns: [usize; 3],
    requests: HashMap<(String, i64), f64>,
}

impl Running {
    fn new(limits: &Limits, counts: &Arc<Counts>) -> Self {
        let engine = Engine::new(&EngineOptions { cache: false, cache_dir: None }).expect("an engine");
        let plugin = Plugin::load(&engine, "kpi", shipped("kpi").expect("it is shipped"), limits).expect("it loads");
        let (name, limits) = ("kpi".into(), limits.clone());
        let link = Link { plugin, config_json: "{}".into(), name, signals: None, on_error: None, limits };
        let chain = Chain::new(vec![link], 1, counts.clone()).expect("the chain starts");
        let hours = chain.tables().into_iter().find(|table| table.name == "kpi_hourly").expect("a table of hours");
        let place = |name: &str| hours.columns.iter().position(|column| column.name == name).expect("a column");
        let columns = [place("service_name"), place("window_start"), place("valid")];
        Self { chain, sequence: 0, columns, requests: HashMap::new() }
    }

    /// Calls the plugin; tells how many rows it has emitted.
    fn call(&mut self, batch: Option<Batch>, watermark_ns: Option<u64>) -> usize {
        let watermark_ns = watermark_ns.map(|time| time as i64);
        let outcome = self.chain.process(0, self.sequence, batch, watermark_ns);
        self.sequence += 1;
        assert!(outcome.stop.is_none() && outcome.dead.is_empty(), "{:?}", outcome.stop);
        outcome.emitted.iter().for_each(|rows| self.take(rows));
        outcome.emitted.iter().map(|rows| rows.rows).sum()
    }

    fn take(&mut self, rows: &Emitted) {
        if &*rows.table != "kpi_hourly" {
            return;
        }
        let [name, hour, valid] = self.columns.map(|column| &rows.columns[column]);
        let names = arrow_cast::cast(name, &arrow_schema::DataType::Utf8).expect("texts");
        let hours = hour.as_primitive::<TimestampNanosecondType>().values();
        let valid = valid.as_primitive::<Float64Type>().iter();
        for ((name, hour), valid) in names.as_string::<i32>().iter().zip(hours).zip(valid) {
            let place = (name.expect("a name").to_owned(), *hour);
            if rows.retracted {
                self.requests.remove(&place)
            } else {
                self.requests.insert(place, valid.unwrap_or(0.0))
            };
        }
    }
}

#[test]
fn services_beyond_the_bound_are_counted_together_within_all_limits_and_no_request_is_lost() {
    // But for the time: the machine of the tests may be busy.
    let limits = Limits { time_per_call: Duration::from_secs(60), ..Limits::default() };
    let counts = Arc::new(Counts::new(Box::new(|_, _, _| {})));
    let mut running = Running::new(&limits, &counts);
    for round in 0..ROUNDS {
        for first in (0..SERVICES).step_by(8192) {
            running.call(Some(requests(round, first..SERVICES.min(first + 8192))), None);
        }
        running.call(None, Some(START_NS + (round * ROUND_NS).saturating_sub(300 * SECOND_NS)));
    }
    // No call does more than its share of the work, and the first evaluation of a service looks back for hours: so it takes
    // about a thousand until all are evaluated.
    let mut calls = 0;
    while running.call(None, Some(START_NS + (3600 + 600) * SECOND_NS + calls)) > 0 {
        calls += 1;
        assert!(calls < 3000, "evaluated without end");
    }

    let numbers = &counts.snapshot().plugins["kpi"];
    assert!(numbers.faults.is_empty(), "{:?}", numbers.faults);
    assert!(numbers.counters["services_overflowed"] >= SERVICES - SERVICES_MAX, "{:?}", numbers.counters);
    let mut requests: HashMap<&str, f64> = HashMap::new();
    running.requests.iter().for_each(|((name, _), valid)| *requests.entry(name).or_default() += valid);
    assert_eq!(requests.len() as u64, SERVICES_MAX + 1);
    assert_eq!(requests.remove("__overflow__"), Some(((SERVICES - SERVICES_MAX) * ROUNDS) as f64));
    let wrong = requests.iter().find(|(_, valid)| **valid != ROUNDS as f64);
    assert_eq!(wrong, None, "each of the others has its own");

    let (guest, state) = (running.chain.guest_bytes(), running.chain.kept_bytes());
    println!("guest memory {} MiB, state {} MiB", guest >> 20, state >> 20);
    assert!(guest > 0 && guest < limits.memory_bytes, "{guest} bytes of memory");
    assert!(state > 0 && state < limits.state_bytes, "{state} bytes of state");
}
