//! Histograms of the durations of requests: what a data point counts, and over which slots.

use std::collections::{BTreeMap, HashMap};

use weir_sdk::prelude::*;

use super::latency::{Latency, REQUESTS_MAX};
use super::spans::{Codes, ERROR_TYPE};
use super::{ByService, takes, touched};
use crate::codec::{mix, mix_text};
use crate::config::Rules;
use crate::failures::Failed;
use crate::keys::{ServiceId, Services};
use crate::points::{Point, Series, Temporality, Told, insert};
use crate::slots::{Counts, ONE, Source};
use crate::store::Store;

/// The columns that are read of data points.
pub(crate) const COLUMNS: [&str; 15] = [
    "name",
    "kind",
    "temporality",
    "start_time",
    "time",
    "count",
    "attributes",
    "service_instance_id",
    "resource_attributes",
    "scope_name",
    "scope_version",
    "no_recorded_value",
    ERROR_TYPE,
    "attributes.rpc.grpc.status_code",
    "http_response_status_code",
];

/// Histograms that say how long servers took, and which source each belongs to. The older of two HTTP conventions is
/// apart, since a service that is being moved from one to the other sends both.
const NAMES: [(&str, Source); 4] = [
    ("http.server.request.duration", Source::Metrics),
    ("rpc.server.call.duration", Source::Metrics),
    ("rpc.server.duration", Source::Metrics),
    ("http.server.duration", Source::Legacy),
];

/// gRPC codes that are the server's fault, as the conventions say: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
/// UNAVAILABLE and DATA_LOSS.
const GRPC_FAULTS: [i64; 6] = [2, 4, 12, 13, 14, 15];

fn source_of(name: &str) -> Option<Source> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
}

/// The columns of a batch that tell series apart and what their requests were.
struct Columns {
    attributes: weir_sdk::Text,
    instance: weir_sdk::Text,
    /// Read only where an instance does not say which one it is: it is much text.
    resource: Option<weir_sdk::Text>,
    scope: [weir_sdk::Text; 2],
    codes: Codes,
    error: weir_sdk::Text,
    grpc: weir_sdk::Text,
}

impl Columns {
    fn read(batch: &Batch<'_>, rows: &[usize]) -> Result<Self> {
        let instance = batch.text("service_instance_id")?;
        let nameless = rows.iter().any(|&row| instance.get(row).is_none());
        Ok(Self {
            attributes: batch.text("attributes")?,
            resource: if nameless { Some(batch.text("resource_attributes")?) } else { None },
            instance,
            scope: [batch.text("scope_name")?, batch.text("scope_version")?],
            codes: Codes::read(batch)?,
            error: batch.any_as_text(ERROR_TYPE)?,
            grpc: batch.any_as_text("attributes.rpc.grpc.status_code")?,
        })
    }

    /// The hash of what tells the row's series from others of its service.
    fn series(&self, row: usize, name: &str) -> u64 {
        let text = |hash, column: &weir_sdk::Text| mix_text(hash, column.get(row).unwrap_or_default());
        let mut hash = text(mix_text(0, name), &self.attributes);
        hash = match (self.instance.get(row), &self.resource) {
            (None, Some(resource)) => text(hash, resource),
            _ => text(hash, &self.instance),
        };
        self.scope.iter().fold(hash, text)
    }

    fn is_bad(&self, row: usize) -> bool {
        if let Some(code) = self.codes.get(row) {
            return code >= 500;
        }
        match self.grpc.get(row).and_then(|code| code.parse().ok()) {
            Some(code) => GRPC_FAULTS.contains(&code),
            None => self.error.get(row).is_some_and(|error| !error.is_empty()),
        }
    }
}

/// Counts the requests of a batch of data points.
pub(crate) fn metrics(rules: &Rules, services: &mut Services, store: &mut Store, batch: &Batch<'_>) -> Result {
    let (name, kind) = (batch.text("name")?, batch.text("kind")?);
    let sources: Vec<_> = (0..name.distinct_len()).map(|key| source_of(name.distinct(key))).collect();
    let source = |row| name.get(row).and_then(|_| sources.get(name.key(row)).copied().flatten());
    let counts = |row| kind.is(row, "histogram") || kind.is(row, "exponential_histogram");
    let rows: Vec<usize> = (0..batch.rows()).filter(|&row| source(row).is_some() && counts(row)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let columns = Columns::read(batch, &rows)?;
    let (time, start, requests) = (batch.i64("time")?, batch.i64("start_time")?, batch.u64("count")?);
    let (temporality, unrecorded) = (batch.text("temporality")?, batch.bool("no_recorded_value")?);
    let mut by_service = ByService::new(batch)?;
    let mut latency = Latency::default();
    let mut changes = Changes::default();
    let mut series: BTreeMap<(u64, i64), (Series, Vec<Point>)> = BTreeMap::new();
    for row in rows {
        let (Some(time), Some(source), false) = (time.get(row), source(row), unrecorded.is_true(row)) else { continue };
        // The interval of a point ends with its time, which lies in the next slot where slots meet.
        if !takes(rules, store, rules.slot_of(time.saturating_sub(1))) {
            continue;
        }
        let service = by_service.of(row, services, rules.config.services_max)?;
        let temporality = match temporality.get(row) {
            Some("delta") => Temporality::Delta,
            Some("cumulative") => Temporality::Cumulative,
            _ => continue,
        };
        let bad = columns.is_bad(row);
        let hash = mix(columns.series(row, name.get(row).unwrap_or_default()), u64::from(service));
        let hash = mix(hash, temporality as u64);
        let failure = columns.error.get(row).filter(|_| bad).and_then(|error| changes.failed.name(error));
        let of = Series { hash, service, source, bad, failure, temporality };
        let slow = match rules.latency_of(services.key(service)) {
            Some(over_ns) => latency.slow(batch, row, over_ns, temporality)?,
            None => None,
        };
        let start = start.get(row).filter(|start| *start < time);
        let point = Point { time, start, count: requests.get(row).unwrap_or(0), slow };
        let entry = series.entry((hash, Point::block(time))).or_insert_with(|| (of, Vec::new()));
        entry.1.push(point);
    }
    for (series, points) in series.into_values() {
        insert(rules, store, &series, points, &mut changes)?;
    }
    changes.apply(rules, store)
}

/// What is added to slots and taken from them.
#[derive(Default)]
pub(crate) struct Changes {
    counts: HashMap<(ServiceId, i64, u8), Counts>,
    failed: Failed,
}

impl Changes {
    /// Requests between two times, and the slow ones among them, spread evenly; or the same taken away.
    pub(crate) fn spread(&mut self, rules: &Rules, series: &Series, (from, to): (i64, i64), told: &Told, add: bool) {
        let length = i128::from(to.saturating_sub(from).max(1));
        let requests = i128::from(told.count.min(REQUESTS_MAX)) * i128::from(ONE);
        let until = |time: i64| (requests * (i128::from(time.clamp(from, to)) - i128::from(from)) / length) as u64;
        let (first, last) = (rules.slot_of(from), rules.slot_of(to.saturating_sub(1)).max(rules.slot_of(from)));
        for slot in first..=last {
            let valid = match slot == last {
                true => requests as u64 - until(rules.time_of(slot)),
                false => until(rules.time_of(slot + 1)) - until(rules.time_of(slot)),
            };
            let bad = if series.bad { valid } else { 0 };
            // Rounded down in each slot: half of the requests of a point are not more than half in any.
            let slow = u128::from(valid) * u128::from(told.slow) / requests.max(1).unsigned_abs();
            let slow = valid.min(u64::try_from(slow).unwrap_or(u64::MAX));
            let counts = Counts { valid, bad, slow, rows: 1 };
            let sum = self.counts.entry((series.service, slot, series.source as u8)).or_default();
            if add {
                sum.add(counts)
            } else {
                sum.sub(counts)
            }
            if let Some(name) = series.failure.filter(|_| bad > 0) {
                let bad = if add { bad.cast_signed() } else { bad.cast_signed().wrapping_neg() };
                self.failed.add(series.service, slot, series.source, name, bad);
            }
        }
    }

    fn apply(self, rules: &Rules, store: &mut Store) -> Result {
        let mut changes: Vec<_> = self.counts.into_iter().filter(|(_, counts)| *counts != Counts::default()).collect();
        changes.sort_unstable_by_key(|(at, _)| *at);
        for ((service, slot, source), counts) in changes {
            store.change(rules, service, slot, |slot| {
                if let Some(known) = slot.sources.get_mut(source as usize) {
                    known.add(counts);
                }
            })?;
            touched(store, service, slot)?;
        }
        self.failed.apply(rules, store)
    }
}
