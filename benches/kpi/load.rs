//! The rows: what many services send, the same in every run, later with every batch.

use super::requests::{Numbers, ROWS};
use arrow_array::{ArrayRef, FixedSizeBinaryArray, Int64Array, UInt64Array};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use std::sync::Arc;
use weir::batch::Batch;
use weir::decode::{Builder, decode};
use weir::{Error, Result, Signal};

pub(crate) const SECOND_NS: i64 = 1_000_000_000;
/// The start of an hour.
pub(crate) const START_NS: i64 = 1_772_532_000 * SECOND_NS;
/// Spans a second, of all services together.
const SPANS_A_SECOND: i64 = 10_000;
/// Batches that are made; each is sent again and again, with other ids and later times.
const TEMPLATES: usize = 15;
/// How often a series has a point.
const INTERVAL_NS: i64 = 10 * SECOND_NS;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Requests as spans.
    Spans,
    /// Requests as histograms.
    Histograms,
    /// What hosts have of memory.
    Resources,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Histograms => "histograms",
            Self::Resources => "resources",
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Spans => "SERVER spans of 8 attributes, 10,000 a second, 1 in 1,000 an error; 300 s of event time",
            Self::Histograms => {
                "points of http.server.request.duration, 122,880 series, each every 10 s; 300 s of event time"
            }
            Self::Resources => "points of system.memory.usage, a host a service, 4 series each; 60 batches",
        }
    }
}

pub(crate) struct Load {
    pub(crate) kind: Kind,
    pub(crate) services: usize,
    templates: Vec<Batch>,
}

impl Load {
    pub(crate) fn new(kind: Kind, services: usize) -> Result<Self> {
        let template = |number: usize| {
            let (signal, bytes) = match kind {
                Kind::Spans => (Signal::Spans, spans(number, services)),
                Kind::Histograms => (Signal::Metrics, histograms(number, services)),
                Kind::Resources => (Signal::Metrics, resources(number, services)),
            };
            let mut builder = Builder::new(signal);
            decode(&bytes, &mut builder)?;
            Ok(builder.finish())
        };
        let templates = (0..TEMPLATES).map(template).collect::<Result<Vec<_>>>()?;
        Ok(Self { kind, services, templates })
    }

    /// How many batches there are before the clock starts, and in all.
    pub(crate) fn batches(&self) -> (usize, usize) {
        // Five minutes until anything is evaluated, and then one round of evaluations.
        if self.kind == Kind::Resources { (20, 80) } else { (800, 1166) }
    }

    /// How many points of series come in one interval.
    fn points_per_interval(&self) -> usize {
        match self.kind {
            Kind::Resources => self.services * 4,
            Kind::Spans | Kind::Histograms => TEMPLATES * ROWS,
        }
    }

    /// Which interval the point of a series is of; the templates in a row are whole intervals.
    fn interval_of(&self, row: usize) -> usize {
        let (all, per_interval) = (TEMPLATES * ROWS, self.points_per_interval());
        row / all * all.div_ceil(per_interval) + row % all / per_interval
    }

    /// When a row of the whole sequence happens.
    fn time_of_row(&self, row: usize) -> i64 {
        match self.kind {
            Kind::Spans => START_NS + row as i64 * (SECOND_NS / SPANS_A_SECOND),
            Kind::Histograms | Kind::Resources => {
                START_NS + self.interval_of(row) as i64 * INTERVAL_NS + (row % 4) as i64 * 1_000_000
            }
        }
    }

    /// The time of the newest row of a batch.
    pub(crate) fn time_of(&self, number: usize) -> i64 {
        self.time_of_row((number + 1) * ROWS - 1)
    }

    /// A batch of that number.
    pub(crate) fn batch(&self, number: usize) -> Result<Batch> {
        let mut batch = self.templates[number % TEMPLATES].clone();
        let mut numbers = Numbers(number as u64);
        let rows = number * ROWS..(number + 1) * ROWS;
        // A request that ends now began up to a second ago.
        let early = |numbers: &mut Numbers| (numbers.next() % 1_000_000_000) as i64;
        let times = rows
            .clone()
            .map(|row| self.time_of_row(row) - if self.kind == Kind::Spans { early(&mut numbers) } else { 0 });
        let times: Int64Array = times.collect();
        batch.write("time", &(Arc::new(times) as ArrayRef))?;
        match self.kind {
            Kind::Spans => {
                let ids: Vec<[u8; 8]> = rows.map(|_| numbers.next().to_le_bytes()).collect();
                let ids = FixedSizeBinaryArray::try_from_iter(ids.iter());
                let ids = ids.map_err(|error| Error::bug(error.to_string()))?;
                batch.write("span_id", &(Arc::new(ids) as ArrayRef))?;
            }
            Kind::Histograms => {
                // Cumulative: three requests more in every interval.
                let counts: UInt64Array = rows.map(|row| self.interval_of(row) as u64 * 3).collect();
                batch.write("count", &(Arc::new(counts) as ArrayRef))?;
            }
            Kind::Resources => {}
        }
        Ok(batch)
    }
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

/// The resource of a service: one name in three environments.
fn resource(service: usize) -> Option<Resource> {
    let attributes = vec![
        text("service.name", format!("service-{:05}", service / 3)),
        text("service.namespace", ["shop", "bank"][service / 3 % 2]),
        text("service.instance.id", format!("service-{service:05}-7d9f8")),
        text("deployment.environment.name", ["production", "staging", "test"][service % 3]),
        text("host.name", format!("host-{service:05}")),
    ];
    Some(Resource { attributes, ..Resource::default() })
}

/// Spans as they are gathered from the requests of services: those of one stand together.
fn spans(number: usize, services: usize) -> Vec<u8> {
    let mut numbers = Numbers(number as u64 * 7 + 1);
    let mut of: Vec<usize> = (0..ROWS).map(|_| numbers.next() as usize % services).collect();
    of.sort_unstable();
    let groups = of.chunk_by(|one, other| one == other);
    let resource_spans = groups.map(|rows| request_of(rows[0], rows.iter().map(|_| span(&mut numbers)).collect()));
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec()
}

/// Spans of a service.
pub(crate) fn request_of(service: usize, spans: Vec<Span>) -> ResourceSpans {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ResourceSpans { resource: resource(service), scope_spans, ..ResourceSpans::default() }
}

/// A span of a server; its time is another's to say.
pub(crate) fn span(numbers: &mut Numbers) -> Span {
    let random = numbers.next();
    let bad = random.is_multiple_of(1000);
    let route = ["/cart", "/cart/{id}", "/checkout", "/products/{id}", "/health"][random as usize % 5];
    Span {
        trace_id: [numbers.next().to_le_bytes(), numbers.next().to_le_bytes()].concat(),
        span_id: numbers.next().to_le_bytes().to_vec(),
        parent_span_id: numbers.next().to_le_bytes().to_vec(),
        name: format!("GET {route}"),
        kind: 2,
        start_time_unix_nano: START_NS as u64,
        end_time_unix_nano: START_NS as u64 + random % 1_000_000_000,
        attributes: vec![
            text("http.request.method", ["GET", "POST", "PUT"][random as usize % 3]),
            text("http.route", route),
            text("url.path", format!("/products/{}", random % 10_000)),
            pair("http.response.status_code", Value::IntValue(if bad { 503 } else { 200 })),
            text("server.address", "shop.example.com"),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101"),
            text("client.address", format!("10.1.{}.{}", random % 256, random / 256 % 256)),
            pair("http.request.body.size", Value::IntValue((random % 100_000) as i64)),
        ],
        status: Some(Status { code: if bad { 2 } else { 0 }, ..Status::default() }),
        ..Span::default()
    }
}

/// So many series of that template, in the order of services: the service of each, and its number.
fn series(number: usize, services: usize, per_interval: usize) -> Vec<(usize, usize)> {
    let row = |row: usize| (number * ROWS + row) % per_interval;
    (0..ROWS).map(|at| (row(at) * services / per_interval, row(at))).collect()
}

fn metric_requests(series: &[(usize, usize)], metric: impl Fn(&[(usize, usize)]) -> Metric) -> Vec<u8> {
    let groups = series.chunk_by(|one, other| one.0 == other.0);
    let resource_metrics = groups.map(|rows| {
        let scope_metrics = vec![ScopeMetrics { metrics: vec![metric(rows)], ..ScopeMetrics::default() }];
        ResourceMetrics { resource: resource(rows[0].0), scope_metrics, ..ResourceMetrics::default() }
    });
    ExportMetricsServiceRequest { resource_metrics: resource_metrics.collect() }.encode_to_vec()
}

fn histograms(number: usize, services: usize) -> Vec<u8> {
    let point = |series: usize| HistogramDataPoint {
        attributes: vec![
            text("http.request.method", "GET"),
            text("http.route", format!("/route/{series}")),
            pair("http.response.status_code", Value::IntValue(if series.is_multiple_of(50) { 503 } else { 200 })),
        ],
        start_time_unix_nano: START_NS as u64 - 60_000_000_000,
        time_unix_nano: START_NS as u64,
        count: 1,
        sum: Some(0.1),
        bucket_counts: vec![0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        explicit_bounds: vec![0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0],
        ..HistogramDataPoint::default()
    };
    metric_requests(&series(number, services, TEMPLATES * ROWS), |rows| Metric {
        name: "http.server.request.duration".to_owned(),
        unit: "s".to_owned(),
        data: Some(Data::Histogram(Histogram {
            data_points: rows.iter().map(|(_, series)| point(*series)).collect(),
            aggregation_temporality: 2,
        })),
        ..Metric::default()
    })
}

fn resources(number: usize, services: usize) -> Vec<u8> {
    let mut random = Numbers(number as u64);
    let mut point = |series: usize| NumberDataPoint {
        attributes: vec![text("system.memory.state", ["used", "free", "cached", "buffers"][series % 4])],
        time_unix_nano: START_NS as u64,
        value: Some(number_data_point::Value::AsInt(((random.next() % 1000) << 24) as i64)),
        ..NumberDataPoint::default()
    };
    let series = series(number, services, services * 4);
    let points: Vec<NumberDataPoint> = series.iter().map(|(_, series)| point(*series)).collect();
    let first = series.as_ptr();
    metric_requests(&series, |rows| {
        // Where the rows stand among all: a host may come again in one batch.
        let at = (rows.as_ptr() as usize - first as usize) / size_of::<(usize, usize)>();
        Metric {
            name: "system.memory.usage".to_owned(),
            unit: "By".to_owned(),
            data: Some(Data::Gauge(Gauge { data_points: points[at..at + rows.len()].to_vec() })),
            ..Metric::default()
        }
    })
}
