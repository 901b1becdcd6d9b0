//! Whether the process lives, and whether it is of use yet. Open to everyone, says nothing of
//! the grid.

use crate::shared::Shared;
use andon_model::{NodeKind, PictureView};
use axum::extract::State;
use hyper::StatusCode;
use std::sync::Arc;

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "operations",
    responses((status = 200, description = "It lives", body = String, content_type = "text/plain")))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The node has a picture and, where it has seeds, has met a peer.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses((status = 200, description = "Ready", body = String, content_type = "text/plain"),
        (status = 503, description = "Not yet, and why", body = String, content_type = "text/plain")))]
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    match not_ready(&shared.view.borrow(), shared.config.has_seeds) {
        None => (StatusCode::OK, "ready\n"),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

fn not_ready(view: &PictureView, has_seeds: bool) -> Option<&'static str> {
    let nodes = view
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Andon)
        .count();
    match nodes {
        0 => Some("not ready: there is no picture yet\n"),
        1 if has_seeds => {
            Some("not ready: no peer was met yet; check the seeds and the grid key\n")
        }
        _ => None,
    }
}
