use super::*;
use crate::lifecycle::incident::{IncidentAttributes, IncidentFacts, IncidentStep};

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
/// 2026-01-31T10:00:00Z
const TEN: i64 = 1_769_853_600 * SECOND;
const DAY: i64 = 24 * 60;

type ChangeFact = Fact<ChangeStep, ChangeAttributes>;
use ChangeStep::{Finished, RolledBack, Started};

fn at(minute: i64) -> i64 {
    TEN + minute * MINUTE
}

fn fact(step: ChangeStep, minute: i64) -> ChangeFact {
    Fact { time: at(minute), step, uid: None, attributes: ChangeAttributes::default() }
}

fn with(step: ChangeStep, minute: i64, attributes: ChangeAttributes) -> ChangeFact {
    Fact { attributes, ..fact(step, minute) }
}

fn finished(result: ChangeResult) -> ChangeFact {
    with(Finished, 10, ChangeAttributes { result: Some(result), ..ChangeAttributes::default() })
}

fn facts(told: &[ChangeFact]) -> ChangeFacts {
    let service =
        ServiceKey { namespace: "shop".to_owned(), service: "cart".to_owned(), environment: "production".to_owned() };
    let mut known = ChangeFacts::default();
    for fact in told {
        known.add(&service, fact.clone());
    }
    known
}

fn row_with(told: &[ChangeFact], caused: &[Caused]) -> ChangeRow {
    facts(told).row("c1", caused, &Settings::default()).expect("a row")
}

fn row(told: &[ChangeFact]) -> ChangeRow {
    row_with(told, &[])
}

fn windowed(from: i64, to: i64) -> ChangeAttributes {
    ChangeAttributes { window_start: Some(at(from)), window_end: Some(at(to)), ..ChangeAttributes::default() }
}

#[test]
fn a_deployment_that_went_well_has_not_failed() {
    let attributes = ChangeAttributes {
        approved: Some(true),
        committed_at: Some(at(-60)),
        version: Some("1.2".to_owned()),
        ..windowed(-5, 30)
    };
    let expected = ChangeRow {
        time: Timestamp(at(0)),
        change_id: "c1".to_owned(),
        environment: "production".to_owned(),
        service_namespace: "shop".to_owned(),
        service_name: "cart".to_owned(),
        service_version: Some("1.2".to_owned()),
        committed_at: Some(Timestamp(at(-60))),
        started_at: Some(Timestamp(at(0))),
        finished_at: Some(Timestamp(at(10))),
        result: Some("success"),
        rolled_back: false,
        failed: Some(false),
        in_window: Some(true),
        approved: Some(true),
        lead_time_s: Some(70.0 * 60.0),
        recovery_s: None,
    };
    assert_eq!(row(&[with(Started, 0, attributes), finished(ChangeResult::Success)]), expected);
}

#[test]
fn a_deployment_fails_by_its_result() {
    for (result, name) in
        [(ChangeResult::Failure, "failure"), (ChangeResult::Error, "error"), (ChangeResult::Timeout, "timeout")]
    {
        let row = row(&[fact(Started, 0), finished(result)]);
        assert_eq!((row.result, row.failed), (Some(name), Some(true)));
    }
}

#[test]
fn a_deployment_rolled_back_within_a_day_has_failed() {
    let row = row(&[finished(ChangeResult::Success), fact(RolledBack, 10 + DAY)]);
    assert_eq!((row.result, row.rolled_back, row.failed), (Some("success"), true, Some(true)));
}

#[test]
fn a_deployment_rolled_back_later_has_not() {
    let mut late = fact(RolledBack, 10 + DAY);
    late.time += 1;
    let told = [finished(ChangeResult::Success), late];
    assert_eq!((row(&told).rolled_back, row(&told).failed), (false, Some(false)));
    let settings = Settings { rollback_s: 2 * 86_400, ..Settings::default() };
    assert!(facts(&told).row("c1", &[], &settings).expect("a row").rolled_back);
}

#[test]
fn a_deployment_rolled_back_before_it_finished_is_a_failure() {
    let row = row(&[fact(Started, 0), fact(RolledBack, 5)]);
    assert_eq!((row.result, row.rolled_back, row.failed), (Some("failure"), true, Some(true)));
    assert_eq!((row.finished_at, row.lead_time_s), (None, None));
}

#[test]
fn the_result_of_a_rollback_is_not_that_of_the_deployment() {
    let undone = ChangeAttributes { result: Some(ChangeResult::Success), ..ChangeAttributes::default() };
    assert_eq!(row(&[finished(ChangeResult::Failure), with(RolledBack, 20, undone)]).result, Some("failure"));
}

#[test]
fn a_deployment_that_caused_an_incident_has_failed() {
    let row = row_with(&[finished(ChangeResult::Success)], &[Caused { mitigated: Some(at(40)) }]);
    assert_eq!((row.failed, row.recovery_s), (Some(true), Some(30.0 * 60.0)));
}

#[test]
fn recovery_is_when_the_last_incident_that_it_caused_was_mitigated() {
    let told = [finished(ChangeResult::Success)];
    let (early, late, open) =
        (Caused { mitigated: Some(at(20)) }, Caused { mitigated: Some(at(50)) }, Caused { mitigated: None });
    assert_eq!(row_with(&told, &[late, early]).recovery_s, Some(40.0 * 60.0));
    assert_eq!(row_with(&told, &[late, open]).recovery_s, None);
    assert_eq!(row_with(&told, &[Caused { mitigated: Some(at(9)) }]).recovery_s, None);
}

#[test]
fn a_cancelled_incident_was_caused_by_nothing() {
    let caused = |step| {
        let mut known = IncidentFacts::default();
        for step in [IncidentStep::Declared, IncidentStep::Mitigated, step] {
            let attributes = IncidentAttributes { cause_change_id: Some("c1".to_owned()), ..Default::default() };
            known.add(&ServiceKey::default(), Fact { time: at(1), step, uid: None, attributes });
        }
        Caused::by(&known.view("i1", &Settings::default())[0])
    };
    assert_eq!(caused(IncidentStep::Resolved), Some(Caused { mitigated: Some(at(1)) }));
    assert_eq!(caused(IncidentStep::Cancelled), None);
}

#[test]
fn a_cancelled_or_skipped_deployment_is_in_no_rate() {
    for result in [ChangeResult::Cancellation, ChangeResult::Skip] {
        let committed = ChangeAttributes { committed_at: Some(at(-60)), ..ChangeAttributes::default() };
        let told = [with(Started, 0, committed), finished(result), fact(RolledBack, 20)];
        let row = row_with(&told, &[Caused { mitigated: Some(at(40)) }]);
        assert_eq!((row.result, row.failed), (Some("cancelled"), None));
        assert_eq!((row.lead_time_s, row.recovery_s), (None, None));
    }
}

#[test]
fn a_deployment_that_runs_has_neither_failed_nor_not() {
    let row = row(&[fact(Started, 0)]);
    assert_eq!((row.result, row.failed, row.finished_at, row.in_window), (None, None, None, None));
}

#[test]
fn a_deployment_that_finished_without_a_result_is_a_success() {
    let row = row(&[fact(Finished, 10)]);
    assert_eq!((row.result, row.failed, row.started_at), (Some("success"), Some(false), None));
    assert_eq!(row.time, Timestamp(at(10)));
}

#[test]
fn a_deployment_tried_again_has_the_result_of_the_last_attempt() {
    let mut again = finished(ChangeResult::Success);
    again.time = at(30);
    let row = row(&[fact(Started, 0), finished(ChangeResult::Failure), fact(Started, 20), again]);
    assert_eq!((row.result, row.failed), (Some("success"), Some(false)));
    assert_eq!((row.started_at, row.finished_at), (Some(Timestamp(at(0))), Some(Timestamp(at(30)))));
}

#[test]
fn a_deployment_is_in_its_window_if_it_begins_and_ends_there() {
    let in_window = |from, to| row(&[with(Started, 0, windowed(from, to)), finished(ChangeResult::Success)]).in_window;
    assert_eq!(in_window(0, 10), Some(true));
    assert_eq!(in_window(1, 10), Some(false));
    assert_eq!(in_window(0, 9), Some(false));
    let running = row(&[with(Started, 0, windowed(0, 9))]);
    assert_eq!(running.in_window, Some(true));
}

#[test]
fn a_commit_after_the_deployment_is_clock_skew() {
    let lead_time = |seconds: i64| {
        let attributes = ChangeAttributes { committed_at: Some(at(10) + seconds * SECOND), ..Default::default() };
        row(&[with(Started, 0, attributes), finished(ChangeResult::Success)]).lead_time_s
    };
    assert_eq!((lead_time(0), lead_time(5), lead_time(6)), (Some(0.0), Some(0.0), None));
}

#[test]
fn every_order_of_arrival_and_duplicates_give_the_same_row() {
    let mut told = [
        with(Started, 0, windowed(0, 20)),
        finished(ChangeResult::Failure),
        finished(ChangeResult::Error),
        with(Finished, 15, ChangeAttributes { approved: Some(false), ..ChangeAttributes::default() }),
        fact(RolledBack, 20),
        fact(Started, 0),
    ];
    let expected = facts(&told);
    for _ in 0..told.len() {
        told.rotate_left(1);
        for swapped in 0..told.len() {
            let mut order = told.clone();
            order.swap(0, swapped);
            assert_eq!(facts(&[order.clone(), order].concat()), expected);
        }
    }
    // Of two results that are told at once, the greater counts; that of the last attempt is not told.
    assert_eq!(row(&told).result, Some("failure"));
    let json = serde_json::to_string(&expected).expect("json");
    assert_eq!(serde_json::from_str::<ChangeFacts>(&json).expect("facts"), expected);
}

#[test]
fn a_change_of_which_nothing_is_known_has_no_row() {
    assert_eq!(ChangeFacts::default().row("c1", &[], &Settings::default()), None);
}

#[test]
fn every_column_is_described_and_the_key_is_the_change() {
    let table = ChangeRow::table();
    assert_eq!((table.name, table.key, table.time), ("changes", &["change_id"][..], "time"));
    assert!(table.columns.iter().all(|(_, _, about)| about.len() > 8), "{:?}", table.columns);
}
