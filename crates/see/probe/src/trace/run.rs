//! One trace of one flow: which distance to ask at next, and when it has seen enough.
//! Knows no pacing and no matching; who asks for it decides what it means.

use super::detail::{HopKind, Matched, TraceFlow, TraceHop};
use super::icmp::MplsLabel;
use crate::now::{Attentive, Now};
use andon_model::Instant;
use andon_model::path::PATH_HOPS_MAX;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Farthest distance asked at.
pub const TTL_MAX: u8 = PATH_HOPS_MAX as u8;
/// Packets for one silent hop. Fewer, and a lost answer looks like a silent router.
const TRIES: u8 = 3;
/// Packets for one hop whose silence is excused.
const EXCUSED_SENT_MAX: u32 = 8;
/// Answers wanted of each hop on request: a second tells balancing by packet.
const LOOKS_ASKED: u8 = 2;
/// Answers wanted of a hop that is not the expected one: a change, or balancing by packet?
const LOOKS_OTHER: u8 = 4;
/// Distances asked at together while the far end's is unknown.
const WINDOW: u8 = 4;
/// Silent hops in a row that end a trace of unknown distance.
const GAP_MAX: u8 = 5;
/// The same, where the far end is known to answer behind them.
const GAP_REACHABLE_MAX: u8 = 16;
/// Answers of one address at several distances that make a loop.
const LOOP_MIN: usize = 3;
/// Distance of packets while searching from the far end: an answer saves the nearer ones.
const SEARCH_EVERY: Duration = Duration::from_millis(15);
/// Addresses kept of one hop.
const ADDRESSES_MAX: usize = 8;
/// Round trips kept of one hop.
const RTTS_MAX: usize = 8;

/// What a trace is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// All hops of the way.
    Whole,
    /// How far the flow comes: from the far end back to the first hop that answers.
    Search,
}

/// What one answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopAnswer {
    /// Who says it.
    pub by: IpAddr,
    /// What it means for the trace.
    pub says: Says,
    /// Round trip, microseconds.
    pub rtt_us: u32,
    /// How it was matched.
    pub matched: Matched,
    /// Time to live with which it arrived here.
    pub reply_ttl: Option<u8>,
    /// Labels it quotes.
    pub mpls: Vec<MplsLabel>,
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// A router on the way.
    Hop,
    /// The far end; with the time to live that the packet had left there, if it tells.
    End(Option<u8>),
    /// The way ends here.
    Unreachable,
}

/// What a run wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A packet with this time to live.
    Ask(u8),
    /// To be asked again then.
    At(Instant),
    /// To wait for answers until then at most.
    Patience(Attentive),
    /// To be asked again when what is blocked may be asked.
    Blocked,
    /// Nothing more.
    Over,
}

#[derive(Debug, Clone, Default)]
struct Hop {
    tries: u8,
    waiting: Option<Attentive>,
    wanted: u8,
    sent: u32,
    answered: u32,
    addresses: BTreeSet<IpAddr>,
    says: Option<Says>,
    rtts_us: Vec<u32>,
    matched: Option<Matched>,
    reply_ttl: Option<u8>,
    mpls: Vec<MplsLabel>,
}

impl Hop {
    fn is_settled(&self, tries_max: u8) -> bool {
        self.answered > 0 || self.waiting.is_none() && self.tries >= tries_max
    }

    fn take(&mut self, answer: HopAnswer) {
        self.waiting = None;
        self.answered += 1;
        if self.addresses.len() < ADDRESSES_MAX {
            self.addresses.insert(answer.by);
        }
        if self.rtts_us.len() < RTTS_MAX {
            self.rtts_us.push(answer.rtt_us);
        }
        self.says = Some(answer.says);
        self.matched = self
            .matched
            .min(Some(answer.matched))
            .or(Some(answer.matched));
        self.reply_ttl = answer.reply_ttl;
        if !answer.mpls.is_empty() {
            self.mpls = answer.mpls;
        }
    }

    fn detail(&self, ttl: u8) -> TraceHop {
        let mut rtts_us = self.rtts_us.clone();
        rtts_us.sort_unstable();
        TraceHop {
            ttl,
            addresses: self.addresses.iter().copied().collect(),
            kind: match (self.says, self.addresses.len()) {
                (Some(Says::Unreachable), _) => HopKind::Unreachable,
                (_, 0) => HopKind::Silent,
                (_, 1) => HopKind::Answered,
                _ => HopKind::Several,
            },
            rtt_us: rtts_us.get(rtts_us.len() / 2).copied(),
            sent: self.sent,
            answered: self.answered,
            mpls: self.mpls.clone(),
            matched: self.matched,
            nat: false,
        }
    }
}

/// What a run begins with.
#[derive(Debug, Clone)]
pub struct Start {
    /// Index of the flow.
    pub flow: u16,
    /// Its source port.
    pub port: u16,
    /// Where to.
    pub to: SocketAddr,
    /// The far end is a node: it tells its distance, and answers as often as it is asked.
    pub is_node: bool,
    /// What for.
    pub aim: Aim,
    /// The way that the flow took last; empty if none is known.
    pub expected: Vec<Option<IpAddr>>,
    /// Distance of the far end, if it is known.
    pub distance: Option<u8>,
    /// How long to wait for an answer before asking again.
    pub patience: Duration,
    /// Routers on this flow quote too little: one packet at a time.
    pub is_serial: bool,
    /// Somebody asked for it, and wants to see more of each hop.
    pub is_asked: bool,
}

/// One trace of one flow.
#[derive(Debug)]
pub struct Run {
    start: Start,
    /// By distance, the first is 1.
    hops: Vec<Hop>,
    scout: Hop,
    is_scouting: bool,
    is_reachable: bool,
    is_serial: bool,
    far_first: bool,
    reached: Option<u8>,
    not_before: Instant,
}

impl Run {
    /// Begins.
    pub fn new(now: Now, start: Start) -> Self {
        let ceiling = start.distance.unwrap_or(WINDOW).clamp(1, TTL_MAX);
        Self {
            is_scouting: start.distance.is_none() && start.is_node,
            far_first: start.distance.is_some(),
            is_serial: start.is_serial,
            hops: vec![Hop::default(); usize::from(ceiling)],
            scout: Hop::default(),
            is_reachable: false,
            reached: None,
            not_before: now.at,
            start,
        }
    }

    /// What it began with.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// Whether only one packet may fly at a time.
    pub fn is_serial(&self) -> bool {
        self.is_serial
    }

    /// Distance at which the far end was reached.
    pub fn reached(&self) -> Option<u8> {
        self.reached
    }

    /// Who is expected to answer at a distance.
    pub fn expected(&self, ttl: u8) -> Option<IpAddr> {
        let expected = &self.start.expected;
        expected.get(usize::from(ttl).checked_sub(1)?).copied()?
    }

    /// Whether this distance is thought to be the far end's.
    pub fn is_end(&self, ttl: u8) -> bool {
        let end = self.reached.or(self.start.distance);
        end.is_some_and(|end| ttl >= end)
    }

    /// What to do next. `blocked`: distances that must wait, since whoever answers there was
    /// asked enough; bit 0 is the first.
    pub fn next(&mut self, now: Now, blocked: u32) -> Next {
        if self.is_scouting {
            match self.scout(now).filter(|_| blocked & bit(TTL_MAX) == 0) {
                Some(next) => return next,
                None if blocked & bit(TTL_MAX) != 0 => return Next::Blocked,
                None => self.is_scouting = false,
            }
        }
        if let Some(patience) = self.patience().filter(|_| self.is_serial) {
            return Next::Patience(patience);
        }
        loop {
            if let Some(ttl) = self.wanted(blocked) {
                return if self.not_before > now.at {
                    Next::At(self.not_before)
                } else {
                    Next::Ask(ttl)
                };
            }
            if let Some(patience) = self.patience() {
                return Next::Patience(patience);
            }
            if blocked != 0 {
                return Next::Blocked;
            }
            if self.may_scout() {
                self.is_scouting = true;
                return self.next(now, blocked);
            }
            if !self.extend() {
                return Next::Over;
            }
        }
    }

    /// A packet with this time to live left.
    pub fn sent(&mut self, now: Now, ttl: u8) {
        let patience = now.attentive.plus(self.start.patience);
        if self.start.aim == Aim::Search {
            self.not_before = now.at + SEARCH_EVERY;
        }
        let Some(hop) = self.hop(ttl) else { return };
        hop.tries = hop.tries.saturating_add(1);
        hop.sent += 1;
        hop.waiting = Some(patience);
    }

    /// An answer to a packet with this time to live came.
    pub fn answered(&mut self, ttl: u8, answer: HopAnswer) {
        if self.is_scout(ttl) {
            self.scouted(&answer);
            return self.scout.take(answer);
        }
        let expected = self.expected(ttl);
        let is_known = !self.start.expected.is_empty();
        let (aim, is_asked) = (self.start.aim, self.start.is_asked);
        let (says, by) = (answer.says, answer.by);
        let Some(hop) = self.hop(ttl) else { return };
        hop.wanted = match (says, expected) {
            (Says::Hop, _) if is_asked => hop.wanted.max(LOOKS_ASKED),
            (Says::Hop, Some(expected)) if expected == by => hop.wanted.max(1),
            (Says::Hop, _) if is_known && aim == Aim::Whole => hop.wanted.max(LOOKS_OTHER),
            _ => hop.wanted.max(1),
        };
        hop.take(answer);
        match says {
            Says::End(_) => self.end_at(ttl),
            Says::Unreachable if self.reached.is_none() => self.hops.truncate(usize::from(ttl)),
            _ => {}
        }
    }

    /// Time has passed: the distances whose packets were waited for long enough.
    pub fn expire(&mut self, now: Now) -> Vec<u8> {
        let over = |hop: &mut Hop| {
            hop.waiting
                .take_if(|until| *until <= now.attentive)
                .is_some()
        };
        let mut silent: Vec<u8> = (1..)
            .zip(&mut self.hops)
            .filter_map(|(ttl, hop)| over(hop).then_some(ttl))
            .collect();
        if over(&mut self.scout) {
            silent.push(TTL_MAX);
        }
        silent
    }

    /// Silence at this distance was the router's limit, and is not held against the hop. Not
    /// for ever: it may be a fault that looks alike.
    pub fn excuse(&mut self, ttl: u8) {
        if let Some(hop) = self.hop(ttl)
            && hop.sent < EXCUSED_SENT_MAX
        {
            hop.tries = hop.tries.saturating_sub(1);
        }
    }

    /// A router quotes too little: begins anew, one packet at a time. Returns whether it was
    /// otherwise before.
    pub fn go_serial(&mut self) -> bool {
        for hop in self.hops.iter_mut().filter(|hop| hop.answered == 0) {
            (hop.waiting, hop.tries) = (None, 0);
        }
        !std::mem::replace(&mut self.is_serial, true)
    }

    /// Whether it has seen what it is for; balancing and nearer hops may still be looked at.
    pub fn is_conclusive(&self) -> bool {
        if self.is_scouting {
            return false;
        }
        let settled = |hop: &Hop| hop.is_settled(TRIES);
        match self.start.aim {
            Aim::Whole => self.hops.iter().all(settled) && self.has_end(),
            Aim::Search => {
                self.reached.is_some() || self.hops.iter().skip(self.answered_to()).all(settled)
            }
        }
    }

    /// The farthest distance from which a router answered, 0 if none did.
    pub fn answered_to(&self) -> usize {
        let answered = |hop: &Hop| hop.answered > 0 && !matches!(hop.says, Some(Says::End(_)));
        self.hops.iter().rposition(answered).map_or(0, |at| at + 1)
    }

    /// Hops before the far end, each by the one address that answered (the expected one if it
    /// is among several), and whether several answered anywhere.
    pub fn hops(&self) -> (Vec<Option<IpAddr>>, bool) {
        let end = self
            .reached
            .map_or(self.hops.len(), |end| usize::from(end) - 1);
        let end = end.min(self.hops.len());
        let mut is_balanced = false;
        let hops = (1..).zip(&self.hops[..end]).map(|(ttl, hop)| {
            is_balanced |= hop.addresses.len() > 1;
            let expected = self.expected(ttl);
            let is_expected = expected.is_some_and(|expected| hop.addresses.contains(&expected));
            let first = hop.addresses.first().copied();
            if is_expected { expected } else { first }
        });
        let hops = hops.collect();
        (hops, is_balanced)
    }

    /// Whether a distance was asked at.
    pub fn was_asked(&self, ttl: u8) -> bool {
        let hop = self.hops.get(usize::from(ttl).wrapping_sub(1));
        hop.is_some_and(|hop| hop.sent > 0)
    }

    /// As people see it. Silent hops at the end of a way that nobody answered are left out
    /// but for one, which says that it was asked.
    pub fn detail(&self) -> TraceFlow {
        let mut hops: Vec<TraceHop> = (1..)
            .zip(&self.hops)
            .map(|(ttl, hop)| hop.detail(ttl))
            .collect();
        if self.reached.is_none() && self.start.distance.is_none() {
            let last = hops.iter().rposition(|hop| hop.answered > 0);
            hops.truncate(last.map_or(1, |last| last + 2));
        }
        mark_translation(&mut hops, &self.hops, self.start.to.ip());
        let end = self.reached.or(self.start.distance).map_or(0, usize::from);
        let at_end = |hop: &&Hop| end > 0 && matches!(hop.says, Some(Says::End(_)) | None);
        let last = self.hops.get(end.wrapping_sub(1)).filter(at_end);
        let (mut sent, mut answered) = (self.scout.sent, self.scout.answered);
        if let Some(last) = last {
            sent += last.sent;
            answered += last.answered;
        }
        TraceFlow {
            port: self.start.port,
            state: super::detail::TraceState::Unknown,
            sent,
            answered,
            reached: self.reached.is_some(),
            hops,
        }
    }

    fn is_scout(&self, ttl: u8) -> bool {
        ttl == TTL_MAX && self.hops.len() < PATH_HOPS_MAX
    }

    fn hop(&mut self, ttl: u8) -> Option<&mut Hop> {
        if self.is_scout(ttl) {
            return Some(&mut self.scout);
        }
        self.hops.get_mut(usize::from(ttl).checked_sub(1)?)
    }

    /// One packet with the largest time to live: the far end tells what was left of it.
    fn scout(&mut self, now: Now) -> Option<Next> {
        if self.scout.answered > 0 || self.scout.tries > 0 && self.scout.waiting.is_none() {
            return None;
        }
        if let Some(patience) = self.scout.waiting {
            return Some(Next::Patience(patience));
        }
        self.not_before = now.at;
        Some(Next::Ask(TTL_MAX))
    }

    fn scouted(&mut self, answer: &HopAnswer) {
        let Says::End(left) = answer.says else {
            return;
        };
        if self.reached.is_some() {
            return;
        }
        self.is_reachable = true;
        let Some(left @ 1..=TTL_MAX) = left else {
            return;
        };
        let distance = TTL_MAX + 1 - left;
        self.start.distance = Some(distance);
        self.far_first = true;
        self.hops.resize(usize::from(distance), Hop::default());
    }

    /// The distance to ask at next, if any is left.
    fn wanted(&self, blocked: u32) -> Option<u8> {
        let first = self.hops.iter().zip(1..).filter(|(hop, ttl)| {
            hop.answered == 0
                && blocked & bit(*ttl) == 0
                && hop.waiting.is_none()
                && hop.tries < TRIES
                && !self.is_skipped(*ttl)
        });
        let first = first.map(|(_, ttl)| ttl);
        let first: Option<u8> = if self.far_first {
            first.max()
        } else {
            first.min()
        };
        // Then second looks, at those that have been looked at least.
        first.or_else(|| {
            let again = self.hops.iter().zip(1..).filter(|(hop, ttl)| {
                hop.answered > 0
                    && blocked & bit(*ttl) == 0
                    && hop.answered < u32::from(hop.wanted)
                    && hop.waiting.is_none()
                    && hop.tries < hop.wanted.saturating_add(TRIES - 1)
            });
            again.min_by_key(|(hop, _)| hop.tries).map(|(_, ttl)| ttl)
        })
    }

    /// A search leaves out what lies before a hop that answers as expected: the packet
    /// passed there.
    fn is_skipped(&self, ttl: u8) -> bool {
        if self.start.aim != Aim::Search || self.start.expected.is_empty() {
            return false;
        }
        if self.reached.is_some() {
            return true;
        }
        let at = self.answered_to();
        usize::from(ttl) < at
            && self.hops.get(at - 1).is_some_and(|hop| {
                let expected = self.expected(at as u8);
                expected.is_some_and(|expected| hop.addresses.contains(&expected))
            })
    }

    fn patience(&self) -> Option<Attentive> {
        self.hops.iter().filter_map(|hop| hop.waiting).min()
    }

    fn end_at(&mut self, ttl: u8) {
        self.reached = Some(self.reached.map_or(ttl, |before| before.min(ttl)));
        self.hops.truncate(usize::from(ttl));
        self.far_first = true;
    }

    fn has_end(&self) -> bool {
        self.reached.is_some() || !self.may_extend() && !self.may_scout()
    }

    /// Whether many silent hops may yet have an end behind them, which nobody asked for.
    fn may_scout(&self) -> bool {
        let gap = self.hops.len() - self.answered_to();
        self.start.distance.is_none()
            && self.reached.is_none()
            && self.scout.sent == 0
            && gap >= usize::from(GAP_MAX)
    }

    /// Whether the way may go on behind the farthest distance asked at.
    fn may_extend(&self) -> bool {
        let last = self.hops.last();
        let is_unreachable = last.is_some_and(|hop| hop.says == Some(Says::Unreachable));
        if self.reached.is_some() || is_unreachable || self.hops.len() >= PATH_HOPS_MAX {
            return false;
        }
        let answers = last.is_some_and(|hop| hop.answered > 0);
        if self.start.distance.is_some() {
            return answers && !self.is_loop();
        }
        let gap_max = if self.is_reachable {
            GAP_REACHABLE_MAX
        } else {
            GAP_MAX
        };
        let gap = self.hops.len() - self.answered_to();
        gap < usize::from(gap_max) && !self.is_loop()
    }

    fn extend(&mut self) -> bool {
        let may = self.may_extend();
        if may {
            let longer = (self.hops.len() + usize::from(WINDOW)).min(PATH_HOPS_MAX);
            self.hops.resize(longer, Hop::default());
            self.far_first = false;
        }
        may
    }

    fn is_loop(&self) -> bool {
        let Some(last) = self.hops.iter().rev().find_map(|hop| hop.addresses.first()) else {
            return false;
        };
        let again = self.hops.iter().filter(|hop| hop.addresses.contains(last));
        again.count() >= LOOP_MIN
    }
}

/// A distance among those that are blocked.
pub fn bit(ttl: u8) -> u32 {
    1u32.checked_shl(u32::from(ttl).wrapping_sub(1))
        .unwrap_or(0)
}

/// Marks what only address translation explains: the far end's address speaks as a router, or
/// one address speaks at two distances in a row while its messages come from farther away.
fn mark_translation(details: &mut [TraceHop], hops: &[Hop], to: IpAddr) {
    let mut before: Option<&Hop> = None;
    for (detail, hop) in details.iter_mut().zip(hops) {
        let speaks_as_router = hop.says == Some(Says::Hop) && hop.addresses.contains(&to);
        let is_farther = before.is_some_and(|before| {
            let same = !hop.addresses.is_empty() && before.addresses == hop.addresses;
            let farther = matches!((before.reply_ttl, hop.reply_ttl), (Some(a), Some(b)) if b < a);
            same && farther && hop.says == Some(Says::Hop)
        });
        detail.nat = speaks_as_router || is_farther;
        before = Some(hop);
    }
}
