//! Weir's own metrics by OTLP, where the configuration names a collector.

use super::{Family, Kind};
use crate::{Error, Result};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_otlp::{MetricExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use std::sync::Arc;
use std::time::Duration;

/// What gives the samples of now.
pub(super) type Collect = Arc<dyn Fn() -> Vec<Family> + Send + Sync>;

/// Sends the samples every interval until it is shut down.
pub struct Exporter {
    provider: SdkMeterProvider,
}

impl Exporter {
    /// Starts to export to an OTLP/gRPC endpoint (`http://host:4317`). Called within a tokio runtime.
    pub fn start(endpoint: &str, interval: Duration, collect: Collect) -> Result<Self> {
        let exporter = MetricExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()
            .map_err(|error| Error::config(format!("watch.otlp = {endpoint:?} cannot be used: {error}")))?;
        let reader = PeriodicReader::builder(exporter).with_interval(interval).build();
        let resource = Resource::builder().with_service_name("weir").build();
        let provider = SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build();
        let meter = provider.meter("weir");
        for family in collect() {
            let (name, collect) = (family.name, Arc::clone(&collect));
            let observe = move |see: &mut dyn FnMut(f64, &[KeyValue])| {
                for (labels, value) in collect().into_iter().filter(|f| f.name == name).flat_map(|f| f.samples) {
                    let labels: Vec<_> = labels.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
                    see(value, &labels);
                }
            };
            match family.kind {
                Kind::Counter => {
                    meter
                        .f64_observable_counter(name)
                        .with_description(family.help)
                        .with_callback(move |to| observe(&mut |value, labels| to.observe(value, labels)))
                        .build();
                }
                Kind::Gauge => {
                    meter
                        .f64_observable_gauge(name)
                        .with_description(family.help)
                        .with_callback(move |to| observe(&mut |value, labels| to.observe(value, labels)))
                        .build();
                }
            }
        }
        Ok(Self { provider })
    }

    /// Sends what there is once more, and stops. Blocks until that is done or has failed.
    pub fn shutdown(self) -> Result<()> {
        self.provider.shutdown().map_err(|error| Error::overload(format!("the last export of metrics failed: {error}")))
    }
}
