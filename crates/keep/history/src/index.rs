//! What lies on disk, shared by the one who writes and those who read: which segment holds
//! which time, and what was counted.

use crate::options::HistoryOptions;
use andon_model::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A moment belongs to the record before it for at most so long: a recorder writes something
/// every minute, so that beyond it nobody was there to see.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(75);

/// How a segment lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it was written.
    Open,
    /// Compressed, and never touched again.
    Sealed,
    /// Unreadable, or of a version that is not known: counted, kept, not read.
    Aside,
}

/// One segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) form: Form,
    /// Its first record.
    pub(crate) from: Timestamp,
    /// Its last record.
    pub(crate) until: Timestamp,
    /// Bytes of good records, uncompressed, the file's head included.
    pub(crate) raw_bytes: u64,
    /// Bytes on disk.
    pub(crate) disk_bytes: u64,
}

impl Segment {
    /// Whether a record of it holds at that moment.
    pub(crate) fn covers(&self, at: Timestamp) -> bool {
        self.form != Form::Aside && self.from <= at && at <= self.until + SILENCE_MAX
    }
}

/// All segments by their number, which grows with every one that is begun.
pub(crate) type Segments = BTreeMap<u32, Segment>;

/// Shared between the writer and the readers.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) bytes_max: u64,
    segments: Mutex<Segments>,
    pub(crate) counters: Counters,
}

impl Shared {
    pub(crate) fn new(options: &HistoryOptions) -> Self {
        Self {
            dir: options.dir.clone(),
            bytes_max: options.bytes_max,
            segments: Mutex::default(),
            counters: Counters::default(),
        }
    }

    pub(crate) fn segments(&self) -> MutexGuard<'_, Segments> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes on disk, what was set aside included.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments()
            .values()
            .map(|segment| segment.disk_bytes)
            .sum()
    }
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) records: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) write_errors: AtomicU64,
    pub(crate) set_aside: AtomicU64,
    pub(crate) cut_bytes: AtomicU64,
    pub(crate) retired: AtomicU64,
    pub(crate) too_large: AtomicU64,
    pub(crate) paused: AtomicBool,
}

/// Figures of a history for `/metrics`. Those that end in `_total` only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistoryStats {
    /// Bytes on disk.
    pub bytes: u64,
    /// Segments on disk.
    pub segments: u64,
    /// Recording is paused: the disk is full or cannot be written.
    pub paused: bool,
    /// Records written.
    pub records_total: u64,
    /// Bytes written before compression.
    pub written_bytes_total: u64,
    /// Writes that failed, and pauses for a full disk.
    pub write_errors_total: u64,
    /// Segments that could not be read and were set aside.
    pub set_aside_total: u64,
    /// Bytes cut off at the start: torn writes of a life that ended at once.
    pub cut_bytes_total: u64,
    /// Segments deleted for their age, or for room.
    pub retired_total: u64,
    /// Records left out for their size.
    pub too_large_total: u64,
}

impl Shared {
    pub(crate) fn stats(&self) -> HistoryStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        HistoryStats {
            bytes: self.bytes(),
            segments: self.segments().len() as u64,
            paused: counters.paused.load(Ordering::Relaxed),
            records_total: count(&counters.records),
            written_bytes_total: count(&counters.written_bytes),
            write_errors_total: count(&counters.write_errors),
            set_aside_total: count(&counters.set_aside),
            cut_bytes_total: count(&counters.cut_bytes),
            retired_total: count(&counters.retired),
            too_large_total: count(&counters.too_large),
        }
    }
}
