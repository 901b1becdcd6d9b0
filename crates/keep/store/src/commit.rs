//! Many writers, one log: whoever comes while the disk is busy waits together with the others,
//! and the next write takes them all. Each gets its word only when its own rows are on disk.

use crate::wal::Frame;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that may wait for the disk; whoever comes after that waits before, not in, the queue.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// One batch that waits, and the bytes of its frame.
pub(crate) struct Waiting {
    pub(crate) ticket: u64,
    pub(crate) frame: Frame,
    pub(crate) bytes: Vec<u8>,
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// How a batch's way ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Stored,
    /// A batch of the same source with this number or a later one is there already.
    Repeated,
    Failed(std::io::ErrorKind, String),
}

#[derive(Default)]
struct Queue {
    next_ticket: u64,
    waiting: Vec<Waiting>,
    bytes: usize,
    writing: bool,
    /// Outcomes that nobody has fetched yet.
    outcomes: std::collections::BTreeMap<u64, Outcome>,
}

/// The queue before the log.
#[derive(Default)]
pub(crate) struct Committer {
    queue: Mutex<Queue>,
    moved: Condvar,
}

impl Committer {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings a batch to disk together with whatever else waits. `write` is called by one
    /// caller at a time, and answers for each of the batches in their order.
    pub(crate) fn commit(
        &self,
        frame: Frame,
        mut write: impl FnMut(Vec<Waiting>) -> Vec<(u64, Outcome)>,
    ) -> Outcome {
        let bytes = frame.encode();
        let mut queue = self.lock();
        while queue.bytes > QUEUE_BYTES_MAX {
            queue = self
                .moved
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.bytes += bytes.len();
        queue.waiting.push(Waiting {
            ticket,
            frame,
            bytes,
        });
        loop {
            if let Some(outcome) = queue.outcomes.remove(&ticket) {
                return outcome;
            }
            if queue.writing {
                queue = self
                    .moved
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waiting = std::mem::take(&mut queue.waiting);
            queue.bytes = 0;
            queue.writing = true;
            drop(queue);
            let outcomes = write(waiting);
            queue = self.lock();
            queue.writing = false;
            queue.outcomes.extend(outcomes);
            self.moved.notify_all();
        }
    }
}
