//! The writing side: told the time and the latest view, it decides what is written when. Views
//! are compared at most ten times a second, records reach the file within a second and the
//! disk itself within five; figures are written with each minute of the clock.

use crate::allowance::Allowance;
use crate::index::Shared;
use crate::log::{Log, LogError};
use crate::options::HistoryOptions;
use crate::reader::Reader;
use crate::recorder::Recorder;
use crate::texts::TEXTS_MAX;
use andon_model::{Incident, Instant, PictureView, Timestamp};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Shortest time between two looks at the view: the precision of a replay.
pub const COMPARE_EVERY: Duration = Duration::from_millis(100);
/// Records wait at most so long until they are written to the file. This is what a killed
/// process loses.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Written records are synced at most so much later. This is what a power cut takes; halved, a
/// memory card lives half as long.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// More than this does not wait for its second.
const WAITING_BYTES_MAX: usize = 512 * 1024;
/// Time between two attempts on a disk that is full.
const RETRY_EVERY: Duration = Duration::from_secs(10);
/// A clock that goes back by more than this begins a new segment; less is smoothed over.
const BACK_MAX: Duration = Duration::from_secs(2);
/// A clock that jumps further than this within a step of ours is not believed at once.
const JUMP_MAX: Duration = Duration::from_secs(90);
/// Nothing is deleted for its age until the clock has gone evenly for so long: a machine may
/// start in the wrong year.
const CLOCK_SETTLES: Duration = Duration::from_secs(600);

/// Writes the history of one node. Every call may block on the disk.
#[derive(Debug)]
pub struct Keeper {
    options: HistoryOptions,
    shared: Arc<Shared>,
    reader: Reader,
    log: Option<Log>,
    recorder: Recorder,
    allowance: Allowance,
    /// The last view compared; weak, so that it is not held a moment longer than it is shown.
    compared: Weak<PictureView>,
    noted: Weak<Vec<Incident>>,
    compared_at: Instant,
    flushed_at: Instant,
    synced_at: Instant,
    /// When recording is tried again.
    paused_until: Option<Instant>,
    /// Number of the last minute written, since 1970.
    minute: Option<i64>,
    /// Latest moment recorded in this segment.
    last: Option<Timestamp>,
    /// First and last moment of what waits.
    waiting: Option<(Timestamp, Timestamp)>,
    texts_first: usize,
    /// Both clocks at the last step, and since when they have gone evenly.
    clocks: Option<(Instant, Timestamp)>,
    even_since: Instant,
}

/// When a [`Keeper`] wants to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextStep {
    /// Not before, even if the view changes.
    pub earliest: Instant,
    /// Then, even if nothing changes.
    pub latest: Instant,
}

impl Keeper {
    /// A writer and its reader. Nothing is touched until the first step.
    pub fn new(options: HistoryOptions) -> (Self, Reader) {
        let shared = Arc::new(Shared::new(&options));
        let reader = Reader::new(Arc::clone(&shared));
        let keeper = Self {
            allowance: Allowance::new(&options),
            shared,
            reader: reader.clone(),
            log: None,
            recorder: Recorder::new(),
            compared: Weak::new(),
            noted: Weak::new(),
            compared_at: Instant(0),
            flushed_at: Instant(0),
            synced_at: Instant(0),
            paused_until: None,
            minute: None,
            last: None,
            waiting: None,
            texts_first: 0,
            clocks: None,
            even_since: Instant(0),
            options,
        };
        (keeper, reader)
    }

    /// Takes the view and the incidents as they stand, writes what is due, and says when to
    /// come again. Never fails: a disk that cannot be written pauses recording.
    pub fn step(
        &mut self,
        now: Instant,
        utc: Timestamp,
        view: &Arc<PictureView>,
        incidents: Option<&Arc<Vec<Incident>>>,
    ) -> NextStep {
        self.watch_clocks(now, utc);
        if self.paused_until.is_none_or(|until| now >= until)
            && let Err(error) = self.record(now, utc, view, incidents)
        {
            self.pause(now, &error);
        }
        let counters = &self.shared.counters;
        counters
            .records
            .store(self.recorder.records(), Ordering::Relaxed);
        counters
            .too_large
            .store(self.recorder.too_large(), Ordering::Relaxed);
        self.next(now, utc)
    }

    /// Writes all that waits, onto the disk itself.
    pub fn close(&mut self, now: Instant) {
        let closed = match &mut self.log {
            Some(_) => self.flush(now).and_then(|()| self.sync(now)),
            None => Ok(()),
        };
        if let Err(error) = closed {
            self.pause(now, &error);
        }
    }

    fn record(
        &mut self,
        now: Instant,
        utc: Timestamp,
        view: &Arc<PictureView>,
        incidents: Option<&Arc<Vec<Incident>>>,
    ) -> Result<(), LogError> {
        if self.log.is_none() {
            let log = Log::open(&self.options, Arc::clone(&self.shared))?;
            self.last = log.until();
            self.log = Some(log);
        }
        // Before a node knows itself there is nothing to tell.
        if view.nodes.is_empty() && self.recorder.is_fresh() {
            return Ok(());
        }
        if self.must_begin(utc) {
            self.flush(now)?;
            self.recorder.begin();
            if let Some(log) = &mut self.log {
                log.end_segment();
            }
            self.last = None;
            self.minute = None;
        }
        let fresh = self.recorder.is_fresh();
        if fresh || self.compared.as_ptr() != Arc::as_ptr(view) {
            // A view that stands for a while already is true from now on in a new segment.
            let at = if fresh {
                utc
            } else {
                view.generated_at.min(utc)
            };
            let at = self.note_time(at);
            self.recorder.view(at, view);
            self.compared = Arc::downgrade(view);
            self.compared_at = now;
            if fresh {
                self.texts_first = self.recorder.texts();
            }
        }
        if let Some(incidents) = incidents
            && self.noted.as_ptr() != Arc::as_ptr(incidents)
        {
            let at = self.note_time(utc);
            self.recorder.incidents(at, incidents);
            self.noted = Arc::downgrade(incidents);
        }
        let minute = minute_of(utc);
        if self.minute != Some(minute) {
            // A minute that was not watched from its begin is told too, as far as it was seen.
            if self.minute.is_some() {
                let at = self.note_time(utc);
                self.recorder.minute(at, view);
            }
            self.minute = Some(minute);
            self.reader.tidy();
        }
        let due = now.since(self.flushed_at) >= FLUSH_EVERY;
        if due || self.recorder.waiting() > WAITING_BYTES_MAX {
            self.flush(now)?;
        }
        if now.since(self.synced_at) >= SYNC_EVERY {
            self.sync(now)?;
        }
        Ok(())
    }

    /// Whether a new segment is due before anything else is written.
    fn must_begin(&self, utc: Timestamp) -> bool {
        let went_back = self.last.is_some_and(|last| utc + BACK_MAX < last);
        let many_texts = !self.recorder.is_fresh()
            && self.recorder.texts() > TEXTS_MAX.max(self.texts_first.saturating_mul(2));
        let done = self.log.as_ref().is_some_and(|log| log.is_done(utc));
        went_back || many_texts || done
    }

    /// The moment for a record: never before the one before it.
    fn note_time(&mut self, at: Timestamp) -> Timestamp {
        let at = self.last.map_or(at, |last| at.max(last));
        self.last = Some(at);
        let first = self.waiting.map_or(at, |(first, _)| first);
        self.waiting = Some((first, at));
        at
    }

    fn flush(&mut self, now: Instant) -> Result<(), LogError> {
        let records = self.recorder.take();
        let times = self.waiting.take();
        let (Some(log), Some((from, until)), false) = (&mut self.log, times, records.is_empty())
        else {
            return Ok(());
        };
        self.flushed_at = now;
        self.allowance.spend(now, records.len());
        log.append(&records, from, until)?;
        let trusted = now.since(self.even_since) >= CLOCK_SETTLES;
        log.retire(trusted.then_some(until));
        if self.paused_until.take().is_some() {
            tracing::info!("the history is recorded again");
            self.shared.counters.paused.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    fn sync(&mut self, now: Instant) -> Result<(), LogError> {
        self.synced_at = now;
        match &mut self.log {
            Some(log) => log.sync(),
            None => Ok(()),
        }
    }

    fn pause(&mut self, now: Instant, error: &LogError) {
        if self.paused_until.is_none() {
            let dir = self.options.dir.display();
            tracing::warn!(%error, %dir, "the history cannot be written; recording pauses, the node goes on");
        }
        let counters = &self.shared.counters;
        counters.write_errors.fetch_add(1, Ordering::Relaxed);
        counters.paused.store(true, Ordering::Relaxed);
        self.paused_until = Some(now + RETRY_EVERY);
        // What it had for the disk is lost: begin with a whole picture when there is room.
        if let Some(log) = &mut self.log {
            log.abandon();
        }
        drop(self.recorder.take());
        self.recorder.begin_life();
        self.waiting = None;
        self.last = None;
        self.minute = None;
    }

    fn watch_clocks(&mut self, now: Instant, utc: Timestamp) {
        if let Some((then, then_utc)) = self.clocks {
            let expected = then_utc + now.since(then);
            let off = expected.since(utc).max(utc.since(expected));
            if off > JUMP_MAX {
                self.even_since = now;
            }
        } else {
            self.even_since = now;
        }
        self.clocks = Some((now, utc));
    }

    fn next(&self, now: Instant, utc: Timestamp) -> NextStep {
        if let Some(until) = self.paused_until {
            return NextStep {
                earliest: until,
                latest: until,
            };
        }
        let to_minute = Duration::from_micros(
            u64::try_from((minute_of(utc) + 1) * MINUTE_US - utc.0).unwrap_or(0),
        );
        let mut latest = now + to_minute;
        if self.recorder.waiting() > 0 {
            latest = latest.min(self.flushed_at + FLUSH_EVERY);
        }
        if self.log.as_ref().is_some_and(Log::is_unsynced) {
            latest = latest.min(self.synced_at + SYNC_EVERY);
        }
        let earliest = self.compared_at + self.allowance.pace(COMPARE_EVERY);
        NextStep {
            earliest,
            latest: latest.max(now),
        }
    }
}

const MINUTE_US: i64 = 60_000_000;

fn minute_of(utc: Timestamp) -> i64 {
    utc.0.div_euclid(MINUTE_US)
}
