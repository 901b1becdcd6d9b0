//! The only place that reads clocks.
#![allow(
    clippy::disallowed_methods,
    reason = "the shell's one clock; cores get its readings"
)]

use andon_model::{Instant, Timestamp};
use std::time::{Duration, SystemTime};

/// Monotonic time starts here, so that "a while before the start" is a time too.
const START: Duration = Duration::from_secs(3_600);
/// A kernel stamp older than this is not believed: a clock was set meanwhile.
const STAMP_AGE_MAX_US: i64 = 5_000_000;

/// Reads monotonic time and UTC.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }

    /// Both times.
    pub fn read(&self) -> (Instant, Timestamp) {
        let utc = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let at = Instant(0) + START + self.start.elapsed();
        (
            at,
            Timestamp(i64::try_from(utc.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// The monotonic time of a kernel's UTC stamp, by a reading taken after it.
    pub fn instant_of((at, utc): (Instant, Timestamp), stamp: Option<Timestamp>) -> Instant {
        match stamp.map(|stamp| utc.0.saturating_sub(stamp.0)) {
            Some(age_us @ 0..STAMP_AGE_MAX_US) => at - Duration::from_micros(age_us.unsigned_abs()),
            _ => at,
        }
    }
}
