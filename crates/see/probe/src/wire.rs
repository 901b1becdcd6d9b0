//! The shell: one thread, one poll loop over the one port, the flows' sockets and the mailbox.
//! It carries out what [`NodeCore`] says, and never waits anywhere but in that poll.

use crate::clock::Clock;
use crate::mailbox::Mailbox;
use crate::node_core::{Input, NodeCore, Output};
use crate::plan::{LinkDetail, PlannedLink, WireStats};
use crate::prober::ProberConfig;
use crate::sockets::{Arrived, DATAGRAM_BYTES_MAX, ProbeSocket};
use andon_model::{HostHealth, Instant, LinkReport, NodeKey};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::{debug, warn};

/// Datagrams with this bit in their first byte are gossip.
const GOSSIP_BIT: u8 = 0x80;
/// Datagrams read from one socket before the others have their turn. All that came before a
/// look is read as long as it is less; it equals a burst of 1,000 nodes.
const READS_MAX: usize = 8_192;
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
    /// End.
    Stop,
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

struct Wire {
    clock: Clock,
    core: NodeCore,
    main: ProbeSocket,
    flows_v4: Vec<ProbeSocket>,
    flows_v6: Vec<ProbeSocket>,
    opened_v6: bool,
    ports: Vec<u16>,
    ip_v6: IpAddr,
    mailbox: Arc<Mailbox>,
    events: Box<dyn FnMut(WireEvent) + Send>,
    buffer: Box<[u8; DATAGRAM_BYTES_MAX]>,
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
            opened_v6: false,
            ports,
            ip_v6,
            mailbox,
            events,
            buffer: Box::new([0; DATAGRAM_BYTES_MAX]),
            gossip_sent: 0,
            gossip_received: 0,
            send_errors: 0,
            commands_dropped: 0,
        })
    }

    fn run(&mut self) {
        loop {
            self.wait();
            let (at, utc) = self.clock.read();
            self.core.look(at, utc);
            if self.take_mail() {
                return;
            }
            self.read_main(at);
            self.read_flows(at);
            self.refresh();
            self.core.wake();
            self.flush();
        }
    }

    fn wait(&self) {
        let (at, _) = self.clock.read();
        let wait = self
            .core
            .next_wake()
            .map_or(WAIT_MAX, |due| due.since(at))
            .min(WAIT_MAX);
        let flows = self
            .flows_v4
            .iter()
            .chain(&self.flows_v6)
            .map(ProbeSocket::fd);
        let mut fds: Vec<PollFd<'_>> = [self.mailbox.fd(), self.main.fd()]
            .into_iter()
            .chain(flows)
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        // An interrupted wait is a short one.
        let _ = ppoll(&mut fds, Some(TimeSpec::from_duration(wait)), None);
    }

    fn refresh(&mut self) -> (Instant, andon_model::Timestamp) {
        let (at, utc) = self.clock.read();
        self.core.refresh(at, utc);
        (at, utc)
    }

    /// Carries out commands; returns whether to end.
    fn take_mail(&mut self) -> bool {
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
        self.flush();
        mail.stop
    }

    fn read_main(&mut self, looked: Instant) {
        for _ in 0..READS_MAX {
            let Some(Arrived {
                from,
                local,
                stamp,
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
                    bytes,
                });
                self.flush();
            }
            if received > looked {
                return; // The next look is for it and what follows.
            }
        }
    }

    fn read_flows(&mut self, looked: Instant) {
        for sockets in [&mut self.flows_v4, &mut self.flows_v6] {
            for (socket, flow) in sockets.iter_mut().zip(0u16..) {
                for _ in 0..READS_MAX {
                    let Some(arrived) = socket.receive(&mut self.buffer[..]) else {
                        break;
                    };
                    let now = self.clock.read();
                    self.core.refresh(now.0, now.1);
                    let received = Clock::instant_of(now, arrived.stamp);
                    let bytes = &self.buffer[..arrived.length];
                    self.core.handle(Input::Answer {
                        flow,
                        from: arrived.from,
                        received,
                        bytes,
                    });
                    if received > looked {
                        break;
                    }
                }
                read_errors(socket, flow, &mut self.core, &mut self.buffer[..]);
            }
        }
    }

    fn flush(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Probe { flow, to, bytes } => self.send_probe(flow, to, &bytes),
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
                        kernel_drops: sockets.map(|socket| u64::from(socket.drops())).sum(),
                        ..stats
                    }));
                }
            }
        }
    }

    fn send_probe(&mut self, flow: u16, to: SocketAddr, bytes: &[u8]) {
        if to.is_ipv6() && !std::mem::replace(&mut self.opened_v6, true) {
            // Ports equal those of IPv4 where they are free; a host without IPv6 has none.
            let opened: io::Result<Vec<ProbeSocket>> = self
                .ports
                .iter()
                .map(|port| ProbeSocket::flow(self.ip_v6, *port))
                .collect();
            match opened {
                Ok(flows) => self.flows_v6 = flows,
                Err(error) => {
                    warn!(%error, "no IPv6 sockets: links to IPv6 addresses stay unknown")
                }
            }
        }
        let sockets = if to.is_ipv6() {
            &mut self.flows_v6
        } else {
            &mut self.flows_v4
        };
        let Some(socket) = sockets.get_mut(usize::from(flow)) else {
            return self.core.handle(Input::Unsent { flow, to, bytes });
        };
        // An earlier probe's refusal can surface at this send; it is taken off, then we retry.
        for _ in 0..16 {
            match socket.send(to, bytes).map_err(|error| error.kind()) {
                Ok(()) => return,
                Err(io::ErrorKind::ConnectionRefused) => {
                    read_errors(socket, flow, &mut self.core, &mut self.buffer[..]);
                }
                Err(io::ErrorKind::WouldBlock) => break,
                // No route, no network, not permitted: the probe is lost, as the link is.
                Err(_) => {
                    self.send_errors += 1;
                    return;
                }
            }
        }
        self.send_errors += 1;
        self.core.handle(Input::Unsent { flow, to, bytes });
    }
}

/// Takes all off the error queue, and tells the core of refusals.
fn read_errors(socket: &mut ProbeSocket, flow: u16, core: &mut NodeCore, buffer: &mut [u8]) {
    for _ in 0..READS_MAX {
        let Some(error) = socket.receive_error(buffer) else {
            return;
        };
        if error.refused {
            core.handle(Input::Refused {
                flow,
                to: error.from,
                bytes: &buffer[..error.length],
            });
        }
    }
}
