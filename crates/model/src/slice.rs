//! What one node publishes; only its owner writes it.

use crate::heartbeat::Heartbeat;
use crate::id::{NodeId, NodeKey, SiteId, TargetId};
use crate::incident::{IncidentClaim, Remark};
use crate::link::LinkReports;
use crate::path::PathReport;
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Whether a node takes part.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, Default,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Presence {
    /// Takes part.
    #[n(0)]
    #[default]
    Here,
    /// Left on purpose; to be shown as *left*, never as *down*.
    #[n(1)]
    Left,
}

/// How others can reach a node.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, Default,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Reach {
    /// At its addresses, over UDP and TCP.
    #[n(0)]
    #[default]
    Open,
    /// At its addresses, over TCP alone.
    #[n(1)]
    TcpOnly,
    /// Only through the connections that it opens itself.
    #[n(2)]
    Outbound,
}

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Identity {
    /// What people call it.
    #[n(0)]
    pub id: NodeId,
    /// Where it stands.
    #[n(1)]
    pub site: SiteId,
    /// Free key-values.
    #[n(2)]
    #[cbor(default)]
    pub labels: BTreeMap<String, String>,
    /// Version of the program.
    #[n(3)]
    #[cbor(default)]
    pub version: String,
    /// When the process started, by its own clock.
    #[n(4)]
    pub started_at: Timestamp,
    /// Where others reach it, best first; port of gossip, probes, API and console alike.
    #[n(5)]
    #[cbor(default)]
    pub addresses: Vec<SocketAddr>,
    /// SHA-256 of its TLS certificate (DER).
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    pub fingerprint: [u8; 32],
    /// Here or left.
    #[n(7)]
    #[cbor(default)]
    pub presence: Presence,
    /// How others can reach it.
    #[n(8)]
    #[cbor(default)]
    pub reach: Reach,
}

/// How the host itself fares, so that a busy host is never drawn as a bad network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, Default)]
#[cbor(map)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct HostHealth {
    /// How late the prober was woken lately (99th percentile), quantised, microseconds.
    #[n(0)]
    pub scheduling_delay_us_p99: u32,
    /// So late that its latency figures are not to be trusted.
    #[n(1)]
    pub busy: bool,
}

/// From here on a host misses more than time. Probes wait 400 ms and more for their answers, and
/// an answer read late takes the loss back: a host less late loses nothing that reached it.
const MISSES_FROM_US: u32 = 250_000;

impl HostHealth {
    /// So late that its losses are not to be trusted either.
    pub fn misses_answers(&self) -> bool {
        self.busy && self.scheduling_delay_us_p99 >= MISSES_FROM_US
    }
}

/// How a target is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case", tag = "probe")]
pub enum ProbeKind {
    /// ICMP echo to a host.
    #[n(0)]
    Icmp,
    /// TCP connect to host:port.
    #[n(1)]
    Tcp,
    /// HTTP(S) GET.
    #[n(2)]
    Http {
        /// Status that counts as good, e.g. `200` or `200-399`.
        #[n(0)]
        #[serde(default)]
        status: Option<String>,
        /// Text that the body must hold.
        #[n(1)]
        #[serde(default)]
        body: Option<String>,
    },
    /// TLS handshake; certificate chain and expiry.
    #[n(3)]
    Tls {
        /// Days of validity left below which the link is degraded.
        #[n(0)]
        #[serde(default)]
        expiry_days: Option<u16>,
    },
    /// DNS query for the address's name.
    #[n(4)]
    Dns {
        /// Server to ask, host:port; `None` asks the system's resolver.
        #[n(0)]
        #[serde(default)]
        server: Option<String>,
        /// Record type, default A.
        #[n(1)]
        #[serde(default)]
        record: Option<String>,
        /// Text that an answer must hold.
        #[n(2)]
        #[serde(default)]
        expect: Option<String>,
    },
    /// STAMP reflector (a router's own), unauthenticated mode.
    #[n(5)]
    Stamp,
}

/// A target and who probes it. Declared in one node's configuration, known to all.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TargetSpec {
    /// Its name.
    #[n(0)]
    pub id: TargetId,
    /// URL, host:port, host or DNS name, by kind of probe.
    #[n(1)]
    pub address: String,
    /// How it is asked.
    #[n(2)]
    pub probe: ProbeKind,
    /// Nodes that ask; with `from_sites` empty too, the declaring node alone asks.
    #[n(3)]
    #[cbor(default)]
    pub from_nodes: Vec<NodeId>,
    /// Sites all of whose nodes ask.
    #[n(4)]
    #[cbor(default)]
    pub from_sites: Vec<SiteId>,
    /// Milliseconds between questions.
    #[n(5)]
    pub interval_ms: u32,
    /// Milliseconds until a question counts as lost.
    #[n(6)]
    pub timeout_ms: u32,
}

/// A GridBug node, as one of ours sees it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Neighbour {
    /// Its host:port, as it names itself.
    #[n(0)]
    pub host: String,
    /// Its id; plain text of at most 64 bytes, not a checked name.
    #[n(1)]
    pub id: String,
    /// Whether it answers our calls; `None` until asked.
    #[n(2)]
    pub alive: Option<bool>,
    /// Its reported build.
    #[n(3)]
    #[cbor(default)]
    pub build: String,
    /// Since when `alive` holds.
    #[n(4)]
    pub since: Timestamp,
    /// Time of its last answer to a ping, microseconds.
    #[n(5)]
    pub rtt_us: Option<u32>,
    /// What it reports of others: their id, and whether it reaches them.
    #[n(6)]
    #[cbor(default)]
    pub sees: BTreeMap<String, Option<bool>>,
}

/// All that one node publishes.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// Its Ed25519 public key; [`NodeKey`] is its head.
    pub public_key: [u8; 32],
    /// Start of this life of the node; a later life outranks an earlier one.
    pub epoch: u64,
    /// Highest version of any row, within the epoch.
    pub version: u64,
    /// Who it is.
    pub identity: Identity,
    /// How its host fares.
    pub host: HostHealth,
    /// What it observes.
    pub links: LinkReports,
    /// Targets that it declares.
    pub targets: Vec<TargetSpec>,
    /// GridBug neighbours that it talks to.
    pub neighbours: Vec<Neighbour>,
    /// The ways that its flows take, by where they lead; not for every link.
    pub paths: Vec<PathReport>,
    /// Incidents that it holds open or has lately closed.
    pub incidents: Vec<IncidentClaim>,
    /// What people and notifiers added to incidents at this node, oldest first.
    pub remarks: Vec<Remark>,
    /// Heartbeats that it listens for, by name.
    pub heartbeats: Vec<Heartbeat>,
}

impl Slice {
    /// Who published it.
    pub fn key(&self) -> NodeKey {
        NodeKey::of(&self.public_key)
    }
}
