//! The plugin's settings. Durations are whole seconds, ratios from 0 to 1.

use std::collections::BTreeMap;

use weir_sdk::prelude::*;

use crate::lifecycle::ServiceKey;
use crate::slots::BLOCK_S;
use crate::zone::Zone;
use crate::{lifecycle, slo};

/// The settings, each with its default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Length of a slot.
    pub(crate) slot_s: i64,
    /// The longest trailing window that a verdict looks at.
    pub(crate) window_max_s: i64,
    /// Requests that a verdict needs.
    pub(crate) requests_min: f64,
    /// A slot is BAD from this share of failed requests on.
    pub(crate) bad_ratio: f64,
    /// A slot is DEGRADED from this share of failed requests on.
    pub(crate) degraded_ratio: f64,
    /// A slot is BAD from this share of failed probes on.
    pub(crate) probe_bad_ratio: f64,
    /// A slot is DEGRADED when more than this share of requests is slow.
    pub(crate) slow_ratio: f64,
    /// A request is slow beyond this duration, by service name; `*` for those that are not named.
    pub(crate) latency_ms: BTreeMap<String, f64>,
    /// BAD for so long in a row opens an incident, DOWN.
    pub(crate) open_down_s: i64,
    /// Not GOOD for so long in a row opens an incident, DEGRADED.
    pub(crate) open_degraded_s: i64,
    /// GOOD for so long in a row ends an incident.
    pub(crate) close_s: i64,
    /// GOOD for so long in a row ends the way back to the first symptom.
    pub(crate) backdate_good_s: i64,
    /// The first symptom lies at most so long before the detection.
    pub(crate) backdate_max_s: i64,
    /// Silence begins after so long without data at the least,
    pub(crate) stale_min_s: i64,
    /// or after so many intervals of the service,
    pub(crate) stale_intervals: i64,
    /// but after so long at the most.
    pub(crate) stale_max_s: i64,
    /// Services whose silence is an outage, by name; `*` for all.
    pub(crate) always_on: Vec<String>,
    /// Silence of an always-on service for so long is an outage.
    pub(crate) always_on_s: i64,
    /// Silence of this share of all services is a gap in the pipeline,
    pub(crate) pipeline_gap_share: f64,
    /// if so many of them are silent.
    pub(crate) pipeline_gap_services: u32,
    /// A degraded service is down.
    pub(crate) degraded_is_down: bool,
    /// An explicit and a derived incident so near to each other are one.
    pub(crate) merge_s: i64,
    /// A derived incident so soon after one of the same kind continues it; 0: none does.
    pub(crate) reopen_derived_s: i64,
    /// Below so many incidents a mean has `low_confidence`.
    pub(crate) confident_n: u64,
    /// Below this share of known time a window has `low_coverage`.
    pub(crate) coverage_min: f64,
    /// Severity of a derived incident that is DOWN.
    pub(crate) severity_down: String,
    /// Severity of a derived incident that is DEGRADED.
    pub(crate) severity_degraded: String,
    /// How events become incidents, changes and alerts, and between which clocks is measured.
    pub(crate) lifecycle: lifecycle::Settings,
    /// Objectives and their alerts.
    pub(crate) slo: slo::Config,
    /// Cost of a minute of impact, by service name (`*` for those not named) and severity (`*` likewise).
    pub(crate) cost_per_minute: BTreeMap<String, BTreeMap<String, f64>>,
    /// Where hours and days are local ones: `UTC`, `+05:30`, or a rule as of POSIX TZ.
    pub(crate) time_zone: String,
    /// How often open windows are computed anew, in event time.
    pub(crate) refresh_s: i64,
    /// Rows may come so late; later ones are counted and left out.
    pub(crate) restate_max_s: i64,
    /// A service that is silent for so long is gone: its windows end.
    pub(crate) retire_s: i64,
    /// Services that are told apart; further ones are counted as `__overflow__`.
    pub(crate) services_max: u32,
    /// Bytes of slot counts that are kept; the oldest go first.
    pub(crate) slots_bytes_max: u64,
    /// Ids of spans that are kept for a slot, to know duplicates by.
    pub(crate) dedup_max: usize,
    /// Bytes of such ids that are kept; the oldest go first.
    pub(crate) dedup_bytes_max: u64,
    /// Bytes of data points that are kept, to take differences and know duplicates by; the oldest go first.
    pub(crate) points_bytes_max: u64,
    /// Work of one call, in slots looked at: what is left over waits for the next.
    pub(crate) work_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            slot_s: 10,
            window_max_s: 300,
            requests_min: 20.0,
            bad_ratio: 0.5,
            degraded_ratio: 0.05,
            probe_bad_ratio: 0.5,
            slow_ratio: 0.5,
            latency_ms: BTreeMap::new(),
            open_down_s: 60,
            open_degraded_s: 300,
            close_s: 300,
            backdate_good_s: 30,
            backdate_max_s: 3600,
            stale_min_s: 30,
            stale_intervals: 3,
            stale_max_s: 300,
            always_on: Vec::new(),
            always_on_s: 300,
            pipeline_gap_share: 0.5,
            pipeline_gap_services: 2,
            degraded_is_down: false,
            merge_s: 900,
            reopen_derived_s: 0,
            confident_n: 5,
            coverage_min: 0.9,
            severity_down: "sev2".to_owned(),
            severity_degraded: "sev3".to_owned(),
            lifecycle: lifecycle::Settings::default(),
            slo: slo::Config::default(),
            cost_per_minute: BTreeMap::new(),
            time_zone: "UTC".to_owned(),
            refresh_s: 60,
            restate_max_s: 26 * 3600,
            retire_s: 24 * 3600,
            services_max: 30_000,
            slots_bytes_max: 20 << 20,
            dedup_max: 16_384,
            dedup_bytes_max: 16 << 20,
            points_bytes_max: 12 << 20,
            work_max: 200_000,
        }
    }
}

/// The settings, checked, with their durations in slots.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) config: Config,
    pub(crate) window: i64,
    pub(crate) open_down: i64,
    pub(crate) open_degraded: i64,
    pub(crate) close: i64,
    pub(crate) backdate_good: i64,
    pub(crate) backdate_max: i64,
    pub(crate) stale_min: i64,
    pub(crate) stale_max: i64,
    pub(crate) always_on: i64,
    pub(crate) refresh: i64,
    pub(crate) restate: i64,
    pub(crate) retire: i64,
    /// Slots of a block, of an hour, and of 24 hours.
    pub(crate) block: i64,
    pub(crate) hour: i64,
    pub(crate) day: i64,
    /// Where hours and days begin.
    zone: Zone,
}

/// A window of which there are rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    Hour,
    /// From local midnight to local midnight: 23 to 25 hours where clocks are moved.
    Day,
}

impl Rules {
    pub(crate) fn new(config: Config) -> Result<Self> {
        let mut mistakes = Vec::new();
        let zone = Zone::parse(&config.time_zone);
        if let Err(message) = &zone {
            mistakes.push(Error::at("time_zone", message));
        }
        if !(1..=60).contains(&config.slot_s) || BLOCK_S % config.slot_s != 0 {
            let message = format!("{}, expected 1 to 60 that divide 900", config.slot_s);
            mistakes.push(Error::at("slot_s", message));
        }
        check_ratios(&config, &mut mistakes);
        check_durations(&config, &mut mistakes);
        check_amounts(&config, &mut mistakes);
        mistakes.extend(config.lifecycle.check("lifecycle"));
        mistakes.extend(config.slo.mistakes("slo"));
        Error::all(mistakes)?;
        let zone = zone.map_err(Error::new)?;
        let slots = |seconds: i64| seconds / config.slot_s;
        Ok(Self {
            window: slots(config.window_max_s),
            open_down: slots(config.open_down_s),
            open_degraded: slots(config.open_degraded_s),
            close: slots(config.close_s),
            backdate_good: slots(config.backdate_good_s),
            backdate_max: slots(config.backdate_max_s),
            stale_min: slots(config.stale_min_s),
            stale_max: slots(config.stale_max_s),
            always_on: slots(config.always_on_s),
            refresh: slots(config.refresh_s),
            restate: slots(config.restate_max_s),
            retire: slots(config.retire_s),
            block: slots(BLOCK_S),
            hour: slots(3600),
            day: slots(86_400),
            zone,
            config,
        })
    }

    pub(crate) fn slot_ns(&self) -> i64 {
        self.config.slot_s * 1_000_000_000
    }

    /// The slot that a time lies in.
    pub(crate) fn slot_of(&self, time_ns: i64) -> i64 {
        time_ns.div_euclid(self.slot_ns())
    }

    /// When a slot begins.
    pub(crate) fn time_of(&self, slot: i64) -> i64 {
        slot.saturating_mul(self.slot_ns())
    }

    /// The first slot of the window which a slot lies in.
    pub(crate) fn window_start(&self, slot: i64, window: Window) -> i64 {
        match window {
            Window::Hour => {
                let offset = self.zone.hour_offset() / self.config.slot_s;
                (slot - offset).div_euclid(self.hour) * self.hour + offset
            }
            Window::Day => self.zone.day(slot * self.config.slot_s).0 / self.config.slot_s,
        }
    }

    /// The slot after the window that begins with a slot.
    pub(crate) fn window_end(&self, start: i64, window: Window) -> i64 {
        match window {
            Window::Hour => start + self.hour,
            Window::Day => self.zone.day(start * self.config.slot_s).1 / self.config.slot_s,
        }
    }

    /// Whether a service's silence is an outage.
    pub(crate) fn is_always_on(&self, service: &str) -> bool {
        self.config.always_on.iter().any(|name| name == "*" || name == service)
    }

    /// Beyond how many nanoseconds a request of the service is slow; none where nothing is said of it.
    pub(crate) fn latency_of(&self, service: Option<&ServiceKey>) -> Option<i64> {
        let limits = &self.config.latency_ms;
        let limit = service.and_then(|key| limits.get(&key.service)).or_else(|| limits.get("*"))?;
        Some((limit * 1e6) as i64)
    }

    /// What a minute of impact costs; none where nothing is said.
    pub(crate) fn cost_per_minute(&self, service: &str, severity: &str) -> Option<f64> {
        let rates = &self.config.cost_per_minute;
        let rates = rates.get(service).or_else(|| rates.get("*"))?;
        rates.get(severity).or_else(|| rates.get("*")).copied()
    }
}

fn check_ratios(config: &Config, mistakes: &mut Vec<Error>) {
    let ratios = [
        ("bad_ratio", config.bad_ratio),
        ("degraded_ratio", config.degraded_ratio),
        ("probe_bad_ratio", config.probe_bad_ratio),
        ("slow_ratio", config.slow_ratio),
        ("pipeline_gap_share", config.pipeline_gap_share),
        ("coverage_min", config.coverage_min),
    ];
    for (key, value) in ratios.into_iter().filter(|(_, value)| !(0.0..=1.0).contains(value)) {
        mistakes.push(Error::at(key, format!("{value}, expected a share from 0 to 1")));
    }
    if config.degraded_ratio > config.bad_ratio {
        let message = format!("{}, more than bad_ratio, {}", config.degraded_ratio, config.bad_ratio);
        mistakes.push(Error::at("degraded_ratio", message));
    }
    let costs = config.cost_per_minute.iter();
    let costs = costs.flat_map(|(service, rates)| rates.iter().map(move |(severity, rate)| (service, severity, *rate)));
    for (service, severity, rate) in costs.filter(|(_, _, rate)| !(rate.is_finite() && *rate >= 0.0)) {
        let key = format!("cost_per_minute.{service}.{severity}");
        mistakes.push(Error::at(key, format!("{rate}, expected an amount of 0 or more")));
    }
    for (service, ms) in config.latency_ms.iter().filter(|(_, ms)| !(ms.is_finite() && **ms > 0.0)) {
        mistakes.push(Error::at(format!("latency_ms.{service}"), format!("{ms}, expected more than 0 milliseconds")));
    }
}

fn check_durations(config: &Config, mistakes: &mut Vec<Error>) {
    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;
    let durations = [
        ("window_max_s", config.window_max_s, HOUR),
        ("open_down_s", config.open_down_s, DAY),
        ("open_degraded_s", config.open_degraded_s, DAY),
        ("close_s", config.close_s, DAY),
        ("backdate_good_s", config.backdate_good_s, DAY),
        ("backdate_max_s", config.backdate_max_s, DAY),
        ("stale_min_s", config.stale_min_s, HOUR),
        ("stale_max_s", config.stale_max_s, HOUR),
        ("always_on_s", config.always_on_s, HOUR),
        ("refresh_s", config.refresh_s, HOUR),
        ("restate_max_s", config.restate_max_s, 7 * DAY),
        ("retire_s", config.retire_s, 30 * DAY),
    ];
    let slot = config.slot_s.max(1);
    for (key, value, most) in durations {
        if value < slot || value > most || value % slot != 0 {
            let message = format!("{value}, expected whole slots of {slot} s, at least one and at most {most} s");
            mistakes.push(Error::at(key, message));
        }
    }
    if config.stale_min_s > config.stale_max_s {
        let message = format!("{}, more than stale_max_s, {}", config.stale_min_s, config.stale_max_s);
        mistakes.push(Error::at("stale_min_s", message));
    }
    for (key, value, from, most) in [
        ("merge_s", config.merge_s, 0, DAY),
        ("reopen_derived_s", config.reopen_derived_s, 0, 7 * DAY),
        ("stale_intervals", config.stale_intervals, 1, 100),
    ] {
        if !(from..=most).contains(&value) {
            mistakes.push(Error::at(key, format!("{value}, expected {from} to {most}")));
        }
    }
}

fn check_amounts(config: &Config, mistakes: &mut Vec<Error>) {
    if !(config.requests_min >= 1.0 && config.requests_min <= 1e9) {
        mistakes.push(Error::at("requests_min", format!("{}, expected 1 to 1e9", config.requests_min)));
    }
    for (key, value, least) in [
        ("services_max", u64::from(config.services_max), 1),
        ("slots_bytes_max", config.slots_bytes_max, 1 << 16),
        ("dedup_bytes_max", config.dedup_bytes_max, 1 << 16),
        ("points_bytes_max", config.points_bytes_max, 1 << 16),
        ("work_max", config.work_max, 1000),
    ] {
        if value < least {
            mistakes.push(Error::at(key, format!("{value}, expected at least {least}")));
        }
    }
    for (key, severity) in [("severity_down", &config.severity_down), ("severity_degraded", &config.severity_degraded)]
    {
        if !["sev1", "sev2", "sev3", "sev4", "sev5"].contains(&severity.as_str()) {
            mistakes.push(Error::at(key, format!("\"{severity}\", expected sev1 to sev5")));
        }
    }
}
