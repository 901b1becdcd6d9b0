//! What could not be taken in as it came, and why.

use andon_model::event::Event;
use serde::Serialize;

use crate::limits::{EXPANDED_BYTES_MAX, REJECTS_TOLD_MAX};
use crate::record::Record;

/// Why a record was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is not what the format says.
    Malformed,
    /// It is longer than the format allows to cut, or becomes too large with all its labels.
    TooLong,
    /// The time it says cannot be read.
    BadTime,
    /// Its packing is broken, or blows up beyond [`crate::limits::INFLATE_RATIO_MAX`].
    BadPacking,
    /// The sink was full or gone, and the sender cannot wait (datagrams).
    NotKept,
    /// A connection or datagram beyond what a listener holds.
    TooMany,
    /// The sender does not hold what this input asks for.
    Forbidden,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::TooLong,
        Self::BadTime,
        Self::BadPacking,
        Self::NotKept,
        Self::TooMany,
        Self::Forbidden,
    ];

    /// Its name in figures: `malformed`, `too_long`, ...
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::BadTime => "bad_time",
            Self::BadPacking => "bad_packing",
            Self::NotKept => "not_kept",
            Self::TooMany => "too_many",
            Self::Forbidden => "forbidden",
        }
    }
}

/// What was changed in a record that was taken in. The record tells it in `andon.mended`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mend {
    /// A line or text was cut.
    Cut,
    /// Bytes that are no UTF-8 became replacement characters.
    Utf8,
    /// Its time was absurd: the time it came in counts, `andon.said_ts` tells what was said.
    Time,
    /// Attributes beyond `ATTRIBUTES_MAX` were left out, or a name was cut.
    Attributes,
    /// Names beyond `DATASET_KEYS_MAX` went into the text `andon.overflow`.
    Keys,
    /// A line that is not of its file's format was kept as a plain line.
    Unparsed,
}

impl Mend {
    /// All of them, in the order of their bits.
    pub const ALL: [Self; 6] = [
        Self::Cut,
        Self::Utf8,
        Self::Time,
        Self::Attributes,
        Self::Keys,
        Self::Unparsed,
    ];

    /// Its name in figures and in `andon.mended`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Utf8 => "utf8",
            Self::Time => "time",
            Self::Attributes => "attributes",
            Self::Keys => "keys",
            Self::Unparsed => "unparsed",
        }
    }
}

/// A set of mends, or how often each happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mends(pub [u64; Mend::ALL.len()]);

impl Mends {
    /// One more.
    pub fn add(&mut self, mend: Mend) {
        self.0[mend as usize] += 1;
    }

    /// Those of another.
    pub fn merge(&mut self, other: &Mends) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }
}

/// A record that was left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reject {
    /// Its line, counted from 1; for formats without lines its place in the request.
    pub line: u64,
    /// What is wrong with it, in words.
    pub error: String,
    /// The same for counting.
    #[serde(skip)]
    pub reason: Reason,
}

/// What came of decoding some bytes.
#[derive(Debug, Default)]
pub struct Decoded {
    /// In the order they came.
    pub events: Vec<Event>,
    /// The first [`REJECTS_TOLD_MAX`].
    pub rejected: Vec<Reject>,
    /// All of them, by [`Reason`].
    pub rejected_counts: [u64; Reason::ALL.len()],
    /// How often something was mended.
    pub mends: Mends,
    bytes: usize,
}

impl Decoded {
    /// One record more. What would make all together larger than [`EXPANDED_BYTES_MAX`] is
    /// left out: labels, tags and resources are repeated in each of their records, so a small
    /// message could otherwise become a very large one.
    pub fn push(&mut self, record: Record) {
        let bytes = self.bytes + record.weight();
        if bytes > EXPANDED_BYTES_MAX {
            let place = self.events.len() as u64 + self.rejected_total() + 1;
            let error = format!("it becomes more than {EXPANDED_BYTES_MAX} bytes of events");
            return self.reject(place, Reason::TooLong, error);
        }
        self.bytes = bytes;
        let event = record.finish(&mut self.mends);
        self.events.push(event);
    }

    /// About how many bytes the events take in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// One record left out.
    pub fn reject(&mut self, line: u64, reason: Reason, error: impl Into<String>) {
        self.rejected_counts[reason as usize] += 1;
        if self.rejected.len() < REJECTS_TOLD_MAX {
            let error = error.into();
            self.rejected.push(Reject {
                line,
                error,
                reason,
            });
        }
    }

    /// How many were left out.
    pub fn rejected_total(&self) -> u64 {
        self.rejected_counts.iter().sum()
    }

    /// Appends what came later.
    pub fn merge(&mut self, later: Decoded) {
        self.events.extend(later.events);
        self.bytes += later.bytes;
        let room = REJECTS_TOLD_MAX.saturating_sub(self.rejected.len());
        self.rejected.extend(later.rejected.into_iter().take(room));
        for (sum, more) in self.rejected_counts.iter_mut().zip(later.rejected_counts) {
            *sum += more;
        }
        self.mends.merge(&later.mends);
    }
}
