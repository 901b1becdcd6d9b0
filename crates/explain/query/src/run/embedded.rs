//! The embedded store of a keeper as one to ask, and what it knows for completion.

use super::asking::Limits;
use super::dataset::{Dataset, DatasetError, OnEarly, Partial};
use crate::text::Catalogue;
use andon_model::event::{Event, Value};
use andon_model::query::Answer;
use andon_store::{Budget, Cancel, PartialAnswer, ResolvedQuery, ScanError, Store};
use std::time::Duration;

/// Time between two early answers.
const EARLY_EVERY: Duration = Duration::from_millis(500);

/// A store and the name of the keeper that has it.
pub struct Embedded<'s> {
    /// The keeper's name.
    pub label: String,
    /// Its store.
    pub store: &'s Store,
}

impl Partial for PartialAnswer {
    fn merge(&mut self, other: Self) {
        PartialAnswer::merge(self, other);
    }
    fn answer(self, query: &ResolvedQuery) -> Answer {
        self.finish(query)
    }
    fn events_mut(&mut self) -> &mut Vec<Event> {
        &mut self.events
    }
    fn elapsed_ms(&self) -> f64 {
        self.stats.elapsed_ms
    }
}

impl Dataset for Embedded<'_> {
    type Partial = PartialAnswer;

    fn label(&self) -> String {
        self.label.clone()
    }

    fn scan(
        &self,
        query: &ResolvedQuery,
        limits: &Limits,
        cancel: &Cancel,
        early: Option<OnEarly<'_, PartialAnswer>>,
    ) -> Result<PartialAnswer, DatasetError> {
        let budget = Budget {
            time: limits.time_max,
            memory_bytes: limits.bytes_max,
            threads: limits.threads,
            progress_every: EARLY_EVERY,
        };
        let outcome = match early {
            None => self.store.scan(query, cancel, &budget),
            Some(early) => {
                self.store
                    .scan_with(query, cancel, &budget, &mut |partial, progress| {
                        let share = progress.done as f64 / progress.total.max(1) as f64;
                        early(partial, share);
                    })
            }
        };
        outcome.map_err(|error| match error {
            ScanError::Cancelled => DatasetError::Cancelled,
            error => DatasetError::Failed {
                reason: error.to_string(),
                help: "ask for less at once".to_owned(),
            },
        })
    }
}

/// Values that are proposed for completion at most.
const VALUES_MAX: usize = 100;

impl Catalogue for Embedded<'_> {
    fn datasets(&self) -> Vec<String> {
        let all = self.store.datasets().into_iter();
        all.map(|dataset| dataset.name).collect()
    }
    fn keys(&self, dataset: &str) -> Vec<String> {
        let all = self.store.keys(dataset).into_iter();
        all.map(|key| key.name).collect()
    }
    fn values(&self, dataset: &str, key: &str, prefix: &str) -> Vec<Value> {
        self.store.values(dataset, key, prefix, VALUES_MAX)
    }
}
