//! Verdicts that belong together, as one thing that people work on; and what of it travels
//! in the grid.

use crate::time::Timestamp;
use crate::verdict::{FlowHits, Verdict};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Longest incident id, bytes.
pub const INCIDENT_ID_BYTES_MAX: usize = 32;
/// Longest cause, bytes.
pub const CAUSE_BYTES_MAX: usize = 200;
/// Causes named in one claim at most.
pub const CAUSES_MAX: usize = 32;
/// Longest title in a claim, bytes.
pub const TITLE_BYTES_MAX: usize = 240;
/// Longest note, bytes. A row holds one.
pub const NOTE_BYTES_MAX: usize = 800;
/// Longest name of a person or token, bytes.
pub const WHO_BYTES_MAX: usize = 64;

/// How far an incident is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum IncidentState {
    /// Its verdicts stand.
    #[n(0)]
    Open,
    /// Its verdicts are gone, or somebody said so; it may come back.
    #[n(1)]
    Mitigated,
    /// Gone for the whole hold time, or closed by somebody.
    #[n(2)]
    Resolved,
}

/// How much it matters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Severity {
    /// Worth knowing: a remark, slight loss.
    #[n(0)]
    Minor,
    /// Something that others rely on fails in part.
    #[n(1)]
    Major,
    /// A node, site or service is gone.
    #[n(2)]
    Critical,
}

/// What an incident hits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BlastRadius {
    /// Ids of nodes that are down, cut off or at an end of a link hit; sorted.
    pub nodes: Vec<String>,
    /// Their sites; sorted.
    pub sites: Vec<String>,
    /// Links hit, as `from→to`; sorted, at most 200.
    pub links: Vec<String>,
    /// How many links are hit in all.
    pub links_total: u32,
    /// Targets and services hit; sorted.
    pub services: Vec<String>,
    /// Flows that fail, of those probed on the links hit.
    pub flows: Option<FlowHits>,
    /// Share of all probed flows of the grid that fail, 0..=1.
    pub share: Option<f32>,
}

/// What a line of the timeline tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum TimelineKind {
    /// The earliest observation that any verdict rests on.
    FirstSymptom,
    /// A verdict came.
    Verdict,
    /// A verdict's confidence or extent changed materially.
    Changed,
    /// A verdict went.
    Cleared,
    /// Somebody was told.
    Notified,
    /// Telling somebody failed.
    NotifyFailed,
    /// Somebody takes note of it.
    Acknowledged,
    /// Somebody owns it.
    Owned,
    /// A person's note.
    Note,
    /// Its symptoms are gone.
    Mitigated,
    /// It came back.
    Reopened,
    /// It is over.
    Resolved,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TimelineEntry {
    /// When, by the clock of the node that noted it.
    pub at: Timestamp,
    /// What happened.
    pub kind: TimelineKind,
    /// In words.
    pub text: String,
    /// Who: a person, or a node.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
}

/// One incident. This is the document of `GET /api/v1/incidents`, and its field names are a
/// promise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Incident {
    /// From cause and start, so that nodes which act alone agree.
    pub id: String,
    /// Ids under which it was known before, to this node or others; sorted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub aliases: Vec<String>,
    /// How far it is.
    pub state: IncidentState,
    /// The highest that it reached.
    pub severity: Severity,
    /// The leading verdict's sentence, short.
    pub title: String,
    /// The leading verdict's id: what makes two incidents the same.
    pub cause: String,
    /// Start of the first symptom.
    pub opened_at: Timestamp,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// Who has taken note of it.
    pub acknowledged_by: Option<String>,
    /// Who works on it.
    pub owner: Option<String>,
    /// How often it came back.
    pub reopened: u32,
    /// Verdicts that belong to it: those that stand, then those that stood last.
    pub verdicts: Vec<Verdict>,
    /// What it hits, or hit at its worst.
    pub blast_radius: BlastRadius,
    /// Oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// A draft for the status page, without names of hosts or addresses.
    pub status_page: String,
}

/// An incident that a node holds open or has lately closed, as it travels in the grid: others
/// take the id over instead of making one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct IncidentClaim {
    /// Its id.
    #[n(0)]
    pub id: String,
    /// Its cause.
    #[n(1)]
    pub cause: String,
    /// Start of the first symptom.
    #[n(2)]
    pub opened_at: Timestamp,
    /// How far it is for this node.
    #[n(3)]
    pub state: IncidentState,
    /// Ids under which it was known before: nodes that acted alone made several.
    #[n(4)]
    #[cbor(default)]
    pub aliases: Vec<String>,
    /// Hashes of the causes that belong to it, at most [`CAUSES_MAX`]: two claims that share
    /// one are the same incident.
    #[n(5)]
    #[cbor(default)]
    pub causes: Vec<u64>,
    /// The highest severity that it reached.
    #[n(6)]
    pub severity: Option<Severity>,
    /// Its title, for nodes that did not see it themselves.
    #[n(7)]
    #[cbor(default)]
    pub title: String,
    /// When it was over.
    #[n(8)]
    pub resolved_at: Option<Timestamp>,
}

/// What people or notifiers add to an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum RemarkKind {
    /// Somebody takes note of it.
    #[n(0)]
    Acknowledged,
    /// It belongs to somebody.
    #[n(1)]
    Owned(#[n(0)] String),
    /// A note.
    #[n(2)]
    Note(#[n(0)] String),
    /// Somebody says that its effect is bounded.
    #[n(3)]
    Mitigated,
    /// Somebody closes it.
    #[n(4)]
    Resolved,
    /// A route was told of it.
    #[n(5)]
    Notified {
        /// The route's name.
        #[n(0)]
        route: String,
        /// `opened`, `grew`, `reminder`, `resolved`.
        #[n(1)]
        phase: String,
    },
    /// A route could not be told.
    #[n(6)]
    NotifyFailed {
        /// The route's name.
        #[n(0)]
        route: String,
        /// Why, plain text.
        #[n(1)]
        why: String,
    },
}

/// One remark on an incident; travels in the grid, written by the node where it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Remark {
    /// Numbers the remarks of one node, upwards.
    #[n(0)]
    pub sequence: u64,
    /// The incident, by any of its ids.
    #[n(1)]
    pub incident: String,
    /// When.
    #[n(2)]
    pub at: Timestamp,
    /// Who.
    #[n(3)]
    pub who: String,
    /// What.
    #[n(4)]
    pub what: RemarkKind,
}
