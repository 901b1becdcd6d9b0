//! What is broken in a world.

use super::topology::{Hop, Network, Tuple};
use super::{Dice, hash};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// From one router to the next.
    OneWay(usize, usize),
    /// A cable, both ways.
    Cable(usize, usize),
    /// All that a router forwards.
    Router(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Harm {
    /// Nothing passes; `of_flows` below one: a member of a bundle, which some flows hash to.
    Blackhole { of_flows: f64 },
    /// A share of packets is lost.
    Loss(f64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    pub place: Place,
    pub harm: Harm,
    /// The router at fault still answers traces that come to it.
    pub answers: bool,
    seed: u64,
}

impl Fault {
    pub fn new(place: Place, harm: Harm, answers: bool) -> Self {
        Self {
            place,
            harm,
            answers,
            seed: 7,
        }
    }

    pub fn is_on(&self, hop: Hop) -> bool {
        match (self.place, hop) {
            (Place::OneWay(a, b), Hop::Between(from, to)) => (a, b) == (from, to),
            (Place::Cable(a, b), Hop::Between(from, to)) => {
                (a, b) == (from, to) || (b, a) == (from, to)
            }
            _ => false,
        }
    }

    /// Whether this flow is among those that it kills.
    pub fn kills(&self, tuple: Tuple) -> bool {
        match self.harm {
            Harm::Blackhole { of_flows } => {
                (tuple.hash(self.seed) >> 11) as f64 / (1_u64 << 53) as f64 <= of_flows
            }
            Harm::Loss(_) => false,
        }
    }

    /// Share of packets that it loses.
    pub fn loses(&self) -> f64 {
        match self.harm {
            Harm::Loss(share) => share,
            Harm::Blackhole { .. } => 0.0,
        }
    }
}

/// Up to three faults at different places that take no whole node away: that one is down, or
/// cut off, is another verdict than what is wrong on ways.
pub fn any(dice: &mut Dice, network: &Network, number: usize) -> Vec<Fault> {
    loop {
        let faults = drawn(dice, network, number);
        if !takes_a_host(&faults, network) {
            return faults;
        }
    }
}

/// Peers of each host, and flows to each, by which it is seen whether it is taken away.
const PEERS_LOOKED_AT: usize = 8;
const FLOWS_LOOKED_AT: u16 = 4;

/// Whether nothing comes to some host any more, or nothing comes from it.
fn takes_a_host(faults: &[Fault], network: &Network) -> bool {
    let hosts = network.hosts.len();
    let is_cut_off = |host: usize, tuple: &dyn Fn(usize, usize, u16) -> Tuple| {
        (1..=PEERS_LOOKED_AT).all(|peer| {
            let peer = (host + peer * hosts / (PEERS_LOOKED_AT + 1)) % hosts;
            (0..FLOWS_LOOKED_AT).all(|flow| {
                let tuple = tuple(host, peer, flow);
                death(faults, network, &network.way(tuple, 0), tuple).is_some()
            })
        })
    };
    let out = |host: usize, peer: usize, flow: u16| Tuple {
        from: host,
        to: peer,
        from_port: 40_000 + flow,
        to_port: 8_777,
    };
    (0..hosts).any(|host| {
        is_cut_off(host, &out)
            || is_cut_off(host, &|host, peer, flow| out(host, peer, flow).answer())
    })
}

fn drawn(dice: &mut Dice, network: &Network, number: usize) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    while faults.len() < number {
        let harm = match dice.below(100) {
            0..43 => Harm::Blackhole { of_flows: 1.0 },
            43..50 => Harm::Blackhole { of_flows: 0.25 },
            _ => Harm::Loss(0.01 * 20_f64.powf(dice.share())),
        };
        let a = dice.below(network.routers.len());
        let ports = &network.routers[a].ports;
        let b = ports[dice.below(ports.len())].0;
        let place = match dice.below(10) {
            0..4 => Place::OneWay(a, b),
            4..7 => Place::Cable(a, b),
            _ => Place::Router(a),
        };
        let carries_hosts = network.hosts.iter().any(|host| host.router == a);
        let dead_router =
            matches!(place, Place::Router(_)) && matches!(harm, Harm::Blackhole { .. });
        let near = |place: Place| match place {
            Place::OneWay(a, b) | Place::Cable(a, b) => vec![a, b],
            Place::Router(a) => vec![a],
        };
        let taken = faults
            .iter()
            .any(|other| near(other.place).iter().any(|at| near(place).contains(at)));
        if (dead_router && carries_hosts) || taken {
            continue;
        }
        faults.push(Fault {
            place,
            harm,
            answers: dice.chance(0.7),
            seed: hash(dice.next()),
        });
    }
    faults
}

/// Where a flow comes to grief on its way: the index of the hop on which it dies (a dead router
/// counts for the hop that leads out of it), and the fault.
pub fn death<'f>(
    faults: &'f [Fault],
    network: &Network,
    way: &[Hop],
    tuple: Tuple,
) -> Option<(usize, &'f Fault)> {
    for (at, hop) in way.iter().enumerate() {
        for fault in faults.iter().filter(|fault| fault.kills(tuple)) {
            let here = match fault.place {
                Place::Router(router) => {
                    at > 0 && network.entry(way[at - 1]).map(|(into, _)| into) == Some(router)
                }
                _ => fault.is_on(*hop),
            };
            if here {
                return Some((at, fault));
            }
        }
    }
    None
}

/// Faults that lose packets of what goes this way.
pub fn losses<'f>(faults: &'f [Fault], network: &Network, way: &[Hop]) -> Vec<&'f Fault> {
    let on = |fault: &&Fault| match fault.place {
        Place::Router(router) => way
            .iter()
            .filter_map(|hop| network.entry(*hop))
            .any(|(into, _)| into == router),
        _ => way.iter().any(|hop| fault.is_on(*hop)),
    };
    faults
        .iter()
        .filter(|fault| fault.loses() > 0.0)
        .filter(on)
        .collect()
}
