//! Events that say what happened: incidents, alerts, deployments and maintenance, told by log records.
//!
//! A record becomes an [`Event`] ([`Record::event`]). Events of one thing are added to its facts ([`IncidentFacts`],
//! [`ChangeFacts`], [`MaintenanceFacts`], [`AlertFacts`]), which are what is kept. Facts are a set: the order in which
//! events arrive and how often each does make no difference to them. What the tables say is worked out from the facts
//! each time anew, so that an event that comes late restates it.
//!
//! All times are nanoseconds since 1970, all durations of rows seconds.

mod alert;
mod change;
mod clocks;
mod event;
mod facts;
mod incident;
mod maintenance;
mod settings;
mod severity;
mod time;

pub(crate) use alert::{AlertAttributes, AlertFacts, AlertRow, AlertStep, Occurrence, alert_rows};
pub(crate) use change::{Caused, ChangeAttributes, ChangeFacts, ChangeResult, ChangeRow, ChangeStep};
pub(crate) use clocks::{Clocks, Durations, Interval, Status};
pub(crate) use event::{ATTRIBUTES, Attributes, Event, Malformed, Record, Subject, is_lifecycle};
pub(crate) use facts::{Fact, ServiceKey};
pub(crate) use incident::{ExplicitIncident, IncidentAttributes, IncidentFacts, IncidentStep, Quality};
pub(crate) use maintenance::{Maintenance, MaintenanceAttributes, MaintenanceFacts, MaintenanceStep};
pub(crate) use settings::{AcknowledgeFrom, DetectFrom, ResolveFrom, ResolveTo, Settings};
pub(crate) use severity::Severity;
pub(crate) use time::parse_time;

#[cfg(test)]
mod tests;
