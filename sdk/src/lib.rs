//! Write Weir plugins in Rust: typed columns, configuration by serde, typed state, native tests.
//!
//! A plugin is a [`Processor`] and one call of [`plugin!`]. This is a whole one:
//!
//! ```
//! //! Drops spans that are both fast and fine.
//! use weir_sdk::prelude::*;
//!
//! #[derive(Deserialize)]
//! struct Config { faster_than_ms: i64 }
//!
//! struct DropFast(Config);
//!
//! impl Processor for DropFast {
//!     type Config = Config;
//!     const SIGNALS: Signals = Signals::SPANS;
//!
//!     fn new(config: Config) -> Result<Self> { Ok(Self(config)) }
//!
//!     fn process(&mut self, spans: &mut Batch) -> Result {
//!         let duration = spans.i64("duration_ns")?;
//!         let status = spans.text("status_code")?;
//!         let limit = self.0.faster_than_ms * 1_000_000;
//!         spans.keep(|row| duration[row] >= limit || status.is(row, "ERROR"))
//!     }
//! }
//!
//! weir_sdk::plugin!(DropFast);
//! # fn main() {
//! use weir_sdk::testing::{Plugin, TestBatch};
//!
//! let spans = TestBatch::spans().column("duration_ns", [5_000_000, 2, 1]).column("status_code", ["OK", "OK", "ERROR"]);
//! let mut plugin = Plugin::<DropFast>::configure(r#"{ "faster_than_ms": 1 }"#).unwrap();
//! assert_eq!(plugin.process(spans).unwrap().kept(), [0, 2]);
//! # }
//! ```
//!
//! The same code runs in two places. Built for `wasm32-unknown-unknown` it is a Weir plugin, whose only imports are
//! Weir's. Built for the machine it stands on, it runs over the batches of [`testing`], with plain `cargo test`.
//!
//! Every call is a transaction: when [`Processor::process`] returns an error or panics, nothing that it did is applied.

// The derives name this crate, also within it.
extern crate self as weir_sdk;

mod batch;
mod builder;
mod columns;
mod config;
mod describe;
mod error;
mod host;
mod json;
mod plugin;
mod row;
pub mod sampling;
mod state;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
#[cfg(target_arch = "wasm32")]
mod wasm;

pub use batch::{Batch, Texts, held};
#[doc(hidden)]
pub use builder::append;
pub use builder::{Bitmap, Cell, ColumnBuilder, Digest, Json, TextBuilder, Timestamp};
pub use columns::{Bools, F64s, Fixed, I64s, Lists, Text, U64s};
pub use config::NoConfig;
pub use describe::{Description, Mode, OnError, Signal, Signals, Table, Type};
pub use error::{Error, Result};
pub use host::{advance_again, count, log};
pub use plugin::Processor;
#[doc(hidden)]
pub use plugin::{Identity, Runtime, short_name};
pub use row::{Row, emit, retract};
pub use state::{BytesState, Key, State};
pub use weir_sdk_macros::Row;

/// All that a plugin names: `use weir_sdk::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Batch, Bitmap, Description, Error, Json, NoConfig, OnError, Processor, Result, Row, Signal, Signals, State,
        TextBuilder, Timestamp, Type, advance_again, count, emit, held, log, retract,
    };
    pub use serde::{Deserialize, Serialize};
}

/// The contract as generated from `wit/plugin.wit`, for guests that break it on purpose.
#[doc(hidden)]
#[allow(warnings, clippy::all, reason = "generated")]
pub mod raw {
    wit_bindgen::generate!({
        path: "wit",
        world: "processor",
        pub_export_macro: true,
        default_bindings_module: "weir_sdk::raw",
        additional_derives: [Clone, PartialEq],
    });
    pub use self::exports::weir::plugin::plugin::{
        ColumnDeclaration, Description, Guest, Mistake, Mode, OnError, Table,
    };
    pub use self::weir::plugin::{columns, host};
    pub use export as export_plugin;
}
