//! Live tail: events as they are kept, for whoever watches. A watcher who is slow is told how
//! many were missed.

use super::query::{Refused, event, event_stream};
use crate::access::{self, Role};
use crate::error::{ApiError, ErrorDocument};
use crate::gate::Caller;
use crate::shared::Shared;
use andon_model::event::{Event, is_dataset_name};
use andon_query::Predicate;
use andon_store::{Tail, Tailed};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Tails at once; each holds a thread that mostly sleeps.
pub(crate) const TAILS_MAX: usize = 16;
/// Silence after which a sign of life is sent.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often a sleeping thread looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Events that wait for a slow client.
const WAITING_MAX: usize = 256;

/// What to watch.
#[derive(Debug, Deserialize)]
pub(crate) struct Watched {
    dataset: Option<String>,
    q: Option<String>,
}

/// Events of a dataset as they are kept at this node: `event` with the record as JSON, `missed`
/// with a number where they came faster than they were read, `heartbeat` every few seconds.
#[utoipa::path(get, path = "/api/v1/tail", tag = "events",
    params(("dataset" = String, Query, description = "What to watch"),
        ("q" = Option<String>, Query, description = "Conditions as in a question's text: `status >= 500 and zone = a`")),
    responses((status = 200, description = "A stream of events", body = String, content_type = "text/event-stream"),
        (status = 400, description = "The conditions make no sense", body = super::query::QueryErrorDocument),
        (status = 404, description = "This node keeps no events", body = ErrorDocument),
        (status = 503, description = "Too many watch already", body = ErrorDocument)))]
pub(crate) async fn tail(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    query: Result<Query<Watched>, QueryRejection>,
) -> Result<Response, Refused> {
    caller.need(Role::Viewer)?;
    let watched = query.map(|Query(watched)| watched);
    let watched = watched
        .map_err(|_| ApiError::bad_request("the question cannot be read", "use dataset= and q="))?;
    let dataset = watched.dataset.unwrap_or_default();
    if !is_dataset_name(&dataset) {
        let error = ApiError::bad_request("no dataset is named", "use dataset=NAME");
        return Err(error.into());
    }
    let predicate = predicate(&dataset, watched.q.as_deref())?;
    let (store, tails) = match &shared.events {
        Some(events) => (events.store.clone(), events.tails.clone()),
        None => (None, None),
    };
    if store.is_none() && tails.is_none() {
        return Err(ApiError::not_found(
            "this node keeps no events itself",
            "watch at a node that does, see the label andon.store",
        )
        .into());
    }
    let full = || {
        shared.counters.tails_refused.count();
        ApiError::unavailable(
            "too many watch already",
            "close another tail, or ask another node",
        )
    };
    let place = Arc::clone(&shared.tails)
        .try_acquire_owned()
        .map_err(|_| full())?;
    let tail = match (&store, &tails) {
        (Some(store), _) => store.tail(&dataset),
        (None, Some(tails)) => tails.watch(&dataset),
        (None, None) => None,
    };
    let tail = tail.ok_or_else(full)?;
    let (events_tx, events) = mpsc::channel(WAITING_MAX);
    tokio::task::spawn_blocking(move || follow(&tail, &predicate, &events_tx, place));
    let stream = stream::unfold(events, |mut events| async move {
        let bytes: Bytes = match tokio::time::timeout(HEARTBEAT, events.recv()).await {
            Ok(received) => received?,
            Err(_) => {
                let now = access::now().to_string();
                event("heartbeat", &serde_json::json!({"generated_at": now}))
            }
        };
        Some((Ok::<_, Infallible>(bytes), events))
    });
    Ok(event_stream(Body::from_stream(stream)))
}

fn predicate(dataset: &str, conditions: Option<&str>) -> Result<Predicate, Refused> {
    let conditions = conditions.map(str::trim).unwrap_or_default();
    let wrong = |reason: String| {
        ApiError::bad_request(reason, "conditions as in: status >= 500 and zone = a")
    };
    if conditions.is_empty() {
        return Predicate::new(&[]).map_err(|reason| wrong(reason).into());
    }
    let before = format!("{dataset} | where ");
    let text = format!("{before}{conditions}");
    let query = andon_query::parse(&text).map_err(|mut error| {
        // The place is meant in what was sent.
        error.span.start = error.span.start.saturating_sub(before.len());
        error.span.end = error.span.end.saturating_sub(before.len());
        Refused::Text(error)
    })?;
    let plan = andon_query::resolve(&query, access::now()).map_err(Refused::Wrong)?;
    Ok(Predicate::new(&plan.query.filters).map_err(wrong)?)
}

/// On a thread that may wait.
fn follow(
    tail: &Tail,
    predicate: &Predicate,
    events: &mpsc::Sender<Bytes>,
    _place: OwnedSemaphorePermit,
) {
    while !events.is_closed() {
        let mut missed = tail.missed();
        match tail.next(LOOK_EVERY) {
            Tailed::Ended => return,
            Tailed::Quiet => {}
            Tailed::Events(batch) => {
                for record in batch.iter().filter(|record| predicate.matches(record)) {
                    if events.try_send(event("event", &document(record))).is_err() {
                        missed += 1;
                    }
                }
            }
        }
        if missed > 0 {
            let told = event("missed", &serde_json::json!({"missed": missed}));
            // Waits until there is room: that something is missing is not missed.
            if events.blocking_send(told).is_err() {
                return;
            }
        }
    }
}

/// A record as it is sent: `ts` and its attributes.
pub(crate) fn document(record: &Event) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("ts".to_owned(), Value::String(record.at.to_string()));
    for (key, value) in &record.attributes {
        let value = serde_json::to_value(value).unwrap_or_default();
        document.insert(key.clone(), value);
    }
    document
}
