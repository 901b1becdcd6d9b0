//! Whom to ask, when, on which flow; and whose answer it is. Holds the links and their
//! pacing; what a link's answers mean is [`LinkCore`]'s business.

use crate::budget::Budget;
use crate::flow::{FlowCore, Kind};
use crate::history::Second;
use crate::link_state::{LinkCore, Ways};
use crate::now::Now;
use crate::paths::LinkHealth;
use crate::plan::{FlowDetail, LINKS_MAX, LinkDetail, PlannedLink};
use crate::stamp::{ReflectorPacket, SenderPacket, ssid};
use crate::wheel::Wheel;
use andon_model::{Heard, Instant, LinkReport, LinkState, NodeKey, Transport};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Distance of the probes of a link's very first round.
const FIRST_EVERY: Duration = Duration::from_millis(16);
/// The first probe of a link goes out within this.
const FIRST_WITHIN_US: u64 = 16_000;
/// Round of a frame connection, which is one flow.
const FRAME_EVERY: Duration = Duration::from_millis(250);
/// Round of UDP while frames carry the link: a try a second, in case UDP opens.
const UDP_RETRY_EVERY: Duration = Duration::from_secs(1);
/// Sequence numbers start below; low numbers make a restart visible.
const SEQUENCE_START_END: u32 = 1 << 16;
/// What the prober is told once.
#[derive(Debug, Clone)]
pub struct ProberConfig {
    /// This node.
    pub me: NodeKey,
    /// Local ports of the flows; their number is the number of flows.
    pub ports: Vec<u16>,
    /// Time in which each flow of a link is probed once. Half of it finds faults sooner and
    /// costs twice the packets; sane: 0.5-10 s.
    pub round: Duration,
    /// Probes a second, all links together. If the plan wants more, the round stretches.
    pub budget_pps: u32,
    /// Seed of phases and jitter.
    pub rng_seed: [u8; 32],
}

/// Where a probe goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// From a flow's socket.
    Udp {
        /// Index of the flow.
        flow: u16,
        /// The far node.
        to: SocketAddr,
    },
    /// Into a frame connection.
    Frame {
        /// The connection.
        connection: u64,
    },
}

/// A probe to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Where to.
    pub route: Route,
    /// What.
    pub packet: SenderPacket,
}

/// Counters of the prober.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProberCounts {
    /// Probes sent.
    pub sent: u64,
    /// Answered, even if late.
    pub answered: u64,
    /// Answered late.
    pub late: u64,
    /// Not answered in time.
    pub lost: u64,
    /// Refused by the far host.
    pub refused: u64,
    /// Could not be sent.
    pub unsent: u64,
    /// Confirmations left out.
    pub confirmations_skipped: u64,
    /// Answers that fit nothing.
    pub unmatched: u64,
    /// Planned links beyond the limit.
    pub links_refused: u64,
}

#[derive(Debug)]
struct Link {
    plan: PlannedLink,
    core: LinkCore,
    /// Flows in this link's own order.
    order: Vec<u16>,
    turn: usize,
    /// Probes of the first round still to come.
    first: usize,
    udp_at: Instant,
    frame_at: Instant,
    /// The timer that counts; others of this link in the wheel are stale.
    armed: Instant,
}

impl Link {
    fn ways(&self) -> Ways {
        Ways {
            udp: self.plan.address.is_some(),
            frames: self.plan.connection.is_some(),
        }
    }
}

/// All links of a node.
#[derive(Debug)]
pub struct Prober {
    config: ProberConfig,
    ssid: u16,
    rng: ChaCha8Rng,
    links: BTreeMap<NodeKey, Link>,
    by_address: BTreeMap<(IpAddr, u16), Vec<NodeKey>>,
    by_connection: BTreeMap<u64, Vec<NodeKey>>,
    wheel: Wheel<NodeKey>,
    budget: Budget,
    probes: VecDeque<Probe>,
    /// Links that lost a probe or changed; a set, so that it is bounded by the links.
    suspects: BTreeSet<NodeKey>,
    changed: bool,
    counts: ProberCounts,
}

impl Prober {
    /// A prober without links.
    pub fn new(config: ProberConfig, now: Instant) -> Self {
        Self {
            ssid: ssid(config.me),
            rng: ChaCha8Rng::from_seed(config.rng_seed),
            links: BTreeMap::new(),
            by_address: BTreeMap::new(),
            by_connection: BTreeMap::new(),
            wheel: Wheel::new(now),
            budget: Budget::new(config.budget_pps, now),
            probes: VecDeque::new(),
            suspects: BTreeSet::new(),
            changed: false,
            counts: ProberCounts::default(),
            config,
        }
    }

    /// Takes the whole plan: what is not in it is no longer probed, what stays keeps its past.
    pub fn plan(&mut self, now: Now, planned: Vec<PlannedLink>) {
        let mut old = std::mem::take(&mut self.links);
        let mut starting = 0;
        for plan in planned {
            let plan = PlannedLink {
                address: plan.address.map(canonical),
                ..plan
            };
            if self.links.len() >= LINKS_MAX {
                self.counts.links_refused += 1;
                continue;
            }
            let link = match old.remove(&plan.to) {
                Some(link) => self.replanned(now, link, plan),
                None => {
                    starting += 1;
                    self.started(now, plan, starting - 1)
                }
            };
            self.links.insert(plan.to, link);
        }
        self.changed |= starting > 0 || !old.is_empty();
        self.by_address.clear();
        self.by_connection.clear();
        for (key, link) in &self.links {
            if let Some(address) = link.plan.address {
                self.by_address
                    .entry(place(address))
                    .or_default()
                    .push(*key);
            }
            if let Some(connection) = link.plan.connection {
                self.by_connection.entry(connection).or_default().push(*key);
            }
        }
        let wanted = self.by_address.values().map(Vec::len).sum::<usize>() as f64
            * self.flows() as f64
            / self.config.round.as_secs_f64().max(0.001);
        self.budget.want(wanted);
    }

    /// Share of the wanted rate that the budget allows.
    pub fn coverage(&self) -> f32 {
        self.budget.coverage()
    }

    /// An answer came to a flow's socket; `received` is when, by the kernel's stamp.
    pub fn handle_answer(
        &mut self,
        now: Now,
        received: Instant,
        flow: u16,
        from: SocketAddr,
        packet: &ReflectorPacket,
        host_busy: bool,
    ) {
        let links = self
            .by_address
            .get(&place(from))
            .cloned()
            .unwrap_or_default();
        self.answer(
            now,
            received,
            links,
            Transport::Udp,
            flow,
            packet,
            host_busy,
        );
    }

    /// An answer came over a frame connection.
    pub fn handle_frame(
        &mut self,
        now: Now,
        connection: u64,
        packet: &ReflectorPacket,
        host_busy: bool,
    ) {
        let links = self
            .by_connection
            .get(&connection)
            .cloned()
            .unwrap_or_default();
        self.answer(now, now.at, links, Transport::Tcp, 0, packet, host_busy);
    }

    /// The kernel told that nobody listens where this probe went.
    pub fn handle_refused(
        &mut self,
        now: Now,
        flow: u16,
        to: SocketAddr,
        asked: &SenderPacket,
        host_busy: bool,
    ) {
        let links = self.by_address.get(&place(to)).cloned().unwrap_or_default();
        for key in links {
            let Some(link) = self.links.get_mut(&key) else {
                continue;
            };
            if link.core.refuse(now, flow, asked) {
                self.counts.refused += 1;
                self.changed |= link.core.judge(now, link.ways(), host_busy);
                self.suspects.insert(key);
                self.arm(now, key, now.at);
                return;
            }
        }
    }

    /// This host could not send a probe.
    pub fn handle_unsent(&mut self, flow: u16, to: SocketAddr, asked: &SenderPacket) {
        self.counts.unsent += 1;
        for key in self.by_address.get(&place(to)).cloned().unwrap_or_default() {
            if let Some(flow) = self
                .links
                .get_mut(&key)
                .and_then(|link| link.core.flow_mut(Transport::Udp, flow))
            {
                flow.unsent(asked);
            }
        }
    }

    /// Time has passed: judges what was lost and asks what is due. What had arrived before
    /// `now` must have been handled.
    pub fn wake(
        &mut self,
        now: Now,
        deadline_of: impl Fn(crate::now::Attentive) -> Instant,
        host_busy: bool,
    ) {
        for (at, key) in self.wheel.due(now.at) {
            if self.links.get(&key).is_some_and(|link| link.armed == at) {
                self.wake_link(now, key, host_busy);
                let deadline = self
                    .links
                    .get(&key)
                    .and_then(|link| link.core.deadline())
                    .map(&deadline_of);
                self.arm(
                    now,
                    key,
                    deadline.unwrap_or(now.at + Duration::from_secs(1)),
                );
            }
        }
    }

    /// When to wake it.
    pub fn next_wake(&self) -> Option<Instant> {
        self.wheel.next()
    }

    /// What to send; until `None`.
    pub fn poll(&mut self) -> Option<Probe> {
        self.probes.pop_front()
    }

    /// Whether any report changed its state since last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// All links as they are published.
    pub fn view(&self, heard: impl Fn(NodeKey) -> Heard) -> Vec<LinkReport> {
        self.links
            .iter()
            .map(|(key, link)| link.core.report(heard(*key)))
            .collect()
    }

    /// How a link fares, for traces and path reports; `None` if it is not probed.
    pub fn health(&self, node: NodeKey) -> Option<LinkHealth> {
        let link = self.links.get(&node)?;
        Some(LinkHealth {
            to: node,
            address: link
                .plan
                .address
                .filter(|_| link.core.transport() == Transport::Udp),
            state: link.core.state(),
            flows: link.core.flow_health().collect(),
            silent_from: Vec::new(),
        })
    }

    /// Nodes probed, in order.
    pub fn planned(&self) -> impl Iterator<Item = NodeKey> {
        self.links.keys().copied()
    }

    /// Links that lost a probe, or whose state changed, since last asked.
    pub fn take_suspects(&mut self) -> BTreeSet<NodeKey> {
        std::mem::take(&mut self.suspects)
    }

    /// Whether a node is probed.
    pub fn is_planned(&self, node: NodeKey) -> bool {
        self.links.contains_key(&node)
    }

    /// Number of links.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// Counters.
    pub fn counts(&self) -> ProberCounts {
        self.counts
    }

    /// State of one link.
    pub fn state(&self, node: NodeKey) -> Option<LinkState> {
        self.links.get(&node).map(|link| link.core.state())
    }

    /// All of one link, for the panel.
    pub fn detail(&self, now: Instant, node: NodeKey, heard: Heard) -> Option<LinkDetail> {
        let link = self.links.get(&node)?;
        let report = link.core.report(heard);
        let (flows, frame, history, rtt_us_smoothed, clock_offset_us) = link.core.insides();
        let flows: Vec<FlowDetail> = match report.transport {
            Transport::Tcp => vec![frame.detail(now)],
            _ => flows.iter().map(|flow| flow.detail(now)).collect(),
        };
        Some(LinkDetail {
            to: node,
            state: report.state,
            reason: report.reason,
            transport: report.transport,
            address: link.plan.address,
            via: report.via,
            heard,
            since: report.since,
            rtt_us_smoothed,
            clock_offset_us,
            flows,
            history: history.seconds().map(Second::detail).collect(),
            report,
        })
    }

    fn flows(&self) -> usize {
        self.config.ports.len()
    }

    fn started(&mut self, now: Now, plan: PlannedLink, index: usize) -> Link {
        let mut order: Vec<u16> = (0..).take(self.flows()).collect();
        order.shuffle(&mut self.rng);
        let mut flow =
            |port: u16| FlowCore::new(port, self.rng.random_range(0..SEQUENCE_START_END));
        let flows = self.config.ports.iter().map(|port| flow(*port)).collect();
        let frame = flow(0);
        // Many links at once start one after another, as the budget allows.
        let queue = self.budget.time_of(index * self.flows());
        let start =
            now.at + queue + Duration::from_micros(self.rng.random_range(0..FIRST_WITHIN_US));
        self.wheel.insert(start, plan.to);
        Link {
            plan,
            core: LinkCore::new(now, plan.to, plan.via, flows, frame),
            first: self.flows(),
            order,
            turn: 0,
            udp_at: start,
            frame_at: start,
            armed: start,
        }
    }

    fn replanned(&mut self, now: Now, mut link: Link, plan: PlannedLink) -> Link {
        let moved = link.plan.address != plan.address || link.plan.connection != plan.connection;
        link.core.set_via(plan.via);
        link.plan = plan;
        if moved {
            (link.udp_at, link.frame_at, link.armed) = (now.at, now.at, now.at);
            link.first = self.flows();
            self.wheel.insert(now.at, plan.to);
        }
        link
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one answer with all that is known of it, used twice"
    )]
    fn answer(
        &mut self,
        now: Now,
        received: Instant,
        links: Vec<NodeKey>,
        transport: Transport,
        flow: u16,
        packet: &ReflectorPacket,
        host_busy: bool,
    ) {
        for key in links {
            let Some(link) = self.links.get_mut(&key) else {
                continue;
            };
            let Some(answer) = link.core.answer(now, received, transport, flow, packet) else {
                continue;
            };
            self.counts.answered += 1;
            self.counts.late += u64::from(answer.late);
            self.changed |= link.core.judge(now, link.ways(), host_busy);
            if let Some((at, _, _)) = link.core.confirm() {
                let armed = link.armed;
                if at < armed {
                    link.armed = at;
                    self.wheel.insert(at, key);
                }
            }
            return;
        }
        self.counts.unmatched += 1;
    }

    fn wake_link(&mut self, now: Now, key: NodeKey, host_busy: bool) {
        let Some(link) = self.links.get_mut(&key) else {
            return;
        };
        let lost = link.core.expire(now);
        self.counts.lost += lost;
        let ways = link.ways();
        let changed = link.core.judge(now, ways, host_busy);
        self.changed |= changed;
        if changed || lost > 0 {
            self.suspects.insert(key);
        }
        let frames = link.core.transport() == Transport::Tcp;
        if ways.udp && now.at >= link.udp_at && !link.order.is_empty() {
            let flow = link.order[link.turn % link.order.len()];
            link.turn += 1;
            let every = if frames {
                UDP_RETRY_EVERY
            } else if link.first > 1 {
                FIRST_EVERY.mul_f64(self.budget.stretch().sqrt())
            } else {
                self.config
                    .round
                    .mul_f64(self.budget.stretch() / link.order.len() as f64)
            };
            link.first = link.first.saturating_sub(1);
            link.udp_at = now.at + every.mul_f64(self.rng.random_range(0.85..1.15));
            self.send(now, key, Transport::Udp, flow, Kind::Regular);
        }
        let Some(link) = self.links.get_mut(&key) else {
            return;
        };
        if frames && ways.frames && now.at >= link.frame_at {
            link.frame_at = now.at + FRAME_EVERY.mul_f64(self.rng.random_range(0.85..1.15));
            self.send(now, key, Transport::Tcp, 0, Kind::Regular);
        }
        self.confirm(now, key);
    }

    fn confirm(&mut self, now: Now, key: NodeKey) {
        while let Some(link) = self.links.get_mut(&key)
            && let Some((at, transport, flow)) = link.core.confirm()
            && at <= now.at
        {
            if self.budget.confirm(now.at) {
                self.send(now, key, transport, flow, Kind::Confirm);
            } else if let Some(flow) = link.core.flow_mut(transport, flow) {
                self.counts.confirmations_skipped += 1;
                flow.skip_confirm();
            }
        }
    }

    fn send(&mut self, now: Now, key: NodeKey, transport: Transport, flow: u16, kind: Kind) {
        let Some(link) = self.links.get_mut(&key) else {
            return;
        };
        let route = match (transport, link.plan.address, link.plan.connection) {
            (Transport::Tcp, _, Some(connection)) => Route::Frame { connection },
            (Transport::Udp, Some(to), _) => Route::Udp { flow, to },
            _ => {
                if let Some(flow) = link.core.flow_mut(transport, flow) {
                    flow.skip_confirm();
                }
                return;
            }
        };
        if let Some(packet) = link.core.send(now, transport, flow, kind, self.ssid) {
            self.counts.sent += 1;
            self.probes.push_back(Probe { route, packet });
        }
    }

    /// Arms the link's timer for the earliest that it waits for, and `deadline` at the latest.
    fn arm(&mut self, now: Now, key: NodeKey, deadline: Instant) {
        let Some(link) = self.links.get_mut(&key) else {
            return;
        };
        let frames = link.core.transport() == Transport::Tcp && link.plan.connection.is_some();
        let at = [
            Some(deadline),
            link.plan.address.map(|_| link.udp_at),
            frames.then_some(link.frame_at),
            link.core.confirm().map(|(at, _, _)| at),
        ];
        let at = at
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(deadline)
            .max(now.at + Duration::from_micros(1));
        link.armed = at;
        self.wheel.insert(at, key);
    }
}

/// An IPv4 address as such, even if a dual-stack socket wrote it as IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// What two addresses of one place have in common: not the scope, which only the kernel fills in.
fn place(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}
