//! Who lives, as the judging node's part of the grid sees it. The reports of a node that
//! nobody reaches are old news and count for nothing.

use crate::direction::{is_conclusive, reaches};
use crate::roster::Roster;
use andon_model::{Heard, LinkReport, LinkState, NodeState, Timestamp};

/// Failures that start within this time of each other belong to one outage: observers notice
/// within half a second of each other, and clocks that are off by less than 0.1 s are not told.
/// Doubled, two nodes that die one after the other look like a site cut off; halved, one slow
/// observer splits an outage.
const OUTAGE_GAP_US: i64 = 3_000_000;

/// What living observers say of one node.
#[derive(Default)]
pub struct Seen<'a> {
    pub reached_by: Vec<usize>,
    pub failed_by: Vec<(usize, &'a LinkReport)>,
    /// Observers at which its own probes arrive.
    pub heard_by: Vec<usize>,
    /// Observers at which its own probes stopped.
    pub silent_at: Vec<usize>,
    /// Observers that have asked and know nothing yet.
    pub waiting: usize,
}

/// By member index.
pub struct Standing<'a> {
    pub alive: Vec<bool>,
    pub seen: Vec<Seen<'a>>,
    pub state: Vec<NodeState>,
    pub since: Vec<Option<Timestamp>>,
    /// Its clock minus the others', where bad.
    pub clock_offset_us: Vec<Option<i64>>,
}

impl<'a> Standing<'a> {
    pub fn of(roster: &Roster<'a>) -> Self {
        let alive = reached(roster);
        let seen = seen(roster, &alive);
        let clock_offset_us = clock_offsets(roster, &seen);
        let mut standing = Self {
            alive,
            seen,
            state: Vec::new(),
            since: Vec::new(),
            clock_offset_us,
        };
        for index in 0..roster.members.len() {
            let (state, since) = standing.judge_member(roster, index);
            standing.state.push(state);
            standing.since.push(since);
        }
        standing
    }

    /// Alive members other than those that left, by index.
    pub fn living(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.alive.len()).filter(|index| self.alive[*index])
    }

    /// Somebody alive asked it and got no answer, and nobody got one.
    pub fn is_down(&self, index: usize) -> bool {
        self.state[index] == NodeState::Down
    }

    /// When an observation started, freed of the observer's own clock error where at least two
    /// others vouch for that error.
    pub fn started(&self, observer: usize, since: Timestamp) -> Timestamp {
        let trusted = self.seen[observer].reached_by.len() >= 2;
        let offset = self.clock_offset_us[observer]
            .filter(|_| trusted)
            .unwrap_or(0);
        Timestamp(since.0.saturating_sub(offset))
    }

    fn judge_member(&self, roster: &Roster<'_>, index: usize) -> (NodeState, Option<Timestamp>) {
        let seen = &self.seen[index];
        let failures = || {
            seen.failed_by
                .iter()
                .map(|(observer, report)| self.started(*observer, report.since))
        };
        if roster.members[index].left {
            return (NodeState::Left, None);
        }
        if !self.alive[index] {
            let observed = !seen.failed_by.is_empty();
            let state = if observed {
                NodeState::Down
            } else {
                NodeState::Suspect
            };
            return (state, outage_start(failures()));
        }
        if seen.failed_by.len() > seen.reached_by.len() {
            return (NodeState::Suspect, outage_start(failures()));
        }
        let up_since = seen
            .reached_by
            .iter()
            .filter_map(|observer| {
                let report = roster.members[*observer].report_on(index)?;
                Some(self.started(*observer, report.since))
            })
            .min();
        (NodeState::Up, up_since)
    }
}

/// Everyone whom `me` reaches, itself or through others it reaches. A node that nobody asks,
/// but whose own probes arrive, counts as reached.
pub fn reached(roster: &Roster<'_>) -> Vec<bool> {
    let mut alive = vec![false; roster.members.len()];
    let mut frontier = Vec::new();
    if let Some(me) = roster.me {
        alive[me] = true;
        frontier.push(me);
    }
    while let Some(observer) = frontier.pop() {
        for (far, report) in &roster.members[observer].reports {
            let talks = report.state == LinkState::NotProbed && report.heard == Heard::Arriving;
            if (reaches(report.state) || talks) && !alive[*far] && !roster.members[*far].left {
                alive[*far] = true;
                frontier.push(*far);
            }
        }
    }
    alive
}

fn seen<'a>(roster: &Roster<'a>, alive: &[bool]) -> Vec<Seen<'a>> {
    let mut seen: Vec<Seen<'a>> = roster.members.iter().map(|_| Seen::default()).collect();
    for (observer, member) in roster
        .members
        .iter()
        .enumerate()
        .filter(|(index, _)| alive[*index])
    {
        for (far, report) in &member.reports {
            let seen = &mut seen[*far];
            match report.heard {
                Heard::Arriving => seen.heard_by.push(observer),
                Heard::Silent => seen.silent_at.push(observer),
                Heard::NotExpected => {}
            }
            match report.state {
                state if reaches(state) => seen.reached_by.push(observer),
                LinkState::Down => seen.failed_by.push((observer, *report)),
                LinkState::Unknown => seen.waiting += 1,
                _ => {}
            }
        }
    }
    seen
}

/// The median of what those measure that reach the node; no published offset is a good one.
/// Between two middles the smaller error is taken, so that one wrong observer accuses nobody.
fn clock_offsets(roster: &Roster<'_>, seen: &[Seen<'_>]) -> Vec<Option<i64>> {
    let median = |index: usize, seen: &Seen<'_>| {
        let mut offsets: Vec<i64> = seen
            .reached_by
            .iter()
            .filter_map(|observer| roster.members[*observer].report_on(index))
            .filter(|report| is_conclusive(report.state))
            .map(|report| report.clock_offset_us.unwrap_or(0))
            .collect();
        offsets.sort_unstable();
        let high = *offsets.get(offsets.len() / 2)?;
        let low = *offsets.get(offsets.len().saturating_sub(1) / 2)?;
        let middle = if low.unsigned_abs() < high.unsigned_abs() {
            low
        } else {
            high
        };
        Some(middle).filter(|offset| *offset != 0)
    };
    seen.iter()
        .enumerate()
        .map(|(index, seen)| median(index, seen))
        .collect()
}

/// Start of the current outage: the middle one of the failures, or the earliest that hangs
/// together with it. A link that was cut last week does not date today's dead node, nor does
/// an observer that started long after it died.
pub fn outage_start(failures: impl Iterator<Item = Timestamp>) -> Option<Timestamp> {
    let mut failures: Vec<Timestamp> = failures.collect();
    failures.sort_unstable();
    let middle = failures.len() / 2;
    let mut start = *failures.get(middle)?;
    for failure in failures[..middle].iter().rev() {
        if start.0.saturating_sub(failure.0) > OUTAGE_GAP_US {
            break;
        }
        start = *failure;
    }
    Some(start)
}

/// Whether two failures may belong to one outage.
pub fn hang_together(a: Timestamp, b: Timestamp) -> bool {
    a.0.saturating_sub(b.0).unsigned_abs() <= OUTAGE_GAP_US.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_cut_does_not_date_the_current_outage() {
        let at = |seconds: &[i64]| outage_start(seconds.iter().map(|s| Timestamp(s * 1_000_000)));
        assert_eq!(at(&[]), None);
        assert_eq!(at(&[100, 101, 99, 5]), Some(Timestamp(99_000_000)));
        assert_eq!(at(&[100, 101, 99, 5_000]), Some(Timestamp(99_000_000)));
        assert_eq!(at(&[100, 98, 96, 92]), Some(Timestamp(96_000_000)));
        assert_eq!(
            outage_start([Timestamp(i64::MIN), Timestamp(i64::MAX)].into_iter()),
            Some(Timestamp(i64::MAX))
        );
    }
}
