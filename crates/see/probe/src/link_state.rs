//! What one link is: up, partial, degraded, down or unknown, with hysteresis.
//!
//! Silence is judged in attentive time, over several flows; loss and latency against what is
//! usual for this very link ([`Usual`]). Knows nothing of pacing and addresses.

use crate::flow::{Answer, FlowCore, Kind, Loss};
use crate::histogram::WindowedHistogram;
use crate::history::History;
use crate::note::Note;
use crate::now::{Attentive, Now};
use crate::paths::FlowHealth;
use crate::published::{Figures, Published, rtt_of};
use crate::recovery::{FLOWS_GRACE, Recovery};
use crate::silence::{DOWN_AFTER, Silence};
use crate::stamp::{ReflectorPacket, SenderPacket};
use crate::usual::{Offset, Usual};
use andon_model::{
    FlowCount, Heard, Instant, LinkReason, LinkReport, LinkState, LossPair, NodeKey, Peer,
    Timestamp, Transport,
};
use std::time::Duration;

/// A link is partial only if some flow answered within this time. A flow takes longer to be
/// found dead (its confirmations are 100 ms apart), so that a link that dies as a whole is not
/// called partial first.
const OTHERS_LIVE_WITHIN: Duration = Duration::from_millis(150);
/// Shortest patience with a probe. Halved, a busy far host would look like loss.
const TIMEOUT_MIN: Duration = Duration::from_millis(400);
/// Longest patience with a probe.
const TIMEOUT_MAX: Duration = Duration::from_millis(1_500);
/// Probes lost in a row that make a link down, at no usual loss.
const DOWN_RUN: u32 = 6;
/// Probes lost in a row that make a flow dead, at no usual loss.
const FLOW_RUN: u32 = 4;
/// Probes judged before a link's own loss makes us more patient.
const RUN_JUDGED_MIN: u32 = 20;
/// A link that never answered is down after this.
const NEVER_AFTER: Duration = Duration::from_secs(3);
/// A link that never answered over UDP is tried over frames after this.
const FRAMES_AFTER: Duration = Duration::from_millis(1_500);
/// Ways to the far node that the plan gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// It has a UDP address.
    pub udp: bool,
    /// A frame connection to it is open.
    pub frames: bool,
}

/// State of one link.
#[derive(Debug)]
pub struct LinkCore {
    to: NodeKey,
    via: bool,
    flows: Vec<FlowCore>,
    frame: FlowCore,
    transport: Transport,
    udp_answered: bool,
    state: LinkState,
    reason: Option<LinkReason>,
    since: Timestamp,
    since_attentive: Attentive,
    transport_since: Attentive,
    silence: Silence,
    recovery: Recovery,
    rtt_smoothed_us: Option<f64>,
    rtt_variation_us: f64,
    history: History,
    rtts: WindowedHistogram<6>,
    usual: Usual,
    degraded: Option<LinkReason>,
    judged_from: Instant,
    offset: Offset,
    published: Published,
}

impl LinkCore {
    /// A link of which nothing is known. `flows` as they will be probed; `frame` stands for
    /// the frame connection.
    pub fn new(now: Now, to: NodeKey, via: bool, flows: Vec<FlowCore>, frame: FlowCore) -> Self {
        Self {
            to,
            via,
            silence: Silence::new(flows.len()),
            flows,
            frame,
            transport: Transport::Udp,
            udp_answered: false,
            state: LinkState::Unknown,
            reason: None,
            since: now.utc,
            since_attentive: now.attentive,
            transport_since: now.attentive,
            recovery: Recovery::default(),
            rtt_smoothed_us: None,
            rtt_variation_us: 0.0,
            history: History::default(),
            rtts: WindowedHistogram::new(Duration::from_secs(5)),
            usual: Usual::default(),
            degraded: None,
            judged_from: now.at,
            offset: Offset::default(),
            published: Published::default(),
        }
    }

    /// The state.
    pub fn state(&self) -> LinkState {
        self.state
    }

    /// What carries the probes that the state rests on.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The flow of an index on a transport.
    pub fn flow_mut(&mut self, transport: Transport, flow: u16) -> Option<&mut FlowCore> {
        match transport {
            Transport::Tcp => Some(&mut self.frame),
            _ => self.flows.get_mut(usize::from(flow)),
        }
    }

    /// Sets whether the address is a configured *via*.
    pub fn set_via(&mut self, via: bool) {
        self.via = via;
    }

    /// How long to wait for an answer.
    pub fn timeout(&self) -> Duration {
        let rtt_us = self.rtt_smoothed_us.unwrap_or(0.0);
        Duration::from_micros((2.0 * rtt_us + 4.0 * self.rtt_variation_us) as u64)
            .clamp(TIMEOUT_MIN, TIMEOUT_MAX)
    }

    /// Asks on a flow.
    pub fn send(
        &mut self,
        now: Now,
        transport: Transport,
        flow: u16,
        kind: Kind,
        ssid: u16,
    ) -> Option<SenderPacket> {
        let timeout = self.timeout();
        Some(
            self.flow_mut(transport, flow)?
                .send(now, ssid, kind, timeout, Note::default()),
        )
    }

    /// Takes an answer; `None` if it fits nothing in flight.
    pub fn answer(
        &mut self,
        now: Now,
        received: Instant,
        transport: Transport,
        flow: u16,
        packet: &ReflectorPacket,
    ) -> Option<Answer> {
        let answer = self
            .flow_mut(transport, flow)?
            .answer(now, received, packet)?;
        if transport == Transport::Udp && !self.udp_answered {
            self.udp_answered = true;
            self.carry(now, Transport::Udp);
        }
        if transport != self.transport {
            return Some(answer);
        }
        self.history.turn(now.at);
        if answer.kind == Kind::Regular
            && let Some(second) = self.history.at(answer.sent)
        {
            second.answered = second.answered.saturating_add(1);
            second.lost = second.lost.saturating_sub(u16::from(answer.late));
        }
        if let Some(second) = self.history.at(answer.sent) {
            let add = |count: &mut u16, more: u32| {
                *count = count.saturating_add(u16::try_from(more).unwrap_or(u16::MAX))
            };
            add(&mut second.lost_forward, answer.lost_forward);
            add(&mut second.lost_return, answer.lost_return);
        }
        self.history.sample(answer.rtt_us);
        self.rtts.add(now.at, answer.rtt_us);
        self.offset.add(now.at, answer.rtt_us, answer.offset_us);
        self.smooth(f64::from(answer.rtt_us));
        self.recovery.answered(now.attentive);
        self.silence.answered(now.attentive);
        Some(answer)
    }

    /// The far host refused a probe.
    pub fn refuse(&mut self, now: Now, flow: u16, asked: &SenderPacket) -> bool {
        let run = self.flow_run();
        let Some(loss) = self
            .flows
            .get_mut(usize::from(flow))
            .and_then(|f| f.refuse(now, asked, run))
        else {
            return false;
        };
        if self.transport == Transport::Udp {
            self.lose(now, usize::from(flow), loss, true);
        }
        true
    }

    /// Judges probes that have waited long enough; returns how many were lost.
    pub fn expire(&mut self, now: Now) -> u64 {
        let run = self.flow_run();
        let mut lost = 0;
        for index in 0..self.flows.len() {
            for loss in self.flows[index].expire(now, run) {
                lost += 1;
                if self.transport == Transport::Udp {
                    self.lose(now, index, loss, false);
                }
            }
        }
        for loss in self.frame.expire(now, run) {
            lost += 1;
            if self.transport == Transport::Tcp {
                self.lose(now, 0, loss, false);
            }
        }
        lost
    }

    /// When the first probe in flight is to be judged.
    pub fn deadline(&self) -> Option<Attentive> {
        self.flows
            .iter()
            .chain([&self.frame])
            .filter_map(FlowCore::deadline)
            .min()
    }

    /// The next confirmation: when, on which transport and flow.
    pub fn confirm(&self) -> Option<(Instant, Transport, u16)> {
        let udp = self
            .flows
            .iter()
            .zip(0u16..)
            .map(|(flow, index)| (flow, Transport::Udp, index));
        udp.chain([(&self.frame, Transport::Tcp, 0)])
            .filter_map(|(flow, transport, index)| Some((flow.confirm_at()?, transport, index)))
            .min_by_key(|(at, _, index)| (*at, *index))
    }

    /// Decides the state; returns whether it, its reason, or the count of live flows changed.
    /// `host_busy`: our latency is not to be trusted.
    pub fn judge(&mut self, now: Now, ways: Ways, host_busy: bool) -> bool {
        let before = (self.state, self.reason, self.transport, self.flow_count());
        self.choose_transport(now, ways);
        if self.history.turn(now.at) {
            self.judge_usual(now, host_busy);
        }
        let (state, reason) = self.decide(now, ways);
        if state != self.state {
            self.enter(now, state);
        }
        self.reason = reason;
        let changed = before != (self.state, self.reason, self.transport, self.flow_count());
        if changed {
            self.publish(now, true);
        }
        changed
    }

    /// The link as it is published.
    pub fn report(&self, heard: Heard) -> LinkReport {
        let figures = self.published.figures();
        LinkReport {
            to: Peer::Node(self.to),
            state: self.state,
            reason: self.reason,
            transport: self.transport,
            flows: self.flow_count(),
            loss: figures.loss,
            rtt_us: figures.rtt_us,
            rtt_baseline_us: figures.rtt_baseline_us,
            clock_offset_us: figures.clock_offset_us,
            heard,
            since: self.since,
            via: self.via,
            detail: None,
        }
    }

    /// How its UDP flows fare, by index: what traces and path reports rest on.
    pub fn flow_health(&self) -> impl Iterator<Item = FlowHealth> {
        self.flows
            .iter()
            .zip(0u16..)
            .map(|(flow, index)| flow.health(index))
    }

    /// Flows, oldest second first, smoothed round trip, clock offset: for the panel.
    pub fn insides(&self) -> (&[FlowCore], &FlowCore, &History, Option<u32>, Option<i64>) {
        (
            &self.flows,
            &self.frame,
            &self.history,
            self.rtt_smoothed_us.map(|us| us as u32),
            self.offset.best(),
        )
    }

    fn decide(&self, now: Now, ways: Ways) -> (LinkState, Option<LinkReason>) {
        if !self.silence.ever_answered() {
            let waited = now.attentive.since(self.transport_since);
            let more_to_try = ways.frames && self.transport == Transport::Udp;
            if waited >= NEVER_AFTER && self.silence.lost_run() >= DOWN_RUN && !more_to_try {
                return (LinkState::Down, Some(self.silence.reason()));
            }
            return (self.state, self.reason);
        }
        if self
            .silence
            .is_too_long(now.attentive, self.run(DOWN_RUN, 1e-6, 24))
        {
            return (LinkState::Down, Some(self.silence.reason()));
        }
        let all = self.active().all(|flow| flow.alive() == Some(true));
        match self.state {
            LinkState::Down if !self.recovery.is_complete(now.attentive, all) => {
                (LinkState::Down, self.reason)
            }
            LinkState::Unknown if !self.recovery.is_settled(now.attentive, all) => {
                (LinkState::Unknown, None)
            }
            state => self.decide_among_the_living(now, state),
        }
    }

    fn decide_among_the_living(
        &self,
        now: Now,
        state: LinkState,
    ) -> (LinkState, Option<LinkReason>) {
        let count = self.living();
        if count.ok < count.total {
            // An odd flow right after the link came is more likely late than dead.
            let fresh =
                state == LinkState::Up && now.attentive.since(self.since_attentive) < FLOWS_GRACE;
            let proven = self
                .active()
                .any(|flow| flow.alive() == Some(false) && flow.lost_run() > 0);
            // One flow is found dead first even where all die: only an answer that came just
            // now proves that others live.
            let well = matches!(state, LinkState::Up | LinkState::Degraded);
            let silence = self.silence.since_answer(now.attentive);
            if well && silence.is_none_or(|silence| silence > OTHERS_LIVE_WITHIN) {
                return (state, self.reason);
            }
            if proven || !fresh {
                return (LinkState::Partial, Some(LinkReason::Loss));
            }
        }
        match self.degraded {
            Some(reason) => (LinkState::Degraded, Some(reason)),
            None => (LinkState::Up, None),
        }
    }

    fn enter(&mut self, now: Now, state: LinkState) {
        if state == LinkState::Down {
            if self.state != LinkState::Unknown {
                self.recovery.flapped(now.attentive);
            }
            self.recovery.broken();
            self.flows.iter_mut().for_each(FlowCore::die);
            self.frame.die();
        }
        if self.is_out() {
            // What was lost in the outage says nothing of the link after it.
            self.forgive(now.at + Duration::from_secs(1));
        }
        self.state = state;
        self.since = now.utc;
        self.since_attentive = now.attentive;
    }

    fn lose(&mut self, now: Now, flow: usize, loss: Loss, refused: bool) {
        self.silence.lost(flow, refused);
        let silent = |silence: Duration| silence >= DOWN_AFTER;
        if self.silence.since_answer(now.attentive).is_some_and(silent) {
            self.recovery.broken();
        }
        self.history.turn(now.at);
        if loss.kind == Kind::Regular
            && let Some(second) = self.history.at(loss.sent)
        {
            second.lost = second.lost.saturating_add(1);
        }
    }

    fn judge_usual(&mut self, now: Now, host_busy: bool) {
        self.rtts.turn(now.at);
        let out = self.is_out();
        if out {
            self.judged_from = now.at;
        }
        let (samples, [p50]) = self.rtts.quantiles(2, [0.5]);
        self.degraded = self.usual.second(
            self.history.losses(30, self.judged_from),
            self.history.losses(12, self.judged_from),
            p50.filter(|_| samples >= 16 && !out),
            host_busy,
        );
        self.publish(now, false);
    }

    /// Whether losses are those of an outage, and no measure of the link.
    fn is_out(&self) -> bool {
        matches!(
            self.state,
            LinkState::Down | LinkState::Partial | LinkState::Unknown
        )
    }

    fn forgive(&mut self, judged_from: Instant) {
        self.judged_from = judged_from;
        self.usual.forgive();
        self.degraded = None;
    }

    fn publish(&mut self, now: Now, at_once: bool) {
        self.rtts.turn(now.at);
        let fresh = Figures {
            rtt_us: rtt_of(&self.rtts),
            rtt_baseline_us: self.usual.rtt_us(),
            loss: self.loss_each_way(),
            clock_offset_us: self.offset.best(),
        };
        self.published.update(now.at, fresh, at_once);
    }

    /// Loss over 30 s, split as far as later answers told which way was lost.
    fn loss_each_way(&self) -> LossPair {
        let losses = self.history.losses(30, Instant(0));
        let Some(share) = losses.share().filter(|_| losses.answered > 0) else {
            return LossPair::default();
        };
        let told = losses.lost_forward + losses.lost_return;
        if told == 0 {
            let none = (losses.lost == 0).then_some(0.0);
            return LossPair {
                forward: none,
                return_: none,
            };
        }
        let part = |count: u32| Some((share * f64::from(count) / f64::from(told)) as f32);
        LossPair {
            forward: part(losses.lost_forward),
            return_: part(losses.lost_return),
        }
    }

    fn choose_transport(&mut self, now: Now, ways: Ways) {
        let never = !self.udp_answered && now.attentive.since(self.transport_since) >= FRAMES_AFTER;
        match self.transport {
            Transport::Tcp if !ways.frames => self.carry(now, Transport::Udp),
            Transport::Udp if ways.frames && (never || !ways.udp) => {
                self.carry(now, Transport::Tcp)
            }
            _ => {}
        }
    }

    fn carry(&mut self, now: Now, transport: Transport) {
        if transport == self.transport {
            return;
        }
        self.transport = transport;
        self.transport_since = now.attentive;
        self.forgive(now.at + Duration::from_secs(1));
        self.silence.carried_by(self.active().count());
    }

    fn smooth(&mut self, rtt_us: f64) {
        let smoothed = self.rtt_smoothed_us.unwrap_or(rtt_us);
        self.rtt_variation_us += ((rtt_us - smoothed).abs() - self.rtt_variation_us) / 4.0;
        self.rtt_smoothed_us = Some(smoothed + (rtt_us - smoothed) / 8.0);
    }

    fn active(&self) -> impl Iterator<Item = &FlowCore> {
        let tcp = self.transport == Transport::Tcp;
        let flows = if tcp {
            std::slice::from_ref(&self.frame)
        } else {
            &self.flows
        };
        flows.iter()
    }

    fn living(&self) -> FlowCount {
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        let ok = self
            .active()
            .filter(|flow| flow.alive() != Some(false))
            .count();
        FlowCount {
            ok: count(ok),
            total: count(self.active().count()),
        }
    }

    fn flow_count(&self) -> FlowCount {
        let known = !matches!(self.state, LinkState::Down | LinkState::Unknown);
        let living = self.living();
        FlowCount {
            ok: if known { living.ok } else { 0 },
            total: living.total,
        }
    }

    fn flow_run(&self) -> u32 {
        self.run(FLOW_RUN, 1e-5, 10)
    }

    /// Losses in a row that chance alone brings less often than `chance`, at this link's loss.
    fn run(&self, run_min: u32, chance: f64, run_max: u32) -> u32 {
        let losses = self.history.losses(30, self.judged_from);
        // The silence in question is no evidence of what is usual.
        let lost = losses.lost.saturating_sub(self.silence.lost_run());
        let judged = losses.answered + lost;
        let loss = f64::from(lost) / f64::from(judged.max(1));
        if judged < RUN_JUDGED_MIN || loss < 0.02 {
            return run_min;
        }
        let run = chance.ln() / loss.min(0.95).ln();
        (run.ceil() as u32).clamp(run_min, run_max)
    }
}
