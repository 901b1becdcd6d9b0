//! Asking: a plan, one or several stores, an answer within limits.
//!
//! Read in this order: [`asking`] (limits, calling off, progress), [`dataset`] (what a store
//! must be able to do), [`stores`] (several of them side by side), [`lookup`] (joins),
//! [`compare`] (another time beside), [`embedded`] (the store of a keeper), [`clickhouse`]
//! (where one machine is outgrown).

pub mod asking;
pub mod clickhouse;
pub mod compare;
pub mod dataset;
pub mod embedded;
pub mod lookup;
pub mod stores;

pub use asking::{Asking, Early, Limits, RunError};
pub use clickhouse::ClickHouseSource;
pub use dataset::{Dataset, DatasetError, Partial};
pub use stores::Stores;

use crate::resolve::Plan;
use andon_model::query::Answer;
use andon_store::ResolvedQuery;

/// Whoever can answer a settled question: embedded stores, or ClickHouse.
pub trait Source: Sync {
    /// Answers within the limits; joins included. An answer that lacks something says so.
    fn answer(&self, query: &ResolvedQuery, asking: &Asking<'_>) -> Result<Answer, RunError>;
}

/// Asks a source, and again for the time to compare with. Blocks; reads no clock but what the
/// source measures.
pub fn run(plan: &Plan, source: &dyn Source, asking: &Asking<'_>) -> Result<Answer, RunError> {
    let mut answer = match plan.compare {
        None => source.answer(&plan.query, asking)?,
        Some(before) => compare::run(plan, before, source, asking)?,
    };
    if answer.rows.len() >= plan.query.limit {
        let limit = plan.query.limit;
        answer.notes.push(format!(
            "the first {limit} rows; there may be more: ask for `top N` or a narrower question"
        ));
    }
    Ok(answer)
}
