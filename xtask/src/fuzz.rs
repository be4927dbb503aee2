//! The fuzz targets of `fuzz/`, built with stable Rust: what libFuzzer needs is a pass of LLVM, which `rustc` runs when asked.

use std::process::Command;

use weir_build::Repository;

use crate::{cargo, run};

/// The pass that counts where execution went, with what libFuzzer reads of it. Only the target itself is built with it,
/// which holds the decoder: what it stands on is built as usual.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Builds the target and runs it for so many seconds on one core. What it has found interesting stays in
/// `target/fuzz/corpus`, an input that breaks something in `target/fuzz`.
pub(crate) fn decode(repository: &Repository, seconds: u64) -> Result<(), String> {
    let root = repository.root();
    let folder = root.join("target/fuzz");
    let (corpus, seeds) = (folder.join("corpus"), folder.join("seeds"));
    for folder in [&corpus, &seeds] {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut build = cargo(root);
    build.args(["rustc", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--bin", "decode"]);
    run(build.args(["--target-dir", "target/fuzz", "--"]).args(COVERAGE))?;
    let mut fuzz = Command::new(folder.join("release/decode"));
    fuzz.current_dir(&folder).env("WEIR_FUZZ_SEEDS", &seeds).args([&corpus, &seeds]);
    fuzz.arg(format!("-max_total_time={seconds}"));
    run(fuzz.args(["-max_len=4096", "-rss_limit_mb=4096", "-timeout=20", "-use_value_profile=1"]))
}
