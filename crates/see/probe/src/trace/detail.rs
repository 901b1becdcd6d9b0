//! A trace as people and the API see it. Its JSON names are a promise.

use super::icmp::MplsLabel;
use andon_model::Timestamp;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};

/// The fan of ways to one address. Who asked adds the names of both ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceDetail {
    /// What was traced to.
    pub address: SocketAddr,
    /// When, by our clock.
    pub started_at: Timestamp,
    /// By flow, in the order of their indexes.
    pub flows: Vec<TraceFlow>,
}

/// Whether a flow answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceState {
    /// It does.
    Alive,
    /// It does not.
    Dead,
    /// Too little is known: many hosts answer no packet to a closed port.
    #[default]
    Unknown,
}

/// One flow's way.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TraceFlow {
    /// Its source port.
    pub port: u16,
    /// Whether it answers.
    pub state: TraceState,
    /// Packets of this trace that were meant for the far end itself.
    pub sent: u32,
    /// Of these, answered.
    pub answered: u32,
    /// The trace came through to the far end.
    pub reached: bool,
    /// By distance, without gaps, the far end last where it was reached; at most 32.
    pub hops: Vec<TraceHop>,
}

/// What was met at one distance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TraceHop {
    /// The distance.
    pub ttl: u8,
    /// Who answered, in the order of addresses.
    pub addresses: Vec<IpAddr>,
    /// What kind of answer.
    pub kind: HopKind,
    /// Median round trip, microseconds.
    pub rtt_us: Option<u32>,
    /// Packets sent with this distance. None where the hop is told from the last complete
    /// trace, since a farther one answered in this.
    pub sent: u32,
    /// Of these, answered.
    pub answered: u32,
    /// Labels that the answer quotes.
    pub mpls: Vec<MplsLabel>,
    /// What makes the answer that of this distance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<Matched>,
    /// Visible address translation: several routers speak with this one address.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nat: bool,
}

/// What kind of answer came from one distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HopKind {
    /// One address answers.
    Answered,
    /// Nobody does.
    #[default]
    Silent,
    /// Several addresses answer packets of the one flow: it is balanced by packet.
    Several,
    /// A router says that it cannot pass the packet on.
    Unreachable,
}

/// How an answer was matched to the packet that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Matched {
    /// The router quotes too little of the packet; no other of this flow was in flight.
    Alone,
    /// The router quotes the packet's own number.
    Quote,
}
