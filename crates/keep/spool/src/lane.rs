//! Each record goes to one keeper, or to two where the grid has two. Each keeper is a lane: it
//! has its own mark in each queue, so that one that is away does not hold up the other.

use andon_model::Timestamp;
use andon_model::event::Event;
use serde::{Deserialize, Serialize};

/// One of the ways that a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// To the keeper that answers for it.
    Main = 0,
    /// To the keeper that holds the copy.
    Copy = 1,
}

impl Lane {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Main, Self::Copy];

    /// The file that says up to where records have arrived.
    pub(crate) fn mark_file(self) -> &'static str {
        match self {
            Self::Main => "arrived",
            Self::Copy => "arrived.copy",
        }
    }

    /// The file that says what will never arrive.
    pub(crate) fn gap_file(self) -> &'static str {
        match self {
            Self::Main => "gap",
            Self::Copy => "gap.copy",
        }
    }

    /// The file that says which store of its keeper took the records.
    pub(crate) fn store_file(self) -> &'static str {
        match self {
            Self::Main => "store",
            Self::Copy => "store.copy",
        }
    }

    /// The file that names the keeper.
    pub(crate) fn keeper_file(self) -> &'static str {
        match self {
            Self::Main => "keeper",
            Self::Copy => "keeper.copy",
        }
    }
}

/// Events of a dataset that one of two keepers has and the other will never get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The dataset.
    pub dataset: String,
    /// When the first of them happened, in microseconds since 1970.
    pub from_us: i64,
    /// When the last of them happened.
    pub to_us: i64,
    /// How many they are; zero where that is not known.
    pub events: u64,
    /// Whether some were there, and are lost with the store that had them.
    #[serde(default)]
    pub is_lost: bool,
}

impl Gap {
    /// What is missing where these events are.
    pub fn of(dataset: &str, events: &[Event]) -> Self {
        let times = || events.iter().map(|event| event.at.0);
        Self {
            dataset: dataset.to_owned(),
            from_us: times().min().unwrap_or(i64::MAX),
            to_us: times().max().unwrap_or(i64::MIN),
            events: events.len() as u64,
            is_lost: false,
        }
    }

    /// All that happened before a store was made: what its keeper had is lost.
    pub fn lost(dataset: &str, made_at: Timestamp) -> Self {
        Self {
            dataset: dataset.to_owned(),
            from_us: i64::MIN,
            to_us: made_at.0,
            events: 0,
            is_lost: true,
        }
    }

    /// Both gaps as one.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self {
            dataset: self.dataset.clone(),
            from_us: self.from_us.min(other.from_us),
            to_us: self.to_us.max(other.to_us),
            events: self.events + other.events,
            is_lost: self.is_lost || other.is_lost,
        }
    }

    /// Whether it is in a stretch of time.
    pub fn touches(&self, from_us: i64, to_us: i64) -> bool {
        self.from_us < to_us && self.to_us >= from_us
    }
}
