//! Events on their way: what waits on this node, and what other nodes bring to a keeper.

use crate::access::Role;
use crate::error::{ApiError, ErrorDocument};
use crate::events::{ParcelsAnswer, split_parcels};
use crate::gate::Caller;
use crate::shared::Shared;
use andon_spool::{Codec, StreamReport};
use andon_store::{Batch, Origin, SOURCE_BYTES_MAX, Store, StoreError};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bodies with parcels that are taken at once. Each is unpacked in memory.
pub(crate) const PARCELS_MAX: usize = 4;
/// Bytes of one body at most.
const BODY_BYTES_MAX: usize = 80 << 20;

/// A queue of events that wait for a keeper.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct QueueDocument {
    /// Its stream: a dataset.
    stream: String,
    /// Events that wait.
    events: u64,
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
}

impl From<StreamReport> for QueueDocument {
    fn from(report: StreamReport) -> Self {
        Self {
            stream: report.stream,
            events: report.events,
            bytes: report.bytes,
            bytes_max: report.bytes_max,
            policy: report.policy,
            priority: report.priority,
            pushed: report.pushed,
            arrived: report.arrived,
            refused: report.refused,
            dropped: report.dropped,
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

/// Takes what another node had queued. For nodes alone. Answers once it is on disk.
pub(crate) async fn parcels(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Json<ParcelsAnswer>, ApiError> {
    caller.need_node("send to /api/v1/events")?;
    let store = shared
        .events
        .as_ref()
        .and_then(|events| events.store.clone());
    let store = store.ok_or_else(|| {
        ApiError::unavailable(
            "this node keeps no events",
            "is its store sick? see its log",
        )
    })?;
    let place = shared.parcels.clone().acquire_owned().await;
    let body = crate::body::read_up_to(&shared, body, BODY_BYTES_MAX).await?;
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        let parcels = split_parcels(&body)?;
        Some(keep(&store, &caller.who, &parcels))
    });
    match done.await {
        Ok(Some(answer)) => Ok(Json(answer)),
        Ok(None) => Err(ApiError::bad_request(
            "these are no parcels",
            "are both nodes of this version?",
        )),
        Err(error) => Err(ApiError::unavailable(
            error.to_string(),
            "see the node's log",
        )),
    }
}

fn keep(store: &Store, who: &str, parcels: &[&[u8]]) -> ParcelsAnswer {
    let mut answer = ParcelsAnswer::default();
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
        match store.append_once(&parcel.dataset, Batch::of(&parcel.events), origin) {
            Ok(_) => answer.kept += 1,
            Err(error @ (StoreError::Disk { .. } | StoreError::Closed)) => {
                answer.full = Some(error.to_string());
                break;
            }
            Err(error) => {
                answer.refused = Some(error.to_string());
                break;
            }
        }
    }
    answer
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
