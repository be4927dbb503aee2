//! A day of which the numbers are known.

use super::*;

/// How many of a hundred requests fail in a slot; none where it is silent.
fn golden(time: i64) -> Option<u64> {
    let within = |from: i64, to: i64| (from..to).contains(&time);
    if within(at(18, 0, 0), at(18, 10, 0)) {
        return None;
    }
    let all = within(at(10, 0, 0), at(10, 20, 0))
        || within(at(10, 22, 0), at(10, 23, 0))
        || within(at(14, 0, 0), at(14, 0, 30))
        || within(at(20, 10, 0), at(20, 20, 0));
    let some = within(at(16, 0, 0), at(16, 10, 0));
    Some(if all {
        100
    } else if some {
        20
    } else {
        0
    })
}

/// What the requests of a slot fail of: of those that do in the first outage three in four of one type, the others of another;
/// the fifth that fails in the afternoon of both alike. Of the short outages nobody says.
fn failing(time: i64, number: u64) -> Option<&'static str> {
    match (time - MIDNIGHT) / SECOND / 3600 {
        10 => Some(if number % 40 < 30 { "503" } else { "timeout" }),
        16 => Some(if number % 20 < 10 { "timeout" } else { "500" }),
        20 => Some("connection_refused"),
        _ => None,
    }
}

/// What the incidents must be told to be of: of types that are equally frequent the first in the alphabet.
const STATED: [(i64, Option<&str>); 3] =
    [(at(10, 0, 0), Some("503")), (at(16, 0, 0), Some("500")), (at(20, 10, 0), Some("connection_refused"))];

const SLOTS: i64 = 8640;

fn slots() -> impl Iterator<Item = (i64, u64)> {
    (0..SLOTS).map(|slot| MIDNIGHT + slot * 10 * SECOND).filter_map(|time| Some((time, golden(time)?)))
}

/// The day as spans, of which each stands for so many.
fn as_spans(weight: u64) -> Vec<Span> {
    let per_slot = 100 / weight;
    slots()
        .flat_map(|(time, bad)| {
            (0..per_slot).map(move |number| {
                let at = time + number as i64 * 10 * SECOND / per_slot as i64;
                let id = (time as u64).wrapping_mul(31).wrapping_add(number);
                let fails = number * weight < bad;
                let error = failing(time, number * weight).filter(|_| fails);
                Span { weight: weight as f64, error, ..Span::new("shop", at, id, fails) }
            })
        })
        .collect()
}

/// The day as data points: a series for requests that went well and one for those that failed.
fn as_points(temporality: &'static str) -> Vec<Point> {
    let mut sums: BTreeMap<Option<Option<&str>>, u64> = BTreeMap::new();
    let mut points = Vec::new();
    let failures = [None, Some("500"), Some("503"), Some("timeout"), Some("connection_refused")];
    for (time, bad) in slots() {
        for kind in std::iter::once(None).chain(failures.map(Some)) {
            let count = match kind {
                None => 100 - bad,
                Some(error) => (0..bad).filter(|number| failing(time, *number) == error).count() as u64,
            };
            let sum = sums.entry(kind).or_default();
            *sum += count;
            let cumulative = temporality == "cumulative";
            if count == 0 && !cumulative {
                continue;
            }
            points.push(Point {
                service: "shop",
                name: "http.server.request.duration",
                instance: "shop-1",
                temporality,
                start: if cumulative { MIDNIGHT } else { time },
                time: time + 10 * SECOND,
                code: if kind.is_none() { 200 } else { 503 },
                count: if cumulative { *sum } else { count },
                error: kind.flatten(),
            });
        }
    }
    points
}

fn planned() -> Told {
    maintenance(at(9, 0, 0), "shop", at(20, 0, 0), at(20, 30, 0))
}

/// The day in the order of time, the watermark five minutes behind.
fn in_order(batches: impl IntoIterator<Item = (i64, TestBatch)>) -> Weir {
    let mut weir = Weir::new("{}");
    weir.process(logs(&[planned()]));
    for (newest, batch) in batches {
        weir.process(batch);
        weir.advance(newest - 300 * SECOND);
    }
    weir.advance(MIDNIGHT + DAY);
    weir
}

fn batches<T: Clone>(
    rows: &[T],
    size: usize,
    time: impl Fn(&T) -> i64,
    batch: impl Fn(&[T]) -> TestBatch,
) -> Vec<(i64, TestBatch)> {
    rows.chunks(size).map(|rows| (rows.iter().map(&time).max().unwrap_or(0), batch(rows))).collect()
}

#[track_caller]
fn near(found: f64, stated: f64) {
    assert!((found - stated).abs() < 5e-7, "{found} instead of {stated}");
}

#[track_caller]
fn check(weir: &Weir) {
    let days = weir.rows("kpi_daily");
    assert_eq!(days.len(), 1, "{days:?}");
    let day = days[0];
    for (column, stated) in [
        ("ast_s", 84_600.0),
        ("up_s", 82_710.0),
        ("degraded_s", 600.0),
        ("down_s", 1290.0),
        ("unknown_s", 600.0),
        ("maintenance_s", 1800.0),
        ("valid", 840_000.0),
        ("bad", 14_100.0),
        ("incidents", 2.0),
        ("mttd_s", 180.0),
        ("mttr_s", 990.0),
        ("ttr_p50_s", 990.0),
        ("ttr_n", 2.0),
        ("mtbf_s", 41_355.0),
        ("open_count", 0.0),
    ] {
        assert_eq!(number(day, column), stated, "{column}");
    }
    near(number(day, "availability_time"), 0.984643);
    near(number(day, "availability_low"), 0.977660);
    near(number(day, "availability_high"), 0.984752);
    near(number(day, "coverage"), 0.992908);
    near(number(day, "availability_req"), 0.983214);
    near(number(day, "availability_raw"), 0.977972);
    let incidents = weir.rows("incidents");
    let planned = incidents.iter().filter(|incident| incident["planned"] == true).count();
    assert_eq!((incidents.len(), planned), (3, 1));
    let mut types: Vec<_> =
        incidents.iter().map(|row| (number(row, "started_at") as i64, row["error_type"].as_str())).collect();
    types.sort_unstable();
    assert_eq!(types, STATED);
    let slo = weir.rows("slo");
    let ten = slo.iter().find(|row| row["window_start"] == at(10, 0, 0)).expect("an hour");
    assert_eq!(
        (number(ten, "page_fired_at"), number(ten, "page_cleared_at")),
        (at(10, 1, 0) as f64, at(10, 28, 0) as f64)
    );
    hours_add_up(weir, day);
    intervals_add_up(weir);
}

fn hours_add_up(weir: &Weir, day: &serde_json::Value) {
    let hours = weir.rows("kpi_hourly");
    assert_eq!(hours.len(), 24);
    for column in
        ["ast_s", "up_s", "down_s", "unknown_s", "valid", "bad", "incidents", "ttd_sum_s", "ttr_sum_s", "ttr_n"]
    {
        let sum: f64 = hours.iter().map(|hour| number(hour, column)).sum();
        assert_eq!(sum, number(day, column), "{column}");
    }
}

fn intervals_add_up(weir: &Weir) {
    let mut seconds: BTreeMap<String, i64> = BTreeMap::new();
    for row in weir.rows("availability") {
        let (from, to) = (row["from_at"].as_i64().expect("a time"), row["to_at"].as_i64().expect("an end"));
        *seconds.entry(row["state"].as_str().unwrap_or_default().to_owned()).or_default() += (to - from) / SECOND;
    }
    let stated = [("degraded", 600), ("down", 1290), ("maintenance", 1800), ("unknown", 600), ("up", 82_110)];
    assert_eq!(seconds.into_iter().collect::<Vec<_>>(), stated.map(|(state, seconds)| (state.to_owned(), seconds)));
}

#[test]
fn as_spans_it_has_the_stated_numbers() {
    check(&in_order(batches(&as_spans(1), 8192, |span| span.time, spans)));
}

#[test]
fn as_sampled_spans_it_has_the_stated_numbers() {
    check(&in_order(batches(&as_spans(10), 500, |span| span.time, spans)));
}

#[test]
fn as_delta_histograms_it_has_the_stated_numbers() {
    check(&in_order(batches(&as_points("delta"), 200, |point| point.time, metrics)));
}

#[test]
fn as_cumulative_histograms_it_has_the_stated_numbers() {
    check(&in_order(batches(&as_points("cumulative"), 200, |point| point.time, metrics)));
}

#[test]
fn as_spans_and_metrics_it_has_the_stated_numbers_once() {
    let mut both = batches(&as_spans(10), 500, |span| span.time, spans);
    both.extend(batches(&as_points("delta"), 100, |point| point.time, metrics));
    both.sort_by_key(|(newest, _)| *newest);
    check(&in_order(both));
}

/// In any order, some twice, with restarts and evaluations between them.
fn shuffled(seed: u64, mut all: Vec<(i64, TestBatch)>) -> Weir {
    let mut random = Random(seed);
    println!("seed {seed}");
    all.push((0, logs(&[planned()])));
    for index in 0..all.len() / 5 {
        all.push(all[index * 5].clone());
    }
    random.shuffle(&mut all);
    let mut weir = Weir::new("{}");
    let mut newest = 0;
    for (time, batch) in all {
        weir.process(batch);
        newest = newest.max(time);
        if random.below(12) == 0 {
            weir.advance(newest - 300 * SECOND);
        }
        if random.below(6) == 0 {
            weir.restart();
        }
    }
    weir.advance(MIDNIGHT + DAY);
    weir
}

#[test]
fn shuffled_and_repeated_and_restarted_the_tables_are_the_same_as_in_order() {
    let rows = as_spans(10);
    let ordered = in_order(batches(&rows, 500, |span| span.time, spans)).all();
    for seed in [1, 2] {
        let mut rows = rows.clone();
        let repeated = rows.iter().step_by(7).cloned().collect::<Vec<_>>();
        rows.extend(repeated);
        Random(seed).shuffle(&mut rows);
        let weir = shuffled(seed, batches(&rows, 2000, |span| span.time, spans));
        check(&weir);
        assert_eq!(weir.all(), ordered, "seed {seed}");
        assert!(weir.counters["spans_duplicated"] > 12_000);
        assert_eq!(weir.counters["rows_too_late"], 0);
    }
}

#[test]
fn shuffled_histograms_end_in_the_same_tables() {
    for temporality in ["delta", "cumulative"] {
        let rows = as_points(temporality);
        let ordered = in_order(batches(&rows, 200, |point| point.time, metrics)).all();
        let mut rows = rows.clone();
        Random(3).shuffle(&mut rows);
        let weir = shuffled(3, batches(&rows, 900, |point| point.time, metrics));
        check(&weir);
        assert_eq!(weir.all(), ordered, "{temporality}");
    }
}

/// Whether a time is of the outage at ten or of the silence at six.
fn is_late(time: i64) -> bool {
    (at(10, 0, 0)..at(10, 30, 0)).contains(&time) || (at(17, 50, 0)..at(18, 20, 0)).contains(&time)
}

#[test]
fn what_comes_when_event_time_stands_still_restates_the_rows_without_waiting_for_it() {
    let rows = as_spans(10);
    let ordered = in_order(batches(&rows, 500, |span| span.time, spans)).all();
    let (late, soon): (Vec<Span>, Vec<Span>) = rows.into_iter().partition(|span| is_late(span.time));
    let mut weir = in_order(batches(&soon, 500, |span| span.time, spans));
    assert_eq!(weir.settle(MIDNIGHT + DAY), 1, "there is nothing to do");
    assert_ne!(weir.all(), ordered);
    for (_, batch) in batches(&late, 300, |span| span.time, spans) {
        assert!(weir.process(batch).again(), "rows that are out change");
    }
    weir.restart();
    weir.settle(MIDNIGHT + DAY);
    check(&weir);
    assert_eq!(weir.all(), ordered);
    assert!(
        !weir.process(spans(&[Span::new("shop", MIDNIGHT + DAY + SECOND, 1, false)])).again(),
        "nothing is out of it"
    );
}

#[test]
fn what_one_call_leaves_over_is_done_when_it_is_called_again() {
    const SERVICES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let hour: Vec<Span> = as_spans(10).into_iter().filter(|span| span.time < at(1, 0, 0)).collect();
    let of = |name| hour.iter().map(move |span| Span { service: name, ..span.clone() }).collect::<Vec<_>>();
    let tables = |config: &str| {
        let mut weir = Weir::new(config);
        SERVICES.into_iter().for_each(|name| _ = weir.process(spans(&of(name))));
        let calls = weir.settle(at(1, 0, 0));
        weir.process(logs(&[maintenance(at(0, 5, 0), "a", at(0, 30, 0), at(0, 40, 0))]));
        (weir.settle(at(1, 0, 0)), calls, weir.all())
    };
    let (one, first, at_once) = tables("{}");
    assert_eq!((one, first), (1, 1));
    let (_, calls, in_turns) = tables(r#"{"work_max":1000}"#);
    assert!(calls > 2, "{calls} calls");
    assert_eq!(in_turns, at_once);
}

#[test]
fn a_day_that_event_time_leaps_over_before_it_is_evaluated_has_its_rows() {
    let mut weir = Weir::new("{}");
    let hour: Vec<Point> =
        as_points("delta").into_iter().filter(|point| (at(10, 0, 0)..at(11, 0, 0)).contains(&point.start)).collect();
    // The watermark was there already when the hour came, and the next one is far away.
    weir.advance(at(10, 0, 0) + 22 * 3600 * SECOND);
    weir.process(metrics(&hour));
    weir.advance(at(10, 0, 0) + 48 * 3600 * SECOND);
    let days = weir.rows("kpi_daily");
    let first = days.iter().find(|day| day["window_start"] == MIDNIGHT).expect("the day of the hour");
    assert_eq!((number(first, "down_s"), number(first, "incidents")), (1260.0, 1.0));
    assert!(weir.rows("kpi_hourly").iter().any(|hour| hour["window_start"] == at(10, 0, 0)));
}
