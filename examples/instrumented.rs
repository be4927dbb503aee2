//! A small service that sends its traces, metrics and logs to a running Weir, with the SDK of OpenTelemetry and nothing
//! of Weir's own:
//!
//!     weir run                                                    in one terminal
//!     OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 \
//!       cargo run --example instrumented -- 100                   in another: serves 100 requests, and ends

use opentelemetry::logs::{LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::error::Error;
use std::time::{Duration, Instant};

/// Everything that the service tells about itself goes through these.
struct Telemetry {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    logs: SdkLoggerProvider,
}

impl Telemetry {
    /// Exports by gRPC to where `OTEL_EXPORTER_OTLP_ENDPOINT` says, or else to port 4317 of this machine.
    fn start(service: &'static str) -> Result<Self, Box<dyn Error>> {
        let resource = Resource::builder().with_service_name(service).build();
        let traces = SpanExporter::builder().with_tonic().build()?;
        let metrics = MetricExporter::builder().with_tonic().build()?;
        let logs = LogExporter::builder().with_tonic().build()?;
        Ok(Self {
            traces: SdkTracerProvider::builder().with_batch_exporter(traces).with_resource(resource.clone()).build(),
            metrics: SdkMeterProvider::builder()
                .with_periodic_exporter(metrics)
                .with_resource(resource.clone())
                .build(),
            logs: SdkLoggerProvider::builder().with_batch_exporter(logs).with_resource(resource).build(),
        })
    }

    /// Sends what is left.
    fn shutdown(self) -> Result<(), Box<dyn Error>> {
        self.traces.shutdown()?;
        self.metrics.shutdown()?;
        self.logs.shutdown()?;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let requests: u64 = std::env::args().nth(1).map_or(Ok(100), |count| count.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let entered = runtime.enter();
    let telemetry = Telemetry::start("bakery")?;
    for number in 0..requests {
        serve(&telemetry, number);
    }
    telemetry.shutdown()?;
    drop(entered);
    println!("served {requests} requests");
    Ok(())
}

/// One request: a span with a child, a measurement, and a line in the log when it goes wrong.
fn serve(telemetry: &Telemetry, number: u64) {
    let route = KeyValue::new("http.route", "/bread/{kind}");
    let tracer = telemetry.traces.tracer("bakery");
    let started = Instant::now();
    let span = tracer
        .span_builder("GET /bread/{kind}")
        .with_kind(SpanKind::Server)
        .with_attributes([KeyValue::new("http.request.method", "GET"), route.clone()])
        .start(&tracer);
    let context = Context::current_with_span(span);
    let mut oven = tracer.start_with_context("bake", &context);
    std::thread::sleep(Duration::from_micros(200));
    oven.end();

    let burnt = number % 10 == 9;
    let status = if burnt { 500 } else { 200 };
    context.span().set_attribute(KeyValue::new("http.response.status_code", status));
    if burnt {
        context.span().set_status(Status::error("burnt"));
        let logger = telemetry.logs.logger("bakery");
        let mut record = logger.create_log_record();
        record.set_severity_number(Severity::Error);
        record.set_severity_text("ERROR");
        record.set_body(format!("loaf {number} is burnt").into());
        // Within the span, so that the record carries its ids.
        let _active = context.clone().attach();
        logger.emit(record);
    }
    context.span().end();
    let duration =
        telemetry.metrics.meter("bakery").f64_histogram("http.server.request.duration").with_unit("s").build();
    let status = KeyValue::new("http.response.status_code", status);
    duration.record(started.elapsed().as_secs_f64(), &[route, status]);
}
