//! The table of every section and key: what unknown keys are checked against, and what the documentation says.

use super::{batch, log, plugin, receive, watch, write};

/// A section of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// Its path, `write.s3`; empty for the top of the file.
    pub path: &'static str,
    /// How it is written in a file: `[write.s3]`, `[[plugin]]`.
    pub header: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// A key of a section.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its default as TOML; empty where it is not set unless the file sets it.
    pub default: &'static str,
    /// A value to show where somebody needs to see one, as TOML.
    pub example: &'static str,
    /// What it means, in a line.
    pub meaning: &'static str,
}

impl Key {
    /// A key with a default, which is also its example.
    pub(super) const fn new(name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        Self { name, default, example: default, meaning }
    }

    /// The same with a better example than the default.
    pub(super) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// A key that is not set unless the file sets it.
    pub(super) const fn unset(name: &'static str, example: &'static str, meaning: &'static str) -> Self {
        Self { name, default: "", example, meaning }
    }

    /// A section within the section.
    pub(super) const fn section(name: &'static str) -> Self {
        Self { name, default: "", example: "", meaning: "" }
    }

    /// Whether it is a section within the section and not a value.
    pub fn is_section(&self) -> bool {
        self.example.is_empty()
    }
}

/// Every section of the configuration, in the order of the way of the data.
pub static SECTIONS: &[&Section] = &[
    &receive::SECTION,
    &log::SECTION,
    &batch::SECTION,
    &plugin::SECTION,
    &plugin::LIMITS,
    &write::SECTION,
    &write::S3_SECTION,
    &watch::SECTION,
];

/// The top of the file.
pub(super) static ROOT: Section = Section {
    path: "",
    header: "the file",
    keys: &[
        Key::section("receive"),
        Key::section("log"),
        Key::section("batch"),
        Key::section("plugin"),
        Key::section("write"),
        Key::section("watch"),
    ],
};

impl Section {
    /// The key of that name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// How faults call a key of this section: `write.s3.region`.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
