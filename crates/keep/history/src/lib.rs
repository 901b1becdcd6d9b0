//! The grid's history as one node keeps it on its own disk: every picture that it showed, to
//! the tenth of a second, for weeks. What changed is written when it changes; figures (loss,
//! round trips) once a minute and only where they moved.
//!
//! Knows nothing of gossip, HTTP or tasks: it is fed with views and told the time, and all its
//! reading and writing blocks, so callers bring a thread for it.
//!
//! Read in this order: [`keeper`] (the writing side as a whole), `recorder` (views in, records
//! out), `log` (records to disk: segments, sealing, retention, full disks), [`reader`] (what
//! was when). Below them: `record` and `segment` (the two layers of the format), `replay`
//! (records to a picture), [`news`] (what changed), [`series`] (a link's minutes), `allowance`
//! (so that a storm does not evict the month), and `bytes`, `texts`, `pack`, `figures`, `link`,
//! `marks`
//! (how things are written small).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::print_stderr))]

mod allowance;
mod bytes;
mod figures;
mod index;
mod keeper;
mod link;
mod log;
mod marks;
mod news;
mod options;
mod pack;
mod reader;
mod record;
mod recorder;
mod replay;
mod segment;
mod series;
mod texts;

#[cfg(test)]
mod tests;

pub use index::HistoryStats;
pub use keeper::{COMPARE_EVERY, Keeper, NextStep};
pub use news::{Change, ChangeKind};
pub use options::{BYTES_MAX_DEFAULT, HistoryOptions, KEEP_DEFAULT};
pub use reader::{ReadError, Reader, Span};
pub use series::{LinkPoint, LinkSeries, POINTS_MAX};
