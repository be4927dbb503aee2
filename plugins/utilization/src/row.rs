//! The table `utilization`.

use std::hash::{DefaultHasher, Hasher};

use weir_sdk::prelude::*;

use crate::store::Identity;
use crate::timeline::Summary;

/// How much of a resource was used in an hour: of the CPU of a host, the memory of a container, the connections of a
/// pool.
///
/// All numbers are weighted by time: a measurement counts until the next one of its series, at most three times the
/// series' interval. Where nothing was measured nothing is assumed, which `coverage` shows.
#[derive(Clone, Debug, PartialEq, Row)]
#[row(
    table = "utilization",
    mode = "upsert",
    key = ["environment", "service_name", "resource", "instance", "window_start"],
    time = "window_start"
)]
pub(crate) struct Utilization {
    /// Environment of the service; empty if none was said.
    pub(crate) environment: String,
    /// The service; empty if none was said.
    pub(crate) service_name: String,
    /// What was used: system.cpu, container.memory, jvm.memory, db.client.connection and others.
    pub(crate) resource: String,
    /// Which of them: the host, pod/container, service instance; with the mount point, device or pool behind a colon.
    pub(crate) instance: String,
    /// Start of the hour, which ends where the next one starts.
    pub(crate) window_start: Timestamp,
    /// Share used on average over the time that is covered: used / limit, 0 to 1; above 1 where more than the limit was
    /// used.
    pub(crate) mean: f64,
    /// Share used that was exceeded in 5 % of the time that is covered; interpolated as by percentile_cont, to which it
    /// is equal where measurements are evenly spaced.
    pub(crate) p95: f64,
    /// Greatest share used.
    pub(crate) max: f64,
    /// Seconds in which more than 80 % was used.
    pub(crate) over_80_s: f64,
    /// How much there is, in `unit`: the limit last known in the hour; null if only shares were sent.
    pub(crate) capacity: Option<f64>,
    /// Unit of the capacity, in UCUM: By, {cpu}, {connection}; 1 if only shares were sent; null if none was said.
    pub(crate) unit: Option<String>,
    /// Share of the hour for which something was measured, 0 to 1.
    pub(crate) coverage: f64,
    /// Seconds of the hour for which something was measured: the mean of several hours is
    /// sum(mean * covered_s) / sum(covered_s).
    pub(crate) covered_s: f64,
}

impl Utilization {
    pub(crate) fn new(identity: &Identity, unit: Option<&str>, hour: i64, summary: &Summary) -> Self {
        Self {
            environment: identity.environment.clone(),
            service_name: identity.service_name.clone(),
            resource: identity.resource.clone(),
            instance: identity.instance.clone(),
            window_start: Timestamp(hour),
            mean: summary.mean,
            p95: summary.p95,
            max: summary.max,
            over_80_s: summary.over_80_s,
            capacity: summary.capacity,
            unit: unit.map(str::to_owned),
            coverage: summary.covered_s / 3600.0,
            covered_s: summary.covered_s,
        }
    }

    /// What tells a changed row from the one before, for the same key.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let numbers = [self.mean, self.p95, self.max, self.over_80_s, self.covered_s];
        numbers.iter().for_each(|number| hasher.write_u64(number.to_bits()));
        hasher.write_u64(self.capacity.map_or(u64::MAX, f64::to_bits));
        hasher.write(self.unit.as_deref().unwrap_or_default().as_bytes());
        hasher.finish()
    }
}
