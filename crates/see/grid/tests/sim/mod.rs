//! A world in simulated time: nodes that run the real core over a network with latency, loss,
//! duplication, reordering, partitions, firewalls and skewed clocks. One seed decides all.
#![allow(dead_code, reason = "each test and example uses its part of the world")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a world is a test"
)]

use andon_grid::row::{RowKey, RowVersion};
use andon_grid::{
    ConnectionId, Endpoint, Grid, GridConfig, GridInput, GridKey, GridNotice, GridOutput, KeyRing,
    OwnSlice, StoreLimits,
};
use andon_model::{
    FlowCount, HostHealth, Identity, Instant, LinkReport, LinkState, LossPair, NodeId, NodeKey,
    Peer, Presence, Reach, RttUs, SiteId, Timestamp, Transport,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

/// How the network treats datagrams.
#[derive(Debug, Clone, Copy)]
pub struct Net {
    /// One-way delay in microseconds, from and to; a wide span reorders.
    pub delay_us: (u64, u64),
    /// Share lost.
    pub loss: f64,
    /// Share that arrives twice.
    pub twice: f64,
}

impl Net {
    pub const LAN: Net = Net {
        delay_us: (200, 400),
        loss: 0.0,
        twice: 0.0,
    };
    pub const BAD: Net = Net {
        delay_us: (500, 60_000),
        loss: 0.2,
        twice: 0.05,
    };
}

pub struct Node {
    pub grid: Grid,
    pub address: SocketAddr,
    pub slice: OwnSlice,
    pub is_alive: bool,
    /// No UDP in or out.
    pub udp_closed: bool,
    /// Nobody can open a connection or send an unasked datagram to it.
    pub unreachable: bool,
    /// Which side of a partition it is on.
    pub side: u8,
    pub notices: Vec<GridNotice>,
    pub outside: Option<SocketAddr>,
    pub dials: u64,
    offset: u64,
    wake_at: u64,
    seen: BTreeMap<RowKey, RowVersion>,
}

enum Event {
    Wake(usize),
    Deliver {
        to: usize,
        from: Endpoint,
        bytes: Vec<u8>,
    },
    Connected {
        node: usize,
        connection: ConnectionId,
        remote: SocketAddr,
        dialled: bool,
    },
    Disconnected {
        node: usize,
        connection: ConnectionId,
    },
}

pub struct World {
    pub now: u64,
    pub nodes: Vec<Node>,
    pub net: Net,
    pub random: ChaCha8Rng,
    pub largest: usize,
    pub delivered: u64,
    /// Pairs between which no datagram passes, lower index first.
    pub cut: BTreeSet<(usize, usize)>,
    queue: BinaryHeap<(Reverse<u64>, Reverse<u64>)>,
    events: BTreeMap<u64, Event>,
    next_event: u64,
    by_address: BTreeMap<SocketAddr, usize>,
    /// Both ends of each connection.
    connections: BTreeMap<ConnectionId, (usize, usize)>,
    next_connection: u64,
    next_free_at: BTreeMap<(ConnectionId, usize), u64>,
}

pub const KEY: [u8; 32] = [42; 32];

pub fn address_of(index: usize) -> SocketAddr {
    let [.., a, b] = (index as u32 + 1).to_be_bytes();
    if index % 4 == 3 {
        format!("[fd00::{:x}:{:x}]:8777", a, b).parse().unwrap()
    } else {
        format!("10.1.{a}.{b}:8777").parse().unwrap()
    }
}

pub fn identity(name: &str, site: &str, address: SocketAddr) -> Identity {
    Identity {
        id: NodeId::new(name).unwrap(),
        site: SiteId::new(site).unwrap(),
        labels: BTreeMap::new(),
        version: "0.1.0".into(),
        started_at: Timestamp(1_700_000_000_000_000),
        addresses: vec![address],
        fingerprint: [7; 32],
        presence: Presence::Here,
        reach: Reach::Open,
    }
}

/// A link as a healthy prober publishes it.
pub fn link(to: NodeKey, random: &mut ChaCha8Rng) -> LinkReport {
    let rtt = random.random_range(200..80_000);
    LinkReport {
        state: LinkState::Up,
        flows: FlowCount { ok: 8, total: 8 },
        loss: LossPair {
            forward: Some(0.0),
            return_: Some(0.0),
        },
        rtt_us: RttUs {
            p50: Some(rtt),
            p99: Some(rtt * 2),
        },
        rtt_baseline_us: Some(rtt),
        ..LinkReport::unknown(
            Peer::Node(to),
            Transport::Udp,
            Timestamp(1_700_000_000_000_000),
        )
    }
}

pub fn config(signing: u8, epoch: u64, random: &mut ChaCha8Rng) -> GridConfig {
    GridConfig {
        signing_seed: [signing; 32],
        keys: KeyRing::of(GridKey::generate(KEY)),
        epoch,
        random_seed: random.random(),
        limits: StoreLimits::default(),
    }
}

impl World {
    pub fn new(seed: u64, net: Net) -> Self {
        Self {
            now: 1_000_000_000,
            nodes: Vec::new(),
            net,
            random: ChaCha8Rng::seed_from_u64(seed),
            largest: 0,
            delivered: 0,
            cut: BTreeSet::new(),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            by_address: BTreeMap::new(),
            connections: BTreeMap::new(),
            next_connection: 0,
            next_free_at: BTreeMap::new(),
        }
    }

    /// Adds a node with a skewed clock that knows these seeds; returns its index.
    pub fn add(&mut self, seeds: &[usize]) -> usize {
        let index = self.nodes.len();
        let skew = self.random.random_range(0..10 * 3_600_000_000u64);
        let epoch = 1_700_000_000_000_000 + skew + self.now;
        let node = self.build(index, epoch, skew);
        self.by_address.insert(node.address, index);
        self.nodes.push(node);
        self.start(index, seeds);
        index
    }

    fn build(&mut self, index: usize, epoch: u64, offset: u64) -> Node {
        let address = address_of(index);
        let mut signing_seed = [9; 32];
        signing_seed[..8].copy_from_slice(&(index as u64).to_be_bytes());
        let config = GridConfig {
            signing_seed,
            ..config(0, epoch, &mut self.random)
        };
        let slice = OwnSlice::of(identity(
            &format!("node-{index}"),
            &format!("site-{}", index % 10),
            address,
        ));
        Node {
            grid: Grid::new(config, Instant(self.now + offset)),
            address,
            slice,
            is_alive: true,
            udp_closed: false,
            unreachable: false,
            side: 0,
            notices: Vec::new(),
            outside: None,
            dials: 0,
            offset,
            wake_at: 0,
            seen: BTreeMap::new(),
        }
    }

    fn start(&mut self, index: usize, seeds: &[usize]) {
        let slice = self.nodes[index].slice.clone();
        self.input(index, GridInput::Publish(Box::new(slice)));
        let seeds = seeds.iter().map(|seed| address_of(*seed)).collect();
        self.input(index, GridInput::Seeds(seeds));
    }

    /// Kills a node and starts it again after a while that the world may use; its own clock
    /// moved by `clock_us` meanwhile.
    pub fn restart(&mut self, index: usize, clock_us: i64, seeds: &[usize]) {
        let old = &self.nodes[index];
        let epoch = old.grid.epoch().saturating_add_signed(clock_us);
        let (offset, slice, udp_closed, side) =
            (old.offset, old.slice.clone(), old.udp_closed, old.side);
        let node = self.build(index, epoch, offset);
        self.nodes[index] = Node {
            slice,
            udp_closed,
            side,
            ..node
        };
        self.start(index, seeds);
    }

    pub fn instant(&self, index: usize) -> Instant {
        Instant(self.now + self.nodes[index].offset)
    }

    pub fn input(&mut self, index: usize, input: GridInput) {
        let now = self.instant(index);
        self.nodes[index].grid.handle(now, input);
        self.pump(index);
    }

    /// Publishes the node's slice after a change.
    pub fn change(&mut self, index: usize, change: impl FnOnce(&mut OwnSlice)) {
        change(&mut self.nodes[index].slice);
        let slice = self.nodes[index].slice.clone();
        self.input(index, GridInput::Publish(Box::new(slice)));
    }

    pub fn key(&self, index: usize) -> NodeKey {
        self.nodes[index].grid.me()
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.next_event += 1;
        self.events.insert(self.next_event, event);
        self.queue.push((Reverse(at), Reverse(self.next_event)));
    }

    /// Carries out what a node wants.
    pub fn pump(&mut self, index: usize) {
        while let Some(output) = self.nodes[index].grid.poll() {
            match output {
                GridOutput::Send {
                    to: Endpoint::Udp(to),
                    bytes,
                } => self.send_udp(index, to, bytes),
                GridOutput::Send {
                    to: Endpoint::Tcp(id),
                    bytes,
                } => self.send_frame(index, id, bytes),
                GridOutput::Dial(to) => self.dial(index, to),
                GridOutput::Close(id) => self.close(id),
                GridOutput::OutsideAddress(address) => self.nodes[index].outside = Some(address),
                GridOutput::Notice(notice) => self.nodes[index].notices.push(notice),
                GridOutput::PictureChanged => {}
            }
        }
        let node = &mut self.nodes[index];
        let at = node
            .grid
            .next_wake()
            .map_or(u64::MAX, |at| at.0 - node.offset)
            .max(self.now + 1);
        if node.wake_at <= self.now || at < node.wake_at {
            node.wake_at = at;
            self.schedule(at, Event::Wake(index));
        }
    }

    fn send_udp(&mut self, from: usize, to: SocketAddr, bytes: Vec<u8>) {
        self.largest = self.largest.max(bytes.len());
        assert!(bytes.len() <= 1_400, "a packet of {} bytes", bytes.len());
        let Some(&to) = self.by_address.get(&to) else {
            return;
        };
        let (a, b) = (&self.nodes[from], &self.nodes[to]);
        let is_cut = self.cut.contains(&(from.min(to), from.max(to)));
        if is_cut || a.udp_closed || b.udp_closed || b.unreachable || a.side != b.side {
            return;
        }
        if self.random.random_bool(self.net.loss) {
            return;
        }
        let copies = 1 + usize::from(self.random.random_bool(self.net.twice));
        for _ in 0..copies {
            let delay = self
                .random
                .random_range(self.net.delay_us.0..=self.net.delay_us.1);
            let from = Endpoint::Udp(self.nodes[from].address);
            self.schedule(
                self.now + delay,
                Event::Deliver {
                    to,
                    from,
                    bytes: bytes.clone(),
                },
            );
        }
    }

    /// In order and without loss, as TCP does.
    fn send_frame(&mut self, from: usize, id: ConnectionId, bytes: Vec<u8>) {
        assert!(bytes.len() <= 1_400);
        let Some((a, b)) = self.connections.get(&id).copied() else {
            return;
        };
        let to = if from == a { b } else { a };
        if self.nodes[from].side != self.nodes[to].side {
            return;
        }
        let delay = self
            .random
            .random_range(self.net.delay_us.0..=self.net.delay_us.1);
        let free = self.next_free_at.entry((id, to)).or_default();
        let at = (self.now + delay).max(*free + 1);
        *free = at;
        self.schedule(
            at,
            Event::Deliver {
                to,
                from: Endpoint::Tcp(id),
                bytes,
            },
        );
    }

    fn dial(&mut self, from: usize, remote: SocketAddr) {
        self.nodes[from].dials += 1;
        let Some(&to) = self.by_address.get(&remote) else {
            return;
        };
        let (a, b) = (&self.nodes[from], &self.nodes[to]);
        if !b.is_alive || b.unreachable || a.side != b.side || from == to {
            return;
        }
        self.next_connection += 1;
        let connection = ConnectionId(self.next_connection);
        self.connections.insert(connection, (from, to));
        let at = self.now + 2 * self.net.delay_us.1;
        self.schedule(
            at,
            Event::Connected {
                node: from,
                connection,
                remote,
                dialled: true,
            },
        );
        let remote = format!("10.9.9.9:{}", 1_024 + self.next_connection % 60_000)
            .parse()
            .unwrap();
        self.schedule(
            at,
            Event::Connected {
                node: to,
                connection,
                remote,
                dialled: false,
            },
        );
    }

    pub fn close(&mut self, id: ConnectionId) {
        if let Some((a, b)) = self.connections.remove(&id) {
            for node in [a, b] {
                self.schedule(
                    self.now + 1_000,
                    Event::Disconnected {
                        node,
                        connection: id,
                    },
                );
            }
        }
    }

    /// One event; `false` where nothing happens before `until`.
    fn step(&mut self, until: u64) -> bool {
        if self.queue.peek().is_none_or(|(at, _)| at.0 > until) {
            self.now = until;
            return false;
        }
        let (Reverse(at), Reverse(number)) = self.queue.pop().unwrap();
        self.now = self.now.max(at);
        let event = self.events.remove(&number).unwrap();
        let (index, input) = match event {
            Event::Wake(index) => {
                if self.nodes[index].is_alive && self.nodes[index].wake_at == at {
                    let now = self.instant(index);
                    self.nodes[index].grid.wake(now);
                    self.pump(index);
                }
                return true;
            }
            Event::Deliver { to, from, bytes } => {
                self.delivered += 1;
                (to, GridInput::Datagram { from, bytes })
            }
            Event::Connected {
                node,
                connection,
                remote,
                dialled,
            } => (
                node,
                GridInput::Connected {
                    connection,
                    remote,
                    dialled,
                },
            ),
            Event::Disconnected { node, connection } => {
                (node, GridInput::Disconnected { connection })
            }
        };
        if self.nodes[index].is_alive {
            self.input(index, input);
        }
        true
    }

    pub fn run(&mut self, span: Duration) {
        let until = self.now + span.as_micros() as u64;
        while self.step(until) {}
    }

    /// All machines are suspended for a while: time passes and nothing runs.
    pub fn sleep(&mut self, span: Duration) {
        self.now += span.as_micros() as u64;
    }

    /// Runs until `is_done`, asked about every `grain`; the time that took, or `None` after `limit`.
    pub fn run_until(
        &mut self,
        limit: Duration,
        grain: Duration,
        mut is_done: impl FnMut(&World) -> bool,
    ) -> Option<Duration> {
        let start = self.now;
        loop {
            if is_done(self) {
                return Some(Duration::from_micros(self.now - start));
            }
            if self.now - start >= limit.as_micros() as u64 {
                return None;
            }
            self.run(grain);
        }
    }

    /// Whether all living nodes of each side hold the same rows.
    pub fn agrees(&self) -> bool {
        let mut digests = BTreeMap::new();
        self.nodes.iter().filter(|node| node.is_alive).all(|node| {
            *digests
                .entry(node.side)
                .or_insert(node.grid.store().digest())
                == node.grid.store().digest()
        })
    }

    /// Whether every living node shows exactly the living nodes and this many in all.
    pub fn all_show(&self, count: usize) -> bool {
        self.nodes
            .iter()
            .filter(|node| node.is_alive)
            .all(|node| node.grid.store().slices().len() == count)
    }

    /// Rows never go backwards, unless their owner was forgotten.
    pub fn check_forward(&mut self) {
        for node in &mut self.nodes {
            let held: BTreeMap<RowKey, RowVersion> = node
                .grid
                .store()
                .rows_between(RowKey::FIRST, RowKey::LAST)
                .map(|(key, row)| (key, row.version()))
                .collect();
            for (key, before) in &node.seen {
                if let Some(version) = held.get(key) {
                    assert!(
                        version >= before,
                        "row {key:?} went from {before:?} back to {version:?}"
                    );
                } else if let Some(epoch) = node.grid.store().epoch(key.owner) {
                    assert!(epoch > before.epoch, "row {key:?} of {before:?} vanished");
                }
            }
            node.seen = held;
        }
    }

    /// Nothing that a node remembers grows with traffic.
    pub fn check_bounds(&self) {
        let count = self.nodes.len();
        for node in &self.nodes {
            let [contacts, seeds, connections, questions] = node.grid.contacts().sizes();
            assert!(
                contacts <= count + 1 && seeds <= count && connections <= 256 && questions <= 1_024
            );
            assert_eq!(node.grid.counters().outputs_dropped, 0);
        }
    }

    /// Sets everybody's links to everybody.
    pub fn link_all(&mut self) {
        let keys: Vec<NodeKey> = (0..self.nodes.len()).map(|index| self.key(index)).collect();
        for index in 0..self.nodes.len() {
            let me = keys[index];
            let links: BTreeMap<Peer, LinkReport> = keys
                .iter()
                .filter(|key| **key != me)
                .map(|key| (Peer::Node(*key), link(*key, &mut self.random)))
                .collect();
            self.change(index, |slice| slice.links = links);
        }
    }

    /// Changes the state of one of a node's links.
    pub fn flip(&mut self, index: usize) {
        let at = Timestamp(self.now as i64);
        self.change(index, |slice| {
            if let Some(link) = slice.links.values_mut().next() {
                link.state = if link.state == LinkState::Up {
                    LinkState::Down
                } else {
                    LinkState::Up
                };
                link.since = at;
            } else {
                slice.host = HostHealth {
                    busy: !slice.host.busy,
                    ..slice.host
                };
            }
        });
    }
}

/// Runs a test for each seed; a failure says which, and how to run that one alone.
pub fn for_seeds(name: &str, seeds: std::ops::Range<u64>, test: impl Fn(u64)) {
    let wanted: Option<u64> = std::env::var("ANDON_SEED")
        .ok()
        .map(|seed| seed.parse().unwrap());
    for seed in seeds {
        if wanted.is_some_and(|wanted| wanted != seed) {
            continue;
        }
        let run = std::panic::AssertUnwindSafe(|| test(seed));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!(
                "seed {seed} failed; replay: ANDON_SEED={seed} cargo test -p andon-grid --test world {name}"
            );
            std::panic::resume_unwind(panic);
        }
    }
}
