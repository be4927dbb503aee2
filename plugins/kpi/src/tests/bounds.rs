//! What a call may cost, and that what it leaves over is done by the next ones.

use super::*;

/// Services of that many, by names that live as long as the tests.
fn names(number: usize) -> Vec<&'static str> {
    (0..number).map(|number| &*format!("service-{number:03}").leak()).collect()
}

/// Ten good requests of each service in each of so many slots from ten o'clock on.
fn good(names: &[&'static str], slots: std::ops::Range<i64>) -> Vec<Span> {
    let of = |slot: i64, name: &'static str| {
        (0..10).map(move |second| {
            let time = at(10, 0, 0) + (slot * 10 + second) * SECOND;
            Span::new(name, time, crate::codec::mix_text((slot * 10 + second) as u64, name), false)
        })
    };
    slots.flat_map(|slot| names.iter().flat_map(move |name| of(slot, name))).collect()
}

#[test]
fn the_first_evaluation_of_a_service_looks_back_no_further_than_there_is_something() {
    let names = names(100);
    let mut weir = Weir::new(r#"{ "work_max": 20000 }"#);
    weir.process(spans(&good(&names, 0..6)));
    // Seven hours before would be 5,000 slots of each service: 25 calls.
    let calls = weir.settle(at(10, 2, 0));
    assert!(calls <= 5, "{calls} calls");
    assert_eq!(weir.rows("slo").len(), 100);
}

#[test]
fn late_rows_before_all_that_was_known_are_looked_at() {
    let early: Vec<Span> =
        (0..600).map(|second| Span::new("shop", at(7, 0, second), second as u64, second % 2 == 0)).collect();
    let now = good(&["shop"], 0..60);
    let tables = |late: bool| {
        let mut weir = Weir::new("{}");
        let (first, last) = if late { (&now, &early) } else { (&early, &now) };
        weir.process(spans(first));
        if late {
            weir.settle(at(10, 10, 0));
            weir.restart();
        }
        weir.process(spans(last));
        weir.settle(at(10, 10, 0));
        weir.settle(at(11, 0, 0));
        weir.all()
    };
    assert!(tables(false).iter().any(|row| row.starts_with("slo") && row.contains("\"page\":true")));
    assert_eq!(tables(true), tables(false));
}

/// Services that are always on fall silent one after the other, so that it changes how many are silent at once.
fn silences(config: &str) -> (Vec<String>, usize, usize) {
    let names = names(40);
    let mut weir = Weir::new(config);
    let (mut calls, mut rows) = (0, 0);
    for minute in 0..30 {
        // From the fifth minute on there are two less in each.
        let left = 40 - 2 * (minute - 5).clamp(0, 15) as usize;
        weir.process(spans(&good(&names[..left], minute * 6..minute * 6 + 6)));
        loop {
            let tested = weir.advance(at(10, minute + 1, 0));
            calls += 1;
            rows = rows.max(tested.emitted("availability").len());
            if !tested.again() {
                break;
            }
            // Half of what is to be done is done after a restart.
            weir.restart();
        }
    }
    (weir.all(), calls, rows)
}

#[test]
fn silences_that_turn_out_to_be_outages_are_told_in_turns() {
    let (at_once, few, most) = silences(r#"{ "always_on": ["*"] }"#);
    let (in_turns, many, fewer) = silences(r#"{ "always_on": ["*"], "work_max": 1000 }"#);
    assert!(at_once.iter().any(|row| row.contains("silence")), "there are outages");
    assert_eq!(in_turns, at_once);
    assert!(many > few && fewer < most, "{many} calls, {few} at once; {fewer} rows, {most} at once");
    assert!(fewer <= 10, "{fewer} rows in a call");
}

#[test]
fn what_calls_have_changed_is_there_after_a_restart_at_any_point() {
    for seed in 1..=4 {
        let mut random = Random(seed);
        let mut all = good(&names(20), 0..40);
        let mut whole = Weir::new("{}");
        whole.process(spans(&all));
        whole.settle(at(11, 0, 0));
        random.shuffle(&mut all);
        let mut weir = Weir::new("{}");
        for (number, batch) in all.chunks(60).enumerate() {
            weir.process(spans(batch));
            match random.below(8) {
                0 => weir.restart(),
                1 => _ = weir.process(spans(batch)),
                2 if number > 60 => _ = weir.settle(at(10, 8, 0)),
                _ => {}
            }
        }
        weir.settle(at(11, 0, 0));
        assert_eq!(weir.all(), whole.all(), "seed {seed}");
        assert!(weir.counters["spans_duplicated"] > 0);
    }
}

#[test]
fn data_points_beyond_their_limit_are_forgotten_and_what_comes_counts_as_if_they_were_there() {
    let point = |instance: &'static str, number: i64| Point {
        service: "shop",
        name: "http.server.request.duration",
        instance,
        temporality: "cumulative",
        start: at(9, 59, 50),
        time: at(10, 0, number * 10),
        code: 200,
        count: 7 * (number + 1) as u64,
        error: None,
    };
    let instances = names(100);
    let tables = |config: &str| {
        let mut weir = Weir::new(config);
        for number in 0..360 {
            let points: Vec<Point> = instances.iter().map(|instance| point(instance, number)).collect();
            weir.process(metrics(&points));
            weir.advance(at(10, 0, number * 10 - 300));
        }
        weir.settle(at(10, 59, 0));
        let tested = weir.advance(at(11, 0, 0));
        let kept: usize = tested.state().iter().map(|(key, value)| key.len() + value.len()).sum();
        (weir.all(), kept)
    };
    let (all, whole) = tables("{}");
    let (little, part) = tables(r#"{ "points_bytes_max": 65536 }"#);
    assert_eq!(little, all);
    assert!(part + 150_000 < whole, "{part} and {whole} bytes");
}
