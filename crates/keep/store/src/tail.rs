//! Live tail: batches as they become durable, for whoever watches. A watcher that is slow
//! misses some and is told how many; it never holds up the taking in.

use crate::batch::Batch;
use andon_model::event::Event;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Batches that wait for a slow watcher at most.
const WAITING_MAX: usize = 64;
/// Watchers at once at most.
pub const TAILS_MAX: usize = 64;

#[derive(Debug)]
struct Watcher {
    dataset: String,
    sender: SyncSender<Arc<Batch>>,
    missed: Arc<AtomicU64>,
}

/// All who watch.
#[derive(Debug, Default)]
pub struct Tails {
    watchers: Mutex<Vec<Watcher>>,
}

/// What arrives in one dataset from now on.
#[derive(Debug)]
pub struct Tail {
    receiver: Receiver<Arc<Batch>>,
    missed: Arc<AtomicU64>,
}

/// What a watcher gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Tailed {
    /// Events in the order they came.
    Events(Vec<Event>),
    /// Nothing came in time.
    Quiet,
    /// The store is closed.
    Ended,
}

impl Tail {
    /// Waits for the next events, `patience` at most.
    pub fn next(&self, patience: Duration) -> Tailed {
        match self.receiver.recv_timeout(patience) {
            Ok(batch) => Tailed::Events(batch.events()),
            Err(RecvTimeoutError::Timeout) => Tailed::Quiet,
            Err(RecvTimeoutError::Disconnected) => Tailed::Ended,
        }
    }

    /// Events that came while too many waited already; counted from zero at each call.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

impl Tails {
    /// Begins to watch; none if too many do.
    pub fn watch(&self, dataset: &str) -> Option<Tail> {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.len() >= TAILS_MAX {
            // Those who left are noticed when something is sent to them.
            return None;
        }
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let missed = Arc::new(AtomicU64::new(0));
        watchers.push(Watcher {
            dataset: dataset.to_owned(),
            sender,
            missed: missed.clone(),
        });
        Some(Tail { receiver, missed })
    }

    /// Shows events that were kept elsewhere; costs nothing where nobody watches.
    pub fn show(&self, dataset: &str, events: &[Event]) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let is_watched = watchers.iter().any(|watcher| watcher.dataset == dataset);
        drop(watchers);
        if is_watched {
            self.send(dataset, &Arc::new(Batch::of(events)));
        }
    }

    pub(crate) fn send(&self, dataset: &str, batch: &Arc<Batch>) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| {
            if watcher.dataset != dataset {
                // A watcher that is gone holds the only other end of its counter.
                return Arc::strong_count(&watcher.missed) > 1;
            }
            match watcher.sender.try_send(batch.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(batch)) => {
                    watcher
                        .missed
                        .fetch_add(batch.len() as u64, Ordering::Relaxed);
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            }
        });
    }
}
