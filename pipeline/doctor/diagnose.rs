//! From what there is to what is wrong with it.

use std::path::PathBuf;

use super::problem::{Mend, Problem, count};
use super::{Report, StateTally};
use crate::log::{Lsn, SegmentReport, SegmentState};
use crate::write::{FileReport, FileState, RecordContent, RecordReport, Unnamed};

/// The command that mends what can be mended.
const REPAIR: &str = "weir repair";

/// Everything that is wrong, what must be mended first before what depends on it. `unreadable` says why the state of plugins,
/// whose files are as they were written, cannot be read.
pub(super) fn problems(report: &Report, unreadable: Option<&str>) -> Vec<Problem> {
    let mut problems = records(report);
    problems.extend(recorded_files(report));
    problems.extend(leftovers(report));
    problems.extend(state_files(report, unreadable));
    problems.extend(report.states.iter().filter(|state| !state.is_configured).map(foreign_state));
    problems.extend(tables(report));
    problems.extend(log(report));
    problems
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

/// Records of the log that are missing; damage may hide how many they were.
fn acknowledged(records: u64) -> String {
    match records {
        0 => "no request that is known of".to_owned(),
        1 => "1 request that was acknowledged".to_owned(),
        records => format!("up to {records} requests that were acknowledged"),
    }
}

fn repair() -> String {
    format!("`{REPAIR}`")
}

/// Records that cannot be believed.
fn records(report: &Report) -> Vec<Problem> {
    let records = &report.store.records;
    let is_good = |record: &RecordReport| record.content.is_ok();
    let first_good = records.iter().position(is_good);
    let last_good = records.iter().rposition(is_good);
    // Whether what is made anew from the log is whole.
    let is_in_log = report.segments.first().and_then(first).is_some_and(|first| first <= report.position);
    let mut problems = Vec::new();
    for (at, record) in records.iter().enumerate() {
        let Err(why) = &record.content else { continue };
        let what = format!("{} cannot be used: {why}", record.path.display());
        let mut files = vec![record.path.clone()];
        files.extend(staged_by(report, record.epoch));
        let within = report.places.staging.clone();
        let (means, mend) = match (first_good, last_good) {
            (Some(good), _) if at < good => (
                format!(
                    "weir does not start; rows of epoch {} that were not published yet are in {} of staging, and in no table",
                    record.epoch,
                    count(files.len() - 1)
                ),
                Some(Mend::SetAside { files, within }),
            ),
            (_, Some(good)) if at > good && is_in_log => (
                format!(
                    "weir does not start; epoch {} has to be made again, from record {} of the log on",
                    record.epoch, report.position
                ),
                Some(Mend::SetAside { files, within }),
            ),
            _ => ("weir does not start: it is not known which requests of the log are in the tables".to_owned(), None),
        };
        let cure = match mend {
            Some(_) => repair(),
            None => "bring the file back from a copy; without one, start with a new `write.staging` and a new `log.folder`, and \
                     keep the old ones: what the log has and the tables lack can be found by hand"
                .to_owned(),
        };
        problems.push(Problem { kind: "record_damaged", what, means, cure, mend });
    }
    // What a record that is set aside has published is made again with it.
    let unrecorded: Vec<PathBuf> = report.tables.iter().flat_map(|table| table.unrecorded.clone()).collect();
    if let (Some(within), false) = (&report.places.tables, unrecorded.is_empty() || report.running.is_some()) {
        let mend = is_in_log.then_some(Mend::SetAside { files: unrecorded.clone(), within: within.clone() });
        let cure = if is_in_log { repair() } else { "bring the staging folder back as it was".to_owned() };
        problems.push(Problem {
            kind: "table_file_unrecorded",
            what: format!(
                "{} of the tables, {} for one, of an epoch after the last record",
                count(unrecorded.len()),
                unrecorded[0].display()
            ),
            means: "their rows come again when the log is read from the last record on".to_owned(),
            cure,
            mend,
        });
    }
    problems
}

/// What an epoch has left in staging, without a record that says what it is.
fn staged_by(report: &Report, epoch: u64) -> impl Iterator<Item = PathBuf> {
    let files = report.store.unnamed.iter().filter(move |file| file.epoch == Some(epoch));
    files.map(|file| file.path.clone())
}

/// Files that a record names and that are not what it says.
fn recorded_files(report: &Report) -> Vec<Problem> {
    let mut problems = Vec::new();
    let sound = report.store.records.iter().filter_map(|record| Some((record.epoch, record.content.as_ref().ok()?)));
    let files = sound.flat_map(|(epoch, record): (u64, &RecordContent)| record.files.iter().map(move |f| (epoch, f)));
    for (epoch, file) in files {
        let FileReport { table, path, rows: of, .. } = file;
        let named = format!("epoch {epoch} has {} of table {table}", rows(*of));
        let lost = format!("the rows cannot be trusted: {named} in it");
        let (kind, what, means, mend) = match &file.state {
            FileState::Staged | FileState::Published => continue,
            FileState::Damaged(why) => (
                "staged_file_damaged",
                format!("{} is damaged: {why}", path.display()),
                format!("{lost}, which would be published"),
                Some(Mend::SetAside { files: vec![path.clone()], within: report.places.staging.clone() }),
            ),
            FileState::Changed(to, why) => (
                "table_file_damaged",
                format!("{} is not what was published: {why}", to.display()),
                lost,
                report.places.tables.clone().map(|within| Mend::SetAside { files: vec![to.clone()], within }),
            ),
            // While a weir runs, a file may move between two looks.
            FileState::Missing(_) if report.running.is_some() => continue,
            FileState::Missing(to) => (
                "table_file_missing",
                format!("{} is not there", to.display()),
                format!("{named} that are neither in staging nor in the table: somebody has moved or removed the file"),
                None,
            ),
        };
        let cure = match mend {
            Some(_) => format!("bring the file back from a copy, or {}", repair()),
            None => "bring the file back; if it was meant to go, nothing: the next epoch forgets it".to_owned(),
        };
        problems.push(Problem { kind, what, means, cure, mend });
    }
    problems
}

/// Files in staging that no record names.
fn leftovers(report: &Report) -> Option<Problem> {
    // While a weir runs these are the files that it is writing; a record that cannot be read may name some.
    if report.running.is_some() || report.store.records.iter().any(|record| record.content.is_err()) {
        return None;
    }
    let left: &[Unnamed] = &report.store.unnamed;
    let first = left.first()?;
    let bytes: u64 = left.iter().map(|file| file.bytes).sum();
    let named = format!("{} in staging that no record names, {bytes} bytes", count(left.len()));
    Some(Problem {
        kind: "staged_file_unnamed",
        what: format!("{named}, {} for one", first.path.display()),
        means: "what a process was writing when it ended; the log has the rows, so nothing is lost".to_owned(),
        cure: format!("the next start removes them, and so does {}", repair()),
        mend: Some(Mend::Remove { files: left.iter().map(|file| file.path.clone()).collect() }),
    })
}

fn state_files(report: &Report, unreadable: Option<&str>) -> Option<Problem> {
    let damaged = |state: &crate::write::StateReport| {
        let why = state.content.as_ref().err()?;
        Some(format!("{} is damaged: {why}", state.path.display()))
    };
    let staging = &report.places.staging;
    let what = report.store.state.iter().find_map(damaged);
    let what =
        what.or_else(|| unreadable.map(|why| format!("the state of plugins in {}: {why}", staging.display())))?;
    Some(Problem {
        kind: "state_damaged",
        what,
        means: "weir does not start: it does not know what the plugins with state had counted and held back".to_owned(),
        cure: format!(
            "bring the file back from a copy, or {}: then all plugins begin anew, and held rows are lost",
            repair()
        ),
        mend: Some(Mend::DiscardState { plugins: Vec::new() }),
    })
}

fn foreign_state(state: &StateTally) -> Problem {
    let StateTally { plugin, entries, held_rows, .. } = state;
    Problem {
        kind: "state_of_no_plugin",
        what: format!("there is state of plugin `{plugin}`, and the configuration has no plugin of that name"),
        means: format!(
            "weir does not start: {entries} entries and {} would be lost without a word",
            held_rows.map_or("held rows".to_owned(), |held| format!("{} that it held back", rows(held)))
        ),
        cure: format!("give the plugin its name back, or `{REPAIR} --discard-state {plugin}`"),
        mend: Some(Mend::DiscardState { plugins: vec![plugin.clone()] }),
    }
}

fn tables(report: &Report) -> Vec<Problem> {
    let Some(within) = &report.places.tables else { return Vec::new() };
    let is_known = |path: &PathBuf| {
        let contents = report.store.records.iter().filter_map(|record| record.content.as_ref().ok());
        contents
            .flat_map(|record| &record.files)
            .any(|file| matches!(&file.state, FileState::Changed(at, _) if at == path))
    };
    let files = report.tables.iter().flat_map(|table| table.unreadable.iter().map(move |file| (table, file)));
    let files = files.filter(|(_, file)| !is_known(&file.path));
    files
        .map(|(table, file)| Problem {
            kind: "table_file_unreadable",
            what: format!("{} cannot be read: {}", file.path.display(), file.reason),
            means: format!(
                "readers of table {} fail on it; its {} bytes hold rows that are nowhere else",
                table.table, file.bytes
            ),
            cure: format!("bring the file back from a copy, or {}: it is kept, apart from the table", repair()),
            mend: Some(Mend::SetAside { files: vec![file.path.clone()], within: within.clone() }),
        })
        .collect()
}

fn log(report: &Report) -> Vec<Problem> {
    let mut problems = Vec::new();
    let position = report.position;
    // Which records are needed is known from the records of epochs alone.
    let is_known = report.store.records.is_empty() || report.store.last().is_some();
    let mend = is_known.then_some(Mend::DrainLog);
    if let Some(oldest) = report.segments.first().and_then(first).filter(|first| *first > position) {
        problems.push(Problem {
            kind: "log_missing",
            what: format!("the log should go on from record {position}, and its oldest segment begins with {oldest}"),
            means: format!("weir does not start: {} cannot be read", acknowledged(oldest - position)),
            cure: format!("bring the missing segments back, or {}: it goes on without them", repair()),
            mend: mend.clone(),
        });
    }
    for segment in &report.segments {
        let path = segment.path.display();
        match &segment.state {
            SegmentState::Whole | SegmentState::Torn { .. } => {}
            SegmentState::Unreadable { reason } => problems.push(Problem {
                kind: "log_unreadable",
                what: format!("{path} cannot be read: {reason}"),
                means: "weir does not start: there may be requests in it that no table has".to_owned(),
                cure: "look at the disk and at the rights on the file".to_owned(),
                mend: None,
            }),
            // What every epoch has is not read any more.
            SegmentState::Damaged { next, first, .. } if *next <= position && next > first => {}
            SegmentState::Damaged { offset, first, records, places, reason, .. } => problems.push(Problem {
                kind: "log_damaged",
                what: format!("{path} is damaged at offset {offset}, where record {first} was expected: {reason}"),
                means: format!(
                    "weir does not start: {} cannot be read{}",
                    acknowledged(*records),
                    if *places > 1 { format!(", in {places} places") } else { String::new() }
                ),
                cure: format!("bring the file back from a copy, or {}: the damaged bytes are kept apart", repair()),
                mend: mend.clone(),
            }),
        }
    }
    problems
}

/// The first record of a segment, as its name says it.
fn first(segment: &SegmentReport) -> Option<Lsn> {
    segment.path.file_stem()?.to_str()?.parse().ok()
}
