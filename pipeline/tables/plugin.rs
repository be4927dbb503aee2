//! What plugins declare: columns, and tables of their own.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use super::schema::{described, dictionary_type, time_type};
use super::{Layout, Table};
use crate::{Error, Result, Signal};

/// A column that a plugin declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginColumn {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    pub data_type: DataType,
    /// Whether it is text that is JSON.
    pub json: bool,
    /// One line for the reader of the table.
    pub description: String,
}

impl PluginColumn {
    pub(super) fn field(&self) -> Field {
        described(&self.name, self.data_type.clone(), self.json, &self.description)
    }
}

/// Leaves one of several declarations of the same column.
pub(super) fn unite(columns: &mut Vec<PluginColumn>) -> Result<()> {
    let mut kept: Vec<PluginColumn> = Vec::new();
    for column in columns.drain(..) {
        match kept.iter().find(|other| other.name == column.name) {
            Some(other) if other.data_type == column.data_type && other.json == column.json => {}
            Some(other) => {
                return Err(Error::plugin(format!(
                    "column `{}` is declared as {} and as {}: give one of them another name",
                    column.name, other.data_type, column.data_type
                )));
            }
            None => kept.push(column),
        }
    }
    *columns = kept;
    Ok(())
}

/// A table that a plugin declares.
#[derive(Clone, Debug)]
pub struct DerivedTable {
    /// Its name: `a-z`, `0-9` and `_`, first a letter.
    pub name: String,
    /// Its columns; `computed_at`, `plugin` and `config_hash` follow them.
    pub columns: Vec<PluginColumn>,
    /// The column, a timestamp, that says which day a row belongs to; none, or where it is null: `computed_at`.
    pub time: Option<String>,
}

/// The columns that every derived table has after its own.
pub(super) const DERIVED_COUNT: usize = 3;

impl DerivedTable {
    pub(super) fn table(&self) -> Result<Table> {
        let name = &self.name;
        let wrong = |problem: String| Err(Error::plugin(format!("table `{name}` {problem}")));
        if !good_name(name) {
            return wrong("needs another name: 1 to 64 of a-z, 0-9 and _, first a letter".to_owned());
        }
        if Signal::from_name(name).is_some() {
            return wrong("has the name of a table of raw signals: give it another".to_owned());
        }
        let mut fields: Vec<Field> = self.columns.iter().map(PluginColumn::field).collect();
        let text = |name, description| described(name, dictionary_type(), false, description);
        fields.push(described("computed_at", time_type(), false, "When the row was computed"));
        fields.push(text("plugin", "The plugin that computed the row, and its version"));
        fields.push(text("config_hash", "Hash of the plugin's configuration"));
        for (at, field) in fields.iter().enumerate() {
            let twice = fields[..at].iter().any(|other| other.name() == field.name());
            if twice || ["day", "hour"].contains(&field.name().as_str()) {
                return wrong(format!("has a column `{}`, which is taken: rename it", field.name()));
            }
        }
        let computed_at = self.columns.len();
        let time = match &self.time {
            None => computed_at,
            Some(time) => match self.columns.iter().position(|column| column.name == *time) {
                Some(at) if self.columns[at].data_type == time_type() => at,
                Some(at) => {
                    let found = &self.columns[at].data_type;
                    return wrong(format!("takes the day from `{time}`, which is {found}: it must be a time"));
                }
                None => return wrong(format!("takes the day from `{time}`, which is none of its columns")),
            },
        };
        let service = fields.iter().position(|field| field.name() == "service_name");
        Ok(Table {
            name: name.as_str().into(),
            schema: Arc::new(Schema::new(fields)),
            time,
            time_fallback: Some(computed_at),
            service,
            layout: Layout::Day,
            private: false,
        })
    }
}

fn good_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
