//! The API's promises, kept over real sockets: a whole API on a loopback port, asked by a
//! plain client.

mod events;
mod history;
mod incidents;
mod limits;
mod nodes;
mod people;
mod picture;
mod rubbish;
mod trace;
mod world;

pub(crate) use world::{Reply, World, ask, view_of};
