//! The words of Andon, as types: who (ids), when (two kinds of time), what one node
//! publishes (slice), all of them together (picture), what is concluded (view, verdicts,
//! incidents).
//!
//! Knows no I/O, no clock, no async runtime and no JSON: types derive serde's traits and
//! CBOR's, and whoever owns a boundary picks the format.
//!
//! Read in this order: [`id`], [`time`], [`link`], [`path`], [`slice`], [`picture`], [`view`],
//! [`verdict`], [`incident`], and for events [`event`], [`heartbeat`], [`query`].

pub mod event;
pub mod heartbeat;
pub mod id;
pub mod incident;
pub mod link;
pub mod path;
pub mod picture;
pub mod query;
pub mod slice;
pub mod time;
pub mod verdict;
pub mod view;

pub use event::{Event, Value};
pub use heartbeat::{Heartbeat, HeartbeatState};
pub use id::{NameError, NodeId, NodeKey, SiteId, TargetId};
pub use incident::{
    BlastRadius, Incident, IncidentClaim, IncidentState, Remark, RemarkKind, Severity,
    TimelineEntry, TimelineKind,
};
pub use link::{
    FlowCount, Heard, LinkReason, LinkReport, LinkReports, LinkState, LossPair, Peer, RttUs,
    Transport,
};
pub use path::{PathReport, Route};
pub use picture::{Picture, PictureDigest};
pub use slice::{HostHealth, Identity, Neighbour, Presence, ProbeKind, Reach, Slice, TargetSpec};
pub use time::{Instant, Timestamp};
pub use verdict::{Evidence, FlowHits, PathEffect, Verdict, VerdictKind};
pub use view::{LinkView, Name, NodeKind, NodeState, NodeView, PictureView, Position};
