//! What the tests of the whole way share: a pipeline with its receivers, the real program, a small HTTP client, and a
//! reader of the tables that shares nothing with what wrote them but the Parquet library.

#![allow(dead_code, missing_docs, unreachable_pub)] // every test uses its own part of it

pub mod grpc;
pub mod http;
pub mod oracle;
pub mod program;
pub mod reference;
pub mod rows;
pub mod samples;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use weir::config::{Config, Destination};
use weir::run::{Pipeline, Summary};

/// Of a pipeline on a disk in memory: no plugins, one worker, and epochs that no clock ends within a test.
pub fn by_hand() -> Config {
    const LATE: Duration = Duration::from_secs(3600);
    let mut config = Config::default();
    config.plugins.clear();
    config.write.to = Destination::Local("/data".into());
    (config.write.epoch, config.write.first_epoch) = (LATE, LATE);
    config.batch.workers = 1;
    config.batch.delay_max = Duration::from_millis(5);
    config.watch.metrics = false;
    config
}

/// 2026-03-03T10:20:30Z.
pub const NOON_NS: u64 = 1_772_533_230_000_000_000;

/// A pipeline with both receivers on free ports, and its tables in a folder that goes when this does.
pub struct Service {
    pub pipeline: Pipeline,
    pub runtime: Runtime,
    pub folder: TempDir,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Service {
    /// Starts one with the defaults, but for what `configure` changes.
    pub fn start(configure: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), configure);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let pipeline = Pipeline::builder().config(config).start().unwrap();
        let receivers = runtime.block_on(pipeline.bind()).unwrap();
        let at = receivers.local_addrs();
        let (stop, stopped) = oneshot::channel();
        let serving = runtime.spawn(receivers.serve(pipeline.intake(), async {
            let _ = stopped.await;
        }));
        Self { pipeline, folder, grpc: at.grpc.unwrap(), http: at.http.unwrap(), stop, serving, runtime }
    }

    /// Ends it the way in which the program does: no new requests, then everything is written.
    pub fn stop(self) -> (Summary, TempDir) {
        self.stop.send(()).unwrap();
        self.runtime.block_on(self.serving).unwrap();
        (self.pipeline.shutdown(), self.folder)
    }
}

/// The configuration of a test: free ports, tables in `folder`, and what `configure` changes.
pub fn config(folder: &Path, configure: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    (config.receive.grpc, config.receive.http) = (free, free);
    config.write.to = Destination::Local(folder.to_owned());
    configure(&mut config);
    config
}

/// An attribute of text.
pub fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn resource() -> Option<Resource> {
    Some(Resource { attributes: vec![text("service.name", "checkout")], ..Resource::default() })
}

/// A request of these log records, of a service `checkout`.
pub fn logs(log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope = Some(InstrumentationScope { name: "tests".into(), ..InstrumentationScope::default() });
    let scope_logs = vec![ScopeLogs { scope, log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: resource(), scope_logs, ..ResourceLogs::default() }],
    }
}

/// A request of these spans, of a service `checkout`.
pub fn traces(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: resource(), scope_spans, ..ResourceSpans::default() }],
    }
}

/// A log record that says `body`.
pub fn log(body: &str) -> LogRecord {
    LogRecord {
        time_unix_nano: NOON_NS,
        severity_number: 9,
        severity_text: "INFO".into(),
        body: Some(AnyValue { value: Some(Value::StringValue(body.to_owned())) }),
        ..LogRecord::default()
    }
}

/// A span called `name` in a trace of its own that `number` gives; each tenth one is an error.
pub fn span(number: u64, name: &str) -> Span {
    // The bits that sampling looks at have to be spread: a counter multiplied by an odd constant is.
    let random = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let trace_id = [random.rotate_left(17).to_be_bytes(), random.to_be_bytes()].concat();
    let status = (number.is_multiple_of(10))
        .then(|| opentelemetry_proto::tonic::trace::v1::Status { code: 2, message: "it broke".into() });
    Span {
        trace_id,
        span_id: (number + 1).to_be_bytes().to_vec(),
        name: name.to_owned(),
        kind: 2,
        start_time_unix_nano: NOON_NS + number,
        end_time_unix_nano: NOON_NS + number + 1_000_000,
        status,
        ..Span::default()
    }
}
