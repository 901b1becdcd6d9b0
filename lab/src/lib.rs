//! Real networks on one machine, in network namespaces: sites, routers with equal-cost paths,
//! faults, real `andon node` processes inside as an unprivileged user, and what they must say.
//!
//! Read in this order: [`scenario`] (what a scenario file says, and what is wrong with it),
//! [`layout`] (addresses, routes and packet filters that follow from it), [`judge`] (whether
//! what the nodes say is what was expected, and when), [`world`] (namespaces, processes,
//! relays), [`watch`] (what the nodes say), [`run`] (one scenario from beginning to end),
//! [`report`], [`peers`] (mtr and traceroute in the same fault), [`standing`] (a lab left up).
//!
//! It knows nothing of how a node works: it starts the program, and reads its API.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod judge;
pub mod layout;
pub mod narrate;
pub mod peers;
pub mod report;
pub mod run;
pub mod scenario;
pub mod standing;
pub mod watch;
pub mod world;

pub use scenario::Scenario;
pub use scenario::problem::Problems;
