//! How many wrong credentials one source may send. Guessing 256 random bits is hopeless at any
//! rate; this keeps guessers from filling logs, and shows them in a counter.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wrong credentials a source may send in [`WINDOW`].
pub(crate) const FAILURES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// Sources remembered. Beyond it the oldest is forgotten, which lets its owner try again.
const SOURCES_MAX: usize = 1024;

/// Wrong credentials by source.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: BTreeMap<IpAddr, (Instant, u32)>,
}

impl Throttle {
    /// Takes note of a wrong credential; `false` if this source has sent too many.
    pub(crate) fn fail(&mut self, now: Instant, source: IpAddr) -> bool {
        let source = network(source);
        if self.failures.len() >= SOURCES_MAX && !self.failures.contains_key(&source) {
            let oldest = self
                .failures
                .iter()
                .min_by_key(|(_, (since, _))| *since)
                .map(|(source, _)| *source);
            oldest.map(|oldest| self.failures.remove(&oldest));
        }
        let (since, count) = self.failures.entry(source).or_insert((now, 0));
        if now.saturating_duration_since(*since) > WINDOW {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= FAILURES_MAX
    }
}

/// One IPv6 customer has a /64 at least, so that is one source.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_throttled_alone_and_for_a_while_and_the_table_is_bounded() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let guesser: IpAddr = "192.0.2.1".parse().unwrap();
        assert!((0..FAILURES_MAX).all(|_| throttle.fail(start, guesser)));
        assert!(!throttle.fail(start, guesser));
        assert!(throttle.fail(start, "192.0.2.2".parse().unwrap()));
        assert!(throttle.fail(start + WINDOW * 2, guesser));
        for source in 0..5000_u32 {
            throttle.fail(start, IpAddr::V4(source.into()));
        }
        assert_eq!(throttle.failures.len(), SOURCES_MAX);
    }
}
