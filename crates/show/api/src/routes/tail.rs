//! Live tail: events as they are kept, on whichever node, for whoever watches. A watcher who is
//! slow is told how many were missed.

use super::query::{Refused, event, event_stream};
use super::twins::Twins;
use crate::access::{self, Role};
use crate::error::{ApiError, ErrorDocument};
use crate::events::others_with_events;
use crate::gate::Caller;
use crate::relay;
use crate::shared::Shared;
use andon_model::event::{Event, is_dataset_name};
use andon_model::{NodeState, NodeView};
use andon_query::Predicate;
use andon_store::{Tail, Tailed};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Tails at once; each holds a thread that mostly sleeps.
pub(crate) const TAILS_MAX: usize = 16;
/// Silence after which a sign of life is sent.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often a sleeping thread looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Events that wait for a slow client.
const WAITING_MAX: usize = 256;

/// Where a node tells another what its own store takes in.
pub(crate) const PART_PATH: &str = "/api/v1/tail/part";
/// Other nodes that one tail listens to.
const LISTENED_MAX: usize = 16;
/// Silence after which another node's stream is taken for dead: three signs of life.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How soon a node that broke off is tried again.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);
/// How an event's block begins.
const EVENT_HEAD: &[u8] = b"event: event\ndata: {";
const MISSED_HEAD: &[u8] = b"event: missed\ndata: {";
/// The number of this node's own store among what a tail listens to.
const OWN: usize = 0;
/// Longest event of another node: a text of 256 KiB with all attributes, as JSON.
const FAR_EVENT_BYTES_MAX: usize = 16 << 20;

/// What to watch.
#[derive(Debug, Deserialize)]
pub(crate) struct Watched {
    dataset: Option<String>,
    q: Option<String>,
}

/// Events of a dataset as they are kept, here and at the other nodes that keep some: `watching`
/// with the nodes that are listened to, `event` with the record as JSON, `missed` with a number
/// where they came faster than they were read, `away` and `back` with a node that cannot be
/// listened to for a while, `heartbeat` every few seconds.
#[utoipa::path(get, path = "/api/v1/tail", tag = "events",
    params(("dataset" = String, Query, description = "What to watch"),
        ("q" = Option<String>, Query, description = "Conditions as in a question's text: `status >= 500 and zone = a`")),
    responses((status = 200, description = "A stream of events", body = String, content_type = "text/event-stream"),
        (status = 400, description = "The conditions make no sense", body = super::query::QueryErrorDocument),
        (status = 404, description = "No node keeps events that could be watched", body = ErrorDocument),
        (status = 503, description = "Too many watch already", body = ErrorDocument)))]
pub(crate) async fn tail(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(words): RawQuery,
    query: Result<Query<Watched>, QueryRejection>,
) -> Result<Response, Refused> {
    caller.need(Role::Viewer)?;
    let (dataset, predicate) = watched(query)?;
    let nobody = || {
        ApiError::not_found(
            "no node keeps events that could be watched",
            "set keep = true in [store] of one node's configuration",
        )
    };
    let events = shared.events.clone().ok_or_else(nobody)?;
    let others = match events.clickhouse {
        Some(_) => Vec::new(),
        None => others(&shared),
    };
    if events.store.is_none() && events.tails.is_none() && others.is_empty() {
        return Err(nobody().into());
    }
    let place = place(&shared)?;
    let (events_tx, events_rx) = mpsc::channel(WAITING_MAX);
    let mut nodes: Vec<&str> = others.iter().map(|node| node.id.as_str()).collect();
    if events.store.is_some() || events.tails.is_some() {
        nodes.insert(0, &shared.config.id);
    }
    let watching = event("watching", &serde_json::json!({"nodes": nodes}));
    let _ = events_tx.try_send(watching);
    let path = format!("{PART_PATH}?{}", words.unwrap_or_default());
    let twins = Arc::<Mutex<Twins>>::default();
    for (number, node) in others.into_iter().enumerate() {
        let (shared, path) = (Arc::clone(&shared), path.clone());
        let out = Out {
            events: events_tx.clone(),
            twins: Some((number + 1, Arc::clone(&twins))),
        };
        tokio::spawn(async move {
            tokio::select! {
                () = listen(&shared, &node, &path, &out) => {}
                () = out.events.closed() => {}
            }
        });
    }
    // Of what goes on to ClickHouse, what this node takes in itself.
    let own = match (&events.store, &events.tails) {
        (Some(store), _) => Some(store.tail(&dataset)),
        (None, tails) => tails.as_ref().map(|tails| tails.watch(&dataset)),
    };
    if let Some(tail) = own {
        let tail = tail.ok_or_else(|| full(&shared))?;
        let out = Out {
            events: events_tx,
            twins: Some((OWN, twins)),
        };
        tokio::task::spawn_blocking(move || follow(&tail, &predicate, &out, place));
        return Ok(told(events_rx, None));
    }
    Ok(told(events_rx, Some(place)))
}

/// What this node's own store takes in. For nodes alone.
pub(crate) async fn part(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    query: Result<Query<Watched>, QueryRejection>,
) -> Result<Response, Refused> {
    caller.need_node("watch at /api/v1/tail")?;
    let (dataset, predicate) = watched(query)?;
    let events = shared.events.clone();
    let store = events.and_then(|events| events.store).ok_or_else(|| {
        ApiError::not_found("this node keeps no events", "is its configuration new?")
    })?;
    let place = place(&shared)?;
    let tail = store.tail(&dataset).ok_or_else(|| full(&shared))?;
    let (events_tx, events) = mpsc::channel(WAITING_MAX);
    // Whoever asks for parts sees the whole, and finds what is told twice.
    let out = Out {
        events: events_tx,
        twins: None,
    };
    tokio::task::spawn_blocking(move || follow(&tail, &predicate, &out, place));
    Ok(told(events, None))
}

fn watched(query: Result<Query<Watched>, QueryRejection>) -> Result<(String, Predicate), Refused> {
    let wrong = |_| ApiError::bad_request("the question cannot be read", "use dataset= and q=");
    let Query(watched) = query.map_err(wrong)?;
    let dataset = watched.dataset.unwrap_or_default();
    if !is_dataset_name(&dataset) {
        return Err(ApiError::bad_request("no dataset is named", "use dataset=NAME").into());
    }
    let predicate = predicate(&dataset, watched.q.as_deref())?;
    Ok((dataset, predicate))
}

fn full(shared: &Shared) -> ApiError {
    shared.counters.tails_refused.count();
    ApiError::unavailable(
        "too many watch already",
        "close another tail, or ask another node",
    )
}

fn place(shared: &Shared) -> Result<OwnedSemaphorePermit, ApiError> {
    let place = Arc::clone(&shared.tails).try_acquire_owned();
    place.map_err(|_| full(shared))
}

/// Other nodes to listen to.
fn others(shared: &Shared) -> Vec<NodeView> {
    let view = shared.view.borrow().clone();
    let others = others_with_events(&view).into_iter();
    let here = others.filter(|node| node.state != NodeState::Down);
    here.take(LISTENED_MAX).cloned().collect()
}

/// A stream of what comes, with signs of life; the place is held as long.
fn told(events: mpsc::Receiver<Bytes>, place: Option<OwnedSemaphorePermit>) -> Response {
    let states = (events, place);
    let stream = stream::unfold(states, |(mut events, place)| async move {
        let bytes: Bytes = match tokio::time::timeout(HEARTBEAT, events.recv()).await {
            Ok(received) => received?,
            Err(_) => {
                let now = access::now().to_string();
                event("heartbeat", &serde_json::json!({"generated_at": now}))
            }
        };
        Some((Ok::<_, Infallible>(bytes), (events, place)))
    });
    event_stream(Body::from_stream(stream))
}

/// Where one source of a tail tells its events.
struct Out {
    events: mpsc::Sender<Bytes>,
    /// The source's number, and what the others told.
    twins: Option<(usize, Arc<Mutex<Twins>>)>,
}

impl Out {
    /// Tells an event unless another source did.
    fn tell(&self, told: Bytes) -> Result<(), TrySendError<Bytes>> {
        let is_news = self.twins.as_ref().is_none_or(|(source, twins)| {
            let mut twins = twins.lock().unwrap_or_else(PoisonError::into_inner);
            twins.is_news(*source, &told)
        });
        match is_news {
            true => self.events.try_send(told),
            false => Ok(()),
        }
    }
}

/// Passes on what another node tells of its store, as long as somebody watches.
async fn listen(shared: &Shared, node: &NodeView, path: &str, out: &Out) {
    let events = &out.events;
    let mut is_away = false;
    loop {
        if let Ok((StatusCode::OK, mut heard)) = relay::listen(shared, node, path).await {
            if is_away {
                let back = event("back", &serde_json::json!({"node": node.id}));
                if events.send(back).await.is_err() {
                    return;
                }
                is_away = false;
            }
            let mut split = Split::default();
            while let Ok(Some(piece)) = tokio::time::timeout(SILENCE_MAX, heard.next()).await {
                let Some(told) = split.take(&piece) else {
                    break;
                };
                let mut missed = 0_u64;
                for told in told {
                    let is_event = told.starts_with(EVENT_HEAD);
                    let sent = match is_event {
                        true => out.tell(told),
                        false => events.try_send(told),
                    };
                    match sent {
                        Ok(()) => {}
                        Err(TrySendError::Full(_)) => missed += 1,
                        Err(TrySendError::Closed(_)) => return,
                    }
                }
                if missed > 0 {
                    let told = event("missed", &serde_json::json!({"missed": missed}));
                    if events.send(told).await.is_err() {
                        return;
                    }
                }
            }
        }
        if !is_away {
            is_away = true;
            let away = event("away", &serde_json::json!({"node": node.id}));
            if events.send(away).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// Another node's stream, cut into its events. Only what a tail has is passed on.
#[derive(Default)]
struct Split {
    held: Vec<u8>,
}

impl Split {
    /// The events that are complete; none at all if this is no stream of ours.
    fn take(&mut self, piece: &[u8]) -> Option<Vec<Bytes>> {
        self.held.extend_from_slice(piece);
        let mut told = Vec::new();
        let mut begin = 0;
        let mut look = self.held.len().saturating_sub(piece.len() + 1);
        while let Some(at) = self.held[look..].windows(2).position(|two| two == b"\n\n") {
            let end = look + at + 2;
            let block = &self.held[begin..end];
            let lines = block.iter().filter(|byte| **byte == b'\n').count();
            let is_ours = [EVENT_HEAD, MISSED_HEAD]
                .iter()
                .any(|head| block.starts_with(head));
            if is_ours && lines == 3 {
                told.push(Bytes::copy_from_slice(block));
            }
            (begin, look) = (end, end);
        }
        self.held.drain(..begin);
        (self.held.len() <= FAR_EVENT_BYTES_MAX).then_some(told)
    }
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
fn follow(tail: &Tail, predicate: &Predicate, out: &Out, _place: OwnedSemaphorePermit) {
    let events = &out.events;
    while !events.is_closed() {
        let mut missed = tail.missed();
        match tail.next(LOOK_EVERY) {
            Tailed::Ended => return,
            Tailed::Quiet => {}
            Tailed::Events(batch) => {
                for record in batch.iter().filter(|record| predicate.matches(record)) {
                    if out.tell(event("event", &document(record))).is_err() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_into_its_events_wherever_the_pieces_end_and_nothing_else_passes() {
        let stream = b"event: event\ndata: {\"a\":1}\n\nevent: heartbeat\ndata: {}\n\nevent: watching\ndata: {}\n\nevent: event\ndata: {}\nevent: answer\n\nevent: missed\ndata: {\"missed\":2}\n\n";
        for step in 1..stream.len() {
            let mut split = Split::default();
            let told: Vec<Bytes> = stream
                .chunks(step)
                .flat_map(|piece| split.take(piece).unwrap())
                .collect();
            assert_eq!(told.len(), 2, "{step}");
            assert_eq!(&told[0][..], b"event: event\ndata: {\"a\":1}\n\n");
            assert!(split.held.is_empty());
        }
    }
}
