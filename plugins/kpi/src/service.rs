//! The evaluation of a service, from what is kept of it to its rows.

use std::collections::BTreeSet;

use weir_sdk::prelude::*;

use crate::codec::{In, Out, mix_text};
use crate::config::{Rules, Window};
use crate::evaluate::{Ask, evaluate_again};
use crate::failures::failures;
use crate::history::{History, Hour};
use crate::incidents::{Incident, incidents};
use crate::ingest::events::{Told, told};
use crate::intervals::Sums;
use crate::keys::ServiceId;
use crate::lifecycle::{AlertRow, ChangeRow, Maintenance, MaintenanceFacts, ServiceKey, alert_rows};
use crate::objectives::{self, Followed};
use crate::publish::{Published, Table};
use crate::silence::{Silences, Silent};
use crate::store::{Dirty, RECORDS, Store};
use crate::tables::{AvailabilityRow, DayRow, HourRow, IncidentRow};
use crate::windows::Found;

/// Days of which the sums are kept: those that an objective's period can reach.
const DAYS: i64 = 32;

/// What a service and a row cost, in slots that could be looked at instead.
const SERVICE_WORK: u64 = 150;
const ROW_WORK: u64 = 60;

/// What is kept of a service from one evaluation to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) history: History,
    /// Days whose hours are forgotten.
    pub(crate) days: Vec<Hour>,
    pub(crate) published: Published,
    /// The hash of the incidents of the last evaluation.
    incidents: u64,
    pub(crate) followed: Option<Followed>,
    /// Before this slot nothing was ever known of it.
    pub(crate) begin: Option<i64>,
}

impl Record {
    fn load(id: ServiceId) -> Result<Option<Self>> {
        let Some(bytes) = RECORDS.get(&id) else { return Ok(None) };
        let mut bytes = In(&bytes);
        let mut read = || {
            let history = History::read(&mut bytes)?;
            let days = bytes.list(|bytes| Some(Hour { start: bytes.i()?, sums: Sums::read(bytes)? }))?;
            let (published, incidents) = (Published::read(&mut bytes)?, bytes.hash()?);
            let followed = if bytes.flag()? { Some(Followed::read(&mut bytes)?) } else { None };
            Some(Self { history, days, published, incidents, followed, begin: bytes.maybe()? })
        };
        read().map(Some).ok_or_else(|| Error::new("a service in the state is of another version: discard the state"))
    }

    fn save(&self, id: ServiceId) -> Result {
        let mut out = Out(Vec::with_capacity(2048));
        self.history.write(&mut out);
        out.list(&self.days, |out, day| day.sums.write(out.i(day.start)));
        self.published.write(&mut out);
        out.hash(self.incidents).flag(self.followed.is_some());
        if let Some(followed) = &self.followed {
            followed.write(&mut out);
        }
        out.maybe(self.begin);
        RECORDS.put(&id, &out.0)
    }
}

/// The first silence of a service that is long enough to be an outage.
pub(crate) fn silent_since(rules: &Rules, id: ServiceId) -> Result<Option<i64>> {
    let Some(record) = Record::load(id)? else { return Ok(None) };
    let mut silences = record.history.silences.iter();
    Ok(silences.find(|(from, to)| to - from >= rules.always_on).map(|(from, _)| *from))
}

/// What an evaluation needs besides the service.
pub(crate) struct World<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) store: &'a Store,
    pub(crate) maintenance: &'a [MaintenanceFacts],
    pub(crate) silences: &'a mut Silences,
    /// Up to which slot services are evaluated.
    pub(crate) until: i64,
}

/// Evaluates a service and sends out what has changed; tells how much work that was, in slots.
pub(crate) fn evaluate(world: &mut World<'_>, id: ServiceId, key: &ServiceKey, dirty: Option<Dirty>) -> Result<u64> {
    let (rules, until) = (world.rules, world.until);
    let known = Record::load(id)?;
    let done = known.as_ref().map_or(i64::MAX, |record| record.history.done);
    // What was found of slots that are forgotten stays. Nothing is kept for longer than this; an event that tells of a time long
    // ago (a maintenance that began in 1970) must not make it look there.
    let kept = until - rules.restate - 3 * rules.day;
    let changed = dirty.map_or(done, |dirty| dirty.from.min(done));
    let from = changed.max(world.store.totals.evaluable(rules)).max(kept);
    let mut record = known.unwrap_or_default();
    record.begin = Some(record.begin.map_or(changed, |begin| begin.min(changed)));
    let covering: Vec<Maintenance> = world
        .maintenance
        .iter()
        .filter(|facts| facts.covers(key))
        .filter_map(|facts| facts.maintenance(&rules.config.lifecycle))
        .collect();
    let planned = in_slots(rules, &covering);
    let mut first = until;
    if from < until {
        first = slots(world, id, key, &mut record, from, &planned)?;
    } else {
        // Nothing is known of its slots, which is as good as evaluated.
        record.history.done = until;
    }
    let recurrence = i64::from(rules.config.lifecycle.recurrence_s) / rules.config.slot_s;
    let kept = rules.time_of(until - recurrence.max(rules.restate) - rules.day);
    let all = dirty.is_some_and(|dirty| dirty.all);
    let mut service =
        Service { rules, key, until, first, covering, planned, told: told(&rules.config.lifecycle, id, kept)?, kept };
    let rows = service.rows(&mut record, all, world.store, id)?;
    record.save(id)?;
    Ok((until - first).unsigned_abs() + SERVICE_WORK + rows * ROW_WORK)
}

/// Evaluates the slots; tells from which one on.
fn slots(
    world: &mut World<'_>,
    id: ServiceId,
    key: &ServiceKey,
    record: &mut Record,
    from: i64,
    planned: &[(i64, i64)],
) -> Result<i64> {
    let (rules, store) = (world.rules, world.store);
    let always_on = rules.is_always_on(&key.service);
    let silences = &*world.silences;
    let gap = |slot: i64| silences.is_pipeline_gap(rules, slot);
    let failed = |slot, source| failures(rules, id, slot, source);
    let ask = Ask { from, until: world.until, maintenance: planned, always_on, pipeline_gap: &gap, failures: &failed };
    let load = |from, until| store.timeline(rules, id, from, until);
    let before = Silent::of(&record.history);
    let first = evaluate_again(rules, &mut record.history, &ask, load)?;
    world.silences.replace(rules, &before, &Silent::of(&record.history));
    Ok(first)
}

/// Planned maintenance in slots: a slot is in it if it begins in it. In their order, those that meet made one.
fn in_slots(rules: &Rules, maintenance: &[Maintenance]) -> Vec<(i64, i64)> {
    let after = |time: i64| -(-time).div_euclid(rules.slot_ns());
    let slots = |one: &Maintenance| (after(one.interval.from), one.interval.to.map_or(i64::MAX, after));
    let mut all: Vec<(i64, i64)> = maintenance.iter().map(slots).collect();
    all.sort_unstable();
    all.dedup_by(|next, last| {
        let meets = next.0 <= last.1;
        if meets {
            last.1 = last.1.max(next.1);
        }
        meets
    });
    all
}

struct Service<'a> {
    rules: &'a Rules,
    key: &'a ServiceKey,
    until: i64,
    /// The first slot that was evaluated.
    first: i64,
    covering: Vec<Maintenance>,
    planned: Vec<(i64, i64)>,
    told: Told,
    /// What was over before is forgotten, in nanoseconds: the rows of it stay as they are.
    kept: i64,
}

impl Service<'_> {
    /// Sends out the rows that have changed; tells how many.
    fn rows(&mut self, record: &mut Record, all: bool, store: &Store, id: ServiceId) -> Result<u64> {
        let rules = self.rules;
        let horizon = self.until - rules.restate;
        let derived: Vec<_> = record.history.ended.iter().chain(&record.history.open).cloned().collect();
        let told = std::mem::take(&mut self.told.incidents);
        let incidents = incidents(rules, self.key, &derived, told, &self.covering);
        let hash = incidents.iter().fold(0, |hash, incident| mix_text(hash, &format!("{incident:?}")));
        let changed = all || hash != record.incidents;
        record.incidents = hash;
        let changes = self.changes();
        let mut sent = self.availability(record)?;
        if changed {
            sent += self.incidents(record, &incidents)?;
            sent += self.told(record, &incidents, &changes)?;
        }
        sent += self.windows(record, &incidents, &changes, changed)?;
        let slots = objectives::rows(rules, self.key, store, id, &self.planned, (self.first, self.until), record)?;
        self.forget(record, horizon);
        Ok(sent + slots / ROW_WORK)
    }

    /// From when on all incidents, changes and alerts are known: rows from before are not taken back.
    fn still(&self) -> i64 {
        self.kept + self.rules.time_of(self.rules.day)
    }

    fn changes(&self) -> Vec<ChangeRow> {
        let settings = &self.rules.config.lifecycle;
        self.told.changes.iter().filter_map(|(id, facts, caused)| facts.row(id, caused, settings)).collect()
    }

    fn availability(&self, record: &mut Record) -> Result<u64> {
        let (rules, key) = (self.rules, self.key);
        let (history, published) = (&record.history, &mut record.published);
        let bare = |time: i64, _: &str| AvailabilityRow {
            environment: key.environment.clone(),
            service_namespace: key.namespace.clone(),
            service_name: key.service.clone(),
            from_at: Timestamp(time),
            ..AvailabilityRow::default()
        };
        // What ended before the first slot that was evaluated is as it was.
        let changed = history.intervals.partition_point(|interval| interval.to < self.first);
        let changed = history.intervals.get(changed..).unwrap_or_default();
        let from = changed.first().map_or(self.first, |interval| interval.from.min(self.first));
        let rows = changed.iter().map(|interval| {
            let row = AvailabilityRow {
                to_at: (!history.is_open(rules, interval)).then(|| Timestamp(rules.time_of(interval.to))),
                state: interval.state.name().to_owned(),
                source: interval.basis.name().map(str::to_owned),
                ..bare(rules.time_of(interval.from), "")
            };
            (row.from_at.0, String::new(), row)
        });
        published.sync(Table::Availability, (rules.time_of(from), i64::MAX), rows, bare)
    }

    fn incidents(&self, record: &mut Record, incidents: &[Incident]) -> Result<u64> {
        let rows = incidents.iter().map(|one| (one.first, one.id.clone(), one.row(self.rules, self.key)));
        let bare = |time: i64, id: &str| IncidentRow {
            incident_id: id.to_owned(),
            opened_at: Timestamp(time),
            ..IncidentRow::default()
        };
        record.published.sync(Table::Incidents, (self.still(), i64::MAX), rows, bare)
    }

    /// The rows of changes and alerts.
    fn told(&self, record: &mut Record, incidents: &[Incident], changes: &[ChangeRow]) -> Result<u64> {
        let bare =
            |time: i64, id: &str| ChangeRow { change_id: id.to_owned(), time: Timestamp(time), ..ChangeRow::default() };
        let rows = changes.iter().map(|row| (row.time.0, row.change_id.clone(), row.clone()));
        let sent = record.published.sync(Table::Changes, (self.still(), i64::MAX), rows, bare)?;
        let alerts = self.told.alerts.iter().flat_map(|(id, facts)| facts.occurrences(id));
        let incident_of = |_: &ServiceKey, at: i64| {
            let during = |one: &&Incident| one.first <= at && one.over().is_none_or(|over| at < over);
            incidents.iter().rfind(during).map(|incident| incident.id.clone())
        };
        let rows = alert_rows(alerts, incident_of, &self.rules.config.lifecycle);
        let rows = rows.into_iter().map(|row| (row.started_at.0, row.alert_id.clone(), row));
        let bare = |time: i64, id: &str| AlertRow {
            alert_id: id.to_owned(),
            started_at: Timestamp(time),
            ..AlertRow::default()
        };
        Ok(sent + record.published.sync(Table::Alerts, (self.still(), i64::MAX), rows, bare)?)
    }

    /// The rows of hours and days: of those that were evaluated again, or of all that are still kept.
    fn windows(&self, record: &mut Record, incidents: &[Incident], changes: &[ChangeRow], all: bool) -> Result<u64> {
        let rules = self.rules;
        let late = self.covering.iter().filter(|one| one.after_the_fact);
        let late: Vec<_> = late.map(|one| (one.interval.from, one.interval.to.unwrap_or(i64::MAX))).collect();
        let found = Found {
            rules,
            service: self.key,
            incidents,
            changes,
            declared_late: &late,
            until: rules.time_of(self.until),
        };
        let kept = rules.window_start(self.until - rules.restate, Window::Day);
        // What was evaluated goes out in any case: event time may have leapt over what else is kept.
        let from = |window| {
            let evaluated = rules.window_start(self.first, window);
            if all { kept.min(evaluated) } else { evaluated }
        };
        let hours = &record.history.hours;
        let sums = |from: i64, window: Window| {
            let to = rules.window_end(from, window);
            let within = hours.iter().filter(move |hour| (from..to).contains(&hour.start));
            let mut sums = Sums::default();
            within.for_each(|hour| sums.add(&hour.sums));
            sums
        };
        let of_hours = starts(&found, hours, from(Window::Hour), Window::Hour, self.until);
        let of_hours: Vec<_> =
            of_hours.map(|start| found.window(start, Window::Hour, &sums(start, Window::Hour))).collect();
        let told = record.days.first().filter(|_| all).map_or(i64::MAX, |day| day.start);
        let first_day = from(Window::Day).min(told);
        let known: Vec<Hour> = record.days.iter().chain(hours).cloned().collect();
        let of_days = starts(&found, &known, first_day, Window::Day, self.until);
        let of_days = of_days.map(|start| {
            let mut sums = sums(start, Window::Day);
            record.days.iter().filter(|day| day.start == start).for_each(|day| sums.add(&day.sums));
            DayRow::from(found.window(start, Window::Day, &sums))
        });
        let of_days: Vec<DayRow> = of_days.collect();
        let bare = |time: i64, _: &str| HourRow {
            environment: self.key.environment.clone(),
            service_namespace: self.key.namespace.clone(),
            service_name: self.key.service.clone(),
            window_start: Timestamp(time),
            ..HourRow::default()
        };
        let published = &mut record.published;
        let rows = of_hours.into_iter().map(|row| (row.window_start.0, String::new(), row));
        let sent = published.sync(Table::Hours, (rules.time_of(from(Window::Hour)), i64::MAX), rows, bare)?;
        let rows = of_days.into_iter().map(|row| (row.window_start.0, String::new(), row));
        let days = |time: i64, key: &str| DayRow::from(bare(time, key));
        Ok(sent + published.sync(Table::Days, (rules.time_of(first_day), i64::MAX), rows, days)?)
    }

    /// Forgets what no row can change by any more.
    fn forget(&self, record: &mut Record, horizon: i64) {
        let rules = self.rules;
        let month = self.until - DAYS * rules.day;
        let kept = rules.window_start(horizon, Window::Day);
        for hour in record.history.hours.iter().filter(|hour| hour.start < kept) {
            let start = rules.window_start(hour.start, Window::Day);
            match record.days.iter_mut().find(|day| day.start == start) {
                Some(day) => day.sums.add(&hour.sums),
                None => record.days.push(Hour { start, sums: hour.sums }),
            }
        }
        record.history.forget(rules, horizon, rules.slot_of(self.kept));
        record.days.retain(|day| day.start >= month);
        record.published.forget(|table| match table {
            Table::Hours | Table::Slo => rules.time_of(kept),
            Table::Days => rules.time_of(month),
            Table::Incidents | Table::Changes | Table::Alerts => self.kept,
            Table::Availability => rules.time_of(horizon - rules.day - 3 * rules.hour),
        });
    }
}

/// Where windows begin of which there is something to say, from the first that is asked for.
fn starts(found: &Found<'_>, sums: &[Hour], from: i64, window: Window, until: i64) -> impl Iterator<Item = i64> {
    let rules = found.rules;
    let known = sums.iter().map(|hour| rules.window_start(hour.start, window)).filter(|start| *start >= from);
    let told = found.times().map(|time| rules.window_start(rules.slot_of(time), window));
    let told = told.filter(|start| (from..until).contains(start));
    known.chain(told).collect::<BTreeSet<i64>>().into_iter()
}
