//! One record: all that became true at one moment, in a frame with its checksum. It is taken
//! whole or not at all, so a torn write loses a moment and leaves no half picture.
//!
//! ```text
//! frame   length u32 · CRC-32 of the payload u32 · payload           (little endian)
//! payload moment i64 (UTC, microseconds) · flags u8 · sections
//! section kind u8 · length (LEB128) · content
//! ```
//! A reader leaves out sections of kinds that it does not know.

use crate::bytes::{Rubbish, Take, put_bytes};
use andon_model::Timestamp;
use flate2::Crc;

/// Largest payload. The whole picture of 1,000 nodes takes about 2 MB.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 32 << 20;

pub(crate) const FRAME_HEAD: usize = 8;
const PAYLOAD_HEAD: usize = 9;

/// The record holds everything: forget all that was before, the numbers of texts included.
const WHOLE: u8 = 1;
/// The record ends a minute: the figures are the worst of it.
const MINUTE: u8 = 2;
/// The recorder has just begun to look, or was away: what it sees first is no news.
const LIFE: u8 = 4;

/// What a record is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Something changed.
    Change,
    /// A segment begins: nothing is known of what was written before.
    Whole,
    /// The same, and nobody looked just before.
    Life,
    /// A minute is over.
    Minute,
}

/// Kinds of sections. On disk: never renumber, append only.
pub(crate) mod kind {
    /// Texts that get the next numbers; comes before all that refer to them.
    pub(crate) const TEXTS: u8 = 1;
    /// The picture's digest, 16 bytes.
    pub(crate) const DIGEST: u8 = 2;
    /// Number of the answering node's id.
    pub(crate) const ME: u8 = 3;
    /// Nodes, new or changed: number of the id, packed document.
    pub(crate) const NODES: u8 = 4;
    /// Numbers of the ids of nodes that are no more.
    pub(crate) const NODES_GONE: u8 = 5;
    /// Links, new or changed.
    pub(crate) const LINKS: u8 = 6;
    /// Pairs of numbers: links that are no more.
    pub(crate) const LINKS_GONE: u8 = 7;
    /// Verdicts, new or changed: number of the id, packed document.
    pub(crate) const VERDICTS: u8 = 8;
    /// Numbers of the ids of all verdicts that stand, in order.
    pub(crate) const VERDICTS_STANDING: u8 = 9;
    /// A minute's figures of links: pair, which of the five changed, their codes.
    pub(crate) const LINK_FIGURES: u8 = 10;
    /// A minute's figures of nodes: number, scheduling delay, clock offset.
    pub(crate) const NODE_FIGURES: u8 = 11;
    /// Incidents that changed, as packed documents.
    pub(crate) const INCIDENTS: u8 = 12;
}

/// Adds a record to `out` as a frame; sections without content are left out. `false` if it is
/// larger than any may be. Nothing is copied twice: a whole picture of a large grid is megabytes.
pub(crate) fn put_record(
    out: &mut Vec<u8>,
    at: Timestamp,
    occasion: Occasion,
    sections: &[(u8, &[u8])],
) -> bool {
    let content: usize = sections.iter().map(|(_, content)| content.len()).sum();
    // A section's kind and length take eleven bytes at most.
    if content + PAYLOAD_HEAD + 11 * sections.len() > PAYLOAD_BYTES_MAX {
        return false;
    }
    out.reserve(FRAME_HEAD + PAYLOAD_HEAD + content + 6 * sections.len());
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD]);
    out.extend_from_slice(&at.0.to_le_bytes());
    out.push(match occasion {
        Occasion::Change => 0,
        Occasion::Whole => WHOLE,
        Occasion::Life => WHOLE | LIFE,
        Occasion::Minute => MINUTE,
    });
    for (kind, content) in sections.iter().filter(|(_, content)| !content.is_empty()) {
        out.push(*kind);
        put_bytes(out, content);
    }
    let payload = start + FRAME_HEAD;
    // Fits: checked above.
    let length = ((out.len() - payload) as u32).to_le_bytes();
    let sum = checksum(&out[payload..]).to_le_bytes();
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..payload].copy_from_slice(&sum);
    true
}

pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Length of the payload that follows a frame's first four bytes.
pub(crate) fn payload_length(head: [u8; 4]) -> Result<usize, Rubbish> {
    let length = u32::from_le_bytes(head) as usize;
    if (PAYLOAD_HEAD..=PAYLOAD_BYTES_MAX).contains(&length) {
        Ok(length)
    } else {
        Err(Rubbish)
    }
}

/// A record as it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// When it became true.
    pub(crate) at: Timestamp,
    /// It holds everything.
    pub(crate) whole: bool,
    minute: bool,
    life: bool,
    sections: &'a [u8],
}

impl<'a> Record<'a> {
    /// Takes the frame at the front of `raw`, and says how long it is. An error is a frame
    /// that is cut off, or whose checksum is wrong.
    pub(crate) fn first(raw: &'a [u8]) -> Result<(Self, usize), Rubbish> {
        let mut take = Take(raw);
        let length = payload_length(take.array()?)?;
        let sum = u32::from_le_bytes(take.array()?);
        let payload = take.exactly(length)?;
        if checksum(payload) != sum {
            return Err(Rubbish);
        }
        Ok((Self::of_payload(payload)?, FRAME_HEAD + length))
    }

    fn of_payload(payload: &'a [u8]) -> Result<Self, Rubbish> {
        let mut take = Take(payload);
        let at = Timestamp(i64::from_le_bytes(take.array()?));
        let flags = take.byte()?;
        Ok(Self {
            at,
            whole: flags & WHOLE != 0,
            minute: flags & MINUTE != 0,
            life: flags & LIFE != 0,
            sections: take.0,
        })
    }

    /// The recorder began to look.
    pub(crate) fn begins_life(&self) -> bool {
        self.life
    }

    /// It ends a minute.
    pub(crate) fn is_minute(&self) -> bool {
        self.minute
    }

    /// Its sections: kind and content. Ends at what is cut off, which a good checksum rules out.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (u8, Take<'a>)> + use<'a> {
        let mut take = Take(self.sections);
        std::iter::from_fn(move || {
            let kind = take.byte().ok()?;
            Some((kind, Take(take.bytes().ok()?)))
        })
    }
}

/// The records in `raw` one after the other, each with the place of its end; stops at the
/// first that is cut off or wrong.
pub(crate) fn records(raw: &[u8]) -> impl Iterator<Item = (Record<'_>, usize)> {
    let mut end = 0;
    std::iter::from_fn(move || {
        let (record, length) = Record::first(raw.get(end..)?).ok()?;
        end += length;
        Some((record, end))
    })
}
