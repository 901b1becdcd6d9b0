//! What a scenario says: the network, what happens in it, and what the nodes must say of it.
//!
//! [`read`] makes it from a file; [`problem`] is how mistakes are told, [`reader`] how tables
//! are taken apart.

pub mod problem;
mod read;
mod read_expect;
mod read_fault;
mod read_network;
mod reader;
#[cfg(test)]
mod tests;

use andon_model::{LinkState, PathEffect, VerdictKind};
use std::net::IpAddr;
use std::time::Duration;

/// Most nodes in one lab: each is a process, and they share one machine.
pub const NODES_MAX: usize = 64;
/// Most routers; each is a namespace.
pub const ROUTERS_MAX: usize = 128;
/// Most wires.
pub const WIRES_MAX: usize = 512;
/// Most faults, steps, and expectations, each.
pub const LIST_MAX: usize = 200;

/// A scenario file, checked: all names in it exist.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The file's name without its ending.
    pub name: String,
    /// One line on what is tried.
    pub title: String,
    /// Which Internet protocol the network speaks.
    pub family: Family,
    /// Healthy time before 0 s, for routes to be traced and usual round trips to be known.
    pub settle: Duration,
    /// Time that is watched after 0 s at least.
    pub length: Duration,
    /// How often it is run where somebody wants quantiles.
    pub repeat: u32,
    /// Arguments that each node gets beside its id, site, key and seed.
    pub node_args: Vec<String>,
    /// In the order of the file; the first is the one that the others join.
    pub nodes: Vec<NodeSpec>,
    /// In the order of the file.
    pub routers: Vec<RouterSpec>,
    /// In the order of the file.
    pub wires: Vec<Wire>,
    /// What can go wrong.
    pub faults: Vec<Fault>,
    /// Faults that are on before the first node starts: nobody ever saw the network well.
    pub before: Vec<usize>,
    /// What is done, by time.
    pub steps: Vec<Step>,
    /// What must be said.
    pub expects: Vec<Expect>,
    /// What must not.
    pub nevers: Vec<Never>,
    /// Between which two nodes mtr and traceroute are tried.
    pub peers: (usize, usize),
}

/// Which Internet protocol the network speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A node: a host with one `andon node`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub site: String,
}

/// A router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterSpec {
    /// Its name.
    pub name: String,
    /// Whether it tells senders that a packet's TTL is over, as most do.
    pub icmp: bool,
    /// Whether it then shows the address at which the packet came in, as the routers of most
    /// makers do; otherwise that of the way by which its answer goes out, as Linux does: with
    /// several equal ways back that is any of its addresses, whichever way the packet took.
    pub shows_inbound: bool,
}

/// A node or router, by its place in the scenario's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A node.
    Node(usize),
    /// A router.
    Router(usize),
}

/// A cable between two of them, with a subnet of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// Both ends.
    pub ends: [Place; 2],
    /// Its network and prefix length; `None` gets one.
    pub subnet: Option<(IpAddr, u8)>,
    /// How long a packet takes, each way.
    pub delay: Duration,
    /// Largest packet, bytes.
    pub mtu: Option<u32>,
}

/// Something that can be switched on and off.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// How steps and people call it.
    pub name: String,
    /// What it does.
    pub kind: FaultKind,
    /// While it is on: how long it bites, and how long it rests.
    pub flap: Option<(Duration, Duration)>,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// Routers forward everything but what this names.
    Drop(Drop),
    /// A wire carries nothing, and both its ends believe that it is plugged in.
    Cut(usize),
    /// Routers let nothing in or out.
    Dead(Vec<usize>),
    /// Routers send no ICMP.
    Mute(Vec<usize>),
    /// A wire carries only packets up to `size`, and nobody is told.
    Mtu {
        /// By place in the scenario's list.
        wire: usize,
        /// Largest packet, bytes.
        size: u32,
    },
    /// A wire takes longer.
    Delay {
        /// By place in the scenario's list.
        wire: usize,
        /// How much longer, each way.
        by: Duration,
        /// In this direction only.
        towards: Option<Place>,
    },
    /// These nodes and the others do not reach each other.
    Partition(Vec<usize>),
    /// SIGSTOP.
    Freeze(Vec<usize>),
    /// SIGKILL; off starts them again.
    Kill(Vec<usize>),
    /// A host too busy to run the node: stopped and let run, by turns.
    Starve {
        /// Which.
        nodes: Vec<usize>,
        /// Stopped for so long.
        stop: Duration,
        /// Then let run for so long.
        run: Duration,
    },
    /// Threads that burn the machine's processors.
    Busy {
        /// How many.
        threads: u32,
    },
}

/// What a router does not pass on.
#[derive(Debug, Clone, PartialEq)]
pub struct Drop {
    /// Which routers.
    pub at: Vec<usize>,
    /// Only what comes in from there.
    pub from: Option<Place>,
    /// Only what goes out to there.
    pub towards: Option<Place>,
    /// Only what these nodes sent; empty: all.
    pub senders: Vec<usize>,
    /// Only what these nodes shall get; empty: all.
    pub receivers: Vec<usize>,
    /// Packets of a thousand, by chance.
    pub per_mille: u32,
    /// One flow of so many, always the same ones.
    pub one_flow_of: Option<u32>,
    /// Only this protocol.
    pub protocol: Option<Protocol>,
    /// The routers also send no ICMP.
    pub silent: bool,
}

/// What is on top of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// What is done at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// After 0 s.
    pub at: Duration,
    /// Faults switched on.
    pub on: Vec<usize>,
    /// Faults switched off.
    pub off: Vec<usize>,
}

/// From when the time of an expectation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// 0 s.
    Start,
    /// A fault was switched on.
    On(usize),
    /// A fault was switched off.
    Off(usize),
}

/// What must be said, by when, and by whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect {
    /// In words, for the report.
    pub text: String,
    /// From when.
    pub after: Moment,
    /// By when; of many runs the 95th percentile.
    pub within: Duration,
    /// By which nodes at once; empty: by all that run.
    pub on: Vec<usize>,
    /// Share of the time, from when it was met until the fault is switched off, for which all
    /// have to go on saying it, 0..=1.
    pub steady: f64,
    /// What.
    pub what: Expected,
}

/// What must be said.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// A verdict stands.
    Verdict(Pattern),
    /// All links between these have one of these states.
    Link {
        /// Observers.
        from: Vec<usize>,
        /// Observed.
        to: Vec<usize>,
        /// Any of these.
        states: Vec<LinkState>,
    },
    /// So many incidents in all, as the nodes tell together, from then to the end.
    Incidents(usize),
    /// No verdict that is a fault stands.
    Clear,
}

/// Which verdicts are meant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pattern {
    /// Any of these kinds; empty: any that is a fault.
    pub kinds: Vec<VerdictKind>,
    /// Its `from`.
    pub from: Option<String>,
    /// Its `to`.
    pub to: Option<String>,
    /// What it is about.
    pub subject: Option<String>,
    /// Each of these has an address among its hops.
    pub hops: Vec<Place>,
    /// Each of its hops belongs to one of these; empty: whatever they are.
    pub among: Vec<Place>,
    /// What it says that the hop does.
    pub effect: Option<PathEffect>,
    /// Share of flows that it says to fail, at least and at most.
    pub failed: Option<(f64, f64)>,
}

/// What must never be said after 0 s.
#[derive(Debug, Clone, PartialEq)]
pub struct Never {
    /// In words, for the report.
    pub text: String,
    /// Which verdicts.
    pub pattern: Pattern,
    /// Only those that name a hop which belongs to none of these; empty: whatever they name.
    pub outside: Vec<Place>,
    /// Only those that name hops of which none belongs to any of these; empty: whatever they name.
    pub without: Vec<Place>,
    /// Only those that are at least so sure, 0..=1: who says that it is a guess may err.
    pub sure: f64,
}

impl Scenario {
    /// Whether a fault takes processor time from nodes.
    pub fn starves_hosts(&self) -> bool {
        let takes = |kind: &FaultKind| {
            matches!(
                kind,
                FaultKind::Starve { .. } | FaultKind::Busy { .. } | FaultKind::Freeze(_)
            )
        };
        self.faults.iter().any(|fault| takes(&fault.kind))
    }

    /// Name of a node or router.
    pub fn name_of(&self, place: Place) -> &str {
        match place {
            Place::Node(node) => &self.nodes[node].id,
            Place::Router(router) => &self.routers[router].name,
        }
    }

    /// All nodes and routers, nodes first.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let nodes = (0..self.nodes.len()).map(Place::Node);
        nodes.chain((0..self.routers.len()).map(Place::Router))
    }

    /// A fault by its name.
    pub fn fault(&self, name: &str) -> Option<usize> {
        self.faults.iter().position(|fault| fault.name == name)
    }
}

/// Kinds of verdicts, as the API writes them.
pub const VERDICT_KINDS: &[(&str, VerdictKind)] = &[
    ("isolated", VerdictKind::Isolated),
    ("site_cut_off", VerdictKind::SiteCutOff),
    ("node_down", VerdictKind::NodeDown),
    ("path_fault", VerdictKind::PathFault),
    ("link_down", VerdictKind::LinkDown),
    ("link_partial", VerdictKind::LinkPartial),
    ("degraded", VerdictKind::Degraded),
    ("target_down", VerdictKind::TargetDown),
    ("heartbeat_missing", VerdictKind::HeartbeatMissing),
    ("id_conflict", VerdictKind::IdConflict),
    ("clock_skew", VerdictKind::ClockSkew),
    ("host_busy", VerdictKind::HostBusy),
];

/// States of links, as the API writes them.
pub const LINK_STATES: &[(&str, LinkState)] = &[
    ("up", LinkState::Up),
    ("partial", LinkState::Partial),
    ("degraded", LinkState::Degraded),
    ("down", LinkState::Down),
    ("unknown", LinkState::Unknown),
];

/// Effects of a path fault, as the API writes them.
pub const EFFECTS: &[(&str, PathEffect)] = &[
    ("blackhole", PathEffect::Blackhole),
    ("loss", PathEffect::Loss),
    ("latency", PathEffect::Latency),
    ("mtu", PathEffect::Mtu),
];
