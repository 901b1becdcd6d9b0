//! Shortest paths over the routers, and all of them: what a routing protocol with equal-cost
//! multipath would have computed.

use super::{Port, Route};
use crate::scenario::{Place, Scenario};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// Routes of every node and router. Nodes get a default route and forward nothing.
pub(super) fn plan(
    scenario: &Scenario,
    ports: &BTreeMap<Place, Vec<Port>>,
    subnets: &[(IpAddr, u8)],
) -> BTreeMap<Place, Vec<Route>> {
    let mut routes: BTreeMap<Place, Vec<Route>> = BTreeMap::new();
    for (place, own) in ports {
        if let (Place::Node(_), [port]) = (place, own.as_slice())
            && matches!(port.neighbour, Place::Router(_))
        {
            routes.entry(*place).or_default().push(Route {
                to: None,
                via: vec![(port.next_hop, port.device.clone())],
            });
        }
    }
    for (wire, subnet) in subnets.iter().enumerate() {
        let distances = distances(scenario, ports, wire);
        for (place, own) in ports {
            let Some(distance) = distances.get(place).filter(|distance| **distance > 0) else {
                continue;
            };
            let nearer = own
                .iter()
                .filter(|port| distances.get(&port.neighbour) == Some(&(distance - 1)));
            routes.entry(*place).or_default().push(Route {
                to: Some(*subnet),
                via: nearer
                    .map(|port| (port.next_hop, port.device.clone()))
                    .collect(),
            });
        }
    }
    routes
}

/// Wires between each router and a wire's network; routers at its ends have 0.
fn distances(
    scenario: &Scenario,
    ports: &BTreeMap<Place, Vec<Port>>,
    wire: usize,
) -> BTreeMap<Place, u32> {
    let is_router = |place: &Place| matches!(place, Place::Router(_));
    let ends = scenario.wires[wire].ends;
    let mut distances: BTreeMap<Place, u32> = ends
        .into_iter()
        .filter(is_router)
        .map(|end| (end, 0))
        .collect();
    let mut queue: VecDeque<Place> = distances.keys().copied().collect();
    while let Some(place) = queue.pop_front() {
        let next = distances[&place] + 1;
        for port in &ports[&place] {
            if is_router(&port.neighbour) && !distances.contains_key(&port.neighbour) {
                distances.insert(port.neighbour, next);
                queue.push_back(port.neighbour);
            }
        }
    }
    distances
}
