//! Formats: bytes in, events and rejects out. Pure: the time of receipt comes in, nothing is
//! read or written, and what is held between two calls is bounded.

pub mod access;
pub mod andon_line;
pub mod csv;
pub mod fluent;
pub mod graphite;
pub mod histogram;
pub mod journal;
pub mod json;
pub mod line;
pub mod loki;
pub mod msgpack;
pub mod multiline;
pub mod ndjson;
pub mod otlp;
pub mod pairs;
pub mod pattern;
pub mod prometheus;
pub mod protobuf;
pub mod snappy;
pub mod statsd;
pub mod syslog;
pub mod transaction;
pub mod words;

use crate::reject::Decoded;
use andon_model::time::Timestamp;

/// A format whose records follow one another, so that bytes can come in pieces.
pub trait StreamDecoder: Send {
    /// More bytes. Whole records in them go to `out`.
    fn push(&mut self, bytes: &[u8], received: Timestamp, out: &mut Decoded);
    /// No more bytes will come, or not for a while: what is left goes to `out`.
    fn finish(&mut self, received: Timestamp, out: &mut Decoded);
}
