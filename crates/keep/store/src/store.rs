//! The store as a whole: what comes in, what is there, and the thread that tidies up.

use crate::batch::{Batch, BatchCounters, cut};
use crate::coding::BLOCK_ROWS_MAX;
use crate::commit::{Committer, Outcome, Waiting};
use crate::error::StoreError;
use crate::head::Head;
use crate::open::Identity;
use crate::options::{Background, Options};
use crate::segment::Segment;
use crate::tail::{Tail, Tails};
use crate::wal::{Frame, Origin, SOURCE_BYTES_MAX, Wal};
use crate::warm::Warm;
use crate::{open, seal};
use andon_model::event::{Event, is_dataset_name};
use andon_model::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// Full heads that wait to be sealed; whoever appends waits while there are so many.
const FROZEN_MAX: usize = 2;
/// Bytes of one batch at most: a larger one is cut in two.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// Bytes of one log at most before its rows are sealed: what is read again after a crash.
const WAL_BYTES_MAX: u64 = 128 << 20;
/// How often old segments are looked through.
const TIDY_EVERY: Duration = Duration::from_secs(10);
/// How long after a failed sealing it is tried again.
const SEAL_AGAIN: Duration = Duration::from_secs(1);
/// Sources whose last number is remembered at most.
pub(crate) const SOURCES_MAX: usize = 10_000;

/// Events on this machine. Calls block; share it by `Arc`.
#[derive(Debug)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

/// What became of what was appended. All of it is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receipt {
    /// Events stored.
    pub rows: u64,
    /// Events not stored, as their batch was stored before.
    pub repeated: u64,
    /// What was left out of the events or cut.
    pub counters: BatchCounters,
}

impl Receipt {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.repeated += other.repeated;
        self.counters.attributes_refused += other.counters.attributes_refused;
        self.counters.attributes_repeated += other.counters.attributes_repeated;
        self.counters.texts_cut += other.counters.texts_cut;
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) active: Head,
    pub(crate) frozen: Vec<Arc<Head>>,
    pub(crate) segments: BTreeMap<String, Vec<Arc<Segment>>>,
    /// Files that do not tell what they hold: dataset, file, reason.
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) sources: BTreeMap<String, u64>,
    pub(crate) seal_failed: Option<String>,
    pub(crate) stopping: bool,
}

/// A file whose events are missing from every answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// None: it may have held events of any.
    pub(crate) dataset: Option<String>,
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
}

pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    /// What `options` says of retention, or what was said since.
    pub(crate) kept: Mutex<Options>,
    pub(crate) state: Mutex<State>,
    /// Told whenever `state` changes in a way that someone may wait for.
    pub(crate) moved: Condvar,
    wal: Mutex<Wal>,
    committer: Committer,
    pub(crate) tails: Tails,
    pub(crate) next_id: AtomicU64,
    pub(crate) counters: Counters,
    /// Held while segments are merged, dropped or repaired.
    pub(crate) tidying: Mutex<()>,
    /// What questions read again and again.
    pub(crate) warm: Warm,
    identity: Identity,
    _lock: File,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) rows: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) expired_rows: AtomicU64,
    pub(crate) merged_segments: AtomicU64,
    pub(crate) torn_bytes: AtomicU64,
    pub(crate) queries: AtomicU64,
}

/// What a store has and did since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct StoreStats {
    /// Events stored since it was opened.
    pub rows_stored: u64,
    /// Events that came again and were not stored twice.
    pub rows_repeated: u64,
    /// Events refused, as the disk was full or failed.
    pub rows_refused: u64,
    /// Events that went by age or size.
    pub rows_expired: u64,
    /// Events in memory and in the log, not sealed yet.
    pub rows_unsealed: u64,
    /// Bytes of memory that these take, about.
    pub bytes_unsealed: u64,
    /// Events in segments.
    pub rows_sealed: u64,
    /// Bytes of segments.
    pub bytes_sealed: u64,
    /// Segments.
    pub segments: u64,
    /// Segments that went into larger ones.
    pub segments_merged: u64,
    /// Segments that are damaged and left out.
    pub segments_damaged: u64,
    /// Bytes of half-written, unacknowledged records cut off when the store was opened.
    pub bytes_torn: u64,
    /// Questions answered.
    pub queries: u64,
    /// Bytes of memory that what questions read stays in, about.
    pub bytes_warm: u64,
    /// Columns of blocks that a question found there.
    pub warm_hits: u64,
    /// Columns of blocks that it did not find there.
    pub warm_misses: u64,
    /// Why sealing fails, while it does.
    pub seal_failed: Option<String>,
}

impl Store {
    /// Opens a store in a folder, which is made if it is not there. What a crash left
    /// unfinished is finished or taken back.
    pub fn open(dir: &Path, options: Options) -> Result<Self, StoreError> {
        let opened = open::open(dir)?;
        let background = options.background;
        let warm = Warm::new(options.warm_bytes_max);
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            kept: Mutex::new(options.clone()),
            options,
            state: Mutex::new(opened.state),
            moved: Condvar::new(),
            wal: Mutex::new(opened.wal),
            committer: Committer::default(),
            tails: Tails::default(),
            next_id: AtomicU64::new(opened.next_id),
            counters: Counters::default(),
            tidying: Mutex::new(()),
            warm,
            identity: opened.identity,
            _lock: opened.lock,
        });
        shared
            .counters
            .torn_bytes
            .store(opened.torn_bytes, Ordering::Relaxed);
        let worker = shared.clone();
        let keeper = std::thread::Builder::new().name("store".into());
        let keeper = keeper.spawn(move || worker.keep(background));
        let keeper = keeper.map_err(|source| shared.disk("start a thread", source))?;
        Ok(Self {
            shared,
            keeper: Some(keeper),
        })
    }

    /// Which store it is.
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// Stores events; they are on disk when it returns.
    pub fn append(&self, dataset: &str, events: &[Event]) -> Result<Receipt, StoreError> {
        let mut receipt = Receipt::default();
        for events in events.chunks(BATCH_ROWS_MAX) {
            receipt.add(self.append_batch(dataset, Batch::of(events))?);
        }
        Ok(receipt)
    }

    /// Stores a batch; it is on disk when this returns.
    pub fn append_batch(&self, dataset: &str, batch: Batch) -> Result<Receipt, StoreError> {
        self.shared.append(dataset, batch, None)
    }

    /// Stores a batch unless this source sent one with this number or a later one before,
    /// also before a crash. Keep it under [`BATCH_ROWS_MAX`] rows and 16 MiB: a larger one is
    /// stored in parts, of which a crash may leave the first ones to be stored again.
    pub fn append_once(
        &self,
        dataset: &str,
        batch: Batch,
        origin: Origin,
    ) -> Result<Receipt, StoreError> {
        self.shared.append(dataset, batch, Some(origin))
    }

    /// The last number that this source sent and that is stored.
    pub fn last_sequence(&self, source: &str) -> Option<u64> {
        self.shared.state().sources.get(source).copied()
    }

    /// Keeps events for other times and in other room from now on; the rest of the options stays
    /// as it was opened with.
    pub fn set_retention(&self, options: &Options) {
        let kept = self.shared.kept.lock();
        let mut kept = kept.unwrap_or_else(PoisonError::into_inner);
        kept.clone_from(options);
    }

    /// What arrives in a dataset from now on; none if too many watch already.
    pub fn tail(&self, dataset: &str) -> Option<Tail> {
        self.shared.tails.watch(dataset)
    }

    /// Shows events that are kept beside this store to whoever watches it.
    pub fn show(&self, dataset: &str, events: &[Event]) {
        self.shared.tails.show(dataset, events);
    }

    /// Seals what is in memory, and waits until it is done.
    pub fn seal(&self) -> Result<(), StoreError> {
        self.shared.rotate()?;
        let mut state = self.shared.state();
        while !state.frozen.is_empty() {
            if let Some(reason) = &state.seal_failed {
                let source = std::io::Error::other(reason.clone());
                return Err(self.shared.disk("seal", source));
            }
            state = self.shared.wait(state, SEAL_AGAIN);
        }
        Ok(())
    }

    /// Merges small segments, and drops what is too old or too much.
    pub fn maintain(&self, now: Timestamp) -> Result<(), StoreError> {
        self.shared.tidy(now)
    }

    /// What it has and did.
    pub fn stats(&self) -> StoreStats {
        let counters = &self.shared.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let state = self.shared.state();
        let heads = || state.frozen.iter().map(Arc::as_ref).chain([&state.active]);
        let segments = || state.segments.values().flatten();
        let damaged = segments().filter(|segment| segment.damage().is_some());
        StoreStats {
            rows_stored: count(&counters.rows),
            rows_repeated: count(&counters.repeated),
            rows_refused: count(&counters.refused),
            rows_expired: count(&counters.expired_rows),
            rows_unsealed: heads().map(|head| head.rows as u64).sum(),
            bytes_unsealed: heads().map(|head| head.bytes as u64).sum(),
            rows_sealed: segments().map(|segment| segment.rows).sum(),
            bytes_sealed: segments().map(|segment| segment.bytes_on_disk()).sum(),
            segments: segments().count() as u64,
            segments_merged: count(&counters.merged_segments),
            segments_damaged: (damaged.count() + state.unreadable.len()) as u64,
            bytes_torn: count(&counters.torn_bytes),
            queries: count(&counters.queries),
            bytes_warm: self.shared.warm.bytes() as u64,
            warm_hits: count(&self.shared.warm.hits),
            warm_misses: count(&self.shared.warm.misses),
            seal_failed: state.seal_failed.clone(),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.state().stopping = true;
        self.shared.moved.notify_all();
        if let Some(keeper) = self.keeper.take()
            && keeper.join().is_err()
        {
            tracing::error!("the store's thread failed");
        }
    }
}

/// Rows of one batch at most; larger ones are cut by [`Store::append`].
pub const BATCH_ROWS_MAX: usize = BLOCK_ROWS_MAX;

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, patience: Duration) -> MutexGuard<'a, State> {
        let waited = self.moved.wait_timeout(state, patience);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn disk(&self, what: &'static str, source: std::io::Error) -> StoreError {
        StoreError::Disk {
            what,
            dir: self.dir.clone(),
            source,
        }
    }

    fn append(
        &self,
        dataset: &str,
        mut batch: Batch,
        origin: Option<Origin>,
    ) -> Result<Receipt, StoreError> {
        if !is_dataset_name(dataset) {
            let name = dataset.chars().take(80).collect();
            return Err(StoreError::DatasetName { name });
        }
        batch.end();
        let counters = batch.counters();
        let mut receipt = Receipt {
            counters,
            ..Receipt::default()
        };
        if batch.is_empty() {
            return Ok(receipt);
        }
        self.admit(dataset)?;
        if batch.len() > BATCH_ROWS_MAX || batch.bytes() > BATCH_BYTES_MAX && batch.len() > 1 {
            let events = batch.events();
            let (left, right) = events.split_at(events.len() / 2);
            // Only the last part is numbered: if it is there, all of it is.
            receipt.add(self.append(dataset, Batch::of(left), None)?);
            receipt.add(self.append(dataset, Batch::of(right), origin)?);
            return Ok(receipt);
        }
        let rows = batch.len() as u64;
        let origin = origin.map(|mut origin| {
            let end = cut(&origin.source, SOURCE_BYTES_MAX).len();
            origin.source.truncate(end);
            origin
        });
        let frame = Frame {
            dataset: dataset.to_owned(),
            origin,
            batch,
        };
        match self.committer.commit(frame, |waiting| self.write(waiting)) {
            Outcome::Stored => {
                self.counters.rows.fetch_add(rows, Ordering::Relaxed);
                receipt.rows = rows;
                Ok(receipt)
            }
            Outcome::Repeated => {
                self.counters.repeated.fetch_add(rows, Ordering::Relaxed);
                receipt.repeated = rows;
                Ok(receipt)
            }
            Outcome::Failed(kind, reason) => {
                self.counters.refused.fetch_add(rows, Ordering::Relaxed);
                Err(self.disk("store events", std::io::Error::new(kind, reason)))
            }
        }
    }

    /// Whether there is room for one more dataset, if this is one.
    fn admit(&self, dataset: &str) -> Result<(), StoreError> {
        let state = self.state();
        if state.stopping {
            return Err(StoreError::Closed);
        }
        if state.segments.contains_key(dataset) || state.active.datasets.contains_key(dataset) {
            return Ok(());
        }
        let mut names: BTreeSet<&str> = state.segments.keys().map(String::as_str).collect();
        for head in state.frozen.iter().map(Arc::as_ref).chain([&state.active]) {
            names.extend(head.datasets.keys().map(String::as_str));
        }
        if names.len() >= self.options.datasets_max && !names.contains(dataset) {
            return Err(StoreError::TooManyDatasets {
                name: dataset.to_owned(),
                count: names.len() + 1,
            });
        }
        Ok(())
    }

    /// Brings batches to disk and into memory. One caller at a time.
    fn write(&self, waiting: Vec<Waiting>) -> Vec<(u64, Outcome)> {
        let mut outcomes = Vec::new();
        if let Some((kind, reason)) = self.await_room() {
            let failed =
                |waiting: &Waiting| (waiting.ticket, Outcome::Failed(kind, reason.clone()));
            return waiting.iter().map(failed).collect();
        }
        let waiting = self.sort_out_repeated(waiting, &mut outcomes);
        let mut wal = self.wal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = wal.append(&waiting) {
            tracing::error!(%error, "events refused: the log cannot be written");
            let failed = |waiting: &Waiting| {
                let outcome = Outcome::Failed(error.kind(), error.to_string());
                (waiting.ticket, outcome)
            };
            outcomes.extend(waiting.iter().map(failed));
            drop(wal);
            if let Err(error) = self.rotate() {
                tracing::error!(%error, "no new log");
            }
            return outcomes;
        }
        let full = {
            let mut state = self.state();
            for Waiting { ticket, frame, .. } in waiting {
                let batch = Arc::new(frame.batch);
                self.tails.send(&frame.dataset, &batch);
                if let Some(origin) = &frame.origin {
                    state.sources.insert(origin.source.clone(), origin.sequence);
                }
                state.active.add(&frame.dataset, batch, frame.origin);
                outcomes.push((ticket, Outcome::Stored));
            }
            let head = &state.active;
            head.rows >= self.options.head_rows_max
                || head.bytes >= self.options.head_bytes_max
                || wal.bytes >= WAL_BYTES_MAX
        };
        drop(wal);
        if full && let Err(error) = self.rotate() {
            tracing::error!(%error, "no new log; the old one grows on");
        }
        outcomes
    }

    /// Waits while too much is unsealed; says why there will be no room, if there will not.
    fn await_room(&self) -> Option<(std::io::ErrorKind, String)> {
        let mut state = self.state();
        while state.frozen.len() >= FROZEN_MAX {
            if let Some(reason) = &state.seal_failed {
                let kind = std::io::ErrorKind::StorageFull;
                return Some((
                    kind,
                    format!("what is in memory cannot be sealed: {reason}"),
                ));
            }
            state = self.wait(state, SEAL_AGAIN);
        }
        None
    }

    fn sort_out_repeated(
        &self,
        waiting: Vec<Waiting>,
        outcomes: &mut Vec<(u64, Outcome)>,
    ) -> Vec<Waiting> {
        let state = self.state();
        let mut here: BTreeMap<String, u64> = BTreeMap::new();
        let mut fresh = Vec::new();
        for waiting in waiting {
            if let Some(origin) = &waiting.frame.origin {
                let before = here
                    .get(&origin.source)
                    .or(state.sources.get(&origin.source));
                if before.is_some_and(|&before| origin.sequence <= before) {
                    outcomes.push((waiting.ticket, Outcome::Repeated));
                    continue;
                }
                here.insert(origin.source.clone(), origin.sequence);
            }
            fresh.push(waiting);
        }
        fresh
    }

    /// Begins a new log and a new head; the old ones wait to be sealed.
    pub(crate) fn rotate(&self) -> Result<(), StoreError> {
        let mut wal = self.wal.lock().unwrap_or_else(PoisonError::into_inner);
        if wal.bytes == 0 && self.state().active.rows == 0 && !wal.is_failed() {
            return Ok(());
        }
        let next = Wal::create(&self.wal_dir(), wal.sequence + 1);
        let next = next.map_err(|source| self.disk("begin a log", source))?;
        let mut state = self.state();
        let head = std::mem::replace(&mut state.active, Head::new(next.sequence));
        *wal = next;
        state.frozen.push(Arc::new(head));
        self.moved.notify_all();
        Ok(())
    }

    pub(crate) fn wal_dir(&self) -> PathBuf {
        self.dir.join(open::WAL_DIR)
    }

    pub(crate) fn dataset_dir(&self, dataset: &str) -> PathBuf {
        self.dir.join(open::DATA_DIR).join(dataset)
    }

    /// The store's own thread: seals whatever is full, tidies up now and then.
    fn keep(&self, background: Background) {
        let mut tidied = std::time::Instant::now();
        loop {
            let mut state = self.state();
            if state.stopping {
                return;
            }
            let failed = state.seal_failed.is_some();
            if state.frozen.is_empty() || failed {
                state = self.wait(state, SEAL_AGAIN);
            }
            let frozen = state.frozen.first().cloned();
            drop(state);
            self.warm.cool(std::time::Instant::now());
            if let Some(head) = frozen {
                self.seal_head(&head);
            }
            if background == Background::Thread && tidied.elapsed() >= TIDY_EVERY {
                if let Err(error) = self.tidy(now()) {
                    tracing::error!(%error, "old segments could not be tidied");
                }
                tidied = std::time::Instant::now();
            }
        }
    }

    /// Turns one head into segments, and lets go of its log.
    fn seal_head(&self, head: &Head) {
        let sealed = self.write_segments(head);
        let mut state = self.state();
        match sealed {
            Ok(segments) => {
                for (dataset, segment) in segments {
                    state.segments.entry(dataset).or_default().push(segment);
                }
                state.frozen.retain(|frozen| frozen.wal != head.wal);
                state.seal_failed = None;
            }
            Err(error) => {
                tracing::error!(%error, "sealing failed, tried again");
                state.seal_failed = Some(error.to_string());
            }
        }
        self.moved.notify_all();
    }

    fn write_segments(&self, head: &Head) -> std::io::Result<Vec<(String, Arc<Segment>)>> {
        let mut segments = Vec::new();
        let written = (|| {
            for (dataset, chunks) in &head.datasets {
                let dir = self.dataset_dir(dataset);
                open::make_dir(&dir)?;
                let ids = || self.next_id.fetch_add(1, Ordering::Relaxed);
                for footer in seal::seal(&dir, dataset, chunks, head.wal, now().0, ids)? {
                    let path = dir.join(crate::segment::file_name(footer.id));
                    let bytes = std::fs::metadata(&path)?.len();
                    let segment = Segment::of(&path, bytes, footer);
                    segments.push((dataset.clone(), Arc::new(segment)));
                }
            }
            open::write_sources(&self.dir, &self.state().sources)?;
            // From here on the segments count: the log's end is what decides.
            match std::fs::remove_file(crate::wal::path(&self.wal_dir(), head.wal)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })();
        match written {
            Err(error) => {
                // Beside the log they would count twice.
                segments.iter().for_each(|(_, segment)| segment.doom());
                Err(error)
            }
            Ok(()) => {
                let synced = File::open(self.wal_dir()).and_then(|dir| dir.sync_all());
                if let Err(error) = synced {
                    // After a crash the log is back, and its rows are sealed once more.
                    tracing::warn!(%error, "the end of a log may not be on disk yet");
                }
                Ok(segments)
            }
        }
    }
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let micros = since.unwrap_or_default().as_micros();
    Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
}
