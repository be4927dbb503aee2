//! Keeps a share of the traces, the same ones everywhere, all errors and all that is slow: see README.md.

use std::collections::BTreeMap;

use weir_sdk::prelude::*;
use weir_sdk::sampling::{threshold, trace_state};
use weir_sdk::{Bitmap, Text};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    keep: f64,
    keep_errors: bool,
    keep_slower_than_ms: Option<f64>,
    services: BTreeMap<String, f64>,
    logs: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { keep: 1.0, keep_errors: true, keep_slower_than_ms: None, services: BTreeMap::new(), logs: true }
    }
}

/// What becomes of the rows of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    All,
    None,
    Threshold(u64),
}

impl Rate {
    fn of(key: &str, ratio: f64) -> Result<Self> {
        let least = 2.0_f64.powi(-56);
        match ratio {
            1.0 => Ok(Self::All),
            0.0 => Ok(Self::None),
            _ if ratio >= least && ratio < 1.0 => Ok(Self::Threshold(threshold::from_ratio(ratio))),
            _ => Err(Error::at(key, format!("{ratio}, but a share is 0, 1, or between 2^-56 and 1"))),
        }
    }
}

/// The severity number with which errors begin.
const SEVERITY_ERROR: i64 = 17;
const REASON: &str = "sampled";

struct Sample {
    rate: Rate,
    services: BTreeMap<String, Rate>,
    keep_errors: bool,
    slower_than_ns: Option<i64>,
    logs: bool,
}

impl Processor for Sample {
    type Config = Config;
    const SIGNALS: Signals = Signals::SPANS.and(Signals::LOGS);
    const SUMMARY: &'static str = "keeps a share of the traces, all errors and all that is slow";

    fn new(config: Config) -> Result<Self> {
        let rate = Rate::of("keep", config.keep);
        let services = config.services.into_iter().map(|(name, ratio)| {
            let rate = Rate::of(&format!("services.{name}"), ratio)?;
            Ok((name, rate))
        });
        let (services, mut mistakes): (Vec<_>, Vec<_>) = services.partition(|service: &Result<_>| service.is_ok());
        let slow = config.keep_slower_than_ms.filter(|ms| *ms < 0.0);
        mistakes
            .extend(slow.map(|ms| Err(Error::at("keep_slower_than_ms", format!("{ms}, but it cannot be negative")))));
        Error::all(mistakes.into_iter().filter_map(Result::err).chain(rate.as_ref().err().cloned()))?;
        Ok(Self {
            rate: rate?,
            services: services.into_iter().flatten().collect(),
            keep_errors: config.keep_errors,
            slower_than_ns: config.keep_slower_than_ms.map(|ms| (ms * 1e6) as i64),
            logs: config.logs,
        })
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.reads(["trace_id", "trace_state", "status_code", "severity_number", "duration_ns", "service_name"]);
        plugin.writes("trace_state", Type::Text, "with the threshold that let the span through, `ot=th:`");
        plugin.writes("adjusted_count", Type::F64, "how many spans the span stands for");
    }

    fn process(&mut self, batch: &mut Batch) -> Result {
        if self.rate == Rate::All && self.services.values().all(|rate| *rate == Rate::All) {
            return Ok(());
        }
        match batch.signal() {
            Signal::Spans => self.sample_spans(batch),
            Signal::Logs if self.logs => self.sample_logs(batch),
            Signal::Logs | Signal::Metrics => Ok(()),
        }
    }
}

impl Sample {
    fn sample_spans(&self, spans: &mut Batch) -> Result {
        let rates = self.rates(spans)?;
        let (ids, states) = (spans.trace_ids("trace_id")?, spans.text("trace_state")?);
        let status = if self.keep_errors { Some(spans.text("status_code")?) } else { None };
        let duration =
            self.slower_than_ns.map(|limit| Ok::<_, Error>((spans.i64("duration_ns")?, limit))).transpose()?;
        // They are kept whatever the threshold, so that they stand for themselves and for no other.
        let kept_anyway = |row: usize| {
            status.as_ref().is_some_and(|status| status.is(row, "ERROR"))
                || duration.as_ref().is_some_and(|(ns, limit)| ns.get(row).is_some_and(|ns| ns > *limit))
        };
        let mut thresholds: Vec<Option<u64>> = vec![None; spans.rows()];
        let keep = Bitmap::of(spans.rows(), |row| {
            let rate = rates.of(row);
            if rate == Rate::All || kept_anyway(row) {
                return true;
            }
            let Rate::Threshold(threshold) = rate else { return false };
            let before = states.get(row).map(trace_state::read).unwrap_or_default();
            // A span whose trace nobody knows cannot be sampled with it.
            let Some(random) = before.randomness.or_else(|| ids.get(row).map(threshold::randomness)) else {
                return true;
            };
            // A threshold above the randomness cannot have let the span through: it says nothing.
            let earlier = before.threshold.filter(|earlier| *earlier <= random);
            if earlier.is_none_or(|earlier| earlier < threshold) {
                thresholds[row] = Some(threshold);
            }
            random >= threshold
        });
        if thresholds.iter().enumerate().any(|(row, threshold)| threshold.is_some() && keep.get(row)) {
            spans.set("adjusted_count", thresholds.iter().map(|threshold| threshold.map(threshold::adjusted_count)))?;
            spans.set_text("trace_state", new_states(&states, &thresholds, &keep))?;
        }
        spans.keep_rows(REASON, keep)
    }

    /// A log record of a trace stays where a span of that trace and service would; one of no trace stays.
    fn sample_logs(&self, logs: &mut Batch) -> Result {
        let rates = self.rates(logs)?;
        let ids = logs.trace_ids("trace_id")?;
        let severity = if self.keep_errors { Some(logs.i64("severity_number")?) } else { None };
        logs.keep_because(REASON, |row| {
            let Some(id) = ids.get(row) else { return true };
            let error =
                || severity.as_ref().and_then(|severity| severity.get(row)).is_some_and(|s| s >= SEVERITY_ERROR);
            match rates.of(row) {
                Rate::All => true,
                Rate::None => error(),
                Rate::Threshold(threshold) => threshold::randomness(id) >= threshold || error(),
            }
        })
    }

    fn rates(&self, batch: &Batch) -> Result<Rates> {
        if self.services.is_empty() {
            return Ok(Rates::Same(self.rate));
        }
        let service = batch.text("service_name")?;
        let rate = |key| self.services.get(service.distinct(key)).copied().unwrap_or(self.rate);
        let rates = (0..service.distinct_len()).map(rate).collect();
        Ok(Rates::ByService(service, rates, self.rate))
    }
}

/// The rate of each row; of a service, looked up once.
enum Rates {
    Same(Rate),
    ByService(Text, Vec<Rate>, Rate),
}

impl Rates {
    fn of(&self, row: usize) -> Rate {
        match self {
            Self::Same(rate) => *rate,
            Self::ByService(service, rates, other) => service.get(row).map_or(*other, |_| rates[service.key(row)]),
        }
    }
}

fn new_states(states: &Text, thresholds: &[Option<u64>], keep: &Bitmap) -> TextBuilder {
    let mut written = TextBuilder::new();
    for (row, threshold) in thresholds.iter().enumerate() {
        match threshold {
            Some(threshold) if keep.get(row) => {
                written.push_with(|out| trace_state::write(states.get(row).unwrap_or_default(), *threshold, out));
            }
            _ => written.push(None),
        }
    }
    written
}

weir_sdk::plugin!(Sample);

#[cfg(test)]
mod tests;
