//! Texts by number. Within a segment each text (a name, a sentence, a line of evidence) is
//! written once; whoever repeats it writes its number. The writer remembers hashes, not texts.

use crate::bytes::put_bytes;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Texts of one segment beyond which it should end: the writer's memory of them is 24 bytes
/// each, and a reader holds them all.
pub(crate) const TEXTS_MAX: usize = 32_768;

/// The writer's side: which texts have a number, and which are still to be written.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// Keyed by chance, so that nobody can choose two texts of one hash.
    seed: RandomState,
    numbers: HashMap<u64, u32, Hashed>,
    fresh: Vec<u8>,
    fresh_count: u64,
}

impl Texts {
    /// Forgets all; numbers begin anew.
    pub(crate) fn forget(&mut self) {
        self.numbers = HashMap::default();
        self.fresh = Vec::new();
        self.fresh_count = 0;
    }

    /// How many have a number.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of a text; a text without one gets the next.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let fresh = &mut self.fresh;
        let count = &mut self.fresh_count;
        *self
            .numbers
            .entry(self.seed.hash_one(text))
            .or_insert_with(|| {
                put_bytes(fresh, text.as_bytes());
                *count += 1;
                next
            })
    }

    /// Texts that got a number since the last call, in order, to be written before what
    /// refers to them; `None` if there is none.
    pub(crate) fn take_fresh(&mut self) -> Option<Vec<u8>> {
        self.fresh_count = 0;
        Some(std::mem::take(&mut self.fresh)).filter(|fresh| !fresh.is_empty())
    }
}

/// The keys are hashes already.
#[derive(Debug, Clone, Copy, Default)]
struct Hashed(u64);

impl BuildHasher for Hashed {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
