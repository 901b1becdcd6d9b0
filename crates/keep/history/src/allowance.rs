//! How often views are compared, so that a storm that lasts for hours is told more coarsely
//! instead of evicting the weeks before it. A bucket of bytes that fills as fast as the
//! history may grow.

use crate::options::HistoryOptions;
use andon_model::Instant;
use std::time::Duration;

/// Compressed segments are a fifth of what is written first, or less.
const COMPRESSION: f64 = 5.0;
/// What may be written beyond the steady rate: some hours of the worst storm.
const BURST_SHARE: f64 = 0.02;

/// The bucket.
#[derive(Debug)]
pub(crate) struct Allowance {
    bytes_per_s: f64,
    burst: f64,
    level: f64,
    filled_at: Option<Instant>,
}

impl Allowance {
    pub(crate) fn new(options: &HistoryOptions) -> Self {
        let raw = options.bytes_max as f64 * COMPRESSION;
        let burst = raw * BURST_SHARE;
        Self {
            bytes_per_s: raw / options.keep.as_secs_f64().max(1.0),
            burst,
            level: burst,
            filled_at: None,
        }
    }

    /// So much was written.
    pub(crate) fn spend(&mut self, now: Instant, bytes: usize) {
        let since = self.filled_at.map_or(Duration::ZERO, |at| now.since(at));
        self.filled_at = Some(now);
        let filled = (self.level + since.as_secs_f64() * self.bytes_per_s).min(self.burst);
        // Debts end: after a storm the history is fine-grained again within a while.
        self.level = (filled - bytes as f64).max(-self.burst);
    }

    /// Time between two comparisons at least, for one that would like `best`.
    pub(crate) fn pace(&self, best: Duration) -> Duration {
        let scarce = self.level / self.burst;
        if scarce > 0.0 {
            best
        } else if scarce > -0.5 {
            best.max(Duration::from_secs(1))
        } else {
            best.max(Duration::from_secs(10))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_told_finely_at_first_then_coarsely_and_calm_makes_it_fine_again() {
        let mut allowance = Allowance::new(&HistoryOptions::new("x"));
        let best = Duration::from_millis(100);
        let mut now = Instant(0);
        assert_eq!(allowance.pace(best), best);
        let mut total = 0;
        while allowance.pace(best) == best {
            now = now + best;
            allowance.spend(now, 20_000);
            total += 20_000;
        }
        assert!(
            total > 50_000_000,
            "an incident of minutes is told whole: {total}"
        );
        for _ in 0..2_000_000 {
            now = now + allowance.pace(best);
            allowance.spend(now, 20_000);
        }
        assert_eq!(allowance.pace(best), Duration::from_secs(10));
        allowance.spend(now + Duration::from_secs(3 * 86_400), 0);
        assert_eq!(allowance.pace(best), best);
    }
}
