//! How many requests of a histogram took longer than the latency threshold of their service.
//!
//! The buckets above the threshold count whole. Of the one that it lies in counts the part above it, as if its requests
//! were spread evenly; `min` and `max` narrow that bucket where they are those of the point alone, which they are not in a
//! cumulative series. A bucket without an upper end says of its requests only that they took longer than the last bound:
//! none of them is slow for certain, so none counts.

use weir_sdk::prelude::*;
use weir_sdk::{F64s, I64s, Lists, Text, U64s, count};

use crate::points::{Slow, Temporality};
use crate::slots::ONE;

/// The columns that are read besides, where a service has a threshold.
pub(crate) const COLUMNS: [&str; 10] = [
    "unit",
    "min",
    "max",
    "bounds",
    "bucket_counts",
    "scale",
    "zero_count",
    "zero_threshold",
    "positive_offset",
    "positive_bucket_counts",
];

/// Metrics of conventions that had milliseconds, for those that do not say their unit.
const IN_MILLISECONDS: [&str; 2] = ["http.server.duration", "rpc.server.duration"];

/// Requests above this are no counts; so no sum of parts overflows.
pub(crate) const REQUESTS_MAX: u64 = 1 << 40;

/// Scales that OpenTelemetry allows are narrower; beyond these a bucket has no width that can be worked out.
const SCALES: std::ops::RangeInclusive<i64> = -32..=32;

/// The columns of a batch that say how long requests took, read when the first row asks for them.
#[derive(Default)]
pub(crate) struct Latency {
    units: Option<Units>,
    explicit: Option<Explicit>,
    exponential: Option<Exponential>,
}

struct Units {
    name: Text,
    unit: Text,
    exponential: Text,
    min: F64s,
    max: F64s,
}

struct Explicit {
    bounds: Lists<f64>,
    counts: Lists<u64>,
}

struct Exponential {
    scale: I64s,
    zero_count: U64s,
    zero_threshold: F64s,
    offset: I64s,
    counts: Lists<u64>,
}

impl Latency {
    /// How many requests of the row's point took longer; none where it does not say.
    pub(crate) fn slow(
        &mut self,
        batch: &Batch<'_>,
        row: usize,
        over_ns: i64,
        temporality: Temporality,
    ) -> Result<Option<Slow>> {
        let units = match &mut self.units {
            Some(units) => units,
            none => none.insert(Units::read(batch)?),
        };
        let Some(ns) = nanoseconds(units.unit.get(row), units.name.get(row)) else {
            count("points_unit_unknown", 1);
            return Ok(None);
        };
        let limit = over_ns as f64 / ns;
        let within = match temporality {
            Temporality::Delta => (units.min.get(row).unwrap_or(0.0), units.max.get(row).unwrap_or(f64::INFINITY)),
            Temporality::Cumulative => (0.0, f64::INFINITY),
        };
        let parts = if units.exponential.is(row, "exponential_histogram") {
            let columns = match &mut self.exponential {
                Some(columns) => columns,
                none => none.insert(Exponential::read(batch)?),
            };
            columns.over(row, limit, within)
        } else {
            let columns = match &mut self.explicit {
                Some(columns) => columns,
                none => none.insert(Explicit::read(batch)?),
            };
            columns.over(row, limit, within)
        };
        Ok(parts.map(|parts| Slow { over_ns, parts }))
    }
}

impl Units {
    fn read(batch: &Batch<'_>) -> Result<Self> {
        Ok(Self {
            name: batch.text("name")?,
            unit: batch.text("unit")?,
            exponential: batch.text("kind")?,
            min: batch.f64("min")?,
            max: batch.f64("max")?,
        })
    }
}

impl Explicit {
    fn read(batch: &Batch<'_>) -> Result<Self> {
        Ok(Self { bounds: batch.f64_lists("bounds")?, counts: batch.u64_lists("bucket_counts")? })
    }

    fn over(&self, row: usize, limit: f64, within: (f64, f64)) -> Option<u64> {
        explicit(self.bounds.get(row)?, self.counts.get(row)?, limit, within)
    }
}

impl Exponential {
    fn read(batch: &Batch<'_>) -> Result<Self> {
        Ok(Self {
            scale: batch.i64("scale")?,
            zero_count: batch.u64("zero_count")?,
            zero_threshold: batch.f64("zero_threshold")?,
            offset: batch.i64("positive_offset")?,
            counts: batch.u64_lists("positive_bucket_counts")?,
        })
    }

    fn over(&self, row: usize, limit: f64, within: (f64, f64)) -> Option<u64> {
        let zero = (self.zero_threshold.get(row).unwrap_or(0.0), self.zero_count.get(row).unwrap_or(0));
        // Without positive buckets all its requests took no time.
        let counts = self.counts.get(row).unwrap_or_default();
        exponential(self.scale.get(row)?, zero, self.offset.get(row).unwrap_or(0), counts, limit, within)
    }
}

/// Requests over the limit, in parts of [`ONE`], of buckets with these upper bounds.
fn explicit(bounds: &[f64], counts: &[u64], limit: f64, within: (f64, f64)) -> Option<u64> {
    // A histogram may come without buckets.
    if counts.len() != bounds.len() + 1 {
        return None;
    }
    // A bucket has its upper bound within it: one that ends at the limit holds nothing slow.
    let at = bounds.partition_point(|bound| *bound < limit);
    let from = at.checked_sub(1).and_then(|below| bounds.get(below)).copied().unwrap_or(0.0);
    let to = bounds.get(at).copied().unwrap_or(f64::INFINITY);
    let part = parts(*counts.get(at)?, share_over(limit, (from, to), within));
    Some(whole(counts.get(at + 1..)?).saturating_add(part))
}

/// The same, of a bucket from 0 to a bound, and of those from base^i, which is not within it, to base^(i + 1); i begins at
/// `offset`, and log2(base) is 2^-scale.
fn exponential(
    scale: i64,
    (zero_to, zero_count): (f64, u64),
    offset: i64,
    counts: &[u64],
    limit: f64,
    within: (f64, f64),
) -> Option<u64> {
    if !SCALES.contains(&scale) {
        return None;
    }
    let zero = parts(zero_count, share_over(limit, (0.0, zero_to), within));
    let per_power = (scale as f64).exp2();
    let bound = |index: i64| (index as f64 / per_power).exp2();
    let bucket = ((limit.log2() * per_power).ceil() as i64).saturating_sub(1);
    let Ok(at) = usize::try_from(bucket.saturating_sub(offset)) else {
        return Some(zero.saturating_add(whole(counts)));
    };
    let share = share_over(limit, (bound(bucket), bound(bucket.saturating_add(1))), within);
    let part = counts.get(at).map_or(0, |count| parts(*count, share));
    let above = counts.get(at.saturating_add(1)..).unwrap_or_default();
    Some(zero.saturating_add(whole(above)).saturating_add(part))
}

/// Nanoseconds of a unit as UCUM writes it; where none is said, of the one that the convention has.
fn nanoseconds(unit: Option<&str>, name: Option<&str>) -> Option<f64> {
    Some(match unit.unwrap_or_default() {
        "s" => 1e9,
        "ms" => 1e6,
        "us" => 1e3,
        "ns" => 1.0,
        "min" => 60e9,
        "" if name.is_some_and(|name| IN_MILLISECONDS.contains(&name)) => 1e6,
        "" => 1e9,
        _ => return None,
    })
}

/// Which share of a bucket lies above the threshold, of what of it can hold anything.
fn share_over(limit: f64, (from, to): (f64, f64), (min, max): (f64, f64)) -> f64 {
    let (from, to) = (from.max(min), to.min(max));
    if to <= limit {
        0.0
    } else if from >= limit {
        1.0
    } else if to.is_finite() {
        (to - limit) / (to - from)
    } else {
        0.0
    }
}

/// Requests in parts of [`ONE`]: rounded down, so that half of them is never more than half.
fn parts(requests: u64, share: f64) -> u64 {
    ((requests.min(REQUESTS_MAX) * ONE) as f64 * share) as u64
}

fn whole(counts: &[u64]) -> u64 {
    let requests = counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    requests.min(REQUESTS_MAX) * ONE
}

#[cfg(test)]
#[path = "latency_tests.rs"]
mod tests;
