//! What a link tells the grid: quantised, and changed only when the news is worth a packet,
//! so that a quiet grid is quiet.

use crate::histogram::WindowedHistogram;
use andon_model::{Instant, LossPair, RttUs};
use std::time::Duration;

/// A small change is told after this long.
const SLOW_EVERY: Duration = Duration::from_secs(30);
/// Loss is told in steps of half a percent.
const LOSS_STEP: f32 = 0.005;
/// Loss must move so far to be told at once.
const LOSS_BAND: f32 = 0.01;
/// A clock is bad beyond this.
const OFFSET_BAD_US: i64 = 100_000;
/// A bad clock is good again below this.
const OFFSET_GOOD_US: i64 = 80_000;

/// The figures of one link as they stand in the picture.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Round-trip time.
    pub rtt_us: RttUs,
    /// Its usual median.
    pub rtt_baseline_us: Option<u32>,
    /// Loss each way.
    pub loss: LossPair,
    /// The far clock minus ours.
    pub clock_offset_us: Option<i64>,
}

/// Keeps the published figures.
#[derive(Debug, Default)]
pub struct Published {
    figures: Figures,
    slow_at: Instant,
}

impl Published {
    /// What is published.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// Takes fresh figures. With `at_once` (the state changed) all are told as they are.
    pub fn update(&mut self, now: Instant, fresh: Figures, at_once: bool) {
        let slow = now >= self.slow_at;
        let old = self.figures;
        let rtt = |old: Option<u32>, fresh: Option<u32>, slack_us: u32| {
            let moved = match (old, fresh) {
                (Some(old), Some(fresh)) => {
                    let (low, high) = (old.min(fresh), old.max(fresh));
                    high > low.saturating_mul(2).saturating_add(slack_us)
                        || slow && high > (low + low / 4).saturating_add(slack_us / 2)
                }
                (old, fresh) => old != fresh,
            };
            if at_once || moved {
                fresh.map(three_bits)
            } else {
                old
            }
        };
        let loss = |old: Option<f32>, fresh: Option<f32>| {
            let fresh = fresh.map(|share| (share / LOSS_STEP).round() * LOSS_STEP);
            let moved = match (old, fresh) {
                (Some(old), Some(fresh)) => (old - fresh).abs() > LOSS_BAND || slow && old != fresh,
                (old, fresh) => old.is_some() != fresh.is_some(),
            };
            if at_once || moved { fresh } else { old }
        };
        let bad = |offset: &i64| {
            offset.abs()
                > if old.clock_offset_us.is_some() {
                    OFFSET_GOOD_US
                } else {
                    OFFSET_BAD_US
                }
        };
        let offset = match (old.clock_offset_us, fresh.clock_offset_us.filter(bad)) {
            (Some(old), Some(fresh)) if (old - fresh).abs() <= old.abs() / 8 => Some(old),
            (_, fresh) => fresh.map(|offset| (offset + offset.signum() * 5_000) / 10_000 * 10_000),
        };
        self.figures = Figures {
            rtt_us: RttUs {
                p50: rtt(old.rtt_us.p50, fresh.rtt_us.p50, 200),
                p99: rtt(old.rtt_us.p99, fresh.rtt_us.p99, 20_000),
            },
            rtt_baseline_us: rtt(old.rtt_baseline_us, fresh.rtt_baseline_us, 200),
            loss: LossPair {
                forward: loss(old.loss.forward, fresh.loss.forward),
                return_: loss(old.loss.return_, fresh.loss.return_),
            },
            clock_offset_us: offset,
        };
        if slow || at_once {
            self.slow_at = now + SLOW_EVERY;
        }
    }
}

/// Median and 99th percentile over the window.
pub fn rtt_of(histogram: &WindowedHistogram<6>) -> RttUs {
    let (_, [p50, p99]) = histogram.quantiles(6, [0.5, 0.99]);
    RttUs { p50, p99 }
}

/// The value with its three leading bits, rounded.
pub fn three_bits(value: u32) -> u32 {
    let drop = value.checked_ilog2().unwrap_or(0).saturating_sub(2);
    if drop == 0 {
        return value;
    }
    value.saturating_add(1 << (drop - 1)) >> drop << drop
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_wobbles_stays_quiet_and_one_that_jumps_is_told() {
        let mut published = Published::default();
        let figures = |p50| Figures {
            rtt_us: RttUs {
                p50: Some(p50),
                p99: None,
            },
            ..Figures::default()
        };
        published.update(Instant(0), figures(10_000), true);
        let first = published.figures();
        for (second, p50) in [9_500, 10_900, 8_800, 11_500].into_iter().enumerate() {
            published.update(Instant(second as u64 * 1_000_000), figures(p50), false);
            assert_eq!(published.figures(), first);
        }
        published.update(Instant(5_000_000), figures(40_000), false);
        assert_eq!(published.figures().rtt_us.p50, Some(40_960));
    }

    #[test]
    fn three_leading_bits_are_kept() {
        for (value, kept) in [
            (0, 0),
            (7, 7),
            (9, 10),
            (1000, 1024),
            (1100, 1024),
            (u32::MAX, 0xe000_0000),
        ] {
            assert_eq!(three_bits(value), kept, "{value}");
        }
    }
}
