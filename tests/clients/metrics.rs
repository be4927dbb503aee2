//! Metrics: an instrument of each kind, and the point that its measurements have to become.

use crate::Service;
use crate::sdk::{self, Heard, Transport, attributes, text};
use crate::service::rows::{self, Cell, Row};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, SdkMeterProvider, Stream};

pub(crate) fn assert_stored(transport: Transport) {
    let service = Service::start(|_| {});
    let (exporter, heard) = Heard::new(sdk::metric_exporter(transport, &service), &service);
    let exponential = |instrument: &Instrument| {
        let aggregation = Aggregation::Base2ExponentialHistogram { max_size: 160, max_scale: 20, record_min_max: true };
        let chosen = instrument.kind() == InstrumentKind::Histogram && instrument.name() == "payload.size";
        chosen.then(|| Stream::builder().with_aggregation(aggregation).build().unwrap())
    };
    let provider = SdkMeterProvider::builder()
        .with_periodic_exporter(exporter)
        .with_resource(sdk::resource())
        .with_view(exponential)
        .build();
    let began = now();
    work(&provider);
    provider.shutdown().unwrap();
    let ended = now();

    let (summary, folder) = service.stop();
    let stored = rows::read(folder.path(), "metrics");
    assert_eq!(heard.lock().unwrap().len(), 1, "the SDK exported once");
    assert_eq!(stored.len(), 8, "{summary:?}");
    for row in &stored {
        sdk::assert_common(row);
        let (Cell::Time(at), Cell::Time(start)) = (&row["time"], &row["start_time"]) else {
            panic!("no times: {row:?}")
        };
        assert!(began <= *start && start <= at && *at <= ended, "{began} {start} {at} {ended}");
        assert_eq!(row["flags"], Cell::Int(0));
        assert_eq!(row["no_recorded_value"], Cell::Bool(false));
        assert_eq!(row["exemplars"], Cell::List(Vec::new()));
    }
    assert_points(&stored);
}

fn now() -> i64 {
    weir::watch::clock::now_ns()
}

fn route(route: &'static str) -> [KeyValue; 1] {
    [KeyValue::new("http.route", route)]
}

fn work(provider: &SdkMeterProvider) {
    let meter = provider.meter_with_scope(sdk::scope());
    let requests = meter.u64_counter("requests").with_unit("{request}").with_description("Requests served").build();
    requests.add(3, &route("/a"));
    requests.add(4, &route("/a"));
    requests.add(1, &route("/b"));
    meter.f64_counter("energy").with_unit("J").build().add(0.25, &[]);
    let open = meter.i64_up_down_counter("open").build();
    open.add(5, &[]);
    open.add(-7, &[]);
    meter.i64_gauge("queue").build().record(-3, &[]);
    meter.f64_gauge("temperature").with_unit("Cel").build().record(21.5, &[]);
    let duration = meter.f64_histogram("duration").with_unit("s").with_boundaries(vec![0.1, 1.0]).build();
    for seconds in [0.05, 0.5, 0.75, 8.0] {
        duration.record(seconds, &route("/a"));
    }
    let size = meter.f64_histogram("payload.size").with_unit("By").build();
    for bytes in [0.0, 1.0, 2.0, 4.0] {
        size.record(bytes, &[]);
    }
}

fn double(value: f64) -> Cell {
    Cell::Double(value.to_bits())
}

fn ints(values: &[i128]) -> Cell {
    Cell::List(values.iter().map(|value| Cell::Int(*value)).collect())
}

fn assert_point(stored: &[Row], name: &str, of: &[KeyValue], expected: &[(&str, Cell)]) {
    let found: Vec<_> =
        stored.iter().filter(|row| row["name"] == text(name) && row["attributes"] == attributes(of)).collect();
    assert_eq!(found.len(), 1, "points of {name} with {of:?}");
    for (column, cell) in expected {
        assert_eq!(found[0][*column], *cell, "{column} of {name}");
    }
    // What is not said is null: a point has the columns of its kind only.
    let numbers =
        ["value_double", "value_int", "count", "sum", "bounds", "bucket_counts", "scale", "quantiles", "monotonic"];
    for column in numbers.into_iter().filter(|column| expected.iter().all(|(said, _)| said != column)) {
        assert_eq!(found[0][column], Cell::Null, "{column} of {name}");
    }
}

fn assert_points(stored: &[Row]) {
    let cumulative = ("temporality", text("cumulative"));
    let sum = ("kind", text("sum"));
    let counter = |value: i128| {
        let about =
            [("unit", text("{request}")), ("description", text("Requests served")), sum.clone(), cumulative.clone()];
        let mut expected = about.to_vec();
        expected.extend([("monotonic", Cell::Bool(true)), ("value_int", Cell::Int(value))]);
        expected
    };
    assert_point(stored, "requests", &route("/a"), &counter(7));
    assert_point(stored, "requests", &route("/b"), &counter(1));
    let energy = [
        ("unit", text("J")),
        sum.clone(),
        cumulative.clone(),
        ("monotonic", Cell::Bool(true)),
        ("value_double", double(0.25)),
    ];
    assert_point(stored, "energy", &[], &energy);
    let open = [sum, cumulative.clone(), ("monotonic", Cell::Bool(false)), ("value_int", Cell::Int(-2))];
    assert_point(stored, "open", &[], &open);
    let gauge = ("kind", text("gauge"));
    assert_point(stored, "queue", &[], &[gauge.clone(), ("temporality", Cell::Null), ("value_int", Cell::Int(-3))]);
    assert_point(stored, "temperature", &[], &[gauge, ("unit", text("Cel")), ("value_double", double(21.5))]);
    let histogram = [
        ("kind", text("histogram")),
        cumulative.clone(),
        ("count", Cell::Int(4)),
        ("sum", double(9.3)),
        ("min", double(0.05)),
        ("max", double(8.0)),
        ("bounds", Cell::List(vec![double(0.1), double(1.0)])),
        ("bucket_counts", ints(&[1, 2, 1])),
    ];
    assert_point(stored, "duration", &route("/a"), &histogram);
    // 1, 2 and 4 are on the bounds of buckets at every scale; at 20, two octaves do not fit into 160 buckets, at 6 they do.
    let scale = 6;
    let counts: Vec<i128> = (0..=2 << scale).map(|bucket| i128::from(bucket % (1 << scale) == 0)).collect();
    let exponential = [
        ("kind", text("exponential_histogram")),
        cumulative,
        ("count", Cell::Int(4)),
        ("sum", double(7.0)),
        ("min", double(0.0)),
        ("max", double(4.0)),
        ("scale", Cell::Int(scale)),
        ("zero_count", Cell::Int(1)),
        ("zero_threshold", double(0.0)),
        ("positive_offset", Cell::Int(-1)),
        ("positive_bucket_counts", ints(&counts)),
        ("negative_bucket_counts", ints(&[])),
    ];
    assert_point(stored, "payload.size", &[], &exponential);
}
