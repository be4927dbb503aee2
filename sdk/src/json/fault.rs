//! What is wrong with a text, and where in it.

use std::fmt;

use serde::de::{self, Expected, Unexpected};
use serde_json::Number;

/// A mistake: the path of the value that it is about (`rules[1].pattern`), and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Fault(Box<(String, String)>);

impl Fault {
    #[cold]
    pub(crate) fn new(message: &str) -> Self {
        Self(Box::new((String::new(), message.to_owned())))
    }

    /// The path, which is empty where the whole is meant.
    pub(crate) fn path(&self) -> &str {
        &self.0.0
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.1
    }

    /// The same of what holds the value as the field of that name.
    #[cold]
    pub(super) fn below(self, key: &str) -> Self {
        self.within(key.to_owned())
    }

    /// The same of what holds the value as the item of that index.
    #[cold]
    pub(super) fn at(self, index: usize) -> Self {
        self.within(format!("[{index}]"))
    }

    fn within(mut self, mut path: String) -> Self {
        let inner = &self.0.0;
        if !inner.is_empty() && !inner.starts_with('[') {
            path.push('.');
        }
        path.push_str(inner);
        self.0.0 = path;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.path().is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.path(), self.message())
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(&message.to_string())
    }

    #[cold]
    fn invalid_type(seen: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(&format!("invalid type: {}, expected {expected}", Seen(seen)))
    }

    #[cold]
    fn invalid_value(seen: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(&format!("invalid value: {}, expected {expected}", Seen(seen)))
    }

    #[cold]
    fn missing_field(field: &'static str) -> Self {
        Self::new("missing: this key is required").below(field)
    }
}

/// A value as JSON calls it. `Unexpected` could tell it, too, and would bring the standard library's code for numbers.
struct Seen<'a>(Unexpected<'a>);

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Unexpected::Bool(value) => return write!(f, "boolean `{value}`"),
            Unexpected::Unsigned(value) => return write!(f, "integer `{value}`"),
            Unexpected::Signed(value) => return write!(f, "integer `{value}`"),
            Unexpected::Float(value) => match Number::from_f64(value) {
                Some(value) => return write!(f, "floating point `{value}`"),
                None => "floating point",
            },
            Unexpected::Char(value) => return write!(f, "character `{value}`"),
            Unexpected::Str(value) => return write!(f, "string {value:?}"),
            Unexpected::Other(value) => value,
            Unexpected::Unit => "null",
            Unexpected::Bytes(_) => "byte array",
            Unexpected::Option => "Option value",
            Unexpected::NewtypeStruct => "newtype struct",
            Unexpected::Seq => "sequence",
            Unexpected::Map => "map",
            Unexpected::Enum => "enum",
            Unexpected::UnitVariant => "unit variant",
            Unexpected::NewtypeVariant => "newtype variant",
            Unexpected::TupleVariant => "tuple variant",
            Unexpected::StructVariant => "struct variant",
        };
        f.write_str(kind)
    }
}
