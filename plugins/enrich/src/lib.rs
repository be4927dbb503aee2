//! Adds what an inventory knows of a service, and sets, renames, deletes and hashes attributes: see README.md.

mod inventory;

use std::collections::{BTreeMap, HashMap};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use weir_sdk::prelude::*;

use inventory::Inventory;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    inventory: Option<String>,
    key: Option<String>,
    #[serde(rename = "as")]
    into: Target,
    prefix: String,
    rename: BTreeMap<String, String>,
    delete: Vec<String>,
    hash: Option<Hash>,
    set: BTreeMap<String, Setting>,
}

/// Where the inventory's columns go.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Target {
    #[default]
    Columns,
    Attributes,
    Resource,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hash {
    attributes: Vec<String>,
    secret: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, a number or a boolean")]
enum Setting {
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

/// A shorter secret could be found by trying.
const SECRET_LENGTH_MIN: usize = 16;
/// Half of the digest: no two values of a table meet by chance, and the column is half as long.
const HASH_BYTES: usize = 16;

struct Enrich {
    inventory: Inventory,
    /// The name of each column of the inventory in the batch.
    names: Vec<String>,
    config: Config,
}

impl Processor for Enrich {
    type Config = Config;
    const SIGNALS: Signals = Signals::ALL;
    const SUMMARY: &'static str =
        "adds what an inventory knows of a service; sets, renames, deletes, hashes attributes";

    fn new(config: Config) -> Result<Self> {
        let key = config.key.as_deref().unwrap_or("service");
        let inventory =
            config.inventory.as_deref().map(|csv| Inventory::parse(csv, key)).transpose()?.unwrap_or_default();
        let start = match config.into {
            Target::Columns => "",
            Target::Attributes => "attributes.",
            Target::Resource => "resource.",
        };
        let names: Vec<_> =
            inventory.headers.iter().map(|header| format!("{start}{}{header}", config.prefix)).collect();
        Error::all(mistakes(&config, &names))?;
        Ok(Self { inventory, names, config })
    }

    fn describe(&self, plugin: &mut Description) {
        let mut writes = BTreeMap::new();
        let Config { rename, delete, hash, set, .. } = &self.config;
        for name in rename.iter().flat_map(|(from, to)| [from, to]) {
            writes.insert(name.as_str(), (Type::Text, "renamed"));
        }
        writes.extend(delete.iter().map(|name| (name.as_str(), (Type::Text, "deleted"))));
        let hashed = hash.iter().flat_map(|hash| &hash.attributes);
        writes.extend(hashed.map(|name| (name.as_str(), (Type::Text, "hashed with a secret"))));
        writes.extend(set.iter().map(|(name, value)| (name.as_str(), (value.kind(), "set by the configuration"))));
        writes.extend(self.names.iter().map(|name| (name.as_str(), (Type::Text, "from the inventory"))));
        for (name, (kind, about)) in writes {
            plugin.writes(name, kind, about);
        }
        plugin.reads(["service_name"]);
        // What was to be hashed or deleted must not get through as it was.
        if hash.is_some() || !delete.is_empty() {
            plugin.on_error(OnError::DeadLetter);
        }
        plugin.reads(self.config.hash.iter().flat_map(|hash| hash.attributes.clone()));
    }

    fn process(&mut self, batch: &mut Batch) -> Result {
        for (from, to) in &self.config.rename {
            batch.rename(from, to)?;
        }
        for name in &self.config.delete {
            batch.remove(name, |_| true)?;
        }
        for name in self.config.hash.iter().flat_map(|hash| &hash.attributes) {
            self.hash(batch, name)?;
        }
        for (name, value) in &self.config.set {
            value.set(batch, name)?;
        }
        if self.names.is_empty() { Ok(()) } else { self.look_up(batch) }
    }
}

impl Enrich {
    fn look_up(&self, batch: &mut Batch) -> Result {
        let services = batch.text("service_name")?;
        // Only the services of this batch are written, however many the inventory knows.
        let mut numbers: HashMap<usize, u32> = HashMap::new();
        let mut found: Vec<usize> = Vec::new();
        let mut number = |text: &str| {
            let service = self.inventory.find(text)?;
            Some(*numbers.entry(service).or_insert_with(|| {
                found.push(service);
                found.len() as u32 - 1
            }))
        };
        let by_text: Vec<_> = (0..services.distinct_len()).map(|key| number(services.distinct(key))).collect();
        let keys: Vec<_> =
            (0..batch.rows()).map(|row| services.get(row).and_then(|_| by_text[services.key(row)])).collect();
        for (column, name) in self.names.iter().enumerate() {
            let texts: Vec<_> = found.iter().map(|&service| self.inventory.cell(service, column)).collect();
            let known = |key: &u32| !texts[*key as usize].is_empty();
            batch.set_dictionary(name, &texts, keys.iter().map(|key| key.filter(known)))?;
        }
        Ok(())
    }

    fn hash(&self, batch: &mut Batch, name: &str) -> Result {
        let Some(hash) = &self.config.hash else { return Ok(()) };
        let keyed = Hmac::<Sha256>::new_from_slice(hash.secret.as_bytes())?;
        let values = batch.any_as_text(name)?;
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut hashes = Vec::new();
        let keys = values.iter().map(|value| {
            Some(*numbers.entry(value?).or_insert_with_key(|value| {
                let digest = keyed.clone().chain_update(value).finalize().into_bytes();
                hashes.push(digest[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
                hashes.len() as u32 - 1
            }))
        });
        let keys: Vec<_> = keys.collect();
        batch.set_dictionary(name, &hashes, keys)
    }
}

impl Setting {
    fn kind(&self) -> Type {
        match self {
            Self::Bool(_) => Type::Bool,
            Self::Integer(_) => Type::S64,
            Self::Number(_) => Type::F64,
            Self::Text(_) => Type::Text,
        }
    }

    fn set(&self, batch: &mut Batch, name: &str) -> Result {
        let rows = batch.rows();
        match self {
            Self::Bool(value) => batch.set(name, std::iter::repeat_n(*value, rows)),
            Self::Integer(value) => batch.set(name, std::iter::repeat_n(*value, rows)),
            Self::Number(value) => batch.set(name, std::iter::repeat_n(*value, rows)),
            Self::Text(value) => batch.set_dictionary(name, [value], std::iter::repeat_n(Some(0), rows)),
        }
    }
}

fn mistakes(config: &Config, names: &[String]) -> Vec<Error> {
    let mut mistakes = Vec::new();
    let mut attribute = |key: String, name: &str| {
        let named = ["attributes.", "resource.", "scope."]
            .iter()
            .any(|start| name.len() > start.len() && name.starts_with(start));
        if !named {
            let message =
                format!("\"{name}\" is no attribute: write attributes.{name}, resource.{name} or scope.{name}");
            mistakes.push(Error::at(key, message));
        }
    };
    for (from, to) in &config.rename {
        attribute(format!("rename.{from}"), from);
        attribute(format!("rename.{from}"), to);
    }
    config.delete.iter().enumerate().for_each(|(index, name)| attribute(format!("delete[{index}]"), name));
    let hashed = config.hash.iter().flat_map(|hash| &hash.attributes).enumerate();
    hashed.for_each(|(index, name)| attribute(format!("hash.attributes[{index}]"), name));
    if let Some(hash) = config.hash.as_ref().filter(|hash| hash.secret.len() < SECRET_LENGTH_MIN) {
        let message = format!("{} bytes, but it needs at least {SECRET_LENGTH_MIN}", hash.secret.len());
        mistakes.push(Error::at("hash.secret", message));
    }
    if config.inventory.is_none() && config.key.is_some() {
        mistakes.push(Error::at("key", "there is no inventory that it could belong to"));
    }
    let is_column =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if matches!(config.into, Target::Columns) {
        for name in names.iter().filter(|name| !is_column(name)) {
            let message = format!(
                "line 1: \"{name}\" is no name of a column (a to z, 0 to 9, _): rename it, or say as = \"attributes\""
            );
            mistakes.push(Error::at("inventory", message));
        }
    }
    mistakes
}

weir_sdk::plugin!(Enrich);

#[cfg(test)]
mod tests;
