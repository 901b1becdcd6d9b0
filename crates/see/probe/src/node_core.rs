//! All of one node's probing as one core: prober, reflector, who is heard, and our own
//! attention. The shell gives it datagrams and time and sends what it says; a test gives it
//! both from a simulated world.

use crate::attention::Attention;
use crate::heard::HeardTable;
use crate::note::Purpose;
use crate::now::Now;
use crate::paths::{LinkHealth, PathBoard};
use crate::plan::{LinkDetail, PlannedLink, WireStats};
use crate::prober::{Prober, ProberConfig, Route, SocketWish};
use crate::reflector::Reflector;
use crate::stamp::{PACKET_BYTES, ReflectorPacket, SenderPacket, StampKeys, is_answer};
use crate::trace::detail::{TraceDetail, TraceState};
use crate::trace::icmp::{ErrorKind, PathError};
use crate::trace::{TraceOutput, Tracer};
use andon_model::{
    Heard, HostHealth, Instant, LinkReport, LinkState, NodeKey, PathReport, Peer, Timestamp,
    Transport,
};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Reports are told at least this often.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// And at most this often, when states change.
const REPORT_GAP: Duration = Duration::from_millis(20);
/// All links are looked at by those who trace them this often; those that lose probes at once.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Silence of those who probe us is judged so often, while we are awake anyway...
const HEARD_EVERY: Duration = Duration::from_millis(100);
/// ...and at least so often.
const HEARD_AT_LEAST_EVERY: Duration = Duration::from_millis(250);

/// Something came in.
#[derive(Debug)]
pub enum Input<'a> {
    /// A STAMP question to our one port.
    Question {
        /// The asker.
        from: SocketAddr,
        /// Our address that was asked.
        local: Option<IpAddr>,
        /// When the kernel took it in.
        received: Instant,
        /// Its time to live as it arrived.
        ttl: Option<u8>,
        /// The datagram.
        bytes: &'a [u8],
    },
    /// A datagram to a flow's socket.
    Answer {
        /// Index of the flow.
        flow: u16,
        /// Who sent it.
        from: SocketAddr,
        /// When the kernel took it in.
        received: Instant,
        /// The datagram.
        bytes: &'a [u8],
    },
    /// STAMP from a frame connection: question or answer.
    Frame {
        /// The connection.
        connection: u64,
        /// Its far end.
        remote: SocketAddr,
        /// The frame.
        bytes: &'a [u8],
    },
    /// The far host refused our probe.
    Refused {
        /// Index of the flow.
        flow: u16,
        /// Where it went.
        to: SocketAddr,
        /// The probe.
        bytes: &'a [u8],
    },
    /// This host could not send our probe.
    Unsent {
        /// Index of the flow.
        flow: u16,
        /// Where it should have gone.
        to: SocketAddr,
        /// The probe.
        bytes: &'a [u8],
    },
    /// The host or a router says that what goes from this flow to there may have so many bytes
    /// at most, headers included.
    TooLarge {
        /// Index of the flow.
        flow: u16,
        /// Where it went.
        to: SocketAddr,
        /// As much of the large probe as is known; its first four bytes tell which it was.
        bytes: &'a [u8],
        /// Bytes.
        mtu: u32,
    },
    /// A flow's socket was opened, or another took its place.
    FlowPort {
        /// Index of the flow.
        flow: u16,
        /// Its local port.
        port: u16,
    },
    /// An error about a packet of ours: what routers and hosts say, or this host.
    Error {
        /// Index of the flow.
        flow: u16,
        /// Where the packet went.
        to: SocketAddr,
        /// When the kernel took the error in.
        received: Instant,
        /// What it says.
        error: PathError,
        /// As much of the packet as it quotes, and its extension.
        quote: &'a [u8],
    },
    /// A trace is requested.
    Trace {
        /// Told again with what it saw.
        ask: u64,
        /// Where to; a node's address if it is one's.
        to: SocketAddr,
        /// The node, if it is one's.
        node: Option<NodeKey>,
        /// Flows to trace, index and source port.
        flows: Vec<(u16, u16)>,
    },
    /// The whole plan.
    Plan(Vec<PlannedLink>),
    /// All members and their addresses.
    Members(Vec<(NodeKey, Vec<IpAddr>)>),
    /// The accepted keys.
    Keys(Vec<[u8; 32]>),
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send a probe from a flow's socket.
    Probe {
        /// Index of the flow.
        flow: u16,
        /// Where to.
        to: SocketAddr,
        /// The datagram.
        bytes: [u8; PACKET_BYTES],
    },
    /// Send a large probe from a flow's socket, in one piece.
    Large {
        /// Index of the flow.
        flow: u16,
        /// Where to.
        to: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// Open or change sockets of flows; [`Input::FlowPort`] tells of each that was.
    Sockets(SocketWish),
    /// Send a trace packet from a flow's socket.
    Trace {
        /// Index of the flow.
        flow: u16,
        /// Where to.
        to: SocketAddr,
        /// With this time to live.
        ttl: u8,
        /// The datagram.
        bytes: [u8; PACKET_BYTES],
    },
    /// A requested trace has ended.
    Traced {
        /// As it was requested.
        ask: u64,
        /// What it saw; `None` if there were too many.
        detail: Option<TraceDetail>,
    },
    /// What flows met on their ways, all links that have something to tell, when it changes.
    Paths(Vec<PathReport>),
    /// Send an answer from our one port.
    Reflection {
        /// Where to.
        to: SocketAddr,
        /// Our address to send from: the one that was asked.
        local: Option<IpAddr>,
        /// The datagram.
        bytes: [u8; PACKET_BYTES],
    },
    /// Send into a frame connection.
    Frame {
        /// The connection.
        connection: u64,
        /// The frame.
        bytes: [u8; PACKET_BYTES],
    },
    /// All links, each time.
    Links(Vec<LinkReport>),
    /// How our host fares, when it changes.
    Host(HostHealth),
    /// Counters, each second.
    Stats(WireStats),
}

/// One node's probing.
#[derive(Debug)]
pub struct NodeCore {
    keys: StampKeys,
    attention: Attention,
    prober: Prober,
    tracer: Tracer,
    paths: PathBoard,
    reflector: Reflector,
    heard: HeardTable,
    /// Since when a node that only probes us is in its present state.
    heard_since: std::collections::BTreeMap<NodeKey, (Heard, Timestamp)>,
    /// When we last looked at what had come in: probes are judged as of then.
    looked: Now,
    now: Now,
    report_at: Instant,
    reported_at: Instant,
    heard_at: Instant,
    watch_at: Instant,
    changed: bool,
    host: Option<HostHealth>,
    rejected: u64,
    errors_foreign: u64,
    outputs: VecDeque<Output>,
}

impl NodeCore {
    /// A node without plan and members.
    pub fn new(config: ProberConfig, keys: &[[u8; 32]], at: Instant, utc: Timestamp) -> Self {
        let attention = Attention::default();
        Self {
            keys: StampKeys::new(keys),
            looked: attention.now(at, utc),
            now: attention.now(at, utc),
            attention,
            tracer: Tracer::new(config.me, config.budget_pps, config.rng_seed, at),
            paths: PathBoard::default(),
            prober: Prober::new(config, at),
            reflector: Reflector::default(),
            heard: HeardTable::default(),
            heard_since: std::collections::BTreeMap::new(),
            report_at: at + REPORT_EVERY,
            reported_at: at,
            heard_at: at,
            watch_at: at,
            changed: false,
            host: None,
            rejected: 0,
            errors_foreign: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The time of what follows. To be told once after each wait, before what came in, so
    /// that our own lateness is known when probes are judged.
    pub fn look(&mut self, at: Instant, utc: Timestamp) {
        // What was due before the last look was due at once, and no earlier.
        let due = self.next_wake().map(|due| due.max(self.now.at));
        if let Some(due) = due.filter(|due| *due <= at) {
            self.attention.woke(at, due);
        }
        self.now = self.attention.now(at, utc);
        self.looked = self.now;
    }

    /// A little later, within the same look: packets carry the time at which they are made.
    pub fn refresh(&mut self, at: Instant, utc: Timestamp) {
        self.now = self.attention.now(at, utc);
    }

    /// Something came in.
    pub fn handle(&mut self, input: Input<'_>) {
        let busy = self.attention.health().busy;
        match input {
            Input::Question {
                from,
                local,
                received,
                ttl,
                bytes,
            } => {
                if let Some(bytes) = self.reflect(from, local, received, ttl, bytes) {
                    self.outputs.push_back(Output::Reflection {
                        to: from,
                        local,
                        bytes,
                    });
                }
            }
            Input::Answer {
                flow,
                from,
                received,
                bytes,
            } => match ReflectorPacket::verified(bytes, &self.keys) {
                Ok(packet) if packet.asked.note.purpose == Purpose::Trace => self
                    .tracer
                    .handle_answer(self.now, received, flow, from, &packet),
                Ok(packet) => self
                    .prober
                    .handle_answer(self.now, received, flow, from, &packet, busy),
                Err(_) => self.rejected += 1,
            },
            Input::Frame {
                connection, bytes, ..
            } if is_answer(bytes) => match ReflectorPacket::verified(bytes, &self.keys) {
                Ok(packet) => self
                    .prober
                    .handle_frame(self.now, connection, &packet, busy),
                Err(_) => self.rejected += 1,
            },
            Input::Frame {
                connection,
                remote,
                bytes,
            } => {
                if let Some(bytes) = self.reflect(remote, None, self.now.at, None, bytes) {
                    self.outputs.push_back(Output::Frame { connection, bytes });
                }
            }
            Input::Refused { flow, to, bytes } => {
                if let Some(asked) = SenderPacket::returned(bytes) {
                    self.prober.handle_refused(self.now, flow, to, &asked, busy);
                }
            }
            Input::Unsent { flow, to, bytes } => {
                if let Some(asked) = SenderPacket::returned(bytes) {
                    self.prober.handle_unsent(flow, to, &asked);
                }
            }
            Input::TooLarge {
                flow,
                to,
                bytes,
                mtu,
            } => {
                if let Some(head) = bytes.first_chunk() {
                    let sequence = u32::from_be_bytes(*head);
                    self.prober
                        .handle_too_large(self.now, flow, to, sequence, mtu);
                }
            }
            Input::FlowPort { flow, port } => self.prober.handle_port(flow, port),
            Input::Error {
                flow,
                to,
                received,
                error,
                quote,
            } => self.handle_error(flow, to, received, &error, quote),
            Input::Trace {
                ask,
                to,
                node,
                flows,
            } => {
                let health = node.and_then(|node| self.prober.health(self.now.at, node));
                self.tracer.ask(self.now, ask, to, &flows, health.as_ref());
            }
            Input::Plan(plan) => {
                self.prober.plan(self.now, plan);
                self.tracer.retain(|node| self.prober.is_planned(node));
            }
            Input::Members(members) => self.heard.members(members),
            Input::Keys(keys) => self.keys = StampKeys::new(&keys),
        }
    }

    /// Time has passed; all that had come in before [`NodeCore::look`] must have been handled.
    pub fn wake(&mut self) {
        let host = self.attention.health();
        let now = Now {
            attentive: self.looked.attentive,
            ..self.now
        };
        let attention = &self.attention;
        self.prober
            .wake(now, |deadline| attention.instant_of(deadline), host);
        while let Some(probe) = self.prober.poll() {
            let is_large = probe.bytes > PACKET_BYTES;
            let sign = || probe.packet.signed(&self.keys);
            self.outputs.push_back(match probe.route {
                Route::Udp { flow, to } if is_large => {
                    let bytes = probe.packet.signed_large(&self.keys, probe.bytes);
                    Output::Large { flow, to, bytes }
                }
                Route::Udp { flow, to } => Output::Probe {
                    flow,
                    to,
                    bytes: sign(),
                },
                Route::Frame { connection } => Output::Frame {
                    connection,
                    bytes: sign(),
                },
            });
        }
        while let Some(wish) = self.prober.poll_wish() {
            self.outputs.push_back(Output::Sockets(wish));
        }
        self.trace(now);
        if now.at >= self.heard_at {
            self.heard_at = now.at + HEARD_EVERY;
            self.heard.wake(now.attentive);
        }
        self.report();
    }

    /// When to wake it at the latest.
    pub fn next_wake(&self) -> Option<Instant> {
        let report = if self.changed {
            self.reported_at + REPORT_GAP
        } else {
            self.report_at
        };
        [
            Some(report),
            Some(self.heard_at + (HEARD_AT_LEAST_EVERY - HEARD_EVERY)),
            self.prober.next_wake(),
            self.tracer.next_wake(),
            Some(self.paths.next_wake()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What to do; until `None`.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// All links as they are published: those probed, then those that only probe us.
    pub fn view(&self) -> Vec<LinkReport> {
        let mut reports = self.prober.view(|node| self.heard.heard(node));
        for (node, heard) in self
            .heard
            .view()
            .filter(|(node, _)| !self.prober.is_planned(*node))
        {
            let since = self
                .heard_since
                .get(&node)
                .map_or(self.now.utc, |(_, since)| *since);
            let report = LinkReport::unknown(Peer::Node(node), Transport::Udp, since);
            reports.push(LinkReport {
                state: LinkState::NotProbed,
                heard,
                ..report
            });
        }
        reports
    }

    /// All of one link; `None` if it is not probed.
    pub fn detail(&self, node: NodeKey) -> Option<LinkDetail> {
        let mut detail = self
            .prober
            .detail(self.now.at, node, self.heard.heard(node))?;
        for flow in &detail.flows {
            let Some(mut traced) = self.tracer.detail(node, flow.port).cloned() else {
                continue;
            };
            traced.state = match flow.alive {
                Some(true) => TraceState::Alive,
                Some(false) => TraceState::Dead,
                None => TraceState::Unknown,
            };
            detail.paths.push(traced);
        }
        Some(detail)
    }

    /// How a link and its flows fare; `None` if it is not probed.
    pub fn health(&self, node: NodeKey) -> Option<LinkHealth> {
        let health = self.prober.health(self.now.at, node)?;
        Some(LinkHealth {
            silent_from: self.silent_from(node),
            arriving_from: self.heard.arriving_from(self.now.attentive, node),
            ..health
        })
    }

    /// Source ports of this node's flows that stopped arriving here while others arrive.
    pub fn silent_from(&self, node: NodeKey) -> Vec<u16> {
        self.heard.silent_from(self.now.attentive, node)
    }

    /// Where a node is probed over UDP.
    pub fn address(&self, node: NodeKey) -> Option<SocketAddr> {
        self.prober.health(self.now.at, node)?.address
    }

    /// Errors that are about nothing of ours in flight: late, or forged.
    pub fn errors_foreign(&self) -> u64 {
        self.errors_foreign
    }

    /// Counters; those of the sockets are the shell's to add.
    pub fn stats(&self) -> WireStats {
        let (prober, reflector) = (self.prober.counts(), self.reflector.counts());
        WireStats {
            links: u32::try_from(self.prober.links()).unwrap_or(u32::MAX),
            probes_sent: prober.sent,
            probes_answered: prober.answered,
            probes_late: prober.late,
            probes_lost: prober.lost,
            probes_refused: prober.refused,
            probes_unsent: prober.unsent,
            confirmations_skipped: prober.confirmations_skipped,
            answers_unmatched: prober.unmatched,
            links_refused: prober.links_refused,
            bursts: prober.bursts,
            reflected: reflector.reflected,
            rejected: self.rejected,
            limited: reflector.limited,
            sessions_evicted: reflector.evicted,
            traces_sent: self.tracer.counts().sent,
            traces_answered: self.tracer.counts().answered,
            traces_refused: self.tracer.counts().refused,
            errors_ambiguous: self.tracer.counts().ambiguous,
            errors_foreign: self.errors_foreign,
            coverage: self.prober.coverage(),
            ..WireStats::default()
        }
    }

    fn handle_error(
        &mut self,
        flow: u16,
        to: SocketAddr,
        received: Instant,
        error: &PathError,
        quote: &[u8],
    ) {
        let tracer = &mut self.tracer;
        if tracer.handle_error(self.now, received, flow, to, error, quote) {
            return;
        }
        let asked = quote.get(..PACKET_BYTES).and_then(SenderPacket::returned);
        match (error.kind, asked) {
            (ErrorKind::PortUnreachable, Some(asked)) => {
                let busy = self.attention.health().busy;
                self.prober.handle_refused(self.now, flow, to, &asked, busy);
            }
            (ErrorKind::TooBig { mtu }, _) => {
                self.handle(Input::TooLarge {
                    flow,
                    to,
                    bytes: quote,
                    mtu,
                });
            }
            _ => self.errors_foreign += 1,
        }
    }

    /// Traces what needs it, and tells what flows met.
    fn trace(&mut self, now: Now) {
        let suspects = self.prober.take_suspects();
        for node in &suspects {
            if let Some(health) = self.prober.health(now.at, *node) {
                self.tracer.watch(now, &health);
            }
        }
        if now.at >= self.watch_at {
            self.watch_at = now.at + WATCH_EVERY;
            let planned: Vec<NodeKey> = self.prober.planned().collect();
            for node in planned {
                if let Some(health) = self.prober.health(now.at, node) {
                    self.tracer.watch(now, &health);
                }
            }
        }
        self.tracer.wake(now);
        while let Some(output) = self.tracer.poll() {
            self.outputs.push_back(match output {
                TraceOutput::Probe(probe) => Output::Trace {
                    flow: probe.flow,
                    to: probe.to,
                    ttl: probe.ttl,
                    bytes: match probe.is_signed {
                        true => probe.packet.signed(&self.keys),
                        false => probe.packet.signed(&StampKeys::new(&[])),
                    },
                },
                TraceOutput::Traced { ask, detail } => Output::Traced { ask, detail },
            });
        }
        self.paths.mark(suspects);
        self.paths.mark(self.tracer.take_changed());
        let silent_changed = self.heard.take_silent_changed();
        for node in &silent_changed {
            // Its flows die and their probes arrive: what dies is our own way to it.
            if !self.heard.arriving_from(now.attentive, *node).is_empty() {
                self.prober.suspect(now, *node);
            }
        }
        self.paths.mark(silent_changed);
        let (prober, heard) = (&self.prober, &self.heard);
        let health = |node| {
            let health = prober.health(now.at, node)?;
            Some(LinkHealth {
                silent_from: heard.silent_from(now.attentive, node),
                arriving_from: heard.arriving_from(now.attentive, node),
                ..health
            })
        };
        if let Some(reports) = self.paths.wake(now, &self.tracer, prober.planned(), health) {
            self.outputs.push_back(Output::Paths(reports));
        }
    }

    fn reflect(
        &mut self,
        from: SocketAddr,
        local: Option<IpAddr>,
        received: Instant,
        ttl: Option<u8>,
        bytes: &[u8],
    ) -> Option<[u8; PACKET_BYTES]> {
        let Ok(asked) = SenderPacket::verified(bytes, &self.keys) else {
            self.rejected += 1;
            return None;
        };
        let reflection = self.reflector.reflect(
            self.now,
            received,
            asked,
            from,
            local,
            ttl.unwrap_or(u8::MAX),
        )?;
        if reflection.fresh {
            let (now, continues) = (self.now.attentive, reflection.continues);
            let is_alive = self.heard.arrived(
                now,
                asked.ssid,
                from.ip(),
                asked.sent,
                &asked.note,
                continues,
            );
            if is_alive && !continues {
                self.reflector.trust(from, local, asked.ssid);
            }
        }
        Some(reflection.packet.signed(&self.keys))
    }

    fn report(&mut self) {
        let now = self.now.at;
        self.changed |= self.prober.take_changed();
        if self.heard.take_changed() {
            self.changed = true;
            let utc = self.now.utc;
            let old = std::mem::take(&mut self.heard_since);
            let since = |(node, heard)| match old.get(&node) {
                Some((before, since)) if *before == heard => (node, (heard, *since)),
                _ => (node, (heard, utc)),
            };
            self.heard_since = self.heard.view().map(since).collect();
        }
        let each_second = now >= self.report_at;
        if each_second {
            self.report_at = now + REPORT_EVERY;
            let host = self.attention.judge(now);
            if self.host != Some(host) {
                self.host = Some(host);
                self.outputs.push_back(Output::Host(host));
            }
            self.outputs.push_back(Output::Stats(self.stats()));
        }
        if each_second || self.changed && now >= self.reported_at + REPORT_GAP {
            self.changed = false;
            self.reported_at = now;
            self.outputs.push_back(Output::Links(self.view()));
        }
    }
}
