//! Spans of kind SERVER and CONSUMER: a request each.

use std::collections::HashMap;

use weir_sdk::prelude::*;

use super::{ByService, takes, touched};
use crate::codec::{Mixed, mix};
use crate::config::Rules;
use crate::failures::Failed;
use crate::ids::Seen;
use crate::keys::{ServiceId, Services};
use crate::slots::{Counts, ONE, Source, fixed};
use crate::store::Store;

/// The columns that are read of spans.
pub(crate) const COLUMNS: [&str; 10] = [
    "time",
    "kind",
    "status_code",
    "http_response_status_code",
    "attributes.http.response.status_code",
    "duration_ns",
    "adjusted_count",
    "trace_id",
    "span_id",
    ERROR_TYPE,
];

/// What a request failed of.
pub(crate) const ERROR_TYPE: &str = "attributes.error.type";

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

/// The columns of a batch that say what a request was.
struct Columns {
    time: weir_sdk::I64s,
    /// Read only where there is a threshold.
    duration: Option<weir_sdk::I64s>,
    weight: weir_sdk::F64s,
    traces: weir_sdk::Fixed<16>,
    spans: weir_sdk::Fixed<8>,
    status: weir_sdk::Text,
    failed: Vec<bool>,
    codes: Codes,
}

impl Columns {
    fn read(rules: &Rules, batch: &Batch<'_>) -> Result<Self> {
        let status = batch.text("status_code")?;
        Ok(Self {
            time: batch.i64("time")?,
            duration: if rules.config.latency_ms.is_empty() { None } else { Some(batch.i64("duration_ns")?) },
            weight: batch.f64("adjusted_count")?,
            traces: batch.trace_ids("trace_id")?,
            spans: batch.span_ids("span_id")?,
            failed: chosen(&status, &["ERROR"]),
            status,
            codes: Codes::read(batch)?,
        })
    }

    #[inline]
    fn id(&self, row: usize) -> Option<u64> {
        let (trace, span) = (u128::from_le_bytes(*self.traces.get(row)?), u64::from_le_bytes(*self.spans.get(row)?));
        Some(mix(mix((trace >> 64) as u64, trace as u64), span))
    }

    #[inline]
    fn is_bad(&self, row: usize) -> bool {
        let code = self.codes.get(row);
        match code {
            Some(400..=499) => false,
            Some(code) if code >= 500 => true,
            _ => self.status.is_valid(row) && self.failed.get(self.status.key(row)).copied().unwrap_or(false),
        }
    }

    /// What a request adds that takes longer than `limit` if it is slow.
    #[inline]
    fn counts(&self, row: usize, limit: i64) -> Counts {
        // Nearly all stand for one.
        let valid = match self.weight.get(row) {
            None | Some(1.0) => ONE,
            Some(weight) => fixed(weight),
        };
        let slow = self.duration.as_ref().and_then(|duration| duration.get(row)).is_some_and(|ns| ns > limit);
        let part = |is: bool| if is { valid } else { 0 };
        Counts { valid, bad: part(self.is_bad(row)), slow: part(slow), rows: 1 }
    }
}

/// Counts the requests of a batch of spans, each once.
pub(crate) fn spans(rules: &Rules, services: &mut Services, store: &mut Store, batch: &Batch<'_>) -> Result {
    let kind = batch.text("kind")?;
    let serving = chosen(&kind, &["SERVER", "CONSUMER"]);
    if !serving.contains(&true) {
        return Ok(());
    }
    let columns = Columns::read(rules, batch)?;
    let mut by_service = ByService::new(batch)?;
    let mut groups = Groups::default();
    let (mut errors, mut failed) = (None, Failed::default());
    let mut duplicates = 0;
    for row in 0..batch.rows() {
        if !kind.is_valid(row) || !serving.get(kind.key(row)).copied().unwrap_or(false) {
            continue;
        }
        let place = by_service.place(row, services, rules.config.services_max)?;
        let Some(time) = columns.time.get(row) else { continue };
        let service = by_service.service(place);
        let Some(group) = groups.of(rules, services, store, (place, service), time)? else { continue };
        let seen = columns.id(row).map_or(Seen::Unchecked, |id| {
            let room = (group.known as usize) < rules.config.dedup_max;
            store.ids.see(group.ids, service, id, room)
        });
        match seen {
            Seen::Known => {
                duplicates += 1;
                continue;
            }
            Seen::New => group.known += 1,
            Seen::Unchecked => group.unchecked += 1,
        }
        let counts = columns.counts(row, group.latency);
        group.counts.add(counts);
        if counts.bad > 0 {
            // Most batches have none.
            let errors = match &errors {
                Some(errors) => errors,
                None => errors.insert(batch.any_as_text(ERROR_TYPE)?),
            };
            if let Some(name) = errors.get(row).and_then(|error| failed.name(error)) {
                failed.add(service, group.slot, Source::Spans, name, counts.bad.cast_signed());
            }
        }
    }
    let mut unchecked = 0;
    for group in groups.all.iter().filter(|group| group.counts.rows > 0) {
        unchecked += group.unchecked;
        store.change(rules, group.service, group.slot, |slot| {
            slot.sources[Source::Spans as usize].add(group.counts);
            slot.unchecked |= group.unchecked > 0;
        })?;
        touched(store, group.service, group.slot)?;
    }
    failed.apply(rules, store)?;
    count("spans_duplicated", duplicates);
    count("spans_unchecked", unchecked);
    Ok(())
}

/// A service and slot of the batch, and what was counted of them.
struct Group {
    service: ServiceId,
    slot: i64,
    /// Where the ids of the slot are, and how many are known of the service.
    ids: usize,
    known: u32,
    /// Beyond so many nanoseconds a request is slow.
    latency: i64,
    counts: Counts,
    unchecked: u64,
}

/// Services and slots of a batch, each with its place.
#[derive(Default)]
struct Groups {
    all: Vec<Group>,
    known: HashMap<(ServiceId, i64), u32, Mixed>,
    /// The last slot of each service of the batch: from and to in nanoseconds, and its place.
    last: Vec<(i64, i64, u32)>,
}

impl Groups {
    #[inline]
    fn of(
        &mut self,
        rules: &Rules,
        services: &Services,
        store: &mut Store,
        (place, service): (usize, ServiceId),
        time: i64,
    ) -> Result<Option<&mut Group>> {
        let group = match self.last.get(place) {
            Some(&(from, to, group)) if (from..to).contains(&time) => Some(group),
            _ => self.find(rules, services, store, (place, service), time)?,
        };
        Ok(group.and_then(|group| self.all.get_mut(group as usize)))
    }

    fn find(
        &mut self,
        rules: &Rules,
        services: &Services,
        store: &mut Store,
        (place, service): (usize, ServiceId),
        time: i64,
    ) -> Result<Option<u32>> {
        let slot = rules.slot_of(time);
        let group = match self.known.get(&(service, slot)) {
            Some(&group) => group,
            None if !takes(rules, store, slot) => return Ok(None),
            None => {
                let ids = store.ids.place(slot)?;
                self.all.push(Group {
                    service,
                    slot,
                    ids,
                    known: store.ids.known(ids, service),
                    latency: rules.latency_of(services.key(service)).unwrap_or(i64::MAX),
                    counts: Counts::default(),
                    unchecked: 0,
                });
                let group = self.all.len() as u32 - 1;
                self.known.insert((service, slot), group);
                group
            }
        };
        if self.last.len() <= place {
            self.last.resize(place + 1, (0, 0, 0));
        }
        let from = rules.time_of(slot);
        self.last[place] = (from, from.saturating_add(rules.slot_ns()), group);
        Ok(Some(group))
    }
}
