// guide: whole
//! Drops spans that are both fast and fine.
use weir_sdk::prelude::*;

#[derive(Deserialize)]
struct Config {
    faster_than_ms: i64,
}

struct DropFast(Config);

impl Processor for DropFast {
    type Config = Config;
    const SIGNALS: Signals = Signals::SPANS;

    fn new(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn process(&mut self, spans: &mut Batch) -> Result {
        let duration = spans.i64("duration_ns")?;
        let status = spans.text("status_code")?;
        let limit = self.0.faster_than_ms * 1_000_000;
        spans.keep(|row| duration[row] >= limit || status.is(row, "ERROR"))
    }
}

weir_sdk::plugin!(DropFast);
// guide: end

// guide: test
#[cfg(test)]
mod tests {
    use super::*;
    use weir_sdk::testing::{Plugin, TestBatch};

    #[test]
    fn slow_spans_and_errors_stay() {
        let mut plugin = Plugin::<DropFast>::configure(r#"{ "faster_than_ms": 1 }"#).unwrap();
        let spans = TestBatch::spans()
            .column("duration_ns", [5_000_000, 200, 100])
            .column("status_code", ["OK", "OK", "ERROR"]);
        let tested = plugin.process(spans).unwrap();
        assert_eq!(tested.kept(), [0, 2]);
        assert_eq!(tested.dropped(), [(1, "filtered")]);
    }
}
// guide: end
