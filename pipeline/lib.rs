//! Weir: OTLP in, sandboxed WebAssembly plugins, Parquet tables out.
//!
//! The folders are the stages of the way of the data: [`receive`] → [`decode`] → [`batch`] → [`chain`] (in the
//! [`sandbox`]) → [`tables`] → [`write`]. Beside it [`webhook`] makes OTLP of what other tools send. [`run`] knows them
//! all and joins them.

#![forbid(unsafe_code)]

pub mod batch;
pub mod chain;
pub mod config;
pub mod decode;
pub mod demo;
pub mod doctor;
pub mod error;
pub mod files;
pub mod log;
pub mod receive;
pub mod run;
pub mod sandbox;
pub mod signal;
pub mod tables;
pub mod watch;
pub mod webhook;
pub mod write;

pub use error::{Error, Kind, Result};
pub use signal::Signal;
