//! Probes of declared targets from this node: ICMP echo, TCP connect, HTTP(S), TLS, DNS and
//! STAMP reflectors. What a target answers becomes one link report each, and the last few
//! hundred answers stay here for who looks closer.
//!
//! Decides nothing about causes (blame does) and knows no gossip: reports leave by a callback.
//!
//! Read in this order: [`question`] what a declaration asks for, [`answer`] what came of
//! asking, [`assign`] who asks, [`state`] what a row of answers means, [`core`] when to ask,
//! [`ask`] the asking itself, [`prober`] the task that joins them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod answer;
pub mod ask;
pub mod assign;
pub mod core;
pub mod prober;
pub mod question;
pub mod state;

pub use answer::{Answer, Certificate, Outcome, Phases};
pub use ask::dns::{LookupError, srv_lookup};
pub use assign::{Me, mine};
pub use core::{Counters, Moment, Targets};
pub use prober::{TargetHandle, spawn};
pub use question::{Question, SpecError};
pub use state::{Sample, TargetDetail};
