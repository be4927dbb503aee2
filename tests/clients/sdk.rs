//! The SDK, set up as a service sets it up, with an ear at its exporters.

use crate::Service;
use crate::service::rows::{Cell, Json};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLogRecord};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;

/// How it gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Grpc,
    HttpProtobuf,
    HttpJson,
}

/// Builds an exporter of one signal for a service.
macro_rules! exporter {
    ($exporter:ty, $transport:expr, $service:expr, $path:literal) => {{
        let _runtime = $service.runtime.enter();
        match $transport {
            Transport::Grpc => {
                <$exporter>::builder().with_tonic().with_endpoint(format!("http://{}", $service.grpc)).build().unwrap()
            }
            transport => {
                let json = transport == Transport::HttpJson;
                <$exporter>::builder()
                    .with_http()
                    .with_protocol(if json { Protocol::HttpJson } else { Protocol::HttpBinary })
                    .with_endpoint(format!("http://{}/v1/{}", $service.http, $path))
                    .build()
                    .unwrap()
            }
        }
    }};
}

pub(crate) fn span_exporter(transport: Transport, service: &Service) -> opentelemetry_otlp::SpanExporter {
    exporter!(opentelemetry_otlp::SpanExporter, transport, service, "traces")
}

pub(crate) fn log_exporter(transport: Transport, service: &Service) -> opentelemetry_otlp::LogExporter {
    exporter!(opentelemetry_otlp::LogExporter, transport, service, "logs")
}

pub(crate) fn metric_exporter(transport: Transport, service: &Service) -> opentelemetry_otlp::MetricExporter {
    exporter!(opentelemetry_otlp::MetricExporter, transport, service, "metrics")
}

/// The resource of the service that exports.
pub(crate) fn resource() -> Resource {
    Resource::builder_empty()
        .with_schema_url(
            [
                KeyValue::new("service.name", "checkout"),
                KeyValue::new("service.version", "1.2.3"),
                KeyValue::new("service.namespace", "shop"),
                KeyValue::new("service.instance.id", "pod-7"),
                KeyValue::new("deployment.environment.name", "production"),
                KeyValue::new("host.cpus", 4),
            ],
            "https://opentelemetry.io/schemas/1.40.0",
        )
        .build()
}

/// An exporter that remembers what it was handed, and runs where its HTTP client needs to: in a runtime of tokio, which
/// the threads of the SDK are not in.
#[derive(Debug)]
pub(crate) struct Heard<E, T> {
    pub(crate) inner: E,
    pub(crate) runtime: Handle,
    pub(crate) heard: Arc<Mutex<Vec<T>>>,
}

impl<E, T> Heard<E, T> {
    pub(crate) fn new(inner: E, service: &Service) -> (Self, Arc<Mutex<Vec<T>>>) {
        let heard = Arc::default();
        (Self { inner, runtime: service.runtime.handle().clone(), heard: Arc::clone(&heard) }, heard)
    }
}

async fn within<F: Future<Output = OTelSdkResult>>(runtime: &Handle, future: F) -> OTelSdkResult {
    let mut future = pin!(future);
    let result = poll_fn(|context| {
        let _entered = runtime.enter();
        future.as_mut().poll(context)
    })
    .await;
    // The SDK only logs what goes wrong; here it is the end of the test.
    result.as_ref().expect("the export succeeds");
    result
}

impl SpanExporter for Heard<opentelemetry_otlp::SpanExporter, SpanData> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.heard.lock().unwrap().extend(batch.iter().cloned());
        within(&self.runtime, self.inner.export(batch)).await
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// A log record and its scope.
pub(crate) type Logged = (SdkLogRecord, opentelemetry::InstrumentationScope);

impl LogExporter for Heard<opentelemetry_otlp::LogExporter, Logged> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.heard.lock().unwrap().extend(batch.iter().map(|(record, scope)| (record.clone(), scope.clone())));
        within(&self.runtime, self.inner.export(batch)).await
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// What is remembered of metrics: when they were exported, as the SDK says.
impl PushMetricExporter for Heard<opentelemetry_otlp::MetricExporter, String> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.heard.lock().unwrap().push(format!("{metrics:?}"));
        within(&self.runtime, self.inner.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}

// ---- the SDK's values as cells

pub(crate) fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

pub(crate) fn time(at: SystemTime) -> Cell {
    Cell::Time(at.duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64)
}

pub(crate) fn attributes<'a>(of: impl IntoIterator<Item = &'a KeyValue>) -> Cell {
    Cell::Json(Json::Object(of.into_iter().map(|pair| (pair.key.to_string(), json(&pair.value))).collect()))
}

pub(crate) fn json(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::Bool(*value),
        Value::I64(value) => Json::Int((*value).into()),
        Value::F64(value) => Json::Double(value.to_bits()),
        Value::String(value) => Json::Text(value.to_string()),
        Value::Array(Array::Bool(values)) => Json::Array(values.iter().map(|value| Json::Bool(*value)).collect()),
        Value::Array(Array::I64(values)) => {
            Json::Array(values.iter().map(|value| Json::Int((*value).into())).collect())
        }
        Value::Array(Array::F64(values)) => {
            Json::Array(values.iter().map(|value| Json::Double(value.to_bits())).collect())
        }
        Value::Array(Array::String(values)) => {
            Json::Array(values.iter().map(|value| Json::Text(value.to_string())).collect())
        }
        other => panic!("a value of a new type: {other:?}"),
    }
}

/// Attributes as a set: the SDK keeps those of a resource in a map, whose order is not one.
pub(crate) fn sorted(cell: &Cell) -> Vec<(String, Json)> {
    let Cell::Json(Json::Object(entries)) = cell else { panic!("no attributes: {cell:?}") };
    let mut entries = entries.clone();
    entries.sort();
    entries
}

/// What every row says of the resource and the scope.
pub(crate) fn assert_common(row: &crate::service::rows::Row) {
    let expected = [
        ("service_name", "checkout"),
        ("service_version", "1.2.3"),
        ("service_namespace", "shop"),
        ("service_instance_id", "pod-7"),
        ("environment", "production"),
        ("resource_schema_url", "https://opentelemetry.io/schemas/1.40.0"),
        ("scope_name", "shop.checkout"),
        ("scope_version", "0.9"),
        ("schema_url", "https://opentelemetry.io/schemas/1.39.0"),
    ];
    for (column, value) in expected {
        assert_eq!(row[column], text(value), "{column}");
    }
    let of_resource = attributes(
        resource().iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect::<Vec<_>>().iter(),
    );
    assert_eq!(sorted(&row["resource_attributes"]), sorted(&of_resource));
    assert_eq!(row["scope_attributes"], attributes(&[KeyValue::new("team", "payments")]));
}

/// The scope whose rows these are.
pub(crate) fn scope() -> opentelemetry::InstrumentationScope {
    opentelemetry::InstrumentationScope::builder("shop.checkout")
        .with_version("0.9")
        .with_schema_url("https://opentelemetry.io/schemas/1.39.0")
        .with_attributes([KeyValue::new("team", "payments")])
        .build()
}
