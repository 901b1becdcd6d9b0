//! Questions about events: written as text or JSON, checked, asked of one or several stores,
//! and answered in rows, exemplars and traces.
//!
//! What it never knows: how events are stored (`store`), what SQL is (`clickhouse`), who may
//! ask (`api`). It reads no clock: `now` comes in.
//!
//! Read in this order: [`words`] (the language's words), [`when`] (spans and moments),
//! [`check`](mod@check) (does it make sense), [`json`] and [`text`] (the two forms).

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod check;
pub mod json;
pub mod pattern;
pub mod text;
pub mod when;
pub mod words;

pub use check::{Problem, check};
pub use text::{TextError, parse, print};
