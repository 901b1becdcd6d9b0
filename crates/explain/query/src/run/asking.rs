//! What a question may cost, how it is called off, and who hears how far it is.

use andon_model::query::Answer;
use andon_store::Cancel;
use std::fmt;
use std::time::Duration;

/// What a question may cost. Where a limit is reached, what there is comes back as partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From question to answer.
    pub time_max: Duration,
    /// Bytes for groups and what is worked out for them, in each store.
    pub bytes_max: usize,
    /// Threads of each store.
    pub threads: usize,
}

impl Default for Limits {
    /// Ten seconds are what someone waits for; 96 MiB are some hundred thousand groups.
    fn default() -> Self {
        Self {
            time_max: Duration::from_secs(10),
            bytes_max: 96 << 20,
            threads: 2,
        }
    }
}

impl Limits {
    /// What is left after something has taken so many milliseconds.
    #[must_use]
    pub fn after(self, elapsed_ms: f64) -> Self {
        let spent = Duration::try_from_secs_f64(elapsed_ms.max(0.0) / 1_000.0);
        Self {
            time_max: self.time_max.saturating_sub(spent.unwrap_or_default()),
            ..self
        }
    }
}

/// An answer that is not complete yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Early {
    /// Share of the work that is done, 0..=1.
    pub share: f64,
    /// What is known so far.
    pub answer: Answer,
}

/// How one question is asked.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// What it may cost.
    pub limits: Limits,
    /// Calls it off.
    pub cancel: &'a Cancel,
    /// Hears early answers, about twice a second of a question that takes long.
    pub tell: Option<&'a (dyn Fn(Early) + Sync)>,
}

impl<'a> Asking<'a> {
    /// Within common limits, without early answers.
    pub fn new(cancel: &'a Cancel) -> Self {
        Self {
            limits: Limits::default(),
            cancel,
            tell: None,
        }
    }

    /// With what is left of the time, and without early answers: for what comes besides.
    #[must_use]
    pub fn besides(self, elapsed_ms: f64) -> Self {
        Self {
            limits: self.limits.after(elapsed_ms),
            tell: None,
            ..self
        }
    }
}

impl fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
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
