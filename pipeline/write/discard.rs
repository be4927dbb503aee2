//! The state of plugins put aside for another one, by an epoch that has nothing else.

use std::path::Path;
use std::sync::Arc;

use super::inspect::looking;
use super::record::{self, Record};
use super::{lock, staging, state};
use crate::files::Files;
use crate::{Error, Result};

/// Commits an epoch that has no rows and no records of the log, and whose state is `state`, whole. What was recorded before
/// stays recorded, and the next start publishes it. `last_epoch` is the one that `state` was made from. The folder must not be
/// locked by the caller.
///
/// # Errors
///
/// `Storage` where the records cannot be read, the last one is of another epoch, the disk takes nothing, or another process
/// has the folder; `Config` where there is no record, and so no state.
pub fn replace_state(
    files: &Arc<dyn Files>,
    staging: &Path,
    writer: &str,
    last_epoch: u64,
    state: Vec<u8>,
) -> Result<()> {
    let options = looking(files, staging, writer);
    let _lock = lock(&**files, staging)?;
    let records = record::read_all(&options)?;
    let Some(last) = records.last() else {
        return Err(Error::config(format!("{} has no record of an epoch, and so no state", staging.display())));
    };
    if last.epoch != last_epoch {
        return Err(Error::storage(format!(
            "{} has a record of epoch {} by now, and {last_epoch} was the last: somebody has used it; look again",
            staging.display(),
            last.epoch
        )));
    }
    let mut next = Record {
        epoch: last.epoch + 1,
        previous: last.digest.clone(),
        from: last.to,
        to: last.to,
        watermark: last.watermark,
        state: state::write(&options, last.epoch + 1, Some(&state), true, last)?,
        ..Record::default()
    };
    staging::sync_folder(&options)?;
    record::write(&options, &mut next)?;
    state::clear(&options, &next)
}
