//! From memory to the disk: a batch of records is one write and one sync, and what does not fit begins a new segment.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::format::{BLOCK, Content, Head, SegmentHead, segment_name};
use super::records::Records;
use super::{Lsn, Options};
use crate::Error;
use crate::files::{File, Files, failed, is_full, remove_if_there};

/// Segments of so many bytes are tried whatever the disk says is free: not every file system knows, and root may have more.
pub(super) const TRIED_BYTES: u64 = 1 << 20;

/// What to do about a full disk, and what happens until then.
pub(super) const CURE: &str = "make room there, or set log.folder to a folder on another disk; until then senders are told to \
                               come back, and nothing that was acknowledged is lost";

/// Where a new segment is written before it gets its name, so that a segment with a name always has a whole header.
const UNNAMED: &str = "segment.new";

/// The folder of a log and what is known of it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) files: Arc<dyn Files>,
    pub(super) options: Options,
    /// The reserve is given up: segments are as long as what waits, for the rest of the space is needed elsewhere.
    pub(super) is_scarce: AtomicBool,
    /// The segments: the first LSN of each, and its length.
    segments: Mutex<BTreeMap<Lsn, u64>>,
}

impl Folder {
    pub(super) fn new(files: Arc<dyn Files>, options: Options, segments: BTreeMap<Lsn, u64>) -> Self {
        Self { files, options, is_scarce: AtomicBool::new(false), segments: Mutex::new(segments) }
    }

    pub(super) fn segments(&self) -> MutexGuard<'_, BTreeMap<Lsn, u64>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn path(&self, first: Lsn) -> PathBuf {
        self.options.folder.join(segment_name(first))
    }

    /// Bytes that are free on the disk; none where that is not known.
    pub(super) fn free(&self) -> Option<u64> {
        self.files.free(&self.options.folder).ok().flatten()
    }

    /// The same, in words.
    pub(super) fn free_text(&self) -> String {
        self.free().map_or_else(String::new, |free| format!(", where {free} bytes are free"))
    }

    /// Why records wait, with what helps.
    fn full(&self, what: &str, path: &Path, error: &io::Error) -> Failure {
        let what = format!("{what} {}{}: {error}", path.display(), self.free_text());
        Failure::Full(match is_full(error) {
            true => format!("the log waits for space on the disk: {what}; {CURE}"),
            false => format!("the log waits: {what}"),
        })
    }
}

/// Why a batch is not durable.
#[derive(Debug)]
pub(super) enum Failure {
    /// No segment could be begun. Nothing is lost, and it may work later.
    Full(String),
    /// What the disk has is not known any more.
    Lost(Error),
}

/// What one sync made durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Synced {
    /// Everything below is durable.
    pub(super) durable: Lsn,
    pub(super) records: u64,
    /// What the records take.
    pub(super) bytes: u64,
    pub(super) took: Duration,
}

/// The segment that is written, and the batch that is being written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    segment: Option<Segment>,
    pub(super) batch: Records,
}

impl Writer {
    /// Makes the batch durable, telling after each sync what is. After [`Failure::Full`] it can be called again.
    pub(super) fn write(&mut self, folder: &Folder, mut synced: impl FnMut(Synced)) -> Result<(), Failure> {
        while let Some(head) = self.batch.next() {
            let segment = match &mut self.segment {
                Some(segment) if segment.has_room(head.bytes()) => segment,
                full => {
                    let is_scarce = folder.is_scarce.load(Relaxed);
                    let waiting = Segment::bytes_for(self.batch.bytes_left());
                    let wanted = if is_scarce { waiting } else { folder.options.segment_bytes };
                    full.insert(Segment::begin(folder, head.lsn, wanted, head.bytes())?)
                }
            };
            let (records, bytes, durable) = segment.take(&self.batch);
            let began = Instant::now();
            segment.write(&mut self.batch, records).map_err(|error| segment.lost("cannot write", &error))?;
            segment.sync()?;
            self.batch.durable(records);
            synced(Synced { durable, records: records as u64, bytes, took: began.elapsed() });
        }
        self.batch.clear();
        Ok(())
    }

    /// Marks the end of a log in which everything is durable, so that the next start can tell that nothing is missing.
    pub(super) fn seal(&mut self, next: Lsn) -> Result<(), Failure> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        segment.seal(next)?;
        self.segment = None;
        Ok(())
    }
}

/// Writes records into a segment of their own, as long as they need, which is durable and sealed before it gets its name.
pub(super) fn write_whole(folder: &Folder, first: Lsn, next: Lsn, batch: &mut Records) -> Result<(), Failure> {
    let needed = batch.bytes_left();
    let mut segment = Segment::unnamed(folder, first, 0, needed)?;
    let records = batch.heads_left().count();
    let written = segment.write(batch, records);
    written.map_err(|error| folder.full("cannot write", &segment.path, &error))?;
    segment.seal(next)?;
    segment.name(folder)
}

/// A segment that is being written.
#[derive(Debug)]
struct Segment {
    file: Box<dyn File>,
    path: PathBuf,
    head: SegmentHead,
    /// Where the next commit is written, a multiple of a block.
    offset: u64,
}

impl Segment {
    /// Begins a segment: durable, with its name, when this returns.
    fn begin(folder: &Folder, first: Lsn, wanted: u64, needed: u64) -> Result<Self, Failure> {
        let mut segment = Self::unnamed(folder, first, wanted, needed)?;
        segment.sync()?;
        segment.name(folder)?;
        Ok(segment)
    }

    /// The length of a segment with so many bytes of records: the header, the records, the seal.
    fn bytes_for(records: u64) -> u64 {
        BLOCK + records.next_multiple_of(BLOCK) + BLOCK
    }

    /// A segment without its name, as long as wanted and longer if the records need it. On a disk that is nearly full it is
    /// shorter, for one that is short is better than none, and never so long that it leaves less than it takes: the end of the
    /// epoch, which makes room, needs some.
    fn unnamed(folder: &Folder, first: Lsn, wanted: u64, needed: u64) -> Result<Self, Failure> {
        let least = Self::bytes_for(needed);
        let shorter = |bytes: u64| (bytes / 2 / BLOCK * BLOCK).max(least);
        let mut bytes = wanted.max(least);
        let free = folder.free().unwrap_or(u64::MAX);
        while bytes > free / 2 && bytes > least.max(TRIED_BYTES) {
            bytes = shorter(bytes);
        }
        let unnamed = folder.options.folder.join(UNNAMED);
        let begun = |head: SegmentHead, is_direct: bool| -> io::Result<Box<dyn File>> {
            remove_if_there(&*folder.files, &unnamed)?;
            let files = &folder.files;
            let mut file = if is_direct { files.create_direct(&unnamed)? } else { files.create_private(&unnamed)? };
            file.allocate(head.bytes)?;
            file.write_all(&head.encode())?;
            Ok(file)
        };
        // A file system of another process may say only when written to that it cannot be, directly.
        let made =
            |head| begun(head, true).or_else(|error| if is_unsuited(&error) { begun(head, false) } else { Err(error) });
        loop {
            let head = SegmentHead { salt: salt(folder.options.salt, first), first, bytes };
            let error = match made(head) {
                Ok(file) => return Ok(Self { file, path: folder.path(first), head, offset: BLOCK }),
                Err(error) => error,
            };
            // What it took of the disk is given back; if that fails, the next attempt does it.
            let _ = folder.files.remove(&unnamed);
            if bytes == least || !is_full(&error) {
                let what = format!("cannot begin a segment of {bytes} bytes in");
                return Err(folder.full(&what, &folder.options.folder, &error));
            }
            bytes = shorter(bytes);
        }
    }

    /// Gives a durable segment its name. One that had it holds nothing that this one does not.
    fn name(&self, folder: &Folder) -> Result<(), Failure> {
        let unnamed = folder.options.folder.join(UNNAMED);
        if let Err(error) = folder.files.rename(&unnamed, &self.path) {
            let _ = folder.files.remove(&unnamed);
            return Err(folder.full("cannot name the segment", &self.path, &error));
        }
        let synced = folder.files.sync_folder(&folder.options.folder);
        synced.map_err(|error| self.lost("cannot bring to the disk the name of", &error))?;
        folder.segments().insert(self.head.first, self.head.bytes);
        Ok(())
    }

    /// Whether so many bytes of records fit, and a seal after them.
    fn has_room(&self, bytes: u64) -> bool {
        (self.offset + bytes).next_multiple_of(BLOCK) + BLOCK <= self.head.bytes
    }

    /// How many records of a batch fit, in how many bytes, and the LSN after them.
    fn take(&self, batch: &Records) -> (usize, u64, Lsn) {
        let (mut records, mut bytes, mut next) = (0, 0, self.head.first);
        for head in batch.heads_left() {
            if !self.has_room(bytes + head.bytes()) {
                break;
            }
            records += 1;
            bytes += head.bytes();
            next = head.lsn + 1;
        }
        (records, bytes, next)
    }

    /// Writes so many records of a batch, to the end of a block.
    fn write(&mut self, batch: &mut Records, records: usize) -> io::Result<()> {
        let pieces = batch.commit(records, self.head.salt);
        self.offset += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        self.file.write_pieces(&pieces)
    }

    fn seal(&mut self, next: Lsn) -> Result<(), Failure> {
        let head = Head {
            content: Content::Seal,
            lsn: next,
            durable: next,
            received_ns: 0,
            tenant: 0,
            is_last: true,
            payload_bytes: 0,
        };
        let mut seal = Records::default();
        seal.push(head, &[]);
        self.write(&mut seal, 1).map_err(|error| self.lost("cannot write", &error))?;
        self.sync()
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.file.sync().map_err(|error| self.lost("cannot bring to the disk", &error))
    }

    fn lost(&self, what: &str, error: &io::Error) -> Failure {
        let error = failed(what, &self.path, error);
        Failure::Lost(Error::storage(format!(
            "{}: the log cannot tell what the disk has, and nothing more is acknowledged; look at the disk, and start again",
            error.message()
        )))
    }
}

/// Whether a file system refuses how it is written to, and not what.
fn is_unsuited(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

/// The salt of a segment, another one for each: a finalizer of splitmix64 over both numbers.
fn salt(seed: u64, first: Lsn) -> u64 {
    let mut mixed = seed ^ first.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
