//! What is usual for a link, and what is worse than that; and how far the far clock is off.

use crate::history::Losses;
use andon_model::{Instant, LinkReason};

/// Loss below this is no fault anywhere.
const LOSS_MIN: f64 = 0.03;
/// Loss ends when the last seconds lose less than this.
const LOSS_OVER: f64 = 0.015;
/// Lost probes needed: fewer are chance.
const LOST_MIN: u32 = 5;
/// Loss above this never becomes usual.
const LOSS_USUAL_MAX: f64 = 0.10;
/// Latency must be up by this at least: less, and a cable's reroute would be a fault.
const LATENCY_MORE_US: f64 = 5_000.0;
/// Seconds in a row that make latency a fault, or end it.
const LATENCY_SECONDS: u32 = 3;
/// Seconds after which a worse latency is the usual one.
const LATENCY_USUAL_AFTER: u32 = 600;
/// Share by which the usual moves in a second.
const DRIFT: f64 = 0.005;

/// The link's own past.
#[derive(Debug, Default)]
pub struct Usual {
    rtt_us: Option<f64>,
    loss: f64,
    lossy: bool,
    slow: bool,
    /// Seconds that speak against what `slow` says.
    turning: u32,
    slow_seconds: u32,
}

impl Usual {
    /// The usual median round-trip time.
    pub fn rtt_us(&self) -> Option<u32> {
        self.rtt_us.map(|us| us as u32)
    }

    /// The usual share of probes lost, 0..=1.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// A second has passed. `losses`: of the last 30 s; `lately`: of the last 12 s; `p50_us`:
    /// median round trip of the last 5-10 s. Returns what is worse than usual.
    pub fn second(
        &mut self,
        losses: Losses,
        lately: Losses,
        p50_us: Option<u32>,
        host_busy: bool,
    ) -> Option<LinkReason> {
        self.judge_loss(losses, lately);
        if let Some(p50_us) = p50_us.filter(|_| !host_busy) {
            self.judge_latency(f64::from(p50_us));
        }
        match (self.lossy, self.slow) {
            (true, _) => Some(LinkReason::Loss),
            (false, true) => Some(LinkReason::Latency),
            (false, false) => None,
        }
    }

    /// An outage ended: loss is judged anew.
    pub fn forgive(&mut self) {
        self.lossy = false;
    }

    fn judge_loss(&mut self, losses: Losses, lately: Losses) {
        let Some(share) = losses.share() else {
            self.lossy = false;
            return;
        };
        let judged = f64::from(losses.answered + losses.lost);
        let expected = judged * self.loss;
        let chance = 3.0 * (expected * (1.0 - self.loss)).sqrt() + 1.0;
        let worse = f64::from(losses.lost) > expected + chance;
        self.lossy = if self.lossy {
            lately
                .share()
                .is_some_and(|share| share > (LOSS_OVER).max(self.loss * 1.5))
        } else {
            share >= LOSS_MIN && losses.lost >= LOST_MIN && worse
        };
        if !self.lossy {
            self.loss = (self.loss + (share - self.loss) * DRIFT).min(LOSS_USUAL_MAX);
        }
    }

    fn judge_latency(&mut self, p50_us: f64) {
        let Some(usual) = self.rtt_us else {
            self.rtt_us = Some(p50_us);
            return;
        };
        let limit = (2.0 * usual).max(usual + LATENCY_MORE_US);
        let middle = (1.5 * usual).max(usual + LATENCY_MORE_US / 2.0);
        let turns = if self.slow {
            p50_us < middle
        } else {
            p50_us > limit
        };
        self.turning = if turns { self.turning + 1 } else { 0 };
        if self.turning >= LATENCY_SECONDS {
            self.slow = !self.slow;
            (self.turning, self.slow_seconds) = (0, 0);
        }
        if self.slow {
            self.slow_seconds += 1;
            if self.slow_seconds > LATENCY_USUAL_AFTER {
                (self.rtt_us, self.slow) = (Some(p50_us), false);
            }
            return;
        }
        // A better latency is learned fast, a worse one slowly, one in question not at all.
        if p50_us < usual {
            self.rtt_us = Some(usual + (p50_us - usual) * 0.1);
        } else if p50_us < middle {
            self.rtt_us = Some(usual + (p50_us - usual) * DRIFT);
        }
    }
}

/// The far clock minus ours, from the quickest answer of the last half to whole minute: the
/// quickest had the least room to be lopsided.
#[derive(Debug, Default)]
pub struct Offset {
    half_minute: u64,
    current: Option<(u32, i64)>,
    last: Option<(u32, i64)>,
}

impl Offset {
    /// Takes one answer.
    pub fn add(&mut self, now: Instant, rtt_us: u32, offset_us: i64) {
        let half_minute = now.0 / 30_000_000;
        if half_minute != self.half_minute {
            self.last = self
                .current
                .take()
                .filter(|_| half_minute == self.half_minute + 1);
            self.half_minute = half_minute;
        }
        if self.current.is_none_or(|(best_us, _)| rtt_us <= best_us) {
            self.current = Some((rtt_us, offset_us));
        }
    }

    /// Microseconds, if any answer came.
    pub fn best(&self) -> Option<i64> {
        self.current
            .into_iter()
            .chain(self.last)
            .min_by_key(|(rtt_us, _)| *rtt_us)
            .map(|(_, offset_us)| offset_us)
    }
}
