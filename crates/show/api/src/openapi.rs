//! The API's description, generated from the routes' own annotations.

use crate::columns::Columns;
use crate::delta::Delta;
use crate::error::ErrorDocument;
use crate::gate::GRIDBUG_PATHS;
use crate::routes::{
    complete, datasets, demo, events, grid, gridbug, health, history, incidents, pages, people,
    picture, query, spool, tail, trace, traces,
};
use crate::security::Security;
use crate::{audit, metrics};
use utoipa::OpenApi;

/// What the annotations say.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Andon",
        description = "The live picture of a grid: nodes, links, verdicts. Every node answers the same.",
        license(name = "Apache-2.0")
    ),
    modifiers(&Security),
    paths(
        picture::picture, picture::stream,
        grid::me, grid::node, grid::link,
        trace::trace,
        history::picture_at, history::changes, history::link_series, history::span,
        events::take, events::otlp_logs, events::otlp_metrics, events::otlp_traces, events::loki,
        events::remote_write, events::remote_push,
        datasets::list, datasets::keys, datasets::values,
        spool::report,
        query::query, complete::proposals, tail::tail, traces::trace,
        incidents::list_incidents, incidents::one_incident, incidents::remark,
        people::log_in, people::log_out, people::list_tokens, people::create_token, people::revoke_token,
        people::audit,
        demo::read, demo::read_at, demo::act, demo::act_at,
        gridbug::ask, gridbug::post,
        pages::front, pages::openapi,
        health::healthz, health::readyz,
        metrics::metrics,
    ),
    components(schemas(
        andon_model::PictureView, andon_model::NodeView, andon_model::LinkView, andon_model::Verdict,
        Columns<'static>, Delta<'static>, ErrorDocument, audit::AuditRecord,
    ))
)]
struct Document;

/// The description of the API, as `/api/v1/openapi.json` answers it.
pub fn openapi_json() -> String {
    document().to_json().unwrap_or_default()
}

/// The document, GridBug's other questions included, which share one handler.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let Some(ping) = document.paths.paths.get("/ping").cloned() else {
        return document;
    };
    for path in GRIDBUG_PATHS
        .iter()
        .filter(|path| !matches!(**path, "/ping" | "/post"))
    {
        let mut item = ping.clone();
        if let Some(ask) = &mut item.get {
            ask.operation_id = Some(format!("ask_{}", path.replace(['/', '.'], "")));
        }
        document.paths.paths.insert((*path).to_owned(), item);
    }
    document
}
