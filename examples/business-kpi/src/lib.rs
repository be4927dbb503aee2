//! A KPI of your own: orders per minute, and how many were promised.
use std::collections::BTreeMap;
use weir_sdk::prelude::*;

/// The settings are all that it needs.
#[derive(Deserialize)]
pub struct Orders {
    span: String, // spans of this name are an order each
    target: f64,  // orders per minute
}

/// Orders in a minute in which there were spans at all; the row is there at once, and grows.
#[derive(Row)]
#[row(table = "orders_per_minute", mode = "upsert", key = ["minute"], time = "minute")]
struct PerMinute {
    /// Start of the minute.
    minute: Timestamp,
    /// Orders, weighted where spans were sampled.
    orders: f64,
    /// Orders that were promised.
    target: f64,
}

const MINUTE: i64 = 60_000_000_000;
const KEPT: i64 = 31 * 24 * 60 * MINUTE; // a span may come so late
const MINUTES: State<i64, f64> = State::named("minutes");

impl Processor for Orders {
    type Config = Self;
    const SIGNALS: Signals = Signals::SPANS;
    const STATEFUL: bool = true;

    fn new(config: Self) -> Result<Self> {
        Ok(config)
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.reads(["time", "name", "adjusted_count"]).emits::<PerMinute>();
    }

    fn process(&mut self, spans: &mut Batch) -> Result {
        let (time, name, weight) = (spans.i64("time")?, spans.text("name")?, spans.f64("adjusted_count")?);
        let mut orders = BTreeMap::<i64, f64>::new();
        for row in 0..spans.rows() {
            let minute = time[row].div_euclid(MINUTE) * MINUTE;
            *orders.entry(minute).or_default() += if name.is(row, &self.span) { weight[row] } else { 0.0 };
        }
        for (minute, more) in orders {
            let orders = MINUTES.get(&minute)?.unwrap_or(0.0) + more;
            MINUTES.put(&minute, &orders)?;
            MINUTES.delete(&(minute - KEPT));
            emit(&PerMinute { minute: Timestamp(minute), orders, target: self.target })?;
        }
        Ok(())
    }
}

weir_sdk::plugin!(Orders, name = "business-kpi");
