//! The table `slo`: a row for each hour of each objective of each service.

use weir_sdk::prelude::*;

use super::config::Span;
use super::history::Sums;
use super::{Config, HOUR_NS, HOUR_SLOTS, History, Objective, RuleName, SLOT_NS, Step, burn, changes, steps};

/// Service level objectives: what was promised and kept in an hour of a service, what is left of the error budget, how
/// fast it burns, and whether that calls somebody. Ask for several hours by sums of good and valid, never by averages.
#[derive(Clone, Debug, Default, PartialEq, Row)]
#[row(
    table = "slo",
    mode = "upsert",
    key = ["environment", "service_namespace", "service_name", "slo_name", "window_start"],
    time = "window_start"
)]
pub(crate) struct SloRow {
    /// Environment of the service; empty if none was said.
    pub(crate) environment: String,
    /// service.namespace; empty where nobody said.
    pub(crate) service_namespace: String,
    /// The service.
    pub(crate) service_name: String,
    /// Name of the objective.
    pub(crate) slo_name: String,
    /// Start of the hour, which ends where the next one starts.
    pub(crate) window_start: Timestamp,
    /// Share of valid requests that is to be good, 0 to 1.
    pub(crate) target: f64,
    /// Requests in the hour that were good, planned maintenance left out, weighted where spans were sampled.
    pub(crate) good: f64,
    /// Requests in the hour that were valid, planned maintenance left out: good / valid is what was kept of the target.
    pub(crate) valid: f64,
    /// Share of the error budget that is left at the end of the hour: 1 - bad / (valid * (1 - target)) over the 30 days
    /// (unless configured otherwise) before it, planned maintenance left out. 1 is all, 0 is none, below 0 the target
    /// is missed; null if nothing was valid.
    pub(crate) budget_remaining: Option<f64>,
    /// Burn rate of the 5 minutes before the end of the hour: bad / valid / (1 - target), planned maintenance included.
    /// 1 uses the budget up just in its time; null if nothing was valid.
    pub(crate) burn_5m: Option<f64>,
    /// Burn rate of the 30 minutes before the end of the hour.
    pub(crate) burn_30m: Option<f64>,
    /// Burn rate of the hour.
    pub(crate) burn_1h: Option<f64>,
    /// Burn rate of the 2 hours before the end of the hour.
    pub(crate) burn_2h: Option<f64>,
    /// Burn rate of the 6 hours before the end of the hour.
    pub(crate) burn_6h: Option<f64>,
    /// Burn rate of the 24 hours before the end of the hour.
    pub(crate) burn_1d: Option<f64>,
    /// Burn rate of the 72 hours before the end of the hour.
    pub(crate) burn_3d: Option<f64>,
    /// Whether a page fired at the end of any slot of 10 s in the hour: the fast rule or the slow one.
    pub(crate) page: bool,
    /// When the fast page began to fire, if in this hour, the first time: 14.4 over 1 hour and 5 minutes unless
    /// configured.
    pub(crate) page_fired_at: Option<Timestamp>,
    /// When the fast page stopped to fire, if in this hour, the last time.
    pub(crate) page_cleared_at: Option<Timestamp>,
    /// When the slow page began to fire, if in this hour, the first time: 6 over 6 hours and 30 minutes unless
    /// configured.
    pub(crate) page_slow_fired_at: Option<Timestamp>,
    /// When the slow page stopped to fire, if in this hour, the last time.
    pub(crate) page_slow_cleared_at: Option<Timestamp>,
    /// Whether a ticket fired at the end of any slot of 10 s in the hour: the fast rule or the slow one.
    pub(crate) ticket: bool,
    /// When the fast ticket began to fire, if in this hour, the first time: 3 over 1 day and 2 hours unless configured.
    pub(crate) ticket_fired_at: Option<Timestamp>,
    /// When the fast ticket stopped to fire, if in this hour, the last time.
    pub(crate) ticket_cleared_at: Option<Timestamp>,
    /// When the slow ticket began to fire, if in this hour, the first time: 1 over 3 days and 6 hours unless
    /// configured.
    pub(crate) ticket_slow_fired_at: Option<Timestamp>,
    /// When the slow ticket stopped to fire, if in this hour, the last time.
    pub(crate) ticket_slow_cleared_at: Option<Timestamp>,
}

/// The windows that have a column, in the order of the columns.
pub(super) const REPORTED: [Span; 7] =
    [Span::minutes(5), Span::minutes(30), Span::hours(1), Span::hours(2), Span::hours(6), Span::days(1), Span::days(3)];

/// What the rules did in an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Alerts {
    pub(super) page: bool,
    pub(super) ticket: bool,
    pub(super) fired_at: [Option<Timestamp>; 4],
    pub(super) cleared_at: [Option<Timestamp>; 4],
}

impl Alerts {
    pub(super) fn note(&mut self, before: &Step, step: &Step) {
        self.page |= step.page();
        self.ticket |= step.ticket();
        for edge in changes(before, step) {
            let (at, rule) = (Timestamp(edge.at), edge.rule as usize);
            if edge.fired {
                self.fired_at[rule].get_or_insert(at);
            } else {
                self.cleared_at[rule] = Some(at);
            }
        }
    }

    fn are_quiet(&self) -> bool {
        !self.page && !self.ticket && self.cleared_at.iter().all(Option::is_none)
    }
}

/// What was worked out of an objective up to a time: its rows, and how the rules stand there.
#[derive(Default)]
pub(crate) struct Worked {
    pub(crate) rows: Vec<SloRow>,
    pub(super) firing: [bool; 4],
    /// What the rules did in the part of an hour at the end.
    pub(super) alerts: Alerts,
}

/// The rows of an objective of a service for the hours from that of `from` to that of `until` (nanoseconds since 1970).
///
/// Slots that end after `until` are not looked at, so the last hour may be a part of one: it is computed as if it ended
/// there, and again when event time has gone on. An hour without a request has a row only while a rule fires or clears.
pub(crate) fn rows(
    history: &History,
    config: &Config,
    objective: &Objective,
    (environment, service_name): (&str, &str),
    from: i64,
    until: i64,
) -> Worked {
    let from = from.div_euclid(HOUR_NS) * HOUR_NS;
    let until = until.div_euclid(SLOT_NS) * SLOT_NS;
    let mut steps = steps(history, config, objective, from.saturating_sub(SLOT_NS), until);
    let mut worked = Worked::default();
    let Some(mut before) = steps.next() else { return worked };
    for step in steps {
        worked.alerts.note(&before, &step);
        before = step;
        if step.end % HOUR_NS == 0 || step.end == until {
            let end = step.end.div_euclid(SLOT_NS);
            let window = |slots: i64| history.between(end - slots, end);
            worked.rows.extend(row(config, objective, (environment, service_name), end, &worked.alerts, &window));
        }
        if step.end % HOUR_NS == 0 {
            worked.alerts = Alerts::default();
        }
    }
    worked.firing = before.firing;
    worked
}

/// The row of the hour that ends with the slot before `end`, or of the part of it that does, where `window` gives the
/// sums of the last so many slots.
pub(super) fn row(
    config: &Config,
    objective: &Objective,
    (environment, service_name): (&str, &str),
    end: i64,
    alerts: &Alerts,
    window: &impl Fn(i64) -> Sums,
) -> Option<SloRow> {
    let start = (end - 1).div_euclid(HOUR_SLOTS) * HOUR_SLOTS;
    let hour = window(end - start);
    if hour.is_empty() && alerts.are_quiet() {
        return None;
    }
    let (valid, bad) = hour.unplanned();
    let (period_valid, period_bad) = window(config.period.slots()).unplanned();
    let [burn_5m, burn_30m, burn_1h, burn_2h, burn_6h, burn_1d, burn_3d] =
        REPORTED.map(|span| burn(&window(span.slots()), objective));
    let (fired, cleared) =
        (|rule: RuleName| alerts.fired_at[rule as usize], |rule: RuleName| alerts.cleared_at[rule as usize]);
    Some(SloRow {
        environment: environment.to_owned(),
        // Whoever hands in the history knows it.
        service_namespace: String::new(),
        service_name: service_name.to_owned(),
        slo_name: objective.name.clone(),
        window_start: Timestamp(start * SLOT_NS),
        target: objective.target,
        good: valid - bad,
        valid,
        budget_remaining: (period_valid > 0.0).then(|| 1.0 - period_bad / (period_valid * objective.allowed())),
        burn_5m,
        burn_30m,
        burn_1h,
        burn_2h,
        burn_6h,
        burn_1d,
        burn_3d,
        page: alerts.page,
        page_fired_at: fired(RuleName::PageFast),
        page_cleared_at: cleared(RuleName::PageFast),
        page_slow_fired_at: fired(RuleName::PageSlow),
        page_slow_cleared_at: cleared(RuleName::PageSlow),
        ticket: alerts.ticket,
        ticket_fired_at: fired(RuleName::TicketFast),
        ticket_cleared_at: cleared(RuleName::TicketFast),
        ticket_slow_fired_at: fired(RuleName::TicketSlow),
        ticket_slow_cleared_at: cleared(RuleName::TicketSlow),
    })
}
