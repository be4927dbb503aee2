//! Probes: somebody outside looked whether the service is well.

use weir_sdk::prelude::*;

use super::{ByService, takes, touched};
use crate::codec::{mix, mix_text};
use crate::config::Rules;
use crate::ids::Seen;
use crate::keys::Services;
use crate::store::Store;

/// The columns that are read of data points for probes, besides those that are read of them anyway.
pub(crate) const COLUMNS: [&str; 3] = ["value_double", "value_int", "attributes.http.status_class"];

/// Counts the probes of a batch of data points: `up` is 1 where a target could be scraped, `httpcheck.status` is 1 for
/// the class of the status that was answered and 0 for the other classes.
pub(crate) fn probes(rules: &Rules, services: &mut Services, store: &mut Store, batch: &Batch<'_>) -> Result {
    let name = batch.text("name")?;
    let is_up = |row: usize| name.is(row, "up");
    let is_check = |row: usize| name.is(row, "httpcheck.status");
    let rows: Vec<usize> = (0..batch.rows()).filter(|&row| is_up(row) || is_check(row)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let (time, attributes, instance) =
        (batch.i64("time")?, batch.text("attributes")?, batch.text("service_instance_id")?);
    let (double, int) = (batch.f64("value_double")?, batch.i64("value_int")?);
    let class = batch.any_as_text("attributes.http.status_class")?;
    let mut by_service = ByService::new(batch)?;
    for row in rows {
        let value = double.get(row).or(int.get(row).map(|value| value as f64));
        let (Some(time), Some(value)) = (time.get(row), value) else { continue };
        let Some([good, bad]) = (if is_up(row) { up(value) } else { check(class.get(row), value) }) else { continue };
        let slot = rules.slot_of(time);
        if !takes(rules, store, slot) {
            continue;
        }
        let service = by_service.of(row, services, rules.config.services_max)?;
        let texts = [name.get(row), attributes.get(row), instance.get(row)];
        let id = texts.iter().fold(0, |hash, text| mix_text(hash, text.unwrap_or_default()));
        let id = mix(id, time.cast_unsigned());
        let ids = store.ids.place(slot)?;
        if store.ids.see(ids, service, id, true) == Seen::New {
            store.change(rules, service, slot, |slot| {
                let [well, failed] = slot.probes;
                slot.probes = [well.wrapping_add_signed(good), failed.wrapping_add_signed(bad)];
            })?;
            touched(store, service, slot)?;
        } else {
            count("points_duplicated", 1);
        }
    }
    Ok(())
}

/// What a scrape says: found well, and not.
fn up(value: f64) -> Option<[i64; 2]> {
    Some(if value > 0.0 { [1, 0] } else { [0, 1] })
}

/// What a point of a check says. A check has a point for each class of status: that of 2xx stands for the check, which
/// failed unless a point says otherwise. Without an answer all are 0, so that none does.
fn check(class: Option<&str>, value: f64) -> Option<[i64; 2]> {
    match (class?, value > 0.0) {
        ("2xx", true) => Some([1, 0]),
        ("2xx", false) => Some([0, 1]),
        ("1xx" | "3xx" | "4xx", true) => Some([1, -1]),
        _ => None,
    }
}
