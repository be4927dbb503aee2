//! A payload, and the places in it: each value is known by the JSON pointer (RFC 6901) that leads to it.

use super::time;
use crate::{Error, Result};
use serde_json::Value;
use std::fmt;

/// The most characters of a sender's text that an error repeats.
const SHOWN_MAX: usize = 64;

/// A value of the payload, and the pointer that leads to it.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    value: &'a Value,
    pointer: String,
}

impl<'a> Place<'a> {
    /// The whole payload.
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, pointer: String::new() }
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// The member of that name. What is null is not there.
    pub(super) fn get(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Self { value, pointer: self.pointer_of(name) })
    }

    /// The member of that name, which must be there.
    pub(super) fn need(&self, name: &str) -> Result<Self> {
        self.get(name).ok_or_else(|| {
            let pointer = self.pointer_of(name);
            match self.value.is_object() {
                true => Error::data(format!("{pointer}: is missing")),
                false => self.wrong(format_args!("an object with a member {name:?}")),
            }
        })
    }

    /// What a pointer that starts here leads to. What is null is not there.
    pub(super) fn at(&self, pointer: &str) -> Option<Self> {
        let value = self.value.pointer(pointer).filter(|value| !value.is_null())?;
        Some(Self { value, pointer: self.pointer.clone() + pointer })
    }

    /// The pointer of what would be at a pointer that starts here.
    pub(super) fn pointer_to(&self, pointer: &str) -> String {
        self.pointer.clone() + pointer
    }

    /// The elements, if it is an array.
    pub(super) fn elements(&self) -> Result<impl Iterator<Item = Self>> {
        let Some(array) = self.value.as_array() else { return Err(self.wrong("an array")) };
        let pointer = &self.pointer;
        Ok(array.iter().enumerate().map(move |(index, value)| Self { value, pointer: format!("{pointer}/{index}") }))
    }

    /// The members, if it is an object. Those that are null are left out.
    pub(super) fn members(&self) -> Result<impl Iterator<Item = (&'a str, Self)>> {
        let Some(object) = self.value.as_object() else { return Err(self.wrong("an object")) };
        let there = object.iter().filter(|(_, value)| !value.is_null());
        Ok(there.map(|(name, value)| (name.as_str(), Self { value, pointer: self.pointer_of(name) })))
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.wrong("a string"))
    }

    /// The text, if it is one and not empty.
    pub(super) fn filled_text(&self) -> Result<&'a str> {
        match self.text()? {
            "" => Err(self.wrong("a string that is not empty")),
            text => Ok(text),
        }
    }

    /// The time in nanoseconds since 1970, if it is one in RFC 3339.
    pub(super) fn time(&self) -> Result<u64> {
        time::parse(self.text()?).ok_or_else(|| self.wrong("a time in RFC 3339 from 1970 to 2262"))
    }

    /// The error that something else was expected here.
    pub(super) fn wrong(&self, expected: impl fmt::Display) -> Error {
        Error::data(format!("{self}: expected {expected}, found {}", shown(self.value)))
    }

    fn pointer_of(&self, name: &str) -> String {
        let name = match name.contains(['~', '/']) {
            true => &name.replace('~', "~0").replace('/', "~1"),
            false => name,
        };
        format!("{}/{}", self.pointer, cut(name))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.pointer.is_empty() { "the payload" } else { &self.pointer })
    }
}

/// A value as an error shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => format!("{:?}{}", cut(text), if cut(text).len() < text.len() { "…" } else { "" }),
        other => cut(&other.to_string()).to_owned(),
    }
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(SHOWN_MAX).map_or(text, |(end, _)| &text[..end])
}
