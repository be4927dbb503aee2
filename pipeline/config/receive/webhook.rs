//! `[[receive.webhook]]`: how the webhooks of other tools are read.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::pagerduty::texts;
use crate::config::fault::Fault;
use crate::config::keys::{Key, Section};
use crate::config::nearest::nearest;
use crate::config::table::{Node, Reader, Value, short};
use crate::config::values::{self, Wrong, kind};

/// How many webhooks there may be.
const WEBHOOKS_MAX: usize = 100;
/// How many places a key may be looked up at.
const LOOKUPS_MAX: usize = 16;
/// The webhooks that are there anyway.
const TAKEN: [&str; 2] = ["alertmanager", "pagerduty"];

pub(in crate::config) static SECTION: Section = Section {
    path: "receive.webhook",
    header: "[[receive.webhook]]",
    keys: &[
        Key::unset("name", "\"statuspage\"", "the end of its path, `/v1/webhooks/NAME`"),
        Key::unset(
            "for_each",
            "\"/incidents\"",
            "where the array is whose elements are an event each; not set: the payload is one event",
        ),
        Key::unset(
            "event",
            "\"/incident/status\"",
            "what happened: one of the lifecycle events, `map` may make it one",
        ),
        Key::unset("time", "\"/incident/updated_at\"", "when it happened: RFC 3339, or a number of `time_unit`"),
        Key::new("time_unit", "\"s\"", "what a number in `time` counts since 1970: \"s\", \"ms\", \"us\" or \"ns\""),
        Key::unset("id", "\"/incident/id\"", "the id of the incident, alert, change or maintenance"),
        Key::unset("uid", "\"/event_id\"", "the id of the event itself; not set: made of `id`, `event` and `time`"),
        Key::unset("service", "\"/component/name\"", "`service.name`"),
        Key::unset("environment", "\"production\"", "`deployment.environment.name`"),
        Key::unset("severity", "\"/incident/impact\"", "its severity"),
        Key::unset("title", "\"/incident/name\"", "what people call it: the body of the log record"),
        Key::unset("url", "\"/incident/shortlink\"", "its page"),
        Key::unset(
            "fingerprint",
            "\"/incident/name\"",
            "what is the same each time it happens; an alert's is its id if not set",
        ),
        Key::new("attributes", "{}", "further attributes by their names, looked up as the keys above are")
            .example("{ \"itops.maintenance.start\" = \"/incident/scheduled_for\" }"),
        Key::new(
            "map",
            "{}",
            "what values stand for, by key; `\"*\"` is every other value; an event that stands for `\"\"` is left out",
        )
        .example("{ event = { investigating = \"incident.declared\" } }"),
    ],
};

/// The lifecycle events, without the `itops.` before their names.
pub const LIFECYCLE_EVENTS: [&str; 19] = [
    "incident.declared",
    "incident.detected",
    "incident.acknowledged",
    "incident.mitigated",
    "incident.resolved",
    "incident.reopened",
    "incident.closed",
    "incident.cancelled",
    "incident.updated",
    "alert.fired",
    "alert.resolved",
    "alert.suppressed",
    "deployment.started",
    "deployment.finished",
    "deployment.rolled_back",
    "maintenance.scheduled",
    "maintenance.started",
    "maintenance.ended",
    "maintenance.cancelled",
];

/// The lifecycle event of that name, with `itops.` before it or without.
pub fn lifecycle_event(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("itops.").unwrap_or(name);
    LIFECYCLE_EVENTS.into_iter().find(|known| *known == name)
}

/// What a number counts that is a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// Microseconds since 1970.
    Microseconds,
    /// Nanoseconds since 1970.
    Nanoseconds,
}

impl TimeUnit {
    /// It in words: seconds.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// From what this JSON pointer (RFC 6901) leads to, from the element of `for_each` on.
    Element(String),
    /// From what this JSON pointer leads to, from the whole payload on; `#/incident/id` in a file.
    Payload(String),
    /// It is this text.
    Constant(String),
}

/// How a webhook is read. Where there are several lookups, the first that finds something counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookMapping {
    /// The end of its path: 1 to 64 of `a-z`, `0-9`, `_` and `-`.
    pub name: String,
    /// The JSON pointer of the array of events; none: the payload is one event.
    pub for_each: Option<String>,
    /// What happened.
    pub event: Vec<Lookup>,
    /// When.
    pub time: Vec<Lookup>,
    /// What a number in `time` counts.
    pub time_unit: TimeUnit,
    /// The id of what it happened to.
    pub id: Vec<Lookup>,
    /// The id of the event.
    pub uid: Vec<Lookup>,
    /// The service.
    pub service: Vec<Lookup>,
    /// Its environment.
    pub environment: Vec<Lookup>,
    /// The severity.
    pub severity: Vec<Lookup>,
    /// What people call it.
    pub title: Vec<Lookup>,
    /// Its page.
    pub url: Vec<Lookup>,
    /// What is the same each time it happens.
    pub fingerprint: Vec<Lookup>,
    /// Further attributes, by their names.
    pub attributes: BTreeMap<String, Vec<Lookup>>,
    /// What values stand for, by key or attribute.
    pub map: BTreeMap<String, BTreeMap<String, String>>,
}

/// All webhooks that the section `[receive]` has.
pub(super) fn read_all(reader: &mut Reader<'_>, receive: &Node<'_>) -> Vec<WebhookMapping> {
    let mut webhooks: Vec<WebhookMapping> = Vec::new();
    let Some(value) = receive.table.get("webhook") else { return webhooks };
    let Some(elements) = value.get_ref().as_array() else {
        let message = format!("`receive.webhook` is {}, not an array of tables", kind(value.get_ref()));
        let help = "write `[[receive.webhook]]`, with two brackets on either side";
        reader.fault(value.span(), Fault::new(message).expected("a `[[receive.webhook]]` for each webhook").help(help));
        return webhooks;
    };
    for (index, element) in elements.iter().enumerate() {
        if index == WEBHOOKS_MAX {
            let message = format!("there are {} webhooks, above the most, {WEBHOOKS_MAX}", elements.len());
            let fault = Fault::new(message).expected(format!("at most {WEBHOOKS_MAX} webhooks")).help("join some");
            reader.fault(element.span(), fault);
            break;
        }
        let Some(node) = reader.element(&SECTION, element) else { continue };
        let webhook = read(reader, &node);
        if !webhook.name.is_empty() && webhooks.iter().any(|other| other.name == webhook.name) {
            let fault = Fault::new(format!("two webhooks are called `{}`", webhook.name))
                .expected("a name of its own for each webhook")
                .help(format!("call one of them something else: `name = \"{}-2\"`", webhook.name));
            reader.fault(reader.place_of(&node, "name"), fault);
        }
        webhooks.push(webhook);
    }
    webhooks
}

fn read(reader: &mut Reader<'_>, node: &Node<'_>) -> WebhookMapping {
    let mut webhook = WebhookMapping::default();
    for key in ["name", "event", "time", "id"] {
        if !node.table.contains_key(key) {
            let example = SECTION.key(key).map_or("", |key| key.example);
            let fault = Fault::new(format!("the webhook has no `{key}`"))
                .expected("`name`, `event`, `time` and `id` of each webhook")
                .help(format!("for instance `{key} = {example}`"));
            reader.fault(node.at.clone(), fault);
        }
    }
    reader.set(node, "name", &mut webhook.name, name);
    reader.set(node, "for_each", &mut webhook.for_each, |value| {
        let expected = "a JSON pointer, as \"/incidents\"; \"\" is the whole payload";
        let text = values::text(value, expected)?;
        pointer(text).ok_or_else(|| not_a_pointer(text, expected)).map(Some)
    });
    reader.set(node, "event", &mut webhook.event, |value| lookups(value, event));
    let units = [
        ("s", TimeUnit::Seconds),
        ("ms", TimeUnit::Milliseconds),
        ("us", TimeUnit::Microseconds),
        ("ns", TimeUnit::Nanoseconds),
    ];
    reader.set(node, "time_unit", &mut webhook.time_unit, |value| values::one_of(value, &units));
    for (key, setting) in [("time", &mut webhook.time), ("id", &mut webhook.id), ("uid", &mut webhook.uid)] {
        reader.set(node, key, setting, |value| lookups(value, varying));
    }
    for (key, setting) in [
        ("service", &mut webhook.service),
        ("environment", &mut webhook.environment),
        ("severity", &mut webhook.severity),
        ("title", &mut webhook.title),
        ("url", &mut webhook.url),
        ("fingerprint", &mut webhook.fingerprint),
    ] {
        reader.set(node, key, setting, |value| lookups(value, Ok));
    }
    reader.set(node, "attributes", &mut webhook.attributes, attributes);
    let attributes = &webhook.attributes;
    reader.set(node, "map", &mut webhook.map, |value| map(value, |key| attributes.contains_key(key)));
    webhook
}

fn name(value: &DeValue<'_>) -> Result<String, Wrong> {
    let expected = "1 to 64 lower-case letters, digits, underscores and hyphens";
    let seen = values::text(value, expected)?;
    if TAKEN.contains(&seen) {
        let wrong = Wrong::new(format!("is \"{seen}\", which is there without a mapping"), "another name");
        return Err(wrong.help(format!("its settings are in `[receive.{seen}]`")));
    }
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if (1..=64).contains(&seen.len()) && seen.bytes().all(good) {
        return Ok(seen.to_owned());
    }
    Err(Wrong::new(format!("is \"{}\", which cannot be the end of a path", short(seen)), expected))
}

const LOOKUP: &str = "a JSON pointer, as \"/incident/id\" or from the payload on \"#/incident/id\", a text that is no \
                      pointer, or an array of them";

/// A lookup, or an array of them.
fn lookups(value: &DeValue<'_>, check: impl Fn(Lookup) -> Result<Lookup, Wrong> + Copy) -> Result<Vec<Lookup>, Wrong> {
    let one = |value: &DeValue<'_>| values::text(value, LOOKUP).and_then(lookup).and_then(check);
    match value {
        DeValue::Array(array) if array.is_empty() => Err(Wrong::new("is an empty array", LOOKUP)),
        DeValue::Array(_) => values::list(value, LOOKUPS_MAX, LOOKUP, one),
        _ => one(value).map(|lookup| vec![lookup]),
    }
}

fn lookup(text: &str) -> Result<Lookup, Wrong> {
    let from_payload = text.strip_prefix('#').filter(|rest| rest.starts_with('/'));
    match (from_payload, text.starts_with('/')) {
        (Some(rest), _) => pointer(rest).map(Lookup::Payload),
        (None, true) => pointer(text).map(Lookup::Element),
        (None, false) if text.is_empty() => return Err(Wrong::new("is empty", LOOKUP)),
        (None, false) => Some(Lookup::Constant(text.to_owned())),
    }
    .ok_or_else(|| not_a_pointer(text, LOOKUP))
}

/// The text, if it is a JSON pointer: empty, or each step after a slash, in which `~0` is a tilde and `~1` a slash.
fn pointer(text: &str) -> Option<String> {
    let steps = text.is_empty() || text.starts_with('/');
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (steps && escapes).then(|| text.to_owned())
}

fn not_a_pointer(text: &str, expected: &str) -> Wrong {
    let wrong = Wrong::new(format!("is \"{}\", which is not a JSON pointer", short(text)), expected);
    match text.strip_prefix('$').or(Some(text)).filter(|text| !text.contains('~')) {
        Some(path) => {
            wrong.help(format!("write \"/{}\"", short(&path.trim_start_matches(['#', '/', '.']).replace('.', "/"))))
        }
        None => wrong.help("a tilde in a name is written `~0`, a slash `~1`"),
    }
}

/// A constant that is an event, or whatever is looked up.
fn event(lookup: Lookup) -> Result<Lookup, Wrong> {
    match &lookup {
        Lookup::Constant(name) => known_event(name).map(|_| lookup),
        Lookup::Element(_) | Lookup::Payload(_) => Ok(lookup),
    }
}

fn known_event(name: &str) -> Result<(), Wrong> {
    if lifecycle_event(name).is_some() {
        return Ok(());
    }
    let wrong = Wrong::new(
        format!("is \"{}\", which is no lifecycle event", short(name)),
        "a lifecycle event, as \"incident.resolved\", or a JSON pointer, as \"/incident/status\"",
    );
    Err(match nearest(name, LIFECYCLE_EVENTS) {
        Some(meant) => wrong.help(format!("did you mean \"{meant}\"?")),
        None => wrong.help(format!("the events are {}", LIFECYCLE_EVENTS.join(", "))),
    })
}

/// What cannot be the same for all events.
fn varying(lookup: Lookup) -> Result<Lookup, Wrong> {
    match &lookup {
        Lookup::Constant(text) => {
            let expected = "a JSON pointer, as \"/incident/id\", or an array of them";
            let wrong = Wrong::new(format!("is \"{}\", the same for every event", short(text)), expected);
            Err(wrong.help(format!("write \"/{}\"", short(text))))
        }
        Lookup::Element(_) | Lookup::Payload(_) => Ok(lookup),
    }
}

/// The same about a part of the value, which has its own place.
fn within(part: &str, at: &Value<'_>) -> impl FnOnce(Wrong) -> Wrong {
    let (part, at) = (short(part), at.span());
    move |mut wrong: Wrong| {
        wrong.problem = format!("at `{part}` {}", wrong.problem);
        wrong.at.get_or_insert(at);
        wrong
    }
}

fn attributes(value: &DeValue<'_>) -> Result<BTreeMap<String, Vec<Lookup>>, Wrong> {
    let expected = "a table of attributes, as `{ \"itops.incident.planned\" = \"/incident/planned\" }`";
    let DeValue::Table(table) = value else { return Err(Wrong::new(format!("is {}", kind(value)), expected)) };
    let attribute = |(key, value): (&toml::Spanned<_>, &Value<'_>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        if let Some(own) = own_key(name) {
            let mut wrong =
                Wrong::new(format!("has `{}`, which has a key of its own", short(name)), "other attributes");
            wrong.at = Some(key.span());
            return Err(wrong.help(format!("write `{own} = …` outside of `attributes`")));
        }
        let lookups = lookups(value.get_ref(), Ok).map_err(within(name, value))?;
        Ok((name.to_string(), lookups))
    };
    table.iter().map(attribute).collect()
}

/// The key that the attribute is read from.
fn own_key(attribute: &str) -> Option<&'static str> {
    let subjects = ["itops.incident.", "itops.alert.", "itops.change.", "itops.maintenance."];
    let part = subjects.iter().find_map(|subject| attribute.strip_prefix(subject));
    let own = ["id", "severity", "url", "fingerprint"].into_iter().find(|key| part == Some(*key));
    own.or((attribute == "log.record.uid").then_some("uid"))
}

/// The keys that `map` can have beside the names of attributes.
const MAPPED: [&str; 7] = ["event", "service", "environment", "severity", "title", "url", "fingerprint"];

fn map(
    value: &DeValue<'_>,
    is_attribute: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, Wrong> {
    let expected = "a table of values for each key, as `{ severity = { major = \"sev1\" } }`";
    let DeValue::Table(table) = value else { return Err(Wrong::new(format!("is {}", kind(value)), expected)) };
    let mut maps = BTreeMap::new();
    for (key, value) in table.iter() {
        let name = key.get_ref().as_ref();
        if !MAPPED.contains(&name) && !is_attribute(name) {
            let mut wrong = Wrong::new(
                format!("has `{}`, which is nothing that can be mapped", short(name)),
                format!("{}, or one of `attributes`", MAPPED.map(|key| format!("`{key}`")).join(", ")),
            );
            wrong.at = Some(key.span());
            let meant = nearest(name, MAPPED);
            return Err(wrong.help(meant.map_or("remove it".to_owned(), |meant| format!("did you mean `{meant}`?"))));
        }
        let values = texts(value.get_ref(), expected).map_err(within(name, value))?;
        for (from, event) in
            value.get_ref().as_table().filter(|_| name == "event").into_iter().flat_map(|map| map.iter())
        {
            let text = event.get_ref().as_str().unwrap_or_default();
            if !text.is_empty() {
                known_event(text).map_err(within(&format!("event.{}", from.get_ref()), event))?;
            }
        }
        maps.insert(name.to_owned(), values);
    }
    Ok(maps)
}
