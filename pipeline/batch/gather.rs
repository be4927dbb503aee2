//! Rows of one batch or of several, gathered into a new one that holds what they need and no more.

use super::access::convert;
use super::attributes::Texts;
use super::change::text_type;
use super::{Attributes, Batch, Children, Column, Entry, Shared, Values, schema};
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, StringArray, UInt32Array, new_null_array};
use std::collections::HashMap;
use std::sync::Arc;

/// How many bytes one batch has at most, so that every offset fits into 31 bits.
const BYTES_MAX: usize = i32::MAX as usize;

impl Batch {
    /// The rows of these numbers, in that order; a number beyond the end is left out. Texts of dictionaries, keys and
    /// shared attributes that none of them has do not come along.
    pub fn take(&self, rows: &[u32]) -> Self {
        let rows: Vec<u32> = rows.iter().copied().filter(|&row| (row as usize) < self.rows).collect();
        let columns = self.columns.iter().map(|(name, column)| {
            let column = match &**column {
                Column::Array(array) => Column::Array(taken(array, &rows)),
                Column::Attributes(attributes) => Column::Attributes(attributes_at(attributes, &rows)),
                Column::Shared(shared) => {
                    let mut gathered = SharedRows::default();
                    gathered.append(shared, rows.iter().map(|&row| row as usize));
                    Column::Shared(gathered.rows)
                }
                Column::Values(values) => Column::Values(values.rows_of(&rows)),
                Column::Children(children) => Column::Children(children_at(children, &rows)),
            };
            (name.clone(), Arc::new(column))
        });
        Self { signal: self.signal, rows: rows.len(), columns: columns.collect() }
    }

    /// The rows of several batches of one signal, one after the other.
    ///
    /// A column that a plugin added to some of them is null in the rows of the others. It is an error of the plugin if
    /// it has different types in two of them, and one of overload if the rows would exceed the 2 GiB of a batch.
    pub fn concat(batches: &[&Self]) -> Result<Self> {
        let first = batches.first().ok_or_else(|| Error::bug("no batches were given to be joined"))?;
        let signal = first.signal;
        if let Some(other) = batches.iter().find(|batch| batch.signal != signal) {
            return Err(Error::bug(format!("{signal} and {} were given to be joined", other.signal)));
        }
        let bytes = batches.iter().map(|batch| batch.bytes()).fold(0, usize::saturating_add);
        if bytes > BYTES_MAX {
            return Err(Error::overload(format!("rows of {bytes} bytes exceed the {BYTES_MAX} bytes of a batch")));
        }
        // A batch without rows may have no columns either.
        let parts: Vec<&Self> = batches.iter().copied().filter(|batch| batch.rows > 0).collect();
        if parts.is_empty() {
            return Ok((*first).clone());
        }
        let rows = parts.iter().map(|part| part.rows).sum();
        let mut joined = Self { signal, rows, columns: Vec::new() };
        let known = schema::columns(signal).iter().map(|column| column.name);
        let added = parts.iter().flat_map(|part| part.columns().map(|(name, _)| name));
        for name in known.chain(added) {
            if joined.column(name).is_none() {
                let column = joined_column(name, &parts)?;
                joined.columns.push((Arc::from(name), Arc::new(column)));
            }
        }
        Ok(joined)
    }
}

fn joined_column(name: &str, parts: &[&Batch]) -> Result<Column> {
    let columns = || parts.iter().map(|part| part.column(name));
    let unlike = || Error::bug(format!("{name}: a batch that is to be joined has no such column, or of another kind"));
    Ok(match columns().flatten().next().ok_or_else(unlike)? {
        Column::Array(model) => {
            let array = |(part, column): (&&Batch, Option<&Column>)| match column {
                Some(Column::Array(array)) => alike(array, model, name),
                None => Ok(new_null_array(model.data_type(), part.rows)),
                Some(_) => Err(unlike()),
            };
            let arrays: Vec<ArrayRef> = parts.iter().zip(columns()).map(array).collect::<Result<_>>()?;
            Column::Array(end_to_end(name, &arrays)?)
        }
        Column::Attributes(_) => {
            let mut joined = Attributes::default();
            for column in columns() {
                let Some(Column::Attributes(part)) = column else { return Err(unlike()) };
                append(&mut joined, part, 0..part.rows());
            }
            Column::Attributes(joined)
        }
        Column::Shared(_) => {
            let mut joined = SharedRows::default();
            for column in columns() {
                let Some(Column::Shared(part)) = column else { return Err(unlike()) };
                joined.append(part, 0..part.keys.len());
            }
            Column::Shared(joined.rows)
        }
        Column::Values(_) => {
            let mut joined = Values::default();
            for column in columns() {
                let Some(Column::Values(part)) = column else { return Err(unlike()) };
                joined.values.extend(part.values.iter().map(|value| value.moved(&part.arena, &mut joined.arena)));
            }
            Column::Values(joined)
        }
        Column::Children(_) => {
            let mut children = Vec::with_capacity(parts.len());
            for column in columns() {
                let Some(Column::Children(part)) = column else { return Err(unlike()) };
                children.push(part);
            }
            Column::Children(joined_children(name, &children)?)
        }
    })
}

/// An array as one of the type of another: text is text whether or not it is a dictionary.
fn alike(array: &ArrayRef, model: &ArrayRef, name: &str) -> Result<ArrayRef> {
    if array.data_type() == model.data_type() {
        return Ok(array.clone());
    }
    if text_type(array) && text_type(model) {
        return convert(array, model.data_type(), name);
    }
    let (one, other) = (model.data_type(), array.data_type());
    Err(Error::plugin(format!("{name}: is a column of {one} in some rows, of {other} in others; give it one type")))
}

fn end_to_end(name: &str, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let arrays: Vec<&dyn Array> = arrays.iter().map(|array| &**array).collect();
    let joined = arrow_select::concat::concat(&arrays).map_err(|error| Error::bug(format!("{name}: {error}")))?;
    Ok(united(joined))
}

fn joined_children(name: &str, parts: &[&Children]) -> Result<Children> {
    let mut joined = Children { ends: Vec::new(), columns: Vec::new(), attributes: Attributes::default() };
    for part in parts {
        let before = joined.attributes.rows() as u32;
        joined.ends.extend(part.ends.iter().map(|end| before + end));
        append(&mut joined.attributes, &part.attributes, 0..part.attributes.rows());
    }
    let first = parts.first().map_or(&[][..], |part| &part.columns);
    for (at, (field, _)) in first.iter().enumerate() {
        let array = |part: &&Children| part.columns.get(at).filter(|(known, _)| known == field).map(|(_, a)| a.clone());
        let arrays: Option<Vec<ArrayRef>> = parts.iter().map(array).collect();
        let arrays = arrays.ok_or_else(|| Error::bug(format!("{name}: structures of different fields")))?;
        joined.columns.push((field, end_to_end(field, &arrays)?));
    }
    Ok(joined)
}

fn taken(array: &ArrayRef, rows: &[u32]) -> ArrayRef {
    let rows = UInt32Array::from(rows.to_vec());
    united(arrow_select::take::take(array, &rows, None).unwrap_or_else(|_| array.clone()))
}

fn attributes_at(attributes: &Attributes, rows: &[u32]) -> Attributes {
    let mut taken = Attributes::default();
    append(&mut taken, attributes, rows.iter().map(|&row| row as usize));
    taken
}

fn children_at(children: &Children, rows: &[u32]) -> Children {
    let (mut chosen, mut ends) = (Vec::new(), Vec::with_capacity(rows.len()));
    for &row in rows {
        chosen.extend(children.range(row as usize).map(|child| child as u32));
        ends.push(chosen.len() as u32);
    }
    let columns = children.columns.iter().map(|(name, array)| (*name, taken(array, &chosen))).collect();
    Children { ends, columns, attributes: attributes_at(&children.attributes, &chosen) }
}

/// A dictionary with each text that a row has once, and no other; any other array as it is.
fn united(array: ArrayRef) -> ArrayRef {
    let Some(texts) = array.as_dictionary_opt::<Int32Type>() else { return array };
    let Some(values) = texts.values().as_string_opt::<i32>() else { return array };
    let (mut distinct, mut moved) = (Texts::default(), vec![None; values.len()]);
    let keys = texts.keys().iter().map(|key| {
        let old = key? as usize;
        let intern = || distinct.intern(values.value(old).as_bytes()) as i32;
        values.is_valid(old).then(|| *moved[old].get_or_insert_with(intern))
    });
    let keys: Int32Array = keys.collect();
    Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from_iter_values(distinct.iter()))))
}

/// Appends rows of other attributes; their keys get the numbers that they have here.
fn append(into: &mut Attributes, from: &Attributes, rows: impl Iterator<Item = usize>) {
    let mut keys = vec![None; from.keys.len()];
    for row in rows {
        append_open_row(into, from, row, &mut keys);
        into.end_row();
    }
}

fn append_open_row(into: &mut Attributes, from: &Attributes, row: usize, keys: &mut [Option<u32>]) {
    for entry in &from.entries[from.range(row)] {
        let old = entry.key;
        let key = *keys[old as usize].get_or_insert_with(|| into.keys.intern(from.keys.bytes_of(old)));
        let value = entry.value.moved(&from.arena, &mut into.arena);
        into.entries.push(Entry { key, value });
    }
}

/// Shared attributes under construction: those that are the same are held once, whichever batch they come from.
#[derive(Default)]
struct SharedRows {
    rows: Shared,
    known: HashMap<Vec<u8>, u32>,
}

impl SharedRows {
    fn append(&mut self, from: &Shared, rows: impl Iterator<Item = usize>) {
        let mut keys = vec![None; from.values.keys.len()];
        let mut moved = vec![None; from.values.rows()];
        for row in rows {
            let old = from.keys[row] as usize;
            let new = *moved[old].get_or_insert_with(|| self.row(&from.values, old, &mut keys));
            self.rows.keys.push(new);
        }
    }

    fn row(&mut self, from: &Attributes, row: usize, keys: &mut [Option<u32>]) -> u32 {
        let values = &mut self.rows.values;
        let start = values.entries.len();
        append_open_row(values, from, row, keys);
        let mut identity = Vec::new();
        for Entry { key, value } in &values.entries[start..] {
            let length = if value.is_long() { value.span().len() as u64 } else { value.bits };
            identity.extend_from_slice(&key.to_le_bytes());
            identity.push(value.tag as u8);
            identity.extend_from_slice(&length.to_le_bytes());
            if value.is_long() {
                identity.extend_from_slice(&values.arena[value.span()]);
            }
        }
        if let Some(&known) = self.known.get(&identity) {
            values.forget_open_row();
            return known;
        }
        values.end_row();
        let new = values.rows() as u32 - 1;
        self.known.insert(identity, new);
        new
    }
}
