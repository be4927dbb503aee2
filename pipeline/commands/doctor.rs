//! `weir doctor`: what is on the disk, what is wrong with it, and the command that mends it.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use weir::doctor::{Problem, Report, examine};
use weir::log::{SegmentReport, SegmentState};

use super::{bytes, grouped};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The configuration (TOML) that weir runs with; the defaults if left out.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read every row of every table, and not only the end of each file.
    #[arg(long)]
    deep: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let looked = super::configuration(options.config.as_deref()).and_then(|config| examine(&config, options.deep));
    match looked {
        Ok(report) => {
            if options.json {
                println!("{:#}", as_json(&report));
            } else {
                print!("{}", describe(&report));
            }
            ExitCode::from(u8::from(!report.problems.is_empty()))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// A number and what it counts.
pub(crate) fn of(count: u64, one: &str) -> String {
    format!("{} {one}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// What there is, for people.
fn describe(report: &Report) -> String {
    let mut out = String::new();
    let is_running = report.running.is_some();
    // Writing to a String does not fail.
    let _ = match &report.running {
        Some(process) => {
            writeln!(out, "weir runs here, as process {process}; what it is writing now is not looked at\n")
        }
        None => writeln!(out, "no weir runs here\n"),
    };
    log(&mut out, report, is_running);
    epochs(&mut out, report);
    states(&mut out, report);
    tables(&mut out, report);
    out.push_str(&problems(&report.problems));
    out
}

fn line(out: &mut String, what: &str, value: &str) {
    let _ = writeln!(out, "{}", format!("  {what:<10} {value}").trim_end());
}

/// A heading, and the folder that it is about.
fn head(out: &mut String, what: &str, folder: &Path) {
    let _ = writeln!(out, "{what:<12} {}", folder.display());
}

fn log(out: &mut String, report: &Report, is_running: bool) {
    let Some(folder) = &report.places.log else {
        let _ = writeln!(out, "log          none: log.durability is \"memory\"\n");
        return;
    };
    head(out, "log", folder);
    let segments = &report.segments;
    let sum = |value: fn(&SegmentReport) -> u64| segments.iter().map(value).sum::<u64>();
    let on_disk = bytes(sum(|segment| segment.bytes));
    line(out, "segments", &format!("{}, {on_disk} on the disk", grouped(segments.len() as u64)));
    let lsns = segments.iter().filter_map(|segment| segment.lsns);
    let range = lsns.reduce(|(first, _), (_, last)| (first, last));
    let range = range.map_or_else(String::new, |(first, last)| format!(", numbered {first} to {last}"));
    let payload = bytes(sum(|segment| segment.payload_bytes));
    line(out, "records", &format!("{}{range}, {payload} of requests", grouped(sum(|segment| segment.records))));
    let waiting = match report.waiting {
        None => "not known: the records of epochs cannot be used".to_owned(),
        Some(0) => "none: every record is in an epoch".to_owned(),
        Some(waiting) if is_running => format!("{}, which the next epoch takes", of(waiting, "request")),
        Some(waiting) => format!("{}, which the next start takes", of(waiting, "request")),
    };
    line(out, "waiting", &waiting);
    if let Some(free) = report.free_bytes.filter(|_| report.is_nearly_full) {
        let cure = "the disk is nearly full: make room, or set log.folder to a folder on another disk";
        line(out, "free", &format!("{}; {cure}", bytes(free)));
    }
    if segments.iter().any(|segment| matches!(segment.state, SegmentState::Torn { .. })) && !is_running {
        line(out, "end", "a last write that was not finished and not acknowledged; the next start passes over it");
    }
    out.push('\n');
}

fn epochs(out: &mut String, report: &Report) {
    head(out, "epochs", &report.places.staging);
    let records = &report.store.records;
    // The first start writes a record that has nothing, for the first epoch to follow.
    let mut epochs = records.iter().filter(|record| record.epoch > 0);
    let range = match (epochs.next(), records.last()) {
        (None, Some(_)) => ", of the first start: nothing has been published yet".to_owned(),
        (Some(first), Some(last)) if first.epoch == last.epoch => format!(", of epoch {}", last.epoch),
        (Some(first), Some(last)) => format!(", of epochs {} to {}", first.epoch, last.epoch),
        _ => String::new(),
    };
    let position = match report.store.last() {
        Some((1.., record)) => format!("; the log below record {} is in them", record.to),
        _ => String::new(),
    };
    line(out, "records", &format!("{}{range}{position}", grouped(records.len() as u64)));
    let staged = match report.staged() {
        (0, _) => "no file waits to be published".to_owned(),
        (files, rows) => {
            let wait = if files == 1 { "waits" } else { "wait" };
            format!("{} with {} {wait} to be published", of(files, "file"), of(rows, "row"))
        }
    };
    line(out, "staged", &staged);
    out.push('\n');
}

fn states(out: &mut String, report: &Report) {
    if report.states.is_empty() {
        return;
    }
    let _ = writeln!(out, "state        {:<20} {:>12} {:>12} {:>12}", "plugin", "entries", "bytes", "held rows");
    for state in &report.states {
        let held = state.held_rows.map_or_else(|| "unreadable".to_owned(), grouped);
        let (entries, size) = (grouped(state.entries), bytes(state.bytes));
        let _ = writeln!(out, "             {:<20} {entries:>12} {size:>12} {held:>12}", state.plugin);
    }
    out.push('\n');
}

fn tables(out: &mut String, report: &Report) {
    let Some(folder) = &report.places.tables else {
        let _ = writeln!(out, "tables       in an object store, which is not looked at\n");
        return;
    };
    head(out, "tables", folder);
    if report.tables.is_empty() {
        line(out, "none", "");
    } else {
        let _ = writeln!(out, "  {:<30} {:>8} {:>14} {:>12}  newest day", "table", "files", "rows", "bytes");
    }
    for table in &report.tables {
        let (files, rows, size) = (grouped(table.files), grouped(table.rows), bytes(table.bytes));
        let day = table.newest_day.as_deref().unwrap_or("–");
        let _ = writeln!(out, "  {:<30} {files:>8} {rows:>14} {size:>12}  {day}", table.table);
    }
    out.push('\n');
}

/// Problems with their numbers, what they mean and what to do; or that there is none.
pub(crate) fn problems(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return "problems     none: everything is sound\n".to_owned();
    }
    let mut out = format!("problems     {}\n", problems.len());
    for (number, problem) in problems.iter().enumerate() {
        let _ = write!(
            out,
            "\n  {}. {}\n     {}\n     to mend it: {}\n",
            number + 1,
            problem.what,
            problem.means,
            problem.cure
        );
    }
    out
}

/// The same for programs.
fn as_json(report: &Report) -> Value {
    let segment = |segment: &SegmentReport| {
        let (state, offset) = match &segment.state {
            SegmentState::Whole => ("whole", None),
            SegmentState::Torn { offset } => ("torn", Some(*offset)),
            SegmentState::Damaged { offset, .. } => ("damaged", Some(*offset)),
            SegmentState::Unreadable { .. } => ("unreadable", None),
        };
        json!({
            "file": segment.path, "bytes": segment.bytes, "bytes_used": segment.bytes_used, "records": segment.records,
            "payload_bytes": segment.payload_bytes, "lsns": segment.lsns, "received_ns": segment.received_ns,
            "state": state, "offset": offset,
        })
    };
    let record = |record: &weir::write::RecordReport| match &record.content {
        Ok(content) => json!({
            "file": record.path, "epoch": record.epoch, "from": content.from, "to": content.to,
            "files": content.files.len(), "rows": content.files.iter().map(|file| file.rows).sum::<u64>(),
        }),
        Err(problem) => json!({ "file": record.path, "epoch": record.epoch, "problem": problem }),
    };
    let (staged_files, staged_rows) = report.staged();
    json!({
        "running": report.running,
        "log": {
            "folder": report.places.log,
            "free_bytes": report.free_bytes,
            "segments": report.segments.iter().map(segment).collect::<Vec<_>>(),
            "position": report.position,
            "waiting": report.waiting,
        },
        "epochs": {
            "folder": report.places.staging,
            "records": report.store.records.iter().map(record).collect::<Vec<_>>(),
            "staged_files": staged_files,
            "staged_rows": staged_rows,
        },
        "state": report.states.iter().map(|state| json!({
            "plugin": state.plugin, "entries": state.entries, "bytes": state.bytes, "held_rows": state.held_rows,
            "configured": state.is_configured,
        })).collect::<Vec<_>>(),
        "tables": report.tables.iter().map(|table| json!({
            "table": table.table, "files": table.files, "rows": table.rows, "bytes": table.bytes,
            "newest_day": table.newest_day, "unreadable": table.unreadable.len(),
        })).collect::<Vec<_>>(),
        "problems": report.problems.iter().map(|problem| json!({
            "kind": problem.kind, "what": problem.what, "means": problem.means, "cure": problem.cure,
            "mendable": problem.mend.is_some(),
        })).collect::<Vec<_>>(),
    })
}
