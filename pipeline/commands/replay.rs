//! `weir replay`: stored rows through the plugins again, into tables of their own.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use weir::config::{Config, Destination};
use weir::run::{Backfilled, Stored, backfill};
use weir::write::day_of;
use weir::{Error, Result, Signal};

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["prefix", "to_folder"]))]
pub(crate) struct Options {
    /// The configuration (TOML): its plugins, and how tables are written.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The tables to read: spans, logs, metrics. Several are taken together, in the order of their time.
    #[arg(long, value_name = "TABLE", required = true, value_delimiter = ',', value_parser = table)]
    table: Vec<Signal>,
    /// The first day, in UTC: 2026-01-31.
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: i64,
    /// The last day, which counts.
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: i64,
    /// Write to the tables of the folder _replay/NAME within `write.to`.
    #[arg(long, value_name = "NAME", value_parser = name)]
    prefix: Option<String>,
    /// Write to the tables of this folder.
    #[arg(long, value_name = "FOLDER")]
    to_folder: Option<PathBuf>,
    /// Read the tables of this folder instead of `write.to`.
    #[arg(long, value_name = "FOLDER")]
    from_folder: Option<PathBuf>,
    /// Add to tables that are there already.
    #[arg(long)]
    append: bool,
}

fn table(text: &str) -> std::result::Result<Signal, String> {
    let known = Signal::ALL.into_iter().find(|signal| signal.name() == text);
    known.ok_or_else(|| "expected spans, logs or metrics".to_owned())
}

fn day(text: &str) -> std::result::Result<i64, String> {
    day_of(text).ok_or_else(|| "expected a day such as 2026-01-31".to_owned())
}

fn name(text: &str) -> std::result::Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    if (1..=64).contains(&text.len()) && text.chars().all(good) {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 64 of a-z, 0-9, _ and -".to_owned())
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let config = super::configuration(options.config.as_deref())?;
    let (from, to) = folders(options, &config)?;
    if options.from > options.to {
        return Err(Error::config("--from is after --to: the first day comes first"));
    }
    let mut signals = options.table.clone();
    signals.sort_unstable();
    signals.dedup();
    let stored = Stored { folder: from, signals, first_day: options.from, last_day: options.to };
    let terminal = std::io::stderr().is_terminal();
    let (started, shown) = (Instant::now(), Cell::new(Instant::now()));
    let pause = if terminal { Duration::from_millis(100) } else { Duration::from_secs(10) };
    let progress = |done: u64, total: u64| {
        if shown.get().elapsed() < pause {
            return;
        }
        shown.set(Instant::now());
        let (done_text, total_text) = (super::grouped(done), super::grouped(total));
        let percent = done * 100 / total.max(1);
        if terminal {
            eprint!("\rreplaying: {done_text} of {total_text} rows, {percent} %");
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("replaying: {done_text} of {total_text} rows, {percent} %");
        }
    };
    let Backfilled { summary, faults } = backfill(&config, &stored, &to, &progress)?;
    if terminal {
        eprint!("\r{:60}\r", "");
    }
    let rows: u64 = summary.received.iter().map(|(_, rows)| rows).sum();
    println!(
        "replayed {} rows into {} in {:.1} s",
        super::grouped(rows),
        to.display(),
        started.elapsed().as_secs_f64()
    );
    print!("{}", super::run::account(&summary));
    if let Some(error) = summary.failure {
        return Err(error);
    }
    if faults.is_empty() {
        return Ok(());
    }
    let faults: Vec<_> = faults
        .iter()
        .map(|(plugin, calls)| format!("{plugin} failed in {}", super::doctor::of(*calls, "call")))
        .collect();
    Err(Error::plugin(format!(
        "the tables are not complete: {}; its messages above say why. Mend that, remove {}, and replay again",
        faults.join(", "),
        to.display()
    )))
}

/// Where rows come from and where they go.
fn folders(options: &Options, config: &Config) -> Result<(PathBuf, PathBuf)> {
    let live = match &config.write.to {
        Destination::Local(folder) => Some(folder.clone()),
        Destination::S3 { .. } => None,
    };
    let from = options.from_folder.clone().or_else(|| live.clone()).ok_or_else(|| {
        Error::config("the tables are in an object store: copy the days into a folder, and name it with --from-folder")
    })?;
    if !from.is_dir() {
        return Err(Error::config(format!("there are no tables in {}: it is no folder", from.display())));
    }
    let to = match (&options.to_folder, &options.prefix, &live) {
        (Some(folder), ..) => folder.clone(),
        (None, Some(name), Some(live)) => live.join("_replay").join(name),
        _ => return Err(Error::config("the tables are in an object store: name a local folder with --to-folder")),
    };
    let same = |one: &Path, other: &Path| {
        one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
    };
    if live.iter().chain([&from]).any(|folder| same(&to, folder)) {
        return Err(Error::config(format!(
            "{} has the tables that are read or written now, with the state of their plugins: choose another folder",
            to.display()
        )));
    }
    let is_there = to.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if is_there && !options.append {
        return Err(Error::config(format!(
            "{} is there and not empty: choose another folder or name, or add to it with --append",
            to.display()
        )));
    }
    Ok((from, to))
}
