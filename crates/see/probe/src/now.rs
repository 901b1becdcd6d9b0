//! The time that the shell brings, in the three forms that the cores need.

use andon_model::{Instant, Timestamp};
use std::time::Duration;

/// Monotonic time that stands still while this process was not looking. Deadlines of answers
/// are kept in it: a probe is lost when *we waited and looked*, not when the host was frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Attentive(pub u64);

impl Attentive {
    /// Attentive time from `earlier` until this one.
    pub fn since(self, earlier: Attentive) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This time and a span.
    pub fn plus(self, span: Duration) -> Attentive {
        Attentive(
            self.0
                .saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

/// One moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deciding.
    pub at: Instant,
    /// For judging silence.
    pub attentive: Attentive,
    /// For people, and for the far clock.
    pub utc: Timestamp,
}

impl Now {
    /// UTC of another instant near this one.
    pub fn utc_of(&self, at: Instant) -> Timestamp {
        Timestamp(
            self.utc
                .0
                .wrapping_add(at.0 as i64)
                .wrapping_sub(self.at.0 as i64),
        )
    }
}
