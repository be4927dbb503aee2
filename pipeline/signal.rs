//! The three signals of OpenTelemetry that Weir carries.

use std::fmt;

/// A signal: one batch holds rows of one signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Traces: a row is a span.
    Spans,
    /// Logs: a row is a log record.
    Logs,
    /// Metrics: a row is a data point.
    Metrics,
}

impl Signal {
    /// Every signal, in the order in which they are numbered.
    pub const ALL: [Self; 3] = [Self::Spans, Self::Logs, Self::Metrics];

    /// The name of the signal, which is also the name of its table: `spans`, `logs` or `metrics`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }

    /// The signal of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.name() == name)
    }

    /// The number of the signal: its place in [`Signal::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
