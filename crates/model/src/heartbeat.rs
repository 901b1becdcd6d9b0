//! Jobs that should be heard of every so often, as the node that hears them tells the others.

use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Longest name, bytes: it has to fit beside a verdict's kind into an incident's cause.
pub const HEARTBEAT_NAME_BYTES_MAX: usize = 120;
/// Longest source (a host, a service), bytes.
pub const HEARTBEAT_FROM_BYTES_MAX: usize = 64;

/// Whether a heartbeat comes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum HeartbeatState {
    /// In time.
    #[n(0)]
    Beating,
    /// Overdue.
    #[n(1)]
    Missing,
    /// Its sender said that it comes no more.
    #[n(2)]
    Stopped,
}

/// One heartbeat, as the node that hears it tells the others. It changes only with its state:
/// beats themselves do not travel.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Heartbeat {
    /// What it is called; `name/id` where several of one name are told apart by an id.
    #[n(0)]
    pub name: String,
    /// Whether it comes.
    #[n(1)]
    pub state: HeartbeatState,
    /// When the state began: the first beat, the time at which one was due, the word that
    /// there will be no more.
    #[n(2)]
    pub since: Timestamp,
    /// How often it should come, milliseconds.
    #[n(3)]
    pub every_ms: u64,
    /// The last beat that counts, when this was written.
    #[n(4)]
    pub last: Timestamp,
    /// Who sent that one: a host or a service; may be empty.
    #[n(5)]
    #[cbor(default)]
    pub from: String,
}
