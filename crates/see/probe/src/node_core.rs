//! All of one node's probing as one core: prober, reflector, who is heard, and our own
//! attention. The shell gives it datagrams and time and sends what it says; a test gives it
//! both from a simulated world.

use crate::attention::Attention;
use crate::heard::HeardTable;
use crate::now::Now;
use crate::plan::{LinkDetail, PlannedLink, WireStats};
use crate::prober::{Prober, ProberConfig, Route};
use crate::reflector::Reflector;
use crate::stamp::{PACKET_BYTES, ReflectorPacket, SenderPacket, StampKeys, is_answer};
use andon_model::{
    Heard, HostHealth, Instant, LinkReport, LinkState, NodeKey, Peer, Timestamp, Transport,
};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Reports are told at least this often.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// And at most this often, when states change.
const REPORT_GAP: Duration = Duration::from_millis(20);
/// Silence of those who probe us is judged so often.
const HEARD_EVERY: Duration = Duration::from_millis(100);

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
    changed: bool,
    host: Option<HostHealth>,
    rejected: u64,
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
            prober: Prober::new(config, at),
            reflector: Reflector::default(),
            heard: HeardTable::default(),
            heard_since: std::collections::BTreeMap::new(),
            report_at: at + REPORT_EVERY,
            reported_at: at,
            heard_at: at,
            changed: false,
            host: None,
            rejected: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The time of what follows. To be told once after each wait, before what came in, so
    /// that our own lateness is known when probes are judged.
    pub fn look(&mut self, at: Instant, utc: Timestamp) {
        if let Some(due) = self.next_wake().filter(|due| *due <= at) {
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
                bytes,
            } => {
                if let Some(bytes) = self.reflect(from, local, received, bytes) {
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
                if let Some(bytes) = self.reflect(remote, None, self.now.at, bytes) {
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
            Input::Plan(plan) => self.prober.plan(self.now, plan),
            Input::Members(members) => self.heard.members(members),
            Input::Keys(keys) => self.keys = StampKeys::new(&keys),
        }
    }

    /// Time has passed; all that had come in before [`NodeCore::look`] must have been handled.
    pub fn wake(&mut self) {
        let busy = self.attention.health().busy;
        let now = Now {
            attentive: self.looked.attentive,
            ..self.now
        };
        let attention = &self.attention;
        self.prober
            .wake(now, |deadline| attention.instant_of(deadline), busy);
        while let Some(probe) = self.prober.poll() {
            let bytes = probe.packet.signed(&self.keys);
            self.outputs.push_back(match probe.route {
                Route::Udp { flow, to } => Output::Probe { flow, to, bytes },
                Route::Frame { connection } => Output::Frame { connection, bytes },
            });
        }
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
        [Some(report), Some(self.heard_at), self.prober.next_wake()]
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
        self.prober
            .detail(self.now.at, node, self.heard.heard(node))
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
            reflected: reflector.reflected,
            rejected: self.rejected,
            limited: reflector.limited,
            sessions_evicted: reflector.evicted,
            coverage: self.prober.coverage(),
            ..WireStats::default()
        }
    }

    fn reflect(
        &mut self,
        from: SocketAddr,
        local: Option<IpAddr>,
        received: Instant,
        bytes: &[u8],
    ) -> Option<[u8; PACKET_BYTES]> {
        let Ok(asked) = SenderPacket::verified(bytes, &self.keys) else {
            self.rejected += 1;
            return None;
        };
        let reflection = self
            .reflector
            .reflect(self.now, received, asked, from, local, 255)?;
        if reflection.fresh {
            let (now, continues) = (self.now.attentive, reflection.continues);
            let is_alive = self
                .heard
                .arrived(now, asked.ssid, from.ip(), asked.sent, continues);
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
