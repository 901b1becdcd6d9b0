//! Who changed what, when: one JSON record a line, each bound to the one before it by a hash,
//! so that no line can be altered, removed or put in between unseen. (Lines cut off the end are
//! seen by comparing the last hash with one noted elsewhere.)
//!
//! A record is on disk before the change it tells of is made. A line that was cut short when
//! the power went had not been acknowledged: it is removed, and that is recorded.
//!
//! The node and the command line write the same log. Each append opens and locks it, and first
//! reads what another has written since; so there is one chain.
//!
//! The log is bounded: a file that is full is renamed to `audit.jsonl.<number of its first
//! record>` and the chain goes on in a new one; of those only the newest are kept, and what was
//! let go is recorded with its last hash. `chain` checks records, `files` knows the names,
//! `log` writes.

mod chain;
mod files;
mod log;

#[cfg(test)]
mod tests;

pub use files::verify;
pub use log::AuditLog;

use andon_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// Name of the log in a data directory.
pub const AUDIT_FILE: &str = "audit.jsonl";

/// Size from which on a file is full: some ten thousand records, read in a moment.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Files kept, the one being written included: 32 MB, a change every ten minutes for a year.
pub const FILES_MAX: usize = 8;

/// Why the log could not be read, written or trusted.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A line is not what was written.
    #[error("{} line {line}: {reason}", path.display())]
    Broken {
        /// The log.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The log cannot be read or written; what was to be recorded is not.
    #[error("{}: {source}", path.display())]
    File {
        /// The log.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// Something that is about to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub ts: Timestamp,
    /// By whom: token name and address.
    pub actor: String,
    /// What is done, e.g. `token.create`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Anything else worth knowing.
    pub detail: String,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditRecord {
    /// Counts from 1.
    pub seq: u64,
    /// When.
    #[schema(value_type = String)]
    pub ts: Timestamp,
    /// By whom.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Anything else worth knowing.
    pub detail: String,
    /// Hash of the record before.
    pub prev: String,
    /// SHA-256 of this line up to the hash, hex.
    #[serde(default, skip_serializing)]
    pub hash: String,
}

/// What a verified log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSummary {
    /// Number of the last record; how many there have ever been.
    pub records: u64,
    /// Number of the oldest record that is kept; 1 unless the limit was reached, or if there is
    /// none at all.
    pub first: u64,
    /// Files that hold them.
    pub files: usize,
    /// Hash of the last; compare it with one noted elsewhere to see that none were cut off.
    pub head: String,
    /// When the last was written.
    pub last: Option<Timestamp>,
}
