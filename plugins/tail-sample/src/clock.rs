//! Event time as the plugin sees it: a plugin has no other clock.

/// Times of single rows count while they are this little ahead of the others: further, a sender's clock is wrong.
const AHEAD_NS: i64 = 300_000_000_000;
/// The watermark is five minutes behind the newest row. A time further ahead of it than this was never right.
const WATERMARK_AHEAD_NS: i64 = 900_000_000_000;

/// The clock before and after a batch: a row arrived between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passing {
    before: i64,
    pub(crate) after: i64,
}

impl Passing {
    /// The clock moves on to the newest of these times, of which a few may be wrong.
    pub(crate) fn batch(clock: Option<i64>, mut times: Vec<i64>) -> Self {
        if times.is_empty() {
            let clock = clock.unwrap_or(0);
            return Self { before: clock, after: clock };
        }
        let middle = times.len() / 2;
        // After a pause all rows are far ahead of the clock: what most of them say is the time.
        let median = *times.select_nth_unstable(middle).1;
        let before = clock.unwrap_or(median.saturating_sub(AHEAD_NS));
        let limit = before.max(median).saturating_add(AHEAD_NS);
        let newest = times.into_iter().filter(|time| *time <= limit).max();
        Self { before, after: before.max(newest.unwrap_or(before)) }
    }

    /// When a row of that time arrived: a late one just now.
    pub(crate) fn arrival(self, time: Option<i64>) -> i64 {
        time.unwrap_or(self.after).clamp(self.before, self.after)
    }
}

/// The clock once the watermark is known: not behind it, and not further ahead of it than rows can be.
pub(crate) fn at_watermark(clock: Option<i64>, watermark: i64) -> i64 {
    clock.unwrap_or(watermark).clamp(watermark, watermark.saturating_add(WATERMARK_AHEAD_NS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const HOUR: i64 = 3600 * SECOND;

    fn after(clock: i64, times: &[i64]) -> i64 {
        Passing::batch(Some(clock), times.to_vec()).after
    }

    #[test]
    fn the_clock_follows_the_newest_row_and_never_goes_back() {
        assert_eq!(after(HOUR, &[HOUR - SECOND, HOUR + 2 * SECOND, HOUR]), HOUR + 2 * SECOND);
        assert_eq!(after(HOUR, &[0, HOUR - SECOND]), HOUR);
        assert_eq!(after(HOUR, &[]), HOUR);
    }

    #[test]
    fn a_few_rows_from_the_future_do_not_move_the_clock_but_a_pause_does() {
        assert_eq!(after(HOUR, &[HOUR + SECOND, HOUR, 9 * HOUR, HOUR]), HOUR + SECOND);
        assert_eq!(after(HOUR, &[9 * HOUR, 9 * HOUR + SECOND]), 9 * HOUR + SECOND);
    }

    #[test]
    fn a_row_arrives_while_its_batch_does() {
        let passing = Passing::batch(Some(HOUR), vec![HOUR + 5 * SECOND]);
        assert_eq!(passing.arrival(Some(HOUR + SECOND)), HOUR + SECOND);
        assert_eq!(passing.arrival(Some(0)), HOUR);
        assert_eq!(passing.arrival(Some(9 * HOUR)), HOUR + 5 * SECOND);
    }

    #[test]
    fn the_watermark_corrects_a_clock_that_is_behind_or_impossible() {
        assert_eq!(at_watermark(Some(HOUR), 2 * HOUR), 2 * HOUR);
        assert_eq!(at_watermark(Some(HOUR + 300 * SECOND), HOUR), HOUR + 300 * SECOND);
        assert_eq!(at_watermark(Some(90 * HOUR), HOUR), HOUR + 900 * SECOND);
        assert_eq!(at_watermark(None, HOUR), HOUR);
    }
}
