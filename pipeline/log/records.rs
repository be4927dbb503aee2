//! Records in memory, as they will stand in the file but for what depends on the file.
//!
//! They lie one behind the other in pieces of one size, whole blocks of memory, and a record may begin in one and end in the next:
//! so the disk is written from them without a copy. (And what is freed in large blocks, the allocator keeps in large blocks.)

use super::format::{BLOCK, HEAD, Head, payload_sum};
use crate::files::Aligned;
use std::ops::Range;

/// The size of a piece: whole blocks.
const PIECE_BYTES: usize = 512 << 10;
/// How many pieces are kept for the next records.
const PIECES_KEPT: usize = 4;

/// What fills a block behind the last record of a commit.
const ZEROS: &[u8] = &[0; BLOCK as usize];

#[derive(Debug)]
struct Record {
    head: Head,
    /// Where it begins, counted over all pieces.
    at: usize,
}

/// Records on their way to the disk.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// All but the last are full.
    pieces: Vec<Aligned>,
    records: Vec<Record>,
    /// How many records are durable.
    done: usize,
    spare: Vec<Aligned>,
}

impl Records {
    /// Takes a record behind the others. It must not be called between a commit and [`clear`](Self::clear).
    pub(super) fn push(&mut self, head: Head, payload: &[u8]) {
        let record = Record { head, at: self.bytes() };
        let around = head.bytes() as usize - HEAD - payload.len();
        self.extend(&[0; HEAD]);
        self.extend(payload);
        self.extend(ZEROS.get(..around).unwrap_or_default());
        self.records.push(record);
    }

    fn extend(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut piece = match self.pieces.pop_if(|piece| piece.room() > 0) {
                Some(piece) => piece,
                None => self.spare.pop().unwrap_or_else(|| Aligned::with_room(PIECE_BYTES)),
            };
            bytes = piece.take(bytes);
            self.pieces.push(piece);
        }
    }

    fn bytes(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE_BYTES + last.len())
    }

    pub(super) fn is_done(&self) -> bool {
        self.done == self.records.len()
    }

    /// The heads of the records that are not durable.
    pub(super) fn heads_left(&self) -> impl Iterator<Item = &Head> {
        self.records.get(self.done..).unwrap_or_default().iter().map(|record| &record.head)
    }

    /// The first of them.
    pub(super) fn next(&self) -> Option<Head> {
        self.heads_left().next().copied()
    }

    /// What the records that are not durable take, from their heads to the last one's end.
    pub(super) fn bytes_left(&self) -> u64 {
        self.heads_left().map(Head::bytes).sum()
    }

    /// Completes the next so many records, one commit of a segment with this salt, and gives their bytes in order, with zeros up to
    /// the end of a block behind them. If they are all that there are, the bytes lie in blocks of memory.
    pub(super) fn commit(&mut self, records: usize, salt: u64) -> Vec<&[u8]> {
        let commit = self.done..self.done + records;
        let all = self.records.get(commit.clone()).unwrap_or_default();
        let (Some(first), Some(last)) = (all.first(), all.last()) else { return Vec::new() };
        let (durable, range) = (first.head.lsn, first.at..last.at + last.head.bytes() as usize);
        for at in commit.clone() {
            self.finish(at, durable, at + 1 == commit.end, salt);
        }
        let mut padding = ZEROS.get(..range.len().next_multiple_of(ZEROS.len()) - range.len()).unwrap_or_default();
        let mut end = range.end;
        if commit.end == self.records.len() {
            // Once, if it is asked for again.
            let wanted = end + padding.len() - self.bytes();
            self.extend(ZEROS.get(..wanted).unwrap_or_default());
            end += std::mem::take(&mut padding).len();
        }
        self.slices(range.start..end).chain((!padding.is_empty()).then_some(padding)).collect()
    }

    /// Writes the head of a record and its checksums around the payload that is there already.
    fn finish(&mut self, record: usize, durable: u64, is_last: bool, salt: u64) {
        let Some(Record { head, at }) = self.records.get_mut(record) else { return };
        head.durable = durable;
        head.is_last = is_last;
        let (at, encoded) = (*at, head.encode(salt));
        let payload = at + HEAD..at + HEAD + head.payload_bytes as usize;
        let sum = payload_sum(&encoded, self.slices(payload.clone()));
        self.overwrite(at, &encoded);
        self.overwrite(payload.end, &sum.to_le_bytes());
    }

    /// The bytes of a range, piece by piece.
    fn slices(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        parts(range).filter_map(|(piece, within)| self.pieces.get(piece)?.get(within))
    }

    fn overwrite(&mut self, at: usize, mut bytes: &[u8]) {
        for (piece, within) in parts(at..at + bytes.len()) {
            let Some((part, rest)) = bytes.split_at_checked(within.len()) else { return };
            if let Some(place) = self.pieces.get_mut(piece).and_then(|piece| piece.bytes_mut().get_mut(within)) {
                place.copy_from_slice(part);
            }
            bytes = rest;
        }
    }

    /// So many records more are durable.
    pub(super) fn durable(&mut self, records: usize) {
        self.done += records;
    }

    /// Forgets everything but a little of the memory.
    pub(super) fn clear(&mut self) {
        for mut piece in self.pieces.drain(..) {
            if self.spare.len() < PIECES_KEPT {
                piece.clear();
                self.spare.push(piece);
            }
        }
        self.records.clear();
        self.records.shrink_to(1 << 12);
        self.done = 0;
    }
}

/// The parts of a range in the pieces in which it lies.
fn parts(range: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
    (range.start / PIECE_BYTES..range.end.div_ceil(PIECE_BYTES)).map(move |piece| {
        let begin = piece * PIECE_BYTES;
        (piece, range.start.max(begin) - begin..range.end.min(begin + PIECE_BYTES) - begin)
    })
}
