//! The workers: each takes the next batch through the chain into the tables.

use super::queue::Job;
use super::trouble::Step;
use super::{Shared, housekeeping};
use crate::batch::Batch;
use crate::chain::Emitted;
use crate::files::was_full;
use crate::{Error, Kind, Result, watch};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub(super) fn start(shared: &Arc<Shared>, worker: usize) -> Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name(format!("weir-worker-{worker}"))
        .spawn(move || {
            while let Some(job) = shared.queue.pop() {
                let rows = job.rows();
                let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&shared, worker, job)));
                if caught.is_err() {
                    let why = format!("worker {worker} ended in a panic; report it with the message above");
                    shared.failure.set_lost(Error::bug(why));
                }
                shared.queue.finished(rows);
            }
        })
        .map_err(|error| Error::storage(format!("thread weir-worker-{worker} could not be started: {error}")))
}

fn work(shared: &Shared, worker: usize, job: Job) {
    let sequence = job.sequence;
    let outcome = shared.chain.process(worker, sequence, job.batch, job.watermark);
    for batch in outcome.batches {
        write_batch(shared, &batch.settle());
    }
    for dead in &outcome.dead {
        insist(shared, || {
            let rows = shared.tables.record_batch(&dead.batch)?;
            shared.writer.write_dead_letter(dead.batch.signal(), &rows, &dead.plugin, &dead.reason)
        });
    }
    write_emitted(shared, sequence, outcome.emitted);
    if let Some(error) = outcome.stop {
        shared.failure.set(error);
    }
}

fn write_batch(shared: &Shared, batch: &Batch) {
    insist(shared, || shared.writer.write(batch.signal().name(), shared.tables.record_batch(batch)?));
}

fn write_emitted(shared: &Shared, sequence: u64, emitted: Vec<Emitted>) {
    for rows in emitted {
        let now = watch::clock::now_ns();
        insist(shared, || {
            let plugin = format!("{} {}", rows.plugin, rows.version);
            let batch = shared.tables.derived(&rows.table, &rows.columns, now, &plugin, &rows.config_hash)?;
            if shared.tables.table(&rows.table).is_some_and(|table| table.upsert.is_some()) {
                shared.writer.upsert(&rows.table, sequence, batch, rows.retracted)
            } else {
                shared.writer.write(&rows.table, batch)
            }
        });
    }
}

/// Tries until it is done. While the disk or the store is in trouble the worker waits here, the memory budget fills up,
/// and the clients are told to come back later: no row is given up. Anything but trouble with storage is a failure,
/// and so is a disk of which nobody knows what it has: no epoch may end any more, for it would be without these rows, which
/// are in the log. Where none may end anyway, nobody waits.
fn insist(shared: &Shared, mut write: impl FnMut() -> Result<()>) {
    let (mut pause, mut waited) = (Duration::from_millis(50), false);
    while let Err(error) = write() {
        if !housekeeping::passes(&error) {
            shared.failure.set_lost(error);
            return;
        }
        if shared.watch_writer() || shared.failure.lost().is_some() {
            return;
        }
        if error.kind() == Kind::Storage {
            if was_full(&error) {
                // The end of the epoch, which makes room, waits for these rows. An error here is met again at that end.
                let _ = shared.log.release_reserve();
            }
            shared.troubles.set(Step::Write, Some(error));
            waited = true;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(5));
    }
    if waited {
        shared.troubles.set(Step::Write, None);
    }
}
