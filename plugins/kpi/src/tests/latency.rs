//! Slow requests, as spans and as histograms of every kind.

use super::*;

const LIMIT: &str = r#"{ "latency_ms": { "shop": 500 } }"#;
const MS: i64 = 1_000_000;
/// Seconds; the threshold is among them.
const BOUNDS: [f64; 5] = [0.005, 0.1, 0.25, 0.5, 1.0];

/// How many of a hundred requests are slow in each slot from nine o'clock on: an hour in which half of them are, and some
/// minutes in which it is one more.
fn slow_of(slot: i64) -> i64 {
    match slot {
        0..60 => 50,
        60..120 => 51,
        160..200 => 100,
        _ => 3,
    }
}

const SLOTS: i64 = 360;

/// The durations of a slot's requests, in milliseconds.
fn durations(slot: i64) -> impl Iterator<Item = i64> {
    (0..100).map(move |number| {
        let slow = number * 37 % 100 < slow_of(slot);
        // A request of exactly the threshold is not slow.
        [if slow { 700 } else { 500 }, if slow { 501 } else { 4 }, if slow { 2000 } else { 90 }][number as usize % 3]
    })
}

fn as_spans() -> Vec<Span> {
    (0..SLOTS)
        .flat_map(|slot| {
            durations(slot).enumerate().map(move |(number, ms)| Span {
                duration: ms * MS,
                ..Span::new(
                    "shop",
                    at(9, 0, 10 * slot) + number as i64 * 20 * MS,
                    (slot * 100) as u64 + number as u64,
                    false,
                )
            })
        })
        .collect()
}

/// A data point of a histogram of the durations, with what a histogram has besides its count.
#[derive(Clone)]
struct Buckets {
    point: Point,
    counts: Vec<u64>,
    exponential: bool,
    min_max: Option<(f64, f64)>,
}

/// The number of a duration's bucket: of explicit ones, or of exponential ones of scale 1, the first of which begins at
/// 2^-8.
fn bucket(exponential: bool, seconds: f64) -> usize {
    match exponential {
        false => BOUNDS.partition_point(|bound| *bound < seconds),
        true => ((seconds.log2() * 2.0).ceil() as i64 + 15) as usize,
    }
}

fn as_points(temporality: &'static str, exponential: bool, name: &'static str) -> Vec<Buckets> {
    let mut sums = vec![0; if exponential { 20 } else { BOUNDS.len() + 1 }];
    (0..SLOTS)
        .map(|slot| {
            // The process starts anew in the middle of the slow minutes.
            if temporality == "delta" || slot == 170 {
                sums.fill(0);
            }
            for ms in durations(slot) {
                sums[bucket(exponential, ms as f64 / 1000.0)] += 1;
            }
            let start = match temporality {
                "delta" => at(9, 0, 10 * slot),
                _ if slot < 170 => at(9, 0, 0),
                _ => at(9, 0, 1700),
            };
            let time = at(9, 0, 10 * slot + 10);
            let count = sums.iter().sum();
            let point =
                Point { service: "shop", name, instance: "1", temporality, start, time, code: 200, count, error: None };
            Buckets { point, counts: sums.clone(), exponential, min_max: None }
        })
        .collect()
}

fn histograms(unit: &'static str, all: &[Buckets]) -> TestBatch {
    let factor = if unit == "ms" { 1000.0 } else { 1.0 };
    let points: Vec<Point> = all.iter().map(|one| one.point.clone()).collect();
    let of = |one: &Buckets, exponential| (one.exponential == exponential).then(|| one.counts.clone());
    metrics(&points)
        .dictionary("kind", all.iter().map(|one| if one.exponential { "exponential_histogram" } else { "histogram" }))
        .dictionary("unit", all.iter().map(|_| unit))
        .column("min", all.iter().map(|one| one.min_max.map(|(min, _)| min)))
        .column("max", all.iter().map(|one| one.min_max.map(|(_, max)| max)))
        .f64_lists(
            "bounds",
            all.iter().map(|one| (!one.exponential).then(|| BOUNDS.map(|bound| bound * factor).to_vec())),
        )
        .u64_lists("bucket_counts", all.iter().map(|one| of(one, false)))
        .column("scale", all.iter().map(|one| one.exponential.then_some(1_i64)))
        .column("zero_count", all.iter().map(|one| one.exponential.then_some(0_u64)))
        .column("zero_threshold", all.iter().map(|one| one.exponential.then_some(0.0)))
        .column("positive_offset", all.iter().map(|one| one.exponential.then_some(-16_i64)))
        .u64_lists("positive_bucket_counts", all.iter().map(|one| of(one, true)))
}

fn told(config: &str, batches: impl IntoIterator<Item = TestBatch>) -> Weir {
    let mut weir = Weir::new(config);
    batches.into_iter().for_each(|batch| _ = weir.process(batch));
    weir.advance(at(10, 10, 0));
    weir
}

/// All tables, but for what says where they come from.
fn without_source(weir: &Weir) -> Vec<String> {
    weir.all().iter().map(|row| row.replace("\"metrics\"", "\"spans\"")).collect()
}

#[track_caller]
fn check(weir: &Weir) {
    let hour = weir.rows("kpi_hourly")[0];
    // Half is not more than half: 51 of 100 are, for ten minutes, and all of them for 400 s.
    assert_eq!((number(hour, "degraded_s"), number(hour, "up_s"), number(hour, "bad")), (1000.0, 3600.0, 0.0));
    let incidents = weir.rows("incidents");
    let mut kinds: Vec<_> =
        incidents.iter().map(|row| (row["kind"].as_str(), number(row, "started_at") as i64)).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [(Some("degraded"), at(9, 10, 0)), (Some("degraded"), at(9, 26, 40))]);
}

#[test]
fn histograms_of_every_kind_say_the_same_as_spans_where_the_threshold_is_a_bound() {
    let stated = told(LIMIT, [spans(&as_spans())]);
    check(&stated);
    for (temporality, exponential) in [("delta", false), ("cumulative", false), ("delta", true), ("cumulative", true)] {
        let points = as_points(temporality, exponential, "http.server.request.duration");
        let weir = told(LIMIT, points.chunks(50).map(|some| histograms("s", some)));
        check(&weir);
        assert_eq!(without_source(&weir), without_source(&stated), "{temporality}, exponential: {exponential}");
    }
}

#[test]
fn spans_beside_histograms_make_no_request_slow_twice() {
    let points = as_points("cumulative", false, "http.server.request.duration");
    let alone = told(LIMIT, [histograms("s", &points)]);
    let both = told(LIMIT, [spans(&as_spans()), histograms("s", &points)]);
    check(&both);
    assert_eq!(both.all(), alone.all());
}

#[test]
fn milliseconds_of_the_old_convention_are_milliseconds() {
    let points = as_points("delta", false, "http.server.duration");
    check(&told(LIMIT, [histograms("ms", &points)]));
    let mut weir = Weir::new(LIMIT);
    let tested = weir.process(histograms("By", &points));
    assert_eq!(tested.counter("points_unit_unknown"), SLOTS as u64);
    weir.advance(at(10, 10, 0));
    assert_eq!(number(weir.rows("kpi_hourly")[0], "degraded_s"), 0.0);
}

#[test]
fn slow_points_shuffled_and_repeated_and_restarted_end_in_the_same_tables() {
    for exponential in [false, true] {
        let mut points = as_points("cumulative", exponential, "http.server.request.duration");
        let stated = told(LIMIT, [histograms("s", &points)]).all();
        let mut random = Random(7);
        points.extend(points.iter().step_by(7).cloned().collect::<Vec<_>>());
        random.shuffle(&mut points);
        let mut weir = Weir::new(LIMIT);
        for some in points.chunks(40) {
            weir.process(histograms("s", some));
            weir.restart();
            weir.advance(at(9, 30, 0));
        }
        weir.advance(at(10, 10, 0));
        check(&weir);
        assert_eq!(weir.all(), stated, "exponential: {exponential}");
    }
}

#[test]
fn a_minute_of_which_half_is_slow_is_not_degraded_in_any_slot() {
    let minutes = |slow: u64| {
        let point = |minute: i64| Buckets {
            point: Point {
                service: "shop",
                name: "http.server.request.duration",
                instance: "1",
                temporality: "delta",
                start: at(9, minute, 0),
                time: at(9, minute + 1, 0),
                code: 200,
                count: 1000,
                error: None,
            },
            counts: vec![0, 0, 0, 1000 - slow, slow, 0],
            exponential: false,
            min_max: None,
        };
        let weir = told(LIMIT, [histograms("s", &(0..10).map(point).collect::<Vec<_>>())]);
        number(weir.rows("kpi_hourly")[0], "degraded_s")
    };
    assert_eq!([500, 501].map(minutes), [0.0, 600.0]);
}

#[test]
fn where_the_threshold_lies_within_a_bucket_its_part_counts_and_min_and_max_narrow_it() {
    let degraded = |temporality, min_max| {
        let points = as_points(temporality, false, "http.server.request.duration").into_iter();
        let points = points.map(|one| Buckets {
            // All requests lie between 0.5 and 1 s.
            counts: vec![0, 0, 0, 0, one.point.count, 0],
            min_max,
            ..one
        });
        let config = r#"{ "latency_ms": { "*": 700 } }"#;
        let weir = told(config, [histograms("s", &points.collect::<Vec<_>>())]);
        number(weir.rows("kpi_hourly")[0], "degraded_s")
    };
    assert_eq!(degraded("delta", None), 3600.0, "three fifths of the bucket are above");
    assert_eq!(degraded("delta", Some((0.51, 0.69))), 0.0);
    assert_eq!(degraded("delta", Some((0.55, 0.8))), 0.0, "two fifths of what can hold something are above");
    assert_eq!(degraded("cumulative", Some((0.51, 0.69))), 3600.0, "they are those of the whole series");
}

#[test]
fn lists_are_read_only_where_a_service_has_a_threshold() {
    let points = as_points("delta", false, "http.server.request.duration");
    for (config, reads) in [("{}", false), (r#"{ "latency_ms": { "cart": 5 } }"#, false), (LIMIT, true)] {
        let tested = Weir::new(config).process(histograms("s", &points));
        let read = |column: &str| tested.read().iter().any(|read| read == column);
        assert_eq!([read("bucket_counts"), read("bounds"), read("unit")], [reads; 3], "{config}");
        assert!(!read("positive_bucket_counts"), "there is no exponential histogram");
    }
}

#[test]
fn another_threshold_counts_from_its_first_point_on() {
    let points = as_points("cumulative", false, "http.server.request.duration");
    let mut weir = Weir::new(LIMIT);
    weir.process(histograms("s", &points[..130]));
    // Everything is slow under the new one; what the series had counted until then is not of the next slot.
    weir.configure(r#"{ "latency_ms": { "shop": 1 } }"#);
    weir.process(histograms("s", &points[130..]));
    weir.advance(at(10, 10, 0));
    let hour = weir.rows("kpi_hourly")[0];
    let new = (SLOTS - 131) as f64 * 10.0;
    assert_eq!((number(hour, "valid"), number(hour, "degraded_s")), (36_000.0, 600.0 + new));
}
