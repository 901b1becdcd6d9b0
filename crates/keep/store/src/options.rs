//! What a store may take, and how long it keeps what.

use std::collections::BTreeMap;
use std::time::Duration;

/// How a store behaves. The defaults suit a node of a few cores with other work to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Rows in memory before they are sealed into segments. More make larger segments and a
    /// longer start after a crash; 100 bytes a row are usual.
    pub head_rows_max: usize,
    /// Bytes of memory before they are sealed, whatever the rows.
    pub head_bytes_max: usize,
    /// Bytes of memory for what questions read again and again; given back when nobody asks.
    /// The five columns of ten million events that are asked most take about as much.
    pub warm_bytes_max: usize,
    /// How long each dataset is kept, where `retention` does not name it.
    pub retention_default: Retention,
    /// How long each dataset is kept.
    pub retention: BTreeMap<String, Retention>,
    /// Bytes of all segments together at most; the oldest of all datasets go first.
    pub bytes_max: u64,
    /// Datasets at most; each costs a folder and at least one segment.
    pub datasets_max: usize,
    /// Whether old segments are merged, dropped and sealed by the store's own thread. Without
    /// it only [`crate::Store::maintain`] does.
    pub background: Background,
}

/// Who does the housekeeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// A thread of the store.
    Thread,
    /// Whoever calls [`crate::Store::maintain`]; sealing still has its thread.
    Caller,
}

/// What is kept of one dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long after it happened an event is kept at least; whole segments go.
    pub age_max: Duration,
    /// Bytes of segments at most; the oldest go first.
    pub bytes_max: u64,
}

/// Datasets at most.
pub const DATASETS_MAX: usize = 1_000;

impl Default for Options {
    fn default() -> Self {
        Self {
            head_rows_max: 512 << 10,
            head_bytes_max: 48 << 20,
            warm_bytes_max: 96 << 20,
            retention_default: Retention::default(),
            retention: BTreeMap::new(),
            bytes_max: 50 << 30,
            datasets_max: DATASETS_MAX,
            background: Background::Thread,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age_max: Duration::from_secs(30 * 86_400),
            bytes_max: u64::MAX,
        }
    }
}

impl Options {
    pub(crate) fn retention_of(&self, dataset: &str) -> Retention {
        let own = self.retention.get(dataset);
        own.copied().unwrap_or(self.retention_default)
    }
}
