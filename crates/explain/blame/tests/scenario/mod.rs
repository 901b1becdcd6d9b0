//! Small pictures to judge, told as what happened: a full mesh of healthy nodes, and then
//! what was killed, cut, slowed.
#![allow(dead_code)] // Each test file uses its part.

use andon_blame::judge;
use andon_model::path::{PathReport, Route};
use andon_model::slice::Identity;
use andon_model::{
    FlowCount, Heard, Heartbeat, HeartbeatState, HostHealth, LinkReason, LinkReport, LinkReports,
    LinkState, LossPair, Neighbour, NodeId, NodeKey, NodeState, Peer, Picture, PictureDigest,
    PictureView, Presence, ProbeKind, Reach, RttUs, SiteId, Slice, TargetId, TargetSpec, Timestamp,
    Transport,
};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// When everything was healthy.
pub const START: Timestamp = Timestamp(1_793_000_000_000_000);
/// When things break, unless told otherwise: a minute later.
pub const BREAK: Timestamp = Timestamp(START.0 + 60_000_000);
/// When it is judged: another minute later.
pub const NOW: Timestamp = Timestamp(START.0 + 120_000_000);

#[derive(Debug, Clone)]
pub struct Scenario {
    pub slices: BTreeMap<NodeKey, Slice>,
    names: BTreeMap<String, NodeKey>,
    at: Timestamp,
}

/// A healthy full mesh of nodes written `name@site`.
pub fn grid(nodes: &str) -> Scenario {
    let mut scenario = Scenario {
        slices: BTreeMap::new(),
        names: BTreeMap::new(),
        at: BREAK,
    };
    for (number, node) in (1..).zip(nodes.split_whitespace()) {
        let (name, site) = node.split_once('@').unwrap();
        scenario.add(name, name, site, number);
    }
    let keys: Vec<NodeKey> = scenario.slices.keys().copied().collect();
    for slice in scenario.slices.values_mut() {
        let own = slice.key();
        for key in keys.iter().filter(|key| **key != own) {
            slice.links.insert(healthy(Peer::Node(*key)));
        }
    }
    scenario
}

pub fn healthy(to: Peer) -> LinkReport {
    LinkReport {
        state: LinkState::Up,
        flows: FlowCount { ok: 8, total: 8 },
        loss: LossPair {
            forward: Some(0.0),
            return_: Some(0.0),
        },
        rtt_us: RttUs {
            p50: Some(12_000),
            p99: Some(14_000),
        },
        rtt_baseline_us: Some(12_000),
        heard: Heard::Arriving,
        ..LinkReport::unknown(to, Transport::Udp, START)
    }
}

impl Scenario {
    /// A node of its own, linked to nobody, known to the scenario as `name`.
    pub fn add(&mut self, name: &str, id: &str, site: &str, number: u8) {
        let mut public_key = [number; 32];
        public_key[1] = 0xab;
        let identity = Identity {
            id: NodeId::new(id).unwrap(),
            site: SiteId::new(site).unwrap(),
            labels: BTreeMap::new(),
            version: "0.1.0".into(),
            started_at: Timestamp(START.0 - 1_000_000 * i64::from(200 - number)),
            addresses: vec![format!("10.0.0.{number}:8777").parse().unwrap()],
            fingerprint: [number; 32],
            presence: Presence::Here,
            reach: Reach::Open,
        };
        let slice = Slice {
            public_key,
            epoch: 1,
            version: 1,
            identity,
            host: HostHealth::default(),
            links: LinkReports::default(),
            targets: Vec::new(),
            neighbours: Vec::new(),
            paths: Vec::new(),
            incidents: Vec::new(),
            remarks: Vec::new(),
            heartbeats: Vec::new(),
        };
        self.names.insert(name.to_owned(), slice.key());
        self.slices.insert(slice.key(), slice);
    }

    /// `node` says so of a heartbeat that comes every minute, from a host called `job-1`, since
    /// so many seconds after the start.
    pub fn heartbeat(mut self, node: &str, name: &str, state: HeartbeatState, since: u64) -> Self {
        let since = START + Duration::from_secs(since);
        let heartbeat = Heartbeat {
            name: name.to_owned(),
            state,
            since,
            every_ms: 60_000,
            last: since - Duration::from_secs(60),
            from: "job-1".to_owned(),
        };
        let key = self.key(node);
        self.slice(key).heartbeats.push(heartbeat);
        self
    }

    /// A second node that claims `id`, in the mesh like the others.
    pub fn twin(mut self, id: &str, site: &str) -> Self {
        let name = format!("{id}-twin");
        self.add(&name, id, site, 150);
        let twin = self.key(&name);
        let others: Vec<NodeKey> = self
            .slices
            .keys()
            .copied()
            .filter(|key| *key != twin)
            .collect();
        for other in others {
            self.slice(twin).links.insert(healthy(Peer::Node(other)));
            self.slice(other).links.insert(healthy(Peer::Node(twin)));
        }
        self
    }

    pub fn key(&self, name: &str) -> NodeKey {
        self.names[name]
    }

    fn slice(&mut self, key: NodeKey) -> &mut Slice {
        self.slices.get_mut(&key).unwrap()
    }

    /// What follows happens this many seconds after the usual moment.
    pub fn after(mut self, seconds: i64) -> Self {
        self.at = Timestamp(BREAK.0 + seconds * 1_000_000);
        self
    }

    /// Changes what `from` reports of `to`, if it reports anything.
    pub fn report(mut self, from: &str, to: &str, change: impl FnOnce(&mut LinkReport)) -> Self {
        let (from, to) = (self.key(from), self.key(to));
        let links = &mut self.slice(from).links;
        if let Some(mut report) = links.remove(&Peer::Node(to)) {
            change(&mut report);
            links.insert(report);
        }
        self
    }

    fn silence(self, from: &str, to: &str, heard: Heard) -> Self {
        let at = self.at;
        self.report(from, to, |report| {
            report.state = LinkState::Down;
            report.reason = Some(LinkReason::Silent);
            report.flows.ok = 0;
            report.loss = LossPair::default();
            report.rtt_us = RttUs::default();
            report.heard = heard;
            report.since = at;
        })
    }

    /// Nothing passes from `from` to `to`; the way back does.
    pub fn cut(self, from: &str, to: &str) -> Self {
        self.silence(from, to, Heard::Arriving)
            .silence(to, from, Heard::Silent)
    }

    pub fn cut_both(self, a: &str, b: &str) -> Self {
        self.silence(a, b, Heard::Silent)
            .silence(b, a, Heard::Silent)
    }

    /// Nothing passes between the two groups.
    pub fn split(mut self, one: &str, other: &str) -> Self {
        for a in one.split_whitespace() {
            for b in other.split_whitespace() {
                self = self.cut_both(a, b);
            }
        }
        self
    }

    /// The process is gone; what it published last stays.
    pub fn kill(mut self, name: &str) -> Self {
        let names: Vec<String> = self
            .names
            .keys()
            .filter(|other| *other != name)
            .cloned()
            .collect();
        for other in names {
            self = self.silence(&other, name, Heard::Silent);
        }
        self
    }

    pub fn leave(mut self, name: &str) -> Self {
        let key = self.key(name);
        self.slice(key).identity.presence = Presence::Left;
        self.kill(name)
    }

    pub fn lossy(self, from: &str, to: &str, share: f32) -> Self {
        let at = self.at;
        let degrade = |report: &mut LinkReport, forward: f32, back: f32| {
            report.state = LinkState::Degraded;
            report.reason = Some(LinkReason::Loss);
            report.loss = LossPair {
                forward: Some(forward),
                return_: Some(back),
            };
            report.since = at;
        };
        self.report(from, to, |report| degrade(report, share, 0.0))
            .report(to, from, |report| degrade(report, 0.0, share))
    }

    pub fn slow(self, a: &str, b: &str, rtt_us: u32) -> Self {
        let at = self.at;
        let slow = |report: &mut LinkReport| {
            report.state = LinkState::Degraded;
            report.reason = Some(LinkReason::Latency);
            report.rtt_us = RttUs {
                p50: Some(rtt_us),
                p99: Some(rtt_us * 2),
            };
            report.since = at;
        };
        self.report(a, b, slow).report(b, a, slow)
    }

    /// This many of eight flows die on the way from `from` to `to`.
    pub fn partial(self, from: &str, to: &str, dead: u16) -> Self {
        let at = self.at;
        let share = f32::from(dead) / 8.0;
        let part = |report: &mut LinkReport, forward: f32, back: f32| {
            report.state = LinkState::Partial;
            report.reason = Some(LinkReason::Loss);
            report.flows.ok = 8 - dead;
            report.loss = LossPair {
                forward: Some(forward),
                return_: Some(back),
            };
            report.since = at;
        };
        self.report(from, to, |report| part(report, share, 0.0))
            .report(to, from, |report| part(report, 0.0, share))
    }

    /// `from` does not probe `to`.
    pub fn unprobed(mut self, from: &str, to: &str) -> Self {
        let (from, to) = (self.key(from), self.key(to));
        self.slice(from).links.remove(&Peer::Node(to));
        let links = &mut self.slice(to).links;
        if let Some(mut report) = links.remove(&Peer::Node(from)) {
            report.heard = Heard::NotExpected;
            links.insert(report);
        }
        self
    }

    pub fn waiting(self, from: &str, to: &str) -> Self {
        self.report(from, to, |report| {
            *report = LinkReport::unknown(report.to.clone(), Transport::Udp, START);
        })
    }

    pub fn busy(self, name: &str) -> Self {
        self.late(name, 180)
    }

    /// The host of `name` is busy, and wakes its prober so many milliseconds late.
    pub fn late(mut self, name: &str, ms: u32) -> Self {
        let key = self.key(name);
        self.slice(key).host = HostHealth {
            scheduling_delay_us_p99: ms * 1_000,
            busy: true,
        };
        self
    }

    /// The clock of `name` is off; everybody measures it, and so does `name`, of the others.
    pub fn clock(mut self, name: &str, offset_us: i64) -> Self {
        let names: Vec<String> = self
            .names
            .keys()
            .filter(|other| *other != name)
            .cloned()
            .collect();
        for other in names {
            self = self
                .report(&other, name, |report| {
                    report.clock_offset_us = Some(offset_us)
                })
                .report(name, &other, |report| {
                    report.clock_offset_us = Some(-offset_us)
                });
        }
        self
    }

    /// A target that `ok` reach and `failing` do not.
    pub fn target(mut self, id: &str, ok: &str, failing: &str, detail: &str) -> Self {
        let at = self.at;
        let target = TargetId::new(id).unwrap();
        for (names, state) in [(ok, LinkState::Up), (failing, LinkState::Down)] {
            for name in names.split_whitespace() {
                let key = self.key(name);
                let mut report = healthy(Peer::Target(target.clone()));
                report.transport = Transport::Http;
                report.heard = Heard::NotExpected;
                report.state = state;
                if state == LinkState::Down {
                    report.detail = Some(detail.to_owned());
                    report.reason = Some(LinkReason::Answer);
                    report.since = at;
                }
                self.slice(key).links.insert(report);
            }
        }
        let spec = TargetSpec {
            id: target,
            address: format!("http://{id}.example/"),
            probe: ProbeKind::Http {
                status: None,
                body: None,
            },
            from_nodes: Vec::new(),
            from_sites: Vec::new(),
            interval_ms: 1_000,
            timeout_ms: 500,
        };
        if let Some(first) = self.slices.values_mut().next() {
            first.targets.push(spec);
        }
        self
    }

    pub fn neighbour(
        mut self,
        from: &str,
        id: &str,
        alive: Option<bool>,
        sees: &[(&str, Option<bool>)],
    ) -> Self {
        let key = self.key(from);
        self.slice(key).neighbours.push(Neighbour {
            host: format!("{}.lan:8777", id.to_lowercase()),
            id: id.to_owned(),
            alive,
            build: "0.1.0".to_owned(),
            since: BREAK,
            rtt_us: Some(900),
            sees: sees
                .iter()
                .map(|(id, answer)| ((*id).to_owned(), *answer))
                .collect(),
        });
        self
    }

    pub fn picture(&self) -> Picture {
        let slices = self
            .slices
            .iter()
            .map(|(key, slice)| (*key, Arc::new(slice.clone())))
            .collect();
        Picture {
            digest: PictureDigest(42),
            slices,
        }
    }

    pub fn seen_by(&self, me: &str) -> PictureView {
        judge(&self.picture(), self.key(me), NOW)
    }
}

/// `kind subject` of each verdict, in order.
pub fn summary(view: &PictureView) -> String {
    let lines = view.verdicts.iter().map(|verdict| {
        let kind = format!("{:?}", verdict.kind);
        format!("{kind} {}", verdict.subject)
    });
    lines.collect::<Vec<_>>().join(", ")
}

/// Ids of nodes that are not up, with their state.
pub fn not_up(view: &PictureView) -> String {
    let nodes = view.nodes.iter().filter(|node| node.state != NodeState::Up);
    nodes
        .map(|node| format!("{} {:?}", node.id, node.state))
        .collect::<Vec<_>>()
        .join(", ")
}

/// State of the link, with the observer's own round trip where it differs.
pub fn link(view: &PictureView, from: &str, to: &str) -> String {
    let link = view
        .links
        .iter()
        .find(|link| link.from == from && link.to == to);
    link.map_or_else(
        || "none".to_owned(),
        |link| match link.round_trip {
            Some(round_trip) => format!("{:?} (round trip {round_trip:?})", link.state),
            None => format!("{:?}", link.state),
        },
    )
}

/// One way of a link and how its flows fare, for [`Scenario::ways`].
#[derive(Debug, Clone, Default)]
pub struct Way {
    route: Route,
    hops: Vec<Option<IpAddr>>,
    /// Its dead flows die on the way there, and the far end says so.
    there: bool,
}

/// A healthy way over hops written `10.0.1.1 * 10.0.3.1`, taken by these source ports.
pub fn way(hops: &str, ports: std::ops::Range<u16>) -> Way {
    let hops: Vec<Option<IpAddr>> = hops
        .split_whitespace()
        .map(|hop| hop.parse().ok())
        .collect();
    Way {
        route: Route {
            answered: hops.len() as u8,
            reached: true,
            sent: 20 * ports.len() as u32,
            rtt_us: Some(12_000),
            rtt_usual_us: Some(12_000),
            flows: ports.collect(),
            ..Route::default()
        },
        hops,
        there: true,
    }
}

impl Way {
    /// All its flows die; traces pass this many hops.
    pub fn dead(mut self, answered: u8) -> Self {
        self.route.dead = self.route.flows.clone();
        self.route.answered = answered;
        self.route.reached = false;
        self.route.sent = 0;
        self
    }

    /// Its answers die, not its flows.
    pub fn back(mut self) -> Self {
        self.there = false;
        self
    }

    /// Loses so many of so many probes.
    pub fn loses(mut self, lost: u32, sent: u32) -> Self {
        (self.route.lost_forward, self.route.sent) = (lost, sent);
        self
    }

    /// Large packets die.
    pub fn small_only(mut self) -> Self {
        self.route.large_lost = self.route.flows.clone();
        self
    }

    pub fn usually(mut self, rtt_us: u32) -> Self {
        self.route.rtt_usual_us = Some(rtt_us);
        self
    }

    pub fn takes(mut self, rtt_us: u32) -> Self {
        self.route.rtt_us = Some(rtt_us);
        self
    }
}

/// The document of ways, as their observer publishes it.
pub fn path_report(to: Peer, ways: &[Way]) -> PathReport {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut routes = Vec::new();
    for way in ways {
        let mut route = way.route.clone();
        for hop in &way.hops {
            route.hops.push(hop.map_or(0, |hop| {
                let at = addresses.iter().position(|known| *known == hop);
                let at = at.unwrap_or_else(|| {
                    addresses.push(hop);
                    addresses.len() - 1
                });
                u8::try_from(at + 1).unwrap()
            }));
        }
        routes.push(route);
    }
    PathReport {
        to,
        traced_at: BREAK,
        addresses,
        routes,
        silent_from: Vec::new(),
        arriving_from: Vec::new(),
    }
}

impl Scenario {
    /// The ways from one node to another, and the link's state with them. Dead flows are told
    /// by the far end where it tells of ways itself ([`Scenario::tells`]).
    pub fn ways(mut self, from: &str, to: &str, ways: &[Way]) -> Self {
        let (from_key, to_key) = (self.key(from), self.key(to));
        let slice = self.slice(from_key);
        slice.paths.retain(|path| path.to != Peer::Node(to_key));
        slice.paths.push(path_report(Peer::Node(to_key), ways));
        let count = |of: fn(&Way) -> usize| ways.iter().map(of).sum::<usize>();
        let total = count(|way| way.route.flows.len());
        let dead = count(|way| way.route.dead.len());
        let at = self.at;
        self.report(from, to, |report| {
            report.flows.total = total as u16;
            report.flows.ok = (total - dead) as u16;
            if dead > 0 {
                report.reason = Some(LinkReason::Loss);
                report.since = at;
                report.state = if dead == total {
                    LinkState::Down
                } else {
                    LinkState::Partial
                };
            }
        })
    }

    /// `far` says which flows of `from`, as just described, no longer arrive, and which do.
    pub fn tells(mut self, far: &str, from: &str, ways: &[Way]) -> Self {
        let (far_key, from_key) = (self.key(far), self.key(from));
        let ports = |there: bool| {
            let ways = ways.iter().filter(move |way| way.there == there);
            ways.flat_map(|way| way.route.dead.clone())
                .collect::<Vec<u16>>()
        };
        let (silent, arriving) = (ports(true), ports(false));
        let paths = &mut self.slice(far_key).paths;
        let to = Peer::Node(from_key);
        if !paths.iter().any(|path| path.to == to) {
            paths.push(path_report(to.clone(), &[]));
        }
        let path = paths.iter_mut().find(|path| path.to == to).unwrap();
        (path.silent_from, path.arriving_from) = (silent, arriving);
        self
    }
}
