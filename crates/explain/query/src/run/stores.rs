//! Several stores, asked side by side, slice of time by slice of time. Slices give progress
//! and early answers, let a search end with its first page, and bound how late a limit or a
//! cancel is seen; what they cost is kept small by making them as large as a moment allows.

use super::Source;
use super::dataset::{Dataset, Partial, ScanError};
use super::lookup;
use super::watch::{Early, Limits, RunError, Watch};
use andon_model::query::Answer;
use andon_model::time::Timestamp;
use andon_store::{Direction, ResolvedQuery};
use std::time::Duration;

/// The first slice is this part of the time that is asked for: a small sample of the cost.
const FIRST_PART: i64 = 64;
/// A slice is to take about so long.
const SLICE_TIME: Duration = Duration::from_millis(250);
/// If all the rest would take no longer than this, it is one slice.
const REST_TIME: Duration = Duration::from_millis(750);
/// No slice is a smaller part than this: where a slice costs much however short it is, shorter
/// ones would only cost more.
const SLICES_MAX: i64 = 4 * FIRST_PART;
/// A slice grows at most by this factor: the next may hold far more than the last.
const GROWTH_MAX: f64 = 16.0;
/// Time between two early answers.
const EARLY_EVERY: Duration = Duration::from_millis(500);

/// Stores that hold different events each.
pub struct Stores<'s, D> {
    stores: Vec<&'s D>,
}

impl<'s, D: Dataset> Stores<'s, D> {
    /// Of these; a store whose copy is asked already is not to be among them.
    pub fn new(stores: Vec<&'s D>) -> Self {
        Self { stores }
    }

    /// Scans a whole question without slices. What fails is noted; if all fail, it is an error.
    pub(super) fn scan(
        &self,
        query: &ResolvedQuery,
        limits: &Limits,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Scanned<D::Partial>, RunError> {
        let scan = |store: &D| store.scan(query, limits.bytes_max, go_on);
        let found: Vec<Result<D::Partial, ScanError>> = match self.stores.as_slice() {
            [] => return Err(RunError::Nobody),
            [only] => vec![scan(only)],
            several => std::thread::scope(|scope| {
                let threads: Vec<_> = several
                    .iter()
                    .map(|store| scope.spawn(move || scan(store)))
                    .collect();
                let gone = || ScanError::Failed {
                    reason: "it broke down".to_owned(),
                    help: "this is a fault of Andon; please report it".to_owned(),
                };
                let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                    thread.join().unwrap_or_else(|_| Err(gone()))
                };
                threads.into_iter().map(join).collect()
            }),
        };
        let mut scanned = Scanned {
            partial: None,
            stopped: false,
            notes: Vec::new(),
        };
        let mut failure = None;
        for (store, outcome) in self.stores.iter().zip(found) {
            match outcome {
                Ok(partial) => scanned.add(partial, query),
                Err(ScanError::Stopped) => scanned.stopped = true,
                Err(ScanError::Failed { reason, help }) => {
                    let label = store.label();
                    scanned.notes.push(format!("{label} is missing: {reason}"));
                    failure = Some(RunError::Failed {
                        label,
                        reason,
                        help,
                    });
                }
            }
        }
        match (failure, scanned.partial.is_none() && !scanned.stopped) {
            (Some(failure), true) => Err(failure),
            _ => Ok(scanned),
        }
    }
}

/// What stores found out together.
pub(super) struct Scanned<P> {
    pub partial: Option<P>,
    pub stopped: bool,
    pub notes: Vec<String>,
}

impl<P: Partial> Scanned<P> {
    fn add(&mut self, partial: P, query: &ResolvedQuery) {
        let fits = match &mut self.partial {
            None => {
                self.partial = Some(partial);
                true
            }
            Some(sum) => sum.merge(partial, query),
        };
        if !fits {
            self.note(
                "there are more groups than fit into memory; the rest is left out".to_owned(),
            );
        }
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

impl<D: Dataset> Source for Stores<'_, D> {
    fn answer(
        &self,
        query: &ResolvedQuery,
        limits: &Limits,
        watch: &dyn Watch,
    ) -> Result<Answer, RunError> {
        let started = watch.now();
        let in_time = || watch.now().since(started) < limits.time_max;
        let go_on = || !watch.is_cancelled() && in_time();
        let mut query = query.clone();
        let mut sum = Scanned {
            partial: None,
            stopped: false,
            notes: Vec::new(),
        };
        if query.lookup.is_some() {
            sum.notes
                .extend(lookup::fill(&mut query, self, limits, &go_on)?);
        }
        let whole = (query.from, query.to);
        let mut slices = Slices::new(&query);
        let mut told = started;
        while let Some((from, to)) = slices.next() {
            let begun = watch.now();
            (query.from, query.to) = (from, to);
            let slice = self.scan(&query, limits, &go_on)?;
            (query.from, query.to) = whole;
            for note in slice.notes {
                sum.note(note);
            }
            if let Some(partial) = slice.partial {
                sum.add(partial, &query);
            }
            if watch.is_cancelled() {
                return Err(RunError::Cancelled);
            }
            let now = watch.now();
            let enough = query.wants_events()
                && query.exemplars == 0
                && sum
                    .partial
                    .as_ref()
                    .is_some_and(|sum| sum.event_count() >= query.limit);
            if enough {
                break;
            }
            if slice.stopped || !in_time() {
                sum.stopped = true;
                let covered = slices.covered_text();
                sum.note(format!("stopped after {:?}: {covered}", limits.time_max));
                break;
            }
            slices.took(now.since(begun));
            if let (true, Some(partial)) = (now.since(told) >= EARLY_EVERY, &sum.partial) {
                told = now;
                let mut answer = partial.answer(&query);
                answer.partial = true;
                let share = slices.share();
                watch.tell(Early { share, answer });
            }
        }
        let mut answer = match &sum.partial {
            Some(partial) => partial.answer(&query),
            None => Answer::default(),
        };
        answer.partial |= sum.stopped || !sum.notes.is_empty();
        answer.notes.extend(sum.notes);
        Ok(answer)
    }
}

/// Cuts the asked time into slices, the end first that is read first.
struct Slices {
    from: Timestamp,
    to: Timestamp,
    /// What is not covered yet.
    rest: (i64, i64),
    next_us: i64,
    last_us: i64,
    forward: bool,
}

impl Slices {
    fn new(query: &ResolvedQuery) -> Self {
        let range = query.to.0.saturating_sub(query.from.0);
        let forward = query.wants_events()
            && query
                .order_by
                .first()
                .is_some_and(|order| order.direction == Direction::Ascending);
        Self {
            from: query.from,
            to: query.to,
            rest: (query.from.0, query.to.0),
            next_us: (range / FIRST_PART).max(1_000_000),
            last_us: 0,
            forward,
        }
    }

    fn next(&mut self) -> Option<(Timestamp, Timestamp)> {
        let (from, to) = self.rest;
        if from >= to {
            return None;
        }
        let width = self.next_us.min(to.saturating_sub(from));
        let slice = if self.forward {
            self.rest.0 = from + width;
            (from, from + width)
        } else {
            self.rest.1 = to - width;
            (to - width, to)
        };
        self.last_us = width;
        Some((Timestamp(slice.0), Timestamp(slice.1)))
    }

    /// Learns how long the last slice took, and makes the next one fit.
    fn took(&mut self, took: Duration) {
        let per_us = took.as_secs_f64() / self.last_us.max(1) as f64;
        let rest_us = self.rest.1.saturating_sub(self.rest.0);
        if per_us * rest_us as f64 <= REST_TIME.as_secs_f64() {
            self.next_us = rest_us.max(1);
            return;
        }
        let fitting = SLICE_TIME.as_secs_f64() / per_us;
        let widest = self.last_us as f64 * GROWTH_MAX;
        let range = self.to.0.saturating_sub(self.from.0);
        self.next_us = (fitting.min(widest) as i64).max(range / SLICES_MAX).max(1);
    }

    fn share(&self) -> f64 {
        let all = self.to.0.saturating_sub(self.from.0).max(1);
        let rest = self.rest.1.saturating_sub(self.rest.0);
        1.0 - rest as f64 / all as f64
    }

    fn covered_text(&self) -> String {
        let (from, to) = self.rest;
        match self.forward {
            true => format!("only the time until {} is covered", Timestamp(from)),
            false => format!("only the time from {} on is covered", Timestamp(to)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices(asked_s: i64, us_per_second: u64) -> Vec<i64> {
        let query = ResolvedQuery::new("x", Timestamp(0), Timestamp(asked_s * 1_000_000));
        let mut slices = Slices::new(&query);
        let mut widths = Vec::new();
        let mut end = query.to;
        while let Some((from, to)) = slices.next() {
            assert_eq!(to, end, "newest first, without gaps");
            end = from;
            let seconds = (to.0 - from.0) / 1_000_000;
            widths.push(seconds);
            slices.took(Duration::from_micros(
                us_per_second * seconds.unsigned_abs(),
            ));
            assert!(widths.len() < 1_000);
        }
        assert_eq!(end, query.from);
        widths
    }

    #[test]
    fn a_quick_question_is_two_slices_and_a_slow_one_has_many_of_one_length() {
        assert_eq!(slices(3_600, 10), [56, 3_543]);
        let slow = slices(36_000, 1_000);
        assert!(slow.len() > 50 && slow[10] == slow[20], "{slow:?}");
        assert_eq!(slices(1, 10), [1]);
    }
}
