//! A batch as bytes, for rows that outlive the process.
//!
//! A version byte, the signal, the number of rows, then the columns in their order, each with its name. Numbers are
//! little-endian. [`Batch::decode`] believes nothing: lengths, keys, UTF-8, tags, nesting and the types of the columns
//! are checked, and what it returns is a batch on which nothing panics that does not panic on any other.

mod arrays;
mod reader;
#[cfg(test)]
mod tests;

use super::change::scalars;
use super::schema::{self, ColumnDef, ColumnKind};
use super::value::pack;
use super::{Attributes, Batch, Children, Column, Shared, Tag, Value, Values};
use crate::{Error, Result, Signal};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, TimeUnit};
use reader::{Reader, put_count, put_sized, utf8};
use std::sync::Arc;

/// The version of the form; another one is refused.
const VERSION: u8 = 1;

/// How deep values nest at most, as the decoder of OTLP has it: a value that is no member of another is at level 1.
const DEPTH_MAX: usize = 64;

const ARRAY: u8 = 0;
const ATTRIBUTES: u8 = 1;
const SHARED: u8 = 2;
const VALUES: u8 = 3;
const CHILDREN: u8 = 4;

impl Batch {
    /// The batch as bytes, which [`Batch::decode`] reads. A bug if a column has a type that no batch has.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.bytes());
        out.extend_from_slice(&[VERSION, self.signal.index() as u8]);
        put_count(&mut out, self.rows);
        put_count(&mut out, self.columns.len());
        for (name, column) in &self.columns {
            put_sized(&mut out, name.as_bytes());
            put_column(&mut out, column).map_err(|error| error.within(name))?;
        }
        Ok(out)
    }

    /// The batch that [`Batch::encode`] wrote; an error of storage, which names what is wrong, for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        batch(&mut Reader(bytes)).map_err(|error| error.within("a batch read back"))
    }
}

fn put_column(out: &mut Vec<u8>, column: &Column) -> Result<()> {
    match column {
        Column::Array(array) => {
            out.push(ARRAY);
            arrays::write(out, array)?;
        }
        Column::Attributes(attributes) => {
            out.push(ATTRIBUTES);
            put_attributes(out, attributes);
        }
        Column::Shared(Shared { keys, values }) => {
            out.push(SHARED);
            put_numbers(out, keys);
            put_attributes(out, values);
        }
        Column::Values(Values { values, arena }) => {
            out.push(VALUES);
            put_count(out, values.len());
            values.iter().for_each(|value| put_value(out, *value, arena));
        }
        Column::Children(Children { ends, columns, attributes }) => {
            out.push(CHILDREN);
            put_numbers(out, ends);
            put_count(out, columns.len());
            for (name, array) in columns {
                put_sized(out, name.as_bytes());
                arrays::write(out, array).map_err(|error| error.within(name))?;
            }
            put_attributes(out, attributes);
        }
    }
    Ok(())
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u32]) {
    put_count(out, numbers.len());
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

/// The keys, then where each row's entries end, then the entries with their content: no offset can point anywhere else.
fn put_attributes(out: &mut Vec<u8>, attributes: &Attributes) {
    put_count(out, attributes.keys.len());
    attributes.keys.iter().for_each(|key| put_sized(out, key.as_bytes()));
    put_numbers(out, &attributes.ends);
    for entry in &attributes.entries {
        out.extend_from_slice(&entry.key.to_le_bytes());
        put_value(out, entry.value, &attributes.arena);
    }
}

fn put_value(out: &mut Vec<u8>, value: Value, arena: &[u8]) {
    if value.is_long() {
        pack::long(out, value.tag, &arena[value.span()]);
    } else {
        pack::scalar(out, value.tag, value.bits);
    }
}

fn batch(reader: &mut Reader<'_>) -> Result<Batch> {
    // Positions in arenas are of 32 bits; what was written as 4 GiB would not fit.
    if u32::try_from(reader.0.len()).is_err() {
        let size = reader.0.len();
        return Err(Error::storage(format!("{size} bytes exceed the {} bytes that a batch has at most", u32::MAX)));
    }
    let version = reader.byte("version")?;
    if version != VERSION {
        return Err(Error::storage(format!("is of version {version}; this Weir reads version {VERSION}")));
    }
    let signal = reader.byte("signal")?;
    let signal = Signal::ALL.get(usize::from(signal)).copied();
    let signal = signal.ok_or_else(|| Error::storage("the number of its signal is above 2"))?;
    let rows = reader.count(1, "rows")?;
    let count = reader.count(8, "columns")?;
    let mut batch = Batch { signal, rows, columns: Vec::new() };
    let known = schema::columns(signal);
    // A batch without rows may have no columns; any other begins with those of its signal.
    if count < known.len() && (count > 0 || rows > 0) {
        return Err(Error::storage(format!("has {count} columns and {rows} rows; {signal} have {}", known.len())));
    }
    for at in 0..count {
        let name = reader.text("name of a column")?;
        let column = column(reader, known.get(at)).map_err(|error| error.within(name))?;
        let length = rows_of(&column);
        let unfit = match known.get(at) {
            _ if length != rows => Some(format!("has {length} values in a batch of {rows} rows")),
            Some(def) if def.name != name => Some(format!("stands where {} must be", def.name)),
            Some(def) => fits(def, &column).err(),
            None if batch.column(name).is_some() => Some("is there twice".to_owned()),
            None => added(&column).err(),
        };
        if let Some(unfit) = unfit {
            return Err(Error::storage(format!("{name}: {unfit}")));
        }
        batch.columns.push((Arc::from(name), Arc::new(column)));
    }
    if !reader.is_empty() {
        return Err(Error::storage(format!("{} bytes follow its end", reader.0.len())));
    }
    Ok(batch)
}

fn rows_of(column: &Column) -> usize {
    match column {
        Column::Array(array) => array.len(),
        Column::Attributes(attributes) => attributes.rows(),
        Column::Shared(shared) => shared.keys.len(),
        Column::Values(values) => values.rows(),
        Column::Children(children) => children.ends.len(),
    }
}

/// Whether a column is what its definition says; what is wrong if not.
fn fits(def: &ColumnDef, column: &Column) -> Result<(), String> {
    match (def.kind, column) {
        (ColumnKind::Attributes, Column::Attributes(_))
        | (ColumnKind::SharedAttributes, Column::Shared(_))
        | (ColumnKind::Value, Column::Values(_)) => Ok(()),
        (ColumnKind::Children(fields), Column::Children(children)) => {
            let mut fields = fields.iter().filter(|field| !matches!(field.kind, ColumnKind::Attributes));
            let fit = children.columns.iter().all(|(name, array)| {
                fields.next().is_some_and(|field| field.name == *name && array_fits(field, array).is_ok())
            });
            if fit && fields.next().is_none() { Ok(()) } else { Err("has other fields than its schema".to_owned()) }
        }
        (_, Column::Array(array)) => array_fits(def, array),
        _ => Err("is a column of another kind".to_owned()),
    }
}

/// Whether a plugin can have added a column.
fn added(column: &Column) -> Result<(), String> {
    let Column::Array(array) = column else { return Err("is of a kind that no plugin can add".to_owned()) };
    scalars(array, "").map_err(|_| format!("is a column of {}, which no plugin can add", array.data_type()))
}

fn array_fits(def: &ColumnDef, array: &ArrayRef) -> Result<(), String> {
    let (expected, found) = (data_type(def.kind), array.data_type());
    if expected.as_ref() != Some(found) {
        return Err(format!("is a column of {found}"));
    }
    if !def.nullable && array.null_count() > 0 {
        return Err("is never null, but a row of it is".to_owned());
    }
    Ok(())
}

/// The type of the array that a column of that kind is, if it is one.
pub(crate) fn data_type(kind: ColumnKind) -> Option<DataType> {
    let list = |item| DataType::List(Arc::new(Field::new("item", item, false)));
    Some(match kind {
        ColumnKind::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        ColumnKind::Bool => DataType::Boolean,
        ColumnKind::Int32 => DataType::Int32,
        ColumnKind::Int64 => DataType::Int64,
        ColumnKind::UInt32 => DataType::UInt32,
        ColumnKind::UInt64 => DataType::UInt64,
        ColumnKind::Double => DataType::Float64,
        ColumnKind::Dictionary => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Fixed(width) => DataType::FixedSizeBinary(width),
        ColumnKind::ListDouble => list(DataType::Float64),
        ColumnKind::ListUInt64 => list(DataType::UInt64),
        ColumnKind::Quantiles => {
            let field = |name: &str| Field::new(name, DataType::Float64, false);
            list(DataType::Struct(vec![field("quantile"), field("value")].into()))
        }
        ColumnKind::Attributes | ColumnKind::SharedAttributes | ColumnKind::Value | ColumnKind::Children(_) => {
            return None;
        }
    })
}

fn column(reader: &mut Reader<'_>, def: Option<&ColumnDef>) -> Result<Column> {
    Ok(match reader.byte("kind of column")? {
        ARRAY => Column::Array(arrays::read(reader)?),
        ATTRIBUTES => Column::Attributes(attributes(reader)?),
        SHARED => {
            let (keys, values) = (numbers(reader, "shared rows")?, attributes(reader)?);
            if let Some(key) = keys.iter().find(|key| **key as usize >= values.rows()) {
                let rows = values.rows();
                return Err(Error::storage(format!("a row has the attributes of number {key}; there are {rows}")));
            }
            Column::Shared(Shared { keys, values })
        }
        VALUES => {
            let count = reader.count(8, "values")?;
            let mut arena = Vec::new();
            let values = (0..count).map(|_| value(reader, &mut arena)).collect::<Result<_>>()?;
            Column::Values(Values { values, arena })
        }
        CHILDREN => Column::Children(children(reader, def)?),
        other => return Err(Error::storage(format!("{other} is the number of no kind of column"))),
    })
}

fn numbers(reader: &mut Reader<'_>, what: &str) -> Result<Vec<u32>> {
    let count = reader.count(32, what)?;
    reader.numbers(count, u32::from_le_bytes, what)
}

/// Where the things of each row end: never before the row before it.
fn ends(reader: &mut Reader<'_>, what: &str) -> Result<Vec<u32>> {
    let ends = numbers(reader, what)?;
    if ends.is_sorted() { Ok(ends) } else { Err(Error::storage(format!("{what}: one ends before it begins"))) }
}

fn children(reader: &mut Reader<'_>, def: Option<&ColumnDef>) -> Result<Children> {
    let Some(ColumnDef { kind: ColumnKind::Children(fields), .. }) = def else {
        return Err(Error::storage("is no list of structures"));
    };
    let ends = ends(reader, "children")?;
    let count = ends.last().map_or(0, |&end| end as usize);
    let mut columns = Vec::new();
    for _ in 0..reader.count(8, "fields")? {
        let name = reader.text("name of a field")?;
        let field = fields.iter().find(|field| field.name == name);
        let name = field.ok_or_else(|| Error::storage(format!("{name}: its structures have no such field")))?.name;
        let array = arrays::read(reader).map_err(|error| error.within(name))?;
        if array.len() != count {
            return Err(Error::storage(format!("{name}: has {} values for {count} children", array.len())));
        }
        columns.push((name, array));
    }
    let attributes = attributes(reader)?;
    if attributes.rows() != count {
        return Err(Error::storage(format!("there are attributes of {} for {count} children", attributes.rows())));
    }
    Ok(Children { ends, columns, attributes })
}

fn attributes(reader: &mut Reader<'_>) -> Result<Attributes> {
    let mut read = Attributes::default();
    for at in 0..reader.count(64, "keys")? {
        let key = reader.text("key")?;
        if read.keys.intern(key.as_bytes()) as usize != at {
            return Err(Error::storage(format!("the key {key:?} is there twice")));
        }
    }
    read.ends = ends(reader, "entries")?;
    for _ in 0..read.ends.last().map_or(0, |&end| end as usize) {
        let key = reader.u32("key of an entry")?;
        if key as usize >= read.keys.len() {
            let keys = read.keys.len();
            return Err(Error::storage(format!("an entry has the key of number {key}; there are {keys}")));
        }
        let value = value(reader, &mut read.arena)?;
        read.entries.push(super::Entry { key, value });
    }
    Ok(read)
}

fn value(reader: &mut Reader<'_>, arena: &mut Vec<u8>) -> Result<Value> {
    let (tag, bits, content) = checked_value(reader, 1)?;
    if (tag as u8) < Tag::Text as u8 {
        return Ok(Value { tag, bits });
    }
    let start = arena.len();
    arena.extend_from_slice(content);
    Ok(Value::long(tag, start, content.len()))
}

/// A value in the form of [`super::Packed`], looked through down to its leaves.
fn checked_value<'a>(reader: &mut Reader<'a>, depth: usize) -> Result<(Tag, u64, &'a [u8])> {
    if depth > DEPTH_MAX {
        return Err(Error::storage(format!("a value nests deeper than {DEPTH_MAX} levels")));
    }
    let byte = reader.byte("tag")?;
    let tag = Tag::from_byte(byte).ok_or_else(|| Error::storage(format!("{byte} is the tag of no value")))?;
    let bits = match tag {
        Tag::Null => 0,
        Tag::Bool => u64::from(reader.flag("boolean")?),
        Tag::Int | Tag::Double => reader.u64("number")?,
        Tag::Text | Tag::Bytes | Tag::Array | Tag::Map => {
            let content = long(reader)?;
            match tag {
                Tag::Text => utf8(content, "text").map(|_| ())?,
                Tag::Array | Tag::Map => {
                    let mut members = Reader(content);
                    while !members.is_empty() {
                        if tag == Tag::Map {
                            utf8(long(&mut members)?, "key of a map")?;
                        }
                        checked_value(&mut members, depth + 1)?;
                    }
                }
                _ => {}
            }
            return Ok((tag, 0, content));
        }
    };
    Ok((tag, bits, &[]))
}

fn long<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8]> {
    let length = reader.u32("length")?;
    reader.bytes(length as usize, "content")
}
