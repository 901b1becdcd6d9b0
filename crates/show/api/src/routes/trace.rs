//! Traces that people ask for: from this node, or from another, which is then asked in their
//! name. A node that is asked by a node traces itself or says no: questions go one hop.

use crate::body;
use crate::error::{ApiError, ErrorDocument};
use crate::gate::{Caller, Proof};
use crate::peer::{ASKED_BY, Question};
use crate::relay;
use crate::shared::Shared;
use crate::sources::{ApiCommand, TRACE_FLOWS_MAX};
use crate::trace::TraceDocument;
use andon_model::NodeKind;
use andon_model::id::{is_plain_text, to_plain_text};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{self, HeaderMap};
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Time that the node is given: thirty distances with retries, paced for routers' limits.
const TRACE_MAX: Duration = Duration::from_secs(14);

/// Time for another node's trace, a little more than it has itself.
const FAR_TRACE_MAX: Duration = Duration::from_secs(16);

/// Flows of a trace that does not say.
const FLOWS_DEFAULT: u16 = 16;

/// Longest destination: a DNS name.
const TO_BYTES_MAX: usize = 253;

/// Longest name of the person behind a node's question.
const ASKED_BY_BYTES_MAX: usize = 160;

/// What to trace.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TraceRequest {
    /// Where to: id of a node or target, a host or an address.
    to: String,
    /// Id of the node to trace from; absent: the one that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Flows to trace, 1..=64; absent: 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flows: Option<u16>,
}

/// Traces the ways of several flows to a node, target, host or address. For operators; at most
/// 2 at once and 30 a minute each.
#[utoipa::path(post, path = "/api/v1/trace", tag = "picture", request_body = TraceRequest,
    responses((status = 200, description = "The ways that the flows take", body = TraceDocument),
        (status = 400, description = "Not to be traced", body = ErrorDocument),
        (status = 401, description = "A token is needed", body = ErrorDocument),
        (status = 403, description = "Not an operator", body = ErrorDocument),
        (status = 404, description = "No node has the id in `from`", body = ErrorDocument),
        (status = 421, description = "A node asks for a trace that another should make", body = ErrorDocument),
        (status = 422, description = "Nothing of this name can be traced", body = ErrorDocument),
        (status = 429, description = "Too many traces", body = ErrorDocument),
        (status = 502, description = "The other node could not be asked", body = ErrorDocument),
        (status = 503, description = "The node did not find time", body = ErrorDocument)))]
pub(crate) async fn trace(
    State(shared): State<Arc<Shared>>,
    mut caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    if caller.proof == Proof::Node {
        caller.who = in_whose_name(&caller, &headers)?;
    } else {
        caller.need_to_act(&shared)?;
    }
    let asked: TraceRequest = body::json(&shared, &headers, body).await?;
    let flows = check(&asked)?;
    shared.counters.traces.count();

    let view = shared.view.borrow().clone();
    let from = asked.from.clone().unwrap_or_else(|| view.me.clone());
    let far = if from == view.me {
        None
    } else if caller.proof == Proof::Node {
        return Err(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "not_mine",
            "this node traces from itself alone when a node asks",
            "ask the node that the trace is to start from",
        ));
    } else {
        let mut nodes = view.nodes.iter();
        let known = nodes.find(|node| node.id == from && node.kind == NodeKind::Andon);
        Some(known.ok_or_else(|| super::grid::no_node(&shared))?)
    };

    let what = format!("{from} {} {flows}", asked.to);
    let turn = shared
        .turns
        .take(Instant::now(), &caller.who, &what)
        .map_err(|full| {
            shared.counters.traces_refused.count();
            ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "traces",
                full.words(),
                "wait until they are over, or a minute",
            )
        })?;
    if turn.is_new {
        let detail = format!("from {from}, {flows} flows; repeats within 10 min are not listed");
        shared
            .record(&caller, "trace.run", &asked.to, &detail)
            .await?;
        turn.recorded(Instant::now());
    }
    match far {
        None => Ok(Json(own(&shared, asked.to, flows).await?).into_response()),
        Some(node) => {
            let asked = TraceRequest {
                from: Some(from),
                flows: Some(flows),
                ..asked
            };
            let question = Question {
                method: Method::POST,
                path: "/api/v1/trace",
                body: serde_json::to_vec(&asked).unwrap_or_default().into(),
                asked_by: Some(&caller.named()),
                limit: FAR_TRACE_MAX,
                bytes_max: crate::peer::ANSWER_BYTES_MAX,
            };
            let (status, body) = relay::ask(&shared, node, &question).await?;
            if status != StatusCode::OK {
                return Err(relay::refusal(node, status, &body));
            }
            // Checked, then passed on as it came: a newer node may know more fields.
            serde_json::from_slice::<TraceDocument>(&body).map_err(|error| {
                ApiError::new(
                    StatusCode::BAD_GATEWAY,
                    "far_node",
                    format!("{} answered something that is no trace: {error}", node.id),
                    "is it of about this version?",
                )
            })?;
            Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
        }
    }
}

/// `ann@10.0.0.1 through web-1`, which is what is recorded and limited.
fn in_whose_name(caller: &Caller, headers: &HeaderMap) -> Result<String, ApiError> {
    let named = headers.get(ASKED_BY).and_then(|who| who.to_str().ok());
    let who = to_plain_text(named.unwrap_or_default(), ASKED_BY_BYTES_MAX);
    if who.is_empty() {
        return Err(ApiError::bad_request(
            "a node asks in nobody's name",
            "say who wants it in the header andon-asked-by",
        ));
    }
    Ok(format!("{who} through {}", caller.who))
}

/// Whether it can be traced at all; the number of flows.
fn check(asked: &TraceRequest) -> Result<u16, ApiError> {
    let fits = |text: &str| {
        !text.is_empty() && is_plain_text(text, TO_BYTES_MAX) && !text.contains(char::is_whitespace)
    };
    if !fits(&asked.to) || !asked.from.as_deref().is_none_or(fits) {
        return Err(ApiError::bad_request(
            "that is no destination",
            "name a node, a target, a host or an address in \"to\", and a node in \"from\"",
        ));
    }
    let flows = asked.flows.unwrap_or(FLOWS_DEFAULT);
    if !(1..=TRACE_FLOWS_MAX).contains(&flows) {
        return Err(ApiError::bad_request(
            format!("a trace has 1 to {TRACE_FLOWS_MAX} flows, not {flows}"),
            "8 flows find both of two equal paths, 21 all of four, 51 all of eight",
        ));
    }
    Ok(flows)
}

async fn own(shared: &Shared, to: String, flows: u16) -> Result<serde_json::Value, ApiError> {
    let busy = || {
        ApiError::unavailable(
            "the node did not find time for the trace",
            "try again in a second",
        )
    };
    let (reply, answer) = oneshot::channel();
    shared
        .commands
        .try_send(ApiCommand::Trace { to, flows, reply })
        .map_err(|_| busy())?;
    match tokio::time::timeout(TRACE_MAX, answer).await {
        Ok(Ok(Ok(document))) => Ok(document),
        Ok(Ok(Err(reason))) => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "trace",
            reason,
            "name a node, a target, a host or an address",
        )),
        Ok(Err(_)) | Err(_) => Err(busy()),
    }
}
