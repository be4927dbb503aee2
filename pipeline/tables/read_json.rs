//! JSON text back into typed values: the inverse of what [`write_json`](crate::batch::write_json) makes.
//!
//! Two values share a form with others: a NaN and the infinities are the texts that ProtoJSON has for them, and bytes are
//! an object of one key, `bytes`. They are read as what is rarer in text: the number, and the bytes.

use std::fmt;

use base64::Engine as _;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::batch::{Attributes, Tag, Value, pack};

/// A JSON value that keeps the order of an object, a key that stands twice, and 1 apart from 1.0.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads text; or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// The double that a text stands for.
    fn special(text: &str) -> Option<f64> {
        match text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        }
    }

    /// The bytes that an object stands for.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        let Self::Object(entries) = self else { return None };
        let [(key, Self::Text(text))] = &entries[..] else { return None };
        let bytes = (key == "bytes").then(|| base64::engine::general_purpose::STANDARD.decode(text))?.ok()?;
        // Another text for the same bytes is not what was written.
        (base64::engine::general_purpose::STANDARD.encode(&bytes) == *text).then_some(bytes)
    }

    /// The value, its content at the end of the arena.
    pub(super) fn value(&self, arena: &mut Vec<u8>) -> Value {
        match self {
            Self::Null => Value::NULL,
            Self::Bool(value) => Value::bool(*value),
            Self::Int(value) => Value::int(*value),
            Self::Double(value) => Value::double(*value),
            Self::Text(text) => match Self::special(text) {
                Some(double) => Value::double(double),
                None => self.text(arena),
            },
            Self::Array(_) | Self::Object(_) => match self.bytes() {
                Some(bytes) => long(arena, Tag::Bytes, |out| out.extend_from_slice(&bytes)),
                None => self.nested(arena),
            },
        }
    }

    /// The value where it is known to be text; a value that is none as it is.
    pub(super) fn text(&self, arena: &mut Vec<u8>) -> Value {
        match self {
            Self::Text(text) => long(arena, Tag::Text, |out| out.extend_from_slice(text.as_bytes())),
            other => other.value(arena),
        }
    }

    /// The value where it is known to be a list or a map; a value that is neither as it is.
    pub(super) fn nested(&self, arena: &mut Vec<u8>) -> Value {
        match self {
            Self::Array(items) => long(arena, Tag::Array, |out| items.iter().for_each(|item| item.pack(out))),
            Self::Object(entries) => long(arena, Tag::Map, |out| pack_entries(out, entries)),
            other => other.value(arena),
        }
    }

    /// Appends the value as a member of another.
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => pack::scalar(out, Tag::Null, 0),
            Self::Bool(value) => pack::scalar(out, Tag::Bool, u64::from(*value)),
            Self::Int(value) => pack::scalar(out, Tag::Int, value.cast_unsigned()),
            Self::Double(value) => pack::scalar(out, Tag::Double, value.to_bits()),
            Self::Text(text) => match Self::special(text) {
                Some(double) => pack::scalar(out, Tag::Double, double.to_bits()),
                None => pack::long(out, Tag::Text, text.as_bytes()),
            },
            Self::Array(items) => {
                let opened = pack::open(out, Tag::Array);
                items.iter().for_each(|item| item.pack(out));
                pack::close(out, opened);
            }
            Self::Object(entries) => match self.bytes() {
                Some(bytes) => pack::long(out, Tag::Bytes, &bytes),
                None => {
                    let opened = pack::open(out, Tag::Map);
                    pack_entries(out, entries);
                    pack::close(out, opened);
                }
            },
        }
    }
}

fn pack_entries(out: &mut Vec<u8>, entries: &[(String, Json)]) {
    for (key, value) in entries {
        pack::key(out, key.as_bytes());
        value.pack(out);
    }
}

fn long(arena: &mut Vec<u8>, tag: Tag, write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let start = arena.len();
    write(arena);
    Value::long(tag, start, arena.len() - start)
}

/// Reads an object into the open row of attributes; or says what is wrong. `is_text` says of a key that a text under it is one,
/// whatever it says.
pub(super) fn push_object(into: &mut Attributes, text: &str, is_text: impl Fn(&str) -> bool) -> Result<(), String> {
    match Json::parse(text)? {
        Json::Object(entries) => {
            for (key, value) in &entries {
                let value = if is_text(key) { value.text(&mut into.arena) } else { value.value(&mut into.arena) };
                into.push(key.as_bytes(), value);
            }
            Ok(())
        }
        _ => Err("is no JSON object".to_owned()),
    }
}

/// Whether a JSON object has a key.
pub(super) fn has_key(text: &str, key: &str) -> bool {
    matches!(Json::parse(text), Ok(Json::Object(entries)) if entries.iter().any(|(known, _)| known == key))
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        // Nothing that Weir wrote is larger than the largest integer of 64 bits with a sign.
        Ok(i64::try_from(value).map_or(Json::Double(value as f64), Json::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Json::Object(entries))
    }
}
