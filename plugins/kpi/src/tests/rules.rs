//! Rules of single numbers, as a reader of the tables sees them.

use super::*;

/// An incident that began at ten o'clock, and what was told of it: (minutes later, step).
fn incident(id: &str, steps: &[(i64, &'static str)]) -> Vec<Told> {
    let start = ("itops.incident.impact_start_time", at(10, 0, 0).to_string());
    let told = |(minutes, step): &(i64, &'static str)| {
        (at(10, *minutes, 0), "shop", *step, vec![("itops.incident.id", id.to_owned()), start.clone()])
    };
    steps.iter().map(told).collect()
}

const DETECTED: &str = "itops.incident.detected";
const ACKNOWLEDGED: &str = "itops.incident.acknowledged";
const RESOLVED: &str = "itops.incident.resolved";

fn after(config: &str, told: &[Told]) -> Weir {
    let mut weir = Weir::new(config);
    weir.process(logs(told));
    weir.advance(at(23, 0, 0));
    weir
}

fn day(config: &str, told: &[Told]) -> Value {
    after(config, told).rows("kpi_daily")[0].clone()
}

/// Two requests a second from ten to eleven o'clock, of which some are left out and others fail.
fn hour(config: &str, silent: std::ops::Range<i64>, failing: impl Fn(i64) -> bool) -> Value {
    let all: Vec<Span> = (0..7200)
        .filter(|number| !silent.contains(&(number / 2)))
        .map(|number| Span::new("shop", at(10, 0, 0) + number * SECOND / 2, number as u64, failing(number)))
        .collect();
    let mut weir = Weir::new(config);
    weir.process(spans(&all));
    weir.advance(at(11, 0, 0));
    weir.rows("kpi_hourly")[0].clone()
}

#[test]
fn below_five_resolved_incidents_a_mean_has_low_confidence() {
    let of = |count: usize| {
        let told: Vec<Told> =
            (0..count).flat_map(|number| incident(&format!("inc-{number}"), &[(1, DETECTED), (9, RESOLVED)])).collect();
        day("{}", &told)
    };
    assert_eq!(
        [of(4), of(5)].map(|day| (number(&day, "ttr_n"), day["low_confidence"] == true)),
        [(4.0, true), (5.0, false)]
    );
}

#[test]
fn a_mean_of_fewer_than_five_has_low_confidence_though_the_others_have_more() {
    let steps: &[(i64, &str)] = &[(1, DETECTED), (9, RESOLVED)];
    let mut told: Vec<Told> = (0..4).flat_map(|number| incident(&format!("inc-{number}"), steps)).collect();
    told.extend(incident("inc-4", &[(1, DETECTED), (4, ACKNOWLEDGED), (9, RESOLVED)]));
    let day = day("{}", &told);
    assert_eq!(["ttr_n", "ttd_n", "tta_n"].map(|column| number(&day, column)), [5.0, 5.0, 1.0]);
    assert_eq!(day["low_confidence"], true, "one was acknowledged");
}

#[test]
fn without_an_incident_there_is_no_mean_and_low_confidence() {
    let hour = hour("{}", 0..0, |_| false);
    assert_eq!(
        (&hour["mttr_s"], number(&hour, "ttr_n"), &hour["low_confidence"]),
        (&Value::Null, 0.0, &Value::Bool(true))
    );
}

#[test]
fn incidents_that_overlap_are_each_in_the_means_and_downtime_is_their_union() {
    // All requests fail for twenty minutes; two incidents are told of within them.
    let mut weir = Weir::new("{}");
    let all = (0..14_400).map(|number| {
        let time = at(10, 0, 0) + number * SECOND / 2;
        Span::new("shop", time, number as u64, time < at(10, 20, 0))
    });
    weir.process(spans(&all.collect::<Vec<_>>()));
    let mut told = incident("a", &[(1, DETECTED), (20, RESOLVED)]);
    told.extend(incident("b", &[(1, DETECTED), (10, RESOLVED)]));
    weir.process(logs(&told));
    weir.advance(at(12, 0, 0));
    let day = weir.rows("kpi_daily")[0];
    let values = ["incidents", "ttr_sum_s", "mttr_s", "down_s"].map(|column| number(day, column));
    assert_eq!(values, [2.0, 1800.0, 900.0, 1200.0]);
}

#[test]
fn planned_maintenance_is_in_no_sum_and_the_raw_twin_keeps_it() {
    // An hour of which the second half is planned, and of that half ten minutes fail.
    let mut weir = Weir::new("{}");
    weir.process(logs(&[maintenance(at(9, 0, 0), "shop", at(10, 30, 0), at(11, 0, 0))]));
    let all = (0..7200).map(|number| {
        let failing = (2400..3600).contains(&(number - 2400));
        Span::new("shop", at(10, 0, 0) + number * SECOND / 2, number as u64, failing)
    });
    weir.process(spans(&all.collect::<Vec<_>>()));
    weir.advance(at(11, 0, 0));
    let hour = weir.rows("kpi_hourly")[0];
    let columns = ["ast_s", "up_s", "down_s", "maintenance_s", "valid", "bad", "availability_time", "availability_req"];
    assert_eq!(columns.map(|column| number(hour, column)), [1800.0, 1800.0, 0.0, 1800.0, 3600.0, 0.0, 1.0, 1.0]);
    assert!((number(hour, "availability_raw") - 3000.0 / 3600.0).abs() < 1e-12);
}

#[test]
fn a_deployment_that_failed_in_three_ways_counts_once() {
    let change = |step, minute, more: &[(&'static str, &str)]| {
        let id = ("itops.change.id", "chg-1".to_owned());
        let more = more.iter().map(|(key, value)| (*key, (*value).to_owned()));
        (at(9, minute, 0), "shop", step, std::iter::once(id).chain(more).collect::<Vec<_>>())
    };
    let mut told = vec![
        change("itops.deployment.finished", 0, &[("itops.change.result", "failure")]),
        change("itops.deployment.rolled_back", 30, &[]),
    ];
    for id in ["a", "b"] {
        let caused =
            incident(id, &[(1, DETECTED), (9, RESOLVED)]).into_iter().map(|(time, service, step, mut more)| {
                more.push(("itops.incident.cause_change_id", "chg-1".to_owned()));
                (time, service, step, more)
            });
        told.extend(caused);
    }
    let day = day("{}", &told);
    assert_eq!(["changes", "changes_failed", "incidents"].map(|column| number(&day, column)), [1.0, 1.0, 2.0]);
}

#[test]
fn an_event_that_comes_a_day_late_restates_the_rows_of_its_day() {
    let mut weir = after("{}", &incident("a", &[(1, DETECTED)]));
    weir.advance(at(10, 30, 0) + DAY);
    let first = |weir: &Weir| weir.rows("kpi_daily")[0].clone();
    assert_eq!((number(&first(&weir), "ttr_n"), number(&first(&weir), "open_count")), (0.0, 1.0));
    weir.process(logs(&incident("a", &[(25, RESOLVED)])));
    weir.settle(at(10, 30, 0) + DAY);
    assert_eq!((number(&first(&weir), "ttr_n"), number(&first(&weir), "mttr_s")), (1.0, 1500.0));
    assert_eq!(number(&first(&weir), "open_count"), 0.0);
}

#[test]
fn points_of_one_time_are_two_where_resource_scope_or_attributes_differ() {
    let point = |instance, code| Point {
        service: "shop",
        name: "http.server.request.duration",
        instance,
        temporality: "delta",
        start: at(10, 0, 0),
        time: at(10, 0, 10),
        code,
        count: 100,
        error: None,
    };
    let valid = |batches: Vec<TestBatch>| {
        let mut weir = Weir::new("{}");
        batches.into_iter().for_each(|batch| _ = weir.process(batch));
        weir.advance(at(11, 0, 0));
        (number(weir.rows("kpi_hourly")[0], "valid"), weir.counters["points_duplicated"])
    };
    let one = || metrics(&[point("1", 200)]);
    assert_eq!(valid(vec![one(), one()]), (100.0, 1));
    assert_eq!(valid(vec![one(), metrics(&[point("2", 200)])]), (200.0, 0), "resource");
    assert_eq!(valid(vec![one(), metrics(&[point("1", 201)])]), (200.0, 0), "attributes");
    let scoped = one().dictionary("scope_name", ["other"]);
    assert_eq!(valid(vec![one(), scoped]), (200.0, 0), "scope");
    let earlier = metrics(&[Point { start: at(9, 59, 50), time: at(10, 0, 0), ..point("1", 200) }]);
    assert_eq!(valid(vec![metrics(&[Point { start: at(9, 59, 50), ..point("1", 200) }]), earlier]).1, 0, "time");
}

#[test]
fn the_median_that_counts_open_incidents_stands_beside_the_plain_one() {
    let mut told = Vec::new();
    for (id, minutes) in [("a", 10), ("b", 20), ("c", 30)] {
        told.extend(incident(id, &[(1, DETECTED), (minutes, RESOLVED)]));
    }
    let without = day("{}", &told);
    assert_eq!((number(&without, "ttr_p50_s"), number(&without, "ttr_km_p50_s")), (1200.0, 1200.0));
    told.extend(["d", "e"].iter().flat_map(|id| incident(id, &[(1, DETECTED)])));
    let with = day("{}", &told);
    // Of five, 600 s leave four fifths, 1200 s three, 1800 s two.
    assert_eq!((number(&with, "ttr_p50_s"), number(&with, "ttr_km_p50_s")), (1200.0, 1800.0));
    assert_eq!((number(&with, "open_count"), number(&with, "open_oldest_s")), (2.0, 13.0 * 3600.0));
}

#[test]
fn the_share_that_was_acknowledged_stands_beside_the_mean_of_those_that_were() {
    let mut told = incident("a", &[(1, DETECTED), (4, ACKNOWLEDGED), (9, RESOLVED)]);
    told.extend(incident("b", &[(1, DETECTED), (9, RESOLVED)]));
    let day = day("{}", &told);
    assert_eq!(["ack_rate", "mtta_s", "tta_n"].map(|column| number(&day, column)), [0.5, 180.0, 1.0]);
}

#[test]
fn what_ends_on_the_hour_is_of_the_hour_that_begins() {
    let weir = after("{}", &incident("a", &[(1, DETECTED), (60, RESOLVED)]));
    let hours = weir.rows("kpi_hourly");
    let found: Vec<_> = hours.iter().map(|row| (number(row, "window_start") as i64, number(row, "ttr_n"))).collect();
    assert_eq!(found[..2], [(at(10, 0, 0), 0.0), (at(11, 0, 0), 1.0)]);
}

#[test]
fn the_cost_of_an_incident_is_split_between_the_hours_of_its_impact() {
    let config = r#"{ "cost_per_minute": { "shop": { "*": 2 } } }"#;
    let weir = after(config, &incident("a", &[(1, DETECTED), (90, RESOLVED)]));
    let costs: Vec<_> = weir.rows("kpi_hourly")[..2].iter().map(|row| number(row, "cost")).collect();
    assert_eq!(costs, [120.0, 60.0]);
    assert_eq!(number(weir.rows("kpi_daily")[0], "cost"), 180.0);
    assert_eq!(number(weir.rows("incidents")[0], "cost"), 180.0);
    let other =
        day(r#"{ "cost_per_minute": { "cart": { "*": 2 } } }"#, &incident("a", &[(1, DETECTED), (90, RESOLVED)]));
    assert!(other["cost"].is_null(), "nobody said what a minute of it costs");
}

#[test]
fn below_a_coverage_of_nine_tenths_a_window_is_flagged() {
    // Silence is unknown from its first slot to its last.
    let of = |seconds: i64| hour("{}", 600..600 + seconds, |_| false);
    let flags = [360, 370].map(of).map(|hour| (number(&hour, "unknown_s"), hour["low_coverage"] == true));
    assert_eq!(flags, [(360.0, false), (370.0, true)]);
    let hour = of(360);
    assert_eq!(
        ["availability_time", "availability_low", "availability_high", "coverage"].map(|column| number(&hour, column)),
        [1.0, 0.9, 1.0, 0.9]
    );
}

#[test]
fn without_a_failure_the_time_between_failures_is_null_and_the_exposure_stands() {
    let hour = hour("{}", 0..0, |_| false);
    assert!(hour["mtbf_s"].is_null());
    assert_eq!((number(&hour, "incidents"), number(&hour, "up_s")), (0.0, 3600.0));
}

#[test]
fn degraded_time_is_up_and_down_where_that_is_configured() {
    // A tenth fails for ten minutes.
    let failing = |number: i64| number % 10 == 0 && (1200..2400).contains(&number);
    let of = |config| {
        let hour = hour(config, 0..0, failing);
        ["up_s", "down_s", "degraded_s"].map(|column| number(&hour, column))
    };
    assert_eq!(of("{}"), [3600.0, 0.0, 600.0]);
    assert_eq!(of(r#"{ "degraded_is_down": true }"#), [3000.0, 600.0, 600.0]);
}

#[test]
fn cancelled_and_skipped_deployments_are_on_neither_side_of_the_success_rate() {
    let results = ["success", "failure", "cancellation", "skip", "timeout", "success"];
    let told: Vec<Told> = results
        .iter()
        .enumerate()
        .map(|(number, result)| {
            let attributes =
                vec![("itops.change.id", format!("chg-{number}")), ("itops.change.result", (*result).to_owned())];
            (at(10, number as i64, 0), "shop", "itops.deployment.finished", attributes)
        })
        .collect();
    let day = day("{}", &told);
    let values = ["changes", "changes_failed", "change_success_rate"].map(|column| number(&day, column));
    assert_eq!(values, [4.0, 2.0, 0.5]);
}

#[test]
fn noise_is_what_alerts_are_more_than_their_groups() {
    // Three within a quarter of an hour of each other, and one an hour later.
    let told: Vec<Told> = [0, 5, 10, 70]
        .iter()
        .flat_map(|minutes| {
            let attributes =
                vec![("itops.alert.id", format!("a-{minutes}")), ("itops.alert.fingerprint", "errors".to_owned())];
            [(0, "itops.alert.fired"), (1, "itops.alert.resolved")]
                .map(|(later, step)| (at(10, minutes + later, 0), "shop", step, attributes.clone()))
        })
        .collect();
    let weir = after("{}", &told);
    let alerts = weir.rows("alerts");
    let groups: std::collections::BTreeSet<String> = alerts.iter().map(|row| row["group_id"].to_string()).collect();
    assert_eq!((alerts.len(), groups.len()), (4, 2));
}

#[test]
fn of_rpcs_those_fail_that_are_the_servers_fault() {
    let codes: Vec<i64> = (0..=16).collect();
    let points: Vec<Point> = codes
        .iter()
        .map(|code| Point {
            service: "shop",
            name: "rpc.server.duration",
            instance: "1",
            temporality: "delta",
            start: at(10, *code, 0),
            time: at(10, code + 1, 0),
            code: 0,
            count: 100,
            error: None,
        })
        .collect();
    let failed = |with_error: bool| {
        let batch = metrics(&points)
            .column("attributes", codes.iter().map(|code| format!("{{\"rpc.grpc.status_code\":{code}}}")))
            .attribute("http.response.status_code", codes.iter().map(|_| None::<i64>))
            .attribute("rpc.grpc.status_code", codes.iter().map(|code| (!with_error).then_some(*code)))
            .attribute(
                "error.type",
                codes.iter().map(|code| with_error.then_some(if *code == 7 { "timeout" } else { "" })),
            );
        let mut weir = Weir::new("{}");
        weir.process(batch);
        weir.advance(at(10, 30, 0));
        let hour = weir.rows("kpi_hourly")[0];
        (number(hour, "valid"), number(hour, "bad"))
    };
    // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS.
    assert_eq!(failed(false), (1700.0, 600.0));
    assert_eq!(failed(true), (1700.0, 100.0), "without a code an error type says it");
}
