//! Where two keepers hold copies, whoever watches hears of each event from both. The first word
//! counts, so that nothing waits for a keeper that is slow or away; the second is left out.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};

/// Words that wait for their twin at most. Of events that only one keeper has none ever comes;
/// a twin that comes later than this many others is told again.
const UNPAIRED_MAX: usize = 16_384;

/// What was told by one source, and not by another yet.
#[derive(Debug, Default)]
pub(crate) struct Twins {
    /// By digest of the event as it is told: who told it, and how often more than the other.
    unpaired: BTreeMap<u64, (usize, u32)>,
    /// Oldest first; some may be paired by now.
    order: VecDeque<u64>,
}

impl Twins {
    /// Whether a source's word is no second one. Events that are alike to the last digit are
    /// told as often as one source has them.
    pub(crate) fn is_news(&mut self, source: usize, told: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write(told);
        let digest = hasher.finish();
        match self.unpaired.get_mut(&digest) {
            Some((teller, _)) if *teller != source => {
                self.pair(digest);
                return false;
            }
            Some((_, count)) => *count += 1,
            None => {
                self.unpaired.insert(digest, (source, 1));
                self.order.push_back(digest);
            }
        }
        if self.order.len() > UNPAIRED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.unpaired.remove(&oldest);
        }
        true
    }

    fn pair(&mut self, digest: u64) {
        if let Some((_, count)) = self.unpaired.get_mut(&digest) {
            *count -= 1;
            if *count == 0 {
                self.unpaired.remove(&digest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_words_the_first_counts_and_what_happened_twice_is_told_twice() {
        let mut twins = Twins::default();
        let mut told = |words: &[(usize, &str)]| -> Vec<bool> {
            let words = words.iter();
            words
                .map(|(source, word)| twins.is_news(*source, word.as_bytes()))
                .collect()
        };
        assert_eq!(told(&[(0, "a"), (1, "a")]), [true, false]);
        assert_eq!(told(&[(1, "b"), (0, "b")]), [true, false]);
        let twice = [(0, "c"), (0, "c"), (1, "c"), (1, "c")];
        assert_eq!(told(&twice), [true, true, false, false]);
        let crossed = [(0, "c"), (1, "c"), (1, "c"), (0, "c")];
        assert_eq!(told(&crossed), [true, false, true, false]);
    }

    #[test]
    fn what_has_no_twin_is_forgotten() {
        let mut twins = Twins::default();
        for number in 0..3 * UNPAIRED_MAX {
            assert!(twins.is_news(0, &number.to_le_bytes()));
            assert!(number < UNPAIRED_MAX || !twins.is_news(1, &(number - 1).to_le_bytes()));
        }
        assert!(twins.unpaired.len() <= UNPAIRED_MAX && twins.order.len() <= UNPAIRED_MAX);
        assert!(twins.is_news(1, &0_usize.to_le_bytes()), "too late");
    }
}
