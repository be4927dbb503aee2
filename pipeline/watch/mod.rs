//! Weir's own telemetry: the samples of its counters as Prometheus text and as OTLP, and the clock.

pub mod clock;
mod otlp;
mod prometheus;

pub use otlp::Exporter;
pub use prometheus::text;

/// How the value of a family changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A metric and its samples.
#[derive(Clone, Debug)]
pub struct Family {
    /// The name, in the form of Prometheus: `weir_rows_received_total`.
    pub name: &'static str,
    /// How it changes.
    pub kind: Kind,
    /// One line for people.
    pub help: &'static str,
    /// The samples: labels and value.
    pub samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Family {
    /// A counter without samples yet.
    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, help, samples: Vec::new() }
    }

    /// A gauge without samples yet.
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, help, samples: Vec::new() }
    }

    /// The family with one more sample.
    #[must_use]
    pub fn with(mut self, labels: &[(&'static str, &str)], value: f64) -> Self {
        self.push(labels, value);
        self
    }

    /// Adds a sample.
    pub fn push(&mut self, labels: &[(&'static str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.samples.push((labels, value));
    }
}
