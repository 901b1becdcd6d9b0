//! Faults as packet filters: the text that `nft` gets, by namespace.
//!
//! A packet whose TTL is over is answered before a router's forward chain, so a router that
//! drops what it should pass on still shows itself in traces, as broken hardware does.

use super::Layout;
use crate::scenario::{Drop, Family, Fault, FaultKind, Place, Protocol, Scenario};
use std::fmt::Write as _;
use std::net::IpAddr;

/// What neighbours need to find each other stays: a dead forwarding plane does not unplug the
/// cable, and IPv4's ARP passes such a filter too.
const NEIGHBOURS: &str = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept";

/// ICMP that tells senders of trouble, and answers to pings.
const SILENCE: &str = "meta l4proto icmp counter drop; icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-reply } counter drop";

/// The table's name that holds a fault's rules.
pub fn table(fault: usize) -> String {
    format!("fault_{fault}")
}

/// What to load where, to switch a fault on; empty for faults that are no packet filters.
pub fn rules(scenario: &Scenario, layout: &Layout, fault: usize) -> Vec<(Place, String)> {
    let name = table(fault);
    match &scenario.faults[fault].kind {
        FaultKind::Drop(drop) => drop
            .at
            .iter()
            .map(|router| {
                let place = Place::Router(*router);
                let rule = drop_rule(scenario, layout, drop, place, fault);
                let mut chains = chain("forward", "forward", 0, &rule);
                if drop.silent {
                    chains += &chain("output", "output", 0, SILENCE);
                }
                (place, wrap(&name, &chains))
            })
            .collect(),
        FaultKind::Cut(wire) => {
            let [into, out] = ["iif", "oif"].map(|way| {
                format!("{way}name \"w{wire}\" {NEIGHBOURS}; {way}name \"w{wire}\" counter drop")
            });
            let chains =
                chain("into", "prerouting", -300, &into) + &chain("out", "postrouting", 300, &out);
            let rules = wrap(&name, &chains);
            let ends = scenario.wires[*wire].ends.into_iter();
            ends.map(|end| (end, rules.clone())).collect()
        }
        FaultKind::Dead(routers) => {
            let all = format!("{NEIGHBOURS}; counter drop");
            let chains =
                chain("input", "prerouting", -300, &all) + &chain("output", "output", 0, &all);
            at_routers(routers, &wrap(&name, &chains))
        }
        FaultKind::Mute(routers) => at_routers(
            routers,
            &wrap(&name, &chain("output", "output", 0, SILENCE)),
        ),
        FaultKind::Mtu { wire, .. } => {
            let quiet = "icmp type destination-unreachable icmp code frag-needed counter drop; icmpv6 type packet-too-big counter drop";
            let rules = wrap(&name, &chain("output", "output", 0, quiet));
            let ends = scenario.wires[*wire].ends.into_iter();
            ends.map(|end| (end, rules.clone())).collect()
        }
        FaultKind::Partition(nodes) => partition(scenario, layout, nodes, &name),
        _ => Vec::new(),
    }
}

/// What a muted router has for good.
pub fn mute_for_good() -> String {
    wrap("no_icmp", &chain("output", "output", 0, SILENCE))
}

/// What a fault's filter has dropped so far, from what `nft list table` prints.
pub fn dropped(listing: &str) -> u64 {
    let words: Vec<&str> = listing.split_whitespace().collect();
    words
        .windows(2)
        .filter(|pair| pair[0] == "packets")
        .filter_map(|pair| pair[1].parse::<u64>().ok())
        .sum()
}

/// What a fault does, in words.
pub fn describe(scenario: &Scenario, fault: &Fault) -> String {
    let names = |routers: &[usize]| {
        let names: Vec<&str> = routers
            .iter()
            .map(|router| scenario.routers[*router].name.as_str())
            .collect();
        names.join(", ")
    };
    let ids = |nodes: &[usize]| {
        let ids: Vec<&str> = nodes
            .iter()
            .map(|node| scenario.nodes[*node].id.as_str())
            .collect();
        ids.join(", ")
    };
    let wire = |at: &usize| {
        let ends = scenario.wires[*at].ends.map(|end| scenario.name_of(end));
        format!("{}–{}", ends[0], ends[1])
    };
    let mut text = match &fault.kind {
        FaultKind::Drop(drop) => {
            let share = match (drop.per_mille, drop.one_flow_of) {
                (1_000, None) => "all".to_owned(),
                (1_000, Some(of)) => format!("one flow of {of}"),
                (some, None) => format!("{} %", f64::from(some) / 10.0),
                (some, Some(of)) => format!("{} % of one flow of {of}", f64::from(some) / 10.0),
            };
            let what = match drop.protocol {
                Some(Protocol::Udp) => " UDP",
                Some(Protocol::Tcp) => " TCP",
                None => "",
            };
            let mut text = format!("{} drops {share}{what}", names(&drop.at));
            for (word, place) in [("from", drop.from), ("towards", drop.towards)] {
                if let Some(place) = place {
                    let _ = write!(text, " {word} {}", scenario.name_of(place));
                }
            }
            for (word, nodes) in [("sent by", &drop.senders), ("meant for", &drop.receivers)] {
                if !nodes.is_empty() {
                    let _ = write!(text, " {word} {}", ids(nodes));
                }
            }
            if drop.silent {
                text += ", and sends no ICMP";
            }
            text
        }
        FaultKind::Cut(at) => format!("{} carries nothing, and both ends believe in it", wire(at)),
        FaultKind::Dead(routers) => format!("{} is dead: nothing in, nothing out", names(routers)),
        FaultKind::Mute(routers) => format!("{} sends no ICMP", names(routers)),
        FaultKind::Mtu { wire: at, size } => {
            format!(
                "{} carries {size} bytes at most, and nobody is told",
                wire(at)
            )
        }
        FaultKind::Delay {
            wire: at,
            by,
            towards,
        } => {
            let way = towards.map_or("each way".to_owned(), |end| {
                format!("towards {}", scenario.name_of(end))
            });
            format!("{} takes {} ms longer {way}", wire(at), by.as_millis())
        }
        FaultKind::Partition(nodes) => {
            format!("nothing passes between {} and the rest", ids(nodes))
        }
        FaultKind::Freeze(nodes) => format!("{} freezes (SIGSTOP)", ids(nodes)),
        FaultKind::Kill(nodes) => format!("{} is killed (SIGKILL)", ids(nodes)),
        FaultKind::Starve { nodes, stop, run } => format!(
            "the host of {} is too busy: {} ms stopped, {} ms run, by turns",
            ids(nodes),
            stop.as_millis(),
            run.as_millis()
        ),
        FaultKind::Busy { threads } => format!("{threads} threads burn the machine's processors"),
    };
    if let Some((on, off)) = fault.flap {
        let _ = write!(
            text,
            "; {} s so, {} s well, by turns",
            on.as_secs_f64(),
            off.as_secs_f64()
        );
    }
    text
}

fn at_routers(routers: &[usize], rules: &str) -> Vec<(Place, String)> {
    let places = routers.iter().map(|router| Place::Router(*router));
    places.map(|place| (place, rules.to_owned())).collect()
}

fn wrap(table: &str, chains: &str) -> String {
    format!("table inet {table} {{\n{chains}}}\n")
}

fn chain(name: &str, hook: &str, priority: i32, rules: &str) -> String {
    format!(
        "  chain {name} {{ type filter hook {hook} priority {priority}; policy accept; {rules}; }}\n"
    )
}

fn drop_rule(scenario: &Scenario, layout: &Layout, drop: &Drop, at: Place, fault: usize) -> String {
    let ip = match scenario.family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    let mut parts = Vec::new();
    for (word, neighbour) in [("iifname", drop.from), ("oifname", drop.towards)] {
        if let Some(neighbour) = neighbour {
            let ports = layout.ports(at).iter();
            let devices = ports.filter(|port| port.neighbour == neighbour);
            let devices: Vec<String> = devices.map(|port| format!("\"{}\"", port.device)).collect();
            parts.push(format!("{word} {{ {} }}", devices.join(", ")));
        }
    }
    for (word, nodes) in [("saddr", &drop.senders), ("daddr", &drop.receivers)] {
        if !nodes.is_empty() {
            parts.push(format!("{ip} {word} {}", set(layout, nodes)));
        }
    }
    match drop.protocol {
        Some(Protocol::Udp) => parts.push("meta l4proto udp".into()),
        Some(Protocol::Tcp) => parts.push("meta l4proto tcp".into()),
        None if drop.one_flow_of.is_some() => parts.push("meta l4proto { tcp, udp }".into()),
        None => {}
    }
    if let Some(of) = drop.one_flow_of {
        parts.push(format!(
            "jhash {ip} saddr . {ip} daddr . @th,0,32 mod {of} seed 0x{:x} == 0",
            fault + 1
        ));
    }
    if drop.per_mille < 1_000 {
        parts.push(format!("numgen random mod 1000 < {}", drop.per_mille));
    }
    parts.push("counter drop".into());
    parts.join(" ")
}

fn set(layout: &Layout, nodes: &[usize]) -> String {
    let addresses: Vec<String> = nodes
        .iter()
        .filter_map(|node| layout.address(*node))
        .map(|address: IpAddr| address.to_string())
        .collect();
    format!("{{ {} }}", addresses.join(", "))
}

fn partition(
    scenario: &Scenario,
    layout: &Layout,
    nodes: &[usize],
    name: &str,
) -> Vec<(Place, String)> {
    let ip = match scenario.family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    let others: Vec<usize> = (0..scenario.nodes.len())
        .filter(|node| !nodes.contains(node))
        .collect();
    let (these, those) = (set(layout, nodes), set(layout, &others));
    let rule = format!(
        "{ip} saddr {these} {ip} daddr {those} counter drop; {ip} saddr {those} {ip} daddr {these} counter drop"
    );
    let rules = wrap(name, &chain("forward", "forward", 0, &rule));
    let all: Vec<usize> = (0..scenario.routers.len()).collect();
    at_routers(&all, &rules)
}
