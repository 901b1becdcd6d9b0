//! Questions about events: read as JSON or text, settled, asked of this node's store and those
//! of others side by side, called off when whoever asked goes away.

use crate::access::{self, Role};
use crate::body;
use crate::copied::OWN;
use crate::error::{ApiError, ErrorDocument};
use crate::events::{EventSources, Keeping, clickhouse_nodes, others_with_events};
use crate::far::{AskedThere, Far, Keeper, NO_COPY, Place, is_away, noted};
use crate::gate::Caller;
use crate::shared::Shared;
use crate::wire::{self, Of, PART_BYTES_MAX, Part};
use andon_model::NodeState;
use andon_model::query::{Answer, Query};
use andon_query::resolve::Plan;
use andon_query::run::asking::Early;
use andon_query::run::embedded::Embedded;
use andon_query::run::{ClickHouseSource, Dataset as _, DatasetError, RunError, Source as _, run};
use andon_query::{Asking, Limits, Problem, Stores, TextError, json};
use andon_store::Cancel;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap};
use serde::Serialize;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Questions at work at once. Each may take two cores and some hundred megabytes.
pub(crate) const QUESTIONS_MAX: usize = 4;
/// Parts of questions that are on their way to other nodes at once.
pub(crate) const PARTS_MAX: usize = 32;
/// Stores that one question is asked of; a grid with more names keepers.
pub(crate) const STORES_MAX: usize = 64;
/// How long a question waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(5);
/// Time for another node's question at most.
const PART_MAX: Duration = Duration::from_secs(15);
/// Memory for another node's question at most.
const PART_MEMORY_MAX: u64 = 128 << 20;

/// A question as text.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[allow(dead_code)] // describes what is read by hand, for better errors
pub(crate) struct TextQuery {
    /// `requests | where status >= 500 | by region, 1m | p99(duration_ms) | last 1h`
    text: String,
}

/// A question in either form.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[allow(dead_code, clippy::large_enum_variant)] // as above; nothing is ever made of it
pub(crate) enum AnyQuery {
    /// As JSON.
    Json(Query),
    /// As text.
    Text(TextQuery),
}

/// Why a question was not understood, with every place that is wrong.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct QueryErrorDocument {
    /// The error.
    error: QueryErrorBody,
}

/// What is wrong, and where.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct QueryErrorBody {
    /// `query`.
    code: String,
    /// The first thing that is wrong.
    message: String,
    /// What to write.
    help: String,
    /// Of a text: the bytes that are meant, from and up to.
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<(usize, usize)>,
    /// Of a document: every field that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<QueryProblem>,
}

/// A field that is wrong.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct QueryProblem {
    /// Its path, such as `calc[0].op`.
    path: String,
    /// What is wrong.
    message: String,
    /// What to write.
    help: Option<String>,
}

/// Why there is no answer.
pub(crate) enum Refused {
    Plain(ApiError),
    Wrong(Vec<Problem>),
    Text(TextError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Plain(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = match self {
            Self::Plain(error) => return error.into_response(),
            Self::Text(error) => {
                let Range { start, end } = error.span;
                QueryErrorBody {
                    code: "query".to_owned(),
                    message: error.message,
                    help: error.help.unwrap_or_default(),
                    span: Some((start, end)),
                    problems: Vec::new(),
                }
            }
            Self::Wrong(problems) => {
                let first = problems.first();
                QueryErrorBody {
                    code: "query".to_owned(),
                    message: first.map(ToString::to_string).unwrap_or_default(),
                    help: first
                        .and_then(|problem| problem.help.clone())
                        .unwrap_or_default(),
                    span: None,
                    problems: problems
                        .into_iter()
                        .map(|problem| QueryProblem {
                            path: problem.path,
                            message: problem.message,
                            help: problem.help,
                        })
                        .collect(),
                }
            }
        };
        let document = Json(QueryErrorDocument { error: body });
        (StatusCode::BAD_REQUEST, document).into_response()
    }
}

/// Asks about events. With `Accept: text/event-stream` what is known so far comes as events
/// `early` (`{"share", "answer"}`), then `answer`, or `error`.
#[utoipa::path(post, path = "/api/v1/query", tag = "events",
    request_body(content = AnyQuery, content_type = "application/json"),
    responses((status = 200, description = "The answer; `partial` where something is missing", body = Answer),
        (status = 400, description = "The question makes no sense", body = QueryErrorDocument),
        (status = 401, description = "A token is needed", body = ErrorDocument),
        (status = 404, description = "No node keeps events", body = ErrorDocument),
        (status = 503, description = "Too many questions at once", body = ErrorDocument)))]
pub(crate) async fn query(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    caller.need(Role::Viewer)?;
    let word = |name| headers.get(name).and_then(|value| value.to_str().ok());
    body::must_be_json(word(header::CONTENT_TYPE))?;
    let body = body::read_up_to(&shared, body, json::JSON_BYTES_MAX).await?;
    let query = read(&body)?;
    let plan = andon_query::resolve(&query, access::now()).map_err(Refused::Wrong)?;
    shared.counters.queries.count();
    if word(header::ACCEPT).is_some_and(|accepted| accepted.starts_with("text/event-stream")) {
        return Ok(streamed(shared, plan));
    }
    Ok(Json(answered(&shared, plan, None).await?).into_response())
}

/// A question in either form.
fn read(body: &[u8]) -> Result<Query, Refused> {
    let value: serde_json::Value = serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(
            format!("the question is no JSON: {error}"),
            "see /api/v1/openapi.json",
        )
    })?;
    match value.get("text") {
        Some(serde_json::Value::String(text))
            if value.as_object().is_some_and(|o| o.len() == 1) =>
        {
            andon_query::parse(text).map_err(Refused::Text)
        }
        _ => json::from_value(value).map_err(Refused::Wrong),
    }
}

/// Calls a question off when whoever waits for it is gone.
pub(crate) struct CancelOnDrop(pub(crate) Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

type Tell = Box<dyn Fn(Early) + Send + Sync>;

/// Asks and waits.
pub(crate) async fn answered(
    shared: &Arc<Shared>,
    plan: Plan,
    tell: Option<Tell>,
) -> Result<Answer, ApiError> {
    let events = shared.events.clone().ok_or_else(super::events::nobody)?;
    let turn = turn(shared).await?;
    let cancel = Cancel::new();
    let _guard = CancelOnDrop(cancel.clone());
    let (others, mut missing) = others(shared, &events);
    missing.extend(on_their_way(
        &events,
        &plan.query.dataset,
        &shared.config.id,
    ));
    let me = shared.config.id.clone();
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let tell = tell
            .as_ref()
            .map(|tell| -> &(dyn Fn(Early) + Sync) { tell.as_ref() });
        let asking = Asking {
            limits: Limits::default(),
            cancel: &cancel,
            tell,
        };
        match others {
            Others::ClickHouse(there) => run(&plan, &there, &asking),
            Others::Stores(others) => match &events.clickhouse {
                Some(clickhouse) => {
                    let source = ClickHouseSource {
                        clickhouse,
                        runtime: Handle::current(),
                    };
                    run(&plan, &source, &asking)
                }
                None => {
                    let keepers = keepers(&events, me, others);
                    run(&plan, &Stores::new(keepers.iter().collect()), &asking)
                }
            },
        }
    });
    let mut answer = match done.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(told(error, &missing)),
        Err(error) => {
            return Err(ApiError::unavailable(
                format!("the question broke down: {error}"),
                "please report it, with the question and the node's log",
            ));
        }
    };
    answer.partial |= !missing.is_empty();
    answer.notes.append(&mut missing);
    Ok(answer)
}

pub(crate) async fn turn(shared: &Shared) -> Result<tokio::sync::OwnedSemaphorePermit, ApiError> {
    let turn = Arc::clone(&shared.questions).acquire_owned();
    match tokio::time::timeout(TURN_MAX, turn).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => {
            shared.counters.queries_refused.count();
            Err(ApiError::unavailable(
                format!("{QUESTIONS_MAX} other questions are being answered"),
                "try again, or ask another node",
            ))
        }
    }
}

/// Whom a question goes to besides this node.
enum Others {
    /// Stores, and the way to them.
    Stores(OtherStores),
    /// Nodes that ask ClickHouse.
    ClickHouse(AskedThere),
}

struct OtherStores {
    /// Stores of other nodes that are to be asked.
    nodes: Vec<andon_model::NodeView>,
    /// Keepers that can be asked for copies.
    holders: Vec<andon_model::NodeView>,
    far: Far,
}

/// This node's store and those of others.
fn keepers(events: &EventSources, me: String, others: OtherStores) -> Vec<Keeper<'_>> {
    let OtherStores {
        nodes,
        holders,
        far,
    } = others;
    let keeper = |place| Keeper {
        place,
        holders: holders.clone(),
        copied: events.copied.clone(),
        far: far.clone(),
    };
    let own = events.store.as_deref();
    let own = own.map(|store| Place::Here(Embedded { label: me, store }));
    let copies = events.copied.iter().flat_map(|copied| copied.copies.all());
    let left = copies.filter(|(name, _)| !far.known.contains(name));
    let left = left.map(|(name, store)| Place::Left(name, store));
    let there = nodes.into_iter().map(|node| Place::There(Box::new(node)));
    own.into_iter()
        .chain(there)
        .chain(left)
        .map(keeper)
        .collect()
}

/// Events of this node that should be where they are kept already.
fn on_their_way(events: &EventSources, dataset: &str, me: &str) -> Option<String> {
    let late = events.spool.as_ref()?.late(dataset);
    let to = match events.clickhouse {
        Some(_) => "ClickHouse",
        None => "a keeper",
    };
    (late > 0).then(|| format!("{late} events of {me} are on their way to {to}"))
}

/// Other nodes to ask, and which of those that hold events cannot be.
fn others(shared: &Arc<Shared>, events: &EventSources) -> (Others, Vec<String>) {
    let view = shared.view.borrow().clone();
    let mut missing = Vec::new();
    let mut known = BTreeSet::from([view.me.clone()]);
    let (mut nodes, mut beyond) = (Vec::new(), 0);
    let all: Vec<_> = match events.clickhouse {
        Some(_) => Vec::new(),
        None => others_with_events(&view),
    };
    let is_keeper = |node: &andon_model::NodeView| Keeping::of(node) == Some(Keeping::Keeper);
    let holders = all.iter().filter(|node| is_keeper(node) && !is_away(node));
    let holders: Vec<_> = holders.map(|node| (*node).clone()).collect();
    let may_have_copies = !holders.is_empty() || events.copied.is_some();
    for node in all {
        let has_copies = is_keeper(node) && may_have_copies;
        if node.state == NodeState::Left && !has_copies {
            continue;
        }
        if node.state == NodeState::Down && !has_copies {
            missing.push(format!("{} is away, and its events are missing", node.id));
        } else if nodes.len() >= STORES_MAX {
            beyond += 1;
        } else if node.state == NodeState::Left {
            // Whoever has a copy of it adds that to its own.
        } else {
            known.insert(node.id.clone());
            nodes.push(node.clone());
        }
    }
    let far = Far {
        shared: Arc::clone(shared),
        runtime: Handle::current(),
        known: Arc::new(known),
    };
    if events.clickhouse.is_none() {
        let there: Vec<_> = clickhouse_nodes(&view).into_iter().cloned().collect();
        if !there.is_empty() {
            let there = AskedThere { nodes: there, far };
            return (Others::ClickHouse(there), Vec::new());
        }
    }
    // The picture of a node that was just started may not have it yet.
    let keeper = events.spool.as_ref();
    let keeper = keeper.and_then(|spool| spool.keeper(andon_spool::Lane::Main));
    if let Some(keeper) = keeper
        && events.clickhouse.is_none()
        && !view.nodes.iter().any(|node| node.id == keeper)
    {
        missing.push(format!(
            "{keeper}, to which events of this node go, is not in the grid at present"
        ));
    }
    if beyond > 0 {
        missing.push(format!(
            "{beyond} more nodes keep events of their own and were not asked; name a few keepers with keep = true in [store]"
        ));
    }
    let stores = OtherStores {
        nodes,
        holders,
        far,
    };
    (Others::Stores(stores), missing)
}

fn told(error: RunError, missing: &[String]) -> ApiError {
    match error {
        RunError::Cancelled => ApiError::unavailable("the question was called off", "ask again"),
        RunError::Failed {
            label,
            reason,
            help,
        } => ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "store",
            format!("{label} cannot answer: {reason}"),
            help,
        ),
        RunError::Nobody => match missing.first() {
            None => ApiError::new(
                StatusCode::NOT_FOUND,
                "no_events",
                "no node of this grid keeps events",
                "set keep = true in [store] of one node's configuration",
            ),
            Some(first) => ApiError::unavailable(
                first.clone(),
                "look why it is down; what is sent meanwhile waits for it",
            ),
        },
    }
}

/// What is known so far, and the answer, as a stream of events.
fn streamed(shared: Arc<Shared>, plan: Plan) -> Response {
    let (events_tx, events) = mpsc::channel::<Bytes>(4);
    let asking = async move {
        let early_tx = events_tx.clone();
        let tell: Tell = Box::new(move |early: Early| {
            let document = serde_json::json!({"share": early.share, "answer": early.answer});
            // Who is slow misses some of them.
            let _ = early_tx.try_send(event("early", &document));
        });
        let last = match answered(&shared, plan, Some(tell)).await {
            Ok(answer) => event("answer", &answer),
            Err(error) => {
                let document = serde_json::json!({
                    "code": error.code, "message": error.message, "help": error.help
                });
                event("error", &document)
            }
        };
        let _ = events_tx.send(last).await;
    };
    // The question lives in the stream: whoever drops the stream drops it.
    let states = (Box::pin(asking), events, false);
    let stream = stream::unfold(states, |(mut asking, mut events, mut is_done)| async move {
        loop {
            tokio::select! {
                biased;
                event = events.recv() => {
                    let event = event?;
                    return Some((Ok::<_, Infallible>(event), (asking, events, is_done)));
                }
                () = &mut asking, if !is_done => is_done = true,
            }
        }
    });
    event_stream(Body::from_stream(stream))
}

/// An answer that goes on.
pub(crate) fn event_stream(body: Body) -> Response {
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (head, body).into_response()
}

/// One event of a stream.
pub(crate) fn event(name: &str, document: &impl Serialize) -> Bytes {
    let json = serde_json::to_string(document).unwrap_or_default();
    format!("event: {name}\ndata: {json}\n\n").into()
}

/// A part of another node's question: what this node's own store finds, or a copy that it
/// holds, or ClickHouse. For nodes alone.
pub(crate) async fn part(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    caller.need_node("ask at /api/v1/query")?;
    let events = shared.events.clone().ok_or_else(super::events::nobody)?;
    let body = body::read_up_to(&shared, body, PART_BYTES_MAX).await?;
    let turn = turn(&shared).await?;
    shared.counters.query_parts.count();
    let cancel = Cancel::new();
    let _guard = CancelOnDrop(cancel.clone());
    let me = shared.config.id.clone();
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let part: Part = wire::unpack(&body).map_err(|error| bad(&error))?;
        let limits = Limits {
            time_max: Duration::from_millis(part.time_ms).min(PART_MAX),
            bytes_max: usize::try_from(part.bytes_max.min(PART_MEMORY_MAX)).unwrap_or(0),
            ..Limits::default()
        };
        let of = part.of.clone();
        find(&events, &of, &me, &part.query(), &limits, &cancel)
    });
    let packed = done.await.unwrap_or_else(|error| {
        Err(ApiError::unavailable(
            error.to_string(),
            "see the node's log",
        ))
    })?;
    Ok(Response::new(Body::new(Full::new(Bytes::from(packed)))))
}

fn bad(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::bad_request(error.to_string(), "are both nodes of this version?")
}

fn find(
    events: &EventSources,
    of: &Of,
    me: &str,
    query: &andon_store::ResolvedQuery,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Vec<u8>, ApiError> {
    let none = || ApiError::not_found("this node keeps no events", "is its configuration new?");
    let failed = |error: DatasetError| match error {
        DatasetError::Cancelled => ApiError::unavailable("called off", "ask again"),
        DatasetError::Failed { reason, help } => {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "store", reason, help)
        }
    };
    let scan = |label: &str, store: &andon_store::Store| {
        let embedded = Embedded {
            label: label.to_owned(),
            store,
        };
        embedded.scan(query, limits, cancel, None).map_err(failed)
    };
    let copied = events.copied.as_ref();
    let lacks = |of: &str| copied?.lacks(of, &query.dataset, query.from.0, query.to.0);
    match of {
        Of::ClickHouse => {
            let clickhouse = events.clickhouse.as_ref().ok_or_else(none)?;
            let source = ClickHouseSource {
                clickhouse,
                runtime: Handle::current(),
            };
            let asking = Asking {
                limits: *limits,
                cancel,
                tell: None,
            };
            let answer = source.answer(query, &asking);
            let mut answer = answer.map_err(|error| told(error, &[]))?;
            if let Some(late) = on_their_way(events, &query.dataset, me) {
                answer.partial = true;
                answer.notes.push(late);
            }
            wire::pack(&answer).map_err(|error| bad(&error))
        }
        Of::Copy(name) => {
            let store = copied.and_then(|copied| copied.copies.get(name));
            let store =
                store.ok_or_else(|| ApiError::not_found("it has no copy of that", NO_COPY))?;
            let found = scan(name, &store)?;
            wire::pack_answer(found, lacks(name)).map_err(|error| bad(&error))
        }
        Of::Own { known } => {
            let store = events.store.as_deref().ok_or_else(none)?;
            let mut found = scan(me, store)?;
            // A node of an earlier version knows of no copies, and asks for none.
            let copies = copied.map(|copied| copied.copies.all()).unwrap_or_default();
            for (name, store) in copies {
                if !known.is_empty() && !known.contains(&name) && name != me {
                    let copy = scan(&name, &store)?;
                    found.merge(noted(copy, lacks(&name), &name));
                }
            }
            wire::pack_answer(found, lacks(OWN)).map_err(|error| bad(&error))
        }
    }
}
