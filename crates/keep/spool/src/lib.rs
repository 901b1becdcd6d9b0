//! Events on their way to a keeper: a bounded queue on disk for each stream. What was pushed
//! survives a kill; what does not fit is refused or dropped as its stream's policy says, and
//! every dropped event is counted by stream and reason.
//!
//! What it never knows: who the keepers are, and how events get there (`andon`), what they
//! mean. Its calls block; callers bring threads.
//!
//! Read in this order: [`options`] (how much, which policy), [`codec`] (a batch as bytes),
//! `file` (records in files), [`lane`] (where records go), `stream` (one queue), [`spool`] (all of
//! them).

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod codec;
mod file;
pub mod lane;
pub mod options;
pub mod spool;
mod stream;

pub use codec::{Codec, CodecError, Parcel};
pub use lane::{Gap, Lane};
pub use options::{Options, Policy, Priority, StreamOptions};
pub use spool::{Pushed, Queued, Spool, SpoolError, StreamReport};
