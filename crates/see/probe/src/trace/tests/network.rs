//! A network of routers in simulated time: each packet walks its flow's way until its time
//! runs out, a router drops it, or it arrives.

use crate::now::{Attentive, Now};
use crate::paths::{FlowHealth, LinkHealth};
use crate::stamp::{ERROR_ESTIMATE, NtpTime, ReflectorPacket, StampKeys};
use crate::trace::detail::TraceDetail;
use crate::trace::icmp::{ErrorKind, PathError};
use crate::trace::way::WayView;
use crate::trace::{TraceOutput, TraceProbe, Tracer};
use andon_model::{Instant, LinkState, NodeKey, Timestamp};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

pub const FAR: NodeKey = NodeKey(9);
pub const PORT: u16 = 40_000;
/// Time that a packet takes from hop to hop.
const STEP_US: u64 = 200;

/// How a router behaves.
#[derive(Debug, Clone)]
pub struct Router {
    /// Answers packets whose time ran out.
    pub answers: bool,
    /// Bytes of the packet that it quotes behind the UDP header.
    pub quotes: usize,
    /// Answers that it gives at once and in a second; `None` for any number.
    pub limit: Option<(f64, f64)>,
    /// Passes nothing on.
    pub drops: bool,
    /// Says so.
    pub says_unreachable: bool,
    /// Time to live of its messages as they arrive.
    pub reply_ttl: Option<u8>,
    tokens: (f64, u64),
}

impl Default for Router {
    fn default() -> Self {
        Self {
            answers: true,
            quotes: 112,
            limit: None,
            drops: false,
            says_unreachable: false,
            reply_ttl: Some(60),
            tokens: (f64::MAX, 0),
        }
    }
}

impl Router {
    fn may_answer(&mut self, now: Instant) -> bool {
        let Some((burst, pps)) = self.limit else {
            return self.answers;
        };
        let (tokens, filled) = self.tokens;
        let passed = (now.0 - filled) as f64 / 1e6;
        let tokens = (tokens.min(burst) + passed * pps).min(burst);
        let may = tokens >= 1.0;
        self.tokens = (tokens - f64::from(u8::from(may)), now.0);
        may && self.answers
    }
}

pub enum Arrival {
    Error {
        flow: u16,
        to: SocketAddr,
        error: PathError,
        quote: Vec<u8>,
    },
    Answer {
        flow: u16,
        from: SocketAddr,
        packet: Box<ReflectorPacket>,
    },
}

type Ways = Box<dyn Fn(u16, u64) -> Vec<IpAddr>>;

pub struct Network {
    pub tracer: Tracer,
    pub to: SocketAddr,
    /// The way of a flow, by its index and the number of the packet.
    pub ways: Ways,
    pub routers: BTreeMap<IpAddr, Router>,
    /// The far end is a node and answers; else it refuses.
    pub is_node: bool,
    pub health: LinkHealth,
    pub sent: Vec<(Instant, TraceProbe)>,
    pub traced: Vec<TraceDetail>,
    pub refused: usize,
    pub now: Instant,
    /// Time in which we did not look.
    pub missed_us: u64,
    arrivals: BTreeMap<(Instant, u64), Arrival>,
    watch_at: Instant,
    next: u64,
}

pub fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

pub fn chain(lasts: &[u8]) -> Vec<IpAddr> {
    lasts.iter().map(|last| ip(*last)).collect()
}

impl Network {
    pub fn new(flows: u16, ways: impl Fn(u16) -> Vec<IpAddr> + 'static) -> Self {
        Self::to(ip(200), flows, move |flow, _| ways(flow))
    }

    pub fn to(to: IpAddr, flows: u16, ways: impl Fn(u16, u64) -> Vec<IpAddr> + 'static) -> Self {
        let to = SocketAddr::new(to, 8777);
        let now = Instant(1_000_000_000);
        let flow = |flow| FlowHealth {
            flow,
            port: PORT + flow,
            alive: Some(true),
            rtt_us_p50: Some(1_000),
            ..FlowHealth::default()
        };
        Self {
            tracer: Tracer::new(NodeKey(1), 2_000, [4; 32], now),
            to,
            ways: Box::new(ways),
            routers: BTreeMap::new(),
            is_node: true,
            health: LinkHealth {
                to: FAR,
                address: Some(to),
                state: LinkState::Up,
                flows: (0..flows).map(flow).collect(),
                silent_from: Vec::new(),
                arriving_from: Vec::new(),
            },
            sent: Vec::new(),
            traced: Vec::new(),
            refused: 0,
            now,
            missed_us: 0,
            arrivals: BTreeMap::new(),
            watch_at: now,
            next: 0,
        }
    }

    pub fn router(&mut self, by: IpAddr, change: impl Fn(&mut Router)) {
        change(self.routers.entry(by).or_default());
    }

    pub fn at(&self) -> Now {
        Now {
            at: self.now,
            attentive: Attentive(self.now.0 - self.missed_us),
            utc: Timestamp(1_790_000_000_000_000 + self.now.0 as i64),
        }
    }

    /// A probe of this flow was lost, or all of them are.
    pub fn trouble(&mut self, flow: u16, alive: bool, lost_run: u32) {
        let flow = &mut self.health.flows[usize::from(flow)];
        (flow.alive, flow.lost_run) = (Some(alive), lost_run);
        let now = self.at();
        self.tracer.watch(now, &self.health);
    }

    pub fn ask(&mut self, to: SocketAddr, flows: u16, is_node: bool) {
        let ports: Vec<(u16, u16)> = (0..flows).map(|flow| (flow, PORT + flow)).collect();
        let health = is_node.then(|| self.health.clone());
        let now = self.at();
        self.tracer.ask(now, 7, to, &ports, health.as_ref());
    }

    pub fn view(&self, flow: u16) -> Option<WayView> {
        let alive = self.health.flows[usize::from(flow)].alive != Some(false);
        self.tracer.view(self.now, FAR, PORT + flow, alive)
    }

    /// Hops of a flow's way; 0 for a silent one.
    pub fn hops(&self, flow: u16) -> Vec<u8> {
        let view = self.view(flow).map(|view| view.hops).unwrap_or_default();
        let last = |hop: &Option<IpAddr>| match hop {
            Some(IpAddr::V4(ip)) => ip.octets()[3],
            Some(IpAddr::V6(ip)) => ip.octets()[15],
            None => 0,
        };
        view.iter().map(last).collect()
    }

    pub fn run(&mut self, span_ms: u64) {
        let end = self.now + Duration::from_millis(span_ms);
        while self.now < end {
            let wake = self.tracer.next_wake();
            let arrival = self.arrivals.keys().next().map(|(at, _)| *at);
            let next = [wake, arrival, Some(self.watch_at)]
                .into_iter()
                .flatten()
                .min();
            self.now = next.unwrap_or(end).max(self.now).min(end);
            self.step();
        }
    }

    pub fn until(&mut self, limit_ms: u64, fits: impl Fn(&Self) -> bool) -> u64 {
        let start = self.now;
        while !fits(self) {
            assert!(
                self.now.since(start) < Duration::from_millis(limit_ms),
                "not within {limit_ms} ms: {:?}",
                (0..4)
                    .map(|flow| self.view(flow.min(self.health.flows.len() as u16 - 1)))
                    .collect::<Vec<_>>()
            );
            self.run(10);
        }
        self.now.since(start).as_millis() as u64
    }

    pub fn step(&mut self) {
        let now = self.at();
        while let Some(entry) = self
            .arrivals
            .first_entry()
            .filter(|e| e.key().0 <= self.now)
        {
            let received = entry.key().0;
            match entry.remove() {
                Arrival::Error {
                    flow,
                    to,
                    error,
                    quote,
                } => {
                    self.tracer
                        .handle_error(now, received, flow, to, &error, &quote);
                }
                Arrival::Answer { flow, from, packet } => {
                    self.tracer
                        .handle_answer(now, received, flow, from, &packet);
                }
            }
        }
        if self.now >= self.watch_at {
            self.watch_at = self.now + Duration::from_secs(1);
            self.tracer.watch(now, &self.health);
        }
        self.tracer.wake(now);
        while let Some(output) = self.tracer.poll() {
            match output {
                TraceOutput::Probe(probe) => self.walk(probe),
                TraceOutput::Traced { detail, .. } => {
                    self.refused += usize::from(detail.is_none());
                    self.traced.extend(detail);
                }
            }
        }
    }

    pub fn arrive(&mut self, after_us: u64, arrival: Arrival) {
        self.next += 1;
        let at = self.now + Duration::from_micros(after_us);
        self.arrivals.insert((at, self.next), arrival);
    }

    fn walk(&mut self, probe: TraceProbe) {
        self.sent.push((self.now, probe));
        let way = (self.ways)(probe.flow, self.sent.len() as u64);
        let bytes = probe.packet.signed(&StampKeys::new(&[[1; 32]]));
        for (by, distance) in way.iter().zip(1u8..) {
            let router = self.routers.entry(*by).or_default();
            let expired = probe.ttl == distance;
            if !expired && !router.drops {
                continue;
            }
            let says = expired || router.says_unreachable;
            if says && router.may_answer(self.now) {
                let error = PathError {
                    kind: if expired {
                        ErrorKind::TimeExceeded
                    } else {
                        ErrorKind::Unreachable
                    },
                    by: Some(*by),
                    reply_ttl: router.reply_ttl,
                    extension_at: None,
                };
                let quote = bytes[..router.quotes].to_vec();
                let (flow, to) = (probe.flow, probe.to);
                let after = u64::from(distance) * 2 * STEP_US;
                self.arrive(
                    after,
                    Arrival::Error {
                        flow,
                        to,
                        error,
                        quote,
                    },
                );
            }
            return;
        }
        let after = (way.len() as u64 + 1) * 2 * STEP_US;
        let (flow, to) = (probe.flow, probe.to);
        if !self.is_node {
            let far = self.routers.entry(to.ip()).or_default();
            if !far.may_answer(self.now) {
                return;
            }
            let error = PathError {
                kind: ErrorKind::PortUnreachable,
                by: Some(to.ip()),
                reply_ttl: Some(60),
                extension_at: None,
            };
            let quote = bytes.to_vec();
            return self.arrive(
                after,
                Arrival::Error {
                    flow,
                    to,
                    error,
                    quote,
                },
            );
        }
        let packet = ReflectorPacket {
            sequence: 0,
            sent: NtpTime(1),
            error: ERROR_ESTIMATE,
            ssid: probe.packet.ssid,
            received: NtpTime(1),
            asked: probe.packet,
            asked_ttl: probe.ttl - way.len() as u8,
            knows_large: false,
        };
        self.arrive(
            after,
            Arrival::Answer {
                flow,
                from: to,
                packet: Box::new(packet),
            },
        );
    }
}
