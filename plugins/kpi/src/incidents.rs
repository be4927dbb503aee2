//! The incidents of a service: those found in the signals and those that events told of, made one where they are one.

use crate::codec::mix_text;
use crate::config::Rules;
use crate::lifecycle::{Clocks, Durations, ExplicitIncident, Maintenance, Quality, ServiceKey, Settings, Status};
use crate::machine::{Derived, Kind};
use crate::tables::IncidentRow;
use weir_sdk::Timestamp;

/// The kind of an incident of which none was told or found.
const DECLARED: &str = "declared";

/// An incident as the tables have it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Incident {
    pub(crate) id: String,
    pub(crate) severity: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) status: Status,
    pub(crate) planned: bool,
    pub(crate) clocks: Clocks,
    pub(crate) durations: Durations,
    pub(crate) source: Option<&'static str>,
    /// What most of the failed requests that made it failed of.
    pub(crate) error_type: Option<String>,
    /// As told, until one is made where none was.
    pub(crate) fingerprint: Option<String>,
    pub(crate) recurrence_of: Option<String>,
    pub(crate) cause_change_id: Option<String>,
    pub(crate) flaps: u32,
    pub(crate) url: Option<String>,
    pub(crate) root_service: Option<String>,
    pub(crate) quality: Vec<&'static str>,
    /// The first time that is known of it.
    pub(crate) first: i64,
}

impl Incident {
    /// When it was over, as far as that is known.
    pub(crate) fn over(&self) -> Option<i64> {
        let clocks = &self.clocks;
        clocks.resolved.or(clocks.closed).or(clocks.mitigated)
    }

    /// Whether it is one that happened and nobody wanted.
    pub(crate) fn counts(&self) -> bool {
        !self.planned && self.status != Status::Cancelled
    }

    /// From the first symptom to the end of the impact; without an end while it goes on.
    pub(crate) fn impact(&self) -> Option<(i64, Option<i64>)> {
        Some((self.clocks.started?, self.clocks.mitigated.or(self.over())))
    }

    /// What it costs in a minute.
    pub(crate) fn rate(&self, rules: &Rules, service: &str) -> Option<f64> {
        rules.cost_per_minute(service, self.severity.as_deref().unwrap_or_default())
    }

    pub(crate) fn row(&self, rules: &Rules, service: &ServiceKey) -> IncidentRow {
        let minutes = self.impact().and_then(|(from, to)| Some((to? - from).max(0) as f64 / 6e10));
        let rate = self.rate(rules, &service.service).filter(|_| self.status != Status::Cancelled);
        let time = |time: Option<i64>| time.map(Timestamp);
        IncidentRow {
            incident_id: self.id.clone(),
            opened_at: Timestamp(self.first),
            environment: service.environment.clone(),
            service_namespace: service.namespace.clone(),
            service_name: service.service.clone(),
            severity: self.severity.clone(),
            kind: self.kind.clone(),
            status: self.status.as_str().to_owned(),
            planned: self.planned,
            fault_start_at: time(self.clocks.fault_start),
            started_at: time(self.clocks.started),
            detected_at: time(self.clocks.detected),
            acknowledged_at: time(self.clocks.acknowledged),
            mitigated_at: time(self.clocks.mitigated),
            resolved_at: time(self.clocks.resolved),
            closed_at: time(self.clocks.closed),
            ttd_s: self.durations.ttd_s,
            tta_s: self.durations.tta_s,
            ttm_s: self.durations.ttm_s,
            ttr_s: self.durations.ttr_s,
            detection_source: self.source.map(str::to_owned),
            onset_estimated: self.clocks.onset_estimated,
            error_type: self.error_type.clone(),
            fingerprint: self.fingerprint.clone().unwrap_or_default(),
            recurrence_of: self.recurrence_of.clone(),
            cause_change_id: self.cause_change_id.clone(),
            root_service: self.root_service.clone(),
            flaps: self.flaps.into(),
            cost: rate.zip(minutes).map(|(rate, minutes)| rate * minutes),
            url: self.url.clone(),
            quality_flags: self.quality.join(","),
        }
    }
}

/// All incidents of a service, by their begin.
pub(crate) fn incidents(
    rules: &Rules,
    service: &ServiceKey,
    derived: &[Derived],
    explicit: Vec<ExplicitIncident>,
    maintenance: &[Maintenance],
) -> Vec<Incident> {
    let settings = &rules.config.lifecycle;
    let derived = continued(rules, derived);
    let mut found: Vec<Incident> =
        derived.iter().map(|derived| of_signals(rules, service, derived, maintenance)).collect();
    let mut told: Vec<Incident> = explicit.into_iter().map(of_events).collect();
    sort(&mut told);
    for told in &mut told {
        // The nearest of those that are near enough, each once.
        let near = found.iter().enumerate().filter_map(|(index, found)| Some((distance(told, found)?, index)));
        let near = near.filter(|(distance, _)| *distance <= rules.config.merge_s * 1_000_000_000);
        if let Some((_, index)) = near.min() {
            merge(told, found.remove(index), settings);
        }
    }
    found.append(&mut told);
    for incident in &mut found {
        let Incident { kind, error_type, .. } = &*incident;
        let made = made_fingerprint(service, kind.as_deref().unwrap_or(DECLARED), error_type.as_deref());
        incident.fingerprint.get_or_insert(made);
    }
    sort(&mut found);
    recur(&mut found, settings);
    found
}

/// Puts incidents in the order of their begins.
fn sort(incidents: &mut [Incident]) {
    incidents.sort_by(|one, other| (one.first, &one.id).cmp(&(other.first, &other.id)));
}

/// Incidents of the signals, those of one kind that follow each other soon made one if the configuration says so.
fn continued(rules: &Rules, derived: &[Derived]) -> Vec<Derived> {
    let within = rules.config.reopen_derived_s / rules.config.slot_s;
    let mut all: Vec<Derived> = Vec::with_capacity(derived.len());
    for next in derived {
        match all.last_mut() {
            Some(last) if last.kind == next.kind && last.mitigated.is_some_and(|end| next.started - end < within) => {
                last.mitigated = next.mitigated;
                last.flaps += next.flaps + 1;
                last.failures.merge(&next.failures);
            }
            _ => all.push(next.clone()),
        }
    }
    all
}

fn of_signals(rules: &Rules, service: &ServiceKey, derived: &Derived, maintenance: &[Maintenance]) -> Incident {
    let started = rules.time_of(derived.started);
    let mitigated = derived.mitigated.map(|end| rules.time_of(end));
    let status = if mitigated.is_some() { Status::Resolved } else { Status::Open };
    let clocks = Clocks {
        started: Some(started),
        detected: Some(rules.time_of(derived.detected)),
        mitigated,
        resolved: mitigated,
        ..Clocks::default()
    };
    let planned = maintenance
        .iter()
        .find(|planned| planned.interval.from <= started && planned.interval.to.is_none_or(|to| started < to));
    let late = planned.is_some_and(|planned| planned.after_the_fact);
    let config = &rules.config;
    let severity = if derived.kind == Kind::Degraded { &config.severity_degraded } else { &config.severity_down };
    Incident {
        id: format!("sig-{:016x}", hash(service, &[&started.to_string()])),
        severity: Some(severity.clone()),
        kind: Some(derived.kind.name().to_owned()),
        status,
        planned: planned.is_some(),
        durations: clocks.durations(status, &config.lifecycle),
        clocks,
        source: Some("signals"),
        error_type: derived.failures.most().map(str::to_owned),
        fingerprint: None,
        recurrence_of: None,
        cause_change_id: None,
        flaps: derived.flaps,
        url: None,
        root_service: None,
        quality: if late { vec!["maintenance_declared_late"] } else { Vec::new() },
        first: started,
    }
}

fn of_events(explicit: ExplicitIncident) -> Incident {
    let clocks = explicit.clocks;
    Incident {
        id: explicit.incident_id,
        severity: explicit.severity.map(|severity| severity.as_str().to_owned()),
        kind: Some(explicit.kind.unwrap_or_else(|| DECLARED.to_owned())),
        status: explicit.status,
        planned: explicit.planned,
        clocks,
        durations: explicit.durations,
        source: clocks.detected.map(|_| "event"),
        error_type: None,
        fingerprint: explicit.fingerprint,
        recurrence_of: explicit.recurrence_of,
        cause_change_id: explicit.cause_change_id,
        flaps: explicit.flaps,
        url: explicit.url,
        root_service: explicit.root_service,
        quality: explicit.quality.into_iter().map(Quality::as_str).collect(),
        first: clocks.started.unwrap_or(explicit.first_event),
    }
}

/// The fingerprint of incidents of which none was told: what matches is service, environment, symptom and error type.
fn made_fingerprint(service: &ServiceKey, kind: &str, error_type: Option<&str>) -> String {
    let symptom: Vec<&str> = std::iter::once(kind).chain(error_type).collect();
    format!("{:016x}", hash(service, &symptom))
}

fn hash(service: &ServiceKey, more: &[&str]) -> u64 {
    let key = [service.namespace.as_str(), &service.service, &service.environment];
    key.iter().chain(more).fold(0, |hash, text| mix_text(hash, text))
}

/// Nanoseconds between what was told of an incident's begin and one found in the signals, 0 if it was told while that
/// went on; none if the one told was none.
fn distance(told: &Incident, found: &Incident) -> Option<i64> {
    if told.status == Status::Cancelled {
        return None;
    }
    let (from, to) = (found.clocks.started?, found.clocks.mitigated.unwrap_or(i64::MAX));
    let clocks = [told.clocks.started, told.clocks.detected];
    let away = |at: i64| (from.saturating_sub(at)).max(at.saturating_sub(to)).max(0);
    clocks.into_iter().flatten().map(away).min()
}

/// Makes one of what was told and what was found. What people say of begin and end goes before what was measured.
fn merge(told: &mut Incident, found: Incident, settings: &Settings) {
    let estimated = told.clocks.onset_estimated || told.clocks.started.is_none();
    if estimated && found.clocks.started.is_some() {
        (told.clocks.started, told.clocks.onset_estimated) = (found.clocks.started, false);
    }
    // The earliest detection names the source.
    if found.clocks.detected < told.clocks.detected || told.clocks.detected.is_none() {
        (told.clocks.detected, told.source) = (found.clocks.detected, found.source);
    }
    told.clocks.mitigated = told.clocks.mitigated.or(found.clocks.mitigated);
    if told.status == Status::Open && told.clocks.mitigated.is_some() {
        told.status = Status::Mitigated;
    }
    told.severity = told.severity.take().or(found.severity);
    if told.kind.as_deref() == Some(DECLARED) {
        told.kind = found.kind;
    }
    told.error_type = found.error_type;
    told.planned |= found.planned;
    told.flaps = told.flaps.max(found.flaps);
    told.durations = told.clocks.durations(told.status, settings);
    told.first = told.clocks.started.unwrap_or(told.first);
    let measured = [Quality::NoStart, Quality::NoMitigation, Quality::ClockSkew].map(Quality::as_str);
    told.quality.retain(|flag| !measured.contains(flag));
    if told.durations.clock_skew {
        told.quality.push(Quality::ClockSkew.as_str());
    }
    if told.clocks.mitigated.is_none() && matches!(told.status, Status::Resolved | Status::Closed) {
        told.quality.push(Quality::NoMitigation.as_str());
    }
    told.quality.extend(found.quality);
}

/// Says of each incident which one it is again: the latest of its fingerprint that was over shortly before it began.
fn recur(incidents: &mut [Incident], settings: &Settings) {
    let within = i64::from(settings.recurrence_s) * 1_000_000_000;
    for index in 0..incidents.len() {
        let (before, rest) = incidents.split_at_mut(index);
        let Some(this) = rest.first_mut().filter(|this| this.counts() && this.recurrence_of.is_none()) else {
            continue;
        };
        let earlier = before.iter().filter(|other| other.counts() && other.fingerprint == this.fingerprint);
        let earlier = earlier.filter_map(|other| Some((other.over()?, &other.id)));
        let earlier = earlier.filter(|(over, _)| (0..=within).contains(&(this.first - over)));
        this.recurrence_of = earlier.max().map(|(_, id)| id.clone());
    }
}

#[cfg(test)]
mod tests;
