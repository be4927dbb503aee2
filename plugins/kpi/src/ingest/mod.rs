//! From batches to slots.

pub(crate) mod events;
pub(crate) mod latency;
pub(crate) mod metrics;
pub(crate) mod probes;
pub(crate) mod spans;

use std::collections::HashMap;

use weir_sdk::{Batch, Result, Text, count};

use crate::codec::Mixed;
use crate::config::Rules;
use crate::keys::{ServiceId, Services};
use crate::store::Store;

/// Columns that say which service a row is of.
pub(crate) const SERVICE_COLUMNS: [&str; 3] = ["service_namespace", "service_name", "environment"];

/// The service of each row. Names repeat: a row costs a look into a table, a service of the batch a look at its names.
pub(crate) struct ByService {
    columns: [Text; 3],
    /// By the keys of the three columns as one number: a service of the batch, plus one.
    table: Vec<u32>,
    /// The same where there are too many keys for a table.
    known: HashMap<u64, u32, Mixed>,
    /// The services of the batch.
    services: Vec<ServiceId>,
    /// The keys of the row before and its service: rows of a resource stand together.
    last: Option<(u64, u32)>,
}

/// Tables of more entries are not worth their memory.
const TABLE_MAX: usize = 1 << 16;

impl ByService {
    pub(crate) fn new(batch: &Batch<'_>) -> Result<Self> {
        let [namespace, service, environment] = SERVICE_COLUMNS;
        let columns = [batch.text(namespace)?, batch.text(service)?, batch.text(environment)?];
        // A key more of each for its nulls. A column that is no dictionary has a key a row.
        let size = columns.iter().map(|column| column.distinct_len() + 1).product::<usize>();
        let table = if size <= TABLE_MAX { vec![0; size] } else { Vec::new() };
        Ok(Self { columns, table, known: HashMap::default(), services: Vec::new(), last: None })
    }

    /// The service of a row, by its place among those of the batch.
    #[inline]
    pub(crate) fn place(&mut self, row: usize, services: &mut Services, limit: u32) -> Result<usize> {
        let key = |column: &Text| if column.is_valid(row) { column.key(row) as u64 + 1 } else { 0 };
        let size = |column: &Text| column.distinct_len() as u64 + 1;
        let [namespace, service, environment] = &self.columns;
        let at = (key(environment) * size(service) + key(service)) * size(namespace) + key(namespace);
        if let Some((_, place)) = self.last.filter(|(known, _)| *known == at) {
            return Ok(place as usize);
        }
        let known = match self.table.get(at as usize) {
            Some(known) => known.checked_sub(1),
            None => self.known.get(&at).copied(),
        };
        let place = match known {
            Some(place) => place,
            None => self.new_place(row, at, services, limit)?,
        };
        self.last = Some((at, place));
        Ok(place as usize)
    }

    fn new_place(&mut self, row: usize, at: u64, services: &mut Services, limit: u32) -> Result<u32> {
        let [namespace, service, environment] =
            self.columns.each_ref().map(|column| column.get(row).unwrap_or_default());
        let place = self.services.len() as u32;
        self.services.push(services.id(namespace, service, environment, limit)?);
        match self.table.get_mut(at as usize) {
            Some(known) => *known = place + 1,
            None => _ = self.known.insert(at, place),
        }
        Ok(place)
    }

    /// The service of a row.
    #[inline]
    pub(crate) fn of(&mut self, row: usize, services: &mut Services, limit: u32) -> Result<ServiceId> {
        let place = self.place(row, services, limit)?;
        Ok(self.service(place))
    }

    /// The service of that place.
    #[inline]
    pub(crate) fn service(&self, place: usize) -> ServiceId {
        self.services.get(place).copied().unwrap_or_default()
    }
}

/// Rows whose time says nothing: they lie further ahead than anything is kept.
const AHEAD_MAX_NS: i64 = 366 * 86_400 * 1_000_000_000;

/// Whether a row of that slot is counted; otherwise it is counted as left out.
#[inline]
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
    if store.restates(slot) || !store.is_evaluated(id) {
        return store.mark(id, slot);
    }
    Ok(())
}
