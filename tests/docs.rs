//! The documentation says what is so: its code is compiled and run, its tables are those of the program, its links lead
//! somewhere.
//!
//! `WEIR_BLESS=1 cargo test --test docs` writes the tables of columns and metrics anew.

#[path = "../docs/plugins/columns.rs"]
mod columns;
#[path = "../docs/plugins/drop_fast.rs"]
mod drop_fast;
#[path = "../docs/plugins/lists.rs"]
mod lists;
#[path = "../docs/plugins/masking.rs"]
mod masking;
#[path = "../docs/plugins/per_minute.rs"]
mod per_minute;
#[path = "../docs/plugins/wait_for_error.rs"]
mod wait_for_error;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use arrow_schema::{DataType, Field, TimeUnit};
use weir::Signal;
use weir::config::{Config, Destination, Plugin};
use weir::run::{Pipeline, check_plugin};
use weir::tables::{DESCRIPTION, DerivedTable, Mode, PluginColumn, TableOptions, Tables, is_json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page: those at the root, all below `docs`, and those of the shipped plugins.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    let mut folders = vec![root().join("docs"), root().join("plugins")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of docs") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The fenced blocks of that language, each with the line it begins at.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(fence) = line.strip_prefix("```") else { continue };
        let body: Vec<_> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        if fence == language {
            found.push((number + 1, body.join("\n")));
        }
    }
    found
}

/// The regions of the guide's sources, from `// guide: name` to `// guide: end`, without their indentation.
fn regions() -> BTreeMap<String, String> {
    let mut regions = BTreeMap::new();
    for entry in fs::read_dir(root().join("docs/plugins")).expect("the guide's sources") {
        let path = entry.expect("an entry").path();
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = read(&path);
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(name) = line.trim().strip_prefix("// guide: ") else { continue };
            let body: Vec<_> = lines.by_ref().take_while(|line| line.trim() != "// guide: end").collect();
            let indented = body.iter().filter(|line| !line.is_empty());
            let indent = indented.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
            let body: Vec<_> = body.iter().map(|line| line.get(indent..).unwrap_or_default()).collect();
            regions.insert(format!("{file}: {name}"), body.join("\n"));
        }
    }
    regions
}

#[test]
fn every_rust_block_is_a_region_of_code_that_is_tested_here() {
    let regions = regions();
    assert!(regions.len() >= 10, "only {} regions", regions.len());
    for page in pages() {
        for (line, block) in blocks(&read(&page), "rust") {
            let known = regions.values().any(|region| *region == block);
            assert!(known, "{}:{line} is in no file of docs/plugins:\n{block}", page.display());
        }
    }
}

#[test]
fn every_region_of_the_tested_code_is_shown_somewhere() {
    let shown: Vec<String> = pages().iter().flat_map(|page| blocks(&read(page), "rust")).map(|(_, b)| b).collect();
    for (name, region) in regions() {
        assert!(shown.contains(&region), "{name} is shown on no page");
    }
}

#[test]
fn every_toml_block_is_a_configuration_that_is_accepted() {
    for page in pages() {
        for (line, block) in blocks(&read(&page), "toml") {
            let read = Config::from_toml("weir.toml", &block);
            assert!(read.is_ok(), "{}:{line}:\n{}", page.display(), read.expect_err("not ok"));
        }
    }
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    for page in pages() {
        let text = read(&page);
        for (at, _) in text.match_indices("](") {
            let target = &text[at + 2..];
            let target = target.split_once(')').map_or(target, |(target, _)| target);
            let file = target.split_once('#').map_or(target, |(file, _)| file);
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let path = page.parent().expect("a folder").join(file);
            assert!(path.exists(), "{}: {target} leads nowhere", page.display());
        }
    }
}

#[test]
fn every_benchmark_and_example_that_is_named_exists() {
    for page in pages() {
        let text = read(&page);
        for (option, folder) in [("--bench ", "benches"), ("--example ", "examples")] {
            for (at, _) in text.match_indices(option) {
                let name: String =
                    text[at + option.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let path = root().join(folder).join(format!("{name}.rs"));
                let exists = path.is_file() || root().join(folder).join(&name).join("main.rs").is_file();
                assert!(exists, "{}: {option}{name}, but there is no {}", page.display(), path.display());
            }
        }
    }
}

#[test]
fn every_test_of_a_rule_of_the_kpis_exists() {
    let mut sources = String::new();
    let mut folders = vec![root().join("plugins/kpi/src"), root().join("tests/python")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of tests") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "py") {
                sources += &read(&path);
            }
        }
    }
    let page = read("docs/testing.md");
    let section = page.split("\n## ").find(|section| section.starts_with("The rules of the KPIs")).expect("a section");
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 30, "{} rules", rows.len());
    for row in rows {
        let tests = row.trim_matches('|').split_once('|').map_or("", |(_, tests)| tests);
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            let exists = sources.contains(&format!("fn {name}(")) || sources.contains(&format!("def {name}("));
            assert!(exists, "docs/testing.md names the test {name}, and there is none");
        }
    }
}

#[test]
fn the_two_first_pages_stay_short() {
    for (page, most) in [("README.md", 150), ("ARCHITECTURE.md", 300)] {
        let lines = read(page).lines().count();
        assert!(lines <= most, "{page} has {lines} lines, more than {most}");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let reasons = read("docs/decisions/dependencies.md");
    let plugins = ["enrich", "kpi", "redact", "sample", "tail-sample", "utilization"]
        .map(|plugin| format!("plugins/{plugin}/Cargo.toml"));
    let others = ["Cargo.toml", "sdk/Cargo.toml", "sdk/macros/Cargo.toml", "sdk/build/Cargo.toml", "xtask/Cargo.toml"];
    for manifest in others.map(str::to_owned).iter().chain(&plugins) {
        let manifest: toml::Table = read(manifest).parse().expect("a manifest");
        for section in ["dependencies", "dev-dependencies"] {
            for name in manifest.get(section).and_then(|section| section.as_table()).into_iter().flat_map(|t| t.keys())
            {
                assert!(
                    reasons.contains(&format!("`{name}`")),
                    "docs/decisions/dependencies.md has no reason for {name}"
                );
            }
        }
    }
}

/// Compares what stands between the marker and `<!-- end -->` with what belongs there, or writes it there.
fn check(page: &str, marker: &str, wanted: &str) {
    let text = read(page);
    let marker = format!("<!-- {marker} -->\n");
    let (before, rest) = text.split_once(&marker).unwrap_or_else(|| panic!("{page} has no {marker}"));
    let (found, after) = rest.split_once("<!-- end -->").unwrap_or_else(|| panic!("{page}: {marker} has no end"));
    if found == wanted {
        return;
    }
    if std::env::var_os("WEIR_BLESS").is_some() {
        fs::write(root().join(page), format!("{before}{marker}{wanted}<!-- end -->{after}")).expect("the page");
    } else {
        panic!("{page}, {marker}has\n{found}\nand should have\n{wanted}\n(WEIR_BLESS=1 writes it)");
    }
}

fn type_name(field: &Field) -> String {
    match field.data_type() {
        DataType::Timestamp(..) => "TIMESTAMP(ns, UTC)".to_owned(),
        DataType::Utf8 | DataType::Dictionary(..) if is_json(field) => "UTF8 (JSON)".to_owned(),
        DataType::Utf8 | DataType::Dictionary(..) => "UTF8".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Boolean => "BOOL".to_owned(),
        DataType::FixedSizeBinary(width) => format!("FIXED({width})"),
        DataType::List(item) if matches!(item.data_type(), DataType::Struct(_)) => "LIST<STRUCT>".to_owned(),
        DataType::List(item) => format!("LIST<{}>", type_name(item)),
        other => other.to_string().to_uppercase(),
    }
}

fn describe<'a>(fields: impl IntoIterator<Item = &'a Field>) -> String {
    let mut out = String::from("| column | type | meaning |\n|---|---|---|\n");
    let mut row = |name: &str, field: &Field| {
        let about = field.metadata().get(DESCRIPTION).unwrap_or_else(|| panic!("{name} has no description"));
        let _ = writeln!(out, "| `{name}` | {} | {} |", type_name(field), about.replace('|', "\\|"));
    };
    for field in fields {
        row(field.name(), field);
        if let DataType::List(item) = field.data_type()
            && let DataType::Struct(inner) = item.data_type()
        {
            inner.iter().for_each(|inner| row(&format!("{}[].{}", field.name(), inner.name()), inner));
        }
    }
    out
}

#[test]
fn every_column_of_every_table_is_listed_with_its_type_and_meaning() {
    let promote = Config::default().write.promote;
    let time_type = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let derived = DerivedTable { name: "derived".to_owned(), ..DerivedTable::default() };
    let at = PluginColumn { name: "at".to_owned(), data_type: time_type, json: false, description: String::new() };
    let upsert = DerivedTable {
        name: "upsert".to_owned(),
        columns: vec![at],
        time: Some("at".to_owned()),
        mode: Mode::Upsert,
        key: vec!["at".to_owned()],
    };
    let options = TableOptions { promote: promote.clone(), derived: vec![derived, upsert], ..TableOptions::default() };
    let tables = Tables::new(options).expect("the default tables");
    let fields = |table: &str| -> Vec<Field> {
        let schema = tables.schema(table).unwrap_or_else(|| panic!("no table {table}"));
        schema.fields().iter().map(|field| field.as_ref().clone()).collect()
    };
    let promoted = |field: &&Field| promote.iter().any(|promoted| promoted.column == *field.name());
    let spans = fields("spans");
    let common = spans.iter().skip(1).take_while(|field| *field.name() != "trace_id").count() + 1;

    for signal in Signal::ALL {
        let all = fields(signal.name());
        assert_eq!(all[1..common], spans[1..common], "{signal} begins with the common columns");
        let own = all.iter().enumerate().filter(|(at, field)| *at == 0 || *at >= common && !promoted(field));
        check("docs/tables.md", &format!("columns: {signal}"), &describe(own.map(|(_, field)| field)));
    }
    check("docs/tables.md", "columns: common", &describe(&spans[1..common]));
    check("docs/tables.md", "columns: promoted", &describe(spans.iter().filter(promoted)));
    check("docs/tables.md", "columns: dead letters", &describe(&fields("_dead_letter/spans")[spans.len()..]));
    check("docs/tables.md", "columns: derived", &describe(&fields("derived")));
    let upsert = fields("upsert");
    let own = |field: &&Field| field.name() != "at" && !fields("derived").contains(*field);
    check("docs/tables.md", "columns: upsert", &describe(upsert.iter().filter(own)));
}

#[test]
fn every_column_of_the_kpis_is_listed_with_its_type_and_meaning() {
    let mut tables = BTreeMap::new();
    for plugin in ["kpi", "utilization"] {
        let checked = check_plugin(&Plugin::shipped(plugin), root()).expect("a shipped plugin");
        for table in checked.contract.tables {
            let fields = table.columns.iter().map(|column| {
                let about = HashMap::from([(DESCRIPTION.to_owned(), column.description.clone())]);
                Field::new(&column.name, column.column_type.data_type(), true).with_metadata(about)
            });
            let fields: Vec<_> = fields.collect();
            let key: Vec<_> = table.key.iter().map(|column| format!("`{column}`")).collect();
            let (about, key) = (table.description.trim_end_matches('.'), key.join(", "));
            let text = format!("{about}. Key: {key}; the day is that of `{}`.\n\n{}", table.time, describe(&fields));
            tables.insert(table.name, (text, fields));
        }
    }
    let columns = |table: &str| tables[table].1.iter().map(Field::name).collect::<Vec<_>>();
    assert_eq!(columns("kpi_daily"), columns("kpi_hourly"), "they are listed once");
    for (table, (text, _)) in tables.iter().filter(|(table, _)| *table != "kpi_hourly") {
        check("docs/analysts.md", &format!("columns: {table}"), text);
    }
}

#[test]
fn every_metric_is_listed_with_its_meaning() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = Config::default();
    config.write.to = Destination::Local(folder.path().join("data"));
    let pipeline = Pipeline::builder().config(config).start().expect("a pipeline");
    let mut wanted = String::from("| metric | kind | meaning |\n|---|---|---|\n");
    for family in pipeline.metrics() {
        let kind = format!("{:?}", family.kind).to_lowercase();
        let _ = writeln!(wanted, "| `{}` | {kind} | {} |", family.name, family.help.replace('|', "\\|"));
    }
    assert!(pipeline.shutdown().failure.is_none());
    check("docs/operators.md", "metrics", &wanted);
}
