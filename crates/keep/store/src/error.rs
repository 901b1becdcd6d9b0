//! Why a store did not do what it was asked.

use crate::segment::SegmentError;
use std::path::PathBuf;

/// Why nothing was stored, or nothing could be read. What was acknowledged before is untouched.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process writes here.
    #[error("{dir} is in use by another process")]
    InUse {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The disk refuses.
    #[error("cannot {what} in {dir}")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// The store's folder.
        dir: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No dataset can be called so.
    #[error(
        "{name:?} cannot name a dataset: up to 64 letters, digits, `-`, `_` and `.`, begun by a letter or digit"
    )]
    DatasetName {
        /// What was given.
        name: String,
    },
    /// There are too many datasets already.
    #[error("{name:?} would be dataset number {count}, more than are allowed")]
    TooManyDatasets {
        /// The one that is refused.
        name: String,
        /// How many there would be.
        count: usize,
    },
    /// The store ends.
    #[error("the store is being closed")]
    Closed,
    /// A segment cannot be read.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// What was to be written out could not be.
    #[error("the export could not be written")]
    Export(#[source] std::io::Error),
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Whoever asked does not want to know any more.
    #[error("the query was cancelled")]
    Cancelled,
    /// This expression is none.
    #[error("{pattern:?} is no regular expression: {reason}")]
    Pattern {
        /// What was given.
        pattern: String,
        /// Why it is none.
        reason: String,
    },
    /// The question asks for more than the store works out at once.
    #[error("the query asks for {what}, at most {max} are possible")]
    TooMuch {
        /// Of what there is too much.
        what: &'static str,
        /// How much is possible.
        max: u64,
    },
}
