//! The `webhook` stage: what monitoring and incident tools send of their own accord → an OTLP logs request in protobuf,
//! whose records are the lifecycle events that KPIs are made of.
//!
//! `alertmanager` and `pagerduty` know those tools' payloads, `mapping` reads any other by the JSON pointers of its
//! configuration. Each makes events of what it reads, and `event` makes OTLP of them. The same payload gives the same
//! events whenever it comes, so that what is sent twice can be told from what happened twice.

mod alertmanager;
mod event;
mod mapping;
mod pagerduty;
mod payload;
mod signature;
#[cfg(test)]
mod tests;
mod time;

use crate::config::{Alertmanager, Pagerduty, Receive, WebhookMapping};
use crate::{Error, Result};
use event::Events;
use payload::Place;

/// The header that carries the signatures of PagerDuty.
pub const SIGNATURE_HEADER: &str = "x-pagerduty-signature";

/// What a tree of JSON takes at most for each of these bytes of its text. A map has room for eleven members from its
/// first one on; an array for four, and is there twice while it grows.
const MAP_BYTES: usize = 704;
const ARRAY_BYTES: usize = 192;
const MEMBER_BYTES: usize = 200;
const TEXT_BYTES: usize = 2;
/// What events may take for each byte that the tree takes, and beside it: a mapping adds constants of its own to each.
const EVENTS_PER_TREE: usize = 2;
const EVENTS_BYTES_MIN: usize = 32 << 10;

/// One webhook: its name, and how its payload is read.
#[derive(Debug)]
pub struct Webhook {
    name: String,
    form: Form,
}

/// The form of a payload.
#[derive(Debug)]
enum Form {
    Alertmanager(Alertmanager),
    Pagerduty(Pagerduty),
    Mapped(Box<WebhookMapping>),
}

impl Webhook {
    /// Every webhook that the configuration has; `alertmanager` and `pagerduty` are always among them.
    pub fn all(settings: &Receive) -> Vec<Self> {
        let mapped = |mapping: &WebhookMapping| Self {
            name: mapping.name.clone(),
            form: Form::Mapped(Box::new(mapping.clone())),
        };
        let alertmanager = Form::Alertmanager(settings.alertmanager.clone());
        let pagerduty = Form::Pagerduty(settings.pagerduty.clone());
        let mut all = vec![
            Self { name: "alertmanager".to_owned(), form: alertmanager },
            Self { name: "pagerduty".to_owned(), form: pagerduty },
        ];
        all.extend(settings.webhooks.iter().map(mapped));
        all
    }

    /// Its name: the end of its path, `/v1/webhooks/NAME`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the body is from whom it should be. `signatures` is the value of [`SIGNATURE_HEADER`]; without a secret
    /// in the configuration nothing is checked.
    ///
    /// # Errors
    ///
    /// What is wrong with the signature, as a message for the sender.
    pub fn verify(&self, signatures: Option<&[u8]>, body: &[u8]) -> Result<(), String> {
        let Form::Pagerduty(Pagerduty { secret: Some(secret), .. }) = &self.form else { return Ok(()) };
        let Some(signatures) = signatures else {
            return Err(
                "the request has no header X-PagerDuty-Signature, and receive.pagerduty.secret is set".to_owned()
            );
        };
        match signature::is_valid(secret.reveal().as_bytes(), signatures, body) {
            true => Ok(()),
            false => Err("no signature in the header X-PagerDuty-Signature is one of this body: check that \
                          receive.pagerduty.secret is that of the webhook subscription"
                .to_owned()),
        }
    }

    /// The events of a payload, as the protobuf bytes of an `ExportLogsServiceRequest`; no bytes if there are none.
    /// `observed_ns` is the time now, in nanoseconds since 1970.
    ///
    /// # Errors
    ///
    /// A `Data` error if the payload is not of the form that it should have. It names the place, as a JSON pointer, and
    /// the value seen.
    pub fn to_protobuf(&self, body: &[u8], observed_ns: u64) -> Result<Vec<u8>> {
        if body.trim_ascii().is_empty() {
            return Err(Error::data("the body is empty: the payload of a webhook is JSON"));
        }
        let json = serde_json::from_slice(body)
            .map_err(|error| Error::data(format!("the payload is not JSON that can be read: {error}")))?;
        let payload = Place::root(&json);
        let mut events = Events::new(&self.name, observed_ns, events_bytes_max(body));
        match &self.form {
            Form::Alertmanager(settings) => alertmanager::read(settings, &payload, &mut events)?,
            Form::Pagerduty(settings) => pagerduty::read(settings, &payload, &mut events)?,
            Form::Mapped(mapping) => mapping::read(mapping, &payload, &mut events)?,
        }
        Ok(events.into_protobuf())
    }
}

/// The memory in bytes that [`Webhook::to_protobuf`] takes at most beside the body: the tree of its JSON, and the
/// events.
pub fn memory_bytes_max(body: &[u8]) -> usize {
    tree_bytes_max(body).saturating_add(events_bytes_max(body))
}

fn events_bytes_max(body: &[u8]) -> usize {
    tree_bytes_max(body).saturating_mul(EVENTS_PER_TREE).saturating_add(EVENTS_BYTES_MIN)
}

/// It is counted from the bytes that begin things in JSON, for a few of them can cost most of a kilobyte.
fn tree_bytes_max(body: &[u8]) -> usize {
    let of = |byte: &u8| match byte {
        b'{' => MAP_BYTES,
        b'[' => ARRAY_BYTES,
        b',' => MEMBER_BYTES,
        _ => TEXT_BYTES,
    };
    body.iter().map(of).fold(0, usize::saturating_add)
}
