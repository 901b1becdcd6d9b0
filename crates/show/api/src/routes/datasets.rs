//! What is known of the data: datasets, their keys, values of a key. For completion, so it is
//! quick and bounded; of several stores all are asked, and who is slow is left out.

use super::query::turn;
use crate::access::{self, Role};
use crate::error::{ApiError, ErrorDocument};
use crate::events::{EventSources, clickhouse_nodes, others_with_events};
use crate::far::is_away;
use crate::gate::Caller;
use crate::peer::{ANSWER_MAX, Question};
use crate::relay;
use crate::shared::Shared;
use crate::wire::{self, PART_BYTES_MAX};
use andon_model::event::{Value, is_dataset_name};
use andon_model::{NodeView, Timestamp};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where a node tells another what its store knows.
pub(crate) const PART_PATH: &str = "/api/v1/datasets/part";
/// Stores that are asked for a completion.
const STORES_MAX: usize = 16;
/// Values told unless asked for otherwise.
pub(crate) const VALUES: usize = 50;
/// Values told at most.
const VALUES_MAX: usize = 1_000;
/// Keys told at most.
const KEYS_MAX: usize = 10_000;

/// One dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct DatasetDocument {
    /// What it is called.
    pub(crate) name: String,
    /// Events in it; 0 where that is not known.
    pub(crate) rows: u64,
    /// Bytes on disk.
    bytes: u64,
    /// Its oldest event.
    #[schema(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Its newest event.
    #[schema(value_type = Option<String>)]
    to: Option<Timestamp>,
}

/// One key of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct KeyDocument {
    /// What it is called.
    pub(crate) name: String,
    /// Types that its values have: `bool`, `integer`, `float`, `text`.
    pub(crate) types: Vec<String>,
    /// Events that have it; 0 where that is not known.
    pub(crate) rows: u64,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Asked {
    Datasets,
    Keys(String),
    Values {
        dataset: String,
        key: String,
        prefix: String,
        limit: usize,
    },
}

/// What is to be told of whose events.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Request {
    asked: Asked,
    /// Of what the node has itself.
    own: bool,
    /// Of what it has copies, of keepers that cannot be asked.
    copies_of: BTreeSet<String>,
}

/// What is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Known {
    Datasets(Vec<DatasetDocument>),
    Keys(Vec<KeyDocument>),
    Values(Vec<Value>),
}

/// Which values.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    key: Option<String>,
    prefix: Option<String>,
    limit: Option<usize>,
}

/// All datasets, by name.
#[utoipa::path(get, path = "/api/v1/datasets", tag = "events", operation_id = "list_datasets",
    responses((status = 200, description = "The datasets", body = Vec<DatasetDocument>),
        (status = 404, description = "No node keeps events", body = ErrorDocument)))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Json<Vec<DatasetDocument>>, ApiError> {
    caller.need(Role::Viewer)?;
    let mut all: BTreeMap<String, DatasetDocument> = BTreeMap::new();
    for known in ask_all(&shared, Asked::Datasets).await? {
        let Known::Datasets(datasets) = known else {
            continue;
        };
        for dataset in datasets {
            match all.get_mut(&dataset.name) {
                None => drop(all.insert(dataset.name.clone(), dataset)),
                Some(sum) => {
                    sum.rows += dataset.rows;
                    sum.bytes += dataset.bytes;
                    sum.from = sum.from.into_iter().chain(dataset.from).min();
                    sum.to = sum.to.max(dataset.to);
                }
            }
        }
    }
    Ok(Json(all.into_values().collect()))
}

/// The keys of a dataset, those first that most events have.
#[utoipa::path(get, path = "/api/v1/datasets/{dataset}/keys", tag = "events", operation_id = "list_keys",
    params(("dataset" = String, Path, description = "Its name")),
    responses((status = 200, description = "The keys; none where nobody knows the dataset", body = Vec<KeyDocument>),
        (status = 404, description = "No node keeps events", body = ErrorDocument)))]
pub(crate) async fn keys(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(dataset): Path<String>,
) -> Result<Json<Vec<KeyDocument>>, ApiError> {
    caller.need(Role::Viewer)?;
    check_name(&dataset)?;
    let mut all: BTreeMap<String, KeyDocument> = BTreeMap::new();
    for known in ask_all(&shared, Asked::Keys(dataset)).await? {
        let Known::Keys(keys) = known else { continue };
        for key in keys {
            match all.get_mut(&key.name) {
                None => drop(all.insert(key.name.clone(), key)),
                Some(sum) => {
                    sum.rows += key.rows;
                    sum.types.extend(key.types);
                    sum.types.sort();
                    sum.types.dedup();
                }
            }
        }
    }
    let mut keys: Vec<KeyDocument> = all.into_values().collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.rows));
    keys.truncate(KEYS_MAX);
    Ok(Json(keys))
}

/// Values of a key, of the newest events.
#[utoipa::path(get, path = "/api/v1/datasets/{dataset}/values", tag = "events", operation_id = "list_values",
    params(("dataset" = String, Path, description = "Its name"),
        ("key" = String, Query, description = "The key"),
        ("prefix" = Option<String>, Query, description = "How their text begins"),
        ("limit" = Option<usize>, Query, description = "Values at most, 50 unless said otherwise")),
    responses((status = 200, description = "The values", body = Vec<Object>),
        (status = 400, description = "No key is named", body = ErrorDocument)))]
pub(crate) async fn values(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(dataset): Path<String>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Vec<Value>>, ApiError> {
    caller.need(Role::Viewer)?;
    check_name(&dataset)?;
    let wrong = || ApiError::bad_request("no key is named", "use key=NAME, prefix=TEXT, limit=N");
    let Query(wanted) = query.map_err(|_| wrong())?;
    let key = wanted.key.filter(|key| !key.is_empty()).ok_or_else(wrong)?;
    let limit = wanted.limit.unwrap_or(VALUES).clamp(1, VALUES_MAX);
    let asked = Asked::Values {
        dataset,
        key,
        prefix: wanted.prefix.unwrap_or_default(),
        limit,
    };
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for known in ask_all(&shared, asked).await? {
        if let Known::Values(values) = known {
            all.extend(values.into_iter().map(|value| (value.to_string(), value)));
        }
    }
    Ok(Json(all.into_values().take(limit).collect()))
}

fn check_name(dataset: &str) -> Result<(), ApiError> {
    if is_dataset_name(dataset) {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "that is no dataset's name",
        "letters, digits, - _ and ., begun by a letter or digit, at most 64",
    ))
}

/// What this node's store knows, then what others' do; of keepers that cannot be asked what
/// the copies of theirs tell.
pub(crate) async fn ask_all(shared: &Arc<Shared>, asked: Asked) -> Result<Vec<Known>, ApiError> {
    let events = shared.events.clone().ok_or_else(super::events::nobody)?;
    let view = shared.view.borrow().clone();
    let mut others = match events.clickhouse {
        Some(_) => Vec::new(),
        None => others_with_events(&view),
    };
    others.truncate(STORES_MAX);
    let (mut away, mut there) = (BTreeSet::new(), Vec::new());
    for node in others {
        match is_away(node) {
            true => drop(away.insert(node.id.clone())),
            false => there.push(node.clone()),
        }
    }
    let first = Request {
        asked: asked.clone(),
        own: true,
        copies_of: BTreeSet::new(),
    };
    let mut all = own(shared, &events, first.clone()).await?;
    let answers = ask_others(shared, &there, &first).await;
    for (node, answer) in there.iter().zip(answers) {
        match answer {
            Some(known) => all.extend(known),
            None => drop(away.insert(node.id.clone())),
        }
    }
    if !away.is_empty() {
        there.retain(|node| !away.contains(&node.id));
        let copies = Request {
            asked,
            own: false,
            copies_of: away,
        };
        if events.clickhouse.is_none() {
            all.extend(own(shared, &events, copies.clone()).await?);
        }
        let answers = ask_others(shared, &there, &copies).await;
        all.extend(answers.into_iter().flatten().flatten());
    }
    if events.clickhouse.is_none() {
        // They know the same: one is enough.
        let nodes = clickhouse_nodes(&view).into_iter().take(1).cloned();
        let nodes: Vec<NodeView> = nodes.collect();
        let answers = ask_others(shared, &nodes, &first).await;
        all.extend(answers.into_iter().flatten().flatten());
    }
    Ok(all)
}

/// The same of several nodes at once; in their order.
async fn ask_others(
    shared: &Shared,
    nodes: &[NodeView],
    request: &Request,
) -> Vec<Option<Vec<Known>>> {
    let asked = nodes.iter().map(|node| far(shared, node, request));
    futures_util::future::join_all(asked).await
}

/// What another node's store knows; nothing where it does not answer, completion is no count.
async fn far(shared: &Shared, node: &NodeView, request: &Request) -> Option<Vec<Known>> {
    let question = Question {
        method: Method::POST,
        path: PART_PATH,
        body: serde_json::to_vec(request).ok()?.into(),
        asked_by: None,
        limit: ANSWER_MAX,
        bytes_max: PART_BYTES_MAX,
    };
    let place = shared.parts.acquire().await;
    let (status, body) = relay::ask_in_place(shared, node, &question).await.ok()?;
    drop(place);
    (status == StatusCode::OK).then_some(())?;
    wire::unpack(&body).ok()
}

/// What this node's store knows. For nodes alone.
pub(crate) async fn part(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    caller.need_node("ask at /api/v1/datasets")?;
    let events = shared.events.clone().ok_or_else(super::events::nobody)?;
    let body = crate::body::read(&shared, body).await?;
    let odd = |error: &dyn std::fmt::Display| {
        ApiError::bad_request(error.to_string(), "are both nodes of this version?")
    };
    let request: Request = serde_json::from_slice(&body).map_err(|error| odd(&error))?;
    let known = own(&shared, &events, request).await?;
    let packed = wire::pack(&known).map_err(|error| odd(&error))?;
    Ok(Response::new(Body::new(Full::new(Bytes::from(packed)))))
}

async fn own(
    shared: &Shared,
    events: &EventSources,
    request: Request,
) -> Result<Vec<Known>, ApiError> {
    let Request {
        asked,
        own,
        copies_of,
    } = request;
    if let Some(clickhouse) = &events.clickhouse {
        let failed = |error: andon_clickhouse::ClickHouseError| {
            ApiError::unavailable(error.to_string(), "see the node's log")
        };
        let now = access::now();
        return Ok(vec![match asked {
            Asked::Datasets => {
                let all = clickhouse.extents().await.map_err(failed)?;
                let told = |(name, extent): (String, andon_clickhouse::Extent)| DatasetDocument {
                    name,
                    rows: extent.rows,
                    bytes: extent.bytes,
                    from: extent.from,
                    to: extent.to,
                };
                Known::Datasets(all.into_iter().map(told).collect())
            }
            Asked::Keys(dataset) => {
                let names = clickhouse.keys(&dataset, now).await.map_err(failed)?;
                let unknown = |name| KeyDocument {
                    name,
                    types: Vec::new(),
                    rows: 0,
                };
                Known::Keys(names.into_iter().map(unknown).collect())
            }
            Asked::Values {
                dataset,
                key,
                prefix,
                ..
            } => Known::Values(
                clickhouse
                    .values(&dataset, &key, &prefix, now)
                    .await
                    .map_err(failed)?,
            ),
        }]);
    }
    let Some(store) = events.store.clone() else {
        return Ok(Vec::new());
    };
    let copies = copies_of.iter().filter_map(|name| {
        let copied = events.copied.as_ref()?;
        copied.copies.get(name)
    });
    let own = Some(store).filter(|_| own).into_iter();
    let stores: Vec<_> = own.chain(copies).collect();
    let turn = turn(shared).await?;
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let told = |store| known(store, &asked);
        stores.iter().map(|store| told(store)).collect()
    });
    done.await
        .map_err(|error| ApiError::unavailable(error.to_string(), "see the node's log"))
}

fn known(store: &andon_store::Store, asked: &Asked) -> Known {
    match asked {
        Asked::Datasets => {
            let told = |info: andon_store::DatasetInfo| DatasetDocument {
                name: info.name,
                rows: info.rows,
                bytes: info.bytes,
                from: Some(info.from),
                to: Some(info.to),
            };
            Known::Datasets(store.datasets().into_iter().map(told).collect())
        }
        Asked::Keys(dataset) => {
            let word = |kind: andon_store::KeyType| {
                let word = serde_json::to_value(kind).unwrap_or_default();
                word.as_str().unwrap_or_default().to_owned()
            };
            let told = |info: andon_store::KeyInfo| KeyDocument {
                name: info.name,
                types: info.types.into_iter().map(word).collect(),
                rows: info.rows,
            };
            Known::Keys(store.keys(dataset).into_iter().map(told).collect())
        }
        Asked::Values {
            dataset,
            key,
            prefix,
            limit,
        } => Known::Values(store.values(dataset, key, prefix, (*limit).min(VALUES_MAX))),
    }
}
