//! Whether large packets pass where small ones do: a router that drops what it should have
//! answered "too big" to is invisible to small probes, and breaks every transfer.
//!
//! A large question gets a small answer, so what is lost was lost on the way there. Only flows
//! whose small probes pass are judged, and only where the far end answers large questions.

use crate::note::{Note, Purpose};
use crate::now::{Attentive, Now};
use crate::stamp::{
    ERROR_ESTIMATE, LARGE_BYTES_MAX, NtpTime, PACKET_BYTES, ReflectorPacket, SEQUENCE_END,
    SenderPacket,
};
use andon_model::Instant;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// Large questions on their way at once, per link.
const FLIGHT_MAX: usize = 64;
/// Distance of the questions that follow a lost one.
const AGAIN: Duration = Duration::from_millis(300);
/// A flow that loses large packets is asked again this often.
const LOST_EVERY: Duration = Duration::from_secs(4);
/// Answers in a row that end it.
const GOOD_RUN: u32 = 2;
/// Where no large question was ever answered, it may be the far end's fault: loss is told
/// after this.
const NEVER_AFTER: Duration = Duration::from_secs(30);
/// Octets of the IP and UDP headers.
const HEADERS_V4: u32 = 28;
const HEADERS_V6: u32 = 48;
/// A path that carries less is not worth asking about.
const BYTES_MIN: u32 = 512;
/// When the host says that a packet is too big for the path, the size found is kept so long.
const SIZE_KEPT: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy)]
struct Asked {
    flow: u16,
    sequence: u32,
    stamp: NtpTime,
    deadline: Attentive,
}

#[derive(Debug, Clone, Copy, Default)]
struct LargeFlow {
    lost_run: u32,
    good_run: u32,
    is_lost: bool,
    again_at: Option<Instant>,
}

/// The large probes of one link.
#[derive(Debug)]
pub struct LargeProbes {
    flows: Vec<LargeFlow>,
    asked: VecDeque<Asked>,
    turn: usize,
    next_at: Instant,
    sequence: u32,
    first_asked: Option<Attentive>,
    ever_answered: bool,
    /// Size as the host told it, and until when that is believed.
    fitting: Option<(u32, Instant)>,
}

impl LargeProbes {
    /// For so many flows; the first is asked at `start`.
    pub fn new(flows: usize, start: Instant) -> Self {
        Self {
            flows: vec![LargeFlow::default(); flows],
            asked: VecDeque::new(),
            turn: 0,
            next_at: start,
            sequence: 0,
            first_asked: None,
            ever_answered: false,
            fitting: None,
        }
    }

    /// When a flow is to be asked next.
    pub fn next(&self) -> Instant {
        self.flows
            .iter()
            .filter_map(|flow| flow.again_at)
            .fold(self.next_at, Instant::min)
    }

    /// The flow to ask at present, if one is due. `every`: distance of a link's questions
    /// while all is well.
    pub fn due(&mut self, now: Instant, every: Duration) -> Option<u16> {
        let again = |flow: &LargeFlow| flow.again_at.is_some_and(|at| at <= now);
        if let Some(flow) = self.flows.iter().position(again) {
            self.flows[flow].again_at = None;
            return u16::try_from(flow).ok();
        }
        if now < self.next_at || self.flows.is_empty() {
            return None;
        }
        self.next_at = now + every;
        self.turn = (self.turn + 1) % self.flows.len();
        u16::try_from(self.turn).ok()
    }

    /// Asks; returns the question and its size. `None` where the path is too narrow for it.
    pub fn ask(
        &mut self,
        now: Now,
        flow: u16,
        to: IpAddr,
        ssid: u16,
        timeout: Duration,
    ) -> Option<(SenderPacket, usize)> {
        let whole = LARGE_BYTES_MAX as u32 + HEADERS_V4;
        let mtu = match self.fitting {
            Some((mtu, until)) if until > now.at => mtu.min(whole),
            _ => whole,
        };
        let headers = if to.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
        let bytes = mtu.saturating_sub(headers);
        if bytes < BYTES_MIN.max(PACKET_BYTES as u32) {
            return None;
        }
        let packet = SenderPacket {
            sequence: self.sequence,
            sent: NtpTime::of(now.utc),
            error: ERROR_ESTIMATE,
            ssid,
            note: Note::of(Purpose::Large),
        };
        self.sequence = (self.sequence + 1) % SEQUENCE_END;
        if self.asked.len() >= FLIGHT_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back(Asked {
            flow,
            sequence: packet.sequence,
            stamp: packet.sent,
            deadline: now.attentive.plus(timeout),
        });
        self.first_asked.get_or_insert(now.attentive);
        Some((packet, bytes as usize))
    }

    /// Takes an answer; `false` if nothing on its way asked for it.
    pub fn answer(&mut self, now: Instant, flow: u16, packet: &ReflectorPacket) -> bool {
        let fits = |asked: &Asked| {
            asked.flow == flow
                && asked.sequence == packet.asked.sequence
                && asked.stamp == packet.asked.sent
        };
        let Some(at) = self.asked.iter().position(fits) else {
            return false;
        };
        self.asked.remove(at);
        self.ever_answered = true;
        let Some(state) = self.flows.get_mut(usize::from(flow)) else {
            return true;
        };
        state.lost_run = 0;
        state.good_run = state.good_run.saturating_add(1);
        state.again_at = None;
        if state.is_lost {
            if state.good_run >= GOOD_RUN {
                state.is_lost = false;
            } else {
                state.again_at = Some(now + AGAIN);
            }
            // What mended one may have mended all.
            self.ask_all_again(now, |flow| flow.is_lost && flow.good_run == 0);
        }
        true
    }

    /// Judges what has waited long enough. `run`: losses in a row that are no chance;
    /// `passes`: whether a flow's small probes pass at present.
    pub fn expire(&mut self, now: Now, run: u32, passes: impl Fn(u16) -> bool) {
        let mut fell = false;
        while let Some(asked) = self
            .asked
            .front()
            .filter(|asked| asked.deadline <= now.attentive)
            .copied()
        {
            self.asked.pop_front();
            let may_tell = self.may_tell(now.attentive);
            let Some(state) = self.flows.get_mut(usize::from(asked.flow)) else {
                continue;
            };
            if !passes(asked.flow) {
                (state.lost_run, state.good_run, state.again_at) = (0, 0, None);
                continue;
            }
            state.good_run = 0;
            state.lost_run = state.lost_run.saturating_add(1);
            if state.lost_run >= run && may_tell && !state.is_lost {
                state.is_lost = true;
                fell = true;
            }
            let pause = if state.lost_run >= run {
                LOST_EVERY
            } else {
                AGAIN
            };
            state.again_at.get_or_insert(now.at + pause);
        }
        if fell {
            self.ask_all_again(now.at, |flow| !flow.is_lost && flow.lost_run == 0);
        }
    }

    /// The host says that packets to the far end may have this size at most: the question was
    /// not sent, or a router told so as it ought to. That is no blackhole. What names no
    /// question on its way is forged or late, and passed over.
    pub fn too_large(&mut self, now: Instant, flow: u16, sequence: u32, mtu: u32) {
        let mine = |asked: &Asked| asked.flow == flow && asked.sequence == sequence;
        if !self.asked.iter().any(mine) {
            return;
        }
        let known = self.fitting.filter(|(_, until)| *until > now);
        let mtu = known.map_or(mtu, |(known, _)| known.min(mtu));
        self.fitting = Some((mtu, now + SIZE_KEPT));
        self.asked.retain(|asked| asked.flow != flow);
        if let Some(state) = self.flows.get_mut(usize::from(flow)) {
            state.lost_run = 0;
            state.again_at = Some(now + AGAIN);
        }
    }

    /// This host could not send a question: neither answered nor lost.
    pub fn unsent(&mut self, flow: u16) {
        self.asked.retain(|asked| asked.flow != flow);
    }

    /// A flow left from another port from here on, or the far end is reached elsewhere.
    pub fn renewed(&mut self, flow: u16) {
        self.asked.retain(|asked| asked.flow != flow);
        if let Some(state) = self.flows.get_mut(usize::from(flow)) {
            *state = LargeFlow::default();
        }
    }

    /// When the first question on its way is to be judged.
    pub fn deadline(&self) -> Option<Attentive> {
        self.asked.iter().map(|asked| asked.deadline).min()
    }

    /// Whether large packets of this flow are lost.
    pub fn is_lost(&self, flow: u16) -> bool {
        self.flows
            .get(usize::from(flow))
            .is_some_and(|flow| flow.is_lost)
    }

    /// Whether large packets of any flow are lost.
    pub fn any_lost(&self) -> bool {
        self.flows.iter().any(|flow| flow.is_lost)
    }

    fn may_tell(&self, now: Attentive) -> bool {
        self.ever_answered
            || self
                .first_asked
                .is_some_and(|first| now.since(first) >= NEVER_AFTER)
    }

    fn ask_all_again(&mut self, now: Instant, which: impl Fn(&LargeFlow) -> bool) {
        let mut at = now;
        for flow in self.flows.iter_mut().filter(|flow| which(flow)) {
            flow.again_at = Some(at);
            at = at + Duration::from_millis(20);
        }
    }
}
