//! `weir demo`: a simulated day of a small shop through the real receiver, and what came out.

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{Array as _, RecordBatch, StringArray};
use opentelemetry_proto::tonic::collector::{
    logs::v1::logs_service_client::LogsServiceClient, metrics::v1::metrics_service_client::MetricsServiceClient,
    trace::v1::trace_service_client::TraceServiceClient,
};
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tonic::{Code, Status};
use weir::config::{Config, Destination};
use weir::demo::{Day, Episode};
use weir::run::{Pipeline, Summary};
use weir::{Error, Result, write};

/// 2026-03-03T00:00:00Z: the day of the demo is always the same, so that its tables are.
const DAY_START_NS: u64 = 1_772_496_000_000_000_000;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where the tables go.
    #[arg(long, value_name = "FOLDER", default_value = "./data")]
    to: PathBuf,
    /// Another day with the same story: the seed of its random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How much traffic, as a factor.
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    scale: f64,
}

fn scale(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.01..=100.0).contains(&factor) => Ok(factor),
        _ => Err("expected a number from 0.01 to 100".to_owned()),
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut config = Config::default();
    config.write.to = Destination::Local(options.to.clone());
    for address in [&mut config.receive.grpc, &mut config.receive.http].into_iter().flatten() {
        if std::net::TcpListener::bind(*address).is_err() {
            eprintln!("{address} is in use, so the demo takes a free port");
            address.set_port(0);
        }
    }
    let runtime = super::runtime()?;
    let started = Instant::now();
    let (summary, story) = runtime.block_on(async {
        let pipeline = Pipeline::builder().config(config).start()?;
        let receivers = pipeline.bind().await?;
        let address =
            receivers.local_addrs().grpc.ok_or_else(|| Error::bug("the demo's receiver has no address for gRPC"))?;
        eprintln!("listening for OTLP/gRPC on {address}; plugins: {}", pipeline.plugin_names().join(" → "));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let intake = pipeline.intake();
        let serving = tokio::spawn(receivers.serve(intake, async move {
            // A sender that is gone means stop, too.
            let _ = stopped.await;
        }));
        let day = Day::new(options.seed, DAY_START_NS, options.scale);
        let story = Day::story();
        let sent = replay(day, &format!("http://{address}")).await;
        let _ = stop.send(());
        let _ = serving.await;
        let summary = tokio::task::spawn_blocking(move || pipeline.shutdown())
            .await
            .map_err(|error| Error::bug(format!("the shutdown ended badly: {error}")))?;
        sent?;
        if let Some(error) = summary.failure {
            return Err(error);
        }
        Ok::<_, Error>((summary, story))
    })?;
    print(&summary, story, &options.to, started.elapsed())
}

/// Sends the day, chunk by chunk, each acknowledged before the next.
async fn replay(day: Day, endpoint: &str) -> Result<()> {
    let channel = Channel::from_shared(endpoint.to_owned())
        .map_err(|error| Error::bug(format!("the demo's receiver has a bad address {endpoint}: {error}")))?
        .connect()
        .await
        .map_err(|error| Error::overload(format!("the demo's receiver {endpoint} cannot be reached: {error}")))?;
    let mut traces = TraceServiceClient::new(channel.clone());
    let mut logs = LogsServiceClient::new(channel.clone());
    let mut metrics = MetricsServiceClient::new(channel);
    let terminal = std::io::stderr().is_terminal();
    let mut shown = Instant::now();
    for chunk in day {
        if terminal && shown.elapsed() > Duration::from_millis(100) {
            let minute = chunk.at_ns.saturating_sub(DAY_START_NS) / 60_000_000_000;
            eprint!("\rreplaying the day: {:02}:{:02}", minute / 60, minute % 60);
            let _ = std::io::stderr().flush();
            shown = Instant::now();
        }
        insist(async || traces.export(chunk.traces.clone()).await.map(drop)).await?;
        insist(async || logs.export(chunk.logs.clone()).await.map(drop)).await?;
        insist(async || metrics.export(chunk.metrics.clone()).await.map(drop)).await?;
    }
    if terminal {
        eprint!("\r{:40}\r", "");
    }
    Ok(())
}

/// Sends a request until it is taken, as OTLP asks of a client whose receiver is busy.
async fn insist(mut send: impl AsyncFnMut() -> std::result::Result<(), Status>) -> Result<()> {
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        match send().await {
            Ok(()) => return Ok(()),
            Err(status)
                if matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) && Instant::now() < give_up =>
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(status) => {
                return Err(Error::overload(format!("the receiver refused a part of the demo's day: {status}")));
            }
        }
    }
}

/// What a service did that day, from its rows in the tables.
#[derive(Default)]
struct Service {
    durations_ns: Vec<i64>,
    errors: u64,
    events: BTreeMap<&'static str, u64>,
}

fn print(summary: &Summary, story: &[Episode], to: &Path, took: Duration) -> Result<()> {
    let rows: u64 = summary.received.iter().map(|(_, rows)| rows).sum();
    println!("A day of a small shop: {} rows in {:.1} s.\n", super::grouped(rows), took.as_secs_f64());
    println!("What happened");
    for episode in story {
        let clock = |ns: u64| {
            let minute = ns / 60_000_000_000;
            format!("{:02}:{:02}", minute / 60, minute % 60)
        };
        println!("  {}–{}  {:<10} {}", clock(episode.from_ns), clock(episode.to_ns), episode.service, episode.what);
    }
    println!("\nWhat the tables say, per service (requests are SERVER and CONSUMER spans)");
    println!(
        "  {:<10} {:>9} {:>8} {:>9} {:>9}  {:>9} {:>11}",
        "service", "requests", "errors", "p50", "p95", "incidents", "deployments"
    );
    for (name, mut service) in services(to)? {
        let requests = service.durations_ns.len();
        service.durations_ns.sort_unstable();
        let errors = if requests == 0 {
            "–".into()
        } else {
            format!("{:.2} %", service.errors as f64 * 100.0 / requests as f64)
        };
        let quantile =
            |at: f64| match service.durations_ns.get(((requests as f64 - 1.0) * at).max(0.0).round() as usize) {
                Some(ns) => format!("{:.1} ms", *ns as f64 / 1e6),
                None => "–".into(),
            };
        let count = |event| service.events.get(event).copied().unwrap_or(0);
        println!(
            "  {name:<10} {:>9} {errors:>8} {:>9} {:>9}  {:>9} {:>11}",
            super::grouped(requests as u64),
            quantile(0.5),
            quantile(0.95),
            count("incidents"),
            count("deployments")
        );
    }
    println!("\nWhere it is");
    for table in &summary.written {
        let path = to.join(&table.table);
        println!(
            "  {:<24} {:>9} rows, {:>3} files, {:>9}  ({:.0} bytes a row)",
            path.display(),
            super::grouped(table.rows),
            table.files,
            super::bytes(table.bytes),
            table.bytes as f64 / table.rows.max(1) as f64
        );
    }
    let glob = to.join("spans/**/*.parquet");
    println!("\nAsk it something, for example with DuckDB:\n");
    println!("  SELECT day, hour, count(*) AS errors FROM '{}'", glob.display());
    println!("  WHERE service_name = 'checkout' AND status_code = 'ERROR' GROUP BY ALL ORDER BY ALL;");
    Ok(())
}

/// Reads the tables back.
fn services(to: &Path) -> Result<BTreeMap<String, Service>> {
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    for rows in write::read(to, "spans", &["service_name", "kind", "status_code", "duration_ns"])? {
        let (Some(names), Some(kinds), Some(codes)) =
            (Texts::of(&rows, "service_name"), Texts::of(&rows, "kind"), Texts::of(&rows, "status_code"))
        else {
            return Err(unreadable("spans"));
        };
        let Some(durations) = rows.column_by_name("duration_ns").and_then(|c| c.as_primitive_opt::<Int64Type>()) else {
            return Err(unreadable("spans"));
        };
        for row in (0..rows.num_rows()).filter(|&row| matches!(kinds.get(row), "SERVER" | "CONSUMER")) {
            let service = services.entry(names.get(row).to_owned()).or_default();
            service.durations_ns.push(durations.value(row));
            service.errors += u64::from(codes.get(row) == "ERROR");
        }
    }
    for rows in write::read(to, "logs", &["service_name", "event_name"])? {
        let (Some(names), Some(events)) = (Texts::of(&rows, "service_name"), Texts::of(&rows, "event_name")) else {
            return Err(unreadable("logs"));
        };
        for row in 0..rows.num_rows() {
            let event = match events.get(row) {
                "itops.incident.declared" | "itops.incident.detected" => "incidents",
                "itops.deployment.finished" => "deployments",
                _ => continue,
            };
            *services.entry(names.get(row).to_owned()).or_default().events.entry(event).or_default() += 1;
        }
    }
    Ok(services)
}

fn unreadable(table: &str) -> Error {
    Error::bug(format!("the columns of table {table} do not have the types that were written"))
}

/// A column of text of the tables read back.
struct Texts<'a>(&'a StringArray);

impl<'a> Texts<'a> {
    fn of(rows: &'a RecordBatch, name: &str) -> Option<Self> {
        rows.column_by_name(name)?.as_string_opt::<i32>().map(Self)
    }

    fn get(&self, row: usize) -> &'a str {
        if self.0.is_null(row) { "" } else { self.0.value(row) }
    }
}
