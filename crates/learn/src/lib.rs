//! From verdicts to incidents: what belongs together becomes one thing with an id, a
//! timeline, a blast radius and an end, the same on every node.
//!
//! Pure: reads no clock, opens no file. The caller brings views, what other nodes claim,
//! people's remarks and time, and carries out what `poll` returns. What it never knows: how
//! verdicts are found (`blame`), whom to tell (`notify`), how claims travel (`grid`).
//!
//! Read in this order: [`cause`] (what makes two verdicts the same trouble), [`id`],
//! [`blast`] (what is hit), [`words`] (titles and the status page), [`life`] (one incident),
//! [`incidents`] (all of them, the core).

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod blast;
pub mod cause;
pub mod id;
pub mod incidents;
pub mod life;
pub mod words;

pub use incidents::{Incidents, Input, Now, Output, RemarkError, Saved};
