//! Attributes and values.

use super::VALUE_DEPTH_MAX;
use super::wire::{Read, Wire, is_utf8, refuse, short_field};
use crate::batch::{Attributes, Tag, Value};

/// A value while its fields arrive; its content is at the end of an arena, from `start`.
pub(super) struct Slot {
    tag: Tag,
    bits: u64,
    start: usize,
}

impl Slot {
    pub(super) fn at_end_of(arena: &[u8]) -> Self {
        Self { tag: Tag::Null, bits: 0, start: arena.len() }
    }

    fn become_scalar(&mut self, arena: &mut Vec<u8>, tag: Tag, bits: u64) {
        arena.truncate(self.start);
        (self.tag, self.bits) = (tag, bits);
    }

    fn become_content(&mut self, arena: &mut Vec<u8>, tag: Tag, content: &[u8]) {
        self.become_scalar(arena, tag, 0);
        arena.extend_from_slice(content);
    }

    pub(super) fn value(&self, arena: &[u8]) -> Value {
        match self.tag {
            Tag::Null | Tag::Bool | Tag::Int | Tag::Double => Value { tag: self.tag, bits: self.bits },
            tag => Value::long(tag, self.start, arena.len() - self.start),
        }
    }
}

/// Reads an `AnyValue` into its slot, where that is text at once.
#[inline]
pub(super) fn value_at_once(mut wire: Wire<'_>, arena: &mut Vec<u8>, slot: &mut Slot) -> Read<()> {
    if let Some(text) = wire.next_text(1) {
        slot.become_content(arena, Tag::Text, text);
        if wire.rest().is_empty() {
            return Ok(());
        }
    }
    any_value(wire, arena, slot, 1)
}

/// Reads an `AnyValue` into its slot. The last field wins; a list that comes twice is continued, as protobuf merges.
pub(super) fn any_value(mut wire: Wire<'_>, arena: &mut Vec<u8>, slot: &mut Slot, depth: usize) -> Read<()> {
    const AT: &str = "AnyValue";
    if depth > VALUE_DEPTH_MAX {
        let why = format!("a value nests deeper than {VALUE_DEPTH_MAX} levels; send deeper structures as text");
        return Err(refuse(AT, &why));
    }
    while let Some(field) = wire.next(AT)? {
        match field.number {
            1 => {
                let text = wire.text(field, "AnyValue.string_value")?;
                slot.become_content(arena, Tag::Text, text);
            }
            2 => {
                let value = wire.varint(field, "AnyValue.bool_value")?;
                slot.become_scalar(arena, Tag::Bool, u64::from(value != 0));
            }
            3 => {
                let value = wire.varint(field, "AnyValue.int_value")?;
                slot.become_scalar(arena, Tag::Int, value);
            }
            4 => {
                let value = wire.fixed64(field, "AnyValue.double_value")?;
                slot.become_scalar(arena, Tag::Double, value);
            }
            5 => {
                let list = wire.message(field, "AnyValue.array_value")?;
                if slot.tag != Tag::Array {
                    slot.become_scalar(arena, Tag::Array, 0);
                }
                array_value(list, arena, depth)?;
            }
            6 => {
                let list = wire.message(field, "AnyValue.kvlist_value")?;
                if slot.tag != Tag::Map {
                    slot.become_scalar(arena, Tag::Map, 0);
                }
                key_value_list(list, arena, depth)?;
            }
            7 => {
                let bytes = wire.bytes(field, "AnyValue.bytes_value")?;
                slot.become_content(arena, Tag::Bytes, bytes);
            }
            // The number of a text in a dictionary that only profiles have: it says nothing here.
            8 => {
                wire.varint(field, "AnyValue.string_value_strindex")?;
                slot.become_scalar(arena, Tag::Null, 0);
            }
            _ => wire.skip(field, AT)?,
        }
    }
    Ok(())
}

fn array_value(mut wire: Wire<'_>, arena: &mut Vec<u8>, depth: usize) -> Read<()> {
    while let Some(field) = wire.next("ArrayValue")? {
        match field.number {
            1 => {
                let value = wire.message(field, "ArrayValue.values")?;
                packed_value(arena, |arena, slot| any_value(value, arena, slot, depth + 1))?;
            }
            _ => wire.skip(field, "ArrayValue")?,
        }
    }
    Ok(())
}

fn key_value_list(mut wire: Wire<'_>, arena: &mut Vec<u8>, depth: usize) -> Read<()> {
    while let Some(field) = wire.next("KeyValueList")? {
        match field.number {
            1 => {
                let entry = wire.message(field, "KeyValueList.values")?;
                // The packed form has the key first, which on the wire may come last.
                let (mut look, mut key) = (entry, &b""[..]);
                while let Some(field) = look.next(KEY_VALUE)? {
                    match field.number {
                        1 => key = look.text(field, "KeyValue.key")?,
                        3 => drop(look.varint(field, "KeyValue.key_strindex")?),
                        _ => look.skip(field, KEY_VALUE)?,
                    }
                }
                arena.extend_from_slice(&(key.len() as u32).to_le_bytes());
                arena.extend_from_slice(key);
                packed_value(arena, |arena, slot| value_of(entry, arena, slot, depth + 1))?;
            }
            _ => wire.skip(field, "KeyValueList")?,
        }
    }
    Ok(())
}

fn value_of(mut entry: Wire<'_>, arena: &mut Vec<u8>, slot: &mut Slot, depth: usize) -> Read<()> {
    while let Some(field) = entry.next(KEY_VALUE)? {
        match field.number {
            2 => any_value(entry.message(field, "KeyValue.value")?, arena, slot, depth)?,
            _ => entry.skip(field, KEY_VALUE)?,
        }
    }
    Ok(())
}

/// Writes a nested value in the form of [`crate::batch::Packed`]: the head is filled in when the type is known.
fn packed_value(arena: &mut Vec<u8>, read: impl FnOnce(&mut Vec<u8>, &mut Slot) -> Read<()>) -> Read<()> {
    let head = arena.len();
    arena.extend_from_slice(&[0; 5]);
    let mut slot = Slot::at_end_of(arena);
    read(arena, &mut slot)?;
    arena[head] = slot.tag as u8;
    match slot.tag {
        Tag::Null | Tag::Bool | Tag::Int | Tag::Double => {
            arena.truncate(head);
            crate::batch::pack::scalar(arena, slot.tag, slot.bits);
        }
        _ => {
            let length = (arena.len() - slot.start) as u32;
            arena[head + 1..slot.start].copy_from_slice(&length.to_le_bytes());
        }
    }
    Ok(())
}

const KEY_VALUE: &str = "KeyValue";

/// Reads a `KeyValue` as an attribute of the row that is being built.
#[inline]
pub(super) fn attribute(wire: Wire<'_>, into: &mut Attributes) -> Read<()> {
    if plain_attribute(wire.rest(), into).is_some() { Ok(()) } else { any_attribute(wire, into) }
}

/// The form that nearly all attributes have: the key, then the value, each once, a scalar or text, and no other field.
/// Adds nothing, but for a new key, if the attribute has another form, or something is wrong with it.
#[inline]
fn plain_attribute(entry: &[u8], into: &mut Attributes) -> Option<()> {
    let (key, rest) = short_field(entry, 0x0a)?;
    let (value, rest) = short_field(rest, 0x12)?;
    if !rest.is_empty() {
        return None;
    }
    let key = match into.expected(key) {
        Some(known) => known,
        None if is_utf8(key) => into.unexpected(key),
        None => return None,
    };
    let value = match *value.first()? {
        0x0a => {
            let (text, rest) = short_field(value, 0x0a)?;
            if !rest.is_empty() || !is_utf8(text) {
                return None;
            }
            let start = into.arena.len();
            into.arena.extend_from_slice(text);
            Value::long(Tag::Text, start, text.len())
        }
        0x10 if value.len() == 2 && value[1] <= 1 => Value::bool(value[1] == 1),
        0x18 if value.len() <= 10 => {
            let (last, others) = value[1..].split_last()?;
            if *last >= 0x80 || others.iter().any(|&byte| byte < 0x80) {
                return None;
            }
            let bits = value[1..].iter().rev().fold(0, |bits: u64, byte| bits << 7 | u64::from(byte & 0x7f));
            Value::int(bits.cast_signed())
        }
        0x21 => Value { tag: Tag::Double, bits: u64::from_le_bytes(*value[1..].as_array()?) },
        _ => return None,
    };
    into.push_numbered(key, value);
    Some(())
}

/// Reads a `KeyValue` in any form.
fn any_attribute(mut wire: Wire<'_>, into: &mut Attributes) -> Read<()> {
    let mut key = &b""[..];
    let mut slot = Slot::at_end_of(&into.arena);
    while let Some(field) = wire.next(KEY_VALUE)? {
        match field.number {
            1 => key = wire.text(field, "KeyValue.key")?,
            2 => any_value(wire.message(field, "KeyValue.value")?, &mut into.arena, &mut slot, 1)?,
            3 => drop(wire.varint(field, "KeyValue.key_strindex")?),
            _ => wire.skip(field, KEY_VALUE)?,
        }
    }
    let value = slot.value(&into.arena);
    into.push(key, value);
    Ok(())
}
