//! Telling people: from incidents to messages, each told once by the whole grid.
//!
//! Every node knows every incident. The lowest living node that has a route speaks, the
//! others wait and speak only if nobody did; cut apart, both halves speak under one
//! deduplication key. What cannot be delivered is tried again, over restarts, for hours.
//!
//! Knows no gossip and reads no environment: incidents, the company of living nodes and the
//! plan come in, remarks on incidents go out.
//!
//! Read in this order: [`plan`] what is configured, [`hours`] and [`mute`] when and about
//! what to be silent, [`case`] what is known of an incident, [`turn`] whose turn it is,
//! [`notifier`] what is told when (pure), [`message`] and [`text`] in which words, [`send`]
//! how each medium is spoken to, [`state_file`] what survives a restart, [`task`] the task
//! that joins them.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::print_stderr))]

pub mod case;
pub mod counters;
pub mod hours;
pub mod letter;
pub mod message;
pub mod mute;
pub mod notifier;
pub mod phase;
pub mod plan;
pub mod rate;
pub mod send;
pub mod state_file;
pub mod task;
pub mod text;
pub mod thread;
pub mod turn;

pub use case::{Case, Told, Word, cases};
pub use counters::{Counters, NotifyView, RouteView};
pub use letter::{Answer, Letter};
pub use message::Message;
pub use notifier::{Event, Moment, Notifier, Output, Saved};
pub use phase::Phase;
pub use plan::{Medium, Plan, Route, Secret};
pub use send::{Sender, webhook};
pub use turn::{Company, ROUTES_LABEL, announcement, company};
