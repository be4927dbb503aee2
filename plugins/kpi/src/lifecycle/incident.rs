//! Incidents as people and their tools tell of them.

use serde::{Deserialize, Serialize};

use super::clocks::{Clocks, Durations, Interval, Status};
use super::facts::{Fact, Facts, Keep, Owner, ServiceKey, joined, latest};
use super::settings::{Settings, ns};
use super::severity::Severity;

/// Steps that are kept of an incident; of more, the earliest.
const STEPS_MAX: usize = 256;
/// Updates that are kept of an incident; of more, the latest.
const UPDATES_MAX: usize = 64;

/// What happened to an incident; at one time, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IncidentStep {
    /// Somebody said that there is one.
    Declared,
    /// Something noticed it.
    Detected,
    /// Somebody took it.
    Acknowledged,
    /// Its impact ended.
    Mitigated,
    /// It was resolved.
    Resolved,
    /// It was closed.
    Closed,
    /// It was none.
    Cancelled,
    /// It is back.
    Reopened,
    /// Attributes of it changed.
    Updated,
}

joined! {
    /// What an event says of an incident besides.
    pub(crate) struct IncidentAttributes {
        /// How bad it is.
        "s" severity: Severity,
        /// When its impact began.
        "i" impact_start: i64,
        /// When its cause began.
        "f" fault_start: i64,
        /// What kind it is.
        "k" kind: String,
        /// What incidents of one cause have in common.
        "p" fingerprint: String,
        /// The change that caused it.
        "c" cause_change_id: String,
        /// Whether it was planned.
        "m" planned: bool,
        /// Where to read about it.
        "u" url: String,
        /// The service in which it began.
        "r" root_service: String,
    }
}

/// What cannot be said of an incident, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Quality {
    /// A duration is null because its end lies before its start.
    ClockSkew,
    /// Nothing says when it began.
    NoStart,
    /// It is over, but nothing says when its impact ended.
    NoMitigation,
    /// It is closed, but nothing says when it was resolved.
    NoResolution,
    /// It was reopened though nothing said that it had ended.
    ReopenedWhileOpen,
    /// It had more events than are kept.
    Truncated,
}

impl Quality {
    /// The flag as the tables have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ClockSkew => "clock_skew",
            Self::NoStart => "no_start",
            Self::NoMitigation => "no_mitigation",
            Self::NoResolution => "no_resolution",
            Self::ReopenedWhileOpen => "reopened_while_open",
            Self::Truncated => "truncated",
        }
    }
}

/// All that is known of the incidents of one id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IncidentFacts {
    #[serde(rename = "o")]
    owner: Owner,
    #[serde(rename = "s")]
    steps: Facts<IncidentStep, IncidentAttributes>,
    #[serde(rename = "u")]
    updates: Facts<IncidentStep, IncidentAttributes>,
}

/// An incident that events told of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExplicitIncident {
    /// Its id; `id#2` and so on for those that reopening too late made of it.
    pub(crate) incident_id: String,
    /// Its service.
    pub(crate) service: ServiceKey,
    /// The severity told last.
    pub(crate) severity: Option<Severity>,
    /// The kind told last.
    pub(crate) kind: Option<String>,
    /// How far it is.
    pub(crate) status: Status,
    /// Whether it was planned.
    pub(crate) planned: bool,
    /// When it went through its stages.
    pub(crate) clocks: Clocks,
    /// The durations between them.
    pub(crate) durations: Durations,
    /// How often it was reopened.
    pub(crate) flaps: u32,
    /// When there was impact: between its end and a reopening there was none. Empty if it was cancelled.
    pub(crate) impact: Vec<Interval>,
    /// The fingerprint told last.
    pub(crate) fingerprint: Option<String>,
    /// The incident of the same id that it is again.
    pub(crate) recurrence_of: Option<String>,
    /// The change that caused it.
    pub(crate) cause_change_id: Option<String>,
    /// Where to read about it.
    pub(crate) url: Option<String>,
    /// The service in which it began, told last.
    pub(crate) root_service: Option<String>,
    /// What cannot be said of it, sorted.
    pub(crate) quality: Vec<Quality>,
    /// The time of its first event.
    pub(crate) first_event: i64,
}

impl IncidentFacts {
    /// Adds an event; says whether anything has changed.
    pub(crate) fn add(&mut self, service: &ServiceKey, fact: Fact<IncidentStep, IncidentAttributes>) -> bool {
        let owner_changed = self.owner.hear(fact.time, service);
        let facts_changed = if fact.step == IncidentStep::Updated {
            self.updates.add(fact, Keep::Latest, UPDATES_MAX)
        } else {
            self.steps.add(fact, Keep::Earliest, STEPS_MAX)
        };
        owner_changed || facts_changed
    }

    /// The incidents of this id, the first one first. There is more than one where it was reopened later than
    /// [`Settings::reopen_s`] after its end.
    pub(crate) fn view(&self, id: &str, settings: &Settings) -> Vec<ExplicitIncident> {
        let episodes = self.episodes(settings);
        let mut incidents: Vec<ExplicitIncident> = Vec::with_capacity(episodes.len());
        for (index, episode) in episodes.iter().enumerate() {
            let until = episodes.get(index + 1).map_or(i64::MAX, |next| next.from);
            let mut incident = self.incident(id, episode, until, settings);
            if index > 0 {
                incident.incident_id = format!("{id}#{}", index + 1);
                let previous = index.checked_sub(1).and_then(|index| episodes.get(index)).zip(incidents.last());
                incident.recurrence_of = previous.and_then(|(before, told)| {
                    let recurs = told.status != Status::Cancelled
                        && told.fingerprint == incident.fingerprint
                        && before.end().is_some_and(|end| episode.from - end <= ns(settings.recurrence_s));
                    recurs.then(|| told.incident_id.clone())
                });
            }
            incidents.push(incident);
        }
        incidents
    }

    fn all(&self) -> impl Iterator<Item = &Fact<IncidentStep, IncidentAttributes>> {
        self.steps.iter().chain(self.updates.iter())
    }

    /// Splits the steps where an incident was reopened too late to be the same.
    fn episodes(&self, settings: &Settings) -> Vec<Episode> {
        let Some(first) = self.all().map(|fact| fact.time).min() else { return Vec::new() };
        let mut done = Vec::new();
        let mut current = Episode::new(first);
        for fact in self.steps.iter() {
            let late = current.end().is_some_and(|end| fact.time - end > ns(settings.reopen_s));
            if fact.step == IncidentStep::Reopened && late {
                let next = Episode { reopened: Some(fact.time), ..Episode::new(fact.time) };
                done.push(std::mem::replace(&mut current, next));
            } else {
                current.take(fact);
            }
        }
        done.push(current);
        done
    }

    fn incident(&self, id: &str, episode: &Episode, until: i64, settings: &Settings) -> ExplicitIncident {
        // What an incident is does not change when it is reopened; when it began and why is told anew.
        let before = || self.all().filter(|fact| fact.time < until);
        let own = || before().filter(|fact| fact.time >= episode.from);
        // A reopening within the incident says when that part of it began, not the whole.
        let onset = || own().filter(|fact| fact.step != IncidentStep::Reopened || episode.reopened == Some(fact.time));
        let clocks = episode.clocks(
            latest(onset(), |attributes| attributes.impact_start),
            latest(onset(), |attributes| attributes.fault_start),
        );
        let status = episode.status();
        let durations = clocks.durations(status, settings);
        ExplicitIncident {
            incident_id: id.to_owned(),
            service: self.owner.service(),
            severity: latest(before(), |attributes| attributes.severity),
            kind: latest(before(), |attributes| attributes.kind.as_ref()).cloned(),
            status,
            planned: latest(before(), |attributes| attributes.planned).unwrap_or(false),
            clocks,
            durations,
            flaps: episode.flaps(),
            impact: if status == Status::Cancelled { Vec::new() } else { episode.impact(clocks.started) },
            fingerprint: latest(before(), |attributes| attributes.fingerprint.as_ref()).cloned(),
            recurrence_of: None,
            cause_change_id: latest(own(), |attributes| attributes.cause_change_id.as_ref()).cloned(),
            url: latest(before(), |attributes| attributes.url.as_ref()).cloned(),
            root_service: latest(before(), |attributes| attributes.root_service.as_ref()).cloned(),
            quality: self.quality(episode, &clocks, &durations),
            first_event: episode.from,
        }
    }

    fn quality(&self, episode: &Episode, clocks: &Clocks, durations: &Durations) -> Vec<Quality> {
        let status = episode.status();
        let over = matches!(status, Status::Resolved | Status::Closed);
        let flags = [
            (Quality::ClockSkew, durations.clock_skew),
            (Quality::NoStart, clocks.started.is_none()),
            (Quality::NoMitigation, over && clocks.mitigated.is_none()),
            (Quality::NoResolution, status == Status::Closed && clocks.resolved.is_none()),
            (Quality::ReopenedWhileOpen, episode.reopened_while_open),
            (Quality::Truncated, self.steps.truncated() || self.updates.truncated()),
        ];
        flags.into_iter().filter(|(_, raised)| *raised).map(|(flag, _)| flag).collect()
    }
}

/// From the beginning of an incident, or a reopening within it, to its end.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// None for the first: it begins with the incident.
    from: Option<i64>,
    mitigated: Option<i64>,
    resolved: Option<i64>,
    closed: Option<i64>,
    cancelled: Option<i64>,
}

impl Part {
    /// When it was over, for whoever works on it.
    fn end(&self) -> Option<i64> {
        self.resolved.or(self.closed).or(self.cancelled)
    }
}

/// The steps of one incident.
#[derive(Clone, Debug)]
struct Episode {
    /// The time of its first event.
    from: i64,
    /// The reopening that made it, if one did.
    reopened: Option<i64>,
    declared: Option<i64>,
    detected: Option<i64>,
    acknowledged: Option<i64>,
    past: Vec<Part>,
    part: Part,
    reopened_while_open: bool,
}

impl Episode {
    fn new(from: i64) -> Self {
        Self {
            from,
            reopened: None,
            declared: None,
            detected: None,
            acknowledged: None,
            past: Vec::new(),
            part: Part::default(),
            reopened_while_open: false,
        }
    }

    /// Takes the next step. Of a step told twice the first counts.
    fn take(&mut self, fact: &Fact<IncidentStep, IncidentAttributes>) {
        let clock = match fact.step {
            IncidentStep::Declared => &mut self.declared,
            IncidentStep::Detected => &mut self.detected,
            IncidentStep::Acknowledged => &mut self.acknowledged,
            IncidentStep::Mitigated => &mut self.part.mitigated,
            IncidentStep::Resolved => &mut self.part.resolved,
            IncidentStep::Closed => &mut self.part.closed,
            IncidentStep::Cancelled => &mut self.part.cancelled,
            IncidentStep::Updated => return,
            IncidentStep::Reopened => return self.reopen(fact),
        };
        clock.get_or_insert(fact.time);
    }

    fn reopen(&mut self, fact: &Fact<IncidentStep, IncidentAttributes>) {
        let Some(end) = self.part.mitigated.or(self.part.end()) else {
            self.reopened_while_open = true;
            return;
        };
        let impact = fact.attributes.impact_start.filter(|start| (end..=fact.time).contains(start));
        let next = Part { from: Some(impact.unwrap_or(fact.time)), ..Part::default() };
        self.past.push(std::mem::replace(&mut self.part, next));
    }

    fn end(&self) -> Option<i64> {
        self.part.end()
    }

    fn flaps(&self) -> u32 {
        u32::try_from(self.past.len()).unwrap_or(u32::MAX)
    }

    fn status(&self) -> Status {
        match self.part {
            Part { cancelled: Some(_), .. } => Status::Cancelled,
            Part { closed: Some(_), .. } => Status::Closed,
            Part { resolved: Some(_), .. } => Status::Resolved,
            Part { mitigated: Some(_), .. } => Status::Mitigated,
            _ => Status::Open,
        }
    }

    fn clocks(&self, impact_start: Option<i64>, fault_start: Option<i64>) -> Clocks {
        let noticed = [self.declared, self.detected].into_iter().flatten().min().or(self.reopened);
        Clocks {
            fault_start,
            started: impact_start.or(noticed),
            onset_estimated: impact_start.is_none(),
            detected: self.detected.or(self.declared).or(self.reopened),
            acknowledged: self.acknowledged,
            mitigated: self.part.mitigated,
            resolved: self.part.resolved,
            closed: self.part.closed,
        }
    }

    fn impact(&self, started: Option<i64>) -> Vec<Interval> {
        let parts = self.past.iter().chain([&self.part]);
        let intervals = parts.filter_map(|part| {
            let from = part.from.or(started)?;
            Some(Interval { from, to: part.mitigated.or(part.end()) })
        });
        intervals.filter(|interval| interval.to.is_none_or(|to| to > interval.from)).collect()
    }
}

#[cfg(test)]
#[path = "incident_tests.rs"]
mod tests;
