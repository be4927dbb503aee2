//! Spans of kind SERVER and CONSUMER: a request each.

use weir_sdk::prelude::*;

use super::{ByService, takes, touched};
use crate::codec::mix;
use crate::config::Rules;
use crate::failures::Failed;
use crate::ids::Seen;
use crate::keys::{ServiceId, Services};
use crate::pages::Place;
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
    let rows = requests(rules, services, batch, &columns, |row| {
        kind.is_valid(row) && serving.get(kind.key(row)) == Some(&true)
    })?;
    let mut last = LastSlots::default();
    let (mut errors, mut failed) = (None, Failed::default());
    let (mut duplicates, mut all_unchecked, mut ids) = (0, 0, 0);
    for (number, &Request { row, place, service, id }) in rows.iter().enumerate() {
        let row = row as usize;
        if number % AHEAD == 0 {
            // Most will be of the slot that the row before is of.
            let next = rows[number..].iter().take(AHEAD);
            store.ids.warm(ids, next.filter_map(|next| Some((next.service, next.id?))));
        }
        let Some(time) = columns.time.get(row) else { continue };
        let of = match last.get(store, place as usize, time) {
            Some(of) => of,
            None => match OfSlot::find(rules, services, store, service, time)? {
                Some(of) => last.put(place as usize, of),
                None => continue,
            },
        };
        ids = of.ids;
        // Each row of spans is one whose id is known, or unchecked.
        let room = store.pages.slot(of.place).of(Source::Spans).rows < rules.config.dedup_max as u64;
        let seen = id.map_or(Seen::Unchecked, |id| store.ids.see(of.ids, service, id, room));
        if seen == Seen::Known {
            duplicates += 1;
            continue;
        }
        let counts = columns.counts(row, of.latency);
        let (slot, first) = store.pages.touch(of.place);
        slot.sources[Source::Spans as usize].add(counts);
        if seen == Seen::Unchecked {
            slot.unchecked = true;
            all_unchecked += 1;
        }
        if first {
            touched(store, service, of.slot)?;
        }
        if counts.bad > 0 {
            // Most batches have none.
            let errors = match &errors {
                Some(errors) => errors,
                None => errors.insert(batch.any_as_text(ERROR_TYPE)?),
            };
            if let Some(name) = errors.get(row).and_then(|error| failed.name(error)) {
                failed.add(service, of.slot, Source::Spans, name, counts.bad.cast_signed());
            }
        }
    }
    failed.apply(rules, store)?;
    count("spans_duplicated", duplicates);
    count("spans_unchecked", all_unchecked);
    Ok(())
}

/// So many requests are looked for at once in the sets of ids.
const AHEAD: usize = 64;

/// A row that is a request.
struct Request {
    row: u32,
    /// The place of its service among those of the batch.
    place: u32,
    service: ServiceId,
    id: Option<u64>,
}

/// The rows of a batch that are requests.
fn requests(
    rules: &Rules,
    services: &mut Services,
    batch: &Batch<'_>,
    columns: &Columns,
    serves: impl Fn(usize) -> bool,
) -> Result<Vec<Request>> {
    let mut by_service = ByService::new(batch)?;
    let mut requests = Vec::with_capacity(batch.rows());
    for row in (0..batch.rows()).filter(|&row| serves(row)) {
        let place = by_service.place(row, services, rules.config.services_max)?;
        let service = by_service.service(place);
        requests.push(Request { row: row as u32, place: place as u32, service, id: columns.id(row) });
    }
    Ok(requests)
}

/// Where a service's requests of a slot are counted.
#[derive(Clone, Copy, Debug, Default)]
struct OfSlot {
    slot: i64,
    /// From and to, in nanoseconds.
    from: i64,
    to: i64,
    /// Where the ids of the slot are.
    ids: usize,
    place: Place,
    /// Beyond so many nanoseconds a request is slow.
    latency: i64,
}

impl OfSlot {
    fn find(
        rules: &Rules,
        services: &Services,
        store: &mut Store,
        service: ServiceId,
        time: i64,
    ) -> Result<Option<Self>> {
        let slot = rules.slot_of(time);
        if !takes(rules, store, slot) {
            return Ok(None);
        }
        let (ids, place) = (store.ids.place(slot)?, store.pages.open(rules, service, slot)?);
        let from = rules.time_of(slot);
        let latency = rules.latency_of(services.key(service)).unwrap_or(i64::MAX);
        Ok(Some(Self { slot, from, to: from.saturating_add(rules.slot_ns()), ids, place, latency }))
    }
}

/// The last slot of each service of the batch: its rows stand together, in the order of time or nearly so.
#[derive(Default)]
struct LastSlots {
    all: Vec<OfSlot>,
    era: u64,
}

impl LastSlots {
    #[inline]
    fn get(&mut self, store: &Store, place: usize, time: i64) -> Option<OfSlot> {
        if self.era != store.pages.era() {
            (self.era, self.all) = (store.pages.era(), Vec::new());
        }
        self.all.get(place).filter(|of| (of.from..of.to).contains(&time)).copied()
    }

    #[inline]
    fn put(&mut self, place: usize, of: OfSlot) -> OfSlot {
        if self.all.len() <= place {
            self.all.resize(place + 1, OfSlot::default());
        }
        self.all[place] = of;
        of
    }
}
