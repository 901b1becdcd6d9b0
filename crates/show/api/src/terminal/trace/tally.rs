//! What rounds of traces add up to: by flow and distance, who answered, how often and how fast.
//! Pure: documents in, figures out.

use crate::trace::{TraceDocument, TraceFlow, TraceFlowState, TraceHop, TraceHopKind};
use std::collections::{BTreeMap, VecDeque};

/// Distances kept; no path on earth is longer, whatever a document says.
const HOPS_MAX: usize = 64;
/// Flows kept; a trace has as many.
const FLOWS_MAX: usize = 64;
/// Addresses kept of one hop.
const ADDRESSES_MAX: usize = 8;
/// Round trips kept of one hop of one flow, the newest: four minutes of rounds.
const SAMPLES_MAX: usize = 128;

/// All rounds so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many.
    pub rounds: u32,
    /// The document of the last.
    pub newest: Option<Head>,
    /// By source port; those of the last round.
    pub flows: BTreeMap<u16, FlowTally>,
}

/// Who traced what, when.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Id of the tracing node.
    pub from: String,
    /// What was asked for.
    pub to: String,
    /// What was traced to.
    pub address: String,
    /// Start of the round.
    pub at: andon_model::Timestamp,
}

/// One flow over all rounds.
#[derive(Debug, Default)]
pub struct FlowTally {
    /// As of the last round.
    pub state: TraceFlowState,
    /// The last round came through.
    pub reached: bool,
    /// By distance, the nearest first.
    pub hops: Vec<HopTally>,
    /// How many of `hops` are its way now: all if it came through, else up to the farthest
    /// that answered since it last did.
    pub length: usize,
}

/// One distance of one flow over all rounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HopTally {
    /// Who answers; none yet where nobody ever did.
    pub addresses: Vec<String>,
    /// Packets sent with this distance.
    pub sent: u64,
    /// Of these, answered.
    pub answered: u64,
    /// Round trips by round, microseconds.
    pub rtts_us: VecDeque<u32>,
    /// The last answer said that packets are not passed on.
    pub unreachable: bool,
    /// MPLS labels of the last answer, as text.
    pub mpls: Vec<String>,
    /// Several routers speak with this address.
    pub nat: bool,
}

impl Tally {
    /// Adds a round.
    pub fn add(&mut self, document: &TraceDocument) {
        self.rounds += 1;
        self.newest = Some(Head {
            from: document.from.clone(),
            to: document.to.clone(),
            address: document.address.clone(),
            at: document.started_at,
        });
        // Source ports rotate: those that are gone would be shown as they were.
        let flows = || document.flows.iter().take(FLOWS_MAX);
        self.flows
            .retain(|port, _| flows().any(|flow| flow.port == *port));
        for flow in flows() {
            self.flows.entry(flow.port).or_default().add(flow);
        }
    }
}

impl FlowTally {
    fn add(&mut self, flow: &TraceFlow) {
        let was_reached = self.reached;
        (self.state, self.reached) = (flow.state, flow.reached);
        let mut farthest = 0;
        for hop in &flow.hops {
            let place = usize::from(hop.ttl);
            if place == 0 || place > HOPS_MAX {
                continue;
            }
            if self.hops.len() < place {
                self.hops.resize_with(place, HopTally::default);
            }
            self.hops[place - 1].add(hop);
            if !hop.addresses.is_empty() {
                farthest = farthest.max(place);
            }
        }
        // Routers answer sparingly: what answered in an earlier round is still on the way,
        // unless the flow came through since and so showed another length.
        self.length = match (flow.reached, was_reached) {
            (true, _) | (false, true) => farthest,
            (false, false) => self.length.max(farthest),
        };
        if flow.reached {
            self.hops.truncate(self.length);
        }
    }
}

impl HopTally {
    fn add(&mut self, hop: &TraceHop) {
        let mut addresses: Vec<String> =
            hop.addresses.iter().take(ADDRESSES_MAX).cloned().collect();
        addresses.sort_by_cached_key(|address| {
            (address.parse::<std::net::IpAddr>().ok(), address.clone())
        });
        if !addresses.is_empty() && addresses != self.addresses {
            if hop.kind == TraceHopKind::Several {
                // Balanced by packet: each round meets some of them.
                addresses.extend(self.addresses.iter().cloned());
                addresses.sort_by_cached_key(|address| {
                    (address.parse::<std::net::IpAddr>().ok(), address.clone())
                });
                addresses.dedup();
                addresses.truncate(ADDRESSES_MAX);
            } else if !self.addresses.is_empty() {
                // The way has changed: figures of another router are of no use.
                *self = Self::default();
            }
            self.addresses = addresses;
        }
        self.sent += u64::from(hop.sent);
        self.answered += u64::from(hop.answered.min(hop.sent));
        if let Some(rtt_us) = hop.rtt_us {
            if self.rtts_us.len() == SAMPLES_MAX {
                self.rtts_us.pop_front();
            }
            self.rtts_us.push_back(rtt_us);
        }
        if !hop.addresses.is_empty() {
            self.unreachable = hop.kind == TraceHopKind::Unreachable;
            self.nat = hop.nat;
            self.mpls = hop.mpls.iter().take(4).map(label).collect();
        }
    }
}

/// The label's number; of a form that is not known the whole of it, short.
fn label(mpls: &serde_json::Value) -> String {
    let number = mpls.get("label").unwrap_or(mpls);
    number.to_string().chars().take(16).collect()
}
