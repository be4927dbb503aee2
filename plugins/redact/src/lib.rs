//! Redacts email addresses, card numbers, credentials and IP addresses, wherever in the telemetry they stand.

mod detect;
mod percent;
pub mod rules;

use rules::{Config, Rules};
use weir_sdk::prelude::*;

/// Where attributes are: the place of all their texts, and what their paths start with.
const NAMESPACES: [(&str, &str); 5] = [
    ("attributes", "attributes."),
    ("resource_attributes", "resource."),
    ("resource", "resource."),
    ("scope_attributes", "scope."),
    ("scope", "scope."),
];

/// The plugin.
pub struct Redact {
    rules: Rules,
    except: Vec<String>,
}

/// An attribute that is not to change: its path, and its values in the rows that would.
struct Excepted(String, Vec<Option<String>>);

impl Processor for Redact {
    type Config = Config;

    const SIGNALS: Signals = Signals::ALL;
    const SUMMARY: &'static str = "Redacts email addresses, card numbers, credentials and IP addresses in every text";
    // What it cannot look through is not let through.
    const ON_ERROR: OnError = OnError::DeadLetter;

    fn new(config: Config) -> Result<Self> {
        match Rules::new(&config) {
            Ok(rules) => Ok(Self { rules, except: config.except }),
            Err(mistakes) => {
                Err(Error::all(mistakes.into_iter().map(|mistake| Error::at(mistake.key, mistake.message)))
                    .err()
                    .unwrap_or_else(|| Error::new("the configuration is refused")))
            }
        }
    }

    fn describe(&self, description: &mut Description) {
        description.reads(["*"]).writes("*", Type::Text, "The same without secrets");
    }

    fn process(&mut self, batch: &mut Batch) -> Result {
        let mut counts = vec![0; self.rules.labels().len()];
        for place in batch.places() {
            if self.is_excepted(&place) {
                continue;
            }
            self.redact_keys(batch, &place, &mut counts)?;
            let excepted = self.excepted_in(batch, &place);
            let texts = batch.texts(&place)?;
            let whole = self.rules.names_key(&place);
            let redacted = texts.iter().map(|text| {
                let text = text?;
                if whole {
                    Some(self.rules.redact_value(text, &mut counts))
                } else {
                    self.rules.redact(text, &mut counts)
                }
            });
            let redacted: Vec<Option<String>> = redacted.collect();
            batch.replace_texts(&place, redacted)?;
            for Excepted(path, values) in excepted {
                batch.set(&path, values)?;
            }
        }
        for (label, count) in self.rules.labels().iter().zip(counts) {
            weir_sdk::count(&format!("redacted_{label}"), count);
        }
        Ok(())
    }
}

impl Redact {
    fn is_excepted(&self, path: &str) -> bool {
        self.except.iter().any(|except| except == path)
    }

    /// Replaces the whole values of the attributes that the configuration names.
    fn redact_keys(&self, batch: &mut Batch, place: &str, counts: &mut [u64]) -> Result {
        let Some(prefix) = prefix_of(place).filter(|_| self.rules.has_keys()) else { return Ok(()) };
        // The texts of a place are its keys, too.
        let texts = batch.texts(place)?;
        let named =
            texts.iter().flatten().filter(|text| self.rules.names_key(text)).map(|key| format!("{prefix}{key}"));
        for path in named.filter(|path| !self.is_excepted(path)) {
            let values = values_of(batch, &path).ok_or_else(|| {
                Error::new(format!("column \"{path}\": of a type that cannot be redacted: except it, or delete it"))
            })?;
            if values.iter().any(Option::is_some) {
                let redacted =
                    values.iter().map(|value| value.as_ref().map(|value| self.rules.redact_value(value, counts)));
                let redacted: Vec<Option<String>> = redacted.collect();
                batch.set(&path, redacted)?;
            }
        }
        Ok(())
    }

    /// The attributes of a place that are not to change, with the values that would.
    fn excepted_in(&self, batch: &Batch, place: &str) -> Vec<Excepted> {
        let Some(prefix) = prefix_of(place) else { return Vec::new() };
        let mut none = vec![0; self.rules.labels().len()];
        let mut excepted = Vec::new();
        for path in self.except.iter().filter(|path| path.starts_with(prefix)) {
            let mut values = values_of(batch, path).unwrap_or_default();
            for value in &mut values {
                *value = value.take().filter(|value| self.rules.redact(value, &mut none).is_some());
            }
            if values.iter().any(Option::is_some) {
                excepted.push(Excepted(path.clone(), values));
            }
        }
        excepted
    }
}

fn prefix_of(place: &str) -> Option<&'static str> {
    NAMESPACES.iter().find(|(name, _)| *name == place).map(|(_, prefix)| *prefix)
}

/// The values of a column as text.
fn values_of(batch: &Batch, path: &str) -> Option<Vec<Option<String>>> {
    if let Ok(texts) = batch.text(path) {
        return Some(texts.iter().map(|text| text.map(str::to_owned)).collect());
    }
    if let Ok(numbers) = batch.i64(path) {
        return Some(numbers.iter().map(|number| number.map(|number| number.to_string())).collect());
    }
    if let Ok(numbers) = batch.f64(path) {
        return Some(numbers.iter().map(|number| number.map(|number| number.to_string())).collect());
    }
    let values = batch.bool(path).ok()?;
    Some((0..values.len()).map(|row| values.get(row).map(|value| value.to_string())).collect())
}

weir_sdk::plugin!(Redact);

#[cfg(test)]
#[path = "plugin_tests.rs"]
mod tests;
