//! The watermark: how far event time has come, from the batches in their order.

use crate::batch::{Batch, Column};
use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampNanosecondType;
use std::time::{Duration, Instant};

/// Rows may come this much later than the newest one seen.
pub(super) const LATENESS: Duration = Duration::from_secs(300);

/// A clock of a sender may run ahead of ours by this much before its times stop to count.
const AHEAD_MAX_NS: i64 = 300_000_000_000;

/// So long without a row, and event time goes on with the clock: what waits for it is not to wait for the next row.
const IDLE: Duration = Duration::from_secs(5);

/// A step that is worth telling.
const STEP_NS: i64 = 1_000_000_000;

/// Follows event time over the batches, in their order.
#[derive(Debug)]
pub(super) struct Watermark {
    newest: Option<i64>,
    told: Option<i64>,
    /// When the last row came.
    arrived: Instant,
}

impl Watermark {
    /// Goes on from what an earlier run has told.
    pub(super) fn new(told: Option<i64>, now: Instant) -> Self {
        let newest = told.map(|told| told.saturating_add(LATENESS.as_nanos() as i64));
        Self { newest, told, arrived: now }
    }

    /// What was told last.
    pub(super) fn told(&self) -> Option<i64> {
        self.told
    }

    /// A batch follows; tells how far time has come with it, if that is a second or more past what was told before.
    pub(super) fn seen(&mut self, newest: Option<i64>, now: Instant) -> Option<i64> {
        self.newest = self.newest.max(newest);
        self.arrived = now;
        self.tell(self.newest?)
    }

    /// Nothing came for a while: time goes on as the clock does.
    pub(super) fn idle(&mut self, now: Instant) -> Option<i64> {
        let idle = now.saturating_duration_since(self.arrived);
        if idle < IDLE {
            return None;
        }
        self.tell(self.newest?.saturating_add(i64::try_from(idle.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// No row will come any more: tells also a step that was not worth it before, so that in the end it does not depend on
    /// how rows came in batches how far time has come.
    pub(super) fn last(&mut self) -> Option<i64> {
        let mark = self.newest?.saturating_sub(LATENESS.as_nanos() as i64);
        if self.told.is_some_and(|told| mark <= told) {
            return None;
        }
        self.told = Some(mark);
        Some(mark)
    }

    /// Time has come this far, whatever rows say.
    pub(super) fn reach(&mut self, mark: i64) {
        self.told = self.told.max(Some(mark));
        self.newest = self.newest.max(Some(mark.saturating_add(LATENESS.as_nanos() as i64)));
    }

    fn tell(&mut self, newest: i64) -> Option<i64> {
        let mark = newest.saturating_sub(LATENESS.as_nanos() as i64);
        if self.told.is_some_and(|told| mark < told.saturating_add(STEP_NS)) {
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
    fn the_watermark_follows_the_newest_time_and_never_goes_back() {
        let now = Instant::now();
        let mut mark = Watermark::new(None, now);
        assert_eq!(mark.seen(None, now), None, "no time is known yet");
        assert_eq!(mark.seen(Some(900 * SECOND), now), Some(600 * SECOND));
        assert_eq!(mark.seen(Some(500 * SECOND), now), None, "an older batch does not move it");
        assert_eq!(mark.seen(Some(900 * SECOND + 1), now), None, "less than a second is not told");
        assert_eq!(mark.seen(Some(902 * SECOND), now), Some(602 * SECOND));
    }

    #[test]
    fn in_the_end_it_is_that_of_the_newest_row_however_rows_came() {
        let now = Instant::now();
        let mut mark = Watermark::new(None, now);
        assert_eq!(mark.last(), None, "no time is known");
        mark.seen(Some(900 * SECOND), now);
        assert_eq!(mark.seen(Some(900 * SECOND + 7), now), None);
        assert_eq!(mark.last(), Some(600 * SECOND + 7));
        assert_eq!((mark.last(), mark.told()), (None, Some(600 * SECOND + 7)));
        mark.reach(700 * SECOND);
        assert_eq!((mark.last(), mark.told()), (None, Some(700 * SECOND)));
    }

    #[test]
    fn without_rows_it_goes_on_with_the_clock() {
        let now = Instant::now();
        let mut mark = Watermark::new(None, now);
        mark.seen(Some(900 * SECOND), now);
        assert_eq!(mark.idle(now + Duration::from_secs(4)), None, "a pause is not idleness yet");
        assert_eq!(mark.idle(now + Duration::from_secs(60)), Some(660 * SECOND));
        assert_eq!(mark.seen(Some(905 * SECOND), now + Duration::from_secs(61)), None, "it does not go back");
    }

    #[test]
    fn it_goes_on_from_what_an_earlier_run_has_told() {
        let now = Instant::now();
        let mut mark = Watermark::new(Some(600 * SECOND), now);
        assert_eq!(mark.seen(Some(100 * SECOND), now), None);
        assert_eq!(mark.seen(Some(901 * SECOND), now), Some(601 * SECOND));
    }
}
