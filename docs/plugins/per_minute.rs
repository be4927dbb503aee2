//! A plugin with state and a table of its own: requests and errors, per service and minute.

use weir_sdk::prelude::*;

// guide: row
/// Requests and errors of a service in a minute.
#[derive(Row)]
#[row(table = "requests_per_minute", time = "minute")]
struct PerMinute {
    /// Start of the minute.
    minute: Timestamp,
    /// The service.
    service_name: String,
    /// Spans of kind SERVER.
    requests: u64,
    /// Those of them whose status is ERROR.
    errors: u64,
}
// guide: end

const MINUTE_NS: i64 = 60_000_000_000;

// guide: state
#[derive(Default, Serialize, Deserialize)]
struct Sums {
    requests: u64,
    errors: u64,
}

/// Open minutes: (start, service) → sums. Keys sort, so a scan gives the oldest first.
const OPEN: State<(i64, String), Sums> = State::named("open");
// guide: end

struct RequestsPerMinute;

// guide: process
impl Processor for RequestsPerMinute {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::SPANS;
    const SUMMARY: &'static str = "Requests and errors per service and minute";
    const STATEFUL: bool = true;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.reads(["time", "service_name", "kind", "status_code"]).emits::<PerMinute>();
    }

    fn process(&mut self, spans: &mut Batch) -> Result {
        let (time, kind) = (spans.i64("time")?, spans.text("kind")?);
        let (service, status) = (spans.text("service_name")?, spans.text("status_code")?);
        for row in (0..spans.rows()).filter(|&row| kind.is(row, "SERVER")) {
            let minute = time[row].div_euclid(MINUTE_NS) * MINUTE_NS;
            let key = (minute, service.get(row).unwrap_or_default().to_owned());
            let mut sums = OPEN.get(&key)?.unwrap_or_default();
            sums.requests += 1;
            sums.errors += u64::from(status.is(row, "ERROR"));
            OPEN.put(&key, &sums)?;
        }
        Ok(())
    }

    fn advance(&mut self, watermark: Timestamp) -> Result {
        for (key, sums) in OPEN.scan()? {
            if key.0 + MINUTE_NS > watermark.0 {
                break; // the minutes after it are open, too
            }
            OPEN.delete(&key);
            let (minute, service_name) = key;
            emit(&PerMinute { minute: Timestamp(minute), service_name, requests: sums.requests, errors: sums.errors })?;
        }
        Ok(())
    }
}
// guide: end

weir_sdk::plugin!(RequestsPerMinute, name = "requests-per-minute");

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use weir_sdk::testing::{Plugin, TestBatch};

    // guide: test
    #[test]
    fn a_minute_is_emitted_once_event_time_has_passed_it() {
        let mut plugin = Plugin::<RequestsPerMinute>::configure("{}").unwrap();
        let spans = TestBatch::spans()
            .column("time", [Timestamp(5), Timestamp(6), Timestamp(MINUTE_NS)])
            .column("kind", ["SERVER", "SERVER", "SERVER"])
            .column("status_code", ["OK", "ERROR", "OK"])
            .dictionary("service_name", ["cart", "cart", "cart"]);
        plugin.process(spans).unwrap();
        assert!(plugin.advance(MINUTE_NS - 1).unwrap().emitted("requests_per_minute").is_empty());

        let tested = plugin.advance(MINUTE_NS).unwrap();
        let row = json!({ "minute": 0, "service_name": "cart", "requests": 2, "errors": 1 });
        assert_eq!(tested.emitted("requests_per_minute"), [&row]);
    }
    // guide: end

    #[test]
    fn late_spans_of_another_kind_are_not_counted() {
        let mut plugin = Plugin::<RequestsPerMinute>::configure("{}").unwrap();
        let spans = TestBatch::spans()
            .column("time", [Timestamp(5)])
            .column("kind", ["CLIENT"])
            .column("status_code", ["OK"])
            .column("service_name", ["cart"]);
        plugin.process(spans).unwrap();
        assert!(plugin.advance(i64::MAX).unwrap().emitted("requests_per_minute").is_empty());
    }
}
