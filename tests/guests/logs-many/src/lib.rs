//! Says a thousand things about every batch.
use weir_sdk::prelude::*;

struct Guest;

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::ALL;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, _: &mut Batch) -> Result {
        for number in 0..1000 {
            log::info(format!("message {number}"));
        }
        log::warn("and a warning");
        count("messages", 1001);
        Ok(())
    }
}

weir_sdk::plugin!(Guest);
