//! The log of a folder, looked at without changing it, and without failing on what is in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::walk::{Place, Step, Walk};
use super::{Lsn, Options, recover};
use crate::Result;
use crate::files::{Files, failed};

/// What is in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// The file.
    pub path: PathBuf,
    /// Its length, reserved space included.
    pub bytes: u64,
    /// Up to where there are records.
    pub bytes_used: u64,
    /// How many records there are.
    pub records: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// The first and the last LSN, where there are records.
    pub lsns: Option<(Lsn, Lsn)>,
    /// When the first and the last of them were received, in nanoseconds since 1970.
    pub received_ns: Option<(i64, i64)>,
    /// Whether it is as it should be.
    pub state: State,
}

/// Whether a segment is as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Every record is whole.
    Whole,
    /// The last commit was not finished, and nobody was told that it was; or it is being written.
    Torn {
        /// Where it begins, in bytes.
        offset: u64,
    },
    /// Records that were durable are not what was written.
    Damaged {
        /// Where the first such place begins, in bytes.
        offset: u64,
        /// The first LSN that is missing or in doubt for it.
        first: Lsn,
        /// The LSN after the last such place.
        next: Lsn,
        /// How many such places there are.
        places: u64,
        /// How many records are missing for it, at most.
        records: u64,
        /// What is wrong at the first one.
        reason: String,
    },
    /// It cannot be read.
    Unreadable {
        /// The error.
        reason: String,
    },
}

/// Looks at the segments in the folder of a log, the oldest first. It fails only if the folder cannot be read.
pub fn inspect(files: &Arc<dyn Files>, folder: &Path) -> Result<Vec<SegmentReport>> {
    let segments = recover::segments(&**files, &Options::new(folder));
    let segments = segments.map_err(|error| failed("cannot read the folder", folder, &error))?;
    let mut reports = Vec::new();
    let firsts: Vec<(Lsn, u64)> = segments.into_iter().collect();
    for (at, (first, bytes)) in firsts.iter().enumerate() {
        let path = folder.join(super::format::segment_name(*first));
        let until = firsts.get(at + 1).map(|(first, _)| *first);
        reports.push(segment(files, Place { first: *first, path, bytes: *bytes, until }));
    }
    Ok(reports)
}

fn segment(files: &Arc<dyn Files>, place: Place) -> SegmentReport {
    let mut report = SegmentReport {
        path: place.path.clone(),
        bytes: place.bytes,
        bytes_used: 0,
        records: 0,
        payload_bytes: 0,
        lsns: None,
        received_ns: None,
        state: State::Whole,
    };
    let mut walk = match Walk::begin(files, &place) {
        Ok(walk) => walk,
        Err(error) => return SegmentReport { state: State::Unreadable { reason: error.to_string() }, ..report },
    };
    loop {
        match walk.step() {
            Err(error) => return SegmentReport { state: State::Unreadable { reason: error.to_string() }, ..report },
            Ok(Step::Record(head)) => {
                report.records += 1;
                report.payload_bytes += u64::from(head.payload_bytes);
                report.lsns = Some((report.lsns.map_or(head.lsn, |(first, _)| first), head.lsn));
                let first_ns = report.received_ns.map_or(head.received_ns, |(first, _)| first);
                report.received_ns = Some((first_ns, head.received_ns));
            }
            Ok(Step::Damage(damage)) => {
                let lost = damage.next.saturating_sub(damage.first);
                match &mut report.state {
                    State::Damaged { places, records, next, .. } => {
                        *places += 1;
                        *records += lost;
                        *next = damage.next;
                    }
                    state => {
                        let (offset, first, next) = (damage.offset, damage.first, damage.next);
                        *state =
                            State::Damaged { offset, first, next, places: 1, records: lost, reason: damage.reason };
                    }
                }
            }
            Ok(Step::End(end)) => {
                report.bytes_used = end.offset;
                if end.is_torn && report.state == State::Whole {
                    report.state = State::Torn { offset: end.offset };
                }
                return report;
            }
        }
    }
}
