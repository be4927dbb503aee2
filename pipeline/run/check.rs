//! From settings to components: the plugins of the chain, the tables, the destination. `weir check` stops here.

use crate::chain::{Chain, Link};
use crate::config::{self, Attributes, Compression, Config, Source};
use crate::files::Files;
use crate::sandbox::{self, Contract, Engine, EngineOptions, Limits};
use crate::tables::{DerivedTable, Mode, PluginColumn, TableOptions, Tables};
use crate::write::{self, WriteOptions};
use crate::{Error, Result, Signal};
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::available_parallelism;

/// A plugin that was loaded and configured, and what it said of itself.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its name in the chain.
    pub name: String,
    /// Where it came from.
    pub source: Source,
    /// What it is and does.
    pub contract: Contract,
    /// What becomes of a batch on which it fails: `pass`, `drop`, `dead_letter` or `stop`.
    pub on_error: &'static str,
    /// Everything that it imports.
    pub imports: Vec<String>,
}

/// Loads and configures every plugin of a configuration, opens nothing and starts nothing.
pub fn check(config: &Config) -> Result<Vec<Checked>> {
    let (links, checked) = links(config)?;
    let chain = Chain::new(links, 1, std::sync::Arc::default())?;
    tables(config, &chain)?;
    Ok(checked)
}

/// Loads and configures one plugin; its files are looked for from `directory` on.
pub fn check_plugin(plugin: &config::Plugin, directory: &Path) -> Result<Checked> {
    Ok(link(&engine()?, plugin, directory)?.1)
}

/// The engine that compiles plugins, one for all pipelines of the process: compiled code and the one thread that
/// measures the time of calls are shared, and nothing else.
fn engine() -> Result<Engine> {
    static ENGINE: OnceLock<Result<Engine>> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&EngineOptions { cache: true, cache_dir: None })).clone()
}

pub(super) fn links(config: &Config) -> Result<(Vec<Link>, Vec<Checked>)> {
    if config.plugins.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let engine = engine()?;
    let loaded: Vec<_> = config.plugins.iter().map(|_| OnceLock::new()).collect();
    let left = Mutex::new(config.plugins.iter().zip(&loaded));
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    // Side by side: loading is most of a start, also where compiled code is cached.
    let load = || {
        while let Some((plugin, place)) = next() {
            let _ = place.set(link(&engine, plugin, &config.directory));
        }
    };
    let threads = available_parallelism().map_or(1, NonZero::get).min(config.plugins.len());
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where no other thread can be had, this one loads them all.
            let _ = std::thread::Builder::new().name("weir-load".into()).spawn_scoped(scope, load);
        }
        load();
    });
    loaded.into_iter().filter_map(OnceLock::into_inner).collect::<Result<Vec<_>>>().map(|both| both.into_iter().unzip())
}

fn link(engine: &Engine, plugin: &config::Plugin, directory: &Path) -> Result<(Link, Checked)> {
    let bytes = match &plugin.source {
        Source::Shipped(name) => sandbox::shipped(name)
            .ok_or_else(|| {
                let shipped = config::SHIPPED.join(", ");
                Error::config(format!("plugin {name:?} does not ship with weir; the shipped ones are {shipped}"))
            })?
            .to_vec(),
        Source::File(_) => {
            let path = plugin.component_path(directory).unwrap_or_default();
            std::fs::read(&path).map_err(|error| {
                Error::config(format!(
                    "plugin {:?}: {} cannot be read: {error}; build it with `weir plugin build`, or correct its path",
                    plugin.name,
                    path.display()
                ))
            })?
        }
    };
    let limits = limits(&plugin.limits);
    let config_json = plugin.configuration_json(directory)?;
    let loaded =
        sandbox::Plugin::load(engine, &plugin.name, &bytes, &limits).map_err(|error| match &plugin.source {
            Source::File(path) => error.within(path.display()),
            Source::Shipped(_) => error,
        })?;
    let contract = loaded.configure(&config_json)?;
    if let Some(signal) = plugin.signals.iter().flatten().find(|signal| !contract.signals.contains(signal)) {
        let takes: Vec<_> = contract.signals.iter().map(|signal| signal.name()).collect();
        return Err(Error::config(format!(
            "plugin {:?} does not take {signal}: it takes {}; correct its `signals`",
            plugin.name,
            takes.join(", ")
        )));
    }
    let on_error = plugin.on_error.map(on_error);
    let checked = Checked {
        name: plugin.name.clone(),
        source: plugin.source.clone(),
        on_error: on_error.unwrap_or(contract.on_error).name(),
        contract,
        imports: loaded.imports(),
    };
    let link = Link {
        plugin: loaded,
        config_json,
        name: plugin.name.clone(),
        signals: plugin.signals.clone(),
        on_error,
        limits,
    };
    Ok((link, checked))
}

fn on_error(policy: config::OnError) -> sandbox::OnError {
    match policy {
        config::OnError::Pass => sandbox::OnError::Pass,
        config::OnError::Drop => sandbox::OnError::Drop,
        config::OnError::DeadLetter => sandbox::OnError::DeadLetter,
        config::OnError::Stop => sandbox::OnError::Stop,
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn limits(from: &config::Limits) -> Limits {
    Limits {
        memory_bytes: size(from.memory_bytes_max),
        time_per_call: from.call_time_max,
        rows_emitted: size(from.rows_emitted_max),
        state_bytes: size(from.state_bytes_max),
        held_rows: size(from.held_rows_max),
        held_bytes: size(from.held_bytes_max),
        held_age: from.held_age_max,
        held_overflow_passes: from.held_overflow_passes,
        log_lines_per_second: from.log_lines_per_second_max,
        component_bytes: size(from.component_bytes_max),
    }
}

/// The tables of a chain: those of the signals with what plugins add to them, and the plugins' own.
pub(super) fn tables(config: &Config, chain: &Chain) -> Result<Tables> {
    let column = |name: String, column_type: sandbox::ColumnType, description: String| PluginColumn {
        name,
        data_type: column_type.data_type(),
        json: column_type == sandbox::ColumnType::Json,
        description,
    };
    let added = Signal::ALL.map(|signal| {
        chain.added_columns(signal).into_iter().map(|(name, kind, text)| column(name, kind, text)).collect()
    });
    let derived = chain.tables().into_iter().map(|table| DerivedTable {
        name: table.name,
        columns: table.columns.into_iter().map(|c| column(c.name, c.column_type, c.description)).collect(),
        time: Some(table.time).filter(|time| !time.is_empty()),
        mode: match table.mode {
            sandbox::Mode::Append => Mode::Append,
            sandbox::Mode::Upsert => Mode::Upsert,
        },
        key: match table.mode {
            // A key without upsert says nothing.
            sandbox::Mode::Append => Vec::new(),
            sandbox::Mode::Upsert => table.key,
        },
    });
    Tables::new(TableOptions {
        promote: config.write.promote.clone(),
        residual: config.write.attributes == Attributes::Residual,
        added,
        derived: derived.collect(),
    })
}

/// How and where the tables are written.
pub(super) fn write_options(config: &Config, files: Arc<dyn Files>) -> Result<WriteOptions> {
    let from = &config.write;
    let to = match &from.to {
        config::Destination::Local(path) => write::Destination::Local(path.clone()),
        config::Destination::S3 { bucket, prefix } => {
            let runtime = tokio::runtime::Handle::try_current().map_err(|_| {
                Error::config(format!(
                    "write.to = \"s3://{bucket}/{prefix}\" needs a tokio runtime around the start of the pipeline; call \
                     `start` within one"
                ))
            })?;
            write::Destination::s3(bucket, prefix, &from.s3, runtime)?
        }
    };
    let mut options = WriteOptions::new(to, from.staging_folder());
    options.files = files;
    options.writer_name.clone_from(&from.writer);
    options.row_group_rows = from.row_group_rows;
    options.file_bytes_max = from.file_bytes_max;
    options.zstd_level = match from.compression {
        Compression::None => None,
        Compression::Zstd(level) => Some(level),
    };
    Ok(options)
}
