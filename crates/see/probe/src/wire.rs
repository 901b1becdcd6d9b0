//! The shell: one thread, one poll loop over the one port, the flows' sockets and the mailbox.
//! It carries out what [`NodeCore`] says, and never waits anywhere but in that poll.
//!
//! Only sockets that have something are read: a quiet node wakes often and reads little.

use crate::clock::Clock;
use crate::mailbox::Mailbox;
use crate::node_core::{Input, NodeCore, Output};
use crate::plan::{LinkDetail, PlannedLink, WireStats};
use crate::prober::{ProberConfig, SocketWish};
use crate::sockets::{Arrived, DATAGRAM_BYTES_MAX, ProbeSocket};
use crate::trace::detail::TraceDetail;
use crate::trace::icmp::ErrorKind;
use andon_model::{HostHealth, Instant, LinkReport, NodeKey, PathReport};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::{debug, warn};

/// Datagrams with this bit in their first byte are gossip.
const GOSSIP_BIT: u8 = 0x80;
/// Datagrams read from one socket before the others have their turn. All that came before a
/// look is read as long as it is less; it equals a burst of 1,000 nodes.
const READS_MAX: usize = 8_192;
/// Errors read from one socket before the others have their turn.
const ERRORS_MAX: usize = 512;
/// Errors a second that are about nothing of ours; a socket that brings more is not listened
/// to for errors until the second is over. Kernels hand over what quotes our port, whoever
/// wrote it, so a flood of forgeries costs as much as one of datagrams.
const ERRORS_FOREIGN_PPS_MAX: u64 = 5_000;
/// Sockets told of at one look; the others come with the next.
const READY_MAX: usize = 160;
/// A flow's earlier socket is read for so long: its last probes are still answered.
const RETIRED_FOR: Duration = Duration::from_secs(3);
/// Earlier sockets kept at once.
const RETIRED_MAX: usize = 64;
/// Time for near nodes to answer what was just asked. What comes meanwhile has the kernel's
/// stamp, so no figure changes.
const REST: Duration = Duration::from_millis(3);
/// Longest wait, in case a timer was forgotten.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Flows: more would not tell more of the paths between two nodes.
const FLOWS_MAX: u16 = 64;

/// What the wire is told once.
pub struct WireConfig {
    /// The one UDP port, bound. If it is bound to one address, flows are bound to it too.
    pub socket: UdpSocket,
    /// Flows of each link, 1 to 64. More find single broken paths among many; each costs its
    /// share of packets.
    pub flows: u16,
    /// Time in which each flow of a link is probed once.
    pub round: Duration,
    /// Probes a second, all links together.
    pub budget_pps: u32,
    /// Keys of the probes: the first signs, all verify.
    pub stamp_keys: Vec<[u8; 32]>,
    /// This node.
    pub me: NodeKey,
    /// Seed of phases and jitter.
    pub rng_seed: [u8; 32],
}

/// What the wire is asked to do.
pub enum WireCommand {
    /// The whole plan: links not in it are no longer probed, those that stay keep their past.
    Plan(Vec<PlannedLink>),
    /// All members and their addresses, to know whose probes arrive.
    Members(Vec<(NodeKey, Vec<IpAddr>)>),
    /// The accepted keys.
    Keys(Vec<[u8; 32]>),
    /// Send a gossip datagram from the one port.
    SendGossip {
        /// Where to.
        to: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// STAMP that came over a frame connection.
    Frame {
        /// The connection, as in [`PlannedLink::connection`].
        connection: u64,
        /// Its far end.
        remote: SocketAddr,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// All about one link. Called on the wire's thread: it must not wait.
    Detail {
        /// The far node.
        to: NodeKey,
        /// Gets `None` if the link is not probed.
        reply: Box<dyn FnOnce(Option<LinkDetail>) + Send>,
    },
    /// Trace the ways to a node or an address, fresh.
    Trace {
        /// Where to.
        to: TraceTo,
        /// Over so many flows, 1 to 64.
        flows: u16,
        /// Gets what was seen, within 15 s; `None` if the node is not probed over UDP or too
        /// many traces run. Called on the wire's thread: it must not wait.
        reply: Box<dyn FnOnce(Option<TraceDetail>) + Send>,
    },
    /// End.
    Stop,
}

/// Where a requested trace leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceTo {
    /// To a node that is probed. Its flows are the very ones that are traced.
    Node(NodeKey),
    /// To any address. It is reached when it says that nobody listens at that port; port
    /// 33434 is where no one does by custom.
    Address(SocketAddr),
}

/// What the wire tells. The callback runs on its thread and must not wait.
#[derive(Debug)]
pub enum WireEvent {
    /// A gossip datagram came (first byte 0x80 and up); unverified.
    Gossip {
        /// Who sent it.
        from: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// All links, complete each time: within 20 ms of a change of state, else each second.
    /// Those with state `not_probed` are nodes that probe us and that we do not.
    Links(Vec<LinkReport>),
    /// What the flows of links met on their ways, complete each time, within 200 ms of a
    /// change; links of which there is nothing to tell are left out.
    Paths(Vec<PathReport>),
    /// Send STAMP into a frame connection.
    SendFrame {
        /// The connection.
        connection: u64,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// How our host fares, when it changes.
    Host(HostHealth),
    /// Counters, each second.
    Stats(WireStats),
}

/// A running wire. Dropping it stops the thread too, without waiting.
pub struct WireHandle {
    sender: WireSender,
    thread: Option<JoinHandle<()>>,
}

/// Sends commands; cheap to clone.
#[derive(Clone)]
pub struct WireSender(Arc<Mailbox>);

impl WireSender {
    /// Puts a command in the mailbox; never waits. Gossip and frames beyond the mailbox's
    /// limit are dropped and counted in [`WireStats::commands_dropped`].
    pub fn send(&self, command: WireCommand) {
        self.0.put(command);
    }
}

impl WireHandle {
    /// As [`WireSender::send`].
    pub fn send(&self, command: WireCommand) {
        self.sender.send(command);
    }

    /// A sender for elsewhere.
    pub fn sender(&self) -> WireSender {
        self.sender.clone()
    }

    /// Ends the thread and waits for it. Nothing is told after it returned.
    pub fn stop(mut self) {
        self.send(WireCommand::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for WireHandle {
    fn drop(&mut self) {
        self.send(WireCommand::Stop);
    }
}

/// Opens the flows' sockets and starts the thread. Fails if a socket cannot be opened or set.
pub fn spawn(
    config: WireConfig,
    events: Box<dyn FnMut(WireEvent) + Send>,
) -> io::Result<WireHandle> {
    let mailbox = Arc::new(Mailbox::new()?);
    let mut wire = Wire::open(config, mailbox.clone(), events)?;
    let builder = std::thread::Builder::new()
        .name("andon-wire".into())
        .stack_size(512 << 10);
    let thread = builder.spawn(move || wire.run())?;
    Ok(WireHandle {
        sender: WireSender(mailbox),
        thread: Some(thread),
    })
}

type TraceReply = Box<dyn FnOnce(Option<TraceDetail>) + Send>;

/// What a poll told of. The numbers are those that [`Epoll`] carries.
const MAILBOX: u64 = 0;
const MAIN: u64 = 1;
const V4: u64 = 1_000;
const V6: u64 = 2_000;
const RETIRED: u64 = 10_000;

/// A flow's earlier socket, which still gets its last answers.
struct Retired {
    number: u64,
    flow: u16,
    until: Instant,
    socket: ProbeSocket,
}

struct Wire {
    clock: Clock,
    core: NodeCore,
    main: ProbeSocket,
    /// By index of the flow.
    flows_v4: Vec<ProbeSocket>,
    flows_v6: Vec<ProbeSocket>,
    retired: VecDeque<Retired>,
    retired_next: u64,
    opened_v6: bool,
    /// Source ports over IPv4; those over IPv6 are the same where they are free.
    ports: Vec<u16>,
    ip_v4: IpAddr,
    ip_v6: IpAddr,
    poll: Epoll,
    ready: Vec<EpollEvent>,
    mailbox: Arc<Mailbox>,
    events: Box<dyn FnMut(WireEvent) + Send>,
    buffer: Box<[u8; DATAGRAM_BYTES_MAX]>,
    asks: BTreeMap<u64, TraceReply>,
    next_ask: u64,
    /// Foreign errors as of the beginning of this second, and since when.
    foreign: (u64, Instant),
    muted: Vec<u64>,
    errors_muted: u64,
    /// Probes were sent since the last wait.
    has_asked: bool,
    gossip_sent: u64,
    gossip_received: u64,
    send_errors: u64,
    commands_dropped: u64,
}

impl Wire {
    fn open(
        config: WireConfig,
        mailbox: Arc<Mailbox>,
        events: Box<dyn FnMut(WireEvent) + Send>,
    ) -> io::Result<Self> {
        let main = ProbeSocket::main(config.socket)?;
        let (mut ip_v4, mut ip_v6) = (
            IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::from(Ipv6Addr::UNSPECIFIED),
        );
        match main.local()?.ip() {
            ip @ IpAddr::V4(_) => ip_v4 = ip,
            ip @ IpAddr::V6(_) => ip_v6 = ip,
        }
        let flows_v4: Vec<ProbeSocket> = (0..config.flows.clamp(1, FLOWS_MAX))
            .map(|_| ProbeSocket::flow(ip_v4, 0))
            .collect::<io::Result<_>>()?;
        let ports: Vec<u16> = flows_v4
            .iter()
            .map(|flow| Ok(flow.local()?.port()))
            .collect::<io::Result<_>>()?;
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        listen(&poll, mailbox.fd(), MAILBOX)?;
        listen(&poll, main.fd(), MAIN)?;
        for (flow, number) in flows_v4.iter().zip(V4..) {
            listen(&poll, flow.fd(), number)?;
        }
        debug!(node = %config.me, flows = ports.len(), "wire opened");
        let clock = Clock::start();
        let (at, utc) = clock.read();
        let prober = ProberConfig {
            me: config.me,
            ports: ports.clone(),
            round: config.round,
            budget_pps: config.budget_pps,
            rng_seed: config.rng_seed,
        };
        Ok(Self {
            clock,
            core: NodeCore::new(prober, &config.stamp_keys, at, utc),
            main,
            flows_v4,
            flows_v6: Vec::new(),
            retired: VecDeque::new(),
            retired_next: RETIRED,
            opened_v6: false,
            ports,
            ip_v4,
            ip_v6,
            poll,
            ready: Vec::with_capacity(READY_MAX),
            mailbox,
            events,
            buffer: Box::new([0; DATAGRAM_BYTES_MAX]),
            asks: BTreeMap::new(),
            next_ask: 0,
            foreign: (0, at),
            muted: Vec::new(),
            errors_muted: 0,
            has_asked: false,
            gossip_sent: 0,
            gossip_received: 0,
            send_errors: 0,
            commands_dropped: 0,
        })
    }

    fn run(&mut self) {
        loop {
            self.rest();
            self.wait();
            let (at, utc) = self.clock.read();
            self.core.look(at, utc);
            // Asked after the look, so that all that came before it is read.
            self.poll();
            if self.take_mail() {
                return;
            }
            self.read(at);
            self.refresh();
            self.core.wake();
            self.flush();
            self.tidy(at);
        }
    }

    /// Answers to what was just sent come one after another: they are waited for together.
    fn rest(&mut self) {
        let (at, _) = self.clock.read();
        let due = self.core.next_wake().map_or(WAIT_MAX, |due| due.since(at));
        if std::mem::take(&mut self.has_asked) && due > REST {
            // An interrupted wait is a short one.
            let _ = ppoll(&mut [], Some(TimeSpec::from_duration(REST)), None);
        }
    }

    fn wait(&self) {
        let (at, _) = self.clock.read();
        let wait = self
            .core
            .next_wake()
            .map_or(WAIT_MAX, |due| due.since(at))
            .min(WAIT_MAX);
        let mut fds = [PollFd::new(self.poll.0.as_fd(), PollFlags::POLLIN)];
        // An interrupted wait is a short one.
        let _ = ppoll(&mut fds, Some(TimeSpec::from_duration(wait)), None);
    }

    fn poll(&mut self) {
        self.ready.resize(READY_MAX, EpollEvent::empty());
        let count = self.poll.wait(&mut self.ready, EpollTimeout::ZERO);
        self.ready.truncate(count.unwrap_or(0));
    }

    fn refresh(&mut self) -> (Instant, andon_model::Timestamp) {
        let (at, utc) = self.clock.read();
        self.core.refresh(at, utc);
        (at, utc)
    }

    /// Carries out commands; returns whether to end.
    fn take_mail(&mut self) -> bool {
        if !self.ready.iter().any(|event| event.data() == MAILBOX) {
            return false;
        }
        let mail = self.mailbox.take();
        self.commands_dropped = mail.dropped;
        if let Some(keys) = mail.keys {
            self.core.handle(Input::Keys(keys));
        }
        if let Some(members) = mail.members {
            self.core.handle(Input::Members(members));
        }
        if let Some(plan) = mail.plan {
            self.core.handle(Input::Plan(plan));
        }
        for (to, bytes) in mail.gossip {
            self.gossip_sent += 1;
            self.send_errors += u64::from(self.main.send(to, &bytes).is_err());
        }
        for (connection, remote, bytes) in mail.frames {
            self.core.handle(Input::Frame {
                connection,
                remote,
                bytes: &bytes,
            });
        }
        for (to, reply) in mail.details {
            reply(self.core.detail(to));
        }
        for (to, flows, reply) in mail.traces {
            self.trace(to, flows, reply);
        }
        self.flush();
        mail.stop
    }

    /// Begins a requested trace, over sockets of the flows' own as far as there are.
    fn trace(&mut self, to: TraceTo, flows: u16, reply: TraceReply) {
        let (to, node) = match to {
            TraceTo::Node(node) => match self.core.address(node) {
                Some(address) => (address, Some(node)),
                None => return reply(None),
            },
            TraceTo::Address(address) => (address, None),
        };
        let flows = flows.clamp(1, FLOWS_MAX);
        self.open_flows(flows);
        if to.is_ipv6() {
            self.open_v6();
        }
        let sockets = if to.is_ipv6() {
            &self.flows_v6
        } else {
            &self.flows_v4
        };
        let ports = (0..flows).zip(sockets).filter_map(|(flow, socket)| {
            let port = socket.local().ok()?.port();
            Some((flow, port))
        });
        let ask = self.next_ask;
        self.next_ask += 1;
        self.asks.insert(ask, reply);
        self.core.handle(Input::Trace {
            ask,
            to,
            node,
            flows: ports.collect(),
        });
    }

    fn read(&mut self, looked: Instant) {
        let ready = std::mem::take(&mut self.ready);
        for event in &ready {
            match event.data() {
                MAILBOX => {}
                MAIN => self.read_main(looked),
                number => self.read_flow(number, looked),
            }
        }
        self.ready = ready;
    }

    fn read_main(&mut self, looked: Instant) {
        for _ in 0..READS_MAX {
            let Some(Arrived {
                from,
                local,
                stamp,
                ttl,
                length,
                ..
            }) = self.main.receive(&mut self.buffer[..])
            else {
                return;
            };
            let now = self.refresh();
            let received = Clock::instant_of(now, stamp);
            let bytes = &self.buffer[..length];
            if bytes.first().is_some_and(|first| first & GOSSIP_BIT != 0) {
                self.gossip_received += 1;
                (self.events)(WireEvent::Gossip {
                    from,
                    bytes: bytes.to_vec(),
                });
            } else {
                self.core.handle(Input::Question {
                    from,
                    local,
                    received,
                    ttl,
                    bytes,
                });
                self.flush();
            }
            if received > looked {
                return; // The next look is for it and what follows.
            }
        }
    }

    fn read_flow(&mut self, number: u64, looked: Instant) {
        let retired = &mut self.retired;
        let found = match number {
            RETIRED.. => retired
                .iter_mut()
                .find(|retired| retired.number == number)
                .map(|retired| (retired.flow, &mut retired.socket)),
            V6.. => at(&mut self.flows_v6, number - V6),
            V4.. => at(&mut self.flows_v4, number - V4),
            _ => None,
        };
        let Some((flow, socket)) = found else {
            return;
        };
        for _ in 0..READS_MAX {
            let Some(arrived) = socket.receive(&mut self.buffer[..]) else {
                break;
            };
            let now = self.clock.read();
            self.core.refresh(now.0, now.1);
            let received = Clock::instant_of(now, arrived.stamp);
            self.core.handle(Input::Answer {
                flow,
                from: arrived.from,
                received,
                bytes: &self.buffer[..arrived.length],
            });
            if received > looked {
                break;
            }
        }
        read_errors(
            socket,
            flow,
            &self.clock,
            &mut self.core,
            &mut self.buffer[..],
        );
        let foreign = self.core.errors_foreign() - self.foreign.0;
        if foreign > ERRORS_FOREIGN_PPS_MAX && socket.hear_errors(false).is_ok() {
            self.muted.push(number);
            self.errors_muted += 1;
        }
    }

    fn flush(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Probe { flow, to, bytes } => {
                    self.has_asked = true;
                    self.send_probe(flow, to, None, &bytes);
                }
                Output::Large { flow, to, bytes } => self.send_probe(flow, to, None, &bytes),
                Output::Trace {
                    flow,
                    to,
                    ttl,
                    bytes,
                } => self.send_probe(flow, to, Some(ttl), &bytes),
                Output::Traced { ask, detail } => {
                    if let Some(reply) = self.asks.remove(&ask) {
                        reply(detail);
                    }
                }
                Output::Paths(reports) => (self.events)(WireEvent::Paths(reports)),
                Output::Sockets(SocketWish::Open(flows)) => self.open_flows(flows),
                Output::Sockets(SocketWish::Renew(flow)) => self.renew_flow(flow),
                Output::Reflection { to, local, bytes } => {
                    self.send_errors += u64::from(self.main.send_from(local, to, &bytes).is_err());
                }
                Output::Frame { connection, bytes } => {
                    (self.events)(WireEvent::SendFrame {
                        connection,
                        bytes: bytes.to_vec(),
                    });
                }
                Output::Links(reports) => (self.events)(WireEvent::Links(reports)),
                Output::Host(health) => (self.events)(WireEvent::Host(health)),
                Output::Stats(stats) => {
                    let sockets = [&self.main]
                        .into_iter()
                        .chain(&self.flows_v4)
                        .chain(&self.flows_v6);
                    (self.events)(WireEvent::Stats(WireStats {
                        gossip_sent: self.gossip_sent,
                        gossip_received: self.gossip_received,
                        send_errors: self.send_errors,
                        commands_dropped: self.commands_dropped,
                        errors_muted: self.errors_muted,
                        kernel_drops: sockets.map(|socket| u64::from(socket.drops())).sum(),
                        ..stats
                    }));
                }
            }
        }
    }

    /// Sends a flow's packet; with a time to live it is a trace's.
    fn send_probe(&mut self, flow: u16, to: SocketAddr, ttl: Option<u8>, bytes: &[u8]) {
        if to.is_ipv6() {
            self.open_v6();
        }
        let sockets = if to.is_ipv6() {
            &mut self.flows_v6
        } else {
            &mut self.flows_v4
        };
        let Some(socket) = sockets.get_mut(usize::from(flow)) else {
            return self.core.handle(Input::Unsent { flow, to, bytes });
        };
        // An error that waits makes a send fail, whatever it is about: it is taken off the
        // queue, then we try again.
        for _ in 0..16 {
            let sent = match ttl {
                Some(ttl) => socket.send_ttl(to, ttl, bytes),
                None => socket.send(to, bytes),
            };
            let Err(error) = sent else {
                return;
            };
            if error.kind() == io::ErrorKind::WouldBlock {
                break;
            }
            let (clock, buffer) = (&self.clock, &mut self.buffer[..]);
            let waited = read_errors(socket, flow, clock, &mut self.core, buffer);
            if error.raw_os_error() == Some(libc::EMSGSIZE) {
                let mtu = waited.local_mtu.unwrap_or(0);
                self.core.handle(Input::TooLarge {
                    flow,
                    to,
                    bytes,
                    mtu,
                });
                break;
            }
            // No route, no network, not permitted: the probe is lost, as the link is.
            if waited.count == 0 {
                self.send_errors += 1;
                return;
            }
        }
        self.send_errors += 1;
        if ttl.is_none() {
            self.core.handle(Input::Unsent { flow, to, bytes });
        }
    }

    /// Opens sockets for all flows below this index, and tells their ports. Where the host has
    /// no more to give, there are fewer.
    fn open_flows(&mut self, flows: u16) {
        for flow in 0..flows.min(FLOWS_MAX) {
            if usize::from(flow) < self.flows_v4.len() {
                continue;
            }
            let opened = ProbeSocket::flow(self.ip_v4, 0).and_then(|socket| {
                listen(&self.poll, socket.fd(), V4 + u64::from(flow))?;
                Ok((socket.local()?.port(), socket))
            });
            match opened {
                Ok((port, socket)) => {
                    self.flows_v4.push(socket);
                    self.ports.push(port);
                    self.core.handle(Input::FlowPort { flow, port });
                }
                Err(error) => {
                    warn!(%error, flows = flow, "no more sockets for flows");
                    break;
                }
            }
        }
        if self.opened_v6 {
            self.fill_v6();
        }
    }

    /// Gives a flow another source port. Its earlier socket is read for a while.
    fn renew_flow(&mut self, flow: u16) {
        let index = usize::from(flow);
        let number = u64::from(flow);
        let renewed = ProbeSocket::flow(self.ip_v4, 0).and_then(|socket| {
            let port = socket.local()?.port();
            listen(&self.poll, socket.fd(), V4 + number)?;
            Ok((port, socket))
        });
        let (Ok((port, socket)), Some(held)) = (renewed, self.flows_v4.get_mut(index)) else {
            return;
        };
        let old = std::mem::replace(held, socket);
        self.retire(flow, old);
        if let Some(held) = self.ports.get_mut(index) {
            *held = port;
        }
        let renewed = ProbeSocket::flow(self.ip_v6, port).and_then(|socket| {
            listen(&self.poll, socket.fd(), V6 + number)?;
            Ok(socket)
        });
        if let (Some(held), Ok(socket)) = (self.flows_v6.get_mut(index), renewed) {
            let old = std::mem::replace(held, socket);
            self.retire(flow, old);
        }
        self.core.handle(Input::FlowPort { flow, port });
    }

    fn retire(&mut self, flow: u16, socket: ProbeSocket) {
        let number = self.retired_next;
        self.retired_next += 1;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
        let is_listened = self.poll.modify(socket.fd(), &mut event.clone()).is_ok();
        if self.retired.len() >= RETIRED_MAX {
            self.retired.pop_front();
        }
        if is_listened {
            self.retired.push_back(Retired {
                number,
                flow,
                until: self.clock.read().0 + RETIRED_FOR,
                socket,
            });
        }
    }

    /// Opens the flows' sockets for IPv6 when first needed; a host without it has none.
    fn open_v6(&mut self) {
        if !std::mem::replace(&mut self.opened_v6, true) {
            self.fill_v6();
        }
    }

    fn fill_v6(&mut self) {
        let missing = self.ports.iter().zip(V6..).skip(self.flows_v6.len());
        let opened: io::Result<Vec<ProbeSocket>> = missing
            .map(|(port, number)| {
                let socket = ProbeSocket::flow(self.ip_v6, *port)?;
                listen(&self.poll, socket.fd(), number)?;
                Ok(socket)
            })
            .collect();
        match opened {
            Ok(flows) => self.flows_v6.extend(flows),
            Err(error) => {
                warn!(%error, "no IPv6 sockets: links to IPv6 addresses stay unknown")
            }
        }
    }

    /// Closes earlier sockets, and listens to errors again.
    fn tidy(&mut self, now: Instant) {
        while self.retired.front().is_some_and(|old| old.until <= now) {
            self.retired.pop_front();
        }
        if now.since(self.foreign.1) < Duration::from_secs(1) {
            return;
        }
        self.foreign = (self.core.errors_foreign(), now);
        for number in std::mem::take(&mut self.muted) {
            let socket = match number {
                V6.. => at(&mut self.flows_v6, number - V6),
                _ => at(&mut self.flows_v4, number.saturating_sub(V4)),
            };
            if let Some((_, socket)) = socket {
                let _ = socket.hear_errors(true);
            }
        }
    }
}

fn listen(poll: &Epoll, fd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
    poll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
    Ok(())
}

fn at(sockets: &mut [ProbeSocket], index: u64) -> Option<(u16, &mut ProbeSocket)> {
    let flow = u16::try_from(index).ok()?;
    Some((flow, sockets.get_mut(usize::from(flow))?))
}

/// What was taken off an error queue.
struct Waited {
    count: usize,
    /// This host itself refused a packet, which may have so many bytes at most.
    local_mtu: Option<u32>,
}

/// Takes what is on the error queue, and tells the core.
fn read_errors(
    socket: &mut ProbeSocket,
    flow: u16,
    clock: &Clock,
    core: &mut NodeCore,
    buffer: &mut [u8],
) -> Waited {
    let mut waited = Waited {
        count: 0,
        local_mtu: None,
    };
    while waited.count < ERRORS_MAX
        && let Some(arrived) = socket.receive_error(buffer)
    {
        waited.count += 1;
        let Some(error) = arrived.error else {
            continue;
        };
        if let (ErrorKind::TooBig { mtu }, None) = (error.kind, error.by) {
            waited.local_mtu = Some(mtu);
        }
        let now = clock.read();
        core.refresh(now.0, now.1);
        core.handle(Input::Error {
            flow,
            to: arrived.from,
            received: Clock::instant_of(now, arrived.stamp),
            error,
            quote: &buffer[..arrived.length],
        });
    }
    waited
}
