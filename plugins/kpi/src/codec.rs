//! Numbers and texts as bytes: what the plugin keeps in its state. Small numbers take a byte.

use std::hash::{BuildHasherDefault, Hasher};

/// Bytes being written.
#[derive(Debug, Default)]
pub(crate) struct Out(pub(crate) Vec<u8>);

impl Out {
    #[inline]
    pub(crate) fn u(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    /// Signed: those near zero are short.
    pub(crate) fn i(&mut self, value: i64) -> &mut Self {
        self.u((value << 1 ^ value >> 63).cast_unsigned())
    }

    pub(crate) fn flag(&mut self, value: bool) -> &mut Self {
        self.u(u64::from(value))
    }

    /// None is 0, so that a number takes its successor.
    pub(crate) fn maybe(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            None => self.u(0),
            Some(value) => self.u(1).i(value),
        }
    }

    /// A hash: as many bytes as it has, since it is never small.
    pub(crate) fn hash(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.u(text.len() as u64);
        self.0.extend(text.as_bytes());
        self
    }

    pub(crate) fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.u(items.len() as u64);
        items.iter().for_each(|item| write(self, item));
        self
    }
}

/// Bytes being read. `None` where they end too early or are not what was written.
#[derive(Debug)]
pub(crate) struct In<'a>(pub(crate) &'a [u8]);

impl In<'_> {
    #[inline]
    pub(crate) fn u(&mut self) -> Option<u64> {
        match self.0 {
            [byte @ 0..0x80, rest @ ..] => {
                self.0 = rest;
                Some(u64::from(*byte))
            }
            _ => self.long(),
        }
    }

    fn long(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
        }
    }

    pub(crate) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.u()?).ok()
    }

    pub(crate) fn i(&mut self) -> Option<i64> {
        let value = self.u()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        Some(self.u()? != 0)
    }

    pub(crate) fn maybe(&mut self) -> Option<Option<i64>> {
        Some(if self.u()? == 0 { None } else { Some(self.i()?) })
    }

    pub(crate) fn hash(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.u()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    pub(crate) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = usize::try_from(self.u()?).ok()?;
        // A length that lies must not allocate: every item takes a byte at least.
        let mut items = Vec::with_capacity(length.min(self.0.len()));
        for _ in 0..length {
            items.push(read(self)?);
        }
        Some(items)
    }
}

/// The bytes of a value in eight: `SplitMix64` over each word. Equal input gives equal hashes on every machine.
#[inline]
pub(crate) fn mix(seed: u64, word: u64) -> u64 {
    let mut hash = (seed ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

/// The hash of a text, on top of another.
#[inline]
pub(crate) fn mix_text(seed: u64, text: &str) -> u64 {
    let mut hash = mix(seed, text.len() as u64);
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    if rest.is_empty() {
        return hash;
    }
    mix(hash, rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

/// Hashes keys of numbers for maps, the same in every run: keys of the plugin's own need no defence against each other.
pub(crate) type Mixed = BuildHasherDefault<Mixer>;

/// The hasher of [`Mixed`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        // The upper bits of a product are mixed best, and a map looks at the lower ones, too.
        let product = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Out::default();
        out.u(0).u(127).u(128).u(u64::MAX).i(-1).i(i64::MIN).i(i64::MAX).flag(true).maybe(None).maybe(Some(-7));
        out.text("é").hash(5).list(&[1, 2, 3], |out, item| _ = out.u(*item));
        let mut bytes = In(&out.0);
        assert_eq!([bytes.u(), bytes.u(), bytes.u(), bytes.u()], [0, 127, 128, u64::MAX].map(Some));
        assert_eq!([bytes.i(), bytes.i(), bytes.i()], [-1, i64::MIN, i64::MAX].map(Some));
        assert_eq!((bytes.flag(), bytes.maybe(), bytes.maybe()), (Some(true), Some(None), Some(Some(-7))));
        assert_eq!((bytes.text().as_deref(), bytes.hash()), (Some("é"), Some(5)));
        assert_eq!(bytes.list(In::u), Some(vec![1, 2, 3]));
        assert!(bytes.0.is_empty());
    }

    #[test]
    fn bytes_that_end_too_early_are_no_value() {
        assert_eq!(In(&[0x80]).u(), None);
        assert_eq!(In(&[5, b'a']).text(), None);
        assert_eq!(In(&[255, 255, 255, 255, 15]).list(In::u), None);
        assert_eq!(In(&[0xff; 11]).u(), None);
    }
}
