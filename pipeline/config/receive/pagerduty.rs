//! `[receive.pagerduty]`: how PagerDuty's webhook is read.

use std::collections::BTreeMap;

use toml::de::DeValue;

use crate::config::Secret;
use crate::config::keys::{Key, Section};
use crate::config::table::{Node, Reader};
use crate::config::values::{self, Wrong, kind};

pub(in crate::config) static SECTION: Section = Section {
    path: "receive.pagerduty",
    header: "[receive.pagerduty]",
    keys: &[
        Key::unset(
            "secret",
            "\"…\"",
            "the secret of the webhook subscription, never printed; if set, requests without its signature are refused",
        ),
        Key::unset("environment", "\"production\"", "the environment of the incidents; PagerDuty knows none"),
        Key::new(
            "services",
            "{}",
            "what services are called in telemetry, by their names or ids in PagerDuty; not there: as in PagerDuty",
        )
        .example("{ \"Checkout API\" = \"checkout\" }"),
        Key::new(
            "severities",
            "{ P1 = \"sev1\", P2 = \"sev2\", P3 = \"sev3\", P4 = \"sev4\", P5 = \"sev5\" }",
            "what priorities stand for, and for an incident without one the urgencies `high` and `low`",
        ),
    ],
};

/// How PagerDuty's webhook is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pagerduty {
    /// The secret that bodies are signed with; none: signatures are not checked.
    pub secret: Option<Secret>,
    /// The environment of the incidents.
    pub environment: Option<String>,
    /// What services are called, by their names or ids in PagerDuty.
    pub services: BTreeMap<String, String>,
    /// Severities, by priorities and urgencies.
    pub severities: BTreeMap<String, String>,
}

impl Default for Pagerduty {
    fn default() -> Self {
        let severity = |number| (format!("P{number}"), format!("sev{number}"));
        Self { secret: None, environment: None, services: BTreeMap::new(), severities: (1..=5).map(severity).collect() }
    }
}

impl Pagerduty {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, receive: &Node<'_>) {
        let Some(node) = reader.section(receive, &SECTION) else { return };
        reader.set(&node, "secret", &mut self.secret, |value| {
            filled(value, "the secret of the webhook subscription").map(|text| Some(Secret::new(text)))
        });
        reader.set(&node, "environment", &mut self.environment, |value| {
            filled(value, "the name of an environment").map(|text| Some(text.to_owned()))
        });
        reader.set(&node, "services", &mut self.services, |value| texts(value, "a table of names of services"));
        reader.set(&node, "severities", &mut self.severities, |value| texts(value, "a table of severities"));
    }
}

/// Text that is not empty. It is not repeated in the fault: it may be a secret.
pub(super) fn filled<'v>(value: &'v DeValue<'_>, expected: &str) -> Result<&'v str, Wrong> {
    match values::text(value, expected)? {
        "" => Err(Wrong::new("is empty", expected)),
        text => Ok(text),
    }
}

/// A table whose values are texts.
pub(super) fn texts(value: &DeValue<'_>, expected: &str) -> Result<BTreeMap<String, String>, Wrong> {
    let DeValue::Table(table) = value else { return Err(Wrong::new(format!("is {}", kind(value)), expected)) };
    let text = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        match value.get_ref() {
            DeValue::String(text) => Ok((key.to_string(), text.to_string())),
            other => {
                let mut wrong = Wrong::new(format!("has a value that is {}", kind(other)), "texts as its values");
                wrong.at = Some(value.span());
                Err(wrong)
            }
        }
    };
    table.iter().map(text).collect()
}
