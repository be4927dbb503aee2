//! Any bytes through the decoder and through prost: the same rows or the same refusal, and a refused request leaves the rows
//! that were there as they were. `cargo xtask fuzz` runs it.
//!
//! The decoder is compiled in from its sources, so that the comparison of the property tests sees what is private, and
//! nothing else of Weir is built.

#![no_main]
#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    reason = "a part of the pipeline is compiled here, without who uses it"
)]

#[path = "../tests/otlp/arbitrary.rs"]
mod arbitrary;
#[path = "../pipeline/batch/mod.rs"]
mod batch;
#[path = "../pipeline/decode/mod.rs"]
mod decode;
#[path = "../pipeline/error.rs"]
mod error;
mod oracle;
#[path = "../pipeline/signal.rs"]
mod signal;

use error::{Error, Kind, Result};
use libfuzzer_sys::fuzz_target;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use prost::Message;
use signal::Signal;

/// Requests of each signal to begin with.
const SEEDS: usize = 64;

fuzz_target!(
    init: write_seeds(),
    |data: &[u8]| {
        // The signal, where the first of two requests ends, and both requests.
        let [selector, first, requests @ ..] = data else { return };
        let signal = Signal::ALL[usize::from(*selector) % Signal::ALL.len()];
        let (good, body) = requests.split_at(requests.len() * usize::from(*first) / 256);
        let good = if oracle::agree::by_prost(signal, good).is_ok() { good } else { &[] };
        oracle::agree::agree(signal, good, body);
    }
);

/// Puts requests as the property tests make them into the folder that `WEIR_FUZZ_SEEDS` names.
fn write_seeds() {
    let Ok(folder) = std::env::var("WEIR_FUZZ_SEEDS") else { return };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for seed in 0..SEEDS {
        let requests = [
            made(&mut runner, arbitrary::traces()).encode_to_vec(),
            made(&mut runner, arbitrary::logs()).encode_to_vec(),
            made(&mut runner, arbitrary::metrics()).encode_to_vec(),
        ];
        for (signal, request) in requests.into_iter().enumerate() {
            let input = [vec![signal as u8, 0], request].concat();
            std::fs::write(format!("{folder}/seed-{signal}-{seed}"), input).expect("the folder of the seeds");
        }
    }
}

fn made<T: std::fmt::Debug>(runner: &mut TestRunner, strategy: impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).expect("a request").current()
}
