//! What one link is: up, partial, degraded, down or unknown, with hysteresis.
//!
//! Silence is judged in attentive time, over several flows; loss and latency against what is
//! usual for this very link ([`Usual`]). Knows nothing of pacing and addresses.
//!
//! Its standing flows come first; those of a burst stand behind them and go with it. They show
//! which flows are dead, and are no measure of loss and latency: figures must not jump
//! because more is asked.

use crate::burst::Symptom;
use crate::chance::Chance;
use crate::flow::{Answer, FlowCore, Kind, Loss};
use crate::histogram::WindowedHistogram;
use crate::history::History;
use crate::large::LargeProbes;
use crate::note::{DeadFlow, Note, Purpose};
use crate::now::{Attentive, Now};
use crate::paths::FlowHealth;
use crate::published::{Figures, Published, rtt_of};
use crate::recovery::{FLOWS_GRACE, Recovery};
use crate::silence::{DOWN_AFTER, Silence};
use crate::stamp::{ReflectorPacket, SenderPacket};
use crate::transport::Carrier;
use crate::usual::{Offset, Usual};
use andon_model::{
    FlowCount, Heard, HostHealth, Instant, LinkReason, LinkReport, LinkState, LossPair, NodeKey,
    Peer, RttUs, Timestamp, Transport,
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
/// And at most, at whatever loss.
const FLOW_RUN_MAX: u32 = 24;
/// The ports of a link that is down are kept for so long: the ways that its flows took are
/// evidence.
const OUTAGE_KEPT: Duration = Duration::from_secs(600);
/// Probes judged before a link's own loss makes us more patient.
const RUN_JUDGED_MIN: u32 = 20;
/// A link that never answered is down after this.
const NEVER_AFTER: Duration = Duration::from_secs(3);
/// Flows of a burst are counted after this: by then each was asked often enough to be known.
const BURST_KNOWN_AFTER: Duration = Duration::from_millis(1_700);
/// Seconds without much loss that end it: what came before is forgiven.
const CALM_SECONDS: u64 = 12;
/// What a scout found out is a reason for a burst for so long.
const FINDING_KEPT: Duration = Duration::from_secs(10);
/// A link is looked at for odd losses when it has been well for so long.
const WELL_FOR: Duration = Duration::from_secs(5);

pub use crate::transport::Ways;

/// State of one link.
#[derive(Debug)]
pub struct LinkCore {
    to: NodeKey,
    via: bool,
    flows: Vec<FlowCore>,
    /// How many of them stand; the others are a burst's.
    standing: usize,
    burst_since: Option<Attentive>,
    burst_counts: bool,
    dead_turn: usize,
    frame: FlowCore,
    carrier: Carrier,
    large: Option<Box<LargeProbes>>,
    chance: Chance,
    /// What a scout found, and when.
    finding: Option<(Instant, u32)>,
    state: LinkState,
    reason: Option<LinkReason>,
    since: Timestamp,
    since_attentive: Attentive,
    silence: Silence,
    recovery: Recovery,
    rtt_smoothed_us: Option<f64>,
    rtt_variation_us: f64,
    history: History,
    rtts: WindowedHistogram<6>,
    usual: Usual,
    degraded: Option<LinkReason>,
    judged_from: Instant,
    /// The second in which loss and latency were judged last.
    judged_second: u64,
    /// Published loss is of probes sent after this: an outage that is over does not count.
    told_from: Instant,
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
            standing: flows.len(),
            burst_since: None,
            burst_counts: false,
            dead_turn: 0,
            flows,
            frame,
            carrier: Carrier::new(now.attentive),
            large: None,
            chance: Chance::default(),
            finding: None,
            state: LinkState::Unknown,
            reason: None,
            since: now.utc,
            since_attentive: now.attentive,
            recovery: Recovery::default(),
            rtt_smoothed_us: None,
            rtt_variation_us: 0.0,
            history: History::default(),
            rtts: WindowedHistogram::new(Duration::from_secs(5)),
            usual: Usual::default(),
            degraded: None,
            judged_from: now.at,
            judged_second: now.at.0 / 1_000_000,
            told_from: Instant(0),
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
        self.carrier.transport()
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
        let note = match transport {
            Transport::Udp => self.note(now.at, flow),
            _ => Note::default(),
        };
        Some(
            self.flow_mut(transport, flow)?
                .send(now, ssid, kind, timeout, note),
        )
    }

    /// What a probe of this flow tells the far end.
    fn note(&mut self, now: Instant, flow: u16) -> Note {
        let byte = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
        Note {
            purpose: Purpose::Probe,
            flow: byte(flow.into()),
            flows: byte(self.flows.len()),
            port: self.flows.get(usize::from(flow)).map_or(0, FlowCore::port),
            dead: self.next_dead(now),
        }
    }

    /// The dead flows in turn, one with each probe.
    fn next_dead(&mut self, now: Instant) -> Option<DeadFlow> {
        let count = self.flows.len();
        for n in 1..=count {
            let at = (self.dead_turn + n) % count;
            let death = self.flows[at].death(now, u8::try_from(at).unwrap_or(u8::MAX));
            if death.is_some() {
                self.dead_turn = at;
                return death;
            }
        }
        None
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
        if transport == Transport::Udp {
            let before = self.transport();
            self.carrier.udp_answered(now.attentive);
            self.carried(now, before);
            if packet.knows_large && self.large.is_none() {
                self.large = Some(Box::new(LargeProbes::new(self.standing, now.at)));
            }
        }
        if transport != self.transport() {
            return Some(answer);
        }
        if answer.lost_before > 0 || self.is_living(transport, flow) {
            self.chance.answered(now.at, answer.lost_before);
        } else {
            // A flow that was dead answers: the others may, too.
            self.flows.iter_mut().for_each(|flow| flow.hurry(now.at));
        }
        self.smooth(f64::from(answer.rtt_us));
        self.recovery.answered(now.attentive);
        self.silence.answered(now.attentive);
        if usize::from(flow) < self.standing {
            self.measure(now, &answer);
        }
        Some(answer)
    }

    /// An answer on a standing flow is a measure of the link.
    fn measure(&mut self, now: Now, answer: &Answer) {
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
    }

    fn is_living(&mut self, transport: Transport, flow: u16) -> bool {
        self.flow_mut(transport, flow)
            .is_some_and(|flow| flow.alive() != Some(false))
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
        self.carrier.udp_lost();
        if self.transport() == Transport::Udp {
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
                self.carrier.udp_lost();
                if self.transport() == Transport::Udp {
                    self.lose(now, index, loss, false);
                }
            }
        }
        for loss in self.frame.expire(now, run) {
            lost += 1;
            if self.transport() == Transport::Tcp {
                self.lose(now, 0, loss, false);
            }
        }
        if let Some(large) = &mut self.large {
            let flows = &self.flows;
            let passes = |flow: u16| {
                let flow = flows.get(usize::from(flow));
                flow.is_some_and(|flow| flow.alive() == Some(true) && flow.lost_run() == 0)
            };
            large.expire(now, run, passes);
        }
        lost
    }

    /// When the first probe in flight is to be judged.
    pub fn deadline(&self) -> Option<Attentive> {
        self.flows
            .iter()
            .chain([&self.frame])
            .filter_map(FlowCore::deadline)
            .chain(self.large.as_ref().and_then(|large| large.deadline()))
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
        let before = (self.state, self.reason, self.transport(), self.flow_count());
        self.choose_transport(now, ways);
        self.burst_counts = self
            .burst_since
            .is_some_and(|since| now.attentive.since(since) >= BURST_KNOWN_AFTER);
        self.history.turn(now.at);
        if std::mem::replace(&mut self.judged_second, now.at.0 / 1_000_000) != now.at.0 / 1_000_000
        {
            self.judge_usual(now, host_busy);
        }
        let (state, reason) = self.decide(now, ways);
        if state != self.state {
            self.enter(now, state);
        }
        self.reason = reason;
        let changed = before != (self.state, self.reason, self.transport(), self.flow_count());
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
            transport: self.transport(),
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
    pub fn flow_health(&self, now: Instant) -> impl Iterator<Item = FlowHealth> {
        let large = self.large.as_deref();
        let clock_offset_us = self.offset.best();
        self.flows.iter().zip(0u16..).map(move |(flow, index)| {
            let large_lost = large.is_some_and(|large| large.is_lost(index));
            FlowHealth {
                large_lost,
                ..flow.health(now, index, clock_offset_us)
            }
        })
    }

    /// Its large probes, once the far end is known to answer such.
    pub fn large_mut(&mut self) -> Option<&mut LargeProbes> {
        self.large.as_deref_mut()
    }

    /// When the next large probe is due.
    pub fn large_at(&self) -> Option<Instant> {
        let udp = self.transport() == Transport::Udp && self.state != LinkState::Down;
        self.large
            .as_ref()
            .filter(|_| udp)
            .map(|large| large.next())
    }

    /// Whether frames are to be tried beside UDP.
    pub fn tries_frames(&self, now: Now) -> bool {
        self.carrier.tries_frames(self.down_for(now))
    }

    /// Flows that it has at present: standing ones, and those of a burst behind them.
    pub fn flows(&self) -> &[FlowCore] {
        &self.flows
    }

    /// Many flows are to be probed for a while: these beside the standing ones.
    pub fn start_burst(&mut self, now: Now, extra: Vec<FlowCore>) {
        self.flows.truncate(self.standing);
        self.flows.extend(extra);
        (self.burst_since, self.burst_counts) = (Some(now.attentive), false);
    }

    /// The burst is over.
    pub fn end_burst(&mut self) {
        self.flows.truncate(self.standing);
        (self.burst_since, self.burst_counts) = (None, false);
    }

    /// A flow leaves from another port from here on.
    pub fn renew_flow(&mut self, flow: u16, port: u16) {
        if let Some(flow) = self.flows.get_mut(usize::from(flow)) {
            flow.renew(port);
        }
        if let Some(large) = &mut self.large {
            large.renewed(flow);
        }
    }

    /// Whether somebody has an interest in the present port of a flow: it is dead, or loses.
    pub fn needs_port(&self, now: Now, flow: u16) -> bool {
        if self.down_for(now).is_some_and(|span| span >= OUTAGE_KEPT) {
            return false;
        }
        self.flows.get(usize::from(flow)).is_some_and(|core| {
            let is_odd = core.alive() != Some(true) || core.lost_run() > 0;
            let loses = self.burst_since.is_some() && core.counts(now.at).lost > 0;
            let large = self.large.as_ref().is_some_and(|large| large.is_lost(flow));
            is_odd || loses || large
        })
    }

    /// A scout found something that weighs so much.
    pub fn found(&mut self, now: Instant, weight: u32) {
        self.finding = Some((now, weight));
    }

    /// What speaks for a burst.
    pub fn symptom(&self, now: Now, host: HostHealth) -> Symptom {
        let reaches = matches!(
            self.state,
            LinkState::Up | LinkState::Partial | LinkState::Degraded
        );
        let out = !reaches || self.transport() != Transport::Udp;
        let dead = self
            .flows
            .iter()
            .filter(|flow| flow.alive() == Some(false))
            .count() as u32;
        let weight = match () {
            () if out => 0,
            () if dead > 0 => 1_000 + dead,
            () if now.attentive.since(self.since_attentive) < WELL_FOR => 0,
            () if host.misses_answers() => 0,
            () if self.degraded == Some(LinkReason::Latency) && host.busy => 0,
            () if self.degraded.is_some() => 500,
            () => self.odd_losses(now.at).max(self.finding(now.at)),
        };
        Symptom {
            weight,
            dead: dead > 0,
            found: self.burst_since.is_some() && (dead > 0 || self.losses_cluster(now.at)),
            out,
        }
    }

    fn finding(&self, now: Instant) -> u32 {
        match self.finding {
            Some((at, weight)) if now.since(at) < FINDING_KEPT => weight,
            _ => 0,
        }
    }

    /// Losses of the last minute beyond what is usual for this link.
    fn odd_losses(&self, now: Instant) -> u32 {
        let losses = self.history.losses(60, self.judged_from.min(now));
        let judged = f64::from(losses.answered + losses.lost);
        let expected = judged * self.usual.loss();
        let odd = f64::from(losses.lost) > expected + 2.0 * expected.sqrt() + 0.5;
        if odd { 10 + losses.lost } else { 0 }
    }

    /// Whether some flows lose while others do not, more than chance would have it: counted in
    /// pairs of losses on one flow.
    fn losses_cluster(&self, now: Instant) -> bool {
        let living = || self.flows.iter().filter(|flow| flow.alive() == Some(true));
        let (mut losses, mut sent, mut pairs) = (0.0, 0.0, 0.0);
        for flow in living() {
            let counts = flow.counts(now);
            let lost = f64::from(counts.lost);
            losses += lost;
            sent += f64::from(counts.sent);
            pairs += lost * (lost - 1.0) / 2.0;
        }
        if losses < 3.0 || sent <= 0.0 {
            return false;
        }
        // Flows are not probed alike often: weighted by what was sent on each.
        let share = |flow: &FlowCore| (f64::from(flow.counts(now).sent) / sent).powi(2);
        let expected = losses * (losses - 1.0) / 2.0 * living().map(share).sum::<f64>();
        pairs > expected + 3.0 * expected.sqrt() + 1.0
    }

    fn down_for(&self, now: Now) -> Option<Duration> {
        (self.state == LinkState::Down).then(|| now.attentive.since(self.since_attentive))
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
            let waited = now.attentive.since(self.carrier.since());
            let more_to_try = ways.frames && self.transport() == Transport::Udp;
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
        let mut standing = self.active().iter().take(self.standing);
        let all = standing.all(|flow| flow.alive() == Some(true));
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
                .iter()
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
        let large_lost = self.transport() == Transport::Udp
            && self.large.as_ref().is_some_and(|large| large.any_lost());
        match self.degraded {
            _ if large_lost => (LinkState::Degraded, Some(LinkReason::Mtu)),
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
            self.told_from = self.judged_from;
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
            && flow < self.standing
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
        let was_lossy = self.degraded == Some(LinkReason::Loss);
        self.degraded = self.usual.second(
            self.history.losses(30, self.judged_from),
            self.history.losses(CALM_SECONDS, self.judged_from),
            p50.filter(|_| samples >= 16 && !out),
            host_busy,
        );
        if was_lossy && self.degraded != Some(LinkReason::Loss) {
            // The losses that it was lossy for must not make it lossy again.
            let calm_from = Instant(now.at.0.saturating_sub(CALM_SECONDS * 1_000_000));
            self.judged_from = self.judged_from.max(calm_from);
            self.told_from = self.told_from.max(calm_from);
        }
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
        // What does not answer has no round trip; the last ones are those of a link that did.
        let is_down = self.state == LinkState::Down;
        let fresh = Figures {
            rtt_us: if is_down {
                RttUs::default()
            } else {
                rtt_of(&self.rtts)
            },
            rtt_baseline_us: self.usual.rtt_us(),
            loss: if is_down {
                LossPair::default()
            } else {
                self.loss_each_way()
            },
            clock_offset_us: self.offset.best(),
        };
        self.published.update(now.at, fresh, at_once);
    }

    /// Loss over 30 s, split as far as later answers told which way was lost.
    fn loss_each_way(&self) -> LossPair {
        let losses = self.history.losses(30, self.told_from);
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
        let before = self.transport();
        let down_for = self.down_for(now);
        let frames_answer = self.frame.alive() == Some(true);
        self.carrier
            .choose(now.attentive, ways, down_for, frames_answer);
        self.carried(now, before);
    }

    /// Something else carries it than before, perhaps.
    fn carried(&mut self, now: Now, before: Transport) {
        if before == self.transport() {
            return;
        }
        self.end_burst();
        if self.transport() == Transport::Udp {
            // While frames carried it they were asked once in eight seconds.
            self.flows.iter_mut().for_each(FlowCore::forget_state);
        }
        self.forgive(now.at + Duration::from_secs(1));
        self.told_from = self.judged_from;
        self.silence.carried_by(self.active().len());
    }

    fn smooth(&mut self, rtt_us: f64) {
        let smoothed = self.rtt_smoothed_us.unwrap_or(rtt_us);
        self.rtt_variation_us += ((rtt_us - smoothed).abs() - self.rtt_variation_us) / 4.0;
        self.rtt_smoothed_us = Some(smoothed + (rtt_us - smoothed) / 8.0);
    }

    /// The flows that the state rests on.
    fn active(&self) -> &[FlowCore] {
        match self.transport() {
            Transport::Tcp => std::slice::from_ref(&self.frame),
            _ if self.burst_counts => &self.flows,
            _ => &self.flows[..self.standing.min(self.flows.len())],
        }
    }

    fn living(&self) -> FlowCount {
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        let living = |flow: &&FlowCore| flow.alive() != Some(false);
        FlowCount {
            ok: count(self.active().iter().filter(living).count()),
            total: count(self.active().len()),
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
        self.chance.run(FLOW_RUN, 1e-5, FLOW_RUN_MAX)
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
