//! What the node hands to the API, and what the API asks of the node.

use crate::access::Access;
use crate::audit::AuditLog;
use crate::events::EventSources;
use crate::identity::TlsIdentity;
use andon_model::{Incident, PictureView, RemarkKind};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};

/// Connections held by default. Each idle one costs some kilobytes; doubled, ten thousand
/// idle clients would double what they can make a node spend, and help nobody.
pub const CONNECTIONS_MAX_DEFAULT: usize = 1024;

/// How this node presents itself, and whom it lets in.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Id of this node, as in `PictureView::me`.
    pub id: String,
    /// Its site.
    pub site: String,
    /// Version of the program.
    pub version: String,
    /// Host names under which people reach this node, besides its addresses; without port.
    pub allowed_hosts: Vec<String>,
    /// A loopback client without credentials is a viewer.
    pub loopback_viewer: bool,
    /// Where the demo's control listens (loopback); `None` outside the demo.
    pub demo_control: Option<SocketAddr>,
    /// The node has seeds, so it is ready only once it has met a peer.
    pub has_seeds: bool,
    /// Most connections held at once; the idlest gives way to the newest.
    pub connections_max: usize,
}

/// Where the API reads from and writes to.
pub struct Sources {
    /// The one TCP port, bound by the caller.
    pub listener: std::net::TcpListener,
    /// Takes connections that began with 0xA7 (the byte is consumed). A full channel drops
    /// the connection and counts it.
    pub frames: mpsc::Sender<(TcpStream, SocketAddr)>,
    /// The picture, judged and placed.
    pub view: watch::Receiver<Arc<PictureView>>,
    /// Incidents, open ones first, newest first.
    pub incidents: watch::Receiver<Arc<Vec<Incident>>>,
    /// Counters of the other parts of the node, for `/metrics`.
    pub stats: watch::Receiver<Arc<NodeStats>>,
    /// Questions to the node.
    pub commands: mpsc::Sender<ApiCommand>,
    /// Certificate and key of this node.
    pub identity: TlsIdentity,
    /// Tokens, sessions, one-time links.
    pub access: Arc<Access>,
    /// Where changes are recorded.
    pub audit: Arc<AuditLog>,
    /// Answers GridBug's calls, where the neighbourhood is configured.
    pub gridbug: Option<GridBugHandler>,
    /// What was; `None` where no history is kept.
    pub history: Option<andon_history::Reader>,
    /// Events: where they go, and where they are kept; `None` takes and answers none.
    pub events: Option<EventSources>,
}

/// A question to the node.
#[derive(Debug)]
pub enum ApiCommand {
    /// Everything known of this node's own link to `to`: flows, recent samples.
    LinkDetail {
        /// Id of the far end, as in `LinkView::to`.
        to: String,
        /// The document; `None` if there is no such link.
        reply: oneshot::Sender<Option<serde_json::Value>>,
    },
    /// Trace the ways from this node to a node, a target, a host or an address.
    Trace {
        /// Node id, target id, host or address.
        to: String,
        /// Flows to trace, 1..=[`TRACE_FLOWS_MAX`].
        flows: u16,
        /// The trace document (`from`, `to`, `address`, `started_at`, `flows`), or why there
        /// is none, in words.
        reply: oneshot::Sender<Result<serde_json::Value, String>>,
    },
    /// Put a remark on an incident; it travels in the grid.
    Remark {
        /// The incident, by any of its ids.
        incident: String,
        /// Who says so.
        who: String,
        /// What.
        what: RemarkKind,
        /// Done, or why not, in words: no such incident, or too many remarks.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Where the grid reaches another node at present.
    Addresses {
        /// Id of the node, as in `NodeView::id`.
        of: String,
        /// Addresses in use, best first; empty where only the other side opens connections,
        /// or where the node is not known.
        reply: oneshot::Sender<Vec<SocketAddr>>,
    },
}

/// Most flows of one trace: as many as a burst probes.
pub const TRACE_FLOWS_MAX: u16 = 64;

/// Whether a figure only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatKind {
    /// Only grows while the process lives; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One figure of the node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stat {
    /// What it counts, one sentence.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: StatKind,
    /// In base units (seconds, bytes).
    pub value: f64,
}

/// Figures of the other parts of the node, by metric name (`andon_gossip_packets_total`),
/// labels included where there are any (`andon_gossip_packets_total{direction="in"}`).
pub type NodeStats = BTreeMap<&'static str, Stat>;

/// A call of GridBug's protocol.
#[derive(Debug, Clone)]
pub struct GridBugRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// Path without query, e.g. `/bugs`.
    pub path: String,
    /// Value of the `key` header, at most 256 bytes of visible ASCII.
    pub key_header: Option<String>,
    /// At most [`crate::sources::BODY_BYTES_MAX`] bytes.
    pub body: Bytes,
    /// Who calls.
    pub remote: SocketAddr,
}

/// The answer to a [`GridBugRequest`].
#[derive(Debug, Clone)]
pub struct GridBugAnswer {
    /// HTTP status.
    pub status: u16,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub body: Bytes,
}

/// Answers GridBug's calls; must not block.
pub type GridBugHandler = Arc<dyn Fn(GridBugRequest) -> GridBugAnswer + Send + Sync>;

/// Longest request body. A GridBug view of some hundred bugs fits; nothing else comes near.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
