//! Weir: OTLP in, sandboxed WebAssembly plugins, Parquet tables out.
//!
//! The folders are the stages of the way of the data: [`receive`] → [`decode`] → [`batch`] → [`chain`] (in the
//! [`sandbox`]) → [`tables`] → [`write`]. [`run`] knows them all and joins them.

pub mod batch;
pub mod chain;
pub mod config;
pub mod decode;
pub mod demo;
pub mod error;
pub mod files;
pub mod log;
pub mod receive;
pub mod run;
pub mod sandbox;
pub mod signal;
pub mod tables;
pub mod watch;
pub mod write;

pub use error::{Error, Kind, Result};
pub use signal::Signal;
