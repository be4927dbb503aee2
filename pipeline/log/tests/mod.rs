//! What the log promises, each test one behaviour.

mod damage;
mod faults;
mod format;
mod group;
mod limits;
mod model;
mod power;
mod records;
mod use_it;

use std::path::PathBuf;
use std::sync::Arc;

use super::{Log, Lsn, Options, Record, Recovered};
use crate::files::{Files, Random, Simulated};
use crate::{Result, Signal};

/// Options for a small log that commits by hand, the same for the same seed.
fn options(seed: u64) -> Options {
    Options {
        segment_bytes: 32 << 10,
        reserve_bytes: 0,
        background: false,
        salt: seed,
        ..Options::new(PathBuf::from("/log"))
    }
}

fn open(files: &Simulated, options: Options, from: Lsn) -> Result<(Log, Recovered)> {
    Log::open(Arc::new(files.clone()), options, from)
}

fn read(recovered: Recovered) -> Vec<Record> {
    recovered.map(|record| record.unwrap()).collect()
}

/// A payload of up to so many bytes.
fn payload(random: &mut Random, bytes_max: u64) -> Vec<u8> {
    let bytes = random.below(bytes_max + 1);
    (0..bytes).map(|_| random.any() as u8).collect()
}

/// Appends a payload to a log that takes it.
fn append(log: &Log, random: &mut Random, bytes_max: u64) -> Record {
    try_append(log, random, bytes_max).unwrap()
}

/// Appends a payload of up to so many bytes.
fn try_append(log: &Log, random: &mut Random, bytes_max: u64) -> Result<Record> {
    let signal = Signal::ALL[random.below(3) as usize];
    let (received_ns, payload) = (random.any() as i64, payload(random, bytes_max));
    let lsn = log.append(signal, received_ns, &payload)?;
    Ok(Record { lsn, signal, tenant: 0, received_ns, payload })
}

/// The paths of the segments.
fn segments(files: &Simulated) -> Vec<PathBuf> {
    let entries = files.list(&PathBuf::from("/log")).unwrap();
    let names = entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".wal"));
    names.map(|name| PathBuf::from("/log").join(name)).collect()
}

/// How many seeds a random test tries: `WEIR_SEEDS`, or this many.
fn seeds(usual: u64) -> u64 {
    std::env::var("WEIR_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(usual)
}
