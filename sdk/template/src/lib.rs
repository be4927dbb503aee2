//! Drops spans that are both fast and fine.
use weir_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "five")]
    faster_than_ms: i64,
}

fn five() -> i64 {
    5
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

#[cfg(test)]
mod tests {
    use super::*;
    use weir_sdk::testing::{TestBatch, run};

    #[test]
    fn slow_and_failed_spans_stay() {
        let spans = TestBatch::spans()
            .column("duration_ns", [9_000_000, 1_000_000, 1_000_000])
            .column("status_code", ["OK", "OK", "ERROR"]);
        let tested = run::<DropFast>(r#"{ "faster_than_ms": 5 }"#, spans).unwrap();
        assert_eq!(tested.kept(), [0, 2]);
    }
}
