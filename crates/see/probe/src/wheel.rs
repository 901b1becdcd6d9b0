//! A timer wheel: thousands of timers a second, each put in and taken out in constant time,
//! and those due in the same tick come together.

use andon_model::Instant;

/// Resolution. Doubled, first rounds (8 flows in 150 ms) would bunch; halved, 1,000 links
/// would wake the loop twice as often.
const TICK_US: u64 = 4_000;
/// Slots: timers further off than two seconds wait in the last one and are put back.
const SLOTS: usize = 512;

/// Timers that carry an item. Timers are not removed: who re-arms one ignores the stale.
#[derive(Debug)]
pub struct Wheel<T> {
    slots: Vec<Vec<(Instant, T)>>,
    /// Next tick to be looked at.
    tick: u64,
    timers: usize,
}

impl<T> Wheel<T> {
    /// A wheel that begins to turn at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            tick: now.0 / TICK_US,
            timers: 0,
        }
    }

    /// Arms a timer. One in the past is due at the next tick.
    pub fn insert(&mut self, at: Instant, item: T) {
        let tick =
            at.0.div_ceil(TICK_US)
                .clamp(self.tick, self.tick + SLOTS as u64 - 1);
        self.slots[(tick % SLOTS as u64) as usize].push((at, item));
        self.timers += 1;
    }

    /// Takes out all that is due.
    pub fn due(&mut self, now: Instant) -> Vec<(Instant, T)> {
        let mut due = Vec::new();
        let mut later = Vec::new();
        let current = now.0 / TICK_US;
        let steps = (current + 1).saturating_sub(self.tick).min(SLOTS as u64);
        for tick in self.tick..self.tick + steps {
            for (at, item) in self.slots[(tick % SLOTS as u64) as usize].drain(..) {
                if at <= now {
                    due.push((at, item))
                } else {
                    later.push((at, item))
                }
            }
        }
        self.tick = self.tick.max(current + 1);
        self.timers -= due.len() + later.len();
        for (at, item) in later {
            self.insert(at, item);
        }
        due
    }

    /// When to look again; at most two seconds ahead of the last look.
    pub fn next(&self) -> Option<Instant> {
        if self.timers == 0 {
            return None;
        }
        (self.tick..self.tick + SLOTS as u64)
            .find(|tick| !self.slots[(tick % SLOTS as u64) as usize].is_empty())
            .map(|tick| Instant(tick * TICK_US))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_once_never_early_and_at_most_a_tick_late() {
        let mut wheel = Wheel::new(Instant(0));
        let times: Vec<u64> = (0..2_000).map(|i| (i * 7_919) % 9_000_000).collect();
        for at in &times {
            wheel.insert(Instant(*at), *at);
        }
        let mut seen = 0;
        while let Some(now) = wheel.next() {
            for (at, item) in wheel.due(now) {
                assert_eq!(at.0, item);
                assert!(
                    at <= now && now.since(at).as_micros() <= u128::from(TICK_US),
                    "{at:?} at {now:?}"
                );
                seen += 1;
            }
        }
        assert_eq!(seen, times.len());
    }

    #[test]
    fn a_jump_in_time_loses_nothing() {
        let mut wheel = Wheel::new(Instant(0));
        wheel.insert(Instant(1_000), 1);
        wheel.insert(Instant(90_000_000), 2);
        assert_eq!(wheel.due(Instant(60_000_000)).len(), 1);
        assert_eq!(wheel.due(Instant(90_000_000)).len(), 1);
        assert_eq!(wheel.next(), None);
    }
}
