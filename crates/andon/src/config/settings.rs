//! What a node runs with, after flags, environment and file have been merged and checked.

pub use super::history::HistorySettings;
pub use super::ingest::IngestSettings;
pub use super::store::{Copies, Keep, StoreSettings};
use andon_grid::GridKey;
use andon_model::{NodeId, SiteId, TargetSpec};
use andon_notify::Plan;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a node says where it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advertise {
    /// Learned from what its peers see.
    Auto,
    /// Nobody reaches it from outside; it takes part through connections that it opens.
    None,
    /// These addresses, best first.
    At(Vec<SocketAddr>),
}

/// Where the first peers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seed {
    /// `host:port`; a DNS name means all of its addresses, a name `_service._proto.name` its SRV records.
    HostPort(String),
    /// A file with one `host:port` a line.
    File(PathBuf),
    /// The same, fetched from an `http://` or `https://` URL.
    Url(String),
}

/// How links are probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Time in which every flow of a link is probed once.
    pub round: Duration,
    /// Flows (source ports) per link.
    pub flows: u16,
    /// Most probe packets a second that this node sends, whatever the size of the grid.
    pub budget_pps: u32,
}

/// GridBug neighbourhood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridBugSettings {
    /// Their shared GRIDKEY.
    pub key: String,
    /// First neighbours, `host:port`.
    pub seeds: Vec<String>,
    /// Time between polls of a neighbour.
    pub poll: Duration,
}

/// Everything that `andon node` runs with.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// What people call this node.
    pub id: NodeId,
    /// Where it stands.
    pub site: SiteId,
    /// Free key-values.
    pub labels: BTreeMap<String, String>,
    /// The one port, UDP and TCP.
    pub listen: SocketAddr,
    /// How others reach it.
    pub advertise: Advertise,
    /// First peers.
    pub seeds: Vec<Seed>,
    /// Grid keys: the first seals, all open.
    pub keys: Vec<GridKey>,
    /// Identity, last known peers, tokens, audit log.
    pub data_dir: PathBuf,
    /// Reach these peers at another address (NAT, port-forward, tunnel).
    pub via: BTreeMap<NodeId, SocketAddr>,
    /// Link probing.
    pub probe: ProbeSettings,
    /// Targets that this node declares.
    pub targets: Vec<TargetSpec>,
    /// What it keeps of what it showed.
    pub history: HistorySettings,
    /// Whether and how it keeps events.
    pub store: StoreSettings,
    /// How events wait for a keeper.
    pub spool: andon_spool::Options,
    /// Brings them there, or takes what others brought, where it is configured.
    pub nats: Option<andon_nats::Settings>,
    /// What it takes in.
    pub ingest: IngestSettings,
    /// Whom to tell of incidents.
    pub notify: Plan,
    /// GridBug neighbourhood, off by default.
    pub gridbug: Option<GridBugSettings>,
    /// Host names under which people reach the console, besides the node's addresses.
    pub allowed_hosts: Vec<String>,
    /// A loopback client is a viewer without a token.
    pub loopback_viewer: bool,
    /// Where the demo's control listens; only the demo sets it.
    pub demo_control: Option<SocketAddr>,
}
