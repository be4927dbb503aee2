//! `[log]`: the write-ahead log, in which a request is before it is acknowledged.

use std::path::PathBuf;

use super::fault::Fault;
use super::keys::{Key, Section};
use super::table::{Node, Reader};
use super::values::{self, GIB, MIB, size_text};
use super::write::folder;

pub(super) static SECTION: Section = Section {
    path: "log",
    header: "[log]",
    keys: &[
        Key::new(
            "durability",
            "\"fsync\"",
            "\"fsync\": a request is acknowledged once it is on the disk; \"memory\": at once, and a crash loses what is \
             in no file yet",
        ),
        Key::unset(
            "folder",
            "\"./data/_log\"",
            "where the log is; not set: `_log` within `write.to`, `./data/_log` for S3",
        ),
        Key::new("segment", "\"64MiB\"", "the size of a file of the log; smaller on a disk that is nearly full"),
        Key::new(
            "disk_soft",
            "\"8GiB\"",
            "bytes of the log and of staged files together from which on clients are told to come back later; an epoch ends when \
             the log alone has half of it",
        ),
        Key::new("disk_hard", "\"10GiB\"", "bytes that the log and the staged files never exceed by another request"),
        Key::new(
            "reserve",
            "\"64MiB\"",
            "disk space kept free for ending an epoch on a full disk; half of what is free where that is less",
        ),
        Key::new(
            "quarantine",
            "false",
            "whether to start with damaged records of the log set aside and counted, instead of refusing to start",
        ),
    ],
};

/// When a request is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on the disk.
    Fsync,
    /// At once.
    Memory,
}

/// The write-ahead log.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// When a request is acknowledged.
    pub durability: Durability,
    /// Where the log is; none: see [`Config::log_folder`](super::Config::log_folder).
    pub folder: Option<PathBuf>,
    /// The size of a segment.
    pub segment_bytes: u64,
    /// Bytes on the disk from which on new data is refused, to be sent again.
    pub disk_soft_bytes: u64,
    /// Bytes on the disk that no request may exceed.
    pub disk_hard_bytes: u64,
    /// Disk space kept for ending an epoch on a full disk.
    pub reserve_bytes: u64,
    /// Whether damaged records are set aside instead of refusing to start.
    pub quarantine: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            folder: None,
            segment_bytes: 64 * MIB,
            disk_soft_bytes: 8 * GIB,
            disk_hard_bytes: 10 * GIB,
            reserve_bytes: 64 * MIB,
            quarantine: false,
        }
    }
}

impl Log {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, root: &Node<'_>) {
        let Some(node) = reader.section(root, &SECTION) else { return };
        let durabilities = [("fsync", Durability::Fsync), ("memory", Durability::Memory)];
        reader.set(&node, "durability", &mut self.durability, |value| values::one_of(value, &durabilities));
        reader.set(&node, "folder", &mut self.folder, |value| folder(value).map(Some));
        reader.set(&node, "segment", &mut self.segment_bytes, |value| values::size(value, MIB..=4 * GIB));
        let disk = 64 * MIB..=1024 * 1024 * GIB;
        let soft_set =
            reader.set(&node, "disk_soft", &mut self.disk_soft_bytes, |value| values::size(value, disk.clone()));
        let hard_set = reader.set(&node, "disk_hard", &mut self.disk_hard_bytes, |value| values::size(value, disk));
        reader.set(&node, "reserve", &mut self.reserve_bytes, |value| values::size(value, 0..=64 * GIB));
        reader.set(&node, "quarantine", &mut self.quarantine, values::boolean);
        if soft_set && !hard_set {
            self.disk_hard_bytes = self.disk_soft_bytes + self.disk_soft_bytes / 4;
        } else if hard_set && !soft_set {
            self.disk_soft_bytes = self.disk_hard_bytes - self.disk_hard_bytes / 5;
        }
        if self.disk_soft_bytes > self.disk_hard_bytes {
            let (soft, hard) = (size_text(self.disk_soft_bytes), size_text(self.disk_hard_bytes));
            let fault = Fault::new(format!("`log.disk_soft` is {soft}, above `log.disk_hard`, {hard}"))
                .expected("a soft limit that is not above the hard one")
                .help("lower `disk_soft`, or remove it");
            reader.fault(reader.place_of(&node, "disk_soft"), fault);
        }
        let least = self.segment_bytes.saturating_mul(2);
        if self.disk_soft_bytes < least {
            let (soft, least) = (size_text(self.disk_soft_bytes), size_text(least));
            let key = if soft_set {
                "disk_soft"
            } else if hard_set {
                "disk_hard"
            } else {
                "segment"
            };
            let fault = Fault::new(format!("the log may take {soft}, and two of its segments take {least}"))
                .expected("room for two segments")
                .help("raise `log.disk_soft`, or lower `log.segment`");
            reader.fault(reader.place_of(&node, key), fault);
        }
    }
}
