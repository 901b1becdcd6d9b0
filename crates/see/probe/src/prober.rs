//! Whom to ask, when, on which flow; and whose answer it is. Holds the links and their
//! pacing; what a link's answers mean is [`LinkCore`]'s business.
//!
//! The node's flows are its source ports: the standing ones, which each link is probed over all
//! the time, come first; behind them are spare ones for bursts and scouts.

use crate::budget::Budget;
use crate::burst::{Bursts, Change, Pace, Symptom};
use crate::flow::{FlowCore, Kind};
use crate::history::Second;
use crate::link_state::{LinkCore, Ways};
use crate::note::Purpose;
use crate::now::Now;
use crate::paths::LinkHealth;
use crate::plan::{FlowDetail, LINKS_MAX, LinkDetail, PlannedLink};
use crate::rotation::Rotation;
use crate::scouts::{Finding, Scouts};
use crate::stamp::{PACKET_BYTES, ReflectorPacket, SenderPacket, ssid};
use crate::wheel::Wheel;
use andon_model::{Heard, HostHealth, Instant, LinkReport, LinkState, NodeKey, Transport};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Distance of the probes of a link's very first round.
const FIRST_EVERY: Duration = Duration::from_millis(16);
/// The first probe of a link goes out within this.
const FIRST_WITHIN_US: u64 = 16_000;
/// Links that are due about together are asked together, so many of them: each wake of the
/// host costs more than a probe does. More would come in bunches that queues overflow from.
const TOGETHER: f64 = 8.0;
/// About together is at most this. Doubled, a link of eight flows would be asked three times at
/// once, and then not for half a second.
const TOGETHER_WITHIN: Duration = Duration::from_millis(200);
/// Round of a frame connection, which is one flow.
const FRAME_EVERY: Duration = Duration::from_millis(250);
/// Round of UDP while frames carry the link: a try a second, in case UDP opens.
const UDP_RETRY_EVERY: Duration = Duration::from_secs(1);
/// Round of frames that are tried while UDP is silent.
const FRAME_RETRY_EVERY: Duration = Duration::from_secs(1);
/// Flows of a burst, standing ones included. Finds one bad path of sixteen with 98 of 100.
pub const FLOWS_MAX: u16 = 64;
/// Round of a burst's flows, fast and slow.
const BURST_ROUND: Duration = Duration::from_millis(250);
const BURST_SLOW_ROUND: Duration = Duration::from_secs(8);
/// Probes a second that a burst is worth starting with: half of its flows in a second.
const BURST_PPS_MIN: f64 = 28.0;
/// Probes that a burst sends at one wake.
const BURST_AT_ONCE: usize = 8;
/// A link's large probes are so far apart while all is well: each of eight flows is asked once
/// in 16 s. Halved, probing costs a tenth more bytes.
const LARGE_EVERY: Duration = Duration::from_secs(2);
/// One scout goes with so many probes of a link...
const SCOUT_SHARE: f64 = 0.25;
/// ...and so many a second of a node at most.
const SCOUTS_PPS_MAX: f64 = 32.0;
/// What a scout that found silence, or loss, weighs as a reason for a burst.
const SILENT_WEIGHT: u32 = 300;
const LOSSY_WEIGHT: u32 = 5;
/// Bursts, ports and the like are looked at this often.
const SECOND: Duration = Duration::from_secs(1);
/// Sockets that could not be opened are tried again after this.
const OPEN_EVERY: Duration = Duration::from_secs(60);
/// Sequence numbers start below; low numbers make a restart visible.
const SEQUENCE_START_END: u32 = 1 << 16;
/// What the prober is told once.
#[derive(Debug, Clone)]
pub struct ProberConfig {
    /// This node.
    pub me: NodeKey,
    /// Local ports of the standing flows; their number is the number of flows.
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
    /// Bytes of the datagram; more than [`PACKET_BYTES`] for a large one.
    pub bytes: usize,
}

/// What the prober needs of the host's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketWish {
    /// Sockets for all flows with an index below this.
    Open(u16),
    /// Another port for this flow; the old one is listened to for a while.
    Renew(u16),
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
    /// Bursts begun.
    pub bursts: u64,
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
    /// The same, had it not been put together with others.
    udp_ideal: Instant,
    burst_at: Instant,
    burst_turn: usize,
    frame_at: Instant,
    transport: Transport,
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
    /// Times of probes are put together within this.
    together: Duration,
    /// Ports of all flows, by index.
    ports: Vec<u16>,
    bursts: Bursts,
    scouts: Scouts,
    rotation: Rotation,
    second_at: Instant,
    open_at: Instant,
    wishes: VecDeque<SocketWish>,
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
            together: TOGETHER_WITHIN,
            ports: config.ports.clone(),
            bursts: Bursts::default(),
            scouts: Scouts::default(),
            rotation: Rotation::new(u16::try_from(config.ports.len()).unwrap_or(FLOWS_MAX), now),
            second_at: now + SECOND,
            open_at: now,
            wishes: VecDeque::new(),
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
        old.keys().for_each(|key| self.bursts.forget(*key));
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
        let pps = (wanted / self.budget.stretch()).max(1.0);
        self.together = Duration::from_secs_f64(TOGETHER / pps).min(TOGETHER_WITHIN);
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
        if packet.asked.note.purpose == Purpose::Large {
            let fits = links.into_iter().any(|key| {
                let large = self.links.get_mut(&key).and_then(|l| l.core.large_mut());
                large.is_some_and(|large| large.answer(now.at, flow, packet))
            });
            self.counts.unmatched += u64::from(!fits);
            return;
        }
        // An older node's answer does not say that it is one to a scout.
        let is_scout = usize::from(flow) >= self.flows()
            && links
                .iter()
                .any(|key| self.scouts.answer(now, received, *key, flow, packet));
        if !is_scout {
            let udp = Transport::Udp;
            self.answer(now, received, links, udp, flow, packet, host_busy);
        }
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
            self.scouts.unsent(key, flow, asked);
            let Some(link) = self.links.get_mut(&key) else {
                continue;
            };
            if asked.note.purpose == Purpose::Large {
                if let Some(large) = link.core.large_mut() {
                    large.unsent(flow);
                }
            } else if let Some(flow) = link.core.flow_mut(Transport::Udp, flow) {
                flow.unsent(asked);
            }
        }
    }

    /// The host says that what goes there from this flow may have `mtu` bytes at most, headers
    /// included: a large probe was not sent, or a router refused it as it ought to.
    pub fn handle_too_large(
        &mut self,
        now: Now,
        flow: u16,
        to: SocketAddr,
        sequence: u32,
        mtu: u32,
    ) {
        for key in self.by_address.get(&place(to)).cloned().unwrap_or_default() {
            let large = self.links.get_mut(&key).and_then(|l| l.core.large_mut());
            if let Some(large) = large {
                large.too_large(now.at, flow, sequence, mtu);
            }
        }
    }

    /// A flow's socket was opened, or got another port. Indexes follow each other.
    pub fn handle_port(&mut self, flow: u16, port: u16) {
        self.scouts.recall(flow);
        let count = self.ports.len();
        match self.ports.get_mut(usize::from(flow)) {
            Some(held) => *held = port,
            None if usize::from(flow) == count && flow < FLOWS_MAX => self.ports.push(port),
            None => return,
        }
        for link in self.links.values_mut() {
            link.core.renew_flow(flow, port);
        }
    }

    /// Time has passed: judges what was lost and asks what is due. What had arrived before
    /// `now` must have been handled.
    pub fn wake(
        &mut self,
        now: Now,
        deadline_of: impl Fn(crate::now::Attentive) -> Instant,
        host: HostHealth,
    ) {
        for (at, key) in self.wheel.due(now.at) {
            if self.links.get(&key).is_some_and(|link| link.armed == at) {
                self.wake_link(now, key, host.busy);
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
        self.wake_scouts(now);
        if now.at >= self.second_at && !self.links.is_empty() {
            self.second_at = now.at + SECOND;
            self.second(now, host);
        }
    }

    /// When to wake it. Scouts and bursts go with the links' own timers.
    pub fn next_wake(&self) -> Option<Instant> {
        self.wheel.next()
    }

    /// What it needs of the sockets; until `None`.
    pub fn poll_wish(&mut self) -> Option<SocketWish> {
        self.wishes.pop_front()
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
    pub fn health(&self, now: Instant, node: NodeKey) -> Option<LinkHealth> {
        let link = self.links.get(&node)?;
        Some(LinkHealth {
            to: node,
            address: link
                .plan
                .address
                .filter(|_| link.core.transport() == Transport::Udp),
            state: link.core.state(),
            flows: link.core.flow_health(now).collect(),
            silent_from: Vec::new(),
            arriving_from: Vec::new(),
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
            paths: Vec::new(),
            history: history.seconds().map(Second::detail).collect(),
            report,
        })
    }

    /// Standing flows.
    fn flows(&self) -> usize {
        self.config.ports.len()
    }

    fn started(&mut self, now: Now, plan: PlannedLink, index: usize) -> Link {
        let mut order: Vec<u16> = (0..).take(self.flows()).collect();
        order.shuffle(&mut self.rng);
        let mut flow =
            |port: u16| FlowCore::new(port, self.rng.random_range(0..SEQUENCE_START_END));
        let standing = self.ports.iter().take(self.config.ports.len());
        let flows = standing.map(|port| flow(*port)).collect();
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
            udp_ideal: start,
            burst_at: start,
            burst_turn: 0,
            frame_at: start,
            transport: Transport::Udp,
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
        let transport = link.core.transport();
        if std::mem::replace(&mut link.transport, transport) != transport {
            // All flows are to be known soon again.
            (link.first, link.udp_at) = (link.order.len(), now.at);
        }
        let frames = transport == Transport::Tcp;
        if ways.udp {
            self.ask_flows(now, key, frames);
        }
        if !frames {
            self.burst(now, key);
            self.ask_large(now, key);
        }
        let Some(link) = self.links.get_mut(&key) else {
            return;
        };
        let tries = link.core.tries_frames(now);
        if (frames || tries) && ways.frames && now.at >= link.frame_at {
            let every = if frames {
                FRAME_EVERY
            } else {
                FRAME_RETRY_EVERY
            };
            link.frame_at = now.at + every.mul_f64(self.rng.random_range(0.85..1.15));
            self.send(now, key, Transport::Tcp, 0, Kind::Regular);
        }
        self.confirm(now, key);
    }

    /// The standing flows whose turn it is; `frames`: frames carry the link, UDP is only tried.
    fn ask_flows(&mut self, now: Now, key: NodeKey, frames: bool) {
        for _ in 0..self.flows() {
            let Some(link) = self.links.get_mut(&key) else {
                return;
            };
            if now.at < link.udp_at || link.order.is_empty() {
                return;
            }
            let flow = link.order[link.turn % link.order.len()];
            link.turn += 1;
            let is_first = link.first > 1;
            let every = if frames {
                UDP_RETRY_EVERY
            } else if is_first {
                FIRST_EVERY.mul_f64(self.budget.stretch().sqrt())
            } else {
                self.config
                    .round
                    .mul_f64(self.budget.stretch() / link.order.len() as f64)
            };
            link.first = link.first.saturating_sub(1);
            // A time that passed long ago is not made up for.
            let from = link.udp_ideal.max(now.at - every);
            link.udp_ideal = from + every.mul_f64(self.rng.random_range(0.85..1.15));
            link.udp_at = if is_first {
                link.udp_ideal
            } else {
                nearest(link.udp_ideal, self.together)
            };
            self.send(now, key, Transport::Udp, flow, Kind::Regular);
            if !frames {
                self.scout(now, key);
            }
        }
    }

    /// A burst's own flows, beside the standing ones.
    fn burst(&mut self, now: Now, key: NodeKey) {
        let (Some(pace), standing) = (self.bursts.pace(key), self.flows()) else {
            return;
        };
        let share = self.budget.spare_pps() / self.bursts.fast().max(1) as f64;
        for _ in 0..BURST_AT_ONCE {
            let Some(link) = self.links.get_mut(&key) else {
                return;
            };
            let extra = link.core.flows().len().saturating_sub(standing);
            if extra == 0 || now.at < link.burst_at {
                return;
            }
            let every = match pace {
                Pace::Fast => BURST_ROUND
                    .div_f64(extra as f64)
                    .max(Duration::from_secs_f64(1.0 / share.max(1.0))),
                Pace::Slow => BURST_SLOW_ROUND.div_f64(extra as f64),
            };
            // What was due long ago is not made up for.
            let missed = now.at.since(link.burst_at) > every * BURST_AT_ONCE as u32;
            let from = if missed { now.at } else { link.burst_at };
            link.burst_at = from + every;
            link.burst_turn = (link.burst_turn + 1) % extra;
            let flow = u16::try_from(standing + link.burst_turn).unwrap_or(u16::MAX);
            self.send(now, key, Transport::Udp, flow, Kind::Burst);
        }
    }

    fn ask_large(&mut self, now: Now, key: NodeKey) {
        let every = LARGE_EVERY.mul_f64(self.budget.stretch());
        let Some(link) = self.links.get_mut(&key) else {
            return;
        };
        let Some(to) = link.plan.address else { return };
        if link.core.large_at().is_none_or(|at| now.at < at) {
            return;
        }
        let timeout = link.core.timeout();
        let Some(large) = link.core.large_mut() else {
            return;
        };
        if let Some(flow) = large.due(now.at, every)
            && let Some((packet, bytes)) = large.ask(now, flow, to.ip(), self.ssid, timeout)
        {
            self.counts.sent += 1;
            self.probes.push_back(Probe {
                route: Route::Udp { flow, to },
                packet,
                bytes,
            });
        }
    }

    /// Now and then a look at one of the spare ports, while the link is well.
    fn scout(&mut self, now: Now, key: NodeKey) {
        let Some(link) = self.links.get(&key) else {
            return;
        };
        let spare = self.ports.len().saturating_sub(self.flows());
        let is_well = matches!(link.core.state(), LinkState::Up | LinkState::Degraded);
        if spare == 0 || !is_well || self.budget.stretch() > 1.0 || self.bursts.pace(key).is_some()
        {
            return;
        }
        let rate = self.links.len() as f64 * self.flows() as f64 / self.config.round.as_secs_f64();
        let share = SCOUT_SHARE.min(SCOUTS_PPS_MAX / rate.max(1.0));
        if !self.rng.random_bool(share.clamp(0.0, 1.0)) {
            return;
        }
        let index = self.flows() + self.rng.random_range(0..spare);
        let flow = (u16::try_from(index).unwrap_or(u16::MAX), self.ports[index]);
        let sequence = self.rng.random_range(0..SEQUENCE_START_END);
        let timeout = link.core.timeout();
        let sent = self
            .scouts
            .send(now, key, flow, sequence, self.ssid, timeout);
        if let Some(packet) = sent {
            self.push_scout(key, flow.0, packet);
        }
    }

    fn wake_scouts(&mut self, now: Now) {
        if self.scouts.is_idle() {
            return;
        }
        let links = &self.links;
        let timeout_of = |key: NodeKey| links.get(&key).map(|link| link.core.timeout());
        for (key, flow, packet) in self.scouts.wake(now, self.ssid, timeout_of) {
            if self.budget.confirm(now.at) {
                self.push_scout(key, flow, packet);
            } else {
                self.counts.confirmations_skipped += 1;
                self.scouts.unsent(key, flow, &packet);
            }
        }
        for finding in self.scouts.findings() {
            let (key, weight) = match finding {
                Finding::Silent(key) => {
                    self.second_at = now.at; // A burst may begin at once.
                    (key, SILENT_WEIGHT)
                }
                Finding::Lossy(key) => (key, LOSSY_WEIGHT),
            };
            if let Some(link) = self.links.get_mut(&key) {
                link.core.found(now.at, weight);
            }
        }
    }

    fn push_scout(&mut self, key: NodeKey, flow: u16, packet: SenderPacket) {
        let Some(to) = self.links.get(&key).and_then(|link| link.plan.address) else {
            return;
        };
        self.counts.sent += 1;
        self.probes.push_back(Probe {
            route: Route::Udp { flow, to },
            packet,
            bytes: PACKET_BYTES,
        });
    }

    /// The far end finds flows dead that fail on the way from here: too few of our own may take
    /// that way to show it, so it is looked for.
    pub fn suspect(&mut self, now: Now, link: NodeKey) {
        if let Some(link) = self.links.get_mut(&link) {
            link.core.found(now.at, SILENT_WEIGHT);
            self.second_at = now.at; // A burst may begin at once.
        }
    }

    /// What is looked at once a second: who bursts, which port changes, which sockets lack.
    fn second(&mut self, now: Now, host: HostHealth) {
        let symptoms: BTreeMap<NodeKey, Symptom> = self
            .links
            .iter()
            .map(|(key, link)| (*key, link.core.symptom(now, host)))
            .filter(|(key, symptom)| symptom.weight > 0 || self.bursts.pace(*key).is_some())
            .collect();
        let spare = self.ports.len().saturating_sub(self.flows());
        let room = self.budget.spare_pps() / BURST_PPS_MIN;
        let fast_max = if spare == 0 { 0 } else { room as usize };
        for change in self.bursts.second(now.at, &symptoms, fast_max) {
            self.change_burst(now, change, host.busy);
        }
        self.turn_ports(now);
        let count = u16::try_from(self.ports.len()).unwrap_or(FLOWS_MAX);
        if count < FLOWS_MAX && now.at >= self.open_at && self.budget.stretch() <= 1.0 {
            self.open_at = now.at + OPEN_EVERY;
            self.wishes.push_back(SocketWish::Open(FLOWS_MAX));
        }
    }

    fn change_burst(&mut self, now: Now, change: Change, host_busy: bool) {
        let (Change::Start(key) | Change::Slow(key) | Change::End(key)) = change;
        let Some(link) = self.links.get_mut(&key) else {
            return;
        };
        link.burst_at = now.at;
        match change {
            Change::Start(_) => {
                let extra: Vec<FlowCore> = self.ports[self.config.ports.len()..]
                    .iter()
                    .map(|port| FlowCore::new(*port, self.rng.random_range(0..SEQUENCE_START_END)))
                    .collect();
                link.core.start_burst(now, extra);
                self.counts.bursts += 1;
            }
            Change::Slow(_) => {}
            Change::End(_) => link.core.end_burst(),
        }
        self.changed |= link.core.judge(now, link.ways(), host_busy);
        self.suspects.insert(key);
        self.arm(now, key, now.at + SECOND);
    }

    fn turn_ports(&mut self, now: Now) {
        let count = u16::try_from(self.ports.len()).unwrap_or(FLOWS_MAX);
        let (standing, links) = (self.flows(), &self.links);
        let is_idle = self.bursts.is_idle();
        let may = |flow: u16| {
            let is_spare = usize::from(flow) >= standing;
            (is_spare && is_idle && !self.scouts.is_out(flow))
                || !is_spare && !links.values().any(|link| link.core.needs_port(now, flow))
        };
        let turned = self.rotation.second(now.at, count, may);
        self.wishes
            .extend(turned.into_iter().map(SocketWish::Renew));
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
            self.probes.push_back(Probe {
                route,
                packet,
                bytes: PACKET_BYTES,
            });
        }
    }

    /// Arms the link's timer for the earliest that it waits for, and `deadline` at the latest.
    fn arm(&mut self, now: Now, key: NodeKey, deadline: Instant) {
        let Some(link) = self.links.get_mut(&key) else {
            return;
        };
        let frames = (link.core.transport() == Transport::Tcp || link.core.tries_frames(now))
            && link.plan.connection.is_some();
        let bursts =
            self.bursts.pace(key).is_some() && link.core.flows().len() > self.config.ports.len();
        let at = [
            Some(deadline),
            link.plan.address.map(|_| link.udp_at),
            bursts.then_some(link.burst_at),
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

/// The nearest whole number of steps.
fn nearest(at: Instant, step: Duration) -> Instant {
    let step_us = u64::try_from(step.as_micros()).unwrap_or(u64::MAX).max(1);
    Instant((at.0 + step_us / 2) / step_us * step_us)
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
