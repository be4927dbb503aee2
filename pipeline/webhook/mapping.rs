//! Payloads of any other tool, read by the JSON pointers of their `[[receive.webhook]]`.

use super::event::{Attributes, Event, Events, subject};
use super::payload::Place;
use super::time;
use crate::config::{Lookup, TimeUnit, WebhookMapping, lifecycle_event};
use crate::{Error, Result};
use serde_json::Value;
use std::borrow::Cow;

/// Reads the events of a payload.
pub(super) fn read(mapping: &WebhookMapping, payload: &Place<'_>, events: &mut Events) -> Result<()> {
    let Some(for_each) = &mapping.for_each else {
        return Element { mapping, payload, element: payload }.read(events);
    };
    let list = payload.at(for_each).ok_or_else(|| {
        let pointer = payload.pointer_to(for_each);
        Error::data(format!("{pointer}: is missing, but `for_each` of the webhook `{}` is read there", mapping.name))
    })?;
    for element in list.elements()? {
        Element { mapping, payload, element: &element }.read(events)?;
    }
    Ok(())
}

/// What an event is read from.
struct Element<'a> {
    mapping: &'a WebhookMapping,
    payload: &'a Place<'a>,
    element: &'a Place<'a>,
}

/// What a lookup found.
enum Found<'a> {
    Constant(&'a str),
    Place(Place<'a>),
}

impl<'a> Found<'a> {
    /// It as text. Numbers and booleans are as they are written.
    fn text(&self) -> Result<Cow<'a, str>> {
        match self {
            Self::Constant(text) => Ok(Cow::Borrowed(text)),
            Self::Place(place) => match place.value() {
                Value::String(text) => Ok(Cow::Borrowed(text)),
                scalar @ (Value::Number(_) | Value::Bool(_)) => Ok(Cow::Owned(scalar.to_string())),
                _ => Err(place.wrong("a string, a number or a boolean")),
            },
        }
    }
}

impl<'a> Element<'a> {
    fn read(&self, events: &mut Events) -> Result<()> {
        let mapping = self.mapping;
        let found = self.need("event", &mapping.event)?;
        let said = self.mapped("event", found.text()?);
        if said.is_empty() {
            return Ok(());
        }
        let name = lifecycle_event(&said).ok_or_else(|| self.no_event(&found, &said))?;
        let subject = subject(name);
        let id = self.need("id", &mapping.id)?.text()?;
        let text = |key: &str, lookups: &'a [Lookup]| -> Result<Option<Cow<'a, str>>> {
            let found = self.find(lookups).map(|found| found.text()).transpose()?;
            Ok(found.map(|text| self.mapped(key, text)).filter(|text| !text.is_empty()))
        };

        let mut attributes = Attributes::default();
        let severity = text("severity", &mapping.severity)?;
        let url = text("url", &mapping.url)?;
        let mut fingerprint = text("fingerprint", &mapping.fingerprint)?;
        if subject == "itops.alert" {
            // An alert has one always: without one of the tool's, it is like no other.
            fingerprint.get_or_insert_with(|| id.clone());
        }
        for (key, text) in [("severity", severity), ("url", url), ("fingerprint", fingerprint)] {
            if let Some(text) = text {
                attributes.text(format!("{subject}.{key}"), text);
            }
        }
        for (key, lookups) in &mapping.attributes {
            self.attribute(key, lookups, &mut attributes)?;
        }
        events.push(Event {
            name,
            time_ns: self.time()?,
            id: &id,
            uid: text("uid", &mapping.uid)?.as_deref(),
            title: text("title", &mapping.title)?.as_deref(),
            service: text("service", &mapping.service)?.as_deref(),
            environment: text("environment", &mapping.environment)?.as_deref(),
            attributes,
        })
    }

    /// The first of the lookups that finds something. Nothing is what is not there, null, or an empty text.
    fn find(&self, lookups: &'a [Lookup]) -> Option<Found<'a>> {
        self.find_where(lookups, |value| value.as_str() != Some(""))
    }

    fn find_where(&self, lookups: &'a [Lookup], is_something: impl Fn(&Value) -> bool) -> Option<Found<'a>> {
        let place = |start: &Place<'a>, pointer: &str| {
            start.at(pointer).filter(|place| is_something(place.value())).map(Found::Place)
        };
        lookups.iter().find_map(|lookup| match lookup {
            Lookup::Constant(text) => Some(Found::Constant(text)),
            Lookup::Element(pointer) => place(self.element, pointer),
            Lookup::Payload(pointer) => place(self.payload, pointer),
        })
    }

    fn need(&self, key: &str, lookups: &'a [Lookup]) -> Result<Found<'a>> {
        self.find(lookups).ok_or_else(|| self.missing(key, lookups))
    }

    fn missing(&self, key: &str, lookups: &[Lookup]) -> Error {
        let pointers = lookups.iter().filter_map(|lookup| match lookup {
            Lookup::Constant(_) => None,
            Lookup::Element(pointer) => Some(self.element.pointer_to(pointer)),
            Lookup::Payload(pointer) => Some(self.payload.pointer_to(pointer)),
        });
        let pointers: Vec<String> = pointers.collect();
        let name = &self.mapping.name;
        Error::data(format!(
            "{}: is missing or empty, but `{key}` of the webhook `{name}` is read there",
            pointers.join(" or ")
        ))
    }

    /// What the text stands for in the `map` of that key.
    fn mapped(&self, key: &str, text: Cow<'a, str>) -> Cow<'a, str> {
        let map = self.mapping.map.get(key);
        let meant = map.and_then(|map| map.get(text.as_ref()).or_else(|| map.get("*")));
        meant.map_or(text, |meant| Cow::Borrowed(meant))
    }

    /// Adds an attribute with the type that it has in the payload; as text, if its values are mapped.
    fn attribute(&self, key: &str, lookups: &'a [Lookup], attributes: &mut Attributes) -> Result<()> {
        match self.find(lookups) {
            None => {}
            Some(Found::Place(place)) if !self.mapping.map.contains_key(key) => attributes.json(key, place.value()),
            Some(found) => {
                let meant = self.mapped(key, found.text()?);
                if !meant.is_empty() {
                    attributes.text(key, meant);
                }
            }
        }
        Ok(())
    }

    /// The time of occurrence. The time that Go writes where there is none is none.
    fn time(&self) -> Result<u64> {
        let lookups = &self.mapping.time;
        let is_time = |value: &Value| value.as_str().is_none_or(|text| !text.is_empty() && !time::is_zero(text));
        let Some(Found::Place(place)) = self.find_where(lookups, is_time) else {
            return Err(self.missing("time", lookups));
        };
        let unit = self.mapping.time_unit;
        let number = match place.value() {
            Value::Number(number) => number.as_u64(),
            Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Value::String(text) => match time::parse(text) {
                Some(time_ns) => return Ok(time_ns),
                None => None,
            },
            _ => None,
        };
        let time_ns = number.and_then(|number| number.checked_mul(unit_ns(unit)));
        time_ns.filter(|time_ns| i64::try_from(*time_ns).is_ok()).ok_or_else(|| {
            place.wrong(format_args!("a time from 1970 to 2262, in RFC 3339 or as a whole number of {}", unit.name()))
        })
    }

    fn no_event(&self, found: &Found<'_>, said: &str) -> Error {
        let name = &self.mapping.name;
        match found {
            Found::Place(place) => place.wrong(format_args!(
                "a lifecycle event: add the value to `map.event` of the webhook `{name}`, or `\"*\" = \"\"` to leave \
                 out all that are not there"
            )),
            Found::Constant(_) => {
                Error::data(format!("`event` of the webhook `{name}` is {said:?}, which is no lifecycle event"))
            }
        }
    }
}

fn unit_ns(unit: TimeUnit) -> u64 {
    match unit {
        TimeUnit::Seconds => 1_000_000_000,
        TimeUnit::Milliseconds => 1_000_000,
        TimeUnit::Microseconds => 1_000,
        TimeUnit::Nanoseconds => 1,
    }
}
