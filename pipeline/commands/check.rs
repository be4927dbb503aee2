//! `weir check`: the configuration and every plugin in it, without starting anything.

use std::fmt::Write as _;
use std::path::Path;
use weir::Result;
use weir::config::{Destination, Source};
use weir::run::{Checked, check};

pub(crate) fn run(path: Option<&Path>, json: bool) -> Result<()> {
    let config = super::configuration(path)?;
    let checked = check(&config)?;
    if json {
        println!("{:#}", as_json(&checked));
        return Ok(());
    }
    println!("{}: good\n", path.map_or_else(|| "the default configuration".into(), |path| path.display().to_string()));
    let address = |address: Option<std::net::SocketAddr>| address.map_or_else(|| "off".into(), |at| at.to_string());
    println!("receives  gRPC {}, HTTP {}", address(config.receive.grpc), address(config.receive.http));
    match &config.write.to {
        Destination::Local(path) => println!("writes    {}", path.display()),
        Destination::S3 { bucket, prefix } => println!("writes    s3://{bucket}/{prefix}"),
    }
    println!("plugins   {}\n", if checked.is_empty() { "none" } else { "in this order" });
    for plugin in &checked {
        println!("{}", describe(plugin));
    }
    Ok(())
}

/// What a plugin is and does, for people.
pub(crate) fn describe(plugin: &Checked) -> String {
    let contract = &plugin.contract;
    let source = match &plugin.source {
        Source::Shipped(name) => format!("shipped plugin {name}"),
        Source::File(path) => path.display().to_string(),
    };
    let mut out = String::new();
    let mut line = |what: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(out, "  {what:<9} {}", if value.is_empty() { "nothing" } else { value });
    };
    let names = |all: &[String]| all.join(", ");
    line("is", &format!("{} {}, {source}", contract.name, contract.version));
    if !contract.summary.is_empty() {
        line("does", &contract.summary);
    }
    line("signals", &contract.signals.iter().map(|signal| signal.name().to_owned()).collect::<Vec<_>>().join(", "));
    line(
        "reads",
        &if contract.reads.iter().any(|path| path == "*") { "any column".into() } else { names(&contract.reads) },
    );
    line(
        "writes",
        &names(&contract.writes.iter().map(|c| format!("{} ({})", c.name, c.column_type)).collect::<Vec<_>>()),
    );
    for table in &contract.tables {
        let columns: Vec<_> = table.columns.iter().map(|column| column.name.clone()).collect();
        line("emits", &format!("table {}: {}", table.name, columns.join(", ")));
    }
    line(
        "keeps",
        if contract.stateful { "state: runs on one instance, in order" } else { "no state: runs on every core" },
    );
    line("on error", plugin.on_error);
    line("may use", &plugin.imports.join(", "));
    format!("{}\n{out}", plugin.name)
}

/// The same for programs.
pub(crate) fn as_json(checked: &[Checked]) -> serde_json::Value {
    let plugin = |plugin: &Checked| {
        let contract = &plugin.contract;
        serde_json::json!({
            "name": plugin.name,
            "plugin": contract.name,
            "version": contract.version,
            "summary": contract.summary,
            "signals": contract.signals.iter().map(|signal| signal.name()).collect::<Vec<_>>(),
            "reads": contract.reads,
            "writes": contract.writes.iter().map(|column| serde_json::json!({
                "column": column.name, "type": column.column_type.to_string(), "description": column.description,
            })).collect::<Vec<_>>(),
            "emits": contract.tables.iter().map(|table| serde_json::json!({
                "table": table.name,
                "columns": table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "stateful": contract.stateful,
            "on_error": plugin.on_error,
            "imports": plugin.imports,
        })
    };
    serde_json::json!({ "plugins": checked.iter().map(plugin).collect::<Vec<_>>() })
}
