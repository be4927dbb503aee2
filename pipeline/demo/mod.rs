//! A simulated day of a small shop, so that a newcomer sees the whole way of the data at once.
//!
//! Six services answer requests and one host carries the database. The day has what an operations team meets: outages,
//! a bad deployment, a slow degradation, planned maintenance, a disk that fills. The same seed gives the same bytes.

mod lifecycle;
mod measures;
mod otlp;
mod random;
mod requests;
mod shop;
mod story;

pub use story::{Effect, Episode};

use measures::Minute;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use random::Random;
use requests::Told;
use story::MINUTE;

/// Minutes of a day.
const MINUTES: usize = 24 * 60;
/// Chunks of a day: one a minute, and the [report](Day::report) after it.
pub const CHUNKS: usize = MINUTES + 1;
/// The report comes so long after midnight that nothing of the day is expected any more: the watermark passes its end.
const REPORT_AFTER: u64 = 5 * MINUTE;

/// Requests to the shop in the busiest minute, at a scale of 1: some 200,000 spans a day.
const REQUESTS_PER_MINUTE: f64 = 38.0;
/// A scale beyond which a chunk would be larger than a receiver accepts.
const SCALE_MAX: f64 = 100.0;

/// A simulated day, minute by minute, and a report when it is over. Each minute is made when it is asked for.
#[derive(Clone, Debug)]
pub struct Day {
    seed: u64,
    start_ns: u64,
    scale: f64,
    minute: usize,
    /// Orders placed since the day began.
    orders: i64,
}

/// What the shop's services export at the end of a minute; after the last minute, the report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunk {
    /// The end of the minute, or the time of the report, in nanoseconds since 1970.
    pub at_ns: u64,
    /// The spans that began in it.
    pub traces: ExportTraceServiceRequest,
    /// The log records, the events among them.
    pub logs: ExportLogsServiceRequest,
    /// The data points.
    pub metrics: ExportMetricsServiceRequest,
}

impl Day {
    /// The day that starts at `start_ns` (nanoseconds since 1970, a midnight in UTC). `scale` multiplies the traffic: 1 is
    /// some 200,000 spans; it is kept between 0 and 100.
    pub fn new(seed: u64, start_ns: u64, scale: f64) -> Self {
        Self {
            seed,
            start_ns,
            scale: if scale.is_nan() { 1.0 } else { scale.clamp(0.0, SCALE_MAX) },
            minute: 0,
            orders: 0,
        }
    }

    /// The log record of a nightly job, minutes after the end of the day: how many orders there were.
    fn report(&mut self) -> Chunk {
        self.minute += 1;
        let after_ns = MINUTES as u64 * MINUTE + REPORT_AFTER;
        let at_ns = self.start_ns + after_ns;
        let record = LogRecord {
            time_unix_nano: at_ns,
            observed_time_unix_nano: at_ns,
            severity_number: SeverityNumber::Info as i32,
            severity_text: "INFO".to_owned(),
            body: otlp::any(Value::StringValue(format!("orders of the day: {}", self.orders))),
            ..LogRecord::default()
        };
        let scope_logs =
            ScopeLogs { scope: otlp::scope("shop.reports"), log_records: vec![record], schema_url: String::new() };
        let resource = otlp::resource(shop::CHECKOUT.resource(0, after_ns));
        let logs = ResourceLogs { resource, scope_logs: vec![scope_logs], schema_url: otlp::SCHEMA_URL.to_owned() };
        Chunk { at_ns, logs: ExportLogsServiceRequest { resource_logs: vec![logs] }, ..Chunk::default() }
    }

    /// What happens on the day: the truth that the tables are to tell.
    pub fn story() -> &'static [Episode] {
        &story::EPISODES
    }
}

impl Iterator for Day {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        match self.minute {
            CHUNKS => return None,
            MINUTES => return Some(self.report()),
            _ => {}
        }
        let from_ns = self.minute as u64 * MINUTE;
        let mut random = Random::new(self.seed, self.minute as u64);
        let expected = REQUESTS_PER_MINUTE * self.scale * story::traffic(from_ns);
        let requests = (expected * (0.9 + 0.2 * random.unit()) + random.unit()) as u64;
        let mut told = Told::default();
        for _ in 0..requests {
            let at_ns = from_ns + random.below(MINUTE);
            requests::add(&mut told, &mut random, self.start_ns, at_ns);
        }
        for (service, record) in lifecycle::between(self.start_ns, from_ns, from_ns + MINUTE) {
            told.logs.entry((service, 0)).or_default().push(record);
        }
        self.orders += told.orders;
        self.minute += 1;
        let minute = Minute { day_ns: self.start_ns, from_ns };
        Some(chunk(minute, told, self.orders, &mut random))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (CHUNKS - self.minute, Some(CHUNKS - self.minute))
    }
}

impl ExactSizeIterator for Day {}

fn chunk(minute: Minute, told: Told, orders: i64, random: &mut Random) -> Chunk {
    let schema_url = || otlp::SCHEMA_URL.to_owned();
    let resource =
        |(service, instance): (shop::Service, usize)| otlp::resource(service.resource(instance, minute.from_ns));
    let metrics = measures::of(minute, &told, orders, random).into_iter().map(|(of, metrics)| {
        let scope_metrics = ScopeMetrics { scope: otlp::scope("shop.metrics"), metrics, ..ScopeMetrics::default() };
        ResourceMetrics { resource: resource(of), scope_metrics: vec![scope_metrics], schema_url: schema_url() }
    });
    let metrics = ExportMetricsServiceRequest { resource_metrics: metrics.collect() };
    let spans = told.spans.into_iter().map(|(of, spans)| {
        let scope_spans = ScopeSpans { scope: otlp::scope("shop.http"), spans, ..ScopeSpans::default() };
        ResourceSpans { resource: resource(of), scope_spans: vec![scope_spans], schema_url: schema_url() }
    });
    let logs = told.logs.into_iter().map(|(of, log_records)| {
        let scope_logs = ScopeLogs { scope: otlp::scope("shop.logs"), log_records, ..ScopeLogs::default() };
        ResourceLogs { resource: resource(of), scope_logs: vec![scope_logs], schema_url: schema_url() }
    });
    Chunk {
        at_ns: minute.day_ns + minute.from_ns + MINUTE,
        traces: ExportTraceServiceRequest { resource_spans: spans.collect() },
        logs: ExportLogsServiceRequest { resource_logs: logs.collect() },
        metrics,
    }
}

#[cfg(test)]
mod tests;
