//! The front door: the console for browsers, the terminal picture for everyone else; the
//! console's files; and what is said about paths that lead nowhere.

use crate::access::Role;
use crate::document::none_match;
use crate::error::ApiError;
use crate::gate::Caller;
use crate::openapi;
use crate::routes::PATHS;
use crate::shared::Shared;
use crate::terminal::{self, TerminalOptions};
use andon_model::{Incident, PictureView};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// Columns of the terminal picture where the client does not say; most terminals have them.
const TERMINAL_COLUMNS: usize = 100;

/// The console in a browser, the terminal picture for curl and the like.
#[utoipa::path(get, path = "/", tag = "picture",
    params(("width" = Option<u16>, Query, description = "Columns of the terminal picture"),
        ("color" = Option<u8>, Query, description = "0: no colours in the terminal picture"),
        ("ascii" = Option<u8>, Query, description = "1: only ASCII in the terminal picture")),
    responses((status = 200, description = "HTML or plain text, by Accept and User-Agent", body = String)))]
pub(crate) async fn front(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if is_browser(&headers) {
        return file("/", &headers).ok_or_else(no_console);
    }
    caller.need(Role::Viewer)?;
    let view = shared.view.borrow().clone();
    let incidents = shared.incidents.borrow().clone();
    let text = terminal(&view, &incidents, uri.query().unwrap_or_default(), &headers);
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "accept, user-agent"),
    ];
    Ok((headers, text).into_response())
}

/// Browsers ask for HTML by name; curl and wget ask for anything.
fn is_browser(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .unwrap_or_default()
    };
    text(header::ACCEPT).contains("text/html")
        || (text(header::USER_AGENT).starts_with("Mozilla/")
            && !text(header::ACCEPT).contains("text/plain"))
}

/// The terminal picture as the client wishes; what it wishes wrongly is ignored.
fn terminal(
    view: &PictureView,
    incidents: &[Incident],
    query: &str,
    headers: &HeaderMap,
) -> String {
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default();
    // curl writes to a terminal as a rule; other programs keep what they are sent.
    let mut options = TerminalOptions {
        color: agent.starts_with("curl/"),
        width: TERMINAL_COLUMNS,
        unicode: true,
    };
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (name, value) {
            ("color", value) => options.color = value != "0",
            ("ascii", value) => options.unicode = value == "0",
            ("width", value) => options.width = value.parse().unwrap_or(options.width),
            _ => {}
        }
    }
    terminal::render(view, incidents, &options)
}

/// A file of the console or one of its pages, or a 404 that names what is near.
pub(crate) async fn asset_or_nothing(
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let path = uri.path();
    if !matches!(method, Method::GET | Method::HEAD) || path.starts_with("/api/") {
        return Err(nothing(path));
    }
    if let Some(response) = file(path, &headers) {
        return Ok(response);
    }
    let is_view = ["/node/", "/link/", "/site/", "/board", "/login", "/matrix"]
        .iter()
        .any(|view| path.starts_with(view));
    if is_view && let Some(page) = file("/", &headers) {
        return Ok(page);
    }
    Err(nothing(path))
}

fn file(path: &str, headers: &HeaderMap) -> Option<Response> {
    let asset = andon_console::asset(path)?;
    let etag = HeaderValue::from_str(&asset.etag).ok()?;
    let known = none_match(headers, &etag);
    let body = match asset.bytes {
        _ if known => Body::empty(),
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    let mut response = Response::new(body);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let answer = response.headers_mut();
    answer.insert(header::ETAG, etag);
    answer.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(asset.content_type),
    );
    // Names without a hash in them are asked for again each time, which costs a 304.
    let hashed = is_hashed(path);
    let caching = if hashed {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if path == "/" {
        answer.insert(header::VARY, HeaderValue::from_static("accept, user-agent"));
    }
    Some(response)
}

/// `name.0123abcd.js`: eight or more hex digits before the extension.
fn is_hashed(path: &str) -> bool {
    let mut parts = path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .rsplit('.')
        .skip(1);
    parts
        .next()
        .is_some_and(|part| part.len() >= 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn no_console() -> ApiError {
    ApiError::not_found(
        "this build has no console",
        "ask for /api/v1/picture, or / with curl",
    )
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "operations",
    responses((status = 200, description = "OpenAPI", body = Object)))]
pub(crate) async fn openapi(caller: Caller) -> Result<Response, ApiError> {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    caller.need(Role::Viewer)?;
    let document = DOCUMENT.get_or_init(openapi::openapi_json);
    Ok((
        [(header::CONTENT_TYPE, "application/json")],
        document.as_str(),
    )
        .into_response())
}

/// The path is right, the method is not.
pub(crate) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(80).collect();
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        format!(
            "{path} does not take {}",
            method.as_str().chars().take(16).collect::<String>()
        ),
        "the header Allow names what it takes",
    )
}

fn nothing(path: &str) -> ApiError {
    let mut near: Vec<(usize, &str)> = PATHS
        .iter()
        .map(|known| (distance(path, known), *known))
        .collect();
    near.sort_unstable();
    let near: Vec<&str> = near.into_iter().take(3).map(|(_, known)| known).collect();
    let asked: String = path.chars().take(80).collect();
    ApiError::not_found(
        format!("nothing is at {asked}"),
        format!("near it: {}; all: /api/v1/openapi.json", near.join(", ")),
    )
}

/// Edits from one path to the other (Levenshtein), on their first 64 bytes.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (
        &one.as_bytes()[..one.len().min(64)],
        &other.as_bytes()[..other.len().min(64)],
    );
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, byte) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, candidate) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != candidate);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_told_what_was_meant() {
        for (asked, meant) in [
            ("/api/v1/pictur", "/api/v1/picture"),
            ("/metric", "/metrics"),
            ("/api/v1/token", "/api/v1/tokens"),
            ("/health", "/healthz"),
        ] {
            let help = nothing(asked).help;
            assert!(
                help.starts_with(&format!("near it: {meant}")),
                "{asked}: {help}"
            );
        }
    }

    #[test]
    fn only_names_with_a_hash_are_kept_for_good() {
        assert!(is_hashed("/vendor/preact.0123abcd.js"));
        assert!(
            !is_hashed("/main.js") && !is_hashed("/") && !is_hashed("/vendor/preact.module.js")
        );
    }
}
