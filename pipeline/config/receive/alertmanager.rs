//! `[receive.alertmanager]`: how Alertmanager's webhook is read.

use toml::de::DeValue;

use crate::config::keys::{Key, Section};
use crate::config::table::{Node, Reader};
use crate::config::values::{self, Wrong};

/// How many labels may name the same thing.
const LABELS_MAX: usize = 32;

pub(in crate::config) static SECTION: Section = Section {
    path: "receive.alertmanager",
    header: "[receive.alertmanager]",
    keys: &[
        Key::new(
            "service_labels",
            "[\"service_name\", \"service\", \"job\"]",
            "labels that name the service, the first that an alert has",
        ),
        Key::new(
            "environment_labels",
            "[\"deployment_environment_name\", \"environment\", \"env\"]",
            "labels that name its environment, the first that an alert has",
        ),
        Key::new("severity_label", "\"severity\"", "the label that is the alert's severity"),
    ],
};

/// How Alertmanager's webhook is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alertmanager {
    /// Labels that name the service; the first that an alert has.
    pub service_labels: Vec<String>,
    /// Labels that name the environment; the first that an alert has.
    pub environment_labels: Vec<String>,
    /// The label that is the severity.
    pub severity_label: String,
}

impl Default for Alertmanager {
    fn default() -> Self {
        let owned = |names: [&str; 3]| names.map(str::to_owned).to_vec();
        Self {
            service_labels: owned(["service_name", "service", "job"]),
            environment_labels: owned(["deployment_environment_name", "environment", "env"]),
            severity_label: "severity".to_owned(),
        }
    }
}

impl Alertmanager {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, receive: &Node<'_>) {
        let Some(node) = reader.section(receive, &SECTION) else { return };
        reader.set(&node, "service_labels", &mut self.service_labels, labels);
        reader.set(&node, "environment_labels", &mut self.environment_labels, labels);
        reader.set(&node, "severity_label", &mut self.severity_label, label);
    }
}

fn labels(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    values::list(value, LABELS_MAX, "an array of names of labels", label)
}

fn label(value: &DeValue<'_>) -> Result<String, Wrong> {
    let expected = "the name of a label";
    match values::text(value, expected)? {
        "" => Err(Wrong::new("is empty", expected)),
        name => Ok(name.to_owned()),
    }
}
