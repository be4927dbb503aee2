//! The state machine that makes incidents of verdicts.
//!
//! It is fed slot after slot. Its states are those of the page "incidents" in the plugin's README: with no incident open
//! it is UP, or SUSPECT while `onset` is set; with one open it is DOWN or DEGRADED by the incident's kind, or RECOVERING
//! while `good` slots have been counted. UNKNOWN and STALE freeze it: such slots are not fed.

use crate::codec::{In, Out};
use crate::config::Rules;
use crate::failures::Types;
use crate::verdict::Verdict;

/// What an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Degraded,
    Down,
    /// An always-on service fell silent.
    Silent,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Silent => "silent",
        }
    }

    fn from_number(number: u64) -> Option<Self> {
        [Self::Degraded, Self::Down, Self::Silent].get(usize::try_from(number).ok()?).copied()
    }
}

/// An incident that the machine found, its times in slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Derived {
    pub(crate) kind: Kind,
    /// The first symptom.
    pub(crate) started: i64,
    /// The end of the slot in which it was known.
    pub(crate) detected: i64,
    /// The end of the last slot that was not GOOD, of an incident that is over.
    pub(crate) mitigated: Option<i64>,
    /// How often it came back before it was over.
    pub(crate) flaps: u32,
    /// What the requests failed of that made it one.
    pub(crate) failures: Types,
}

/// Beside the kind: failures follow.
const FAILURES: u64 = 4;

impl Derived {
    pub(crate) fn write(&self, out: &mut Out) {
        let failures = if self.failures.is_empty() { 0 } else { FAILURES };
        out.u(self.kind as u64 | failures).i(self.started).i(self.detected - self.started);
        out.maybe(self.mitigated.map(|end| end - self.started)).u(self.flaps.into());
        if failures != 0 {
            self.failures.write(out);
        }
    }

    pub(crate) fn read(bytes: &mut In<'_>) -> Option<Self> {
        let flags = bytes.u()?;
        let (kind, started) = (Kind::from_number(flags & !FAILURES)?, bytes.i()?);
        let detected = started + bytes.i()?;
        let mitigated = bytes.maybe()?.map(|length| started + length);
        let flaps = bytes.small()?;
        let failures = if flags & FAILURES == 0 { Types::default() } else { Types::read(bytes)? };
        Some(Self { kind, started, detected, mitigated, flaps, failures })
    }
}

/// Slots in a row that are not GOOD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Run {
    start: i64,
    end: i64,
    failures: Types,
}

/// Where the machine stands between two slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// SUSPECT: since which slot.
    onset: Option<i64>,
    /// Slots in a row that were BAD, and that were not GOOD; slots without data do not break the row.
    bad: i64,
    failing: i64,
    /// With less GOOD between them than ends the way back to the first symptom.
    runs: Vec<Run>,
    /// Slots in a row that were GOOD since the last of these runs.
    good: i64,
    open: Option<Derived>,
    /// The end of the last slot not GOOD of the open incident.
    last_failing: i64,
}

impl Machine {
    /// The incident that is open.
    pub(crate) fn open(&self) -> Option<&Derived> {
        self.open.as_ref()
    }

    /// A slot and its verdict; tells of an incident that it ends.
    pub(crate) fn push(&mut self, rules: &Rules, slot: i64, verdict: Verdict) -> Option<Derived> {
        match verdict {
            Verdict::NoData => None,
            Verdict::Good => self.good(rules, slot),
            Verdict::Degraded | Verdict::Bad => {
                self.failing(rules, slot, verdict == Verdict::Bad);
                None
            }
        }
    }

    fn good(&mut self, rules: &Rules, slot: i64) -> Option<Derived> {
        (self.bad, self.failing, self.onset) = (0, 0, None);
        self.good += 1;
        if self.good >= rules.backdate_good {
            self.runs.clear();
        }
        let over = self.open.is_some() && self.good >= rules.close;
        let _ = slot;
        over.then(|| self.open.take()).flatten().map(|open| Derived { mitigated: Some(self.last_failing), ..open })
    }

    fn failing(&mut self, rules: &Rules, slot: i64, bad: bool) {
        self.mark(rules, slot);
        self.failing += 1;
        self.bad = if bad { self.bad + 1 } else { 0 };
        self.onset.get_or_insert(slot);
        let kind = if self.bad >= rules.open_down {
            Kind::Down
        } else if self.failing >= rules.open_degraded {
            Kind::Degraded
        } else {
            return;
        };
        self.found(rules, kind, slot + 1);
    }

    /// Notes a slot that is not GOOD, for the open incident and for the way back from the next.
    fn mark(&mut self, rules: &Rules, slot: i64) {
        if let Some(open) = &mut self.open {
            open.flaps += u32::from(self.good > 0);
            self.last_failing = slot + 1;
        }
        self.good = 0;
        self.runs.retain(|run| run.end > slot - rules.backdate_max);
        match self.runs.last_mut() {
            Some(run) if run.end == slot => run.end = slot + 1,
            _ => self.runs.push(Run { start: slot, end: slot + 1, failures: Types::default() }),
        }
    }

    /// What the requests of the slot pushed last failed of, which is not GOOD because of them.
    pub(crate) fn failed(&mut self, failures: &Types) {
        let run = self.runs.last_mut().map(|run| &mut run.failures);
        let open = self.open.as_mut().map(|open| &mut open.failures);
        run.into_iter().chain(open).for_each(|known| known.merge(failures));
    }

    /// Opens an incident, or raises the one that is open.
    fn found(&mut self, rules: &Rules, kind: Kind, detected: i64) {
        if let Some(open) = &mut self.open {
            if kind != Kind::Degraded && open.kind == Kind::Degraded {
                open.kind = kind;
            }
            return;
        }
        let earliest = detected - rules.backdate_max;
        let mut runs = self.runs.iter().filter(|run| run.end > earliest).peekable();
        let started = runs.peek().map_or(detected - 1, |run| run.start.max(earliest));
        let mut failures = Types::default();
        runs.for_each(|run| failures.merge(&run.failures));
        self.last_failing = detected;
        self.open = Some(Derived { kind, started, detected, mitigated: None, flaps: 0, failures });
    }

    /// An always-on service is silent from `onset` up to `end`, which was known at the slot `detected`.
    pub(crate) fn silence(&mut self, rules: &Rules, onset: i64, detected: i64, end: i64) {
        for slot in onset..end {
            self.mark(rules, slot);
            if slot + 1 == detected {
                self.found(rules, Kind::Silent, detected);
            }
        }
        (self.bad, self.failing) = (self.bad + end - onset, self.failing + end - onset);
        self.onset.get_or_insert(onset);
    }

    pub(crate) fn write(&self, out: &mut Out) {
        out.maybe(self.onset).i(self.bad).i(self.failing).i(self.good).i(self.last_failing);
        out.list(&self.runs, |out, run| _ = out.i(run.start).i(run.end - run.start));
        let failures = self.runs.iter().any(|run| !run.failures.is_empty());
        out.u(u64::from(self.open.is_some()) | u64::from(failures) << 1);
        if let Some(open) = &self.open {
            open.write(out);
        }
        if failures {
            self.runs.iter().for_each(|run| run.failures.write(out));
        }
    }

    pub(crate) fn read(bytes: &mut In<'_>) -> Option<Self> {
        let onset = bytes.maybe()?;
        let (bad, failing, good, last_failing) = (bytes.i()?, bytes.i()?, bytes.i()?, bytes.i()?);
        let mut runs = bytes.list(|bytes| {
            let start = bytes.i()?;
            Some(Run { start, end: start + bytes.i()?, failures: Types::default() })
        })?;
        let flags = bytes.u()?;
        let open = if flags & 1 != 0 { Some(Derived::read(bytes)?) } else { None };
        if flags & 2 != 0 {
            for run in &mut runs {
                run.failures = Types::read(bytes)?;
            }
        }
        Some(Self { onset, bad, failing, runs, good, open, last_failing })
    }
}

#[cfg(test)]
mod tests;
