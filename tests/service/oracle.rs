//! Requests whose every row is known from its number alone, and an account of them outside of what is tested: what was
//! sent, what was acknowledged, and, once the tables are read, whether each row is there as it has to be.

use super::reference::Rows;
use super::rows::{Cell, Json, Row};
use super::{NOON_NS, text};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use weir::Signal;
use weir::files::Random;

/// More rows than a request has.
const ROWS_MAX: u64 = 64;

/// How many services send.
pub const SERVICES: u64 = 5;

/// What requests look like.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub seed: u64,
    /// A request has one to so many rows.
    pub rows_max: u64,
    /// A row has a text of up to so many bytes.
    pub note_bytes_max: u64,
}

impl Load {
    fn random(&self, number: u64) -> Random {
        Random::new(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// What a request is: its signal and how many rows it has.
    pub fn shape(&self, request: u64) -> (Signal, u64) {
        let mut random = self.random(request);
        (Signal::ALL[random.below(3) as usize], 1 + random.below(self.rows_max.min(ROWS_MAX)))
    }

    /// A request in protobuf.
    pub fn encode(&self, request: u64) -> Vec<u8> {
        let (signal, rows) = self.shape(request);
        match signal {
            Signal::Spans => self.traces(request, 0..rows).encode_to_vec(),
            Signal::Logs => self.logs(request, 0..rows).encode_to_vec(),
            Signal::Metrics => self.metrics(request, 0..rows).encode_to_vec(),
        }
    }

    /// What a row of a request has to become.
    fn row(&self, request: u64, row: u64) -> (Signal, Row) {
        let signal = self.shape(request).0;
        let mut rows = match signal {
            Signal::Spans => self.traces(request, row..row + 1).rows(),
            Signal::Logs => self.logs(request, row..row + 1).rows(),
            Signal::Metrics => self.metrics(request, row..row + 1).rows(),
        };
        (signal, rows.pop().unwrap())
    }

    pub fn traces(&self, request: u64, rows: std::ops::Range<u64>) -> ExportTraceServiceRequest {
        let spans = rows.map(|row| {
            let mut random = self.random(id(request, row));
            let trace_id = [random.any().to_be_bytes(), id(request, row).to_be_bytes()].concat();
            Span {
                trace_id,
                span_id: (id(request, row) + 1).to_be_bytes().to_vec(),
                name: format!("step {row} of {request}"),
                kind: 1 + random.below(5) as i32,
                start_time_unix_nano: time(request),
                end_time_unix_nano: time(request) + random.below(1_000_000_000),
                attributes: self.attributes(request, row),
                ..Span::default()
            }
        });
        let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
        let resource = resource(request);
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
        }
    }

    pub fn logs(&self, request: u64, rows: std::ops::Range<u64>) -> ExportLogsServiceRequest {
        let log_records = rows.map(|row| LogRecord {
            time_unix_nano: time(request),
            severity_number: 1 + (row % 24) as i32,
            body: Some(AnyValue { value: Some(Value::StringValue(format!("line {row} of {request}"))) }),
            attributes: self.attributes(request, row),
            ..LogRecord::default()
        });
        let scope_logs = vec![ScopeLogs { log_records: log_records.collect(), ..ScopeLogs::default() }];
        let resource = resource(request);
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }],
        }
    }

    pub fn metrics(&self, request: u64, rows: std::ops::Range<u64>) -> ExportMetricsServiceRequest {
        let metrics = rows.map(|row| {
            let point = NumberDataPoint {
                time_unix_nano: time(request),
                value: Some(Number::AsInt(id(request, row) as i64)),
                attributes: self.attributes(request, row),
                ..NumberDataPoint::default()
            };
            let data = Some(Data::Gauge(Gauge { data_points: vec![point] }));
            Metric { name: format!("load.{}", row % 3), unit: "1".into(), data, ..Metric::default() }
        });
        let scope_metrics = vec![ScopeMetrics { metrics: metrics.collect(), ..ScopeMetrics::default() }];
        let resource = resource(request);
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }],
        }
    }

    fn attributes(&self, request: u64, row: u64) -> Vec<KeyValue> {
        let mut random = self.random(!id(request, row));
        let bytes = random.below(self.note_bytes_max + 1);
        // Hard to compress, so that files and segments are as large as they look.
        let note = (0..bytes).map(|_| char::from(b'!' + random.below(90) as u8)).collect::<String>();
        let number = Some(AnyValue { value: Some(Value::IntValue(id(request, row) as i64)) });
        vec![
            KeyValue { key: "id".into(), value: number, ..KeyValue::default() },
            text("http.route", &format!("/things/{}", random.below(9))),
            text("note", &note),
        ]
    }
}

/// The number of a row among those of all requests.
fn id(request: u64, row: u64) -> u64 {
    request * ROWS_MAX + row
}

/// All on one day, in two folders of hours.
fn time(request: u64) -> u64 {
    NOON_NS + request % 2 * 3_600_000_000_000 + request
}

fn service(request: u64) -> String {
    format!("service-{}", request % SERVICES)
}

fn resource(request: u64) -> Option<Resource> {
    Some(Resource { attributes: vec![text("service.name", &service(request))], ..Resource::default() })
}

/// What was sent, and whether that was acknowledged.
#[derive(Debug, Default)]
pub struct Oracle {
    sent: BTreeMap<u64, bool>,
}

/// What the tables have of what was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    pub requests_acknowledged: u64,
    /// Requests that are there though nobody was told so.
    pub requests_unacknowledged: u64,
    pub rows: u64,
}

impl Oracle {
    /// A request is about to be sent. Each is sent once.
    pub fn sends(&mut self, request: u64) {
        assert!(self.sent.insert(request, false).is_none());
    }

    /// The answer was that it is taken.
    pub fn acknowledged(&mut self, request: u64) {
        *self.sent.get_mut(&request).unwrap() = true;
    }

    /// How many requests were acknowledged.
    pub fn acknowledgements(&self) -> usize {
        self.sent.values().filter(|acknowledged| **acknowledged).count()
    }

    /// Every row of the tables is one that was sent, as it was sent, once; a request is there as a whole or not at all.
    pub fn no_row_is_wrong_or_twice(
        &self,
        load: Load,
        stored: impl Iterator<Item = (Signal, Row)>,
    ) -> Result<Check, String> {
        let mut check = Check { seen: BTreeSet::new(), running: BTreeMap::new() };
        for (table, row) in stored {
            let id = match row.get("attributes") {
                Some(Cell::Json(attributes)) => attributes.get("id").cloned(),
                _ => None,
            };
            let Some(Json::Int(number)) = id else { return Err(format!("nobody sent the row {row:?}")) };
            let (request, number) = (number as u64 / ROWS_MAX, number as u64 % ROWS_MAX);
            if !self.sent.contains_key(&request) || number >= load.shape(request).1 {
                return Err(format!("nobody sent row {number} of request {request}"));
            }
            if !check.seen.insert((request, number)) {
                return Err(format!("row {number} of request {request} is there twice"));
            }
            if let Some(Cell::Int(running)) = row.get("running") {
                check.running.entry(service(request)).or_default().push(*running as u64);
            }
            as_sent(load, request, number, table, row)?;
        }
        Ok(check)
    }

    /// The same, and every row that was acknowledged is there.
    pub fn all_is_there(&self, load: Load, stored: impl Iterator<Item = (Signal, Row)>) -> Result<Check, String> {
        let check = self.no_row_is_wrong_or_twice(load, stored)?;
        for (&request, &acknowledged) in &self.sent {
            let rows = load.shape(request).1;
            let there = (0..rows).filter(|row| check.seen.contains(&(request, *row))).count() as u64;
            if there < rows && (acknowledged || there > 0) {
                let was = if acknowledged { "was" } else { "was not" };
                return Err(format!("{there} of {rows} rows of request {request} are there, which {was} acknowledged"));
            }
        }
        Ok(check)
    }

    /// How much of what was sent the tables have.
    pub fn found(&self, check: &Check) -> Found {
        let mut found = Found { rows: check.seen.len() as u64, ..Found::default() };
        for (request, acknowledged) in &self.sent {
            found.requests_acknowledged += u64::from(*acknowledged);
            found.requests_unacknowledged += u64::from(!acknowledged && check.seen.contains(&(*request, 0)));
        }
        found
    }
}

/// What was found in the tables.
#[derive(Debug)]
pub struct Check {
    /// The rows: request, and number there.
    seen: BTreeSet<(u64, u64)>,
    /// What the counter plugin gave to the rows of each service.
    running: BTreeMap<String, Vec<u64>>,
}

impl Check {
    /// The plugin has counted each stored row once, and its table has the sums: `totals` are its rows.
    pub fn counts_are_exact(mut self, totals: Vec<Row>) -> Result<(), String> {
        let mut sums = BTreeMap::new();
        for row in totals {
            let (Some(Cell::Text(service)), Some(Cell::Int(rows))) = (row.get("service"), row.get("rows")) else {
                return Err(format!("what is in `running` is no sum: {row:?}"));
            };
            if sums.insert(service.clone(), *rows as u64).is_some() {
                return Err(format!("there are two sums of {service}"));
            }
        }
        for (service, numbers) in &mut self.running {
            numbers.sort_unstable();
            if let Some((at, number)) = (1..).zip(&*numbers).find(|(at, number)| at != *number) {
                return Err(format!("{service} has the number {number} where {at} should be"));
            }
        }
        let counted: BTreeMap<String, u64> =
            self.running.into_iter().map(|(service, numbers)| (service, numbers.len() as u64)).collect();
        if counted == sums { Ok(()) } else { Err(format!("the sums are {sums:?}, and there are {counted:?}")) }
    }
}

/// Compares a row with what was sent, column by column. Plugins may have columns of their own.
fn as_sent(load: Load, request: u64, number: u64, table: Signal, mut row: Row) -> Result<(), String> {
    let (signal, expected) = load.row(request, number);
    if signal != table {
        return Err(format!("row {number} of request {request} is in {table} and was sent as {signal}"));
    }
    row.retain(|column, cell| expected.contains_key(column) || (*cell != Cell::Null && column != "running"));
    if row == expected {
        return Ok(());
    }
    let columns: BTreeSet<&String> = row.keys().chain(expected.keys()).collect();
    let differs = columns.into_iter().find(|column| row.get(*column) != expected.get(*column)).unwrap();
    Err(format!(
        "row {number} of request {request} has {:?} as its {differs}, and {:?} was sent",
        row.get(differs),
        expected.get(differs)
    ))
}
