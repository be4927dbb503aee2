//! Damaged records: the refusal that names them, or their bytes set aside.

use super::walk::{Damage, Place};
use super::{Lsn, Options};
use crate::files::{Files, failed, make_folders, remove_if_there};
use crate::{Error, Result};

/// The folder within the log's in which damaged bytes are kept.
const FOLDER: &str = "quarantine";

/// How much is copied at once, in bytes.
const COPIED_BYTES: u64 = 1 << 20;

/// What was set aside because it is damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quarantined {
    /// Damaged places.
    pub places: u64,
    /// Records that are missing for it; where the damage hides their number, the largest that is possible.
    pub records: u64,
    /// Bytes copied.
    pub bytes: u64,
}

impl Quarantined {
    pub(super) fn add(&mut self, other: Self) {
        self.places += other.places;
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

/// Refuses to go on, unless damage is to be set aside.
pub(super) fn refuse(options: &Options, place: &Place, damage: &Damage) -> Result<()> {
    if options.quarantine {
        return Ok(());
    }
    Err(Error::storage(format!(
        "{} is damaged at offset {}, where record {} was expected: {}; {}. Bring the file back from a copy, or set \
         log.quarantine: then the damaged bytes are kept in {}, and the rest is read",
        place.path.display(),
        damage.offset,
        damage.first,
        damage.reason,
        records(damage.first, damage.next),
        options.folder.join(FOLDER).display(),
    )))
}

fn records(first: Lsn, next: Lsn) -> String {
    match next.saturating_sub(first) {
        0 => "no record is known to be missing".to_owned(),
        1 => "one record is lost".to_owned(),
        count => format!("up to {count} records are lost"),
    }
}

/// Copies the damaged bytes to a file of their own, named by the first damaged record and its offset.
pub(super) fn set_aside(files: &dyn Files, options: &Options, place: &Place, damage: &Damage) -> Result<Quarantined> {
    let folder = options.folder.join(FOLDER);
    make_folders(files, &folder)?;
    let name = format!("{:020}-{}.bad", damage.first, damage.offset);
    let (path, unnamed) = (folder.join(&name), folder.join(format!("{name}.new")));
    let copy = || {
        remove_if_there(files, &unnamed)?;
        let mut file = files.create_private(&unnamed)?;
        let end = damage.offset + damage.bytes;
        let mut at = damage.offset;
        while at < end {
            let bytes = files.read_range(&place.path, at, (end - at).min(COPIED_BYTES) as usize)?;
            if bytes.is_empty() {
                break;
            }
            file.write_all(&bytes)?;
            at += bytes.len() as u64;
        }
        file.sync()?;
        files.rename(&unnamed, &path)?;
        files.sync_folder(&folder)
    };
    copy().map_err(|error| failed("cannot set damaged records aside in", &path, &error))?;
    Ok(Quarantined { places: 1, records: damage.next.saturating_sub(damage.first), bytes: damage.bytes })
}
