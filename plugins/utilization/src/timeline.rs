//! What an hour of measurements says: pure, from the points alone, so that their order and number of arrivals do not
//! matter.

use crate::names::Role;

/// A measurement holds for at most so many intervals of its series.
const HOLD_INTERVALS: i64 = 3;
/// More than this is "over 80 %".
const HIGH: f64 = 0.80;

/// The points of a series: those of the window and the last one before it, in the order of time; of a counter the first
/// one after it, too.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// What the values are.
    pub(crate) role: Role,
    /// Whether the values are those of a counter, and the level is what it grows by in a second.
    pub(crate) counter: bool,
    /// Values of one group add up, several groups are averaged: the logical CPU.
    pub(crate) group: String,
    /// Times in nanoseconds since 1970, and values.
    pub(crate) points: Vec<(i64, f64)>,
}

/// The numbers of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) mean: f64,
    pub(crate) p95: f64,
    pub(crate) max: f64,
    pub(crate) over_80_s: f64,
    pub(crate) capacity: Option<f64>,
    pub(crate) covered_s: f64,
}

/// A value from a time on until another.
#[derive(Clone, Copy, Debug)]
struct Hold {
    start: i64,
    end: i64,
    value: f64,
}

/// What a resource has at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    ratio: Option<f64>,
    capacity: Option<f64>,
}

/// The numbers of the window from `start` to `end`; none if there is no point in it, or none that says how much was
/// used.
pub(crate) fn summarize(series: &[Series], start: i64, end: i64, interval_ns: i64) -> Option<Summary> {
    let inside = |series: &Series| series.points.iter().any(|(time, _)| (start..end).contains(time));
    if !series.iter().any(inside) {
        return None;
    }
    let holds: Vec<Vec<Hold>> = series.iter().map(|series| holds(series, start, end, interval_ns)).collect();
    let mut edges: Vec<i64> = holds.iter().flatten().flat_map(|hold| [hold.start, hold.end]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut sweep = Sweep::new(series, &holds);
    let (mut samples, mut capacity) = (Vec::new(), None);
    for edge in edges.windows(2) {
        let level = sweep.at(edge[0]);
        capacity = level.capacity.or(capacity);
        samples.extend(level.ratio.map(|ratio| (ratio, (edge[1] - edge[0]) as f64 / 1e9)));
    }
    let covered_s: f64 = samples.iter().map(|(_, seconds)| seconds).sum();
    if covered_s <= 0.0 {
        return None;
    }
    let sum: f64 = samples.iter().map(|(ratio, seconds)| ratio * seconds).sum();
    let over_80_s = samples.iter().filter(|(ratio, _)| *ratio > HIGH).map(|(_, seconds)| seconds).sum();
    let max = samples.iter().map(|(ratio, _)| *ratio).fold(f64::NEG_INFINITY, f64::max);
    Some(Summary { mean: sum / covered_s, p95: percentile(&mut samples, 0.95), max, over_80_s, capacity, covered_s })
}

/// Each point until the next one, at most three intervals of the series, as far as that is in the window.
///
/// A counter has a level between two points that are not further apart; where it falls, it began anew.
fn holds(series: &Series, start: i64, end: i64, interval_ns: i64) -> Vec<Hold> {
    let points = series.points.as_slice();
    let longest = interval(points).unwrap_or(interval_ns).saturating_mul(HOLD_INTERVALS);
    if series.counter {
        let level = |pair: &[(i64, f64)]| {
            let ((from, before), (to, after)) = (pair[0], pair[1]);
            let length = to.saturating_sub(from);
            let value = (after - before) / (length as f64 / 1e9);
            (length <= longest && after >= before).then_some(Hold { start: from.max(start), end: to.min(end), value })
        };
        return points.windows(2).filter_map(level).filter(|hold| hold.start < hold.end).collect();
    }
    let nexts = points.iter().skip(1).map(|(time, _)| *time).chain([i64::MAX]);
    let hold = |(&(time, value), next): (&(i64, f64), i64)| Hold {
        start: time.max(start),
        end: next.min(time.saturating_add(longest)).min(end),
        value,
    };
    points.iter().zip(nexts).map(hold).filter(|hold| hold.start < hold.end).collect()
}

/// The middle one of the times between points, the smaller of two: a gap does not change it.
fn interval(points: &[(i64, f64)]) -> Option<i64> {
    let mut gaps: Vec<i64> = points.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)).collect();
    let middle = gaps.len().checked_sub(1)? / 2;
    Some(*gaps.select_nth_unstable(middle).1)
}

/// All series of a resource, moment by moment.
struct Sweep<'a> {
    holds: &'a [Vec<Hold>],
    roles: Vec<Role>,
    /// The number of each series' group.
    groups: Vec<usize>,
    /// The hold of each series that has not ended yet.
    next: Vec<usize>,
    /// The moment at which a group was last seen: counts groups without forgetting them one by one.
    seen: Vec<i64>,
}

impl<'a> Sweep<'a> {
    fn new(series: &[Series], holds: &'a [Vec<Hold>]) -> Self {
        let mut names: Vec<&str> = series.iter().map(|series| series.group.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let number = |series: &Series| names.binary_search(&series.group.as_str()).unwrap_or_default();
        Self {
            holds,
            roles: series.iter().map(|series| series.role).collect(),
            groups: series.iter().map(number).collect(),
            next: vec![0; series.len()],
            seen: vec![i64::MIN; names.len()],
        }
    }

    /// The level from this moment on; moments come in their order.
    fn at(&mut self, time: i64) -> Level {
        let mut sums = [None::<f64>; 4];
        let mut groups = 0;
        for (index, holds) in self.holds.iter().enumerate() {
            while holds.get(self.next[index]).is_some_and(|hold| hold.end <= time) {
                self.next[index] += 1;
            }
            let Some(hold) = holds.get(self.next[index]).filter(|hold| hold.start <= time) else { continue };
            *sums[self.roles[index] as usize].get_or_insert(0.0) += hold.value;
            let group = self.groups[index];
            if self.roles[index] == Role::Ratio && self.seen[group] != time {
                self.seen[group] = time;
                groups += 1;
            }
        }
        let sum = |role: Role| sums[role as usize];
        let capacity = sum(Role::Limit).or(sum(Role::Part)).filter(|capacity| *capacity > 0.0);
        let measured = sum(Role::Used).zip(capacity).map(|(used, capacity)| used / capacity);
        let told = sum(Role::Ratio).map(|ratio| ratio / f64::from(groups.max(1)));
        Level { ratio: measured.or(told), capacity }
    }
}

/// The value below which lies that share of the weight.
///
/// Each value stands in the middle of its weight and what lies between two is interpolated, from the first middle to
/// the last. With equal weights that is SQL's `percentile_cont`.
fn percentile(samples: &mut [(f64, f64)], share: f64) -> f64 {
    samples.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut before = 0.0;
    let mut middles = samples.iter().map(|(value, weight)| {
        let middle = before + weight / 2.0;
        before += weight;
        (middle, *value)
    });
    let middles: Vec<(f64, f64)> = middles.by_ref().collect();
    let (Some(first), Some(last)) = (middles.first(), middles.last()) else { return f64::NAN };
    let wanted = first.0 + (last.0 - first.0) * share;
    let above = middles.partition_point(|(middle, _)| *middle < wanted);
    match (above.checked_sub(1).and_then(|below| middles.get(below)), middles.get(above)) {
        (Some(below), Some(above)) => below.1 + (above.1 - below.1) * (wanted - below.0) / (above.0 - below.0),
        (None, Some(one)) => one.1,
        (_, None) => last.1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;
    const HOUR: i64 = 3600 * S;

    fn series(role: Role, group: &str, points: &[(i64, f64)]) -> Series {
        let points = points.iter().map(|(second, value)| (second * S, *value)).collect();
        Series { role, counter: false, group: group.to_owned(), points }
    }

    fn counter(role: Role, points: &[(i64, f64)]) -> Series {
        Series { counter: true, ..series(role, "", points) }
    }

    fn summary(series: &[Series]) -> Summary {
        summarize(series, 0, HOUR, 60 * S).expect("a summary")
    }

    fn regular(step: i64, value: impl Fn(i64) -> f64) -> Vec<(i64, f64)> {
        (0..3600 / step).map(|number| (number * step, value(number * step))).collect()
    }

    #[test]
    fn a_value_holds_until_the_next_one() {
        let found = summary(&[series(Role::Ratio, "", &[(0, 0.1), (1800, 0.5), (2700, 0.9)])]);
        assert_eq!(found.mean, (0.1 * 1800.0 + 0.5 * 900.0 + 0.9 * 900.0) / 3600.0);
        assert_eq!((found.max, found.over_80_s, found.covered_s), (0.9, 900.0, 3600.0));
    }

    #[test]
    fn a_value_holds_for_at_most_three_intervals() {
        let mut points = regular(10, |_| 0.5);
        points.retain(|(time, _)| !(600..1200).contains(time));
        let found = summary(&[series(Role::Ratio, "", &points)]);
        // The last point before the gap is that of 590.
        assert_eq!(found.covered_s, 3600.0 - (1200.0 - 620.0));
        assert_eq!(found.mean, 0.5);
    }

    #[test]
    fn a_single_point_holds_for_three_default_intervals() {
        let found = summary(&[series(Role::Ratio, "", &[(600, 0.5)])]);
        assert_eq!(found.covered_s, 180.0);
    }

    #[test]
    fn the_last_point_before_the_window_counts_until_the_first_within() {
        let found = summary(&[series(Role::Ratio, "", &[(-30, 1.0), (30, 0.0), (90, 0.0)])]);
        assert_eq!(found.covered_s, 30.0 + 60.0 + 180.0);
        assert_eq!(found.over_80_s, 30.0);
    }

    #[test]
    fn a_window_without_a_point_of_its_own_has_no_summary() {
        assert_eq!(summarize(&[series(Role::Ratio, "", &[(-10, 1.0)])], 0, HOUR, 60 * S), None);
        assert_eq!(summarize(&[series(Role::Used, "", &[(10, 1.0)])], 0, HOUR, 60 * S), None);
        assert_eq!(summarize(&[], 0, HOUR, 60 * S), None);
    }

    #[test]
    fn used_and_limit_make_a_share_where_both_are_known() {
        let used = series(Role::Used, "", &regular(60, |time| if time < 1800 { 50.0 } else { 90.0 }));
        let limit = series(Role::Limit, "", &[(600, 100.0), (1200, 100.0), (1800, 100.0), (2400, 200.0)]);
        let found = summary(&[used, limit]);
        // The limit's interval is 600 s, so that the last one holds to the end.
        assert_eq!((found.covered_s, found.capacity), (3000.0, Some(200.0)));
        assert_eq!((found.max, found.over_80_s), (0.9, 600.0));
    }

    #[test]
    fn parts_add_up_to_the_limit_that_is_not_told() {
        let used = series(Role::Used, "", &regular(60, |_| 30.0));
        let parts = [series(Role::Part, "", &regular(60, |_| 30.0)), series(Role::Part, "", &regular(60, |_| 90.0))];
        let all = [used, parts[0].clone(), parts[1].clone()];
        let found = summary(&all);
        assert_eq!((found.mean, found.capacity), (0.25, Some(120.0)));
        let told = summary(&[all.as_slice(), &[series(Role::Limit, "", &regular(60, |_| 300.0))]].concat());
        assert_eq!((told.mean, told.capacity), (0.1, Some(300.0)));
    }

    #[test]
    fn shares_add_up_in_a_group_and_groups_are_averaged() {
        let share = |group, value| series(Role::Ratio, group, &regular(60, move |_| value));
        let found = summary(&[share("0", 0.25), share("0", 0.25), share("1", 1.0)]);
        assert_eq!((found.mean, found.over_80_s), (0.75, 0.0));
    }

    #[test]
    fn a_measured_share_comes_before_a_told_one() {
        let told = series(Role::Ratio, "", &regular(60, |_| 0.9));
        let used = series(Role::Used, "", &regular(60, |_| 1.0));
        let limit = series(Role::Limit, "", &regular(60, |_| 2.0));
        assert_eq!(summary(&[told.clone(), used.clone(), limit]).mean, 0.5);
        assert_eq!(summary(&[told, used]).mean, 0.9);
    }

    #[test]
    fn a_counter_has_the_level_by_which_it_grows() {
        // Two CPUs, of which half is used until 1800 and all from then on.
        let used = |time: i64| (time.min(1800) + 2 * (time - 1800).max(0)) as f64;
        let points = |value: &dyn Fn(i64) -> f64| {
            (-1..=60).map(|minute| (minute * 60 + 30, value(minute * 60 + 30))).collect::<Vec<_>>()
        };
        let all = [counter(Role::Used, &points(&used)), counter(Role::Part, &points(&|time| 2.0 * time as f64))];
        let found = summary(&all);
        assert_eq!((found.covered_s, found.capacity, found.max), (3600.0, Some(2.0), 1.0));
        assert!((found.mean - 0.75).abs() < 1e-9, "{}", found.mean);
    }

    #[test]
    fn a_counter_that_falls_or_is_silent_has_no_level_meanwhile() {
        let mut points: Vec<(i64, f64)> = (0..=360).map(|number| (number * 10, number as f64)).collect();
        points[100..].iter_mut().for_each(|point| point.1 -= 100.0);
        points.retain(|(time, _)| !(2000..3000).contains(time));
        let found = summary(&[counter(Role::Ratio, &points)]);
        // Ten seconds where it began anew, and from 1990 to 3000.
        assert_eq!(found.covered_s, 3600.0 - 10.0 - 1010.0);
        assert!((found.max - 0.1).abs() < 1e-9, "{}", found.max);
    }

    #[test]
    fn eighty_percent_is_not_over_eighty_percent() {
        assert_eq!(summary(&[series(Role::Ratio, "", &regular(60, |_| 0.8))]).over_80_s, 0.0);
    }

    #[test]
    fn the_percentile_of_evenly_spaced_values_is_percentile_cont() {
        let mut evenly: Vec<(f64, f64)> = (1..=20).map(|number| (f64::from(number), 30.0)).collect();
        assert!((percentile(&mut evenly, 0.95) - 19.05).abs() < 1e-12);
        let mut ties: Vec<(f64, f64)> = (0..20).map(|number| (if number == 19 { 1.0 } else { 0.5 }, 1.0)).collect();
        assert!((percentile(&mut ties, 0.95) - 0.525).abs() < 1e-12);
        assert_eq!(percentile(&mut [(0.4, 10.0)], 0.95), 0.4);
    }

    #[test]
    fn the_percentile_is_weighted_by_time() {
        // Nine tenths of the time at 0.2, one tenth at 0.9: the 95th percentile is in the tenth.
        let found = summary(&[series(Role::Ratio, "", &[(0, 0.2), (1080, 0.2), (2160, 0.2), (3240, 0.9)])]);
        assert!(found.p95 > 0.6 && found.p95 <= 0.9, "{}", found.p95);
        let many: Vec<(i64, f64)> = regular(10, |time| if time < 3240 { 0.2 } else { 0.9 });
        assert_eq!(summary(&[series(Role::Ratio, "", &many)]).p95, 0.9);
    }
}
