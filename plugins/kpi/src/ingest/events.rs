//! Log records that say what happened: kept as facts, by the id of the thing.

use std::collections::HashMap;

use weir_sdk::prelude::*;
use weir_sdk::{BytesState, Text};

use crate::config::Rules;
use crate::keys::{ServiceId, Services};
use crate::lifecycle::{
    AlertFacts, Attributes, Caused, ChangeFacts, Event, ExplicitIncident, IncidentFacts, MaintenanceFacts, Record,
    ServiceKey, Settings, Status, Subject, is_lifecycle,
};
use crate::store::{Dirty, mark};

/// The columns that are read of log records.
pub(crate) const COLUMNS: [&str; 4] = ["event_name", "time", "observed_time", "service_version"];

/// Where a record that has the name of an event, and is none, says why.
pub(crate) const MALFORMED: &str = "attributes.weir.kpi.malformed";

const INCIDENTS: State<String, IncidentFacts> = State::named("incidents");
const CHANGES: State<String, ChangeFacts> = State::named("changes");
const ALERTS: State<String, AlertFacts> = State::named("alerts");
const MAINTENANCE: State<String, MaintenanceFacts> = State::named("maintenance");
/// What there is of a service: its number, the kind, the id.
const OF_SERVICE: BytesState<(ServiceId, u32, String)> = BytesState::named("x");
/// Incidents by the change that they name as their cause.
const CAUSED: BytesState<(String, String)> = BytesState::named("y");

const INCIDENT: u32 = 0;
const CHANGE: u32 = 1;
const ALERT: u32 = 2;

/// The attributes of one row.
struct Row<'a> {
    columns: &'a HashMap<String, Text>,
    row: usize,
}

impl Attributes for Row<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.columns.get(key)?.get(self.row)
    }
}

/// Reads the attributes that events have, with and without their prefix.
fn attributes(batch: &Batch<'_>) -> HashMap<String, Text> {
    let keys = crate::lifecycle::ATTRIBUTES.iter().flat_map(|key| [Some(*key), key.strip_prefix("itops.")]);
    let read = |key: &str| Some((key.to_owned(), batch.any_as_text(&format!("attributes.{key}")).ok()?));
    keys.flatten().filter_map(read).collect()
}

/// What a batch of log records told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Took {
    /// Whether there were events.
    pub(crate) any: bool,
    /// Whether a maintenance has changed.
    pub(crate) maintenance: bool,
}

/// Takes the events of a batch of log records; what changes, changes the windows of its services.
pub(crate) fn events(rules: &Rules, services: &mut Services, batch: &mut Batch<'_>) -> Result<Took> {
    let name = batch.text("event_name")?;
    let lifecycle: Vec<bool> = (0..name.distinct_len()).map(|key| is_lifecycle(name.distinct(key))).collect();
    let is_event = |row: usize| name.get(row).is_some() && lifecycle.get(name.key(row)).copied().unwrap_or(false);
    let rows: Vec<usize> = (0..batch.rows()).filter(|&row| is_event(row)).collect();
    if rows.is_empty() {
        return Ok(Took::default());
    }
    let columns = attributes(batch);
    let (time, observed) = (batch.i64("time")?, batch.i64("observed_time")?);
    let [namespace, service, environment] = super::SERVICE_COLUMNS;
    let (namespace, service) = (batch.text(namespace)?, batch.text(service)?);
    let (environment, version) = (batch.text(environment)?, batch.text("service_version")?);
    let mut malformed: Vec<Option<String>> = vec![None; batch.rows()];
    let mut maintenance_changed = false;
    for row in rows {
        let record = Record {
            event_name: name.get(row).unwrap_or_default(),
            time_ns: time.get(row).unwrap_or(0),
            observed_ns: observed.get(row).unwrap_or(0),
            namespace: namespace.get(row).unwrap_or_default(),
            service: service.get(row).unwrap_or_default(),
            version: version.get(row).unwrap_or_default(),
            environment: environment.get(row).unwrap_or_default(),
            attributes: &Row { columns: &columns, row },
        };
        match record.event() {
            Ok(Some(event)) => maintenance_changed |= take(rules, services, event)?,
            Ok(None) => {}
            Err(error) => {
                count("events_malformed", 1);
                log::warn(format!("{}: {error}", record.event_name));
                if let Some(slot) = malformed.get_mut(row) {
                    *slot = Some(error.to_string());
                }
            }
        }
    }
    if malformed.iter().any(Option::is_some) {
        batch.set(MALFORMED, malformed)?;
    }
    Ok(Took { any: true, maintenance: maintenance_changed })
}

fn number(services: &mut Services, key: &ServiceKey, limit: u32) -> Result<ServiceId> {
    services.id(&key.namespace, &key.service, &key.environment, limit)
}

/// All windows of a service have to be worked out again, but no slot.
fn mark_all(id: ServiceId) -> Result {
    mark(id, Dirty { from: i64::MAX, all: true })
}

/// Takes an event; tells whether it changed a maintenance.
fn take(rules: &Rules, services: &mut Services, event: Event) -> Result<bool> {
    let (settings, limit) = (&rules.config.lifecycle, rules.config.services_max);
    match event.subject {
        Subject::Incident(id, fact) => {
            let mut facts = INCIDENTS.get(&id)?.unwrap_or_default();
            let before = facts.view(&id, settings);
            if !facts.add(&event.service, fact) {
                count("events_duplicated", 1);
                return Ok(false);
            }
            INCIDENTS.put(&id, &facts)?;
            let after = facts.view(&id, settings);
            let owner = |view: &[ExplicitIncident]| view.first().map(|incident| incident.service.clone());
            belongs(services, limit, INCIDENT, &id, owner(&before), owner(&after))?;
            for change in before.iter().chain(&after).filter_map(|incident| incident.cause_change_id.clone()) {
                CAUSED.put(&(change.clone(), id.clone()), &[])?;
                if let Some(facts) = CHANGES.get(&change)? {
                    mark_all(number(services, &facts.service(), limit)?)?;
                }
            }
        }
        Subject::Change(id, fact) => {
            let known = CHANGES.get(&id)?;
            let before = known.as_ref().map(ChangeFacts::service);
            let mut facts = known.unwrap_or_default();
            if facts.add(&event.service, fact) {
                CHANGES.put(&id, &facts)?;
                belongs(services, limit, CHANGE, &id, before, Some(facts.service()))?;
            } else {
                count("events_duplicated", 1);
            }
        }
        Subject::Alert(id, fact) => {
            let mut facts = ALERTS.get(&id)?.unwrap_or_default();
            let owner = |facts: &AlertFacts| facts.occurrences(&id).first().map(|alert| alert.service.clone());
            let before = owner(&facts);
            if facts.add(&event.service, fact) {
                ALERTS.put(&id, &facts)?;
                belongs(services, limit, ALERT, &id, before, owner(&facts))?;
            } else {
                count("events_duplicated", 1);
            }
        }
        Subject::Maintenance(id, fact) => return maintenance(rules, services, &id, &event.service, fact),
    }
    Ok(false)
}

/// Notes the service that a thing belongs to, and that its windows have to be worked out again.
fn belongs(
    services: &mut Services,
    limit: u32,
    kind: u32,
    id: &str,
    before: Option<ServiceKey>,
    after: Option<ServiceKey>,
) -> Result {
    if let Some(before) = before.filter(|before| Some(before) != after.as_ref()) {
        let service = number(services, &before, limit)?;
        OF_SERVICE.delete(&(service, kind, id.to_owned()));
        mark_all(service)?;
    }
    let Some(after) = after else { return Ok(()) };
    let service = number(services, &after, limit)?;
    OF_SERVICE.put(&(service, kind, id.to_owned()), &[])?;
    mark_all(service)
}

fn maintenance(
    rules: &Rules,
    services: &Services,
    id: &str,
    service: &ServiceKey,
    fact: crate::lifecycle::Fact<crate::lifecycle::MaintenanceStep, crate::lifecycle::MaintenanceAttributes>,
) -> Result<bool> {
    let id = id.to_owned();
    let mut facts = MAINTENANCE.get(&id)?.unwrap_or_default();
    let settings = &rules.config.lifecycle;
    let before = facts.maintenance(settings);
    if !facts.add(service, fact) {
        count("events_duplicated", 1);
        return Ok(false);
    }
    MAINTENANCE.put(&id, &facts)?;
    let after = facts.maintenance(settings);
    let from = [before, after].into_iter().flatten().map(|maintenance| maintenance.interval.from).min();
    let Some(from) = from else { return Ok(true) };
    for (number, _) in services.iter().filter(|(_, key)| facts.covers(key)) {
        mark(number, Dirty { from: rules.slot_of(from), all: true })?;
    }
    Ok(true)
}

/// All maintenance that is known.
pub(crate) fn all_maintenance() -> Result<Vec<MaintenanceFacts>> {
    Ok(MAINTENANCE.scan()?.into_iter().map(|(_, facts)| facts).collect())
}

/// What events told of a service.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) incidents: Vec<ExplicitIncident>,
    pub(crate) changes: Vec<(String, ChangeFacts, Vec<Caused>)>,
    pub(crate) alerts: Vec<(String, AlertFacts)>,
}

/// What events told of a service. What was over before `limit` (nanoseconds since 1970) is forgotten: its rows stay.
pub(crate) fn told(settings: &Settings, service: ServiceId, limit: i64) -> Result<Told> {
    let mut ids = Vec::new();
    OF_SERVICE.each(&service, |(_, kind, id), _| {
        ids.push((kind, id));
        Ok(())
    })?;
    let mut told = Told::default();
    for (kind, id) in ids {
        let old = match kind {
            INCIDENT => of_incident(settings, &id, limit, &mut told)?,
            CHANGE => of_change(settings, &id, limit, &mut told)?,
            _ => of_alert(&id, limit, &mut told)?,
        };
        if old {
            OF_SERVICE.delete(&(service, kind, id));
        }
    }
    Ok(told)
}

/// Adds the incidents of an id, or forgets them; tells whether it did that.
fn of_incident(settings: &Settings, id: &String, limit: i64, told: &mut Told) -> Result<bool> {
    let view = INCIDENTS.get(id)?.unwrap_or_default().view(id, settings);
    let over = |one: &ExplicitIncident| one.clocks.closed.or(one.clocks.resolved).or(one.clocks.mitigated);
    let is_old = |one: &ExplicitIncident| {
        let cancelled = one.status == Status::Cancelled && one.first_event < limit;
        cancelled || over(one).is_some_and(|over| over < limit)
    };
    if !view.iter().all(is_old) {
        told.incidents.extend(view);
        return Ok(false);
    }
    INCIDENTS.delete(id);
    for change in view.into_iter().filter_map(|one| one.cause_change_id) {
        CAUSED.delete(&(change, id.clone()));
    }
    Ok(true)
}

fn of_change(settings: &Settings, id: &String, limit: i64, told: &mut Told) -> Result<bool> {
    let Some(facts) = CHANGES.get(id)? else { return Ok(true) };
    let caused = caused(settings, id)?;
    let row = facts.row(id, &caused, settings);
    let old = row.is_none_or(|row| row.time.0 < limit);
    if old {
        CHANGES.delete(id);
    } else {
        told.changes.push((id.clone(), facts, caused));
    }
    Ok(old)
}

fn of_alert(id: &String, limit: i64, told: &mut Told) -> Result<bool> {
    let Some(facts) = ALERTS.get(id)? else { return Ok(true) };
    let old = facts.occurrences(id).iter().all(|alert| alert.ended.unwrap_or(alert.started) < limit);
    if old {
        ALERTS.delete(id);
    } else {
        told.alerts.push((id.clone(), facts));
    }
    Ok(old)
}

/// Forgets maintenance that ended before a time; tells whether there was any.
pub(crate) fn forget_maintenance(settings: &Settings, limit: i64) -> Result<bool> {
    let mut any = false;
    for (id, facts) in MAINTENANCE.scan()? {
        let end = facts.maintenance(settings).map(|maintenance| maintenance.interval.to);
        let told = facts.told();
        if end.map_or(told < limit, |end| end.is_some_and(|end| end < limit)) {
            MAINTENANCE.delete(&id);
            any = true;
        }
    }
    Ok(any)
}

/// The incidents that name a change as their cause.
fn caused(settings: &Settings, change: &str) -> Result<Vec<Caused>> {
    let mut ids = Vec::new();
    CAUSED.each(&change.to_owned(), |(_, id), _| {
        ids.push(id);
        Ok(())
    })?;
    let mut caused = Vec::new();
    for id in ids {
        let incidents = INCIDENTS.get(&id)?.unwrap_or_default().view(&id, settings);
        let of_change = incidents.iter().filter(|incident| incident.cause_change_id.as_deref() == Some(change));
        caused.extend(of_change.filter_map(Caused::by));
    }
    Ok(caused)
}
