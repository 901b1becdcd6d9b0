//! One flow of a link: what is in flight, what became of it, and whether the flow is alive.
//! Knows nothing of other flows; the link decides what a dead flow means.

use crate::minute::{Counts, Minute};
use crate::note::{DeadFlow, Note};
use crate::now::{Attentive, Now};
use crate::paths::FlowHealth;
use crate::plan::FlowDetail;
use crate::stamp::{ERROR_ESTIMATE, NtpTime, ReflectorPacket, SEQUENCE_END, SenderPacket};
use andon_model::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Probes of one flow remembered: five seconds of confirmations. Later answers are unmatched.
const FLIGHT_MAX: usize = 64;
/// How long a lost probe is remembered, so that a late answer takes the loss back.
const LATE_MAX: Duration = Duration::from_secs(5);
/// Distance of confirmations.
const CONFIRM_EVERY: Duration = Duration::from_millis(100);
/// Good answers in a row that revive a dead flow.
const REVIVE_RUN: u32 = 3;

/// Why a probe was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its turn in the round.
    Regular,
    /// The probe before it surprised us.
    Confirm,
    /// One of a burst: it is no measure of the link's usual loss.
    Burst,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Lost,
    Answered,
    Unsent,
}

#[derive(Debug, Clone, Copy)]
struct InFlight {
    sent: Instant,
    stamp: NtpTime,
    deadline: Attentive,
    kind: Kind,
    fate: Fate,
    /// Which of the flow's ports it left from, by count.
    port_count: u8,
}

/// A probe that was not answered in time, or was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// When it was sent.
    pub sent: Instant,
    /// Why it was sent.
    pub kind: Kind,
}

/// Share of the newest answer in the smoothed clock offset of a flow.
const OFFSET_WEIGHT: f64 = 0.25;

/// A probe that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// When it was asked.
    pub sent: Instant,
    /// Why it was asked.
    pub kind: Kind,
    /// It had been counted as lost.
    pub late: bool,
    /// Round-trip time without the reflector's own delay, microseconds.
    pub rtt_us: u32,
    /// The far clock minus ours, microseconds.
    pub offset_us: i64,
    /// Losses on the way there that this answer told, since the last answer.
    pub lost_forward: u32,
    /// Losses on the way back that this answer told.
    pub lost_return: u32,
    /// Probes lost in a row before it, on a flow that was alive; 0 on one that was not.
    pub lost_before: u32,
}

/// State of one flow.
#[derive(Debug)]
pub struct FlowCore {
    port: u16,
    /// Ports that it has had, to tell the answers of an earlier one.
    port_count: u8,
    next_sequence: u32,
    flight: VecDeque<InFlight>,
    alive: Option<bool>,
    lost_run: u32,
    /// When the first probe of that run was sent.
    lost_since: Option<Instant>,
    good_run: u32,
    confirm_at: Option<Instant>,
    confirms_left: u32,
    /// Last answer's sequence numbers: ours, and the reflector's.
    reflected: Option<(u32, u32)>,
    sent: u64,
    answered: u64,
    lost_forward: u64,
    lost_return: u64,
    rtt_us_last: Option<u32>,
    /// The far clock minus ours by this flow's answers, smoothed, microseconds.
    offset_us: Option<f64>,
    answered_at: Option<Instant>,
    /// When the newest probe that was answered was sent.
    answered_sent: Instant,
    minute: Minute,
}

impl FlowCore {
    /// A flow from this local port; its sequence starts at `sequence`.
    pub fn new(port: u16, sequence: u32) -> Self {
        Self {
            port,
            port_count: 0,
            next_sequence: sequence % SEQUENCE_END,
            flight: VecDeque::new(),
            alive: None,
            lost_run: 0,
            lost_since: None,
            good_run: 0,
            confirm_at: None,
            confirms_left: 0,
            reflected: None,
            sent: 0,
            answered: 0,
            lost_forward: 0,
            lost_return: 0,
            rtt_us_last: None,
            offset_us: None,
            answered_at: None,
            answered_sent: Instant(0),
            minute: Minute::default(),
        }
    }

    /// A flow whose losses are a surprise from the first on.
    pub fn presumed_alive(port: u16, sequence: u32) -> Self {
        Self {
            alive: Some(true),
            ..Self::new(port, sequence)
        }
    }

    /// Its source port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leaves from another port from here on. Answers to what left from the old one still
    /// count; the evidence of the old one does not.
    pub fn renew(&mut self, port: u16) {
        self.port = port;
        self.port_count = self.port_count.wrapping_add(1);
        self.reflected = None;
        self.minute.clear();
    }

    /// Nobody knows whether it answers: it has hardly been asked of late.
    pub fn forget_state(&mut self) {
        self.alive = self.alive.filter(|alive| *alive && self.lost_run == 0);
        (self.lost_run, self.lost_since) = (0, None);
        self.skip_confirm();
    }

    /// Whether it answers; `None` until known.
    pub fn alive(&self) -> Option<bool> {
        self.alive
    }

    /// Probes lost in a row.
    pub fn lost_run(&self) -> u32 {
        self.lost_run
    }

    /// Probes answered in a row.
    pub fn good_run(&self) -> u32 {
        self.good_run
    }

    /// Asks.
    pub fn send(
        &mut self,
        now: Now,
        ssid: u16,
        kind: Kind,
        timeout: Duration,
        note: Note,
    ) -> SenderPacket {
        let packet = SenderPacket {
            sequence: self.next_sequence,
            sent: NtpTime::of(now.utc),
            error: ERROR_ESTIMATE,
            ssid,
            note,
        };
        self.next_sequence = (self.next_sequence + 1) % SEQUENCE_END;
        while self.flight.len() >= FLIGHT_MAX
            || self.flight.front().is_some_and(|old| is_over(old, now))
        {
            self.flight.pop_front();
        }
        self.flight.push_back(InFlight {
            sent: now.at,
            stamp: packet.sent,
            deadline: now.attentive.plus(timeout),
            kind,
            fate: Fate::Waiting,
            port_count: self.port_count,
        });
        self.sent += 1;
        if kind == Kind::Confirm {
            self.confirms_left = self.confirms_left.saturating_sub(1);
            self.confirm_at = (self.confirms_left > 0).then(|| now.at + CONFIRM_EVERY);
        }
        packet
    }

    /// Takes an answer; `None` if nothing in flight asked for it, or it was answered before.
    pub fn answer(
        &mut self,
        now: Now,
        received: Instant,
        packet: &ReflectorPacket,
    ) -> Option<Answer> {
        let entry = self.find(&packet.asked)?;
        let late = match entry.fate {
            Fate::Waiting => false,
            Fate::Lost => true,
            Fate::Answered | Fate::Unsent => return None,
        };
        entry.fate = Fate::Answered;
        let InFlight {
            sent,
            stamp,
            kind,
            port_count,
            ..
        } = *entry;
        let total_us = i64::try_from(received.since(sent).as_micros()).unwrap_or(i64::MAX);
        let far_us = packet.sent.micros_since(packet.received).clamp(0, total_us);
        let rtt_us = u32::try_from(total_us - far_us).unwrap_or(u32::MAX).max(1);
        let back_us = packet.sent.micros_since(NtpTime::of(now.utc_of(received)));
        let offset_us = packet.received.micros_since(stamp).saturating_add(back_us) / 2;
        // Each port is a session of its own at the reflector.
        let (lost_forward, lost_return) = if port_count == self.port_count {
            self.attribute(packet.asked.sequence, packet.sequence)
        } else {
            (0, 0)
        };
        self.answered += 1;
        if self.alive != Some(true) {
            self.minute.clear();
        } else if port_count == self.port_count {
            if late {
                self.minute.late(now.at);
            }
            let told = (lost_forward, lost_return);
            self.minute.answered(now.at, rtt_us, told);
        }
        let lost_before = if self.alive == Some(true) {
            self.lost_run
        } else {
            0
        };
        (self.lost_run, self.lost_since) = (0, None);
        self.good_run = self.good_run.saturating_add(1);
        self.rtt_us_last = Some(rtt_us);
        let smoothed_us = self.offset_us.unwrap_or(offset_us as f64);
        self.offset_us = Some(smoothed_us + (offset_us as f64 - smoothed_us) * OFFSET_WEIGHT);
        self.answered_at = Some(received);
        self.answered_sent = self.answered_sent.max(sent);
        match self.alive {
            None => self.alive = Some(true),
            Some(false) if self.good_run >= REVIVE_RUN => self.alive = Some(true),
            Some(false) => {
                (self.confirm_at, self.confirms_left) = (Some(now.at + CONFIRM_EVERY), 1)
            }
            Some(true) => self.skip_confirm(),
        }
        Some(Answer {
            sent,
            kind,
            late,
            rtt_us,
            offset_us,
            lost_forward,
            lost_return,
            lost_before,
        })
    }

    /// Judges what has waited long enough. `run_to_die`: losses in a row that make it dead;
    /// until then losses are followed by as many confirmations.
    pub fn expire(&mut self, now: Now, run_to_die: u32) -> Vec<Loss> {
        let mut losses = Vec::new();
        for entry in &mut self.flight {
            if entry.fate == Fate::Waiting && entry.deadline <= now.attentive {
                entry.fate = Fate::Lost;
                losses.push(Loss {
                    sent: entry.sent,
                    kind: entry.kind,
                });
            }
        }
        for loss in &losses {
            self.lose(now, *loss, run_to_die);
        }
        losses
    }

    /// The far host refused this probe; `None` if it is not in flight.
    pub fn refuse(&mut self, now: Now, asked: &SenderPacket, run_to_die: u32) -> Option<Loss> {
        let entry = self
            .find(asked)
            .filter(|entry| entry.fate == Fate::Waiting)?;
        entry.fate = Fate::Lost;
        let loss = Loss {
            sent: entry.sent,
            kind: entry.kind,
        };
        self.lose(now, loss, run_to_die);
        Some(loss)
    }

    /// This host could not send it: neither answered nor lost.
    pub fn unsent(&mut self, asked: &SenderPacket) {
        if let Some(entry) = self.find(asked).filter(|entry| entry.fate == Fate::Waiting) {
            entry.fate = Fate::Unsent;
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// The link went down, and its flows with it: each must answer anew.
    pub fn die(&mut self) {
        self.alive = Some(false);
        self.good_run = 0;
        self.skip_confirm();
    }

    /// When the next confirmation is due.
    pub fn confirm_at(&self) -> Option<Instant> {
        self.confirm_at
    }

    /// No confirmation: the budget is used up.
    pub fn skip_confirm(&mut self) {
        self.confirm_at = None;
        self.confirms_left = 0;
    }

    /// When the first probe in flight is to be judged.
    pub fn deadline(&self) -> Option<Attentive> {
        self.flight
            .iter()
            .filter(|entry| entry.fate == Fate::Waiting)
            .map(|entry| entry.deadline)
            .min()
    }

    /// How it fares, for traces and path reports; `flow` is its index in the link,
    /// `clock_offset_us` the far clock minus ours as the link knows it.
    pub fn health(&self, now: Instant, flow: u16, clock_offset_us: Option<i64>) -> FlowHealth {
        let counts = self.minute.counts(now);
        let rtt_us_p50 = self.minute.rtt_us_p50(now);
        // What one way takes more than the other shows as a shift of the far clock.
        let forward_us = || {
            let lean_us = self.offset_us? - clock_offset_us? as f64;
            Some((f64::from(rtt_us_p50?) / 2.0 + lean_us).max(0.0) as u32)
        };
        FlowHealth {
            flow,
            port: self.port,
            alive: self.alive,
            lost_run: self.lost_run,
            sent: counts.sent,
            lost_forward: counts.lost_forward,
            lost_return: counts.lost_return,
            rtt_us_p50,
            forward_us: forward_us(),
            large_lost: false,
        }
    }

    /// What became of its probes within the last minute.
    pub fn counts(&self, now: Instant) -> Counts {
        self.minute.counts(now)
    }

    /// What the far end is told of it, if it is dead.
    pub fn death(&self, now: Instant, flow: u8) -> Option<DeadFlow> {
        let since = self.lost_since.filter(|_| self.alive == Some(false))?;
        let silent_ms = now.since(since).as_millis();
        Some(DeadFlow {
            flow,
            port: self.port,
            silent_ms: u16::try_from(silent_ms).unwrap_or(u16::MAX),
        })
    }

    /// Asks a dead flow at once: others of its link came back.
    pub fn hurry(&mut self, now: Instant) {
        if self.alive == Some(false) && self.confirm_at.is_none() {
            (self.confirm_at, self.confirms_left) = (Some(now), 1);
        }
    }

    /// For the panel.
    pub fn detail(&self, now: Instant) -> FlowDetail {
        FlowDetail {
            port: self.port,
            sent: self.sent,
            answered: self.answered,
            lost_forward: self.lost_forward,
            lost_return: self.lost_return,
            rtt_us_last: self.rtt_us_last,
            answer_age_ms: self
                .answered_at
                .map(|at| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX)),
            alive: self.alive,
        }
    }

    fn lose(&mut self, now: Now, loss: Loss, run_to_die: u32) {
        if self.alive == Some(false) && loss.sent < self.answered_sent {
            return; // Lost before it came back: it has answered since.
        }
        self.good_run = 0;
        self.lost_run = self.lost_run.saturating_add(1);
        self.lost_since.get_or_insert(loss.sent);
        self.minute.lost(now.at);
        if self.lost_run >= run_to_die {
            self.alive = Some(false);
        }
        if self.alive != Some(true) {
            return self.skip_confirm();
        }
        if self.confirm_at.is_none() {
            // As many as would make it dead together with those already on their way.
            let waiting = self
                .flight
                .iter()
                .filter(|entry| entry.fate == Fate::Waiting)
                .count();
            let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
            self.confirms_left = run_to_die
                .saturating_sub(self.lost_run)
                .saturating_sub(waiting);
            self.confirm_at = (self.confirms_left > 0).then_some(now.at);
        }
    }

    fn find(&mut self, asked: &SenderPacket) -> Option<&mut InFlight> {
        let behind =
            (self.next_sequence + SEQUENCE_END).wrapping_sub(asked.sequence) % SEQUENCE_END;
        let index = self
            .flight
            .len()
            .checked_sub(usize::try_from(behind).ok()?)?;
        self.flight
            .get_mut(index)
            .filter(|entry| entry.stamp == asked.sent)
    }

    /// Losses each way between two answers of one session: of the questions in between, the
    /// reflector counted those that arrived. Source: RFC 8762 §4.3 (stateful reflector).
    fn attribute(&mut self, asked: u32, reflected: u32) -> (u32, u32) {
        let Some((asked_before, reflected_before)) = self.reflected.replace((asked, reflected))
        else {
            return (0, 0);
        };
        let steps = (asked + SEQUENCE_END).wrapping_sub(asked_before) % SEQUENCE_END;
        if steps > SEQUENCE_END / 2 {
            // Overtaken on the way: it had been taken for lost on the way back.
            self.reflected = Some((asked_before, reflected_before));
            self.lost_return = self.lost_return.saturating_sub(1);
            return (0, 0);
        }
        let arrived = reflected.wrapping_sub(reflected_before);
        if arrived == 0 || arrived > steps {
            return (0, 0); // the reflector started anew
        }
        let (forward, back) = (steps - arrived, arrived - 1);
        self.lost_forward += u64::from(forward);
        self.lost_return += u64::from(back);
        (forward, back)
    }
}

fn is_over(entry: &InFlight, now: Now) -> bool {
    entry.fate != Fate::Waiting && now.at.since(entry.sent) > LATE_MAX
}
