//! Panics on every batch, with a message.
use weir_sdk::prelude::*;

struct Guest;

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::ALL;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.writes("touched", Type::Bool, "set before the panic, to see that it is undone");
    }

    fn process(&mut self, batch: &mut Batch) -> Result {
        batch.set("touched", (0..batch.rows()).map(|_| true))?;
        panic!("a batch of {} rows is too much for me", batch.rows());
    }
}

weir_sdk::plugin!(Guest);
