//! Single looks at source ports that are no flows: a path that none of a link's few flows takes
//! is met by one of these before long. A scout that is lost is asked again; one that stays
//! silent makes its link worth a burst, and no more than that.

use crate::flow::{FlowCore, Kind};
use crate::note::{Note, Purpose};
use crate::now::Now;
use crate::stamp::{ReflectorPacket, SenderPacket};
use andon_model::{Instant, NodeKey};
use std::collections::VecDeque;
use std::time::Duration;

/// Scouts out at once; beyond it none is sent. Those that are answered are out for a round trip.
const OUT_MAX: usize = 64;
/// Losses in a row that make a port suspicious.
const LOST_RUN: u32 = 4;

#[derive(Debug)]
struct Scout {
    link: NodeKey,
    flow: u16,
    core: FlowCore,
}

/// What a scout found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Nothing comes back from there, while the link's own flows are well.
    Silent(NodeKey),
    /// A probe was lost, and the next ones were not.
    Lossy(NodeKey),
}

/// All scouts of a node.
#[derive(Debug, Default)]
pub struct Scouts {
    out: VecDeque<Scout>,
    findings: Vec<Finding>,
}

impl Scouts {
    /// Sends one out, from the flow socket of this index with this port; `None` where too many
    /// are out, or one to that link from that socket is.
    pub fn send(
        &mut self,
        now: Now,
        link: NodeKey,
        (flow, port): (u16, u16),
        sequence: u32,
        ssid: u16,
        timeout: Duration,
    ) -> Option<SenderPacket> {
        let is_out = |scout: &Scout| scout.link == link && scout.flow == flow;
        if self.out.len() >= OUT_MAX || self.out.iter().any(is_out) {
            return None;
        }
        let mut core = FlowCore::presumed_alive(port, sequence);
        let note = Note::of(Purpose::Scout);
        let packet = core.send(now, ssid, Kind::Regular, timeout, note);
        self.out.push_back(Scout { link, flow, core });
        Some(packet)
    }

    /// Takes an answer of this link to this socket; `false` if no scout asked for it.
    pub fn answer(
        &mut self,
        now: Now,
        received: Instant,
        link: NodeKey,
        flow: u16,
        packet: &ReflectorPacket,
    ) -> bool {
        let mut fits = false;
        let findings = &mut self.findings;
        self.out.retain_mut(|scout| {
            if fits || scout.link != link || scout.flow != flow {
                return true;
            }
            let lost = scout.core.lost_run();
            fits = scout.core.answer(now, received, packet).is_some();
            if fits && lost > 0 {
                findings.push(Finding::Lossy(link));
            }
            !fits
        });
        fits
    }

    /// Judges those that have waited long enough; returns what is to be asked again: the link,
    /// the socket's index, the question.
    pub fn wake(
        &mut self,
        now: Now,
        ssid: u16,
        timeout_of: impl Fn(NodeKey) -> Option<Duration>,
    ) -> Vec<(NodeKey, u16, SenderPacket)> {
        let mut again = Vec::new();
        let findings = &mut self.findings;
        self.out.retain_mut(|scout| {
            // A link that is no longer probed has no scouts.
            let Some(timeout) = timeout_of(scout.link) else {
                return false;
            };
            scout.core.expire(now, LOST_RUN);
            if scout.core.lost_run() >= LOST_RUN {
                findings.push(Finding::Silent(scout.link));
                return false;
            }
            if scout.core.confirm_at().is_some_and(|at| at <= now.at) {
                let note = Note::of(Purpose::Scout);
                let packet = scout.core.send(now, ssid, Kind::Confirm, timeout, note);
                again.push((scout.link, scout.flow, packet));
            }
            // One whose questions this host could not send waits for nothing.
            scout.core.deadline().is_some() || scout.core.confirm_at().is_some()
        });
        again
    }

    /// This host could not send a question.
    pub fn unsent(&mut self, link: NodeKey, flow: u16, asked: &SenderPacket) {
        let mine = |scout: &&mut Scout| scout.link == link && scout.flow == flow;
        for scout in self.out.iter_mut().filter(mine) {
            scout.core.unsent(asked);
        }
    }

    /// Other packets leave from this socket from here on.
    pub fn recall(&mut self, flow: u16) {
        self.out.retain(|scout| scout.flow != flow);
    }

    /// Whether one is out on this flow.
    pub fn is_out(&self, flow: u16) -> bool {
        self.out.iter().any(|scout| scout.flow == flow)
    }

    /// Whether none is out and nothing was found.
    pub fn is_idle(&self) -> bool {
        self.out.is_empty() && self.findings.is_empty()
    }

    /// What was found out since last asked.
    pub fn findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }
}
