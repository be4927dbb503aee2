//! Attributes as JSON text: one buffer and one list of offsets a column, no allocation a row.

use std::ops::Range;

use arrow_array::StringArray;
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use crate::batch::{Any, Attributes, Values, write_json, write_json_text};
use crate::{Error, Result};

/// Texts of a column under construction.
pub(super) struct TextColumn {
    bytes: Vec<u8>,
    ends: Vec<i32>,
}

impl TextColumn {
    pub(super) fn new(rows: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self { bytes: Vec::new(), ends }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len() - 1
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
    keys: Vec<u8>,
    key_ends: Vec<usize>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(attributes: &'a Attributes) -> Self {
        let mut keys = Vec::new();
        let mut key_ends = Vec::with_capacity(attributes.keys.len() + 1);
        key_ends.push(0);
        for key in attributes.keys.iter() {
            write_json_text(&mut keys, key);
            keys.push(b':');
            key_ends.push(keys.len());
        }
        Self { attributes, keys, key_ends }
    }

    /// Appends a row as an object, without the entries that `skip` holds; it is given the number of an entry and its key.
    pub(super) fn write(&self, out: &mut Vec<u8>, row: usize, skip: impl Fn(usize, u32) -> bool) {
        out.push(b'{');
        let mut separated = true;
        for at in entries_of(self.attributes, row) {
            let entry = self.attributes.entries[at];
            if skip(at, entry.key) {
                continue;
            }
            if !std::mem::replace(&mut separated, false) {
                out.push(b',');
            }
            let key = entry.key as usize;
            out.extend_from_slice(&self.keys[self.key_ends[key]..self.key_ends[key + 1]]);
            write_json(out, entry.value.resolve(&self.attributes.arena));
        }
        out.push(b'}');
    }
}

/// Every row of `attributes`, whole.
pub(super) fn objects(attributes: &Attributes) -> Result<StringArray> {
    let objects = Objects::new(attributes);
    let mut texts = TextColumn::new(attributes.rows());
    for row in 0..attributes.rows() {
        texts.push(|out| objects.write(out, row, |_, _| false))?;
    }
    texts.finish(None)
}

/// Values of any type: text as it is, others as JSON, and what says nothing as null.
pub(super) fn values(values: &Values) -> Result<StringArray> {
    let mut texts = TextColumn::new(values.values.len());
    let mut present = Vec::with_capacity(values.values.len());
    for value in &values.values {
        let value = value.resolve(&values.arena);
        present.push(!matches!(value, Any::Null));
        texts.push(|out| match value {
            Any::Null => {}
            Any::Text(text) => out.extend_from_slice(text.as_bytes()),
            other => write_json(out, other),
        })?;
    }
    texts.finish(Some(NullBuffer::from(present)))
}
