//! What `wasmtime` makes of the contract.

#![allow(missing_docs, unreachable_pub, reason = "generated from sdk/wit/plugin.wit, where the documentation is")]

/// What a handle of a guest's `batch` stands for: a guest has one batch at a time, which the call holds.
pub struct BatchHandle;

wasmtime::component::bindgen!({
    path: "sdk/wit",
    world: "processor",
    with: { "weir:plugin/host.batch": BatchHandle },
});

pub(crate) use self::exports::weir::plugin::plugin as described;
// `self::`, since rustdoc passes this crate to itself as `--extern weir`, which makes a plain `weir` ambiguous.
pub(crate) use self::weir::plugin::{columns, host};
