//! Memory that a disk can be written from without a copy.

use std::ops::Deref;

/// Files that are [written directly](super::Files::create_direct) are written in multiples of so many bytes, and without a copy
/// only from addresses that are.
pub const BLOCK: usize = 4096;

/// Bytes that begin at the beginning of a block of memory. There is room for so many and no more, so they stay there.
#[derive(Debug)]
pub(crate) struct Aligned {
    memory: Vec<u8>,
    /// Where in the memory the first block begins.
    begin: usize,
    room: usize,
}

impl Aligned {
    pub(crate) fn with_room(bytes: usize) -> Self {
        let mut memory: Vec<u8> = Vec::with_capacity(bytes + BLOCK);
        let begin = memory.as_ptr().align_offset(BLOCK).min(BLOCK);
        memory.resize(begin, 0);
        Self { memory, begin, room: bytes }
    }

    /// How many bytes more there is room for.
    pub(crate) fn room(&self) -> usize {
        self.room - self.len()
    }

    /// Takes as many of the bytes as there is room for, and gives the others back.
    pub(crate) fn take<'bytes>(&mut self, bytes: &'bytes [u8]) -> &'bytes [u8] {
        let (fit, rest) = bytes.split_at(self.room().min(bytes.len()));
        self.memory.extend_from_slice(fit);
        rest
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.begin..).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.memory.truncate(self.begin);
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.get(self.begin..).unwrap_or_default()
    }
}
