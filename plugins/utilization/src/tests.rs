use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use weir_sdk::Timestamp;
use weir_sdk::testing::{Plugin, TestBatch, Tested};

use super::{HOUR_NS, Measure, SECOND_NS};

/// 2026-03-02T10:00:00Z.
const HOUR: i64 = 1_772_445_600 * SECOND_NS;

/// A data point: second of the hour, metric, value, attributes of the point and of its resource.
#[derive(Clone, Debug)]
struct Point {
    second: i64,
    name: &'static str,
    value: f64,
    attributes: Vec<(&'static str, String)>,
    resource: Vec<(&'static str, &'static str)>,
    kind: &'static str,
    unit: &'static str,
    monotonic: bool,
}

fn point(second: i64, name: &'static str, value: f64) -> Point {
    let resource = vec![("host.name", "h1")];
    Point { second, name, value, attributes: Vec::new(), resource, kind: "gauge", unit: "1", monotonic: false }
}

impl Point {
    fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.attributes.push((key, value.to_string()));
        self
    }

    fn of(mut self, resource: &[(&'static str, &'static str)]) -> Self {
        self.resource = resource.to_vec();
        self
    }

    fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }
}

/// The same each minute of the hour.
fn each_minute(point: impl Fn(i64) -> Point) -> Vec<Point> {
    (0..60).map(|minute| point(minute * 60)).collect()
}

fn batch(points: &[Point]) -> TestBatch {
    let mut batch = TestBatch::metrics()
        .column("time", points.iter().map(|point| Timestamp(HOUR + point.second * SECOND_NS)))
        .dictionary("name", points.iter().map(|point| point.name))
        .dictionary("unit", points.iter().map(|point| point.unit))
        .dictionary("kind", points.iter().map(|point| point.kind))
        .column("temporality", points.iter().map(|_| None::<&str>))
        .column("monotonic", points.iter().map(|point| point.monotonic))
        .column("value_double", points.iter().map(|point| (point.value.fract() != 0.0).then_some(point.value)))
        .column("value_int", points.iter().map(|point| (point.value.fract() == 0.0).then_some(point.value as i64)))
        .column("no_recorded_value", points.iter().map(|_| false))
        .dictionary("service_name", points.iter().map(|_| "shop"))
        .dictionary("environment", points.iter().map(|_| "prod"));
    let keys: BTreeSet<_> = points.iter().flat_map(|point| point.attributes.iter().map(|(key, _)| *key)).collect();
    for key in keys {
        let found =
            |point: &Point| point.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone());
        batch = batch.attribute(key, points.iter().map(found));
    }
    let keys: BTreeSet<_> = points.iter().flat_map(|point| point.resource.iter().map(|(key, _)| *key)).collect();
    for key in keys {
        let found = |point: &Point| point.resource.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        batch = batch.resource(key, points.iter().map(found));
    }
    batch
}

fn measure(config: &str) -> Plugin<Measure> {
    Plugin::configure(config).expect("a configuration")
}

fn emitted(tested: &Tested) -> Vec<Value> {
    tested.emitted("utilization").into_iter().cloned().collect()
}

/// The rows of the hour.
fn rows(config: &str, points: &[Point]) -> Vec<Value> {
    let mut plugin = measure(config);
    plugin.process(batch(points)).expect("a batch");
    emitted(&plugin.advance(HOUR + HOUR_NS).expect("an advance"))
}

fn row(points: &[Point]) -> Value {
    let rows = rows("{}", points);
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows[0].clone()
}

fn close(row: &Value, column: &str, expected: f64) {
    close_to(row, column, expected, 1e-9);
}

fn close_to(row: &Value, column: &str, expected: f64, by: f64) {
    let found = row[column].as_f64().unwrap_or_else(|| panic!("{column} of {row}"));
    assert!((found - expected).abs() < by, "{column} is {found}, not {expected}");
}

#[test]
fn a_hosts_cpu_is_what_its_cpus_do_besides_waiting() {
    let mut points = Vec::new();
    for (cpu, busy) in [(0, 0.5), (1, 0.7)] {
        for (mode, share) in [("user", busy), ("system", 0.2), ("idle", 0.1), ("iowait", 0.05)] {
            points.extend(each_minute(|second| {
                point(second, "system.cpu.utilization", share).with("cpu.mode", mode).with("cpu.logical_number", cpu)
            }));
        }
    }
    let row = row(&points);
    assert_eq!((&row["resource"], &row["instance"]), (&"system.cpu".into(), &"h1".into()));
    assert_eq!((&row["service_name"], &row["environment"]), (&"shop".into(), &"prod".into()));
    assert_eq!(row["window_start"], HOUR);
    close(&row, "mean", 0.8);
    close(&row, "coverage", 1.0);
    assert_eq!((&row["capacity"], &row["unit"]), (&Value::Null, &"1".into()));
}

#[test]
fn the_names_that_attributes_had_are_known_too() {
    let modes = [("user", 0.25), ("idle", 0.75)];
    let points: Vec<_> = modes
        .iter()
        .flat_map(|(mode, share)| {
            each_minute(|second| {
                point(second, "system.cpu.utilization", *share).with("state", mode).with("cpu", "cpu0")
            })
        })
        .collect();
    close(&row(&points), "mean", 0.25);
}

/// CPU time of a host with two CPUs, of which this share is used.
fn cpu_time(seconds: impl Iterator<Item = i64>, share: f64) -> Vec<Point> {
    let modes = [("user", share - 0.1), ("system", 0.1), ("idle", 0.9 - share), ("iowait", 0.1)];
    let time = |second, cpu, mode, share| {
        let time = point(second, "system.cpu.time", 1e6 + (second as f64 + 1e5) * share + 0.125);
        let time = time.with("cpu", cpu).with("state", mode).unit("s");
        Point { kind: "sum", monotonic: true, ..time }
    };
    let of_cpu = |second, cpu| modes.map(|(mode, share)| time(second, cpu, mode, share));
    seconds.flat_map(|second| [of_cpu(second, "cpu0"), of_cpu(second, "cpu1")].concat()).collect()
}

#[test]
fn cpu_time_is_as_good_as_a_share() {
    let row = row(&cpu_time((0..3600).step_by(60), 0.4));
    close_to(&row, "mean", 0.4, 1e-6);
    close_to(&row, "capacity", 2.0, 1e-6);
    assert_eq!((&row["resource"], &row["unit"]), (&"system.cpu".into(), &"{cpu}".into()));
    // After the last point nothing is known until the next one.
    close(&row, "covered_s", 3540.0);
}

#[test]
fn the_first_point_of_a_counter_in_an_hour_completes_the_hour_before() {
    let mut plugin = measure("{}");
    plugin.process(batch(&cpu_time((0..3600).step_by(60), 0.4))).expect("a batch");
    plugin.advance(HOUR + HOUR_NS).expect("an advance");
    plugin.process(batch(&cpu_time((3600..3700).step_by(60), 0.4))).expect("a batch");
    let restated = emitted(&plugin.advance(HOUR + HOUR_NS + 1).expect("an advance"));
    assert_eq!(restated.len(), 1);
    close(&restated[0], "coverage", 1.0);
}

#[test]
fn memory_without_a_limit_is_measured_by_its_states() {
    let states = [("used", 60.0), ("free", 20.0), ("cached", 15.0), ("buffered", 5.0), ("slab_reclaimable", 40.0)];
    let points: Vec<_> = states
        .iter()
        .flat_map(|(state, bytes)| {
            each_minute(|second| point(second, "system.memory.usage", *bytes).with("state", state).unit("By"))
        })
        .collect();
    let row = row(&points);
    close(&row, "mean", 0.6);
    close(&row, "capacity", 100.0);
    assert_eq!(row["unit"], "By");
}

#[test]
fn each_mounted_file_system_is_an_instance() {
    let usage = |second, mount, state, bytes| {
        let usage = point(second, "system.filesystem.usage", bytes).unit("By");
        usage.with("mountpoint", mount).with("device", "sda1").with("state", state)
    };
    let points: Vec<_> = [("/", "used", 90.0), ("/", "free", 10.0), ("/data", "used", 25.0), ("/data", "free", 75.0)]
        .into_iter()
        .flat_map(|(mount, state, bytes)| each_minute(move |second| usage(second, mount, state, bytes)))
        .collect();
    let rows = rows("{}", &points);
    let instances: Vec<_> = rows.iter().map(|row| row["instance"].as_str().unwrap_or_default()).collect();
    assert_eq!(instances, ["h1:/", "h1:/data"]);
    close(&rows[0], "over_80_s", 3600.0);
    close(&rows[1], "mean", 0.25);
}

#[test]
fn usage_and_limit_of_a_container_come_from_different_senders() {
    const KUBELET: &[(&str, &str)] = &[
        ("k8s.namespace.name", "web"),
        ("k8s.pod.name", "shop-1"),
        ("k8s.container.name", "app"),
        ("k8s.node.name", "n1"),
    ];
    const CLUSTER: &[(&str, &str)] = &[
        ("k8s.namespace.name", "web"),
        ("k8s.pod.name", "shop-1"),
        ("k8s.container.name", "app"),
        ("container.id", "f00"),
    ];
    let usage = each_minute(|second| point(second, "container.cpu.usage", 0.5).of(KUBELET).unit("{cpu}"));
    let limit = each_minute(|second| point(second, "k8s.container.cpu_limit", 2.0).of(CLUSTER).unit("{cpu}"));
    let mut plugin = measure("{}");
    plugin.process(batch(&limit)).expect("a batch");
    plugin.process(batch(&usage)).expect("a batch");
    let rows = emitted(&plugin.advance(HOUR + HOUR_NS).expect("an advance"));
    assert_eq!((rows.len(), &rows[0]["instance"]), (1, &"web/shop-1/app".into()));
    close(&rows[0], "mean", 0.25);
    close(&rows[0], "capacity", 2.0);
}

#[test]
fn what_a_node_has_of_memory_is_its_working_set_and_what_is_available() {
    const NODE: &[(&str, &str)] = &[("k8s.node.name", "n1")];
    let used = each_minute(|second| point(second, "k8s.node.memory.working_set", 30.0).of(NODE));
    let free = each_minute(|second| point(second, "k8s.node.memory.available", 10.0).of(NODE));
    close(&row(&[used, free].concat()), "mean", 0.75);
}

#[test]
fn a_heap_is_the_sum_of_its_pools() {
    const JVM: &[(&str, &str)] = &[("service.instance.id", "i-1"), ("host.name", "h1")];
    let pool = |name, pool, kind, bytes| {
        each_minute(move |second| {
            let point = point(second, name, bytes).of(JVM).unit("By");
            point.with("jvm.memory.pool.name", pool).with("jvm.memory.type", kind)
        })
    };
    let points = [
        pool("jvm.memory.used", "eden", "heap", 10.0),
        pool("jvm.memory.used", "old", "heap", 40.0),
        pool("jvm.memory.used", "metaspace", "non_heap", 500.0),
        pool("jvm.memory.limit", "old", "heap", 100.0),
        pool("jvm.memory.limit", "eden", "heap", -1.0),
    ];
    let row = row(&points.concat());
    assert_eq!((&row["resource"], &row["instance"]), (&"jvm.memory".into(), &"i-1".into()));
    close(&row, "mean", 0.5);
}

#[test]
fn each_pool_of_connections_is_an_instance() {
    let count = |second, state, connections| {
        let count = point(second, "db.client.connection.count", connections).unit("{connection}");
        count.with("db.client.connection.pool.name", "orders").with("db.client.connection.state", state)
    };
    let max = |second| point(second, "db.client.connection.max", 10.0).with("db.client.connection.pool.name", "orders");
    let points = [each_minute(|s| count(s, "used", 9.0)), each_minute(|s| count(s, "idle", 1.0)), each_minute(max)];
    let row = row(&points.concat());
    assert_eq!(row["instance"], "h1:orders");
    close(&row, "mean", 0.9);
    close(&row, "over_80_s", 3600.0);
}

#[test]
fn a_metric_of_ones_own_is_measured() {
    let config = r#"{ "known_metrics": false, "metrics": [
        { "metric": "pool.busy", "resource": "workers", "role": "ratio", "scale": 0.01, "per": ["queue"],
          "where": { "kind": ["cpu"] }, "instance": ["cell/host.name", "host.name"] }
    ] }"#;
    let busy = |kind| each_minute(move |s| point(s, "pool.busy", 50.0).with("queue", "mail").with("kind", kind));
    let known = each_minute(|second| point(second, "jvm.cpu.recent_utilization", 0.5));
    let rows = rows(config, &[busy("cpu"), busy("disk"), known].concat());
    assert_eq!((rows.len(), &rows[0]["resource"], &rows[0]["instance"]), (1, &"workers".into(), &"h1:mail".into()));
    close(&rows[0], "mean", 0.5);
}

#[test]
fn what_is_no_level_is_not_measured() {
    let usable = point(0, "jvm.cpu.recent_utilization", 0.5);
    let others = [
        Point { kind: "histogram", ..usable.clone() },
        Point { kind: "sum", monotonic: true, ..usable.clone() },
        Point { name: "system.cpu.time", ..usable.clone() },
        Point { value: f64::NAN, ..usable.clone() },
        Point { value: -0.5, ..usable },
    ];
    let mut plugin = measure("{}");
    let tested = plugin.process(batch(&others)).expect("a batch");
    assert_eq!(tested.counter("points_unusable"), 5);
    assert!(emitted(&plugin.advance(HOUR + HOUR_NS).expect("an advance")).is_empty());
}

#[test]
fn a_batch_of_other_metrics_costs_a_look_at_the_names() {
    let tested = measure("{}").process(batch(&[point(0, "http.server.request.duration", 0.5)])).expect("a batch");
    assert_eq!(tested.read(), ["name"]);
    assert!(tested.state().is_empty());
}

#[test]
fn every_row_goes_on_to_the_next_plugin() {
    let tested = measure("{}").process(batch(&[point(0, "jvm.cpu.recent_utilization", 0.5)])).expect("a batch");
    assert_eq!(tested.kept(), [0]);
}

#[test]
fn an_hour_has_a_row_once_it_is_over() {
    let mut plugin = measure("{}");
    plugin.process(batch(&[point(0, "jvm.cpu.recent_utilization", 0.5)])).expect("a batch");
    assert!(emitted(&plugin.advance(HOUR + HOUR_NS - 1).expect("an advance")).is_empty());
    assert_eq!(emitted(&plugin.advance(HOUR + HOUR_NS).expect("an advance")).len(), 1);
    assert!(emitted(&plugin.advance(HOUR + 2 * HOUR_NS).expect("an advance")).is_empty());
}

#[test]
fn a_late_point_restates_its_row_and_a_known_one_does_not() {
    let mut plugin = measure("{}");
    let points = each_minute(|second| point(second, "jvm.cpu.recent_utilization", 0.5));
    plugin.process(batch(&points)).expect("a batch");
    assert_eq!(emitted(&plugin.advance(HOUR + 2 * HOUR_NS).expect("an advance")).len(), 1);

    plugin.process(batch(&points)).expect("a batch");
    assert!(emitted(&plugin.advance(HOUR + 2 * HOUR_NS + 1).expect("an advance")).is_empty());

    plugin.process(batch(&[point(30, "jvm.cpu.recent_utilization", 1.0)])).expect("a batch");
    let restated = emitted(&plugin.advance(HOUR + 2 * HOUR_NS + 2).expect("an advance"));
    assert_eq!(restated.len(), 1);
    close(&restated[0], "over_80_s", 30.0);
}

#[test]
fn a_late_point_at_the_end_of_an_hour_restates_the_next_hour() {
    let mut plugin = measure("{}");
    let share = |second| point(second, "jvm.cpu.recent_utilization", 0.5);
    plugin.process(batch(&[share(0), share(60), share(3600 + 30), share(3600 + 90)])).expect("a batch");
    let first = emitted(&plugin.advance(HOUR + 2 * HOUR_NS).expect("an advance"));
    close(&first[1], "covered_s", 60.0 + 180.0);
    plugin.process(batch(&[share(3600 - 30)])).expect("a batch");
    let restated = emitted(&plugin.advance(HOUR + 2 * HOUR_NS + 1).expect("an advance"));
    assert_eq!(restated.len(), 2);
    close(&restated[1], "covered_s", 30.0 + 60.0 + 180.0);
}

#[test]
fn a_point_that_comes_too_late_is_counted() {
    let mut plugin = measure(r#"{ "restate_max": "2h" }"#);
    plugin.advance(HOUR + 3 * HOUR_NS).expect("an advance");
    let late = [point(0, "jvm.cpu.recent_utilization", 0.5), point(3600, "jvm.cpu.recent_utilization", 0.5)];
    assert_eq!(plugin.process(batch(&late)).expect("a batch").counter("points_too_late"), 1);
    assert_eq!(emitted(&plugin.advance(HOUR + 3 * HOUR_NS + 1).expect("an advance")).len(), 1);
}

#[test]
fn more_instances_than_allowed_are_counted() {
    let share = |host| point(0, "jvm.cpu.recent_utilization", 0.5).of(host);
    let points = [share(&[("host.name", "a")]), share(&[("host.name", "b")]), share(&[("host.name", "c")])];
    let mut plugin = measure(r#"{ "instances_max": 2 }"#);
    assert_eq!(plugin.process(batch(&points)).expect("a batch").counter("instances_overflow"), 1);
    assert_eq!(emitted(&plugin.advance(HOUR + HOUR_NS).expect("an advance")).len(), 2);
}

#[test]
fn mistakes_name_their_key() {
    let mistake = |config: &str| Plugin::<Measure>::configure(config).expect_err("a mistake").to_string();
    let metric =
        |fields: &str| mistake(&format!(r#"{{ "metrics": [{{ "metric": "a", "resource": "b", {fields} }}] }}"#));
    assert!(metric(r#""role": "usage""#).starts_with("metrics[0].role: unknown variant `usage`, expected one of"));
    assert_eq!(
        metric(r#""role": "used", "average": "cpu""#),
        "metrics[0].average: only values of role \"ratio\" are averaged; name it in `sum`"
    );
    assert!(metric(r#""role": "used", "scale": 0"#).starts_with("metrics[0].scale: 0, but"));
    assert!(metric(r#""role": "used", "where": {"state": []}"#).starts_with("metrics[0].where.state: expected values"));
    assert!(mistake(r#"{ "known_metrics": false }"#).starts_with("metrics: none"));
    assert!(mistake(r#"{ "restate_max": "1m" }"#).starts_with("restate_max: 60 s, but it is from 5m to 7d"));
    assert!(mistake(r#"{ "restate_max": 5 }"#).contains("expected a time such as"));
    assert!(mistake(r#"{ "interval": "0s" }"#).starts_with("interval: 0 s"));
    assert!(mistake(r#"{ "instances_max": 0 }"#).starts_with("instances_max: 0"));
    assert!(mistake(r#"{ "points_bytes_max": 1 }"#).starts_with("points_bytes_max: 1"));
    assert!(mistake(r#"{ "instance_max": 1 }"#).starts_with("instance_max: unknown field"));
}

/// The plugin, made anew for each call: all that it knows is in its state.
mod reborn {
    use weir_sdk::prelude::*;

    use crate::Measure;
    use crate::config::Config;
    use crate::row::Utilization;

    pub(super) struct Reborn(Config);

    impl Processor for Reborn {
        type Config = Config;
        const SIGNALS: Signals = Signals::METRICS;
        const STATEFUL: bool = true;

        fn new(config: Config) -> Result<Self> {
            Ok(Self(config))
        }

        fn describe(&self, plugin: &mut Description) {
            plugin.emits::<Utilization>();
        }

        fn process(&mut self, metrics: &mut Batch) -> Result {
            Measure::new(self.0.clone())?.process(metrics)
        }

        fn advance(&mut self, watermark: Timestamp) -> Result {
            Measure::new(self.0.clone())?.advance(watermark)
        }
    }

    weir_sdk::plugin!(Reborn, name = "utilization");
}

/// Three hours of a host: CPU by modes, memory by states, with gaps.
fn three_hours() -> Vec<Point> {
    let mut points = Vec::new();
    for second in (0..3 * 3600).step_by(30).filter(|second| !(4000..4400).contains(second)) {
        let load = 0.3 + 0.6 * ((second as f64) / 900.0).sin().abs();
        for (mode, share) in [("user", load), ("system", 0.05), ("idle", 0.95 - load)] {
            points.push(point(second, "system.cpu.utilization", share).with("cpu.mode", mode));
        }
        points.extend(cpu_time([second].into_iter(), 0.4).into_iter().map(|point| point.of(&[("host.name", "h2")])));
        for (state, bytes) in [("used", (load * 1e9).round()), ("free", 2e9)] {
            points.push(point(second + 7, "system.memory.usage", bytes).with("system.memory.state", state).unit("By"));
        }
    }
    points
}

/// The newest row of each key, as a table has it after all that was emitted.
fn table(emitted: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let key = |row: &Value| format!("{} {} {}", row["resource"], row["instance"], row["window_start"]);
    emitted.into_iter().map(|row| (key(&row), row)).collect()
}

#[test]
fn shuffled_and_repeated_points_and_new_instances_of_the_plugin_give_the_same_table() {
    let points = three_hours();
    let mut plugin = measure("{}");
    plugin.process(batch(&points)).expect("a batch");
    let expected = table(emitted(&plugin.advance(HOUR + 3 * HOUR_NS).expect("an advance")));
    assert_eq!(expected.len(), 9);

    let seed = 0x5eed_u64;
    let mut random = seed;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % limit as u64) as usize
    };
    let mut shuffled: Vec<Point> = points.iter().chain(points.iter().step_by(3)).cloned().collect();
    for last in (1..shuffled.len()).rev() {
        shuffled.swap(last, below(last + 1));
    }
    let mut plugin = Plugin::<reborn::Reborn>::configure("{}").expect("a configuration");
    let mut rows = Vec::new();
    let batches: Vec<&[Point]> = shuffled.chunks(400).collect();
    for (number, points) in batches.iter().enumerate() {
        plugin.process(batch(points)).expect("a batch");
        // Event time runs ahead of what is still to come.
        let watermark = HOUR + 3 * HOUR_NS * (number as i64 + 1) / batches.len() as i64;
        rows.extend(emitted(&plugin.advance(watermark).expect("an advance")));
    }
    assert!(rows.len() > expected.len(), "nothing was restated");
    let found = table(rows);
    assert_eq!(found, expected, "seed {seed}");
}
