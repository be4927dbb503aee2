//! Changes: deployments, and whether they went well.

use serde::{Deserialize, Serialize};
use weir_sdk::{Row, Timestamp};

use super::clocks::{Seconds, Status};
use super::facts::{Fact, Facts, Keep, Owner, ServiceKey, joined, latest};
use super::incident::ExplicitIncident;
use super::settings::{Settings, ns};

/// Events that are kept of a change; of more, the earliest.
const STEPS_MAX: usize = 64;

/// What happened to a deployment; at one time, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeStep {
    /// It began.
    Started,
    /// It ended.
    Finished,
    /// It was taken back.
    RolledBack,
}

/// How a deployment ended, as in `cicd.pipeline.result`; of two that are told at once, the greater counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeResult {
    /// It went well.
    Success,
    /// It did not run, because a condition did not hold.
    Skip,
    /// Somebody stopped it.
    Cancellation,
    /// It took too long.
    Timeout,
    /// Something around it broke.
    Error,
    /// It went wrong.
    Failure,
}

impl ChangeResult {
    /// What [`parse`](Self::parse) takes.
    pub(crate) const EXPECTED: &str = "success, failure, error, timeout, cancellation or skip";

    /// The result that a text says.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "success" => Self::Success,
            "failure" => Self::Failure,
            "error" => Self::Error,
            "timeout" => Self::Timeout,
            "cancellation" => Self::Cancellation,
            "skip" => Self::Skip,
            _ => return None,
        })
    }

    /// The result as the tables have it: what was left out of the rates is `cancelled`, whether it was stopped or
    /// skipped.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Cancellation | Self::Skip => "cancelled",
        }
    }

    /// Whether it counts neither as failed nor as completed.
    pub(crate) fn is_left_out(self) -> bool {
        matches!(self, Self::Cancellation | Self::Skip)
    }
}

joined! {
    /// What an event says of a change besides.
    pub(crate) struct ChangeAttributes {
        /// Whether somebody approved it.
        "a" approved: bool,
        /// Start of the time in which it was to happen.
        "s" window_start: i64,
        /// End of the time in which it was to happen.
        "e" window_end: i64,
        /// When its code was committed.
        "c" committed_at: i64,
        /// How it ended.
        "r" result: ChangeResult,
        /// The version that it brought.
        "v" version: String,
    }
}

/// An incident that names a change as its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caused {
    /// When its impact ended; none while it has not, or if nobody said.
    pub(crate) mitigated: Option<i64>,
}

impl Caused {
    /// What an incident says of the change that it names; none if it was cancelled.
    pub(crate) fn by(incident: &ExplicitIncident) -> Option<Self> {
        (incident.status != Status::Cancelled).then_some(Self { mitigated: incident.clocks.mitigated })
    }
}

/// All that is known of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangeFacts {
    #[serde(rename = "o")]
    owner: Owner,
    #[serde(rename = "s")]
    steps: Facts<ChangeStep, ChangeAttributes>,
}

/// Changes: deployments, how they ended, and whether they failed.
#[derive(Clone, Debug, Default, PartialEq, Row)]
#[row(table = "changes", mode = "upsert", key = ["change_id"], time = "time")]
pub(crate) struct ChangeRow {
    /// The earliest event of the change: says the day of the row.
    pub(crate) time: Timestamp,
    /// The change.
    pub(crate) change_id: String,
    /// deployment.environment.name; empty where nobody said.
    pub(crate) environment: String,
    /// service.namespace; empty where nobody said.
    pub(crate) service_namespace: String,
    /// service.name; empty where nobody said.
    pub(crate) service_name: String,
    /// service.version that it brought.
    pub(crate) service_version: Option<String>,
    /// When its code was committed.
    pub(crate) committed_at: Option<Timestamp>,
    /// When the deployment began.
    pub(crate) started_at: Option<Timestamp>,
    /// When the deployment ended.
    pub(crate) finished_at: Option<Timestamp>,
    /// success, failure, error, timeout, or cancelled (stopped or skipped: in no rate). Finished without a result is a
    /// success, rolled back before it finished a failure; null while it runs.
    pub(crate) result: Option<&'static str>,
    /// Whether it was taken back, at the latest 24 h after its end (or as configured).
    pub(crate) rolled_back: bool,
    /// Whether it failed: by its result, by being rolled back, or by an incident that names it as its cause. Null while
    /// it runs and if it was cancelled.
    pub(crate) failed: Option<bool>,
    /// Whether it began and ended within its planned window; null if it has none.
    pub(crate) in_window: Option<bool>,
    /// Whether somebody approved it; null where nobody said.
    pub(crate) approved: Option<bool>,
    /// Lead time: seconds from commit to the end of the deployment. Null if it was cancelled, and if the clocks
    /// disagree (a negative time up to 5 s is 0).
    pub(crate) lead_time_s: Option<f64>,
    /// Failed-deployment recovery time: seconds from the end of the deployment to the end of the impact of the last of
    /// the incidents that it caused. Null if it caused none, and while one goes on.
    pub(crate) recovery_s: Option<f64>,
}

impl ChangeFacts {
    /// Adds an event; says whether anything has changed.
    pub(crate) fn add(&mut self, service: &ServiceKey, fact: Fact<ChangeStep, ChangeAttributes>) -> bool {
        let owner_changed = self.owner.hear(fact.time, service);
        self.steps.add(fact, Keep::Earliest, STEPS_MAX) || owner_changed
    }

    /// The service that is changed.
    pub(crate) fn service(&self) -> ServiceKey {
        self.owner.service()
    }

    /// The row of the change, with the incidents that name it as their cause; none if nothing is known of it.
    pub(crate) fn row(&self, id: &str, caused: &[Caused], settings: &Settings) -> Option<ChangeRow> {
        let time = self.steps.iter().next()?.time;
        let started = self.first(ChangeStep::Started);
        let finished = self.finished();
        let rolled_back = self.rolled_back(finished, settings);
        let result = match finished {
            Some(_) => Some(self.result().unwrap_or(ChangeResult::Success)),
            None => rolled_back.then_some(ChangeResult::Failure),
        };
        let completed = result.filter(|result| !result.is_left_out());
        let committed = self.latest(|told| told.committed_at);
        let seconds = |from: Option<i64>, to: Option<i64>| Seconds::between(from?, to?, settings).known();
        let ServiceKey { namespace, service, environment } = self.owner.service();
        Some(ChangeRow {
            time: Timestamp(time),
            change_id: id.to_owned(),
            environment,
            service_namespace: namespace,
            service_name: service,
            service_version: self.latest(|told| told.version.clone()),
            committed_at: committed.map(Timestamp),
            started_at: started.map(Timestamp),
            finished_at: finished.map(Timestamp),
            result: result.map(ChangeResult::as_str),
            rolled_back,
            failed: completed.map(|result| result != ChangeResult::Success || rolled_back || !caused.is_empty()),
            in_window: self.in_window(started, finished),
            approved: self.latest(|told| told.approved),
            lead_time_s: completed.and_then(|_| seconds(committed, finished)),
            recovery_s: completed.and_then(|_| seconds(finished, recovered(caused))),
        })
    }

    fn latest<T: Ord>(&self, value: impl Fn(&ChangeAttributes) -> Option<T>) -> Option<T> {
        latest(self.steps.iter(), value)
    }

    fn first(&self, step: ChangeStep) -> Option<i64> {
        self.steps.iter().find(|fact| fact.step == step).map(|fact| fact.time)
    }

    /// What the end of the deployment says; a rollback has a result of its own.
    fn result(&self) -> Option<ChangeResult> {
        latest(self.steps.iter().filter(|fact| fact.step == ChangeStep::Finished), |told| told.result)
    }

    /// A deployment that was tried again has finished when the last attempt has.
    fn finished(&self) -> Option<i64> {
        self.steps.iter().rfind(|fact| fact.step == ChangeStep::Finished).map(|fact| fact.time)
    }

    fn rolled_back(&self, finished: Option<i64>, settings: &Settings) -> bool {
        let in_time = |at: i64| finished.is_none_or(|finished| at - finished <= ns(settings.rollback_s));
        self.first(ChangeStep::RolledBack).is_some_and(in_time)
    }

    fn in_window(&self, started: Option<i64>, finished: Option<i64>) -> Option<bool> {
        let (from, to) = (self.latest(|told| told.window_start), self.latest(|told| told.window_end));
        if from.is_none() && to.is_none() || started.is_none() && finished.is_none() {
            return None;
        }
        let within = |at: i64| from.is_none_or(|from| at >= from) && to.is_none_or(|to| at <= to);
        Some([started, finished].into_iter().flatten().all(within))
    }
}

/// When the impact of all of them had ended.
fn recovered(caused: &[Caused]) -> Option<i64> {
    let ends: Option<Vec<i64>> = caused.iter().map(|incident| incident.mitigated).collect();
    ends?.into_iter().max()
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
