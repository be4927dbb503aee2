//! The real program as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// A command of `weir` in that folder.
pub fn weir(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command of `weir` to its end.
pub fn output(folder: &Path, arguments: &[&str]) -> Output {
    weir(folder, arguments).output().unwrap()
}

/// What it printed, as text.
pub fn printed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sends a signal to a process, which may have ended.
pub fn signal(process: u32, signal: &str) {
    // `kill` of the shell: no other program has to be started at the right moment.
    let _ = Command::new("sh").args(["-c", &format!("kill -{signal} {process}")]).stderr(Stdio::null()).status();
}

/// A running `weir run`; ended when dropped.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

impl Program {
    /// Runs it with free ports and this configuration beside them, which begins with keys of `[receive]`.
    pub fn start(folder: &Path, configuration: &str) -> Self {
        let free = "[receive]\ngrpc = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n";
        std::fs::write(folder.join("weir.toml"), format!("{free}{configuration}")).unwrap();
        Self::start_as(weir(folder, &["run", "-c", "weir.toml"]))
    }

    /// Runs that command and waits until it listens.
    pub fn start_as(command: Command) -> Self {
        let mut program = Self::spawn(command);
        program.grpc = program.address("listening for OTLP/gRPC on ");
        program.http = program.address("listening for OTLP/HTTP on ");
        program
    }

    /// Runs that command, which has no addresses yet.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (to, lines) = sync_channel(1 << 16);
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody listens any more once the test has what it wants.
                let _ = to.send(line);
            }
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self { child, lines, said: Vec::new(), grpc: nowhere, http: nowhere }
    }

    /// Waits at most a minute until it listens; whether it does, or has ended before.
    pub fn listens(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(60);
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            let address = |prefix| line.strip_prefix(prefix).map(|address: &str| address.trim().parse().unwrap());
            self.grpc = address("listening for OTLP/gRPC on ").unwrap_or(self.grpc);
            self.http = address("listening for OTLP/HTTP on ").unwrap_or(self.http);
            self.said.push(line);
            if self.grpc.port() > 0 && self.http.port() > 0 {
                return true;
            }
        }
        assert!(Instant::now() < until, "it does not listen; it said\n{}", self.said.join("\n"));
        false
    }

    /// Waits until it ends, at most a minute; with what it said.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let until = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it does not end; it said\n{}", self.said.join("\n"));
            std::thread::sleep(Duration::from_millis(1));
        };
        // The thread that reads ends with the process, and the channel with it.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(5)) {
            self.said.push(line);
        }
        (status, std::mem::take(&mut self.said).join("\n"))
    }

    fn address(&mut self, prefix: &str) -> SocketAddr {
        let line = self.wait_for(|line| line.starts_with(prefix));
        line[prefix.len()..].trim().parse().unwrap()
    }

    /// Waits at most a minute for a line on stderr.
    pub fn wait_for(&mut self, good: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if good(&line) {
                        return line;
                    }
                }
                Err(error) => panic!("{error}; it said\n{}", self.said.join("\n")),
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that the process has had, in MiB.
    pub fn memory_mib_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Asks it to end, as a service manager does, and waits at most a minute; with what it said.
    pub fn terminate(self) -> (ExitStatus, String) {
        signal(self.id(), "TERM");
        self.ended()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already, or the test has failed: then nothing of it may be left running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
