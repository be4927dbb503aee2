//! The bytes of a segment: its header, the heads of records, checksums. `docs/log-format.md` is this file in words.

use super::Lsn;
use crate::Signal;

/// The version of the format that this build writes, and the only one that it reads.
pub(super) const VERSION: u32 = 1;

/// What one commit writes begins at a multiple of this, in bytes, so that no block that was made durable is written again:
/// a write that is torn can harm only what was not acknowledged.
pub(super) const BLOCK: u64 = 4096;

// So a commit can be written directly.
const _: () = assert!(BLOCK.is_multiple_of(crate::files::BLOCK as u64));

/// Records begin at multiples of this, in bytes.
pub(super) const ALIGN: u64 = 8;

/// The length of a record's head.
pub(super) const HEAD: usize = 44;

/// What a record takes beside its payload: the head and the payload's checksum.
pub(super) const AROUND: usize = HEAD + 4;

/// The largest payload of a record.
pub(super) const PAYLOAD_BYTES_MAX: u64 = 1 << 30;

const MAGIC: [u8; 8] = *b"WEIR LOG";
const MARK: [u8; 4] = *b"WREC";
const SEGMENT_HEAD: usize = 44;

/// The first bytes of a segment, the rest of its first block being zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    /// Part of every checksum in the segment, so that bytes of another file are never taken for its records.
    pub(super) salt: u64,
    /// The LSN of its first record.
    pub(super) first: Lsn,
    /// The length of the file, which it has before the first record is written.
    pub(super) bytes: u64,
}

impl SegmentHead {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut block = vec![0; BLOCK as usize];
        block[..8].copy_from_slice(&MAGIC);
        block[8..12].copy_from_slice(&VERSION.to_le_bytes());
        block[16..24].copy_from_slice(&self.salt.to_le_bytes());
        block[24..32].copy_from_slice(&self.first.to_le_bytes());
        block[32..40].copy_from_slice(&self.bytes.to_le_bytes());
        let sum = crc32c::crc32c(&block[..40]);
        block[40..SEGMENT_HEAD].copy_from_slice(&sum.to_le_bytes());
        block
    }

    /// The header at the beginning of these bytes, or what is wrong with it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let damaged = |reason: &str| Err(Unreadable::Damaged(reason.to_owned()));
        let Some(head) = bytes.get(..SEGMENT_HEAD) else {
            return damaged("the file is too short for the header of a segment");
        };
        if head[..8] != MAGIC {
            return damaged("it does not begin as a segment of a log does");
        }
        if u32_at(head, 40) != crc32c::crc32c(&head[..40]) {
            return damaged("the header of the segment does not match its checksum");
        }
        let version = u32_at(head, 8);
        if version != VERSION {
            return Err(Unreadable::Version(format!(
                "it has version {version} of the format, and this build of Weir reads {VERSION}: start the one that wrote it"
            )));
        }
        Ok(Self { salt: u64_at(head, 16), first: u64_at(head, 24), bytes: u64_at(head, 32) })
    }
}

/// Why a segment cannot be read, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Damaged(String),
    /// It is whole, and of a version that this build does not know.
    Version(String),
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A payload of a signal.
    Payload(Signal),
    /// The end of a log that was closed: everything before is durable, nothing comes after.
    Seal,
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) content: Content,
    /// The record's LSN; that of a seal is the next record's.
    pub(super) lsn: Lsn,
    /// Everything below was durable before this record was written: the first LSN of its commit.
    pub(super) durable: Lsn,
    pub(super) received_ns: i64,
    pub(super) tenant: u32,
    /// The last one of its commit: the next one begins at the next block.
    pub(super) is_last: bool,
    pub(super) payload_bytes: u32,
}

impl Head {
    /// The head with its checksum.
    pub(super) fn encode(&self, salt: u64) -> [u8; HEAD] {
        let kind = match self.content {
            Content::Seal => 0,
            Content::Payload(signal) => signal.index() as u8 + 1,
        };
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&MARK);
        head[4..8].copy_from_slice(&self.payload_bytes.to_le_bytes());
        head[8..16].copy_from_slice(&self.lsn.to_le_bytes());
        head[16..24].copy_from_slice(&self.durable.to_le_bytes());
        head[24..32].copy_from_slice(&self.received_ns.to_le_bytes());
        head[32..36].copy_from_slice(&self.tenant.to_le_bytes());
        head[36] = kind;
        head[37] = u8::from(self.is_last);
        let sum = head_sum(salt, &head);
        head[40..].copy_from_slice(&sum.to_le_bytes());
        head
    }

    /// The head at the beginning of these bytes, if there is one of a segment with this salt.
    pub(super) fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let head: &[u8; HEAD] = bytes.get(..HEAD)?.try_into().ok()?;
        if head[..4] != MARK || u32_at(head, 40) != head_sum(salt, head) {
            return None;
        }
        let content = match head[36] {
            0 => Content::Seal,
            kind => Content::Payload(*Signal::ALL.get(usize::from(kind) - 1)?),
        };
        Some(Self {
            content,
            lsn: u64_at(head, 8),
            durable: u64_at(head, 16),
            received_ns: u64_at(head, 24).cast_signed(),
            tenant: u32_at(head, 32),
            is_last: head[37] & 1 == 1,
            payload_bytes: u32_at(head, 4),
        })
    }

    /// What the record takes in the file, to the beginning of the next one of its commit.
    pub(super) fn bytes(&self) -> u64 {
        record_bytes(u64::from(self.payload_bytes))
    }
}

/// What a record with such a payload takes in the file.
pub(super) fn record_bytes(payload_bytes: u64) -> u64 {
    (payload_bytes + AROUND as u64).next_multiple_of(ALIGN)
}

/// The checksum of a payload, in pieces, which binds it to its head: it goes on from the head's. (Over the head and the head's checksum it
/// would not: that is the same number for every head.)
pub(super) fn payload_sum<'bytes>(head: &[u8; HEAD], payload: impl IntoIterator<Item = &'bytes [u8]>) -> u32 {
    payload.into_iter().fold(u32_at(head, 40), crc32c::crc32c_append)
}

fn head_sum(salt: u64, head: &[u8; HEAD]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &head[..40])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The name of the segment that begins with this LSN.
pub(super) fn segment_name(first: Lsn) -> String {
    format!("{first:020}.wal")
}

/// The first LSN of the segment of that name.
pub(super) fn segment_first(name: &str) -> Option<Lsn> {
    let digits = name.strip_suffix(".wal")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}
