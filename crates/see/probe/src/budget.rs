//! What a node may send: the round stretches for all links alike when the plan wants more,
//! and confirmations have a share of their own, so that an outage is still told fast. Bursts
//! have what is left.

use andon_model::Instant;
use std::time::Duration;

/// Share of the budget that regular probes may use at most.
const REGULAR_SHARE: f64 = 0.75;
/// Share for confirmations.
const CONFIRM_SHARE: f64 = 0.15;
/// Most that bursts may use, probes a second: what a slow machine can send beside its work.
const BURST_PPS_MAX: f64 = 512.0;
/// Confirmations a second that every budget allows.
const CONFIRM_PPS_MIN: f64 = 50.0;

/// The budget of one node.
#[derive(Debug)]
pub struct Budget {
    pps: u32,
    wanted: f64,
    stretch: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Budget {
    /// So many probes a second.
    pub fn new(pps: u32, now: Instant) -> Self {
        Self {
            pps: pps.max(1),
            wanted: 0.0,
            stretch: 1.0,
            tokens: 0.0,
            filled_at: now,
        }
    }

    /// The plan wants so many probes a second.
    pub fn want(&mut self, pps: f64) {
        self.wanted = pps;
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

    /// Probes a second that are left for bursts: at least a tenth of the budget.
    pub fn spare_pps(&self) -> f64 {
        let pps = f64::from(self.pps);
        let regular = self.wanted.min(pps * REGULAR_SHARE);
        (pps * (1.0 - CONFIRM_SHARE) - regular).clamp(0.0, BURST_PPS_MAX)
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
    fn bursts_have_what_is_left() {
        let spare = |pps, wanted| {
            let mut budget = Budget::new(pps, Instant(0));
            budget.want(wanted);
            budget.spare_pps().round()
        };
        assert_eq!(spare(2_000, 64.0), 512.0);
        assert_eq!(spare(400, 200.0), 140.0);
        assert_eq!(spare(400, 9_000.0), 40.0);
    }

    #[test]
    fn confirmations_are_bounded_and_come_back() {
        let mut budget = Budget::new(1_000, Instant(0));
        let mut taken = |at| (0..10_000).filter(|_| budget.confirm(Instant(at))).count();
        assert_eq!(taken(5_000_000), 150);
        assert_eq!(taken(5_500_000), 75);
    }
}
