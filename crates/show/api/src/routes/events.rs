//! Events come in: Andon's own NDJSON, and what other tools send over HTTP. The work is
//! `andon-ingest`'s; here it is asked who may.

use crate::error::{ApiError, ErrorDocument};
use crate::gate::Caller;
use crate::shared::Shared;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use hyper::{Request, StatusCode};
use serde::Serialize;
use std::sync::Arc;

/// What became of events that were sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct EventsDocument {
    /// Events that are kept; they are on disk.
    accepted: u64,
    /// The first 100 lines that are not.
    rejected: Vec<RejectedLine>,
    /// All lines that are not.
    rejected_total: u64,
    /// Why the rest of the body was not read, if it was not.
    error: Option<String>,
}

/// A line that is not kept.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RejectedLine {
    /// Its number, from 1.
    line: u64,
    /// Why.
    error: String,
}

/// Takes events: one JSON object a line, `ts` as RFC 3339 or epoch milliseconds, any other keys.
/// Answers once what was taken is on disk. For tokens with the role ingest or operator.
#[utoipa::path(post, path = "/api/v1/events", tag = "events", operation_id = "send_events",
    params(("dataset" = Option<String>, Query, description = "Where they go; `events`"),
        ("format" = Option<String>, Query, description = "`ndjson`, `csv` or `lines`"),
        ("Content-Encoding" = Option<String>, Header, description = "`gzip`, `zstd`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Your name for this request: sent again with the same body, nothing is kept twice")),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, description = "All of the body was read", body = EventsDocument),
        (status = 400, description = "The body broke off or cannot be unpacked; what was accepted before is kept", body = EventsDocument),
        (status = 401, description = "A token is needed", body = ErrorDocument),
        (status = 403, description = "The token may not send", body = ErrorDocument),
        (status = 404, description = "This node takes no events", body = ErrorDocument),
        (status = 503, description = "No room at present; the rest is to be sent again", body = EventsDocument)))]
pub(crate) async fn take(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let events = shared.events.as_ref().ok_or_else(nobody)?;
    caller.need_to_send(events.loopback_may_send)?;
    Ok(events.intake.answer(request).await.map(Body::new))
}

/// OpenTelemetry's logs, over OTLP/HTTP (protobuf or JSON).
#[utoipa::path(post, path = "/v1/logs", tag = "events",
    params(("dataset" = Option<String>, Query, description = "Where they go; `logs`")),
    request_body(content = Vec<u8>, content_type = "application/x-protobuf"),
    responses((status = 200, description = "Kept; rejected records are counted in the answer"),
        (status = 503, description = "No room at present", body = ErrorDocument)))]
pub(crate) async fn otlp_logs(
    state: State<Arc<Shared>>,
    caller: Caller,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    take(state, caller, request).await
}

/// OpenTelemetry's metrics; as `/v1/logs`.
#[utoipa::path(post, path = "/v1/metrics", tag = "events",
    params(("dataset" = Option<String>, Query, description = "Where they go; `metrics`")),
    request_body(content = Vec<u8>, content_type = "application/x-protobuf"),
    responses((status = 200, description = "Kept; rejected points are counted in the answer"),
        (status = 503, description = "No room at present", body = ErrorDocument)))]
pub(crate) async fn otlp_metrics(
    state: State<Arc<Shared>>,
    caller: Caller,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    take(state, caller, request).await
}

/// OpenTelemetry's spans; as `/v1/logs`.
#[utoipa::path(post, path = "/v1/traces", tag = "events",
    params(("dataset" = Option<String>, Query, description = "Where they go; `traces`")),
    request_body(content = Vec<u8>, content_type = "application/x-protobuf"),
    responses((status = 200, description = "Kept; rejected spans are counted in the answer"),
        (status = 503, description = "No room at present", body = ErrorDocument)))]
pub(crate) async fn otlp_traces(
    state: State<Arc<Shared>>,
    caller: Caller,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    take(state, caller, request).await
}

/// Pushes of Loki's clients.
#[utoipa::path(post, path = "/loki/api/v1/push", tag = "events",
    request_body(content = String, content_type = "application/json"),
    responses((status = 204, description = "Kept"), (status = 503, description = "No room at present")))]
pub(crate) async fn loki(
    state: State<Arc<Shared>>,
    caller: Caller,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    take(state, caller, request).await
}

/// Prometheus' remote-write (1.0).
#[utoipa::path(post, path = "/api/v1/write", tag = "events",
    request_body(content = Vec<u8>, content_type = "application/x-protobuf"),
    responses((status = 204, description = "Kept"), (status = 503, description = "No room at present")))]
pub(crate) async fn remote_write(
    state: State<Arc<Shared>>,
    caller: Caller,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    take(state, caller, request).await
}

/// The same under another name.
#[utoipa::path(post, path = "/api/v1/push", tag = "events",
    request_body(content = Vec<u8>, content_type = "application/x-protobuf"),
    responses((status = 204, description = "Kept"), (status = 503, description = "No room at present")))]
pub(crate) async fn remote_push(
    state: State<Arc<Shared>>,
    caller: Caller,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    take(state, caller, request).await
}

/// What is said where no events are.
pub(crate) fn nobody() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "no_events",
        "this node has nothing to do with events",
        "ask a node of this version that runs by itself",
    )
}
