//! What was: the picture of a moment, what changed, a link's minutes. Reading blocks on the
//! disk, so it is done aside, few at a time.

use crate::access::{self, Role};
use crate::document::{accepts_gzip, compress};
use crate::documents::{Form, serialise};
use crate::error::ApiError;
use crate::gate::Caller;
use crate::shared::Shared;
use andon_history::{Change, LinkSeries, ReadError, Reader, Span};
use andon_model::{PictureView, Timestamp};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use hyper::header::{self, HeaderMap};
use hyper::{StatusCode, Uri};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Reads at once. Each holds a segment in memory and a core while it runs.
pub(crate) const READS_MAX: usize = 2;
/// How long a question waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(5);
/// Changes told unless asked for otherwise.
const CHANGES: usize = 500;
/// What is told of unless asked for otherwise.
const SPAN: Duration = Duration::from_secs(3600);

/// A moment.
#[derive(Debug, Deserialize)]
pub(crate) struct At {
    at: Option<String>,
}

/// A time.
#[derive(Debug, Deserialize)]
pub(crate) struct Within {
    since: Option<String>,
    until: Option<String>,
    limit: Option<usize>,
    from: Option<String>,
    to: Option<String>,
}

/// The picture as this node showed it at a moment.
#[utoipa::path(get, path = "/api/v1/history/picture", tag = "history",
    params(("at" = String, Query, description = "RFC 3339"),
        ("form" = Option<String>, Query, description = "`columns` for a compact form of large grids (schema Columns)")),
    responses(
        (status = 200, description = "The picture; `generated_at` is the moment asked for. States and verdicts to the tenth of a second, figures to the minute", body = PictureView),
        (status = 404, description = "Nothing was recorded then", body = crate::error::ErrorDocument)))]
pub(crate) async fn picture_at(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    query: Result<Query<At>, QueryRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.need(Role::Viewer)?;
    let Query(query) = query.map_err(bad_query)?;
    let at = query.at.as_deref().map(|text| moment("at", text));
    let at = at
        .unwrap_or_else(|| Err(missing("at")))
        .map(whole_millisecond)?;
    let form = Form::of_query(uri.query()).ok_or_else(|| {
        ApiError::bad_request(
            "this form of the picture is not known",
            "use form=columns or none",
        )
    })?;
    // Not worth its time where nothing has to travel.
    let gzip = accepts_gzip(&headers) && !caller.loopback;
    let body = read(&shared, move |reader| {
        let json = serialise(form, &reader.picture_at(at)?);
        Ok(if gzip { compress(&json) } else { json })
    })
    .await?;
    let mut response = body.into_response();
    let answer = response.headers_mut();
    let json = header::HeaderValue::from_static("application/json");
    answer.insert(header::CONTENT_TYPE, json);
    let private = header::HeaderValue::from_static("no-store");
    answer.insert(header::CACHE_CONTROL, private);
    if gzip {
        let gzip = header::HeaderValue::from_static("gzip");
        answer.insert(header::CONTENT_ENCODING, gzip);
    }
    Ok(response)
}

/// What changed in a time, oldest first; the newest where there is more than asked for.
#[utoipa::path(get, path = "/api/v1/history/changes", tag = "history",
    params(("since" = Option<String>, Query, description = "RFC 3339; an hour before `until`"),
        ("until" = Option<String>, Query, description = "RFC 3339; now"),
        ("limit" = Option<usize>, Query, description = "Most changes, default 500, at most 5000")),
    responses((status = 200, description = "The changes", body = Vec<Change>)))]
pub(crate) async fn changes(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    query: Result<Query<Within>, QueryRejection>,
) -> Result<Json<Vec<Change>>, ApiError> {
    caller.need(Role::Viewer)?;
    let Query(query) = query.map_err(bad_query)?;
    let (since, until) = query.span()?;
    let limit = query.limit.unwrap_or(CHANGES);
    read(&shared, move |reader| reader.changes(since, until, limit))
        .await
        .map(Json)
}

/// A link's minutes: state, loss, round trip. At most 1,000 points; a longer time has wider steps.
#[utoipa::path(get, path = "/api/v1/history/link", tag = "history",
    params(("from" = String, Query, description = "Id of the observer"), ("to" = String, Query, description = "Id of the far end"),
        ("since" = Option<String>, Query, description = "RFC 3339; an hour before `until`"),
        ("until" = Option<String>, Query, description = "RFC 3339; now")),
    responses((status = 200, description = "The minutes; none where the link was not there", body = LinkSeries)))]
pub(crate) async fn link_series(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    query: Result<Query<Within>, QueryRejection>,
) -> Result<Json<LinkSeries>, ApiError> {
    caller.need(Role::Viewer)?;
    let Query(query) = query.map_err(bad_query)?;
    let (since, until) = query.span()?;
    let from = query.from.ok_or_else(|| missing("from"))?;
    let to = query.to.ok_or_else(|| missing("to"))?;
    read(&shared, move |reader| reader.link(&from, &to, since, until))
        .await
        .map(Json)
}

/// From when until when there is history, and what it takes.
#[utoipa::path(get, path = "/api/v1/history/span", tag = "history",
    responses((status = 200, description = "The span", body = Span),
        (status = 404, description = "No history is kept", body = crate::error::ErrorDocument)))]
pub(crate) async fn span(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Json<Span>, ApiError> {
    caller.need(Role::Viewer)?;
    Ok(Json(reader(&shared)?.span()))
}

impl Within {
    fn span(&self) -> Result<(Timestamp, Timestamp), ApiError> {
        let moment = |name, text: &Option<String>| match text {
            Some(text) => moment(name, text).map(Some),
            None => Ok(None),
        };
        let until = moment("until", &self.until)?.unwrap_or_else(access::now);
        let since = moment("since", &self.since)?.unwrap_or(until - SPAN);
        Ok((since, until))
    }
}

fn moment(name: &str, text: &str) -> Result<Timestamp, ApiError> {
    // A plus that was not escaped arrives as a space.
    let parsed = Timestamp::parse(text).or_else(|_| Timestamp::parse(&text.replace(' ', "+")));
    parsed.map_err(|_| {
        ApiError::bad_request(
            format!("{name} is not a moment"),
            "use RFC 3339, e.g. 2026-11-20T03:20:00Z",
        )
    })
}

/// The end of a millisecond: times are told in milliseconds, and what was told as the begin of
/// the history must be in it.
fn whole_millisecond(at: Timestamp) -> Timestamp {
    if at.0.rem_euclid(1_000) == 0 {
        Timestamp(at.0.saturating_add(999))
    } else {
        at
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::bad_request(format!("{name} is missing"), "see /api/v1/openapi.json")
}

fn bad_query(_: QueryRejection) -> ApiError {
    ApiError::bad_request(
        "the question cannot be understood",
        "limit is a number, the rest text; see /api/v1/openapi.json",
    )
}

fn reader(shared: &Shared) -> Result<Reader, ApiError> {
    shared.history.clone().ok_or_else(|| {
        ApiError::not_found(
            "this node keeps no history",
            "set enabled = true in [history] of its configuration, or ask another node",
        )
    })
}

/// Reads aside, when it is this question's turn.
async fn read<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&Reader) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ApiError> {
    let reader = reader(shared)?;
    let turn = tokio::time::timeout(TURN_MAX, Arc::clone(&shared.reads).acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(ApiError::unavailable(
            "too many others read the history",
            "try again",
        ));
    };
    let done = tokio::task::spawn_blocking(move || {
        // Held until the work is done, also when the one who asked has gone.
        let _turn = turn;
        work(&reader)
    });
    match done.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(told(&error)),
        Err(error) => Err(ApiError::unavailable(
            format!("the history could not be read: {error}"),
            "see the node's log",
        )),
    }
}

fn told(error: &ReadError) -> ApiError {
    let help = match error {
        ReadError::Io(_) => {
            return ApiError::unavailable(error.to_string(), "see the disk of the node's data");
        }
        ReadError::Empty => "wait a second: a node records from its first picture on",
        ReadError::Before { .. } => "ask for a later moment, or a node that runs longer",
        ReadError::After { .. } => "ask for an earlier moment; see /api/v1/history/span",
        ReadError::Gap { .. } => {
            "the node did not run then, or its disk was full; ask another node"
        }
        ReadError::Damaged => "ask another node; the node's log says more",
    };
    ApiError::new(StatusCode::NOT_FOUND, "no_history", error.to_string(), help)
}
