//! What the plugin does, natively: no sandbox is needed for it.

use business_kpi::Orders;
use weir_sdk::Timestamp;
use weir_sdk::testing::{Plugin, TestBatch};

const MINUTE: i64 = 60_000_000_000;

fn plugin() -> Plugin<Orders> {
    Plugin::configure(r#"{ "span": "order", "target": 2.0 }"#).expect("good settings")
}

/// The minute and the orders of each row that goes out when these spans come: time, name, how many each stands for.
fn sent(plugin: &mut Plugin<Orders>, spans: &[(i64, &'static str, f64)]) -> Vec<(i64, f64)> {
    let batch = TestBatch::spans()
        .column("time", spans.iter().map(|span| Timestamp(span.0)).collect::<Vec<_>>())
        .column("name", spans.iter().map(|span| span.1).collect::<Vec<_>>())
        .column("adjusted_count", spans.iter().map(|span| span.2).collect::<Vec<_>>());
    let tested = plugin.process(batch).expect("no error");
    let rows = tested.emitted("orders_per_minute");
    assert!(rows.iter().all(|row| row["target"] == 2.0));
    let row = |minute: Option<i64>, orders: Option<f64>| (minute.expect("a time") / MINUTE, orders.expect("a number"));
    rows.iter().map(|at| row(at["minute"].as_i64(), at["orders"].as_f64())).collect()
}

#[test]
fn orders_of_a_minute_are_counted_weighted_and_other_spans_are_none() {
    let spans = [(1, "order", 1.0), (2, "order", 4.0), (3, "browse", 1.0), (MINUTE, "order", 1.0)];
    assert_eq!(sent(&mut plugin(), &spans), [(0, 5.0), (1, 1.0)]);
}

#[test]
fn a_minute_without_orders_has_a_row_and_one_without_spans_has_none() {
    assert_eq!(sent(&mut plugin(), &[(1, "browse", 1.0), (2 * MINUTE, "order", 1.0)]), [(0, 0.0), (2, 1.0)]);
}

#[test]
fn a_row_is_restated_when_more_comes_whenever_that_is() {
    let mut plugin = plugin();
    assert_eq!(sent(&mut plugin, &[(1, "order", 1.0)]), [(0, 1.0)]);
    assert_eq!(sent(&mut plugin, &[(600 * MINUTE, "order", 1.0)]), [(600, 1.0)]);
    assert_eq!(sent(&mut plugin, &[(2, "order", 1.0)]), [(0, 2.0)]);
}

#[test]
fn what_is_kept_of_a_minute_is_forgotten_a_month_later() {
    let mut plugin = plugin();
    sent(&mut plugin, &[(1, "order", 1.0)]);
    sent(&mut plugin, &[(31 * 24 * 60 * MINUTE, "order", 1.0)]);
    assert_eq!(sent(&mut plugin, &[(2, "order", 1.0)]), [(0, 1.0)]);
}
