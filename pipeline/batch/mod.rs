//! The columnar batch: rows of one signal.
//!
//! Fixed columns are Arrow arrays. Attributes keep the type of each value in a column form of their own ([`Attributes`]),
//! because Arrow has none that holds values of any type without a copy for each type; `docs/decisions/batch.md` says why.
//!
//! Plugins work on a [`View`] of a batch, in which nothing is copied to write an attribute or to leave out rows.

mod access;
mod attributes;
pub(crate) mod build;
mod change;
mod codec;
mod gather;
mod given;
mod memory;
mod rows;
pub mod schema;
#[cfg(test)]
mod tests;
mod texts;
mod value;
mod view;

pub use attributes::{Attributes, Entry, Texts};
pub(crate) use codec::data_type as array_type;
pub(crate) use value::pack;
pub use value::{Any, Packed, Tag, Value, write_json, write_json_text};
pub use view::View;

use crate::Signal;
use arrow_array::ArrayRef;
use std::sync::Arc;

/// Rows of one signal, column by column. A clone shares the columns; one that is changed is copied first.
#[derive(Clone, Debug)]
pub struct Batch {
    pub(crate) signal: Signal,
    pub(crate) rows: usize,
    /// The columns of the signal in the order of [`schema::columns`], then those that plugins added.
    pub(crate) columns: Vec<(Arc<str>, Arc<Column>)>,
}

/// A column of a batch.
#[derive(Clone, Debug)]
pub enum Column {
    /// Values of one type, one a row, some null.
    Array(ArrayRef),
    /// Attributes of each row.
    Attributes(Attributes),
    /// Attributes that many rows share, those of a resource, a scope or a metric.
    Shared(Shared),
    /// One value of any type a row: the body of a log record.
    Values(Values),
    /// A list of structures a row: events, links, exemplars.
    Children(Children),
}

/// Attributes that many rows share: row `i` has those of row `keys[i]` of `values`.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// For each row of the batch, the row of `values`.
    pub keys: Vec<u32>,
    /// Distinct attributes.
    pub values: Attributes,
}

/// One value of any type a row.
#[derive(Clone, Debug, Default)]
pub struct Values {
    pub(crate) values: Vec<Value>,
    pub(crate) arena: Vec<u8>,
}

/// A list of structures a row: the children of row `i` are `ends[i - 1]..ends[i]` of every column.
#[derive(Clone, Debug)]
pub struct Children {
    /// Where the children of each row end.
    pub ends: Vec<u32>,
    /// The columns of the structure, by name, one value a child.
    pub columns: Vec<(&'static str, ArrayRef)>,
    /// The attributes of each child.
    pub attributes: Attributes,
}
