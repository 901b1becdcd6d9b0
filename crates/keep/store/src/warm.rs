//! What questions read again and again stays decoded in memory: codes of texts, sizes of
//! numbers, which rows failed. Two bytes a row and column, up to a limit; a question that needs
//! more than fits keeps its first part and reads the rest. What nobody asked for in a while is
//! given back.

use crate::column::{Column, Dict, Rows};
use crate::sketch::sizes::Sizes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long after the last question everything is given back.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(120);
/// What keeping one thing costs beside its own bytes, about.
const ENTRY_BYTES: usize = 160;

/// What of a column of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Of all blocks: the texts that codes stand for.
    Dict,
    Codes,
    Sizes,
    /// Of all columns.
    Failed,
}

/// Where it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// Number of the open segment; a file that is opened again has another.
    pub(crate) segment: u64,
    pub(crate) column: u32,
    pub(crate) block: u32,
    pub(crate) part: Part,
}

/// What is kept.
#[derive(Debug, Clone)]
pub(crate) enum Kept {
    Dict(Arc<Dict>),
    Codes(Arc<Column>),
    Sizes(Arc<Sizes>),
    Failed(Arc<Rows>),
}

impl Kept {
    fn bytes(&self) -> usize {
        ENTRY_BYTES
            + match self {
                Self::Dict(dict) => dict.bytes(),
                Self::Codes(column) => column.bytes(),
                Self::Sizes(sizes) => sizes.bytes(),
                Self::Failed(rows) => rows.bytes(),
            }
    }
}

#[derive(Debug, Default)]
struct Inside {
    kept: BTreeMap<Spot, (Kept, u64)>,
    /// By the last question that used it.
    used: BTreeSet<(u64, Spot)>,
    bytes: usize,
    /// Of the last question asked.
    question: u64,
    asked: Option<Instant>,
}

impl Inside {
    fn remove(&mut self, spot: Spot) -> Option<Kept> {
        let (kept, question) = self.kept.remove(&spot)?;
        self.used.remove(&(question, spot));
        self.bytes -= kept.bytes();
        Some(kept)
    }
}

/// All that is kept, for all questions.
#[derive(Debug)]
pub(crate) struct Warm {
    bytes_max: usize,
    inside: Mutex<Inside>,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
}

/// One question's way to what is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    warm: &'a Warm,
    question: u64,
}

impl Warm {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            inside: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a question.
    pub(crate) fn ask(&self, now: Instant) -> Asking<'_> {
        let mut inside = self.inside();
        inside.question += 1;
        inside.asked = Some(now);
        Asking {
            warm: self,
            question: inside.question,
        }
    }

    /// Gives everything back if nobody asked for long.
    pub(crate) fn cool(&self, now: Instant) {
        let mut inside = self.inside();
        let idle = |asked: Instant| now.saturating_duration_since(asked) >= IDLE_MAX;
        if inside.asked.is_some_and(idle) {
            inside.kept = BTreeMap::new();
            inside.used = BTreeSet::new();
            (inside.bytes, inside.asked) = (0, None);
        }
    }

    /// Bytes of memory that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.inside().bytes
    }
}

impl Asking<'_> {
    /// What is kept of a spot.
    pub(crate) fn find(&self, spot: Spot) -> Option<Kept> {
        let mut inside = self.warm.inside();
        let found = inside.kept.get_mut(&spot);
        let Some((kept, question)) = found else {
            self.warm.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let (kept, before) = (kept.clone(), std::mem::replace(question, self.question));
        if before != self.question {
            inside.used.remove(&(before, spot));
            inside.used.insert((self.question, spot));
        }
        self.warm.hits.fetch_add(1, Ordering::Relaxed);
        Some(kept)
    }

    /// Whether so many bytes could be kept now. What this question used already stays, so that
    /// asking again finds some of it rather than none.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let inside = self.warm.inside();
        let room = inside.bytes + bytes + ENTRY_BYTES <= self.warm.bytes_max;
        let older = || {
            inside
                .used
                .first()
                .is_some_and(|used| used.0 < self.question)
        };
        room || bytes + ENTRY_BYTES <= self.warm.bytes_max && older()
    }

    /// Keeps something, in place of what was not asked for the longest. False without room.
    pub(crate) fn keep(&self, spot: Spot, kept: Kept) -> bool {
        let bytes = kept.bytes();
        let mut inside = self.warm.inside();
        inside.remove(spot);
        while inside.bytes + bytes > self.warm.bytes_max {
            match inside.used.first().copied() {
                Some((question, oldest)) if question < self.question => {
                    inside.remove(oldest);
                }
                _ => return false,
            }
        }
        inside.bytes += bytes;
        inside.kept.insert(spot, (kept, self.question));
        inside.used.insert((self.question, spot));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(block: u32) -> Spot {
        Spot {
            segment: 1,
            column: 0,
            block,
            part: Part::Failed,
        }
    }

    fn thing() -> Kept {
        Kept::Failed(Arc::new(Rows::none(64 * 100)))
    }

    #[test]
    fn the_limit_holds_and_what_a_question_used_is_not_taken_from_it() {
        let room = 4 * thing().bytes();
        let warm = Warm::new(room + 10);
        let now = Instant::now();
        let first = warm.ask(now);
        for block in 0..6 {
            assert_eq!(first.keep(spot(block), thing()), block < 4);
            assert_eq!(first.has_room(800), block < 3);
        }
        assert_eq!(warm.bytes(), room);
        let second = warm.ask(now);
        assert!(second.has_room(800) && !second.has_room(room));
        assert!(second.find(spot(0)).is_some() && second.find(spot(5)).is_none());
        // The oldest goes, and what was just used stays.
        assert!(second.keep(spot(9), thing()));
        assert!(second.find(spot(0)).is_some() && second.find(spot(1)).is_none());
        assert_eq!(warm.bytes(), room);
    }

    #[test]
    fn everything_goes_when_nobody_asks() {
        let warm = Warm::new(1 << 20);
        let now = Instant::now();
        assert!(warm.ask(now).keep(spot(0), thing()));
        warm.cool(now + IDLE_MAX / 2);
        assert!(warm.bytes() > 0);
        warm.cool(now + IDLE_MAX);
        assert_eq!(warm.bytes(), 0);
        assert!(warm.ask(now).find(spot(0)).is_none());
    }
}
