//! The metrics of a minute: durations of requests, use of processes, the database's host.

use super::otlp::{attribute, int, text};
use super::random::Random;
use super::requests::{Served, Told};
use super::shop::{CHECKOUT, DB_HOST, FRONTEND, HTTP, INSTANCES, PAYMENT, Service};
use super::story::{self, MINUTE};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};
use std::collections::BTreeMap;

/// The buckets that the semantic conventions advise for durations in seconds.
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Exponential buckets of which each is twice the one before, in microseconds.
const EXPONENTIAL_BUCKETS: usize = 24;
/// Bytes of the disk of the database.
const DISK_BYTES: f64 = 500e9;
/// Bytes of the memory of a pod.
const POD_BYTES: f64 = 512e6;
/// Bytes of the heap of `checkout`.
const HEAP_BYTES: f64 = 256e6;
/// Connections to the database that an instance of `checkout` may have.
const CONNECTIONS: i64 = 20;

/// A minute: the start of the day, when the minute starts within it, and the time of its data points.
#[derive(Clone, Copy)]
pub(super) struct Minute {
    pub(super) day_ns: u64,
    pub(super) from_ns: u64,
}

impl Minute {
    fn end(self) -> u64 {
        self.day_ns + self.from_ns + MINUTE
    }

    fn is_fifth(self) -> bool {
        self.from_ns / MINUTE % 5 == 4
    }
}

/// The metrics of a minute, by service and instance.
pub(super) fn of(
    minute: Minute,
    told: &Told,
    orders: i64,
    random: &mut Random,
) -> BTreeMap<(Service, usize), Vec<Metric>> {
    let mut metrics = BTreeMap::new();
    for service in HTTP {
        for instance in 0..INSTANCES {
            let served = told.served.get(&(service, instance)).map_or(&[][..], Vec::as_slice);
            let mut of_instance = process(minute, served.len(), random);
            of_instance.push(up(minute, service, instance));
            if !served.is_empty() {
                of_instance.push(durations(minute, served));
            }
            if service == FRONTEND && minute.is_fifth() && !served.is_empty() {
                of_instance.push(exponential(minute, served));
            }
            if service == PAYMENT && minute.is_fifth() && !served.is_empty() {
                of_instance.push(summary(minute, served));
            }
            if service == CHECKOUT {
                of_instance.extend(pool(minute, random));
                of_instance.extend(heap(minute, random));
            }
            if service == CHECKOUT && instance == 0 {
                of_instance.push(sum(
                    "shop.orders",
                    "{order}",
                    minute,
                    true,
                    vec![point(minute, vec![], Number::Int(orders))],
                ));
            }
            metrics.insert((service, instance), of_instance);
        }
    }
    metrics.insert((DB_HOST, 0), host(minute, random));
    metrics
}

enum Number {
    Int(i64),
    Double(f64),
}

fn point(minute: Minute, attributes: Vec<KeyValue>, number: Number) -> NumberDataPoint {
    let value = match number {
        Number::Int(value) => number_data_point::Value::AsInt(value),
        Number::Double(value) => number_data_point::Value::AsDouble(value),
    };
    NumberDataPoint {
        attributes,
        start_time_unix_nano: minute.day_ns,
        time_unix_nano: minute.end(),
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn metric(name: &str, unit: &str, description: &str, data: Data) -> Metric {
    let (name, unit, description) = (name.to_owned(), unit.to_owned(), description.to_owned());
    Metric { name, unit, description, data: Some(data), ..Metric::default() }
}

fn gauge(name: &str, minute: Minute, points: Vec<(Vec<KeyValue>, f64)>) -> Metric {
    let data_points = points.into_iter().map(|(attributes, value)| point(minute, attributes, Number::Double(value)));
    metric(name, "1", "", Data::Gauge(Gauge { data_points: data_points.collect() }))
}

fn sum(name: &str, unit: &str, _: Minute, is_monotonic: bool, data_points: Vec<NumberDataPoint>) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative as i32;
    metric(name, unit, "", Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic }))
}

/// CPU follows the traffic, memory hardly does.
fn process(minute: Minute, served: usize, random: &mut Random) -> Vec<Metric> {
    let cpu = (0.04 + 0.012 * served as f64 + 0.02 * random.unit()).min(1.0);
    let memory = POD_BYTES * (0.42 + 0.002 * served as f64 + 0.01 * random.unit());
    vec![
        gauge("process.cpu.utilization", minute, vec![(vec![], cpu)]),
        sum("process.memory.usage", "By", minute, false, vec![point(minute, vec![], Number::Int(memory as i64))]),
        gauge("k8s.container.memory_limit_utilization", minute, vec![(vec![], (memory / POD_BYTES).min(1.0))]),
    ]
}

/// Twice a minute somebody looks whether the instance is well; for two instances that is four times for a service.
fn up(minute: Minute, service: Service, instance: usize) -> Metric {
    let first = instance as u64 * (MINUTE / 4);
    let data_points = [first, first + MINUTE / 2].map(|offset| {
        let at_ns = minute.from_ns + offset;
        let is_well = story::failing(service.name(), at_ns) < 0.5;
        NumberDataPoint {
            time_unix_nano: minute.day_ns + at_ns,
            value: Some(number_data_point::Value::AsDouble(f64::from(u8::from(is_well)))),
            ..NumberDataPoint::default()
        }
    });
    let gauge = Gauge { data_points: data_points.to_vec() };
    metric("up", "1", "Whether the target could be scraped", Data::Gauge(gauge))
}

/// The connections to the database, all of which are in use while `checkout` is out.
fn pool(minute: Minute, random: &mut Random) -> Vec<Metric> {
    let at_ns = minute.from_ns + MINUTE - 1;
    let usual = 4.0 + 9.0 * story::traffic(at_ns) + 4.0 * random.unit();
    let is_exhausted =
        story::now(CHECKOUT.name(), at_ns).any(|episode| matches!(episode.effect, story::Effect::Fails(_)));
    let used = if is_exhausted { CONNECTIONS } else { usual as i64 };
    let of = |state: Option<&str>| {
        let mut attributes = vec![text("db.client.connection.pool.name", "orders")];
        attributes.extend(state.map(|state| text("db.client.connection.state", state)));
        attributes
    };
    let count = [(used, "used"), (CONNECTIONS - used, "idle")];
    let count = count.map(|(number, state)| point(minute, of(Some(state)), Number::Int(number)));
    let max = vec![point(minute, of(None), Number::Int(CONNECTIONS))];
    vec![
        sum("db.client.connection.count", "{connection}", minute, false, count.to_vec()),
        sum("db.client.connection.max", "{connection}", minute, false, max),
    ]
}

/// The heap fills, and is collected every quarter of an hour.
fn heap(minute: Minute, random: &mut Random) -> Vec<Metric> {
    let since = (minute.from_ns / MINUTE % 15) as f64 / 15.0;
    let used = HEAP_BYTES * (0.3 + 0.35 * since + 0.05 * random.unit());
    let of = || vec![text("jvm.memory.type", "heap"), text("jvm.memory.pool.name", "G1 Old Gen")];
    vec![
        sum("jvm.memory.used", "By", minute, false, vec![point(minute, of(), Number::Int(used as i64))]),
        sum("jvm.memory.limit", "By", minute, false, vec![point(minute, of(), Number::Int(HEAP_BYTES as i64))]),
    ]
}

/// `http.server.request.duration`, with the slowest request of each series as its exemplar.
fn durations(minute: Minute, served: &[Served]) -> Metric {
    let mut series: BTreeMap<(&str, &str, u16), Vec<&Served>> = BTreeMap::new();
    for one in served {
        series.entry((one.method, one.route, one.status)).or_default().push(one);
    }
    let data_points = series.into_iter().map(|((method, route, status), requests)| {
        let mut attributes = vec![
            text("http.request.method", method),
            text("http.route", route),
            text("url.scheme", "http"),
            int("http.response.status_code", status.into()),
        ];
        if status >= 500 {
            attributes.push(text("error.type", status.to_string()));
        }
        let mut bucket_counts = vec![0; BOUNDS.len() + 1];
        for one in &requests {
            bucket_counts[BOUNDS.partition_point(|bound| *bound < one.seconds)] += 1;
        }
        let slowest = requests.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let exemplar = slowest.map(|slowest| Exemplar {
            time_unix_nano: slowest.at_ns,
            trace_id: slowest.trace_id.to_vec(),
            span_id: slowest.span_id.to_vec(),
            value: Some(exemplar::Value::AsDouble(slowest.seconds)),
            ..Exemplar::default()
        });
        HistogramDataPoint {
            attributes,
            start_time_unix_nano: minute.end() - MINUTE,
            time_unix_nano: minute.end(),
            count: requests.len() as u64,
            sum: Some(requests.iter().map(|one| one.seconds).sum()),
            bucket_counts,
            explicit_bounds: BOUNDS.to_vec(),
            exemplars: exemplar.into_iter().collect(),
            min: requests.iter().map(|one| one.seconds).reduce(f64::min),
            max: requests.iter().map(|one| one.seconds).reduce(f64::max),
            ..HistogramDataPoint::default()
        }
    });
    let aggregation_temporality = AggregationTemporality::Delta as i32;
    let histogram = Histogram { data_points: data_points.collect(), aggregation_temporality };
    metric("http.server.request.duration", "s", "Duration of HTTP server requests", Data::Histogram(histogram))
}

fn exponential(minute: Minute, served: &[Served]) -> Metric {
    let mut bucket_counts = vec![0; EXPONENTIAL_BUCKETS];
    for one in served {
        let micros = (one.seconds * 1e6) as u64;
        let bucket = micros.checked_ilog2().unwrap_or(0) as usize;
        bucket_counts[bucket.min(EXPONENTIAL_BUCKETS - 1)] += 1;
    }
    let data_point = ExponentialHistogramDataPoint {
        start_time_unix_nano: minute.end() - MINUTE,
        time_unix_nano: minute.end(),
        count: served.len() as u64,
        sum: Some(served.iter().map(|one| one.seconds * 1e6).sum()),
        scale: 0,
        positive: Some(Buckets { offset: 0, bucket_counts }),
        min: served.iter().map(|one| one.seconds * 1e6).reduce(f64::min),
        max: served.iter().map(|one| one.seconds * 1e6).reduce(f64::max),
        ..ExponentialHistogramDataPoint::default()
    };
    let aggregation_temporality = AggregationTemporality::Delta as i32;
    let histogram = ExponentialHistogram { data_points: vec![data_point], aggregation_temporality };
    metric("shop.page.duration", "us", "Time to the last byte of a page", Data::ExponentialHistogram(histogram))
}

fn summary(minute: Minute, served: &[Served]) -> Metric {
    let mut seconds: Vec<f64> = served.iter().map(|one| one.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let quantile_values = [0.5, 0.9, 0.99]
        .map(|quantile| ValueAtQuantile { quantile, value: seconds[((seconds.len() - 1) as f64 * quantile) as usize] });
    let data_point = SummaryDataPoint {
        start_time_unix_nano: minute.end() - MINUTE,
        time_unix_nano: minute.end(),
        count: seconds.len() as u64,
        sum: seconds.iter().sum(),
        quantile_values: quantile_values.to_vec(),
        ..SummaryDataPoint::default()
    };
    let summary = Summary { data_points: vec![data_point] };
    metric("shop.payment.charge.duration", "s", "Duration of charges", Data::Summary(summary))
}

/// The database's host: its disk is the one that fills.
fn host(minute: Minute, random: &mut Random) -> Vec<Metric> {
    let at_ns = minute.from_ns + MINUTE - 1;
    let used = story::disk_used(at_ns);
    let busy = (0.12 + 0.4 * story::traffic(at_ns) + 0.05 * random.unit()).min(1.0);
    let disk = |state: &str| {
        vec![
            text("system.device", "/dev/nvme1n1"),
            text("system.filesystem.mountpoint", "/data"),
            text("system.filesystem.state", state),
        ]
    };
    let bytes = |share: f64| Number::Int((DISK_BYTES * share) as i64);
    vec![
        up(minute, DB_HOST, 0),
        gauge("system.filesystem.utilization", minute, vec![(disk("used"), used)]),
        sum(
            "system.filesystem.usage",
            "By",
            minute,
            false,
            vec![point(minute, disk("used"), bytes(used)), point(minute, disk("free"), bytes(1.0 - used))],
        ),
        gauge(
            "system.cpu.utilization",
            minute,
            vec![
                (vec![text("cpu.mode", "user")], busy * 0.8),
                (vec![text("cpu.mode", "system")], busy * 0.2),
                (vec![text("cpu.mode", "idle")], 1.0 - busy),
            ],
        ),
        gauge(
            "system.memory.utilization",
            minute,
            vec![(
                vec![
                    text("system.memory.state", "used"),
                    attribute("system.memory.huge_pages", Value::BoolValue(true)),
                ],
                0.71 + 0.02 * random.unit(),
            )],
        ),
    ]
}
