//! From a data point to the resource and the series that it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use weir_sdk::prelude::*;
use weir_sdk::{Bools, F64s, I64s, Text};

use crate::config::Metric;
use crate::store::Identity;

/// What the values of a metric are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// How much is used.
    Used,
    /// How much there is.
    Limit,
    /// A part of how much there is: where no limit is told, it is the sum of its parts.
    Part,
    /// The share that is used.
    Ratio,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Used, Self::Limit, Self::Part, Self::Ratio];
}

/// The columns of every point that are read, besides attributes.
pub(crate) const COLUMNS: [&str; 11] = [
    "time",
    "name",
    "unit",
    "kind",
    "temporality",
    "monotonic",
    "value_double",
    "value_int",
    "no_recorded_value",
    "service_name",
    "environment",
];

/// An attribute, by the names that it has had: the first that a point has.
type Paths = Vec<String>;

/// What a metric says, ready to be looked up.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) role: Role,
    metric: String,
    resource: String,
    scale: f64,
    pub(crate) counter: bool,
    unit: Option<String>,
    only: Vec<(Paths, Vec<String>)>,
    except: Vec<(Paths, Vec<String>)>,
    average: Option<Paths>,
    sum: Vec<Paths>,
    per: Vec<Paths>,
    /// Ways to name the instance; each needs all of its attributes.
    instance: Vec<Paths>,
}

fn attribute(names: &str) -> Paths {
    names.split('|').map(|name| format!("attributes.{name}")).collect()
}

impl Rule {
    pub(crate) fn new(metric: &Metric) -> Self {
        let values = |values: &BTreeMap<String, Vec<String>>| {
            values.iter().map(|(names, values)| (attribute(names), values.clone())).collect()
        };
        let summed = metric.only.keys().chain(metric.except.keys()).chain(&metric.sum);
        let resource = |names: &String| names.split('/').map(|name| format!("resource.{name}")).collect();
        Self {
            role: metric.role,
            metric: metric.metric.clone(),
            resource: metric.resource.clone(),
            scale: metric.scale,
            counter: metric.counter,
            unit: metric.unit.clone(),
            only: values(&metric.only),
            except: values(&metric.except),
            average: metric.average.as_deref().map(attribute),
            sum: summed.map(|names| attribute(names)).collect(),
            per: metric.per.iter().map(|names| attribute(names)).collect(),
            instance: metric.instance.iter().map(resource).collect(),
        }
    }

    /// The paths of all attributes that it reads.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        let filters = self.only.iter().chain(&self.except).map(|(paths, _)| paths);
        let paths = filters.chain(&self.average).chain(&self.sum).chain(&self.per).chain(&self.instance);
        paths.flatten().map(String::as_str)
    }
}

/// The series of a resource: what it is, and which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeriesName {
    pub(crate) role: Role,
    /// Whether the values are those of a counter.
    pub(crate) counter: bool,
    pub(crate) group: String,
    pub(crate) parts: String,
}

/// Stands between the pieces of a name, where no attribute has it.
const SEPARATOR: char = '\u{1f}';
const COUNTER: &str = "c";

impl SeriesName {
    /// As the key of a map that is stored as JSON.
    pub(crate) fn to_key(&self) -> String {
        let counter = if self.counter { COUNTER } else { "" };
        format!("{}{counter}{SEPARATOR}{}{SEPARATOR}{}", self.role as usize, self.group, self.parts)
    }

    /// The role, whether it is a counter, and the group.
    pub(crate) fn of_key(key: &str) -> Option<(Role, bool, &str)> {
        let mut pieces = key.splitn(3, SEPARATOR);
        let first = pieces.next()?;
        let role = first.trim_end_matches(COUNTER);
        Some((*Role::ALL.get(role.parse::<usize>().ok()?)?, role != first, pieces.next()?))
    }
}

/// The columns of a batch.
pub(crate) struct Columns {
    time: I64s,
    kind: Text,
    temporality: Text,
    monotonic: Bools,
    value_double: F64s,
    value_int: I64s,
    no_recorded_value: Bools,
    unit: Text,
    service_name: Text,
    environment: Text,
    attributes: BTreeMap<String, Text>,
}

impl Columns {
    /// Reads what these rules need.
    pub(crate) fn read<'r>(metrics: &Batch, rules: impl Iterator<Item = &'r Rule>) -> Result<Self> {
        let paths: BTreeSet<&str> = rules.flat_map(Rule::paths).collect();
        // Senders disagree on types: the number of a CPU is an integer or text.
        let attributes = paths.into_iter().map(|path| Ok((path.to_owned(), metrics.any_as_text(path)?)));
        Ok(Self {
            time: metrics.i64("time")?,
            kind: metrics.text("kind")?,
            temporality: metrics.text("temporality")?,
            monotonic: metrics.bool("monotonic")?,
            value_double: metrics.f64("value_double")?,
            value_int: metrics.i64("value_int")?,
            no_recorded_value: metrics.bool("no_recorded_value")?,
            unit: metrics.text("unit")?,
            service_name: metrics.text("service_name")?,
            environment: metrics.text("environment")?,
            attributes: attributes.collect::<Result<_>>()?,
        })
    }

    /// A rule with the columns that it looks at.
    pub(crate) fn of<'a>(&'a self, rule: &'a Rule) -> Looked<'a> {
        let texts = |paths: &'a Paths| paths.iter().filter_map(|path| self.attributes.get(path)).collect::<Vec<_>>();
        let filters = |filters: &'a [(Paths, Vec<String>)]| {
            filters.iter().map(|(paths, values)| (texts(paths), values.as_slice())).collect()
        };
        Looked {
            rule,
            only: filters(&rule.only),
            except: filters(&rule.except),
            average: rule.average.as_ref().map(texts),
            sum: rule.sum.iter().map(texts).collect(),
            per: rule.per.iter().map(texts).collect(),
            instance: rule.instance.iter().map(texts).collect(),
        }
    }

    /// The unit of a row's level; none where the sender did not say.
    pub(crate) fn unit<'a>(&'a self, rule: &'a Rule, row: usize) -> Option<&'a str> {
        rule.unit.as_deref().or_else(|| self.unit.get(row)).filter(|unit| !unit.is_empty())
    }

    /// The resource and the series of a row; none where the rule is not about this point.
    pub(crate) fn series(&self, looked: &Looked<'_>, row: usize) -> Option<(Identity, SeriesName)> {
        let rule = looked.rule;
        let has = |(paths, values): &(Vec<&Text>, &[String])| {
            attribute_of(paths, row).map(|found| values.iter().any(|value| value == found))
        };
        let wanted = looked.only.iter().all(|filter| has(filter).unwrap_or(rule.role != Role::Part));
        if !wanted || looked.except.iter().any(|filter| has(filter) == Some(true)) {
            return None;
        }
        let mut parts = String::new();
        for paths in &looked.sum {
            parts.push_str(attribute_of(paths, row).unwrap_or_default());
            parts.push(SEPARATOR);
        }
        // Two metrics that tell a limit tell the same; two that tell parts of it tell different ones.
        if rule.role == Role::Part {
            parts.push_str(&rule.metric);
        }
        let group = looked.average.as_ref().and_then(|paths| attribute_of(paths, row)).unwrap_or_default();
        let name = SeriesName { role: rule.role, counter: rule.counter, group: group.replace(SEPARATOR, " "), parts };
        let mut instance = looked.instance.iter().find_map(|way| joined(way, row)).unwrap_or_default();
        for part in looked.per.iter().filter_map(|paths| attribute_of(paths, row)) {
            instance.push(':');
            instance.push_str(part);
        }
        let identity = Identity {
            environment: self.environment.get(row).unwrap_or_default().to_owned(),
            service_name: self.service_name.get(row).unwrap_or_default().to_owned(),
            resource: rule.resource.clone(),
            instance,
        };
        Some((identity, name))
    }

    /// Time and value of a row; none where it says nothing of a level: a counter that is not expected, or none that is,
    /// a change, a histogram, no number, less than nothing.
    pub(crate) fn point(&self, rule: &Rule, row: usize) -> Option<(i64, f64)> {
        let fits = match self.kind.get(row)? {
            "gauge" => !rule.counter,
            "sum" => self.monotonic.is_true(row) == rule.counter && !self.temporality.is(row, "delta"),
            _ => false,
        };
        if !fits || self.no_recorded_value.is_true(row) {
            return None;
        }
        let value = self.value_double.get(row).or_else(|| self.value_int.get(row).map(|value| value as f64))?;
        // Zero has one sign only, or two equal rows would differ.
        let value = value * rule.scale + 0.0;
        // A JVM tells -1 where there is no limit.
        let usable =
            value.is_finite() && if rule.role == Role::Limit && !rule.counter { value > 0.0 } else { value >= 0.0 };
        Some((self.time.get(row)?, value)).filter(|_| usable)
    }
}

/// A rule with the columns of a batch that it looks at: a list for each attribute, of the names that it has had.
pub(crate) struct Looked<'a> {
    pub(crate) rule: &'a Rule,
    only: Vec<(Vec<&'a Text>, &'a [String])>,
    except: Vec<(Vec<&'a Text>, &'a [String])>,
    average: Option<Vec<&'a Text>>,
    sum: Vec<Vec<&'a Text>>,
    per: Vec<Vec<&'a Text>>,
    instance: Vec<Vec<&'a Text>>,
}

fn attribute_of<'a>(texts: &[&'a Text], row: usize) -> Option<&'a str> {
    texts.iter().find_map(|text| text.get(row))
}

/// The attributes with slashes between; none where one is missing.
fn joined(texts: &[&Text], row: usize) -> Option<String> {
    let mut joined = String::new();
    for text in texts {
        if !joined.is_empty() {
            joined.push('/');
        }
        joined.push_str(text.get(row).filter(|text| !text.is_empty())?);
    }
    Some(joined)
}
