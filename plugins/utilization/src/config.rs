//! The plugin's configuration, and the metrics that it knows without one.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Visitor};
use weir_sdk::prelude::*;

use crate::SECOND_NS;
use crate::names::Role;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Metrics besides the known ones.
    pub(crate) metrics: Vec<Metric>,
    /// Whether the known ones are measured.
    pub(crate) known_metrics: bool,
    /// So many resources are followed, each an instance; what comes beyond is counted.
    pub(crate) instances_max: u64,
    /// How late a point may be and still change its hour.
    pub(crate) restate_max: Span,
    /// The interval of a series that has a single point in an hour.
    pub(crate) interval: Span,
    /// So many bytes of points are kept; beyond, the oldest hours can no longer be changed.
    pub(crate) points_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            metrics: Vec::new(),
            known_metrics: true,
            instances_max: 2000,
            restate_max: Span(26 * 3600),
            interval: Span(60),
            points_bytes_max: 40 << 20,
        }
    }
}

/// What a metric says of a resource.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metric {
    /// Its name.
    pub(crate) metric: String,
    /// The resource that it tells of, `resource` in the table.
    pub(crate) resource: String,
    /// What its values are.
    pub(crate) role: Role,
    /// Takes only points whose attribute has one of these values. A point without the attribute is taken too, but for
    /// parts.
    #[serde(default, rename = "where")]
    pub(crate) only: BTreeMap<String, Vec<String>>,
    /// Leaves out points whose attribute has one of these values.
    #[serde(default)]
    pub(crate) except: BTreeMap<String, Vec<String>>,
    /// Points that differ in these attributes add up, as do those that differ in an attribute of `where` or `except`.
    #[serde(default)]
    pub(crate) sum: Vec<String>,
    /// Points that differ in this attribute are averaged, after they were added up.
    #[serde(default)]
    pub(crate) average: Option<String>,
    /// Points that differ in these attributes are instances of their own.
    #[serde(default)]
    pub(crate) per: Vec<String>,
    /// Resource attributes that name the instance: the first that is there; `a/b` takes both or none.
    #[serde(default = "default_instance")]
    pub(crate) instance: Vec<String>,
    /// Values are multiplied by it: 0.01 for percentages.
    #[serde(default = "one")]
    pub(crate) scale: f64,
    /// Whether the values are those of a counter, so that what it grows by in a second is the level.
    #[serde(default)]
    pub(crate) counter: bool,
    /// The unit of the level, in the place of the metric's own.
    #[serde(default)]
    pub(crate) unit: Option<String>,
}

fn one() -> f64 {
    1.0
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn default_instance() -> Vec<String> {
    texts(SERVICE)
}

/// A length of time in seconds, written as `"90s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(i64);

impl Span {
    pub(crate) fn ns(self) -> i64 {
        self.0.saturating_mul(SECOND_NS)
    }

    fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        let (digits, unit) = text.split_at(end);
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        Some(Self(digits.parse::<i64>().ok()?.checked_mul(seconds)?))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as \"60s\", \"5m\" or \"26h\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Span, E> {
                Span::parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

const RESTATE_LEAST: Span = Span(300);
const RESTATE_MOST: Span = Span(7 * 86_400);
const INTERVAL_MOST: Span = Span(3600);
const BYTES_LEAST: u64 = 1 << 20;

impl Config {
    /// The metrics that are measured.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let known = if self.known_metrics { known() } else { Vec::new() };
        known.into_iter().chain(self.metrics.iter().cloned()).collect()
    }

    /// The mistakes that the types do not show.
    pub(crate) fn mistakes(&self) -> Vec<Error> {
        let mut mistakes = Vec::new();
        let mut mistake = |key: String, message: String| mistakes.push(Error::at(key, message));
        for (index, metric) in self.metrics.iter().enumerate() {
            let at = |field: &str| format!("metrics[{index}].{field}");
            for (field, text) in [("metric", &metric.metric), ("resource", &metric.resource)] {
                if text.is_empty() {
                    mistake(at(field), "expected a name, got \"\"".to_owned());
                }
            }
            if !(metric.scale > 0.0 && metric.scale.is_finite()) {
                mistake(at("scale"), format!("{}, but values are multiplied by a number above 0", metric.scale));
            }
            for (field, values) in [("where", &metric.only), ("except", &metric.except)] {
                for (attribute, _) in values.iter().filter(|(_, values)| values.is_empty()) {
                    mistake(at(&format!("{field}.{attribute}")), "expected values, got none".to_owned());
                }
            }
            if metric.average.is_some() && metric.role != Role::Ratio {
                mistake(at("average"), "only values of role \"ratio\" are averaged; name it in `sum`".to_owned());
            }
        }
        if self.metrics.is_empty() && !self.known_metrics {
            mistake("metrics".to_owned(), "none, and `known_metrics` is false: nothing would be measured".to_owned());
        }
        if self.instances_max == 0 {
            mistake("instances_max".to_owned(), "0, but at least 1 is needed to measure anything".to_owned());
        }
        if !(RESTATE_LEAST..=RESTATE_MOST).contains(&self.restate_max) {
            mistake("restate_max".to_owned(), format!("{} s, but it is from 5m to 7d", self.restate_max.0));
        }
        if self.interval < Span(1) || self.interval > INTERVAL_MOST {
            mistake("interval".to_owned(), format!("{} s, but it is from 1s to 1h", self.interval.0));
        }
        if self.points_bytes_max < BYTES_LEAST {
            mistake(
                "points_bytes_max".to_owned(),
                format!("{}, but it is at least {BYTES_LEAST}", self.points_bytes_max),
            );
        }
        mistakes
    }
}

const HOST: &[&str] = &["host.name", "host.id", "k8s.node.name", "service.instance.id"];
const SERVICE: &[&str] =
    &["service.instance.id", "k8s.pod.name", "container.name", "container.id", "host.name/process.pid", "host.name"];
const CONTAINER: &[&str] = &[
    "k8s.namespace.name/k8s.pod.name/k8s.container.name",
    "k8s.pod.name/k8s.container.name",
    "container.name",
    "container.id",
];
const POD: &[&str] = &["k8s.namespace.name/k8s.pod.name", "k8s.pod.name", "k8s.pod.uid"];
const NODE: &[&str] = &["k8s.node.name", "k8s.node.uid"];

// The names of attributes as they are and as they were: whichever a point has.
const CPU_MODE: &str = "cpu.mode|system.cpu.state|process.cpu.state|state";
// A CPU that waits for input and output is free for others.
const WAITING: &[&str] = &["idle", "iowait"];
const CPU_NUMBER: &str = "cpu.logical_number|system.cpu.logical_number|cpu";
const MEMORY_STATE: &str = "system.memory.state|state";
const PAGING_STATE: &str = "system.paging.state|state";
const FILESYSTEM_STATE: &str = "system.filesystem.state|state";
const DEVICE: &str = "system.device|device";
const MOUNT: &str = "system.filesystem.mountpoint|mountpoint|system.device|device";
const POOL: &str = "db.client.connection.pool.name|db.client.connections.pool.name|pool.name";
const POOL_STATE: &str = "db.client.connection.state|db.client.connections.state|state";

/// A known metric, being written down.
fn metric(metric: &str, resource: &str, role: Role, instance: &[&str]) -> Metric {
    Metric {
        metric: metric.to_owned(),
        resource: resource.to_owned(),
        role,
        only: BTreeMap::new(),
        except: BTreeMap::new(),
        sum: Vec::new(),
        average: None,
        per: Vec::new(),
        instance: texts(instance),
        scale: 1.0,
        counter: false,
        unit: None,
    }
}

impl Metric {
    fn only(mut self, attribute: &str, values: &[&str]) -> Self {
        self.only.insert(attribute.to_owned(), texts(values));
        self
    }

    fn except(mut self, attribute: &str, values: &[&str]) -> Self {
        self.except.insert(attribute.to_owned(), texts(values));
        self
    }

    fn sum(mut self, attribute: &str) -> Self {
        self.sum.push(attribute.to_owned());
        self
    }

    fn average(mut self, attribute: &str) -> Self {
        self.average = Some(attribute.to_owned());
        self
    }

    fn per(mut self, attribute: &str) -> Self {
        self.per.push(attribute.to_owned());
        self
    }

    fn percent(mut self) -> Self {
        self.scale = 0.01;
        self
    }

    /// Seconds of CPU time: what they grow by in a second are CPUs.
    fn cpu_time(mut self) -> Self {
        self.counter = true;
        self.unit = Some("{cpu}".to_owned());
        self
    }
}

/// The metrics of OpenTelemetry's semantic conventions and of the collector's receivers (hostmetrics, kubeletstats,
/// k8s_cluster, docker_stats, podman) that tell how much is used of how much.
fn known() -> Vec<Metric> {
    use Role::{Limit, Part, Ratio, Used};
    let used = &["used"][..];
    let mut all = vec![
        metric("system.cpu.utilization", "system.cpu", Ratio, HOST).except(CPU_MODE, WAITING).average(CPU_NUMBER),
        metric("system.cpu.time", "system.cpu", Used, HOST).except(CPU_MODE, WAITING).sum(CPU_NUMBER).cpu_time(),
        metric("system.cpu.time", "system.cpu", Part, HOST).sum(CPU_MODE).sum(CPU_NUMBER).cpu_time(),
        metric("system.memory.usage", "system.memory", Used, HOST).only(MEMORY_STATE, used),
        // Slabs, which some senders tell too, are among these.
        metric("system.memory.usage", "system.memory", Part, HOST)
            .only(MEMORY_STATE, &["used", "free", "cached", "buffers", "buffered"]),
        metric("system.memory.limit", "system.memory", Limit, HOST),
        metric("system.memory.utilization", "system.memory", Ratio, HOST).only(MEMORY_STATE, used),
        metric("system.paging.usage", "system.paging", Used, HOST).only(PAGING_STATE, used).per(DEVICE),
        metric("system.paging.usage", "system.paging", Part, HOST)
            .only(PAGING_STATE, &["used", "free", "cached"])
            .per(DEVICE),
        metric("system.paging.utilization", "system.paging", Ratio, HOST).only(PAGING_STATE, used).per(DEVICE),
        metric("system.filesystem.usage", "system.filesystem", Used, HOST).only(FILESYSTEM_STATE, used).per(MOUNT),
        metric("system.filesystem.usage", "system.filesystem", Part, HOST)
            .only(FILESYSTEM_STATE, &["used", "free", "reserved"])
            .per(MOUNT),
        metric("system.filesystem.limit", "system.filesystem", Limit, HOST).per(MOUNT),
        metric("system.filesystem.utilization", "system.filesystem", Ratio, HOST)
            .only(FILESYSTEM_STATE, used)
            .per(MOUNT),
        metric("container.cpu.usage", "container.cpu", Used, CONTAINER).sum("cpu.mode"),
        metric("container.memory.usage", "container.memory", Used, CONTAINER),
        // Of docker_stats and podman.
        metric("container.memory.usage.total", "container.memory", Used, CONTAINER),
        metric("container.memory.usage.limit", "container.memory", Limit, CONTAINER),
        metric("container.memory.percent", "container.memory", Ratio, CONTAINER).percent(),
        metric("container.cpu.limit", "container.cpu", Limit, CONTAINER),
        metric("k8s.container.cpu_limit_utilization", "container.cpu", Ratio, CONTAINER),
        metric("k8s.container.cpu.limit.utilization", "container.cpu", Ratio, CONTAINER),
        metric("k8s.container.memory_limit_utilization", "container.memory", Ratio, CONTAINER),
        metric("k8s.pod.cpu_limit_utilization", "k8s.pod.cpu", Ratio, POD),
        metric("k8s.pod.memory_limit_utilization", "k8s.pod.memory", Ratio, POD),
        metric("k8s.node.cpu.usage", "k8s.node.cpu", Used, NODE),
        metric("k8s.node.memory.working_set", "k8s.node.memory", Used, NODE),
        // What is available is the capacity without the working set.
        metric("k8s.node.memory.working_set", "k8s.node.memory", Part, NODE),
        metric("k8s.node.memory.available", "k8s.node.memory", Part, NODE),
        metric("k8s.pod.volume.usage", "k8s.pod.volume", Used, POD).per("k8s.volume.name"),
        metric("k8s.pod.volume.capacity", "k8s.pod.volume", Limit, POD).per("k8s.volume.name"),
        metric("process.cpu.utilization", "process.cpu", Ratio, PROCESS).except(CPU_MODE, &["wait", "idle", "iowait"]),
        metric("jvm.cpu.recent_utilization", "jvm.cpu", Ratio, SERVICE),
        metric("jvm.memory.used", "jvm.memory", Used, SERVICE)
            .only("jvm.memory.type", &["heap"])
            .sum("jvm.memory.pool.name"),
        metric("jvm.memory.limit", "jvm.memory", Limit, SERVICE)
            .only("jvm.memory.type", &["heap"])
            .sum("jvm.memory.pool.name"),
    ];
    for limit in ["k8s.container.cpu_limit", "k8s.container.cpu.limit"] {
        all.push(metric(limit, "container.cpu", Limit, CONTAINER));
    }
    for limit in ["k8s.container.memory_limit", "k8s.container.memory.limit"] {
        all.push(metric(limit, "container.memory", Limit, CONTAINER));
    }
    for limit in ["k8s.node.allocatable_cpu", "k8s.node.allocatable.cpu", "k8s.node.cpu.allocatable"] {
        all.push(metric(limit, "k8s.node.cpu", Limit, NODE));
    }
    for limit in ["k8s.node.allocatable_memory", "k8s.node.allocatable.memory", "k8s.node.memory.allocatable"] {
        all.push(metric(limit, "k8s.node.memory", Limit, NODE));
    }
    for (place, instance) in [("container", CONTAINER), ("k8s.pod", POD), ("k8s.node", NODE)] {
        let resource = format!("{place}.filesystem");
        all.push(metric(&format!("{resource}.usage"), &resource, Used, instance));
        all.push(metric(&format!("{resource}.capacity"), &resource, Limit, instance));
    }
    for (count, max) in [
        ("db.client.connection.count", "db.client.connection.max"),
        ("db.client.connections.usage", "db.client.connections.max"),
    ] {
        all.push(metric(count, "db.client.connection", Used, SERVICE).only(POOL_STATE, used).per(POOL));
        all.push(metric(max, "db.client.connection", Limit, SERVICE).per(POOL));
    }
    all
}

const PROCESS: &[&str] = &["service.instance.id", "host.name/process.pid", "process.pid", "host.name"];
