//! From the picture to verdicts: who is reached, which link carries nothing in which
//! direction, and the fewest causes that explain what fails, each as a sentence.
//!
//! Pure: reads no clock, opens no socket, holds no state. Same picture, same verdicts, on
//! every node that the same partition holds. What it never knows: how a picture travels
//! (`grid`), how a link is probed (`probe`), where a node stands on the map (`api`).
//!
//! Read in this order: [`judge()`] wires it; `roster` gives names and indices; `standing` says
//! who lives; `direction` tells the two ways of a link apart; `nodes`, `links`, `targets` and
//! `neighbours` make the document; `path` finds the hops at fault; `verdicts`
//! draws the conclusions; `words` phrases them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod direction;
mod judge;
mod links;
mod neighbours;
mod nodes;
mod path;
mod roster;
mod standing;
mod targets;
mod verdicts;
mod words;

pub use judge::judge;
pub use links::GRID_NODES_MAX_FOR_MISSING_PAIRS;
pub use path::{ADDRESSES_MAX, HOPS_NAMED_MAX, SIGHTINGS_MAX};
pub use verdicts::{EVIDENCE_MAX, VERDICTS_MAX};
