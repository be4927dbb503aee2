//! The row of a window: what is in it of sums, incidents and changes.

use weir_sdk::Timestamp;

use crate::config::{Config, Rules, Window};
use crate::incidents::Incident;
use crate::intervals::{State, Sums};
use crate::lifecycle::{ChangeRow, ResolveTo, ServiceKey};
use crate::statistics::{kaplan_meier_median, percentile};
use crate::tables::HourRow;

/// What windows are made of.
pub(crate) struct Found<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) service: &'a ServiceKey,
    pub(crate) incidents: &'a [Incident],
    pub(crate) changes: &'a [ChangeRow],
    /// Planned maintenance that was declared after it began: from, to, in nanoseconds.
    pub(crate) declared_late: &'a [(i64, i64)],
    /// Up to when all was looked at, in nanoseconds.
    pub(crate) until: i64,
}

/// Durations whose ends lie in a window.
#[derive(Default)]
struct Durations(Vec<f64>);

impl Durations {
    fn new(durations: impl Iterator<Item = f64>) -> Self {
        let mut durations: Vec<f64> = durations.collect();
        durations.sort_by(f64::total_cmp);
        Self(durations)
    }

    fn sum(&self) -> f64 {
        self.0.iter().sum()
    }

    fn n(&self) -> u64 {
        self.0.len() as u64
    }

    fn mean(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.sum() / self.0.len() as f64)
    }

    fn percentile(&self, share: f64) -> Option<f64> {
        percentile(&self.0, share)
    }
}

/// When a change ended; one that was rolled back before it finished has no end of its own.
fn ended(change: &ChangeRow) -> i64 {
    change.finished_at.or(change.started_at).unwrap_or(change.time).0
}

/// `part / whole`, null where there is no whole.
fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

impl Found<'_> {
    /// The row of the window from that slot on.
    pub(crate) fn window(&self, start: i64, window: Window, sums: &Sums) -> HourRow {
        let (from, to) = (self.rules.time_of(start), self.rules.time_of(self.rules.window_end(start, window)));
        let mut row = HourRow {
            environment: self.service.environment.clone(),
            service_namespace: self.service.namespace.clone(),
            service_name: self.service.service.clone(),
            window_start: Timestamp(from),
            ..HourRow::default()
        };
        self.states(sums, &mut row);
        self.of_incidents(from, to, &mut row);
        self.means(from, to, &mut row);
        self.of_changes(from, to, &mut row);
        row.mtbf_s = (row.incidents > 0).then(|| row.up_s / row.incidents as f64);
        let few = |n: u64| n < self.config().confident_n;
        let behind = [row.ttd_n, row.tta_n, row.ttm_n, row.fdrt_n];
        row.low_confidence = few(row.ttr_n) || behind.into_iter().any(|n| n > 0 && few(n));
        row.low_coverage = row.coverage.is_some_and(|coverage| coverage < self.config().coverage_min);
        let late = self.declared_late.iter().any(|(start, end)| *start < to && *end > from);
        let flags = [("maintenance_declared_late", late), ("unchecked_duplicates", sums.unchecked)];
        let flags: Vec<&str> = flags.into_iter().filter(|(_, raised)| *raised).map(|(flag, _)| flag).collect();
        row.quality_flags = flags.join(",");
        row
    }

    /// The times at which anything but slots says something.
    pub(crate) fn times(&self) -> impl Iterator<Item = i64> {
        let clocks = self.incidents.iter().flat_map(|incident| {
            let told = &incident.clocks;
            [Some(incident.first), told.detected, told.acknowledged, told.mitigated, told.resolved, told.closed]
        });
        let changes = self.changes.iter().map(|change| Some(ended(change)));
        clocks.chain(changes).flatten()
    }

    fn config(&self) -> &Config {
        &self.rules.config
    }

    fn states(&self, sums: &Sums, row: &mut HourRow) {
        let config = self.config();
        let seconds = |slots: u64| (slots * config.slot_s.unsigned_abs()) as f64;
        let split = |of: &dyn Fn(State) -> u64| {
            let (up, degraded, down) = (of(State::Up), of(State::Degraded), of(State::Down));
            let (up, down) = if config.degraded_is_down { (up, down + degraded) } else { (up + degraded, down) };
            (seconds(up), seconds(down))
        };
        (row.up_s, row.down_s) = split(&|state| sums.of(state));
        (row.maintenance_up_s, row.maintenance_down_s) = split(&|state| sums.planned_of(state));
        row.ast_s = seconds(sums.agreed());
        row.degraded_s = seconds(sums.of(State::Degraded));
        row.unknown_s = seconds(sums.of(State::Unknown));
        row.maintenance_s = seconds(sums.of(State::Maintenance));
        let known = row.up_s + row.down_s;
        row.availability_time = share(row.up_s, known);
        row.availability_low = share(row.up_s, row.ast_s);
        row.availability_high = share(row.up_s + row.unknown_s, row.ast_s);
        let up = row.up_s + row.maintenance_up_s;
        row.availability_raw = share(up, up + row.down_s + row.maintenance_down_s);
        row.coverage = share(known, row.ast_s);
        (row.valid, row.bad) = sums.requests();
        row.availability_req = share(row.bad, row.valid).map(|bad| 1.0 - bad);
    }

    fn counted(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.iter().filter(|incident| incident.counts())
    }

    fn of_incidents(&self, from: i64, to: i64, row: &mut HourRow) {
        let end = to.min(self.until);
        let began = self.counted().filter(|incident| (from..to).contains(&incident.first));
        for incident in began {
            row.incidents += 1;
            row.recurring += u64::from(incident.recurrence_of.is_some());
        }
        let impact = |one: &Incident| one.impact().and_then(|(_, end)| end).or(one.over());
        let open: Vec<f64> = self.open_at(end, impact).collect();
        row.open_count = open.len() as u64;
        row.open_oldest_s = open.iter().copied().reduce(f64::max);
        let cost = self.counted().filter_map(|incident| {
            let rate = incident.rate(self.rules, &self.service.service)?;
            let (start, over) = incident.impact()?;
            let within = over.unwrap_or(end).min(end) - start.max(from);
            Some(rate * within.max(0) as f64 / 6e10)
        });
        let rated = !self.config().cost_per_minute.is_empty();
        let cost: f64 = cost.sum();
        let known = self.config().cost_per_minute.contains_key(&self.service.service)
            || self.config().cost_per_minute.contains_key("*");
        row.cost = (rated && known).then_some(cost);
    }

    /// Ages in seconds of the incidents that are not over at that time.
    fn open_at(&self, end: i64, over: impl Fn(&Incident) -> Option<i64>) -> impl Iterator<Item = f64> {
        let open = self.counted().filter(move |one| one.first < end && over(one).is_none_or(|over| over >= end));
        open.map(move |incident| (end - incident.first) as f64 / 1e9)
    }

    fn means(&self, from: i64, to: i64, row: &mut HourRow) {
        let within = |time: Option<i64>| time.is_some_and(|time| (from..to).contains(&time));
        let durations = |end: &dyn Fn(&Incident) -> Option<i64>, value: &dyn Fn(&Incident) -> Option<f64>| {
            Durations::new(self.counted().filter(|incident| within(end(incident))).filter_map(value))
        };
        let detect = durations(&|one| one.clocks.detected, &|one| one.durations.ttd_s);
        let acknowledge = durations(&|one| one.clocks.acknowledged, &|one| one.durations.tta_s);
        let mitigate = durations(&|one| one.clocks.mitigated, &|one| one.durations.ttm_s);
        let end = self.config().lifecycle.ttr_to;
        let end = move |one: &Incident| match end {
            ResolveTo::Resolved => one.clocks.resolved,
            ResolveTo::Mitigated => one.clocks.mitigated,
            ResolveTo::Closed => one.clocks.closed,
        };
        let resolve = durations(&end, &|one| one.durations.ttr_s);
        let resolved = |one: &Incident| one.clocks.resolved.or(one.clocks.closed);
        let open: Vec<f64> = self.open_at(to.min(self.until), resolved).collect();
        row.ttr_km_p50_s = kaplan_meier_median(&resolve.0, &open);
        let detected = self.counted().filter(|one| within(one.clocks.detected));
        let (noticed, taken) = detected.fold((0.0, 0.0), |(noticed, taken), one| {
            (noticed + 1.0, taken + f64::from(u8::from(one.clocks.acknowledged.is_some())))
        });
        row.ack_rate = share(taken, noticed);
        (row.ttd_sum_s, row.ttd_n, row.mttd_s) = (detect.sum(), detect.n(), detect.mean());
        (row.ttd_p50_s, row.ttd_p90_s) = (detect.percentile(0.5), detect.percentile(0.9));
        (row.tta_sum_s, row.tta_n, row.mtta_s) = (acknowledge.sum(), acknowledge.n(), acknowledge.mean());
        (row.tta_p50_s, row.tta_p90_s) = (acknowledge.percentile(0.5), acknowledge.percentile(0.9));
        (row.ttm_sum_s, row.ttm_n, row.mttm_s) = (mitigate.sum(), mitigate.n(), mitigate.mean());
        (row.ttm_p50_s, row.ttm_p90_s) = (mitigate.percentile(0.5), mitigate.percentile(0.9));
        (row.ttr_sum_s, row.ttr_n, row.mttr_s) = (resolve.sum(), resolve.n(), resolve.mean());
        (row.ttr_p50_s, row.ttr_p90_s) = (resolve.percentile(0.5), resolve.percentile(0.9));
    }

    fn of_changes(&self, from: i64, to: i64, row: &mut HourRow) {
        let completed =
            self.changes.iter().filter(|change| (from..to).contains(&ended(change)) && change.failed.is_some());
        let completed: Vec<&ChangeRow> = completed.collect();
        row.changes = completed.len() as u64;
        row.changes_failed = completed.iter().filter(|change| change.failed == Some(true)).count() as u64;
        row.change_success_rate = share(row.changes_failed as f64, row.changes as f64).map(|failed| 1.0 - failed);
        let lead = Durations::new(completed.iter().filter_map(|change| change.lead_time_s));
        (row.lead_time_sum_s, row.lead_time_n) = (lead.sum(), lead.n());
        row.lead_time_p50_s = lead.percentile(0.5);
        let recovery = Durations::new(completed.iter().filter_map(|change| change.recovery_s));
        (row.fdrt_sum_s, row.fdrt_n, row.fdrt_s) = (recovery.sum(), recovery.n(), recovery.mean());
        row.fdrt_p50_s = recovery.percentile(0.5);
    }
}
