//! What a node is told to be: flags before `ANDON_*` environment before `andon.toml`, every
//! value with the place it came from, every mistake with file, line, column and a way out.
//!
//! Reading order: [`setting`] is the table from which flags, environment names, the sample
//! file and the reference are made; [`document`] reads TOML; [`layers`] puts the sources over
//! each other; [`resolve`] checks and builds [`settings::NodeSettings`]; [`keys`] reads keys.
//! [`problem`] is how mistakes are told, [`report`] how `andon config check` shows the result.

pub mod document;
pub mod history;
pub mod ingest;
pub mod keys;
pub mod layers;
mod nats;
pub mod notify;
pub mod problem;
pub mod report;
pub mod resolve;
pub mod sample;
pub mod setting;
pub mod settings;
pub mod store;
pub mod target;
pub mod value;

#[cfg(test)]
pub mod tests;

pub use layers::{Host, Inputs, load};
pub use problem::Problems;
