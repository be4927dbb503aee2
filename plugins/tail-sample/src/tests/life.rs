//! The life of a trace: held, decided, remembered, forgotten.

use super::*;
use crate::config::{By, Policy, Rule};
use crate::decided::Decided;
use crate::rows::Needs;
use crate::traces::{Trace, Waiting};
use crate::{Memory, ROWS_PER_CALL};

const ERRORS: &str = r#"{"policies": [{"error": true}]}"#;

fn failed(trace: u64, at: i64) -> Row {
    Row { error: true, ..span(trace, at) }
}

#[test]
fn without_policies_nothing_is_read_and_all_passes() {
    let mut running = Running::new("{}");
    let tested = running.spans(&[span(1, 0)]);
    assert_eq!(tested.kept(), [0]);
    assert!(tested.read().is_empty() && tested.state().is_empty());
}

#[test]
fn rows_without_a_trace_id_pass() {
    let mut running = Running::new(ERRORS);
    let tested = running.spans(&[Row { trace: None, ..span(0, 0) }, span(1, 0)]);
    assert_eq!((tested.kept(), tested.held()), (vec![0], vec![1]));
}

#[test]
fn a_trace_waits_from_its_first_span_to_the_end_of_the_second_in_which_it_is_due() {
    let mut running = Running::new(ERRORS);
    assert_eq!(running.spans(&[failed(1, 0), span(1, 1)]).held(), [0, 1]);
    assert_eq!(running.spans(&[span(1, 29_000)]).held(), [0]);
    running.until(30_999);
    assert!(running.out.is_empty(), "it is due at 30.001 s");
    let tested = running.until(31_000);
    assert_eq!(running.traces(), [1, 1, 1]);
    assert_eq!(tested.counter("traces_kept_error"), 1);
    assert_eq!(tested.counter("traces_dropped"), 0);
}

#[test]
fn the_wait_is_what_the_configuration_says() {
    let mut running = Running::new(r#"{"decision_wait": "500ms", "policies": [{"error": true}]}"#);
    running.spans(&[failed(1, 0)]);
    running.until(1_000);
    assert_eq!(running.traces(), [1]);
}

#[test]
fn the_watermark_decides_where_no_rows_do() {
    let mut running = Running::new(ERRORS);
    running.spans(&[failed(1, 0), span(2, 0)]);
    let tested = running.plugin.advance(ns(30_000)).expect("an advance");
    assert!(tested.released("trace_id").is_empty());
    let tested = running.plugin.advance(ns(31_000)).expect("an advance");
    assert_eq!(tested.released("trace_id").len(), 1);
    assert_eq!(tested.released_dropped(), ["sampled"]);
    assert_eq!(tested.counter("traces_dropped"), 1);
}

#[test]
fn rows_that_come_with_the_decision_count_for_it_and_are_not_held() {
    let mut running = Running::new(ERRORS);
    running.spans(&[span(1, 0), span(2, 0)]);
    let tested = running.spans(&[failed(1, 31_500), span(2, 31_500)]);
    assert_eq!((tested.kept(), tested.dropped()), (vec![0], vec![(1, "sampled")]));
    assert!(tested.held().is_empty());
    assert_eq!(running.traces(), [1, 1]);
    assert_eq!(tested.counter("late_spans"), 0);
}

#[test]
fn late_spans_follow_the_decision_with_the_same_count() {
    let mut running = Running::new(r#"{"policies": [{"per_second": 1}]}"#);
    running.spans(&[span(TOP, 0), span(HALF, 0)]);
    running.until(40_000);
    let late = running.spans(&[span(TOP, 1), failed(HALF, 1), span(TOP, 41_000)]);
    assert_eq!((late.kept(), late.held()), (vec![0, 2], vec![]));
    assert_eq!(late.dropped(), [(1, "sampled")]);
    assert_eq!(late.counter("late_spans"), 3);
    assert_eq!(running.out.len(), 3);
    assert!(running.out[0].adjusted > 1.9 && running.out.iter().all(|out| *out == running.out[0]));
}

#[test]
fn a_root_span_brings_the_decision_forward() {
    let config = r#"{"root_wait": "2s", "policies": [{"error": true}]}"#;
    let mut running = Running::new(config);
    running.spans(&[failed(1, 0), failed(2, 0)]);
    running.spans(&[Row { root: true, ..span(1, 5_000) }]);
    running.until(7_999);
    assert!(running.out.is_empty());
    running.until(8_000);
    assert_eq!(running.traces(), [1, 1]);
    // A root span that comes late does not put it off.
    running.spans(&[Row { root: true, ..span(2, 29_500) }]);
    running.until(31_000);
    assert_eq!(running.traces(), [1, 1, 2, 2]);
}

#[test]
fn the_oldest_are_decided_early_when_there_is_no_room() {
    let mut running = Running::new(r#"{"traces_max": 2, "policies": [{"error": true}]}"#);
    let tested = running.spans(&[span(3, 2_000), failed(1, 0), failed(2, 1_000)]);
    assert_eq!((tested.kept(), tested.held()), (vec![1], vec![0, 2]));
    assert_eq!(tested.counter("traces_decided_early"), 1);
    let tested = running.spans(&[failed(4, 3_000), failed(5, 3_000)]);
    assert_eq!(tested.counter("traces_decided_early"), 2);
    assert_eq!((running.traces(), running.dropped), (vec![1, 2], 1));
}

#[test]
fn a_forgotten_trace_is_decided_anew() {
    let mut running = Running::new(r#"{"decided_max": 1, "policies": [{"error": true}]}"#);
    running.spans(&[failed(1, 0), failed(2, 1_000)]);
    let tested = running.until(40_000);
    assert_eq!(tested.counter("decisions_forgotten"), 1);
    let tested = running.spans(&[span(1, 40_000), span(2, 40_000)]);
    assert_eq!((tested.held(), tested.kept()), (vec![0], vec![1]));
    running.until(80_000);
    assert_eq!((running.traces(), running.dropped), (vec![1, 2, 2], 1));
}

#[test]
fn logs_follow_their_trace_whichever_comes_first() {
    let mut running = Running::new(ERRORS);
    let record = |trace, at| Row { trace, ..span(0, at) };
    let tested = running.process(logs(&[record(Some(1), 0), record(None, 0), record(Some(2), 0)]));
    assert_eq!((tested.held(), tested.kept()), (vec![0, 2], vec![1]));
    running.spans(&[failed(1, 10), span(2, 10)]);
    let tested = running.until(40_000);
    assert_eq!((tested.released("trace_id").len(), tested.released_dropped().len()), (2, 2));
    let tested = running.process(logs(&[record(Some(1), 5), record(Some(2), 5)]));
    assert_eq!((tested.kept(), tested.dropped()), (vec![0], vec![(1, "sampled")]));
    assert_eq!(tested.counter("late_logs"), 2);
}

#[test]
fn logs_pass_where_they_need_not_follow() {
    let mut running = Running::new(r#"{"logs": false, "policies": [{"error": true}]}"#);
    let tested = running.process(logs(&[span(1, 0)]));
    assert_eq!(tested.kept(), [0]);
    assert!(tested.read().is_empty());
}

#[test]
fn a_few_rows_from_the_future_decide_nothing() {
    let mut running = Running::new(ERRORS);
    running.spans(&[failed(1, 0), span(1, 1), failed(2, 86_400_000)]);
    assert_eq!(running.spans(&[span(1, 20_000)]).held(), [0]);
    running.until(32_000);
    assert_eq!(running.traces(), [1, 1, 2, 1], "they wait as long as the others");
}

#[test]
fn a_clock_that_was_set_wrong_is_set_right_by_the_watermark() {
    let mut running = Running::new(ERRORS);
    running.spans(&[failed(1, 86_400_000)]);
    running.plugin.advance(ns(-300_000)).expect("an advance");
    running.until(600_000);
    assert!(running.out.is_empty());
    running.until(632_000);
    assert_eq!(running.traces(), [1]);
}

#[test]
fn a_call_that_fails_changes_nothing() {
    let mut running = Running::new(ERRORS);
    running.spans(&[failed(1, 0)]);
    let broken = TestBatch::spans().column("trace_id", [id(1)]).column("time", [ns(90_000)]);
    let error = running.plugin.process(broken).expect_err("columns are missing");
    assert!(error.to_string().contains("end_time") || error.to_string().contains("status_code"), "{error}");
    assert_eq!(running.spans(&[span(1, 1)]).held(), [0]);
    running.until(31_001);
    assert_eq!(running.traces(), [1, 1]);
}

#[test]
fn a_call_lets_go_of_so_many_rows_and_the_others_follow_in_the_next_ones() {
    let rows = u32::try_from(ROWS_PER_CALL / 2).expect("few rows");
    let rate = Policy { counter: "kept".to_owned(), services: Vec::new(), rule: Rule::PerSecond(2, By::Whole) };
    let sampler = TailSample {
        policies: vec![rate],
        needs: Needs::default(),
        wait: 0,
        root_wait: None,
        logs: true,
        traces_max: 10,
        decided_max: 10,
        memory: None,
    };
    let load = || {
        let (waiting, decided) = (Waiting::load().expect("a state"), Decided::load(10).expect("a state"));
        Memory { clock: Some(ns(5_000)), waiting, decided }
    };
    let mut memory = load();
    for (number, due) in [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5_000)] {
        let trace = Trace { spans: rows, met: 1, ..Trace::new(ns(due)) };
        memory.waiting.put(id(number), trace).expect("room");
    }
    // The limit is that of the second, in however many calls its rows go, and whatever instance makes them.
    let calls = [0; 4].map(|_| {
        let round = sampler.decide_due(&mut load()).expect("a round");
        let traces = round.iter().map(|(id, _, decision)| (u64::from(id[15]), *decision));
        traces.collect::<Vec<_>>()
    });
    let none = Vec::new();
    assert_eq!(calls, [vec![(1, None), (2, None)], vec![(3, None), (4, Some(4))], vec![(5, Some(4))], none]);
}
