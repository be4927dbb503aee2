//! Running other programs: a clean environment, a time limit, output kept for the error message.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a program left behind.
pub(crate) struct Output {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// The output as the reason of an error: the end of what the program said, or that it said nothing.
    pub(crate) fn reason(&self) -> String {
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        match lines.len() {
            0 => "it failed and said nothing".into(),
            count => lines[count.saturating_sub(60)..].join("\n"),
        }
    }

    /// The line of the output that most likely says what is wrong, for a list of attempts.
    pub(crate) fn last_line(&self) -> String {
        let reason = self.reason();
        let telling = |line: &&str| line.starts_with("error") || line.starts_with("E:");
        reason.lines().find(telling).or(reason.lines().last()).unwrap_or_default().trim().to_owned()
    }
}

/// Runs `command` to its end, or ends it after `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{name} does not start: {error}"))?;
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let start = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| format!("cannot wait for {name}: {error}"))? {
            Some(status) => break status,
            None if start.elapsed() < limit => thread::sleep(Duration::from_millis(20)),
            None => {
                // Its readers are left alone: a grandchild may hold the pipes open for longer.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{name} did not finish within {} s", limit.as_secs()));
            }
        }
    };
    let text = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
    Ok(Output { success: status.success(), stdout: text(stdout), stderr: text(stderr) })
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Removes what an outer cargo, rustup or user set for another build: profiles, flags, wrappers, target directories.
/// What tells cargo and rustup where their things and their registries are, stays.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(belongs_to_another_build) {
            command.env_remove(name);
        }
    }
    command
}

fn belongs_to_another_build(name: &str) -> bool {
    const KEPT: [&str; 8] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
        "RUSTUP_",
        "RUST_BACKTRACE",
    ];
    // rustup's shims set it for what they start; the programs that are run here are the real ones.
    if name == "RUSTUP_TOOLCHAIN" {
        return true;
    }
    (name.starts_with("CARGO") || name.starts_with("RUST")) && !KEPT.iter().any(|kept| name.starts_with(kept))
}

/// The user's home directory, unless it is the root of the file system.
pub(crate) fn home() -> Option<std::path::PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute() && home.parent().is_some())
}

/// `PATH` with `first` before everything else.
pub(crate) fn path_with(first: &OsStr) -> std::ffi::OsString {
    let mut path = first.to_owned();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_an_outer_build_do_not_reach_the_inner_one() {
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_TARGET_DIR", "RUSTUP_TOOLCHAIN"] {
            assert!(belongs_to_another_build(name), "{name}");
        }
        for name in ["CARGO", "RUSTC", "CARGO_BUILD_TARGET", "CARGO_PROFILE_RELEASE_LTO", "CARGO_MANIFEST_DIR"] {
            assert!(belongs_to_another_build(name), "{name}");
        }
    }

    #[test]
    fn where_cargo_and_rustup_find_their_things_reaches_the_inner_build() {
        for name in ["CARGO_HOME", "RUSTUP_HOME", "CARGO_HTTP_PROXY", "CARGO_REGISTRIES_MINE_INDEX", "PATH", "HOME"] {
            assert!(!belongs_to_another_build(name), "{name}");
        }
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let start = Instant::now();
        let error = run(Command::new("sleep").arg("60"), Duration::from_millis(50)).err();
        assert_eq!(error.as_deref(), Some("sleep did not finish within 0 s"));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_failing_program_is_quoted() {
        let output =
            run(Command::new("sh").args(["-c", "echo first; echo second >&2; exit 3"]), Duration::from_secs(30));
        let output = output.expect("sh runs");
        assert!(!output.success);
        assert_eq!((output.reason().as_str(), output.stdout.as_str()), ("second", "first\n"));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("/nonexistent/program"), Duration::from_secs(1)).err().unwrap_or_default();
        assert!(error.starts_with("/nonexistent/program does not start"), "{error}");
    }
}
