//! When the flows of one link are traced: rarely while all is well, at once when one loses
//! probes, and again while it does. Keeps each flow's way.

use super::run::{Aim, Run, Start};
use super::way::FlowWay;
use crate::paths::{FlowHealth, LinkHealth};
use andon_model::{Instant, Timestamp};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Distance of the traces of a healthy link. Halved, a changed way is known sooner and
/// routers answer twice as much.
const HEALTHY_EVERY: Duration = Duration::from_secs(60);
/// The second one comes sooner, where routers that limit their answers left gaps in the first.
const SECOND_AFTER: Duration = Duration::from_secs(20);
/// A link whose trouble ended is traced after this: its ways may be others.
const MENDED_AFTER: Duration = Duration::from_secs(2);
/// Flows in trouble that are traced in one round of those that took the same way: routers
/// answer few, and one answer tells for all. The others have their turn in the next round.
const SAME_WAY_MAX: usize = 4;
/// And in the rounds that follow: together with the first, what a router gives that answers
/// one packet a second.
const SAME_WAY_AGAIN_MAX: usize = 2;
/// The same, of those whose way nobody knows, if nothing better is to be had.
const UNKNOWN_WAY_MAX: usize = 16;
/// Living flows traced at once.
const LIVING_MAX: usize = 16;
/// In trouble, flows that live are looked at too, but not before those that do not,
const LIVING_AFTER: Duration = Duration::from_millis(1_500);
/// and so often.
const LIVING_EVERY: Duration = Duration::from_secs(10);

/// A flow to be traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Index of the flow.
    pub flow: u16,
    /// Its source port.
    pub port: u16,
    /// What for.
    pub aim: Aim,
}

/// One link.
#[derive(Debug)]
pub struct Watch {
    to: SocketAddr,
    /// By source port.
    ways: BTreeMap<u16, FlowWay>,
    healthy_at: Instant,
    healthy_rounds: u32,
    failing_at: Instant,
    failing_rounds: u32,
    living_at: Instant,
    turn: usize,
}

impl Watch {
    /// A link that was never traced.
    pub fn new(to: SocketAddr) -> Self {
        Self {
            to,
            ways: BTreeMap::new(),
            healthy_at: Instant(0),
            healthy_rounds: 0,
            failing_at: Instant(0),
            failing_rounds: 0,
            living_at: Instant(0),
            turn: 0,
        }
    }

    /// Where it leads.
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// A flow's way.
    pub fn way(&self, port: u16) -> Option<&FlowWay> {
        self.ways.get(&port)
    }

    /// Distance of the far end, as the flows know it: the longest of their ways.
    pub fn distance(&self) -> Option<u8> {
        let ways = self.ways.values().filter_map(FlowWay::complete);
        let longest = ways.map(|way| way.hops.len()).max()?;
        u8::try_from(longest + 1).ok()
    }

    /// What to trace now. `jitter`: 0..1, so that links do not trace in step.
    pub fn wishes(&mut self, now: Instant, health: &LinkHealth, jitter: f64) -> Vec<Wish> {
        self.ways
            .retain(|port, _| health.flows.iter().any(|flow| flow.port == *port));
        let mut troubled = Vec::new();
        let mut is_mended = false;
        for flow in &health.flows {
            let is_troubled = is_troubled(flow);
            if let Some(way) = self.ways.get_mut(&flow.port) {
                is_mended |= way.trouble(now, is_troubled);
            } else if is_troubled {
                let way = self.ways.entry(flow.port).or_default();
                way.trouble(now, true);
            }
            if is_troubled {
                troubled.push(*flow);
            }
        }
        if is_mended {
            self.healthy_at = self.healthy_at.min(now + MENDED_AFTER);
        }
        if troubled.is_empty() {
            self.failing_rounds = 0;
            self.failing_at = now;
            return self.healthy(now, health, jitter);
        }
        let mut wishes = self.failing(now, &troubled);
        wishes.extend(self.living(now, health));
        wishes
    }

    /// What a trace of a flow begins with.
    pub fn start(&self, flow: u16, port: u16, aim: Aim, patience: Duration) -> Start {
        let way = self.ways.get(&port);
        let complete = way.and_then(FlowWay::complete);
        let own = complete.and_then(|way| u8::try_from(way.hops.len() + 1).ok());
        Start {
            flow,
            port,
            to: self.to,
            is_node: true,
            aim,
            expected: complete.map(|way| way.hops.clone()).unwrap_or_default(),
            distance: own
                .or_else(|| self.distance())
                .filter(|_| way.is_none_or(|way| !way.is_astray)),
            patience,
            is_serial: way.is_some_and(|way| way.is_serial),
            is_asked: false,
        }
    }

    /// Takes what a trace saw.
    pub fn take(&mut self, now: Instant, utc: Timestamp, run: &Run) {
        self.ways
            .entry(run.start().port)
            .or_default()
            .take(now, utc, run);
    }

    fn healthy(&mut self, now: Instant, health: &LinkHealth, jitter: f64) -> Vec<Wish> {
        let alive = health.flows.iter().filter(|flow| flow.alive == Some(true));
        let alive: Vec<Wish> = alive.map(|flow| wish(flow, Aim::Whole)).collect();
        if alive.is_empty() {
            return alive;
        }
        if now < self.healthy_at {
            let living = health.flows.iter().filter(|flow| flow.alive == Some(true));
            return self.longest_ago(living.filter(|flow| !self.ways.contains_key(&flow.port)));
        }
        if self.healthy_rounds == 1 {
            self.healthy_rounds += 1;
            self.healthy_at = now + HEALTHY_EVERY.mul_f64(0.8 + 0.4 * jitter);
            let has_gaps = |wish: &Wish| {
                let way = self.ways.get(&wish.port).and_then(FlowWay::complete);
                way.is_none_or(|way| way.hops.iter().any(Option::is_none))
            };
            return alive.into_iter().filter(has_gaps).collect();
        }
        let every = if self.healthy_rounds == 0 {
            SECOND_AFTER
        } else {
            HEALTHY_EVERY
        };
        self.healthy_rounds += 1;
        self.healthy_at = now + every.mul_f64(0.8 + 0.4 * jitter);
        alive
    }

    /// Flows in trouble that no trace has looked at yet, at once; all of them in turn, again
    /// and again, ever more seldom.
    fn failing(&mut self, now: Instant, troubled: &[FlowHealth]) -> Vec<Wish> {
        let is_due = now >= self.failing_at;
        let begin = self.turn % troubled.len();
        let in_turn = troubled[begin..].iter().chain(&troubled[..begin]);
        let (mut chosen, mut unknown) = (Vec::new(), Vec::new());
        let mut same_way: BTreeMap<&[Option<IpAddr>], usize> = BTreeMap::new();
        let mut unknown_looked = 0;
        let same_way_max = if is_due && self.failing_rounds > 0 {
            SAME_WAY_AGAIN_MAX
        } else {
            SAME_WAY_MAX
        };
        for flow in in_turn {
            let way = self.ways.get(&flow.port);
            let since = way.and_then(FlowWay::trouble_since);
            let is_looked = !is_due && way.and_then(FlowWay::traced) >= since;
            match way.and_then(FlowWay::complete) {
                Some(way) => {
                    let count = same_way.entry(&way.hops).or_default();
                    *count += 1;
                    if !is_looked && *count <= same_way_max {
                        chosen.push(wish(flow, Aim::Search));
                    }
                }
                None if is_looked => unknown_looked += 1,
                None => unknown.push(wish(flow, Aim::Search)),
            }
        }
        let unknown_max = if same_way.is_empty() {
            UNKNOWN_WAY_MAX
        } else {
            same_way_max
        };
        unknown.truncate(unknown_max.saturating_sub(unknown_looked));
        chosen.extend(unknown);
        if is_due {
            self.turn = begin + same_way_max + 1;
            if self.failing_rounds == 0 {
                self.living_at = now + LIVING_AFTER;
            }
            self.failing_rounds += 1;
            self.failing_at = now
                + match self.failing_rounds {
                    0..=10 => Duration::from_secs(2),
                    11..=30 => Duration::from_secs(5),
                    _ => Duration::from_secs(15),
                };
        }
        chosen
    }

    fn living(&mut self, now: Instant, health: &LinkHealth) -> Vec<Wish> {
        if now < self.living_at {
            return Vec::new();
        }
        self.living_at = now + LIVING_EVERY;
        let living = health.flows.iter();
        let living = living.filter(|flow| flow.alive == Some(true) && !is_troubled(flow));
        self.longest_ago(living)
    }

    fn longest_ago<'a>(&self, flows: impl Iterator<Item = &'a FlowHealth>) -> Vec<Wish> {
        let mut flows: Vec<&FlowHealth> = flows.collect();
        flows.sort_by_key(|flow| self.ways.get(&flow.port).and_then(FlowWay::traced));
        let first = flows.into_iter().take(LIVING_MAX);
        first.map(|flow| wish(flow, Aim::Whole)).collect()
    }
}

fn is_troubled(flow: &FlowHealth) -> bool {
    flow.alive == Some(false) || flow.lost_run > 0
}

fn wish(flow: &FlowHealth, aim: Aim) -> Wish {
    Wish {
        flow: flow.flow,
        port: flow.port,
        aim,
    }
}
