//! The webhook of the Prometheus Alertmanager:
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>. Grafana's alerting sends the same with
//! more around it.
//!
//! A payload is a group of alerts. It is sent when something in the group changes, with all of its alerts, and again
//! each `repeat_interval`: most alerts come many times.

use super::event::{Attributes, Event, Events};
use super::payload::Place;
use crate::Result;
use crate::config::Alertmanager;

/// The versions of the payload that are known: Alertmanager's and Grafana's.
const VERSIONS: [&str; 2] = ["4", "1"];

/// Reads the alerts of a group.
pub(super) fn read(settings: &Alertmanager, payload: &Place<'_>, events: &mut Events) -> Result<()> {
    let version = payload.need("version")?;
    if !VERSIONS.contains(&version.text()?) {
        return Err(version.wrong("\"4\", as Alertmanager sends, or \"1\", as Grafana does"));
    }
    let group = Group {
        key: payload.need("groupKey")?.text()?,
        receiver: payload.get("receiver").map(|receiver| receiver.text()).transpose()?,
        truncated: payload.get("truncatedAlerts").filter(|count| count.value().as_u64() != Some(0)),
    };
    for alert in payload.need("alerts")?.elements()? {
        read_alert(settings, &group, &alert, events)?;
    }
    Ok(())
}

/// What is said once of all alerts of a payload.
struct Group<'a> {
    key: &'a str,
    receiver: Option<&'a str>,
    /// How many alerts of the group Alertmanager left out of the payload.
    truncated: Option<Place<'a>>,
}

fn read_alert(settings: &Alertmanager, group: &Group<'_>, alert: &Place<'_>, events: &mut Events) -> Result<()> {
    let starts_ns = alert.need("startsAt")?.time()?;
    let status = alert.need("status")?;
    let (name, time_ns) = match status.text()? {
        "firing" => ("alert.fired", starts_ns),
        "resolved" => ("alert.resolved", alert.need("endsAt")?.time()?),
        _ => return Err(status.wrong("\"firing\" or \"resolved\"")),
    };
    let fingerprint = alert.need("fingerprint")?.filled_text()?;
    let labels = texts(alert, "labels")?;
    let annotations = texts(alert, "annotations")?;
    let label = |name: &str| find(&labels, name);
    let first = |names: &[String]| names.iter().find_map(|name| label(name));

    let mut attributes = Attributes::default();
    attributes.text("itops.alert.fingerprint", fingerprint);
    attributes.text("itops.alert.group_key", group.key);
    let url = alert.get("generatorURL").map(|url| url.text()).transpose()?.filter(|url| !url.is_empty());
    let known = [
        ("itops.alert.name", label("alertname")),
        ("itops.alert.severity", label(&settings.severity_label)),
        ("itops.alert.url", url),
        ("itops.alert.receiver", group.receiver),
    ];
    for (key, text) in known.into_iter().filter_map(|(key, text)| Some((key, text?))) {
        attributes.text(key, text);
    }
    if let Some(truncated) = &group.truncated {
        attributes.json("itops.alert.group_truncated", truncated.value());
    }
    for (name, text) in &labels {
        attributes.text(format!("itops.alert.label.{name}"), *text);
    }
    for (name, text) in &annotations {
        attributes.text(format!("itops.alert.annotation.{name}"), *text);
    }
    events.push(Event {
        name,
        time_ns,
        // The fingerprint is of the labels: it is the same when the alert fires again. An alert is one time it fired.
        id: &format!("{fingerprint}-{starts_ns}"),
        uid: None,
        title: find(&annotations, "summary").or_else(|| find(&annotations, "description")),
        service: first(&settings.service_labels),
        environment: first(&settings.environment_labels),
        attributes,
    })
}

/// The members of an object of texts, by their names.
fn texts<'a>(alert: &Place<'a>, name: &str) -> Result<Vec<(&'a str, &'a str)>> {
    let Some(object) = alert.get(name) else { return Ok(Vec::new()) };
    object.members()?.map(|(name, place)| Ok((name, place.text()?))).collect()
}

/// The text of that name. Prometheus takes an empty label for none.
fn find<'a>(texts: &[(&'a str, &'a str)], name: &str) -> Option<&'a str> {
    texts.iter().find(|(known, text)| *known == name && !text.is_empty()).map(|(_, text)| *text)
}
