//! Whether this process itself was looking. A host that is busy wakes us late; what was due
//! meanwhile must not be held against the network.

use crate::histogram::WindowedHistogram;
use crate::now::{Attentive, Now};
use andon_model::{HostHealth, Instant, Timestamp};
use std::time::Duration;

/// Woken later than this, we were absent. Below, timeouts (400 ms and more) have slack enough.
const ABSENT_MIN: Duration = Duration::from_millis(50);
/// A delay of this size at the 99th percentile makes latency figures worthless.
const BUSY_FROM_US: u32 = 25_000;
/// Busy ends below this...
const BUSY_UNTIL_US: u32 = 8_000;
/// ...when it has stayed below for so many seconds: a busy host has calm moments.
const CALM_SECONDS: u32 = 30;
/// Wakes needed before anything is said.
const WAKES_MIN: u32 = 20;

/// Keeps [`Attentive`] time, and how late wakes come.
#[derive(Debug)]
pub struct Attention {
    missed_us: u64,
    delays: WindowedHistogram<5>,
    calm_seconds: u32,
    health: HostHealth,
}

impl Default for Attention {
    fn default() -> Self {
        Self {
            missed_us: 0,
            delays: WindowedHistogram::new(Duration::from_secs(2)),
            calm_seconds: 0,
            health: HostHealth::default(),
        }
    }
}

impl Attention {
    /// We look at `now`; we had meant to at `due` at the latest.
    pub fn woke(&mut self, now: Instant, due: Instant) {
        let late = now.since(due);
        let late_us = u32::try_from(late.as_micros()).unwrap_or(u32::MAX);
        self.delays.add(now, late_us);
        if late > ABSENT_MIN {
            self.missed_us += u64::from(late_us);
        }
    }

    /// A moment, with its attentive time.
    pub fn now(&self, at: Instant, utc: Timestamp) -> Now {
        Now {
            at,
            attentive: Attentive(at.0.saturating_sub(self.missed_us)),
            utc,
        }
    }

    /// When an attentive time comes at the earliest.
    pub fn instant_of(&self, attentive: Attentive) -> Instant {
        Instant(attentive.0.saturating_add(self.missed_us))
    }

    /// Judges the last 10 s; to be called once a second.
    pub fn judge(&mut self, now: Instant) -> HostHealth {
        self.delays.turn(now);
        let (wakes, [p99]) = self.delays.quantiles(5, [0.99]);
        let Some(p99) = p99.filter(|_| wakes >= WAKES_MIN) else {
            return self.health;
        };
        self.calm_seconds = if p99 < BUSY_UNTIL_US {
            self.calm_seconds.saturating_add(1)
        } else {
            0
        };
        let busy = p99 >= BUSY_FROM_US || self.health.busy && self.calm_seconds < CALM_SECONDS;
        let published = self.health.scheduling_delay_us_p99;
        // Steps of four, left only when clearly beyond, and while busy only upwards: what wobbles
        // would keep the grid talking.
        if published == 0
            || p99 > published.saturating_mul(2)
            || p99 < published / 8 && !busy
            || busy != self.health.busy
        {
            self.health.scheduling_delay_us_p99 = step_of(p99);
        }
        self.health.busy = busy;
        self.health
    }

    /// What was judged last.
    pub fn health(&self) -> HostHealth {
        self.health
    }
}

/// The next of 1, 4, 16, 64 ms and so on.
fn step_of(delay_us: u32) -> u32 {
    let mut step = 1_000u32;
    while step < delay_us && step < 1 << 30 {
        step = step.saturating_mul(4);
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attentive_time_stands_still_while_we_were_away() {
        let mut attention = Attention::default();
        attention.woke(Instant(1_010_000), Instant(1_000_000));
        assert_eq!(
            attention.now(Instant(1_010_000), Timestamp(0)).attentive,
            Attentive(1_010_000)
        );
        attention.woke(Instant(3_000_000), Instant(1_100_000));
        assert_eq!(
            attention.now(Instant(3_000_000), Timestamp(0)).attentive,
            Attentive(1_100_000)
        );
        assert_eq!(
            attention.instant_of(Attentive(1_500_000)),
            Instant(3_400_000)
        );
    }

    #[test]
    fn a_host_that_wakes_us_late_is_busy_until_it_no_longer_does() {
        let mut attention = Attention::default();
        let mut at = 0;
        let mut wakes = |attention: &mut Attention, late: u64, seconds: u64| {
            for _ in 0..seconds * 10 {
                at += 100_000;
                attention.woke(Instant(at + late), Instant(at));
            }
            attention.judge(Instant(at))
        };
        let mut each_second = |attention: &mut Attention, late: u64, seconds: u64| {
            (0..seconds).fold(HostHealth::default(), |_, _| wakes(attention, late, 1))
        };
        let calm = each_second(&mut attention, 300, 10);
        assert_eq!(
            calm,
            HostHealth {
                scheduling_delay_us_p99: 1_000,
                busy: false
            }
        );
        let busy = each_second(&mut attention, 40_000, 10);
        assert_eq!(
            busy,
            HostHealth {
                scheduling_delay_us_p99: 64_000,
                busy: true
            }
        );
        for _ in 0..10 {
            // A calm moment of two seconds does not end it.
            assert!(each_second(&mut attention, 300, 2).busy);
            assert!(each_second(&mut attention, 40_000, 2).busy);
        }
        assert!(each_second(&mut attention, 300, 30).busy);
        assert!(!each_second(&mut attention, 300, 12).busy);
    }
}
