//! Where every row went: the summary for people, the samples for `/metrics`.

use super::Shared;
use crate::config::Durability;
use crate::receive::{Outcome, Protocol};
use crate::watch::Family;
use crate::{Error, Signal};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

/// The prefix of the tables of dead letters.
const DEAD_LETTERS: &str = "_dead_letter/";

/// What was published of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableWritten {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// The bytes of its files.
    pub bytes: u64,
    /// Its files.
    pub files: u64,
}

/// Where every row went.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Rows that were accepted, by signal.
    pub received: Vec<(Signal, u64)>,
    /// Rows that an earlier run had staged and not published, and that this one took over.
    pub taken_over: u64,
    /// Rows that plugins dropped: plugin, reason, rows.
    pub dropped: Vec<(String, String, u64)>,
    /// Rows that plugins failed on and that were set aside: plugin, rows.
    pub dead_lettered: Vec<(String, u64)>,
    /// What is in published files, dead letters included (`_dead_letter/…`).
    pub written: Vec<TableWritten>,
    /// Rows that plugins hold back.
    pub held: u64,
    /// Rows that were taken, are not held, and are in no published file yet.
    pub pending: u64,
    /// Why the pipeline stopped, if it did not stop by itself.
    pub failure: Option<Error>,
}

pub(super) fn summary(shared: &Shared) -> Summary {
    let numbers = shared.counts.snapshot();
    let mut summary = Summary { failure: shared.failure.get().cloned(), ..Summary::default() };
    for signal in Signal::ALL {
        summary.received.push((signal, shared.received[signal.index()].load(Relaxed)));
    }
    for (plugin, of) in &numbers.plugins {
        summary.dropped.extend(of.dropped.iter().map(|(reason, rows)| (plugin.clone(), reason.clone(), *rows)));
        let dead: u64 = of.dead_lettered.values().sum();
        if dead > 0 {
            summary.dead_lettered.push((plugin.clone(), dead));
        }
    }
    for (table, written) in shared.writer.written() {
        let (rows, bytes, files) = (written.rows, written.bytes, written.files);
        summary.written.push(TableWritten { table: table.to_string(), rows, bytes, files });
    }
    summary.taken_over = shared.writer.taken_over();
    // A row that a worker has written and not let go of yet counts in both places, for a moment.
    summary.held = numbers.held();
    summary.pending = shared.writer.pending().rows + shared.queue.rows_under_way() + shared.coalescer.rows();
    summary
}

/// Every metric of Weir's own, with the samples of now.
pub(super) fn families(shared: &Shared) -> Vec<Family> {
    let mut families = rows(shared);
    families.extend(delivery(shared));
    families.extend(plugins(shared));
    families.extend(receivers(shared));
    families
}

fn rows(shared: &Shared) -> Vec<Family> {
    let summary = summary(shared);
    let mut received = Family::counter("weir_rows_received_total", "Rows that were accepted.");
    for (signal, rows) in &summary.received {
        received.push(&[("signal", signal.name())], *rows as f64);
    }
    let mut written = Family::counter("weir_rows_written_total", "Rows in published files of the tables.");
    let mut bytes = Family::counter("weir_bytes_written_total", "Bytes of published files.");
    let mut files = Family::counter("weir_files_written_total", "Published files.");
    let mut dead = Family::counter("weir_dead_letters_written_total", "Rows in published files of dead letters.");
    for table in &summary.written {
        match table.table.strip_prefix(DEAD_LETTERS) {
            Some(signal) => dead.push(&[("signal", signal)], table.rows as f64),
            None => written.push(&[("table", &table.table)], table.rows as f64),
        }
        bytes.push(&[("table", &table.table)], table.bytes as f64);
        files.push(&[("table", &table.table)], table.files as f64);
    }
    let mut dropped = Family::counter("weir_rows_dropped_total", "Rows that a plugin dropped, by its reason.");
    for (plugin, reason, rows) in &summary.dropped {
        dropped.push(&[("plugin", plugin), ("reason", reason)], *rows as f64);
    }
    let pending = summary.pending;
    vec![
        received,
        written,
        bytes,
        files,
        dead,
        dropped,
        Family::gauge("weir_rows_pending", "Rows that are accepted and in no published file yet.")
            .with(&[], pending as f64),
        Family::gauge("weir_staged_bytes", "Bytes of files that wait in staging.")
            .with(&[], shared.writer.pending().staged_bytes as f64),
        Family::gauge("weir_batches_waiting", "Batches that wait for a worker.")
            .with(&[], shared.queue.waiting() as f64),
        Family::gauge("weir_memory_held_bytes", "Bytes of the memory budget that requests and rows hold.")
            .with(&[], shared.budget.held() as f64),
        Family::gauge("weir_memory_max_bytes", "The memory budget: receive.memory_max.")
            .with(&[], shared.budget.bytes_max() as f64),
        Family::counter(
            "weir_invalid_ids_total",
            "Trace and span ids that became null: of a wrong length, or all zero.",
        )
        .with(&[], shared.invalid_ids.load(Relaxed) as f64),
        Family::counter("weir_requests_refused_total", "Requests that were read and refused.")
            .with(&[], shared.refused.load(Relaxed) as f64),
    ]
}

/// The way from the acknowledgement to the file: how far each stage is behind the one before.
fn delivery(shared: &Shared) -> Vec<Family> {
    let log = shared.log.stats();
    let (next, durable) = (shared.log.next_lsn(), shared.log.durable_lsn());
    let (recorded, published) = (shared.writer.recorded_position(), shared.writer.published_position());
    let mut lag = Family::gauge(
        "weir_lag_requests",
        "Requests that a stage has and the next one has not: appended and not durable, durable and in no epoch, in an epoch \
         and not published.",
    );
    lag.push(&[("stage", "log")], next.saturating_sub(durable) as f64);
    lag.push(&[("stage", "epoch")], durable.saturating_sub(recorded) as f64);
    lag.push(&[("stage", "publish")], recorded.saturating_sub(published) as f64);
    let mut acknowledged = Family::counter("weir_log_requests_total", "Requests appended to the log, by durability.");
    acknowledged.push(&[("durability", durability(shared))], log.records as f64);
    let mut held = Family::gauge(
        "weir_invariant_holds",
        "Whether what must always be so is so (1) or not (0): every row is accounted for; positions of the log, the last \
         record and the tables are in order; nothing is known to be lost.",
    );
    for (invariant, holds) in invariants(shared) {
        held.push(&[("invariant", invariant)], f64::from(u8::from(holds)));
    }
    let mut free = Family::gauge(
        "weir_log_disk_free_bytes",
        "Bytes that are free on the disk of the log; none where the log is in memory, or the file system does not say.",
    );
    log.free_bytes.iter().for_each(|bytes| free.push(&[], *bytes as f64));
    let ended = shared.ended.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
    vec![
        lag,
        acknowledged,
        held,
        Family::counter("weir_log_bytes_total", "Bytes of requests appended to the log.")
            .with(&[], log.payload_bytes as f64),
        Family::counter("weir_log_syncs_total", "Syncs of the log; one makes every request that waited durable.")
            .with(&[], log.syncs as f64),
        Family::counter("weir_log_sync_seconds_total", "Time that writing and syncing the log took.")
            .with(&[], log.sync_ns as f64 / 1e9),
        Family::gauge("weir_log_disk_bytes", "Bytes of the log on the disk.").with(&[], log.segment_bytes as f64),
        Family::gauge("weir_log_disk_full", "Whether the log waits for space on the disk.")
            .with(&[], f64::from(u8::from(log.is_full))),
        free,
        Family::gauge("weir_epoch", "The number of the last epoch that was committed.")
            .with(&[], shared.writer.recorded_epoch() as f64),
        Family::counter("weir_epochs_total", "Epochs committed by this process.")
            .with(&[], shared.epochs.load(Relaxed) as f64),
        Family::gauge("weir_epoch_age_seconds", "Time since the last epoch was committed, or the start.")
            .with(&[], ended.as_secs_f64()),
        Family::gauge("weir_watermark_seconds", "How far event time has come, since 1970; 0 before the first row.")
            .with(&[], shared.queue.watermark().unwrap_or(0) as f64 / 1e9),
        Family::gauge("weir_state_bytes", "Bytes of what plugins keep, held rows included.")
            .with(&[], shared.chain.kept_bytes() as f64),
    ]
}

fn durability(shared: &Shared) -> &'static str {
    match shared.config.log.durability {
        Durability::Fsync => "fsync",
        Durability::Memory => "memory",
    }
}

/// What must always be so.
fn invariants(shared: &Shared) -> [(&'static str, bool); 3] {
    let (published, recorded) = (shared.writer.published_position(), shared.writer.recorded_position());
    // Taken in this order, later positions can only have grown.
    let next = shared.log.next_lsn();
    let numbers = shared.counts.snapshot();
    let came: u64 = shared.received.iter().map(|rows| rows.load(Relaxed)).sum();
    let through = numbers.rows_out + numbers.dropped() + numbers.dead_lettered() + numbers.held();
    [
        // Rows are counted in before a worker can have them, so this holds at any moment.
        ("rows accounted for", through <= came),
        ("positions in order", published <= recorded && recorded <= next),
        ("nothing lost", shared.failure.lost().is_none()),
    ]
}

fn plugins(shared: &Shared) -> Vec<Family> {
    let mut calls = Family::counter("weir_plugin_calls_total", "Calls of plugins.");
    let mut seconds = Family::counter("weir_plugin_call_seconds_total", "Time spent in calls of plugins.");
    let mut emitted =
        Family::counter("weir_plugin_rows_emitted_total", "Rows that plugins emitted into tables of their own.");
    let mut dead = Family::counter("weir_rows_dead_lettered_total", "Rows set aside because a plugin failed on them.");
    let mut faults = Family::counter("weir_plugin_faults_total", "Calls of plugins that failed.");
    let mut held = Family::gauge("weir_plugin_rows_held", "Rows that plugins hold back.");
    let mut held_bytes = Family::gauge("weir_plugin_held_bytes", "Bytes of the rows that plugins hold back.");
    let mut overflowed = Family::counter(
        "weir_plugin_rows_overflowed_total",
        "Rows that went on undecided because too much was held back, by the limit.",
    );
    let mut counters = Family::counter("weir_plugin_counter_total", "Counters of the plugins' own.");
    let mut silenced =
        Family::counter("weir_plugin_log_lines_suppressed_total", "Messages of plugins over their limit.");
    for (plugin, of) in &shared.counts.snapshot().plugins {
        calls.push(&[("plugin", plugin)], of.calls as f64);
        seconds.push(&[("plugin", plugin)], of.call_nanos as f64 / 1e9);
        emitted.push(&[("plugin", plugin)], of.rows_emitted as f64);
        silenced.push(&[("plugin", plugin)], of.suppressed_log_lines as f64);
        for (reason, rows) in &of.dead_lettered {
            dead.push(&[("plugin", plugin), ("reason", reason)], *rows as f64);
        }
        held.push(&[("plugin", plugin)], of.held as f64);
        held_bytes.push(&[("plugin", plugin)], of.held_bytes as f64);
        for (limit, rows) in &of.overflowed {
            overflowed.push(&[("plugin", plugin), ("limit", limit)], *rows as f64);
        }
        for (kind, count) in &of.faults {
            faults.push(&[("plugin", plugin), ("kind", kind)], *count as f64);
        }
        for (counter, count) in &of.counters {
            counters.push(&[("plugin", plugin), ("counter", counter)], *count as f64);
        }
    }
    vec![calls, seconds, emitted, dead, faults, held, held_bytes, overflowed, counters, silenced]
}

fn receivers(shared: &Shared) -> Vec<Family> {
    let counters = shared.receivers.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut requests = Family::counter("weir_requests_total", "Requests, by protocol and outcome.");
    let mut bytes = Family::counter("weir_request_bytes_total", "Bytes of request bodies as they came.");
    let mut open = Family::gauge("weir_connections_open", "Connections that are open.");
    let mut refused =
        Family::counter("weir_connections_refused_total", "Connections refused: receive.connections_max.");
    if let Some(counters) = counters {
        let snapshot = counters.snapshot();
        for protocol in Protocol::ALL {
            for outcome in Outcome::ALL {
                let labels = [("protocol", protocol.name()), ("outcome", outcome.name())];
                requests.push(&labels, snapshot.requests(protocol, outcome) as f64);
            }
        }
        bytes.push(&[], snapshot.wire_bytes as f64);
        open.push(&[], snapshot.connections_open as f64);
        refused.push(&[], snapshot.connections_refused as f64);
    }
    vec![requests, bytes, open, refused]
}
