//! The floors of ARCHITECTURE.md: which folder of `pipeline/` may use which, and which crates only one of them knows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder, the floors below it that it may use, and the crates that only folders which name them may use.
/// `error` and `signal` are the ground floor: everybody stands on it.
const FLOORS: [(&str, &[&str], &[&str]); 17] = [
    ("error", &[], &[]),
    ("signal", &[], &[]),
    ("files", &[], &["rustix"]),
    ("watch", &[], &["opentelemetry", "opentelemetry_otlp", "opentelemetry_sdk"]),
    ("log", &["files"], &["crc32c"]),
    ("batch", &[], &[]),
    ("decode", &["batch"], &["opentelemetry_proto"]),
    ("config", &[], &["toml"]),
    ("webhook", &["config"], &["opentelemetry_proto"]),
    ("receive", &["decode", "watch", "config"], &["hyper", "hyper_util", "tonic"]),
    ("sandbox", &["batch", "config", "watch"], &["wasmtime", "wit_component"]),
    ("chain", &["sandbox", "batch", "watch", "config"], &[]),
    ("tables", &["batch", "config"], &[]),
    ("write", &["tables", "watch", "config", "files"], &["parquet", "object_store"]),
    ("demo", &[], &["opentelemetry_proto"]),
    (
        "run",
        &[
            "files", "watch", "batch", "decode", "config", "webhook", "log", "receive", "sandbox", "chain", "tables",
            "write", "demo",
        ],
        &[],
    ),
    ("doctor", &["files", "log", "config", "chain", "write", "run"], &[]),
];

/// Crates that are fenced: known in the folders of the table that name them, and nowhere else.
fn fenced() -> BTreeSet<&'static str> {
    FLOORS.iter().flat_map(|(_, _, crates)| crates.iter().copied()).collect()
}

/// A source file: the folder or file of `pipeline/` that it is, its path, and its code without comments.
struct Source {
    floor: String,
    path: PathBuf,
    code: String,
}

/// Everything in `pipeline/` but the program, which stands above all floors, and what only tests compile.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipeline");
    let mut found = Vec::new();
    let mut left = vec![root.clone()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let within = path.strip_prefix(&root).unwrap();
        let first = within.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let is_test = within.iter().any(|part| part == "tests" || part == "tests.rs");
        let above = ["main", "commands", "lib"].contains(&first.as_str());
        if path.extension().is_some_and(|extension| extension == "rs") && !is_test && !above {
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { floor: first, path, code: code(&text) });
        }
    }
    assert!(found.len() > 50, "only {} files were found", found.len());
    found
}

/// The text without comments and without a module of tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first names of all paths that begin with `crate::`, those within braces too.
fn floors_used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let after = &code[at + "crate::".len()..];
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        match after.strip_prefix('{') {
            None => drop(used.insert(name(after))),
            Some(list) => used.extend(first_level(list)),
        }
    }
    used
}

/// The name that a text begins with.
fn name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The names that begin the items of a list in braces, not those within the braces of its items.
fn first_level(list: &str) -> Vec<String> {
    let (mut depth, mut items, mut start) = (0, Vec::new(), 0);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                items.push(name(&list[start..at]));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

/// Whether a crate is named: `krate::`, or `use krate`.
fn uses_crate(code: &str, krate: &str) -> bool {
    code.match_indices(krate).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let within = before.is_some_and(|before| before.is_alphanumeric() || "_:.\"".contains(before));
        let after = &code[at + krate.len()..];
        !within && (after.starts_with("::") || after.starts_with(';') && code[..at].trim_end().ends_with("use"))
    })
}

#[test]
fn the_reader_of_paths_finds_what_it_should() {
    let found = floors_used("use crate::{Error, batch::{Batch, value}, config};\nlet x = crate::watch::text();");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["Error", "batch", "config", "watch"]);
    assert!(uses_crate("use hyper::service;", "hyper") && uses_crate("let x: tonic::Code;", "tonic"));
    assert!(!uses_crate("use hyper_util::rt;", "hyper") && !uses_crate("self.parquet::x", "parquet"));
}

#[test]
fn every_folder_is_in_the_table() {
    let known: BTreeSet<&str> = FLOORS.iter().map(|(floor, ..)| *floor).collect();
    let found: BTreeSet<String> = sources().into_iter().map(|source| source.floor).collect();
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
}

#[test]
fn a_folder_uses_only_the_floors_that_the_table_allows() {
    let names: BTreeSet<&str> = FLOORS.iter().map(|(floor, ..)| *floor).collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((_, allowed, _)) = FLOORS.iter().find(|(floor, ..)| *floor == source.floor) else { continue };
        for used in floors_used(&source.code).iter().filter(|used| names.contains(used.as_str())) {
            let own = *used == source.floor || ["error", "signal"].contains(&used.as_str());
            if !own && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "not allowed by the table of floors:\n{}", wrong.join("\n"));
}

#[test]
fn a_fenced_crate_is_known_in_its_folder_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((_, _, own)) = FLOORS.iter().find(|(floor, ..)| *floor == source.floor) else { continue };
        for krate in fenced().into_iter().filter(|krate| !own.contains(krate)) {
            if uses_crate(&source.code, krate) {
                wrong.push(format!("{} uses {krate}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "outside of its fence:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_of_floors_has_no_way_up() {
    for (at, (floor, allowed, _)) in FLOORS.iter().enumerate() {
        for below in *allowed {
            let of = FLOORS.iter().position(|(name, ..)| name == below);
            assert!(of.is_some_and(|of| of < at), "{floor} stands on {below}, which is not below it");
        }
    }
}

#[test]
fn the_table_is_the_one_of_the_architecture() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    for (floor, allowed, _) in FLOORS.iter().filter(|(floor, ..)| !["error", "signal", "run"].contains(floor)) {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{floor}/` |")));
        let row = row.unwrap_or_else(|| panic!("{floor} is not in ARCHITECTURE.md"));
        let cell = row.split('|').nth(3).unwrap();
        // `decode::json (text only)` is the floor `decode`; the ground floor need not be said.
        let said: BTreeSet<String> = cell.split(',').map(name).filter(|name| !name.is_empty()).collect();
        let said: BTreeSet<&str> =
            said.iter().map(String::as_str).filter(|name| !["error", "signal"].contains(name)).collect();
        assert_eq!(said, allowed.iter().copied().collect(), "what {floor} may use");
    }
}
