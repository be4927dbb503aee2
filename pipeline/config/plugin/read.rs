//! Reads `[[plugin]]`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::{LIMITS, Limits, OnError, Plugin, SECTION, SHIPPED, Source, json};
use crate::Signal;
use crate::config::fault::Fault;
use crate::config::nearest::nearest;
use crate::config::table::{Node, Reader, short};
use crate::config::values::{self, GIB, KIB, MIB, Wrong, kind};

/// How many plugins a chain may have.
const PLUGINS_MAX: usize = 100;

/// The chain, if the document has one.
pub(in crate::config) fn read_chain(reader: &mut Reader<'_>, root: &Node<'_>) -> Option<Vec<Plugin>> {
    let value = root.table.get("plugin")?;
    let Some(elements) = value.get_ref().as_array() else {
        let message = format!("`plugin` is {}, not an array of tables", kind(value.get_ref()));
        let help = "write `[[plugin]]`, with two brackets on either side; `plugin = []` is no plugins at all";
        reader.fault(value.span(), Fault::new(message).expected("a `[[plugin]]` for each plugin").help(help));
        return None;
    };
    if elements.len() > PLUGINS_MAX {
        let message = format!("the chain has {} plugins, above the most, {PLUGINS_MAX}", elements.len());
        let at = elements[PLUGINS_MAX].span();
        reader.fault(at, Fault::new(message).expected(format!("at most {PLUGINS_MAX} plugins")).help("join some"));
        return None;
    }
    let mut plugins = Vec::new();
    let mut names: BTreeMap<String, Range<usize>> = BTreeMap::new();
    for element in elements.iter() {
        let Some(node) = reader.element(&SECTION, element) else { continue };
        let Some(plugin) = read_plugin(reader, &node) else { continue };
        let at = ["name", "use", "path"].into_iter().find(|key| node.table.contains_key(*key)).unwrap_or("use");
        let at = reader.place_of(&node, at);
        if let Some(first) = names.get(&plugin.name) {
            let message =
                format!("two plugins are called `{}`; the first is on line {}", plugin.name, reader.line(first));
            let help = format!("call one of them something else: `name = \"{}-2\"`", plugin.name);
            reader.fault(at, Fault::new(message).expected("a name of its own for each plugin").help(help));
        } else {
            names.insert(plugin.name.clone(), at);
        }
        plugins.push(plugin);
    }
    Some(plugins)
}

fn read_plugin(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Plugin> {
    let mut plugin = read_source(reader, node);
    let mut named = None;
    reader.set(node, "name", &mut named, |value| name(values::text(value, NAME)?).map(|name| Some(name.to_owned())));
    let mut rest = Plugin::shipped("");
    reader.set(node, "signals", &mut rest.signals, |value| signals(value).map(Some));
    reader.set(node, "config", &mut rest.config, |value| match value {
        DeValue::Table(table) => json::object(table),
        other => Err(Wrong::new(format!("is {}, not a table", kind(other)), "a table, as `{ keep = 0.1 }`")),
    });
    let config = std::mem::take(&mut rest.config);
    reader.set(node, "files", &mut rest.files, |value| files(value, |key| config.contains_key(key)));
    reader.set(node, "on_error", &mut rest.on_error, |value| on_error(value).map(Some));
    read_limits(reader, node, &mut rest.limits);
    if plugin.is_some() && named.is_none() && !node.table.contains_key("name") {
        named = default_name(reader, node, plugin.as_ref());
    }
    Some(Plugin { name: named?, source: plugin.take()?, config, ..rest })
}

fn read_source(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Source> {
    match (node.table.get("use"), node.table.get("path")) {
        (Some(_), Some(path)) => {
            let fault = Fault::new("the plugin has both `use` and `path`")
                .expected("one of them")
                .help("`use` names a shipped plugin, `path` a file of your own: remove the one that you do not mean");
            reader.fault(path.span(), fault);
            None
        }
        (None, None) => {
            let fault = Fault::new("the plugin has neither `use` nor `path`")
                .expected("one of them")
                .help("name a shipped plugin, `use = \"sample\"`, or a file of your own, `path = \"./mine.wasm\"`");
            reader.fault(node.at.clone(), fault);
            None
        }
        (Some(_), None) => {
            let mut source = None;
            reader.set(node, "use", &mut source, |value| shipped(value).map(Some));
            source
        }
        (None, Some(_)) => {
            let mut source = None;
            reader.set(node, "path", &mut source, |value| {
                path(value, "the path of a component or module of WebAssembly").map(|path| Some(Source::File(path)))
            });
            source
        }
    }
}

fn shipped(value: &DeValue<'_>) -> Result<Source, Wrong> {
    let listed = SHIPPED.map(|name| format!("\"{name}\"")).join(", ");
    let expected = format!("a shipped plugin: one of {listed}");
    let seen = values::text(value, &expected)?;
    if SHIPPED.contains(&seen) {
        return Ok(Source::Shipped(seen.to_owned()));
    }
    let wrong = Wrong::new(format!("is \"{}\", which is not a shipped plugin", short(seen)), expected);
    let is_path = seen.contains(['/', '\\']) || seen.ends_with(".wasm");
    Err(match nearest(seen, SHIPPED) {
        Some(meant) => wrong.help(format!("did you mean \"{meant}\"?")),
        None if is_path => wrong.help(format!("a plugin of your own: `path = \"{}\"`", short(seen))),
        None => wrong.help(format!("a plugin of your own: `path = \"./{}.wasm\"`", short(seen))),
    })
}

const NAME: &str = "letters, digits, dots, hyphens and underscores, 64 at most";

fn name(seen: &str) -> Result<&str, Wrong> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=64).contains(&seen.len()) && seen.bytes().all(good) {
        return Ok(seen);
    }
    Err(Wrong::new(format!("is \"{}\", which cannot name a plugin", short(seen)), NAME))
}

/// What a plugin is called that the file gives no name.
fn default_name(reader: &mut Reader<'_>, node: &Node<'_>, source: Option<&Source>) -> Option<String> {
    let path = match source? {
        Source::Shipped(name) => return Some(name.clone()),
        Source::File(path) => path,
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    if name(&stem).is_ok() {
        return Some(stem.into_owned());
    }
    let message = format!("the name of the file, \"{}\", cannot name a plugin", short(&stem));
    let fault = Fault::new(message).expected(NAME).help("give it a name: `name = \"mine\"`");
    reader.fault(reader.place_of(node, "path"), fault);
    None
}

fn signals(value: &DeValue<'_>) -> Result<Vec<Signal>, Wrong> {
    let names = Signal::ALL.map(|signal| (signal.name(), signal));
    let expected = "an array of \"spans\", \"logs\", \"metrics\"";
    let mut seen = Vec::new();
    values::list(value, 16, expected, |value| {
        let signal = match value.as_str() {
            // What OTLP calls them.
            Some("trace" | "traces") => {
                Err(Wrong::new("is \"traces\"", expected).help("the rows of traces are \"spans\""))
            }
            _ => values::one_of(value, &names),
        }?;
        if seen.contains(&signal) {
            return Err(Wrong::new(format!("is \"{signal}\" again"), expected).help("remove it"));
        }
        seen.push(signal);
        Ok(signal)
    })
    .and_then(|signals| match signals.len() {
        0 => Err(Wrong::new("is empty: the plugin would never be called", expected)
            .help("remove `signals` for all that the plugin takes, or remove the plugin")),
        _ => Ok(signals),
    })
}

fn path(value: &DeValue<'_>, expected: &str) -> Result<PathBuf, Wrong> {
    let seen = values::text(value, expected)?;
    if seen.is_empty() || seen.contains('\0') {
        return Err(Wrong::new("is not a path", expected));
    }
    Ok(Path::new(seen).to_path_buf())
}

fn files(value: &DeValue<'_>, taken: impl Fn(&str) -> bool) -> Result<BTreeMap<String, PathBuf>, Wrong> {
    let expected = "a table of names and paths, as `{ inventory = \"owners.csv\" }`";
    let Some(table) = value.as_table() else {
        return Err(Wrong::new(format!("is {}, not a table", kind(value)), expected));
    };
    let read = |key: &str, value: &DeValue<'_>| {
        if taken(key) {
            let help = "the content of the file takes that name among the settings: rename one of them";
            return Err(Wrong::new(format!("has `{}`, which `config` has too", short(key)), expected).help(help));
        }
        path(value, "the path of a file").map_err(|mut wrong| {
            wrong.problem = format!("has `{}`, which {}", short(key), wrong.problem);
            wrong
        })
    };
    let each = table.iter().map(|(key, value)| {
        let path = read(key.get_ref(), value.get_ref()).map_err(|mut wrong| {
            wrong.at = Some(value.span());
            wrong
        })?;
        Ok((key.get_ref().to_string(), path))
    });
    each.collect()
}

fn on_error(value: &DeValue<'_>) -> Result<OnError, Wrong> {
    let names = [
        ("pass", OnError::Pass),
        ("drop", OnError::Drop),
        ("dead_letter", OnError::DeadLetter),
        ("stop", OnError::Stop),
    ];
    values::one_of(value, &names)
}

fn read_limits(reader: &mut Reader<'_>, plugin: &Node<'_>, limits: &mut Limits) {
    let Some(node) = reader.section(plugin, &LIMITS) else { return };
    // 4 GiB is all that a 32-bit module can address; below 1 MiB not even an empty one in Rust starts.
    reader.set(&node, "memory", &mut limits.memory_bytes_max, |value| values::size(value, MIB..=4 * GIB));
    reader.set(&node, "time", &mut limits.call_time_max, |value| {
        values::time(value, Duration::from_millis(1)..=Duration::from_secs(60))
    });
    reader.set(&node, "rows_emitted", &mut limits.rows_emitted_max, |value| values::number(value, 0..=10_000_000));
    reader.set(&node, "state", &mut limits.state_bytes_max, |value| values::size(value, 0..=16 * GIB));
    reader.set(&node, "held_rows", &mut limits.held_rows_max, |value| values::number(value, 0..=100_000_000));
    reader.set(&node, "held", &mut limits.held_bytes_max, |value| values::size(value, 0..=16 * GIB));
    reader.set(&node, "held_age", &mut limits.held_age_max, |value| {
        values::time(value, Duration::from_secs(1)..=Duration::from_secs(7 * 86_400))
    });
    reader.set(&node, "held_overflow", &mut limits.held_overflow_passes, |value| {
        values::one_of(value, &[("pass", true), ("drop", false)])
    });
    reader.set(&node, "log_lines", &mut limits.log_lines_per_second_max, |value| values::number(value, 0..=100_000));
    reader.set(&node, "component", &mut limits.component_bytes_max, |value| values::size(value, KIB..=GIB));
}
