//! Who watches over a question: tells the time, calls it off, and hears how far it is.

use andon_model::query::Answer;
use andon_model::time::Instant;
use std::time::Duration;

/// What a question may cost. Where a limit is reached, what there is comes back as partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From question to answer.
    pub time_max: Duration,
    /// Memory for groups and exemplars, in each store.
    pub bytes_max: u64,
}

impl Default for Limits {
    /// Ten seconds are what someone waits for; 128 MiB are half a million groups.
    fn default() -> Self {
        Self {
            time_max: Duration::from_secs(10),
            bytes_max: 128 << 20,
        }
    }
}

/// An answer that is not complete yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Early {
    /// Share of the asked time that is covered, 0..=1.
    pub share: f64,
    /// What is known so far.
    pub answer: Answer,
}

/// Watches over one question.
pub trait Watch: Sync {
    /// The time that passes.
    fn now(&self) -> Instant;
    /// Whether nobody wants the answer any more.
    fn is_cancelled(&self) -> bool;
    /// Hears of an early answer, about twice a second of a question that takes long.
    fn tell(&self, early: Early);
}

/// Lets a question take its course in no time at all: for tests and for what is small.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Watch for Silent {
    fn now(&self) -> Instant {
        Instant(0)
    }
    fn is_cancelled(&self) -> bool {
        false
    }
    fn tell(&self, _: Early) {}
}

/// Why there is no answer at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// It was called off.
    #[error("the question was called off")]
    Cancelled,
    /// No store could answer.
    #[error("{label} cannot answer: {reason}")]
    Failed {
        /// Which store.
        label: String,
        /// Why.
        reason: String,
        /// What to do.
        help: String,
    },
    /// There is no store.
    #[error("no store is there to ask")]
    Nobody,
}
