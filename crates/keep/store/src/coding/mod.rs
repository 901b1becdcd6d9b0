//! How columns become bytes and back. Everything here is pure; decoders take whatever bytes
//! a disk returns and answer [`Damaged`] where they are not what an encoder wrote.

pub(crate) mod bits;
pub(crate) mod bloom;
pub(crate) mod bytes;
pub(crate) mod column;
pub(crate) mod floats;
pub(crate) mod ints;
pub(crate) mod pick;
pub(crate) mod text;

#[cfg(test)]
mod tests;

/// Bytes that no encoder wrote; says what did not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damaged(pub(crate) &'static str);

/// Rows of one block at most: what a decoder may be asked to make room for.
pub(crate) const BLOCK_ROWS_MAX: usize = 1 << 16;
/// Text bytes of one block's column at most, before compression: blocks end early for long
/// texts, and one value may be as large as the model's limit.
pub(crate) const BLOCK_TEXT_BYTES_MAX: usize = 16 << 20;
