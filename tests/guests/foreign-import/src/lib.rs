//! Imports a function that is none of Weir's.
use weir_sdk::prelude::*;

#[cfg(target_arch = "wasm32")]
#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn open_the_door(which: i32) -> i32;
}

struct Guest;

impl Processor for Guest {
    type Config = NoConfig;
    const SIGNALS: Signals = Signals::ALL;

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, _: &mut Batch) -> Result {
        #[cfg(target_arch = "wasm32")]
        // SAFETY: it takes and gives a number; Weir refuses the module before this is ever called.
        count("doors", unsafe { open_the_door(1) }.unsigned_abs().into());
        Ok(())
    }
}

weir_sdk::plugin!(Guest);
