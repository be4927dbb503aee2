//! Never comes back from a batch.
use weir_sdk::prelude::*;

struct Guest;

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::ALL;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, _: &mut Batch) -> Result {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }
}

weir_sdk::plugin!(Guest);
