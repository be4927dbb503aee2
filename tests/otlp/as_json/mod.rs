//! OTLP messages printed as JSON, in the ways in which senders differ. A reference for tests: plain and slow, and it shares
//! nothing with what it tests.
//!
//! Every message is taken apart by an exhaustive pattern: a field that a new version of OTLP brings does not compile
//! until it is printed.

#![allow(dead_code, missing_docs, unreachable_pub)] // every includer uses its own part of it

mod logs;
mod metrics;
mod traces;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::fmt::{Display, Write};

/// How a sender writes. All false is what most do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// `trace_id`, not `traceId`.
    pub snake_case: bool,
    /// Zeros and empty texts and lists are written, not left out.
    pub zeros: bool,
    /// What is absent is `null`, not left out.
    pub nulls: bool,
    /// 64-bit integers are numbers, 32-bit ones and doubles are strings.
    pub swapped_numbers: bool,
    /// Enums by name, where they have one.
    pub enum_names: bool,
    /// Ids in upper case, bytes in URL-safe base64 without padding.
    pub other_bytes: bool,
    /// All text in `\u` escapes.
    pub escapes: bool,
    /// Fields that nobody knows.
    pub unknown_fields: bool,
}

impl From<[bool; 8]> for Style {
    fn from(bits: [bool; 8]) -> Self {
        let [snake_case, zeros, nulls, swapped_numbers, enum_names, other_bytes, escapes, unknown_fields] = bits;
        Self { snake_case, zeros, nulls, swapped_numbers, enum_names, other_bytes, escapes, unknown_fields }
    }
}

/// What can be printed as JSON.
pub trait AsJson {
    fn as_json(&self, style: Style) -> String;
}

/// A JSON object that is being printed.
struct Object {
    style: Style,
    text: String,
}

impl Object {
    fn new(style: Style) -> Self {
        let mut object = Self { style, text: String::new() };
        if style.unknown_fields {
            object.member("notYetInvented", r#"{"a":[1,-2.5e3,{"b":null}],"value":{"stringValue":7}}"#);
        }
        object
    }

    fn member(&mut self, name: &str, json: &str) {
        let comma = if self.text.is_empty() { "" } else { "," };
        let name = if self.style.snake_case { snake_case(name) } else { name.to_owned() };
        let _ = write!(self.text, "{comma}\"{name}\":{json}");
    }

    /// A member that is left out if it is the default.
    fn scalar(mut self, name: &str, json: String, is_default: bool) -> Self {
        if !is_default || self.style.zeros {
            self.member(name, &json);
        } else if self.style.nulls {
            self.member(name, "null");
        }
        self
    }

    /// A member that may be absent.
    fn optional(mut self, name: &str, json: Option<String>) -> Self {
        match json {
            Some(json) => self.member(name, &json),
            None if self.style.nulls => self.member(name, "null"),
            None => {}
        }
        self
    }

    fn text(self, name: &str, value: &str) -> Self {
        let json = quoted(value, self.style);
        self.scalar(name, json, value.is_empty())
    }

    fn id(self, name: &str, id: &[u8]) -> Self {
        let mut hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        if self.style.other_bytes {
            hex.make_ascii_uppercase();
        }
        self.scalar(name, format!("\"{hex}\""), id.is_empty())
    }

    fn bool(self, name: &str, value: bool) -> Self {
        self.scalar(name, value.to_string(), !value)
    }

    fn double(self, name: &str, value: f64) -> Self {
        let json = double(value, self.style);
        self.scalar(name, json, value.to_bits() == 0)
    }

    fn narrow(self, name: &str, value: impl Display) -> Self {
        let (json, is_zero) = (integer(&value, self.style.swapped_numbers), value.to_string() == "0");
        self.scalar(name, json, is_zero)
    }

    fn wide(self, name: &str, value: impl Display) -> Self {
        let (json, is_zero) = (integer(&value, !self.style.swapped_numbers), value.to_string() == "0");
        self.scalar(name, json, is_zero)
    }

    fn number_of(self, name: &str, number: i32, known: Option<&str>) -> Self {
        let json = match known {
            Some(known) if self.style.enum_names => format!("\"{known}\""),
            _ => number.to_string(),
        };
        self.scalar(name, json, number == 0)
    }

    fn message(self, name: &str, message: Option<&impl AsJson>) -> Self {
        let json = message.map(|message| message.as_json(self.style));
        self.optional(name, json)
    }

    fn list<T>(self, name: &str, items: &[T], print: impl Fn(&T, Style) -> String) -> Self {
        let items: Vec<String> = items.iter().map(|item| print(item, self.style)).collect();
        let json = format!("[{}]", items.join(","));
        self.scalar(name, json, items.is_empty())
    }

    fn messages<T: AsJson>(self, name: &str, messages: &[T]) -> Self {
        self.list(name, messages, T::as_json)
    }

    fn end(self) -> String {
        format!("{{{}}}", self.text)
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

fn quoted(text: &str, style: Style) -> String {
    let mut json = String::from("\"");
    for character in text.chars() {
        match character {
            '"' if !style.escapes => json.push_str("\\\""),
            '\\' if !style.escapes => json.push_str("\\\\"),
            _ if style.escapes || character < ' ' => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(json, "\\u{unit:04x}");
                }
            }
            _ => json.push(character),
        }
    }
    json + "\""
}

fn double(value: f64, style: Style) -> String {
    let text = match value {
        _ if value.is_nan() => return "\"NaN\"".into(),
        f64::INFINITY => return "\"Infinity\"".into(),
        f64::NEG_INFINITY => return "\"-Infinity\"".into(),
        _ => format!("{value:?}"),
    };
    if style.swapped_numbers { format!("\"{text}\"") } else { text }
}

fn integer(value: &impl Display, in_quotes: bool) -> String {
    if in_quotes { format!("\"{value}\"") } else { value.to_string() }
}

fn wide(value: &u64, style: Style) -> String {
    integer(value, !style.swapped_numbers)
}

impl AsJson for AnyValue {
    fn as_json(&self, style: Style) -> String {
        let Self { value } = self;
        let object = Object::new(style);
        match value {
            None => object,
            Some(Value::StringValue(text)) => object.optional("stringValue", Some(quoted(text, style))),
            Some(Value::BoolValue(bool)) => object.optional("boolValue", Some(bool.to_string())),
            Some(Value::IntValue(int)) => object.optional("intValue", Some(integer(int, !style.swapped_numbers))),
            Some(Value::DoubleValue(value)) => object.optional("doubleValue", Some(double(*value, style))),
            Some(Value::ArrayValue(array)) => object.message("arrayValue", Some(array)),
            Some(Value::KvlistValue(list)) => object.message("kvlistValue", Some(list)),
            Some(Value::BytesValue(bytes)) => {
                let base64 = if style.other_bytes { URL_SAFE_NO_PAD.encode(bytes) } else { STANDARD.encode(bytes) };
                object.optional("bytesValue", Some(format!("\"{base64}\"")))
            }
            Some(Value::StringValueStrindex(index)) => object.optional("stringValueStrindex", Some(index.to_string())),
        }
        .end()
    }
}

impl AsJson for ArrayValue {
    fn as_json(&self, style: Style) -> String {
        let Self { values } = self;
        Object::new(style).messages("values", values).end()
    }
}

impl AsJson for KeyValueList {
    fn as_json(&self, style: Style) -> String {
        let Self { values } = self;
        Object::new(style).messages("values", values).end()
    }
}

impl AsJson for KeyValue {
    fn as_json(&self, style: Style) -> String {
        let Self { key, value, key_strindex } = self;
        Object::new(style).text("key", key).message("value", value.as_ref()).narrow("keyStrindex", key_strindex).end()
    }
}

impl AsJson for InstrumentationScope {
    fn as_json(&self, style: Style) -> String {
        let Self { name, version, attributes, dropped_attributes_count } = self;
        Object::new(style)
            .text("name", name)
            .text("version", version)
            .messages("attributes", attributes)
            .narrow("droppedAttributesCount", dropped_attributes_count)
            .end()
    }
}

impl AsJson for EntityRef {
    fn as_json(&self, style: Style) -> String {
        let Self { schema_url, r#type, id_keys, description_keys } = self;
        Object::new(style)
            .text("schemaUrl", schema_url)
            .text("type", r#type)
            .list("idKeys", id_keys, |key, style| quoted(key, style))
            .list("descriptionKeys", description_keys, |key, style| quoted(key, style))
            .end()
    }
}

impl AsJson for Resource {
    fn as_json(&self, style: Style) -> String {
        let Self { attributes, dropped_attributes_count, entity_refs } = self;
        Object::new(style)
            .messages("attributes", attributes)
            .narrow("droppedAttributesCount", dropped_attributes_count)
            .messages("entityRefs", entity_refs)
            .end()
    }
}
