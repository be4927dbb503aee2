//! Reads one column and keeps the rows that have not failed.
use weir_sdk::prelude::*;

struct Guest;

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::SPANS;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.reads(["status_code"]);
    }

    fn process(&mut self, spans: &mut Batch) -> Result {
        let status = spans.text("status_code")?;
        spans.keep(|row| !status.is(row, "ERROR"))
    }
}

weir_sdk::plugin!(Guest);
