//! Spans of kind SERVER and CONSUMER: a request each.

use weir_sdk::prelude::*;

use super::{ByService, takes, touched};
use crate::codec::mix;
use crate::config::Rules;
use crate::keys::{ServiceId, Services};
use crate::slots::{Counts, Source, fixed};
use crate::store::Store;

/// The columns that are read of spans.
pub(crate) const COLUMNS: [&str; 9] = [
    "time",
    "kind",
    "status_code",
    "http_response_status_code",
    "attributes.http.response.status_code",
    "duration_ns",
    "adjusted_count",
    "trace_id",
    "span_id",
];

/// A service and a slot.
type Place = (ServiceId, i64);

/// A request, before it is known whether it is a duplicate.
#[derive(Clone, Copy)]
struct Request {
    /// Its service and slot, by their place among those of the batch.
    group: u32,
    bad: bool,
    slow: bool,
    id: Option<u64>,
    weight: u64,
}

/// HTTP status codes, from the column of their own or from the attribute, as numbers or as text.
pub(crate) enum Codes {
    Numbers(weir_sdk::I64s),
    Texts(weir_sdk::Text),
}

impl Codes {
    pub(crate) fn read(batch: &Batch<'_>) -> Result<Self> {
        const ATTRIBUTE: &str = "attributes.http.response.status_code";
        let numbers = batch.i64("http_response_status_code").or_else(|_| batch.i64(ATTRIBUTE));
        Ok(match numbers {
            Ok(numbers) => Self::Numbers(numbers),
            Err(_) => Self::Texts(batch.any_as_text(ATTRIBUTE)?),
        })
    }

    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<i64> {
        match self {
            Self::Numbers(numbers) => numbers.get(row),
            Self::Texts(texts) => texts.get(row)?.parse().ok(),
        }
    }
}

/// Whether each distinct text of a column is one of these.
fn chosen(column: &weir_sdk::Text, texts: &[&str]) -> Vec<bool> {
    (0..column.distinct_len()).map(|key| texts.contains(&column.distinct(key))).collect()
}

/// Counts the requests of a batch of spans.
pub(crate) fn spans(rules: &Rules, services: &mut Services, store: &mut Store, batch: &Batch<'_>) -> Result {
    let kind = batch.text("kind")?;
    let serving = chosen(&kind, &["SERVER", "CONSUMER"]);
    if !serving.contains(&true) {
        return Ok(());
    }
    let (groups, requests) = read(rules, services, store, batch, &kind, &serving)?;
    count_requests(rules, store, &groups, requests)
}

fn read(
    rules: &Rules,
    services: &mut Services,
    store: &Store,
    batch: &Batch<'_>,
    kind: &weir_sdk::Text,
    serving: &[bool],
) -> Result<(Vec<Place>, Vec<Request>)> {
    let (time, duration, weight) = (batch.i64("time")?, batch.i64("duration_ns")?, batch.f64("adjusted_count")?);
    let (traces, spans) = (batch.trace_ids("trace_id")?, batch.span_ids("span_id")?);
    let (status, codes) = (batch.text("status_code")?, Codes::read(batch)?);
    let failed = chosen(&status, &["ERROR"]);
    let mut by_service = ByService::new(batch)?;
    let mut latency = Latencies::default();
    let mut groups = Groups::default();
    let mut requests = Vec::with_capacity(batch.rows());
    for row in 0..batch.rows() {
        if kind.get(row).is_none() || !serving.get(kind.key(row)).copied().unwrap_or(false) {
            continue;
        }
        let place = by_service.place(row, services, rules.config.services_max)?;
        let service = by_service.service(place);
        let Some(time) = time.get(row) else { continue };
        let Some(group) = groups.of(rules, store, (place, service), time) else { continue };
        let id = spans.get(row).zip(traces.get(row)).map(|(span, trace)| id(trace, span));
        let failed = status.get(row).is_some() && failed.get(status.key(row)).copied().unwrap_or(false);
        let bad = match codes.get(row) {
            Some(400..=499) => false,
            Some(code) => failed || code >= 500,
            None => failed,
        };
        let slow = duration.get(row).is_some_and(|ns| ns > latency.of(rules, services, service));
        let weight = fixed(weight.get(row).unwrap_or(1.0));
        requests.push(Request { group, bad, slow, id, weight });
    }
    Ok((groups.all, requests))
}

fn id(trace: &[u8; 16], span: &[u8; 8]) -> u64 {
    let trace = u128::from_le_bytes(*trace);
    mix(mix((trace >> 64) as u64, trace as u64), u64::from_le_bytes(*span))
}

/// Services and slots of a batch, each with its place.
#[derive(Default)]
struct Groups {
    all: Vec<Place>,
    known: std::collections::HashMap<Place, u32>,
    /// The last slot of each service of the batch: from and to in nanoseconds, and its place.
    last: Vec<(i64, i64, Option<u32>)>,
}

impl Groups {
    #[inline]
    fn of(&mut self, rules: &Rules, store: &Store, (place, service): (usize, ServiceId), time: i64) -> Option<u32> {
        match self.last.get(place) {
            Some(&(from, to, Some(group))) if (from..to).contains(&time) => Some(group),
            _ => self.find(rules, store, (place, service), time),
        }
    }

    fn find(&mut self, rules: &Rules, store: &Store, (place, service): (usize, ServiceId), time: i64) -> Option<u32> {
        let slot = rules.slot_of(time);
        let known = self.known.get(&(service, slot)).copied();
        let group = known.or_else(|| {
            takes(rules, store, slot).then(|| {
                let group = self.all.len() as u32;
                self.all.push((service, slot));
                self.known.insert((service, slot), group);
                group
            })
        });
        if self.last.len() <= place {
            self.last.resize(place + 1, (0, 0, None));
        }
        let from = rules.time_of(slot);
        self.last[place] = (from, from.saturating_add(rules.slot_ns()), group);
        group
    }
}

/// The latency threshold of the service last asked for.
#[derive(Default)]
struct Latencies(Option<(ServiceId, i64)>);

impl Latencies {
    fn of(&mut self, rules: &Rules, services: &Services, service: ServiceId) -> i64 {
        match self.0 {
            Some((known, limit)) if known == service => limit,
            _ => {
                let limit = rules.latency_of(services.key(service)).unwrap_or(i64::MAX);
                self.0 = Some((service, limit));
                limit
            }
        }
    }
}

/// Adds requests to their slots, each once.
fn count_requests(rules: &Rules, store: &mut Store, groups: &[Place], mut requests: Vec<Request>) -> Result {
    requests.sort_unstable_by_key(|request| (request.group, request.id));
    for of_group in requests.chunk_by(|one, other| one.group == other.group) {
        let Some(&(service, slot)) = of_group.first().and_then(|request| groups.get(request.group as usize)) else {
            continue;
        };
        let known = store.ids(slot, service);
        let before = known.len();
        let (counts, unchecked, duplicates) = distinct(of_group, known, rules.config.dedup_max);
        let new = known.len() - before;
        if new > 0 {
            store.save_ids(slot, service, new)?;
        }
        weir_sdk::count("spans_duplicated", duplicates);
        weir_sdk::count("spans_unchecked", unchecked);
        if counts.rows == 0 {
            continue;
        }
        store.change(rules, service, slot, |slot| {
            slot.sources[Source::Spans as usize].add(counts);
            slot.unchecked |= unchecked > 0;
        })?;
        touched(store, service, slot)?;
    }
    Ok(())
}

/// What the requests of a slot, sorted by id, come to that are not known yet; how many could not be checked, and how
/// many were known. Their ids are known from now on.
fn distinct(requests: &[Request], known: &mut Vec<u64>, limit: usize) -> (Counts, u64, u64) {
    let (mut counts, mut unchecked, mut duplicates) = (Counts::default(), 0, 0);
    let mut add = |request: &Request| {
        let weight = |is: bool| if is { request.weight } else { 0 };
        let (bad, slow) = (weight(request.bad), weight(request.slow));
        counts.add(Counts { valid: request.weight, bad, slow, rows: 1 });
    };
    let (mut new, mut last) = (Vec::with_capacity(requests.len()), None);
    let mut place = 0;
    for request in requests {
        let Some(id) = request.id else {
            unchecked += 1;
            add(request);
            continue;
        };
        // Both are sorted: what is before the id stays before all ids that follow.
        place += known.get(place..).unwrap_or_default().iter().take_while(|known| **known < id).count();
        if known.get(place) == Some(&id) || last == Some(id) {
            duplicates += 1;
            continue;
        }
        last = Some(id);
        add(request);
        if known.len() + new.len() < limit {
            new.push(id);
        } else {
            unchecked += 1;
        }
    }
    if !new.is_empty() {
        known.append(&mut new);
        // Two sorted runs: this sort merges them.
        known.sort();
    }
    (counts, unchecked, duplicates)
}
