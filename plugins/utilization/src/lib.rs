//! How much of what there is was used, hour by hour: CPU, memory, file systems, connections. See README.md.

mod config;
mod names;
mod points;
mod row;
mod store;
mod timeline;

use std::collections::BTreeMap;

use weir_sdk::prelude::*;

use config::Config;
use names::{Columns, Looked, Rule};
use row::Utilization;
use store::{Gathered, Identity, MakeRow, Store};

/// Nanoseconds of a second.
const SECOND_NS: i64 = 1_000_000_000;
/// Nanoseconds of an hour, which is the window.
const HOUR_NS: i64 = 3600 * SECOND_NS;

/// The start of the hour that a time is in.
fn hour_of(time: i64) -> i64 {
    time.div_euclid(HOUR_NS).saturating_mul(HOUR_NS)
}

struct Measure {
    /// What each metric says, by its name.
    rules: BTreeMap<String, Vec<Rule>>,
    store: Store,
    interval_ns: i64,
}

impl Processor for Measure {
    type Config = Config;
    const SIGNALS: Signals = Signals::METRICS;
    const SUMMARY: &'static str = "how much of CPU, memory and other resources was used, hour by hour";
    const STATEFUL: bool = true;

    fn new(config: Config) -> Result<Self> {
        Error::all(config.mistakes())?;
        let mut rules: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
        for metric in config.metrics() {
            rules.entry(metric.metric.clone()).or_default().push(Rule::new(&metric));
        }
        let store = Store::new(config.instances_max, config.restate_max.ns(), config.points_bytes_max);
        Ok(Self { rules, store, interval_ns: config.interval.ns() })
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.reads(names::COLUMNS);
        plugin.reads(self.rules.values().flatten().flat_map(Rule::paths).map(str::to_owned));
        plugin.emits::<Utilization>();
    }

    fn process(&mut self, metrics: &mut Batch) -> Result {
        let name = metrics.text("name")?;
        let rules: Vec<&[Rule]> = (0..name.distinct_len())
            .map(|key| self.rules.get(name.distinct(key)).map(Vec::as_slice).unwrap_or_default())
            .collect();
        if rules.iter().all(|rules| rules.is_empty()) {
            return Ok(());
        }
        let columns = Columns::read(metrics, rules.iter().copied().flatten())?;
        let rules: Vec<Vec<Looked<'_>>> =
            rules.iter().map(|rules| rules.iter().map(|rule| columns.of(rule)).collect()).collect();
        let mut gathered: BTreeMap<Identity, Gathered> = BTreeMap::new();
        let mut refused = 0;
        for row in 0..metrics.rows() {
            let rules = if name.is_valid(row) { rules[name.key(row)].as_slice() } else { &[] };
            let mut usable = true;
            for looked in rules {
                let rule = looked.rule;
                let Some((identity, series)) = columns.series(looked, row) else { continue };
                let Some((time, value)) = columns.point(rule, row) else {
                    usable = false;
                    continue;
                };
                let found = gathered.entry(identity).or_default();
                found.add(series, time, value);
                found.unit(rule.role, columns.unit(rule, row));
            }
            refused += u64::from(!usable);
        }
        count("points_unusable", refused);
        self.store.insert(gathered, self.rows())
    }

    fn advance(&mut self, watermark: Timestamp) -> Result {
        self.store.advance(watermark.0, self.rows())
    }
}

impl Measure {
    fn rows(&self) -> impl MakeRow {
        |identity, unit, hour, series| {
            let summary = timeline::summarize(series, hour, hour.saturating_add(HOUR_NS), self.interval_ns)?;
            Some(Utilization::new(identity, unit, hour, &summary))
        }
    }
}

weir_sdk::plugin!(Measure);

#[cfg(test)]
mod tests;
