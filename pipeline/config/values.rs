//! What a value may be: times, sizes, numbers, names, addresses.

use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::de::DeValue;

use super::nearest::nearest;
use super::table::{Value, short};

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;

/// What is wrong with a value; the reader adds its key and its place.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Reads on from the key: "is 0, below the least".
    pub(super) problem: String,
    /// What was expected.
    pub(super) expected: String,
    /// The cure; an example of the key if there is none.
    pub(super) help: Option<String>,
    /// The part of the value that is wrong, if not all of it is.
    pub(super) at: Option<Range<usize>>,
}

impl Wrong {
    pub(super) fn new(problem: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { problem: problem.into(), expected: expected.into(), help: None, at: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same about an element of an array.
    fn in_element(mut self, index: usize, at: Range<usize>) -> Self {
        self.problem = format!("element {index} {}", self.problem);
        self.at.get_or_insert(at);
        self
    }
}

/// What kind of value it is, with its article.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

fn wrong_kind(value: &DeValue<'_>, expected: impl Into<String>) -> Wrong {
    Wrong::new(format!("is {}", kind(value)), expected)
}

/// Text of any content.
pub(super) fn text<'v>(value: &'v DeValue<'_>, expected: &str) -> Result<&'v str, Wrong> {
    value.as_str().ok_or_else(|| wrong_kind(value, expected))
}

/// `true` or `false`.
pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| wrong_kind(value, "`true` or `false`, without quotes"))
}

/// The elements of an array, each read by `each`; `expected` is what the array is expected to be.
pub(super) fn list<'v, 'a, T>(
    value: &'v DeValue<'a>,
    elements_max: usize,
    expected: &str,
    mut each: impl FnMut(&'v DeValue<'a>) -> Result<T, Wrong>,
) -> Result<Vec<T>, Wrong> {
    let Some(array) = value.as_array() else { return Err(wrong_kind(value, expected)) };
    if array.len() > elements_max {
        let problem = format!("has {} elements, above the most, {elements_max}", array.len());
        return Err(Wrong::new(problem, expected).help(format!("keep at most {elements_max}")));
    }
    let read = |(index, element): (usize, &'v Value<'a>)| {
        each(element.get_ref()).map_err(|wrong| wrong.in_element(index + 1, element.span()))
    };
    array.iter().enumerate().map(read).collect()
}

/// One of a few names.
pub(super) fn one_of<T: Copy>(value: &DeValue<'_>, names: &[(&str, T)]) -> Result<T, Wrong> {
    let quoted: Vec<String> = names.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let expected = format!("one of {}", quoted.join(", "));
    let seen = text(value, &expected)?;
    if let Some((_, found)) = names.iter().find(|(name, _)| *name == seen) {
        return Ok(*found);
    }
    let wrong = Wrong::new(format!("is \"{}\"", short(seen)), expected);
    Err(match nearest(seen, names.iter().map(|(name, _)| *name)) {
        Some(meant) => wrong.help(format!("did you mean \"{meant}\"?")),
        None => wrong,
    })
}

/// A whole number within limits.
pub(super) fn number<T: TryFrom<u64>>(value: &DeValue<'_>, limits: RangeInclusive<u64>) -> Result<T, Wrong> {
    let (least, most) = (*limits.start(), *limits.end());
    let expected = format!("a whole number from {least} to {most}");
    let Some(integer) = value.as_integer() else {
        let wrong = wrong_kind(value, expected);
        let digits = value.as_str().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        return Err(match digits {
            Some(digits) => wrong.help(format!("remove the quotes: {}", short(digits))),
            None => wrong,
        });
    };
    let seen = i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX);
    let number = u64::try_from(seen).ok().filter(|number| limits.contains(number));
    match number.and_then(|number| T::try_from(number).ok()) {
        Some(number) => Ok(number),
        None => Err(out_of_limits(
            &short(&integer.to_string()),
            seen < i128::from(least),
            &least.to_string(),
            &most.to_string(),
            expected,
        )),
    }
}

fn out_of_limits(seen: &str, below: bool, least: &str, most: &str, expected: String) -> Wrong {
    // Times and sizes stand in quotes where they are written, and without where they are spoken of.
    if below {
        let problem = format!("is {seen}, below the least, {}", least.trim_matches('"'));
        Wrong::new(problem, expected).help(format!("write at least {least}"))
    } else {
        let problem = format!("is {seen}, above the most, {}", most.trim_matches('"'));
        Wrong::new(problem, expected).help(format!("write at most {most}"))
    }
}

/// A time: a whole number and its unit.
pub(super) fn time(value: &DeValue<'_>, limits: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let (least, most) = (time_text(*limits.start()), time_text(*limits.end()));
    let expected = format!("a time from {least} to {most}, in ms, s, m or h");
    if let Some(integer) = value.as_integer() {
        let seen = short(&integer.to_string());
        let wrong = Wrong::new(format!("is {seen}, a time without its unit"), expected);
        return Err(wrong.help(format!("write \"{seen}ms\", \"{seen}s\", \"{seen}m\" or \"{seen}h\"")));
    }
    let seen = text(value, &expected)?;
    let Some(duration) = parse_time(seen) else {
        let wrong = Wrong::new(format!("is \"{}\", which is not a time", short(seen)), expected);
        return Err(if seen.contains('.') {
            wrong.help("times are whole numbers: 1.5s is \"1500ms\"")
        } else {
            wrong.help("write for instance \"100ms\", \"5s\", \"1m\" or \"1h\"")
        });
    };
    if limits.contains(&duration) {
        return Ok(duration);
    }
    let below = duration < *limits.start();
    Err(out_of_limits(&short(seen), below, &quoted(&least), &quoted(&most), expected))
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn parse_time(text: &str) -> Option<Duration> {
    let (digits, unit) = split_number(text)?;
    let ms_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    // Too long a time is out of every limit, and is told so.
    Some(Duration::from_millis(digits.saturating_mul(ms_per_unit)))
}

/// A time as it is written in a configuration.
pub(super) fn time_text(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

/// A size in bytes: a whole number, with a unit or without.
pub(super) fn size(value: &DeValue<'_>, limits: RangeInclusive<u64>) -> Result<u64, Wrong> {
    let (least, most) = (size_text(*limits.start()), size_text(*limits.end()));
    let expected = format!("a size from {least} to {most}, in KiB, MiB, GiB, TiB or bytes");
    let (bytes, seen) = match value {
        DeValue::Integer(integer) => {
            let seen = i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX);
            (seen, integer.to_string())
        }
        _ => {
            let seen = text(value, &expected)?;
            let Some(bytes) = parse_size(seen) else {
                let wrong = Wrong::new(format!("is \"{}\", which is not a size", short(seen)), expected);
                return Err(match binary_unit(seen) {
                    Some(cure) => wrong.help(format!("sizes are counted in powers of two: \"{cure}\"")),
                    None => wrong.help("write for instance \"64MiB\", \"1GiB\" or a whole number of bytes"),
                });
            };
            (i128::from(bytes), seen.to_owned())
        }
    };
    match u64::try_from(bytes).ok().filter(|bytes| limits.contains(bytes)) {
        Some(bytes) => Ok(bytes),
        None => {
            let below = bytes < i128::from(*limits.start());
            Err(out_of_limits(&short(&seen), below, &quoted(&least), &quoted(&most), expected))
        }
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let (digits, unit) = split_number(text)?;
    let bytes_per_unit = match unit {
        "B" | "" => 1,
        "KiB" => KIB,
        "MiB" => MIB,
        "GiB" => GIB,
        "TiB" => TIB,
        _ => return None,
    };
    Some(digits.saturating_mul(bytes_per_unit))
}

/// What somebody meant who wrote `64MB`, `64M` or `64mib`.
fn binary_unit(text: &str) -> Option<String> {
    let (digits, unit) = split_number(text)?;
    let letter = unit.chars().next()?.to_ascii_uppercase();
    let rest = unit.get(1..)?.to_ascii_lowercase();
    let known = "KMGT".contains(letter) && ["", "b", "i", "ib"].contains(&rest.as_str());
    known.then(|| format!("{digits}{letter}iB"))
}

/// A size as it is written in a configuration.
pub(super) fn size_text(bytes: u64) -> String {
    for (unit, size) in [("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

/// A number and the unit after it. A number too large for 64 bits is the largest one.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() {
        return None;
    }
    Some((digits.parse().unwrap_or(u64::MAX), unit.trim_start()))
}

/// An address to listen on. `localhost` is 127.0.0.1: names are not resolved.
pub(super) fn address(value: &DeValue<'_>, may_be_off: bool) -> Result<Option<SocketAddr>, Wrong> {
    let off = if may_be_off { ", or \"off\"" } else { "" };
    let expected = format!("an IP address and a port, as \"127.0.0.1:4317\"{off}");
    if may_be_off && value.as_bool() == Some(false) {
        return Err(wrong_kind(value, expected).help("write \"off\""));
    }
    let seen = text(value, &expected)?;
    if may_be_off && seen == "off" {
        return Ok(None);
    }
    let numeric = match seen.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => seen.to_owned(),
    };
    if let Ok(address) = numeric.parse() {
        return Ok(Some(address));
    }
    let wrong = Wrong::new(format!("is \"{}\", which is not an address to listen on", short(seen)), expected);
    Err(wrong.help(address_help(seen)))
}

fn address_help(seen: &str) -> String {
    if let Some((_, rest)) = seen.split_once("://") {
        return format!("leave the scheme out: \"{}\"", short(rest.trim_end_matches('/')));
    }
    if let Some(port) = seen.strip_prefix(':') {
        return format!("\"127.0.0.1:{0}\" for this machine alone, \"0.0.0.0:{0}\" for every network", short(port));
    }
    match seen.rsplit_once(':') {
        None if seen.parse::<std::net::IpAddr>().is_ok() || seen == "localhost" => {
            format!("add the port: \"{}:4317\"", short(seen))
        }
        Some((_, port)) if port.parse::<u16>().is_err() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            "a port is a number from 0 to 65535".to_owned()
        }
        Some(_) => "names are not resolved: write the IP address of the interface, as \"127.0.0.1:4317\"".to_owned(),
        None => "write for instance \"127.0.0.1:4317\"".to_owned(),
    }
}

/// A URL with one of the schemes, a host and nothing that would not be used.
pub(super) fn url(value: &DeValue<'_>, schemes: &[&str], example: &str) -> Result<String, Wrong> {
    let expected = format!("a URL, as \"{example}\"");
    let seen = text(value, &expected)?;
    let scheme = schemes.iter().find_map(|scheme| seen.strip_prefix(scheme)?.strip_prefix("://"));
    let host = scheme.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let odd = seen.chars().any(|char| char.is_whitespace() || char.is_control());
    match host {
        Some(host) if !odd && !host.is_empty() && !host.starts_with(':') && !host.contains('@') => Ok(seen.to_owned()),
        _ => {
            let starts: Vec<String> = schemes.iter().map(|scheme| format!("`{scheme}://`")).collect();
            let help = format!("write {} and a host: \"{example}\"", starts.join(" or "));
            // What stands before an @ is a password more often than not: the value is not repeated.
            Err(Wrong::new("is not a URL that can be used here", expected).help(help))
        }
    }
}
