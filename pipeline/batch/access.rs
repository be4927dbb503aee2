//! Columns read and written by name.

use super::attributes::Attributes;
use super::change::{delete, delete_shared, overlay, scalars, without, write_attribute, write_shared, write_values};
use super::given::attribute_values;
use super::{Any, Batch, Children, Column, Value, schema, write_json};
use crate::{Error, Result, Signal};
use arrow_array::{Array, ArrayRef, StringArray, UInt32Array};
use arrow_buffer::BooleanBuffer;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType;
use std::sync::Arc;

/// What a path names.
pub(super) enum Place<'a> {
    Column(usize),
    /// An attribute of the column of that number.
    Attribute(usize, &'a str),
}

/// The prefixes of attribute paths and the columns that hold them.
const NAMESPACES: [(&str, &str); 3] =
    [("attributes.", "attributes"), ("resource.", "resource_attributes"), ("scope.", "scope_attributes")];

impl Batch {
    /// The signal of the rows.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The memory that the batch holds, in bytes.
    pub fn bytes(&self) -> usize {
        let array = |array: &ArrayRef| array.to_data().get_slice_memory_size().unwrap_or(0);
        let column = |column: &Column| match column {
            Column::Array(values) => array(values),
            Column::Attributes(attributes) => attributes.bytes(),
            Column::Shared(shared) => shared.keys.len() * 4 + shared.values.bytes(),
            Column::Values(values) => values.arena.len() + values.values.len() * size_of::<Value>(),
            Column::Children(Children { ends, columns, attributes }) => {
                ends.len() * 4 + attributes.bytes() + columns.iter().map(|(_, values)| array(values)).sum::<usize>()
            }
        };
        self.columns.iter().map(|(_, values)| column(values)).sum()
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|(known, _)| **known == *name).map(|(_, column)| &**column)
    }

    /// Every column with its name: those of [`super::schema::columns`] in their order, then those that plugins added.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Column)> {
        self.columns.iter().map(|(name, column)| (&**name, &**column))
    }

    /// A column by name, or an attribute by its path (`attributes.K`, `resource.K`, `scope.K`), one value a row.
    ///
    /// 32-bit integers come as 64-bit ones. An attribute has the type that its values have; where they differ, and for
    /// bytes, lists and maps, it is text: texts as they are, other values as JSON. Attributes as a whole are JSON text. A column
    /// of lists comes as it is; lists of structures cannot be read.
    pub fn read(&self, path: &str) -> Result<ArrayRef> {
        match self.place(path).ok_or_else(|| self.unknown(path))? {
            Place::Column(at) => match &*self.columns[at].1 {
                Column::Array(array) => match array.data_type() {
                    DataType::Int32 => convert(array, &DataType::Int64, path),
                    DataType::UInt32 => convert(array, &DataType::UInt64, path),
                    DataType::List(item) if !item.data_type().is_primitive() => {
                        Err(Error::plugin(format!("{path}: is a list of structures, which plugins cannot read")))
                    }
                    _ => Ok(array.clone()),
                },
                Column::Attributes(attributes) => Ok(json_of(attributes)),
                Column::Shared(shared) => spread(&json_of(&shared.values), &shared.keys, path),
                Column::Values(values) => Ok(texts_of((0..values.rows()).map(|row| Some(values.get(row))))),
                Column::Children(_) => {
                    Err(Error::plugin(format!("{path}: is a list of structures, which plugins cannot read")))
                }
            },
            Place::Attribute(at, key) => match &*self.columns[at].1 {
                Column::Attributes(attributes) => Ok(attribute_values(attributes, key, None, 0..attributes.rows())),
                Column::Shared(shared) => {
                    let values = attribute_values(&shared.values, key, None, 0..shared.values.rows());
                    spread(&values, &shared.keys, path)
                }
                _ => Err(self.unknown(path)),
            },
        }
    }

    /// Sets a column or attribute; null leaves a row as it was. A name that is no column adds one.
    ///
    /// Rows that shared the attributes of a resource or scope do so no longer where they are given different values.
    pub fn write(&mut self, path: &str, values: &ArrayRef) -> Result<()> {
        if values.len() != self.rows {
            let (rows, given) = (self.rows, values.len());
            return Err(Error::plugin(format!("{path}: has {rows} rows, {given} values were given")));
        }
        match self.place(path) {
            None if path.is_empty() || path.contains('.') => Err(self.unknown(path)),
            None => {
                scalars(values, path)?;
                self.columns.push((Arc::from(path), Arc::new(Column::Array(values.clone()))));
                Ok(())
            }
            Some(Place::Column(at)) => match Arc::make_mut(&mut self.columns[at].1) {
                Column::Array(array) => {
                    *array = overlay(array, values, path)?;
                    Ok(())
                }
                Column::Values(body) => write_values(body, values, path),
                _ => Err(Error::plugin(format!("{path}: cannot be written as a whole; write one attribute of it"))),
            },
            Some(Place::Attribute(at, key)) => match Arc::make_mut(&mut self.columns[at].1) {
                Column::Attributes(attributes) => write_attribute(attributes, key, values, path),
                Column::Shared(shared) => write_shared(shared, key, values, path),
                _ => Err(self.unknown(path)),
            },
        }
    }

    /// Makes a column null, or deletes the attribute, in the rows whose bit is set.
    pub fn remove(&mut self, path: &str, rows: &BooleanBuffer) -> Result<()> {
        if rows.len() != self.rows {
            let (known, given) = (self.rows, rows.len());
            return Err(Error::plugin(format!("{path}: has {known} rows, a mask of {given} was given")));
        }
        let never_null = schema::columns(self.signal).iter().any(|column| {
            column.name == path
                && !column.nullable
                && !matches!(column.kind, schema::ColumnKind::Attributes | schema::ColumnKind::SharedAttributes)
        });
        if never_null {
            return Err(Error::plugin(format!("{path}: is never null; write another value instead")));
        }
        let (at, key) = match self.place(path).ok_or_else(|| self.unknown(path))? {
            Place::Column(at) => (at, None),
            Place::Attribute(at, key) => (at, Some(key)),
        };
        match Arc::make_mut(&mut self.columns[at].1) {
            Column::Array(array) => *array = without(array, rows, path)?,
            Column::Values(values) => {
                for row in rows.set_indices() {
                    values.values[row] = Value::NULL;
                }
                *values = values.rows_of(&(0..rows.len() as u32).collect::<Vec<_>>());
            }
            Column::Attributes(attributes) => delete(attributes, key, |row| rows.value(row)),
            Column::Shared(shared) => delete_shared(shared, key, rows),
            Column::Children(_) => return Err(Error::plugin(format!("{path}: is never null"))),
        }
        Ok(())
    }

    /// Renames an attribute in every row that has it; what the row had under the new name goes.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let unknown = |path: &str| self.unknown(path);
        let (Some(Place::Attribute(at, old)), Some(Place::Attribute(other, new))) = (self.place(from), self.place(to))
        else {
            let which = if matches!(self.place(from), Some(Place::Attribute(..))) { to } else { from };
            return Err(match self.place(which) {
                None => unknown(which),
                Some(_) => Error::plugin(format!("{which}: is a column; only attributes can be renamed")),
            });
        };
        if at != other {
            return Err(Error::plugin(format!("{from}: cannot move to {to}, which belongs to something else")));
        }
        let attributes = match Arc::make_mut(&mut self.columns[at].1) {
            Column::Attributes(attributes) => attributes,
            Column::Shared(shared) => &mut shared.values,
            _ => return Ok(()),
        };
        let Some(old) = attributes.keys.find(old) else { return Ok(()) };
        let new = attributes.keys.intern(new.as_bytes());
        if old == new {
            return Ok(());
        }
        attributes.rebuild(|_, entries, _, _| {
            if entries.iter().any(|entry| entry.key == old) {
                entries.retain(|entry| entry.key != new);
                entries.iter_mut().filter(|entry| entry.key == old).for_each(|entry| entry.key = new);
            }
        });
        Ok(())
    }

    pub(super) fn place<'a>(&self, path: &'a str) -> Option<Place<'a>> {
        let find = |name: &str| self.columns.iter().position(|(known, _)| **known == *name);
        if let Some(at) = find(path) {
            return Some(Place::Column(at));
        }
        NAMESPACES.iter().find_map(|(prefix, column)| {
            let key = path.strip_prefix(prefix)?;
            Some(Place::Attribute(find(column)?, key))
        })
    }

    #[cold]
    fn unknown(&self, path: &str) -> Error {
        let nearest = self.columns().map(|(name, _)| name).min_by_key(|name| distance(name, path));
        let nearest = nearest.map_or(String::new(), |name| format!("; did you mean {name}?"));
        let signal = self.signal;
        Error::plugin(format!(
            "{path}: {signal} have no such column{nearest} Attributes are read as attributes.K, resource.K or scope.K"
        ))
    }
}

/// How many letters have to be added, left out or changed to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let cost = (corner + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()]
}

pub(super) fn convert(array: &ArrayRef, to: &DataType, path: &str) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options).map_err(|error| Error::plugin(format!("{path}: {error}")))
}

fn json_of(attributes: &Attributes) -> ArrayRef {
    let mut json = Vec::new();
    Arc::new(StringArray::from_iter_values((0..attributes.rows()).map(|row| {
        json.clear();
        attributes.write_json(&mut json, row);
        String::from_utf8_lossy(&json).into_owned()
    })))
}

/// Gives each row the value of its key.
fn spread(values: &ArrayRef, keys: &[u32], path: &str) -> Result<ArrayRef> {
    arrow_select::take::take(values, &UInt32Array::from(keys.to_vec()), None)
        .map_err(|error| Error::bug(format!("{path}: {error}")))
}

/// Values as text: texts as they are, nothing as null, other values as JSON.
pub(super) fn texts_of<'a>(values: impl Iterator<Item = Option<Any<'a>>>) -> ArrayRef {
    let mut json = Vec::new();
    Arc::new(
        values
            .map(|value| match value? {
                Any::Null => None,
                Any::Text(text) => Some(std::borrow::Cow::Borrowed(text)),
                other => {
                    json.clear();
                    write_json(&mut json, other);
                    Some(String::from_utf8_lossy(&json).into_owned().into())
                }
            })
            .collect::<StringArray>(),
    )
}
