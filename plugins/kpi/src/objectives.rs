//! The rows of objectives: slots and hours handed to [`crate::slo`].

use weir_sdk::prelude::*;

use crate::codec::{In, Out};
use crate::config::Rules;
use crate::history::Hour as Kept;
use crate::intervals::Sums;
use crate::keys::ServiceId;
use crate::lifecycle::ServiceKey;
use crate::publish::Table;
use crate::service::Record;
use crate::slo::{self, History, Hour, Objective, SloRow, Watch};
use crate::slots::{Timeline, Truth, requests};
use crate::store::Store;

/// Hours before the hour of an evaluation whose slots are looked at.
const DETAIL_HOURS: i64 = 7;

/// The rules of a service at the end of its last evaluation, and where its requests were counted then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Followed {
    watch: Watch,
    /// The source of truth now, and where each window begins.
    truth: Truth,
    tails: Vec<Truth>,
}

impl Followed {
    pub(crate) fn write(&self, out: &mut Out) {
        self.watch.write(out);
        self.truth.write(out);
        out.list(&self.tails, |out, truth| truth.write(out));
    }

    pub(crate) fn read(bytes: &mut In<'_>) -> Option<Self> {
        Some(Self { watch: Watch::read(bytes)?, truth: Truth::read(bytes)?, tails: bytes.list(Truth::read)? })
    }
}

/// What is asked of objectives.
struct Ask<'a> {
    rules: &'a Rules,
    store: &'a Store,
    id: ServiceId,
    planned: &'a [(i64, i64)],
    objectives: Vec<&'a Objective>,
    names: (&'a str, &'a str),
    first: i64,
    until: i64,
}

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
    let hour = slo::HOUR_NS / rules.slot_ns();
    let start = first.div_euclid(hour) * hour;
    let closes = until.div_euclid(hour) > first.div_euclid(hour);
    let since = |from: i64| record.history.hours.iter().filter(move |kept| kept.start + rules.hour > from);
    let failed = since(start - 6 * hour).any(|kept| kept.sums.bad + kept.sums.planned_bad > 0);
    let asked = closes || failed || !record.published.has(Table::Slo);
    let names = (key.environment.as_str(), key.service.as_str());
    let ask = Ask { rules, store, id, planned, objectives, names, first, until };
    let (rows, work) = match ask.follow(record)? {
        Some(rows) => (rows, until - first),
        None if asked => ask.work_out(record, start)?,
        None => (Vec::new(), 0),
    };
    if !asked {
        return Ok(work.unsigned_abs());
    }
    for (place, objective) in ask.objectives.iter().enumerate() {
        let own = rows.iter().filter(|(known, _)| *known == place).map(|(_, row)| row.clone());
        let named = |row| SloRow { service_namespace: key.namespace.clone(), ..row };
        let own = own.map(|row| (row.window_start.0, row.slo_name.clone(), named(row)));
        let bare = |time: i64, name: &str| SloRow {
            environment: key.environment.clone(),
            service_namespace: key.namespace.clone(),
            service_name: key.service.clone(),
            slo_name: name.to_owned(),
            window_start: Timestamp(time),
            ..SloRow::default()
        };
        let from = rules.time_of(start);
        record.published.sync_named(Table::Slo, (from, i64::MAX), &objective.name, own, bare)?;
    }
    Ok(work.unsigned_abs())
}

impl Ask<'_> {
    /// The windows that are followed from slot to slot; none where nothing can be followed.
    fn windows(&self) -> Option<Vec<i64>> {
        let same_slots = self.rules.slot_ns() == slo::SLOT_NS;
        same_slots.then(|| Watch::windows(&self.rules.config.slo, self.reach())).flatten()
    }

    /// For how many slots before the hour slots are looked at.
    fn reach(&self) -> i64 {
        let hour = slo::HOUR_NS / self.rules.slot_ns();
        (self.rules.config.slo.slots_kept_ns() / self.rules.slot_ns()).min(DETAIL_HOURS * hour)
    }

    fn slot(&self, timeline: &Timeline, truth: &mut Truth, slot: i64) -> slo::Slot {
        let counts = timeline.at(slot).of(truth.at(self.rules, timeline, slot));
        let (valid, bad) = (requests(counts.valid), requests(counts.bad));
        let planned = self.planned.iter().any(|(from, to)| (*from..*to).contains(&slot));
        slo::Slot { start: self.rules.time_of(slot), valid, bad, planned }
    }

    /// Goes on from where the last evaluation ended, if this one began there.
    fn follow(&self, record: &mut Record) -> Result<Option<Vec<(usize, SloRow)>>> {
        let Self { rules, store, id, first, until, .. } = *self;
        let Some(windows) = self.windows() else { return Ok(None) };
        // Each window needs as many slots as there are to follow. After a leap of event time that would be more than fits
        // the memory, and working them out looks at less.
        if until - first > self.reach() {
            return Ok(None);
        }
        // What leaves a window has to be there: of slots that are forgotten it would keep the requests for ever.
        let oldest = first - windows.last().copied().unwrap_or(0);
        if store.totals.cut.is_some_and(|cut| oldest < cut) {
            return Ok(None);
        }
        let stands = |followed: &Followed| followed.watch.stands_at(rules.time_of(first), &windows, &self.objectives);
        let Some(mut followed) = record.followed.take().filter(stands) else { return Ok(None) };
        let hour = slo::HOUR_NS / rules.slot_ns();
        let open = until.div_euclid(hour) * hour;
        // The hour that goes on is known slot by slot.
        let kept = record.history.hours.iter().filter(|kept| kept.start < open).chain(&record.days);
        let hours = History::new(kept.map(|kept| of_hour(rules, kept)), []);
        let come = store.timeline(rules, id, first, until)?;
        let left = windows.iter().map(|slots| store.timeline(rules, id, first - slots, until - slots));
        let left = left.collect::<Result<Vec<_>>>()?;
        let (truth, tails) = (&mut followed.truth, &mut followed.tails);
        let slots = |window: Option<usize>, slot: i64| match window.and_then(|at| left.get(at).zip(tails.get_mut(at))) {
            Some((timeline, truth)) => self.slot(timeline, truth, slot),
            None => self.slot(&come, truth, slot),
        };
        let (config, until) = (&rules.config.slo, rules.time_of(until));
        let rows = followed.watch.follow(config, &self.objectives, self.names, &hours, until, slots);
        record.followed = Some(followed);
        Ok(Some(rows))
    }

    /// Works out the hours from `start` on from all slots; tells how much work that was.
    fn work_out(&self, record: &mut Record, start: i64) -> Result<(Vec<(usize, SloRow)>, i64)> {
        let Self { rules, until, .. } = *self;
        let windows = self.windows();
        let mut ends: Vec<Truth> = windows.iter().flatten().map(|_| Truth::default()).collect();
        let mut truth = Truth::default();
        // Slots are looked at as long as they are there, and hours before them.
        let wanted = start - self.reach();
        let reached = wanted.max(self.store.totals.cut.unwrap_or(i64::MIN));
        // Where nothing was ever known of the service there is nothing to look at.
        let hour = slo::HOUR_NS / rules.slot_ns();
        let begin = record.begin.unwrap_or(i64::MIN).min(start);
        let from = reached.max(begin.div_euclid(hour).saturating_mul(hour));
        let looked = (from - rules.hour).max(begin);
        let timeline = self.store.timeline(rules, self.id, looked, until)?;
        let mut slots = Vec::new();
        for slot in looked..until {
            let counted = self.slot(&timeline, &mut truth, slot);
            if slot >= from && counted.valid > 0.0 {
                slots.push(counted);
            }
            for (end, window) in ends.iter_mut().zip(windows.iter().flatten()) {
                if slot == until - window - 1 {
                    *end = truth.clone();
                }
            }
        }
        let kept = record.history.hours.iter().filter(|kept| kept.start < from).chain(&record.days);
        let history = History::cut(kept.map(|kept| of_hour(rules, kept)), slots, rules.time_of(from));
        let (since, to) = (rules.time_of(start), rules.time_of(until));
        let config = &rules.config.slo;
        let worked = self.objectives.iter().map(|one| slo::rows(&history, config, one, self.names, since, to));
        let worked: Vec<_> = worked.collect();
        // What is followed looks at slots that are a window away, so they have to be there.
        let windows = windows.filter(|_| reached == wanted);
        record.followed = windows.map(|windows| {
            let worked = self.objectives.iter().copied().zip(&worked);
            Followed { watch: Watch::begin(&history, &windows, to, worked), truth, tails: ends }
        });
        let rows = worked.into_iter().enumerate();
        let rows = rows.flat_map(|(place, worked)| worked.rows.into_iter().map(move |row| (place, row)));
        Ok((rows.collect(), 2 * (until - from)))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const HOUR: i64 = 360;

    /// What is asked of the objective that all services have, from one slot to another.
    fn ask<'a>(rules: &'a Rules, store: &'a Store, (first, until): (i64, i64)) -> Ask<'a> {
        let objectives = rules.config.slo.objectives_of("production", "shop");
        assert_eq!(objectives.len(), 1);
        Ask { rules, store, id: 0, planned: &[], objectives, names: ("production", "shop"), first, until }
    }

    /// The rules as they stand at a slot before which nothing has happened.
    fn record(ask: &Ask<'_>, at: i64) -> Record {
        let history = History::new([], []);
        let windows = ask.windows().expect("windows that can be followed");
        let time = ask.rules.time_of(at);
        let worked: Vec<_> = ask
            .objectives
            .iter()
            .map(|one| slo::rows(&history, &ask.rules.config.slo, one, ask.names, time, time))
            .collect();
        let watch = Watch::begin(&history, &windows, time, ask.objectives.iter().copied().zip(&worked));
        let tails = windows.iter().map(|_| Truth::default()).collect();
        let mut record = Record::default();
        record.followed = Some(Followed { watch, truth: Truth::default(), tails });
        record
    }

    #[test]
    fn rules_are_not_followed_over_a_leap_of_event_time() {
        let (rules, store) = (Rules::new(Config::default()).expect("defaults are right"), Store::default());
        let at = 491_000 * HOUR;
        let followed = |slots: i64| {
            let ask = ask(&rules, &store, (at, at + slots));
            let mut record = record(&ask, at);
            assert!(record.followed.is_some());
            ask.follow(&mut record).expect("slots").is_some()
        };
        assert!(followed(6), "a minute");
        assert!(followed(7 * HOUR), "as many slots as are looked at when all is worked out");
        assert!(!followed(7 * HOUR + 1));
        // A window of slots for each would be more than fits the memory.
        assert!(!followed(31 * 24 * HOUR));
    }

    #[test]
    fn rules_are_not_followed_where_slots_that_leave_a_window_are_forgotten() {
        let (rules, mut store) = (Rules::new(Config::default()).expect("defaults are right"), Store::default());
        let at = 491_000 * HOUR;
        for (cut, followed) in [(at - 6 * HOUR, true), (at - 6 * HOUR + 1, false)] {
            store.totals.cut = Some(cut);
            let ask = ask(&rules, &store, (at, at + 6));
            assert_eq!(
                ask.follow(&mut record(&ask, at)).expect("slots").is_some(),
                followed,
                "the longest is six hours"
            );
        }
    }

    #[test]
    fn rules_are_followed_only_from_where_they_were_left() {
        let (rules, store) = (Rules::new(Config::default()).expect("defaults are right"), Store::default());
        let at = 491_000 * HOUR;
        let ask = ask(&rules, &store, (at, at + 6));
        assert!(ask.follow(&mut record(&ask, at - 6)).expect("slots").is_none());
    }
}
