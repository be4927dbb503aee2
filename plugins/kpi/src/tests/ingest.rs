//! What counts, and once.

use super::*;

/// Good requests, ten in each slot of ten minutes from ten o'clock on.
fn good(service: &'static str) -> Vec<Span> {
    (0..600).map(|second| Span::new(service, at(10, 0, second), second as u64, false)).collect()
}

/// What the hour from ten o'clock says after these spans.
fn hour(config: &str, all: &[Span]) -> Value {
    let mut weir = Weir::new(config);
    weir.process(spans(all));
    weir.advance(at(10, 10, 0));
    weir.rows("kpi_hourly")[0].clone()
}

#[test]
fn only_spans_of_servers_and_consumers_are_requests() {
    let mut all = good("shop");
    for (span, kind) in all.iter_mut().zip(["CLIENT", "INTERNAL", "PRODUCER", "UNSPECIFIED", "CONSUMER"]) {
        span.kind = kind;
    }
    assert_eq!(number(&hour("{}", &all), "valid"), 596.0);
}

#[test]
fn an_error_or_a_5xx_is_bad_and_a_4xx_is_good() {
    let mut all = good("shop");
    for (span, (status, code)) in all.iter_mut().zip([
        ("ERROR", None),
        ("UNSET", Some(500)),
        ("ERROR", Some(404)),
        ("UNSET", Some(499)),
        ("ERROR", Some(200)),
    ]) {
        (span.status, span.code) = (status, code);
    }
    assert_eq!(number(&hour("{}", &all), "bad"), 3.0);
}

#[test]
fn a_span_counts_as_many_times_as_it_stands_for() {
    let mut all = good("shop");
    all[0].weight = 4.0 / 3.0;
    all[1].weight = 2.5;
    assert!((number(&hour("{}", &all), "valid") - 601.833_333).abs() < 1e-4);
}

#[test]
fn a_service_with_a_latency_threshold_is_degraded_when_most_requests_are_slow() {
    let mut all = good("shop");
    // The first slot has too few requests, the last one to be slow speaks with one that is not.
    all[..300].iter_mut().for_each(|span| span.duration = 600_000_000);
    let limit = r#"{ "latency_ms": { "shop": 500, "*": 5 } }"#;
    assert_eq!(number(&hour(limit, &all), "degraded_s"), 290.0);
    assert_eq!(number(&hour("{}", &all), "degraded_s"), 0.0);
}

#[test]
fn a_span_that_comes_twice_counts_once_also_after_a_restart() {
    let mut weir = Weir::new("{}");
    weir.process(spans(&[good("shop"), good("shop")].concat()));
    weir.restart();
    weir.process(spans(&good("shop")));
    weir.advance(at(10, 10, 0));
    assert_eq!(number(weir.rows("kpi_hourly")[0], "valid"), 600.0);
    assert_eq!(weir.counters["spans_duplicated"], 1200);
}

#[test]
fn beyond_the_ids_that_are_kept_duplicates_count_and_the_window_says_so() {
    let mut weir = Weir::new(r#"{ "dedup_max": 5 }"#);
    weir.process(spans(&good("shop")));
    weir.advance(at(10, 10, 0));
    assert_eq!(weir.rows("kpi_hourly")[0]["quality_flags"], "unchecked_duplicates");
    assert_eq!(weir.counters["spans_unchecked"], 300);
}

#[test]
fn a_late_span_restates_its_windows_and_nothing_else() {
    let mut weir = Weir::new("{}");
    weir.process(spans(&[good("shop"), good("cart")].concat()));
    weir.advance(at(13, 0, 0));
    let late = Span::new("shop", at(10, 5, 0), 9999, true);
    weir.process(spans(&[late]));
    let tested = weir.advance(at(13, 0, 1));
    assert_eq!(tested.emitted("kpi_hourly").len(), 1);
    assert_eq!(tested.emitted("kpi_daily").len(), 1);
    assert_eq!(number(tested.emitted("kpi_hourly")[0], "bad"), 1.0);
    assert!(tested.emitted("availability").is_empty());
}

#[test]
fn where_nothing_has_changed_nothing_is_sent() {
    let mut weir = Weir::new("{}");
    weir.process(spans(&good("shop")));
    weir.advance(at(10, 10, 0));
    let tested = weir.advance(at(10, 10, 30));
    for table in ["kpi_hourly", "kpi_daily", "availability", "incidents", "slo"] {
        assert!(tested.emitted(table).is_empty(), "{table}");
    }
}

#[test]
fn a_row_beyond_the_horizon_is_counted_and_changes_nothing() {
    let mut weir = Weir::new("{}");
    weir.process(spans(&good("shop")));
    weir.advance(at(10 + 27, 0, 0));
    weir.process(spans(&good("shop")));
    assert_eq!(weir.counters["rows_too_late"], 600);
    assert!(weir.advance(at(10 + 27, 0, 30)).emitted("kpi_hourly").is_empty());
}

#[test]
fn services_beyond_the_limit_are_counted_together() {
    let mut weir = Weir::new(r#"{ "services_max": 1 }"#);
    weir.process(spans(&[good("shop"), good("cart")].concat()));
    weir.advance(at(10, 10, 0));
    let names: Vec<_> = weir.rows("kpi_hourly").iter().map(|row| row["service_name"].clone()).collect();
    assert_eq!(names, ["__overflow__", "shop"]);
    assert!(weir.counters["services_overflowed"] > 0);
}

#[test]
fn a_failed_call_leaves_nothing_at_hand_that_is_not_in_the_state() {
    let mut weir = Weir::new("{}");
    weir.process(spans(&good("shop")));
    // A batch without the columns of spans.
    assert!(weir.plugin.process(TestBatch::spans().column("kind", ["SERVER"])).is_err());
    weir.process(spans(&good("shop")));
    weir.advance(at(10, 10, 0));
    assert_eq!(number(weir.rows("kpi_hourly")[0], "valid"), 600.0);
}

fn point(temporality: &'static str, start: i64, time: i64, count: u64) -> Point {
    let name = "http.server.request.duration";
    Point { service: "shop", name, instance: "1", temporality, start, time, code: 200, count, error: None }
}

/// The requests of each slot from ten o'clock on, as the plugin knows them from its availability: by sums of hours.
fn valid(points: &[Point]) -> f64 {
    let mut weir = Weir::new("{}");
    weir.process(metrics(points));
    weir.advance(at(11, 0, 0));
    weir.rows("kpi_hourly").iter().map(|row| number(row, "valid")).sum()
}

#[test]
fn a_cumulative_series_counts_differences_and_begins_anew_where_it_was_reset() {
    let start = at(9, 0, 0);
    let mut points: Vec<_> =
        (0..6).map(|n| point("cumulative", start, at(10, 0, 10 * n), 1000 + 100 * n as u64)).collect();
    assert_eq!(valid(&points), 500.0, "what was counted before the first point is not of its slot");
    points.push(point("cumulative", at(10, 0, 55), at(10, 1, 0), 70));
    points.push(point("cumulative", at(10, 0, 55), at(10, 1, 10), 90));
    assert_eq!(valid(&points), 590.0);
    points.reverse();
    assert_eq!(valid(&points), 590.0);
}

#[test]
fn requests_of_a_minute_are_spread_over_its_slots() {
    let points: Vec<_> = (0..10).map(|n| point("delta", at(10, n, 0), at(10, n + 1, 0), 600)).collect();
    let mut weir = Weir::new("{}");
    weir.process(metrics(&points));
    weir.advance(at(10, 10, 0));
    let hour = weir.rows("kpi_hourly")[0];
    assert_eq!((number(hour, "valid"), number(hour, "up_s"), number(hour, "unknown_s")), (6000.0, 600.0, 0.0));
}

#[test]
fn requests_counted_over_a_gap_are_counted_where_it_ends_and_the_gap_stays_unknown() {
    let time = |n: i64| at(10, 0, 10 * n);
    let mut points: Vec<_> = (1..31).map(|n| point("cumulative", time(0), time(n), 100 * n as u64)).collect();
    points.extend((61..91).map(|n| point("cumulative", time(0), time(n), 100 * n as u64)));
    let mut weir = Weir::new("{}");
    weir.process(metrics(&points));
    weir.advance(at(10, 15, 0));
    let hour = weir.rows("kpi_hourly")[0];
    assert_eq!((number(hour, "valid"), number(hour, "unknown_s")), (9000.0, 300.0));
}

#[test]
fn a_service_that_sends_both_http_conventions_is_counted_once() {
    let mut points: Vec<_> = (0..10).map(|n| point("delta", at(10, n, 0), at(10, n + 1, 0), 600)).collect();
    let old = points.iter().map(|point| Point { name: "http.server.duration", ..point.clone() });
    points.extend(old.collect::<Vec<_>>());
    assert_eq!(valid(&points), 6000.0);
    points.retain(|point| point.name == "http.server.duration");
    assert_eq!(valid(&points), 6000.0);
}

/// Points of a gauge: name, time, value, class of status.
fn gauges(points: &[(&'static str, i64, i64, Option<&'static str>)]) -> TestBatch {
    TestBatch::metrics()
        .column("time", points.iter().map(|point| Timestamp(point.1)))
        .column("value_int", points.iter().map(|point| point.2))
        .column("value_double", points.iter().map(|_| None::<f64>))
        .column("attributes", points.iter().map(|point| format!("{{\"http.status_class\":\"{:?}\"}}", point.3)))
        .attribute("http.status_class", points.iter().map(|point| point.3))
        .dictionary("name", points.iter().map(|point| point.0))
        .dictionary("kind", points.iter().map(|_| "gauge"))
        .dictionary("service_instance_id", points.iter().map(|_| "1"))
        .dictionary("service_name", points.iter().map(|_| "shop"))
        .dictionary("service_namespace", points.iter().map(|_| None::<&str>))
        .dictionary("environment", points.iter().map(|_| "production"))
}

fn probed(points: &[(&'static str, i64, i64, Option<&'static str>)]) -> Value {
    let mut weir = Weir::new("{}");
    weir.process(gauges(points));
    weir.process(gauges(points));
    weir.advance(at(10, 10, 0));
    weir.rows("kpi_hourly")[0].clone()
}

#[test]
fn a_service_without_traffic_is_up_while_its_target_is() {
    let points: Vec<_> = (0..60).map(|n| ("up", at(10, 0, 10 * n), i64::from(n < 40), None)).collect();
    let hour = probed(&points);
    assert_eq!((number(&hour, "up_s"), number(&hour, "down_s")), (400.0, 200.0));
}

#[test]
fn a_check_fails_when_no_class_but_5xx_was_answered() {
    const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
    let answers = [Some("2xx"), Some("3xx"), Some("5xx"), None];
    let points: Vec<_> = (0..60)
        .flat_map(|n| {
            let answer = answers[n / 15];
            CLASSES.map(|class| {
                ("httpcheck.status", at(10, 0, 10 * n as i64), i64::from(answer == Some(class)), Some(class))
            })
        })
        .collect();
    let hour = probed(&points);
    assert_eq!((number(&hour, "up_s"), number(&hour, "down_s")), (300.0, 300.0));
}

#[test]
fn maintenance_declared_beyond_the_horizon_leaves_what_was_found_before() {
    let mut weir = Weir::new("{}");
    weir.process(spans(&good("shop")));
    weir.advance(at(10, 10, 0));
    let before = weir.rows("kpi_hourly")[0].clone();
    weir.advance(at(10 + 40, 0, 0));
    weir.process(logs(&[maintenance(at(10, 0, 0), "shop", at(10, 2, 0), at(10, 4, 0))]));
    weir.advance(at(10 + 40, 1, 0));
    let after = weir.rows("kpi_hourly")[0];
    assert_eq!((number(after, "up_s"), number(after, "valid")), (number(&before, "up_s"), number(&before, "valid")));
}

#[test]
fn ids_that_take_too_much_room_go_oldest_first_and_their_slots_are_closed() {
    let mut weir = Weir::new(r#"{ "dedup_bytes_max": 65536 }"#);
    let all: Vec<Span> = (0..12_000)
        .map(|number| Span::new("shop", at(10, 0, 0) + number * SECOND / 20, number as u64, false))
        .collect();
    weir.process(spans(&all));
    weir.advance(at(10, 10, 0));
    weir.process(spans(&all));
    weir.advance(at(10, 11, 0));
    let hour = weir.rows("kpi_hourly")[0];
    assert_eq!(number(hour, "valid"), 12_000.0);
    assert!(weir.counters["rows_too_late"] > 3000, "{:?}", weir.counters);
    assert_eq!(weir.counters["rows_too_late"] + weir.counters["spans_duplicated"], 12_000);
}

#[test]
fn work_that_is_left_over_is_done_by_the_next_calls() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut weir = Weir::new(r#"{ "work_max": 1000 }"#);
    weir.process(spans(&names.map(good).concat()));
    weir.advance(at(10, 10, 0));
    let first = weir.rows("kpi_hourly").len();
    (1..8).for_each(|second| _ = weir.advance(at(10, 10, second)));
    assert!((1..8).contains(&first), "{first}");
    assert_eq!(weir.rows("kpi_hourly").len(), 8);
}
