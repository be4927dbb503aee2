//! The plugin as a whole: batches in, tables out.

mod bounds;
mod contract;
mod cost;
mod failures;
mod golden;
mod ingest;
mod latency;
mod objectives;
mod rules;
mod telling;
mod zones;

use std::collections::BTreeMap;

use serde_json::Value;
use weir_sdk::Timestamp;
use weir_sdk::testing::{Plugin, TestBatch, Tested};

use super::Kpi;

pub(super) const SECOND: i64 = 1_000_000_000;
/// 2026-03-03T00:00:00Z
pub(super) const MIDNIGHT: i64 = 1_772_496_000 * SECOND;
pub(super) const DAY: i64 = 86_400 * SECOND;

/// The time of the day, in nanoseconds since 1970.
pub(super) const fn at(hour: i64, minute: i64, second: i64) -> i64 {
    MIDNIGHT + (hour * 3600 + minute * 60 + second) * SECOND
}

/// Random numbers; the seed replays them.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        crate::codec::mix(self.0, 0x5eed)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            let other = self.below(index + 1);
            items.swap(index, other);
        }
    }
}

/// A request as a span tells of it.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) service: &'static str,
    pub(super) time: i64,
    pub(super) id: u64,
    pub(super) kind: &'static str,
    pub(super) status: &'static str,
    pub(super) code: Option<i64>,
    pub(super) weight: f64,
    pub(super) duration: i64,
    pub(super) error: Option<&'static str>,
}

impl Span {
    pub(super) fn new(service: &'static str, time: i64, id: u64, bad: bool) -> Self {
        let status = if bad { "ERROR" } else { "UNSET" };
        Self { service, time, id, kind: "SERVER", status, code: None, weight: 1.0, duration: 1_000_000, error: None }
    }
}

pub(super) fn spans(spans: &[Span]) -> TestBatch {
    TestBatch::spans()
        .column("time", spans.iter().map(|span| Timestamp(span.time)))
        .column("duration_ns", spans.iter().map(|span| span.duration))
        .column("adjusted_count", spans.iter().map(|span| span.weight))
        .column("trace_id", spans.iter().map(|span| (u128::from(span.id) << 64 | 7).to_be_bytes()))
        .column("span_id", spans.iter().map(|span| span.id.to_be_bytes()))
        .column("http_response_status_code", spans.iter().map(|span| span.code))
        .attribute("error.type", spans.iter().map(|span| span.error))
        .dictionary("kind", spans.iter().map(|span| span.kind))
        .dictionary("status_code", spans.iter().map(|span| span.status))
        .dictionary("service_name", spans.iter().map(|span| span.service))
        .dictionary("service_namespace", spans.iter().map(|_| None::<&str>))
        .dictionary("environment", spans.iter().map(|_| "production"))
}

/// A data point of a histogram.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) service: &'static str,
    pub(super) name: &'static str,
    pub(super) instance: &'static str,
    pub(super) temporality: &'static str,
    pub(super) start: i64,
    pub(super) time: i64,
    pub(super) code: i64,
    pub(super) count: u64,
    pub(super) error: Option<&'static str>,
}

impl Point {
    fn attributes(&self) -> String {
        let error = self.error.map(|error| format!(",\"error.type\":\"{error}\"")).unwrap_or_default();
        format!("{{\"http.response.status_code\":{}{error}}}", self.code)
    }
}

pub(super) fn metrics(points: &[Point]) -> TestBatch {
    TestBatch::metrics()
        .column("time", points.iter().map(|point| Timestamp(point.time)))
        .column("start_time", points.iter().map(|point| Timestamp(point.start)))
        .column("count", points.iter().map(|point| point.count))
        .column("no_recorded_value", points.iter().map(|_| false))
        .column("attributes", points.iter().map(Point::attributes))
        .attribute("error.type", points.iter().map(|point| point.error))
        .attribute("http.response.status_code", points.iter().map(|point| point.code))
        .dictionary("name", points.iter().map(|point| point.name))
        .dictionary("kind", points.iter().map(|_| "histogram"))
        .dictionary("temporality", points.iter().map(|point| point.temporality))
        .dictionary("scope_name", points.iter().map(|_| "http"))
        .dictionary("scope_version", points.iter().map(|_| "1"))
        .dictionary("service_instance_id", points.iter().map(|point| point.instance))
        .dictionary("service_name", points.iter().map(|point| point.service))
        .dictionary("service_namespace", points.iter().map(|_| None::<&str>))
        .dictionary("environment", points.iter().map(|_| "production"))
}

/// A log record that says what happened: time, service, name, attributes.
pub(super) type Told = (i64, &'static str, &'static str, Vec<(&'static str, String)>);

pub(super) fn logs(told: &[Told]) -> TestBatch {
    let mut batch = TestBatch::logs()
        .column("time", told.iter().map(|(time, ..)| Timestamp(*time)))
        .column("observed_time", told.iter().map(|(time, ..)| Timestamp(*time)))
        .dictionary("event_name", told.iter().map(|(_, _, name, _)| *name))
        .dictionary("service_name", told.iter().map(|(_, service, ..)| *service))
        .dictionary("service_namespace", told.iter().map(|_| None::<&str>))
        .dictionary("service_version", told.iter().map(|_| None::<&str>))
        .dictionary("environment", told.iter().map(|_| "production"));
    let keys: std::collections::BTreeSet<&str> =
        told.iter().flat_map(|(.., attributes)| attributes.iter().map(|(key, _)| *key)).collect();
    for key in keys {
        let value = |(.., attributes): &Told| {
            attributes.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone())
        };
        batch = batch.attribute(key, told.iter().map(value));
    }
    batch
}

/// A planned maintenance, told as it was scheduled.
pub(super) fn maintenance(told: i64, service: &'static str, from: i64, to: i64) -> Told {
    let attributes = vec![
        ("itops.maintenance.id", format!("mnt-{from}")),
        ("itops.maintenance.start", from.to_string()),
        ("itops.maintenance.end", to.to_string()),
    ];
    (told, service, "itops.maintenance.scheduled", attributes)
}

/// The plugin, and its tables as Weir keeps them: the newest row of each key.
pub(super) struct Weir {
    pub(super) plugin: Plugin<Kpi>,
    keys: BTreeMap<String, Vec<String>>,
    tables: BTreeMap<(String, String), Value>,
    pub(super) counters: BTreeMap<&'static str, u64>,
}

const COUNTERS: [&str; 8] = [
    "rows_too_late",
    "spans_duplicated",
    "points_duplicated",
    "services_overflowed",
    "spans_unchecked",
    "events_malformed",
    "error_types_cut",
    "error_types_left_out",
];

impl Weir {
    pub(super) fn new(config: &str) -> Self {
        let plugin = Plugin::<Kpi>::configure(config).expect("a right configuration");
        let tables = plugin.description().tables;
        let keys = tables.into_iter().map(|table| (table.name, [table.key, vec![table.time]].concat())).collect();
        Self { plugin, keys, tables: BTreeMap::new(), counters: BTreeMap::new() }
    }

    fn take(&mut self, tested: &Tested) {
        for (table, columns) in &self.keys {
            let key = |row: &Value| {
                let values: Vec<String> = columns.iter().map(|column| row[column].to_string()).collect();
                (table.clone(), values.join(" "))
            };
            // A service that is evaluated twice in a call may take back what that call has sent.
            let mut unsent = std::collections::BTreeSet::new();
            for row in tested.retracted(table) {
                if self.tables.remove(&key(row)).is_none() {
                    unsent.insert(key(row));
                }
            }
            for row in tested.emitted(table) {
                if !unsent.remove(&key(row)) {
                    self.tables.insert(key(row), row.clone());
                }
            }
            assert!(unsent.is_empty(), "never sent: {unsent:?}");
        }
        for counter in COUNTERS {
            *self.counters.entry(counter).or_default() += tested.counter(counter);
        }
    }

    pub(super) fn process(&mut self, batch: TestBatch) -> Tested {
        let tested = self.plugin.process(batch).expect("a batch that is taken");
        self.take(&tested);
        tested
    }

    pub(super) fn advance(&mut self, time: i64) -> Tested {
        let tested = self.plugin.advance(time).expect("an evaluation");
        self.take(&tested);
        tested
    }

    /// What the plugin asks for, until it asks no more; tells how often that was.
    pub(super) fn settle(&mut self, time: i64) -> usize {
        (1..10_000).find(|_| !self.advance(time).again()).expect("an end")
    }

    pub(super) fn restart(&mut self) {
        self.plugin.restart().expect("a right configuration");
    }

    pub(super) fn configure(&mut self, config: &str) {
        self.plugin.reconfigure(config).expect("a right configuration");
    }

    pub(super) fn rows(&self, table: &str) -> Vec<&Value> {
        self.tables.iter().filter(|((known, _), _)| known == table).map(|(_, row)| row).collect()
    }

    /// All tables, to compare them.
    pub(super) fn all(&self) -> Vec<String> {
        self.tables.iter().map(|((table, _), row)| format!("{table} {row}")).collect()
    }
}

/// A number of a row.
pub(super) fn number(row: &Value, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} is {} in {row}", row[column]))
}
