//! What a history may cost, and where it lies.

use std::path::PathBuf;
use std::time::Duration;

/// How long pictures are kept unless told otherwise.
pub const KEEP_DEFAULT: Duration = Duration::from_secs(30 * 86_400);
/// What they may take on disk unless told otherwise; 50 nodes that probe each other need a
/// tenth of it in 30 days.
pub const BYTES_MAX_DEFAULT: u64 = 1_000_000_000;

/// Least room for a history. Below it not even a few segments fit.
pub(crate) const BYTES_MIN: u64 = 64 * 1024;

/// A segment is ended when it is this old: reading a moment reads one segment, and each begins
/// with a whole picture, so that halving it doubles their share.
const SEGMENT_SPAN: Duration = Duration::from_secs(3600);
/// A segment is ended when it has grown to this, unless its first picture alone is larger.
const SEGMENT_BYTES: u64 = 2 << 20;
/// What is left free on the disk for others: the audit log lies on the same one.
const FREE_MIN: u64 = 64 << 20;

/// Where a history lies and what bounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryOptions {
    /// Its own folder; made if it is not there.
    pub dir: PathBuf,
    /// Segments older than this are deleted.
    pub keep: Duration,
    /// Most bytes on disk; the oldest segments make room. At least 64 kB are taken.
    pub bytes_max: u64,
    /// Recording pauses while the disk has less free than this, bytes.
    pub free_min: u64,
    /// A segment's longest span.
    pub segment_span: Duration,
    /// A segment's usual greatest size before compression, bytes.
    pub segment_bytes: u64,
}

impl HistoryOptions {
    /// In this folder, with the usual bounds.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            keep: KEEP_DEFAULT,
            bytes_max: BYTES_MAX_DEFAULT,
            free_min: FREE_MIN,
            segment_span: SEGMENT_SPAN,
            segment_bytes: SEGMENT_BYTES,
        }
    }

    /// The size at which a segment ends, given that of its first picture: a small history has
    /// small segments, since the oldest is deleted as a whole.
    pub(crate) fn segment_bytes_for(&self, first: u64) -> u64 {
        let share = (self.bytes_max / 8).max(BYTES_MIN / 4);
        self.segment_bytes.min(share).max(first.saturating_mul(4))
    }
}
