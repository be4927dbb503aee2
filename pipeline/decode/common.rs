//! What the signals have in common: attributes and values, resources, scopes.

use super::wire::{Field, Read, Wire, is_utf8, refuse, short_field};
use super::{ROWS_MAX, VALUE_DEPTH_MAX};
use crate::batch::build::{Dictionary, NO_KEY, Numbers, Part, SharedPart};
use crate::batch::{Any, Attributes, Tag, Value};
use arrow_array::types::{TimestampNanosecondType, UInt32Type};

/// Times.
pub(super) type Times = Numbers<TimestampNanosecondType>;
/// Counts and flags.
pub(super) type Counts = Numbers<UInt32Type>;

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

/// The columns that every signal has in front of its own.
#[derive(Debug, Default)]
pub(super) struct Common {
    pub(super) time: Times,
    service: [Dictionary; 5],
    resource_attributes: SharedPart,
    resource_dropped: Counts,
    resource_schema_url: Dictionary,
    scope_name: Dictionary,
    scope_version: Dictionary,
    scope_attributes: SharedPart,
    scope_dropped: Counts,
    schema_url: Dictionary,
}

/// The resource attributes that have columns of their own, the first that is text winning.
const SERVICE: [&[&str]; 5] = [
    &["service.name"],
    &["service.namespace"],
    &["service.version"],
    &["service.instance.id"],
    &["deployment.environment.name", "deployment.environment"],
];

/// What a resource said besides its attributes.
#[derive(Default)]
pub(super) struct ResourceState<'a> {
    dropped: u32,
    pub(super) schema_url: &'a [u8],
}

/// What a scope said besides its attributes.
#[derive(Default)]
pub(super) struct ScopeState<'a> {
    name: &'a [u8],
    version: &'a [u8],
    dropped: u32,
    pub(super) schema_url: &'a [u8],
}

impl Common {
    pub(super) fn rows(&self) -> usize {
        self.time.len()
    }

    pub(super) fn each(&mut self, see: &mut dyn FnMut(&mut dyn Part)) {
        see(&mut self.time);
        self.service.iter_mut().for_each(|part| see(part));
        see(&mut self.resource_attributes);
        see(&mut self.resource_dropped);
        see(&mut self.resource_schema_url);
        see(&mut self.scope_name);
        see(&mut self.scope_version);
        see(&mut self.scope_attributes);
        see(&mut self.scope_dropped);
        see(&mut self.schema_url);
    }

    /// Reads a `Resource`; a second one is merged into the first.
    pub(super) fn resource(&mut self, mut wire: Wire<'_>, state: &mut ResourceState<'_>) -> Read<()> {
        const AT: &str = "Resource";
        while let Some(field) = wire.next(AT)? {
            match field.number {
                1 => {
                    let entry = wire.message(field, "Resource.attributes")?;
                    attribute(entry, &mut self.resource_attributes.distinct.values)?;
                }
                2 => state.dropped = wire.varint(field, "Resource.dropped_attributes_count")? as u32,
                3 => entity_ref(wire.message(field, "Resource.entity_refs")?)?,
                _ => wire.skip(field, AT)?,
            }
        }
        Ok(())
    }

    /// Gives the rows that came within a resource its columns; a resource without rows leaves nothing.
    pub(super) fn end_resource(&mut self, state: &ResourceState<'_>) {
        let rows = self.rows();
        if self.resource_attributes.keys.len() == rows {
            self.resource_attributes.distinct.values.forget_open_row();
            return;
        }
        self.resource_attributes.fill(rows);
        let values = &self.resource_attributes.distinct.values;
        let row = self.resource_attributes.keys[rows - 1] as usize;
        for (column, names) in self.service.iter_mut().zip(SERVICE) {
            let text = names.iter().find_map(|name| match values.find(row, name) {
                Some(Any::Text(text)) => Some(text),
                _ => None,
            });
            let key = text.map_or(NO_KEY, |text| column.key(text.as_bytes()));
            column.fill(rows, key);
        }
        self.resource_dropped.fill(rows, state.dropped);
        let key = self.resource_schema_url.key(state.schema_url);
        self.resource_schema_url.fill(rows, key);
    }

    /// Reads an `InstrumentationScope`; a second one is merged into the first.
    pub(super) fn scope<'a>(&mut self, mut wire: Wire<'a>, state: &mut ScopeState<'a>) -> Read<()> {
        const AT: &str = "InstrumentationScope";
        while let Some(field) = wire.next(AT)? {
            match field.number {
                1 => state.name = wire.text(field, "InstrumentationScope.name")?,
                2 => state.version = wire.text(field, "InstrumentationScope.version")?,
                3 => {
                    let entry = wire.message(field, "InstrumentationScope.attributes")?;
                    attribute(entry, &mut self.scope_attributes.distinct.values)?;
                }
                4 => state.dropped = wire.varint(field, "InstrumentationScope.dropped_attributes_count")? as u32,
                _ => wire.skip(field, AT)?,
            }
        }
        Ok(())
    }

    /// Gives the rows that came within a scope its columns; a scope without rows leaves nothing.
    pub(super) fn end_scope(&mut self, state: &ScopeState<'_>) {
        let rows = self.rows();
        if self.scope_attributes.keys.len() == rows {
            self.scope_attributes.distinct.values.forget_open_row();
            return;
        }
        self.scope_attributes.fill(rows);
        self.scope_dropped.fill(rows, state.dropped);
        for (column, text) in [
            (&mut self.scope_name, state.name),
            (&mut self.scope_version, state.version),
            (&mut self.schema_url, state.schema_url),
        ] {
            let key = column.key(text);
            column.fill(rows, key);
        }
    }
}

/// No column holds entity references; a wrong one is refused all the same.
fn entity_ref(mut wire: Wire<'_>) -> Read<()> {
    while let Some(field) = wire.next("EntityRef")? {
        match field.number {
            1..=4 => drop(wire.text(field, "EntityRef")?),
            _ => wire.skip(field, "EntityRef")?,
        }
    }
    Ok(())
}

/// How many samples an item stands for, by the threshold in its tracestate (`ot=th:…`): 1 without a valid one.
pub(super) fn adjusted_count(trace_state: &[u8]) -> f64 {
    const WHOLE: u64 = 1 << 56;
    let threshold = trace_state.split(|&byte| byte == b',').find_map(|member| {
        let fields = member.trim_ascii().strip_prefix(b"ot=")?;
        let digits = fields.split(|&byte| byte == b';').find_map(|field| field.strip_prefix(b"th:"))?;
        if digits.is_empty() || digits.len() > 14 {
            return None;
        }
        let number = digits.iter().try_fold(0_u64, |number, &digit| {
            let digit = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            Some(number << 4 | u64::from(digit))
        })?;
        Some(number << (4 * (14 - digits.len())))
    });
    threshold.map_or(1.0, |threshold| WHOLE as f64 / (WHOLE - threshold) as f64)
}

/// Counts an id that was not valid, if one had to be there or something was sent.
pub(super) fn count_invalid(valid: bool, id: &[u8], required: bool) -> u64 {
    u64::from(!valid && (required || !id.is_empty()))
}

/// A time as the 64 bits it is, null if it is 0.
pub(super) fn time_or_null(time: u64) -> Option<i64> {
    (time != 0).then_some(time.cast_signed())
}

/// What a signal's decoder has to do for the frame around it.
pub(super) trait Rows: Default {
    /// The columns that every signal has.
    fn common(&mut self) -> &mut Common;
    /// Every column, in the order of the schema.
    fn each(&mut self, see: &mut dyn FnMut(&mut dyn Part));
    /// Reads one item of a scope: a span, a log record, a metric.
    fn item(&mut self, wire: Wire<'_>, invalid_ids: &mut u64) -> Read<()>;
    /// The names of the request, the resource's and the scope's message, and of the fields that lead to the next.
    const NAMES: [&'static str; 6];

    /// Reads a whole request.
    fn request(&mut self, body: &[u8], invalid_ids: &mut u64) -> Read<()> {
        let [request, resources, ..] = Self::NAMES;
        let mut wire = Wire::new(body);
        while let Some(field) = wire.next(request)? {
            match field.number {
                1 => self.resource_rows(wire.message(field, resources)?, invalid_ids)?,
                _ => wire.skip(field, request)?,
            }
        }
        Ok(())
    }

    /// Reads the rows of a resource. Its columns are filled when all is read, so that the fields may have any order.
    fn resource_rows(&mut self, mut wire: Wire<'_>, invalid_ids: &mut u64) -> Read<()> {
        let [_, _, message, scopes, ..] = Self::NAMES;
        let mut state = ResourceState::default();
        while let Some(field) = wire.next(message)? {
            match field.number {
                1 => {
                    let resource = wire.message(field, message)?;
                    self.common().resource(resource, &mut state)?;
                }
                2 => self.scope_rows(wire.message(field, scopes)?, invalid_ids)?,
                3 => state.schema_url = schema_url(&mut wire, field, message)?,
                _ => wire.skip(field, message)?,
            }
        }
        self.common().end_resource(&state);
        Ok(())
    }

    /// Reads the rows of a scope, in the same way.
    fn scope_rows(&mut self, mut wire: Wire<'_>, invalid_ids: &mut u64) -> Read<()> {
        let [_, _, _, _, message, items] = Self::NAMES;
        let mut state = ScopeState::default();
        if let Some(scope) = wire.next_bytes(1) {
            self.common().scope(Wire::new(scope), &mut state)?;
        }
        while let Some(item) = wire.next_bytes(2) {
            self.item(Wire::new(item), invalid_ids)?;
            within_rows(self.common().rows())?;
        }
        while let Some(field) = wire.next(message)? {
            match field.number {
                1 => {
                    let scope = wire.message(field, message)?;
                    self.common().scope(scope, &mut state)?;
                }
                2 => {
                    self.item(wire.message(field, items)?, invalid_ids)?;
                    within_rows(self.common().rows())?;
                }
                3 => state.schema_url = schema_url(&mut wire, field, message)?,
                _ => wire.skip(field, message)?,
            }
        }
        self.common().end_scope(&state);
        Ok(())
    }
}

/// Refuses a request of more rows than [`ROWS_MAX`]: an empty row is two bytes on the wire and hundreds in memory.
pub(super) fn within_rows(rows: usize) -> Read<()> {
    if rows <= ROWS_MAX {
        return Ok(());
    }
    Err(refuse("request", &format!("it has more than {ROWS_MAX} rows; send smaller requests")))
}

fn schema_url<'a>(wire: &mut Wire<'a>, field: Field, message: &str) -> Read<&'a [u8]> {
    wire.text(field, message)
}
