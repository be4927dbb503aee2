//! What each command does, one file a command.

pub(crate) mod allocator;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod plugin;
pub(crate) mod repair;
pub(crate) mod replay;
pub(crate) mod run;
mod stop;
mod trouble;

use std::path::Path;
use weir::config::Config;
use weir::{Error, Result};

/// The configuration of that file, or the defaults.
fn configuration(path: Option<&Path>) -> Result<Config> {
    match path {
        Some(path) => Config::from_file(path).map_err(Into::into),
        None => Ok(Config::default()),
    }
}

/// The runtime that the receivers and the object store run on.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("weir-io")
        .build()
        .map_err(|error| Error::storage(format!("no runtime could be started: {error}")))
}

/// A number with its thousands apart: 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of bytes in the unit that reads best.
fn bytes(number: u64) -> String {
    match number {
        0..1_024 => format!("{number} B"),
        1_024..1_048_576 => format!("{:.1} KiB", number as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", number as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", number as f64 / 1_073_741_824.0),
    }
}
