//! A folder where weir ran, and what is done to it.

use super::service::program::{Program, output, printed};
use super::service::{self, NOON_NS, http, rows};
use prost::Message;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No epoch ends by itself before the test does.
pub(crate) const MANUAL: &str = "[write]\nepoch = \"1h\"\nfirst_epoch = \"1h\"\n";

/// A plugin that holds spans back until their trace is decided, and keeps those with errors.
pub(crate) const HELD: &str =
    "[[plugin]]\nuse = \"tail-sample\"\nname = \"tail\"\nconfig = { policies = [{ error = true }] }\n";

/// Where the rows of tests are, within their table.
pub(crate) const DAY: &str = "day=2026-03-03/hour=10";

const HOUR_NS: i64 = 3_600_000_000_000;

/// A folder with its configuration, `weir.toml`.
pub(crate) struct Place {
    folder: TempDir,
    configuration: String,
}

/// A running weir, and how many requests it has got.
pub(crate) struct Running(Program);

impl Running {
    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// So many requests, each with one record that says its number.
    pub(crate) fn send_logs(&self, count: usize) {
        for number in 0..count {
            self.post(
                "/v1/logs",
                &service::logs(vec![service::log(&format!("body of request {number}"))]).encode_to_vec(),
            );
        }
    }

    /// A request of one record of so many bytes.
    pub(crate) fn send_large_log(&self, number: usize, bytes: usize) {
        let body = format!("{number}{}", "x".repeat(bytes));
        self.post("/v1/logs", &service::logs(vec![service::log(&body)]).encode_to_vec());
    }

    /// A request of so many records, spread over an hour that many hours later than the others.
    pub(crate) fn send_logs_at(&self, count: i64, hours: i64) {
        let start = NOON_NS as i64 + hours * HOUR_NS - 600_000_000_000;
        let log = |number: i64| {
            let mut log = service::log(&format!("line {number}"));
            log.time_unix_nano = (start + number * 45_000_000_000 % 1_800_000_000_000) as u64;
            log
        };
        self.post("/v1/logs", &service::logs((0..count).map(log).collect()).encode_to_vec());
    }

    /// One request of spans.
    pub(crate) fn send_spans(&self, numbers: Range<u64>) {
        let spans = numbers.map(|number| service::span(number, "work")).collect();
        self.post("/v1/traces", &service::traces(spans).encode_to_vec());
    }

    fn post(&self, path: &str, body: &[u8]) {
        assert_eq!(http::post(self.0.http, path, body).status, 200);
    }
}

impl Place {
    /// A folder with that configuration behind free ports.
    pub(crate) fn new(configuration: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), configuration: configuration.to_owned() };
        let free = "[receive]\ngrpc = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n";
        fs::write(place.at("weir.toml"), format!("{free}{configuration}")).unwrap();
        place
    }

    /// A folder where a weir was killed after so many requests.
    pub(crate) fn crashed(configuration: &str, requests: usize) -> Self {
        let place = Self::new(configuration);
        place.crash(|running| running.send_logs(requests));
        place
    }

    /// Runs weir and kills it after what happens.
    pub(crate) fn crash(&self, meanwhile: impl FnOnce(&Running)) {
        meanwhile(&Running(Program::start(self.folder(), &self.configuration)));
    }

    /// A folder where a weir was killed that could not publish the two epochs it had committed.
    pub(crate) fn unpublished() -> Self {
        let place = Self::new("[write]\nepoch = \"100ms\"\nfirst_epoch = \"100ms\"\n");
        fs::create_dir(place.at("data")).unwrap();
        // A file in the place of a folder keeps every file out.
        fs::write(place.at("data/logs"), "").unwrap();
        let running = Running(Program::start(place.folder(), &place.configuration));
        for requests in 1..=2 {
            running.send_logs(requests);
            let until = Instant::now() + Duration::from_secs(30);
            while !place.has_epoch_of(requests * (requests + 1) / 2) {
                assert!(Instant::now() < until, "no epoch after 30 s");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        drop(running);
        fs::remove_file(place.at("data/logs")).unwrap();
        place
    }

    /// Whether there is a record up to that position of the log.
    fn has_epoch_of(&self, position: usize) -> bool {
        let records = self.all("data/_staging", ".record");
        records.iter().any(|path| fs::read_to_string(path).unwrap_or_default().contains(&format!("\"to\":{position},")))
    }

    /// Runs weir to its orderly end, with what happens meanwhile.
    pub(crate) fn run(&self, meanwhile: impl FnOnce(&Running)) {
        let running = Running(Program::start(self.folder(), &self.configuration_now()));
        meanwhile(&running);
        let (status, said) = running.0.terminate();
        assert!(status.success(), "{said}");
    }

    fn configuration_now(&self) -> String {
        let text = fs::read_to_string(self.at("weir.toml")).unwrap();
        text.splitn(4, '\n').nth(3).unwrap().to_owned()
    }

    /// Another configuration behind the same ports.
    pub(crate) fn configure(&self, configuration: &str) {
        let free = "[receive]\ngrpc = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n";
        fs::write(self.at("weir.toml"), format!("{free}{configuration}")).unwrap();
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.folder().join(path)
    }

    /// A command of weir: its exit code, what it printed, what it said.
    pub(crate) fn weir(&self, arguments: &[&str]) -> (i32, String, String) {
        let done = output(self.folder(), arguments);
        (done.status.code().unwrap_or(-1), printed(&done.stdout), printed(&done.stderr))
    }

    pub(crate) fn repair(&self, arguments: &[&str]) -> (i32, String, String) {
        self.weir(&[&["repair", "-c", "weir.toml"], arguments].concat())
    }

    /// What `weir doctor` prints is what stands in that file; its exit code.
    pub(crate) fn doctor(&self, name: &str) -> i32 {
        let (code, out, err) = self.weir(&["doctor", "-c", "weir.toml"]);
        self.assert_text(name, &format!("{out}{err}"));
        code
    }

    pub(crate) fn doctor_code(&self) -> i32 {
        let (code, out, err) = self.weir(&["doctor", "-c", "weir.toml"]);
        if code != 0 {
            eprintln!("{out}{err}");
        }
        code
    }

    /// The text is that of a file, but for sizes of files that come from an encoder.
    pub(crate) fn assert_text(&self, name: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor").join(format!("{name}.txt"));
        let text = text.lines().map(without_sizes).collect::<Vec<_>>().join("\n") + "\n";
        if std::env::var_os("WEIR_BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, expected, "{} says otherwise; WEIR_BLESS=1 writes it anew:\n{text}", path.display());
    }

    /// The numbers of the requests in the table of logs.
    pub(crate) fn bodies(&self) -> Vec<String> {
        let number = |row: &rows::Row| match &row["body"] {
            rows::Cell::Text(body) => body.trim_start_matches("body of request ").to_owned(),
            other => panic!("{other:?} is no body of a test"),
        };
        let mut bodies: Vec<String> = rows::read(&self.at("data"), "logs").iter().map(number).collect();
        bodies.sort();
        bodies
    }

    /// The files of a folder whose names end so, in their order.
    pub(crate) fn all(&self, folder: &str, end: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.at(folder)) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut found: Vec<PathBuf> = paths.filter(|path| path.to_string_lossy().ends_with(end)).collect();
        found.sort();
        found
    }

    pub(crate) fn only(&self, folder: &str, end: &str) -> PathBuf {
        let mut all = self.all(folder, end);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// Changes one bit of a file.
    pub(crate) fn flip(&self, path: &Path, at: usize) {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    /// Changes one bit of what stands in a file behind a text.
    pub(crate) fn flip_behind(&self, path: &str, text: &[u8]) {
        let path = self.at(path);
        let bytes = fs::read(&path).unwrap();
        let at = bytes.windows(text.len()).position(|window| window == text).expect("the text is in the file");
        self.flip(&path, at + text.len() - 1);
    }

    /// Every file with its bytes.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut left = vec![self.at("data")];
        let mut files = BTreeMap::new();
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    let bytes = fs::read(&path).unwrap();
                    files.insert(path, bytes);
                }
            }
        }
        files
    }
}

/// A line with `#` in the place of sizes: `   12.5 KiB` becomes `      # KiB`, `has 500 bytes` becomes `has # bytes`.
fn without_sizes(line: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for word in line.trim_end().split(' ') {
        if ["B", "KiB", "MiB", "GiB", "bytes,", "bytes", "B,", "KiB,"].contains(&word)
            && let Some(last) = out.last_mut().filter(|last| last.starts_with(|c: char| c.is_ascii_digit()))
        {
            // The width stays, so that columns do.
            let width = last.len();
            let spaces = out.iter().rev().skip(1).take_while(|word| word.is_empty()).count();
            let at = out.len() - 1;
            out[at] = "#".to_owned();
            if spaces > 0 {
                out[at] = format!("{}#", " ".repeat(width - 1));
            }
        }
        out.push(word.to_owned());
    }
    out.join(" ")
}
