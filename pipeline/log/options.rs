//! What a log is opened with.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::format::BLOCK;
use crate::{Error, Result};

/// What is called once when the log is lost.
pub type OnLost = Arc<dyn Fn(&Error) + Send + Sync>;

/// What a log is opened with.
#[derive(Clone)]
pub struct Options {
    /// The folder of the log; it is made if it is not there.
    pub folder: PathBuf,
    /// The length of a segment, in bytes. A record that is larger gets a segment of its own length.
    pub segment_bytes: u64,
    /// From this many bytes on the disk on (the log's and [others](super::Log::set_other_bytes)) new data is refused.
    pub disk_soft_bytes: u64,
    /// A request that would bring the bytes on the disk over this is refused.
    pub disk_hard_bytes: u64,
    /// While this many bytes wait in memory to be made durable, new data is refused.
    pub pending_bytes_max: u64,
    /// The size of the reserved file, which can be given up on a full disk; none if 0.
    pub reserve_bytes: u64,
    /// Sets damaged records aside in `quarantine/`, counts them and goes on without them, instead of refusing to start.
    pub quarantine: bool,
    /// The pause after which a segment that found no space is tried again.
    pub full_pause: Duration,
    /// Commits in a thread, `weir-log`. Without it [`commit_pending`](super::Log::commit_pending) must be called.
    pub background: bool,
    /// What the salts of segments are made from: another number at each start, so that bytes of an older file are never taken
    /// for records.
    pub salt: u64,
    /// Called once when a write or a sync failed: from then on nothing is acknowledged. The process should end.
    pub on_lost: OnLost,
}

impl Options {
    /// The defaults, with the log in this folder: segments of 64 MiB, 8 and 10 GiB on the disk, 256 MiB pending.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            segment_bytes: 64 << 20,
            disk_soft_bytes: 8 << 30,
            disk_hard_bytes: 10 << 30,
            pending_bytes_max: 256 << 20,
            reserve_bytes: 64 << 20,
            quarantine: false,
            full_pause: Duration::from_millis(250),
            background: true,
            // Keyed by the operating system's randomness.
            salt: RandomState::new().build_hasher().finish(),
            on_lost: Arc::new(|_| {}),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let least = 4 * BLOCK;
        if self.segment_bytes < least {
            return Err(Error::config(format!(
                "log.segment is {}, and a segment needs at least {least}",
                self.segment_bytes
            )));
        }
        let least = self.segment_bytes.saturating_mul(2);
        if self.disk_soft_bytes < least {
            return Err(Error::config(format!(
                "log.disk_soft is {}, and must be at least two segments (log.segment), which is {least}",
                self.disk_soft_bytes
            )));
        }
        if self.disk_hard_bytes < self.disk_soft_bytes {
            return Err(Error::config(format!(
                "log.disk_hard is {}, and must not be below log.disk_soft, which is {}",
                self.disk_hard_bytes, self.disk_soft_bytes
            )));
        }
        Ok(())
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("folder", &self.folder)
            .field("segment_bytes", &self.segment_bytes)
            .field("disk_soft_bytes", &self.disk_soft_bytes)
            .field("disk_hard_bytes", &self.disk_hard_bytes)
            .field("pending_bytes_max", &self.pending_bytes_max)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("quarantine", &self.quarantine)
            .field("background", &self.background)
            .finish_non_exhaustive()
    }
}
