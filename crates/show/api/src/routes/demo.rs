//! The demo's controls: questions and orders handed on to the process that runs the demo.

use crate::access::Role;
use crate::body;
use crate::error::ApiError;
use crate::gate::Caller;
use crate::peer::{ANSWER_MAX, PeerError, connect, exchange};
use crate::shared::Shared;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, StatusCode, Uri};
use std::sync::Arc;

/// State of the demo.
#[utoipa::path(get, path = "/api/v1/demo", tag = "demo",
    responses((status = 200, description = "The demo's state", body = Object)))]
pub(crate) async fn read(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    caller.need(Role::Viewer)?;
    relay(&shared, Method::GET, &uri, &HeaderMap::new(), Bytes::new()).await
}

/// State of a part of the demo.
#[utoipa::path(get, path = "/api/v1/demo/{rest}", tag = "demo",
    params(("rest" = String, Path, description = "Part of the demo")),
    responses((status = 200, description = "Its state", body = Object)))]
pub(crate) async fn read_at(
    state: State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    read(state, caller, uri).await
}

/// Orders the demo to do something. For operators, and for people at this machine.
#[utoipa::path(post, path = "/api/v1/demo", tag = "demo", request_body = Object,
    responses((status = 200, description = "Done", body = Object),
        (status = 403, description = "Not an operator", body = crate::error::ErrorDocument)))]
pub(crate) async fn act(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    caller.need_to_act(&shared)?;
    let body = body::read(&shared, body).await?;
    let detail = String::from_utf8_lossy(&body).into_owned();
    shared
        .record(&caller, "demo.act", uri.path(), &detail)
        .await?;
    relay(&shared, Method::POST, &uri, &headers, body).await
}

/// Orders a part of the demo to do something. For operators, and for people at this machine.
#[utoipa::path(post, path = "/api/v1/demo/{rest}", tag = "demo", request_body = Object,
    params(("rest" = String, Path, description = "Part of the demo")),
    responses((status = 200, description = "Done", body = Object),
        (status = 403, description = "Not an operator", body = crate::error::ErrorDocument)))]
pub(crate) async fn act_at(
    state: State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    act(state, caller, uri, headers, body).await
}

async fn relay(
    shared: &Shared,
    method: Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let control = shared
        .config
        .demo_control
        .filter(|control| control.ip().is_loopback())
        .ok_or_else(|| ApiError::not_found("no demo runs here", "andon demo starts one"))?;
    let failed = |error: PeerError| {
        shared.counters.relays_failed.count();
        ApiError::new(
            StatusCode::BAD_GATEWAY,
            "demo",
            format!("the demo does not answer: {error}"),
            "is it still running?",
        )
    };
    let _place = shared
        .relays
        .try_acquire()
        .map_err(|_| ApiError::unavailable("too many questions are on their way", "try again"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, control.to_string());
    if let Some(media_type) = headers.get(header::CONTENT_TYPE) {
        request = request.header(header::CONTENT_TYPE, media_type);
    }
    let request = request
        .body(Full::new(body))
        .map_err(|error| ApiError::bad_request(error.to_string(), "use a plain path"))?;
    let stream = connect(control).await.map_err(failed)?;
    let (status, media_type, body) = exchange(control, stream, request, ANSWER_MAX)
        .await
        .map_err(failed)?;
    let media_type = media_type.unwrap_or_else(|| "application/json".to_owned());
    Ok((status, [(header::CONTENT_TYPE, media_type)], body).into_response())
}
