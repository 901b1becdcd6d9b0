//! What is wrong between two living nodes, from both ends' reports.

use crate::direction::{Way, Ways, clean_loss, is_conclusive, ways};
use crate::links::is_excused;
use crate::roster::Roster;
use crate::standing::Standing;
use andon_model::{LinkReason, LinkReport, LinkState, Timestamp, VerdictKind};

/// One observer's word on a failing pair.
#[derive(Clone, Copy)]
pub struct Word<'a> {
    pub observer: usize,
    pub far: usize,
    pub report: &'a LinkReport,
}

/// Trouble between two living nodes.
pub struct Fault<'a> {
    /// Lower index.
    pub low: usize,
    /// Higher index.
    pub high: usize,
    /// `LinkDown`, `LinkPartial` or `Degraded`.
    pub kind: VerdictKind,
    /// As seen from `low`: `there` is low → high.
    pub ways: Ways,
    /// Who reports it: one end or both.
    pub words: Vec<Word<'a>>,
    /// The other end probes too and sees nothing wrong.
    pub contradicted: bool,
    pub since: Timestamp,
}

impl Fault<'_> {
    /// The way from `from`, one of the two ends, to the other.
    pub fn way_from(&self, from: usize) -> Way {
        if from == self.low {
            self.ways.there
        } else {
            self.ways.back
        }
    }

    /// Worst loss that any end measured on the way from `from` to the other end.
    pub fn loss_from(&self, from: usize) -> Option<f32> {
        let loss = self.words.iter().filter_map(|word| {
            let loss = clean_loss(word.report.loss);
            if word.observer == from {
                loss.forward
            } else {
                loss.return_
            }
        });
        loss.max_by(f32::total_cmp)
    }

    /// Degraded by time alone, not by loss.
    pub fn is_slow(&self) -> bool {
        self.kind == VerdictKind::Degraded
            && self
                .words
                .iter()
                .all(|word| word.report.reason == Some(LinkReason::Latency))
    }

    /// Round trip and its usual value, microseconds, where both are known.
    pub fn slowness(&self) -> Option<(u32, u32)> {
        let known = self
            .words
            .iter()
            .filter_map(|word| Some((word.report.rtt_us.p50?, word.report.rtt_baseline_us?)));
        known.max()
    }
}

/// All faults between living nodes, by their ends.
pub fn faults<'a>(roster: &Roster<'a>, standing: &Standing<'a>) -> Vec<Fault<'a>> {
    let mut faults = Vec::new();
    for observer in living(roster, standing) {
        for (far, report) in &roster.members[observer].reports {
            let far_lives = standing.alive[*far] && !roster.members[*far].left;
            if !far_lives || !is_trouble(roster, observer, *far, report) {
                continue;
            }
            let answer = roster.members[*far].report_on(observer);
            let troubled_too = answer.filter(|answer| is_trouble(roster, *far, observer, answer));
            if *far < observer && troubled_too.is_some() {
                continue; // Told from the other end already.
            }
            let mut words = vec![Word {
                observer,
                far: *far,
                report,
            }];
            words.extend(troubled_too.map(|report| Word {
                observer: *far,
                far: observer,
                report,
            }));
            let contradicted =
                troubled_too.is_none() && answer.is_some_and(|answer| is_conclusive(answer.state));
            faults.extend(fault(roster, standing, words, contradicted));
        }
    }
    faults.sort_by_key(|fault| (fault.low, fault.high));
    faults
}

fn fault<'a>(
    roster: &Roster<'a>,
    standing: &Standing<'a>,
    words: Vec<Word<'a>>,
    contradicted: bool,
) -> Option<Fault<'a>> {
    let worst = words.iter().map(|word| severity(word.report.state)).max()?;
    let kind = match worst {
        3 => VerdictKind::LinkDown,
        2 => VerdictKind::LinkPartial,
        _ => VerdictKind::Degraded,
    };
    // A milder word of the other end says less of where the fault is.
    let words: Vec<Word<'a>> = words
        .into_iter()
        .filter(|word| severity(word.report.state) == worst)
        .collect();
    let first = words.first()?;
    let (low, high) = (first.observer.min(first.far), first.observer.max(first.far));
    let ways = words.iter().fold(Ways::UNKNOWN, |known, word| {
        let ways = ways(
            word.report,
            roster.members[word.far].report_on(word.observer),
        );
        known.and(if word.observer == low {
            ways
        } else {
            ways.seen_from_far_end()
        })
    });
    let since = words
        .iter()
        .map(|word| standing.started(word.observer, word.report.since))
        .min()?;
    Some(Fault {
        low,
        high,
        kind,
        ways,
        words,
        contradicted,
        since,
    })
}

fn severity(state: LinkState) -> u8 {
    match state {
        LinkState::Down => 3,
        LinkState::Partial => 2,
        LinkState::Degraded => 1,
        _ => 0,
    }
}

fn is_trouble(roster: &Roster<'_>, observer: usize, far: usize, report: &LinkReport) -> bool {
    severity(report.state) > 0 && !is_excused(roster, observer, far, report)
}

/// Pairs of living nodes of which at least one end knows, each once.
pub fn known_pairs(roster: &Roster<'_>, standing: &Standing<'_>) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for observer in living(roster, standing) {
        for (far, report) in &roster.members[observer].reports {
            let known_there = || {
                let answer = roster.members[*far].report_on(observer);
                answer.is_some_and(|answer| is_conclusive(answer.state))
            };
            let lives = standing.alive[*far] && !roster.members[*far].left;
            if lives && is_conclusive(report.state) && (observer < *far || !known_there()) {
                pairs.push((observer.min(*far), observer.max(*far)));
            }
        }
    }
    pairs
}

fn living<'r>(
    roster: &'r Roster<'_>,
    standing: &'r Standing<'_>,
) -> impl Iterator<Item = usize> + 'r {
    standing
        .living()
        .filter(|index| !roster.members[*index].left)
}
