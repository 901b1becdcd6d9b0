//! What a join looks up: the other dataset's rows, read before the question itself, newest
//! first, page by page.

use super::asking::{Asking, RunError};
use super::dataset::{Dataset, Partial};
use super::stores::Stores;
use andon_model::event::{Event, Value};
use andon_model::query::LIMIT_MAX;
use andon_model::time::Timestamp;
use andon_store::{Condition, Lookup, LookupRow, ResolvedQuery, Test};
use std::collections::BTreeMap;

/// Pages of the other dataset that are read, of [`LIMIT_MAX`] rows each: a million rows.
const PAGES_MAX: usize = 10;
/// Rows that are kept at most, after those that say nothing new are left out; some 50 MB.
pub const LOOKUP_ROWS_MAX: usize = 250_000;

/// A lookup with its rows.
pub(super) struct Filled {
    pub lookup: Lookup,
    pub notes: Vec<String>,
    pub elapsed_ms: f64,
}

type Rows = BTreeMap<String, Vec<LookupRow>>;

/// Reads the rows of a lookup. However long ago it was said what kernel a host runs, it holds
/// until something else is; so all of the time before `to` counts.
pub(super) fn fill<D: Dataset>(
    lookup: &Lookup,
    to: Timestamp,
    stores: &Stores<'_, D>,
    asking: &Asking<'_>,
) -> Result<Filled, RunError> {
    let mut filled = Filled {
        lookup: lookup.clone(),
        notes: Vec::new(),
        elapsed_ms: 0.0,
    };
    let mut query = ResolvedQuery::new(&lookup.dataset, Timestamp(i64::MIN), to);
    query.limit = LIMIT_MAX;
    query.filters = vec![Condition {
        key: lookup.on.clone(),
        test: Test::Exists,
    }];
    let mut all = Rows::new();
    for page in 1.. {
        let besides = asking.besides(filled.elapsed_ms);
        let (mut partial, missing) = stores.scan(&query, &besides)?;
        filled.elapsed_ms += partial.elapsed_ms();
        for note in missing {
            if !filled.notes.contains(&note) {
                filled.notes.push(note);
            }
        }
        let events = std::mem::take(partial.events_mut());
        let count = events.len();
        let oldest = events.iter().map(|event| event.at).min();
        all = before(rows(events, &lookup.on, &lookup.take), all);
        let Some(oldest) = oldest.filter(|_| count >= LIMIT_MAX) else {
            break;
        };
        let kept: usize = all.values().map(Vec::len).sum();
        let stuck = oldest.0 + 1 >= query.to.0;
        if page >= PAGES_MAX || kept >= LOOKUP_ROWS_MAX || stuck {
            filled.notes.push(format!(
                "only rows of {} since {oldest} were looked up; there are more",
                lookup.dataset
            ));
            break;
        }
        query.to = Timestamp(oldest.0 + 1);
    }
    filled.lookup.rows = all;
    Ok(filled)
}

/// Rows of an older stretch of time put before those of a newer one.
fn before(mut older: Rows, newer: Rows) -> Rows {
    for (name, rows) in newer {
        let known = older.entry(name).or_default();
        for row in rows {
            add(known, row);
        }
    }
    older
}

/// Rows by the displayed value of `on`, oldest first; one that says the same as the one
/// before it is left out.
pub fn rows(mut events: Vec<Event>, on: &str, take: &[String]) -> Rows {
    events.sort_by_key(|event| event.at);
    let mut rows = Rows::new();
    for event in events {
        let Some(value) = event.get(on) else { continue };
        let row = LookupRow {
            at: event.at,
            values: take.iter().map(|key| event.get(key).cloned()).collect(),
        };
        add(rows.entry(value.to_string()).or_default(), row);
    }
    rows
}

/// Gives an event what the join brings: `<dataset>.<key>`, and `<key>` where it has none of
/// that name.
pub fn widen(event: &mut Event, lookup: &Lookup) {
    let on = event.get(&lookup.on).map(Value::to_string);
    let Some(rows) = on.and_then(|on| lookup.rows.get(&on)) else {
        return;
    };
    let last = rows.iter().rev().find(|row| row.at <= event.at);
    let Some(row) = last.or(rows.first()) else {
        return;
    };
    for (key, value) in lookup.take.iter().zip(&row.values) {
        let Some(value) = value else { continue };
        if event.get(key).is_none() {
            event.set(key, value.clone());
        }
        event.set(&format!("{}.{key}", lookup.dataset), value.clone());
    }
}

fn add(known: &mut Vec<LookupRow>, row: LookupRow) {
    if known.last().is_none_or(|last| last.values != row.values) {
        known.push(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_kept_oldest_first_also_over_pages() {
        let host = |at: i64, kernel: &str| {
            Event::new(Timestamp(at))
                .with("host", "a")
                .with("kernel", kernel)
        };
        let read = |events: Vec<Event>| rows(events, "host", &["kernel".to_owned()]);
        let newer = vec![
            host(30, "6.2"),
            host(10, "6.1"),
            host(20, "6.1"),
            Event::new(Timestamp(5)),
        ];
        let all = before(read(vec![host(1, "6.0"), host(2, "6.1")]), read(newer));
        let at: Vec<i64> = all["a"].iter().map(|row| row.at.0).collect();
        assert_eq!(at, [1, 2, 30]);
    }
}
