//! Who answers whom, on how many paths, how fast: node-to-node probing with STAMP.
//!
//! Pure cores decide and a thin shell carries out. The cores know no sockets, clock or
//! threads; the shell knows no thresholds. What this crate does not know: gossip (its
//! datagrams pass through unread), who ought to probe whom (it is given a plan), blame.
//!
//! Read in this order: [`stamp`] and [`note`] (packets), [`now`] and [`attention`] (time, and
//! our own lateness), [`flow`] with [`minute`], [`link_state`] (what one link is) with
//! [`silence`], [`recovery`], [`chance`], [`usual`], [`transport`], [`large`], [`history`],
//! [`histogram`] and [`published`] (its parts), [`prober`] with [`wheel`], [`budget`],
//! [`burst`], [`scouts`] and [`rotation`] (when to ask, and from where), [`reflector`],
//! [`heard`] and [`silent_flows`] (answering, and who asks), [`trace`] and [`paths`] (which way
//! flows take, and what becomes of them there), [`node_core`] (all of it, as one core),
//! `sockets`, [`wire`] (the shell).

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod attention;
pub mod budget;
pub mod burst;
pub mod chance;
mod clock;
pub mod flow;
pub mod heard;
pub mod histogram;
pub mod history;
pub mod large;
pub mod link_state;
mod mailbox;
pub mod minute;
pub mod node_core;
pub mod note;
pub mod now;
pub mod paths;
pub mod plan;
pub mod prober;
pub mod published;
pub mod recovery;
pub mod reflector;
pub mod rotation;
pub mod scouts;
pub mod silence;
pub mod silent_flows;
mod sockets;
pub mod stamp;
pub mod trace;
pub mod transport;
pub mod usual;
pub mod wheel;
pub mod wire;

pub use plan::{FlowDetail, LinkDetail, PlannedLink, SecondDetail, WireStats};
pub use stamp::fuzz_stamp;
pub use trace::detail::{HopKind, TraceDetail, TraceFlow, TraceHop, TraceState};
pub use trace::icmp::fuzz_icmp;
pub use wire::{TraceTo, WireCommand, WireConfig, WireEvent, WireHandle, WireSender, spawn};

#[cfg(test)]
mod tests;
