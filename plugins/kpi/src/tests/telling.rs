//! What events say, in the tables.

use super::*;

fn incident(time: i64, name: &'static str, id: &str, more: &[(&'static str, String)]) -> Told {
    let mut attributes = vec![("itops.incident.id", id.to_owned())];
    attributes.extend(more.iter().cloned());
    (time, "shop", name, attributes)
}

fn text(value: &str) -> String {
    value.to_owned()
}

fn life(id: &str) -> Vec<Told> {
    let severity = ("itops.incident.severity", text("sev1"));
    let start = ("itops.incident.impact_start_time", at(10, 0, 0).to_string());
    vec![
        incident(at(10, 3, 0), "itops.incident.detected", id, &[severity, start]),
        incident(at(10, 6, 0), "incident.acknowledged", id, &[]),
        incident(at(10, 20, 0), "itops.incident.mitigated", id, &[]),
        incident(at(10, 26, 0), "itops.incident.resolved", id, &[]),
    ]
}

fn after(told: &[Told]) -> Weir {
    let mut weir = Weir::new("{}");
    weir.process(logs(told));
    weir.advance(at(23, 0, 0));
    weir
}

#[test]
fn an_incident_that_was_told_has_its_durations_and_is_in_the_means() {
    let weir = after(&life("inc-1"));
    let row = weir.rows("incidents")[0];
    let durations = ["ttd_s", "tta_s", "ttm_s", "ttr_s"].map(|column| number(row, column));
    assert_eq!(durations, [180.0, 180.0, 1200.0, 1560.0]);
    let day = weir.rows("kpi_daily")[0];
    let means = ["mttd_s", "mtta_s", "mttm_s", "mttr_s", "ack_rate"].map(|column| number(day, column));
    assert_eq!(means, [180.0, 180.0, 1200.0, 1560.0, 1.0]);
    assert_eq!((day["low_confidence"].as_bool(), day["availability_time"].is_null()), (Some(true), true));
}

#[test]
fn where_an_incident_began_is_what_was_told_last_or_unknown() {
    let root = |name: &str| vec![("itops.incident.root_service", text(name))];
    let mut told = life("inc-1");
    told.push(incident(at(10, 30, 0), "itops.incident.updated", "inc-1", &root("db")));
    told.push(incident(at(10, 25, 0), "itops.incident.updated", "inc-1", &root("cache")));
    assert_eq!(after(&told).rows("incidents")[0]["root_service"], "db");
    assert!(after(&life("inc-1")).rows("incidents")[0]["root_service"].is_null());
}

#[test]
fn events_in_any_order_and_twice_end_in_the_same_tables() {
    let told = life("inc-1");
    let ordered = after(&told).all();
    for seed in 0..5 {
        let mut all = [told.clone(), told.clone()].concat();
        Random(seed).shuffle(&mut all);
        let mut weir = Weir::new("{}");
        for one in &all {
            weir.process(logs(std::slice::from_ref(one)));
            weir.advance(at(22, 0, 0) + seed as i64);
            weir.restart();
        }
        weir.advance(at(23, 0, 0));
        assert_eq!(weir.all(), ordered, "seed {seed}");
    }
}

#[test]
fn an_open_incident_is_in_no_mean_but_counted_with_its_age() {
    let weir = after(&life("inc-1")[..1]);
    let day = weir.rows("kpi_daily")[0];
    assert!(day["mttd_s"].is_null() && day["mttr_s"].is_null());
    assert_eq!((number(day, "open_count"), number(day, "open_oldest_s")), (1.0, 13.0 * 3600.0));
}

#[test]
fn the_means_of_an_hour_are_those_of_what_ended_in_it() {
    let mut told = life("inc-1");
    told[3].0 = at(12, 0, 0);
    let weir = after(&told);
    let hour = |start: i64| weir.rows("kpi_hourly").into_iter().find(|row| row["window_start"] == start).cloned();
    let (ten, twelve) = (hour(at(10, 0, 0)).expect("a row"), hour(at(12, 0, 0)).expect("a row"));
    assert_eq!((number(&ten, "ttd_n"), number(&ten, "ttr_n"), number(&ten, "open_count")), (1.0, 0.0, 0.0));
    assert_eq!((number(&twelve, "ttr_n"), number(&twelve, "mttr_s")), (1.0, 7200.0));
}

#[test]
fn a_deployment_that_an_incident_names_has_failed_and_recovers_with_it() {
    let change = |time, name, more: &[(&'static str, String)]| {
        let mut attributes = vec![("itops.change.id", text("chg-1"))];
        attributes.extend(more.iter().cloned());
        (time, "shop", name, attributes)
    };
    let mut told = life("inc-1");
    told[0].3.push(("itops.incident.cause_change_id", text("chg-1")));
    let committed = ("itops.change.committed_at", at(8, 0, 0).to_string());
    told.push(change(at(9, 50, 0), "itops.deployment.started", &[committed]));
    told.push(change(at(9, 55, 0), "itops.deployment.finished", &[("itops.change.result", text("success"))]));
    for seed in 0..4 {
        Random(seed).shuffle(&mut told);
        let weir = after(&told);
        let row = weir.rows("changes")[0];
        assert_eq!(row["failed"], true, "seed {seed}");
        let day = weir.rows("kpi_daily")[0];
        let values = ["changes", "changes_failed", "change_success_rate", "fdrt_s", "lead_time_p50_s"];
        assert_eq!(values.map(|column| number(day, column)), [1.0, 1.0, 0.0, 1500.0, 6900.0]);
    }
}

#[test]
fn maintenance_that_is_declared_after_the_fact_restates_the_windows_and_flags_them() {
    let request =
        |half: i64| Span::new("shop", at(10, 0, 0) + half * SECOND / 2, half as u64, (1200..2400).contains(&half));
    let requests: Vec<Span> = (0..7200).map(request).collect();
    let mut weir = Weir::new("{}");
    weir.process(spans(&requests));
    weir.advance(at(11, 30, 0));
    assert_eq!(number(weir.rows("kpi_hourly")[0], "down_s"), 600.0);
    weir.process(logs(&[maintenance(at(11, 0, 0), "shop", at(10, 10, 0), at(10, 20, 0))]));
    weir.advance(at(11, 31, 0));
    let hour = weir.rows("kpi_hourly")[0];
    let values = ["ast_s", "down_s", "maintenance_s", "maintenance_down_s", "incidents", "availability_time"];
    assert_eq!(values.map(|column| number(hour, column)), [3000.0, 0.0, 600.0, 600.0, 0.0, 1.0]);
    assert_eq!(hour["quality_flags"], "maintenance_declared_late");
    assert!((number(hour, "availability_raw") - 3000.0 / 3600.0).abs() < 1e-12);
    assert_eq!(weir.rows("incidents")[0]["planned"], true);
}

#[test]
fn an_event_that_tells_of_a_time_long_ago_does_not_make_the_plugin_look_there() {
    let mut weir = Weir::new("{}");
    weir.process(spans(&[Span::new("shop", at(10, 0, 0), 1, false)]));
    weir.process(logs(&[maintenance(at(10, 0, 1), "shop", 1, 2 * SECOND)]));
    // Since 1970 there were 177 million slots: looking at them all would not end.
    weir.advance(at(11, 0, 0));
    assert_eq!(weir.rows("kpi_daily").len(), 1);
}

#[test]
fn a_malformed_event_is_counted_and_flagged_and_stops_nothing() {
    let mut told = life("inc-1");
    told.insert(0, (at(10, 0, 0), "shop", "itops.incident.detected", vec![("itops.incident.severity", text("sev1"))]));
    let mut weir = Weir::new("{}");
    let tested = weir.process(logs(&told));
    assert_eq!(weir.counters["events_malformed"], 1);
    assert!(tested.attribute("weir.kpi.malformed")[0].as_str().is_some_and(|why| why.contains("itops.incident.id")));
    assert!(tested.attribute("weir.kpi.malformed")[1].is_null());
    assert_eq!(tested.kept().len(), told.len());
    weir.advance(at(23, 0, 0));
    assert_eq!(weir.rows("incidents").len(), 1);
}

#[test]
fn an_incident_of_the_signals_that_is_told_of_later_goes_into_the_one_that_was_told() {
    let failing: Vec<Span> = (0..3600)
        .map(|second| Span::new("shop", at(9, 30, second), second as u64, (1800..3000).contains(&second)))
        .collect();
    let mut weir = Weir::new("{}");
    weir.process(spans(&failing));
    weir.advance(at(10, 30, 0));
    let id = weir.rows("incidents")[0]["incident_id"].clone();
    assert!(id.as_str().is_some_and(|id| id.starts_with("sig-")));
    weir.process(logs(&life("inc-1")));
    weir.advance(at(10, 30, 1));
    let rows = weir.rows("incidents");
    assert_eq!((rows.len(), rows[0]["incident_id"].as_str()), (1, Some("inc-1")));
    assert_eq!((rows[0]["detection_source"].as_str(), number(rows[0], "ttd_s")), (Some("signals"), 60.0));
    assert_eq!(number(weir.rows("kpi_daily")[0], "incidents"), 1.0);
}

#[test]
fn an_alert_belongs_to_the_incident_during_which_it_began() {
    let mut told = life("inc-1");
    let attributes = vec![("itops.alert.id", text("a-1")), ("itops.alert.fingerprint", text("errors"))];
    told.push((at(10, 2, 0), "shop", "itops.alert.fired", attributes));
    let weir = after(&told);
    assert_eq!(weir.rows("alerts")[0]["incident_id"], "inc-1");
}

#[test]
fn an_always_on_service_that_falls_silent_alone_is_down_and_with_many_is_unknown() {
    const NAMES: [&str; 4] = ["shop", "cart", "search", "pay"];
    let day = |silent: &[&str]| {
        let mut weir = Weir::new(r#"{ "always_on": ["shop"] }"#);
        for hour in 8..11 {
            let all: Vec<Span> = (0..3600)
                .flat_map(|second| {
                    NAMES.map(|name| Span::new(name, at(hour, 0, second), (second + hour * 3600) as u64, false))
                })
                .filter(|span| !(silent.contains(&span.service) && (at(9, 0, 0)..at(9, 20, 0)).contains(&span.time)))
                .collect();
            weir.process(spans(&all));
            weir.advance(at(hour, 59, 59));
        }
        let shop =
            weir.rows("kpi_daily").into_iter().find(|row| row["service_name"] == "shop").cloned().expect("a row");
        (number(&shop, "down_s"), number(&shop, "unknown_s"))
    };
    // A slot has ten requests: after silence the first says nothing.
    assert_eq!(day(&["shop"]), (1200.0, 20.0));
    assert_eq!(day(&["shop", "cart"]), (0.0, 1220.0));
}
