//! The settings of a plugin: TOML → JSON.

use serde_json::{Map, Number, Value as Json};
use toml::de::{DeTable, DeValue};

use crate::config::table::{Value, short};
use crate::config::values::Wrong;

/// How deep the settings of a plugin may be nested.
const DEPTH_MAX: usize = 32;

/// The table as a JSON object.
pub(super) fn object(table: &DeTable<'_>) -> Result<Map<String, Json>, Wrong> {
    members(table, DEPTH_MAX)
}

fn members(table: &DeTable<'_>, depth: usize) -> Result<Map<String, Json>, Wrong> {
    table.iter().map(|(key, value)| Ok((key.get_ref().to_string(), json(value, depth)?))).collect()
}

fn json(value: &Value<'_>, depth: usize) -> Result<Json, Wrong> {
    let wrong = |problem: String, expected: &str, help: &str| {
        let mut wrong = Wrong::new(problem, expected).help(help);
        wrong.at = Some(value.span());
        wrong
    };
    let Some(depth) = depth.checked_sub(1) else {
        let problem = format!("is nested deeper than {DEPTH_MAX} levels");
        return Err(wrong(problem, "settings that a person can read", "flatten it"));
    };
    Ok(match value.get_ref() {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Integer(integer) => {
            let (digits, radix) = (integer.as_str(), integer.radix());
            let signed = i64::from_str_radix(digits, radix).map(Number::from);
            let number = signed.or_else(|_| u64::from_str_radix(digits, radix).map(Number::from));
            Json::Number(number.map_err(|_| {
                let problem = format!("has the number {}, which 64 bits cannot hold", short(digits));
                wrong(problem, "a whole number of 64 bits", "write it as text, in quotes")
            })?)
        }
        DeValue::Float(float) => {
            let number = float.as_str().parse().ok().and_then(Number::from_f64);
            Json::Number(number.ok_or_else(|| {
                let problem = format!("has the number {}, which JSON cannot hold", short(float.as_str()));
                wrong(problem, "a finite number", "plugins get their settings as JSON: write it as text, in quotes")
            })?)
        }
        DeValue::Boolean(value) => Json::Bool(*value),
        DeValue::Datetime(time) => Json::String(time.to_string()),
        DeValue::Array(array) => {
            Json::Array(array.iter().map(|element| json(element, depth)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => Json::Object(members(table, depth)?),
    })
}
