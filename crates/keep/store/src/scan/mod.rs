//! Asking: which units a question concerns, who looks through them, and what comes together.
//!
//! Read in this order: [`unit`] and [`lane`] (what is looked through), [`looked`] (values from
//! elsewhere), [`filter`] and [`filters`], [`keys`] (groups),
//! [`measure`] (calculations), [`exemplar`], [`worker`] (one thread's share), [`events`]
//! (raw events).

mod events;
mod exemplar;
mod filter;
mod filters;
pub(crate) mod keys;
mod lane;
mod looked;
pub(crate) mod measure;
mod unit;
pub(crate) mod worker;

use crate::answer::{ExemplarRow, PartialAnswer};
use crate::error::ScanError;
use crate::plan::{BUCKETS_MAX, EXEMPLAR_KEY, ResolvedQuery};
use crate::rollup;
use crate::store::{Shared, Store};
use crate::warm::Asking;
use andon_model::event::{Event, Value};
use andon_model::query::{Answer, EXEMPLARS_MAX, ExemplarKind, GROUP_BY_MAX};
use exemplar::{Candidate, Candidates, Picked};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use unit::OpenSegment;
pub(crate) use unit::Unit;
use worker::{Worker, micros};

/// Stops a question from outside. Clones stop together.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// One that nobody has used yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the question within some milliseconds.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was used.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a question may cost. When time or memory is out, the answer is what was found until
/// then, and says so.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// From question to answer.
    pub time: Duration,
    /// Bytes for groups and what is worked out for them.
    pub memory_bytes: usize,
    /// Threads that look through blocks.
    pub threads: usize,
    /// How often an early answer is shown to those who asked for it.
    pub progress_every: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            memory_bytes: 96 << 20,
            threads: 2,
            progress_every: Duration::from_millis(500),
        }
    }
}

/// How far a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Blocks looked through or left out.
    pub done: usize,
    /// Blocks that the question concerns.
    pub total: usize,
}

type OnProgress<'a> = &'a mut dyn FnMut(&PartialAnswer, Progress);

impl Store {
    /// Looks for an answer.
    pub fn scan(
        &self,
        query: &ResolvedQuery,
        cancel: &Cancel,
        budget: &Budget,
    ) -> Result<PartialAnswer, ScanError> {
        self.shared.scan(query, cancel, budget, None)
    }

    /// As [`scan`](Self::scan), showing what was found so far every now and then.
    pub fn scan_with(
        &self,
        query: &ResolvedQuery,
        cancel: &Cancel,
        budget: &Budget,
        on_progress: OnProgress<'_>,
    ) -> Result<PartialAnswer, ScanError> {
        self.shared.scan(query, cancel, budget, Some(on_progress))
    }

    /// A whole answer from this store alone.
    pub fn ask(
        &self,
        query: &ResolvedQuery,
        cancel: &Cancel,
        budget: &Budget,
    ) -> Result<Answer, ScanError> {
        Ok(self.scan(query, cancel, budget)?.finish(query))
    }
}

fn check(query: &ResolvedQuery) -> Result<(), ScanError> {
    let too_much = |what, max: usize| ScanError::TooMuch {
        what,
        max: max as u64,
    };
    if query.group_by.len() > GROUP_BY_MAX {
        return Err(too_much("more keys to group by", GROUP_BY_MAX));
    }
    if query.exemplars > EXEMPLARS_MAX {
        return Err(too_much("more exemplars", EXEMPLARS_MAX));
    }
    if let Some(width) = query.bucket {
        let span = query.to.0.saturating_sub(query.from.0).max(0) as u64;
        if span / micros(width).max(1) as u64 >= BUCKETS_MAX {
            return Err(too_much("more time buckets", BUCKETS_MAX as usize));
        }
    }
    Ok(())
}

/// What a question concerns, as it was when it was asked.
pub(crate) struct Snapshot {
    /// Newest first.
    pub(crate) units: Vec<Unit>,
    pub(crate) notes: Vec<String>,
}

impl Shared {
    /// The units of a dataset that have events between two moments.
    /// For a question that coarser steps answer as well, those are its units.
    pub(crate) fn snapshot(
        &self,
        dataset: &str,
        from: i64,
        to: i64,
        query: Option<&ResolvedQuery>,
    ) -> Snapshot {
        let state = self.state();
        let mut notes = Vec::new();
        for file in &state.unreadable {
            if file.dataset.as_deref().is_none_or(|name| name == dataset) {
                notes.push(format!("{}; its events are missing", file.reason));
            }
        }
        let mut chunks = Vec::new();
        for head in state.frozen.iter().map(Arc::as_ref).chain([&state.active]) {
            if let Some(found) = head.datasets.get(dataset) {
                chunks.extend(found.chunks.iter().cloned());
            }
        }
        let segments = state.segments.get(dataset).into_iter().flatten();
        let mut segments: Vec<_> = segments
            .filter(|segment| segment.at_min < to && segment.at_max >= from)
            .cloned()
            .collect();
        drop(state);
        segments.sort_by_key(|segment| std::cmp::Reverse((segment.at_max, segment.id)));
        let mut units: Vec<Unit> = chunks.into_iter().rev().map(Unit::Chunk).collect();
        for segment in segments {
            if let Some(reason) = segment.damage() {
                notes.push(format!("{reason}; its events are missing"));
                continue;
            }
            match segment.footer() {
                Ok(footer) => {
                    let coarser = query.and_then(|query| {
                        let mut rollups = segment.rollups.iter();
                        let (_, rollup) = rollups.find(|(width, rollup)| {
                            rollup.damage().is_none() && rollup::answers(query, &footer, *width)
                        })?;
                        Some((rollup.clone(), rollup.footer().ok()?))
                    });
                    let (segment, footer) = coarser.unwrap_or((segment, footer));
                    let inside = segment.at_min >= from && segment.at_max < to;
                    let blocks = footer.blocks.iter().enumerate().rev();
                    let meant = blocks
                        .filter(|(_, block)| inside || block.at_min < to && block.at_max >= from);
                    units.extend(meant.map(|(number, _)| Unit::Block(segment.clone(), number)));
                }
                Err(error) => {
                    segment.isolate(&error);
                    notes.push(format!("{error}; its events are missing"));
                }
            }
        }
        Snapshot { units, notes }
    }

    fn scan(
        &self,
        query: &ResolvedQuery,
        cancel: &Cancel,
        budget: &Budget,
        on_progress: Option<OnProgress<'_>>,
    ) -> Result<PartialAnswer, ScanError> {
        let started = Instant::now();
        check(query)?;
        self.counters.queries.fetch_add(1, Ordering::Relaxed);
        let deadline = started + budget.time;
        let asking = self.warm.ask(started);
        let snapshot = self.snapshot(&query.dataset, query.from.0, query.to.0, Some(query));
        let mut answer = if query.wants_events() {
            events::scan(query, &snapshot.units, cancel, deadline, (budget, asking))?
        } else {
            PartialAnswer::default()
        };
        if !query.wants_events() || query.exemplars > 0 {
            let mut asked = Asked {
                query,
                units: &snapshot.units,
                cancel,
                deadline,
                budget,
                asking,
            };
            answer.merge(asked.groups(on_progress)?);
        }
        answer.is_partial |= !snapshot.notes.is_empty();
        answer.notes.extend(snapshot.notes);
        answer.stats.elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
        Ok(answer)
    }
}

struct Asked<'a> {
    query: &'a ResolvedQuery,
    units: &'a [Unit],
    cancel: &'a Cancel,
    deadline: Instant,
    budget: &'a Budget,
    asking: Asking<'a>,
}

/// What the threads of one question share.
struct Common {
    done: AtomicUsize,
    running: Mutex<usize>,
    ended: Condvar,
    early: Vec<Mutex<Option<PartialAnswer>>>,
}

/// Tells that a thread is done, however it ends.
struct Running<'a>(&'a Common);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_all();
    }
}

impl Asked<'_> {
    fn stop(&self) -> bool {
        self.cancel.is_cancelled() || Instant::now() >= self.deadline
    }

    /// What the slowest exemplars surely reach: so many blocks have one that does. Only where
    /// all rows of a block count.
    fn surely_slow(&self) -> f64 {
        let count = self.query.exemplars;
        if count == 0 || !self.query.filters.is_empty() || self.query.lookup.is_some() {
            return f64::NEG_INFINITY;
        }
        let mut slowest: Vec<f64> = Vec::new();
        for unit in self.units {
            let Unit::Block(segment, block) = unit else {
                continue;
            };
            let Ok(footer) = segment.footer() else {
                continue;
            };
            let span = &footer.blocks[*block];
            let inside = span.at_min >= self.query.from.0 && span.at_max < self.query.to.0;
            let max = unit::max_of(&footer, *block, EXEMPLAR_KEY);
            if inside && max.is_finite() {
                slowest.push(max);
            }
        }
        slowest.sort_unstable_by(|left, right| right.total_cmp(left));
        let surely = slowest.get(count - 1).copied();
        surely.unwrap_or(f64::NEG_INFINITY)
    }

    /// Each thread takes every so-manieth unit, whoever is faster: so sums add up in the same
    /// order each time, and the same question has the same answer to the last bit.
    fn groups(
        &mut self,
        mut on_progress: Option<OnProgress<'_>>,
    ) -> Result<PartialAnswer, ScanError> {
        let threads = self.budget.threads.clamp(1, self.units.len().max(1));
        let memory = self.budget.memory_bytes / threads;
        let slow = self.surely_slow();
        let mut workers = Vec::new();
        for _ in 0..threads {
            let mut worker = Worker::new(self.query, memory, Some(self.asking))?;
            worker.candidates.slowest.expect(slow);
            workers.push(worker);
        }
        let common = Common {
            done: AtomicUsize::new(0),
            running: Mutex::new(threads),
            ended: Condvar::new(),
            early: (0..threads).map(|_| Mutex::new(None)).collect(),
        };
        let shows = on_progress.is_some();
        let asked = &*self;
        let finished: Vec<(PartialAnswer, Candidates)> = std::thread::scope(|scope| {
            let mut handles = Vec::new();
            for (number, worker) in workers.into_iter().enumerate() {
                let common = &common;
                handles.push(scope.spawn(move || {
                    let _running = Running(common);
                    asked.work(worker, (number, threads), common, shows)
                }));
            }
            if let Some(on_progress) = &mut on_progress {
                asked.show(&common, on_progress);
            }
            let joined = handles.into_iter().map(|handle| handle.join());
            joined.filter_map(Result::ok).collect()
        });
        if self.cancel.is_cancelled() {
            return Err(ScanError::Cancelled);
        }
        let done = common.done.load(Ordering::Relaxed);
        let mut answer = PartialAnswer::default();
        let mut candidates = Candidates::new(self.query.exemplars);
        if finished.len() < threads {
            answer.is_partial = true;
            answer
                .notes
                .insert("a thread failed: its part is missing".to_owned());
        }
        for (partial, more) in finished {
            answer.merge(partial);
            candidates.slowest.merge(more.slowest);
            candidates.failed.merge(more.failed);
            if self.query.exemplars > 0 {
                answer.sizes.merge(&more.sizes.get(0));
            }
        }
        if done < self.units.len() {
            let total = self.units.len();
            let time = self.budget.time;
            answer.is_partial = true;
            answer.notes.insert(format!(
                "stopped after {time:?}: {done} of {total} blocks looked through, newest first"
            ));
        }
        if self.query.exemplars > 0 {
            self.exemplars(candidates, &mut answer)?;
        }
        Ok(answer)
    }

    fn work(
        &self,
        mut worker: Worker<'_>,
        (number, threads): (usize, usize),
        common: &Common,
        shows: bool,
    ) -> (PartialAnswer, Candidates) {
        let mut shown = Instant::now();
        for (index, unit) in self.units.iter().enumerate().skip(number).step_by(threads) {
            if self.stop() {
                break;
            }
            worker.scan(index, unit);
            common.done.fetch_add(1, Ordering::Relaxed);
            if shows && shown.elapsed() >= self.budget.progress_every {
                let early = &common.early[number];
                *early.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker.partial());
                shown = Instant::now();
            }
        }
        worker.finish()
    }

    /// Shows early answers until all threads are done.
    fn show(&self, common: &Common, on_progress: &mut OnProgress<'_>) {
        let mut running = common
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while *running > 0 {
            let waited = common
                .ended
                .wait_timeout(running, self.budget.progress_every);
            running = waited.unwrap_or_else(PoisonError::into_inner).0;
            if *running == 0 {
                return;
            }
            drop(running);
            let mut early = PartialAnswer::default();
            for part in &common.early {
                let part = part.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(part) = part {
                    early.merge(part);
                }
            }
            early.is_partial = true;
            let progress = Progress {
                done: common.done.load(Ordering::Relaxed),
                total: self.units.len(),
            };
            on_progress(&early, progress);
            running = common
                .running
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reads the events that were picked.
    fn exemplars(
        &self,
        candidates: Candidates,
        answer: &mut PartialAnswer,
    ) -> Result<(), ScanError> {
        let count = self.query.exemplars;
        let mut typical = Picked::new(count);
        if let Some(median) = answer.sizes.quantile(0.5) {
            let bin = crate::sketch::histogram::bin_of(median);
            let mut worker = Worker::new(self.query, 0, Some(self.asking))?;
            for (number, unit) in self.units.iter().enumerate() {
                if typical.is_full() || self.stop() {
                    break;
                }
                worker.pick_typical(number, unit, bin, &mut typical);
            }
        }
        let mut wanted: BTreeMap<usize, Vec<(ExemplarKind, Candidate)>> = BTreeMap::new();
        let kinds = [
            (ExemplarKind::Slowest, candidates.slowest),
            (ExemplarKind::Failed, candidates.failed),
            (ExemplarKind::Typical, typical),
        ];
        for (kind, picked) in kinds {
            for candidate in picked.take() {
                wanted
                    .entry(candidate.unit)
                    .or_default()
                    .push((kind, candidate));
            }
        }
        let wanted: Vec<_> = wanted.into_iter().collect();
        let threads = self.budget.threads.clamp(1, wanted.len().max(1));
        let read: Vec<Vec<ExemplarRow>> = std::thread::scope(|scope| {
            let share = wanted.len().div_ceil(threads).max(1);
            let shares = wanted.chunks(share);
            let handles = shares.map(|share| scope.spawn(move || self.read(share)));
            let handles: Vec<_> = handles.collect();
            let joined = handles.into_iter().map(|handle| handle.join());
            joined.filter_map(Result::ok).collect()
        });
        answer.exemplars = read.into_iter().flatten().collect();
        Ok(())
    }

    fn read(&self, wanted: &[(usize, Vec<(ExemplarKind, Candidate)>)]) -> Vec<ExemplarRow> {
        let mut rows = Vec::new();
        let mut reader = RowReader::new(self.asking);
        for (unit, candidates) in wanted {
            let picked: Vec<u32> = candidates.iter().map(|(_, found)| found.row).collect();
            // Damage found here is found again, and told, by the next question.
            let Ok(events) = reader.rows(&self.units[*unit], &picked) else {
                continue;
            };
            for ((why, _), event) in candidates.iter().zip(events) {
                rows.push(ExemplarRow {
                    why: *why,
                    size: event.get(EXEMPLAR_KEY).and_then(Value::number),
                    event,
                });
            }
        }
        rows
    }
}

/// Reads single rows of one unit after the other.
pub(crate) struct RowReader<'a> {
    asking: Asking<'a>,
    segment: Option<OpenSegment>,
}

impl<'a> RowReader<'a> {
    pub(crate) fn new(asking: Asking<'a>) -> Self {
        Self {
            asking,
            segment: None,
        }
    }

    /// Some rows of a unit as events, in the order of `wanted`.
    pub(crate) fn rows(
        &mut self,
        unit: &Unit,
        wanted: &[u32],
    ) -> Result<Vec<Event>, crate::segment::SegmentError> {
        let (segment, block) = match unit {
            Unit::Chunk(batch) => {
                let rows = wanted.iter();
                return Ok(rows.map(|&row| batch.event(row as usize)).collect());
            }
            Unit::Block(segment, block) => (segment, *block),
        };
        let open = match self.segment.take() {
            Some(open) if open.serial == segment.serial => open,
            _ => OpenSegment::open(segment)?,
        };
        let open = self.segment.insert(open);
        let mut rows = wanted.to_vec();
        rows.sort_unstable();
        rows.dedup();
        let events = open.rows(block, &rows, Some(self.asking))?;
        let event = |row: &u32| Some(events[rows.binary_search(row).ok()?].clone());
        Ok(wanted.iter().filter_map(event).collect())
    }
}
