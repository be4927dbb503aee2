//! Reads the text of `/metrics`, as Prometheus would.

use std::collections::BTreeMap;

/// The samples of a page: the name with its labels as they stand → value.
#[derive(Debug)]
pub struct Samples(BTreeMap<(String, Vec<(String, String)>), f64>);

impl Samples {
    /// Reads a page; a line that is not of the format fails the test.
    pub fn parse(page: &str) -> Self {
        let mut samples = BTreeMap::new();
        for line in page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
            let (name, labels) = match series.split_once('{') {
                None => (series, Vec::new()),
                Some((name, labels)) => (name, parse_labels(labels.strip_suffix('}').unwrap())),
            };
            let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
            let double = samples.insert((name.to_owned(), labels), value);
            assert!(double.is_none(), "a series stands twice: {line}");
        }
        Self(samples)
    }

    /// The sum of all series of that name that have these labels, among others.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let has = |of: &[(String, String)], (key, value): &(&str, &str)| of.iter().any(|(k, v)| k == key && v == value);
        let matching =
            self.0.iter().filter(|((of, with), _)| of == name && labels.iter().all(|label| has(with, label)));
        matching.map(|(_, value)| *value as u64).sum()
    }

    /// Whether there is a series of that name.
    pub fn has(&self, name: &str) -> bool {
        self.0.keys().any(|(of, _)| of == name)
    }
}

fn parse_labels(text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().expect("a label that ends") {
                (_, '\\') => match characters.next().unwrap().1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (at, '"') => break at,
                (_, other) => value.push(other),
            }
        };
        labels.push((key.trim_start_matches(',').to_owned(), value));
        rest = &after[end + 1..];
    }
    labels
}
