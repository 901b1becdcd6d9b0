//! Asking: a plan, one or several stores, an answer within limits.
//!
//! Read in this order: [`watch`] (limits, calling off, progress), [`dataset`] (what a store
//! must be able to do), [`stores`] (several of them, slice by slice), [`lookup`] (joins),
//! [`compare`] (another time beside), [`clickhouse`] (where one machine is outgrown).

pub mod clickhouse;
pub mod compare;
pub mod dataset;
pub mod embedded;
pub mod lookup;
pub mod stores;
pub mod watch;

pub use clickhouse::ClickHouseSource;
pub use dataset::{Dataset, Partial, ScanError};
pub use stores::Stores;
pub use watch::{Early, Limits, RunError, Silent, Watch};

use crate::resolve::Plan;
use andon_model::query::Answer;
use andon_store::ResolvedQuery;

/// Whoever can answer a settled question: embedded stores, or ClickHouse.
pub trait Source: Sync {
    /// Answers within the limits; joins included. An answer that lacks something says so.
    fn answer(
        &self,
        query: &ResolvedQuery,
        limits: &Limits,
        watch: &dyn Watch,
    ) -> Result<Answer, RunError>;
}

/// Asks a source, and again for the time to compare with.
pub fn run(
    plan: &Plan,
    source: &dyn Source,
    limits: &Limits,
    watch: &dyn Watch,
) -> Result<Answer, RunError> {
    let started = watch.now();
    let mut answer = match plan.compare {
        None => source.answer(&plan.query, limits, watch)?,
        Some(before) => compare::run(plan, before, source, limits, watch)?,
    };
    if answer.rows.len() >= plan.query.limit {
        let limit = plan.query.limit;
        answer.notes.push(format!(
            "the first {limit} rows; there may be more: ask for `top N` or a narrower question"
        ));
    }
    answer.stats.elapsed_ms = watch.now().since(started).as_secs_f64() * 1_000.0;
    Ok(answer)
}
