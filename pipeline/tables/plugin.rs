//! What plugins declare: columns, and tables of their own.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::schema::{described, dictionary_type, time_type};
use super::{Layout, Table, Upsert};
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

/// How rows enter a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Every row stays.
    #[default]
    Append,
    /// A row replaces the one of its day that has the same key.
    Upsert,
}

/// A table that a plugin declares.
#[derive(Clone, Debug, Default)]
pub struct DerivedTable {
    /// Its name: `a-z`, `0-9` and `_`, first a letter.
    pub name: String,
    /// Its columns; `computed_at`, `plugin` and `config_hash` follow them, and `revision` for [`Mode::Upsert`].
    pub columns: Vec<PluginColumn>,
    /// The column, a timestamp, that says which day a row belongs to; none, or where it is null: `computed_at`.
    pub time: Option<String>,
    /// How rows enter it.
    pub mode: Mode,
    /// The columns that tell the rows of a day apart, for [`Mode::Upsert`].
    pub key: Vec<String>,
}

/// The columns that every derived table has after its own.
const DERIVED_COUNT: usize = 3;

impl Table {
    /// How many columns of a derived table the plugin declared.
    pub(super) fn declared(&self) -> usize {
        self.schema.fields().len() - DERIVED_COUNT - usize::from(self.upsert.is_some())
    }
}

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
        if self.mode == Mode::Upsert {
            let description =
                "How often the row was restated: 0 when first written, 1 more with each epoch that changed it";
            fields.push(described("revision", DataType::Int64, false, description));
        }
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
            upsert: self.upsert()?,
        })
    }

    fn upsert(&self) -> Result<Option<Upsert>> {
        let name = &self.name;
        let wrong = |problem: String| Err(Error::plugin(format!("table `{name}` {problem}")));
        if self.mode == Mode::Append {
            return match self.key.as_slice() {
                [] => Ok(None),
                _ => {
                    wrong("has a key, though its rows are appended: declare it upsert, or leave the key out".to_owned())
                }
            };
        }
        if self.key.is_empty() {
            return wrong("is upsert and has no key: name the columns that tell its rows apart".to_owned());
        }
        if self.time.is_none() {
            return wrong("is upsert and names no time: say which column gives the day of a row".to_owned());
        }
        let mut key = Vec::with_capacity(self.key.len());
        for column in &self.key {
            match self.columns.iter().position(|other| other.name == *column) {
                Some(at) if key.contains(&at) => return wrong(format!("has `{column}` twice in its key")),
                Some(at) => key.push(at),
                None => return wrong(format!("has the key `{column}`, which is none of its columns")),
            }
        }
        if let Some(column) = self.columns.iter().find(|column| !comparable(&column.data_type)) {
            let (column, found) = (&column.name, &column.data_type);
            return wrong(format!("is upsert and has a column `{column}` of {found}, whose values cannot be compared"));
        }
        let computed_at = self.columns.len();
        let revision = computed_at + DERIVED_COUNT;
        let content = (0..revision).filter(|&at| at != computed_at).collect();
        Ok(Some(Upsert { key, content, revision }))
    }
}

/// Whether rows of a table that is upsert can be told apart by such a column.
fn comparable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean | DataType::Int32 | DataType::Int64 | DataType::UInt32 | DataType::UInt64 => true,
        DataType::Float64 | DataType::Utf8 | DataType::FixedSizeBinary(_) => true,
        DataType::Timestamp(unit, _) => *unit == TimeUnit::Nanosecond,
        other => *other == dictionary_type(),
    }
}

fn good_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
