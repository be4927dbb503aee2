//! JSON to a plugin's own types: its configuration, and the values of its state.
//!
//! A module is compiled when Weir starts, so a guest should have little code. `serde_json` reads into any type by code made
//! for that type; here one scanner reads the text for all of them, what is made for a type only asks it, and the path
//! of a mistake is put together on its way out. What the two take for JSON is the same, but for a struct that is written
//! as an array, which is refused here.

mod fault;
mod scan;
#[cfg(test)]
mod tests;

pub(crate) use fault::Fault;

use scan::{Number, Scanner};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Unexpected, Visitor};

/// The value that is written there.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    let mut scanner = Scanner::new(text);
    let value = T::deserialize(Value(&mut scanner))?;
    scanner.end()?;
    Ok(value)
}

/// The next value of the text.
struct Value<'a, 'de>(&'a mut Scanner<'de>);

impl Value<'_, '_> {
    /// What is said of a value of another kind than is expected.
    #[cold]
    fn unexpected(self, expected: &dyn de::Expected) -> Fault {
        self.0.unexpected(expected)
    }

    fn number<'v, V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Fault> {
        if !self.0.at_number() {
            return Err(self.unexpected(&visitor));
        }
        match self.0.number()? {
            Number::Unsigned(value) => visitor.visit_u64(value),
            Number::Signed(value) => visitor.visit_i64(value),
            Number::Float(value) => visitor.visit_f64(value),
        }
    }

    fn text<'v, V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.peek() != b'"' {
            return Err(self.unexpected(&visitor));
        }
        visitor.visit_str(&self.0.string()?)
    }

    fn items<'v, V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.peek() != b'[' {
            return Err(self.unexpected(&visitor));
        }
        self.0.open()?;
        let value = visitor.visit_seq(Items { scanner: self.0, index: 0 })?;
        self.0.close(b']')?;
        Ok(value)
    }

    fn fields<'v, V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.peek() != b'{' {
            return Err(self.unexpected(&visitor));
        }
        self.0.open()?;
        let value = visitor.visit_map(Fields { scanner: self.0, index: 0, key: String::new() })?;
        self.0.close(b'}')?;
        Ok(value)
    }
}

/// Methods of a deserializer that read the same kind of value.
macro_rules! alike {
    ($how:ident: $($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.$how(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Value<'_, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.peek() {
            b'"' => self.text(visitor),
            b'{' => self.fields(visitor),
            b'[' => self.items(visitor),
            b't' | b'f' => self.deserialize_bool(visitor),
            b'n' => self.deserialize_unit(visitor),
            _ => self.number(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.peek() {
            b't' | b'f' => visitor.visit_bool(self.0.boolean()?),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if !self.0.null()? {
            return Err(self.unexpected(&visitor));
        }
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.null()? { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.at_number().then(|| self.0.digits()).transpose()?.map(str::parse) {
            Some(Ok(value)) => visitor.visit_i128(value),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.at_number().then(|| self.0.digits()).transpose()?.map(str::parse) {
            Some(Ok(value)) => visitor.visit_u128(value),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.items(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.items(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.fields(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0.peek() {
            b'"' => visitor.visit_enum(self.0.string()?.into_owned().into_deserializer()),
            b'{' => {
                self.0.open()?;
                let name = self.0.key(0)?.ok_or_else(|| Fault::new("expected the name of a variant"))?;
                let value = visitor.visit_enum(Variant { scanner: &mut *self.0, name: &name });
                let value = value.map_err(|fault| fault.below(&name))?;
                self.0.close(b'}')?;
                Ok(value)
            }
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.0.skip()?;
        visitor.visit_unit()
    }

    alike!(number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64);
    alike!(number: deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64);
    alike!(text: deserialize_char deserialize_str deserialize_string deserialize_identifier);
    alike!(items: deserialize_seq deserialize_bytes deserialize_byte_buf);
    alike!(fields: deserialize_map);
}

/// The items of an array.
struct Items<'a, 'de> {
    scanner: &'a mut Scanner<'de>,
    index: usize,
}

impl<'v> de::SeqAccess<'v> for Items<'_, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        if !self.scanner.item(self.index)? {
            return Ok(None);
        }
        let value = seed.deserialize(Value(self.scanner)).map_err(|fault| fault.at(self.index))?;
        self.index += 1;
        Ok(Some(value))
    }
}

/// The fields of an object.
struct Fields<'a, 'de> {
    scanner: &'a mut Scanner<'de>,
    index: usize,
    key: String,
}

impl<'v> de::MapAccess<'v> for Fields<'_, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'v>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(key) = self.scanner.key(self.index)? else {
            return Ok(None);
        };
        self.key = key;
        self.index += 1;
        seed.deserialize(Key(&self.key)).map(Some).map_err(|fault| fault.below(&self.key))
    }

    // For a type it is there once, whatever has fields of that type.
    #[inline(never)]
    fn next_value_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(Value(self.scanner)).map_err(|fault| fault.below(&self.key))
    }
}

/// A key of an object: a text, or what is written in it.
struct Key<'a>(&'a str);

impl Key<'_> {
    fn written<'v, V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Fault> {
        let mut scanner = Scanner::new(self.0);
        let number = if scanner.at_number() { scanner.number().ok() } else { None };
        match number.filter(|_| scanner.end().is_ok()) {
            Some(Number::Unsigned(value)) => visitor.visit_u64(value),
            Some(Number::Signed(value)) => visitor.visit_i64(value),
            Some(Number::Float(value)) => visitor.visit_f64(value),
            None => Err(de::Error::invalid_type(Unexpected::Str(self.0), &visitor)),
        }
    }

    fn text<'v, V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.0)
    }
}

impl<'de> Deserializer<'de> for Key<'_> {
    type Error = Fault;

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => self.text(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    alike!(written: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64);
    alike!(written: deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64);
    alike!(text: deserialize_any);
    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant of an enum that holds something: `{ "name": value }`.
struct Variant<'a, 'de> {
    scanner: &'a mut Scanner<'de>,
    name: &'a str,
}

impl<'v, 'a, 'de> de::EnumAccess<'v> for Variant<'a, 'de> {
    type Error = Fault;
    type Variant = Value<'a, 'de>;

    fn variant_seed<T: DeserializeSeed<'v>>(self, seed: T) -> Result<(T::Value, Self::Variant), Fault> {
        Ok((seed.deserialize(Key(self.name))?, Value(self.scanner)))
    }
}

impl<'v> de::VariantAccess<'v> for Value<'_, '_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'v>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'v>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.items(visitor)
    }

    fn struct_variant<V: Visitor<'v>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.fields(visitor)
    }
}
