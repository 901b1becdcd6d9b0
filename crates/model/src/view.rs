//! The picture as people and programs read it: nodes, links and verdicts by name. This is
//! the document of `GET /api/v1/picture`, and its field names are a promise.

use crate::id::{NodeKey, SiteId};
use crate::link::{FlowCount, Heard, LinkReason, LinkState, LossPair, RttUs, Transport};
use crate::picture::PictureDigest;
use crate::slice::{HostHealth, Reach};
use crate::time::Timestamp;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a box on the map stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum NodeKind {
    /// A node of this grid.
    Andon,
    /// A GridBug neighbour.
    GridBug,
    /// A probed target.
    Target,
}

/// State of a node, from what the others observe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum NodeState {
    /// Reached.
    Up,
    /// Some observers reach it and some do not, or too little is known yet.
    Suspect,
    /// Nobody reaches it.
    Down,
    /// Left on purpose.
    Left,
}

/// Where a node stands on the map: both in 0..=1, the same on every node.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Position {
    /// From the left.
    pub x: f32,
    /// From the top.
    pub y: f32,
}

/// A node, neighbour or target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NodeView {
    /// Unique within the document: the node's id, with `~` and the head of its key appended
    /// where an earlier node holds the same id.
    pub id: String,
    /// Head of its Ed25519 public key, hex; `None` for what is no node of the grid.
    pub key: Option<NodeKey>,
    /// Where it stands; `None` for a target or neighbour of no known site.
    pub site: Option<SiteId>,
    /// What it is.
    pub kind: NodeKind,
    /// What the others say of it.
    pub state: NodeState,
    /// Since when the state holds.
    pub since: Option<Timestamp>,
    /// Where it is reached, best first.
    pub addresses: Vec<String>,
    /// Free key-values.
    pub labels: BTreeMap<String, String>,
    /// Version of its program.
    pub version: Option<String>,
    /// When it started, by its own clock.
    pub started_at: Option<Timestamp>,
    /// How others reach it.
    pub reach: Option<Reach>,
    /// How its host fares.
    pub host: Option<HostHealth>,
    /// Its clock minus the others' (median of what observers measure), microseconds, where bad.
    pub clock_offset_us: Option<i64>,
    /// SHA-256 of its certificate, hex.
    pub fingerprint: Option<String>,
    /// Where it stands on the map.
    pub position: Option<Position>,
}

/// The id of a node or target, shared by all links that name it: a thousand nodes have
/// sixty thousand links.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String))]
pub struct Name(Arc<str>);

impl Name {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&String> for Name {
    fn from(text: &String) -> Self {
        Self(text.as_str().into())
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<Name> for String {
    fn eq(&self, other: &Name) -> bool {
        **self == *other.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// A directed link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LinkView {
    /// Id of the observer.
    pub from: Name,
    /// Id of the node or target observed.
    pub to: Name,
    /// State in this direction, from the evidence of both ends.
    pub state: LinkState,
    /// Why, where it is not up.
    pub reason: Option<LinkReason>,
    /// What the observer's own round trips say, where the direction's state differs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub round_trip: Option<LinkState>,
    /// What carries the probes.
    pub transport: Option<Transport>,
    /// Flows that answer.
    pub flows: FlowCount,
    /// Loss each way, 0..=1; `null` where not measured.
    pub loss: LossPair,
    /// Round-trip time, microseconds; `null` where not measured.
    pub rtt_us: RttUs,
    /// The usual median of this link, microseconds.
    pub rtt_baseline_us: Option<u32>,
    /// Whether the far node's probes arrive at the observer.
    pub heard: Heard,
    /// Since when the state holds.
    pub since: Option<Timestamp>,
    /// Through a *via* address.
    pub via: bool,
    /// What a target answered, in words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<Box<str>>,
}

/// The picture with its verdicts, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PictureView {
    /// Equal on nodes that agree.
    pub digest: PictureDigest,
    /// When this document was derived, by the answering node's clock.
    pub generated_at: Timestamp,
    /// Id of the answering node.
    pub me: String,
    /// By site, then id.
    pub nodes: Vec<NodeView>,
    /// By `from`, then `to`.
    pub links: Vec<LinkView>,
    /// Worst first.
    pub verdicts: Vec<Verdict>,
}
