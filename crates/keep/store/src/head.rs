//! The newest events, in memory, until they are a segment. They are also in a write-ahead log
//! of the same number.

use crate::batch::Batch;
use crate::wal::Origin;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows up to which small batches are put together: fewer, larger ones are quicker to ask,
/// and a question that holds one while it grows costs one copy of it.
const CHUNK_ROWS: usize = 16 << 10;
/// Bytes up to which they are.
const CHUNK_BYTES: usize = 4 << 20;

/// What is in memory, by dataset.
#[derive(Debug, Default, Clone)]
pub(crate) struct Head {
    /// The log that holds the same rows.
    pub(crate) wal: u64,
    pub(crate) datasets: BTreeMap<String, Chunks>,
    /// The last batch of each source.
    pub(crate) sources: BTreeMap<String, u64>,
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// One dataset's events, in the order they came.
#[derive(Debug, Default, Clone)]
pub(crate) struct Chunks {
    pub(crate) chunks: Vec<Arc<Batch>>,
    pub(crate) rows: usize,
    last_bytes: usize,
}

impl Head {
    pub(crate) fn new(wal: u64) -> Self {
        Self {
            wal,
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, dataset: &str, batch: Arc<Batch>, origin: Option<Origin>) {
        if let Some(origin) = origin {
            self.sources.insert(origin.source, origin.sequence);
        }
        self.rows += batch.len();
        if !self.datasets.contains_key(dataset) {
            self.datasets.insert(dataset.to_owned(), Chunks::default());
        }
        if let Some(chunks) = self.datasets.get_mut(dataset) {
            let before = chunks.last_bytes;
            let grown = chunks.add(batch);
            self.bytes += match grown {
                Grown::Last => chunks.last_bytes.saturating_sub(before),
                Grown::Begun => chunks.last_bytes,
            };
        }
    }
}

enum Grown {
    Last,
    Begun,
}

impl Chunks {
    fn add(&mut self, batch: Arc<Batch>) -> Grown {
        self.rows += batch.len();
        if let Some(last) = self.chunks.last_mut()
            && last.len() + batch.len() <= CHUNK_ROWS
            && self.last_bytes + batch.bytes() <= CHUNK_BYTES
        {
            let last = Arc::make_mut(last);
            last.append(&batch);
            self.last_bytes = last.bytes();
            return Grown::Last;
        }
        self.last_bytes = batch.bytes();
        self.chunks.push(batch);
        Grown::Begun
    }
}
