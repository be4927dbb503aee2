//! What a plugin says that it is, checked: Weir holds it to that.

use super::bindings::{columns, described, host};
use crate::{Error, Result, Signal};
use arrow_schema::{DataType, TimeUnit};
use std::fmt;

/// What becomes of a batch when a plugin fails on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It goes on as it was before the plugin.
    Pass,
    /// Its rows are dropped, and counted.
    Drop,
    /// It goes to the dead letters.
    DeadLetter,
    /// It goes to the dead letters, and the pipeline stops.
    Stop,
}

impl OnError {
    /// The policy's name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::DeadLetter => "dead_letter",
            Self::Stop => "stop",
        }
    }
}

/// The type of a column in a plugin's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// True or false.
    Bool,
    /// Signed, 64 bits.
    S64,
    /// Unsigned, 64 bits.
    U64,
    /// Double.
    F64,
    /// Text.
    Text,
    /// 16 bytes: a trace id.
    Fixed16,
    /// 8 bytes: a span id.
    Fixed8,
    /// Nanoseconds since 1970, UTC.
    Time,
    /// Text that is JSON.
    Json,
}

impl ColumnType {
    /// The Arrow type of the column's values.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::S64 => DataType::Int64,
            Self::U64 => DataType::UInt64,
            Self::F64 => DataType::Float64,
            Self::Text | Self::Json => DataType::Utf8,
            Self::Fixed16 => DataType::FixedSizeBinary(16),
            Self::Fixed8 => DataType::FixedSizeBinary(8),
            Self::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::S64 => "s64",
            Self::U64 => "u64",
            Self::F64 => "f64",
            Self::Text => "text",
            Self::Fixed16 => "fixed16",
            Self::Fixed8 => "fixed8",
            Self::Time => "time",
            Self::Json => "json",
        })
    }
}

/// A column that a plugin writes or emits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredColumn {
    /// Its name, or the path of an attribute, which may end in `*`.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
    /// What it means.
    pub description: String,
}

/// How rows enter a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every row stays.
    Append,
    /// A row replaces the one with the same key.
    Upsert,
}

/// A table of a plugin's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDef {
    /// Its name: lower-case letters, digits and `_`.
    pub name: String,
    /// What it holds.
    pub description: String,
    /// Its columns, in their order.
    pub columns: Vec<DeclaredColumn>,
    /// How rows enter it.
    pub mode: Mode,
    /// The columns that tell rows apart, for [`Mode::Upsert`].
    pub key: Vec<String>,
    /// The column that says the day of a row.
    pub time: String,
}

/// What a plugin is, configured as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does, in a sentence.
    pub summary: String,
    /// The signals whose batches it takes.
    pub signals: Vec<Signal>,
    /// The columns it reads: names, or paths that may end in `*`.
    pub reads: Vec<String>,
    /// The columns and attributes it writes.
    pub writes: Vec<DeclaredColumn>,
    /// The tables it emits.
    pub tables: Vec<TableDef>,
    /// Whether it keeps state, and so runs on one instance in the order of acceptance.
    pub stateful: bool,
    /// What becomes of a batch when it fails, unless the operator says otherwise.
    pub on_error: OnError,
}

/// The attributes of a batch: how their paths start, and the column that they are in.
const ATTRIBUTES: [(&str, &str); 3] =
    [("attributes.", "attributes"), ("resource.", "resource_attributes"), ("scope.", "scope_attributes")];

/// Whether `pattern`, which may end in `*`, covers `path`. `attributes` and `attributes.*` cover each other's meaning: the
/// whole column and every attribute in it.
fn covers(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start) || ATTRIBUTES.contains(&(start, path)),
        None => pattern == path || pattern == column_of(path),
    }
}

/// The column of the batch that a path is in: `attributes.http.route` is in `attributes`.
pub(crate) fn column_of(path: &str) -> &str {
    ATTRIBUTES.iter().find(|(start, _)| path.starts_with(start)).map_or(path, |(_, column)| column)
}

/// Whether a path is an attribute's.
pub(crate) fn is_attribute(path: &str) -> bool {
    column_of(path) != path
}

impl Contract {
    /// Whether the plugin declares that it reads the path.
    pub(crate) fn reads(&self, path: &str) -> bool {
        // What it writes it may read again.
        self.reads.iter().any(|pattern| covers(pattern, path)) || self.writes(path).is_some()
    }

    /// The declaration of a column that the plugin writes.
    pub(crate) fn writes(&self, path: &str) -> Option<&DeclaredColumn> {
        let exact = self.writes.iter().find(|column| column.name == path);
        exact.or_else(|| self.writes.iter().find(|column| covers(&column.name, path)))
    }

    /// Checks a description and takes it over.
    pub(crate) fn checked(description: described::Description) -> Result<Self> {
        let wrong = |what: String| Error::plugin(format!("its description is wrong: {what}"));
        for (what, text) in [("name", &description.name), ("version", &description.version)] {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
            if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
                return Err(wrong(format!(
                    "the {what} `{text:.64}` is not 1 to 64 letters, digits, `-`, `_`, `.` or `+`"
                )));
            }
        }
        if description.signals.is_empty() {
            return Err(wrong("it has no signal".into()));
        }
        let writes: Vec<_> = description.writes.into_iter().map(declared).collect();
        for column in &writes {
            if !is_attribute(&column.name) && !plain_name(&column.name) && column.name != "*" {
                let name = &column.name;
                return Err(wrong(format!("`{name}` is neither a column's name (a-z, 0-9, _) nor `attributes.…`")));
            }
        }
        let tables: Vec<_> = description.tables.into_iter().map(table).collect();
        for (index, table) in tables.iter().enumerate() {
            check_table(table).map_err(wrong)?;
            if tables[..index].iter().any(|other| other.name == table.name) {
                return Err(wrong(format!("table `{}` stands twice", table.name)));
            }
        }
        let mut signals: Vec<_> = description.signals.into_iter().map(signal).collect();
        signals.sort_unstable();
        signals.dedup();
        Ok(Self {
            name: description.name,
            version: description.version,
            summary: description.summary,
            signals,
            reads: description.reads,
            writes,
            tables,
            stateful: description.stateful,
            on_error: match description.on_error {
                described::OnError::Pass => OnError::Pass,
                described::OnError::Drop => OnError::Drop,
                described::OnError::DeadLetter => OnError::DeadLetter,
                described::OnError::Stop => OnError::Stop,
            },
        })
    }
}

/// A name that may stand for a folder, a table or a column.
pub(crate) fn plain_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn check_table(table: &TableDef) -> Result<(), String> {
    let name = &table.name;
    if !plain_name(name) {
        return Err(format!("the table's name `{name:.64}` is not a-z, 0-9 and _, 63 at most, a letter first"));
    }
    if Signal::from_name(name).is_some() {
        return Err(format!("table `{name}` has the name of a signal's table"));
    }
    if table.columns.is_empty() {
        return Err(format!("table `{name}` has no column"));
    }
    for (index, column) in table.columns.iter().enumerate() {
        if !plain_name(&column.name) {
            return Err(format!(
                "column `{:.64}` of table `{name}` is not a-z, 0-9 and _, a letter first",
                column.name
            ));
        }
        if table.columns[..index].iter().any(|other| other.name == column.name) {
            return Err(format!("column `{}` of table `{name}` stands twice", column.name));
        }
    }
    let column = |wanted: &str| table.columns.iter().find(|column| column.name == wanted);
    for key in &table.key {
        if column(key).is_none() {
            return Err(format!("the key `{key}` of table `{name}` is none of its columns"));
        }
    }
    if table.mode == Mode::Upsert && table.key.is_empty() {
        return Err(format!("table `{name}` is for upsert and has no key"));
    }
    match column(&table.time) {
        Some(time) if time.column_type == ColumnType::Time => Ok(()),
        Some(time) => Err(format!("the time `{}` of table `{name}` is {}, not time", time.name, time.column_type)),
        None => Err(format!("the time `{}` of table `{name}` is none of its columns", table.time)),
    }
}

fn table(table: described::Table) -> TableDef {
    TableDef {
        name: table.name,
        description: table.description,
        columns: table.columns.into_iter().map(declared).collect(),
        mode: match table.mode {
            described::Mode::Append => Mode::Append,
            described::Mode::Upsert => Mode::Upsert,
        },
        key: table.key,
        time: table.time,
    }
}

fn declared(column: described::ColumnDeclaration) -> DeclaredColumn {
    let column_type = match column.type_ {
        columns::Type::Bool => ColumnType::Bool,
        columns::Type::S64 => ColumnType::S64,
        columns::Type::U64 => ColumnType::U64,
        columns::Type::F64 => ColumnType::F64,
        columns::Type::Text => ColumnType::Text,
        columns::Type::Fixed16 => ColumnType::Fixed16,
        columns::Type::Fixed8 => ColumnType::Fixed8,
        columns::Type::Time => ColumnType::Time,
        columns::Type::Json => ColumnType::Json,
    };
    DeclaredColumn { name: column.name, column_type, description: column.description }
}

fn signal(signal: host::Signal) -> Signal {
    match signal {
        host::Signal::Spans => Signal::Spans,
        host::Signal::Logs => Signal::Logs,
        host::Signal::Metrics => Signal::Metrics,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_it_names_and_no_more() {
        let covered = [
            ("*", "name"),
            ("*", "attributes.x"),
            ("name", "name"),
            ("attributes", "attributes.http.route"),
            ("attributes.*", "attributes.http.route"),
            ("attributes.*", "attributes"),
            ("resource.*", "resource_attributes"),
            ("resource_attributes", "resource.k8s.pod.name"),
            ("attributes.http.*", "attributes.http.route"),
        ];
        let not = [
            ("name", "names"),
            ("attributes", "resource.x"),
            ("attributes.http.*", "attributes.db.system"),
            ("attributes.http.*", "attributes"),
            ("attributes.x", "attributes"),
            ("attributes.x", "attributes.xy"),
        ];
        for (pattern, path) in covered {
            assert!(covers(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in not {
            assert!(!covers(pattern, path), "{pattern} {path}");
        }
    }
}
