//! What a node does over NATS, for `/metrics`. Tasks count, the page reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// One of the connections to NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Events to the keeper that answers for them.
    Main = 0,
    /// Events to the keeper that holds the copy.
    Copy = 1,
    /// Events to this keeper.
    Take = 2,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Main, Self::Copy, Self::Take];

    /// In `/metrics`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Copy => "copy",
            Self::Take => "take",
        }
    }
}

/// Figures of one connection since the node started.
#[derive(Debug, Default)]
pub struct WayFigures {
    /// Whether this node uses it.
    pub is_used: AtomicBool,
    /// Whether it is up.
    pub is_connected: AtomicBool,
    /// Times that it broke down, or was refused.
    pub failures: AtomicU64,
    /// Messages that JetStream has, or that were taken from it.
    pub messages: AtomicU64,
    /// Bytes of them, sealed.
    pub bytes: AtomicU64,
    /// Events in them.
    pub events: AtomicU64,
    /// Messages that JetStream had already.
    pub repeated: AtomicU64,
}

/// Figures of all that a node does over NATS.
#[derive(Debug, Default)]
pub struct NatsFigures {
    ways: [WayFigures; 3],
    /// Messages that wait on JetStream for this keeper.
    pub waiting: AtomicU64,
    /// Messages that went on the way: their numbers are missing.
    pub missing: AtomicU64,
    /// Messages that were not taken, by reason.
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl NatsFigures {
    /// Of one connection.
    pub fn of(&self, way: Way) -> &WayFigures {
        &self.ways[way as usize]
    }

    /// Counts what was not taken.
    pub fn refuse(&self, reason: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(reason).or_default() += 1;
    }

    /// What was not taken, by reason.
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.clone()
    }
}

/// Adds to a counter.
pub fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}
