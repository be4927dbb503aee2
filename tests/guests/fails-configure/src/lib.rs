//! Finds two mistakes in any configuration.
use weir_sdk::prelude::*;

struct Guest;

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::ALL;

    fn new(_: NoConfig) -> Result<Self> {
        let first = Error::at("rules[2].pattern", "no regular expression: unclosed bracket");
        let second = Error::at("limit", "0, but it must be at least 1");
        Error::all([first, second]).map(|()| Self)
    }

    fn process(&mut self, _: &mut Batch) -> Result {
        Ok(())
    }
}

weir_sdk::plugin!(Guest);
