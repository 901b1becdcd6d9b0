//! Events on their way: what waits on this node, and what other nodes bring to a keeper.

use crate::access::Role;
use crate::copied::OWN;
use crate::error::{ApiError, ErrorDocument};
use crate::events::{EventSources, Introduced, ParcelsAnswer, split_parcels};
use crate::gate::Caller;
use crate::shared::Shared;
use andon_model::Timestamp;
use andon_spool::{Codec, Gap, Parcel, SpoolError, StreamReport};
use andon_store::{Batch, Origin, SOURCE_BYTES_MAX, Store, StoreError};
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
/// Events that are older when they come were held up.
const LATE_US: i64 = 10_000_000;

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
    let of = sent.of.filter(|of| *of != shared.config.id);
    let events = shared.events.clone().ok_or_else(super::events::nobody)?;
    let place = shared.parcels.clone().acquire_owned().await;
    let body = crate::body::read_up_to(&shared, body, BODY_BYTES_MAX).await?;
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        let to = match (&events.clickhouse, &of, &events.store, &events.copied) {
            (Some(_), None, ..) => To::Queue(&events),
            (None, None, Some(store), _) => To::Store(Arc::clone(store)),
            (None, Some(of), Some(own), Some(copied)) => {
                let copy = copied.copies.store(of);
                let sick = |error: StoreError| {
                    ApiError::unavailable(error.to_string(), "see the keeper's log")
                };
                To::Copy(copy.map_err(sick)?, Arc::clone(own))
            }
            _ => {
                return Err(ApiError::unavailable(
                    "this node keeps no events",
                    "is its store sick? see its log",
                ));
            }
        };
        let parcels = split_parcels(&body).ok_or_else(|| {
            ApiError::bad_request("these are no parcels", "are both nodes of this version?")
        })?;
        let (answer, last) = keep(&to, &caller.who, &parcels);
        if let Some(copied) = &events.copied {
            let is_late = last.is_some_and(|last| crate::access::now().0 - last.0 > LATE_US);
            let of = of.as_deref().unwrap_or(OWN);
            copied.heard(of, &caller.who, sent.waiting.unwrap_or(0), is_late);
        }
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
    let of = sent.of.filter(|of| *of != shared.config.id);
    let sources = shared.events.as_ref();
    let found = sources.and_then(|all| Some((all.copied.clone()?, all.store.clone()?)));
    // Before ClickHouse there are no copies, and nothing to tell.
    let Some((copied, own)) = found else {
        return Ok(Json(Introduced::default()));
    };
    let body = crate::body::read_up_to(&shared, body, BODY_BYTES_MAX).await?;
    let gaps: Vec<Gap> = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_request(error.to_string(), "a list of gaps"))?;
    let sick = |error: &dyn std::fmt::Display| {
        ApiError::unavailable(error.to_string(), "see the keeper's log")
    };
    let done = tokio::task::spawn_blocking(move || {
        let (store, had) = match &of {
            None => (own, Vec::new()),
            Some(of) => {
                // If it is not there yet: a copy of nothing, so far.
                let copy = copied.copies.store(of).map_err(|error| sick(&error))?;
                let is_another = match sent.store.filter(|_| *of == caller.who) {
                    Some(store) => copied.has_another(of, &store),
                    None => Ok(false),
                };
                let had = match is_another.map_err(|error| sick(&error))? {
                    true => copy.datasets().into_iter().map(|info| info.name).collect(),
                    false => Vec::new(),
                };
                (copy, had)
            }
        };
        let of = of.as_deref().unwrap_or(OWN);
        let added = copied.add_gaps(of, &caller.who, &gaps);
        added.map_err(|error| sick(&error))?;
        copied.heard(of, &caller.who, sent.waiting.unwrap_or(0), false);
        let identity = store.identity();
        Ok(Json(Introduced {
            store: identity.id.clone(),
            made_at_us: identity.made_at.0,
            had,
        }))
    });
    done.await.unwrap_or_else(|error| Err(sick(&error)))
}

/// Where parcels go at a keeper.
enum To<'e> {
    /// Its own store.
    Store(Arc<Store>),
    /// A copy; whoever watches the own store sees it too.
    Copy(Arc<Store>, Arc<Store>),
    /// The queue before ClickHouse.
    Queue(&'e EventSources),
}

/// Why a parcel is not kept.
enum NotKept {
    Full(String),
    Refused(String),
}

impl From<StoreError> for NotKept {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Disk { .. } | StoreError::Closed => Self::Full(error.to_string()),
            error => Self::Refused(error.to_string()),
        }
    }
}

impl To<'_> {
    fn keep(&self, origin: Origin, parcel: Parcel) -> Result<(), NotKept> {
        let batch = || Batch::of(&parcel.events);
        match self {
            Self::Store(store) => drop(store.append_once(&parcel.dataset, batch(), origin)?),
            Self::Copy(copy, own) => {
                let receipt = copy.append_once(&parcel.dataset, batch(), origin)?;
                if receipt.rows > 0 {
                    own.show(&parcel.dataset, &parcel.events);
                }
            }
            Self::Queue(events) => {
                let Some(spool) = &events.spool else {
                    return Err(NotKept::Full("its queue is sick".to_owned()));
                };
                let shown = events.tails.as_ref().map(|_| parcel.events.clone());
                let id = Some((origin.source, origin.sequence));
                match spool.push(&parcel.dataset, parcel.events, id) {
                    Ok(_) => events.news.notify_one(),
                    Err(error @ SpoolError::Codec(_)) => {
                        return Err(NotKept::Refused(error.to_string()));
                    }
                    Err(error) => return Err(NotKept::Full(error.to_string())),
                }
                if let (Some(tails), Some(shown)) = (&events.tails, shown) {
                    tails.show(&parcel.dataset, &shown);
                }
            }
        }
        Ok(())
    }
}

/// Also says when the last event that was kept happened.
fn keep(to: &To<'_>, who: &str, parcels: &[&[u8]]) -> (ParcelsAnswer, Option<Timestamp>) {
    let mut answer = ParcelsAnswer::default();
    let mut last = None;
    for parcel in parcels {
        let parcel = match Codec::unpack(parcel) {
            Ok(parcel) => parcel,
            Err(error) => {
                answer.refused = Some(error.to_string());
                break;
            }
        };
        let origin = Origin {
            source: origin(who, &parcel.source),
            sequence: parcel.sequence,
        };
        let at = parcel.events.last().map(|event| event.at);
        match to.keep(origin, parcel) {
            Ok(()) => {
                answer.kept += 1;
                last = at;
            }
            Err(NotKept::Full(reason)) => {
                answer.full = Some(reason);
                break;
            }
            Err(NotKept::Refused(reason)) => {
                answer.refused = Some(reason);
                break;
            }
        }
    }
    (answer, last)
}

/// A source's name among those of all nodes. A long one ends with its digest, since the store
/// would cut it and take two for one.
fn origin(who: &str, source: &str) -> String {
    let name = format!("{who}/{source}");
    if name.len() <= SOURCE_BYTES_MAX {
        return name;
    }
    let digest = crate::base32::hex(&crate::base32::sha256(name.as_bytes())[..16]);
    let mut end = SOURCE_BYTES_MAX - 40;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let head = &name[..end];
    format!("{head}~{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::join_parcels;

    #[test]
    fn parcels_are_told_apart_and_long_names_stay_different() {
        let body = join_parcels([b"ab".as_slice(), b"", b"c"].into_iter());
        assert_eq!(split_parcels(&body).unwrap(), [b"ab".as_slice(), b"", b"c"]);
        assert!(split_parcels(&body[..body.len() - 1]).is_none());
        let long = "x".repeat(300);
        let (one, other) = (
            origin("a", &format!("{long}1")),
            origin("a", &format!("{long}2")),
        );
        assert!(one != other && one.len() <= SOURCE_BYTES_MAX);
    }
}
