//! Which links are probed over many flows for a while, since something is odd with them: a few
//! at once, the oddest first, each for a bounded time. A burst never says what is wrong; it
//! gathers what others judge by.

use andon_model::{Instant, NodeKey};
use std::collections::BTreeMap;
use std::time::Duration;

/// A burst probes at full rate for so long.
const FAST_FOR: Duration = Duration::from_secs(20);
/// Bursts of one link begin at most this often.
const EVERY: Duration = Duration::from_secs(60);
/// Each burst that finds nothing doubles that, so often: a link that loses a little by nature
/// is left alone.
const BARREN_MAX: u32 = 5;
/// Links at full rate at once.
const FAST_MAX: usize = 4;
/// Links in all: those whose dead flows stay in view are probed slowly after the burst.
const RUNNING_MAX: usize = 16;
/// Links whose earlier bursts are remembered.
const PAST_MAX: usize = 2_048;

/// What speaks for a burst of a link, and what one has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Symptom {
    /// How odd it is; 0 for not at all.
    pub weight: u32,
    /// Flows are dead: they stay in view until they live again.
    pub dead: bool,
    /// The burst that runs has found something.
    pub found: bool,
    /// The link carries nothing, or is not probed over UDP: many flows would tell no more.
    pub out: bool,
}

/// How fast a burst goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Several probes a second on each flow.
    Fast,
    /// One now and then, to see when dead flows live again.
    Slow,
}

/// What changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A burst begins, fast.
    Start(NodeKey),
    /// It goes on slowly.
    Slow(NodeKey),
    /// It ends.
    End(NodeKey),
}

#[derive(Debug, Clone, Copy)]
struct Running {
    pace: Pace,
    until: Instant,
    found: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Past {
    rests_until: Instant,
    barren: u32,
}

/// All bursts of a node.
#[derive(Debug, Default)]
pub struct Bursts {
    running: BTreeMap<NodeKey, Running>,
    past: BTreeMap<NodeKey, Past>,
}

impl Bursts {
    /// A second has passed. `symptoms` of all links that have any or are bursting; `fast_max`:
    /// links that the budget has room for.
    pub fn second(
        &mut self,
        now: Instant,
        symptoms: &BTreeMap<NodeKey, Symptom>,
        fast_max: usize,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        self.running.retain(|key, running| {
            let symptom = symptoms.get(key).copied().unwrap_or_default();
            running.found |= symptom.found;
            let is_over = match running.pace {
                _ if symptom.out => true,
                Pace::Slow => !symptom.dead,
                Pace::Fast if now < running.until => false,
                Pace::Fast if symptom.dead => {
                    running.pace = Pace::Slow;
                    changes.push(Change::Slow(*key));
                    false
                }
                Pace::Fast => true,
            };
            if is_over {
                changes.push(Change::End(*key));
                let past = self.past.entry(*key).or_default();
                past.barren = if running.found {
                    0
                } else {
                    (past.barren + 1).min(BARREN_MAX)
                };
                // Counted from its start, which was FAST_FOR before the end of the fast part.
                let rest = EVERY * 2u32.pow(past.barren) - FAST_FOR;
                past.rests_until = now + rest;
            }
            !is_over
        });
        self.start(now, symptoms, fast_max.min(FAST_MAX), &mut changes);
        changes
    }

    /// How fast a link's burst goes; `None` if there is none.
    pub fn pace(&self, link: NodeKey) -> Option<Pace> {
        self.running.get(&link).map(|running| running.pace)
    }

    /// Links at full rate.
    pub fn fast(&self) -> usize {
        let is_fast = |running: &&Running| running.pace == Pace::Fast;
        self.running.values().filter(is_fast).count()
    }

    /// Whether any link bursts.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// The link is no longer probed.
    pub fn forget(&mut self, link: NodeKey) {
        self.running.remove(&link);
        self.past.remove(&link);
    }

    fn start(
        &mut self,
        now: Instant,
        symptoms: &BTreeMap<NodeKey, Symptom>,
        fast_max: usize,
        changes: &mut Vec<Change>,
    ) {
        let rests = |past: &Past| past.rests_until > now;
        let mut waiting: Vec<(u32, NodeKey)> = symptoms
            .iter()
            .filter(|(_, symptom)| symptom.weight > 0 && !symptom.out)
            .filter(|(key, _)| !self.running.contains_key(*key))
            .filter(|(key, _)| !self.past.get(*key).is_some_and(rests))
            .map(|(key, symptom)| (symptom.weight, *key))
            .collect();
        waiting.sort_unstable_by_key(|(weight, key)| (std::cmp::Reverse(*weight), *key));
        for (_, key) in waiting {
            if self.fast() >= fast_max || self.running.len() >= RUNNING_MAX {
                return;
            }
            let running = Running {
                pace: Pace::Fast,
                until: now + FAST_FOR,
                found: false,
            };
            self.running.insert(key, running);
            changes.push(Change::Start(key));
        }
        if self.past.len() > PAST_MAX {
            self.past.retain(|_, past| past.rests_until > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Instant {
        Instant(1_000_000 * (1_000 + n))
    }

    fn symptom(weight: u32, dead: bool, found: bool) -> Symptom {
        Symptom {
            weight,
            dead,
            found,
            out: false,
        }
    }

    /// Seconds in which bursts of one link begin.
    fn starts(seconds: u64, symptom: Symptom) -> Vec<u64> {
        let mut bursts = Bursts::default();
        let symptoms = BTreeMap::from([(NodeKey(1), symptom)]);
        (0..seconds)
            .filter(|n| {
                let changes = bursts.second(second(*n), &symptoms, 4);
                changes.contains(&Change::Start(NodeKey(1)))
            })
            .collect()
    }

    #[test]
    fn bursts_repeat_each_minute_while_they_find_and_ever_less_while_not() {
        assert_eq!(starts(200, symptom(1, false, true)), [0, 60, 120, 180]);
        assert_eq!(starts(500, symptom(1, false, false)), [0, 120, 360]);
        assert!(starts(36_000, symptom(1, false, false)).len() < 25);
        assert_eq!(starts(500, symptom(0, false, false)), [0u64; 0]);
    }

    #[test]
    fn dead_flows_stay_in_view_until_they_live() {
        let mut bursts = Bursts::default();
        let dead = BTreeMap::from([(NodeKey(1), symptom(9, true, true))]);
        assert_eq!(
            bursts.second(second(0), &dead, 4),
            [Change::Start(NodeKey(1))]
        );
        for n in 1..20 {
            assert_eq!(bursts.second(second(n), &dead, 4), []);
        }
        assert_eq!(
            bursts.second(second(20), &dead, 4),
            [Change::Slow(NodeKey(1))]
        );
        assert_eq!(bursts.second(second(900), &dead, 4), []);
        let well = BTreeMap::new();
        assert_eq!(
            bursts.second(second(901), &well, 4),
            [Change::End(NodeKey(1))]
        );
        assert!(bursts.is_idle());
    }

    #[test]
    fn a_few_at_once_the_oddest_first_and_none_where_nothing_passes() {
        let mut bursts = Bursts::default();
        let mut symptoms: BTreeMap<NodeKey, Symptom> = (0..100)
            .map(|n| (NodeKey(n), symptom(n as u32, true, true)))
            .collect();
        let first: Vec<Change> = (96..100).rev().map(|n| Change::Start(NodeKey(n))).collect();
        assert_eq!(bursts.second(second(0), &symptoms, 9), first);
        for n in 1..1_000 {
            bursts.second(second(n), &symptoms, 9);
            assert!(bursts.fast() <= FAST_MAX && bursts.running.len() <= RUNNING_MAX);
        }
        assert_eq!(bursts.running.len(), RUNNING_MAX);
        symptoms.values_mut().for_each(|symptom| symptom.out = true);
        bursts.second(second(1_000), &symptoms, 9);
        assert!(bursts.is_idle());
    }
}
