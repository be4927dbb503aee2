//! Where requests enter: the memory budget, decoding, the log, the acknowledgement; and the pages beside OTLP.

use super::{NOT_REPLAYING, Recovery, Shared, account};
use crate::decode::Decoded;
use crate::log::{Lsn, Recovered};
use crate::receive::{self, Accepted, Entry, Pages, Permit, Settings};
use crate::webhook::{self, Webhook};
use crate::{Error, Result, Signal, decode, watch};
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Memory that a request holds beside its bytes.
const REQUEST_BYTES_MIN: usize = 512;

/// Takes requests for a pipeline.
pub struct Ingest {
    shared: Arc<Shared>,
}

impl Ingest {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl receive::Intake for Ingest {
    async fn submit(&self, signal: Signal, body: Bytes) -> Result<Accepted> {
        let (accepted, lsn) = enter(&self.shared, signal, &body)?;
        drop(body);
        if let Some(lsn) = lsn {
            self.shared.log.durable(lsn).await?;
        }
        Ok(accepted)
    }

    async fn enter(&self, body_bytes: usize) -> Entry {
        self.shared.budget.enter(body_bytes).await
    }

    fn admit(&self, bytes: usize) -> Result<Permit> {
        self.shared.budget.hold(bytes)
    }
}

/// Takes a request. When it returns, the request is in the log, and durable if the log is.
pub(super) fn take(shared: &Shared, signal: Signal, body: &[u8]) -> Result<Accepted> {
    let entry = shared.budget.enter_blocking(body.len());
    let (accepted, lsn) = enter(shared, signal, body)?;
    drop(entry);
    lsn.map_or(Ok(()), |lsn| shared.log.wait_durable(lsn))?;
    Ok(accepted)
}

/// Decodes a request into the rows that gather, and gives it a place in the log. It must not be acknowledged before that
/// place is durable.
fn enter(shared: &Shared, signal: Signal, body: &[u8]) -> Result<(Accepted, Option<Lsn>)> {
    let entered = try_enter(shared, signal, body);
    if entered.is_err() {
        shared.refused.fetch_add(1, Relaxed);
    }
    entered
}

fn try_enter(shared: &Shared, signal: Signal, body: &[u8]) -> Result<(Accepted, Option<Lsn>)> {
    if let Some(failure) = shared.failure.get() {
        return Err(Error::overload(format!("weir is stopping, because of a failure: {failure}; retry later")));
    }
    if shared.stopping.load(Relaxed) {
        return Err(Error::overload("weir is stopping; retry later"));
    }
    shared.log.admit(body.len() as u64)?;
    let permit = shared.budget.hold(body.len() + REQUEST_BYTES_MIN)?;
    let received_ns = watch::clock::now_ns();
    let append = |decoded: &Decoded| {
        let lsn = shared.log.append(signal, received_ns, body)?;
        shared.count(signal, decoded);
        Ok(lsn)
    };
    let (decoded, lsn) = shared.coalescer.add(signal, body, permit, &shared.queue, append)?;
    Ok((Accepted { rows: decoded.rows, rejected: 0, message: String::new() }, lsn))
}

impl Shared {
    /// Counts rows before a worker can have them, so that no moment shows more rows out than in.
    fn count(&self, signal: Signal, decoded: &Decoded) {
        self.received[signal.index()].fetch_add(decoded.rows, Relaxed);
        self.invalid_ids.fetch_add(decoded.invalid_ids, Relaxed);
    }
}

/// Takes the records that an earlier run acknowledged and no epoch has, in their order, as they were taken then. Blocks while
/// the memory budget is spent.
pub(super) fn replay(shared: &Shared, recovered: Recovered, progress: &dyn Fn(u64, u64)) -> Result<Recovery> {
    let mut recovery = Recovery { bytes: recovered.bytes_total(), ..Recovery::default() };
    let started = Instant::now();
    let (mut done, mut told) = (0, Instant::now());
    for record in recovered {
        let record = record?;
        if let Some(failure) = shared.failure.get() {
            return Err(failure.clone());
        }
        // As fast as the workers are, like anybody who comes in.
        let entry = shared.budget.enter_blocking(record.payload.len());
        let permit = loop {
            match shared.budget.hold(record.payload.len() + REQUEST_BYTES_MIN) {
                Ok(permit) => break permit,
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        let entered = |decoded: &Decoded| {
            shared.replaying.store(record.lsn + 1, Relaxed);
            shared.count(record.signal, decoded);
            Ok(())
        };
        let added = shared.coalescer.add(record.signal, &record.payload, permit, &shared.queue, entered);
        let (decoded, _) = added.map_err(|error| {
            Error::bug(format!(
                "record {} of the log was acknowledged and cannot be decoded any more: {error}; start the version of weir \
                 that wrote it, and report this",
                record.lsn
            ))
        })?;
        drop(entry);
        recovery.requests += 1;
        recovery.rows += decoded.rows;
        done += record.payload.len() as u64;
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            progress(done, recovery.bytes);
        }
    }
    shared.replaying.store(NOT_REPLAYING, Relaxed);
    recovery.took = started.elapsed();
    Ok(recovery)
}

/// A webhook as the receivers use it: with headers, and a clock.
struct Hook(Webhook);

impl receive::Webhook for Hook {
    fn memory_bytes_max(&self, body: &[u8]) -> usize {
        webhook::memory_bytes_max(body)
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
        self.0.verify(headers.get(webhook::SIGNATURE_HEADER).map(http::HeaderValue::as_bytes), body)
    }

    fn to_protobuf(&self, body: &[u8]) -> Result<Vec<u8>> {
        self.0.to_protobuf(body, watch::clock::now_ns().unsigned_abs())
    }
}

/// The settings of the receivers, from the configuration.
pub(super) fn settings(shared: &Arc<Shared>) -> Settings {
    let from = &shared.config.receive;
    let mut settings = Settings::new(decode::json::to_protobuf);
    settings.grpc = from.grpc;
    settings.http = from.http;
    settings.body_bytes_max = usize::try_from(from.request_bytes_max).unwrap_or(usize::MAX);
    settings.connections_max = from.connections_max as usize;
    settings.header_timeout = from.header_timeout;
    settings.body_idle_timeout = from.body_timeout;
    settings.idle_timeout = from.idle_timeout;
    settings.cors_allowed_origins.clone_from(&from.cors_origins);
    for webhook in Webhook::all(from) {
        settings.webhooks.insert(webhook.name().to_owned(), Arc::new(Hook(webhook)));
    }
    if shared.config.watch.metrics && shared.config.watch.listen.is_none() {
        settings.extra = Some(pages(shared));
    }
    settings
}

/// The settings of the listener for `/metrics` alone.
pub(super) fn watch_settings(shared: &Arc<Shared>, address: std::net::SocketAddr) -> Settings {
    let mut settings = Settings::new(decode::json::to_protobuf);
    settings.grpc = None;
    settings.http = Some(address);
    settings.body_bytes_max = 1 << 20;
    settings.connections_max = 64;
    settings.extra = Some(pages(shared));
    settings
}

/// Takes no request: what stands behind the listener of `watch.listen`.
pub struct NoIntake;

impl receive::Intake for NoIntake {
    async fn submit(&self, _signal: Signal, _body: Bytes) -> Result<Accepted> {
        Err(Error::data(
            "this is the address of weir's own metrics (watch.listen); send OTLP to receive.grpc or receive.http",
        ))
    }

    async fn enter(&self, body_bytes: usize) -> Entry {
        receive::Budget::new(body_bytes).enter(body_bytes).await
    }

    fn admit(&self, bytes: usize) -> Result<Permit> {
        receive::Budget::new(bytes).hold(bytes)
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

/// `/metrics`, `/healthz` and `/readyz`.
pub(super) fn pages(shared: &Arc<Shared>) -> Pages {
    let shared = Arc::clone(shared);
    Arc::new(move |path| match path {
        "/metrics" => Some((200, "text/plain; version=0.0.4; charset=utf-8", watch::text(&account::families(&shared)))),
        "/healthz" => Some(match shared.failure.get() {
            None => (200, TEXT, "ok\n".to_owned()),
            Some(error) => (503, TEXT, format!("failed: {error}\n")),
        }),
        "/readyz" => Some(match unready(&shared) {
            None => (200, TEXT, "ready\n".to_owned()),
            Some(why) => (503, TEXT, format!("not ready: {why}\n")),
        }),
        _ => None,
    })
}

/// Why a request sent now would be told to come back later, or its rows would wait to be written.
fn unready(shared: &Shared) -> Option<String> {
    if let Some(error) = shared.failure.get() {
        return Some(format!("failed: {error}"));
    }
    if shared.stopping.load(Relaxed) {
        return Some("stopping".to_owned());
    }
    let (held, most) = (shared.budget.held(), shared.budget.bytes_max());
    if held >= most / 10 * 9 {
        return Some(format!("the memory for rows is nearly full: {held} of {most} bytes (receive.memory_max)"));
    }
    shared.trouble().map(|error| error.to_string())
}
