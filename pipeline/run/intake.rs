//! Where requests enter: the memory budget, decoding, the acknowledgement; and the pages beside OTLP.

use super::{Shared, account};
use crate::receive::{self, Accepted, Pages, Permit, Settings};
use crate::webhook::{self, Webhook};
use crate::{Error, Result, Signal, decode, watch};
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

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
        take(&self.shared, signal, &body)
    }

    fn admit(&self, bytes: usize) -> Result<Permit> {
        self.shared.budget.hold(bytes)
    }
}

/// Decodes a request into the rows that gather. When it returns, the rows are the pipeline's.
pub(super) fn take(shared: &Shared, signal: Signal, body: &[u8]) -> Result<Accepted> {
    let taken = try_take(shared, signal, body);
    if taken.is_err() {
        shared.refused.fetch_add(1, Relaxed);
    }
    taken
}

fn try_take(shared: &Shared, signal: Signal, body: &[u8]) -> Result<Accepted> {
    if let Some(failure) = shared.failure.get() {
        return Err(Error::overload(format!("weir is stopping, because of a failure: {failure}; retry later")));
    }
    if shared.stopping.load(Relaxed) {
        return Err(Error::overload("weir is stopping; retry later"));
    }
    let permit = shared.budget.hold(body.len() + REQUEST_BYTES_MIN)?;
    let decoded = shared.coalescer.add(signal, body, permit, &shared.queue)?;
    shared.received[signal.index()].fetch_add(decoded.rows, Relaxed);
    shared.invalid_ids.fetch_add(decoded.invalid_ids, Relaxed);
    Ok(Accepted { rows: decoded.rows, rejected: 0, message: String::new() })
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
    let trouble = shared.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    trouble.as_ref().map(|error| format!("the tables cannot be written: {error}"))
}
