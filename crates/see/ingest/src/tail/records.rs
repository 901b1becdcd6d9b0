//! Whole records out of a piece of a file: where each ends, and what must wait for more.

use crate::decode::line::Joiner;
use crate::limits::{BATCH_EVENTS_MAX, LINE_BYTES_MAX};
use memchr::memchr;

/// What is known about a chunk.
#[derive(Clone, Copy)]
pub struct Cutting {
    /// The file ends with it, for now.
    pub is_at_end: bool,
    /// Nothing will follow what is in it: a last line without its end is whole.
    pub is_complete: bool,
    /// It has been quiet for so long that a record's next line will not come.
    pub lets_go: bool,
}

/// How much of a chunk was taken.
pub struct Taken {
    /// Bytes of it.
    pub bytes: usize,
    /// Whether they end within a line that is too long.
    pub is_skipping: bool,
}

/// Cuts a chunk into whole records, with the bytes that were left out of each. `skipping`: the
/// chunk begins within a line that was too long.
pub fn cut(
    chunk: &[u8],
    cutting: Cutting,
    skipping: bool,
    joiner: &mut Joiner,
) -> (Taken, Vec<(Vec<u8>, u64)>) {
    let mut records: Vec<(Vec<u8>, u64)> = Vec::new();
    let mut place = 0;
    if skipping {
        match memchr(b'\n', chunk) {
            Some(end) => place = end + 1,
            None => {
                let bytes = chunk.len();
                let taken = Taken {
                    bytes,
                    is_skipping: true,
                };
                return (taken, records);
            }
        }
    }
    // Where the record begins that is held.
    let mut held_at = place;
    let mut is_skipping = false;
    while place < chunk.len() && records.len() < BATCH_EVENTS_MAX {
        let rest = &chunk[place..];
        let (line, taken) = match memchr(b'\n', rest) {
            Some(end) => (&rest[..end], end + 1),
            None if cutting.is_complete || rest.len() > LINE_BYTES_MAX => (rest, rest.len()),
            None => break,
        };
        let has_end = taken > line.len();
        let kept = &line[..line.len().min(LINE_BYTES_MAX)];
        let cut_bytes = (line.len() - kept.len()) as u64;
        let kept = kept.strip_suffix(b"\r").unwrap_or(kept);
        let before = records.len();
        joiner.push(kept, cut_bytes, |record, cut| {
            records.push((record.to_vec(), cut))
        });
        if records.len() > before || !joiner.is_holding() {
            held_at = if joiner.is_holding() {
                place
            } else {
                place + taken
            };
        }
        place += taken;
        if !has_end && !cutting.is_complete {
            is_skipping = true;
            break;
        }
    }
    // The record that is held goes too if nothing can follow it, or if it fills the chunk.
    let is_stuck = held_at == 0 && !cutting.is_at_end;
    let is_rest = place == chunk.len();
    let goes =
        cutting.is_complete || is_skipping || is_stuck || (cutting.is_at_end && cutting.lets_go);
    if goes && is_rest && joiner.is_holding() {
        joiner.flush(|record, cut| records.push((record.to_vec(), cut)));
        held_at = place;
    }
    let taken = Taken {
        bytes: held_at,
        is_skipping,
    };
    (taken, records)
}
