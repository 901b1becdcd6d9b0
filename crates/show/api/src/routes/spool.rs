//! Events on their way: what waits on this node, and what other nodes bring to a keeper.

use crate::access::Role;
use crate::error::{ApiError, ErrorDocument};
use crate::events::{Introduced, ParcelsAnswer};
use crate::gate::Caller;
use crate::shared::Shared;
use crate::take::{self, NotTaken, Sender};
use andon_spool::StreamReport;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bodies with parcels that are taken at once. Each is unpacked in memory.
pub(crate) const PARCELS_MAX: usize = 4;
/// Bytes of one body at most.
const BODY_BYTES_MAX: usize = 80 << 20;

/// What a message is about.
#[derive(Debug, Deserialize)]
pub(crate) struct Sent {
    /// The keeper that answers for the events; this one, if none is named.
    #[serde(rename = "for")]
    of: Option<String>,
    /// Events that wait where these come from.
    waiting: Option<u64>,
    /// Which store the caller has, if it is that keeper itself.
    store: Option<String>,
}

fn sent(query: Result<Query<Sent>, QueryRejection>) -> Result<Sent, ApiError> {
    let wrong =
        |_| ApiError::bad_request("for=, waiting= cannot be read", "are both of this version?");
    query.map(|Query(sent)| sent).map_err(wrong)
}

/// A queue of events that wait for a keeper.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct QueueDocument {
    /// Its stream: a dataset.
    stream: String,
    /// Events that wait.
    events: u64,
    /// Events that wait for the keeper of the copies, where there is one.
    copies: u64,
    /// Bytes on disk.
    bytes: u64,
    /// Bytes on disk at most.
    bytes_max: u64,
    /// When it is full: `block`, `drop_oldest`, `drop_newest`.
    #[schema(value_type = String)]
    policy: andon_spool::Policy,
    /// `high`, `normal`, `low`.
    #[schema(value_type = String)]
    priority: andon_spool::Priority,
    /// Events that were queued since the node started.
    pushed: u64,
    /// Events that a keeper has.
    arrived: u64,
    /// Events whose senders were asked to wait.
    refused: u64,
    /// Events that are lost, by reason: `oldest`, `newest`, `damaged`.
    #[schema(value_type = BTreeMap<String, u64>)]
    dropped: BTreeMap<&'static str, u64>,
    /// Events that one of two keepers has and the other will never get.
    kept_once: u64,
}

impl From<StreamReport> for QueueDocument {
    fn from(report: StreamReport) -> Self {
        Self {
            stream: report.stream,
            events: report.events,
            copies: report.copies,
            bytes: report.bytes,
            bytes_max: report.bytes_max,
            policy: report.policy,
            priority: report.priority,
            pushed: report.pushed,
            arrived: report.arrived,
            refused: report.refused,
            dropped: report.dropped,
            kept_once: report.kept_once,
        }
    }
}

/// Queues of events that wait on this node for a keeper.
#[utoipa::path(get, path = "/api/v1/spool", tag = "events", operation_id = "list_queues",
    responses((status = 200, description = "The queues; none where nothing was ever queued", body = Vec<QueueDocument>),
        (status = 401, description = "A token is needed", body = ErrorDocument)))]
pub(crate) async fn report(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Json<Vec<QueueDocument>>, ApiError> {
    caller.need(Role::Viewer)?;
    let spool = shared
        .events
        .as_ref()
        .and_then(|events| events.spool.clone());
    let report = spool.map(|spool| spool.report()).unwrap_or_default();
    Ok(Json(report.into_iter().map(Into::into).collect()))
}

/// Takes what another node had queued, for this keeper to answer for, or as a copy. For nodes
/// alone. Answers once it is on disk.
pub(crate) async fn parcels(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    query: Result<Query<Sent>, QueryRejection>,
    body: Body,
) -> Result<Json<ParcelsAnswer>, ApiError> {
    caller.need_node("send to /api/v1/events")?;
    let sent = sent(query)?;
    let events = shared.events.clone().ok_or_else(super::events::nobody)?;
    let place = shared.parcels.clone().acquire_owned().await;
    let body = crate::body::read_up_to(&shared, body, BODY_BYTES_MAX).await?;
    let me = shared.config.id.clone();
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        let sender = sent.by(&caller.who);
        let answer = take::parcels(&events, &me, &sender, &body, 0)?;
        Ok(Json(answer))
    });
    done.await.unwrap_or_else(|error| {
        Err(ApiError::unavailable(
            error.to_string(),
            "see the node's log",
        ))
    })
}

/// A node says that it sends to this keeper, and what will never come. For nodes alone.
pub(crate) async fn gaps(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    query: Result<Query<Sent>, QueryRejection>,
    body: Body,
) -> Result<Json<Introduced>, ApiError> {
    caller.need_node("send to /api/v1/events")?;
    let sent = sent(query)?;
    let Some(events) = shared.events.clone() else {
        return Ok(Json(Introduced::default()));
    };
    let body = crate::body::read_up_to(&shared, body, BODY_BYTES_MAX).await?;
    let me = shared.config.id.clone();
    let done = tokio::task::spawn_blocking(move || {
        let told = take::gaps(&events, &me, &sent.by(&caller.who), &body)?;
        Ok(Json(told))
    });
    done.await.unwrap_or_else(|error| {
        Err(ApiError::unavailable(
            error.to_string(),
            "see the keeper's log",
        ))
    })
}

impl Sent {
    fn by<'s>(&'s self, who: &'s str) -> Sender<'s> {
        Sender {
            who,
            of: self.of.as_deref(),
            waiting: self.waiting.unwrap_or(0),
            store: self.store.as_deref(),
        }
    }
}

impl From<NotTaken> for ApiError {
    fn from(error: NotTaken) -> Self {
        let help = match &error {
            NotTaken::NoKeeper => "is its store sick? see its log",
            NotTaken::Sick(_) => "see the keeper's log",
            NotTaken::NoParcels | NotTaken::NoGaps(_) => {
                return ApiError::bad_request(error.to_string(), "are both nodes of this version?");
            }
        };
        ApiError::unavailable(error.to_string(), help)
    }
}
