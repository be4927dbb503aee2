//! The rows of objectives: slots and hours handed to [`crate::slo`].

use weir_sdk::prelude::*;

use crate::config::Rules;
use crate::history::Hour as Kept;
use crate::intervals::Sums;
use crate::keys::ServiceId;
use crate::lifecycle::ServiceKey;
use crate::publish::Table;
use crate::service::Record;
use crate::slo::{self, History, Hour, SloRow};
use crate::slots::{Truth, requests};
use crate::store::Store;

/// Sends out the rows of the hours that were evaluated; tells how much work that was, in slots.
///
/// The hours of an evaluation are worked out when something failed within the reach of the rules for pages, or when an
/// hour has ended: without failures nothing can fire, and the burn rates of an hour that goes on are all 0.
pub(crate) fn rows(
    rules: &Rules,
    key: &ServiceKey,
    store: &Store,
    id: ServiceId,
    planned: &[(i64, i64)],
    (first, until): (i64, i64),
    record: &mut Record,
) -> Result<u64> {
    let config = &rules.config.slo;
    let objectives = config.objectives_of(&key.environment, &key.service);
    if first >= until || objectives.is_empty() {
        return Ok(0);
    }
    let reach = config.slots_kept_ns() / rules.slot_ns();
    let hour = slo::HOUR_NS / rules.slot_ns();
    // The slot before tells whether a rule begins to fire with the hour.
    let start = first.div_euclid(hour) * hour;
    let closes = until.div_euclid(hour) > first.div_euclid(hour);
    let since = |from: i64| record.history.hours.iter().filter(move |kept| kept.start + rules.hour > from);
    let failed = since(start - 6 * hour).any(|kept| kept.sums.bad + kept.sums.planned_bad > 0);
    if !closes && !failed && record.published.has(Table::Slo) {
        return Ok(0);
    }
    let history = history(rules, store, id, planned, record, (start, until), reach.min(7 * hour))?;
    for objective in objectives {
        let (from, to) = (rules.time_of(start), rules.time_of(until));
        let rows = slo::rows(&history, config, objective, (&key.environment, &key.service), from, to);
        let named = |row| SloRow { service_namespace: key.namespace.clone(), ..row };
        let rows = rows.into_iter().map(|row| (row.window_start.0, row.slo_name.clone(), named(row)));
        let bare = |time: i64, name: &str| SloRow {
            environment: key.environment.clone(),
            service_namespace: key.namespace.clone(),
            service_name: key.service.clone(),
            slo_name: name.to_owned(),
            window_start: Timestamp(time),
            ..SloRow::default()
        };
        record.published.sync_named(Table::Slo, (from, i64::MAX), &objective.name, rows, bare)?;
    }
    Ok(2 * (until - start + reach.min(7 * hour)).unsigned_abs())
}

/// Slots as far back as the rules for pages reach, hours before them, days before those.
fn history(
    rules: &Rules,
    store: &Store,
    id: ServiceId,
    planned: &[(i64, i64)],
    record: &Record,
    (start, until): (i64, i64),
    detail: i64,
) -> Result<History> {
    let from = (start - detail).max(store.totals.floor.unwrap_or(i64::MIN));
    let timeline = store.timeline(rules, id, from - rules.hour, until)?;
    let in_maintenance = |slot: i64| planned.iter().any(|(from, to)| (*from..*to).contains(&slot));
    let mut truth = Truth::default();
    (from - rules.hour..from).for_each(|slot| _ = truth.at(rules, &timeline, slot));
    let slots = (from..until).map(|slot| {
        let counts = timeline.at(slot).of(truth.at(rules, &timeline, slot));
        let (valid, bad) = (requests(counts.valid), requests(counts.bad));
        slo::Slot { start: rules.time_of(slot), valid, bad, planned: in_maintenance(slot) }
    });
    let slots: Vec<slo::Slot> = slots.filter(|slot| slot.valid > 0.0).collect();
    let kept = record.history.hours.iter().filter(|kept| kept.start < from).chain(&record.days);
    Ok(History::new(kept.map(|kept| of_hour(rules, kept)), slots))
}

fn of_hour(rules: &Rules, kept: &Kept) -> Hour {
    let Sums { valid, bad, planned_valid, planned_bad, .. } = kept.sums;
    Hour {
        start: rules.time_of(kept.start),
        valid: requests(valid.saturating_add(planned_valid)),
        bad: requests(bad.saturating_add(planned_bad)),
        planned_valid: requests(planned_valid),
        planned_bad: requests(planned_bad),
    }
}
