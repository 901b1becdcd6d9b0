//! How fast traces may ask. Routers answer few packets whose time ran out: Linux six at once
//! and then one a second to each asker. Asking faster only makes hops look silent, so each
//! hop has a bucket of its own, and all traces together one more.

use super::run::{Run, TTL_MAX};
use andon_model::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Answers that a hop gives at once: what Linux allows (`XRLIM_BURST_FACTOR`).
const HOP_BURST: f64 = 6.0;
/// Answers a second that every hop is asked for: what Linux allows (`icmp_ratelimit`).
const HOP_PPS_MIN: f64 = 1.0;
/// Answers a second that no hop is asked for: it has better things to do.
const HOP_PPS_MAX: f64 = 20.0;
/// By how much an answer makes us bolder, in answers a second.
const HOP_PPS_STEP: f64 = 0.1;
/// A hop that answered within this time and does not answer a flow that lives is limiting its
/// rate.
const LIMITING_WITHIN: Duration = Duration::from_secs(10);
/// After that it is asked this much slower than when it fell silent,
const LIMITED_SHARE: f64 = 0.7;
/// and for so long not faster.
const LIMITED_FOR: Duration = Duration::from_secs(300);
/// Answers that are kept for flows that fail: a fault must not wait for tokens that healthy
/// flows have used up.
const RESERVE: f64 = 3.0;
/// Hops remembered; those that are full again are forgotten first.
const HOPS_MAX: usize = 4_096;
/// Distance up to which all ways are taken to begin alike.
const NEAR_MAX: u8 = 2;
/// Share of the node's probe budget that traces have besides.
const SHARE: f64 = 0.2;
/// Trace packets a second that every budget allows: one failing link is traced in a second.
const PPS_MIN: f64 = 64.0;
/// And none allows more.
const PPS_MAX: f64 = 500.0;

/// Once the budget is used up, all wait so long: several packets at one wake are cheaper.
const DRY_FOR: Duration = Duration::from_millis(20);

/// Whom a packet will make answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HopKey {
    /// A router known by its address.
    Known(IpAddr),
    /// Whoever is at this distance on the way to this address.
    At(IpAddr, u8),
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    pps: f64,
    pps_max: f64,
    limited_at: Option<Instant>,
    filled_at: Instant,
    answered_at: Option<Instant>,
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Self {
            tokens: HOP_BURST,
            pps: HOP_PPS_MIN,
            pps_max: HOP_PPS_MAX,
            limited_at: None,
            filled_at: now,
            answered_at: None,
        }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.pps).min(HOP_BURST);
        self.filled_at = now;
    }
}

/// The buckets.
#[derive(Debug)]
pub struct Pacer {
    pps: f64,
    tokens: f64,
    filled_at: Instant,
    hops: BTreeMap<HopKey, Bucket>,
}

impl Pacer {
    /// Beside a probe budget of so many packets a second.
    pub fn new(budget_pps: u32, now: Instant) -> Self {
        let pps = (f64::from(budget_pps) * SHARE).clamp(PPS_MIN, PPS_MAX);
        Self {
            pps,
            tokens: pps / 4.0,
            filled_at: now,
            hops: BTreeMap::new(),
        }
    }

    /// Takes leave to send one packet; else when to ask again. `hop`: who will answer, if it
    /// is one who counts. `is_urgent`: a flow fails, or somebody waits for it.
    pub fn take(
        &mut self,
        now: Instant,
        hop: Option<HopKey>,
        is_urgent: bool,
    ) -> Result<(), Instant> {
        let passed = now.since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.pps).min(self.pps / 4.0);
        self.filled_at = now;
        if self.tokens < 1.0 {
            return Err(now + Duration::from_secs_f64((1.0 - self.tokens) / self.pps).max(DRY_FOR));
        }
        if let Some(hop) = hop {
            let bucket = self.bucket(now, hop);
            let least = if is_urgent { 1.0 } else { 1.0 + RESERVE };
            if bucket.tokens < least {
                return Err(now + Duration::from_secs_f64((least - bucket.tokens) / bucket.pps));
            }
            bucket.tokens -= 1.0;
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// `by` answered a packet that was taken for `hop`.
    pub fn answered(&mut self, now: Instant, hop: HopKey, by: IpAddr) {
        let known = HopKey::Known(by);
        if hop != known {
            // The answer cost its sender a token, whomever we had expected.
            self.give_back(now, hop);
            self.bucket(now, known).tokens -= 1.0;
        }
        let bucket = self.bucket(now, known);
        bucket.answered_at = Some(now);
        if bucket
            .limited_at
            .is_some_and(|at| now.since(at) > LIMITED_FOR)
        {
            (bucket.limited_at, bucket.pps_max) = (None, HOP_PPS_MAX);
        }
        bucket.pps = (bucket.pps + HOP_PPS_STEP).min(bucket.pps_max);
    }

    /// Nobody answered a packet of a living flow that was taken for `hop`. One who answers at
    /// other times was asked too often; else it cost nothing there. Returns whether it was.
    pub fn silent(&mut self, now: Instant, hop: HopKey) -> bool {
        let bucket = self.bucket(now, hop);
        let limits = |at: Instant| now.since(at) < LIMITING_WITHIN;
        if !bucket.answered_at.is_some_and(limits) {
            self.give_back(now, hop);
            return false;
        }
        bucket.pps_max = (bucket.pps * LIMITED_SHARE).max(HOP_PPS_MIN);
        bucket.pps = bucket.pps_max;
        bucket.tokens = bucket.tokens.min(RESERVE);
        bucket.limited_at = Some(now);
        true
    }

    /// A packet taken for `hop` made nobody there answer.
    pub fn give_back(&mut self, now: Instant, hop: HopKey) {
        let bucket = self.bucket(now, hop);
        bucket.tokens = (bucket.tokens + 1.0).min(HOP_BURST);
    }

    fn bucket(&mut self, now: Instant, hop: HopKey) -> &mut Bucket {
        if self.hops.len() >= HOPS_MAX && !self.hops.contains_key(&hop) {
            self.hops.retain(|_, bucket| {
                bucket.fill(now);
                bucket.tokens < HOP_BURST
            });
            if self.hops.len() >= HOPS_MAX {
                self.hops.pop_first();
            }
        }
        let bucket = self.hops.entry(hop).or_insert_with(|| Bucket::new(now));
        bucket.fill(now);
        bucket
    }
}

/// Who will probably answer, for pacing alone: the same as answered another flow.
#[derive(Debug, Default)]
pub struct Likely {
    /// By destination and distance.
    towards: BTreeMap<(IpAddr, u8), IpAddr>,
    /// By distance, whatever the destination: all ways begin alike.
    near: BTreeMap<u8, IpAddr>,
}

impl Likely {
    /// Who is made to answer, where that costs a token. The far end's node answers as it
    /// likes (`is_node`).
    pub fn hop(&self, run: &Run, ttl: u8, is_node: bool) -> Option<HopKey> {
        let to = run.start().to.ip().to_canonical();
        if run.is_end(ttl) || ttl == TTL_MAX {
            return (!is_node).then_some(HopKey::Known(to));
        }
        let likely = || self.towards.get(&(to, ttl)).or_else(|| self.near.get(&ttl));
        let known = run.expected(ttl).or_else(|| likely().copied());
        Some(known.map_or(HopKey::At(to, ttl), HopKey::Known))
    }

    /// This router answered.
    pub fn answered(&mut self, run: &Run, ttl: u8, by: IpAddr) {
        let to = run.start().to.ip().to_canonical();
        if self.towards.len() >= HOPS_MAX {
            self.towards.clear();
        }
        self.towards.insert((to, ttl), by);
        if ttl <= NEAR_MAX {
            self.near.insert(ttl, by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn a_hop_is_asked_six_times_at_once_and_then_once_a_second() {
        let mut pacer = Pacer::new(1_000, Instant(0));
        let hop = Some(HopKey::Known(ROUTER));
        let mut asked = |at, is_urgent| {
            (0..40)
                .filter(|_| pacer.take(Instant(at), hop, is_urgent).is_ok())
                .count()
        };
        assert_eq!(
            asked(0, false),
            3,
            "healthy flows leave something for those that fail"
        );
        assert_eq!(asked(0, true), 3);
        assert_eq!(asked(500_000, true), 0);
        assert_eq!(asked(1_000_000, true), 1);
        let next = pacer.take(Instant(1_000_000), hop, true);
        assert_eq!(next, Err(Instant(2_000_000)));
        assert!(pacer.take(Instant(1_000_000), None, true).is_ok());
    }

    #[test]
    fn a_hop_that_always_answers_is_asked_faster_and_one_that_does_not_is_left_in_peace() {
        let mut pacer = Pacer::new(1_000, Instant(0));
        let hop = HopKey::Known(ROUTER);
        for _ in 0..20 {
            assert!(pacer.take(Instant(1), Some(hop), false).is_ok());
            assert!(
                !pacer.silent(Instant(1), hop),
                "it never answered: silence is its way"
            );
        }
        let mut at = 0;
        let mut answered = 0;
        while at < 600_000_000 {
            at += 10_000;
            if pacer.take(Instant(at), Some(hop), false).is_ok() {
                pacer.answered(Instant(at), hop, ROUTER);
                answered += 1;
            }
        }
        assert!((9_000..12_000).contains(&answered), "{answered}");
        assert!(pacer.silent(Instant(at), hop));
        assert_eq!(pacer.hops[&hop].pps, 14.0, "and it takes a hint");
        pacer.answered(Instant(at), hop, ROUTER);
        assert_eq!(pacer.hops[&hop].pps, 14.0);
    }

    /// Linux's own limit: six at once, one a second.
    #[test]
    fn a_limited_router_hardly_ever_has_to_stay_silent() {
        let mut pacer = Pacer::new(1_000, Instant(0));
        let hop = HopKey::Known(ROUTER);
        let (mut tokens, mut filled) = (6.0f64, 0u64);
        let (mut answered, mut silent) = (0, 0);
        for at in (0..300_000_000u64).step_by(50_000) {
            let now = Instant(at);
            if pacer.take(now, Some(hop), false).is_err() {
                continue;
            }
            tokens = (tokens + (at - filled) as f64 / 1e6).min(6.0);
            filled = at;
            if tokens >= 1.0 {
                tokens -= 1.0;
                answered += 1;
                pacer.answered(now, hop, ROUTER);
            } else {
                silent += 1;
                pacer.silent(now, hop);
            }
        }
        assert!(answered > 270 && silent < 10, "{answered} {silent}");
    }

    #[test]
    fn all_traces_together_are_bounded_and_so_is_memory() {
        let mut pacer = Pacer::new(1_000, Instant(0));
        let mut sent = 0;
        for i in 0..200_000u32 {
            let hop = HopKey::At(IpAddr::from(i.to_be_bytes()), 3);
            sent += u32::from(
                pacer
                    .take(Instant(u64::from(i) * 50), Some(hop), true)
                    .is_ok(),
            );
        }
        assert!(
            (2_000..=2_060).contains(&sent),
            "{sent} in 10 s at 200 a second"
        );
        assert!(pacer.hops.len() <= HOPS_MAX);
    }
}
