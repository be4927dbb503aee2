use weir_sdk::testing::{Plugin, TestBatch, Tested, run};

use super::Sample;

/// A trace id with this randomness.
fn id(randomness: u64) -> [u8; 16] {
    (0xabcd_u128 << 112 | u128::from(randomness)).to_be_bytes()
}

const HALF: u64 = 1 << 55;

fn spans(rows: &[(u64, Option<&str>, &str, i64, &str)]) -> TestBatch {
    TestBatch::spans()
        .column("trace_id", rows.iter().map(|row| id(row.0)))
        .column("trace_state", rows.iter().map(|row| row.1))
        .dictionary("status_code", rows.iter().map(|row| row.2))
        .column("duration_ns", rows.iter().map(|row| row.3))
        .dictionary("service_name", rows.iter().map(|row| row.4))
        .column("adjusted_count", rows.iter().map(|_| 1.0))
}

fn sample(config: &str, batch: TestBatch) -> Tested {
    run::<Sample>(config, batch).expect("a sampled batch")
}

fn mistake(config: &str) -> String {
    Plugin::<Sample>::configure(config).expect_err("a mistake").to_string()
}

#[test]
fn a_span_is_kept_when_its_randomness_is_not_below_the_threshold() {
    let batch = spans(&[(HALF - 1, None, "OK", 1, "a"), (HALF, None, "OK", 1, "a"), (HALF + 1, None, "OK", 1, "a")]);
    let tested = sample(r#"{"keep": 0.5}"#, batch);
    assert_eq!(tested.kept(), [1, 2]);
    assert_eq!(tested.dropped(), [(0, "sampled")]);
    assert_eq!(tested.column("adjusted_count")[1..], [2.0, 2.0]);
    assert_eq!(tested.column("trace_state")[1..], ["ot=th:8", "ot=th:8"]);
}

#[test]
fn randomness_from_the_trace_state_comes_before_the_trace_id() {
    let batch = spans(&[
        (0, Some("ot=rv:ffffffffffffff"), "OK", 1, "a"),
        (u64::MAX >> 8, Some("ot=rv:00000000000000"), "OK", 1, "a"),
    ]);
    let tested = sample(r#"{"keep": 0.5}"#, batch);
    assert_eq!(tested.kept(), [0]);
    assert_eq!(tested.column("trace_state")[0], "ot=th:8;rv:ffffffffffffff");
}

#[test]
fn the_greater_of_two_thresholds_counts() {
    let high = 0xf << 52;
    let batch = spans(&[(high, Some("x=1,ot=th:4"), "OK", 1, "a"), (high, Some("ot=th:c"), "OK", 1, "a")])
        .column("adjusted_count", [4.0 / 3.0, 4.0]);
    let tested = sample(r#"{"keep": 0.5}"#, batch);
    assert_eq!(tested.kept(), [0, 1]);
    assert_eq!(tested.column("trace_state"), ["ot=th:8,x=1", "ot=th:c"]);
    assert_eq!(tested.column("adjusted_count"), [2.0, 4.0]);
}

#[test]
fn a_threshold_that_cannot_have_let_the_span_through_says_nothing() {
    let tested = sample(r#"{"keep": 0.5}"#, spans(&[(HALF, Some("ot=th:c"), "OK", 1, "a")]));
    assert_eq!(tested.kept(), [0]);
    assert_eq!(tested.column("trace_state"), ["ot=th:8"]);
    assert_eq!(tested.column("adjusted_count"), [2.0]);
}

#[test]
fn errors_and_slow_spans_are_kept_and_stand_for_themselves() {
    let slow = 3_000_000;
    let batch = spans(&[
        (0, Some("ot=th:0"), "ERROR", 1, "a"),
        (0, None, "OK", slow, "a"),
        (0, None, "OK", 2_000_000, "a"),
        (u64::MAX >> 8, None, "ERROR", 1, "a"),
    ]);
    let tested = sample(r#"{"keep": 0.5, "keep_slower_than_ms": 2}"#, batch.clone());
    assert_eq!(tested.kept(), [0, 1, 3]);
    assert_eq!(tested.column("adjusted_count"), [1.0, 1.0, 1.0, 1.0]);
    assert_eq!(tested.column("trace_state")[0], "ot=th:0");
    assert_eq!(sample(r#"{"keep": 0.5, "keep_errors": false}"#, batch).kept(), [3]);
}

#[test]
fn a_service_has_its_own_share() {
    let batch = spans(&[(0, None, "OK", 1, "checkout"), (0, None, "OK", 1, "cart"), (HALF, None, "OK", 1, "search")]);
    let tested = sample(r#"{"keep": 0, "services": {"checkout": 1, "search": 0.5}}"#, batch);
    assert_eq!(tested.kept(), [0, 2]);
    assert_eq!(tested.column("adjusted_count"), [1.0, 1.0, 2.0]);
}

#[test]
fn keeping_all_changes_and_reads_nothing() {
    let tested = sample("{}", spans(&[(0, Some("ot=th:c"), "OK", 1, "a")]));
    assert_eq!(tested.kept(), [0]);
    assert_eq!(tested.column("trace_state"), ["ot=th:c"]);
    assert!(tested.read().is_empty());
}

#[test]
fn keeping_none_still_keeps_errors() {
    let batch = spans(&[(u64::MAX >> 8, None, "OK", 1, "a"), (0, None, "ERROR", 1, "a")]);
    assert_eq!(sample(r#"{"keep": 0}"#, batch).kept(), [1]);
}

#[test]
fn a_span_without_a_trace_id_is_kept_as_it_is() {
    let batch = spans(&[(0, None, "OK", 1, "a")]).column("trace_id", [None::<[u8; 16]>]);
    let tested = sample(r#"{"keep": 0.5}"#, batch);
    assert_eq!(tested.kept(), [0]);
    assert_eq!(tested.column("adjusted_count"), [1.0]);
}

#[test]
fn logs_follow_their_trace() {
    let logs = TestBatch::logs()
        .column("trace_id", [Some(id(HALF)), Some(id(0)), None, Some(id(0))])
        .column("severity_number", [9, 9, 9, 17]);
    assert_eq!(sample(r#"{"keep": 0.5}"#, logs.clone()).kept(), [0, 2, 3]);
    assert_eq!(sample(r#"{"keep": 0.5, "logs": false}"#, logs).kept(), [0, 1, 2, 3]);
}

#[test]
fn the_sum_of_the_counts_is_the_number_of_spans() {
    // Evenly spread, so that the share is met without luck.
    let rows: Vec<_> = (0..10_000_u64).map(|n| (n * ((1 << 56) / 10_000), None, "OK", 1, "a")).collect();
    for keep in ["0.1", "0.3", "0.9"] {
        let tested = sample(&format!(r#"{{"keep": {keep}}}"#), spans(&rows));
        let counts = tested.column("adjusted_count");
        let sum: f64 = tested.kept().iter().filter_map(|&row| counts[row].as_f64()).sum();
        assert!((sum - 10_000.0).abs() < 20.0, "{keep}: {sum}");
    }
}

#[test]
fn a_smaller_share_keeps_a_part_of_what_a_greater_one_keeps() {
    let rows: Vec<_> = (0..1000_u64).map(|n| (n * ((1 << 56) / 1000), None, "OK", 1, "a")).collect();
    let (few, many) =
        (sample(r#"{"keep": 0.1}"#, spans(&rows)).kept(), sample(r#"{"keep": 0.4}"#, spans(&rows)).kept());
    assert!(!few.is_empty() && few.len() < many.len());
    assert!(few.iter().all(|row| many.contains(row)));
}

#[test]
fn mistakes_name_their_key() {
    assert_eq!(mistake(r#"{"keep": 1.5}"#), "keep: 1.5, but a share is 0, 1, or between 2^-56 and 1");
    assert!(mistake(r#"{"services": {"a": -1}}"#).starts_with("services.a: -1"));
    assert!(mistake(r#"{"kep": 1}"#).starts_with("kep: unknown field"));
}
