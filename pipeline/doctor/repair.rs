//! Does what was proposed, with every folder locked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::{Mend, Problem};
use super::{Places, Report, look};
use crate::config::Config;
use crate::files::{self, Files, Lock, Real, failed};
use crate::run::{Pipeline, Summary};
use crate::{Error, Result, chain, write};

/// The folder in which things are kept that cannot be used.
pub(super) const QUARANTINE: &str = "_quarantine";

/// What a repair did.
#[derive(Clone, Debug, Default)]
pub struct Repaired {
    /// What was done, in words, in its order.
    pub done: Vec<String>,
    /// What became of the records of the log, where it had to be drained.
    pub drained: Option<Summary>,
}

/// Mends these problems of a report. What was mended before an error stays so, and the next call goes on.
///
/// # Errors
///
/// `Storage` where another process has a folder, or the disk or store is in trouble; what a start of the pipeline says where
/// the log has to be drained.
pub fn repair(config: &Config, report: &Report, problems: &[&Problem]) -> Result<Repaired> {
    let files: Arc<dyn Files> = Arc::new(Real);
    let mut repaired = Repaired::default();
    let locks = take(&*files, &report.places)?;
    // Somebody may have thought for long before he agreed.
    if look(config, false)?.problems != report.problems {
        return Err(Error::storage("what is there has changed since it was looked at; nothing was done: look again"));
    }
    for mend in problems.iter().filter_map(|problem| problem.mend.as_ref()) {
        match mend {
            Mend::Remove { files: unneeded } => {
                for path in unneeded {
                    files::remove_if_there(&*files, path).map_err(|error| failed("cannot remove", path, &error))?;
                    repaired.done.push(format!("removed {}", path.display()));
                }
            }
            Mend::SetAside { files: unusable, within } => {
                for path in unusable {
                    if let Some(to) = set_aside(&*files, path, within)? {
                        repaired.done.push(format!("moved {} to {}", path.display(), to.display()));
                    }
                }
            }
            Mend::DiscardState { .. } | Mend::DrainLog => {}
        }
    }
    // What follows locks the folders itself.
    drop(locks);
    let mends = || problems.iter().filter_map(|problem| problem.mend.as_ref());
    let mut discarded: Vec<&String> = Vec::new();
    let mut discards_all = false;
    for mend in mends() {
        if let Mend::DiscardState { plugins } = mend {
            discards_all |= plugins.is_empty();
            discarded.extend(plugins);
        }
    }
    if discards_all || !discarded.is_empty() {
        let plugins: Vec<String> = if discards_all { Vec::new() } else { discarded.into_iter().cloned().collect() };
        repaired.done.push(write_state(&files, report, &plugins)?);
    }
    if mends().any(|mend| *mend == Mend::DrainLog) {
        let summary = drain(config)?;
        repaired.done.push("set damaged records of the log aside, and took the rest into the tables".to_owned());
        repaired.drained = Some(summary);
    }
    Ok(repaired)
}

/// The problem, and the mend, of state that somebody wants to be gone.
///
/// # Errors
///
/// `Config` where there is no state of that plugin.
pub fn discard_state(report: &Report, plugin: &str) -> Result<Problem> {
    let state = report.states.iter().find(|state| state.plugin == plugin).ok_or_else(|| {
        let known: Vec<_> = report.states.iter().map(|state| state.plugin.as_str()).collect();
        let known =
            if known.is_empty() { "there is none at all".to_owned() } else { format!("of {}", known.join(", ")) };
        Error::config(format!("there is no state of plugin `{plugin}`, but {known}"))
    })?;
    let held = state.held_rows.map_or_else(|| "its held rows".to_owned(), |rows| format!("{rows} held rows"));
    Ok(Problem {
        kind: "state_unwanted",
        what: format!("the state of plugin `{plugin}` is to be discarded"),
        means: format!("{} entries and {held} are lost: the plugin begins anew", state.entries),
        cure: format!("`weir repair --discard-state {plugin}`"),
        mend: Some(Mend::DiscardState { plugins: vec![plugin.to_owned()] }),
    })
}

/// Takes every folder that is there.
fn take(files: &dyn Files, places: &Places) -> Result<Vec<Lock>> {
    let mut locks = Vec::new();
    for folder in places.folders() {
        if files.stat(folder).map_err(|error| failed("cannot look at", folder, &error))?.is_none() {
            continue;
        }
        locks.push(files.lock(folder).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => Error::storage(error.to_string()),
            _ => failed("cannot lock the folder", folder, &error),
        })?);
    }
    Ok(locks)
}

/// Moves a file into the quarantine of a folder, where it keeps its path; nothing where it is gone already.
fn set_aside(files: &dyn Files, path: &Path, within: &Path) -> Result<Option<PathBuf>> {
    if files.stat(path).map_err(|error| failed("cannot look at", path, &error))?.is_none() {
        return Ok(None);
    }
    let kept = path.strip_prefix(within).unwrap_or(Path::new(path.file_name().unwrap_or(path.as_os_str())));
    let mut to = within.join(QUARANTINE).join(kept);
    // An earlier one of that name is kept, too.
    let mut number = 1;
    while files.stat(&to).map_err(|error| failed("cannot look at", &to, &error))?.is_some() {
        let mut name = kept.as_os_str().to_owned();
        name.push(format!(".{number}"));
        to = within.join(QUARANTINE).join(name);
        number += 1;
    }
    let (above, from) = (to.parent().unwrap_or(within), path.parent().unwrap_or(within));
    files::make_folders(files, above)?;
    files.rename(path, &to).map_err(|error| failed("cannot move away", path, &error))?;
    for folder in [above, from] {
        files.sync_folder(folder).map_err(|error| failed("cannot bring to the disk the folder", folder, &error))?;
    }
    Ok(Some(to))
}

/// Commits the state that is left without these plugins; without any, if none is named. Tells what it did.
fn write_state(files: &Arc<dyn Files>, report: &Report, plugins: &[String]) -> Result<String> {
    let kept = if plugins.is_empty() {
        Vec::new()
    } else {
        let contents = report.store.state.iter().map(|state| state.content.clone().map_err(Error::storage));
        let mut kept = chain::fold_kept(&contents.collect::<Result<Vec<_>>>()?)?;
        kept.retain(|kept| !plugins.contains(&kept.plugin));
        kept
    };
    let Places { staging, writer, .. } = &report.places;
    let last = report.store.last().map_or(0, |(epoch, _)| epoch);
    write::replace_state(files, staging, writer, last, chain::encode_kept(&kept))?;
    Ok(match plugins {
        [] => "discarded the state of all plugins".to_owned(),
        plugins => format!("discarded the state of {}", plugins.join(", ")),
    })
}

/// Runs the pipeline over what is in the log, and nothing else. Damaged bytes are set aside on the way.
fn drain(config: &Config) -> Result<Summary> {
    let mut config = config.clone();
    config.log.quarantine = true;
    let summary = Pipeline::builder().config(config).start()?.shutdown();
    match summary.failure {
        Some(error) => Err(error),
        None => Ok(summary),
    }
}
