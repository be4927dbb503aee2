//! Writes a column that it has not declared.
use weir_sdk::prelude::*;

struct Guest;

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::ALL;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, batch: &mut Batch) -> Result {
        batch.set("surprise", (0..batch.rows()).map(|row| row as i64))
    }
}

weir_sdk::plugin!(Guest);
