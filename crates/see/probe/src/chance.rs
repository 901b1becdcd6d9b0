//! How much a link loses by chance: losses between answers, on flows that live. What a dead
//! flow loses does not count, so that one flow's death makes nobody patient with the next.

use andon_model::Instant;

/// A slot of time.
const SLOT_US: u64 = 250_000;
/// Slots kept: 32 s.
const SLOTS: usize = 128;
/// The share is the worst over these many last slots: the short ones follow a loss that sets
/// in, the long one serves a link that is seldom probed.
const WINDOWS: [u64; 4] = [4, 8, 32, 128];
/// Probes judged before a window says anything.
const JUDGED_MIN: u32 = 6;
/// Losses before one answer that count; more, and it was an outage.
const RUN_MAX: u32 = 24;

/// Answers and losses of the last seconds.
#[derive(Debug)]
pub struct Chance {
    slots: [(u8, u8); SLOTS],
    newest: u64,
}

impl Default for Chance {
    fn default() -> Self {
        Self {
            slots: [(0, 0); SLOTS],
            newest: 0,
        }
    }
}

impl Chance {
    /// A living flow answered, after it had lost so many in a row.
    pub fn answered(&mut self, now: Instant, lost_before: u32) {
        let current = now.0 / SLOT_US;
        for number in (self.newest + 1..=current).rev().take(SLOTS) {
            self.slots[(number % SLOTS as u64) as usize] = (0, 0);
        }
        self.newest = self.newest.max(current);
        let (answered, lost) = &mut self.slots[(self.newest % SLOTS as u64) as usize];
        *answered = answered.saturating_add(1);
        *lost = lost.saturating_add(lost_before.min(RUN_MAX) as u8);
    }

    /// Share that is lost by chance, 0..=1, with half a loss of doubt.
    pub fn share(&self) -> f64 {
        let (mut answered, mut lost, mut worst) = (0, 0, 0.0f64);
        let mut windows = WINDOWS.iter().peekable();
        for back in 0..(SLOTS as u64).min(self.newest + 1) {
            let slot = self.slots[((self.newest - back) % SLOTS as u64) as usize];
            answered += u32::from(slot.0);
            lost += u32::from(slot.1);
            if windows.next_if(|slots| **slots == back + 1).is_some()
                && answered + lost >= JUDGED_MIN
            {
                worst = worst.max((f64::from(lost) + 0.5) / (f64::from(answered + lost) + 1.0));
            }
        }
        worst
    }

    /// Losses in a row that chance alone brings less often than `chance`.
    pub fn run(&self, run_min: u32, chance: f64, run_max: u32) -> u32 {
        let share = self.share();
        if share <= 0.0 {
            return run_min;
        }
        ((chance.ln() / share.min(0.95).ln()).ceil() as u32).clamp(run_min, run_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answers_a_second: u64, lost_each: u32, every: u64, expected: u32) {
        let mut chance = Chance::default();
        for n in 0..answers_a_second * 10 {
            let at = Instant(n * 1_000_000 / answers_a_second);
            let lost = if n % every == 0 { lost_each } else { 0 };
            chance.answered(at, lost);
        }
        assert_eq!(chance.run(4, 1e-5, 24), expected, "{}", chance.share());
    }

    #[test]
    fn the_run_follows_the_loss() {
        check(8, 0, 1, 4);
        check(8, 1, 10, 5);
        check(8, 2, 3, 14);
        check(1, 0, 1, 4);
    }

    #[test]
    fn a_loss_that_sets_in_is_followed_within_two_seconds() {
        let mut chance = Chance::default();
        for n in 0..240u64 {
            chance.answered(Instant(n * 125_000), 0);
        }
        for n in 240..252u64 {
            chance.answered(Instant(n * 125_000), u32::from(n % 3 != 0));
        }
        assert!(chance.run(4, 1e-5, 24) >= 9, "{}", chance.share());
    }
}
