//! The tests that need Python: the OpenTelemetry SDK as a client, DuckDB, pyarrow and Polars as readers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use weir_build::{MODULES_VARIABLE, Repository};

use crate::{cargo, run, say};

/// Runs `tests/python` in an environment of its own, `target/venv`. Without Python, and without the right to install
/// it, these tests are skipped, and that is said.
pub(crate) fn test(repository: &Repository, modules: &Path) -> Result<(), String> {
    let root = repository.root();
    if !has_tests(&root.join("tests/python")) {
        say("no tests in tests/python");
        return Ok(());
    }
    if !has_python() && !install_python() {
        say("SKIPPED tests/python: no python3 with venv and pip here, and not root to install it");
        say("  sudo apt-get install python3 python3-venv python3-pip   and run this again");
        return Ok(());
    }
    let python = environment(root)?;
    // The program as the tests of Rust have it: `build` would compile everything once more, with fewer features.
    run(cargo(root).args(["test", "--quiet", "--workspace", "--no-run"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let program = root.join(target).join("debug/weir");
    let mut pytest = Command::new(python);
    // With the reasons of those that are skipped.
    pytest.args(["-m", "pytest", "-q", "-rs", "tests/python"]).current_dir(root);
    run(pytest.env(MODULES_VARIABLE, modules).env("WEIR_PROGRAM", program))
}

fn has_tests(folder: &Path) -> bool {
    let names = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.to_str().is_some_and(|name| name.starts_with("test_") && name.ends_with(".py")))
}

/// The interpreter of `target/venv`, with what `requirements.txt` names; made anew when that changes.
fn environment(root: &Path) -> Result<PathBuf, String> {
    let requirements = root.join("tests/python/requirements.txt");
    let wanted = fs::read(&requirements).map_err(|error| format!("{}: {error}", requirements.display()))?;
    let folder = root.join("target/venv");
    let (python, installed) = (folder.join("bin/python"), folder.join("requirements.txt"));
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) && succeeds(&mut Command::new(&python)) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements))?;
    fs::write(&installed, wanted).map_err(|error| format!("{}: {error}", installed.display()))?;
    Ok(python)
}

fn has_python() -> bool {
    // Debian splits what makes a venv with pip into a package of its own.
    succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}

/// Installs Python with apt-get as root; false where that is not possible.
fn install_python() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()))
    };
    let packages = ["install", "--yes", "--no-install-recommends", "python3", "python3-venv", "python3-pip"];
    root && apt(&["update"]).and_then(|()| apt(&packages)).is_ok() && has_python()
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
