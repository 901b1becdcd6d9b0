//! Reading a request's body: bounded in size and in time, so that a client who sends slowly
//! or endlessly costs a little and then gets an answer.

use crate::error::ApiError;
use crate::shared::Shared;
use crate::slots::Slot;
use crate::sources::BODY_BYTES_MAX;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::header::HeaderMap;
use serde::de::DeserializeOwned;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// 64 kB in this time is 13 kB/s: slower than any line that a node is worth having on.
const BODY_MAX: Duration = Duration::from_secs(5);

/// The whole body, of the usual length at most.
pub(crate) async fn read(shared: &Shared, body: Body) -> Result<Bytes, ApiError> {
    read_up_to(shared, body, BODY_BYTES_MAX).await
}

/// The whole body.
pub(crate) async fn read_up_to(
    shared: &Shared,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, ApiError> {
    let refuse = |status, code, message, help: &'static str| {
        shared.counters.bodies_refused.count();
        ApiError::new(status, code, message, help)
    };
    match tokio::time::timeout(BODY_MAX, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body is longer than {bytes_max} bytes"),
            "send less",
        )),
        Ok(Err(error)) => Err(ApiError::bad_request(
            format!("the body broke off: {error}"),
            "send it again",
        )),
        Err(_) => Err(refuse(
            StatusCode::REQUEST_TIMEOUT,
            "slow_body",
            format!("the body did not arrive within {} s", BODY_MAX.as_secs()),
            "send it at once",
        )),
    }
}

/// The body as JSON, or nothing where it is empty.
pub(crate) async fn json_or_nothing<T: DeserializeOwned>(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<Option<T>, ApiError> {
    if body.is_end_stream() {
        return Ok(None);
    }
    json(shared, headers, body).await.map(Some)
}

/// The body as JSON.
pub(crate) async fn json<T: DeserializeOwned>(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    let declared = headers
        .get(hyper::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    must_be_json(declared)?;
    let body = read(shared, body).await?;
    serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request(
            format!("the body does not say what is needed: {error}"),
            "see /api/v1/openapi.json",
        )
    })
}

/// Fails unless the media type is JSON's.
pub(crate) fn must_be_json(declared: Option<&str>) -> Result<(), ApiError> {
    // Forms of foreign pages cannot send this type, which is one more lock on the door.
    if !declared.is_some_and(|declared| {
        declared.split(';').next().unwrap_or_default().trim() == "application/json"
    }) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media_type",
            "the body must be JSON and say so",
            "send the header Content-Type: application/json",
        ));
    }
    Ok(())
}

/// A request's body that tells its connection's place whenever something of it comes, so that
/// who sends for long is not taken for one who is stuck.
pub(crate) struct Touching<B> {
    pub(crate) body: B,
    pub(crate) slot: Arc<Slot>,
}

impl<B: hyper::body::Body + Unpin> hyper::body::Body for Touching<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.slot.touch();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
