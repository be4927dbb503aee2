//! Objectives where slots are forgotten while windows still reach there.

use super::*;

/// Of two requests a second, all fail in the first ten minutes of the hour after midnight and none afterwards.
fn morning(from: i64, to: i64) -> Vec<Span> {
    let span = |number: i64| {
        let time = MIDNIGHT + number * SECOND / 2;
        Span::new("shop", time, number as u64, (at(1, 0, 0)..at(1, 10, 0)).contains(&time))
    };
    (from * 2..to * 2).map(span).collect()
}

/// The plugin at eight o'clock, evaluated every few minutes; slots are kept for a little more than late rows may come.
fn at_eight(restate_s: i64, step_s: i64) -> Weir {
    let mut weir = Weir::new(&format!(r#"{{ "restate_max_s": {restate_s} }}"#));
    for from in (0..8 * 3600).step_by(step_s as usize) {
        weir.process(spans(&morning(from, from + step_s)));
        weir.advance(MIDNIGHT + (from + step_s) * SECOND);
    }
    weir
}

fn column(weir: &Weir, column: &str) -> Vec<Value> {
    weir.rows("slo").iter().map(|row| row[column].clone()).collect()
}

#[test]
fn an_hour_of_which_a_part_is_forgotten_counts_whole() {
    // Forgotten by quarters of an hour, so that at the end of most hours one is cut; what failed is in its first quarter.
    for restate in [600, 1500, 2400, 3600] {
        let weir = at_eight(restate, 600);
        let burns: Vec<f64> = column(&weir, "burn_6h").iter().map(|burn| burn.as_f64().expect("a rate")).collect();
        // A sixth of the requests of an hour failed, of which a thousandth may.
        let of = |hours: f64| 1000.0 / 6.0 / hours;
        let stated = [0.0, of(2.0), of(3.0), of(4.0), of(5.0), of(6.0), of(6.0), 0.0];
        assert_eq!(burns.len(), stated.len());
        for (hour, (burn, stated)) in burns.iter().zip(stated).enumerate() {
            assert!(
                (burn - stated).abs() < 1e-9 * stated.max(1.0),
                "{burn} instead of {stated} at {hour}, {restate} s"
            );
        }
    }
}

#[test]
fn slots_that_are_too_old_for_late_rows_are_looked_at_as_long_as_they_are_there() {
    // An hour as a whole says that its failures were spread over it: the page would clear as late as its end.
    let fired = |weir: &Weir| ["page_fired_at", "page_cleared_at"].map(|name| column(weir, name));
    let (all, few) = (at_eight(93_600, 60), at_eight(600, 60));
    assert_eq!(fired(&all), fired(&few));
    assert!(fired(&few)[1].contains(&Value::from(at(1, 15, 0))), "{:?}", fired(&few));
}

#[test]
fn after_a_leap_of_event_time_the_rows_are_those_of_what_came() {
    let mut weir = at_eight(93_600, 600);
    let before = column(&weir, "burn_1h");
    let (days, hour) = (40, 3600);
    let later: Vec<Span> = morning(8 * hour, 9 * hour)
        .into_iter()
        .map(|span| Span { time: span.time + days * DAY, id: span.id | 1 << 40, ..span })
        .collect();
    weir.process(spans(&later));
    weir.settle(at(9, 0, 0) + days * DAY);
    let rows = weir.rows("slo");
    assert_eq!(rows.len(), before.len() + 1, "a row an hour with requests, and none of the silence between");
    let last = rows.iter().max_by_key(|row| row["window_start"].as_i64()).expect("a row");
    assert_eq!(last["window_start"], at(8, 0, 0) + days * DAY);
    let values = ["valid", "good", "burn_1h", "burn_3d", "budget_remaining"].map(|name| number(last, name));
    assert_eq!(values, [7200.0, 7200.0, 0.0, 0.0, 1.0], "what failed forty days ago is out of the budget's thirty");
}
