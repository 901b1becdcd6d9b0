//! Incidents: the list, one of them, and what people add to them. What they add travels in the
//! grid, so that any node may be told.

use crate::access::Role;
use crate::body;
use crate::documents::Which;
use crate::error::{ApiError, ErrorDocument};
use crate::gate::Caller;
use crate::shared::Shared;
use crate::sources::ApiCommand;
use andon_model::id::{is_plain_text, to_plain_text};
use andon_model::incident::{NOTE_BYTES_MAX, WHO_BYTES_MAX};
use andon_model::{Incident, RemarkKind};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::Uri;
use hyper::header::HeaderMap;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Time that the node is given to take a remark; it writes it into its own slice, in memory.
const REMARK_MAX: Duration = Duration::from_secs(2);

/// Time until a remark shows in the incident that is answered. It holds without that too.
const SHOWN_MAX: Duration = Duration::from_secs(1);

/// All incidents that the node knows, open ones first.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "incidents",
    params(("state" = Option<String>, Query, description = "Only those in this state: `open`, `mitigated`, `resolved`")),
    responses(
        (status = 200, description = "The incidents", body = Vec<Incident>),
        (status = 304, description = "Unchanged since the entity tag in If-None-Match"),
        (status = 400, description = "A state that is not known", body = ErrorDocument),
        (status = 401, description = "A token is needed", body = ErrorDocument)))]
pub(crate) async fn list_incidents(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.need(Role::Viewer)?;
    let mut pairs = uri.query().unwrap_or_default().split('&');
    let state = pairs.find_map(|pair| pair.strip_prefix("state="));
    let which = Which::of_state(state).ok_or_else(|| {
        ApiError::bad_request(
            "incidents have no such state",
            "use ?state=open, mitigated or resolved, or none for all",
        )
    })?;
    let document = shared.documents.incidents(which).await;
    Ok(document.answer(&headers).map(Body::new))
}

/// One incident, by its id or by one under which it was known before.
#[utoipa::path(get, path = "/api/v1/incidents/{id}", tag = "incidents",
    params(("id" = String, Path, description = "Id of the incident, or one it had before")),
    responses((status = 200, description = "The incident", body = Incident),
        (status = 401, description = "A token is needed", body = ErrorDocument),
        (status = 404, description = "No such incident", body = ErrorDocument)))]
pub(crate) async fn one_incident(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Incident>, ApiError> {
    caller.need(Role::Viewer)?;
    find(&shared.incidents.borrow(), &id).map(Json)
}

fn find(incidents: &[Incident], id: &str) -> Result<Incident, ApiError> {
    let by_id = incidents.iter().find(|one| one.id == id);
    let known = by_id.or_else(|| {
        let mut incidents = incidents.iter();
        incidents.find(|one| one.aliases.iter().any(|alias| alias == id))
    });
    known.cloned().ok_or_else(|| {
        let newest: Vec<&str> = incidents
            .iter()
            .take(5)
            .map(|one| one.id.as_str())
            .collect();
        let help = if newest.is_empty() {
            "no incident is known at present".to_owned()
        } else {
            format!(
                "the latest are {}; all: /api/v1/incidents",
                newest.join(", ")
            )
        };
        ApiError::not_found("no incident has this id", help)
    })
}

/// What somebody adds to an incident.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemarkRequest {
    /// A note, at most 800 bytes; `note` needs it, the others take it along.
    #[serde(default)]
    text: Option<String>,
    /// For `own`: whose it is; absent, whoever asks.
    #[serde(default)]
    owner: Option<String>,
}

/// What can be done to an incident, as the path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Ack,
    Own,
    Note,
    Mitigate,
    Resolve,
}

impl Act {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "ack" => Self::Ack,
            "own" => Self::Own,
            "note" => Self::Note,
            "mitigate" => Self::Mitigate,
            "resolve" => Self::Resolve,
            _ => return None,
        })
    }

    /// As the audit log has it.
    fn action(self) -> &'static str {
        match self {
            Self::Ack => "incident.ack",
            Self::Own => "incident.own",
            Self::Note => "incident.note",
            Self::Mitigate => "incident.mitigate",
            Self::Resolve => "incident.resolve",
        }
    }
}

/// Adds to an incident: `ack` takes note of it, `own` says whose it is, `note` writes something
/// down, `mitigate` says that its effect is bounded, `resolve` closes it. For operators.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/{act}", tag = "incidents",
    params(("id" = String, Path, description = "Id of the incident, or one it had before"),
        ("act" = String, Path, description = "`ack`, `own`, `note`, `mitigate` or `resolve`")),
    request_body(content = Option<RemarkRequest>),
    responses((status = 200, description = "The incident as it is then", body = Incident),
        (status = 400, description = "A text too long or missing", body = ErrorDocument),
        (status = 401, description = "A token is needed", body = ErrorDocument),
        (status = 403, description = "Not an operator", body = ErrorDocument),
        (status = 404, description = "No such incident, or nothing of this name can be done", body = ErrorDocument),
        (status = 503, description = "The node cannot take the remark now", body = ErrorDocument)))]
pub(crate) async fn remark(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((id, act)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Incident>, ApiError> {
    caller.need_to_act(&shared)?;
    let act = Act::of(&act).ok_or_else(|| {
        ApiError::not_found(
            "this cannot be done to an incident",
            "what can: ack, own, note, mitigate, resolve",
        )
    })?;
    let asked = body::json_or_nothing::<RemarkRequest>(&shared, &headers, body).await?;
    let remarks = remarks(act, asked.unwrap_or_default(), &caller.who)?;
    let before = find(&shared.incidents.borrow(), &id)?;
    let detail: Vec<String> = remarks.iter().map(in_words).collect();
    shared
        .record(&caller, act.action(), &before.id, &detail.join("; "))
        .await?;
    let mut incidents = shared.incidents.clone();
    incidents.mark_unchanged();
    for what in remarks {
        add(&shared, &before.id, &caller.who, what).await?;
    }
    shared.counters.remarks.count();
    let shown = incidents.wait_for(|now| find(now, &before.id).is_ok_and(|now| now != before));
    let _ = tokio::time::timeout(SHOWN_MAX, shown).await;
    let after = find(&shared.incidents.borrow(), &before.id);
    Ok(Json(after.unwrap_or(before)))
}

/// What is asked for as remarks: the act, and a note if there is a text.
fn remarks(act: Act, asked: RemarkRequest, who: &str) -> Result<Vec<RemarkKind>, ApiError> {
    let text = asked.text.map(|text| one_line(&text)).unwrap_or_default();
    check(&text, "the note", NOTE_BYTES_MAX)?;
    let mut remarks = Vec::new();
    match act {
        Act::Ack => remarks.push(RemarkKind::Acknowledged),
        Act::Own => {
            let owner = asked.owner.as_deref().map(str::trim).unwrap_or_default();
            check(owner, "the owner's name", WHO_BYTES_MAX)?;
            let owner = if owner.is_empty() { who } else { owner };
            remarks.push(RemarkKind::Owned(to_plain_text(owner, WHO_BYTES_MAX)));
        }
        Act::Note if text.is_empty() => {
            return Err(ApiError::bad_request(
                "the note is empty",
                "send {\"text\": \"what you found\"}",
            ));
        }
        Act::Note => {}
        Act::Mitigate => remarks.push(RemarkKind::Mitigated),
        Act::Resolve => remarks.push(RemarkKind::Resolved),
    }
    if !text.is_empty() {
        // First, so that the reason stands before what it led to.
        remarks.insert(0, RemarkKind::Note(text));
    }
    Ok(remarks)
}

/// A note on one line: it has to fit into sentences and timelines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check(text: &str, what: &str, bytes_max: usize) -> Result<(), ApiError> {
    if text.len() > bytes_max {
        return Err(ApiError::bad_request(
            format!("{what} has {} bytes, at most {bytes_max} fit", text.len()),
            "say it shorter, or in two notes",
        ));
    }
    if !is_plain_text(text, bytes_max) {
        return Err(ApiError::bad_request(
            format!("{what} holds characters that do not belong on a screen"),
            "use plain text",
        ));
    }
    Ok(())
}

fn in_words(remark: &RemarkKind) -> String {
    match remark {
        RemarkKind::Acknowledged => "acknowledged".to_owned(),
        RemarkKind::Owned(owner) => format!("owner {owner}"),
        RemarkKind::Note(text) => format!("note: {text}"),
        RemarkKind::Mitigated => "mitigated".to_owned(),
        RemarkKind::Resolved => "resolved".to_owned(),
        RemarkKind::Notified { route, .. } | RemarkKind::NotifyFailed { route, .. } => {
            format!("told {route}")
        }
    }
}

async fn add(shared: &Shared, incident: &str, who: &str, what: RemarkKind) -> Result<(), ApiError> {
    let refused = |reason: String| {
        ApiError::unavailable(
            format!("the remark was not taken: {reason}"),
            "try again in a moment, or at another node",
        )
    };
    let (reply, answer) = oneshot::channel();
    shared
        .commands
        .try_send(ApiCommand::Remark {
            incident: incident.to_owned(),
            who: to_plain_text(who, WHO_BYTES_MAX),
            what,
            reply,
        })
        .map_err(|_| refused("the node is busy".to_owned()))?;
    match tokio::time::timeout(REMARK_MAX, answer).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(reason))) => Err(refused(reason)),
        Ok(Err(_)) | Err(_) => Err(refused("the node did not find time for it".to_owned())),
    }
}
