//! How many requests of a histogram count as slow.

use super::*;

const ANYWHERE: (f64, f64) = (0.0, f64::INFINITY);

fn requests(parts: Option<u64>) -> f64 {
    crate::slots::requests(parts.expect("it says how long they took"))
}

#[test]
fn buckets_above_the_threshold_count_whole_and_one_that_ends_at_it_not_at_all() {
    let slow = |limit| requests(explicit(&[0.1, 0.5, 1.0], &[1, 2, 4, 8], limit, ANYWHERE));
    assert_eq!([0.1, 0.5, 1.0].map(slow), [14.0, 12.0, 8.0]);
}

#[test]
fn of_the_bucket_with_the_threshold_counts_the_part_above_it() {
    let slow = |limit| requests(explicit(&[0.5, 1.0], &[100, 40, 8], limit, ANYWHERE));
    assert_eq!(slow(0.875), 10.0 + 8.0);
    assert_eq!(slow(0.25), 50.0 + 48.0, "the first bucket begins at 0");
}

#[test]
fn a_bucket_without_an_upper_end_counts_only_as_far_as_it_is_known_to_reach() {
    let slow = |limit, within| requests(explicit(&[1.0], &[4, 8], limit, within));
    assert_eq!(slow(2.0, ANYWHERE), 0.0);
    assert_eq!(slow(2.0, (0.0, 1.5)), 0.0);
    assert_eq!(slow(2.0, (0.0, 5.0)), 6.0);
    assert_eq!(slow(2.0, (2.5, 5.0)), 8.0);
}

#[test]
fn min_and_max_narrow_the_bucket_with_the_threshold() {
    let slow = |within| requests(explicit(&[1.0], &[100, 0], 0.5, within));
    assert_eq!(slow(ANYWHERE), 50.0);
    assert_eq!(slow((0.002, 0.005)), 0.0, "none took longer than the threshold");
    assert_eq!(slow((0.6, 0.7)), 100.0);
    assert_eq!(slow((0.25, 0.75)), 50.0);
}

#[test]
fn a_histogram_without_buckets_does_not_say() {
    assert_eq!(explicit(&[], &[], 0.5, ANYWHERE), None);
    assert_eq!(explicit(&[0.5], &[1], 0.5, ANYWHERE), None);
    assert_eq!(exponential(33, (0.0, 0), 0, &[1], 0.5, ANYWHERE), None);
}

#[test]
fn exponential_buckets_count_as_explicit_ones_with_the_same_bounds() {
    // Scale 0: (0.25, 0.5], (0.5, 1], (1, 2].
    let slow = |limit| requests(exponential(0, (0.0, 3), -2, &[1, 2, 4], limit, ANYWHERE));
    assert_eq!([0.125, 0.25, 0.5, 1.0, 2.0, 4.0].map(slow), [7.0, 7.0, 6.0, 4.0, 0.0, 0.0]);
    assert_eq!(slow(0.75), 4.0 + 1.0);
    // Scale 2: four buckets to a power of two; scale -1: one to two powers.
    let slow = |limit| requests(exponential(2, (0.0, 0), 0, &[1, 2, 4, 8, 16], limit, ANYWHERE));
    assert_eq!([1.0, 2.0].map(slow), [31.0, 16.0]);
    assert!((slow(2_f64.sqrt()) - 28.0).abs() < 1e-3, "{}", slow(2_f64.sqrt()));
    let slow = |limit| requests(exponential(-1, (0.0, 0), -1, &[4, 8], limit, ANYWHERE));
    assert_eq!([0.25, 1.0, 2.5, 4.0].map(slow), [12.0, 8.0, 4.0, 0.0]);
}

#[test]
fn the_zero_bucket_reaches_as_far_as_it_says() {
    let slow = |limit| requests(exponential(0, (0.5, 8), 0, &[1], limit, ANYWHERE));
    assert_eq!([0.125, 0.5, 1.0, 2.0].map(slow), [7.0, 1.0, 1.0, 0.0]);
}

#[test]
fn numbers_that_no_histogram_has_bring_nothing_down() {
    for limit in [0.0, f64::MIN_POSITIVE, f64::MAX, f64::NAN] {
        for bounds in [[f64::NAN, 1.0], [2.0, 1.0], [f64::NEG_INFINITY, f64::INFINITY]] {
            let all = explicit(&bounds, &[u64::MAX; 3], limit, (f64::NAN, f64::NAN));
            assert!(all.is_none_or(|parts| parts <= 2 * REQUESTS_MAX * ONE), "{limit} {bounds:?}");
        }
        for (scale, offset) in [(-32, i64::MIN), (32, i64::MAX), (0, 0)] {
            let all = exponential(scale, (f64::NAN, u64::MAX), offset, &[u64::MAX; 3], limit, ANYWHERE);
            assert!(all.is_some_and(|parts| parts <= 3 * REQUESTS_MAX * ONE), "{limit} {scale} {offset}");
        }
    }
}

#[test]
fn the_unit_is_the_one_said_or_that_of_the_convention() {
    let of = |unit, name| nanoseconds(Some(unit), Some(name));
    assert_eq!(of("s", "http.server.duration"), Some(1e9));
    assert_eq!(of("ms", "http.server.request.duration"), Some(1e6));
    assert_eq!(of("", "http.server.duration"), Some(1e6));
    assert_eq!(of("", "http.server.request.duration"), Some(1e9));
    assert_eq!(of("By", "http.server.request.duration"), None);
}
