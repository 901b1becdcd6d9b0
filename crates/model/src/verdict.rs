//! A judgement derived from the picture, as a sentence with its evidence.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum VerdictKind {
    /// This node reaches nobody: the fault is most likely its own.
    Isolated,
    /// No node of a site is reached from outside it.
    SiteCutOff,
    /// Nobody reaches a node.
    NodeDown,
    /// A hop, or the stretch between two, loses or delays what passes it.
    PathFault,
    /// A link carries nothing, in one direction or both.
    LinkDown,
    /// Some flows of a link pass and some do not.
    LinkPartial,
    /// A link loses or delays more than is usual for it.
    Degraded,
    /// A target does not answer, or answers wrongly.
    TargetDown,
    /// A job that should be heard of every so often is not.
    HeartbeatMissing,
    /// Two nodes carry the same id.
    IdConflict,
    /// A node's clock is far from the others'.
    ClockSkew,
    /// A host is too busy for its figures to be trusted.
    HostBusy,
}

/// One observation that a verdict rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Evidence {
    /// Id of the node that observed it.
    pub observer: String,
    /// What it observed, in words.
    pub observation: String,
    /// Speaks for the verdict (`true`) or against it.
    pub supports: bool,
    /// Since when, by the observer's clock.
    pub since: Option<Timestamp>,
}

/// What a faulty hop does to what passes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum PathEffect {
    /// Nothing passes.
    Blackhole,
    /// A share is lost.
    Loss,
    /// It takes longer.
    Latency,
    /// Small packets pass, large ones do not.
    Mtu,
}

/// Flows that fail, of those that are probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FlowHits {
    /// Flows that fail.
    pub failed: u32,
    /// Flows probed on the links that are hit.
    pub total: u32,
}

/// A judgement derived from the picture. Same picture, same verdict, on every node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Verdict {
    /// Stable while the same thing is wrong: kind and subject.
    pub id: String,
    /// What is wrong.
    pub kind: VerdictKind,
    /// What it is about: a node id, a site, or `from→to`.
    pub subject: String,
    /// For people: what is wrong, where, and how one can tell.
    pub sentence: String,
    /// 0..=1: how sure, from how many observers agree and how many could.
    pub confidence: f32,
    /// Observations for and against.
    pub evidence: Vec<Evidence>,
    /// Earliest observation of it.
    pub since: Timestamp,
    /// Where the verdict is about a link or a direction.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// Where the verdict is about a link or a direction.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<String>,
    /// Addresses of the hops that the evidence cannot tell apart as the guilty one, nearest
    /// first: one hop, the two ends of a stretch, or a larger set.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hops: Vec<String>,
    /// What the guilty hop does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub effect: Option<PathEffect>,
    /// Flows hit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub flows: Option<FlowHits>,
    /// Links hit, as `from→to`; at most 200, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub links: Vec<String>,
    /// Targets and services hit; sorted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub services: Vec<String>,
}

impl VerdictKind {
    /// Something is wrong that somebody should mend; the others are remarks on the picture.
    pub fn is_fault(self) -> bool {
        !matches!(self, VerdictKind::ClockSkew | VerdictKind::HostBusy)
    }
}
