//! The node's two clocks: one to decide by, one for people.

use andon_model::{Instant, Timestamp};
use std::time::{SystemTime, UNIX_EPOCH};

/// Reads the system's clocks; the only place of the node's wiring that does.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock whose [`Instant`] starts at a second, so that "before the start" has room.
    pub fn start() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }

    /// Monotonic time since the start.
    pub fn now(&self) -> Instant {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Instant(micros.saturating_add(1_000_000))
    }

    /// Wall clock time; 1970 where the clock stands before it.
    pub fn utc(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// The instant as tokio's timers want it.
    pub fn deadline(&self, at: Instant) -> tokio::time::Instant {
        let micros = at.0.saturating_sub(1_000_000);
        tokio::time::Instant::from_std(self.start + std::time::Duration::from_micros(micros))
    }
}
