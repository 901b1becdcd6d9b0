//! A trace as a waterfall: all events that carry its id, as a tree.

use super::query::{Refused, answered};
use crate::access::{self, Role};
use crate::error::{ApiError, ErrorDocument};
use crate::gate::Caller;
use crate::shared::Shared;
use andon_model::event::{Event, Value, is_dataset_name, key};
use andon_model::query::{Answer, Cell, Filter, FilterOp, Operand, Query as Question, When};
use andon_model::time::Timestamp;
use andon_query::Waterfall;
use andon_query::waterfall::SPANS_MAX;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where spans are looked for unless another dataset is named.
const DATASET: &str = "traces";
/// How far back unless said otherwise.
const FROM: &str = "-7d";
/// Datasets that are looked through for one trace.
const DATASETS_MAX: usize = 4;
/// Longest id.
const ID_BYTES_MAX: usize = 128;

/// Where to look.
#[derive(Debug, Deserialize)]
pub(crate) struct Where {
    dataset: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// A trace: its spans in the order of a waterfall, each with its depth, offset and duration.
#[utoipa::path(get, path = "/api/v1/traces/{trace_id}", tag = "events", operation_id = "read_trace",
    params(("trace_id" = String, Path, description = "The id that its events carry in `trace_id`"),
        ("dataset" = Option<String>, Query, description = "Where to look: one or several with commas between; `traces`"),
        ("from" = Option<String>, Query, description = "As in a question; `-7d`"),
        ("to" = Option<String>, Query, description = "As in a question; now")),
    responses((status = 200, description = "The trace", body = Object),
        (status = 404, description = "No event carries this id", body = ErrorDocument)))]
pub(crate) async fn trace(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    query: Result<Query<Where>, QueryRejection>,
) -> Result<Response, Refused> {
    caller.need(Role::Viewer)?;
    let wrong = || ApiError::bad_request("the question cannot be read", "use dataset=, from=, to=");
    let place = query.map(|Query(place)| place).map_err(|_| wrong())?;
    let dataset = place.dataset.unwrap_or_else(|| DATASET.to_owned());
    let datasets: BTreeSet<&str> = dataset.split(',').collect();
    let are_names = datasets.iter().all(|name| is_dataset_name(name));
    if !are_names || datasets.len() > DATASETS_MAX || id.len() > ID_BYTES_MAX {
        return Err(wrong().into());
    }
    let (mut events, mut notes, mut is_partial) = (Vec::new(), BTreeSet::new(), false);
    for dataset in datasets {
        let question = Question {
            dataset: dataset.to_owned(),
            from: Some(When::Text(
                place.from.clone().unwrap_or_else(|| FROM.to_owned()),
            )),
            to: place.to.clone().map(When::Text),
            filters: vec![Filter {
                key: key::TRACE_ID.to_owned(),
                op: FilterOp::Equal,
                value: Some(Operand::One(Value::Text(id.clone()))),
            }],
            limit: Some(SPANS_MAX),
            ..Question::default()
        };
        let plan = andon_query::resolve(&question, access::now()).map_err(Refused::Wrong)?;
        let answer = answered(&shared, plan, None).await?;
        events.extend(events_of(&answer));
        is_partial |= answer.partial;
        notes.extend(answer.notes);
    }
    if events.is_empty() {
        return Err(ApiError::not_found(
            format!("no event of {dataset} carries this trace id"),
            "name another dataset= or an earlier from=",
        )
        .into());
    }
    let mut document = serde_json::to_value(Waterfall::of(&events)).unwrap_or_default();
    document["partial"] = is_partial.into();
    document["notes"] = notes.into_iter().collect::<Vec<String>>().into();
    Ok(Json(document).into_response())
}

/// The raw events that an answer's rows are.
pub(crate) fn events_of(answer: &Answer) -> Vec<Event> {
    let event = |row: &Vec<Cell>| {
        let mut event = Event::default();
        for (cell, column) in row.iter().zip(&answer.columns) {
            match cell {
                Cell::Value(Value::Text(text)) if column.name == "time" => {
                    event.at = Timestamp::parse(text).ok()?;
                }
                Cell::Value(value) => event.attributes.push((column.name.clone(), value.clone())),
                Cell::Null | Cell::Bins(_) => {}
            }
        }
        Some(event)
    };
    answer.rows.iter().filter_map(event).collect()
}
