//! What flows met on their ways, put together for the grid: how each flow fares (from its
//! link core) with the way that it takes (from the tracer).

use crate::now::Now;
use crate::published::three_bits;
use crate::trace::Tracer;
use crate::trace::way::WayView;
use andon_model::path::{PATH_FLOWS_MAX, PATH_HOPS_MAX, PATH_ROUTES_MAX};
use andon_model::{Instant, LinkState, NodeKey, PathReport, Peer, Route, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How one flow of a link fares. The link core fills it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowHealth {
    /// Index of the flow, which is that of its socket.
    pub flow: u16,
    /// Its source port.
    pub port: u16,
    /// Whether it answers; `None` until known.
    pub alive: Option<bool>,
    /// Probes lost in a row: two are worth a trace.
    pub lost_run: u32,
    /// Probes judged within the last minute.
    pub sent: u32,
    /// Of these, lost on the way there.
    pub lost_forward: u32,
    /// Of these, lost on the way back.
    pub lost_return: u32,
    /// Median round trip, microseconds.
    pub rtt_us_p50: Option<u32>,
    /// Of that, on the way there.
    pub forward_us: Option<u32>,
    /// Small probes pass and large ones do not.
    pub large_lost: bool,
}

/// How a link and its flows fare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkHealth {
    /// The far node.
    pub to: NodeKey,
    /// Where its UDP probes go; `None` if it is not probed over UDP.
    pub address: Option<SocketAddr>,
    /// The state.
    pub state: LinkState,
    /// By index.
    pub flows: Vec<FlowHealth>,
    /// Ports of the far node's flows that stopped arriving here while others still arrive,
    /// in order.
    pub silent_from: Vec<u16>,
    /// Ports of the far node's flows that arrive here although it finds them dead, in order.
    pub arriving_from: Vec<u16>,
}

/// A dead flow is told as living on its way until a trace of its trouble ended, for so long:
/// without it, the fault would be put on the whole way.
const HOLD: Duration = Duration::from_millis(800);
/// Reports are told at most this often.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// Figures of all links are looked at this often.
const FIGURES_EVERY: Duration = Duration::from_secs(5);
/// A small change of the round trip is told after this.
const SLOW_EVERY: Duration = Duration::from_secs(30);
/// Links told of. With their rows of at most a kilobyte, half a megabyte.
pub const REPORTS_MAX: usize = 512;
/// Bytes of one report: with its row's head and signature it is one datagram.
pub const REPORT_BYTES_MAX: usize = 1_000;
/// Addresses that a hop's byte can point to.
const ADDRESSES_MAX: usize = 255;

/// Looks at a way's round trip before it is usual.
const USUAL_LOOKS_MIN: u32 = 3;
/// Ways of one link whose usual round trip is remembered; the oldest goes first.
const USUALS_MAX: usize = 2 * PATH_ROUTES_MAX;

/// The usual round trip of one way.
#[derive(Debug, Clone, Copy)]
struct Usual {
    rtt_us: f64,
    looks: u32,
    at: Instant,
}

impl Usual {
    /// Follows what is near at once, and what is far above only in the course of half an
    /// hour: else a fault would be usual before anybody mended it.
    fn look(&mut self, now: Instant, rtt_us: f64) {
        let is_near = rtt_us < self.rtt_us * 1.5 + 200.0;
        let weight = if is_near { 0.1 } else { 0.003 };
        self.rtt_us += (rtt_us - self.rtt_us) * weight;
        self.looks = self.looks.saturating_add(1);
        self.at = now;
    }
}

type Usuals = BTreeMap<Vec<Option<IpAddr>>, Usual>;

#[derive(Debug)]
struct Told {
    report: PathReport,
    at: Instant,
}

/// Path reports as they stand in the grid: told when the ways, the dead flows or how far
/// traces came changed, and when figures moved; a quiet grid tells nothing.
#[derive(Debug, Default)]
pub struct PathBoard {
    told: BTreeMap<NodeKey, Told>,
    usuals: BTreeMap<NodeKey, Usuals>,
    dirty: BTreeSet<NodeKey>,
    tell_at: Instant,
    figures_at: Instant,
}

impl PathBoard {
    /// A link lost a probe, changed its state, or was traced.
    pub fn mark(&mut self, links: impl IntoIterator<Item = NodeKey>) {
        self.dirty.extend(links);
    }

    /// When to wake it.
    pub fn next_wake(&self) -> Instant {
        if self.dirty.is_empty() {
            self.figures_at
        } else {
            self.tell_at.min(self.figures_at)
        }
    }

    /// Looks at what changed; all reports if any is to be told. `health`: how a link fares,
    /// `None` if it is not probed; `planned`: all links.
    pub fn wake(
        &mut self,
        now: Now,
        tracer: &Tracer,
        planned: impl Iterator<Item = NodeKey>,
        health: impl Fn(NodeKey) -> Option<LinkHealth>,
    ) -> Option<Vec<PathReport>> {
        if now.at < self.next_wake() {
            return None;
        }
        self.tell_at = now.at + TELL_EVERY;
        let mut changed = false;
        let is_round = now.at >= self.figures_at;
        if is_round {
            self.figures_at = now.at + FIGURES_EVERY;
            self.dirty = planned.collect();
            let before = self.told.len();
            self.told.retain(|link, _| self.dirty.contains(link));
            self.usuals.retain(|link, _| self.dirty.contains(link));
            changed |= self.told.len() < before;
        }
        let links = std::mem::take(&mut self.dirty);
        for link in links {
            let health = health(link);
            let (report, is_held) = match &health {
                Some(health) => {
                    let usuals = self.usuals.entry(link).or_default();
                    report_of(now, health, tracer, usuals, is_round)
                }
                None => (None, false),
            };
            if is_held {
                self.dirty.insert(link);
            }
            changed |= self.put(now.at, link, report);
        }
        changed.then(|| self.reports())
    }

    fn put(&mut self, now: Instant, link: NodeKey, report: Option<PathReport>) -> bool {
        let Some(report) = report else {
            return self.told.remove(&link).is_some();
        };
        let is_told = self
            .told
            .get(&link)
            .is_some_and(|told| !is_news(told, &report, now));
        if !is_told {
            self.told.insert(link, Told { report, at: now });
        }
        !is_told
    }

    /// Links in trouble come first where there are too many.
    fn reports(&self) -> Vec<PathReport> {
        let mut reports: Vec<&PathReport> = self.told.values().map(|told| &told.report).collect();
        if reports.len() > REPORTS_MAX {
            reports.sort_by_key(|report| !report.routes.iter().any(is_failing));
            reports.truncate(REPORTS_MAX);
        }
        reports.into_iter().cloned().collect()
    }
}

/// A link's report, and whether a dead flow waits for its trace. `None`: there is nothing to
/// tell, since no router lies between and all is well, or nothing is known.
fn report_of(
    now: Now,
    health: &LinkHealth,
    tracer: &Tracer,
    usuals: &mut Usuals,
    is_round: bool,
) -> (Option<PathReport>, bool) {
    if health.address.is_none() {
        return (None, false);
    }
    let mut is_held = false;
    let mut traced_at = Timestamp(0);
    let mut told: Vec<(WayKey, &FlowHealth, bool)> = Vec::new();
    for flow in health.flows.iter().take(PATH_FLOWS_MAX) {
        let mut is_dead = flow.alive == Some(false);
        let view = tracer.view(now.at, health.to, flow.port, !is_dead);
        if is_dead && !view.as_ref().is_some_and(|view| view.is_fresh) {
            let trouble = tracer.trouble_since(health.to, flow.port);
            if trouble.is_none_or(|since| now.at.since(since) < HOLD) {
                is_held = true;
                is_dead = false;
            }
        }
        // Of a flow whose way nobody knows nothing can be said.
        if let Some(view) = view.filter(|view| view.is_fresh || view.is_complete) {
            traced_at = traced_at.max(view.traced_at);
            told.push((WayKey::of(&view), flow, is_dead));
        }
    }
    share_answers(&mut told);
    if told.is_empty() {
        // No trace ever got an answer: at best the number of hops is known.
        let hops = usize::from(tracer.distance(health.to).unwrap_or(1)).saturating_sub(1);
        let dead = health.flows.iter().filter(|flow| flow.alive == Some(false));
        told.extend(
            dead.take(PATH_FLOWS_MAX)
                .map(|flow| (WayKey::unknown(hops), flow, true)),
        );
    }
    let mut grouped: BTreeMap<WayKey, Group> = BTreeMap::new();
    for (key, flow, is_dead) in told {
        grouped.entry(key).or_default().add(flow, is_dead);
    }
    let mut report = PathReport {
        to: Peer::Node(health.to),
        traced_at,
        addresses: Vec::new(),
        routes: Vec::new(),
        silent_from: health
            .silent_from
            .iter()
            .copied()
            .take(PATH_FLOWS_MAX)
            .collect(),
        arriving_from: health
            .arriving_from
            .iter()
            .copied()
            .take(PATH_FLOWS_MAX)
            .collect(),
    };
    let mut routes: Vec<(WayKey, Group)> = grouped.into_iter().collect();
    // Failing ones first, then those that most flows take: the last are left out first.
    routes.sort_by_key(|(key, group)| {
        let route = group.route(key);
        (!is_failing(&route), usize::MAX - route.flows.len())
    });
    for (key, group) in routes.into_iter().take(PATH_ROUTES_MAX) {
        if is_round {
            look(usuals, now.at, &key.hops, group.rtt_us());
        }
        let usual = usuals.get(&key.hops);
        let usual = usual.filter(|usual| usual.looks >= USUAL_LOOKS_MIN);
        let Some(hops) = places(&mut report.addresses, &key.hops) else {
            continue;
        };
        let route = group.route(&key);
        report.routes.push(Route {
            hops,
            rtt_usual_us: usual.map(|usual| three_bits(usual.rtt_us as u32)),
            ..route
        });
    }
    let is_worth = |route: &Route| !route.hops.is_empty() || is_failing(route);
    let is_told = !report.silent_from.is_empty() || !report.arriving_from.is_empty();
    if !report.routes.iter().any(is_worth) && !is_told {
        return (None, is_held);
    }
    fit(&mut report);
    (Some(report), is_held)
}

/// What flows of one route have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct WayKey {
    hops: Vec<Option<IpAddr>>,
    answered: usize,
    reached: bool,
    is_complete: bool,
    is_balanced: bool,
}

impl WayKey {
    fn of(view: &WayView) -> Self {
        Self {
            hops: view.hops.iter().copied().take(PATH_HOPS_MAX).collect(),
            answered: view.answered,
            reached: view.reached,
            is_complete: view.is_complete,
            is_balanced: view.is_balanced,
        }
    }

    fn unknown(hops: usize) -> Self {
        Self {
            hops: vec![None; hops.min(PATH_HOPS_MAX)],
            answered: 0,
            reached: false,
            is_complete: false,
            is_balanced: false,
        }
    }
}

/// A hop that answered the trace of one flow passes all flows of the very same way, also of
/// those that it did not answer, since routers answer few: dead flows share what was seen.
fn share_answers(told: &mut [(WayKey, &FlowHealth, bool)]) {
    let mut farthest: BTreeMap<Vec<Option<IpAddr>>, usize> = BTreeMap::new();
    let ends = |key: &WayKey| key.is_complete && !key.reached;
    for (key, _, _) in told
        .iter()
        .filter(|(key, _, is_dead)| *is_dead && ends(key))
    {
        let answered = farthest.entry(key.hops.clone()).or_default();
        *answered = key.answered.max(*answered);
    }
    for (key, _, _) in told.iter_mut().filter(|(_, _, is_dead)| *is_dead) {
        // One that was not traced since it died, or came through by chance, is as the others.
        if let Some(answered) = farthest.get(&key.hops).filter(|_| key.is_complete) {
            (key.answered, key.reached) = (*answered, false);
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Group {
    flows: Vec<u16>,
    dead: Vec<u16>,
    large_lost: Vec<u16>,
    sent: u32,
    lost_forward: u32,
    lost_return: u32,
    rtts_us: Vec<u32>,
    forwards_us: Vec<u32>,
}

impl Group {
    fn add(&mut self, flow: &FlowHealth, is_dead: bool) {
        self.flows.push(flow.port);
        if is_dead {
            return self.dead.push(flow.port);
        }
        if flow.large_lost {
            self.large_lost.push(flow.port);
        }
        self.sent = self.sent.saturating_add(flow.sent);
        self.lost_forward = self.lost_forward.saturating_add(flow.lost_forward);
        self.lost_return = self.lost_return.saturating_add(flow.lost_return);
        self.rtts_us.extend(flow.rtt_us_p50);
        self.forwards_us.extend(flow.forward_us);
    }

    fn rtt_us(&self) -> Option<u32> {
        median(&self.rtts_us)
    }

    fn route(&self, key: &WayKey) -> Route {
        Route {
            hops: Vec::new(),
            answered: u8::try_from(key.answered).unwrap_or(u8::MAX),
            reached: key.reached,
            flows: self.flows.clone(),
            dead: self.dead.clone(),
            large_lost: self.large_lost.clone(),
            sent: three_bits(self.sent),
            lost_forward: three_bits(self.lost_forward),
            lost_return: three_bits(self.lost_return),
            rtt_us: self.rtt_us().map(three_bits),
            rtt_usual_us: None,
            forward_us: median(&self.forwards_us).map(three_bits),
            balanced: key.is_balanced,
        }
    }
}

fn median(figures: &[u32]) -> Option<u32> {
    let mut figures = figures.to_vec();
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied()
}

fn look(usuals: &mut Usuals, now: Instant, hops: &[Option<IpAddr>], rtt_us: Option<u32>) {
    let Some(rtt_us) = rtt_us.map(f64::from) else {
        return;
    };
    if let Some(usual) = usuals.get_mut(hops) {
        return usual.look(now, rtt_us);
    }
    if usuals.len() >= USUALS_MAX {
        let oldest = usuals.iter().min_by_key(|(_, usual)| usual.at);
        if let Some(oldest) = oldest.map(|(hops, _)| hops.clone()) {
            usuals.remove(&oldest);
        }
    }
    let usual = Usual {
        rtt_us,
        looks: 1,
        at: now,
    };
    usuals.insert(hops.to_vec(), usual);
}

fn is_failing(route: &Route) -> bool {
    !route.dead.is_empty() || !route.large_lost.is_empty()
}

/// The places of hops in the list of addresses, which grows; `None` if it is full.
fn places(addresses: &mut Vec<IpAddr>, hops: &[Option<IpAddr>]) -> Option<Vec<u8>> {
    let mut places = Vec::with_capacity(hops.len());
    for hop in hops {
        let Some(address) = hop else {
            places.push(0);
            continue;
        };
        let at = match addresses.iter().position(|held| held == address) {
            Some(at) => at,
            None if addresses.len() >= ADDRESSES_MAX => return None,
            None => {
                addresses.push(*address);
                addresses.len() - 1
            }
        };
        places.push(u8::try_from(at + 1).ok()?);
    }
    Some(places)
}

/// Leaves out routes from the end, and addresses that only they had, until the report fits.
fn fit(report: &mut PathReport) {
    while bytes_of(report) > REPORT_BYTES_MAX && report.routes.pop().is_some() {
        let hops = report.routes.iter().flat_map(|route| &route.hops);
        let used = hops.max().copied().unwrap_or(0);
        report.addresses.truncate(usize::from(used));
    }
}

fn bytes_of(report: &PathReport) -> usize {
    minicbor::to_vec(report).map_or(usize::MAX, |bytes| bytes.len())
}

/// Whether a report is worth a packet.
fn is_news(told: &Told, fresh: &PathReport, now: Instant) -> bool {
    let held = &told.report;
    let is_same = held.addresses == fresh.addresses
        && held.silent_from == fresh.silent_from
        && held.arriving_from == fresh.arriving_from
        && held.routes.len() == fresh.routes.len()
        && held.routes.iter().zip(&fresh.routes).all(|(a, b)| {
            (&a.hops, a.answered, a.reached, a.balanced)
                == (&b.hops, b.answered, b.reached, b.balanced)
                && (&a.flows, &a.dead, &a.large_lost) == (&b.flows, &b.dead, &b.large_lost)
        });
    if !is_same {
        return true;
    }
    let age = now.since(told.at);
    let is_slow = age >= SLOW_EVERY;
    let mut pairs = held.routes.iter().zip(&fresh.routes);
    age >= FIGURES_EVERY && pairs.any(|(a, b)| has_moved(a, b, is_slow))
}

fn has_moved(held: &Route, fresh: &Route, is_slow: bool) -> bool {
    // A single loss within a minute is no news where there was none.
    let lost = |a: u32, b: u32| a != b && a.max(b) > 1;
    let twice = |a: u32, b: u32| a.max(b) >= a.min(b).saturating_mul(2).max(8);
    let rtt = match (held.rtt_us, fresh.rtt_us) {
        (Some(a), Some(b)) => {
            let (low, high) = (a.min(b), a.max(b));
            high > low.saturating_mul(2).saturating_add(200)
                || is_slow && high > (low + low / 4).saturating_add(100)
        }
        (a, b) => a.is_some() != b.is_some(),
    };
    rtt || lost(held.lost_forward, fresh.lost_forward)
        || lost(held.lost_return, fresh.lost_return)
        || is_slow && twice(held.sent, fresh.sent)
}
