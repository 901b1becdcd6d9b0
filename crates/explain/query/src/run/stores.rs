//! Several stores, asked side by side: what they find adds up, what one lacks is noted.

use super::asking::{Asking, Early, RunError};
use super::dataset::{Dataset, DatasetError, Partial};
use super::lookup;
use super::{Found, Source};
use andon_model::query::Answer;
use andon_store::{Direction, ResolvedQuery};
use std::sync::{Mutex, PoisonError};

/// Stores that hold different events each.
pub struct Stores<'s, D> {
    stores: Vec<&'s D>,
}

impl<'s, D: Dataset> Stores<'s, D> {
    /// Of these; a store whose copy is asked already is not to be among them.
    pub fn new(stores: Vec<&'s D>) -> Self {
        Self { stores }
    }

    /// What all of them find out. What fails is noted; if all fail, it is an error.
    pub(super) fn scan(
        &self,
        query: &ResolvedQuery,
        asking: &Asking<'_>,
    ) -> Result<(D::Partial, Vec<String>), RunError> {
        let board = Board::new(query, self.stores.len());
        let scan = |index: usize, store: &D| {
            let cancel = asking.cancel;
            match asking.tell {
                None => store.scan(query, &asking.limits, cancel, None),
                Some(tell) => {
                    let mut early = |partial: &D::Partial, share: f64| {
                        tell(board.put(index, partial, share));
                    };
                    store.scan(query, &asking.limits, cancel, Some(&mut early))
                }
            }
        };
        let found: Vec<Result<D::Partial, DatasetError>> = match self.stores.as_slice() {
            [] => return Err(RunError::Nobody),
            [only] => vec![scan(0, only)],
            several => std::thread::scope(|scope| {
                let scan = &scan;
                let threads: Vec<_> = several
                    .iter()
                    .enumerate()
                    .map(|(index, store)| scope.spawn(move || scan(index, store)))
                    .collect();
                let threads = threads.into_iter();
                threads
                    .map(|thread| thread.join().unwrap_or_else(|_| Err(gone())))
                    .collect()
            }),
        };
        self.sum(found)
    }

    fn sum(
        &self,
        found: Vec<Result<D::Partial, DatasetError>>,
    ) -> Result<(D::Partial, Vec<String>), RunError> {
        let mut sum: Option<D::Partial> = None;
        let mut notes = Vec::new();
        let mut failure = RunError::Nobody;
        for (store, outcome) in self.stores.iter().zip(found) {
            match (outcome, &mut sum) {
                (Ok(partial), None) => sum = Some(partial),
                (Ok(partial), Some(sum)) => sum.merge(partial),
                (Err(DatasetError::Cancelled), _) => return Err(RunError::Cancelled),
                (Err(DatasetError::Failed { reason, help }), _) => {
                    let label = store.label();
                    notes.push(format!("{label} is missing: {reason}"));
                    failure = RunError::Failed {
                        label,
                        reason,
                        help,
                    };
                }
            }
        }
        sum.map(|sum| (sum, notes)).ok_or(failure)
    }
}

fn gone() -> DatasetError {
    DatasetError::Failed {
        reason: "it broke down".to_owned(),
        help: "this is a fault of Andon; please report it".to_owned(),
    }
}

/// What stores found out about a question, its join included.
struct Outcome<P> {
    sum: P,
    query: ResolvedQuery,
    notes: Vec<String>,
    /// Milliseconds that the join took before.
    before_ms: f64,
}

impl<D: Dataset> Stores<'_, D> {
    fn joined(
        &self,
        query: &ResolvedQuery,
        asking: &Asking<'_>,
    ) -> Result<Outcome<D::Partial>, RunError> {
        let mut query = query.clone();
        let mut asking = *asking;
        let mut notes = Vec::new();
        let mut before_ms = 0.0;
        if let Some(lookup) = &query.lookup {
            let filled = lookup::fill(lookup, query.to, self, &asking.besides(0.0))?;
            notes = filled.notes;
            before_ms = filled.elapsed_ms;
            asking.limits = asking.limits.after(before_ms);
            query.lookup = Some(filled.lookup);
        }
        let (mut sum, missing) = self.scan(&query, &asking)?;
        notes.extend(missing);
        if let Some(lookup) = &query.lookup {
            for event in sum.events_mut() {
                lookup::widen(event, lookup);
            }
        }
        Ok(Outcome {
            sum,
            query,
            notes,
            before_ms,
        })
    }
}

impl<D: Dataset> Source for Stores<'_, D> {
    fn answer(&self, query: &ResolvedQuery, asking: &Asking<'_>) -> Result<Answer, RunError> {
        let outcome = self.joined(query, asking)?;
        let mut answer = outcome.sum.answer(&outcome.query);
        answer.partial |= !outcome.notes.is_empty();
        answer.notes.extend(outcome.notes);
        answer.stats.elapsed_ms += outcome.before_ms;
        Ok(answer)
    }

    fn events(&self, query: &ResolvedQuery, asking: &Asking<'_>) -> Result<Found, RunError> {
        let mut outcome = self.joined(query, asking)?;
        let mut events = std::mem::take(outcome.sum.events_mut());
        let ascending = query
            .order_by
            .first()
            .is_some_and(|order| order.direction == Direction::Ascending);
        match ascending {
            true => events.sort_by_key(|event| event.at),
            false => events.sort_by_key(|event| std::cmp::Reverse(event.at)),
        }
        events.truncate(query.limit);
        let mut notes = outcome.sum.answer(&outcome.query).notes;
        notes.extend(outcome.notes);
        Ok(Found { events, notes })
    }
}

/// Where each store puts what it has found so far, so that an early answer is of all.
struct Board<'q, P> {
    query: &'q ResolvedQuery,
    latest: Mutex<Vec<Option<(P, f64)>>>,
}

impl<'q, P: Partial> Board<'q, P> {
    fn new(query: &'q ResolvedQuery, stores: usize) -> Self {
        Self {
            query,
            latest: Mutex::new(vec![None; stores]),
        }
    }

    fn put(&self, index: usize, partial: &P, share: f64) -> Early {
        let all = {
            let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
            latest[index] = Some((partial.clone(), share));
            latest.clone()
        };
        let count = all.len().max(1) as f64;
        let share = all.iter().flatten().map(|(_, share)| share).sum::<f64>() / count;
        let mut parts = all.into_iter().flatten().map(|(partial, _)| partial);
        let mut sum = parts.next().unwrap_or_else(|| partial.clone());
        parts.for_each(|part| sum.merge(part));
        let mut answer = sum.answer(self.query);
        answer.partial = true;
        Early { share, answer }
    }
}
