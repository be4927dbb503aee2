//! Puts values into its state for as long as Weir takes them.
use weir_sdk::prelude::*;

struct Guest;

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::ALL;
    const STATEFUL: bool = true;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, _: &mut Batch) -> Result {
        let state = State::<u64, String>::named("hoard");
        for number in 0.. {
            state.put(&number, &"x".repeat(1 << 16))?;
        }
        Ok(())
    }
}

weir_sdk::plugin!(Guest);
