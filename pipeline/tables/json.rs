//! Attributes as JSON text: one buffer and one list of offsets a column, no allocation a row.

use std::ops::Range;

use arrow_array::StringArray;
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use crate::batch::{Attributes, Tag, Value, Values, write_json, write_json_text};
use crate::{Error, Result};

/// Texts of a column under construction.
pub(super) struct TextColumn {
    bytes: Vec<u8>,
    ends: Vec<i32>,
}

impl TextColumn {
    pub(super) fn new(rows: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self { bytes: Vec::with_capacity(bytes), ends }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    pub(super) fn get(&self, at: usize) -> &[u8] {
        &self.bytes[self.ends[at] as usize..self.ends[at + 1] as usize]
    }

    /// Appends what `write` appends to the bytes.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        write(&mut self.bytes);
        let end = i32::try_from(self.bytes.len()).map_err(|_| {
            Error::data(format!(
                "{} rows have {} bytes of text in one column, 2 GiB is the most: make batches smaller",
                self.ends.len(),
                self.bytes.len()
            ))
        })?;
        self.ends.push(end);
        Ok(())
    }

    /// The column, once it is seen that all of it is UTF-8.
    pub(super) fn finish(self, nulls: Option<NullBuffer>) -> Result<StringArray> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        StringArray::try_new(offsets, Buffer::from_vec(self.bytes), nulls)
            .map_err(|error| Error::bug(format!("a column of text is not valid: {error}")))
    }
}

/// The entries of a row, as positions in `attributes.entries`.
pub(super) fn entries_of(attributes: &Attributes, row: usize) -> Range<usize> {
    let start = if row == 0 { 0 } else { attributes.ends[row - 1] as usize };
    start..attributes.ends[row] as usize
}

/// Writes rows of attributes as JSON objects; each key is put into its JSON form once, not once a row.
pub(super) struct Objects<'a> {
    attributes: &'a Attributes,
    /// Of each key a comma, the key as JSON, a colon, and a quotation mark, with which texts begin.
    keys: Vec<u8>,
    key_ends: Vec<u32>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(attributes: &'a Attributes) -> Self {
        let mut keys = Vec::new();
        let mut key_ends = Vec::with_capacity(attributes.keys.len() + 1);
        key_ends.push(0);
        for key in attributes.keys.iter() {
            keys.push(b',');
            write_json_text(&mut keys, key);
            keys.extend_from_slice(b":\"");
            key_ends.push(keys.len() as u32);
        }
        Self { attributes, keys, key_ends }
    }

    #[inline]
    fn key(&self, key: u32) -> Range<usize> {
        self.key_ends[key as usize] as usize..self.key_ends[key as usize + 1] as usize
    }

    /// About how many bytes all rows come to: exactly, but for numbers and what is escaped.
    fn bytes(&self) -> usize {
        let value = |value: Value| if value.is_long() { value.span().len() + 1 } else { 6 };
        let entries = self.attributes.entries.iter();
        entries.map(|entry| self.key(entry.key).len() + value(entry.value)).sum::<usize>() + 2 * self.attributes.rows()
    }

    /// Appends a row as an object, without the entries that `skip` holds; it is given the number of an entry and its key.
    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>, row: usize, skip: impl Fn(usize, u32) -> bool) {
        let start = out.len();
        for at in entries_of(self.attributes, row) {
            let entry = self.attributes.entries[at];
            if skip(at, entry.key) {
                continue;
            }
            let key = self.key(entry.key);
            if entry.value.tag == Tag::Text {
                out.extend_from_slice(&self.keys[key]);
                write_escaped(out, &self.attributes.arena[entry.value.span()]);
                out.push(b'"');
            } else {
                out.extend_from_slice(&self.keys[key.start..key.end - 1]);
                write_json(out, entry.value.resolve(&self.attributes.arena));
            }
        }
        match out.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => out.push(b'{'),
        }
        out.push(b'}');
    }
}

/// Appends text as it stands between the quotation marks of JSON.
#[inline]
fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        write_with_escapes(out, text);
    }
}

#[cold]
fn write_with_escapes(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
}

/// Whether JSON has the text as it is. Eight bytes are looked at together.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let plain = words.iter().fold(0, |found, word| found | special(u64::from_le_bytes(*word))) == 0;
    let last = match text.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        // Filled up with letters, which are plain.
        None => rest.iter().fold(u64::from_le_bytes([b'a'; 8]), |word, &byte| word << 8 | u64::from(byte)),
    };
    plain && special(last) == 0
}

/// Not 0 if one of eight bytes is below a space, a quotation mark or a backslash.
#[inline]
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    // The top bit of the lowest byte that is zero is set, and none if there is no such byte.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let low = word.wrapping_sub(ONES * 0x20) & !word;
    (low | zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')))) & TOPS
}

/// Every row of `attributes`, whole.
pub(super) fn objects(attributes: &Attributes) -> Result<StringArray> {
    let objects = Objects::new(attributes);
    let mut texts = TextColumn::new(attributes.rows(), objects.bytes());
    for row in 0..attributes.rows() {
        texts.push(|out| objects.write(out, row, |_, _| false))?;
    }
    texts.finish(None)
}

/// Values of any type: text as it is, others as JSON, and what says nothing as null.
pub(super) fn values(values: &Values) -> Result<StringArray> {
    let long = |value: &Value| if value.is_long() { value.span().len() } else { 0 };
    let mut texts = TextColumn::new(values.values.len(), values.values.iter().map(long).sum());
    for value in &values.values {
        texts.push(|out| match value.tag {
            Tag::Null => {}
            Tag::Text => out.extend_from_slice(&values.arena[value.span()]),
            _ => write_json(out, value.resolve(&values.arena)),
        })?;
    }
    let null = |value: &Value| value.tag == Tag::Null;
    let nulls = values.values.iter().any(null).then(|| values.values.iter().map(|value| !null(value)).collect());
    texts.finish(nulls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_is_escaped_as_the_batch_does_it(text in "([a-c\"\\\\\\x00-\\x20\u{7f}é€]{0,3}[a-z/ 0-9]{0,12}){0,4}") {
            let (mut own, mut expected) = (vec![b'"'], Vec::new());
            write_escaped(&mut own, text.as_bytes());
            own.push(b'"');
            write_json_text(&mut expected, &text);
            prop_assert_eq!(String::from_utf8(own).unwrap(), String::from_utf8(expected).unwrap());
            let plain = !text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            prop_assert_eq!(is_plain(text.as_bytes()), plain);
        }
    }
}
