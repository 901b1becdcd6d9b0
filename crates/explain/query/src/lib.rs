//! Questions about events: written as text or JSON, checked, asked of one or several stores,
//! and answered in rows, exemplars and traces.
//!
//! What it never knows: how events are stored (`store`), what SQL is (`clickhouse`), who may
//! ask (`api`). It reads no clock: `now` comes in.
//!
//! Read in this order: [`words`] (the language's words), [`when`] (spans and moments),
//! [`check`](mod@check) (does it make sense), [`json`] and [`text`] (the two forms),
//! [`resolve`](mod@resolve) (every time and limit settled), [`run`](mod@run) (asking),
//! [`predicate`] (the live tail's conditions), [`highlight`], [`waterfall`] (a trace as a
//! tree), [`render`] (answers in a terminal).

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod check;
pub mod fuzz;
pub mod highlight;
pub mod json;
pub mod pattern;
pub mod predicate;
pub mod render;
pub mod resolve;
pub mod run;
pub mod text;
pub mod waterfall;
pub mod when;
pub mod words;

pub use check::{Problem, check};
pub use json::from_json;
pub use predicate::Predicate;
pub use resolve::{Plan, plan, resolve};
pub use run::{Asking, Limits, Source, Stores, run};
pub use text::{TextError, parse, print};
pub use waterfall::Waterfall;
