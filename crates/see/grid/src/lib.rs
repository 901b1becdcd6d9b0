//! Membership, gossip and the picture: nodes that hold one grid key tell each other what they
//! publish, until all of them hold the same picture.
//!
//! Knows no sockets, no clock and no tasks: the caller brings time, randomness and datagrams
//! to [`Grid`], and carries out what `poll` returns. Knows nothing of probes either: whether a
//! node is alive is for those who probe it.
//!
//! Read in this order: [`key`] (who may take part), [`seal`] (how a datagram is protected),
//! [`row`] and [`payload`] (what travels), [`publish`] (when it is worth a row), [`store`]
//! (what is held), [`wire`] and [`reconcile`] (how two nodes find what they lack), [`contact`]
//! (where a node is reached), [`grid`] (all of it together), [`plan`] (who probes whom).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bytes;
mod chunk;
pub mod contact;
pub mod fuzz;
pub mod grid;
pub mod io;
pub mod key;
mod outside;
pub mod payload;
pub mod plan;
pub mod publish;
mod reading;
pub mod reconcile;
pub mod row;
mod rumours;
pub mod seal;
pub mod store;
mod teller;
pub mod wire;

pub use grid::Grid;
pub use io::{
    ConnectionId, Endpoint, GridConfig, GridCounters, GridInput, GridNotice, GridOutput, OwnSlice,
    Route,
};
pub use key::{GridKey, KeyError, KeyRing};
pub use plan::plan;
pub use seal::DATAGRAM_BYTES_MAX;
pub use store::StoreLimits;
