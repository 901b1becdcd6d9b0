//! The fan of ways that many flows take, drawn for a terminal, with the figures of all rounds so
//! far. Pure: trace documents go in ([`Tally::add`]), a drawing comes out ([`draw`]).

mod draw;
mod fan;
mod tally;

#[cfg(test)]
mod tests;

pub use draw::{Outcome, draw, outcome};
pub use tally::{FlowTally, Head, HopTally, Tally};
