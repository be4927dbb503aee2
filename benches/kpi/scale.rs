//! Hours of 10,000 services in three environments through the whole pipeline: a span of each every 10 s, outages in some.
//!
//! Printed for every five minutes of event time: what an epoch takes and records, what the plugins take, and how much
//! memory the process holds.

use super::load::{SECOND_NS, START_NS, request_of, span};
use super::requests::Numbers;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Status;
use prost::Message;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use weir::config::{Config, Destination, Plugin};
use weir::run::Pipeline;
use weir::{Error, Kind, Result, Signal};

const SERVICES: usize = 30_000;
/// Services whose spans come in one request.
const PER_REQUEST: usize = 2_000;
const INTERVAL_S: i64 = 10;
/// One service of so many has an outage of ten minutes, each at another time of the hour.
const OUTAGES: usize = 100;

pub(crate) fn run(hours: i64) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|error| Error::storage(error.to_string()))?;
    let pipeline = Pipeline::builder().config(config(folder.path())).start()?;
    println!(
        "{:>8} {:>9} {:>9} {:>9} {:>10} {:>10} {:>9} {:>8} {:>7}",
        "minute", "process", "kpi", "flush", "new state", "all state", "RSS", "peak", "faults"
    );
    let mut before = Instant::now();
    let mut kpi_before = 0.0;
    for minute in 0..hours * 60 {
        for second in (0..60).step_by(INTERVAL_S as usize) {
            send(&pipeline, minute * 60 + second)?;
        }
        if (minute + 1) % 5 > 0 {
            continue;
        }
        let sent = before.elapsed();
        let began = Instant::now();
        pipeline.flush()?;
        let flushed = began.elapsed();
        let kpi = metric(&pipeline, "weir_plugin_call_seconds_total");
        let (newest, all) = states(folder.path());
        println!(
            "{:>8} {:>7.1} s {:>7.1} s {:>7.2} s {:>6.1} MiB {:>6.1} MiB {:>5.0} MiB {:>4.0} MiB {:>7}",
            minute + 1,
            sent.as_secs_f64(),
            kpi - kpi_before,
            flushed.as_secs_f64(),
            newest,
            all,
            memory("VmRSS"),
            memory("VmHWM"),
            metric(&pipeline, "weir_plugin_faults_total"),
        );
        kpi_before = kpi;
        before = Instant::now();
    }
    for family in pipeline.metrics().iter().filter(|family| family.name.starts_with("weir_plugin")) {
        for (labels, value) in &family.samples {
            println!("{} {labels:?} {value}", family.name);
        }
    }
    for table in pipeline.shutdown().written {
        println!(
            "{:<24} {:>10} rows {:>8.1} MiB {:>6} files",
            table.table,
            table.rows,
            table.bytes as f64 / 1e6,
            table.files
        );
    }
    Ok(())
}

/// The settings that the plugin's README names for so many services; the spans themselves are not kept.
fn config(folder: &Path) -> Config {
    let mut config = Config::default();
    config.write.to = Destination::Local(folder.to_owned());
    let mut kpi = Plugin::shipped("kpi");
    kpi.config.insert("slots_bytes_max".into(), json!(500_000_000));
    kpi.config.insert("refresh_s".into(), json!(300));
    kpi.limits.memory_bytes_max = 256 << 20;
    kpi.limits.state_bytes_max = 1 << 30;
    kpi.limits.rows_emitted_max = 300_000;
    kpi.limits.call_time_max = Duration::from_secs(1);
    let mut sample = Plugin::shipped("sample");
    sample.config.insert("keep".into(), json!(0.001));
    config.plugins = vec![kpi, Plugin::shipped("utilization"), sample];
    config
}

/// A span of every service.
fn send(pipeline: &Pipeline, second: i64) -> Result<()> {
    let mut numbers = Numbers(second as u64);
    for first in (0..SERVICES).step_by(PER_REQUEST) {
        let resource_spans = (first..first + PER_REQUEST).map(|service| {
            let mut span = span(&mut numbers);
            let start = START_NS + second * SECOND_NS + (numbers.next() % 9_000_000_000) as i64;
            (span.start_time_unix_nano, span.end_time_unix_nano) = (start as u64, start as u64 + 1_000_000);
            let outage = (service / OUTAGES % 6) as i64 * 10;
            let down = service % OUTAGES == 0 && (outage..outage + 10).contains(&(second / 60 % 60));
            span.status = Some(Status { code: if down { 2 } else { 0 }, ..Status::default() });
            span.attributes.truncate(3);
            request_of(service, vec![span])
        });
        let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec();
        while let Err(error) = pipeline.ingest(Signal::Spans, &request) {
            if error.kind() != Kind::Overload {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

fn metric(pipeline: &Pipeline, name: &str) -> f64 {
    let families = pipeline.metrics();
    let samples = families.iter().filter(|family| family.name == name).flat_map(|family| &family.samples);
    let of_kpi = |labels: &[(&str, String)]| labels.iter().any(|(_, value)| value == "kpi");
    samples.filter(|(labels, _)| of_kpi(labels)).map(|(_, value)| value).sum()
}

/// The newest record of state that there is, and all of them, in MiB.
fn states(folder: &Path) -> (f64, f64) {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(about) = entry.metadata() else { continue };
            if about.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "state") {
                files.push((about.modified().ok(), about.len() as f64 / f64::from(1 << 20)));
            }
        }
    }
    files.sort_by_key(|file| file.0);
    (files.last().map_or(0.0, |(_, size)| *size), files.iter().map(|(_, size)| size).sum())
}

/// What Linux says of the memory of this process, in MiB.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(':'));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}
