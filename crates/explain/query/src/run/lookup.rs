//! What a join looks up: the other dataset's rows, read before the question itself.

use super::dataset::{Dataset, Partial};
use super::stores::Stores;
use super::watch::{Limits, RunError};
use andon_model::event::Event;
use andon_model::time::Timestamp;
use andon_store::{Condition, LookupRow, ResolvedQuery, Test};
use std::collections::BTreeMap;

/// Rows of the other dataset that are read, newest first. Twice as many would be some 100 MB.
pub const LOOKUP_ROWS_MAX: usize = 200_000;

/// Fills in the rows of a question's lookup. Says what is missing, if anything is.
pub(super) fn fill<D: Dataset>(
    query: &mut ResolvedQuery,
    stores: &Stores<'_, D>,
    limits: &Limits,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<String>, RunError> {
    let Some(lookup) = &mut query.lookup else {
        return Ok(Vec::new());
    };
    // However long ago it was said what kernel a host runs, it holds until something else is.
    let mut other = ResolvedQuery::new(&lookup.dataset, Timestamp(i64::MIN), query.to);
    other.limit = LOOKUP_ROWS_MAX;
    other.filters = vec![Condition {
        key: lookup.on.clone(),
        test: Test::Exists,
    }];
    let scanned = stores.scan(&other, limits, go_on)?;
    let mut notes = scanned.notes;
    let events = scanned
        .partial
        .map(|partial| partial.events())
        .unwrap_or_default();
    if events.len() >= LOOKUP_ROWS_MAX {
        let oldest = events
            .iter()
            .map(|event| event.at)
            .min()
            .unwrap_or_default();
        notes.push(format!(
            "only the newest {LOOKUP_ROWS_MAX} rows of {}, since {oldest}, were looked up",
            lookup.dataset
        ));
    }
    if scanned.stopped {
        notes.push(format!("{} was not read to its end", lookup.dataset));
    }
    lookup.rows = rows(events, &lookup.on, &lookup.take);
    Ok(notes)
}

/// Rows by the displayed value of `on`, oldest first; one that says the same as the one
/// before it is left out.
pub fn rows(mut events: Vec<Event>, on: &str, take: &[String]) -> BTreeMap<String, Vec<LookupRow>> {
    events.sort_by_key(|event| event.at);
    let mut rows: BTreeMap<String, Vec<LookupRow>> = BTreeMap::new();
    for event in events {
        let Some(value) = event.get(on) else { continue };
        let row = LookupRow {
            at: event.at,
            values: take.iter().map(|key| event.get(key).cloned()).collect(),
        };
        let known = rows.entry(value.to_string()).or_default();
        if known.last().is_none_or(|last| last.values != row.values) {
            known.push(row);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_kept_oldest_first() {
        let host = |at: i64, kernel: &str| {
            Event::new(Timestamp(at))
                .with("host", "a")
                .with("kernel", kernel)
        };
        let events = vec![
            host(30, "6.2"),
            host(10, "6.1"),
            host(20, "6.1"),
            Event::new(Timestamp(5)),
        ];
        let rows = rows(events, "host", &["kernel".to_owned()]);
        let at: Vec<i64> = rows["a"].iter().map(|row| row.at.0).collect();
        assert_eq!(at, [10, 30]);
    }
}
