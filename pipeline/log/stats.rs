//! What the log counts.

use super::commit::Synced;

/// Counts since the log was opened, and sizes now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records appended.
    pub records: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Syncs of records that succeeded.
    pub syncs: u64,
    /// How long the last write and sync took, in nanoseconds.
    pub sync_ns_last: u64,
    /// How long all took together, in nanoseconds.
    pub sync_ns: u64,
    /// How many syncs made how many records durable: place `n` counts those of 2ⁿ to 2ⁿ⁺¹ − 1 records, the last one all above.
    pub records_per_sync: [u64; 16],
    /// Bytes in memory that are not durable yet.
    pub pending_bytes: u64,
    /// Segments on the disk.
    pub segments: u64,
    /// Their length, reserved space included, in bytes.
    pub segment_bytes: u64,
    /// The disk is full: new data is refused for the moment.
    pub is_full: bool,
    /// The reserved file is there.
    pub has_reserve: bool,
    /// Bytes that are free on the disk of the log; none where that is not known, or the log is in memory.
    pub free_bytes: Option<u64>,
}

impl Stats {
    pub(super) fn synced(&mut self, synced: &Synced) {
        let took = u64::try_from(synced.took.as_nanos()).unwrap_or(u64::MAX);
        self.syncs += 1;
        self.sync_ns_last = took;
        self.sync_ns = self.sync_ns.saturating_add(took);
        let place = synced.records.checked_ilog2().unwrap_or(0) as usize;
        if let Some(count) = self.records_per_sync.get_mut(place.min(15)) {
            *count += 1;
        }
    }
}
