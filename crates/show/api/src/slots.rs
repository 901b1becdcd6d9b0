//! A place for every connection, and who gives way when there is none left: the one that has
//! been idle longest. Ten thousand silent clients then cost no more than `connections_max`
//! of them, and cannot lock anybody out.

use crate::counters::Counters;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// A client that has taken nothing of its answer for this long is gone. An event stream has
/// something to take every 5 s; half a minute is six of those.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(30);

/// An idle connection is closed by its own timer (`connection::IDLE_MAX`); this is for those
/// that stopped reading in the middle of an answer.
const IDLE_STUCK_AFTER: Duration = Duration::from_secs(90);

/// What is known of one connection while it lives.
#[derive(Debug)]
pub(crate) struct Slot {
    started: Instant,
    /// Milliseconds after `started` at which something last moved.
    moved_ms: AtomicU64,
    busy: AtomicBool,
}

impl Slot {
    /// Something moved on this connection.
    pub(crate) fn touch(&self) {
        let moved = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(moved, Ordering::Relaxed);
    }

    /// The connection works for a known caller, and gives way to nobody until the guard drops.
    pub(crate) fn work(self: &Arc<Self>) -> Work {
        self.busy.store(true, Ordering::Relaxed);
        self.touch();
        Work(Arc::clone(self))
    }

    fn quiet_for(&self) -> Duration {
        self.started
            .elapsed()
            .saturating_sub(Duration::from_millis(self.moved_ms.load(Ordering::Relaxed)))
    }
}

/// Held while a connection works; also tells that its client still takes the answer.
#[derive(Debug)]
pub(crate) struct Work(Arc<Slot>);

impl Work {
    /// The client took another part of its answer.
    pub(crate) fn touch(&self) {
        self.0.touch();
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Relaxed);
        self.0.touch();
    }
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, (Arc<Slot>, Option<AbortHandle>)>,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Slots {
    table: Mutex<Table>,
    max: usize,
    counters: Arc<Counters>,
}

impl Slots {
    pub(crate) fn new(max: usize, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            max: max.max(1),
            counters,
        })
    }

    /// A slot for another connection; `None` if all others are at work.
    pub(crate) fn claim(self: &Arc<Self>) -> Option<Claim> {
        let mut table = self.lock();
        if table.open.len() >= self.max && !self.evict(&mut table) {
            self.counters.connections_refused.count();
            return None;
        }
        let id = table.next;
        table.next += 1;
        let slot = Arc::new(Slot {
            started: Instant::now(),
            moved_ms: AtomicU64::new(0),
            busy: AtomicBool::new(false),
        });
        table.open.insert(id, (Arc::clone(&slot), None));
        Some(Claim {
            id,
            slot,
            slots: Arc::clone(self),
        })
    }

    /// Tells which task serves a slot, so that it can be closed.
    pub(crate) fn attach(&self, id: u64, task: AbortHandle) {
        if let Some(entry) = self.lock().open.get_mut(&id) {
            entry.1 = Some(task);
        }
    }

    /// Closes the connection that has been idle longest; says whether there was one.
    pub(crate) fn evict_one(&self) -> bool {
        let mut table = self.lock();
        self.evict(&mut table)
    }

    fn evict(&self, table: &mut Table) -> bool {
        let idlest = table
            .open
            .iter()
            .filter(|(_, (slot, task))| task.is_some() && !slot.busy.load(Ordering::Relaxed))
            .max_by_key(|(id, (slot, _))| (slot.quiet_for(), std::cmp::Reverse(**id)))
            .map(|(id, _)| *id);
        let Some((_, Some(task))) = idlest.and_then(|id| table.open.remove(&id)) else {
            return false;
        };
        task.abort();
        self.counters.connections_evicted.count();
        true
    }

    /// Closes connections whose clients stopped taking their answers.
    pub(crate) fn sweep(&self) {
        let mut table = self.lock();
        table.open.retain(|_, (slot, task)| {
            let patience = if slot.busy.load(Ordering::Relaxed) {
                STUCK_AFTER
            } else {
                IDLE_STUCK_AFTER
            };
            match task {
                Some(task) if slot.quiet_for() > patience => {
                    task.abort();
                    self.counters.connections_stuck.count();
                    false
                }
                _ => true,
            }
        });
    }

    /// Closes idle connections, or all of them; returns how many are left.
    pub(crate) fn close(&self, all: bool) -> usize {
        let mut table = self.lock();
        table.open.retain(|_, (slot, task)| match task {
            Some(task) if all || !slot.busy.load(Ordering::Relaxed) => {
                task.abort();
                false
            }
            _ => true,
        });
        table.open.len()
    }

    /// Connections held.
    pub(crate) fn open(&self) -> usize {
        self.lock().open.len()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place; given back on drop.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) id: u64,
    pub(crate) slot: Arc<Slot>,
    slots: Arc<Slots>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.slots.lock().open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn idle() {
        std::future::pending::<()>().await;
    }

    #[tokio::test]
    async fn the_idlest_gives_way_and_those_at_work_do_not() {
        let counters = Arc::new(Counters::default());
        let slots = Slots::new(2, Arc::clone(&counters));
        let first = slots.claim().unwrap();
        let first_task = tokio::spawn(idle());
        slots.attach(first.id, first_task.abort_handle());
        let second = slots.claim().unwrap();
        let second_task = tokio::spawn(idle());
        slots.attach(second.id, second_task.abort_handle());
        let at_work = first.slot.work();

        let third = slots.claim().unwrap();
        assert!(second_task.await.unwrap_err().is_cancelled());
        assert!(!first_task.is_finished());
        let third_at_work = third.slot.work();
        slots.attach(third.id, tokio::spawn(idle()).abort_handle());
        assert!(slots.claim().is_none());
        assert_eq!(counters.connections_refused.get(), 1);

        drop(at_work);
        assert!(slots.claim().is_some());
        drop(third_at_work);
        assert_eq!(counters.connections_evicted.get(), 2);
    }

    #[tokio::test]
    async fn those_who_stopped_taking_their_answer_are_closed() {
        let counters = Arc::new(Counters::default());
        let slots = Slots::new(8, Arc::clone(&counters));
        let mut claims = Vec::new();
        for quiet in [Duration::ZERO, STUCK_AFTER * 2] {
            let claim = slots.claim().unwrap();
            slots.attach(claim.id, tokio::spawn(idle()).abort_handle());
            let at_work = claim.slot.work();
            // As if its last move had been long ago.
            let slot = Slot {
                started: Instant::now().checked_sub(quiet).unwrap(),
                moved_ms: AtomicU64::new(0),
                busy: AtomicBool::new(true),
            };
            slots.lock().open.get_mut(&claim.id).unwrap().0 = Arc::new(slot);
            claims.push((claim, at_work));
        }
        slots.sweep();
        assert_eq!((slots.open(), counters.connections_stuck.get()), (1, 1));
    }
}
