//! The answer to a request for traces: the ways of several flows to one address, hop by hop.
//! Its field names are a promise.

use andon_model::Timestamp;
use serde::{Deserialize, Serialize};

/// The ways of some flows from a node to an address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TraceDocument {
    /// Id of the node that traced.
    pub from: String,
    /// What was asked for: a node, a target, a host or an address.
    pub to: String,
    /// The address that was traced to.
    pub address: String,
    /// When, by the tracing node's clock.
    #[schema(value_type = String)]
    pub started_at: Timestamp,
    /// By flow.
    pub flows: Vec<TraceFlow>,
}

/// One flow and its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TraceFlow {
    /// Its source port.
    pub port: u16,
    /// How its probes fare.
    pub state: TraceFlowState,
    /// Packets sent to the far end itself.
    #[serde(default)]
    pub sent: u32,
    /// Of these, answered.
    #[serde(default)]
    pub answered: u32,
    /// The trace came through to the far end.
    #[serde(default)]
    pub reached: bool,
    /// By distance.
    #[serde(default)]
    pub hops: Vec<TraceHop>,
}

/// How a flow fares.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TraceFlowState {
    /// Its probes are answered.
    Alive,
    /// They are not.
    Dead,
    /// Too little is known, or it carries no probes.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What was met at one distance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TraceHop {
    /// Distance.
    pub ttl: u8,
    /// Who answered; several where a router balances by packet, none where nobody did.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// What kind of answer it was.
    #[serde(default)]
    pub kind: TraceHopKind,
    /// Median round trip, microseconds.
    #[serde(default)]
    pub rtt_us: Option<u32>,
    /// Packets sent with this distance.
    #[serde(default)]
    pub sent: u32,
    /// Of these, answered.
    #[serde(default)]
    pub answered: u32,
    /// MPLS labels that the answer quotes (RFC 4950).
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub mpls: Vec<serde_json::Value>,
    /// What ties the answer to this distance, where less than usual does: `alone` (no other
    /// packet of the flow was on its way), `quote` (the answer quotes the packet's number).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<String>,
    /// Visible address translation: several routers speak with this one address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nat: bool,
}

/// What kind of answer came from one distance.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TraceHopKind {
    /// One address says that the packet's time ran out there, or it is the far end.
    Answered,
    /// Nobody says anything, which many routers do by choice.
    Silent,
    /// Several addresses answer packets of one flow.
    Several,
    /// A router says that it cannot pass the packet on.
    Unreachable,
    /// A kind that a newer node knows.
    #[default]
    #[serde(other)]
    Other,
}
