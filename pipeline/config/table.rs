//! Walks a TOML document by hand, section by section, so that every value has its place and several faults are found in
//! one run.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults, place, value_on_line};
use super::keys::{ROOT, SECTIONS, Section};
use super::nearest::nearest;
use super::values::{Wrong, kind};

/// How many faults are collected: a limit on what a hostile file can make it remember.
const FAULTS_MAX: usize = 100;

/// A value with its place.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// A table of the document that is read as a section.
pub(super) struct Node<'a> {
    /// The section that it is.
    pub(super) section: &'static Section,
    /// Its keys and values.
    pub(super) table: &'a DeTable<'a>,
    /// Its place.
    pub(super) at: Range<usize>,
}

/// Reads a document and collects what is wrong with it.
pub(super) struct Reader<'t> {
    name: &'t str,
    text: &'t str,
    faults: Vec<Fault>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(name: &'t str, text: &'t str) -> Self {
        Self { name, text, faults: Vec::new() }
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    pub(super) fn into_faults(self) -> Faults {
        Faults::new(self.faults)
    }

    /// Adds a fault at a range of the text.
    pub(super) fn fault(&mut self, at: Range<usize>, fault: Fault) {
        self.push(at, false, fault);
    }

    fn push(&mut self, at: Range<usize>, secret: bool, fault: Fault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault.at(place(self.name, self.text, at, secret)));
        }
    }

    /// The line, from 1, of a place in the text.
    pub(super) fn line(&self, at: &Range<usize>) -> usize {
        place(self.name, self.text, at.clone(), false).line
    }

    /// The top of the document.
    pub(super) fn root<'a>(&mut self, table: &'a DeTable<'a>) -> Node<'a> {
        let root = Node { section: &ROOT, table, at: 0..0 };
        self.refuse_unknown(&root);
        root
    }

    /// The section of that name within another one, if the document has it.
    pub(super) fn section<'a>(&mut self, parent: &Node<'a>, section: &'static Section) -> Option<Node<'a>> {
        let name = section.path.rsplit('.').next().unwrap_or(section.path);
        let value = parent.table.get(name)?;
        let DeValue::Table(table) = value.get_ref() else {
            let message = format!("`{}` is {}, not a section", section.path, kind(value.get_ref()));
            let help = format!("write `{}` and its keys on lines of their own", section.header);
            self.fault(value.span(), Fault::new(message).expected("a section").help(help));
            return None;
        };
        let node = Node { section, table, at: value.span() };
        self.refuse_unknown(&node);
        Some(node)
    }

    /// The table as a section: for the elements of an array of tables.
    pub(super) fn element<'a>(&mut self, section: &'static Section, value: &'a Value<'a>) -> Option<Node<'a>> {
        let DeValue::Table(table) = value.get_ref() else {
            let message = format!("an element of `{}` is {}, not a table", section.path, kind(value.get_ref()));
            let help = format!("write `{}` and its keys on lines of their own", section.header);
            self.fault(value.span(), Fault::new(message).expected("a table").help(help));
            return None;
        };
        let node = Node { section, table, at: value.span() };
        self.refuse_unknown(&node);
        Some(node)
    }

    /// Reads a key into its setting, if the document has it and it is right. Says whether it did.
    pub(super) fn set<T>(
        &mut self,
        node: &Node<'_>,
        key: &str,
        setting: &mut T,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Wrong>,
    ) -> bool {
        let Some(value) = node.table.get(key) else { return false };
        match parse(value.get_ref()) {
            Ok(parsed) => {
                *setting = parsed;
                true
            }
            Err(wrong) => {
                self.wrong(node, key, value, wrong);
                false
            }
        }
    }

    /// Adds the fault that the value of a key is wrong.
    pub(super) fn wrong(&mut self, node: &Node<'_>, key: &str, value: &Value<'_>, wrong: Wrong) {
        let mut fault = Fault::new(format!("`{}` {}", node.section.path_of(key), wrong.problem));
        fault.expected = Some(wrong.expected);
        fault.help = wrong.help.or_else(|| {
            let example = node.section.key(key)?.example;
            Some(format!("for instance `{key} = {example}`"))
        });
        let secret = has_secrets(node.section) && (key.contains("key") || key.contains("secret"));
        self.push(wrong.at.unwrap_or_else(|| value.span()), secret, fault);
    }

    /// The place of the value of a key; the section's own if it has none.
    pub(super) fn place_of(&self, node: &Node<'_>, key: &str) -> Range<usize> {
        node.table.get(key).map_or_else(|| node.at.clone(), Spanned::span)
    }

    fn refuse_unknown(&mut self, node: &Node<'_>) {
        for (key, value) in node.table.iter() {
            let name = key.get_ref().as_ref();
            if node.section.key(name).is_some() {
                continue;
            }
            let tables = match value.get_ref() {
                DeValue::Array(array) => array.iter().all(|element| element.get_ref().is_table()),
                other => other.is_table(),
            };
            let what = if tables { "section" } else { "key" };
            let names: Vec<&str> = node.section.keys.iter().map(|key| key.name).collect();
            let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let mut fault = Fault::new(format!("unknown {what} `{}` in {}", short(name), node.section.header))
                .expected(format!("one of {}", listed.join(", ")));
            fault.help = Some(match (nearest(name, names), elsewhere(name)) {
                (Some("plugin"), _) => "did you mean `[[plugin]]`?".to_owned(),
                (Some(meant), _) => format!("did you mean `{meant}`?"),
                (None, Some(section)) => format!("`{name}` belongs to `{}`", section.header),
                (None, None) => "remove it".to_owned(),
            });
            // A misspelled name of a secret still has a secret behind it.
            self.push(key.span(), has_secrets(node.section), fault);
        }
    }

    /// Adds what the parser found wrong with the grammar of the document: the first error of each line.
    pub(super) fn syntax(&mut self, errors: &[toml::de::Error]) {
        let mut line_before = 0;
        for error in errors.iter().take(FAULTS_MAX) {
            let end = self.text.trim_end().len();
            let at = error.span().unwrap_or(end..end);
            let line = self.line(&at);
            if std::mem::replace(&mut line_before, line) == line {
                continue;
            }
            let (problem, expected) = match error.message().split_once(", expected ") {
                Some((problem, expected)) => (problem, Some(expected)),
                None => (error.message(), None),
            };
            let mut fault = Fault::new(format!("this is not TOML: {problem}"));
            fault.expected = expected.map(str::to_owned);
            self.fault(at.clone(), syntax_cure(fault, problem, value_on_line(self.text, at.start)));
        }
    }
}

/// What was expected, where the parser says it in its own terms, and the cure of an error of grammar. `value` is what
/// stands after the equals sign, if it may be repeated.
fn syntax_cure(fault: Fault, problem: &str, value: Option<&str>) -> Fault {
    let starts = |words: &[&str]| words.iter().any(|word| problem.starts_with(word));
    if starts(&["duplicate key"]) {
        fault
            .expected("each key once in its section, and each section once")
            .help("remove one of the two, or join them")
    } else if starts(&["cannot recurse further", "recursion limit"]) {
        fault.expected("settings that a person can read").help("flatten it")
    } else if starts(&["string values must be quoted", "invalid float", "invalid integer", "invalid number"]) {
        let fault = fault.expected("a value: text in quotes, a number, `true` or `false`, an array or a table");
        match value {
            Some("") => fault.help("write the value after the equals sign"),
            Some(value) if !value.contains(['"', '\'', '[', '{']) => {
                fault.help(format!("text, times, sizes and addresses stand in quotes: \"{}\"", short(value)))
            }
            _ => fault.help("text, times, sizes and addresses stand in quotes"),
        }
    } else {
        fault.help("a line is `key = value`, `[section]` or `# a comment`; text stands in quotes")
    }
}

/// Whether what stands in the section may be a secret.
fn has_secrets(section: &Section) -> bool {
    ["write.s3", "receive.pagerduty"].contains(&section.path)
}

/// The section that has a key of that name.
fn elsewhere(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().copied().find(|section| section.keys.iter().any(|key| key.name == name))
}

/// A text from the document as a message quotes it: on one line, and not longer than one wants to read.
pub(super) fn short(text: &str) -> String {
    let mut out: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        out.push('…');
    }
    out
}
