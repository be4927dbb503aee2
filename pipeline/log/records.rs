//! Records in memory, as they will stand in the file but for what depends on the file.
//!
//! They lie in pieces of moderate size: what is freed in large blocks, the allocator keeps in large blocks.

use super::format::{BLOCK, HEAD, Head, payload_sum};
use std::ops::Range;

/// The size of a piece. A record that is larger has one of its own.
const PIECE_BYTES: usize = 512 << 10;
/// How many pieces are kept for the next records.
const PIECES_KEPT: usize = 4;

/// What fills a block behind the last record of a commit.
const ZEROS: &[u8] = &[0; BLOCK as usize];

#[derive(Debug)]
struct Record {
    head: Head,
    piece: usize,
    /// Where in its piece it begins.
    at: usize,
}

/// Records on their way to the disk.
#[derive(Debug, Default)]
pub(super) struct Records {
    pieces: Vec<Vec<u8>>,
    records: Vec<Record>,
    /// How many records are durable.
    done: usize,
    spare: Vec<Vec<u8>>,
}

impl Records {
    pub(super) fn push(&mut self, head: Head, payload: &[u8]) {
        let bytes = head.bytes() as usize;
        let mut piece = match self.pieces.pop_if(|piece| piece.capacity() - piece.len() >= bytes) {
            Some(piece) => piece,
            None if bytes > PIECE_BYTES => Vec::with_capacity(bytes),
            None => self.spare.pop().unwrap_or_else(|| Vec::with_capacity(PIECE_BYTES)),
        };
        let at = piece.len();
        piece.resize(at + HEAD, 0);
        piece.extend_from_slice(payload);
        piece.resize(at + bytes, 0);
        self.records.push(Record { head, piece: self.pieces.len(), at });
        self.pieces.push(piece);
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
    /// the end of a block behind them.
    pub(super) fn commit(&mut self, records: usize, salt: u64) -> Vec<&[u8]> {
        let commit = self.records.get_mut(self.done..).unwrap_or_default();
        let commit = commit.get_mut(..records).unwrap_or_default();
        let durable = commit.first().map_or(0, |first| first.head.lsn);
        let mut ranges: Vec<(usize, Range<usize>)> = Vec::new();
        for (number, Record { head, piece, at }) in commit.iter_mut().enumerate() {
            head.durable = durable;
            head.is_last = number + 1 == records;
            let range = *at..*at + head.bytes() as usize;
            let bytes = self.pieces.get_mut(*piece).and_then(|piece| piece.get_mut(range.clone()));
            finish(bytes.unwrap_or_default(), head, salt);
            match ranges.last_mut() {
                Some((last, before)) if *last == *piece => before.end = range.end,
                _ => ranges.push((*piece, range)),
            }
        }
        let bytes: usize = ranges.iter().map(|(_, range)| range.len()).sum();
        let padding = ZEROS.get(..bytes.next_multiple_of(ZEROS.len()) - bytes);
        let piece = |(piece, range): (usize, Range<usize>)| self.pieces.get(piece).and_then(|piece| piece.get(range));
        ranges.into_iter().filter_map(piece).chain(padding).collect()
    }

    /// So many records more are durable.
    pub(super) fn durable(&mut self, records: usize) {
        self.done += records;
    }

    /// Forgets everything but a little of the memory.
    pub(super) fn clear(&mut self) {
        for mut piece in self.pieces.drain(..) {
            if piece.capacity() <= PIECE_BYTES && self.spare.len() < PIECES_KEPT {
                piece.clear();
                self.spare.push(piece);
            }
        }
        self.records.clear();
        self.records.shrink_to(1 << 12);
        self.done = 0;
    }
}

/// Writes the head of a record and its checksums around the payload that is there already.
pub(super) fn finish(record: &mut [u8], head: &Head, salt: u64) {
    let encoded = head.encode(salt);
    let Some((front, rest)) = record.split_first_chunk_mut::<HEAD>() else { return };
    *front = encoded;
    let Some((payload, rest)) = rest.split_at_mut_checked(head.payload_bytes as usize) else { return };
    if let Some(sum) = rest.first_chunk_mut::<4>() {
        *sum = payload_sum(&encoded, payload).to_le_bytes();
    }
}
