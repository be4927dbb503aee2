//! The clocks of an incident, and the durations between them.

use super::settings::{AcknowledgeFrom, DetectFrom, ResolveFrom, ResolveTo, Settings, ns};

/// How far an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Status {
    /// It goes on.
    Open,
    /// Its impact has ended.
    Mitigated,
    /// It is resolved.
    Resolved,
    /// Nothing is left to do.
    Closed,
    /// It was none.
    Cancelled,
}

impl Status {
    /// The status as the tables have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Mitigated => "mitigated",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A half-open interval of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Interval {
    /// Its start.
    pub(crate) from: i64,
    /// Its end; none if it goes on.
    pub(crate) to: Option<i64>,
}

/// When an incident went through its stages; none where nothing was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clocks {
    /// t0: the cause.
    pub(crate) fault_start: Option<i64>,
    /// t1: the first symptom.
    pub(crate) started: Option<i64>,
    /// Whether nothing measured the first symptom, and `started` is put in from what came next.
    pub(crate) onset_estimated: bool,
    /// t2: somebody or something noticed.
    pub(crate) detected: Option<i64>,
    /// t3: somebody took it.
    pub(crate) acknowledged: Option<i64>,
    /// t4: the impact ended.
    pub(crate) mitigated: Option<i64>,
    /// t5: it was resolved.
    pub(crate) resolved: Option<i64>,
    /// t6: it was closed.
    pub(crate) closed: Option<i64>,
}

/// The durations of an incident, in seconds; none where nothing can be said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Durations {
    /// To detection.
    pub(crate) ttd_s: Option<f64>,
    /// To acknowledgement.
    pub(crate) tta_s: Option<f64>,
    /// To the end of the impact.
    pub(crate) ttm_s: Option<f64>,
    /// To resolution.
    pub(crate) ttr_s: Option<f64>,
    /// Whether a duration is null because it would be negative.
    pub(crate) clock_skew: bool,
}

impl Clocks {
    /// The durations of an incident of this status. A cancelled incident has none, an open one none yet (unless
    /// [`Settings::durations_while_open`]), so that they are in no mean.
    pub(crate) fn durations(&self, status: Status, settings: &Settings) -> Durations {
        let mut durations = Durations::default();
        if status == Status::Cancelled || status == Status::Open && !settings.durations_while_open {
            return durations;
        }
        let mut between = |from: Option<i64>, to: Option<i64>| {
            let seconds = Seconds::between(from?, to?, settings);
            durations.clock_skew |= seconds == Seconds::Skewed;
            seconds.known()
        };
        // A start that is only the detection again says nothing of the time between them.
        let measured = self.started.filter(|_| !self.onset_estimated || self.started != self.detected);
        let ttd_s = match settings.ttd_from {
            DetectFrom::Started => between(measured, self.detected),
            DetectFrom::FaultStart => between(self.fault_start, self.detected),
        };
        let tta_s = match settings.tta_from {
            AcknowledgeFrom::Detected => between(self.detected, self.acknowledged),
            AcknowledgeFrom::Started => between(self.started, self.acknowledged),
        };
        let ttm_s = between(self.started, self.mitigated);
        let from = match settings.ttr_from {
            ResolveFrom::Started => self.started,
            ResolveFrom::Detected => self.detected,
        };
        let to = match settings.ttr_to {
            ResolveTo::Resolved => self.resolved,
            ResolveTo::Mitigated => self.mitigated,
            ResolveTo::Closed => self.closed,
        };
        let ttr_s = between(from, to);
        Durations { ttd_s, tta_s, ttm_s, ttr_s, ..durations }
    }
}

/// The seconds from one time to another, told by clocks that may disagree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seconds {
    Known(f64),
    /// It would be negative by more than clocks may disagree.
    Skewed,
}

impl Seconds {
    pub(super) fn between(from: i64, to: i64, settings: &Settings) -> Self {
        let elapsed = to.saturating_sub(from);
        match elapsed {
            0.. => Self::Known(elapsed as f64 / 1e9),
            _ if elapsed >= -ns(settings.skew_s) => Self::Known(0.0),
            _ => Self::Skewed,
        }
    }

    pub(super) fn known(self) -> Option<f64> {
        match self {
            Self::Known(seconds) => Some(seconds),
            Self::Skewed => None,
        }
    }
}
