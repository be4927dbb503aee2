//! What can be wrong, and what can be done about it.

use std::path::PathBuf;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A word for programs, such as `log_damaged`.
    pub kind: &'static str,
    /// What is wrong, and where.
    pub what: String,
    /// What it means for the data.
    pub means: String,
    /// What to do.
    pub cure: String,
    /// What `repair` does about it, if it can.
    pub mend: Option<Mend>,
}

/// What a repair does about a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mend {
    /// Removes files that nothing needs.
    Remove {
        /// The files.
        files: Vec<PathBuf>,
    },
    /// Moves files into the folder `_quarantine` beside them or above them.
    SetAside {
        /// The files.
        files: Vec<PathBuf>,
        /// The folder that has, or gets, `_quarantine`; the files keep their path from here on.
        within: PathBuf,
    },
    /// Writes a record of an epoch without rows, whose state has not these plugins; all, if there is none.
    DiscardState {
        /// The plugins, by their names in the chain.
        plugins: Vec<String>,
    },
    /// Takes what can be read of the log into the tables, with damaged records set aside in the log's `quarantine`.
    DrainLog,
}

impl Mend {
    /// What it does, in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Remove { files } => format!("remove {}", count(files.len())),
            Self::SetAside { files, within } => {
                format!("move {} into {}", count(files.len()), within.join(super::repair::QUARANTINE).display())
            }
            Self::DiscardState { plugins } if plugins.is_empty() => "discard the state of all plugins".to_owned(),
            Self::DiscardState { plugins } => format!("discard the state of {}", plugins.join(", ")),
            Self::DrainLog => "set the damaged records aside, and bring the rest of the log into the tables".to_owned(),
        }
    }
}

/// A number of files, in words.
pub(super) fn count(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}
