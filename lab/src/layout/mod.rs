//! What follows from a scenario's network before anything is built: an address for each end of
//! each wire, routes over all equal-cost paths, and the packet filters that are its faults.
//! Pure: the same scenario has the same addresses in every run.

mod routes;
pub mod rules;
#[cfg(test)]
mod tests;

use crate::scenario::{Family, FaultKind, Place, Scenario};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Largest packet of a wire where the scenario says nothing.
pub const MTU: u32 = 1_500;

/// One end of a wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The wire.
    pub wire: usize,
    /// Name of the interface in the namespace.
    pub device: String,
    /// Its address.
    pub address: IpAddr,
    /// Prefix length of the wire's network.
    pub prefix: u8,
    /// Who is at the other end.
    pub neighbour: Place,
    /// The other end's address.
    pub next_hop: IpAddr,
}

/// A route to a network; `to: None` is the default route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Network and prefix length.
    pub to: Option<(IpAddr, u8)>,
    /// All equally good next hops, with the interface that leads there.
    pub via: Vec<(IpAddr, String)>,
}

/// The network, planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Network of each wire.
    pub subnets: Vec<(IpAddr, u8)>,
    /// The ports of each node and router.
    pub ports: BTreeMap<Place, Vec<Port>>,
    /// The routes of each node and router.
    pub routes: BTreeMap<Place, Vec<Route>>,
    /// Wires that pass a relay in the lab's process, since a fault may delay them or they
    /// always take their time.
    pub relayed: Vec<usize>,
}

impl Layout {
    /// Plans a scenario's network.
    pub fn plan(scenario: &Scenario) -> Self {
        let subnets = subnets(scenario);
        let mut ports: BTreeMap<Place, Vec<Port>> =
            scenario.places().map(|place| (place, Vec::new())).collect();
        for (at, wire) in scenario.wires.iter().enumerate() {
            let (network, prefix) = subnets[at];
            let addresses = [host(network, 1), host(network, 2)];
            for side in 0..2 {
                if let Some(own) = ports.get_mut(&wire.ends[side]) {
                    own.push(Port {
                        wire: at,
                        device: format!("w{at}"),
                        address: addresses[side],
                        prefix,
                        neighbour: wire.ends[1 - side],
                        next_hop: addresses[1 - side],
                    });
                }
            }
        }
        let relayed = (0..scenario.wires.len())
            .filter(|at| {
                let delayed =
                    |kind: &FaultKind| matches!(kind, FaultKind::Delay { wire, .. } if wire == at);
                scenario.wires[*at].delay > Duration::ZERO
                    || scenario.faults.iter().any(|fault| delayed(&fault.kind))
            })
            .collect();
        Self {
            routes: routes::plan(scenario, &ports, &subnets),
            subnets,
            ports,
            relayed,
        }
    }

    /// Ports of a node or router.
    pub fn ports(&self, place: Place) -> &[Port] {
        self.ports.get(&place).map_or(&[], Vec::as_slice)
    }

    /// Addresses of a node or router.
    pub fn addresses(&self, place: Place) -> impl Iterator<Item = IpAddr> {
        self.ports(place).iter().map(|port| port.address)
    }

    /// The address of a node; it has one wire.
    pub fn address(&self, node: usize) -> Option<IpAddr> {
        self.addresses(Place::Node(node)).next()
    }

    /// Who has an address.
    pub fn owner(&self, address: IpAddr) -> Option<Place> {
        let mut all = self.ports.iter();
        let found = all.find(|(_, ports)| ports.iter().any(|port| port.address == address));
        found.map(|(place, _)| *place)
    }
}

/// Networks given, and for the rest one after the other that touches none of these.
fn subnets(scenario: &Scenario) -> Vec<(IpAddr, u8)> {
    let given: Vec<(IpAddr, u8)> = scenario
        .wires
        .iter()
        .filter_map(|wire| wire.subnet)
        .collect();
    let mut next = 0_u32;
    let mut fresh = || {
        loop {
            let candidate = numbered(scenario.family, next);
            next += 1;
            if !given.iter().any(|net| overlap(*net, candidate)) {
                return candidate;
            }
        }
    };
    let wires = scenario.wires.iter();
    wires
        .map(|wire| wire.subnet.unwrap_or_else(&mut fresh))
        .collect()
}

/// 10.0.1.0/30, 10.0.2.0/30, …, or fd00:0:0:1::/64, …
fn numbered(family: Family, number: u32) -> (IpAddr, u8) {
    match family {
        Family::V4 => {
            let (high, low) = (number / 250, number % 250 + 1);
            let bits = (10 << 24) | (high << 16) | (low << 8);
            (IpAddr::V4(Ipv4Addr::from_bits(bits)), 30)
        }
        Family::V6 => {
            let bits = (0xfd00 << 112) | (u128::from(number + 1) << 64);
            (IpAddr::V6(Ipv6Addr::from_bits(bits)), 64)
        }
    }
}

fn host(network: IpAddr, number: u8) -> IpAddr {
    match network {
        IpAddr::V4(network) => Ipv4Addr::from_bits(network.to_bits() + u32::from(number)).into(),
        IpAddr::V6(network) => Ipv6Addr::from_bits(network.to_bits() + u128::from(number)).into(),
    }
}

/// Whether two networks share an address.
pub fn overlap(one: (IpAddr, u8), other: (IpAddr, u8)) -> bool {
    let prefix = one.1.min(other.1);
    match (one.0, other.0) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let differ = a.to_bits() ^ b.to_bits();
            differ.leading_zeros() >= u32::from(prefix)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let differ = a.to_bits() ^ b.to_bits();
            differ.leading_zeros() >= u32::from(prefix)
        }
        _ => false,
    }
}
