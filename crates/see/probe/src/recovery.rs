//! When a link that was down, or new, may be called up; slower for one that flaps.

use crate::now::Attentive;
use std::time::Duration;

/// Good time after which a link is up again; each recent flap adds as much.
const HOLD: Duration = Duration::from_secs(1);
/// Longest damping, in flaps. Doubled, a mended link would look broken for 16 s.
const FLAPS_MAX: u32 = 8;
/// A quiet time this long forgives one flap.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// Time that single flows get to answer again after the link does.
pub const FLOWS_GRACE: Duration = Duration::from_millis(1_500);
/// A new link is up after this, even if some flows have not answered.
const SETTLED_AFTER: Duration = Duration::from_millis(400);
/// Answers needed in any case.
const ANSWERS_MIN: u32 = 3;

/// Answers since the link came back, and how often it went lately.
#[derive(Debug, Default)]
pub struct Recovery {
    since: Option<Attentive>,
    answers: u32,
    flaps: u32,
    flap_at: Attentive,
}

impl Recovery {
    /// An answer came.
    pub fn answered(&mut self, now: Attentive) {
        self.since = self.since.or(Some(now));
        self.answers = self.answers.saturating_add(1);
    }

    /// It is silent again: what was good so far does not count.
    pub fn broken(&mut self) {
        (self.since, self.answers) = (None, 0);
    }

    /// The link went down after it had been up.
    pub fn flapped(&mut self, now: Attentive) {
        let forgiven = now.since(self.flap_at).as_secs() / FORGIVEN_AFTER.as_secs();
        self.flaps = self
            .flaps
            .saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        self.flaps = (self.flaps + 1).min(FLAPS_MAX);
        self.flap_at = now;
    }

    /// Whether a link that was down is up. `all`: all of its flows answer.
    pub fn is_complete(&self, now: Attentive, all: bool) -> bool {
        let hold = HOLD * self.flaps.max(1);
        self.is_good_for(now, if all { hold } else { hold + FLOWS_GRACE })
    }

    /// Whether a new link is known well enough.
    pub fn is_settled(&self, now: Attentive, all: bool) -> bool {
        all || self.is_good_for(now, SETTLED_AFTER)
    }

    fn is_good_for(&self, now: Attentive, span: Duration) -> bool {
        self.answers >= ANSWERS_MIN && self.since.is_some_and(|since| now.since(since) >= span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flap_costs_a_second_and_a_quiet_minute_gives_it_back() {
        let mut recovery = Recovery::default();
        let mut at_ms = 1_000_000;
        let mut hold_ms = |quiet_ms: u64| {
            at_ms += quiet_ms;
            recovery.flapped(Attentive(at_ms * 1_000));
            recovery.broken();
            (0..3).for_each(|_| recovery.answered(Attentive(at_ms * 1_000)));
            (0..20_000)
                .step_by(100)
                .find(|ms| recovery.is_complete(Attentive((at_ms + ms) * 1_000), true))
        };
        assert_eq!(hold_ms(0), Some(1_000));
        assert_eq!(hold_ms(5_000), Some(2_000));
        assert_eq!(hold_ms(5_000), Some(3_000));
        assert_eq!(hold_ms(61_000), Some(3_000));
        assert_eq!(hold_ms(600_000), Some(1_000));
    }
}
