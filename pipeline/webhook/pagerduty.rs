//! PagerDuty's webhooks, V3: <https://developer.pagerduty.com/docs/webhooks-overview>.
//!
//! A payload is one event. What PagerDuty calls triggered is declared here; what changes an incident without moving
//! it on is an update, kinds of events that PagerDuty may add later among them.

use super::event::{Attributes, Event, Events};
use super::payload::Place;
use crate::Result;
use crate::config::Pagerduty;

/// Reads an event. What is not of an incident, a change of a service or the ping of a test, is none of ours.
pub(super) fn read(settings: &Pagerduty, payload: &Place<'_>, events: &mut Events) -> Result<()> {
    let event = payload.need("event")?;
    let uid = event.need("id")?.filled_text()?;
    let time_ns = event.need("occurred_at")?.time()?;
    let Some(action) = event.need("event_type")?.text()?.strip_prefix("incident.") else { return Ok(()) };
    let data = event.need("data")?;
    // Notes, status updates and responders are data of their own that refer to their incident.
    let incident = data.get("incident").unwrap_or_else(|| data.clone());
    let merge = merge(action, &data);
    let name = match (action, &merge) {
        ("triggered", _) => "incident.declared",
        ("acknowledged", _) => "incident.acknowledged",
        ("resolved", Some(_)) => "incident.cancelled",
        ("resolved", None) => "incident.resolved",
        ("reopened", _) => "incident.reopened",
        _ => "incident.updated",
    };

    let mut attributes = Attributes::default();
    attributes.text("itops.incident.action", action);
    let severity = severity(settings, &incident)?;
    let title = text(&incident, "title")?.or(text(&incident, "summary")?);
    let known = [
        ("itops.incident.severity", severity),
        ("itops.incident.url", text(&incident, "html_url")?),
        ("itops.incident.title", title),
        ("itops.incident.status", text(&incident, "status")?),
        ("itops.incident.urgency", text(&incident, "urgency")?),
        ("itops.incident.priority", summary(&incident, "priority")?),
        ("itops.incident.key", text(&incident, "incident_key")?),
        ("itops.incident.agent", summary(&event, "agent")?),
        ("itops.incident.escalation_policy", summary(&incident, "escalation_policy")?),
    ];
    for (key, text) in known.into_iter().filter_map(|(key, text)| Some((key, text?))) {
        attributes.text(key, text);
    }
    if let Some(number) = incident.get("number") {
        attributes.json("itops.incident.number", number.value());
    }
    for (name, key) in [("assignees", "itops.incident.assignees"), ("teams", "itops.incident.teams")] {
        if let Some(list) = incident.get(name) {
            let found: Vec<Option<&str>> = list.elements()?.map(|one| text(&one, "summary")).collect::<Result<_>>()?;
            attributes.texts(key, found.into_iter().flatten());
        }
    }
    if let Some(into) = merge.and_then(|merge| merge.get("incident")) {
        attributes.text("itops.incident.merged_into", into.need("id")?.text()?);
    }
    let said = text(&data, "content")?.or(text(&data, "message")?);
    events.push(Event {
        name,
        time_ns,
        id: incident.need("id")?.filled_text()?,
        uid: Some(uid),
        title: said.or(title),
        service: service(settings, &incident)?,
        environment: settings.environment.as_deref(),
        attributes,
    })
}

/// Why the incident was resolved, if that is because it was made part of another one: it did not end, the other one
/// is it.
fn merge<'a>(action: &str, data: &Place<'a>) -> Option<Place<'a>> {
    let reason = data.get("resolve_reason").filter(|_| action == "resolved")?;
    let is_merge = reason.get("type")?.value() == "merge_resolve_reason";
    is_merge.then_some(reason)
}

/// The severity that the priority has in the configuration, or the priority itself; without a priority, the one that
/// the urgency has in the configuration.
fn severity<'a>(settings: &'a Pagerduty, incident: &Place<'a>) -> Result<Option<&'a str>> {
    let named = |name: &str| settings.severities.get(name).map(String::as_str);
    Ok(match summary(incident, "priority")? {
        Some(priority) => Some(named(priority).unwrap_or(priority)),
        None => text(incident, "urgency")?.and_then(named),
    })
}

/// The service: what its name or its id stand for in the configuration, or its name.
fn service<'a>(settings: &'a Pagerduty, incident: &Place<'a>) -> Result<Option<&'a str>> {
    let Some(service) = incident.get("service") else { return Ok(None) };
    let (name, id) = (text(&service, "summary")?, text(&service, "id")?);
    let named = |key: Option<&str>| settings.services.get(key?).map(String::as_str);
    Ok(named(name).or_else(|| named(id)).or(name).or(id))
}

/// The member of that name, a text that is not empty.
fn text<'a>(of: &Place<'a>, name: &str) -> Result<Option<&'a str>> {
    let Some(place) = of.get(name) else { return Ok(None) };
    Ok(Some(place.text()?).filter(|text| !text.is_empty()))
}

/// What the member of that name, a reference, is called.
fn summary<'a>(of: &Place<'a>, name: &str) -> Result<Option<&'a str>> {
    match of.get(name) {
        Some(reference) => text(&reference, "summary"),
        None => Ok(None),
    }
}
