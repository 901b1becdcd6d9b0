//! Events on one machine: taken in without loss, kept in columns, asked in a tenth of a second.
//!
//! Read in this order: [`plan`] (what is asked).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::print_stderr))]

pub mod plan;

pub use plan::{Condition, Direction, Lookup, LookupRow, Order, ResolvedQuery, Test, calc_name};
