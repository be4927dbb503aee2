//! `weir demo`: a simulated day of a small shop through the real receiver, and what came out.

mod report;
mod shown;

use super::stop::Stop;
use opentelemetry_proto::tonic::collector::{
    logs::v1::logs_service_client::LogsServiceClient, metrics::v1::metrics_service_client::MetricsServiceClient,
    trace::v1::trace_service_client::TraceServiceClient,
};
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tonic::{Code, Status};
use weir::config::{Config, Destination, Plugin};
use weir::demo::{CHUNKS, Chunk, Day};
use weir::run::Pipeline;
use weir::{Error, Result};

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
    /// How long a part of the day may be refused, by a disk that is full, before the demo gives up.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
}

fn scale(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.01..=100.0).contains(&factor) => Ok(factor),
        _ => Err("expected a number from 0.01 to 100".to_owned()),
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut config = Config { plugins: chain(), ..Config::default() };
    config.write.to = Destination::Local(options.to.clone());
    for address in [&mut config.receive.grpc, &mut config.receive.http].into_iter().flatten() {
        if std::net::TcpListener::bind(*address).is_err() {
            eprintln!("{address} is in use, so the demo takes a free port");
            address.set_port(0);
        }
    }
    let durability = config.log.durability;
    let runtime = super::runtime()?;
    let started = Instant::now();
    let summary = runtime.block_on(async {
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
        for warning in pipeline.warnings() {
            eprintln!("warning: {warning}");
        }
        let day = Day::new(options.seed, DAY_START_NS, options.scale);
        let patience = Duration::from_secs(options.patience);
        let endpoint = format!("http://{address}");
        let sent = tokio::select! {
            sent = replay(day, &endpoint, &pipeline, patience) => sent,
            never = super::trouble::tell(|| pipeline.trouble()) => match never {},
        };
        let _ = stop.send(());
        let _ = serving.await;
        // Until here Ctrl-C ends the demo at once, and from here on, too, but with what becomes of its rows.
        let summary = Stop::listen(durability)?.shutdown(pipeline).await?;
        sent?;
        if let Some(error) = summary.failure {
            return Err(error);
        }
        Ok::<_, Error>(summary)
    })?;
    report::print(&summary, &options.to, started.elapsed())
}

/// The chain that a configuration without plugins has, and what makes the KPIs before anything is sampled.
fn chain() -> Vec<Plugin> {
    let mut kpi = Plugin::shipped("kpi");
    // The shop has few requests: of 20 a single one that fails were 5 %. Where there are too few, its health checks count.
    kpi.config.insert("requests_min".to_owned(), json!(100));
    let rates = json!({ "*": { "sev1": 400, "sev2": 150, "sev3": 40, "*": 0 } });
    kpi.config.insert("cost_per_minute".to_owned(), rates);
    let mut chain = vec![Plugin::shipped("enrich"), kpi, Plugin::shipped("utilization"), Plugin::shipped("sample")];
    for plugin in &mut chain {
        // A day goes through in seconds, on a machine that may be busy with other things.
        plugin.limits.call_time_max = Duration::from_secs(10);
    }
    chain
}

/// Sends the day, chunk by chunk, each acknowledged before the next. The last one says that the day is over: before it,
/// all others are to be through.
async fn replay(day: Day, endpoint: &str, pipeline: &Pipeline, patience: Duration) -> Result<()> {
    let channel = Channel::from_shared(endpoint.to_owned())
        .map_err(|error| Error::bug(format!("the demo's receiver has a bad address {endpoint}: {error}")))?
        .connect()
        .await
        .map_err(|error| Error::overload(format!("the demo's receiver {endpoint} cannot be reached: {error}")))?;
    let mut sender = Sender {
        traces: TraceServiceClient::new(channel.clone()),
        logs: LogsServiceClient::new(channel.clone()),
        metrics: MetricsServiceClient::new(channel),
        pipeline,
        patience,
    };
    let terminal = std::io::stderr().is_terminal();
    let mut shown = Instant::now();
    for (number, chunk) in day.enumerate() {
        if terminal && shown.elapsed() > Duration::from_millis(100) {
            let minute = chunk.at_ns.saturating_sub(DAY_START_NS) / 60_000_000_000;
            eprint!("\rreplaying the day: {:02}:{:02}", minute / 60, minute % 60);
            let _ = std::io::stderr().flush();
            shown = Instant::now();
        }
        if number + 1 == CHUNKS {
            tokio::task::block_in_place(|| pipeline.flush())?;
        }
        sender.send(&chunk).await?;
    }
    if terminal {
        eprint!("\r{:40}\r", "");
    }
    Ok(())
}

/// The clients of the three signals.
struct Sender<'a> {
    traces: TraceServiceClient<Channel>,
    logs: LogsServiceClient<Channel>,
    metrics: MetricsServiceClient<Channel>,
    pipeline: &'a Pipeline,
    patience: Duration,
}

impl Sender<'_> {
    async fn send(&mut self, chunk: &Chunk) -> Result<()> {
        let (pipeline, patience) = (self.pipeline, self.patience);
        insist(async || self.traces.export(chunk.traces.clone()).await.map(drop), pipeline, patience).await?;
        insist(async || self.logs.export(chunk.logs.clone()).await.map(drop), pipeline, patience).await?;
        insist(async || self.metrics.export(chunk.metrics.clone()).await.map(drop), pipeline, patience).await
    }
}

/// Sends a request until it is taken, as OTLP asks of a client whose receiver is busy. Where it is refused for too long, or
/// waits for its answer, the disk is full, and the error says so.
async fn insist(
    mut send: impl AsyncFnMut() -> std::result::Result<(), Status>,
    pipeline: &Pipeline,
    patience: Duration,
) -> Result<()> {
    let mut refusal = None;
    let sent = tokio::time::timeout(patience, async {
        loop {
            match send().await {
                Err(status) if matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) => {
                    refusal = Some(status);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                sent => return sent,
            }
        }
    });
    let refused = "the receiver refused a part of the demo's day";
    match sent.await {
        Ok(sent) => sent.map_err(|status| Error::overload(format!("{refused}: {status}"))),
        Err(_) => {
            let why = pipeline.trouble().map(|error| error.message().to_owned());
            let why = why.or(refusal.map(|status| status.message().to_owned()));
            let why = why.unwrap_or_else(|| "it gave no answer; is the machine busy with other things?".to_owned());
            Err(Error::overload(format!("{refused} for {} s: {why}", patience.as_secs())))
        }
    }
}
