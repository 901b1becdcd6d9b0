//! Where events go that come over the one port, and who answers questions about them.

use andon_clickhouse::ClickHouse;
use andon_ingest::{Gate, HttpIntake};
use andon_model::{NodeState, NodeView, PictureView};
use andon_store::Store;
use std::sync::Arc;

/// The label by which a node says that it keeps events. Set by the node itself.
pub const STORE_LABEL: &str = "andon.store";

/// What a node says about the events that it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// It keeps those of other nodes too.
    Keeper,
    /// It keeps its own while there is no keeper.
    Own,
}

impl Keeping {
    /// The label's value.
    pub fn word(self) -> &'static str {
        match self {
            Self::Keeper => "keeper",
            Self::Own => "own",
        }
    }

    /// What a node of the picture says.
    pub fn of(node: &NodeView) -> Option<Self> {
        match node.labels.get(STORE_LABEL).map(String::as_str) {
            Some("keeper") => Some(Self::Keeper),
            Some("own") => Some(Self::Own),
            _ => None,
        }
    }
}

/// Other nodes that hold events, and take part in the grid at present or did a moment ago.
pub fn others_with_events(view: &PictureView) -> Vec<&NodeView> {
    let others = view.nodes.iter().filter(|node| node.id != view.me);
    others
        .filter(|node| Keeping::of(node).is_some() && node.state != NodeState::Left)
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
    /// Asked instead of stores, where one machine is outgrown.
    pub clickhouse: Option<Arc<ClickHouse>>,
    /// Whoever is on this machine may send events without a token.
    pub loopback_may_send: bool,
}
