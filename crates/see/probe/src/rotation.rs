//! When a flow gets another source port, so that in the course of hours other paths are met
//! too. Sockets that only scouts and bursts use change often, those of the standing flows
//! seldom, and never one whose present path somebody has an interest in.

use andon_model::Instant;
use std::time::Duration;

/// One of the standing flows changes its port this often.
const STANDING_EVERY: Duration = Duration::from_secs(120);
/// One of the others.
const SPARE_EVERY: Duration = Duration::from_secs(20);

/// Whose turn it is.
#[derive(Debug)]
pub struct Rotation {
    standing: u16,
    standing_turn: u16,
    spare_turn: u16,
    standing_at: Instant,
    spare_at: Instant,
}

impl Rotation {
    /// For so many standing flows; their indexes come first.
    pub fn new(standing: u16, now: Instant) -> Self {
        Self {
            standing,
            standing_turn: 0,
            spare_turn: 0,
            standing_at: now + STANDING_EVERY,
            spare_at: now + SPARE_EVERY,
        }
    }

    /// A second has passed; of `flows` in all, returns those that are to get another port.
    /// `may`: whether nobody needs the present port of a flow. One that may not is passed over.
    pub fn second(&mut self, now: Instant, flows: u16, may: impl Fn(u16) -> bool) -> Vec<u16> {
        let mut turned = Vec::new();
        let standing = self.standing.min(flows);
        if now >= self.standing_at && standing > 0 {
            self.standing_at = now + STANDING_EVERY;
            let from = self.standing_turn;
            let found = (0..standing)
                .map(|n| (from + n) % standing)
                .find(|n| may(*n));
            if let Some(flow) = found {
                self.standing_turn = (flow + 1) % standing;
                turned.push(flow);
            }
        }
        let spare = flows - standing;
        if now >= self.spare_at && spare > 0 {
            self.spare_at = now + SPARE_EVERY;
            let flow = standing + self.spare_turn % spare;
            self.spare_turn = (self.spare_turn + 1) % spare;
            turned.extend(Some(flow).filter(|flow| may(*flow)));
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn turns(seconds: u64, may: impl Fn(u16) -> bool) -> BTreeMap<u16, u32> {
        let mut rotation = Rotation::new(8, Instant(0));
        let mut turns = BTreeMap::new();
        for n in 1..=seconds {
            for flow in rotation.second(Instant(n * 1_000_000), 64, &may) {
                *turns.entry(flow).or_default() += 1;
            }
        }
        turns
    }

    #[test]
    fn all_have_their_turn_the_standing_ones_seldom() {
        let turns = turns(8 * 120, |_| true);
        assert!((0..8).all(|flow| turns.get(&flow) == Some(&1)), "{turns:?}");
        assert_eq!((8..64).filter(|flow| turns.contains_key(flow)).count(), 48);
    }

    #[test]
    fn what_is_needed_is_passed_over() {
        let turns = turns(3_600, |flow| flow != 3 && flow != 20);
        assert!(!turns.contains_key(&3) && !turns.contains_key(&20));
        assert_eq!((0..8).filter_map(|flow| turns.get(&flow)).sum::<u32>(), 30);
    }
}
