//! Tables: their schemas, and how a batch becomes rows of one.
//!
//! A column of a batch has the same name in its table. Attributes become JSON text; what Parquet cannot say of itself, a
//! description for each column, travels in the metadata of the Arrow field.

mod derived;
mod json;
mod plugin;
mod promote;
mod read_json;
mod repeats;
mod restore;
mod rows;
#[cfg(test)]
pub(crate) mod sample;
mod schema;
#[cfg(test)]
mod tests;
mod times;

pub use plugin::{DerivedTable, Mode, PluginColumn};
pub use schema::{DESCRIPTION, is_json};
pub(crate) use times::{as_in, in_memory};

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{DataType, Schema, SchemaRef};

use crate::config::{ColumnType, Promoted};
use crate::{Error, Result, Signal};

/// What tables there are and what columns they have, beyond those that every pipeline has.
#[derive(Clone, Debug, Default)]
pub struct TableOptions {
    /// Attributes that have columns of their own.
    pub promote: Vec<Promoted>,
    /// Whether promoted attributes are left out of `attributes` (of `resource_attributes`, where they came from there).
    pub residual: bool,
    /// Columns that plugins add, by the number of the signal. They are in the schema always, null where absent.
    pub added: [Vec<PluginColumn>; 3],
    /// Tables that plugins declare.
    pub derived: Vec<DerivedTable>,
}

/// How rows are laid out in folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `day=YYYY-MM-DD/hour=HH`
    Hour,
    /// `day=YYYY-MM-DD`
    Day,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name, which is that of its folder too.
    pub name: Arc<str>,
    /// Its columns.
    pub schema: SchemaRef,
    /// The number of the column that says which folder a row belongs to.
    pub time: usize,
    /// The number of the column that stands in for `time` where that is null.
    pub time_fallback: Option<usize>,
    /// The number of the column of services, by which rows are ordered before they are by time.
    pub service: Option<usize>,
    /// Its folders.
    pub layout: Layout,
    /// Whether only the owner of the process may read its files.
    pub private: bool,
    /// How a row replaces an earlier one; none: rows are added.
    pub upsert: Option<Upsert>,
}

/// How a row replaces an earlier one of its day. Columns are given by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upsert {
    /// The columns that tell the rows of a day apart. Null is a value like others.
    pub key: Vec<usize>,
    /// The columns whose values make a row another one when they change: all but `computed_at` and `revision`.
    pub content: Vec<usize>,
    /// The column that counts how often a row was restated.
    pub revision: usize,
}

/// Every table of a pipeline.
#[derive(Debug)]
pub struct Tables {
    promote: Vec<Promoted>,
    residual: bool,
    added: [Vec<PluginColumn>; 3],
    tables: BTreeMap<Arc<str>, Arc<Table>>,
    /// The tables of raw signals, by the number of the signal.
    raw: [Arc<Table>; 3],
    dead: [Arc<Table>; 3],
}

impl Tables {
    /// The tables of raw signals with those columns besides their own, and the derived tables.
    ///
    /// # Errors
    ///
    /// `Config` where a promoted column, `Plugin` where a plugin's column or table has a name that is taken.
    pub fn new(options: TableOptions) -> Result<Self> {
        let TableOptions { promote, residual, mut added, derived } = options;
        for columns in &mut added {
            plugin::unite(columns)?;
        }
        let raw = |signal: Signal| -> Result<Arc<Table>> {
            let fields = schema::raw(signal, &promote, &added[signal.index()])?;
            Table::raw(signal.name(), Schema::new(fields), Layout::Hour, false).map(Arc::new)
        };
        let raw = [raw(Signal::Spans)?, raw(Signal::Logs)?, raw(Signal::Metrics)?];
        let dead = |signal: Signal| -> Result<Arc<Table>> {
            let fields = schema::dead_letter(&raw[signal.index()].schema);
            Table::raw(&format!("_dead_letter/{signal}"), Schema::new(fields), Layout::Day, true).map(Arc::new)
        };
        let dead = [dead(Signal::Spans)?, dead(Signal::Logs)?, dead(Signal::Metrics)?];
        let mut tables: BTreeMap<_, _> =
            raw.iter().chain(&dead).map(|table| (Arc::clone(&table.name), Arc::clone(table))).collect();
        for declared in &derived {
            let table = declared.table()?;
            let name = Arc::clone(&table.name);
            if tables.insert(Arc::clone(&name), Arc::new(table)).is_some() {
                return Err(Error::plugin(format!("table `{name}` is declared twice: give one of them another name")));
            }
        }
        Ok(Self { promote, residual, added, tables, raw, dead })
    }

    /// The names of all tables, those of dead letters (`_dead_letter/spans`) left out.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.values().filter(|table| !table.private).map(|table| &*table.name)
    }

    /// All tables, those of dead letters included.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// The table of that name; those of dead letters are `_dead_letter/spans` and so on.
    pub fn table(&self, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(name)
    }

    /// The columns of the table of that name.
    pub fn schema(&self, name: &str) -> Option<SchemaRef> {
        self.table(name).map(|table| Arc::clone(&table.schema))
    }

    /// The table of dead letters of that signal.
    pub fn dead_letter_table(&self, signal: Signal) -> &Arc<Table> {
        &self.dead[signal.index()]
    }
}

impl Table {
    fn raw(name: &str, schema: Schema, layout: Layout, private: bool) -> Result<Self> {
        let at = |column: &str| schema.index_of(column).ok();
        let Some(time) = at("time") else { return Err(Error::bug(format!("table `{name}` has no column `time`"))) };
        let service = at("service_name");
        let schema = Arc::new(schema);
        Ok(Self { name: name.into(), schema, time, time_fallback: None, service, layout, private, upsert: None })
    }
}

/// The Arrow type of a promoted column.
fn promoted_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Text => schema::dictionary_type(),
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Double => DataType::Float64,
        ColumnType::Bool => DataType::Boolean,
    }
}
