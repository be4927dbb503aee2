//! Lifecycle events, and the OTLP that is made of them.

use crate::{Error, Result};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What a record and an attribute take beside their texts, in bytes. Texts are there twice: in the record and in
/// protobuf.
const RECORD_BYTES: usize = 512;
const ATTRIBUTE_BYTES: usize = 160;

/// Something that happened.
pub(super) struct Event<'a> {
    /// Its name without `itops.`: `alert.fired`.
    pub(super) name: &'a str,
    /// When it happened, in nanoseconds since 1970.
    pub(super) time_ns: u64,
    /// What it happened to: the id of the incident, alert, change or maintenance.
    pub(super) id: &'a str,
    /// The id of the event itself, if the tool gave it one.
    pub(super) uid: Option<&'a str>,
    /// What people call it.
    pub(super) title: Option<&'a str>,
    /// The service that it happened to.
    pub(super) service: Option<&'a str>,
    /// The environment of the service.
    pub(super) environment: Option<&'a str>,
    /// What else is known of it.
    pub(super) attributes: Attributes,
}

impl Event<'_> {
    /// The id of the event. Without one of the tool's it is made of what makes the event this one, so that it is the
    /// same when the tool sends it again.
    fn uid(&self) -> String {
        match self.uid {
            Some(uid) => uid.to_owned(),
            None => {
                let digest = Sha256::digest(format!("{}\0{}\0{}", self.id, self.name, self.time_ns));
                digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
            }
        }
    }
}

/// What the attributes of an event's subject begin with: `itops.incident` for `incident.resolved`.
pub(super) fn subject(name: &str) -> &'static str {
    match name.split('.').next() {
        Some("alert") => "itops.alert",
        Some("deployment") => "itops.change",
        Some("maintenance") => "itops.maintenance",
        _ => "itops.incident",
    }
}

/// Attributes of an event.
#[derive(Default)]
pub(super) struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// Adds a text.
    pub(super) fn text(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.push(key.into(), Some(Value::StringValue(text.into())));
    }

    /// Adds what was found in a payload, with its type.
    pub(super) fn json(&mut self, key: impl Into<String>, json: &Json) {
        self.push(key.into(), value(json));
    }

    /// Adds texts as an array, if there are any.
    pub(super) fn texts<'t>(&mut self, key: impl Into<String>, texts: impl Iterator<Item = &'t str>) {
        let one = |text: &str| AnyValue { value: Some(Value::StringValue(text.to_owned())) };
        let values: Vec<AnyValue> = texts.map(one).collect();
        if !values.is_empty() {
            self.push(key.into(), Some(Value::ArrayValue(ArrayValue { values })));
        }
    }

    fn push(&mut self, key: String, value: Option<Value>) {
        self.0.push(KeyValue { key, value: Some(AnyValue { value }), ..KeyValue::default() });
    }
}

/// The same value in OTLP. serde_json has bounded its depth.
fn value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(bool) => Value::BoolValue(*bool),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::IntValue(integer),
            // No integer of OTLP is that large, and a double would round it.
            (None, Some(large)) => Value::StringValue(large.to_string()),
            (None, None) => Value::DoubleValue(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::StringValue(text.clone()),
        Json::Array(array) => {
            let values = array.iter().map(|json| AnyValue { value: value(json) }).collect();
            Value::ArrayValue(ArrayValue { values })
        }
        Json::Object(object) => {
            let member = |(key, json): (&String, &Json)| KeyValue {
                key: key.clone(),
                value: Some(AnyValue { value: value(json) }),
                ..KeyValue::default()
            };
            Value::KvlistValue(KeyValueList { values: object.iter().map(member).collect() })
        }
    })
}

/// The service and the environment that records stand below.
type Of = (Option<String>, Option<String>);

/// The events of a payload.
pub(super) struct Events {
    webhook: String,
    observed_ns: u64,
    bytes_max: usize,
    bytes: usize,
    records: BTreeMap<Of, Vec<LogRecord>>,
}

impl Events {
    /// None yet. They may take that much memory: a payload may say a long thing once that is repeated in every event.
    pub(super) fn new(webhook: &str, observed_ns: u64, bytes_max: usize) -> Self {
        Self { webhook: webhook.to_owned(), observed_ns, bytes_max, bytes: 0, records: BTreeMap::new() }
    }

    /// Adds an event.
    pub(super) fn push(&mut self, event: Event<'_>) -> Result<()> {
        let (name, uid) = (format!("itops.{}", event.name), event.uid());
        let mut attributes = event.attributes;
        attributes.text("log.record.uid", uid);
        attributes.text(format!("{}.id", subject(event.name)), event.id);
        let text = |text: &str| AnyValue { value: Some(Value::StringValue(text.to_owned())) };
        let record = LogRecord {
            time_unix_nano: event.time_ns,
            observed_time_unix_nano: self.observed_ns,
            event_name: name,
            body: event.title.map(text),
            attributes: attributes.0,
            ..LogRecord::default()
        };
        self.bytes += RECORD_BYTES + record.attributes.len() * ATTRIBUTE_BYTES + 2 * record.encoded_len();
        if self.bytes > self.bytes_max {
            return Err(Error::data(format!(
                "the events of this payload take more than {} bytes, for what is said once of all of them is too long: \
                 send fewer at once",
                self.bytes_max
            )));
        }
        let of = (event.service.map(str::to_owned), event.environment.map(str::to_owned));
        self.records.entry(of).or_default().push(record);
        Ok(())
    }

    /// The `ExportLogsServiceRequest` with all events, those of one service and environment below one resource. No
    /// bytes if there are no events.
    pub(super) fn into_protobuf(self) -> Vec<u8> {
        let scope =
            InstrumentationScope { name: format!("weir.webhook.{}", self.webhook), ..InstrumentationScope::default() };
        let resource_logs = self.records.into_iter().map(|((service, environment), log_records)| {
            let mut attributes = Attributes::default();
            let known = [("service.name", service), ("deployment.environment.name", environment)];
            for (key, text) in known.into_iter().filter_map(|(key, text)| Some((key, text?))) {
                attributes.text(key, text);
            }
            let resource = Resource { attributes: attributes.0, ..Resource::default() };
            let scope_logs = vec![ScopeLogs { scope: Some(scope.clone()), log_records, ..ScopeLogs::default() }];
            ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }
        });
        ExportLogsServiceRequest { resource_logs: resource_logs.collect() }.encode_to_vec()
    }
}
