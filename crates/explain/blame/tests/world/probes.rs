//! What the nodes on a network's hosts would publish: link reports and path reports, from
//! probes that live or die and traces that see a part.

use super::Dice;
use super::faults::{Fault, death, losses};
use super::topology::{Hop, Network, Tuple};
use andon_model::path::{PathReport, Route};
use andon_model::slice::Identity;
use andon_model::{
    FlowCount, Heard, HostHealth, LinkReason, LinkReport, LinkState, LossPair, NodeId, NodeKey,
    Peer, Picture, PictureDigest, Presence, Reach, RttUs, SiteId, Slice, Timestamp, Transport,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

pub const NOW: Timestamp = Timestamp(1_793_000_000_000_000);
const PORT: u16 = 8777;
const FIRST_PORT: u16 = 40_000;

/// How well probers see.
#[derive(Clone, Copy)]
pub struct Eyes {
    /// Links of each node.
    pub peers: usize,
    /// Flows of a link, and of one that is suspicious.
    pub flows: u16,
    pub burst: u16,
    /// Probes of a link in a minute, and of a suspicious one.
    pub probes: u32,
    pub probes_burst: u32,
    /// Share of hops that a trace misses (rate limits).
    pub missed: f64,
    /// Share of flows whose way is that of an earlier time.
    pub stale: f64,
    /// Share of packets lost anywhere, by chance.
    pub noise: f64,
    /// Share of nodes that never say which ports fell silent.
    pub mute: f64,
    /// Share of links whose far end has not said so yet.
    pub late: f64,
    /// Bytes of a path report; what does not fit is left out.
    pub row_bytes: usize,
}

pub const EYES: Eyes = Eyes {
    peers: 16,
    flows: 8,
    burst: 64,
    probes: 200,
    probes_burst: 600,
    missed: 0.03,
    stale: 0.02,
    noise: 1e-4,
    mute: 0.05,
    late: 0.03,
    row_bytes: 1_250,
};

/// What became of one flow.
struct Flow {
    port: u16,
    /// Dead on the way there, or only on the way back.
    dead_there: bool,
    dead: bool,
    /// As the trace showed them.
    hops: Vec<Option<IpAddr>>,
    answered: usize,
    reached: bool,
    sent: u32,
    lost_there: u32,
    lost_back: u32,
}

struct Link {
    from: usize,
    to: usize,
    flows: Vec<Flow>,
}

/// What was sampled, for the score: how much evidence each fault left.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traces {
    /// Flows that died of it on the way there.
    pub dead: u32,
    /// Probes lost to it on the way there.
    pub lost: u32,
    /// Probes that passed or died there.
    pub sent: u32,
}

pub fn key(host: usize) -> NodeKey {
    NodeKey::of(&public_key(host))
}

fn public_key(host: usize) -> [u8; 32] {
    let mut key = [0x5a; 32];
    key[..8].copy_from_slice(&super::hash(host as u64 + 1).to_be_bytes());
    key
}

/// The picture of a network with these faults, and what each fault left in it.
pub fn picture(
    dice: &mut Dice,
    network: &Network,
    faults: &[Fault],
    eyes: Eyes,
) -> (Picture, Vec<Traces>) {
    let mut traces = vec![Traces::default(); faults.len()];
    let hosts = network.hosts.len();
    let mut pairs: BTreeSet<(usize, usize)> = BTreeSet::new();
    for from in 0..hosts {
        for _ in 0..eyes.peers.min(hosts - 1) / 2 + 1 {
            let to = dice.below(hosts);
            if to != from {
                pairs.insert((from, to));
                if dice.chance(0.9) {
                    pairs.insert((to, from));
                }
            }
        }
    }
    let links: Vec<Link> = pairs
        .into_iter()
        .map(|(from, to)| probe(dice, network, faults, eyes, from, to, &mut traces))
        .collect();

    let mute: Vec<bool> = (0..hosts).map(|_| dice.chance(eyes.mute)).collect();
    let clock: Vec<i64> = (0..hosts)
        .map(|_| dice.below(200_000) as i64 - 100_000)
        .collect();
    let by_ends: BTreeMap<(usize, usize), &Link> = links
        .iter()
        .map(|link| ((link.from, link.to), link))
        .collect();
    let mut slices: Vec<Slice> = (0..hosts).map(slice).collect();
    for link in &links {
        let back = by_ends.get(&(link.to, link.from)).copied();
        let since = Timestamp(NOW.0 - 30_000_000 + clock[link.from] + dice.below(1_500_000) as i64);
        slices[link.from]
            .links
            .insert(link_report(link, back, since));
        let late = dice.chance(eyes.late);
        let silent = back.filter(|_| !mute[link.from] && !late);
        slices[link.from]
            .paths
            .push(path_report(link, silent, since, eyes));
    }
    let slices = slices
        .into_iter()
        .map(|slice| (slice.key(), Arc::new(slice)))
        .collect();
    let digest = PictureDigest(u128::from(dice.next()));
    (Picture { digest, slices }, traces)
}

fn probe(
    dice: &mut Dice,
    network: &Network,
    faults: &[Fault],
    eyes: Eyes,
    from: usize,
    to: usize,
    traces: &mut [Traces],
) -> Link {
    let mut flows: Vec<Flow> = Vec::new();
    let base = eyes.probes / u32::from(eyes.flows);
    for number in 0..eyes.flows {
        flows.push(flow(
            dice, network, faults, eyes, from, to, number, base, traces,
        ));
    }
    let (sent, lost) = flows.iter().fold((0, 0), |(sent, lost), flow| {
        (sent + flow.sent, lost + flow.lost_there + flow.lost_back)
    });
    let suspicious =
        flows.iter().any(|flow| flow.dead) || f64::from(lost) > 0.02 * f64::from(sent) + 1.0;
    if suspicious {
        let each = eyes.probes_burst / u32::from(eyes.burst);
        for number in eyes.flows..eyes.burst {
            flows.push(flow(
                dice, network, faults, eyes, from, to, number, each, traces,
            ));
        }
    }
    Link { from, to, flows }
}

#[allow(clippy::too_many_arguments)]
fn flow(
    dice: &mut Dice,
    network: &Network,
    faults: &[Fault],
    eyes: Eyes,
    from: usize,
    to: usize,
    number: u16,
    sent: u32,
    traces: &mut [Traces],
) -> Flow {
    let tuple = Tuple {
        from,
        to,
        from_port: FIRST_PORT + number,
        to_port: PORT,
    };
    let (way, back) = (network.way(tuple, 0), network.way(tuple.answer(), 0));
    let died = death(faults, network, &way, tuple);
    let died_back = death(faults, network, &back, tuple.answer());
    let index = |fault: &Fault| faults.iter().position(|other| other == fault).unwrap();

    let mut lost_there = dice.binomial(sent, eyes.noise);
    let mut lost_back = dice.binomial(sent, eyes.noise);
    let dead = died.is_some() || died_back.is_some();
    if let Some((_, fault)) = died {
        traces[index(fault)].dead += 1;
    } else if !dead {
        for fault in losses(faults, network, &way) {
            let lost = dice.binomial(sent - lost_there.min(sent), fault.loses());
            let trace = &mut traces[index(fault)];
            trace.lost += lost;
            trace.sent += sent;
            lost_there = (lost_there + lost).min(sent);
        }
        for fault in losses(faults, network, &back) {
            lost_back += dice.binomial(sent - lost_there, fault.loses());
        }
        lost_back = lost_back.min(sent - lost_there);
    }

    // The trace from healthy times; some are from before a change.
    let era = if dice.chance(eyes.stale) {
        dice.next()
    } else {
        0
    };
    let known = network.way(tuple, era);
    let mut hops = trace(dice, network, eyes, &known, known.len());
    let (mut answered, mut reached) = (hops.len(), true);
    if dead {
        // And the one that follows its death: it comes as far as the flow does.
        let far = match died {
            Some((at, fault)) => {
                let at_router = matches!(fault.place, super::faults::Place::Router(_));
                // A dead router may answer what ends at it; a cut cable's near end does.
                if at_router && !fault.answers {
                    at - 1
                } else {
                    at
                }
            }
            None => way.len(),
        };
        let fresh = trace(dice, network, eyes, &way, far);
        reached = false;
        let seen = fresh
            .iter()
            .rposition(Option::is_some)
            .map_or(0, |at| at + 1);
        if number >= eyes.flows && dice.chance(0.5) {
            // Dead from the start: nobody knows how it would go on.
            hops = fresh[..seen].to_vec();
            answered = seen;
        } else {
            answered = seen.min(hops.len());
        }
    }
    Flow {
        port: tuple.from_port,
        dead_there: died.is_some(),
        dead,
        hops,
        answered,
        reached,
        sent: if dead { 0 } else { sent },
        lost_there: if dead { 0 } else { lost_there },
        lost_back: if dead { 0 } else { lost_back },
    }
}

/// The routers that answer on the first `far` hops of a way.
fn trace(
    dice: &mut Dice,
    network: &Network,
    eyes: Eyes,
    way: &[Hop],
    far: usize,
) -> Vec<Option<IpAddr>> {
    let seen = way.iter().take(far).filter_map(|hop| network.entry(*hop));
    seen.map(|(router, address)| {
        let silent = network.routers[router].silent || dice.chance(eyes.missed);
        (!silent).then_some(address)
    })
    .collect()
}

fn link_report(link: &Link, back: Option<&Link>, since: Timestamp) -> LinkReport {
    let total = link.flows.len() as u16;
    let ok = link.flows.iter().filter(|flow| !flow.dead).count() as u16;
    let sum = |of: fn(&Flow) -> u32| link.flows.iter().map(of).sum::<u32>() as f32;
    let sent = sum(|flow| flow.sent).max(1.0);
    let (there, ret) = (
        sum(|flow| flow.lost_there) / sent,
        sum(|flow| flow.lost_back) / sent,
    );
    let state = match ok {
        0 => LinkState::Down,
        ok if ok < total => LinkState::Partial,
        _ if there + ret > 0.03 => LinkState::Degraded,
        _ => LinkState::Up,
    };
    LinkReport {
        state,
        reason: (state != LinkState::Up).then_some(LinkReason::Loss),
        flows: FlowCount { ok, total },
        loss: LossPair {
            forward: Some(there),
            return_: Some(ret),
        },
        rtt_us: RttUs {
            p50: Some(900),
            p99: Some(1_400),
        },
        rtt_baseline_us: Some(900),
        heard: match back {
            None => Heard::NotExpected,
            Some(back) if back.flows.iter().all(|flow| flow.dead_there) => Heard::Silent,
            Some(_) => Heard::Arriving,
        },
        ..LinkReport::unknown(Peer::Node(key(link.to)), Transport::Udp, since)
    }
}

fn path_report(link: &Link, back: Option<&Link>, traced_at: Timestamp, eyes: Eyes) -> PathReport {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut routes: BTreeMap<Vec<u8>, Route> = BTreeMap::new();
    for flow in &link.flows {
        let place = |hop: &Option<IpAddr>| {
            let Some(address) = hop else { return 0 };
            let at = addresses.iter().position(|known| known == address);
            let at = at.unwrap_or_else(|| {
                addresses.push(*address);
                addresses.len() - 1
            });
            u8::try_from(at + 1).unwrap_or(0)
        };
        let hops: Vec<u8> = flow.hops.iter().map(place).collect();
        let route = routes.entry(hops.clone()).or_insert_with(|| Route {
            answered: hops.len() as u8,
            hops,
            reached: true,
            rtt_us: Some(900),
            rtt_usual_us: Some(900),
            ..Route::default()
        });
        route.flows.push(flow.port);
        if flow.dead {
            route.dead.push(flow.port);
            route.answered = flow.answered as u8;
            route.reached = flow.reached;
        }
        route.sent += flow.sent;
        route.lost_forward += flow.lost_there;
        route.lost_return += flow.lost_back;
    }
    let mut routes: Vec<Route> = routes.into_values().collect();
    // Routes without failures are left out first.
    routes.sort_by_key(|route| {
        (
            route.dead.is_empty(),
            route.lost_forward == 0,
            std::cmp::Reverse(route.flows.len()),
        )
    });
    let mut bytes = addresses.len() * 7;
    routes.retain(|route| {
        bytes += 24 + route.hops.len() + 3 * (route.flows.len() + route.dead.len());
        bytes <= eyes.row_bytes
    });
    let arriving = back.is_some_and(|back| back.flows.iter().any(|flow| !flow.dead_there));
    let silent = back
        .filter(|_| arriving)
        .map_or(&[][..], |back| &back.flows);
    PathReport {
        to: Peer::Node(key(link.to)),
        traced_at,
        addresses,
        routes,
        silent_from: silent
            .iter()
            .filter(|flow| flow.dead_there)
            .map(|flow| flow.port)
            .collect(),
        arriving_from: silent
            .iter()
            .filter(|flow| flow.dead && !flow.dead_there)
            .map(|flow| flow.port)
            .collect(),
    }
}

fn slice(host: usize) -> Slice {
    Slice {
        public_key: public_key(host),
        epoch: 1,
        version: 1,
        identity: Identity {
            id: NodeId::new(format!("host-{host:03}")).unwrap(),
            site: SiteId::new(format!("site-{}", host % 7)).unwrap(),
            labels: BTreeMap::new(),
            version: "0.1.0".into(),
            started_at: Timestamp(NOW.0 - 3_600_000_000),
            addresses: Vec::new(),
            fingerprint: [1; 32],
            presence: Presence::Here,
            reach: Reach::Open,
        },
        host: HostHealth::default(),
        links: Default::default(),
        targets: Vec::new(),
        neighbours: Vec::new(),
        paths: Vec::new(),
        incidents: Vec::new(),
        remarks: Vec::new(),
        heartbeats: Vec::new(),
    }
}
