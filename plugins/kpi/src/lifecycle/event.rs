//! Log records that say what happened.

use std::borrow::Cow;
use std::fmt;

use super::alert::{AlertAttributes, AlertStep};
use super::change::{ChangeAttributes, ChangeResult, ChangeStep};
use super::facts::{Fact, ServiceKey};
use super::incident::{IncidentAttributes, IncidentStep};
use super::maintenance::{MaintenanceAttributes, MaintenanceStep};
use super::severity::Severity;
use super::time::parse_time;

/// Events and their attributes may be named with it or without.
const PREFIX: &str = "itops.";
/// Longer texts are malformed: they are kept in the state.
const TEXT_BYTES_MAX: usize = 1024;
/// So much of a malformed value is shown.
const SHOWN_CHARS_MAX: usize = 64;
const UID: &str = "log.record.uid";

/// The attributes that are read of a record; all but the first also without their prefix `itops.`.
pub(crate) const ATTRIBUTES: [&str; 26] = [
    UID,
    "itops.incident.id",
    "itops.incident.severity",
    "itops.incident.impact_start_time",
    "itops.incident.fault_start_time",
    "itops.incident.kind",
    "itops.incident.fingerprint",
    "itops.incident.cause_change_id",
    "itops.incident.planned",
    "itops.incident.url",
    "itops.incident.root_service",
    "itops.alert.id",
    "itops.alert.fingerprint",
    "itops.alert.name",
    "itops.alert.group_key",
    "itops.alert.severity",
    "itops.change.id",
    "itops.change.approved",
    "itops.change.window_start",
    "itops.change.window_end",
    "itops.change.committed_at",
    "itops.change.planned",
    "itops.change.result",
    "itops.maintenance.id",
    "itops.maintenance.start",
    "itops.maintenance.end",
];

/// The attributes of a record by their keys.
pub(crate) trait Attributes {
    /// The value as text; numbers and truth values as they are in JSON.
    fn text(&self, key: &str) -> Option<&str>;

    /// The value, where it is an integer. Who reads everything as text need not say.
    fn int(&self, _key: &str) -> Option<i64> {
        None
    }

    /// The value, where it is a truth value. Who reads everything as text need not say.
    fn bool(&self, _key: &str) -> Option<bool> {
        None
    }
}

/// A log record.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    /// Its `event_name`.
    pub(crate) event_name: &'a str,
    /// When it happened, in nanoseconds since 1970; 0 if nobody knows.
    pub(crate) time_ns: i64,
    /// When it was seen, in nanoseconds since 1970: stands in for the time where that is missing.
    pub(crate) observed_ns: i64,
    /// `service.namespace` of the resource, empty where it is not set.
    pub(crate) namespace: &'a str,
    /// `service.name` of the resource, empty where it is not set.
    pub(crate) service: &'a str,
    /// `service.version` of the resource, empty where it is not set.
    pub(crate) version: &'a str,
    /// `deployment.environment.name` of the resource, empty where it is not set.
    pub(crate) environment: &'a str,
    /// Its attributes.
    pub(crate) attributes: &'a dyn Attributes,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The service that the record names.
    pub(crate) service: ServiceKey,
    /// What it happened to, and how.
    pub(crate) subject: Subject,
}

/// What an event is about: the id of the thing, and the fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// `itops.incident.*`.
    Incident(String, Fact<IncidentStep, IncidentAttributes>),
    /// `itops.alert.*`.
    Alert(String, Fact<AlertStep, AlertAttributes>),
    /// `itops.deployment.*`.
    Change(String, Fact<ChangeStep, ChangeAttributes>),
    /// `itops.maintenance.*`.
    Maintenance(String, Fact<MaintenanceStep, MaintenanceAttributes>),
}

/// Why a record with the name of an event is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The attribute, or the column, at fault.
    pub(crate) attribute: &'static str,
    /// Its value, shortened; none if it is missing.
    pub(crate) value: Option<String>,
    /// What was expected.
    pub(crate) expected: Cow<'static, str>,
}

impl Malformed {
    fn new(attribute: &'static str, value: Option<&str>, expected: impl Into<Cow<'static, str>>) -> Self {
        let shorten = |value: &str| match value.char_indices().nth(SHOWN_CHARS_MAX) {
            Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
            None => value.to_owned(),
        };
        Self { attribute, value: value.map(shorten), expected: expected.into() }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attribute, value, expected } = self;
        match value {
            Some(value) => write!(out, "\"{attribute}\" is {value:?}, but expected is {expected}"),
            None => write!(out, "\"{attribute}\" is missing, but expected is {expected}"),
        }
    }
}

impl std::error::Error for Malformed {}

#[derive(Clone, Copy)]
enum Step {
    Incident(IncidentStep),
    Alert(AlertStep),
    Change(ChangeStep),
    Maintenance(MaintenanceStep),
}

fn step(event_name: &str) -> Option<Step> {
    Some(match event_name.strip_prefix(PREFIX).unwrap_or(event_name) {
        "incident.declared" => Step::Incident(IncidentStep::Declared),
        "incident.detected" => Step::Incident(IncidentStep::Detected),
        "incident.acknowledged" => Step::Incident(IncidentStep::Acknowledged),
        "incident.mitigated" => Step::Incident(IncidentStep::Mitigated),
        "incident.resolved" => Step::Incident(IncidentStep::Resolved),
        "incident.reopened" => Step::Incident(IncidentStep::Reopened),
        "incident.closed" => Step::Incident(IncidentStep::Closed),
        "incident.cancelled" => Step::Incident(IncidentStep::Cancelled),
        "incident.updated" => Step::Incident(IncidentStep::Updated),
        "alert.fired" => Step::Alert(AlertStep::Fired),
        "alert.resolved" => Step::Alert(AlertStep::Resolved),
        "alert.suppressed" => Step::Alert(AlertStep::Suppressed),
        "deployment.started" => Step::Change(ChangeStep::Started),
        "deployment.finished" => Step::Change(ChangeStep::Finished),
        "deployment.rolled_back" => Step::Change(ChangeStep::RolledBack),
        "maintenance.scheduled" => Step::Maintenance(MaintenanceStep::Scheduled),
        "maintenance.started" => Step::Maintenance(MaintenanceStep::Started),
        "maintenance.ended" => Step::Maintenance(MaintenanceStep::Ended),
        "maintenance.cancelled" => Step::Maintenance(MaintenanceStep::Cancelled),
        _ => return None,
    })
}

/// Whether a record of this `event_name` is an event that [`Record::event`] reads.
pub(crate) fn is_lifecycle(event_name: &str) -> bool {
    step(event_name).is_some()
}

impl Record<'_> {
    /// The event that the record is; none if it is another log record.
    ///
    /// # Errors
    ///
    /// It has the name of an event, but an attribute that is required is missing, or one is not what it must be.
    pub(crate) fn event(&self) -> Result<Option<Event>, Malformed> {
        let Some(step) = step(self.event_name) else { return Ok(None) };
        let subject = match step {
            Step::Incident(step) => {
                Subject::Incident(self.id("itops.incident.id")?, self.fact(step, self.incident_attributes()?)?)
            }
            Step::Alert(step) => Subject::Alert(self.id("itops.alert.id")?, self.fact(step, self.alert_attributes()?)?),
            Step::Change(step) => {
                Subject::Change(self.id("itops.change.id")?, self.fact(step, self.change_attributes()?)?)
            }
            Step::Maintenance(step) => {
                Subject::Maintenance(self.id("itops.maintenance.id")?, self.fact(step, self.maintenance_attributes()?)?)
            }
        };
        let service = ServiceKey {
            namespace: bounded("service.namespace", self.namespace)?.to_owned(),
            service: bounded("service.name", self.service)?.to_owned(),
            environment: bounded("deployment.environment.name", self.environment)?.to_owned(),
        };
        Ok(Some(Event { service, subject }))
    }

    fn fact<S, A>(&self, step: S, attributes: A) -> Result<Fact<S, A>, Malformed> {
        let time = [self.time_ns, self.observed_ns].into_iter().find(|time| *time > 0);
        let time = time.ok_or_else(|| Malformed::new("time", None, "a time after 1970"))?;
        Ok(Fact { time, step, uid: self.text(UID)?, attributes })
    }

    fn incident_attributes(&self) -> Result<IncidentAttributes, Malformed> {
        Ok(IncidentAttributes {
            severity: self.severity("itops.incident.severity")?,
            impact_start: self.time("itops.incident.impact_start_time")?,
            fault_start: self.time("itops.incident.fault_start_time")?,
            kind: self.text("itops.incident.kind")?,
            fingerprint: self.text("itops.incident.fingerprint")?,
            cause_change_id: self.text("itops.incident.cause_change_id")?,
            planned: self.bool("itops.incident.planned")?,
            url: self.text("itops.incident.url")?,
            root_service: self.text("itops.incident.root_service")?,
        })
    }

    fn alert_attributes(&self) -> Result<AlertAttributes, Malformed> {
        Ok(AlertAttributes {
            fingerprint: Some(self.id("itops.alert.fingerprint")?),
            name: self.text("itops.alert.name")?,
            group_key: self.text("itops.alert.group_key")?,
            severity: self.severity("itops.alert.severity")?,
        })
    }

    fn change_attributes(&self) -> Result<ChangeAttributes, Malformed> {
        let window_start = self.time("itops.change.window_start")?;
        let window_end = self.later(window_start, "itops.change.window_end")?;
        // No column needs it, but a value that is no truth value is malformed all the same.
        self.bool("itops.change.planned")?;
        let version = bounded("service.version", self.version)?;
        Ok(ChangeAttributes {
            approved: self.bool("itops.change.approved")?,
            window_start,
            window_end,
            committed_at: self.time("itops.change.committed_at")?,
            result: self.result("itops.change.result")?,
            version: (!version.is_empty()).then(|| version.to_owned()),
        })
    }

    fn maintenance_attributes(&self) -> Result<MaintenanceAttributes, Malformed> {
        let start = self.time("itops.maintenance.start")?;
        let end = self.later(start, "itops.maintenance.end")?;
        Ok(MaintenanceAttributes { start, end })
    }

    /// The value of an attribute under its key, or under the key without the prefix; empty text is none.
    fn raw(&self, key: &'static str) -> Option<Cow<'_, str>> {
        let value = |key: &str| {
            let text = self.attributes.text(key).map(Cow::Borrowed);
            let int = || self.attributes.int(key).map(|int| Cow::Owned(int.to_string()));
            let bool = || self.attributes.bool(key).map(|bool| Cow::Owned(bool.to_string()));
            text.or_else(int).or_else(bool).filter(|text| !text.is_empty())
        };
        value(key).or_else(|| key.strip_prefix(PREFIX).and_then(value))
    }

    fn text(&self, key: &'static str) -> Result<Option<String>, Malformed> {
        let Some(value) = self.raw(key) else { return Ok(None) };
        bounded(key, &value)?;
        Ok(Some(value.into_owned()))
    }

    fn id(&self, key: &'static str) -> Result<String, Malformed> {
        self.text(key)?.ok_or_else(|| Malformed::new(key, None, "text that is not empty"))
    }

    fn time(&self, key: &'static str) -> Result<Option<i64>, Malformed> {
        let Some(value) = self.raw(key) else { return Ok(None) };
        let malformed = |why: &str| {
            let expected = format!("RFC 3339 text or integer Unix nanoseconds, after 1970: {why}");
            Malformed::new(key, Some(&value), expected)
        };
        let digits = value.strip_prefix('-').unwrap_or(&value);
        let time = if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            value.parse().map_err(|_| malformed("it does not fit into 64 bits"))?
        } else {
            parse_time(&value).map_err(malformed)?
        };
        if time > 0 { Ok(Some(time)) } else { Err(malformed("it is not after 1970")) }
    }

    fn later(&self, start: Option<i64>, key: &'static str) -> Result<Option<i64>, Malformed> {
        let end = self.time(key)?;
        match (start, end) {
            (Some(start), Some(end)) if end <= start => {
                Err(Malformed::new(key, self.raw(key).as_deref(), format!("a time after its start, {start} ns")))
            }
            _ => Ok(end),
        }
    }

    fn bool(&self, key: &'static str) -> Result<Option<bool>, Malformed> {
        match self.raw(key).as_deref() {
            None => Ok(None),
            Some("true" | "True" | "TRUE") => Ok(Some(true)),
            Some("false" | "False" | "FALSE") => Ok(Some(false)),
            Some(other) => Err(Malformed::new(key, Some(other), "true or false")),
        }
    }

    fn severity(&self, key: &'static str) -> Result<Option<Severity>, Malformed> {
        let Some(value) = self.raw(key) else { return Ok(None) };
        let severity = Severity::parse(&value);
        severity.map(Some).ok_or_else(|| Malformed::new(key, Some(&value), Severity::EXPECTED))
    }

    fn result(&self, key: &'static str) -> Result<Option<ChangeResult>, Malformed> {
        let Some(value) = self.raw(key) else { return Ok(None) };
        let result = ChangeResult::parse(&value);
        result.map(Some).ok_or_else(|| Malformed::new(key, Some(&value), ChangeResult::EXPECTED))
    }
}

fn bounded<'a>(attribute: &'static str, text: &'a str) -> Result<&'a str, Malformed> {
    if text.len() <= TEXT_BYTES_MAX {
        return Ok(text);
    }
    let expected = format!("text of at most {TEXT_BYTES_MAX} bytes, not {}", text.len());
    Err(Malformed::new(attribute, Some(text), expected))
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
