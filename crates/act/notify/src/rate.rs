//! How many messages a route may send: a few at once, then evenly over the hour.

use andon_model::Instant;
use std::time::Duration;

/// Messages that may follow each other at once; more are told together.
const BURST_MAX: u32 = 10;
const HOUR: Duration = Duration::from_secs(3_600);

/// A bucket of tokens, one a message.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    tokens: f64,
    at: Instant,
}

impl Rate {
    /// With so many tokens left.
    pub fn new(tokens: f64, now: Instant) -> Self {
        Self { tokens, at: now }
    }

    /// Full.
    pub fn full(per_hour: u32, now: Instant) -> Self {
        Self::new(burst(per_hour), now)
    }

    /// Whole messages that may be sent at `now`.
    pub fn available(&mut self, now: Instant, per_hour: u32) -> usize {
        let gained = now.since(self.at).as_secs_f64() * f64::from(per_hour) / HOUR.as_secs_f64();
        self.tokens = (self.tokens + gained).clamp(0.0, burst(per_hour));
        self.at = now;
        // At most `BURST_MAX`; a rounding error shall not cost a message its turn.
        (self.tokens + 1e-6) as usize
    }

    /// Takes tokens after [`Rate::available`] offered them.
    pub fn take(&mut self, messages: usize) {
        self.tokens = (self.tokens - messages as f64).max(0.0);
    }

    /// When the next message may be sent.
    pub fn next(&self, per_hour: u32) -> Instant {
        let missing = (1.0 - self.tokens).max(0.0);
        self.at + HOUR.mul_f64(missing / f64::from(per_hour.max(1)))
    }

    /// What is left, to be kept over a restart.
    pub fn tokens(&self) -> f64 {
        self.tokens
    }
}

fn burst(per_hour: u32) -> f64 {
    f64::from(per_hour.clamp(1, BURST_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_brings_its_number_of_messages_and_the_burst() {
        let mut now = Instant(1);
        let mut rate = Rate::full(30, now);
        let mut sent = 0;
        let until = now + HOUR;
        while now <= until {
            let offered = rate.available(now, 30);
            rate.take(offered);
            sent += offered;
            now = rate.next(30).max(now + Duration::from_micros(1));
        }
        assert_eq!(sent, 40);
    }
}
