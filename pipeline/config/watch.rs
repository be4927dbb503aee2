//! `[watch]`: Weir's own telemetry.

use std::net::SocketAddr;
use std::time::Duration;

use toml::de::DeValue;

use super::Receive;
use super::fault::Fault;
use super::keys::{Key, Section};
use super::table::{Node, Reader};
use super::values::{self, Wrong};

pub(super) static SECTION: Section = Section {
    path: "watch",
    header: "[watch]",
    keys: &[
        Key::new("metrics", "true", "serve `/metrics`, `/healthz` and `/readyz`"),
        Key::unset("listen", "\"127.0.0.1:9464\"", "where they are served; not set: where OTLP/HTTP listens"),
        Key::unset(
            "otlp",
            "\"http://127.0.0.1:14317\"",
            "a collector that gets Weir's own metrics by OTLP/gRPC; not set: none",
        ),
        Key::new("otlp_interval", "\"60s\"", "how often it gets them"),
    ],
};

/// Weir's own telemetry.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    /// Whether `/metrics`, `/healthz` and `/readyz` are served.
    pub metrics: bool,
    /// Where they are served; none: on the listener of OTLP/HTTP.
    pub listen: Option<SocketAddr>,
    /// The URL of a collector that gets Weir's own metrics by OTLP/gRPC.
    pub otlp: Option<String>,
    /// How often it gets them.
    pub otlp_interval: Duration,
}

impl Default for Watch {
    fn default() -> Self {
        Self { metrics: true, listen: None, otlp: None, otlp_interval: Duration::from_secs(60) }
    }
}

impl Watch {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, root: &Node<'_>) {
        let Some(node) = reader.section(root, &SECTION) else { return };
        reader.set(&node, "metrics", &mut self.metrics, values::boolean);
        reader.set(&node, "listen", &mut self.listen, |value| values::address(value, false));
        reader.set(&node, "otlp", &mut self.otlp, |value| collector(value).map(Some));
        reader.set(&node, "otlp_interval", &mut self.otlp_interval, |value| {
            values::time(value, Duration::from_secs(1)..=Duration::from_secs(3_600))
        });
    }

    /// An address can be listened on once.
    pub(super) fn read_conflicts(&self, reader: &mut Reader<'_>, root: &Node<'_>, receive: &Receive) {
        let Some(listen) = self.listen.filter(|listen| listen.port() != 0) else { return };
        let Some(value) = root.table.get("watch").and_then(|watch| watch.get_ref().get("listen")) else { return };
        let (taken, cure) = if receive.grpc == Some(listen) {
            ("receive.grpc", "give one of them another port")
        } else if receive.http == Some(listen) {
            ("receive.http", "remove `listen`: the metrics are on the listener of OTLP/HTTP anyway")
        } else {
            return;
        };
        let fault = Fault::new(format!("`watch.listen` and `{taken}` both listen on {listen}"))
            .expected("an address of its own")
            .help(cure);
        reader.fault(value.span(), fault);
    }
}

fn collector(value: &DeValue<'_>) -> Result<String, Wrong> {
    values::url(value, &["http"], "http://127.0.0.1:14317").map_err(|wrong| {
        let tls = value.as_str().is_some_and(|url| url.starts_with("https://"));
        if tls {
            wrong.help("this connection has no TLS yet: use `http://`, to a collector on this machine")
        } else {
            wrong
        }
    })
}
