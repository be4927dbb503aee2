//! The protobuf wire format, read by hand.

use crate::Error;

/// A refusal, boxed so that the results of the reader fit into registers.
pub(super) type Refusal = Box<Error>;
/// The result of reading.
pub(super) type Read<T> = Result<T, Refusal>;

/// How deep groups that nobody knows may nest.
const GROUP_DEPTH_MAX: u32 = 64;

pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const LENGTH: u8 = 2;
const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;
pub(super) const FIXED32: u8 = 5;

/// The number and the wire type of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) wire: u8,
}

/// What is left to read of a message. Every read says what it reads, for the message of a refusal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire<'a> {
    rest: &'a [u8],
}

#[cold]
pub(super) fn refuse(what: &str, why: &str) -> Refusal {
    Box::new(Error::data(format!("{what}: {why}")))
}

#[cold]
fn wrong_type(what: &str, field: Field, wanted: &str) -> Refusal {
    refuse(what, &format!("field {} has wire type {}, {wanted} was expected", field.number, field.wire))
}

#[cold]
fn truncated(what: &str, wanted: u64, left: usize) -> Refusal {
    refuse(what, &format!("{wanted} bytes should follow, {left} are left"))
}

/// Whether bytes are text. Most are ASCII, which is told faster than UTF-8.
#[inline]
pub(super) fn is_utf8(bytes: &[u8]) -> bool {
    bytes.is_ascii() || simdutf8::basic::from_utf8(bytes).is_ok()
}

/// The content of a field that begins with this byte and is at most 16,383 bytes long, and what comes after it.
#[inline]
pub(super) fn short_field(bytes: &[u8], key: u8) -> Option<(&[u8], &[u8])> {
    match *bytes {
        [first, length, ref rest @ ..] if first == key && length < 0x80 => rest.split_at_checked(usize::from(length)),
        [first, low, high, ref rest @ ..] if first == key && high < 0x80 => {
            rest.split_at_checked(usize::from(low & 0x7f) | usize::from(high) << 7)
        }
        _ => None,
    }
}

impl<'a> Wire<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// All that is left.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field, or none at the end of the message.
    #[inline]
    pub(super) fn next(&mut self, message: &str) -> Read<Option<Field>> {
        let Some(&first) = self.rest.first() else { return Ok(None) };
        let key = if first < 0x80 {
            self.rest = &self.rest[1..];
            u64::from(first)
        } else {
            self.long_varint(message)?
        };
        let field = Field { number: (key >> 3) as u32, wire: (key & 7) as u8 };
        if key > u64::from(u32::MAX) || field.number == 0 {
            return Err(refuse(message, &format!("field number {} is not between 1 and 536870911", key >> 3)));
        }
        if field.wire > FIXED32 {
            return Err(refuse(message, &format!("field {} has the unknown wire type {}", field.number, field.wire)));
        }
        Ok(Some(field))
    }

    #[inline]
    fn raw_varint(&mut self, what: &str) -> Read<u64> {
        match self.rest.first() {
            Some(&first) if first < 0x80 => {
                self.rest = &self.rest[1..];
                Ok(u64::from(first))
            }
            _ => self.long_varint(what),
        }
    }

    fn long_varint(&mut self, what: &str) -> Read<u64> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        let why =
            if self.rest.len() < 10 { "the bytes end within a varint" } else { "a varint is longer than 64 bits" };
        Err(refuse(what, why))
    }

    #[inline]
    fn take(&mut self, length: u64, what: &str) -> Read<&'a [u8]> {
        match usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length)) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(truncated(what, length, self.rest.len())),
        }
    }

    // Nearly all senders write the fields of a message in the order of their numbers. Who asks for each in that order, and
    // for what is left field by field, has branches that a processor foretells; a choice among all numbers is none.
    // What is not the field asked for, or not in its usual form, is left for the general way, which also refuses.

    /// The eight bytes of the field of this number, below 16, if it is the next.
    #[inline]
    pub(super) fn next_fixed64(&mut self, number: u8) -> Option<u64> {
        let (&key, rest) = self.rest.split_first()?;
        let (bytes, rest) = rest.split_first_chunk::<8>()?;
        if key != number << 3 | FIXED64 {
            return None;
        }
        self.rest = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    /// The number below 128 of the field of this number, if it is the next.
    #[inline]
    pub(super) fn next_small(&mut self, number: u8) -> Option<u8> {
        match *self.rest {
            [key, value, ref rest @ ..] if key == number << 3 | VARINT && value < 0x80 => {
                self.rest = rest;
                Some(value)
            }
            _ => None,
        }
    }

    /// The content of the field of this number, if it is the next and at most 16,383 bytes long.
    #[inline]
    pub(super) fn next_bytes(&mut self, number: u8) -> Option<&'a [u8]> {
        let (content, rest) = short_field(self.rest, number << 3 | LENGTH)?;
        self.rest = rest;
        Some(content)
    }

    /// The same where it is UTF-8.
    #[inline]
    pub(super) fn next_text(&mut self, number: u8) -> Option<&'a [u8]> {
        let (content, rest) = short_field(self.rest, number << 3 | LENGTH)?;
        if !is_utf8(content) {
            return None;
        }
        self.rest = rest;
        Some(content)
    }

    /// A varint.
    #[inline]
    pub(super) fn varint(&mut self, field: Field, what: &str) -> Read<u64> {
        if field.wire != VARINT {
            return Err(wrong_type(what, field, "0 (varint)"));
        }
        self.raw_varint(what)
    }

    /// Eight bytes.
    #[inline]
    pub(super) fn fixed64(&mut self, field: Field, what: &str) -> Read<u64> {
        if field.wire != FIXED64 {
            return Err(wrong_type(what, field, "1 (64 bits)"));
        }
        match self.rest.split_first_chunk::<8>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(u64::from_le_bytes(*bytes))
            }
            None => Err(truncated(what, 8, self.rest.len())),
        }
    }

    /// A double.
    #[inline]
    pub(super) fn double(&mut self, field: Field, what: &str) -> Read<f64> {
        self.fixed64(field, what).map(f64::from_bits)
    }

    /// Four bytes.
    #[inline]
    pub(super) fn fixed32(&mut self, field: Field, what: &str) -> Read<u32> {
        if field.wire != FIXED32 {
            return Err(wrong_type(what, field, "5 (32 bits)"));
        }
        match self.rest.split_first_chunk::<4>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(u32::from_le_bytes(*bytes))
            }
            None => Err(truncated(what, 4, self.rest.len())),
        }
    }

    /// Bytes, or a message.
    #[inline]
    pub(super) fn bytes(&mut self, field: Field, what: &str) -> Read<&'a [u8]> {
        if field.wire != LENGTH {
            return Err(wrong_type(what, field, "2 (length and bytes)"));
        }
        let length = self.raw_varint(what)?;
        self.take(length, what)
    }

    /// A message.
    #[inline]
    pub(super) fn message(&mut self, field: Field, what: &str) -> Read<Wire<'a>> {
        self.bytes(field, what).map(Wire::new)
    }

    /// Text: its bytes, which are UTF-8.
    #[inline]
    pub(super) fn text(&mut self, field: Field, what: &str) -> Read<&'a [u8]> {
        let bytes = self.bytes(field, what)?;
        if !is_utf8(bytes) {
            return Err(refuse(what, "the text is not UTF-8; send bytes as a bytes value"));
        }
        Ok(bytes)
    }

    /// A signed integer of 32 bits in zigzag form.
    #[inline]
    pub(super) fn zigzag32(&mut self, field: Field, what: &str) -> Read<i32> {
        let value = self.varint(field, what)? as u32;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// Numbers of 64 bits, packed or one at a time.
    pub(super) fn fixed64s(&mut self, field: Field, what: &str, mut see: impl FnMut(u64)) -> Read<()> {
        if field.wire != LENGTH {
            see(self.fixed64(field, what)?);
            return Ok(());
        }
        let bytes = self.bytes(field, what)?;
        let (numbers, left) = bytes.as_chunks::<8>();
        if !left.is_empty() {
            return Err(refuse(what, &format!("{} bytes do not divide into numbers of 8", bytes.len())));
        }
        numbers.iter().for_each(|number| see(u64::from_le_bytes(*number)));
        Ok(())
    }

    /// Varints, packed or one at a time.
    pub(super) fn varints(&mut self, field: Field, what: &str, mut see: impl FnMut(u64)) -> Read<()> {
        if field.wire != LENGTH {
            see(self.varint(field, what)?);
            return Ok(());
        }
        let mut packed = self.message(field, what)?;
        while !packed.rest.is_empty() {
            see(packed.raw_varint(what)?);
        }
        Ok(())
    }

    /// Passes over a field that nobody knows.
    #[cold]
    pub(super) fn skip(&mut self, field: Field, message: &str) -> Read<()> {
        self.skip_at(field, message, 0)
    }

    fn skip_at(&mut self, field: Field, message: &str, depth: u32) -> Read<()> {
        match field.wire {
            VARINT => self.raw_varint(message).map(drop),
            FIXED64 => self.take(8, message).map(drop),
            LENGTH => self.bytes(field, message).map(drop),
            FIXED32 => self.take(4, message).map(drop),
            GROUP_START => loop {
                if depth == GROUP_DEPTH_MAX {
                    return Err(refuse(message, &format!("groups nest deeper than {GROUP_DEPTH_MAX} levels")));
                }
                match self.next(message)? {
                    None => return Err(refuse(message, &format!("group {} has no end", field.number))),
                    Some(end) if end.wire == GROUP_END => {
                        if end.number != field.number {
                            let why = format!("group {} ends as group {}", field.number, end.number);
                            return Err(refuse(message, &why));
                        }
                        return Ok(());
                    }
                    Some(inner) => self.skip_at(inner, message, depth + 1)?,
                }
            },
            _ => Err(refuse(message, &format!("group {} ends before it starts", field.number))),
        }
    }
}
