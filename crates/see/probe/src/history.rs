//! What became of the probes of each of the last 300 seconds: the sparkline of the console,
//! and the counts that loss is judged by.

use crate::plan::SecondDetail;
use andon_model::Instant;
use std::collections::VecDeque;

/// Seconds kept: five minutes of sparkline. Doubled, 1,000 links would take 4 MB more.
pub const SECONDS_MAX: usize = 300;
/// Round-trip times looked at for the median of one second.
const SAMPLES_MAX: usize = 64;

/// The probes sent in one second, by fate. Confirmations are left out: they follow a loss,
/// so they would say more of loss than there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// Answered, even if late.
    pub answered: u16,
    /// Not answered in time.
    pub lost: u16,
    /// Lost on the way there, as later answers told.
    pub lost_forward: u16,
    /// Lost on the way back, as later answers told.
    pub lost_return: u16,
    /// Median round-trip time; 0 where none was measured.
    pub rtt_us_p50: u32,
}

impl Second {
    /// For the panel: shares instead of counts. Loss each way is as far as it was told apart.
    pub fn detail(&self) -> SecondDetail {
        let judged = u32::from(self.answered) + u32::from(self.lost);
        let told = u32::from(self.lost_forward) + u32::from(self.lost_return);
        let loss = (judged > 0).then(|| f32::from(self.lost) / judged as f32);
        let part = |count: u16| match loss {
            Some(0.0) => Some(0.0),
            Some(loss) if told > 0 => Some(loss * f32::from(count) / told as f32),
            _ => None,
        };
        SecondDetail {
            rtt_us_p50: (self.rtt_us_p50 > 0).then_some(self.rtt_us_p50),
            loss,
            loss_forward: part(self.lost_forward),
            loss_return: part(self.lost_return),
        }
    }
}

/// A sum over seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Answered.
    pub answered: u32,
    /// Not answered.
    pub lost: u32,
    /// Lost on the way there.
    pub lost_forward: u32,
    /// Lost on the way back.
    pub lost_return: u32,
}

impl Losses {
    /// Share lost, 0..=1; `None` where nothing was judged.
    pub fn share(&self) -> Option<f64> {
        let judged = self.answered + self.lost;
        (judged > 0).then(|| f64::from(self.lost) / f64::from(judged))
    }
}

/// The last [`SECONDS_MAX`] seconds.
#[derive(Debug, Default)]
pub struct History {
    seconds: VecDeque<Second>,
    /// Number of the newest second, counted from the start of time.
    newest: u64,
    samples: Vec<u32>,
}

impl History {
    /// Opens the second of `now`; returns whether a new one began.
    pub fn turn(&mut self, now: Instant) -> bool {
        let current = now.0 / 1_000_000;
        if current <= self.newest && !self.seconds.is_empty() {
            return false;
        }
        self.close();
        let missing = if self.seconds.is_empty() {
            1
        } else {
            current - self.newest
        };
        for _ in 0..missing.min(SECONDS_MAX as u64) {
            if self.seconds.len() == SECONDS_MAX {
                self.seconds.pop_front();
            }
            self.seconds.push_back(Second::default());
        }
        self.newest = current;
        true
    }

    fn close(&mut self) {
        if let Some(second) = self.seconds.back_mut().filter(|_| !self.samples.is_empty()) {
            let middle = self.samples.len() / 2;
            second.rtt_us_p50 = *self.samples.select_nth_unstable(middle).1;
        }
        self.samples.clear();
    }

    /// The second in which a probe was sent, if it is still kept.
    pub fn at(&mut self, sent: Instant) -> Option<&mut Second> {
        let back = usize::try_from(self.newest.checked_sub(sent.0 / 1_000_000)?).ok()?;
        let index = self.seconds.len().checked_sub(1 + back)?;
        self.seconds.get_mut(index)
    }

    /// Notes a round-trip time.
    pub fn sample(&mut self, rtt_us: u32) {
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(rtt_us);
        }
    }

    /// Sum of the newest `seconds`, none older than `since`.
    pub fn losses(&self, seconds: u64, since: Instant) -> Losses {
        let oldest = (self.newest + 1)
            .saturating_sub(seconds)
            .max(since.0 / 1_000_000);
        let count = usize::try_from((self.newest + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        let mut sum = Losses::default();
        for second in self.seconds.iter().rev().take(count) {
            sum.answered += u32::from(second.answered);
            sum.lost += u32::from(second.lost);
            sum.lost_forward += u32::from(second.lost_forward);
            sum.lost_return += u32::from(second.lost_return);
        }
        sum
    }

    /// Oldest first; the last one is still open.
    pub fn seconds(&self) -> impl Iterator<Item = &Second> {
        self.seconds.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_found_by_when_the_probe_was_sent_and_fall_out() {
        let mut history = History::default();
        let second = |n: u64| Instant(n * 1_000_000 + 5);
        history.turn(second(10));
        history.at(second(10)).unwrap().lost += 1;
        history.turn(second(12));
        history.at(second(10)).unwrap().lost += 1;
        assert_eq!(history.losses(30, Instant(0)).lost, 2);
        assert_eq!(history.losses(2, Instant(0)).lost, 0);
        assert_eq!(history.losses(30, second(11)).lost, 0);
        assert!(history.at(second(9)).is_none());
        history.turn(second(12 + 300));
        assert_eq!(history.losses(300, Instant(0)).lost, 0);
        assert_eq!(history.seconds().count(), SECONDS_MAX);
    }
}
