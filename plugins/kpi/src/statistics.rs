//! Percentiles and medians of durations.

/// The percentile of values as SQL's `percentile_cont`: between two values, the point between them. `None` for none.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share * last as f64;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

/// The median by Kaplan and Meier of durations that have ended, and of such that still go on at these ages. `None`
/// where more than half may still be going on.
pub(crate) fn kaplan_meier_median(ended: &[f64], open: &[f64]) -> Option<f64> {
    let mut all: Vec<(f64, bool)> = ended.iter().map(|&at| (at, true)).collect();
    all.extend(open.iter().map(|&at| (at, false)));
    // What ends at the same time as another's age comes first.
    all.sort_by(|one, other| one.0.total_cmp(&other.0).then(other.1.cmp(&one.1)));
    let (mut surviving, mut index) = (1.0, 0);
    while let Some(&(at, _)) = all.get(index) {
        let at_risk = all.len() - index;
        let ends = all[index..].iter().take_while(|one| one.0 == at && one.1).count();
        let leave = all[index..].iter().take_while(|one| one.0 == at).count();
        surviving *= 1.0 - ends as f64 / at_risk as f64;
        // Half, but for the rounding of the product.
        if surviving <= 0.5 + 1e-12 {
            return Some(at);
        }
        index += leave;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_percentile_cont() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[7.0], 0.9), Some(7.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 0.5), Some(2.5));
        assert_eq!(percentile(&[600.0, 1380.0], 0.5), Some(990.0));
        assert_eq!(percentile(&[0.0, 10.0], 0.9), Some(9.0));
    }

    #[test]
    fn without_open_ones_the_median_is_the_first_time_by_which_half_have_ended() {
        assert_eq!(kaplan_meier_median(&[3.0, 1.0, 2.0], &[]), Some(2.0));
        assert_eq!(kaplan_meier_median(&[], &[]), None);
    }

    #[test]
    fn open_ones_move_the_median_up() {
        // Survival 3/4 at 1; then one is censored at 1.5; 3/8 at 2.
        assert_eq!(kaplan_meier_median(&[1.0, 2.0, 5.0], &[1.5]), Some(2.0));
        assert_eq!(kaplan_meier_median(&[1.0, 2.0, 5.0], &[6.0, 6.0]), Some(5.0));
        assert_eq!(kaplan_meier_median(&[1.0], &[9.0, 9.0]), None);
    }
}
