//! `weir run`: receive, process, write, until a signal says stop.

use super::stop::Stop;
use std::path::Path;
use std::sync::Arc;
use weir::Result;
use weir::run::{NoIntake, Pipeline, Summary};

pub(crate) fn run(path: Option<&Path>) -> Result<()> {
    let config = super::configuration(path)?;
    let runtime = super::runtime()?;
    runtime.block_on(async {
        // Before anything says that it runs: whoever then asks it to stop is heard.
        let stop = Stop::listen(config.log.durability)?;
        let pipeline = Pipeline::builder().config(config).progress(Box::new(reading)).start()?;
        let recovery = pipeline.recovery();
        if recovery.requests > 0 {
            eprintln!(
                "recovered {} rows of {} acknowledged requests from the log in {:.1} s",
                super::grouped(recovery.rows),
                super::grouped(recovery.requests),
                recovery.took.as_secs_f64()
            );
        }
        let receivers = pipeline.bind().await?;
        for warning in pipeline.warnings().iter().chain(receivers.warnings()) {
            eprintln!("warning: {warning}");
        }
        let at = receivers.local_addrs();
        for (protocol, address) in [("gRPC", at.grpc), ("HTTP", at.http)] {
            if let Some(address) = address {
                eprintln!("listening for OTLP/{protocol} on {address}");
            }
        }
        let pages = pipeline.bind_watch().await?;
        let pages_at = match &pages {
            Some(pages) => pages.local_addrs().http,
            None => at.http.filter(|_| pipeline.serves_pages()),
        };
        if let Some(address) = pages_at {
            eprintln!("metrics on http://{address}/metrics");
        }
        if let Some(pages) = pages {
            tokio::spawn(pages.serve(Arc::new(NoIntake), std::future::pending()));
        }
        eprintln!("plugins: {}", pipeline.plugin_names().join(" → "));
        eprintln!("writing to {}; Ctrl-C stops and writes everything", pipeline.destination());
        let intake = pipeline.intake();
        let failed = pipeline.failure();
        let stopped = async {
            tokio::select! {
                () = stop.asked() => eprintln!("\nstopping: no new requests; writing what is there"),
                () = failed.wait() => {
                    stop.begins();
                    eprintln!("\nstopping: {}", failed.message());
                }
            }
        };
        tokio::select! {
            () = receivers.serve(intake, stopped) => {}
            never = super::trouble::tell(|| pipeline.trouble()) => match never {},
        }
        if let Some(error) = failed.lost() {
            // Nothing is known any more about what the disk has. Whatever this process wrote now could be wrong: the next one
            // recovers what was acknowledged from what is really there.
            eprintln!("{error}");
            std::process::abort();
        }
        let summary = stop.shutdown(pipeline).await?;
        eprint!("{}", account(&summary));
        match summary.failure {
            Some(error) => Err(error),
            None => Ok(()),
        }
    })
}

/// How far reading the log has come.
fn reading(done: u64, total: u64) {
    eprintln!("reading the log: {} of {}", super::bytes(done), super::bytes(total));
}

/// Where every row went, for people.
pub(crate) fn account(summary: &Summary) -> String {
    let mut out = String::new();
    for (signal, rows) in &summary.received {
        out += &format!("received {:>12} {signal}\n", super::grouped(*rows));
    }
    if summary.taken_over > 0 {
        out += &format!("took over{:>12} rows that an earlier run had staged\n", super::grouped(summary.taken_over));
    }
    for (plugin, reason, rows) in &summary.dropped {
        out += &format!("dropped  {:>12} by {plugin}: {reason}\n", super::grouped(*rows));
    }
    for (plugin, rows) in &summary.dead_lettered {
        out += &format!("set aside{:>12} as dead letters: {plugin} failed\n", super::grouped(*rows));
    }
    for table in &summary.written {
        out += &format!(
            "wrote    {:>12} rows to {} in {} file{}, {}\n",
            super::grouped(table.rows),
            table.table,
            table.files,
            if table.files == 1 { "" } else { "s" },
            super::bytes(table.bytes)
        );
    }
    if summary.held > 0 {
        out += &format!("held     {:>12} rows by plugins, until they decide\n", super::grouped(summary.held));
    }
    if summary.pending > 0 {
        out += &format!("kept     {:>12} rows in staging, to be published later\n", super::grouped(summary.pending));
    }
    out
}
