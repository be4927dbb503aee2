//! One segment from its beginning to its end, with what is damaged told apart from what was never finished.
//!
//! A bad place is *damage* if something valid proves that what it held was durable: a later record of the same segment
//! that says so, or the name of the next segment. Otherwise it is a *torn* end: a commit that was not acknowledged.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Lsn;
use super::format::{ALIGN, AROUND, BLOCK, Content, HEAD, Head, SegmentHead, Unreadable, payload_sum, record_bytes};
use crate::files::Files;

/// How much is read at once, in bytes.
const WINDOW: usize = 1 << 20;

/// A segment of the log: its name's LSN and where it is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) first: Lsn,
    pub(super) path: PathBuf,
    /// The length of the file.
    pub(super) bytes: u64,
    /// The first LSN of the next segment, where there is one.
    pub(super) until: Option<Lsn>,
}

/// What comes next in a segment.
#[derive(Debug)]
pub(super) enum Step {
    /// A record; its payload is in [`Walk::payload`].
    Record(Head),
    /// Bytes that held records which were durable.
    Damage(Damage),
    End(End),
}

/// A damaged place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) offset: u64,
    /// The damaged bytes in the file; none where they are missing.
    pub(super) bytes: u64,
    /// The first LSN that is damaged.
    pub(super) first: Lsn,
    /// The LSN at which the log goes on. Where the damage hides how many records there were, it is more than they can have been.
    pub(super) next: Lsn,
    pub(super) reason: String,
}

/// How a segment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The LSN after the last record.
    pub(super) next: Lsn,
    pub(super) offset: u64,
    /// There is something behind the last record that is none.
    pub(super) is_torn: bool,
    /// Everything below was durable for certain.
    pub(super) durable: Lsn,
}

/// A reader of one segment.
#[derive(Debug)]
pub(super) struct Walk {
    window: Window,
    place: Place,
    salt: u64,
    offset: u64,
    next: Lsn,
    durable: Lsn,
    sealed: bool,
    done: bool,
    /// The payload of the last record.
    pub(super) payload: Vec<u8>,
    /// What is wrong with the segment as a whole, until it is told.
    fault: Fault,
}

/// What is wrong with a segment as a whole.
#[derive(Debug)]
enum Fault {
    None,
    Header(String),
    /// The file is shorter than its header says.
    Short(u64),
}

impl Walk {
    /// Begins with the first record. An error of the kind `Unsupported` is a segment of another version.
    pub(super) fn begin(files: &Arc<dyn Files>, place: &Place) -> io::Result<Self> {
        let (files, path) = (files.clone(), place.path.clone());
        let mut window = Window { files, path, end: place.bytes, start: 0, bytes: Vec::new() };
        let head = match SegmentHead::decode(window.at(0, HEAD)?) {
            Ok(head) if head.first != place.first => {
                Err(format!("its header says that it begins with record {}", head.first))
            }
            Err(Unreadable::Version(reason)) => return Err(io::Error::new(io::ErrorKind::Unsupported, reason)),
            Err(Unreadable::Damaged(reason)) => Err(reason),
            Ok(head) => Ok(head),
        };
        let salt = head.as_ref().map_or(0, |head| head.salt);
        let fault = match head {
            Err(reason) => Fault::Header(reason),
            Ok(head) if place.bytes < head.bytes => Fault::Short(head.bytes),
            Ok(_) => Fault::None,
        };
        Ok(Self {
            window,
            place: place.clone(),
            salt,
            offset: BLOCK,
            next: place.first,
            durable: place.first,
            sealed: false,
            done: false,
            payload: Vec::new(),
            fault,
        })
    }

    /// The next step; after [`Step::End`] it is that again.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        if let Fault::Header(reason) = &self.fault {
            let reason = reason.clone();
            self.fault = Fault::None;
            self.done = true;
            return Ok(self.lost_whole(reason));
        }
        if self.done || self.sealed || self.place.until.is_some_and(|until| self.next >= until) {
            return self.end(false);
        }
        let Some(head) = self.head(self.offset)? else {
            return self.bad(self.offset + ALIGN, "no record begins here".to_owned());
        };
        let after = self.offset + head.bytes();
        if head.lsn != self.next {
            return self.bad(self.offset, format!("record {} stands here", head.lsn));
        }
        if head.content == Content::Seal {
            self.sealed = true;
            self.durable = head.lsn;
            return self.end(false);
        }
        if !self.read_payload(&head)? {
            return self.bad(after, "the payload does not match its checksum".to_owned());
        }
        self.offset = if head.is_last { after.next_multiple_of(BLOCK) } else { after };
        self.next = head.lsn + 1;
        self.durable = self.durable.max(head.durable);
        Ok(Step::Record(head))
    }

    /// The head at an offset, if it is one and its record ends within the file.
    fn head(&mut self, offset: u64) -> io::Result<Option<Head>> {
        let (salt, end) = (self.salt, self.place.bytes);
        let head = Head::decode(self.window.at(offset, HEAD)?, salt);
        Ok(head.filter(|head| offset.saturating_add(head.bytes()) <= end))
    }

    /// Reads the payload of the record at the offset; whether it matches.
    fn read_payload(&mut self, head: &Head) -> io::Result<bool> {
        let record = self.window.at(self.offset, AROUND + head.payload_bytes as usize)?;
        let Some((front, sum)) = record.split_last_chunk::<4>() else { return Ok(false) };
        let Some((head, payload)) = front.split_first_chunk::<HEAD>() else { return Ok(false) };
        let matches = payload_sum(head, [payload]) == u32::from_le_bytes(*sum);
        self.payload.clear();
        self.payload.extend_from_slice(payload);
        Ok(matches)
    }

    /// What to make of a place that is no record: looks for what is valid from an offset on.
    fn bad(&mut self, from: u64, reason: String) -> io::Result<Step> {
        let (expected, offset) = (self.next, self.offset);
        let mut proven = self.place.until.is_some();
        let mut found: Option<(u64, Lsn)> = None;
        let mut at = from.next_multiple_of(ALIGN);
        while let Some((place, head)) = self.find(at)? {
            at = place + ALIGN;
            // A record with another number at the very place was written by nobody.
            proven |= place == offset;
            if head.lsn < expected || self.place.until.is_some_and(|until| head.lsn > until) {
                continue;
            }
            // Where the walk can go on: a record after the damage, or the expected one at a place where it should not be.
            if found.is_none() {
                found = Some((place, head.lsn));
            }
            proven |= head.durable > expected;
            if proven {
                break;
            }
        }
        if !proven {
            return self.end(true);
        }
        let (end, next) = match (found, self.place.until) {
            (Some(found), _) => found,
            (None, Some(until)) => (self.place.bytes.max(offset), until),
            (None, None) => (self.place.bytes.max(offset), expected),
        };
        let damage = Damage { offset, bytes: end - offset, first: expected, next, reason };
        self.offset = end;
        self.next = next;
        Ok(Step::Damage(damage))
    }

    /// The next head from an offset on, wherever it is.
    fn find(&mut self, from: u64) -> io::Result<Option<(u64, Head)>> {
        let mut at = from;
        while at < self.place.bytes {
            let (salt, end) = (self.salt, self.place.bytes);
            let bytes = self.window.at(at, BLOCK as usize + HEAD)?;
            let block = bytes.len().min((BLOCK - at % BLOCK) as usize);
            if block == 0 || is_zeros(bytes) {
                at += (block as u64).max(ALIGN);
                continue;
            }
            for within in (0..block).step_by(ALIGN as usize) {
                let head = bytes.get(within..).and_then(|bytes| Head::decode(bytes, salt));
                let place = at + within as u64;
                if let Some(head) = head.filter(|head| place.saturating_add(head.bytes()) <= end) {
                    return Ok(Some((place, head)));
                }
            }
            at += block as u64;
        }
        Ok(None)
    }

    fn end(&mut self, is_torn: bool) -> io::Result<Step> {
        self.done = true;
        if let Fault::Short(bytes) = self.fault {
            self.fault = Fault::None;
            if self.place.until.is_none_or(|until| self.next < until) && !self.sealed {
                return Ok(self.cut_off(bytes));
            }
        }
        let is_torn = is_torn && !self.is_empty_from(self.offset)?;
        let durable = self.place.until.unwrap_or(self.durable);
        Ok(Step::End(End { next: self.next, offset: self.offset, is_torn, durable }))
    }

    fn is_empty_from(&mut self, from: u64) -> io::Result<bool> {
        let mut at = from;
        while at < self.place.bytes {
            let bytes = self.window.at(at, ZEROS.len())?;
            if !is_zeros(bytes) {
                return Ok(false);
            }
            at += (bytes.len() as u64).max(1);
        }
        Ok(true)
    }

    /// The damage where the end of the file is missing: at least whatever stood there.
    fn cut_off(&mut self, bytes: u64) -> Step {
        let (offset, first) = (self.offset, self.next);
        let missing = bytes.saturating_sub(offset.min(self.place.bytes));
        self.next = self.place.until.unwrap_or(first + missing / record_bytes(0) + 1);
        let reason = format!("the file ends after {} bytes, and its header says that it has {bytes}", self.place.bytes);
        let damage = Damage { offset, bytes: self.place.bytes.saturating_sub(offset), first, next: self.next, reason };
        self.offset = self.place.bytes.max(offset);
        self.durable = self.next;
        Step::Damage(damage)
    }

    /// The damage of a segment whose header cannot be read: its records cannot be told from other bytes.
    fn lost_whole(&mut self, reason: String) -> Step {
        let (first, bytes) = (self.next, self.place.bytes);
        self.next = self.place.until.unwrap_or(first + bytes / record_bytes(0) + 1);
        self.offset = bytes;
        self.durable = self.next;
        Step::Damage(Damage { offset: 0, bytes, first, next: self.next, reason })
    }
}

/// The part of a file that was read last.
#[derive(Debug)]
struct Window {
    files: Arc<dyn Files>,
    path: PathBuf,
    /// The length of the file.
    end: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Bytes of the file, fewer where it ends.
    fn at(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let read = self.start + self.bytes.len() as u64;
        if offset < self.start || offset.saturating_add(len as u64).min(self.end) > read {
            self.bytes = self.files.read_range(&self.path, offset, len.max(WINDOW))?;
            self.start = offset;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX).min(self.bytes.len());
        let to = from.saturating_add(len).min(self.bytes.len());
        Ok(self.bytes.get(from..to).unwrap_or_default())
    }
}

static ZEROS: [u8; BLOCK as usize + HEAD] = [0; BLOCK as usize + HEAD];

/// Whether there are zeros only; a comparison of whole blocks, as most of what is searched was never written.
fn is_zeros(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|chunk| ZEROS.get(..chunk.len()) == Some(chunk))
}
