//! Everything that takes events in: what a client sends becomes [`andon_model::event::Event`]s,
//! and a [`Sink`] keeps them. Knows no store, no spool and no configuration file.
//!
//! Decoders are pure: bytes in, events and rejects out, and bounded in what they hold. The
//! listeners around them own sockets and files, read no further while the sink is full, and
//! count whatever they leave out.
//!
//! Read in this order: [`limits`] what bounds everything, [`record`] how one event comes to
//! be, [`decode`] the formats, [`heartbeat`] who is missed, [`sink`] where events go, [`listen`] the sockets, [`tail`] the
//! files, [`system`] this machine, [`inputs`] what starts all of it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod counters;
pub mod decode;
pub mod fuzz;
pub mod heartbeat;
pub mod import;
pub mod inflate;
pub mod inputs;
pub mod keys;
pub mod limits;
pub mod lines;
pub mod listen;
pub mod record;
pub mod reject;
pub mod sink;
pub mod system;
pub mod tail;
pub mod when;

pub use counters::{InputCounters, InputFigures, Registry};
pub use import::{ImportFormat, Importing, Pieces, Progress, Step};
pub use inflate::Encoding;
pub use inputs::{Inputs, InputsConfig, InputsError, RunningInputs, metrics_text};
pub use listen::http::HttpIntake;
pub use record::Record;
pub use reject::{Decoded, Mend, Reason, Reject};
pub use sink::{Accepting, Batch, BatchId, Gate, Patience, Sink, SinkError};
