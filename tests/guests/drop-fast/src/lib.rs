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
