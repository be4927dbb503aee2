//! The tasks of the repository that are not a plain cargo command: `cargo xtask help`.

#![forbid(unsafe_code)]

mod check;
mod disk;
mod fuzz;
mod instructions;
mod modules;
mod python;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use weir_build::Repository;

const HELP: &str = "\
cargo xtask TASK

  test              everything that has to pass: the WebAssembly toolchain, guests and plugins from source, the tests
                    of the workspace, the Python clients and readers
  lint              formatting and clippy, warnings denied
  plugins           builds plugins/* for WebAssembly and puts each module, with the digest of its sources, beside them
  plugins --check   whether the modules in plugins/* still belong to their sources
  guests            builds tests/guests/* and plugins/* from source into target/guests, where they are stale
  fuzz [SECONDS]    the decoder and prost on the same bytes, by libFuzzer on one core; 60 seconds unless it is said
  instructions      instructions per row of decoding and of the boundary, by callgrind, against those that are noted;
                    `--bless` notes them anew
  help              this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let start = Instant::now();
    let result = Repository::find().and_then(|repository| match arguments[..] {
        ["test"] => with_room(&repository, check::test),
        ["lint"] => with_room(&repository, check::lint),
        ["plugins"] => modules::build_plugins(&repository),
        ["plugins", "--check"] => modules::check_plugins(&repository),
        ["guests"] => modules::build_guests(&repository).map(|_| ()),
        ["instructions"] => instructions::check(&repository),
        ["instructions", "--bless"] => instructions::bless(&repository),
        ["fuzz"] => fuzz::decode(&repository, 60),
        ["fuzz", seconds] if seconds.parse::<u64>().is_ok() => fuzz::decode(&repository, seconds.parse().unwrap_or(60)),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!("no task \"{}\"\n\n{HELP}", arguments.join(" "))),
    });
    match result {
        Ok(()) => {
            say(&format!("done in {:.1} s", start.elapsed().as_secs_f64()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says before a task, and again after one that failed, that a disk has too little room: it is no error, for what is built already
/// needs no more, and a likely cause of whatever fails.
fn with_room(repository: &Repository, task: fn(&Repository) -> Result<(), String>) -> Result<(), String> {
    for short in disk::shortage(repository.root()) {
        say(&format!("warning: {short}"));
    }
    task(repository).map_err(|error| {
        let shorts = disk::shortage(repository.root()).into_iter().map(|short| format!("\nhint: {short}"));
        error + &shorts.collect::<String>()
    })
}

/// Tells what happens next. On stderr, where cargo's own progress is.
fn say(line: &str) {
    eprintln!("xtask: {line}");
}

/// A cargo command at the root of the repository, of the cargo that runs this task.
fn cargo(root: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root);
    // What cargo set for this task is not for the crates that it builds now.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command with its output going where this task's goes.
fn run(command: &mut Command) -> Result<(), String> {
    let line = command_line(command);
    say(&line);
    let status = command.status().map_err(|error| format!("`{line}` does not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})")) }
}

fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
