//! A message under way: to which route, how often it was tried, what came back.

use crate::message::Message;
use crate::phase::Phase;
use andon_model::Instant;
use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// First pause after a failure.
const BACKOFF_MIN: Duration = Duration::from_secs(2);
/// Longest pause; doubled, people hear of a healed mail server's backlog ten minutes late.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// Longest pause that the other side may ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Taken; with what the other side said, in plain text.
    Taken {
        /// `HTTP 202`, `250 queued as …`, `exit 0`.
        said: String,
    },
    /// Not taken, and it may help to try again.
    Again {
        /// In plain text.
        why: String,
        /// The other side asks for at least this pause.
        after: Option<Duration>,
    },
    /// Not taken, and trying again will not help.
    Refused {
        /// In plain text.
        why: String,
    },
}

/// A message under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// Unique on this node.
    pub id: u64,
    /// To which route.
    pub route: String,
    /// About which incidents.
    pub members: Vec<String>,
    /// What it says.
    pub message: Message,
    /// Attempts that failed.
    pub attempts: u32,
    /// Milliseconds since it was written, as of the last time the state was saved.
    pub age_ms: u64,
    /// Why the newest attempt failed.
    pub trouble: Option<String>,
    /// When to try (next).
    #[serde(skip)]
    pub due: Instant,
    /// When it was written; after a restart, so long before it that `age_ms` fits.
    #[serde(skip)]
    pub written: Instant,
}

impl Letter {
    /// What it says of its incidents.
    pub fn phase(&self) -> Phase {
        self.message.phase
    }

    /// How long it is under way, over restarts.
    pub fn age(&self, now: Instant) -> Duration {
        Duration::from_millis(self.age_ms) + now.since(self.written)
    }

    /// Puts the next attempt off: twice as long each time, spread so that nodes which failed
    /// together do not come back together, and not before the other side allows.
    pub fn put_off(&mut self, now: Instant, after: Option<Duration>, random: &mut StdRng) {
        self.attempts = self.attempts.saturating_add(1);
        let doubled = BACKOFF_MIN * 2u32.pow(self.attempts.min(10) - 1);
        let pause = doubled
            .min(BACKOFF_MAX)
            .mul_f64(random.random_range(0.75..1.25));
        let asked = after.unwrap_or_default().min(RETRY_AFTER_MAX);
        self.due = now + pause.max(asked);
    }
}
