//! What one call of a guest makes the host hold.

use super::limits::bytes_text;

/// Bytes that the call may still make the host hold.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    limit: usize,
    left: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, left: limit }
    }

    /// Takes `bytes`, and as much again as the host's own bookkeeping may need for one more thing.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), String> {
        match self.left.checked_sub(bytes.saturating_add(64)) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(format!(
                "the writes and emitted rows of one call would hold more than {} ([plugin.limits] memory)",
                bytes_text(self.limit)
            )),
        }
    }
}
