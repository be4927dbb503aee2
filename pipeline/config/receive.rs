//! `[receive]`: where OTLP comes in, and the webhooks of other tools.

mod alertmanager;
mod pagerduty;
mod webhook;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::fault::Fault;
use super::keys::{Key, Section};
use super::table::{Node, Reader, short};
use super::values::{self, KIB, MIB, TIB, Wrong, size_text};

pub use alertmanager::Alertmanager;
pub(super) use alertmanager::SECTION as ALERTMANAGER;
pub use pagerduty::Pagerduty;
pub(super) use pagerduty::SECTION as PAGERDUTY;
pub(super) use webhook::SECTION as WEBHOOK;
pub use webhook::{LIFECYCLE_EVENTS, Lookup, TimeUnit, WebhookMapping, lifecycle_event};

pub(super) static SECTION: Section = Section {
    path: "receive",
    header: "[receive]",
    keys: &[
        Key::new("grpc", "\"127.0.0.1:4317\"", "where OTLP/gRPC listens, or \"off\""),
        Key::new(
            "http",
            "\"127.0.0.1:4318\"",
            "where OTLP/HTTP listens, or \"off\"; `/metrics`, `/healthz` and `/readyz` are here too",
        ),
        Key::new(
            "request_max",
            "\"64MiB\"",
            "the largest request, before and after decompression; at most a quarter of `memory_max`",
        ),
        Key::new(
            "memory_max",
            "\"256MiB\"",
            "bytes of rows accepted and not yet written; above it clients are told to retry later",
        ),
        Key::new(
            "wait_max",
            "\"2s\"",
            "how long a request waits, before it is read, while more rows wait than the workers need",
        ),
        Key::new("connections_max", "1024", "open connections, over both listeners"),
        Key::new("header_timeout", "\"10s\"", "within which a request's header must have come"),
        Key::new("body_timeout", "\"30s\"", "within which a request's body must have come"),
        Key::new("idle_timeout", "\"5m\"", "after which a connection without requests is closed"),
        Key::new(
            "cors_origins",
            "[]",
            "origins whose web pages may send, as `[\"https://shop.example\"]`; `[\"*\"]` is all",
        ),
        Key::section("alertmanager"),
        Key::section("pagerduty"),
        Key::section("webhook"),
    ],
};

/// Where OTLP comes in, and how much of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Receive {
    /// Where OTLP/gRPC listens; none: nowhere.
    pub grpc: Option<SocketAddr>,
    /// Where OTLP/HTTP listens; none: nowhere.
    pub http: Option<SocketAddr>,
    /// The largest request in bytes, before and after decompression.
    pub request_bytes_max: u64,
    /// The budget in bytes of rows accepted and not yet written.
    pub memory_bytes_max: u64,
    /// How long a request waits while more rows wait than the workers need.
    pub wait_max: Duration,
    /// Open connections, over both listeners.
    pub connections_max: u32,
    /// Within which a request's header must have come.
    pub header_timeout: Duration,
    /// Within which a request's body must have come.
    pub body_timeout: Duration,
    /// After which a connection without requests is closed.
    pub idle_timeout: Duration,
    /// Origins whose web pages may send; `*` is all of them.
    pub cors_origins: Vec<String>,
    /// How the webhook of Alertmanager is read.
    pub alertmanager: Alertmanager,
    /// How the webhook of PagerDuty is read.
    pub pagerduty: Pagerduty,
    /// How the webhooks of other tools are read; no two have the same name.
    pub webhooks: Vec<WebhookMapping>,
}

impl Default for Receive {
    fn default() -> Self {
        Self {
            grpc: Some((Ipv4Addr::LOCALHOST, 4317).into()),
            http: Some((Ipv4Addr::LOCALHOST, 4318).into()),
            request_bytes_max: 64 * MIB,
            memory_bytes_max: 256 * MIB,
            wait_max: Duration::from_secs(2),
            connections_max: 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            cors_origins: Vec::new(),
            alertmanager: Alertmanager::default(),
            pagerduty: Pagerduty::default(),
            webhooks: Vec::new(),
        }
    }
}

impl Receive {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, root: &Node<'_>) {
        let Some(node) = reader.section(root, &SECTION) else { return };
        let instant = Duration::from_millis(100);
        reader.set(&node, "grpc", &mut self.grpc, |value| values::address(value, true));
        reader.set(&node, "http", &mut self.http, |value| values::address(value, true));
        let request_set = reader
            .set(&node, "request_max", &mut self.request_bytes_max, |value| values::size(value, KIB..=1024 * MIB));
        reader.set(&node, "memory_max", &mut self.memory_bytes_max, |value| values::size(value, MIB..=TIB));
        reader.set(&node, "wait_max", &mut self.wait_max, |value| {
            values::time(value, Duration::ZERO..=Duration::from_secs(60))
        });
        reader.set(&node, "connections_max", &mut self.connections_max, |value| values::number(value, 1..=65_536));
        reader.set(&node, "header_timeout", &mut self.header_timeout, |value| {
            values::time(value, instant..=Duration::from_secs(300))
        });
        reader.set(&node, "body_timeout", &mut self.body_timeout, |value| {
            values::time(value, instant..=Duration::from_secs(3_600))
        });
        reader.set(&node, "idle_timeout", &mut self.idle_timeout, |value| {
            values::time(value, Duration::from_secs(1)..=Duration::from_secs(86_400))
        });
        reader.set(&node, "cors_origins", &mut self.cors_origins, |value| {
            values::list(value, 256, "an array of origins", |value| origin(value.as_str()))
        });
        self.alertmanager.read(reader, &node);
        self.pagerduty.read(reader, &node);
        self.webhooks = webhook::read_all(reader, &node);
        self.reconcile(reader, &node, request_set);
    }

    /// What each key may be, given the others.
    fn reconcile(&mut self, reader: &mut Reader<'_>, node: &Node<'_>, request_set: bool) {
        // In the worst case a request is in memory as its body, as protobuf made of JSON, and as rows.
        let most = self.memory_bytes_max / 4;
        if self.request_bytes_max > most {
            if request_set {
                let (request, memory) = (size_text(self.request_bytes_max), size_text(self.memory_bytes_max));
                let message =
                    format!("`receive.request_max` is {request}, above a quarter of `receive.memory_max`, {memory}");
                let fault = Fault::new(message)
                    .expected("requests that fit into the memory as they came, as protobuf and as rows")
                    .help(format!(
                        "raise `memory_max` to \"{}\", or lower `request_max` to \"{}\"",
                        size_text(self.request_bytes_max.saturating_mul(4)),
                        size_text(most)
                    ));
                reader.fault(reader.place_of(node, "request_max"), fault);
            } else {
                self.request_bytes_max = most;
            }
        }
        if let (Some(grpc), Some(http)) = (self.grpc, self.http)
            && grpc == http
            && grpc.port() != 0
        {
            let key = if node.table.contains_key("http") { "http" } else { "grpc" };
            let fault = Fault::new(format!("`receive.grpc` and `receive.http` both listen on {grpc}"))
                .expected("an address of its own for each")
                .help("give one of them another port, or turn it \"off\"");
            reader.fault(reader.place_of(node, key), fault);
        }
    }
}

/// An origin as browsers send it: scheme, host, port, and nothing after them.
fn origin(seen: Option<&str>) -> Result<String, Wrong> {
    let expected = "an origin, as \"https://shop.example\", or \"*\"";
    let Some(seen) = seen else { return Err(Wrong::new("is not text", expected)) };
    let host = seen.strip_prefix("https://").or_else(|| seen.strip_prefix("http://"));
    let good = |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@*".contains(&b));
    if seen == "*" || host.is_some_and(good) {
        return Ok(seen.to_owned());
    }
    let wrong = Wrong::new(format!("is \"{}\", which is not an origin", short(seen)), expected);
    Err(wrong.help("write scheme, host and port only: no path, no slash at the end"))
}
