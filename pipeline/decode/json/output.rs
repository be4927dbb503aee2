//! Protobuf, written front to back in linear time.
//!
//! A message stands behind its length, which is known only at its end. One byte is reserved for it, enough for most;
//! where it is not, the length is noted and put in place at the end, in one move of everything behind it, so that deep
//! nesting does not move the same bytes again and again.

/// How a field's value is laid out on the wire.
#[derive(Clone, Copy)]
pub(super) enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
    Fixed32 = 5,
}

/// A length of 128 or more, which needs more than the byte reserved for it at `at`.
struct Long {
    at: usize,
    length: usize,
}

/// A message that is being written.
#[must_use]
pub(super) struct Open {
    at: usize,
    extra: usize,
}

/// The protobuf bytes written so far.
pub(super) struct Output {
    bytes: Vec<u8>,
    long: Vec<Long>,
    /// How many bytes the noted lengths will add.
    extra: usize,
}

impl Output {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), long: Vec::new(), extra: 0 }
    }

    pub(super) fn tag(&mut self, number: u32, wire: Wire) {
        self.varint(u64::from(number) << 3 | wire as u64);
    }

    pub(super) fn varint(&mut self, number: u64) {
        put_varint(&mut self.bytes, number);
    }

    pub(super) fn fixed32(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn fixed64(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// A string or bytes, with their length.
    pub(super) fn blob(&mut self, blob: &[u8]) {
        self.varint(blob.len() as u64);
        self.bytes.extend_from_slice(blob);
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Begins something that stands behind its length.
    pub(super) fn open(&mut self) -> Open {
        self.bytes.push(0);
        Open { at: self.bytes.len() - 1, extra: self.extra }
    }

    /// Ends what was begun.
    pub(super) fn close(&mut self, open: Open) {
        let length = self.bytes.len() - open.at - 1 + (self.extra - open.extra);
        if length < 0x80 {
            self.bytes[open.at] = length as u8;
        } else {
            self.long.push(Long { at: open.at, length });
            self.extra += varint_length(length as u64) - 1;
        }
    }

    /// All of it, the noted lengths put in place.
    pub(super) fn finish(self) -> Vec<u8> {
        let Self { mut bytes, mut long, extra } = self;
        long.sort_unstable_by_key(|long| long.at);
        // From the back, each stretch between two lengths moves once, to where it stays.
        let mut from = bytes.len();
        let mut to = from + extra;
        bytes.resize(to, 0);
        let mut varint = Vec::with_capacity(10);
        for Long { at, length } in long.into_iter().rev() {
            to -= from - (at + 1);
            bytes.copy_within(at + 1..from, to);
            varint.clear();
            put_varint(&mut varint, length as u64);
            to -= varint.len();
            bytes[to..to + varint.len()].copy_from_slice(&varint);
            from = at;
        }
        bytes
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn varint_length(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}
