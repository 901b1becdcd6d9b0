//! Which words a block's texts may hold, so that a search leaves out the blocks that cannot
//! have what it looks for. A word is a run of ASCII letters and digits in small letters.

use super::Damaged;
use super::bytes::{Bytes, put_u64};
use crate::column::Texts;
use crate::hash::hash_bytes;
use std::collections::HashSet;

/// Bits for each word: with these and four probes one absent word in a hundred seems there.
const BITS_PER_WORD: usize = 10;
const PROBES: u64 = 4;
/// Bytes of one filter at most: where a block has more words (random ids), it says less.
const BYTES_MAX: usize = 128 << 10;
/// Longer words are taken to be blobs and told by their first bytes.
const WORD_BYTES_MAX: usize = 64;

/// A set of words that may claim to have one that it has not, never the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bloom {
    words: Vec<u64>,
}

impl Bloom {
    /// The words of some texts.
    pub(crate) fn of(texts: &Texts) -> Self {
        let mut seen: HashSet<u64, crate::hash::MixState> = HashSet::default();
        for text in texts.iter() {
            each_word(text, |hash| {
                seen.insert(hash);
            });
        }
        let bits = (seen.len() * BITS_PER_WORD).clamp(64, BYTES_MAX * 8);
        let mut bloom = Self {
            words: vec![0; bits.div_ceil(64)],
        };
        for hash in seen {
            for bit in bloom.bits(hash) {
                bloom.words[bit / 64] |= 1 << (bit % 64);
            }
        }
        bloom
    }

    fn bits(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let bits = self.words.len() as u64 * 64;
        let step = (hash >> 32) | 1;
        (0..PROBES).map(move |probe| (hash.wrapping_add(step.wrapping_mul(probe)) % bits) as usize)
    }

    /// Whether all of these words may be there.
    pub(crate) fn may_have(&self, words: &[u64]) -> bool {
        words.iter().all(|&hash| {
            let mut bits = self.bits(hash);
            bits.all(|bit| self.words[bit / 64] >> (bit % 64) & 1 == 1)
        })
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.words.len() as u64);
        for word in &self.words {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }

    pub(crate) fn decode(bytes: &mut Bytes<'_>) -> Result<Self, Damaged> {
        let count = bytes.count(BYTES_MAX / 8)?;
        if count == 0 {
            return Err(Damaged("an empty filter"));
        }
        let words = (0..count).map(|_| bytes.fixed_u64());
        Ok(Self {
            words: words.collect::<Result<_, _>>()?,
        })
    }
}

fn each_word(text: &str, mut each: impl FnMut(u64)) {
    for word in text.as_bytes().split(|byte| !byte.is_ascii_alphanumeric()) {
        if !word.is_empty() {
            each(hash_word(word));
        }
    }
}

fn hash_word(word: &[u8]) -> u64 {
    let mut small = [0u8; WORD_BYTES_MAX];
    let word = &word[..word.len().min(WORD_BYTES_MAX)];
    let small = &mut small[..word.len()];
    small.copy_from_slice(word);
    small.make_ascii_lowercase();
    hash_bytes(small)
}

/// Words that a text equal to this one has.
pub(crate) fn words_of(text: &str) -> Vec<u64> {
    let mut words = Vec::new();
    each_word(text, |word| words.push(word));
    words
}

/// Words that each text has in which this one occurs: those at its ends may go on outside, so
/// only what stands between other characters counts.
pub(crate) fn words_within(part: &str) -> Vec<u64> {
    let bytes = part.as_bytes();
    let first = bytes.iter().position(|byte| !byte.is_ascii_alphanumeric());
    let last = bytes.iter().rposition(|byte| !byte.is_ascii_alphanumeric());
    match (first, last) {
        (Some(first), Some(last)) => words_of(&String::from_utf8_lossy(&bytes[first..=last])),
        _ => Vec::new(),
    }
}
