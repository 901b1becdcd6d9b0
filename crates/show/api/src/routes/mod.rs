//! The routes: a table of contents. Each module says in its handlers' annotations what it
//! answers; `/api/v1/openapi.json` is made from those.

pub(crate) mod complete;
pub(crate) mod datasets;
pub(crate) mod demo;
pub(crate) mod events;
pub(crate) mod grid;
pub(crate) mod gridbug;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod incidents;
pub(crate) mod pages;
pub(crate) mod people;
pub(crate) mod picture;
pub(crate) mod query;
pub(crate) mod spool;
pub(crate) mod tail;
pub(crate) mod trace;
pub(crate) mod traces;
mod twins;

use crate::connection::PICTURE;
use crate::events::{GAPS_PATH, PARCELS_PATH};
use crate::far::PART_PATH;
use crate::gate::GRIDBUG_PATHS;
use crate::metrics;
use crate::shared::Shared;
use axum::Router;
use axum::routing::{delete, get, post};
use std::sync::Arc;

/// All that is answered, for those who ask for something else.
pub(crate) const PATHS: [&str; 40] = [
    "/",
    "/board",
    "/api/v1/audit",
    "/api/v1/datasets",
    "/api/v1/datasets/{dataset}/keys",
    "/api/v1/datasets/{dataset}/values",
    "/api/v1/demo",
    "/api/v1/events",
    "/api/v1/history/changes",
    "/api/v1/history/link",
    "/api/v1/history/picture",
    "/api/v1/history/span",
    "/api/v1/incidents",
    "/api/v1/incidents/{id}",
    "/api/v1/incidents/{id}/{act}",
    "/api/v1/links/{from}/{to}",
    "/api/v1/me",
    "/api/v1/nodes/{id}",
    "/api/v1/openapi.json",
    "/api/v1/picture",
    "/api/v1/picture/stream",
    "/api/v1/push",
    "/api/v1/query",
    "/api/v1/query/complete",
    "/api/v1/session",
    "/api/v1/spool",
    "/api/v1/tail",
    "/api/v1/tokens",
    "/api/v1/tokens/{name}",
    "/api/v1/trace",
    "/api/v1/traces/{trace_id}",
    "/api/v1/write",
    "/healthz",
    "/login",
    "/loki/api/v1/push",
    "/metrics",
    "/readyz",
    "/v1/logs",
    "/v1/metrics",
    "/v1/traces",
];

/// Everything behind the gate.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route("/", get(pages::front))
        .route(PICTURE, get(picture::picture))
        .route("/api/v1/picture/stream", get(picture::stream))
        .route("/api/v1/me", get(grid::me))
        .route("/api/v1/nodes/{id}", get(grid::node))
        .route("/api/v1/links/{from}/{to}", get(grid::link))
        .route(
            "/api/v1/session",
            post(people::log_in).delete(people::log_out),
        )
        .route(
            "/api/v1/tokens",
            get(people::list_tokens).post(people::create_token),
        )
        .route("/api/v1/tokens/{name}", delete(people::revoke_token))
        .route("/api/v1/incidents", get(incidents::list_incidents))
        .route("/api/v1/incidents/{id}", get(incidents::one_incident))
        .route("/api/v1/incidents/{id}/{act}", post(incidents::remark))
        .route("/api/v1/trace", post(trace::trace))
        .route("/api/v1/history/picture", get(history::picture_at))
        .route("/api/v1/history/changes", get(history::changes))
        .route("/api/v1/history/link", get(history::link_series))
        .route("/api/v1/history/span", get(history::span))
        .route("/api/v1/events", post(events::take))
        .route("/v1/logs", post(events::otlp_logs))
        .route("/v1/metrics", post(events::otlp_metrics))
        .route("/v1/traces", post(events::otlp_traces))
        .route("/loki/api/v1/push", post(events::loki))
        .route("/api/v1/write", post(events::remote_write))
        .route("/api/v1/push", post(events::remote_push))
        .route("/api/v1/datasets", get(datasets::list))
        .route("/api/v1/datasets/{dataset}/keys", get(datasets::keys))
        .route("/api/v1/datasets/{dataset}/values", get(datasets::values))
        .route(datasets::PART_PATH, post(datasets::part))
        .route("/api/v1/query", post(query::query))
        .route("/api/v1/query/complete", get(complete::proposals))
        .route(PART_PATH, post(query::part))
        .route("/api/v1/spool", get(spool::report))
        .route(PARCELS_PATH, post(spool::parcels))
        .route(GAPS_PATH, post(spool::gaps))
        .route("/api/v1/tail", get(tail::tail))
        .route(tail::PART_PATH, get(tail::part))
        .route("/api/v1/traces/{trace_id}", get(traces::trace))
        .route("/api/v1/audit", get(people::audit))
        .route("/api/v1/openapi.json", get(pages::openapi))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz));
    if shared.config.demo_control.is_some() {
        router = router
            .route("/api/v1/demo", get(demo::read).post(demo::act))
            .route(
                "/api/v1/demo/{*rest}",
                get(demo::read_at).post(demo::act_at),
            );
    }
    if shared.gridbug.is_some() {
        for path in GRIDBUG_PATHS {
            let route = if path == "/post" {
                post(gridbug::post)
            } else {
                get(gridbug::ask)
            };
            router = router.route(path, route);
        }
    }
    router
        .fallback(pages::asset_or_nothing)
        .method_not_allowed_fallback(pages::wrong_method)
        .with_state(Arc::clone(shared))
}
