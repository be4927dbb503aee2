//! The program as a person meets it: what it says, what it leaves, how it ends.

mod service;

use prost::Message;
use service::program::{Program, output, printed, signal, weir};
use service::samples::Samples;
use service::{http, rows};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::tempdir;

fn send_logs(to: std::net::SocketAddr, count: usize) {
    let logs = (0..count).map(|number| service::log(&format!("line {number}"))).collect();
    assert_eq!(http::post(to, "/v1/logs", &service::logs(logs).encode_to_vec()).status, 200);
}

// ---- run

#[test]
fn without_a_configuration_it_listens_on_the_ports_of_otlp_and_writes_data() {
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    if !free(4317) || !free(4318) {
        eprintln!("skipped: port 4317 or 4318 of this machine is in use");
        return;
    }
    let folder = tempdir().unwrap();
    let program = Program::start_as(weir(folder.path(), &["run"]));
    assert_eq!(
        (program.grpc.to_string(), program.http.to_string()),
        ("127.0.0.1:4317".into(), "127.0.0.1:4318".into())
    );
    send_logs(program.http, 3);
    let (status, said) = program.terminate();
    assert!(status.success(), "{said}");
    assert_eq!(rows::read(&folder.path().join("data"), "logs").len(), 3);
}

#[test]
fn a_request_to_terminate_writes_everything_and_prints_the_account() {
    let folder = tempdir().unwrap();
    // No epoch ends by itself before the test does.
    let program = Program::start(folder.path(), "[write]\nepoch = \"1h\"\nfirst_epoch = \"1h\"\n");
    send_logs(program.http, 1_000);
    let spans = (0..500).map(|number| service::span(number, "work")).collect();
    assert_eq!(http::post(program.http, "/v1/traces", &service::traces(spans).encode_to_vec()).status, 200);
    assert!(rows::files(&folder.path().join("data"), "logs").is_empty(), "an hour has not passed");
    let (status, said) = program.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    let data = folder.path().join("data");
    assert_eq!((rows::read(&data, "logs").len(), rows::read(&data, "spans").len()), (1_000, 500));
    for part in ["1,000 logs", "500 spans", "1,000 rows to logs", "500 rows to spans"] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    let staged = rows::files(&data, "_staging");
    assert!(staged.is_empty(), "left behind: {staged:?}");
}

#[test]
fn a_first_file_is_there_some_seconds_after_the_first_row() {
    let folder = tempdir().unwrap();
    let program = Program::start(folder.path(), "");
    let sent = Instant::now();
    send_logs(program.http, 1);
    let data = folder.path().join("data");
    while rows::files(&data, "logs").is_empty() {
        assert!(sent.elapsed() < Duration::from_secs(20), "no file after 20 s");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The first epoch is 2 s; whoever waits longer waits for the 60 s of the others.
    assert!(sent.elapsed() > Duration::from_millis(1_000), "{:?}", sent.elapsed());
    assert_eq!(rows::read(&data, "logs").len(), 1, "what is visible is whole");
}

#[test]
fn a_second_weir_on_the_same_folder_is_refused_with_the_first_ones_name() {
    let folder = tempdir().unwrap();
    let first = Program::start(folder.path(), "");
    let second = output(folder.path(), &["run", "-c", "weir.toml"]);
    let said = printed(&second.stderr);
    assert!(!second.status.success(), "{said}");
    assert!(said.contains(&first.id().to_string()), "the holder, process {}, is not named:\n{said}", first.id());
    send_logs(first.http, 2);
    let (status, _) = first.terminate();
    assert!(status.success(), "the first goes on");
    assert_eq!(rows::read(&folder.path().join("data"), "logs").len(), 2);

    // The lock goes with its holder: the third is not refused.
    let third = Program::start(folder.path(), "");
    send_logs(third.http, 1);
    assert!(third.terminate().0.success());
    assert_eq!(rows::read(&folder.path().join("data"), "logs").len(), 3, "no file of the first is overwritten");
}

#[test]
fn the_folder_of_a_killed_weir_can_be_used_again() {
    let folder = tempdir().unwrap();
    let first = Program::start(folder.path(), "");
    drop(first);
    let second = Program::start(folder.path(), "");
    send_logs(second.http, 1);
    assert!(second.terminate().0.success());
    assert_eq!(rows::read(&folder.path().join("data"), "logs").len(), 1);
}

#[test]
fn a_port_in_use_is_named_with_the_key_that_sets_it() {
    let folder = tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = format!("[receive]\ngrpc = \"{address}\"\nhttp = \"127.0.0.1:0\"\n");
    std::fs::write(folder.path().join("weir.toml"), text).unwrap();
    let done = output(folder.path(), &["run", "-c", "weir.toml"]);
    let said = printed(&done.stderr);
    assert!(!done.status.success());
    for part in [address.as_str(), "receive.grpc", "in use"] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
}

/// Rows that the workers cannot write keep it from ending: more than the memory that the writer has for them.
#[test]
fn whoever_stops_it_while_the_disk_takes_nothing_is_told_why_it_waits_and_ends_it_by_asking_again() {
    const MIB: usize = 1 << 20;
    let folder = tempdir().unwrap();
    let mut program = Program::start(folder.path(), "[write]\nepoch = \"1h\"\nfirst_epoch = \"1h\"\n");
    let (staging, away) = (folder.path().join("data/_staging"), folder.path().join("away"));
    std::fs::rename(&staging, &away).unwrap();
    let body = service::logs(vec![service::log(&"x".repeat(MIB))]).encode_to_vec();
    let mut taken = 0;
    let mut refused = false;
    while !refused {
        match http::post(program.http, "/v1/logs", &body).status {
            200 => taken += 1,
            other => refused = other == 503,
        }
        refused |= http::get(program.http, "/readyz").status == 503;
    }
    let is_told = |line: &str| line.starts_with("warning: the tables cannot be written: ") && line.contains("_staging");
    program.wait_for(is_told);

    signal(program.id(), "TERM");
    program.wait_for(|line| line.starts_with("stopping: "));
    program.wait_for(is_told);
    let hint = program.wait_for(|line| line.starts_with("still writing what is there; "));
    assert!(hint.contains("Ctrl-C or SIGTERM ends it at once"), "{hint}");
    let (status, said) = program.terminate();
    assert_eq!(status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("error: ended at once, as asked") && last.contains("is in the log"), "{said}");

    std::fs::rename(&away, &staging).unwrap();
    let next = Program::start(folder.path(), "");
    let (status, said) = next.terminate();
    assert!(status.success() && said.contains(&format!("recovered {taken} rows")), "{said}");
    assert_eq!(rows::read(&folder.path().join("data"), "logs").len(), taken);
}

#[test]
fn the_pages_say_how_it_is() {
    let folder = tempdir().unwrap();
    let program = Program::start(folder.path(), "");
    send_logs(program.http, 5);
    assert_eq!(http::get(program.http, "/healthz").status, 200);
    assert_eq!(http::get(program.http, "/readyz").status, 200);
    let page = http::get(program.http, "/metrics");
    assert!(page.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let samples = Samples::parse(&page.text());
    assert_eq!(samples.sum("weir_rows_received_total", &[("signal", "logs")]), 5);
    assert_eq!(samples.sum("weir_requests_total", &[("outcome", "accepted")]), 1);
    for family in ["weir_rows_pending", "weir_rows_written_total"] {
        assert!(page.text().contains(&format!("# TYPE {family} ")), "no {family} in\n{}", page.text());
    }
    assert_eq!(http::get(program.http, "/nothing").status, 404);
}

// ---- check

fn check(text: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("weir.toml"), text).unwrap();
    let done = output(folder.path(), &[&["check", "-c", "weir.toml"], arguments].concat());
    let (out, err) = (printed(&done.stdout), printed(&done.stderr));
    assert!(!folder.path().join("data").exists(), "check writes nothing");
    (done.status.code(), out, err)
}

const GOOD: &str = "[[plugin]]\nuse = \"sample\"\nsignals = [\"spans\"]\nconfig = { keep = 0.1 }\n";

#[test]
fn check_prints_what_each_plugin_reads_writes_and_may_use() {
    let (code, out, err) = check(GOOD, &[]);
    assert_eq!(code, Some(0), "{err}");
    for part in ["sample", "trace_id", "adjusted_count", "weir:plugin/", "spans"] {
        assert!(out.contains(part), "no {part:?} in\n{out}");
    }
}

#[test]
fn check_prints_json_for_programs() {
    let (code, out, err) = check(GOOD, &["--json"]);
    assert_eq!(code, Some(0), "{err}");
    let read: serde_json::Value = serde_json::from_str(&out).unwrap();
    let plugin = &read["plugins"][0];
    assert_eq!((plugin["name"].as_str(), plugin["stateful"].as_bool()), (Some("sample"), Some(false)), "{out}");
    assert!(plugin["reads"].as_array().unwrap().iter().any(|column| column == "trace_id"), "{out}");
}

#[test]
fn check_points_at_a_mistake_like_a_compiler() {
    let (code, _, err) = check("[receive]\ngrpc = \"127.0.0.1:4317\"\nhtpp = \"127.0.0.1:4318\"\n", &[]);
    assert_eq!(code, Some(2), "a mistake in the configuration");
    for part in ["weir.toml:3:1", "htpp", "^^^^", "did you mean `http`?"] {
        assert!(err.contains(part), "no {part:?} in\n{err}");
    }
}

#[test]
fn check_lets_a_plugin_report_its_own_mistakes() {
    let (code, _, err) = check("[[plugin]]\nuse = \"sample\"\nconfig = { keep = 2.5 }\n", &[]);
    assert!(matches!(code, Some(1 | 2)), "{code:?}");
    for part in ["sample", "keep", "2.5"] {
        assert!(err.contains(part), "no {part:?} in\n{err}");
    }
}

#[test]
fn check_names_a_plugin_that_is_not_there_and_one_that_is_none() {
    let (code, _, err) = check("[[plugin]]\npath = \"mine.wasm\"\n", &[]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("mine.wasm"), "{err}");
    let (code, _, err) = check("[[plugin]]\npath = \"weir.toml\"\n", &[]);
    assert!(matches!(code, Some(1 | 2)), "{err}");
    assert!(err.contains("weir.toml"), "{err}");
}

// ---- plugin

#[test]
fn inspect_shows_that_a_shipped_plugin_imports_nothing_but_weirs_own() {
    let folder = tempdir().unwrap();
    for name in ["enrich", "sample", "redact"] {
        let done = output(folder.path(), &["plugin", "inspect", name, "--json"]);
        assert!(done.status.success(), "{}", printed(&done.stderr));
        let read: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        let imports = read["plugins"][0]["imports"].as_array().unwrap();
        assert!(!imports.is_empty(), "{name}");
        for import in imports {
            assert!(import.as_str().unwrap().starts_with("weir:plugin/"), "{name} imports {import}");
        }
    }
    let done = output(folder.path(), &["plugin", "inspect", "nobody"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(printed(&done.stderr).contains("enrich"), "the ones that there are, are named");
}

#[test]
fn a_new_plugin_builds_passes_its_own_test_and_runs() {
    let folder = tempdir().unwrap();
    let made = output(folder.path(), &["plugin", "new", "drop-fast"]);
    assert!(made.status.success(), "{}", printed(&made.stderr));
    // What it needs is there already, for Weir itself: nothing is downloaded.
    let tested =
        weir(folder.path(), &["plugin", "test", "drop-fast"]).env("CARGO_NET_OFFLINE", "true").output().unwrap();
    let (out, err) = (printed(&tested.stdout), printed(&tested.stderr));
    assert!(tested.status.success(), "{out}\n{err}");
    assert!(out.contains("test result: ok"), "{out}");
    assert!(out.contains("test result: ok. 1 passed"), "the new plugin has a test of its own: {out}");

    let module = folder.path().join("drop-fast/target/weir/drop-fast.wasm");
    assert!(module.is_file(), "{out}\n{err}");
    let program = Program::start(folder.path(), "[[plugin]]\npath = \"drop-fast/target/weir/drop-fast.wasm\"\n");
    let spans = (0..10).map(|number| service::span(number, "work")).collect();
    assert_eq!(http::post(program.http, "/v1/traces", &service::traces(spans).encode_to_vec()).status, 200);
    let (status, said) = program.terminate();
    assert!(status.success(), "{said}");

    let again = output(folder.path(), &["plugin", "new", "drop-fast"]);
    assert!(!again.status.success() && printed(&again.stderr).contains("drop-fast"), "nothing is overwritten");
}

#[test]
fn a_plugin_cannot_have_a_name_that_leads_elsewhere() {
    let folder = tempdir().unwrap();
    for name in ["../up", "Upper", "a/b", "", "1st"] {
        let done = output(folder.path(), &["plugin", "new", name]);
        assert_eq!(done.status.code(), Some(2), "{name:?}: {}", printed(&done.stderr));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

// ---- the rest

#[test]
fn the_demo_runs_and_leaves_tables() {
    let folder = tempdir().unwrap();
    let done = output(folder.path(), &["demo", "--scale", "0.02"]);
    let (out, err) = (printed(&done.stdout), printed(&done.stderr));
    assert!(done.status.success(), "{out}\n{err}");
    for table in ["spans", "logs", "metrics"] {
        assert!(!rows::files(&folder.path().join("data"), table).is_empty(), "no {table}: {out}\n{err}");
    }
    assert!(out.contains("data"), "it says where the files are: {out}");
}

/// What it has sent is more than the memory that the writer has for rows.
#[test]
fn a_demo_whose_disk_takes_nothing_says_why_it_waits_and_ends_when_it_is_asked_to() {
    let folder = tempdir().unwrap();
    let mut demo = Program::spawn(weir(folder.path(), &["demo", "--patience", "1"]));
    demo.wait_for(|line| line.starts_with("listening for OTLP/gRPC on "));
    std::fs::rename(folder.path().join("data/_staging"), folder.path().join("away")).unwrap();
    demo.wait_for(|line| line.starts_with("still writing what is there; "));
    signal(demo.id(), "INT");
    let (status, said) = demo.ended();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("warning: the tables cannot be written: "), "{said}");
    assert!(said.lines().last().unwrap().starts_with("error: ended at once, as asked"), "{said}");
}

/// Every option of a command, and what else its help has to say.
const OPTIONS: [(&[&str], &[&str]); 8] = [
    (&[], &["run", "demo", "check", "plugin", "--help", "--version"]),
    (&["run"], &["-c, --config <FILE>", "4317", "4318", "./data"]),
    (&["demo"], &["--to <FOLDER>", "--seed <SEED>", "--scale <SCALE>"]),
    (&["check"], &["-c, --config <FILE>", "--json"]),
    (&["plugin", "new"], &["<NAME>", "--lang <LANG>", "--sdk <FOLDER>"]),
    (&["plugin", "build"], &["[FOLDER]"]),
    (&["plugin", "test"], &["[FOLDER]"]),
    (&["plugin", "inspect"], &["<PLUGIN>", "--config <JSON>", "--json"]),
];

#[test]
fn help_mentions_every_option_and_describes_it() {
    for (command, options) in OPTIONS {
        let done = output(Path::new("."), &[command, &["--help"]].concat());
        assert!(done.status.success());
        let help = printed(&done.stdout);
        for option in options {
            assert!(help.contains(option), "no {option:?} in the help of {command:?}\n{help}");
        }
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with('-')) {
            // The description is beside the option, or below it.
            let beside = line.trim_start().split("  ").nth(1).is_some();
            let below = lines.get(at + 1).is_some_and(|next| next.starts_with("          "));
            assert!(beside || below, "{line:?} of {command:?} is not described");
        }
    }
}

#[test]
fn a_command_that_is_none_is_refused_with_the_nearest_one() {
    let done = output(Path::new("."), &["rum"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(printed(&done.stderr).contains("run"), "{}", printed(&done.stderr));
}
