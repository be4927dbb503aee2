//! `promote`: the attributes that get columns of their own.

use toml::de::DeValue;

use super::nearest::nearest;
use super::table::short;
use super::values::{self, Wrong, kind};

/// How many attributes can be promoted.
pub(super) const PROMOTED_MAX: usize = 256;

/// The attributes that are promoted by default: names of the semantic conventions, with their types there.
const DEFAULT: [(&str, ColumnType); 13] = [
    ("http.request.method", ColumnType::Text),
    ("http.response.status_code", ColumnType::Int32),
    ("http.route", ColumnType::Text),
    ("url.path", ColumnType::Text),
    ("server.address", ColumnType::Text),
    ("error.type", ColumnType::Text),
    ("db.system.name", ColumnType::Text),
    ("rpc.service", ColumnType::Text),
    ("messaging.system", ColumnType::Text),
    ("exception.type", ColumnType::Text),
    ("k8s.namespace.name", ColumnType::Text),
    ("k8s.pod.name", ColumnType::Text),
    ("host.name", ColumnType::Text),
];

/// Columns that the tables of raw signals have anyway.
const TAKEN: &[&str] = &[
    "adjusted_count",
    "attributes",
    "body",
    "bounds",
    "bucket_counts",
    "count",
    "day",
    "description",
    "duration_ns",
    "end_time",
    "environment",
    "event_name",
    "events",
    "exemplars",
    "flags",
    "hour",
    "kind",
    "links",
    "max",
    "min",
    "monotonic",
    "name",
    "no_recorded_value",
    "observed_time",
    "parent_span_id",
    "quantiles",
    "resource_attributes",
    "schema_url",
    "scope_attributes",
    "scope_name",
    "scope_version",
    "service_instance_id",
    "service_name",
    "service_namespace",
    "service_version",
    "severity_number",
    "severity_text",
    "span_id",
    "start_time",
    "status_code",
    "status_message",
    "sum",
    "temporality",
    "time",
    "trace_id",
    "trace_state",
    "unit",
    "value_double",
    "value_int",
];

/// The type of a promoted column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// Text.
    Text,
    /// 32-bit integers; an attribute beyond them stays among the attributes only.
    Int32,
    /// 64-bit integers.
    Int64,
    /// 64-bit floating point numbers.
    Double,
    /// True or false.
    Bool,
}

const TYPES: [(&str, ColumnType); 5] = [
    ("text", ColumnType::Text),
    ("int32", ColumnType::Int32),
    ("int64", ColumnType::Int64),
    ("double", ColumnType::Double),
    ("bool", ColumnType::Bool),
];

impl ColumnType {
    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        TYPES.iter().find(|(_, column_type)| *column_type == self).map_or("text", |(name, _)| name)
    }
}

/// An attribute that has a column of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Promoted {
    /// The attribute: `http.route`.
    pub attribute: String,
    /// Its column: `http_route`.
    pub column: String,
    /// The type of the column. A value of another type stays among the attributes only.
    pub column_type: ColumnType,
}

impl Promoted {
    /// A promoted attribute; its column is its name with underscores for all but letters and digits.
    pub fn new(attribute: impl Into<String>, column_type: ColumnType) -> Self {
        let attribute = attribute.into();
        let letter = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '_' };
        Self { column: attribute.chars().map(letter).collect(), attribute, column_type }
    }

    /// What is promoted unless the configuration says otherwise.
    pub fn defaults() -> Vec<Self> {
        DEFAULT.map(|(attribute, column_type)| Self::new(attribute, column_type)).to_vec()
    }
}

/// The value of `promote`.
pub(super) fn read(value: &DeValue<'_>) -> Result<Vec<Promoted>, Wrong> {
    let mut seen: Vec<Promoted> = Vec::new();
    values::list(value, PROMOTED_MAX, "an array of names of attributes", |value| {
        let promoted = element(value)?;
        let free = "an attribute whose column is not there yet";
        if TAKEN.contains(&promoted.column.as_str()) {
            let problem =
                format!("is `{}`: every table has a column `{}`", short(&promoted.attribute), promoted.column);
            return Err(Wrong::new(problem, free).help("remove it: nothing is lost"));
        }
        if let Some(other) = seen.iter().find(|other| other.column == promoted.column) {
            let (attribute, other) = (short(&promoted.attribute), short(&other.attribute));
            let problem = format!("is `{attribute}`, whose column `{}` is that of `{other}`", promoted.column);
            return Err(Wrong::new(problem, free).help("remove one of them"));
        }
        seen.push(promoted.clone());
        Ok(promoted)
    })
}

const EXPECTED: &str = "the name of an attribute, or `{ name = \"…\", type = \"text\" }`";

fn element(value: &DeValue<'_>) -> Result<Promoted, Wrong> {
    match value {
        DeValue::String(name) => attribute(name).map(|name| Promoted::new(name, usual_type(name))),
        DeValue::Table(table) => {
            for key in table.keys() {
                let name = key.get_ref().as_ref();
                if !["name", "type"].contains(&name) {
                    let mut wrong = Wrong::new(format!("has an unknown key `{}`", short(name)), EXPECTED);
                    wrong.at = Some(key.span());
                    let meant = nearest(name, ["name", "type"]);
                    return Err(wrong.help(meant.map_or("remove it".to_owned(), |m| format!("did you mean `{m}`?"))));
                }
            }
            let Some(name) = table.get("name") else {
                return Err(Wrong::new("has no `name`", EXPECTED).help("say which attribute: `name = \"http.route\"`"));
            };
            let place = |at| {
                move |mut wrong: Wrong| {
                    wrong.at = Some(at);
                    wrong
                }
            };
            let attribute = values::text(name.get_ref(), EXPECTED).and_then(attribute).map_err(place(name.span()))?;
            let column_type = match table.get("type") {
                Some(value) => values::one_of(value.get_ref(), &TYPES).map_err(|mut wrong| {
                    wrong.problem = format!("has a type that {}", wrong.problem);
                    wrong.help.get_or_insert_with(|| "whole numbers are \"int64\" or \"int32\"".to_owned());
                    place(value.span())(wrong)
                })?,
                None => usual_type(attribute),
            };
            Ok(Promoted::new(attribute, column_type))
        }
        other => Err(Wrong::new(format!("is {}", kind(other)), EXPECTED)),
    }
}

/// The type that the semantic conventions give the attribute, as far as it is known here.
fn usual_type(attribute: &str) -> ColumnType {
    DEFAULT.iter().find(|(known, _)| *known == attribute).map_or(ColumnType::Text, |(_, known)| *known)
}

fn attribute(name: &str) -> Result<&str, Wrong> {
    let good = (1..=128).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if good {
        return Ok(name);
    }
    let wrong = Wrong::new(format!("is \"{}\", which cannot name a column", short(name)), EXPECTED);
    Err(wrong.help("a letter, then letters, digits, dots, underscores and hyphens, 128 at most"))
}
