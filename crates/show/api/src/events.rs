//! Where events go that come over the one port, and who answers questions about them.

use crate::copied::Copied;
use crate::nats::NatsFigures;
use andon_clickhouse::ClickHouse;
use andon_ingest::{Gate, HttpIntake};
use andon_model::{NodeState, NodeView, PictureView};
use andon_spool::Spool;
use andon_store::{Store, Tails};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Notify;

/// The label by which a node says that it keeps events. Set by the node itself.
pub const STORE_LABEL: &str = "andon.store";

/// What a node says about the events that it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// It keeps those of other nodes too.
    Keeper,
    /// It brings those of other nodes to ClickHouse.
    ClickHouse,
    /// It keeps its own while there is no keeper.
    Own,
}

impl Keeping {
    /// The label's value.
    pub fn word(self) -> &'static str {
        match self {
            Self::Keeper => "keeper",
            Self::ClickHouse => "clickhouse",
            Self::Own => "own",
        }
    }

    /// What a node of the picture says.
    pub fn of(node: &NodeView) -> Option<Self> {
        match node.labels.get(STORE_LABEL).map(String::as_str) {
            Some("keeper") => Some(Self::Keeper),
            Some("clickhouse") => Some(Self::ClickHouse),
            Some("own") => Some(Self::Own),
            _ => None,
        }
    }
}

/// Where a keeper takes what other nodes had queued.
pub const PARCELS_PATH: &str = "/api/v1/spool/parcels";

/// Where a keeper is told what it will never get.
pub const GAPS_PATH: &str = "/api/v1/spool/gaps";

/// What a keeper says to a node that tells it that it sends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduced {
    /// Which of its stores takes what is sent.
    pub store: String,
    /// When that was made, in microseconds since 1970.
    pub made_at_us: i64,
    /// To a keeper that has another store than when its copy here was begun: the datasets of the
    /// copy. What it had of them before is lost there.
    #[serde(default)]
    pub had: Vec<String>,
}

/// What a keeper says of parcels that were sent to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelsAnswer {
    /// So many of them, from the first on, are on its disk.
    pub kept: usize,
    /// The next one will never be taken, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The next one cannot be taken at present, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<String>,
}

/// Parcels as one body: the length of each before it.
pub fn join_parcels<'p>(parcels: impl Iterator<Item = &'p [u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    for parcel in parcels {
        let length = u32::try_from(parcel.len()).unwrap_or(u32::MAX);
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(parcel);
    }
    body
}

/// The parcels of a body; `None` if it is none.
pub(crate) fn split_parcels(mut body: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parcels = Vec::new();
    while !body.is_empty() {
        let (length, rest) = body.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (parcel, rest) = rest.split_at_checked(length)?;
        parcels.push(parcel);
        body = rest;
    }
    Some(parcels)
}

/// Other nodes that hold events, and take part in the grid at present or did a moment ago; of
/// those that left, the keepers, of which others may have copies.
pub fn others_with_events(view: &PictureView) -> Vec<&NodeView> {
    let others = view.nodes.iter().filter(|node| node.id != view.me);
    others
        .filter(|node| match Keeping::of(node) {
            Some(Keeping::Keeper) => true,
            Some(Keeping::Own) => node.state != NodeState::Left,
            Some(Keeping::ClickHouse) | None => false,
        })
        .collect()
}

/// Other nodes that ask ClickHouse, and can be asked themselves.
pub(crate) fn clickhouse_nodes(view: &PictureView) -> Vec<&NodeView> {
    let others = view.nodes.iter().filter(|node| node.id != view.me);
    others
        .filter(|node| Keeping::of(node) == Some(Keeping::ClickHouse))
        .filter(|node| !matches!(node.state, NodeState::Left | NodeState::Down))
        .collect()
}

/// What the API needs for events.
#[derive(Clone)]
pub struct EventSources {
    /// Takes requests that bring events.
    pub intake: HttpIntake,
    /// What all inputs of the node pass; its counters are in `/metrics`.
    pub gate: Arc<Gate>,
    /// The node's own store, where it keeps events.
    pub store: Option<Arc<Store>>,
    /// What waits for a keeper, where this node may send it to one.
    pub spool: Option<Arc<Spool>>,
    /// Told when something is put into the spool.
    pub news: Arc<Notify>,
    /// Copies of what other keepers answer for, at a keeper.
    pub copied: Option<Arc<Copied>>,
    /// Events as they are taken in, where no store shows them.
    pub tails: Option<Arc<Tails>>,
    /// Asked instead of stores, where one machine is outgrown.
    pub clickhouse: Option<Arc<ClickHouse>>,
    /// What goes over NATS, where it is configured.
    pub nats: Option<Arc<NatsFigures>>,
    /// Whoever is on this machine may send events without a token.
    pub loopback_may_send: bool,
}
