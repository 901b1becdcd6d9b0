//! One node, one link, and who is asking.

use crate::access::Role;
use crate::error::ApiError;
use crate::gate::{Caller, Proof};
use crate::peer::Question;
use crate::relay;
use crate::shared::Shared;
use crate::sources::ApiCommand;
use andon_model::{LinkView, NodeView};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Time that the node itself is given to describe a link; it holds the answer in memory.
const DETAIL_MAX: Duration = Duration::from_secs(2);

/// Who answers, and who asks.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Me {
    /// Id of the answering node.
    id: String,
    /// Its site.
    site: String,
    /// Version of its program.
    version: String,
    /// Seconds since it started.
    uptime_s: u64,
    /// What the caller may do.
    role: Option<Role>,
    /// Who the caller is: a token's name, a node's id, `loopback`.
    user: String,
    /// How the caller proved it: `loopback`, `token`, `session`, `node`.
    proof: &'static str,
    /// Whether `/api/v1/demo` answers.
    demo: bool,
    /// Whether GridBug's calls are answered.
    gridbug: bool,
    /// How to get more rights.
    tokens: &'static str,
}

/// The answering node and the caller's rights on it.
#[utoipa::path(get, path = "/api/v1/me", tag = "people",
    responses((status = 200, description = "Who answers and who asks", body = Me)))]
pub(crate) async fn me(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Json<Me>, ApiError> {
    caller.need(Role::Viewer)?;
    let config = &shared.config;
    Ok(Json(Me {
        id: config.id.clone(),
        site: config.site.clone(),
        version: config.version.clone(),
        uptime_s: shared.started.elapsed().as_secs(),
        role: caller.role,
        user: caller.who,
        proof: match caller.proof {
            Proof::None => "none",
            Proof::Loopback => "loopback",
            Proof::Token => "token",
            Proof::Session(_) => "session",
            Proof::Node => "node",
        },
        demo: config.demo_control.is_some(),
        gridbug: shared.gridbug.is_some(),
        tokens: "andon token create --role operator --expires 30d",
    }))
}

/// A node with its links and the verdicts about it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct NodeDocument {
    /// The node.
    node: NodeView,
    /// Links that it observes.
    links_from: Vec<LinkView>,
    /// Links towards it.
    links_to: Vec<LinkView>,
    /// Verdicts that name it.
    #[schema(value_type = Vec<andon_model::Verdict>)]
    verdicts: Vec<andon_model::Verdict>,
}

/// One node with its links and the verdicts that name it.
#[utoipa::path(get, path = "/api/v1/nodes/{id}", tag = "picture",
    params(("id" = String, Path, description = "Id of a node, neighbour or target")),
    responses((status = 200, description = "The node", body = NodeDocument),
        (status = 404, description = "No such node", body = crate::error::ErrorDocument)))]
pub(crate) async fn node(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<NodeDocument>, ApiError> {
    caller.need(Role::Viewer)?;
    let view = shared.view.borrow().clone();
    let node = view
        .nodes
        .iter()
        .find(|node| node.id == id)
        .ok_or_else(|| no_node(&shared))?;
    let about = |verdict: &&andon_model::Verdict| {
        verdict.subject == id
            || verdict.from.as_ref() == Some(&id)
            || verdict.to.as_ref() == Some(&id)
    };
    Ok(Json(NodeDocument {
        node: node.clone(),
        links_from: view
            .links
            .iter()
            .filter(|link| link.from == id)
            .cloned()
            .collect(),
        links_to: view
            .links
            .iter()
            .filter(|link| link.to == id)
            .cloned()
            .collect(),
        verdicts: view.verdicts.iter().filter(about).cloned().collect(),
    }))
}

pub(super) fn no_node(shared: &Shared) -> ApiError {
    let view = shared.view.borrow();
    let some: Vec<&str> = view
        .nodes
        .iter()
        .map(|node| node.id.as_str())
        .take(10)
        .collect();
    ApiError::not_found(
        "no node of this id is in the picture",
        format!("ids in the picture: {}", some.join(", ")),
    )
}

/// One link in detail, from the node that observes it: its flows and latest samples.
#[utoipa::path(get, path = "/api/v1/links/{from}/{to}", tag = "picture",
    params(("from" = String, Path, description = "Id of the observer"), ("to" = String, Path, description = "Id of the far end")),
    responses((status = 200, description = "The observer's own record of the link", body = Object),
        (status = 404, description = "No such link", body = crate::error::ErrorDocument),
        (status = 502, description = "The observer could not be asked", body = crate::error::ErrorDocument)))]
pub(crate) async fn link(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((from, to)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.need(Role::Viewer)?;
    let view = shared.view.borrow().clone();
    if from == view.me {
        return Ok(Json(own_link(&shared, to).await?).into_response());
    }
    if caller.proof == Proof::Node {
        return Err(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "not_mine",
            "another node observes this link",
            "ask that node",
        ));
    }
    let observer = view
        .nodes
        .iter()
        .find(|node| node.id == from)
        .ok_or_else(|| no_node(&shared))?;
    if !view
        .links
        .iter()
        .any(|link| link.from == from && link.to == to)
    {
        return Err(no_link());
    }
    ask_observer(&shared, observer, &to).await
}

fn no_link() -> ApiError {
    ApiError::not_found(
        "no such link is in the picture",
        "see links in /api/v1/picture for those that are",
    )
}

async fn own_link(shared: &Shared, to: String) -> Result<serde_json::Value, ApiError> {
    let busy = || {
        ApiError::unavailable(
            "the node did not find time to describe the link",
            "try again in a second",
        )
    };
    let (reply, answer) = oneshot::channel();
    shared
        .commands
        .try_send(ApiCommand::LinkDetail { to, reply })
        .map_err(|_| busy())?;
    let answer = tokio::time::timeout(DETAIL_MAX, answer)
        .await
        .map_err(|_| busy())?
        .map_err(|_| busy())?;
    answer.ok_or_else(no_link)
}

async fn ask_observer(
    shared: &Shared,
    observer: &NodeView,
    to: &str,
) -> Result<Response, ApiError> {
    let path = format!("/api/v1/links/{}/{}", encoded(&observer.id), encoded(to));
    match relay::ask(shared, observer, &Question::get(&path)).await? {
        (StatusCode::OK, body) => {
            Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
        }
        (StatusCode::NOT_FOUND, _) => Err(no_link()),
        (status, body) => Err(relay::refusal(observer, status, &body)),
    }
}

/// A path segment; ids that others chose may hold anything.
fn encoded(segment: &str) -> String {
    use std::fmt::Write as _;
    segment.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}
