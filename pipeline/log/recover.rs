//! The start: which segments there are, where the log ends, and the records that no epoch has yet.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use super::commit::{Failure, Folder, write_whole};
use super::format::{BLOCK, Content, Head, segment_first};
use super::quarantine::{self, Quarantined};
use super::records::Records;
use super::walk::{Damage, End, Place, Step, Walk};
use super::{Lsn, Options, reserve};
use crate::files::{Files, failed, remove_if_there};
use crate::{Error, Result, Signal};

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub lsn: Lsn,
    /// What the payload is.
    pub signal: Signal,
    /// Whose it is; 0 today.
    pub tenant: u32,
    /// When it was received, in nanoseconds since 1970.
    pub received_ns: i64,
    /// The bytes that were appended.
    pub payload: Vec<u8>,
}

/// The records from a position on, in order, read segment by segment. An iterator that ends after its first error.
#[derive(Debug)]
pub struct Recovered {
    files: Arc<dyn Files>,
    options: Options,
    from: Lsn,
    end: Lsn,
    left: VecDeque<Place>,
    walk: Option<(Walk, Place)>,
    /// The LSN of the next record, if none is missing.
    next: Lsn,
    bytes_total: u64,
    bytes_read: u64,
    records_read: u64,
    quarantined: Quarantined,
}

/// What is found of a log.
pub(super) struct Found {
    pub(super) folder: Folder,
    /// The LSN of the next record. Everything below is durable.
    pub(super) next: Lsn,
    pub(super) recovered: Recovered,
}

/// Finds where the log in a folder ends, and makes sure of its last commit.
pub(super) fn find(files: &Arc<dyn Files>, options: Options, from: Lsn) -> Result<Found> {
    let listed = |error| failed("cannot read the folder", &options.folder, &error);
    for entry in files.list(&options.folder).map_err(listed)? {
        if entry.name.ends_with(".new") {
            let path = options.folder.join(&entry.name);
            remove_if_there(&**files, &path).map_err(|error| failed("cannot remove", &path, &error))?;
        }
    }
    let segments = segments(&**files, &options).map_err(listed)?;
    let folder = Folder::new(files.clone(), options, segments);
    let mut next = from;
    if let Some(last) = places(&folder, from).pop() {
        let tail = Tail::read(&folder, &last, from)?;
        next = next.max(tail.end.next);
        tail.write_again(&folder)?;
    }
    let left: VecDeque<Place> = places(&folder, from).into();
    let recovered = Recovered {
        files: files.clone(),
        options: folder.options.clone(),
        from,
        end: next,
        bytes_total: left.iter().map(|place| place.bytes.saturating_sub(BLOCK)).sum(),
        left,
        walk: None,
        next: from,
        bytes_read: 0,
        records_read: 0,
        quarantined: Quarantined::default(),
    };
    let missing = recovered.left.front().filter(|place| place.first > from);
    if let Some(first) = missing.filter(|_| !folder.options.quarantine) {
        return Err(Error::storage(format!(
            "the log in {} should go on from record {from}, and its oldest segment begins with {}: {} records are missing; \
             bring the missing segments back, or set log.quarantine to go on without them",
            folder.options.folder.display(),
            first.first,
            first.first - from,
        )));
    }
    Ok(Found { folder, next, recovered })
}

/// The segments in the folder of a log: the first LSN of each, and its length.
pub(super) fn segments(files: &dyn Files, options: &Options) -> io::Result<BTreeMap<Lsn, u64>> {
    let entries = files.list(&options.folder)?;
    let files = entries.into_iter().filter(|entry| !entry.stat.is_folder);
    Ok(files.filter_map(|entry| Some((segment_first(&entry.name)?, entry.stat.bytes))).collect())
}

/// The segments that can hold records from a position on, the oldest first.
fn places(folder: &Folder, from: Lsn) -> Vec<Place> {
    let segments = folder.segments().clone();
    let firsts: Vec<Lsn> = segments.keys().copied().collect();
    let next = |at: usize| firsts.get(at + 1).copied();
    let all = segments.iter().enumerate().map(|(at, (first, bytes))| Place {
        first: *first,
        path: folder.path(*first),
        bytes: *bytes,
        until: next(at),
    });
    all.filter(|place| place.until.is_none_or(|until| until > from)).collect()
}

/// The end of the last segment.
struct Tail {
    end: End,
    /// The records of which it is not certain that they were durable.
    uncertain: Records,
    first: Lsn,
}

impl Tail {
    fn read(folder: &Folder, last: &Place, from: Lsn) -> Result<Self> {
        let read = |error| failed("cannot read", &last.path, &error);
        let mut walk = Walk::begin(&folder.files, last).map_err(read)?;
        let mut durable = from.max(last.first);
        let mut uncertain = Records::default();
        let end = loop {
            match walk.step().map_err(read)? {
                Step::Record(head) => {
                    if head.durable > durable {
                        durable = head.durable;
                        uncertain.clear();
                    }
                    if head.lsn >= durable {
                        uncertain.push(head, &walk.payload);
                    }
                }
                Step::Damage(damage) => {
                    if let Some(damage) = damage.from(from) {
                        quarantine::refuse(&folder.options, last, &damage)?;
                    }
                    // What comes before damage was durable: that is what makes it damage.
                    durable = durable.max(damage.next);
                    uncertain.clear();
                }
                Step::End(end) => break end,
            }
        };
        if end.durable >= end.next {
            uncertain.clear();
        }
        Ok(Self { end, uncertain, first: durable })
    }

    /// Writes what is uncertain again, in a segment of its own: a sync of the last process may have failed, and then what is read
    /// is in memory only, whatever another sync says.
    fn write_again(mut self, folder: &Folder) -> Result<()> {
        if self.uncertain.is_done() {
            return Ok(());
        }
        let mut write = || write_whole(folder, self.first, self.end.next, &mut self.uncertain);
        let mut written = write();
        if matches!(written, Err(Failure::Full(_))) && reserve::release(folder)? {
            written = write();
        }
        written.map_err(|failure| match failure {
            Failure::Lost(error) => error,
            Failure::Full(message) => Error::storage(format!(
                "{message}: the log cannot be opened before there is space for its last records"
            )),
        })
    }
}

impl Damage {
    /// The part of it from a position on, if there is one: what lies below is not needed any more.
    pub(super) fn from(&self, from: Lsn) -> Option<Self> {
        let first = self.first.max(from);
        let is_needed = self.next > from || self.next == self.first;
        is_needed.then(|| Self { first, ..self.clone() })
    }
}

impl Recovered {
    /// The LSN from which on records are read.
    pub fn from(&self) -> Lsn {
        self.from
    }

    /// The LSN after the last record.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// How many records there are to read; fewer, if some are damaged.
    pub fn records_total(&self) -> u64 {
        self.end - self.from
    }

    /// How many records were read.
    pub fn records_read(&self) -> u64 {
        self.records_read
    }

    /// The length of what is to be read, in bytes; it ends sooner where segments are not full.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// How much was read, in bytes.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// What was set aside.
    pub fn quarantined(&self) -> Quarantined {
        self.quarantined
    }

    fn advance(&mut self) -> Result<Option<Record>> {
        loop {
            let Some((walk, place)) = &mut self.walk else {
                let Some(place) = self.left.pop_front() else { return Ok(None) };
                // The oldest segment may begin below; in all others, and in this one too, the walk tells what is missing.
                if place.first > self.next {
                    self.quarantined.records += place.first - self.next;
                    self.next = place.first;
                }
                let walk = Walk::begin(&self.files, &place);
                let walk = walk.map_err(|error| failed("cannot read", &place.path, &error))?;
                self.walk = Some((walk, place));
                continue;
            };
            match walk.step().map_err(|error| failed("cannot read", &place.path, &error))? {
                Step::Record(head) if head.lsn < self.from => self.bytes_read += head.bytes(),
                Step::Record(head) => {
                    let payload = std::mem::take(&mut walk.payload);
                    self.next = head.lsn + 1;
                    self.bytes_read += head.bytes();
                    self.records_read += 1;
                    return Ok(record(&head, payload));
                }
                Step::Damage(damage) => {
                    if let Some(damage) = damage.from(self.from) {
                        quarantine::refuse(&self.options, place, &damage)?;
                        self.quarantined.add(quarantine::set_aside(&*self.files, &self.options, place, &damage)?);
                        self.next = damage.next;
                    }
                }
                Step::End(_) => self.walk = None,
            }
        }
    }
}

fn record(head: &Head, payload: Vec<u8>) -> Option<Record> {
    let Content::Payload(signal) = head.content else { return None };
    Some(Record { lsn: head.lsn, signal, tenant: head.tenant, received_ns: head.received_ns, payload })
}

impl Iterator for Recovered {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.left.clear();
            self.walk = None;
        }
        next.transpose()
    }
}
