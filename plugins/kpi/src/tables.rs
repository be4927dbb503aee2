//! The rows of the plugin's own tables. Comments are what readers of the tables see.

use weir_sdk::prelude::*;

/// Incidents: told by people and tools, found in the signals, or both.
#[derive(Clone, Debug, Default, PartialEq, Row)]
#[row(table = "incidents", mode = "upsert", key = ["incident_id"], time = "opened_at")]
pub(crate) struct IncidentRow {
    /// The incident: the id that its events told, or one made of service, environment and start.
    pub(crate) incident_id: String,
    /// started_at, or the first that is known of the incident where that is null: says the day of the row.
    pub(crate) opened_at: Timestamp,
    /// deployment.environment.name; empty where nobody said.
    pub(crate) environment: String,
    /// service.namespace; empty where nobody said.
    pub(crate) service_namespace: String,
    /// service.name; empty where nobody said.
    pub(crate) service_name: String,
    /// sev1 (critical) to sev5 (informational); null where nobody said.
    pub(crate) severity: Option<String>,
    /// What kind it is: as told, or down, degraded or silent where it was found in the signals.
    pub(crate) kind: Option<String>,
    /// open, mitigated (the impact has ended), resolved, closed, or cancelled (it was none).
    pub(crate) status: String,
    /// Whether it was planned: it began in planned maintenance, or was told so. In no mean and no count.
    pub(crate) planned: bool,
    /// t0: when its cause began.
    pub(crate) fault_start_at: Option<Timestamp>,
    /// t1: the first symptom.
    pub(crate) started_at: Option<Timestamp>,
    /// t2: when somebody or something noticed.
    pub(crate) detected_at: Option<Timestamp>,
    /// t3: when somebody took it.
    pub(crate) acknowledged_at: Option<Timestamp>,
    /// t4: when the impact ended.
    pub(crate) mitigated_at: Option<Timestamp>,
    /// t5: when it was resolved; t4 where it was found in the signals only.
    pub(crate) resolved_at: Option<Timestamp>,
    /// t6: when it was closed.
    pub(crate) closed_at: Option<Timestamp>,
    /// Time to detect in seconds, t2 - t1 (or from t0, as configured). Null while open, where a time is not known, and
    /// where clocks disagree by more than 5 s; the same for the three that follow.
    pub(crate) ttd_s: Option<f64>,
    /// Time to acknowledge in seconds, t3 - t2 (or from t1, as configured).
    pub(crate) tta_s: Option<f64>,
    /// Time to mitigate in seconds, t4 - t1.
    pub(crate) ttm_s: Option<f64>,
    /// Time to resolve in seconds, t5 - t1 (or from t2; to t4 or t6, as configured).
    pub(crate) ttr_s: Option<f64>,
    /// Who noticed first: signals, or event.
    pub(crate) detection_source: Option<String>,
    /// Whether started_at is put in from the detection because nothing measured it.
    pub(crate) onset_estimated: bool,
    /// What most of the failed requests that made it an incident failed of (their error.type, by the source that is the
    /// service's truth); null where none said so.
    pub(crate) error_type: Option<String>,
    /// What incidents of one cause have in common: as told, or made of service, environment, kind and error_type.
    pub(crate) fingerprint: String,
    /// The latest earlier incident of this fingerprint that was resolved at most 30 days before (or as configured).
    pub(crate) recurrence_of: Option<String>,
    /// The change that caused it, as told.
    pub(crate) cause_change_id: Option<String>,
    /// The service in which it began, as told last; null where nobody said so, for signals alone do not tell.
    pub(crate) root_service: Option<String>,
    /// How often it came back before it was over.
    pub(crate) flaps: u64,
    /// Minutes of impact times the configured rate; null where no rate is configured and while the impact goes on.
    pub(crate) cost: Option<f64>,
    /// Where to read about it.
    pub(crate) url: Option<String>,
    /// What cannot be said of it, and why, with commas between: clock_skew, no_start, no_mitigation, no_resolution,
    /// reopened_while_open, truncated, maintenance_declared_late. Empty if all is well.
    pub(crate) quality_flags: String,
}

/// The states of services: an interval each, cut at midnight. They join without a gap from the first data of a service on.
#[derive(Clone, Debug, Default, PartialEq, Row)]
#[row(
    table = "availability",
    mode = "upsert",
    key = ["environment", "service_namespace", "service_name", "from_at"],
    time = "from_at"
)]
pub(crate) struct AvailabilityRow {
    /// deployment.environment.name; empty where nobody said.
    pub(crate) environment: String,
    /// service.namespace; empty where nobody said.
    pub(crate) service_namespace: String,
    /// service.name; empty where nobody said.
    pub(crate) service_name: String,
    /// When the state began.
    pub(crate) from_at: Timestamp,
    /// When it ended, not within it any more; null while it goes on, midnight at the latest.
    pub(crate) to_at: Option<Timestamp>,
    /// up, degraded (part of the up time unless configured otherwise), down, unknown, or maintenance.
    pub(crate) state: String,
    /// What says so: metrics, spans, probe, silence (of an always-on service) or maintenance; null where nothing does.
    pub(crate) source: Option<String>,
}

/// Declares the row of a window. Hours and days have the same columns.
macro_rules! window_row {
    ($(#[$about:meta])* $name:ident) => {
        #[derive(Clone, Debug, Default, PartialEq, Row)]
        $(#[$about])*
        pub(crate) struct $name {
            /// deployment.environment.name; empty where nobody said.
            pub(crate) environment: String,
            /// service.namespace; empty where nobody said.
            pub(crate) service_namespace: String,
            /// service.name; empty where nobody said.
            pub(crate) service_name: String,
            /// Start of the window, which ends where the next one starts.
            pub(crate) window_start: Timestamp,
            /// Agreed service time in seconds: the window without planned maintenance, from the first data of the service
            /// on, so far as it has been looked at. Larger windows: sum.
            pub(crate) ast_s: f64,
            /// Seconds up, the degraded ones among them unless configured otherwise. Sum.
            pub(crate) up_s: f64,
            /// Seconds degraded: 5 % of requests failed, or more than half were slow (or as configured). Sum.
            pub(crate) degraded_s: f64,
            /// Seconds down: half of the requests or probes failed, or an always-on service was silent. Sum.
            pub(crate) down_s: f64,
            /// Seconds of which nothing is known, neither up nor down. Sum.
            pub(crate) unknown_s: f64,
            /// Seconds of planned maintenance, in none of the others. Sum.
            pub(crate) maintenance_s: f64,
            /// up_s / (up_s + down_s), 0 to 1; null if both are 0.
            pub(crate) availability_time: Option<f64>,
            /// The same if all that is unknown were down: up_s / ast_s.
            pub(crate) availability_low: Option<f64>,
            /// The same if all that is unknown were up: (up_s + unknown_s) / ast_s.
            pub(crate) availability_high: Option<f64>,
            /// availability_time with planned maintenance counted as any other time.
            pub(crate) availability_raw: Option<f64>,
            /// Seconds up in planned maintenance: availability_raw is (up_s + maintenance_up_s) over itself and down. Sum.
            pub(crate) maintenance_up_s: f64,
            /// Seconds down in planned maintenance. Sum.
            pub(crate) maintenance_down_s: f64,
            /// Availability by requests: 1 - bad / valid, 0 to 1; null without requests.
            pub(crate) availability_req: Option<f64>,
            /// Share of the agreed service time that is known: (up_s + down_s) / ast_s.
            pub(crate) coverage: Option<f64>,
            /// Requests outside maintenance, weighted where spans were sampled. Sum.
            pub(crate) valid: f64,
            /// Those that failed: span status ERROR or a 5xx; a 4xx is none. Sum.
            pub(crate) bad: f64,
            /// Unplanned incidents that began in the window. Sum.
            pub(crate) incidents: u64,
            /// Those of them that recur: an earlier one of the same fingerprint was resolved shortly before. Sum.
            pub(crate) recurring: u64,
            /// Unplanned incidents that were open at the end of the window: their impact went on.
            pub(crate) open_count: u64,
            /// Age of the oldest of them at the end of the window, in seconds.
            pub(crate) open_oldest_s: Option<f64>,
            /// Sum of the times to detect, in seconds, of unplanned incidents detected in the window. Sum.
            pub(crate) ttd_sum_s: f64,
            /// How many there are. Sum.
            pub(crate) ttd_n: u64,
            /// Mean time to detect, ttd_sum_s / ttd_n; null for none. Larger windows: divide the sums.
            pub(crate) mttd_s: Option<f64>,
            /// Their median, as percentile_cont.
            pub(crate) ttd_p50_s: Option<f64>,
            /// Their 90th percentile, as percentile_cont.
            pub(crate) ttd_p90_s: Option<f64>,
            /// Sum of the times to acknowledge, in seconds, of unplanned incidents acknowledged in the window. Sum.
            pub(crate) tta_sum_s: f64,
            /// How many there are. Sum.
            pub(crate) tta_n: u64,
            /// Mean time to acknowledge; null for none.
            pub(crate) mtta_s: Option<f64>,
            /// Their median, as percentile_cont.
            pub(crate) tta_p50_s: Option<f64>,
            /// Their 90th percentile, as percentile_cont.
            pub(crate) tta_p90_s: Option<f64>,
            /// Share of the unplanned incidents detected in the window that were acknowledged, then or later.
            pub(crate) ack_rate: Option<f64>,
            /// Sum of the times to mitigate, in seconds, of unplanned incidents mitigated in the window. Sum.
            pub(crate) ttm_sum_s: f64,
            /// How many there are. Sum.
            pub(crate) ttm_n: u64,
            /// Mean time to mitigate; null for none.
            pub(crate) mttm_s: Option<f64>,
            /// Their median, as percentile_cont.
            pub(crate) ttm_p50_s: Option<f64>,
            /// Their 90th percentile, as percentile_cont.
            pub(crate) ttm_p90_s: Option<f64>,
            /// Sum of the times to resolve, in seconds, of unplanned incidents resolved in the window. Sum.
            pub(crate) ttr_sum_s: f64,
            /// How many there are. Sum.
            pub(crate) ttr_n: u64,
            /// Mean time to resolve; null for none.
            pub(crate) mttr_s: Option<f64>,
            /// Their median, as percentile_cont.
            pub(crate) ttr_p50_s: Option<f64>,
            /// Their 90th percentile, as percentile_cont.
            pub(crate) ttr_p90_s: Option<f64>,
            /// Kaplan-Meier median of the time to resolve, with the incidents open at the end of the window censored at
            /// their age: not biased low by leaving them out. Null where more than half are open.
            pub(crate) ttr_km_p50_s: Option<f64>,
            /// Mean time between failures: up_s / incidents; null for none (up_s is then the exposure).
            pub(crate) mtbf_s: Option<f64>,
            /// Deployments completed in the window, cancelled and skipped ones left out. Sum.
            pub(crate) changes: u64,
            /// Those that failed: by result, rollback within 24 h, or an incident that they caused. Sum.
            pub(crate) changes_failed: u64,
            /// 1 - changes_failed / changes; null for none.
            pub(crate) change_success_rate: Option<f64>,
            /// Sum of the lead times, commit to end of deployment, in seconds. Sum.
            pub(crate) lead_time_sum_s: f64,
            /// How many deployments have one. Sum.
            pub(crate) lead_time_n: u64,
            /// Median lead time, as percentile_cont.
            pub(crate) lead_time_p50_s: Option<f64>,
            /// Failed-deployment recovery time: sum of the seconds from the end of a deployment to the end of the impact of
            /// the incidents that it caused, by the end of the deployment. Sum.
            pub(crate) fdrt_sum_s: f64,
            /// How many deployments have one. Sum.
            pub(crate) fdrt_n: u64,
            /// Mean failed-deployment recovery time; null for none.
            pub(crate) fdrt_s: Option<f64>,
            /// Their median, as percentile_cont.
            pub(crate) fdrt_p50_s: Option<f64>,
            /// Cost of the impact within the window: minutes times the configured rate; null where no rate is configured.
            /// Sum.
            pub(crate) cost: Option<f64>,
            /// Fewer than 5 incidents (or as configured) were resolved, or are behind another mean of the row.
            pub(crate) low_confidence: bool,
            /// The coverage is below 0.90 (or as configured).
            pub(crate) low_coverage: bool,
            /// What limits the numbers, with commas between: maintenance_declared_late, unchecked_duplicates. Empty if
            /// nothing does.
            pub(crate) quality_flags: String,
        }
    };
}

window_row! {
    /// Availability, incidents and their means of a service in an hour. Windows are half-open, in UTC unless configured.
    #[row(
        table = "kpi_hourly",
        mode = "upsert",
        key = ["environment", "service_namespace", "service_name", "window_start"],
        time = "window_start"
    )]
    HourRow
}

window_row! {
    /// Availability, incidents and their means of a service in a day. Windows are half-open, in UTC unless configured.
    #[row(
        table = "kpi_daily",
        mode = "upsert",
        key = ["environment", "service_namespace", "service_name", "window_start"],
        time = "window_start"
    )]
    DayRow
}

/// Makes a day's row of what was worked out as an hour's: the columns are the same.
macro_rules! same_columns {
    ($($field:ident),* $(,)?) => {
        impl From<HourRow> for DayRow {
            fn from(row: HourRow) -> Self {
                Self { $($field: row.$field),* }
            }
        }
    };
}

same_columns! {
    environment, service_namespace, service_name, window_start, ast_s, up_s, degraded_s, down_s, unknown_s,
    maintenance_s, availability_time, availability_low, availability_high, availability_raw, maintenance_up_s,
    maintenance_down_s, availability_req, coverage, valid, bad, incidents, recurring, open_count, open_oldest_s,
    ttd_sum_s, ttd_n, mttd_s, ttd_p50_s, ttd_p90_s, tta_sum_s, tta_n, mtta_s, tta_p50_s, tta_p90_s, ack_rate,
    ttm_sum_s, ttm_n, mttm_s, ttm_p50_s, ttm_p90_s, ttr_sum_s, ttr_n, mttr_s, ttr_p50_s, ttr_p90_s, ttr_km_p50_s,
    mtbf_s, changes, changes_failed, change_success_rate, lead_time_sum_s, lead_time_n, lead_time_p50_s, fdrt_sum_s,
    fdrt_n, fdrt_s, fdrt_p50_s, cost, low_confidence, low_coverage, quality_flags,
}
