//! Bytes read from the front, each length checked against what is left.

use crate::{Error, Result};

/// What is left to read.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// So many bytes.
    pub(super) fn bytes(&mut self, count: usize, what: &str) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| {
            let left = self.0.len();
            Error::storage(format!("{what}: {count} bytes are said to follow, {left} are left"))
        })?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut fixed = [0; N];
        fixed.copy_from_slice(self.bytes(N, what)?);
        Ok(fixed)
    }

    pub(super) fn byte(&mut self, what: &str) -> Result<u8> {
        Ok(self.fixed::<1>(what)?[0])
    }

    pub(super) fn flag(&mut self, what: &str) -> Result<bool> {
        match self.byte(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Error::storage(format!("{what}: {other} is neither 0 nor 1"))),
        }
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.fixed(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.fixed(what)?))
    }

    /// A number of things, each of which takes at least `least` bits of what follows: memory can be taken for so many.
    pub(super) fn count(&mut self, least: usize, what: &str) -> Result<usize> {
        let count = self.u64(what)?;
        let most = (self.0.len() as u64).saturating_mul(8) / least as u64;
        if count > most {
            return Err(Error::storage(format!("{what}: {count} are said to follow, there is room for {most}")));
        }
        Ok(count as usize)
    }

    /// Numbers of `N` bytes each.
    pub(super) fn numbers<T, const N: usize>(
        &mut self,
        count: usize,
        from: fn([u8; N]) -> T,
        what: &str,
    ) -> Result<Vec<T>> {
        let (numbers, _) = self.bytes(count.saturating_mul(N), what)?.as_chunks::<N>();
        Ok(numbers.iter().map(|number| from(*number)).collect())
    }

    /// Bytes after their number.
    pub(super) fn sized(&mut self, what: &str) -> Result<&'a [u8]> {
        let count = self.count(8, what)?;
        self.bytes(count, what)
    }

    /// Text after its length.
    pub(super) fn text(&mut self, what: &str) -> Result<&'a str> {
        utf8(self.sized(what)?, what)
    }
}

pub(super) fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Error::storage(format!("{what}: is not UTF-8")))
}

pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u64).to_le_bytes());
}

pub(super) fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}
