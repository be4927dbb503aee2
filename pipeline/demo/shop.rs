//! The services of the shop.

use super::otlp::{int, text};
use super::story;
use opentelemetry_proto::tonic::common::v1::KeyValue;

/// A service, by its place in [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Service(pub(super) usize);

pub(super) const FRONTEND: Service = Service(0);
pub(super) const CHECKOUT: Service = Service(1);
pub(super) const CART: Service = Service(2);
pub(super) const PAYMENT: Service = Service(3);
pub(super) const CATALOG: Service = Service(4);
pub(super) const SHIPPING: Service = Service(5);
pub(super) const DB_HOST: Service = Service(6);

/// The services that answer requests.
pub(super) const HTTP: [Service; 6] = [FRONTEND, CHECKOUT, CART, PAYMENT, CATALOG, SHIPPING];
/// Pods of each of them.
pub(super) const INSTANCES: usize = 2;

const NAMES: [&str; 7] = ["frontend", "checkout", "cart", "payment", "catalog", "shipping", "db-host"];
const VERSIONS: [&str; 7] = ["3.12.0", "2.3.1", "1.9.4", "4.0.2", "1.8.0", "2.1.0", "16.4"];
const LANGUAGES: [&str; 7] = ["nodejs", "java", "go", "python", "rust", "dotnet", "cpp"];

impl Service {
    pub(super) fn name(self) -> &'static str {
        NAMES[self.0]
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().position(|known| *known == name).map(Self)
    }

    /// Where it is reached.
    pub(super) fn address(self) -> String {
        format!("{}.shop.svc.cluster.local", self.name())
    }

    pub(super) fn version(self, at_ns: u64) -> &'static str {
        story::version(self.name(), at_ns).unwrap_or(VERSIONS[self.0])
    }

    /// The resource of one of its instances at that moment of the day.
    pub(super) fn resource(self, instance: usize, at_ns: u64) -> Vec<KeyValue> {
        let (name, version) = (self.name(), self.version(at_ns));
        let mut attributes = vec![
            text("service.name", name),
            text("service.namespace", "shop"),
            text("service.version", version),
            text("deployment.environment.name", "production"),
            text("telemetry.sdk.name", "opentelemetry"),
            text("telemetry.sdk.language", LANGUAGES[self.0]),
            text("telemetry.sdk.version", "1.37.0"),
        ];
        if self == DB_HOST {
            attributes.extend([
                text("service.instance.id", "db-host-1"),
                text("host.name", "db-host-1"),
                text("host.arch", "amd64"),
            ]);
            return attributes;
        }
        let generation = version.replace('.', "");
        let pod = format!("{name}-{generation}-{instance}");
        attributes.extend([
            text("service.instance.id", pod.clone()),
            text("k8s.cluster.name", "shop-eu-1"),
            text("k8s.namespace.name", "shop"),
            text("k8s.deployment.name", name),
            text("k8s.pod.name", pod),
            text("k8s.node.name", format!("node-{}", instance + 1)),
            text("host.name", format!("node-{}", instance + 1)),
            int("process.pid", 1),
        ]);
        attributes
    }
}
