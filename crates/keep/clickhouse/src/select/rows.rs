//! What a question is about: the events of a dataset and a time, and what a join brings.

use super::Tables;
use crate::condition::condition;
use crate::encode::hour;
use crate::error::ClickHouseError;
use crate::key::Key;
use crate::layout::columns;
use crate::literal::{self, list};
use andon_model::time::Timestamp;
use andon_store::{Lookup, ResolvedQuery};

/// The part of a dataset between two moments.
pub fn between(dataset: &str, from: Timestamp, to: Timestamp) -> Vec<String> {
    let last = to.0.saturating_sub(1);
    vec![
        format!("dataset = {}", literal::text(dataset)),
        format!("hour >= {}", literal::integer(hour(from.0))),
        format!("hour <= {}", literal::integer(hour(last))),
        format!("at_us >= {}", literal::integer(from.0)),
        format!("at_us < {}", literal::integer(to.0)),
    ]
}

/// Rows that a question is about: the table with what a join brings, and the conditions.
pub(super) struct Rows {
    pub(super) source: String,
    pub(super) conditions: Vec<String>,
}

pub(super) fn rows(query: &ResolvedQuery, from: &Tables) -> Result<Rows, ClickHouseError> {
    let mut own = between(&query.dataset, query.from, query.to);
    let Some(lookup) = &query.lookup else {
        for filter in &query.filters {
            own.push(condition(filter, None)?);
        }
        return Ok(Rows {
            source: from.sql(),
            conditions: own,
        });
    };
    // What needs no join is sorted out before it.
    let mut joined = Vec::new();
    for filter in &query.filters {
        let sql = condition(filter, Some(lookup))?;
        match lookup.column(&filter.key) {
            Some(_) => joined.push(sql),
            None => own.push(sql),
        }
    }
    // The oldest servers look for this column only where it stands outside of a lambda.
    joined.push(format!("at_us >= {}", literal::integer(query.from.0)));
    let all = columns().into_iter().map(|(name, _)| literal::name(&name));
    let own_typed = lookup.take.iter().enumerate();
    let own_typed = own_typed.map(|(index, key)| format!("{} AS o_{index}", Key::own(key).typed));
    let all = list(all.chain(own_typed));
    let source = format!(
        "(SELECT {all}, {} AS j_on FROM {} WHERE {}) AS e ANY LEFT JOIN ({}) AS j USING j_on",
        Key::displayed(&lookup.on),
        from.sql(),
        own.join(" AND "),
        looked_up(lookup, query.to, from),
    );
    Ok(Rows {
        source,
        conditions: joined,
    })
}

/// For each value of the key that both have: since when which values hold, oldest first.
fn looked_up(lookup: &Lookup, to: Timestamp, from: &Tables) -> String {
    let mut outer = vec![
        "j_on".to_owned(),
        "arraySort(groupArray(since)) AS j_at".to_owned(),
    ];
    let mut inner = vec![
        format!("{} AS j_on", Key::displayed(&lookup.on)),
        "at_us AS since".to_owned(),
    ];
    for (index, name) in lookup.take.iter().enumerate() {
        inner.push(format!("{} AS v_{index}", Key::own(name).typed));
        outer.push(format!(
            "arraySort((value, time) -> time, groupArray(v_{index}), groupArray(since)) AS j_{index}"
        ));
    }
    let mut conditions = vec![
        format!("dataset = {}", literal::text(&lookup.dataset)),
        format!("hour <= {}", literal::integer(hour(to.0.saturating_sub(1)))),
        format!("at_us < {}", literal::integer(to.0)),
    ];
    conditions.push(Key::own(&lookup.on).present);
    format!(
        "SELECT {} FROM (SELECT {} FROM {} WHERE {}) AS v GROUP BY j_on",
        list(outer),
        list(inner),
        from.sql(),
        conditions.join(" AND ")
    )
}
