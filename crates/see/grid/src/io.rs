//! What goes into the core and what comes out of it.

use crate::key::KeyRing;
use crate::row::RowIndex;
use crate::seal::SealCounters;
use crate::store::{StoreCounters, StoreLimits};
use andon_model::{
    Heartbeat, HostHealth, Identity, IncidentClaim, LinkReport, Neighbour, NodeId, NodeKey,
    PathReport, Peer, Remark, TargetSpec,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// A TCP connection that carries frames, by the shell's numbering; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Where a datagram came from or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// A datagram of its own.
    Udp(SocketAddr),
    /// A frame on a connection.
    Tcp(ConnectionId),
}

/// What a grid core needs to begin.
pub struct GridConfig {
    /// Seed of the node's Ed25519 key: its identity. Keep it across starts.
    pub signing_seed: [u8; 32],
    /// Keys of the grid.
    pub keys: KeyRing,
    /// Start of this life: microseconds UTC. Moved up by itself if the clock went back.
    pub epoch: u64,
    /// Randomness of the system, new at each start.
    pub random_seed: [u8; 32],
    /// What the store holds at most.
    pub limits: StoreLimits,
}

/// All that this node publishes.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnSlice {
    /// Who it is.
    pub identity: Identity,
    /// How its host fares.
    pub host: HostHealth,
    /// What it observes.
    pub links: BTreeMap<Peer, LinkReport>,
    /// Targets that it declares.
    pub targets: Vec<TargetSpec>,
    /// GridBug neighbours that it talks to.
    pub neighbours: Vec<Neighbour>,
    /// The ways that its flows take, one entry a link.
    pub paths: Vec<PathReport>,
    /// Incidents that it holds.
    pub incidents: Vec<IncidentClaim>,
    /// What was added to incidents here.
    pub remarks: Vec<Remark>,
    /// Heartbeats that it listens for.
    pub heartbeats: Vec<Heartbeat>,
    /// Access records, opaque here: at most 64, each of at most
    /// [`PAYLOAD_BYTES_MAX`](crate::row::PAYLOAD_BYTES_MAX) bytes. An empty one is none.
    pub access: Vec<Vec<u8>>,
}

impl OwnSlice {
    /// A slice that says who the node is and nothing else.
    pub fn of(identity: Identity) -> Self {
        Self {
            identity,
            host: HostHealth::default(),
            links: BTreeMap::new(),
            targets: Vec::new(),
            neighbours: Vec::new(),
            paths: Vec::new(),
            incidents: Vec::new(),
            remarks: Vec::new(),
            heartbeats: Vec::new(),
            access: Vec::new(),
        }
    }
}

/// What happened outside.
#[derive(Debug)]
pub enum GridInput {
    /// A datagram, or the content of a frame, that begins with the gossip's magic byte.
    Datagram {
        /// Its source.
        from: Endpoint,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// What this node has to say: all of it, as often as it likes. What did not change
    /// materially is not sent.
    Publish(Box<OwnSlice>),
    /// Configured seeds, resolved; replaces the former ones.
    Seeds(Vec<SocketAddr>),
    /// Addresses of nodes known from an earlier life; asked only while nobody else answers.
    Remembered(Vec<SocketAddr>),
    /// Configured *via* addresses; replaces the former ones.
    Via(BTreeMap<NodeId, SocketAddr>),
    /// Which nodes the probes reach; nodes not named are as they were before probing.
    Reachable(BTreeMap<NodeKey, bool>),
    /// Nodes that this one probes: a connection to them is worth opening where UDP is silent.
    Probed(BTreeSet<NodeKey>),
    /// Connections that carry probes: they are needed, even where gossip passes over UDP.
    Carrying(BTreeSet<ConnectionId>),
    /// A frame connection is open, either by [`GridOutput::Dial`] or by the far end.
    Connected {
        /// Its number.
        connection: ConnectionId,
        /// The far end; for a dialled one, the address of the `Dial`.
        remote: SocketAddr,
        /// This node opened it.
        dialled: bool,
    },
    /// A frame connection is closed.
    Disconnected {
        /// Its number.
        connection: ConnectionId,
    },
    /// The ring of keys changed.
    Keys(KeyRing),
    /// This node leaves the grid: say so, until [`Grid::has_left`](crate::Grid::has_left).
    Leave,
}

/// What to do outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GridOutput {
    /// Send a datagram or frame.
    Send {
        /// Where to.
        to: Endpoint,
        /// At most [`DATAGRAM_BYTES_MAX`](crate::DATAGRAM_BYTES_MAX).
        bytes: Vec<u8>,
    },
    /// The picture is another one.
    PictureChanged,
    /// Most peers see this node's UDP datagrams come from here.
    OutsideAddress(SocketAddr),
    /// UDP to this address stays silent: open a frame connection.
    Dial(SocketAddr),
    /// This connection is of no use any more.
    Close(ConnectionId),
    /// Something for the log or for people.
    Notice(GridNotice),
}

/// Something for the log or for people; each at most once a minute for the same subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GridNotice {
    /// Someone at this address uses the key of another grid.
    ForeignKey {
        /// Where its datagrams come from.
        from: Endpoint,
    },
    /// A seed has not answered.
    SeedSilent {
        /// Which.
        seed: SocketAddr,
        /// Since it was asked first.
        waited: Duration,
    },
    /// Several nodes that take part carry the same id.
    SameId {
        /// The id.
        id: NodeId,
        /// Who carries it.
        keys: Vec<NodeKey>,
    },
    /// Another process keeps publishing with this node's identity: a copied data directory.
    ClonedIdentity,
    /// Rows of this node from a later life came in: the clock went back. The epoch was moved up.
    ClockWentBack {
        /// The epoch that this life goes on with.
        epoch: u64,
    },
    /// A row is passed on but cannot be shown: malformed, an invalid name, or of a newer version.
    InvalidRow {
        /// Who wrote it.
        owner: NodeKey,
        /// Which row.
        index: RowIndex,
    },
    /// Something of the own slice is too large to publish.
    TooLarge {
        /// Entries left out since start.
        left_out: u64,
    },
    /// A node is known that was not.
    Joined {
        /// Which.
        key: NodeKey,
    },
    /// A node says that it left.
    Left {
        /// Which.
        key: NodeKey,
    },
    /// A limit of the store was reached: the picture is incomplete.
    StoreFull {
        /// Rows refused since start.
        refused: u64,
    },
}

/// How to reach a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// Addresses to try, best first: via, advertised, learned.
    pub addresses: Vec<SocketAddr>,
    /// The configured *via* address, where there is one.
    pub via: Option<SocketAddr>,
    /// A live frame connection.
    pub connection: Option<ConnectionId>,
    /// Whether gossip over UDP is answered; `None` until known.
    pub udp: Option<bool>,
    /// Where an answer over UDP came for last.
    pub confirmed: Option<SocketAddr>,
}

/// How often what happened, since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GridCounters {
    /// Of the seal.
    pub seal: SealCounters,
    /// Of the store.
    pub store: StoreCounters,
    /// Datagrams and frames sent.
    pub sent: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Datagrams and frames received, good or bad.
    pub received: u64,
    /// Bytes received, good or bad.
    pub received_bytes: u64,
    /// Opened, but no message inside.
    pub malformed: u64,
    /// Gossip rounds.
    pub rounds: u64,
    /// Rows pushed on at once.
    pub pushed_rows: u64,
    /// Rows not pushed since the byte budget was spent; anti-entropy brings them.
    pub push_deferred: u64,
    /// Outputs dropped since nobody fetched them.
    pub outputs_dropped: u64,
    /// Entries of the own slice left out since they were too large or too many.
    pub left_out: u64,
}
