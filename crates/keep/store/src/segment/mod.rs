//! A segment: some hundred thousand events of one dataset in one file that never changes.
//!
//! ```text
//! magic | pieces: dictionaries, columns of blocks, filters of words | footer | tail
//! ```
//! The footer says where each piece is and what it holds; the tail where the footer is. Each
//! piece, the footer and the tail have a checksum, so no byte of the file is without one.

pub(crate) mod footer;
pub(crate) mod read;
pub(crate) mod write;

#[cfg(test)]
mod tests;

pub(crate) use read::Segment;

pub(crate) const MAGIC: &[u8; 8] = b"andseg1\n";
/// Footer's offset, its length, its checksum, the checksum of these, and the magic again.
pub(crate) const TAIL_BYTES: usize = 8 + 4 + 4 + 4 + 8;
/// Ending of a segment's file name.
pub(crate) const SUFFIX: &str = "segment";

const ROLLUP: &str = "rollup";

/// How a segment's file is called.
pub(crate) fn file_name(id: u64) -> String {
    format!("{id:012}.{SUFFIX}")
}

/// How the file beside it is called that has its samples at steps of a width.
pub(crate) fn rollup_name(id: u64, width_us: i64) -> String {
    format!("{id:012}.{ROLLUP}-{}", width_us / 1_000_000)
}

/// The id in the name of a file beside a segment.
pub(crate) fn rollup_of(file_name: &str) -> Option<u64> {
    let (id, suffix) = file_name.split_once('.')?;
    let is_rollup = suffix.split_once('-')?.0 == ROLLUP;
    is_rollup.then(|| id.parse().ok())?
}

/// The id in a segment's file name.
pub(crate) fn id_of(file_name: &str) -> Option<u64> {
    let (id, suffix) = file_name.split_once('.')?;
    (suffix == SUFFIX).then(|| id.parse().ok())?
}

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// Bytes differ from what was written.
    #[error("segment {file} is damaged: {what}")]
    Damaged {
        /// The segment's file.
        file: String,
        /// What is damaged, and how that shows.
        what: String,
    },
    /// The disk does not answer.
    #[error("segment {file} cannot be read")]
    Disk {
        /// The segment's file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
}
