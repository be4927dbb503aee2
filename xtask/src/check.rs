//! What has to pass before a change is taken.

use std::path::Path;

use weir_build::{MODULES_VARIABLE, Repository};

use crate::{cargo, instructions, modules, python, run, say};

/// The one test command. The parts run to their end also when an earlier one failed, so that one run shows all faults.
pub(crate) fn test(repository: &Repository) -> Result<(), String> {
    let guests = modules::build_guests(repository)?;
    let mut failures = Vec::new();
    let mut part = |result: Result<(), String>| failures.extend(result.err());

    part(modules::check_plugins(repository));
    let mut tests = cargo(repository.root());
    tests.args(["test", "--workspace", "--no-fail-fast"]).env(MODULES_VARIABLE, guests.folder());
    part(run(&mut tests));
    part(python::test(repository, guests.folder()));
    part(instructions::check(repository));

    if failures.is_empty() { Ok(()) } else { Err(failures.join("\nerror: ")) }
}

/// Formatting and lints, of the workspace and of the guests beside it.
pub(crate) fn lint(repository: &Repository) -> Result<(), String> {
    let root = repository.root();
    run(cargo(root).args(["fmt", "--all", "--check"]))?;
    run(cargo(root).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // Workspaces of their own, which their own tasks build: their form is checked alone.
    for beside in ["benches/instructions", "benches/peers", "benches/peers/otap", "fuzz"] {
        let manifest = format!("{beside}/Cargo.toml");
        run(cargo(root).args(["fmt", "--all", "--check", "--manifest-path", &manifest]))?;
    }
    let guests = Path::new("tests/guests/Cargo.toml");
    if !root.join(guests).is_file() {
        say("no tests/guests/Cargo.toml, no guests to lint");
        return Ok(());
    }
    run(cargo(root).args(["fmt", "--all", "--check", "--manifest-path"]).arg(guests))?;
    let mut clippy = cargo(root);
    clippy.args(["clippy", "--workspace", "--target-dir", "target", "--manifest-path"]).arg(guests);
    run(clippy.args(["--", "-D", "warnings"]))
}
