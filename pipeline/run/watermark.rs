//! The watermark: how far event time has come, from the batches that are done, in their order.

use crate::batch::{Batch, Column};
use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampNanosecondType;
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows may come this much later than the newest one seen.
pub(super) const LATENESS: Duration = Duration::from_secs(300);

/// A clock of a sender may run ahead of ours by this much before its times stop to count.
const AHEAD_MAX_NS: i64 = 300_000_000_000;

/// Follows event time over batches that finish in any order.
#[derive(Default)]
pub(super) struct Watermark {
    /// Batches that are done though an earlier one is not, with their newest time.
    ahead: BTreeMap<u64, Option<i64>>,
    next: u64,
    newest: Option<i64>,
    told: Option<i64>,
}

impl Watermark {
    /// A batch is done; tells how far time has come, if that is a second or more past what was told before.
    pub(super) fn done(&mut self, sequence: u64, newest: Option<i64>) -> Option<i64> {
        self.ahead.insert(sequence, newest);
        while let Some(newest) = self.ahead.remove(&self.next) {
            self.newest = self.newest.max(newest);
            self.next += 1;
        }
        let mark = self.newest?.saturating_sub(LATENESS.as_nanos() as i64);
        if self.told.is_some_and(|told| mark < told.saturating_add(1_000_000_000)) {
            return None;
        }
        self.told = Some(mark);
        Some(mark)
    }
}

/// The newest event time of a batch; times that lie further ahead than clocks differ do not count.
pub(super) fn newest(batch: &Batch, now_ns: i64) -> Option<i64> {
    let Some(Column::Array(times)) = batch.column("time") else { return None };
    let times = times.as_primitive_opt::<TimestampNanosecondType>()?;
    let limit = now_ns.saturating_add(AHEAD_MAX_NS);
    times.values().iter().copied().filter(|time| *time <= limit).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn the_watermark_waits_for_the_earlier_batches_and_never_goes_back() {
        let mut mark = Watermark::default();
        assert_eq!(mark.done(1, Some(900 * SECOND)), None, "batch 0 is not done yet");
        assert_eq!(mark.done(0, Some(400 * SECOND)), Some(600 * SECOND));
        assert_eq!(mark.done(2, Some(500 * SECOND)), None, "an older batch does not move it");
        assert_eq!(mark.done(3, Some(900 * SECOND + 1)), None, "less than a second is not told");
        assert_eq!(mark.done(4, Some(902 * SECOND)), Some(602 * SECOND));
    }
}
