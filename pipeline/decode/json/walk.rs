//! The walk over the JSON: serde_json calls a [`Slot`] with what it finds, the slot's field says what that must be.

use super::descriptors::{Enum, Field, Integer, Kind, Message};
use super::ignore::Ignore;
use super::output::{Output, Wire};
use super::path::{Path, Step, shortened, shown};
use super::scalars::{self, Number};
use crate::decode::VALUE_DEPTH_MAX;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The state of a walk: what is written, and where it is.
pub(super) struct Walk {
    output: Output,
    path: Path,
    /// How many values the place is inside of.
    value_depth: usize,
}

impl Walk {
    /// A walk over a body of that many bytes.
    pub(super) fn new(length: usize) -> Self {
        // Protobuf takes about half of what JSON does.
        Self { output: Output::with_capacity(length / 2), path: Path::default(), value_depth: 0 }
    }

    /// The seed of the whole body.
    pub(super) fn request(&mut self, request: &'static Field) -> Slot<'_> {
        Slot { field: request, place: Place::Request, walk: self }
    }

    /// The place the walk has reached, or failed at.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The protobuf bytes.
    pub(super) fn finish(self) -> Vec<u8> {
        self.output.finish()
    }

    fn message<'de, A: MapAccess<'de>>(&mut self, message: &'static Message, mut map: A) -> Result<(), A::Error> {
        if message.is_value {
            if self.value_depth == VALUE_DEPTH_MAX {
                return Err(A::Error::custom(format_args!(
                    "values nest deeper than the limit of {VALUE_DEPTH_MAX} levels: send a flatter value"
                )));
            }
            self.value_depth += 1;
        }
        while let Some(name) = map.next_key_seed(NameOf(message))? {
            match name {
                Name::Known(field) => {
                    self.path.push(Step::Field(field.json));
                    map.next_value_seed(Slot { field, place: Place::Field, walk: self })?;
                }
                Name::Unknown(name) => {
                    self.path.push(Step::Unknown(name));
                    map.next_value_seed(Ignore::at(self.path.depth()))?;
                }
            }
            self.path.pop();
        }
        if message.is_value {
            self.value_depth -= 1;
        }
        Ok(())
    }
}

/// The name of a field of a message.
enum Name {
    Known(&'static Field),
    Unknown(String),
}

struct NameOf(&'static Message);

impl<'de> DeserializeSeed<'de> for NameOf {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for NameOf {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
        Ok(match self.0.field(name) {
            Some(field) => Name::Known(field),
            None => Name::Unknown(shortened(name).to_owned()),
        })
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is the body: written without tag and length.
    Request,
    /// It is all that the field has.
    Field,
    /// It is an element of a repeated field, written with its tag.
    Element,
    /// It is an element of a packed field, written without a tag.
    Packed,
}

/// A place in the message that takes the next JSON value.
pub(super) struct Slot<'w> {
    field: &'static Field,
    place: Place,
    walk: &'w mut Walk,
}

impl Slot<'_> {
    fn is_array(&self) -> bool {
        self.field.repeated && self.place == Place::Field
    }

    fn wrong<E: Error>(&self, found: impl fmt::Display) -> E {
        let takes = if self.is_array() { "an array" } else { self.field.kind.takes() };
        E::custom(format_args!("expected {takes}, found {found}"))
    }

    fn tag(&mut self, wire: Wire) {
        if matches!(self.place, Place::Field | Place::Element) {
            self.walk.output.tag(self.field.number, wire);
        }
    }

    fn number<E: Error>(mut self, number: Number) -> Result<(), E> {
        if self.is_array() {
            return Err(self.wrong(number));
        }
        match self.field.kind {
            Kind::Double => self.double(number.double()),
            Kind::Integer(integer) => {
                let whole = number.whole().and_then(|whole| integer.checked(whole));
                self.integer(integer, whole.ok_or_else(|| out_of_range(integer, number))?);
            }
            Kind::Enum(_) => {
                let whole = number.whole().and_then(|whole| Integer::Int32.checked(whole));
                self.integer(Integer::Int32, whole.ok_or_else(|| out_of_range(Integer::Int32, number))?);
            }
            Kind::String | Kind::Id | Kind::Bytes | Kind::Bool | Kind::Message(_) => return Err(self.wrong(number)),
        }
        Ok(())
    }

    fn text<E: Error>(mut self, text: &str) -> Result<(), E> {
        if self.is_array() {
            return Err(self.wrong(shown(text)));
        }
        match self.field.kind {
            Kind::String => self.blob(text.as_bytes()),
            Kind::Id => return self.id(text),
            Kind::Bytes => match scalars::base64(text) {
                Ok(bytes) => self.blob(&bytes),
                Err(error) => return Err(E::custom(format_args!("{} is not base64: {error}", shown(text)))),
            },
            Kind::Double => match scalars::double(text) {
                Some(double) => self.double(double),
                None => return Err(self.wrong(shown(text))),
            },
            Kind::Integer(integer) => {
                let whole = scalars::integer(text).and_then(|whole| integer.checked(whole));
                self.integer(integer, whole.ok_or_else(|| out_of_range(integer, shown(text)))?);
            }
            Kind::Enum(names) => {
                let number = names.names.iter().position(|name| *name == text);
                self.integer(Integer::Int32, number.ok_or_else(|| unknown_name(names, text))? as i128);
            }
            Kind::Bool | Kind::Message(_) => return Err(self.wrong(shown(text))),
        }
        Ok(())
    }

    fn id<E: Error>(mut self, text: &str) -> Result<(), E> {
        self.tag(Wire::Length);
        let output = &mut self.walk.output;
        let open = output.open();
        if !scalars::hex(text, |byte| output.byte(byte)) {
            return Err(E::custom(format_args!("{} is not hex, as ids are written in OTLP/JSON", shown(text))));
        }
        output.close(open);
        Ok(())
    }

    fn blob(&mut self, blob: &[u8]) {
        self.tag(Wire::Length);
        self.walk.output.blob(blob);
    }

    fn double(&mut self, double: f64) {
        self.tag(Wire::Fixed64);
        self.walk.output.fixed64(double.to_bits());
    }

    /// Writes a number that is in the range of its kind: the casts cut off nothing but the sign's extension.
    fn integer(&mut self, integer: Integer, number: i128) {
        match integer {
            Integer::Int32 | Integer::Int64 | Integer::Uint32 | Integer::Uint64 => {
                self.tag(Wire::Varint);
                self.walk.output.varint(number as u64);
            }
            Integer::Sint32 => {
                self.tag(Wire::Varint);
                self.walk.output.varint((number << 1 ^ number >> 127) as u64);
            }
            Integer::Fixed32 => {
                self.tag(Wire::Fixed32);
                self.walk.output.fixed32(number as u32);
            }
            Integer::Fixed64 | Integer::Sfixed64 => {
                self.tag(Wire::Fixed64);
                self.walk.output.fixed64(number as u64);
            }
        }
    }

    fn elements<'de, A: SeqAccess<'de>>(&mut self, mut elements: A, place: Place) -> Result<(), A::Error> {
        for index in 0.. {
            self.walk.path.push(Step::Index(index));
            let element = Slot { field: self.field, place, walk: self.walk };
            let found = elements.next_element_seed(element)?;
            self.walk.path.pop();
            if found.is_none() {
                break;
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Slot<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Slot<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.kind.takes())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        // A field that is null is absent; an element cannot be.
        if self.place == Place::Field { Ok(()) } else { Err(self.wrong("null")) }
    }

    fn visit_bool<E: Error>(mut self, bool: bool) -> Result<(), E> {
        if !matches!(self.field.kind, Kind::Bool) || self.is_array() {
            return Err(self.wrong(bool));
        }
        self.tag(Wire::Varint);
        self.walk.output.varint(bool.into());
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.number(Number::Unsigned(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.number(Number::Signed(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.number(Number::Double(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.text(text)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        let Kind::Message(message) = self.field.kind else {
            return Err(self.wrong("an object"));
        };
        if self.is_array() {
            return Err(self.wrong("an object"));
        }
        if self.place == Place::Request {
            return self.walk.message(message, map);
        }
        self.tag(Wire::Length);
        let open = self.walk.output.open();
        self.walk.message(message, map)?;
        self.walk.output.close(open);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, elements: A) -> Result<(), A::Error> {
        if !self.is_array() {
            return Err(self.wrong("an array"));
        }
        if !self.field.kind.is_packed() {
            return self.elements(elements, Place::Element);
        }
        self.tag(Wire::Length);
        let open = self.walk.output.open();
        self.elements(elements, Place::Packed)?;
        self.walk.output.close(open);
        Ok(())
    }
}

impl Kind {
    /// What a field of this kind takes, in words.
    fn takes(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Id => "a string of hex",
            Self::Bytes => "a string of base64",
            Self::Bool => "true or false",
            Self::Double => "a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
            Self::Integer(_) => "a whole number",
            Self::Enum(_) => "the number or the name of an enum",
            Self::Message(_) => "an object",
        }
    }

    /// Whether the elements of a repeated field of this kind stand one behind the other, without tags.
    fn is_packed(self) -> bool {
        matches!(self, Self::Bool | Self::Double | Self::Integer(_) | Self::Enum(_))
    }
}

fn out_of_range<E: Error>(integer: Integer, found: impl fmt::Display) -> E {
    let (least, greatest) = integer.range();
    E::custom(format_args!("expected a whole number from {least} to {greatest}, found {found}"))
}

fn unknown_name<E: Error>(names: &Enum, text: &str) -> E {
    let (first, last) = (names.names.first().unwrap_or(&""), names.names.last().unwrap_or(&""));
    E::custom(format_args!(
        "{} is not a name of the enum {}, which are {first} to {last}: send one of them or its number",
        shown(text),
        names.name
    ))
}
