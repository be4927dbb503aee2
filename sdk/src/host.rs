//! Weir itself, as far as a plugin may use it besides its batch; in native tests, a stand-in.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::wasm::{emit, held, retract, state_delete, state_get, state_put, state_scan};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::host::{emit, held, retract, state_delete, state_get, state_put, state_scan};

/// Messages to the operator, under the plugin's name; at most so many a second, the rest is counted.
pub mod log {
    use crate::raw::host::Level;

    #[cfg(not(target_arch = "wasm32"))]
    use crate::testing::host::log;
    #[cfg(target_arch = "wasm32")]
    use crate::wasm::log;

    /// For whoever works on the plugin.
    pub fn debug(message: impl AsRef<str>) {
        log(Level::Debug, message.as_ref());
    }

    /// Worth knowing.
    pub fn info(message: impl AsRef<str>) {
        log(Level::Info, message.as_ref());
    }

    /// Something is not as it should be.
    pub fn warn(message: impl AsRef<str>) {
        log(Level::Warn, message.as_ref());
    }

    /// Something is wrong.
    pub fn error(message: impl AsRef<str>) {
        log(Level::Error, message.as_ref());
    }
}

/// Asks for another call of [`advance`](crate::Processor::advance) with the watermark as it is: there is more to do than fits
/// into this call, or the batch changes what was told of a time that is over. It comes soon, and before Weir ends.
pub fn advance_again() {
    #[cfg(not(target_arch = "wasm32"))]
    use crate::testing::host as weir;
    #[cfg(target_arch = "wasm32")]
    use crate::wasm as weir;

    weir::advance_again();
}

/// Adds to a counter of the plugin's own, which `/metrics` shows under its name.
pub fn count(counter: &str, add: u64) {
    #[cfg(not(target_arch = "wasm32"))]
    use crate::testing::host as weir;
    #[cfg(target_arch = "wasm32")]
    use crate::wasm as weir;

    if add > 0 {
        weir::count(counter, add);
    }
}
