//! What incidents are of: the error type of the requests that failed, and the fingerprint that is made of it.

use super::*;

/// A minute and a half in which all of two requests a second fail, as spans, each of one of the types in turn.
fn outage(hour: i64, types: &[Option<&'static str>]) -> Vec<Span> {
    let error = |number: usize| if types.is_empty() { None } else { types[number % types.len()] };
    let id = |number: usize| (hour as u64) << 32 | number as u64;
    (0..1400)
        .map(|number| {
            let fails = (180..360).contains(&number);
            let time = at(hour, 0, 0) + number as i64 * SECOND / 2;
            Span { error: error(number).filter(|_| fails), ..Span::new("shop", time, id(number), fails) }
        })
        .collect()
}

fn incidents(weir: &Weir) -> Vec<Value> {
    let mut found: Vec<Value> = weir.rows("incidents").into_iter().cloned().collect();
    found.sort_by_key(|row| row["opened_at"].as_i64());
    found
}

fn after(batches: &[Vec<Span>]) -> Vec<Value> {
    let mut weir = Weir::new("{}");
    batches.iter().for_each(|batch| _ = weir.process(spans(batch)));
    weir.advance(at(23, 0, 0));
    incidents(&weir)
}

#[test]
fn incidents_recur_where_service_environment_symptom_and_error_type_match() {
    let found = after(&[
        outage(1, &[Some("timeout")]),
        outage(2, &[Some("503")]),
        outage(3, &[Some("timeout")]),
        outage(4, &[]),
        outage(5, &[]),
        outage(6, &[Some("503")]),
    ]);
    let id = |index: usize| found[index]["incident_id"].clone();
    let types: Vec<_> = found.iter().map(|row| row["error_type"].as_str()).collect();
    assert_eq!(types, [Some("timeout"), Some("503"), Some("timeout"), None, None, Some("503")]);
    let recurrences: Vec<_> = found.iter().map(|row| row["recurrence_of"].clone()).collect();
    assert_eq!(recurrences, [Value::Null, Value::Null, id(0), Value::Null, id(3), id(1)]);
    assert_eq!(found[0]["fingerprint"], found[2]["fingerprint"]);
    let distinct: std::collections::BTreeSet<String> = found.iter().map(|row| row["fingerprint"].to_string()).collect();
    assert_eq!(distinct.len(), 3);
}

#[test]
fn an_incident_is_of_the_type_most_failed_of_and_of_equals_the_first_in_the_alphabet() {
    let of = |types: &[Option<&'static str>]| after(&[outage(1, types)])[0]["error_type"].clone();
    assert_eq!(of(&[Some("a"), Some("b"), Some("b")]), "b");
    assert_eq!(of(&[Some("b"), Some("a")]), "a");
    assert_eq!(of(&[None, None, Some("c")]), "c", "what is not told is no type");
    assert_eq!(of(&[Some("")]), Value::Null);
}

#[test]
fn the_type_is_that_of_the_source_that_is_the_truth() {
    let mut weir = Weir::new("{}");
    weir.process(spans(&outage(1, &[Some("of_spans")])));
    let points: Vec<Point> = (0..70)
        .map(|slot| Point {
            service: "shop",
            name: "http.server.request.duration",
            instance: "1",
            temporality: "delta",
            start: at(1, 0, slot * 10),
            time: at(1, 0, slot * 10 + 10),
            code: if (9..18).contains(&slot) { 503 } else { 200 },
            count: 20,
            error: (9..18).contains(&slot).then_some("of_metrics"),
        })
        .collect();
    weir.process(metrics(&points));
    weir.advance(at(23, 0, 0));
    assert_eq!(incidents(&weir)[0]["error_type"], "of_metrics");
}

#[test]
fn stray_failures_among_slow_requests_do_not_name_an_incident() {
    // For ten minutes all are slow; one in a hundred fails.
    let all: Vec<Span> = (0..24_000)
        .map(|number| {
            let slow = (4000..16_000).contains(&number);
            let error = (slow && number % 100 == 0).then_some("500");
            let span = Span::new("shop", at(1, 0, 0) + number as i64 * SECOND / 20, number, error.is_some());
            Span { duration: if slow { SECOND } else { SECOND / 100 }, error, ..span }
        })
        .collect();
    let mut weir = Weir::new(r#"{ "latency_ms": { "*": 500 } }"#);
    weir.process(spans(&all));
    weir.advance(at(23, 0, 0));
    let found = incidents(&weir);
    assert_eq!((found.len(), &found[0]["kind"], &found[0]["error_type"]), (1, &Value::from("degraded"), &Value::Null));
}

#[test]
fn a_late_request_can_change_the_type_and_a_restart_does_not() {
    let mut weir = Weir::new("{}");
    let (soon, late): (Vec<Span>, Vec<Span>) = outage(1, &[Some("503"), Some("timeout"), Some("timeout")])
        .into_iter()
        .partition(|span| span.error != Some("timeout"));
    weir.process(spans(&soon));
    weir.advance(at(1, 30, 0));
    // Twenty of a hundred and eighty requests a slot are left, of which all fail in the outage: it is found already.
    assert_eq!(incidents(&weir)[0]["error_type"], "503");
    let before = incidents(&weir)[0]["fingerprint"].clone();
    weir.restart();
    weir.process(spans(&late));
    weir.process(spans(&late));
    weir.settle(at(1, 30, 0));
    assert_eq!(incidents(&weir)[0]["error_type"], "timeout");
    assert_ne!(incidents(&weir)[0]["fingerprint"], before);
    assert_eq!(weir.rows("incidents").len(), 1);
}

#[test]
fn an_incident_keeps_its_type_when_its_slots_are_forgotten() {
    let mut weir = Weir::new("{}");
    weir.process(spans(&outage(1, &[Some("timeout")])));
    weir.advance(at(2, 0, 0));
    let before = incidents(&weir);
    for day in 1..5 {
        let later = Span::new("shop", at(1, 0, 0) + day * DAY, 1 << 50 | day as u64, false);
        weir.process(spans(&[later]));
        weir.advance(at(2, 0, 0) + day * DAY);
        weir.restart();
    }
    // All windows are worked out again.
    weir.process(logs(&[maintenance(at(3, 0, 0) + 4 * DAY, "shop", at(5, 0, 0), at(6, 0, 0))]));
    weir.settle(at(2, 0, 0) + 4 * DAY);
    assert_eq!(incidents(&weir), before);
}

#[test]
fn of_more_types_than_are_counted_the_same_ones_are_left_out_in_any_order() {
    const TYPES: usize = 40;
    let names: Vec<&'static str> = (0..TYPES).map(|number| &*format!("type-{number}").leak()).collect();
    let rows = outage(1, &names.iter().map(|name| Some(*name)).collect::<Vec<_>>());
    let tables = |seed: u64| {
        let mut rows = rows.clone();
        Random(seed).shuffle(&mut rows);
        let mut weir = Weir::new("{}");
        rows.chunks(70).for_each(|batch| _ = weir.process(spans(batch)));
        weir.advance(at(2, 0, 0));
        assert!(weir.counters["error_types_left_out"] > 0);
        weir.all()
    };
    let one = tables(1);
    assert!(one.iter().any(|row| row.contains("\"error_type\":\"type-")), "{one:?}");
    assert!((2..6).all(|seed| tables(seed) == one));
}

#[test]
fn a_long_type_is_cut_where_a_character_ends() {
    let long: &'static str = "é".repeat(100).leak();
    let mut weir = Weir::new("{}");
    weir.process(spans(&outage(1, &[Some(long)])));
    weir.advance(at(2, 0, 0));
    assert_eq!(incidents(&weir)[0]["error_type"], "é".repeat(64));
    assert!(weir.counters["error_types_cut"] > 0);
}
