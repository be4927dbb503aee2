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

pub use alert::{AlertAttributes, AlertFacts, AlertRow, AlertStep, Occurrence, alert_rows};
pub use change::{Caused, ChangeAttributes, ChangeFacts, ChangeResult, ChangeRow, ChangeStep};
pub use clocks::{Clocks, Durations, Interval, Status};
pub use event::{ATTRIBUTES, Attributes, Event, Malformed, Record, Subject, is_lifecycle};
pub use facts::{Fact, ServiceKey};
pub use incident::{ExplicitIncident, IncidentAttributes, IncidentFacts, IncidentStep, Quality};
pub use maintenance::{Maintenance, MaintenanceAttributes, MaintenanceFacts, MaintenanceStep};
pub use settings::{AcknowledgeFrom, DetectFrom, ResolveFrom, ResolveTo, Settings};
pub use severity::Severity;
pub use time::parse_time;

#[cfg(test)]
mod tests;
