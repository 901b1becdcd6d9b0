//! Quantiles of the last seconds: log-linear buckets (eight an octave, so at most 6 % off),
//! in slots of time that fall out one by one.

use andon_model::Instant;
use std::time::Duration;

/// Eight linear buckets, then eight for each octave up to 16 s.
const BUCKETS: usize = 8 + 21 * 8;

/// Counts of microsecond values over the last `SLOTS` slots of time.
#[derive(Debug, Clone)]
pub struct WindowedHistogram<const SLOTS: usize> {
    slot_us: u64,
    newest: u64,
    counts: Box<[[u16; BUCKETS]; SLOTS]>,
}

impl<const SLOTS: usize> WindowedHistogram<SLOTS> {
    /// A histogram over `SLOTS` times `slot`.
    pub fn new(slot: Duration) -> Self {
        let slot_us = u64::try_from(slot.as_micros()).unwrap_or(u64::MAX).max(1);
        Self {
            slot_us,
            newest: 0,
            counts: Box::new([[0; BUCKETS]; SLOTS]),
        }
    }

    /// Counts one value.
    pub fn add(&mut self, now: Instant, value_us: u32) {
        self.turn(now);
        let slot = &mut self.counts[(self.newest % SLOTS as u64) as usize];
        let count = &mut slot[bucket_of(value_us)];
        *count = count.saturating_add(1);
    }

    /// Lets old slots fall out.
    pub fn turn(&mut self, now: Instant) {
        let current = now.0 / self.slot_us;
        if current <= self.newest {
            return;
        }
        for slot in (self.newest + 1..=current).rev().take(SLOTS) {
            self.counts[(slot % SLOTS as u64) as usize] = [0; BUCKETS];
        }
        self.newest = current;
    }

    /// Values at these quantiles (0..=1) over the newest `slots` slots, and how many values
    /// there were; `None` where there were none.
    pub fn quantiles<const N: usize>(
        &self,
        slots: usize,
        quantiles: [f64; N],
    ) -> (u32, [Option<u32>; N]) {
        let mut sums = [0u32; BUCKETS];
        for back in 0..slots.min(SLOTS) as u64 {
            let Some(slot) = self.newest.checked_sub(back) else {
                break;
            };
            for (sum, count) in sums
                .iter_mut()
                .zip(&self.counts[(slot % SLOTS as u64) as usize])
            {
                *sum += u32::from(*count);
            }
        }
        let total: u32 = sums.iter().sum();
        let values = quantiles.map(|quantile| {
            let rank = ((f64::from(total) * quantile).ceil() as u32).max(1);
            let mut seen = 0;
            sums.iter().enumerate().find_map(|(bucket, count)| {
                seen += count;
                (*count > 0 && seen >= rank).then(|| middle_of(bucket))
            })
        });
        (total, values)
    }
}

fn bucket_of(value_us: u32) -> usize {
    if value_us < 8 {
        return value_us as usize;
    }
    let octave = value_us.ilog2() as usize;
    let within = (value_us >> (octave - 3)) as usize & 7;
    (8 + (octave - 3) * 8 + within).min(BUCKETS - 1)
}

fn middle_of(bucket: usize) -> u32 {
    if bucket < 8 {
        return bucket as u32;
    }
    let (octave, within) = ((bucket - 8) / 8 + 3, (bucket - 8) % 8);
    let step = 1u32 << (octave - 3);
    (8 + within as u32) * step + step / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket_and_old_values_fall_out() {
        let mut histogram = WindowedHistogram::<6>::new(Duration::from_secs(5));
        for value in 1..=1000 {
            histogram.add(Instant(1_000_000), value * 10);
        }
        let (count, [p50, p99]) = histogram.quantiles(6, [0.5, 0.99]);
        assert_eq!(count, 1000);
        assert!(
            (4700..5300).contains(&p50.unwrap()) && (9300..10500).contains(&p99.unwrap()),
            "{p50:?} {p99:?}"
        );
        histogram.turn(Instant(29_000_000));
        assert_eq!(histogram.quantiles(6, [0.5]).0, 1000);
        histogram.turn(Instant(31_000_000));
        assert_eq!(histogram.quantiles(6, [0.5]), (0, [None]));
    }

    #[test]
    fn every_value_lands_near_its_bucket() {
        for value in
            (0..24).flat_map(|octave| [1u32 << octave, (1 << octave) + 1, (2 << octave) - 1])
        {
            let middle = middle_of(bucket_of(value));
            assert!(
                middle.abs_diff(value) * 8 <= value.max(8),
                "{value} {middle}"
            );
        }
        assert_eq!(bucket_of(u32::MAX), BUCKETS - 1);
    }
}
