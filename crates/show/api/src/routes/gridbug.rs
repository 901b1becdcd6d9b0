//! GridBug's calls, handed to whoever speaks its language.

use crate::body;
use crate::error::ApiError;
use crate::gate::Caller;
use crate::shared::Shared;
use crate::sources::GridBugRequest;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::header::{self, HeaderMap};
use hyper::{Method, StatusCode, Uri};
use std::sync::Arc;

/// Longest `key` header handed on.
const KEY_BYTES_MAX: usize = 256;

/// One of GridBug's questions, where the neighbourhood is configured.
#[utoipa::path(get, path = "/ping", tag = "gridbug",
    responses((status = 200, description = "As GridBug answers", body = Object)))]
pub(crate) async fn ask(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    answer(&shared, &caller, &method, &uri, &headers, Bytes::new())
}

/// A GridBug's view of its grid.
#[utoipa::path(post, path = "/post", tag = "gridbug", request_body = Object,
    params(("key" = String, Header, description = "The GRIDKEY of that grid")),
    responses((status = 200, description = "Taken", body = Object),
        (status = 400, description = "No view of a grid; nothing was taken", body = Object),
        (status = 401, description = "The header `key` does not hold this grid's GRIDKEY", body = Object),
        (status = 408, description = "The body did not arrive in time", body = crate::error::ErrorDocument),
        (status = 413, description = "Too large", body = Object)))]
pub(crate) async fn post(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = body::read(&shared, body).await?;
    answer(&shared, &caller, &method, &uri, &headers, body)
}

fn answer(
    shared: &Shared,
    caller: &Caller,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let gridbug = shared
        .gridbug
        .as_ref()
        .ok_or_else(|| ApiError::not_found("GridBug is off", "see [gridbug]"))?;
    let key = headers
        .get("key")
        .and_then(|key| key.to_str().ok())
        .filter(|key| key.len() <= KEY_BYTES_MAX);
    let method = if *method == Method::HEAD {
        Method::GET
    } else {
        method.clone()
    };
    let answer = gridbug(GridBugRequest {
        method: method.to_string(),
        path: uri.path().to_owned(),
        key_header: key.map(str::to_owned),
        body,
        remote: caller.remote,
    });
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok((
        status,
        [(header::CONTENT_TYPE, answer.content_type)],
        answer.body,
    )
        .into_response())
}
