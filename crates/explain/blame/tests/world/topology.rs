//! Routers, cables between them, hosts on them, and the ways that flows take.

use super::{Dice, hash};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

/// One direction of a cable between two routers, or of one to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hop {
    FromHost(usize),
    Between(usize, usize),
    ToHost(usize),
}

pub struct Router {
    /// Neighbour, the address that this router shows to what comes from there, and the cost.
    pub ports: Vec<(usize, IpAddr, u32)>,
    /// Never answers traces.
    pub silent: bool,
    seed: u64,
}

pub struct Host {
    pub router: usize,
    /// What the router shows to this host.
    pub gateway: IpAddr,
}

pub struct Network {
    pub routers: Vec<Router>,
    pub hosts: Vec<Host>,
    /// Next hops by destination router, then router.
    next: Vec<Vec<Vec<usize>>>,
}

/// A flow's 5-tuple.
#[derive(Debug, Clone, Copy)]
pub struct Tuple {
    pub from: usize,
    pub to: usize,
    pub from_port: u16,
    pub to_port: u16,
}

impl Tuple {
    pub fn answer(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
            from_port: self.to_port,
            to_port: self.from_port,
        }
    }

    pub fn hash(self, seed: u64) -> u64 {
        let ends = (self.from as u64) << 32 | self.to as u64;
        let ports = u64::from(self.from_port) << 16 | u64::from(self.to_port);
        hash(hash(ends ^ seed) ^ ports)
    }
}

/// Cables as pairs of routers with a cost, and the router of each host.
pub fn build(
    dice: &mut Dice,
    routers: usize,
    cables: &[(usize, usize, u32)],
    hosts: &[usize],
    silent: f64,
) -> Network {
    // Half of the worlds number each cable as a network of two, half at random.
    let by_cable = dice.chance(0.5);
    let mut ports: Vec<Vec<(usize, IpAddr, u32)>> = vec![Vec::new(); routers];
    let any = |dice: &mut Dice| {
        IpAddr::V4(Ipv4Addr::from(
            0x0a00_0000 | (dice.next() as u32 & 0x00ff_ffff),
        ))
    };
    for (number, (a, b, cost)) in cables.iter().enumerate() {
        let (at_a, at_b) = if by_cable {
            let base = 0xc612_0000 + number as u32 * 2;
            (Ipv4Addr::from(base).into(), Ipv4Addr::from(base + 1).into())
        } else {
            (any(dice), any(dice))
        };
        ports[*a].push((*b, at_a, *cost));
        ports[*b].push((*a, at_b, *cost));
    }
    let routers: Vec<Router> = ports
        .into_iter()
        .map(|ports| Router {
            ports,
            silent: dice.chance(silent),
            seed: dice.next(),
        })
        .collect();
    let hosts = hosts
        .iter()
        .map(|router| Host {
            router: *router,
            gateway: any(dice),
        })
        .collect();
    let mut network = Network {
        routers,
        hosts,
        next: Vec::new(),
    };
    network.next = (0..network.routers.len())
        .map(|to| network.routes_to(to))
        .collect();
    network
}

/// A fat tree of switches with `k` ports.
pub fn fat_tree(dice: &mut Dice, k: usize, silent: f64) -> Network {
    let half = k / 2;
    let edge = |pod: usize, at: usize| pod * half + at;
    let aggregation = |pod: usize, at: usize| k * half + pod * half + at;
    let core = |at: usize| 2 * k * half + at;
    let mut cables = Vec::new();
    let mut hosts = Vec::new();
    for pod in 0..k {
        for low in 0..half {
            for high in 0..half {
                cables.push((edge(pod, low), aggregation(pod, high), 1));
                cables.push((aggregation(pod, low), core(low * half + high), 1));
            }
            hosts.extend(std::iter::repeat_n(edge(pod, low), half));
        }
    }
    build(dice, 2 * k * half + half * half, &cables, &hosts, silent)
}

/// A random WAN: a ring with chords and few costs, so that some ways are equal.
pub fn wan(dice: &mut Dice, silent: f64) -> Network {
    let routers = 12 + dice.below(20);
    let mut cables: Vec<(usize, usize, u32)> = Vec::new();
    let mut join = |a: usize, b: usize, cost: u32| {
        let known = cables
            .iter()
            .any(|(c, d, _)| (*c, *d) == (a, b) || (*d, *c) == (a, b));
        if a != b && !known {
            cables.push((a, b, cost));
        }
    };
    for router in 0..routers {
        join(router, (router + 1) % routers, 1 + dice.below(2) as u32);
    }
    for _ in 0..routers + dice.below(routers) {
        join(
            dice.below(routers),
            dice.below(routers),
            1 + dice.below(2) as u32,
        );
    }
    let sites = 8 + dice.below(9);
    let mut hosts = Vec::new();
    for _ in 0..sites {
        let router = dice.below(routers);
        hosts.extend(std::iter::repeat_n(router, 1 + dice.below(3)));
    }
    build(dice, routers, &cables, &hosts, silent)
}

impl Network {
    fn routes_to(&self, to: usize) -> Vec<Vec<usize>> {
        let mut distance = vec![u32::MAX; self.routers.len()];
        distance[to] = 0;
        let mut queue = VecDeque::from([to]);
        while let Some(at) = queue.pop_front() {
            for (neighbour, _, cost) in &self.routers[at].ports {
                let further = distance[at] + cost;
                if further < distance[*neighbour] {
                    distance[*neighbour] = further;
                    queue.push_back(*neighbour);
                }
            }
        }
        (0..self.routers.len())
            .map(|at| {
                let next = self.routers[at]
                    .ports
                    .iter()
                    .filter(|(neighbour, _, cost)| {
                        distance[*neighbour] != u32::MAX
                            && distance[*neighbour] + cost == distance[at]
                    });
                next.map(|(neighbour, _, _)| *neighbour).collect()
            })
            .collect()
    }

    /// The way of a flow; `era` changes how switches spread flows.
    pub fn way(&self, tuple: Tuple, era: u64) -> Vec<Hop> {
        let (mut at, to) = (self.hosts[tuple.from].router, self.hosts[tuple.to].router);
        let mut way = vec![Hop::FromHost(tuple.from)];
        while at != to {
            let next = &self.next[to][at];
            let picked =
                next[(tuple.hash(self.routers[at].seed ^ era) % next.len() as u64) as usize];
            way.push(Hop::Between(at, picked));
            at = picked;
        }
        way.push(Hop::ToHost(tuple.to));
        way
    }

    /// The router that a hop leads into, and the address that it shows.
    pub fn entry(&self, hop: Hop) -> Option<(usize, IpAddr)> {
        match hop {
            Hop::FromHost(host) => Some((self.hosts[host].router, self.hosts[host].gateway)),
            Hop::Between(from, to) => Some((to, self.address(from, to))),
            Hop::ToHost(_) => None,
        }
    }

    /// What `to` shows to what comes from `from`.
    pub fn address(&self, from: usize, to: usize) -> IpAddr {
        let port = self.routers[to]
            .ports
            .iter()
            .find(|(neighbour, _, _)| *neighbour == from);
        port.unwrap().1
    }

    /// All addresses of a router.
    pub fn addresses(&self, router: usize) -> Vec<IpAddr> {
        let ports = self.routers[router]
            .ports
            .iter()
            .map(|(_, address, _)| *address);
        let hosts = self.hosts.iter().filter(|host| host.router == router);
        ports.chain(hosts.map(|host| host.gateway)).collect()
    }
}
