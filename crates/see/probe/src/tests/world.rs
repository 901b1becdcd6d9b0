//! A world of node cores: a clock, latency, and a fault that decides over each packet.

use crate::node_core::{Input, NodeCore, Output};
use crate::paths::FlowHealth;
use crate::plan::{PlannedLink, WireStats};
use crate::prober::{ProberConfig, SocketWish};
use andon_model::{HostHealth, Instant, LinkReport, LinkState, NodeKey, Peer, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const PORT: u16 = 8777;
const FLOW_PORT: u16 = 40_000;
const FLOWS: u16 = 8;
const KEY: [u8; 32] = [3; 32];
const LATENCY_US: u64 = 300;

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A packet on its way. Flow and its source port are `None` and 0 for a frame.
pub struct Passing {
    pub from_node: usize,
    pub to_node: usize,
    pub flow: Option<u16>,
    pub port: u16,
    pub question: bool,
    pub bytes: usize,
    pub chance: f64,
}

impl Passing {
    /// Which of so many equal paths a router picks for it: by both ends and the ports.
    pub fn path(&self, paths: u64) -> u64 {
        let ends = (self.from_node as u64) << 40 | (self.to_node as u64) << 20;
        let mut hash = ends | u64::from(self.port) << 2 | u64::from(self.question);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (hash ^ (hash >> 31)) % paths
    }
}

pub enum Fate {
    Passes,
    Late(Duration),
    Lost,
}

struct Packet {
    to_node: usize,
    from: SocketAddr,
    what: What,
    bytes: Vec<u8>,
}

enum What {
    Question,
    /// To this port.
    Answer(u16),
    Frame(u64),
    Refused(u16),
}

struct Node {
    core: NodeCore,
    plan: Vec<PlannedLink>,
    skew_us: i64,
    stats: WireStats,
    host: HostHealth,
    inbox: Vec<(Instant, Packet)>,
    /// Ports of the flows; the second also knows those of the past.
    ports: Vec<u16>,
    flows: BTreeMap<u16, u16>,
    connections: BTreeMap<u64, usize>,
}

pub struct World {
    nodes: Vec<Node>,
    now: Instant,
    flying: BTreeMap<(Instant, u64), Packet>,
    next_id: u64,
    next_port: u16,
    rng: ChaCha8Rng,
    pub fault: Box<dyn Fn(&Passing) -> Fate>,
    pub frozen: BTreeSet<usize>,
    pub dead: BTreeSet<usize>,
}

fn key(node: usize) -> NodeKey {
    NodeKey(1_000 + node as u64)
}

fn ip(node: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, (node / 250) as u8, (node % 250) as u8 + 1).into()
}

fn node_of(address: SocketAddr) -> usize {
    match address.ip() {
        IpAddr::V4(ip) => usize::from(ip.octets()[2]) * 250 + usize::from(ip.octets()[3]) - 1,
        IpAddr::V6(_) => unreachable!("the world is of IPv4"),
    }
}

impl World {
    pub fn new(nodes: usize, seed: u64) -> Self {
        Self::with_budget(nodes, seed, 10_000)
    }

    pub fn with_budget(nodes: usize, seed: u64, budget_pps: u32) -> Self {
        let now = Instant(1_000_000_000);
        let next_port = FLOW_PORT + (seed % 50) as u16 * 400;
        let members: Vec<(NodeKey, Vec<IpAddr>)> =
            (0..nodes).map(|n| (key(n), vec![ip(n)])).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut world = World {
            nodes: Vec::new(),
            now,
            flying: BTreeMap::new(),
            next_id: 0,
            next_port,
            fault: Box::new(|_| Fate::Passes),
            frozen: BTreeSet::new(),
            dead: BTreeSet::new(),
            rng: ChaCha8Rng::seed_from_u64(seed + 1),
        };
        for node in 0..nodes {
            let ports: Vec<u16> = (0..FLOWS).map(|_| world.fresh_port()).collect();
            let config = ProberConfig {
                me: key(node),
                ports: ports.clone(),
                round: Duration::from_secs(1),
                budget_pps,
                rng_seed: rng.random(),
            };
            let mut core = NodeCore::new(config, &[KEY], now, world.utc(0));
            let plan: Vec<PlannedLink> = (0..nodes)
                .filter(|to| *to != node)
                .map(|to| PlannedLink {
                    to: key(to),
                    address: Some(SocketAddr::new(ip(to), PORT)),
                    connection: None,
                    via: false,
                })
                .collect();
            core.handle(Input::Members(members.clone()));
            core.handle(Input::Plan(plan.clone()));
            world.nodes.push(Node {
                core,
                plan,
                skew_us: 0,
                stats: WireStats::default(),
                host: HostHealth::default(),
                inbox: Vec::new(),
                flows: ports.iter().copied().zip(0..).collect(),
                ports,
                connections: BTreeMap::new(),
            });
        }
        world
    }

    fn fresh_port(&mut self) -> u16 {
        self.next_port = self.next_port.checked_add(1).unwrap_or(FLOW_PORT);
        self.next_port
    }

    fn utc(&self, skew_us: i64) -> Timestamp {
        Timestamp(1_790_000_000_000_000 + self.now.0 as i64 + skew_us)
    }

    pub fn now_ms(&self) -> u64 {
        self.now.0 / 1_000
    }

    pub fn skew(&mut self, node: usize, skew_us: i64) {
        self.nodes[node].skew_us = skew_us;
    }

    pub fn unplan(&mut self, node: usize) {
        self.nodes[node].core.handle(Input::Plan(Vec::new()));
    }

    /// Opens a frame connection between two nodes.
    pub fn connect(&mut self, a: usize, b: usize) {
        for (node, far) in [(a, b), (b, a)] {
            let connection = 77 + far as u64;
            self.nodes[node].connections.insert(connection, far);
            for link in self.nodes[node]
                .plan
                .iter_mut()
                .filter(|link| link.to == key(far))
            {
                link.connection = Some(connection);
            }
            let plan = self.nodes[node].plan.clone();
            self.nodes[node].core.handle(Input::Plan(plan));
        }
    }

    /// Lets time pass, event by event.
    pub fn run(&mut self, span_ms: u64) {
        let end = self.now + ms(span_ms);
        loop {
            let running: Vec<usize> = (0..self.nodes.len())
                .filter(|n| !self.frozen.contains(n) && !self.dead.contains(n))
                .collect();
            let wake = running
                .iter()
                .filter_map(|n| self.nodes[*n].core.next_wake())
                .min();
            let woken = running.iter().any(|n| !self.nodes[*n].inbox.is_empty());
            let packet = self.flying.keys().next().map(|(at, _)| *at);
            let next = if woken {
                Some(self.now)
            } else {
                wake.into_iter().chain(packet).min()
            };
            let Some(next) = next.filter(|at| *at <= end) else {
                break;
            };
            self.now = next.max(self.now);
            while let Some(entry) = self
                .flying
                .first_entry()
                .filter(|entry| entry.key().0 <= self.now)
            {
                let packet = entry.remove();
                self.land(packet);
            }
            for node in running {
                let due = self.nodes[node]
                    .core
                    .next_wake()
                    .is_some_and(|at| at <= self.now);
                if due || !self.nodes[node].inbox.is_empty() {
                    self.step(node);
                }
            }
        }
        self.now = end;
    }

    fn land(&mut self, packet: Packet) {
        let (to, now) = (packet.to_node, self.now);
        if self.dead.contains(&to) {
            if let (What::Question, true) = (&packet.what, packet.from.port() >= FLOW_PORT) {
                let port = packet.from.port();
                let from = SocketAddr::new(ip(to), PORT);
                let refusal = Packet {
                    to_node: node_of(packet.from),
                    from,
                    what: What::Refused(port),
                    ..packet
                };
                self.nodes[refusal.to_node].inbox.push((now, refusal));
            }
            return;
        }
        self.nodes[to].inbox.push((now, packet));
    }

    fn step(&mut self, node: usize) {
        let utc = self.utc(self.nodes[node].skew_us);
        let core = &mut self.nodes[node].core;
        core.look(self.now, utc);
        for (received, packet) in std::mem::take(&mut self.nodes[node].inbox) {
            let (from, bytes) = (packet.from, packet.bytes.as_slice());
            let core = &mut self.nodes[node].core;
            match packet.what {
                What::Question => core.handle(Input::Question {
                    from,
                    local: None,
                    received,
                    ttl: None,
                    bytes,
                }),
                What::Answer(port) => {
                    if let Some(flow) = self.nodes[node].flows.get(&port).copied() {
                        self.nodes[node].core.handle(Input::Answer {
                            flow,
                            from,
                            received,
                            bytes,
                        });
                    }
                }
                What::Frame(connection) => core.handle(Input::Frame {
                    connection,
                    remote: from,
                    bytes,
                }),
                What::Refused(port) => {
                    if let Some(flow) = self.nodes[node].flows.get(&port).copied() {
                        self.nodes[node].core.handle(Input::Refused {
                            flow,
                            to: from,
                            bytes,
                        });
                    }
                }
            }
        }
        self.nodes[node].core.wake();
        while let Some(output) = self.nodes[node].core.poll() {
            let address = |port| SocketAddr::new(ip(node), port);
            match output {
                Output::Probe { flow, to, bytes } => self.ask(node, flow, to, &bytes),
                Output::Large { flow, to, bytes } => self.ask(node, flow, to, &bytes),
                Output::Sockets(wish) => self.sockets(node, wish),
                Output::Reflection { to, bytes, .. } => {
                    let far = node_of(to);
                    let flow = self.nodes[far].flows.get(&to.port()).copied();
                    let what = What::Answer(to.port());
                    self.fly(node, far, flow, false, address(PORT), what, &bytes);
                }
                Output::Frame { connection, bytes } => {
                    let far = self.nodes[node].connections[&connection];
                    let there = 77 + node as u64;
                    let question = !crate::stamp::is_answer(&bytes);
                    self.fly(
                        node,
                        far,
                        None,
                        question,
                        address(9),
                        What::Frame(there),
                        &bytes,
                    );
                }
                Output::Stats(stats) => self.nodes[node].stats = stats,
                Output::Host(host) => self.nodes[node].host = host,
                _ => {}
            }
        }
    }

    fn ask(&mut self, node: usize, flow: u16, to: SocketAddr, bytes: &[u8]) {
        let port = self.nodes[node].ports[usize::from(flow)];
        let from = SocketAddr::new(ip(node), port);
        let far = node_of(to);
        self.fly(node, far, Some(flow), true, from, What::Question, bytes);
    }

    fn sockets(&mut self, node: usize, wish: SocketWish) {
        let count = self.nodes[node].ports.len() as u16;
        let flows = match wish {
            SocketWish::Open(below) => count..below,
            SocketWish::Renew(flow) => flow..flow + 1,
        };
        for flow in flows {
            let port = self.fresh_port();
            let node = &mut self.nodes[node];
            if usize::from(flow) < node.ports.len() {
                node.ports[usize::from(flow)] = port;
            } else {
                node.ports.push(port);
            }
            node.flows.insert(port, flow);
            node.core.handle(Input::FlowPort { flow, port });
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a packet, told once")]
    fn fly(
        &mut self,
        from_node: usize,
        to_node: usize,
        flow: Option<u16>,
        question: bool,
        from: SocketAddr,
        what: What,
        bytes: &[u8],
    ) {
        let chance = self.rng.random_range(0.0..1.0);
        let port = match (&what, flow) {
            (What::Answer(port), _) => *port,
            (What::Question, _) => from.port(),
            _ => 0,
        };
        let late = match (self.fault)(&Passing {
            from_node,
            to_node,
            flow,
            port,
            question,
            bytes: bytes.len(),
            chance,
        }) {
            Fate::Lost => return,
            Fate::Passes => Duration::ZERO,
            Fate::Late(late) => late,
        };
        self.next_id += 1;
        let at = self.now + late + Duration::from_micros(LATENCY_US + self.next_id % 50);
        self.flying.insert(
            (at, self.next_id),
            Packet {
                to_node,
                from,
                what,
                bytes: bytes.to_vec(),
            },
        );
    }

    pub fn report(&self, from: usize, to: usize) -> LinkReport {
        let reports = self.nodes[from].core.view();
        reports
            .into_iter()
            .find(|report| report.to == Peer::Node(key(to)))
            .unwrap()
    }

    pub fn reports(&self, from: usize) -> Vec<LinkReport> {
        self.nodes[from].core.view()
    }

    pub fn state(&self, from: usize, to: usize) -> LinkState {
        self.report(from, to).state
    }

    pub fn all(&self, state: LinkState) -> bool {
        self.nodes.iter().all(|node| {
            let reports = node.core.view();
            reports.len() + 1 >= self.nodes.len()
                && reports.iter().all(|report| report.state == state)
        })
    }

    pub fn states(&self) -> Vec<String> {
        let told = |(node, report): (usize, LinkReport)| {
            format!(
                "{node}->{:?} {:?} {:?} {:?} {:?}",
                report.to, report.state, report.reason, report.flows, report.loss
            )
        };
        let reports = self
            .nodes
            .iter()
            .enumerate()
            .flat_map(|(n, node)| node.core.view().into_iter().map(move |r| (n, r)));
        reports
            .filter(|(_, report)| report.state != LinkState::Up)
            .map(told)
            .collect()
    }

    /// Source ports of the far node's flows that `at` says are silent.
    pub fn silent_from(&self, at: usize, far: usize) -> Vec<u16> {
        self.nodes[at].core.silent_from(key(far))
    }

    /// How the flows of a link fare.
    pub fn flows(&self, from: usize, to: usize) -> Vec<FlowHealth> {
        self.nodes[from].core.health(key(to)).unwrap().flows
    }

    pub fn stats(&self, node: usize) -> WireStats {
        self.nodes[node].core.stats()
    }

    pub fn host(&self, node: usize) -> HostHealth {
        self.nodes[node].host
    }

    pub fn sent(&self, node: usize) -> u64 {
        self.nodes[node].core.stats().probes_sent
    }

    pub fn coverage(&self, node: usize) -> f32 {
        self.nodes[node].core.stats().coverage
    }
}
