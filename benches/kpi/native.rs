//! The same counting without a sandbox, a state and rows: spans of servers by service and slot, each id once.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{Array as _, DictionaryArray};
use hashbrown::{HashMap, HashSet};
use weir::batch::Batch;
use weir::{Result, Signal};

const SLOT_NS: i64 = 10_000_000_000;

/// What was counted so far.
#[derive(Default)]
pub(crate) struct Counted {
    services: HashMap<(String, String, String), u32>,
    /// Requests, and those that failed.
    slots: HashMap<(u32, i64), [u64; 2]>,
    ids: HashMap<i64, HashSet<[u8; 24]>>,
}

fn texts(column: &DictionaryArray<Int32Type>) -> Vec<&str> {
    column.values().as_string::<i32>().iter().map(Option::unwrap_or_default).collect()
}

impl Counted {
    pub(crate) fn count(&mut self, batch: &Batch) -> Result<()> {
        let time = batch.read("time")?;
        let time = time.as_primitive::<TimestampNanosecondType>().values();
        let names = ["service_namespace", "service_name", "environment"].map(|name| batch.read(name));
        let [namespace, service, environment] = names;
        let columns = [namespace?, service?, environment?];
        let [namespace, service, environment] = columns.each_ref().map(|column| column.as_dictionary::<Int32Type>());
        let known = [texts(namespace), texts(service), texts(environment)];
        let mut of_keys: HashMap<[i32; 3], u32> = HashMap::new();
        let services = &mut self.services;
        let mut service_of = |row: usize| {
            let key =
                |column: &DictionaryArray<Int32Type>| if column.is_valid(row) { column.keys().value(row) } else { -1 };
            let keys = [key(namespace), key(service), key(environment)];
            *of_keys.entry(keys).or_insert_with(|| {
                let text = |at: usize| known[at].get(keys[at] as usize).copied().unwrap_or_default().to_owned();
                let number = services.len() as u32;
                *services.entry((text(0), text(1), text(2))).or_insert(number)
            })
        };
        if batch.signal() != Signal::Spans {
            for (row, time) in time.iter().enumerate() {
                self.slots.entry((service_of(row), time / SLOT_NS)).or_default()[0] += 1;
            }
            return Ok(());
        }
        let (kind, status) = (batch.read("kind")?, batch.read("status_code")?);
        let (kind, status) = (kind.as_dictionary::<Int32Type>(), status.as_dictionary::<Int32Type>());
        let (kinds, codes) = (texts(kind), texts(status));
        let (trace, span) = (batch.read("trace_id")?, batch.read("span_id")?);
        let (trace, span) = (trace.as_fixed_size_binary(), span.as_fixed_size_binary());
        for (row, time) in time.iter().enumerate() {
            if !kind.key(row).is_some_and(|key| matches!(kinds[key], "SERVER" | "CONSUMER")) {
                continue;
            }
            let slot = time / SLOT_NS;
            let mut id = [0; 24];
            id[..16].copy_from_slice(trace.value(row));
            id[16..].copy_from_slice(span.value(row));
            if self.ids.entry(slot).or_default().insert(id) {
                let bad = status.key(row).is_some_and(|key| codes[key] == "ERROR");
                let counts = self.slots.entry((service_of(row), slot)).or_default();
                counts[0] += 1;
                counts[1] += u64::from(bad);
            }
        }
        let newest = time.iter().max().map_or(0, |time| time / SLOT_NS);
        self.ids.retain(|slot, _| *slot > newest - 20);
        self.slots.retain(|(_, slot), _| *slot > newest - 30);
        Ok(())
    }
}
