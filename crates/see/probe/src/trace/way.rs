//! What is known of one flow's way: the last one that came through, and how far the newest
//! trace got. Nothing is filled in by guess: a hop is the address that answered, or silent.

use super::detail::{HopKind, TraceFlow, TraceHop};
use super::run::Run;
use andon_model::{Instant, Timestamp};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// How far traces came counts for so long: a router that limits its answers skips one trace
/// and not four.
const MARK_AGE_MAX: Duration = Duration::from_secs(9);
/// Marks remembered.
const MARKS_MAX: usize = 8;

/// A way that came through to the far end, which is not among its hops.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Way {
    /// By distance; `None` is a hop that answers no trace.
    pub hops: Vec<Option<IpAddr>>,
    /// Several addresses answered packets of this one flow.
    pub is_balanced: bool,
}

#[derive(Debug, Clone)]
struct Newest {
    at: Instant,
    utc: Timestamp,
    /// Those that answered in it, the last did.
    hops: Vec<Option<IpAddr>>,
    is_balanced: bool,
    reached: bool,
    detail: TraceFlow,
}

/// What is known of one flow's way.
#[derive(Debug, Clone, Default)]
pub struct FlowWay {
    complete: Option<Way>,
    newest: Option<Newest>,
    /// When traces ended before the far end, and at which distance; newest last.
    marks: VecDeque<(Instant, usize)>,
    trouble_since: Option<Instant>,
    /// Routers on it quote too little to tell packets apart.
    pub is_serial: bool,
    /// A trace of it did not come through although it answers: its distance is another.
    pub is_astray: bool,
}

/// A flow's way as it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayView {
    /// The last way that came through; where none is known, what the newest trace met.
    pub hops: Vec<Option<IpAddr>>,
    /// How many of these the newest traces got to; all, where they came through.
    pub answered: usize,
    /// The newest trace came through.
    pub reached: bool,
    /// Balanced by packet.
    pub is_balanced: bool,
    /// When the newest trace ended.
    pub traced_at: Timestamp,
    /// The newest trace is of the flow's present trouble, if it has any.
    pub is_fresh: bool,
    /// The hops are those of a way that came through.
    pub is_complete: bool,
}

impl FlowWay {
    /// The last way that came through.
    pub fn complete(&self) -> Option<&Way> {
        self.complete.as_ref()
    }

    /// When the newest trace ended.
    pub fn traced(&self) -> Option<Instant> {
        self.newest.as_ref().map(|newest| newest.at)
    }

    /// Since when the flow loses probes.
    pub fn trouble_since(&self) -> Option<Instant> {
        self.trouble_since
    }

    /// The flow loses probes, or no longer does. Returns whether trouble just ended.
    pub fn trouble(&mut self, now: Instant, is_troubled: bool) -> bool {
        let was = self.trouble_since;
        if is_troubled {
            self.trouble_since = was.or(Some(now));
        } else {
            self.trouble_since = None;
            self.marks.clear();
        }
        was.is_some() && !is_troubled
    }

    /// Takes what a trace saw; to be called again when it has seen more.
    pub fn take(&mut self, now: Instant, utc: Timestamp, run: &Run) {
        let (mut hops, is_balanced) = run.hops();
        let reached = run.reached().is_some();
        let detail = self.told(run);
        if reached {
            self.marks.clear();
            self.complete = Some(self.merged(run, &hops, is_balanced));
        } else {
            hops.truncate(run.answered_to());
            let again = self.newest.as_ref().is_some_and(|newest| newest.at == now);
            if again {
                self.marks.pop_back();
            }
            if self.marks.len() >= MARKS_MAX {
                self.marks.pop_front();
            }
            self.marks.push_back((now, hops.len()));
            self.learn(&hops);
        }
        self.is_serial |= run.is_serial();
        self.is_astray = !reached && self.trouble_since.is_none();
        self.newest = Some(Newest {
            at: now,
            utc,
            hops,
            is_balanced,
            reached,
            detail,
        });
    }

    /// As people see it.
    pub fn detail(&self) -> Option<&TraceFlow> {
        self.newest.as_ref().map(|newest| &newest.detail)
    }

    /// As it is reported; `None` if it was never traced.
    pub fn view(&self, now: Instant, is_alive: bool) -> Option<WayView> {
        let newest = self.newest.as_ref()?;
        let is_fresh = self.trouble_since.is_none_or(|since| newest.at > since);
        let view = |way: &Way, answered: usize, reached| WayView {
            hops: way.hops.clone(),
            answered: answered.min(way.hops.len()),
            reached,
            is_balanced: way.is_balanced || newest.is_balanced,
            traced_at: newest.utc,
            is_fresh,
            is_complete: true,
        };
        let met = Way {
            hops: newest.hops.clone(),
            is_balanced: newest.is_balanced,
        };
        Some(match &self.complete {
            // A flow that answers takes some way; the last that came through is the best known.
            // Where no trace looked since, that one is the newest too.
            Some(way) if newest.reached || is_alive || !is_fresh => view(way, way.hops.len(), true),
            Some(way) if follows(&newest.hops, way) => view(way, self.answered(now), false),
            // It turned off, or never came through: what was met is all that is known.
            _ => WayView {
                is_complete: false,
                ..view(&met, met.hops.len(), newest.reached)
            },
        })
    }

    /// How far the traces of the last seconds got.
    fn answered(&self, now: Instant) -> usize {
        let recent = self.marks.iter().rev();
        let recent = recent.take_while(|(at, _)| now.since(*at) < MARK_AGE_MAX);
        let newest = self.marks.back().map(|(_, answered)| *answered);
        recent
            .map(|(_, answered)| *answered)
            .chain(newest)
            .max()
            .unwrap_or(0)
    }

    /// The way that a run went which came through. A hop that did not answer this time keeps
    /// its name if all others are where they were, since routers answer at their leisure.
    fn merged(&self, run: &Run, hops: &[Option<IpAddr>], is_balanced: bool) -> Way {
        let mut merged = Way {
            hops: hops.to_vec(),
            is_balanced,
        };
        let Some(before) = &self.complete else {
            return merged;
        };
        let is_same = before.hops.len() == hops.len() && follows(hops, before);
        if is_same {
            merged.hops.clone_from(&before.hops);
            for (held, seen) in merged.hops.iter_mut().zip(hops) {
                *held = held.or(*seen);
            }
            // One look at each hop does not tell that balancing has ended.
            merged.is_balanced |=
                before.is_balanced && !(1..).zip(hops).all(|(ttl, _)| run.was_asked(ttl));
        }
        merged
    }

    /// Takes names from a trace that did not come through for hops that were silent when one
    /// did: it is the same flow, and what it met is where the way has it.
    fn learn(&mut self, answered: &[Option<IpAddr>]) {
        let way = self.complete.as_mut();
        let Some(way) = way.filter(|way| follows(answered, way)) else {
            return;
        };
        for (held, seen) in way.hops.iter_mut().zip(answered) {
            *held = held.or(*seen);
        }
    }

    /// A run as people see it, with hops that it left out told from the last way.
    fn told(&self, run: &Run) -> TraceFlow {
        let mut detail = run.detail();
        let Some(way) = &self.complete else {
            return detail;
        };
        let known = detail.hops.iter_mut().zip(&way.hops);
        for (hop, address) in known.filter(|(hop, _)| hop.sent == 0) {
            if let Some(address) = address {
                *hop = TraceHop {
                    addresses: vec![*address],
                    kind: HopKind::Answered,
                    ..TraceHop {
                        ttl: hop.ttl,
                        ..TraceHop::default()
                    }
                };
            }
        }
        detail
    }
}

/// Whether what answered is where the way has it.
fn follows(answered: &[Option<IpAddr>], way: &Way) -> bool {
    answered.len() <= way.hops.len()
        && answered
            .iter()
            .zip(&way.hops)
            .all(|(seen, held)| match (seen, held) {
                (Some(seen), Some(held)) => seen == held || way.is_balanced,
                _ => true,
            })
}
