//! Webhooks: what other tools send of their own accord, `POST /v1/webhooks/NAME` in JSON.
//!
//! A webhook becomes an OTLP request of logs and goes that way: the same limits, the same answers.

use super::answer::Reply;
use super::http::{aside, converted, media_type, not_allowed, read_body, refuse, submit};
use super::status::{Reason, Refusal};
use super::{Intake, Server};
use crate::Signal;
use bytes::Bytes;
use http::{Method, Request};
use hyper::body::Incoming;
use std::sync::Arc;

/// What the paths of webhooks begin with.
pub(super) const PREFIX: &str = "/v1/webhooks/";

/// Answers a request to the webhook of that name.
pub(super) async fn call<I: Intake>(
    server: &Server<I>,
    name: &str,
    request: Request<Incoming>,
) -> Result<Reply, Refusal> {
    let Some(webhook) = server.settings.webhooks.get(name) else {
        let known: Vec<&str> = server.settings.webhooks.keys().map(String::as_str).collect();
        let message = match known.is_empty() {
            true => "this address takes no webhooks".to_owned(),
            false => format!("there is no such webhook: there are {}", known.join(", ")),
        };
        return refuse(server, request, Refusal::new(Reason::NotFound, message)).await;
    };
    if request.method() != Method::POST {
        return Err(not_allowed(&request, "POST"));
    }
    let media = media_type(request.headers());
    if media != "application/json" {
        let message = format!("unknown content-type {media:?}: a webhook is application/json");
        return refuse(server, request, Refusal::new(Reason::MediaType, message)).await;
    }
    let webhook = Arc::clone(webhook);
    let headers = request.headers().clone();
    let held = read_body(server, request).await?;
    let (checker, body) = (Arc::clone(&webhook), held.bytes.clone());
    let check = move || checker.verify(&headers, &body).map(|()| checker.memory_bytes_max(&body));
    let checked = aside(held.bytes.len(), check).await?;
    let bytes = checked.map_err(|why| Refusal::new(Reason::Unauthenticated, why))?;
    // A tree of JSON is larger than its text, by how much is up to the sender: no more than a request may have.
    let bytes_max = server.settings.body_bytes_max;
    if bytes > bytes_max {
        return Err(Refusal::too_large("the memory that the JSON of the webhook may take", bytes_max));
    }
    let held = converted(server, held, bytes, move |body: Bytes| webhook.to_protobuf(&body)).await?;
    submit(server, Signal::Logs, held).await
}
