//! What a node may send: the round stretches for all links alike when the plan wants more,
//! and confirmations have a share of their own, so that an outage is still told fast.

use andon_model::Instant;
use std::time::Duration;

/// Share of the budget that regular probes may use; the rest is for confirmations.
const REGULAR_SHARE: f64 = 0.8;
/// That rest.
const CONFIRM_SHARE: f64 = 0.2;
/// Confirmations a second that every budget allows.
const CONFIRM_PPS_MIN: f64 = 50.0;

/// The budget of one node.
#[derive(Debug)]
pub struct Budget {
    pps: u32,
    stretch: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Budget {
    /// So many probes a second.
    pub fn new(pps: u32, now: Instant) -> Self {
        Self {
            pps: pps.max(1),
            stretch: 1.0,
            tokens: 0.0,
            filled_at: now,
        }
    }

    /// The plan wants so many probes a second.
    pub fn want(&mut self, pps: f64) {
        self.stretch = (pps / (f64::from(self.pps) * REGULAR_SHARE)).max(1.0);
    }

    /// Share of the wanted probes that it allows.
    pub fn coverage(&self) -> f32 {
        (1.0 / self.stretch) as f32
    }

    /// How much longer than wanted a round takes, at least 1.
    pub fn stretch(&self) -> f64 {
        self.stretch
    }

    /// Time that so many probes take at the full budget.
    pub fn time_of(&self, probes: usize) -> Duration {
        Duration::from_secs_f64(probes as f64 / f64::from(self.pps))
    }

    /// Takes one confirmation from the budget; `false` if none is left.
    pub fn confirm(&mut self, now: Instant) -> bool {
        let refill = (f64::from(self.pps) * CONFIRM_SHARE).max(CONFIRM_PPS_MIN);
        self.tokens = (self.tokens + refill * now.since(self.filled_at).as_secs_f64()).min(refill);
        self.filled_at = now;
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirmations_are_bounded_and_come_back() {
        let mut budget = Budget::new(1_000, Instant(0));
        let mut taken = |at| (0..10_000).filter(|_| budget.confirm(Instant(at))).count();
        assert_eq!(taken(5_000_000), 200);
        assert_eq!(taken(5_500_000), 100);
    }
}
