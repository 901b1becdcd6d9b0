//! Which ways the flows take, traced on the very flows that are probed: same ports, same
//! length, a low time to live. Healthy links are traced rarely, so that each flow's last good
//! way is known; a flow that loses probes is traced at once.
//!
//! Knows no sockets and no clock. What routers say is believed only for packets in flight
//! ([`flight`]), asked for no faster than routers answer ([`pacer`]), and never completed by
//! guess ([`way`]). Read in this order: [`icmp`], [`flight`], [`pacer`], [`run`] (one trace of
//! one flow), [`way`], [`watch`] (when to trace a link), this file, [`detail`].

pub mod detail;
pub mod flight;
pub mod icmp;
pub mod pacer;
pub mod run;
pub mod watch;
pub mod way;

#[cfg(test)]
mod tests;

use crate::note::{Note, Purpose};
use crate::now::Now;
use crate::paths::LinkHealth;
use crate::stamp::{ERROR_ESTIMATE, NtpTime, ReflectorPacket, SEQUENCE_END, SenderPacket, ssid};
use andon_model::{Instant, NodeKey, Timestamp};
use detail::{Matched, TraceDetail, TraceFlow, TraceState};
use flight::{Flight, FlowKey, Flown, Owner, SEQUENCE_BYTES, flow_key};
use icmp::{ErrorKind, PathError};
use pacer::{Likely, Pacer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use run::{Aim, HopAnswer, Next, Run, Says, Start};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use watch::Watch;
use way::WayView;

/// Traces of single flows at once. Each costs some kilobytes; more are begun later.
const RUNS_MAX: usize = 512;
/// Requests for traces at once.
const ASKS_MAX: usize = 8;
/// A requested trace ends after this with what it has.
const ASK_AFTER: Duration = Duration::from_secs(12);
/// Any other trace.
const RUN_AFTER: Duration = Duration::from_secs(40);
/// Wait for an answer while nothing is wrong, and on request.
const PATIENCE: Duration = Duration::from_millis(700);
/// Wait for an answer while a flow fails.
const PATIENCE_FAILING: Duration = Duration::from_millis(250);
/// What came through is told after this, while slow routers still owe answers.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// Those in a hurry look this often whether a router may be asked again.
const AGAIN: Duration = Duration::from_millis(40);
/// No wait is longer.
const PATIENCE_MAX: Duration = Duration::from_millis(1_500);

/// A trace packet to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceProbe {
    /// Index of the flow.
    pub flow: u16,
    /// Where to.
    pub to: SocketAddr,
    /// Its time to live, 1..=32.
    pub ttl: u8,
    /// What.
    pub packet: SenderPacket,
    /// The far end is a node: sign it.
    pub is_signed: bool,
}

/// What the tracer wants.
#[derive(Debug, Clone, PartialEq)]
pub enum TraceOutput {
    /// Send this.
    Probe(TraceProbe),
    /// A requested trace has ended.
    Traced {
        /// As it was requested.
        ask: u64,
        /// What it saw; `None` if there were too many.
        detail: Option<TraceDetail>,
    },
}

/// Counters of the tracer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceCounts {
    /// Packets sent.
    pub sent: u64,
    /// Answers believed.
    pub answered: u64,
    /// Answers to nothing in flight: late, or twice.
    pub foreign: u64,
    /// Errors that quote too little to tell whose they are.
    pub ambiguous: u64,
    /// Traces put off, since too many ran.
    pub refused: u64,
}

/// What a run is for. In order of urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Purse {
    Ask(u64),
    Failing(NodeKey),
    Healthy(NodeKey),
}

impl Purse {
    fn is_urgent(self) -> bool {
        !matches!(self, Purse::Healthy(_))
    }
}

#[derive(Debug)]
struct Active {
    run: Run,
    purse: Purse,
    link: Option<NodeKey>,
    is_signed: bool,
    /// Nothing is to be done before.
    next_at: Instant,
    until: Instant,
    /// What is known is told then, even if some hops are not.
    tell_at: Instant,
    told: bool,
}

#[derive(Debug)]
struct Ask {
    detail: TraceDetail,
    link: Option<NodeKey>,
    left: usize,
}

/// All traces of a node.
#[derive(Debug)]
pub struct Tracer {
    ssid: u16,
    rng: ChaCha8Rng,
    pacer: Pacer,
    flight: Flight,
    /// By urgency, then age.
    runs: BTreeMap<(Purse, u64), Active>,
    by_key: BTreeMap<FlowKey, (Purse, u64)>,
    by_id: BTreeMap<u64, Purse>,
    next_run: u64,
    links: BTreeMap<NodeKey, Watch>,
    likely: Likely,
    asks: BTreeMap<u64, Ask>,
    outputs: VecDeque<TraceOutput>,
    /// Links whose ways were seen anew.
    changed: std::collections::BTreeSet<NodeKey>,
    wake_at: Option<Instant>,
    counts: TraceCounts,
}

impl Tracer {
    /// A tracer beside a prober with this budget.
    pub fn new(me: NodeKey, budget_pps: u32, rng_seed: [u8; 32], now: Instant) -> Self {
        let mut rng = ChaCha8Rng::from_seed(rng_seed);
        rng.set_stream(1);
        Self {
            ssid: ssid(me),
            rng,
            pacer: Pacer::new(budget_pps, now),
            flight: Flight::default(),
            runs: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_id: BTreeMap::new(),
            next_run: 0,
            links: BTreeMap::new(),
            likely: Likely::default(),
            asks: BTreeMap::new(),
            outputs: VecDeque::new(),
            changed: std::collections::BTreeSet::new(),
            wake_at: None,
            counts: TraceCounts::default(),
        }
    }

    /// Links that are no longer probed are forgotten.
    pub fn retain(&mut self, is_planned: impl Fn(NodeKey) -> bool) {
        self.links.retain(|key, _| is_planned(*key));
    }

    /// How a link fares: begins what traces it needs. To be told when a link loses probes or
    /// changes, and each second besides.
    pub fn watch(&mut self, now: Now, health: &LinkHealth) {
        let Some(to) = health.address else {
            self.links.remove(&health.to);
            return;
        };
        if self
            .links
            .get(&health.to)
            .is_some_and(|watch| watch.to() != to)
        {
            self.links.remove(&health.to);
        }
        let jitter = self.rng.random_range(0.0..1.0);
        let watch = self
            .links
            .entry(health.to)
            .or_insert_with(|| Watch::new(to));
        for wish in watch.wishes(now.at, health, jitter) {
            let key = flow_key(wish.flow, to);
            if self.by_key.contains_key(&key) {
                continue;
            }
            let Some(watch) = self.links.get(&health.to) else {
                break;
            };
            let purse = match wish.aim {
                Aim::Search => Purse::Failing(health.to),
                Aim::Whole => Purse::Healthy(health.to),
            };
            let start = watch.start(wish.flow, wish.port, wish.aim, patience(wish.aim, health));
            self.begin(now, purse, Some(health.to), true, start);
        }
        self.wake_at = Some(now.at);
    }

    /// A trace is requested, of these flows (index and source port) to this address. `link`:
    /// how the link fares whose far end it is.
    pub fn ask(
        &mut self,
        now: Now,
        ask: u64,
        to: SocketAddr,
        flows: &[(u16, u16)],
        link: Option<&LinkHealth>,
    ) {
        if self.asks.len() >= ASKS_MAX || flows.is_empty() {
            self.counts.refused += 1;
            let detail = None;
            return self.outputs.push_back(TraceOutput::Traced { ask, detail });
        }
        let node = link.map(|health| health.to);
        self.asks.insert(
            ask,
            Ask {
                detail: TraceDetail {
                    address: to,
                    started_at: now.utc,
                    flows: Vec::new(),
                },
                link: node,
                left: flows.len(),
            },
        );
        for (flow, port) in flows {
            // One trace of a flow at a time, or short quotes could not be told apart.
            if let Some(id) = self.by_key.get(&flow_key(*flow, to)).copied() {
                self.end(now, id);
            }
            let watch = node.and_then(|node| self.links.get(&node));
            let wait = link.map_or(PATIENCE, |health| patience(Aim::Whole, health));
            let start = match watch {
                Some(watch) => Start {
                    is_asked: true,
                    ..watch.start(*flow, *port, Aim::Whole, wait)
                },
                None => Start {
                    flow: *flow,
                    port: *port,
                    to,
                    is_node: false,
                    aim: Aim::Whole,
                    expected: Vec::new(),
                    distance: None,
                    patience: wait,
                    is_serial: false,
                    is_asked: true,
                },
            };
            self.begin(now, Purse::Ask(ask), node, node.is_some(), start);
        }
        self.wake_at = Some(now.at);
    }

    /// The far end answered a trace packet; `received` is when, by the kernel's stamp.
    pub fn handle_answer(
        &mut self,
        now: Now,
        received: Instant,
        flow: u16,
        from: SocketAddr,
        packet: &ReflectorPacket,
    ) {
        let Some(flown) = self.flight.answered(flow_key(flow, from), &packet.asked) else {
            self.counts.foreign += 1;
            return;
        };
        let left = (packet.asked_ttl < u8::MAX).then_some(packet.asked_ttl);
        let answer = HopAnswer {
            by: from.ip().to_canonical(),
            says: Says::End(left),
            rtt_us: micros(received, flown.sent),
            matched: Matched::Quote,
            reply_ttl: None,
            mpls: Vec::new(),
        };
        self.answered(now, &flown, answer);
    }

    /// An error came for a packet that went from a flow's socket to `to`; `quote` is as much
    /// of the packet as it quotes, with its extension. Returns whether it is a trace's.
    pub fn handle_error(
        &mut self,
        now: Now,
        received: Instant,
        flow: u16,
        to: SocketAddr,
        error: &PathError,
        quote: &[u8],
    ) -> bool {
        let Some(by) = error.by else {
            return false;
        };
        let says = match error.kind {
            ErrorKind::TimeExceeded => Says::Hop,
            ErrorKind::PortUnreachable | ErrorKind::Unreachable
                if by.to_canonical() == to.ip().to_canonical() =>
            {
                Says::End(None)
            }
            ErrorKind::PortUnreachable | ErrorKind::Unreachable => Says::Unreachable,
            ErrorKind::TooBig { .. } | ErrorKind::Other => return false,
        };
        let (quoted, extension) = match error.extension_at {
            Some(at) if usize::from(at) <= quote.len() => quote.split_at(usize::from(at)),
            _ => (quote, &[][..]),
        };
        let key = flow_key(flow, to);
        if quoted.len() < SEQUENCE_BYTES && says != Says::Hop {
            // It may be a probe's. That a packet's time ran out can only be a trace's.
            return false;
        }
        match self.flight.quoted(key, quoted) {
            Owner::Known(flown, matched) => {
                let answer = HopAnswer {
                    by: by.to_canonical(),
                    says,
                    rtt_us: micros(received, flown.sent),
                    matched,
                    reply_ttl: error.reply_ttl,
                    mpls: icmp::mpls_labels(extension),
                };
                self.answered(now, &flown, answer);
                true
            }
            Owner::Ambiguous => {
                self.counts.ambiguous += 1;
                if let Some(id) = self.by_key.get(&key).copied()
                    && let Some(active) = self.runs.get_mut(&id)
                    && active.run.go_serial()
                {
                    active.next_at = now.at;
                    self.wake_at = Some(now.at);
                }
                true
            }
            Owner::Foreign => false,
        }
    }

    /// Time has passed. What had arrived before `now` must have been handled.
    pub fn wake(&mut self, now: Now) {
        if self.wake_at.is_none_or(|at| at > now.at) {
            return;
        }
        self.flight.forget(now.at);
        let mut wake_at: Option<Instant> = None;
        let mut over = Vec::new();
        let ids: Vec<(Purse, u64)> = self.runs.keys().copied().collect();
        for id in ids {
            let waits = self.runs.get(&id).map(|active| active.next_at);
            let next = match waits.filter(|at| *at > now.at) {
                Some(at) => Some(at),
                None => self.advance(now, id),
            };
            if let (Some(active), Some(at)) = (self.runs.get_mut(&id), next) {
                active.next_at = at;
            }
            match next {
                Some(at) => wake_at = Some(wake_at.map_or(at, |before| before.min(at))),
                None => over.push(id),
            }
        }
        for id in over {
            self.end(now, id);
        }
        self.wake_at = wake_at;
    }

    /// When to wake it.
    pub fn next_wake(&self) -> Option<Instant> {
        self.wake_at
    }

    /// What to do; until `None`.
    pub fn poll(&mut self) -> Option<TraceOutput> {
        self.outputs.pop_front()
    }

    /// A flow's way to a node, by the flow's source port; `None` if it was never traced.
    pub fn view(&self, now: Instant, to: NodeKey, port: u16, is_alive: bool) -> Option<WayView> {
        self.links.get(&to)?.way(port)?.view(now, is_alive)
    }

    /// Since when a flow loses probes.
    pub fn trouble_since(&self, to: NodeKey, port: u16) -> Option<Instant> {
        self.links.get(&to)?.way(port)?.trouble_since()
    }

    /// Distance of a node, routers and one, if some flow's way is known.
    pub fn distance(&self, to: NodeKey) -> Option<u8> {
        self.links.get(&to)?.distance()
    }

    /// A flow's newest trace, for people.
    pub fn detail(&self, to: NodeKey, port: u16) -> Option<&TraceFlow> {
        self.links.get(&to)?.way(port)?.detail()
    }

    /// Links whose ways were seen anew since last asked.
    pub fn take_changed(&mut self) -> std::collections::BTreeSet<NodeKey> {
        std::mem::take(&mut self.changed)
    }

    /// Counters.
    pub fn counts(&self) -> TraceCounts {
        self.counts
    }

    fn begin(
        &mut self,
        now: Now,
        purse: Purse,
        link: Option<NodeKey>,
        is_signed: bool,
        start: Start,
    ) {
        let is_asked = matches!(purse, Purse::Ask(_));
        // What is wrong must not wait for what is well.
        let runs_max = if purse.is_urgent() {
            2 * RUNS_MAX
        } else {
            RUNS_MAX
        };
        if self.runs.len() >= runs_max && !is_asked {
            self.counts.refused += 1;
            return;
        }
        let id = (purse, self.next_run);
        self.next_run += 1;
        self.by_key.insert(flow_key(start.flow, start.to), id);
        self.by_id.insert(id.1, purse);
        let active = Active {
            run: Run::new(now, start),
            purse,
            link,
            is_signed,
            next_at: now.at,
            until: now.at + if is_asked { ASK_AFTER } else { RUN_AFTER },
            tell_at: now.at + TELL_AFTER,
            told: false,
        };
        self.runs.insert(id, active);
    }

    fn answered(&mut self, now: Now, flown: &Flown, answer: HopAnswer) {
        let Some(purse) = self.by_id.get(&flown.run).copied() else {
            return;
        };
        let Some(active) = self.runs.get_mut(&(purse, flown.run)) else {
            return;
        };
        self.counts.answered += 1;
        if let Some(hop) = self.likely.hop(&active.run, flown.ttl, active.is_signed) {
            match answer.says {
                Says::End(_) if active.is_signed => self.pacer.give_back(now.at, hop),
                _ => self.pacer.answered(now.at, hop, answer.by),
            }
        }
        if answer.says == Says::Hop || !active.is_signed {
            self.likely.answered(&active.run, flown.ttl, answer.by);
        }
        active.run.answered(flown.ttl, answer);
        active.next_at = now.at;
        self.wake_at = Some(now.at);
    }

    /// Lets one run go on; when to come again, or `None` if it is over.
    fn advance(&mut self, now: Now, id: (Purse, u64)) -> Option<Instant> {
        let active = self.runs.get_mut(&id)?;
        let is_search = active.run.start().aim == Aim::Search;
        for ttl in active.run.expire(now) {
            match self.likely.hop(&active.run, ttl, active.is_signed) {
                // Where a flow fails, silence says nothing of how fast a router answers.
                Some(hop) if is_search => self.pacer.give_back(now.at, hop),
                Some(hop) if self.pacer.silent(now.at, hop) => active.run.excuse(ttl),
                _ => {}
            }
        }
        if now.at >= active.until {
            return None;
        }
        let until = active.until;
        let (mut blocked, mut free_at) = (0, until);
        let next = loop {
            let active = self.runs.get_mut(&id)?;
            match active.run.next(now, blocked) {
                Next::Ask(ttl) => {
                    if self.flight.is_full() {
                        break now.at + PATIENCE;
                    }
                    let key = flow_key(active.run.start().flow, active.run.start().to);
                    if active.run.is_serial()
                        && let Some(at) = self.flight.clear_at(key)
                    {
                        break at;
                    }
                    let hop = self.likely.hop(&active.run, ttl, active.is_signed);
                    let is_urgent = active.purse.is_urgent();
                    match self.pacer.take(now.at, hop, is_urgent) {
                        Ok(()) => self.send(now, id, ttl),
                        Err(at) => {
                            blocked |= run::bit(ttl);
                            // Another's silence may set a token free before.
                            let at = if is_urgent {
                                at.min(now.at + AGAIN)
                            } else {
                                at
                            };
                            free_at = free_at.min(at);
                        }
                    }
                }
                Next::At(at) => break at,
                Next::Patience(until) => break now.at + until.since(now.attentive),
                Next::Blocked => break free_at,
                Next::Over => return None,
            }
        };
        self.conclude(now, id);
        let next = next.min(free_at).min(until);
        Some(next.max(now.at + Duration::from_micros(1)))
    }

    fn send(&mut self, now: Now, id: (Purse, u64), ttl: u8) {
        let Some(active) = self.runs.get_mut(&id) else {
            return;
        };
        let mut sequence = self.rng.random_range(0..SEQUENCE_END);
        while self.flight.holds(sequence) {
            sequence = self.rng.random_range(0..SEQUENCE_END);
        }
        let packet = SenderPacket {
            sequence,
            sent: NtpTime::of(now.utc),
            error: ERROR_ESTIMATE,
            ssid: self.ssid,
            note: Note::of(Purpose::Trace),
        };
        let (flow, to) = (active.run.start().flow, active.run.start().to);
        active.run.sent(now, ttl);
        self.flight.launch(Flown {
            run: id.1,
            ttl,
            key: flow_key(flow, to),
            packet,
            sent: now.at,
        });
        self.counts.sent += 1;
        self.outputs.push_back(TraceOutput::Probe(TraceProbe {
            flow,
            to,
            ttl,
            packet,
            is_signed: active.is_signed,
        }));
    }

    /// Tells what a run has seen as soon as that is worth telling.
    fn conclude(&mut self, now: Now, id: (Purse, u64)) {
        let Some(active) = self.runs.get_mut(&id).filter(|active| !active.told) else {
            return;
        };
        let is_conclusive = active.run.is_conclusive();
        if is_conclusive || active.run.reached().is_some() && now.at >= active.tell_at {
            (active.told, active.tell_at) = (is_conclusive, active.until);
            self.tell(now.at, now.utc, id);
        }
    }

    fn tell(&mut self, at: Instant, utc: Timestamp, id: (Purse, u64)) {
        if let Some(active) = self.runs.get(&id)
            && let Some(link) = active.link
            && let Some(watch) = self.links.get_mut(&link)
        {
            watch.take(at, utc, &active.run);
            self.changed.insert(link);
        }
    }

    /// A run is over, or is put aside for a requested one.
    fn end(&mut self, now: Now, id: (Purse, u64)) {
        if let Some(active) = self.runs.get(&id)
            && (active.run.is_conclusive() || active.run.reached().is_some())
        {
            self.tell(now.at, now.utc, id);
        }
        let Some(active) = self.runs.remove(&id) else {
            return;
        };
        self.flight.drop_run(id.1);
        self.by_id.remove(&id.1);
        let key = flow_key(active.run.start().flow, active.run.start().to);
        if self.by_key.get(&key) == Some(&id) {
            self.by_key.remove(&key);
        }
        let Purse::Ask(ask) = active.purse else {
            return;
        };
        let Some(asked) = self.asks.get_mut(&ask) else {
            return;
        };
        let mut flow = active.run.detail();
        flow.state = match (flow.reached, asked.link) {
            (true, _) => TraceState::Alive,
            (false, Some(_)) if active.run.is_conclusive() => TraceState::Dead,
            _ => TraceState::Unknown,
        };
        asked.detail.flows.push(flow);
        asked.left -= 1;
        if asked.left == 0
            && let Some(mut asked) = self.asks.remove(&ask)
        {
            asked.detail.flows.sort_by_key(|flow| flow.port);
            let detail = Some(asked.detail);
            self.outputs.push_back(TraceOutput::Traced { ask, detail });
        }
    }
}

fn patience(aim: Aim, health: &LinkHealth) -> Duration {
    let rtt_us = health.flows.iter().filter_map(|flow| flow.rtt_us_p50).max();
    let rtt = Duration::from_micros(u64::from(rtt_us.unwrap_or(0)) * 2);
    let least = match aim {
        Aim::Whole => PATIENCE,
        Aim::Search => PATIENCE_FAILING,
    };
    (rtt + Duration::from_millis(100)).clamp(least, PATIENCE_MAX)
}

fn micros(received: Instant, sent: Instant) -> u32 {
    u32::try_from(received.since(sent).as_micros())
        .unwrap_or(u32::MAX)
        .max(1)
}
