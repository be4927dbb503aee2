//! Alerts: which of them say something new.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_sdk::{Row, Timestamp};

use super::facts::{Fact, Facts, Keep, Owner, ServiceKey, joined, latest};
use super::settings::{Settings, ns};
use super::severity::Severity;

/// Events that are kept of an alert; of more, the earliest.
const STEPS_MAX: usize = 256;

/// What happened to an alert; at one time, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlertStep {
    /// It began, or it was said again that it goes on.
    Fired,
    /// It was kept from whoever is on call.
    Suppressed,
    /// It ended.
    Resolved,
}

joined! {
    /// What an event says of an alert besides.
    pub(crate) struct AlertAttributes {
        /// What alerts of one cause have in common.
        "f" fingerprint: String,
        /// What it is called.
        "n" name: String,
        /// What the alerts of one group have in common.
        "g" group_key: String,
        /// How bad it is.
        "s" severity: Severity,
    }
}

/// All that is known of the alerts of one id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AlertFacts {
    #[serde(rename = "o")]
    owner: Owner,
    #[serde(rename = "s")]
    steps: Facts<AlertStep, AlertAttributes>,
}

/// An alert, from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Occurrence {
    /// Its id; `id#2` and so on where the id was used again after its end.
    pub(crate) alert_id: String,
    /// Its service.
    pub(crate) service: ServiceKey,
    /// What alerts of one cause have in common.
    pub(crate) fingerprint: String,
    /// What it is called.
    pub(crate) name: Option<String>,
    /// What the alerts of its group have in common, if it says so.
    pub(crate) group_key: Option<String>,
    /// The severity told last.
    pub(crate) severity: Option<Severity>,
    /// When it began.
    pub(crate) started: i64,
    /// When it ended; none if nothing says so.
    pub(crate) ended: Option<i64>,
    /// Whether it was suppressed.
    pub(crate) suppressed: bool,
}

/// Alerts, the groups and the incidents that they belong to. Noise reduction is one less groups by alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Row)]
#[row(table = "alerts", mode = "upsert", key = ["alert_id"], time = "started_at")]
pub(crate) struct AlertRow {
    /// The alert; with #2 and so on where its id was used again after its end.
    pub(crate) alert_id: String,
    /// deployment.environment.name; empty where nobody said.
    pub(crate) environment: String,
    /// service.namespace; empty where nobody said.
    pub(crate) service_namespace: String,
    /// service.name; empty where nobody said.
    pub(crate) service_name: String,
    /// What it is called.
    pub(crate) name: Option<String>,
    /// What alerts of one cause have in common.
    pub(crate) fingerprint: String,
    /// The group: its group key, else the fingerprint and the first alert of this fingerprint and service that others
    /// followed without a pause (15 min unless configured).
    pub(crate) group_id: String,
    /// The incident of its service during which it began; null if there was none.
    pub(crate) incident_id: Option<String>,
    /// sev1 (critical) to sev5 (informational); null where nobody said.
    pub(crate) severity: Option<&'static str>,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// When it ended; null while it goes on, and where nobody said.
    pub(crate) ended_at: Option<Timestamp>,
    /// Whether an alert of its fingerprint and service was still open, or had ended shortly before (5 min unless
    /// configured).
    pub(crate) is_duplicate: bool,
    /// Whether it was kept from whoever is on call.
    pub(crate) suppressed: bool,
}

impl AlertFacts {
    /// Adds an event; says whether anything has changed.
    pub(crate) fn add(&mut self, service: &ServiceKey, fact: Fact<AlertStep, AlertAttributes>) -> bool {
        let owner_changed = self.owner.hear(fact.time, service);
        self.steps.add(fact, Keep::Earliest, STEPS_MAX) || owner_changed
    }

    /// The alerts of this id, the first one first; none while only an end is known.
    pub(crate) fn occurrences(&self, id: &str) -> Vec<Occurrence> {
        let mut found: Vec<(i64, Option<i64>)> = Vec::new();
        for fact in self.steps.iter() {
            match (fact.step, found.last_mut()) {
                (AlertStep::Resolved, Some((_, ended))) => _ = ended.get_or_insert(fact.time),
                (AlertStep::Resolved, None) | (_, Some((_, None))) => {}
                (AlertStep::Fired | AlertStep::Suppressed, _) => found.push((fact.time, None)),
            }
        }
        let next = found.iter().skip(1).map(|(started, _)| *started).chain([i64::MAX]).collect::<Vec<_>>();
        let occurrences = found.iter().zip(next).enumerate().map(|(index, (&(started, ended), until))| {
            let before = || self.steps.iter().filter(|fact| fact.time < until);
            let own = || before().filter(|fact| fact.time >= started);
            Occurrence {
                alert_id: if index == 0 { id.to_owned() } else { format!("{id}#{}", index + 1) },
                service: self.owner.service(),
                fingerprint: latest(before(), |told| told.fingerprint.clone()).unwrap_or_default(),
                name: latest(before(), |told| told.name.clone()),
                group_key: latest(before(), |told| told.group_key.clone()),
                severity: latest(before(), |told| told.severity),
                started,
                ended,
                suppressed: own().any(|fact| fact.step == AlertStep::Suppressed),
            }
        });
        occurrences.collect()
    }
}

/// The rows of alerts, which must be all that are near to each other in time, in any order; `incident_of` knows the
/// incident of a service at a time. The rows are in the order of service, fingerprint and time.
pub(crate) fn alert_rows(
    alerts: impl IntoIterator<Item = Occurrence>,
    incident_of: impl Fn(&ServiceKey, i64) -> Option<String>,
    settings: &Settings,
) -> Vec<AlertRow> {
    let mut alike: BTreeMap<(ServiceKey, String), Vec<Occurrence>> = BTreeMap::new();
    for alert in alerts {
        alike.entry((alert.service.clone(), alert.fingerprint.clone())).or_default().push(alert);
    }
    let mut rows = Vec::new();
    for mut alerts in alike.into_values() {
        alerts.sort_by(|one, other| (one.started, &one.alert_id).cmp(&(other.started, &other.alert_id)));
        let mut run: Option<Run> = None;
        for alert in alerts {
            let pause = run.as_ref().map(|run| alert.started.saturating_sub(run.open_until));
            let is_duplicate = pause.is_some_and(|pause| pause <= ns(settings.alert_duplicate_s));
            let open_until = alert.open_until(settings);
            let same = run.take().filter(|_| pause.is_some_and(|pause| pause <= ns(settings.alert_group_s)));
            let this = match same {
                Some(run) => Run { open_until: run.open_until.max(open_until), ..run },
                None => Run { group_id: format!("{}#{}", alert.fingerprint, alert.alert_id), open_until },
            };
            let group_id = alert.group_key.clone().unwrap_or_else(|| this.group_id.clone());
            let incident_id = incident_of(&alert.service, alert.started);
            rows.push(alert.into_row(group_id, incident_id, is_duplicate));
            run = Some(this);
        }
    }
    rows
}

/// Alerts of one fingerprint and service without a pause.
struct Run {
    group_id: String,
    open_until: i64,
}

impl Occurrence {
    fn open_until(&self, settings: &Settings) -> i64 {
        self.ended.unwrap_or_else(|| self.started.saturating_add(ns(settings.alert_open_max_s)))
    }

    fn into_row(self, group_id: String, incident_id: Option<String>, is_duplicate: bool) -> AlertRow {
        AlertRow {
            alert_id: self.alert_id,
            environment: self.service.environment,
            service_namespace: self.service.namespace,
            service_name: self.service.service,
            name: self.name,
            fingerprint: self.fingerprint,
            group_id,
            incident_id,
            severity: self.severity.map(Severity::as_str),
            started_at: Timestamp(self.started),
            ended_at: self.ended.map(Timestamp),
            is_duplicate,
            suppressed: self.suppressed,
        }
    }
}

#[cfg(test)]
#[path = "alert_tests.rs"]
mod tests;
