//! The whole way: OTLP protobuf → batch → the chain of the default configuration → zstd Parquet, published.
//!
//!     cargo bench --bench whole [-- ROWS [SIGNAL…] [sample] [resources=N] [keep=FOLDER]]
//!
//! For each signal the CPU time of the process per row, which is what the pipeline costs, and the time on the clock
//! beside it, with the log (`fsync`, the default) and without (`memory`). The requests are made before the clock starts.
//! `sample` adds a chain that does something: half of the spans are dropped. `resources` says by how many resources the rows
//! of a request are divided. `keep` leaves the files of the last run of each signal there, for `benches/bytes.py`.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};
use weir::config::{Config, Destination, Durability, Plugin};
use weir::run::Pipeline;
use weir::{Kind, Signal};

const ROWS_PER_REQUEST: u64 = 1_000;
const RUNS: usize = 5;
const START_NS: u64 = 1_772_533_230_000_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let rows: u64 = arguments.first().map_or(200_000, |rows| rows.parse().expect("a number of rows"));
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    let option = |name: &str| arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
    let resources = option("resources").map_or(1, |number| number.parse().expect("a number of resources"));
    let keep = option("keep").map(Path::new);
    let signals = Signal::ALL.into_iter().filter(|signal| given(signal.name()));
    let mut signals: Vec<Signal> = signals.collect();
    if signals.is_empty() {
        signals.extend(Signal::ALL);
    }
    println!("{rows} rows, {ROWS_PER_REQUEST} a request, median of {RUNS} runs, default chain, zstd");
    println!(
        "{:<8} {:>10} {:>12} {:>12} {:>14} {:>14}",
        "signal", "wire B/row", "CPU ns/row", "wall ns/row", "rows/s", "file B/row"
    );
    let load = |signal| Load { signal, rows, resources, keep };
    for signal in signals {
        load(signal).measure(" fsync", |_| {});
        load(signal).measure(" memory", |config| config.log.durability = Durability::Memory);
    }
    if given("sample") {
        load(Signal::Spans).measure(" sampled", |config| {
            let mut sample = Plugin::shipped("sample");
            sample.config.insert("keep".into(), 0.5.into());
            config.plugins = vec![Plugin::shipped("enrich"), sample];
        });
    }
}

/// What is sent in a run.
struct Load<'a> {
    signal: Signal,
    rows: u64,
    /// Of a request.
    resources: u64,
    /// Where files stay.
    keep: Option<&'a Path>,
}

struct Run {
    cpu: Duration,
    wall: Duration,
    bytes: u64,
}

impl Load<'_> {
    fn measure(&self, label: &str, configure: impl Fn(&mut Config)) {
        let Self { signal, resources, .. } = *self;
        let numbers = 0..self.rows.div_ceil(ROWS_PER_REQUEST);
        let requests: Vec<Vec<u8>> = numbers.map(|number| request(signal, number, resources)).collect();
        let rows = requests.len() as u64 * ROWS_PER_REQUEST;
        let wire: usize = requests.iter().map(Vec::len).sum();
        // One run more than counts: the first compiles the plugins.
        let mut runs: Vec<Run> = (0..=RUNS).map(|_| self.run(&requests, &configure)).skip(1).collect();
        runs.sort_by_key(|run| run.cpu);
        let median = &runs[RUNS / 2];
        let per_row = |time: Duration| time.as_nanos() as f64 / rows as f64;
        println!(
            "{:<8} {:>10.0} {:>12.0} {:>12.0} {:>14.0} {:>14.2}{label}",
            signal.name(),
            wire as f64 / rows as f64,
            per_row(median.cpu),
            per_row(median.wall),
            rows as f64 / median.wall.as_secs_f64(),
            median.bytes as f64 / rows as f64,
        );
    }

    fn run(&self, requests: &[Vec<u8>], configure: &impl Fn(&mut Config)) -> Run {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::default();
        config.write.to = Destination::Local(folder.path().to_owned());
        configure(&mut config);
        let pipeline = Pipeline::builder().config(config).start().expect("a pipeline");
        let (cpu, wall) = (cpu_time(), Instant::now());
        for request in requests {
            // As a client does when it is told to come back, only sooner.
            while let Err(error) = pipeline.ingest(self.signal, request) {
                assert_eq!(error.kind(), Kind::Overload, "{error}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let summary = pipeline.shutdown();
        let bytes = summary.written.iter().map(|table| table.bytes).sum();
        let run = Run { cpu: cpu_time() - cpu, wall: wall.elapsed(), bytes };
        if let Some(keep) = self.keep {
            std::fs::create_dir_all(keep).expect("a folder for what is kept");
            let table = keep.join(self.signal.name());
            let _ = std::fs::remove_dir_all(&table);
            std::fs::rename(folder.path().join(self.signal.name()), table).expect("a folder of the same file system");
        }
        run
    }
}

/// User and system time of this process, all threads, ended ones included.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // The second field, the name, is in parentheses and may hold spaces; user time is the 14th, system time the 15th.
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum();
    // Linux counts in hundredths of a second for programs, whatever it does itself.
    Duration::from_millis(ticks * 10)
}

// ---- what is sent: nearly alike and never the same, as telemetry is

/// A request whose rows are divided by so many resources.
fn request(signal: Signal, number: u64, resources: u64) -> Vec<u8> {
    let parts = (0..resources).map(|part| {
        let first = number * ROWS_PER_REQUEST;
        let rows = first + part * ROWS_PER_REQUEST / resources..first + (part + 1) * ROWS_PER_REQUEST / resources;
        (Some(resource(number * resources + part)), rows)
    });
    let scope =
        || Some(InstrumentationScope { name: "bench".into(), version: "1".into(), ..InstrumentationScope::default() });
    match signal {
        Signal::Spans => {
            let of_resource = |(resource, rows): (_, Range<u64>)| {
                let spans = rows.map(span).collect();
                let scope_spans = vec![ScopeSpans { scope: scope(), spans, ..ScopeSpans::default() }];
                ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }
            };
            ExportTraceServiceRequest { resource_spans: parts.map(of_resource).collect() }.encode_to_vec()
        }
        Signal::Logs => {
            let of_resource = |(resource, rows): (_, Range<u64>)| {
                let log_records = rows.map(log).collect();
                let scope_logs = vec![ScopeLogs { scope: scope(), log_records, ..ScopeLogs::default() }];
                ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }
            };
            ExportLogsServiceRequest { resource_logs: parts.map(of_resource).collect() }.encode_to_vec()
        }
        Signal::Metrics => {
            let of_resource = |(resource, rows): (_, Range<u64>)| {
                let metrics = vec![metric(rows.map(point).collect())];
                let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics, ..ScopeMetrics::default() }];
                ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }
            };
            ExportMetricsServiceRequest { resource_metrics: parts.map(of_resource).collect() }.encode_to_vec()
        }
    }
}

fn resource(number: u64) -> Resource {
    Resource {
        attributes: vec![
            text("service.name", &format!("service-{}", number % 20)),
            text("service.version", "1.4.2"),
            text("deployment.environment.name", "production"),
            text("host.name", &format!("node-{}", number % 7)),
        ],
        ..Resource::default()
    }
}

fn metric(data_points: Vec<NumberDataPoint>) -> Metric {
    Metric {
        name: "http.server.active_requests".into(),
        unit: "{request}".into(),
        data: Some(metric::Data::Gauge(Gauge { data_points })),
        ..Metric::default()
    }
}

/// Bits that look random, the same for the same number.
fn scatter(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn span(row: u64) -> Span {
    let random = scatter(row + 1);
    let start = START_NS + row * 1_000_000 + random % 1_000_000;
    Span {
        trace_id: [scatter(row / 5 + 7).to_be_bytes(), scatter(row / 5 + 13).to_be_bytes()].concat(),
        span_id: random.to_be_bytes().to_vec(),
        parent_span_id: scatter(row).to_be_bytes().to_vec(),
        name: ["GET /orders/{id}", "POST /orders", "GET /items", "SELECT orders"][(random % 4) as usize].into(),
        kind: (random % 5 + 1) as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: start + random % 50_000_000,
        attributes: vec![
            text("http.request.method", ["GET", "POST"][(random % 2) as usize]),
            int("http.response.status_code", [200, 200, 200, 404, 503][(random % 5) as usize]),
            text("http.route", ["/orders/{id}", "/orders", "/items"][(random % 3) as usize]),
            text("url.path", &format!("/orders/{}", random % 100_000)),
            text("server.address", "shop.example.com"),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"),
            text("client.address", &format!("10.{}.{}.{}", random % 4, (random >> 8) % 256, (random >> 16) % 256)),
            int("http.response.body.size", (random % 20_000) as i64),
        ],
        ..Span::default()
    }
}

fn log(row: u64) -> LogRecord {
    let random = scatter(row + 1);
    let severity = [9, 9, 9, 13, 17][(random % 5) as usize];
    LogRecord {
        time_unix_nano: START_NS + row * 500_000,
        observed_time_unix_nano: START_NS + row * 500_000 + 1_000,
        severity_number: severity,
        severity_text: ["INFO", "WARN", "ERROR"][(severity as usize - 9) / 4].into(),
        body: Some(AnyValue {
            value: Some(Value::StringValue(format!("order {} for customer {}", random % 100_000, row % 997))),
        }),
        attributes: vec![
            text("http.route", "/orders/{id}"),
            int("order", (random % 100_000) as i64),
            text("thread", "main"),
        ],
        trace_id: [random.to_be_bytes(), scatter(row + 7).to_be_bytes()].concat(),
        span_id: random.to_be_bytes().to_vec(),
        ..LogRecord::default()
    }
}

fn point(row: u64) -> NumberDataPoint {
    let random = scatter(row + 1);
    NumberDataPoint {
        time_unix_nano: START_NS + (row / 100) * 10_000_000_000,
        start_time_unix_nano: START_NS,
        attributes: vec![
            text("http.request.method", ["GET", "POST"][(row % 2) as usize]),
            text("http.route", &format!("/items/{}", row % 50)),
            text("server.address", "shop.example.com"),
        ],
        value: Some(number_data_point::Value::AsInt((random % 100) as i64)),
        ..NumberDataPoint::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn int(key: &str, value: i64) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::IntValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
