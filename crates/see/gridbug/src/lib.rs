//! Life in an existing GridBug grid while people migrate: its calls are answered, its bugs
//! are polled, and what they report becomes neighbours in our own picture.
//!
//! What GridBug does badly stays outside: no call blocks another, no peer can hold a poll,
//! grow the memory, or put markup on a screen, and a wrong key is told so.
//!
//! Read in this order: [`document`] the JSON that bugs exchange, [`core`] who is known and
//! when each is polled, [`answers`] what we answer, [`call`] the calls we make, [`neighbourhood`]
//! the task that joins them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod answers;
pub mod call;
pub mod core;
pub mod document;
pub mod neighbourhood;

pub use answers::{GridBugAnswer, GridBugRequest, GridSummary, SummaryLink};
pub use core::{Config, Counters, GridBug, Moment};
pub use neighbourhood::{Handle, spawn};
