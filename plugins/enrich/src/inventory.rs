//! The inventory: CSV, a line a service.

use std::collections::{HashMap, HashSet};

use weir_sdk::{Error, Result};

const KEY: &str = "inventory";

/// What is known of services: for each column of the CSV, but the one with the name, a text a service.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) headers: Vec<String>,
    rows: HashMap<String, usize>,
    cells: Vec<String>,
}

impl Inventory {
    /// Reads CSV as RFC 4180 has it, with a header; `key` is the header of the column with the service's name.
    pub(crate) fn parse(csv: &str, key: &str) -> Result<Self> {
        let mut records = records(csv.strip_prefix('\u{feff}').unwrap_or(csv))?.into_iter();
        let Some((_, mut headers)) = records.next() else {
            return Err(Error::at(KEY, "empty, but it begins with a line of column names"));
        };
        let mut seen = HashSet::new();
        for header in &headers {
            if header.is_empty() || !seen.insert(header.as_str()) {
                let fault = if header.is_empty() {
                    "a column without a name".into()
                } else {
                    format!("two columns \"{header}\"")
                };
                return Err(at(1, &fault));
            }
        }
        let Some(place) = headers.iter().position(|header| header == key) else {
            let message =
                format!("no column \"{key}\" among {}: name the one with the service by `key`", headers.join(", "));
            return Err(at(1, &message));
        };
        let columns = headers.len();
        headers.remove(place);

        let mut inventory = Self { headers, ..Self::default() };
        let mut lines = HashMap::new();
        let mut mistakes = Vec::new();
        for (line, mut record) in records {
            if record.len() != columns {
                mistakes.push(at(line, &format!("{} fields, but the header has {columns}", record.len())));
                continue;
            }
            let name = record.remove(place);
            if name.is_empty() {
                mistakes.push(at(line, &format!("no {key}")));
                continue;
            }
            if let Some(first) = lines.insert(name.clone(), line) {
                mistakes.push(at(line, &format!("\"{name}\" stands on line {first} already")));
                continue;
            }
            inventory.rows.insert(name, inventory.rows.len());
            inventory.cells.append(&mut record);
        }
        Error::all(mistakes)?;
        Ok(inventory)
    }

    /// The number of a service.
    pub(crate) fn find(&self, service: &str) -> Option<usize> {
        self.rows.get(service).copied()
    }

    /// What a column says of a service; empty where it says nothing.
    pub(crate) fn cell(&self, service: usize, column: usize) -> &str {
        &self.cells[service * self.headers.len() + column]
    }
}

fn at(line: usize, message: &str) -> Error {
    Error::at(KEY, format!("line {line}: {message}"))
}

/// The records, each with the line on which it begins. Empty lines are none.
fn records(csv: &str) -> Result<Vec<(usize, Vec<String>)>> {
    let (mut records, mut record, mut line) = (Vec::new(), Vec::new(), 1);
    let mut rest = csv;
    while !rest.is_empty() {
        let start = line;
        loop {
            let (field, after) = field(rest, &mut line)?;
            record.push(field);
            rest = after;
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
        rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).unwrap_or(rest);
        line += 1;
        let record = std::mem::take(&mut record);
        if record.len() > 1 || record.iter().any(|field| !field.is_empty()) {
            records.push((start, record));
        }
    }
    Ok(records)
}

/// The field at the front, and what stands behind it: a comma, the end of a line, or nothing.
fn field<'a>(csv: &'a str, line: &mut usize) -> Result<(String, &'a str)> {
    let Some(quoted) = csv.strip_prefix('"') else {
        let end = csv.find([',', '\n']).unwrap_or(csv.len());
        let end = if csv[end..].starts_with('\n') && csv[..end].ends_with('\r') { end - 1 } else { end };
        return Ok((csv[..end].trim().to_owned(), &csv[end..]));
    };
    let (start, mut field, mut rest) = (*line, String::new(), quoted);
    loop {
        let Some((text, after)) = rest.split_once('"') else {
            return Err(at(start, "a quote that is never closed"));
        };
        field.push_str(text);
        *line += text.matches('\n').count();
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None if after.is_empty() || after.starts_with([',', '\n']) || after.starts_with("\r\n") => {
                return Ok((field, after));
            }
            None => return Err(at(*line, "text behind a closing quote: write a quote within a field twice")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(csv: &str) -> String {
        Inventory::parse(csv, "service").expect_err("a mistake").to_string()
    }

    #[test]
    fn quotes_commas_and_lines_within_fields_are_read() {
        let csv = "\u{feff}owner,service,note\r\n\"Ann, \"\"the\"\" boss\",cart,\"two\nlines\"\r\n\r\nBob , search ,\n";
        let inventory = Inventory::parse(csv, "service").expect("an inventory");
        assert_eq!(inventory.headers, ["owner", "note"]);
        let (cart, search) = (inventory.find("cart").expect("cart"), inventory.find("search").expect("search"));
        assert_eq!((inventory.cell(cart, 0), inventory.cell(cart, 1)), ("Ann, \"the\" boss", "two\nlines"));
        assert_eq!((inventory.cell(search, 0), inventory.cell(search, 1)), ("Bob", ""));
        assert_eq!(inventory.find("other"), None);
    }

    #[test]
    fn a_mistake_names_its_line() {
        assert_eq!(mistakes("service,a\nx,1\ny\n"), "inventory: line 3: 1 fields, but the header has 2");
        assert_eq!(mistakes("service,a\nx,\"1\n2\"\nx,3"), "inventory: line 4: \"x\" stands on line 2 already");
        assert_eq!(mistakes("service,a\n,1"), "inventory: line 2: no service");
        assert_eq!(mistakes("service,a\nx,\"1"), "inventory: line 2: a quote that is never closed");
        assert!(mistakes("service,a\nx,\"1\"2").starts_with("inventory: line 2: text behind a closing quote"));
        assert_eq!(mistakes("service,a,a\n"), "inventory: line 1: two columns \"a\"");
        assert!(mistakes("name,a\n").starts_with("inventory: line 1: no column \"service\" among name, a"));
        assert!(mistakes("").starts_with("inventory: empty"));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let all = mistakes("service,a\nx,1\nx,2\ny\n");
        assert!(all.contains("line 3") && all.contains("line 4"), "{all}");
    }
}
