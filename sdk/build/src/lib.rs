//! Finds a WebAssembly target for Rust, installs one where it is missing, and builds Weir plugins with it.
//!
//! This crate is the only place that knows how: `weir plugin build`, `cargo xtask` and the tests all ask it.
//!
//! - [`Toolchain::find_or_install`] gives a Rust that builds for `wasm32-unknown-unknown`, [`Toolchain::build`] a module.
//! - [`source_digest`] tells whether a module still belongs to its sources.
//! - [`guest`] and [`plugin`] give Weir's own tests their modules, built from source when they are stale.

#![forbid(unsafe_code)]

mod command;
mod compile;
mod debian;
mod digest;
mod repository;
mod toolchain;

pub use digest::source_digest;
pub use repository::{Guests, MODULES_VARIABLE, Repository, Source, guest, guests, plugin};
pub use toolchain::{TOOLCHAIN_VARIABLE, Toolchain};

/// The target of every plugin: a module without an operating system, which can reach only what it is handed.
pub const TARGET: &str = "wasm32-unknown-unknown";
