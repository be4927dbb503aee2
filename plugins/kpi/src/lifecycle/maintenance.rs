//! Planned maintenance: when a service was allowed to be down.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::clocks::Interval;
use super::facts::{Fact, Facts, Keep, ServiceKey, joined, latest};
use super::settings::{Settings, ns};

/// Events that are kept of a maintenance; of more, the earliest.
const STEPS_MAX: usize = 64;
/// Services that a maintenance can name; of more, the first by name.
const SERVICES_MAX: usize = 256;

/// What happened to a maintenance; at one time, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MaintenanceStep {
    /// Somebody said when it would be.
    Scheduled,
    /// It began.
    Started,
    /// It ended.
    Ended,
    /// It does not take place, or not any further.
    Cancelled,
}

joined! {
    /// What an event says of a maintenance besides.
    pub(crate) struct MaintenanceAttributes {
        /// When it is to begin.
        "s" start: i64,
        /// When it is to end.
        "e" end: i64,
    }
}

/// All that is known of a maintenance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MaintenanceFacts {
    #[serde(rename = "n")]
    named: BTreeSet<ServiceKey>,
    #[serde(rename = "s")]
    steps: Facts<MaintenanceStep, MaintenanceAttributes>,
}

/// A maintenance that takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Maintenance {
    /// When.
    pub(crate) interval: Interval,
    /// Whether it was declared when it had begun already, by more than clocks may disagree.
    pub(crate) after_the_fact: bool,
}

impl MaintenanceFacts {
    /// Adds an event; says whether anything has changed.
    pub(crate) fn add(&mut self, service: &ServiceKey, fact: Fact<MaintenanceStep, MaintenanceAttributes>) -> bool {
        let mut changed = false;
        if !self.named.contains(service) {
            self.named.insert(service.clone());
            let dropped = if self.named.len() > SERVICES_MAX { self.named.pop_last() } else { None };
            changed = dropped.as_ref() != Some(service);
        }
        self.steps.add(fact, Keep::Earliest, STEPS_MAX) || changed
    }

    /// Whether it is a maintenance of the service: its events name it, or they name none and its environment. A
    /// namespace that they leave out is any.
    pub(crate) fn covers(&self, service: &ServiceKey) -> bool {
        let names_any = self.named.iter().any(|named| !named.service.is_empty());
        self.named.iter().filter(|named| !names_any || !named.service.is_empty()).any(|named| {
            named.environment == service.environment
                && (named.service.is_empty() || named.service == service.service)
                && (named.namespace.is_empty() || named.namespace == service.namespace)
        })
    }

    /// When it takes place: as it was scheduled last, unless it began, ended or was cancelled at other times. None if
    /// it does not take place, or if nothing says when.
    pub(crate) fn maintenance(&self, settings: &Settings) -> Option<Maintenance> {
        let began = self.first(MaintenanceStep::Started, i64::MIN);
        let from = began.or_else(|| latest(self.steps.iter(), |told| told.start))?;
        let ended = self.first(MaintenanceStep::Ended, from);
        let cancelled = self.first(MaintenanceStep::Cancelled, i64::MIN);
        let scheduled_end = latest(self.steps.iter(), |told| told.end);
        let to = match cancelled {
            // Cancelled after its end changes nothing.
            Some(cancelled) if ended.is_some_and(|ended| ended <= cancelled) => ended,
            Some(cancelled) if began.is_some() => Some(cancelled),
            Some(_) => return None,
            // One that began after its scheduled end goes on until it is said to have ended.
            None => ended.or(scheduled_end.filter(|end| *end > from)),
        };
        let declared = self.steps.iter().next()?.time;
        let interval = Interval { from, to };
        let after_the_fact = declared.saturating_sub(from) > ns(settings.skew_s);
        to.is_none_or(|to| to > from).then_some(Maintenance { interval, after_the_fact })
    }

    /// The time of its last event.
    pub(crate) fn told(&self) -> i64 {
        self.steps.iter().next_back().map_or(i64::MIN, |fact| fact.time)
    }

    fn first(&self, step: MaintenanceStep, from: i64) -> Option<i64> {
        self.steps.iter().find(|fact| fact.step == step && fact.time >= from).map(|fact| fact.time)
    }
}

#[cfg(test)]
#[path = "maintenance_tests.rs"]
mod tests;
