//! Attribute values: OTLP's `AnyValue` as a tag and eight bytes, with an arena for what is longer.

use base64::Engine as _;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tag {
    /// A value that says nothing: OTLP's `AnyValue` with no field set.
    Null = 0,
    /// A boolean.
    Bool = 1,
    /// A signed integer of 64 bits.
    Int = 2,
    /// A double.
    Double = 3,
    /// Text.
    Text = 4,
    /// Bytes.
    Bytes = 5,
    /// A list of values, packed (see [`Packed`]).
    Array = 6,
    /// Keys and values, packed (see [`Packed`]).
    Map = 7,
}

impl Tag {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Null,
            1 => Self::Bool,
            2 => Self::Int,
            3 => Self::Double,
            4 => Self::Text,
            5 => Self::Bytes,
            6 => Self::Array,
            7 => Self::Map,
            _ => return None,
        })
    }
}

/// A value: scalars are in `bits`, anything longer is `start | length << 32` of an arena. Packed, so that an attribute, which is a
/// key and a value, takes 16 bytes and not 24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed(4))]
pub struct Value {
    pub(crate) bits: u64,
    pub(crate) tag: Tag,
}

impl Value {
    /// The value that says nothing.
    pub const NULL: Self = Self { tag: Tag::Null, bits: 0 };

    /// A boolean.
    pub fn bool(value: bool) -> Self {
        Self { tag: Tag::Bool, bits: u64::from(value) }
    }

    /// An integer.
    pub fn int(value: i64) -> Self {
        Self { tag: Tag::Int, bits: value.cast_unsigned() }
    }

    /// A double; its bits are kept.
    pub fn double(value: f64) -> Self {
        Self { tag: Tag::Double, bits: value.to_bits() }
    }

    /// A value whose content is `length` bytes of the arena from `start`.
    pub(crate) fn long(tag: Tag, start: usize, length: usize) -> Self {
        debug_assert!(start + length <= u32::MAX as usize, "an arena is below 4 GiB");
        Self { tag, bits: (start as u64) | ((length as u64) << 32) }
    }

    /// Whether the content is in an arena.
    pub(crate) fn is_long(self) -> bool {
        self.tag as u8 >= Tag::Text as u8
    }

    /// The same value with its content in another arena.
    pub(crate) fn moved(self, from: &[u8], to: &mut Vec<u8>) -> Self {
        if !self.is_long() {
            return self;
        }
        let (start, span) = (to.len(), self.span());
        to.extend_from_slice(&from[span.clone()]);
        Self::long(self.tag, start, span.len())
    }

    pub(crate) fn span(self) -> std::ops::Range<usize> {
        let start = (self.bits & 0xffff_ffff) as usize;
        start..start + (self.bits >> 32) as usize
    }

    /// What the value is, read from its arena.
    pub fn resolve(self, arena: &[u8]) -> Any<'_> {
        match self.tag {
            Tag::Null => Any::Null,
            Tag::Bool => Any::Bool(self.bits != 0),
            Tag::Int => Any::Int(self.bits.cast_signed()),
            Tag::Double => Any::Double(f64::from_bits(self.bits)),
            Tag::Text => Any::Text(text_of(&arena[self.span()])),
            Tag::Bytes => Any::Bytes(&arena[self.span()]),
            Tag::Array => Any::Array(Packed(&arena[self.span()])),
            Tag::Map => Any::Map(Packed(&arena[self.span()])),
        }
    }
}

/// Every text enters an arena through a check for UTF-8, so that this does not fail; were it wrong, the text would read
/// as empty rather than bring the process down.
pub(crate) fn text_of(bytes: &[u8]) -> &str {
    simdutf8::basic::from_utf8(bytes).unwrap_or_default()
}

/// A resolved value.
#[derive(Clone, Copy, Debug)]
pub enum Any<'a> {
    /// Nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list of values.
    Array(Packed<'a>),
    /// Keys and values, in their order; a key may stand twice.
    Map(Packed<'a>),
}

/// Nested values, one after the other: a tag byte, then a byte (bool), eight bytes (int, double), or a length of four
/// bytes and the content. In a map each value follows its key (a length of four bytes and the text). Little-endian.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a>(pub(crate) &'a [u8]);

impl<'a> Packed<'a> {
    /// The values of a list.
    pub fn values(self) -> impl Iterator<Item = Any<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || take_value(&mut rest))
    }

    /// The keys and values of a map.
    pub fn entries(self) -> impl Iterator<Item = (&'a str, Any<'a>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let key = take_long(&mut rest)?;
            Some((text_of(key), take_value(&mut rest)?))
        })
    }
}

fn take_long<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (content, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(content)
}

fn take_value<'a>(rest: &mut &'a [u8]) -> Option<Any<'a>> {
    let (&tag, after) = rest.split_first()?;
    *rest = after;
    let tag = Tag::from_byte(tag)?;
    Some(match tag {
        Tag::Null => Any::Null,
        Tag::Bool => {
            let (&byte, after) = rest.split_first()?;
            *rest = after;
            Any::Bool(byte != 0)
        }
        Tag::Int | Tag::Double => {
            let (bits, after) = rest.split_first_chunk::<8>()?;
            *rest = after;
            let bits = u64::from_le_bytes(*bits);
            if tag == Tag::Int { Any::Int(bits.cast_signed()) } else { Any::Double(f64::from_bits(bits)) }
        }
        Tag::Text => Any::Text(text_of(take_long(rest)?)),
        Tag::Bytes => Any::Bytes(take_long(rest)?),
        Tag::Array => Any::Array(Packed(take_long(rest)?)),
        Tag::Map => Any::Map(Packed(take_long(rest)?)),
    })
}

/// Writes nested values into an arena, in the form that [`Packed`] reads.
pub(crate) mod pack {
    use super::{Any, Tag};

    pub(crate) fn scalar(out: &mut Vec<u8>, tag: Tag, bits: u64) {
        out.push(tag as u8);
        match tag {
            Tag::Null => {}
            Tag::Bool => out.push(u8::from(bits != 0)),
            _ => out.extend_from_slice(&bits.to_le_bytes()),
        }
    }

    pub(crate) fn key(out: &mut Vec<u8>, key: &[u8]) {
        out.extend_from_slice(&(key.len() as u32).to_le_bytes());
        out.extend_from_slice(key);
    }

    pub(crate) fn long(out: &mut Vec<u8>, tag: Tag, content: &[u8]) {
        out.push(tag as u8);
        key(out, content);
    }

    /// Starts a list or map, whose length [`close`] fills in.
    pub(crate) fn open(out: &mut Vec<u8>, tag: Tag) -> usize {
        out.push(tag as u8);
        out.extend_from_slice(&[0; 4]);
        out.len()
    }

    pub(crate) fn close(out: &mut [u8], opened: usize) {
        let length = (out.len() - opened) as u32;
        out[opened - 4..opened].copy_from_slice(&length.to_le_bytes());
    }

    /// Writes a value as it is, its texts and keys passed through `edit`, which may return another text.
    pub(crate) fn edited(out: &mut Vec<u8>, value: Any<'_>, edit: &mut dyn FnMut(&str) -> Option<String>) {
        match value {
            Any::Null => scalar(out, Tag::Null, 0),
            Any::Bool(value) => scalar(out, Tag::Bool, u64::from(value)),
            Any::Int(value) => {
                edited_number(out, Tag::Int, value.cast_unsigned(), super::long_number(value, 0.0), edit)
            }
            Any::Double(value) => edited_number(out, Tag::Double, value.to_bits(), super::long_number(0, value), edit),
            Any::Text(text) => match edit(text) {
                Some(new) => long(out, Tag::Text, new.as_bytes()),
                None => long(out, Tag::Text, text.as_bytes()),
            },
            Any::Bytes(bytes) => match super::text_in_bytes(bytes).and_then(&mut *edit) {
                Some(new) => long(out, Tag::Text, new.as_bytes()),
                None => long(out, Tag::Bytes, bytes),
            },
            Any::Array(items) => {
                let opened = open(out, Tag::Array);
                items.values().for_each(|item| edited(out, item, edit));
                close(out, opened);
            }
            Any::Map(items) => {
                let opened = open(out, Tag::Map);
                for (name, item) in items.entries() {
                    match edit(name) {
                        Some(new) => key(out, new.as_bytes()),
                        None => key(out, name.as_bytes()),
                    }
                    edited(out, item, edit);
                }
                close(out, opened);
            }
        }
    }

    fn edited_number(
        out: &mut Vec<u8>,
        tag: Tag,
        bits: u64,
        text: Option<String>,
        edit: &mut dyn FnMut(&str) -> Option<String>,
    ) {
        match text.and_then(|text| edit(&text)) {
            Some(new) => long(out, Tag::Text, new.as_bytes()),
            None => scalar(out, tag, bits),
        }
    }
}

/// A number of twelve digits or more as text: it could be the number of a card. One of the two arguments is 0.
pub(crate) fn long_number(int: i64, double: f64) -> Option<String> {
    if int.unsigned_abs() >= 100_000_000_000 {
        Some(int.to_string())
    } else if double.is_finite() && double.abs() >= 1e11 {
        Some(format!("{double}"))
    } else {
        None
    }
}

/// The text that bytes are, if they are: text may hide in a value that was sent as bytes.
pub(crate) fn text_in_bytes(bytes: &[u8]) -> Option<&str> {
    if bytes.is_empty() { None } else { simdutf8::basic::from_utf8(bytes).ok() }
}

/// Calls `see` with every text of a value: texts, keys, texts in bytes, and numbers that could be card numbers.
pub(crate) fn visit_texts(value: Any<'_>, see: &mut dyn FnMut(&str)) {
    match value {
        Any::Null | Any::Bool(_) => {}
        Any::Int(value) => {
            if let Some(text) = long_number(value, 0.0) {
                see(&text);
            }
        }
        Any::Double(value) => {
            if let Some(text) = long_number(0, value) {
                see(&text);
            }
        }
        Any::Text(text) => see(text),
        Any::Bytes(bytes) => {
            if let Some(text) = text_in_bytes(bytes) {
                see(text);
            }
        }
        Any::Array(items) => items.values().for_each(|item| visit_texts(item, see)),
        Any::Map(items) => items.entries().for_each(|(key, item)| {
            see(key);
            visit_texts(item, see);
        }),
    }
}

/// Appends a value as JSON: bytes as `{"bytes": "<base64>"}`, NaN and the infinities as ProtoJSON's strings.
pub fn write_json(out: &mut Vec<u8>, value: Any<'_>) {
    match value {
        Any::Null => out.extend_from_slice(b"null"),
        Any::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Any::Int(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        Any::Double(value) => write_json_double(out, value),
        Any::Text(text) => write_json_text(out, text),
        Any::Bytes(bytes) => {
            out.extend_from_slice(b"{\"bytes\":\"");
            out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(bytes).as_bytes());
            out.extend_from_slice(b"\"}");
        }
        Any::Array(items) => {
            out.push(b'[');
            for (index, item) in items.values().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json(out, item);
            }
            out.push(b']');
        }
        Any::Map(items) => {
            out.push(b'{');
            for (index, (key, item)) in items.entries().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json_text(out, key);
                out.push(b':');
                write_json(out, item);
            }
            out.push(b'}');
        }
    }
}

fn write_json_double(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    } else {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    }
}

/// Appends text as a JSON string.
pub fn write_json_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}
