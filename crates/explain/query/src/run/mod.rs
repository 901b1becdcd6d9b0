//! Asking: a plan, one or several stores, an answer within limits.
//!
//! Read in this order: [`asking`] (limits, calling off, progress), [`dataset`] (what a store
//! must be able to do), [`stores`] (several of them side by side), [`lookup`] (joins),
//! [`compare`] (another time beside), [`differ`] (what sets some events apart), [`embedded`] (the store of a keeper), [`clickhouse`]
//! (where one machine is outgrown).

pub mod asking;
pub mod clickhouse;
pub mod compare;
pub mod dataset;
pub mod differ;
pub mod embedded;
pub mod lookup;
pub mod stores;

pub use asking::{Asking, Early, Limits, RunError};
pub use clickhouse::{ClickHouseCatalogue, ClickHouseSource};
pub use dataset::{Dataset, DatasetError, Partial};
pub use embedded::Embedded;
pub use stores::Stores;

use crate::resolve::Plan;
use crate::waterfall::{SPANS_MAX, Waterfall};
use andon_model::event::{Event, Value, key};
use andon_model::query::{Answer, LIMIT_DEFAULT};
use andon_model::time::Timestamp;
use andon_store::{Condition, ResolvedQuery, Test};

/// Whoever can answer a settled question: embedded stores, or ClickHouse.
pub trait Source: Sync {
    /// Answers within the limits; joins included. An answer that lacks something says so.
    fn answer(&self, query: &ResolvedQuery, asking: &Asking<'_>) -> Result<Answer, RunError>;
    /// Raw events themselves, to the microsecond, newest first; and what is missing.
    fn events(&self, query: &ResolvedQuery, asking: &Asking<'_>) -> Result<Found, RunError>;
}

/// Raw events, and what belongs to them and is missing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// In the order asked for.
    pub events: Vec<Event>,
    /// What is missing, and why; empty if nothing is.
    pub notes: Vec<String>,
}

/// Asks a source, and again for the time to compare with. Blocks; reads no clock but what the
/// source measures.
pub fn run(plan: &Plan, source: &dyn Source, asking: &Asking<'_>) -> Result<Answer, RunError> {
    let mut answer = match (plan.compare, &plan.differ) {
        (None, None) => source.answer(&plan.query, asking)?,
        (None, Some(inside)) => differ::run(plan, inside, source, asking)?,
        (Some(before), _) => compare::run(plan, before, source, asking)?,
    };
    answer.rows.drain(..plan.skip.min(answer.rows.len()));
    answer.from = Some(plan.query.from);
    answer.to = Some(plan.query.to);
    // Whoever asks for the top twenty knows that there are more.
    let limit = plan.query.limit - plan.skip;
    if answer.rows.len() >= limit && limit == LIMIT_DEFAULT {
        answer.notes.push(format!(
            "the first {limit} rows; there may be more: ask for `top N` or a narrower question"
        ));
    }
    Ok(answer)
}

/// A trace as a waterfall: all events of a dataset with this trace id between two moments, and
/// what is missing.
pub fn trace(
    dataset: &str,
    trace_id: &str,
    (from, to): (Timestamp, Timestamp),
    source: &dyn Source,
    asking: &Asking<'_>,
) -> Result<(Waterfall, Vec<String>), RunError> {
    let mut query = ResolvedQuery::new(dataset, from, to);
    query.filters = vec![Condition {
        key: key::TRACE_ID.to_owned(),
        test: Test::Equal(Value::Text(trace_id.to_owned())),
    }];
    // One more than is shown, so that what is left out is known to be there.
    query.limit = SPANS_MAX + 1;
    let found = source.events(&query, asking)?;
    Ok((Waterfall::of(&found.events), found.notes))
}
