//! Grids of real node processes on loopback: they find each other, lose each other, and say so.
//!
//! What needs hours, a thousand nodes or a clock that is wrong is simulated in `see/grid`.
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stdout)] // how long things took

mod support;

#[path = "grid/history.rs"]
mod history;
#[path = "grid/hostile.rs"]
mod hostile;
#[path = "grid/incidents.rs"]
mod incidents;
#[path = "grid/joining.rs"]
mod joining;
#[path = "grid/life.rs"]
mod life;
#[path = "grid/outside.rs"]
mod outside;
#[path = "grid/people.rs"]
mod people;
#[path = "grid/traces.rs"]
mod traces;
#[path = "grid/trust.rs"]
mod trust;
