//! The text form of a question, pleasant to type:
//! `requests | where status >= 500 | by region, 1m | p99(duration_ms) | last 1h`.
//!
//! Read in this order: [`token`] (words and signs), [`parse`](parse()) (text to question; its parts are
//! `stages` and `conditions`),
//! [`print`](print()) (and back), [`error`] (pointing at the place), [`complete`](complete())
//! (what could come next).

mod complete;
mod conditions;
mod error;
mod parse;
mod print;
mod stages;
#[cfg(test)]
mod tests;
mod token;

pub use complete::{Catalogue, Completion, CompletionKind, complete};
pub use error::TextError;
pub use parse::{locate, parse};
pub use print::{filter as print_filter, key as print_key, print, value as print_value};
pub use token::TEXT_BYTES_MAX;
