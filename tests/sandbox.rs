//! What the sandbox lets in: imports, versions, sizes, configurations.

use weir::sandbox::{Contract, Engine, EngineOptions, Limits, Plugin};
use weir::{Kind, Result, Signal};

fn engine() -> Engine {
    Engine::new(&EngineOptions { cache: false, cache_dir: None }).expect("an engine")
}

fn guest(name: &str) -> Vec<u8> {
    std::fs::read(weir_build::guest(name).expect("the guest builds")).expect("the guest is there")
}

fn configured(name: &str, config: &str) -> Result<Contract> {
    Plugin::load(&engine(), name, &guest(name), &Limits::default())?.configure(config)
}

fn refusal(result: Result<impl std::fmt::Debug>) -> (Kind, String) {
    let error = result.expect_err("refused");
    (error.kind(), error.message().to_owned())
}

#[test]
fn a_plugin_imports_the_contract_and_nothing_else() {
    let plugin = Plugin::load(&engine(), "boundary", &guest("boundary"), &Limits::default()).expect("it loads");
    assert_eq!(plugin.imports(), ["weir:plugin/host@0.1.0"]);
}

#[test]
fn a_foreign_import_is_refused_by_name_with_the_cure() {
    let loaded = Plugin::load(&engine(), "foreign-import", &guest("foreign-import"), &Limits::default());
    let (kind, message) = refusal(loaded);
    assert_eq!(kind, Kind::Plugin);
    assert_eq!(
        message,
        "plugin `foreign-import`: it imports `env`, which Weir does not give: build it for wasm32-unknown-unknown, without \
         WASI (a plugin imports weir:plugin/columns and weir:plugin/host, and nothing else)"
    );
}

/// The module with every `from` in it replaced by `to`, which is as long.
fn patched(name: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = guest(name);
    let found: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, part)| *part == from.as_bytes()).map(|(at, _)| at).collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[test]
fn another_version_of_the_contract_is_refused_naming_both() {
    let module = patched("reads-one", "@0.1.0", "@0.9.0");
    let (_, message) = refusal(Plugin::load(&engine(), "old", &module, &Limits::default()));
    assert_eq!(
        message,
        "plugin `old`: it was built for the contract weir:plugin 0.9.0, and this Weir speaks 0.1.0: build it with the SDK \
         of this Weir"
    );
}

#[test]
fn a_module_that_is_no_plugin_is_refused() {
    let (_, message) = refusal(Plugin::load(&engine(), "empty", b"\0asm\x01\0\0\0", &Limits::default()));
    assert!(message.contains("it does not export `weir:plugin/plugin@0.1.0`, so it is no plugin"), "{message}");
    let (_, message) = refusal(Plugin::load(&engine(), "text", b"not wasm", &Limits::default()));
    assert!(message.starts_with("plugin `text`: it is not a WebAssembly module or component"), "{message}");
}

#[test]
fn no_truncated_module_brings_the_host_down() {
    let module = guest("error");
    for length in (0..module.len()).step_by(module.len() / 40) {
        refusal(Plugin::load(&engine(), "cut", &module[..length], &Limits::default()));
    }
}

#[test]
fn a_plugin_over_the_limit_of_size_is_refused() {
    let limits = Limits { component_bytes: 1024, ..Limits::default() };
    let (_, message) = refusal(Plugin::load(&engine(), "error", &guest("error"), &limits));
    assert!(message.ends_with(", and 1 KiB are allowed ([plugin.limits] component)"), "{message}");
}

#[test]
fn a_component_is_taken_as_it_is() {
    let mut encoder = wit_component::ComponentEncoder::default().module(&guest("reads-one")).expect("a module");
    let component = encoder.encode().expect("a component");
    let plugin = Plugin::load(&engine(), "reads-one", &component, &Limits::default()).expect("it loads");
    assert_eq!(plugin.configure("{}").expect("it starts").signals, [Signal::Spans]);
}

#[test]
fn mistakes_in_the_configuration_are_listed_with_their_keys() {
    let (kind, message) = refusal(configured("fails-configure", "{}"));
    assert_eq!(kind, Kind::Config);
    assert_eq!(
        message,
        "plugin `fails-configure`: `rules[2].pattern`: no regular expression: unclosed bracket; `limit`: 0, but it must be \
         at least 1"
    );
}

#[test]
fn a_plugin_says_what_it_is() {
    let contract = configured("counter", "{}").expect("it starts");
    assert_eq!(contract.name, "counter");
    assert_eq!(contract.signals, Signal::ALL);
    assert_eq!(contract.reads, ["time", "service_name"]);
    assert!(contract.stateful);
    assert_eq!(contract.tables.iter().map(|table| &*table.name).collect::<Vec<_>>(), ["running"]);
}

#[test]
fn compiled_code_is_kept_for_the_next_start() {
    let folder = tempfile::tempdir().expect("a directory");
    let options = EngineOptions { cache: true, cache_dir: Some(folder.path().join("compiled")) };
    for _ in 0..2 {
        let engine = Engine::new(&options).expect("an engine");
        Plugin::load(&engine, "error", &guest("error"), &Limits::default()).expect("it loads");
    }
    let kept = std::fs::read_dir(folder.path().join("compiled")).expect("the cache is there").count();
    assert!(kept > 0);
}
