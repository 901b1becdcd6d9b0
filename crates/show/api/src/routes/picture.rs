//! The picture: as a document, and as it changes.

use crate::access::Role;
use crate::documents::Form;
use crate::error::ApiError;
use crate::gate::Caller;
use crate::shared::Shared;
use crate::stream::STREAMS_MAX;
use andon_model::PictureView;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{StatusCode, Uri};
use std::sync::Arc;

fn form(uri: &Uri) -> Result<Form, ApiError> {
    Form::of_query(uri.query()).ok_or_else(|| {
        ApiError::bad_request(
            "this form of the picture is not known",
            "use ?form=columns or none",
        )
    })
}

/// The whole picture: nodes, links and verdicts.
#[utoipa::path(get, path = "/api/v1/picture", tag = "picture",
    params(("form" = Option<String>, Query, description = "`columns` for a compact form of large grids (schema Columns)")),
    responses(
        (status = 200, description = "The picture", body = PictureView),
        (status = 304, description = "Unchanged since the entity tag in If-None-Match"),
        (status = 401, description = "A token is needed", body = crate::error::ErrorDocument)))]
pub(crate) async fn picture(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.need(Role::Viewer)?;
    let document = shared.documents.get(form(&uri)?).await;
    Ok(document.answer(&headers).map(Body::new))
}

/// The picture as it changes: server-sent events `picture` (whole), `delta` and `heartbeat`.
#[utoipa::path(get, path = "/api/v1/picture/stream", tag = "picture",
    params(("form" = Option<String>, Query, description = "`columns`: the `picture` events come in the compact form")),
    responses(
        (status = 200, description = "Events: `picture` (PictureView), then `delta` (Delta) on every change, \
            `incidents` (all of them) after every `picture` and when one changes, \
            `heartbeat` every 5 s. After a `picture` event forget all before it.", body = String,
            content_type = "text/event-stream"),
        (status = 503, description = "Too many streams are open", body = crate::error::ErrorDocument)))]
pub(crate) async fn stream(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    caller.need(Role::Viewer)?;
    let events = shared.hub.subscribe(form(&uri)?).ok_or_else(|| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "streams",
            format!("{STREAMS_MAX} streams are open already"),
            "close some, or ask for /api/v1/picture with its entity tag",
        )
    })?;
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather answers would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}
