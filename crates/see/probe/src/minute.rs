//! What became of one flow's probes within the last minute, and how long its answers took:
//! the evidence that paths are told apart by. Confirmations count as probes here, lost or
//! not, so that their share is that of the flow.

use andon_model::Instant;

/// A minute in so many parts, which fall out one by one.
const PARTS: usize = 6;
/// Length of a part.
const PART_US: u64 = 10_000_000;
/// Answers that the median is taken of. Doubled, 2,000 links would need 1 MB more.
const SAMPLES: usize = 16;
/// Answers older than this say nothing of the flow at present.
const SAMPLES_AGE_US: u64 = 30_000_000;

/// Counts over the last minute, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Probes judged: answered or lost.
    pub sent: u32,
    /// Of these, lost.
    pub lost: u32,
    /// Lost on the way there, as later answers told.
    pub lost_forward: u32,
    /// Lost on the way back, as later answers told.
    pub lost_return: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Part {
    sent: u16,
    lost: u16,
    lost_forward: u16,
    lost_return: u16,
}

/// The last minute of one flow.
#[derive(Debug, Default)]
pub struct Minute {
    parts: [Part; PARTS],
    newest: u64,
    samples: [u32; SAMPLES],
    sampled: usize,
    sampled_at: Instant,
}

impl Minute {
    /// A probe was answered; before that, `told` were lost (there, back) as this answer tells.
    pub fn answered(&mut self, now: Instant, rtt_us: u32, (there, back): (u32, u32)) {
        let part = self.part(now);
        part.sent = part.sent.saturating_add(1);
        part.lost_forward = plus(part.lost_forward, there);
        part.lost_return = plus(part.lost_return, back);
        if now.0.saturating_sub(self.sampled_at.0) > SAMPLES_AGE_US {
            self.sampled = 0;
        }
        self.samples[self.sampled % SAMPLES] = rtt_us;
        self.sampled = self.sampled.wrapping_add(1);
        self.sampled_at = now;
    }

    /// A probe was not answered in time.
    pub fn lost(&mut self, now: Instant) {
        let part = self.part(now);
        part.sent = part.sent.saturating_add(1);
        part.lost = part.lost.saturating_add(1);
    }

    /// A probe that had counted as lost is answered after all; it will be counted again.
    pub fn late(&mut self, now: Instant) {
        let part = self.part(now);
        part.sent = part.sent.saturating_sub(1);
        part.lost = part.lost.saturating_sub(1);
    }

    /// Forgets all: other packets take this flow's place, or an outage is over.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The counts.
    pub fn counts(&self, now: Instant) -> Counts {
        let current = now.0 / PART_US;
        let mut sum = Counts::default();
        for back in 0..PARTS as u64 {
            let Some(number) = current.checked_sub(back).filter(|n| *n <= self.newest) else {
                continue;
            };
            if self.newest - number >= PARTS as u64 {
                continue;
            }
            let part = &self.parts[(number % PARTS as u64) as usize];
            sum.sent += u32::from(part.sent);
            sum.lost += u32::from(part.lost);
            sum.lost_forward += u32::from(part.lost_forward);
            sum.lost_return += u32::from(part.lost_return);
        }
        sum
    }

    /// Median round trip of the newest answers; `None` without any in 30 s.
    pub fn rtt_us_p50(&self, now: Instant) -> Option<u32> {
        let count = self.sampled.min(SAMPLES);
        if count == 0 || now.0.saturating_sub(self.sampled_at.0) > SAMPLES_AGE_US {
            return None;
        }
        let mut newest = self.samples;
        let newest = &mut newest[..count];
        Some(*newest.select_nth_unstable(count / 2).1)
    }

    fn part(&mut self, now: Instant) -> &mut Part {
        let current = now.0 / PART_US;
        for number in (self.newest + 1..=current).rev().take(PARTS) {
            self.parts[(number % PARTS as u64) as usize] = Part::default();
        }
        self.newest = self.newest.max(current);
        &mut self.parts[(self.newest % PARTS as u64) as usize]
    }
}

fn plus(count: u16, more: u32) -> u16 {
    count.saturating_add(u16::try_from(more).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Instant {
        Instant(n * 1_000_000)
    }

    #[test]
    fn counts_are_of_the_last_minute() {
        let mut minute = Minute::default();
        for n in 0..600 {
            if n % 10 == 0 {
                minute.lost(second(n));
            } else {
                minute.answered(second(n), 1_000 + n as u32, (u32::from(n % 10 == 1), 0));
            }
        }
        let counts = minute.counts(second(599));
        assert_eq!((counts.sent, counts.lost, counts.lost_forward), (60, 6, 6));
        assert_eq!(counts.lost_return, 0);
        assert_eq!(minute.counts(second(629)).sent, 30);
        assert_eq!(minute.counts(second(700)), Counts::default());
        let rtt = minute.rtt_us_p50(second(610));
        assert!(
            rtt.is_some_and(|us| (1_580..1_599).contains(&us)),
            "{rtt:?}"
        );
        assert_eq!(minute.rtt_us_p50(second(640)), None);
        minute.clear();
        assert_eq!(minute.counts(second(599)), Counts::default());
    }

    #[test]
    fn a_late_answer_is_counted_once() {
        let mut minute = Minute::default();
        minute.lost(second(1));
        minute.late(second(1));
        minute.answered(second(1), 5, (0, 0));
        let counts = minute.counts(second(1));
        assert_eq!((counts.sent, counts.lost), (1, 0));
    }
}
