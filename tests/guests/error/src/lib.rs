//! Changes the batch, emits nothing, and then answers with an error.
use weir_sdk::prelude::*;

struct Guest;

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::ALL;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.writes("touched", Type::Bool, "set before the error, to see that it is undone");
    }

    fn process(&mut self, batch: &mut Batch) -> Result {
        batch.set("touched", (0..batch.rows()).map(|_| true))?;
        batch.keep(|_| false)?;
        count("attempts", 1);
        Err(Error::new("this batch is not to my liking"))
    }
}

weir_sdk::plugin!(Guest);
