//! Logging in and out, tokens, and the record of what people changed.

use crate::access::{Denied, Role, now};
use crate::audit::AuditRecord;
use crate::error::ApiError;
use crate::gate::{Caller, Proof, wrong_credential};
use crate::sessions::SESSION_LIFE;
use crate::shared::Shared;
use crate::tokens::{TokenError, TokenInfo};
use crate::{body, tokens};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{self, HeaderMap};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Records shown unless asked for another number, and at most.
const AUDIT_LIMIT: usize = 100;
const AUDIT_LIMIT_MAX: usize = 1000;

/// Longest life of a token that has one, in seconds: ten years.
const LIFE_S_MAX: u64 = 10 * 365 * 86_400;

/// What somebody logs in with.
#[derive(Deserialize, utoipa::ToSchema)]
pub(crate) struct LogIn {
    /// A token, or the secret of a one-time link.
    token: String,
}

/// A session that has begun.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct LoggedIn {
    role: Role,
    user: String,
    /// Seconds until it ends by itself.
    expires_s: u64,
}

/// Begins a session with a token or a one-time secret.
#[utoipa::path(post, path = "/api/v1/session", tag = "people", request_body = LogIn,
    responses((status = 200, description = "Logged in; sets an HttpOnly cookie", body = LoggedIn),
        (status = 401, description = "A wrong, used or ended secret", body = crate::error::ErrorDocument),
        (status = 429, description = "Too many wrong ones", body = crate::error::ErrorDocument)))]
pub(crate) async fn log_in(
    State(shared): State<Arc<Shared>>,
    mut caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let asked: LogIn = body::json(&shared, &headers, body).await?;
    let (grant, cookie) = shared
        .access
        .log_in(asked.token.trim(), caller.remote.ip())
        .map_err(|denied: Denied| wrong_credential(&shared, denied))?;
    caller.who.clone_from(&grant.who);
    if let Err(error) = shared
        .record(
            &caller,
            "session.begin",
            &grant.who,
            &grant.role.to_string(),
        )
        .await
    {
        shared.access.log_out(&cookie);
        return Err(error);
    }
    let document = LoggedIn {
        role: grant.role,
        user: grant.who,
        expires_s: SESSION_LIFE.as_secs(),
    };
    let cookie = set_cookie(&shared, &caller, &cookie, SESSION_LIFE);
    Ok((
        [
            (header::SET_COOKIE, cookie),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ],
        Json(document),
    )
        .into_response())
}

/// Ends the session.
#[utoipa::path(delete, path = "/api/v1/session", tag = "people",
    responses((status = 204, description = "Logged out, or was not logged in")))]
pub(crate) async fn log_out(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Response, ApiError> {
    if let Proof::Session(cookie) = &caller.proof
        && shared.access.log_out(cookie)
    {
        // The session has ended whether or not that can be recorded: rights only shrink.
        let _ = shared.record(&caller, "session.end", &caller.who, "").await;
    }
    let cookie = set_cookie(&shared, &caller, "", Duration::ZERO);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

fn set_cookie(shared: &Shared, caller: &Caller, value: &str, life: Duration) -> String {
    let secure = if caller.tls { "; Secure" } else { "" };
    let (name, life) = (&shared.cookie_name, life.as_secs());
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={life}{secure}")
}

/// All tokens of this node.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TokenList {
    tokens: Vec<TokenInfo>,
}

/// The tokens of this node, without their secrets. For admins.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "people",
    responses((status = 200, description = "All tokens", body = TokenList),
        (status = 403, description = "Not an admin", body = crate::error::ErrorDocument)))]
pub(crate) async fn list_tokens(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Json<TokenList>, ApiError> {
    caller.need(Role::Admin)?;
    let file = shared.access.tokens().clone();
    let tokens = blocking(move || file.list()).await?;
    Ok(Json(TokenList { tokens }))
}

/// A token to be made.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateToken {
    /// Unique; letters, digits and `. _ -`.
    name: String,
    /// What its bearer may do.
    role: Role,
    /// Seconds until it ends; absent: never.
    #[serde(default)]
    expires_s: Option<u64>,
}

/// A token just made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CreatedToken {
    /// The secret; it is shown this once.
    token: String,
    #[serde(flatten)]
    info: TokenInfo,
}

/// Makes a token. For admins.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "people", request_body = CreateToken,
    responses((status = 201, description = "The token and its secret", body = CreatedToken),
        (status = 409, description = "The name is taken", body = crate::error::ErrorDocument)))]
pub(crate) async fn create_token(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    caller.need(Role::Admin)?;
    let asked: CreateToken = body::json(&shared, &headers, body).await?;
    if asked
        .expires_s
        .is_some_and(|life| life == 0 || life > LIFE_S_MAX)
    {
        return Err(ApiError::bad_request(
            "a token lives for a second at least and ten years at most",
            "leave expires_s out for one that does not end",
        ));
    }
    andon_model::id::check_name(&asked.name)
        .map_err(|error| token_error(&TokenError::Name(error)))?;
    let detail = match asked.expires_s {
        Some(life) => format!("{}, ends after {life} s", asked.role),
        None => format!("{}, does not end", asked.role),
    };
    shared
        .record(&caller, "token.create", &asked.name, &detail)
        .await?;
    let file = shared.access.tokens().clone();
    let life = asked.expires_s.map(Duration::from_secs);
    let made = blocking(move || file.create(&asked.name, asked.role, life, now())).await?;
    shared.access.reload();
    let document = CreatedToken {
        token: made.secret.to_string(),
        info: made.info,
    };
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(document),
    )
        .into_response())
}

/// Ends a token, and the sessions begun with it, at once. For admins.
#[utoipa::path(delete, path = "/api/v1/tokens/{name}", tag = "people",
    params(("name" = String, Path, description = "Name of the token")),
    responses((status = 204, description = "It has ended"),
        (status = 404, description = "No such token", body = crate::error::ErrorDocument)))]
pub(crate) async fn revoke_token(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.need(Role::Admin)?;
    shared.record(&caller, "token.revoke", &name, "").await?;
    let file = shared.access.tokens().clone();
    let found = blocking(move || file.revoke(&name)).await?;
    shared.access.reload();
    if found {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found(
        "no token has this name",
        "GET /api/v1/tokens lists them",
    ))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, tokens::TokenError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| token_error(&error)),
        Err(_) => Err(ApiError::unavailable(
            "the token list could not be worked on",
            "try again",
        )),
    }
}

fn token_error(error: &TokenError) -> ApiError {
    let message = error.to_string();
    match error {
        TokenError::Exists(_) => ApiError::new(
            StatusCode::CONFLICT,
            "exists",
            message,
            "choose another name, or revoke it first",
        ),
        TokenError::TooMany => ApiError::new(
            StatusCode::CONFLICT,
            "too_many",
            message,
            "revoke some first",
        ),
        TokenError::Name(_) => ApiError::bad_request(message, "use letters, digits and . _ -"),
        TokenError::Malformed { .. } | TokenError::File { .. } | TokenError::Randomness(_) => {
            ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "tokens",
                message,
                "see the node's data directory",
            )
        }
    }
}

/// How many records.
#[derive(Debug, Deserialize)]
pub(crate) struct AuditQuery {
    limit: Option<usize>,
}

/// The end of the audit log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AuditList {
    /// Newest first.
    records: Vec<AuditLine>,
}

/// A record with its hash.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AuditLine {
    #[serde(flatten)]
    record: AuditRecord,
    /// Binds the next record to this one.
    hash: String,
}

/// What people changed, newest first. For admins.
#[utoipa::path(get, path = "/api/v1/audit", tag = "people",
    params(("limit" = Option<usize>, Query, description = "Most records, default 100, at most 1000")),
    responses((status = 200, description = "The last records", body = AuditList),
        (status = 403, description = "Not an admin", body = crate::error::ErrorDocument)))]
pub(crate) async fn audit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    query: Result<Query<AuditQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<AuditList>, ApiError> {
    caller.need(Role::Admin)?;
    let Query(query) =
        query.map_err(|_| ApiError::bad_request("limit is not a number", "use e.g. ?limit=50"))?;
    let limit = query.limit.unwrap_or(AUDIT_LIMIT).min(AUDIT_LIMIT_MAX);
    let log = Arc::clone(&shared.audit);
    let failed = |message: String| ApiError::unavailable(message, "see the node's data directory");
    let records = tokio::task::spawn_blocking(move || log.tail(limit))
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    let line = |record: AuditRecord| AuditLine {
        hash: record.hash.clone(),
        record,
    };
    Ok(Json(AuditList {
        records: records.into_iter().map(line).collect(),
    }))
}
