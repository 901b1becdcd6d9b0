//! Completion: what could be typed next in a question, from the language and from what the
//! stores really hold.

use super::datasets::{Asked, Known, VALUES, ask_all};
use crate::access::Role;
use crate::error::{ApiError, ErrorDocument};
use crate::gate::Caller;
use crate::shared::Shared;
use andon_model::event::{Value, is_dataset_name};
use andon_query::text::{Catalogue, CompletionKind, TEXT_BYTES_MAX, complete, print_key};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is typed, and where.
#[derive(Debug, Deserialize)]
pub(crate) struct Typed {
    text: Option<String>,
    cursor: Option<usize>,
}

/// What could come next.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CompletionsDocument {
    /// In the order to offer them.
    completions: Vec<CompletionDocument>,
}

/// One proposal.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CompletionDocument {
    /// What to put into the text.
    text: String,
    /// First byte of what it replaces.
    from: usize,
    /// The byte after it.
    to: usize,
    /// `dataset`, `word`, `calc`, `operator`, `key`, `value`, `column` or `span`.
    #[schema(value_type = String)]
    kind: CompletionKind,
    /// A few words on it; may be empty.
    about: String,
}

/// What could be typed next at the cursor: at most 50 proposals.
#[utoipa::path(get, path = "/api/v1/query/complete", tag = "events", operation_id = "complete_query",
    params(("text" = String, Query, description = "The question as far as it is typed"),
        ("cursor" = Option<usize>, Query, description = "Bytes before the cursor; the end if absent")),
    responses((status = 200, description = "The proposals", body = CompletionsDocument),
        (status = 400, description = "The text is too long", body = ErrorDocument),
        (status = 404, description = "No node keeps events", body = ErrorDocument)))]
pub(crate) async fn proposals(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    query: Result<Query<Typed>, QueryRejection>,
) -> Result<Json<CompletionsDocument>, ApiError> {
    caller.need(Role::Viewer)?;
    let wrong = || ApiError::bad_request("the text cannot be read", "use text= and cursor=");
    let Query(typed) = query.map_err(|_| wrong())?;
    let text = typed.text.unwrap_or_default();
    if text.len() > TEXT_BYTES_MAX {
        return Err(wrong());
    }
    let cursor = typed.cursor.unwrap_or(text.len());
    // Asked once to learn what has to be known, and again with it.
    let wanted = Wanted::default();
    complete(&text, cursor, &wanted);
    let mut known = Wanted::default();
    for asked in wanted.wanted.into_inner() {
        let found = ask_all(&shared, asked.clone()).await?;
        known.known.insert(asked, found);
    }
    let completions = complete(&text, cursor, &known).into_iter();
    let completions = completions.map(|one| CompletionDocument {
        about: known.about(one.kind, &one.text).unwrap_or(one.about),
        text: one.text,
        from: one.replace.start,
        to: one.replace.end,
        kind: one.kind,
    });
    Ok(Json(CompletionsDocument {
        completions: completions.collect(),
    }))
}

/// What stores told, and what they would have to be asked.
#[derive(Default)]
struct Wanted {
    wanted: RefCell<BTreeSet<Asked>>,
    known: BTreeMap<Asked, Vec<Known>>,
}

impl Wanted {
    fn told(&self, asked: Asked) -> &[Known] {
        match self.known.get(&asked) {
            Some(known) => known,
            None => {
                self.wanted.borrow_mut().insert(asked);
                &[]
            }
        }
    }

    /// A few words on what the stores told: how many events, of which types.
    fn about(&self, kind: CompletionKind, text: &str) -> Option<String> {
        let mut rows = 0;
        let mut types: BTreeSet<&str> = BTreeSet::new();
        for known in self.known.values().flatten() {
            match (kind, known) {
                (CompletionKind::Dataset, Known::Datasets(all)) => {
                    let those = all.iter().filter(|one| one.name == text);
                    rows += those.map(|one| one.rows).sum::<u64>();
                }
                (CompletionKind::Key, Known::Keys(all)) => {
                    let those = all.iter().filter(|one| print_key(&one.name) == text);
                    types.extend(those.flat_map(|one| &one.types).map(String::as_str));
                }
                _ => {}
            }
        }
        match kind {
            CompletionKind::Dataset if rows > 0 => Some(format!("{rows} events")),
            CompletionKind::Key => Some(types.into_iter().collect::<Vec<_>>().join(", ")),
            _ => None,
        }
    }
}

impl Catalogue for Wanted {
    fn datasets(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        for known in self.told(Asked::Datasets) {
            if let Known::Datasets(all) = known {
                names.extend(all.iter().map(|one| one.name.clone()));
            }
        }
        names.into_iter().collect()
    }

    fn keys(&self, dataset: &str) -> Vec<String> {
        if !is_dataset_name(dataset) {
            return Vec::new();
        }
        let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
        for known in self.told(Asked::Keys(dataset.to_owned())) {
            if let Known::Keys(all) = known {
                for key in all {
                    *rows.entry(&key.name).or_default() += key.rows;
                }
            }
        }
        let mut names: Vec<(&str, u64)> = rows.into_iter().collect();
        names.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
        names.into_iter().map(|(name, _)| name.to_owned()).collect()
    }

    fn values(&self, dataset: &str, key: &str, prefix: &str) -> Vec<Value> {
        if !is_dataset_name(dataset) {
            return Vec::new();
        }
        let asked = Asked::Values {
            dataset: dataset.to_owned(),
            key: key.to_owned(),
            prefix: prefix.to_owned(),
            limit: VALUES,
        };
        let mut values = BTreeMap::new();
        for known in self.told(asked) {
            if let Known::Values(all) = known {
                values.extend(all.iter().map(|value| (value.to_string(), value.clone())));
            }
        }
        values.into_values().collect()
    }
}
