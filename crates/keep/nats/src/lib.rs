//! Events between sites over NATS JetStream: as much of NATS as that takes, and the seal in
//! which events go, so that whoever runs NATS can neither read nor forge them.
//!
//! What it never knows: what the events are, which of them to send, and where they are kept
//! (`andon`).
//!
//! Read in this order: [`settings`] (where the servers are, who logs in), `nkey` (logging in
//! by a credentials file), [`protocol`] (bytes of NATS, pure), [`connection`] (a server and its
//! answers), [`jetstream`] (streams, consumers, acknowledgements), [`seal`] (what NATS cannot
//! read), [`envelope`] (who sends what to whom, in parts that NATS takes), [`assembly`] (parts put
//! together).

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod assembly;
pub mod connection;
pub mod envelope;
pub mod error;
pub mod jetstream;
mod nkey;
pub mod protocol;
pub mod seal;
pub mod settings;

pub use assembly::{Added, Assembly};
pub use envelope::{Chain, Contents, Head};
pub use error::NatsError;
pub use jetstream::{Delivery, JetStream, Keeper, Published};
pub use seal::{Seal, SealError, SealKey};
pub use settings::{Server, Settings};
