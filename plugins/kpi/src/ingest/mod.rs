//! From batches to slots.

pub(crate) mod events;
pub(crate) mod metrics;
pub(crate) mod probes;
pub(crate) mod spans;

use std::collections::HashMap;

use weir_sdk::{Batch, Result, Text, count};

use crate::config::Rules;
use crate::keys::{ServiceId, Services};
use crate::store::{Dirty, Store, mark};

/// Columns that say which service a row is of.
pub(crate) const SERVICE_COLUMNS: [&str; 3] = ["service_namespace", "service_name", "environment"];

/// The service of each row. Rows of one service mostly follow each other, and names repeat: a row costs a comparison, a
/// service of the batch a look at its names.
pub(crate) struct ByService {
    columns: [Text; 3],
    last: Option<([usize; 3], ServiceId)>,
    known: HashMap<[usize; 3], ServiceId>,
}

/// What stands for a null among keys.
const NULL: usize = usize::MAX;

impl ByService {
    pub(crate) fn new(batch: &Batch<'_>) -> Result<Self> {
        let [namespace, service, environment] = SERVICE_COLUMNS;
        let columns = [batch.text(namespace)?, batch.text(service)?, batch.text(environment)?];
        Ok(Self { columns, last: None, known: HashMap::new() })
    }

    fn texts(&self, row: usize) -> [&str; 3] {
        [0, 1, 2].map(|column| self.columns[column].get(row).unwrap_or_default())
    }

    pub(crate) fn of(&mut self, row: usize, services: &mut Services, limit: u32) -> Result<ServiceId> {
        // A column that is no dictionary has a key a row.
        let key = |column: &Text| if column.get(row).is_some() { column.key(row) } else { NULL };
        let keys = [key(&self.columns[0]), key(&self.columns[1]), key(&self.columns[2])];
        if let Some((_, id)) = self.last.filter(|(last, _)| *last == keys) {
            return Ok(id);
        }
        let id = match self.known.get(&keys) {
            Some(&id) => id,
            None => {
                let [namespace, service, environment] = self.texts(row);
                let id = services.id(namespace, service, environment, limit)?;
                self.known.insert(keys, id);
                id
            }
        };
        self.last = Some((keys, id));
        Ok(id)
    }
}

/// Rows whose time says nothing: they lie further ahead than anything is kept.
const AHEAD_MAX_NS: i64 = 366 * 86_400 * 1_000_000_000;

/// Whether a row of that slot is counted; otherwise it is counted as left out.
pub(crate) fn takes(rules: &Rules, store: &Store, slot: i64) -> bool {
    let totals = &store.totals;
    if !totals.takes(slot) {
        count("rows_too_late", 1);
        return false;
    }
    let ahead = AHEAD_MAX_NS / rules.slot_ns();
    if totals.until.is_some_and(|until| slot - until > ahead) {
        count("rows_too_far_ahead", 1);
        return false;
    }
    true
}

/// Says that slots of a service from one on have changed, if they were evaluated already or the service never was.
pub(crate) fn touched(store: &mut Store, id: ServiceId, slot: i64) -> Result {
    if store.totals.until.is_none_or(|until| slot < until) || !store.is_evaluated(id) {
        return mark(id, Dirty { from: slot, all: false });
    }
    Ok(())
}
