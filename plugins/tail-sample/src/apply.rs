//! What was decided is done to the rows: they go on or are dropped, and say how many they stand for.

use weir_sdk::prelude::*;
use weir_sdk::sampling::{threshold, trace_state};
use weir_sdk::{Bitmap, Text};

use crate::decided::Decision;

/// The reason for which rows are dropped.
const REASON: &str = "sampled";

/// Keeps and drops the rows of a batch as decided; a row that `decisions` has none for goes on as it is.
pub(crate) fn apply(batch: &mut Batch, decisions: &[Option<Decision>]) -> Result {
    let decision = |row: usize| decisions.get(row).copied().flatten();
    let keep = Bitmap::of(batch.rows(), |row| decision(row) != Some(None));
    // A threshold of 0 lets everything through and says nothing.
    let sampled = |row: usize| decision(row).flatten().filter(|threshold| *threshold > 0);
    if batch.signal() == Signal::Spans && (0..batch.rows()).any(|row| sampled(row).is_some()) {
        reweigh(batch, &(0..batch.rows()).map(sampled).collect::<Vec<_>>())?;
    }
    batch.keep_rows(REASON, keep)
}

/// Spans that came through a threshold stand for those that did not.
fn reweigh(spans: &mut Batch, thresholds: &[Option<u64>]) -> Result {
    let (ids, states, counts) =
        (spans.trace_ids("trace_id")?, spans.text("trace_state")?, spans.f64("adjusted_count")?);
    let mut written = vec![None; thresholds.len()];
    let mut new = vec![None; thresholds.len()];
    for (row, threshold) in thresholds.iter().enumerate() {
        let Some(threshold) = *threshold else { continue };
        let before = states.get(row).map(trace_state::read).unwrap_or_default();
        let random = before.randomness.or_else(|| ids.get(row).map(threshold::randomness));
        // A threshold above the randomness cannot have let the span through: it says nothing.
        let earlier = before.threshold.map(|earlier| (earlier, random.is_some_and(|random| earlier <= random)));
        let count = counts.get(row).unwrap_or(1.0);
        new[row] = match earlier {
            Some((earlier, true)) if earlier >= threshold => continue,
            Some((earlier, true)) => Some(times(count, earlier, threshold)),
            Some((_, false)) => Some(threshold::adjusted_count(threshold)),
            None => Some(times(count, 0, threshold)),
        };
        written[row] = Some(threshold);
    }
    if written.iter().all(Option::is_none) {
        return Ok(());
    }
    spans.set("adjusted_count", new)?;
    spans.set_text("trace_state", new_states(&states, &written))
}

/// The count of a span that came through `earlier`, once it has come through `threshold` above it too: the randomness is
/// the same, so that only the step between the two is new.
fn times(count: f64, earlier: u64, threshold: u64) -> f64 {
    let (before, after) = (threshold::adjusted_count(earlier), threshold::adjusted_count(threshold));
    // Without the detour that would cost the last digits.
    if count == before { after } else { count * (after / before) }
}

fn new_states(states: &Text, thresholds: &[Option<u64>]) -> TextBuilder {
    let mut written = TextBuilder::new();
    for (row, threshold) in thresholds.iter().enumerate() {
        match threshold {
            Some(threshold) => {
                written.push_with(|out| trace_state::write(states.get(row).unwrap_or_default(), *threshold, out));
            }
            None => written.push(None),
        }
    }
    written
}
