//! Many failing links, few causes: greedy set cover. A cause explains the links that fail in
//! its scope and is contradicted by those in it that work; the one that explains most and is
//! contradicted least is taken first, until what is left stands alone.

use super::pairs::{Fault, faults, known_pairs};
use crate::roster::Roster;
use crate::standing::Standing;
use andon_model::VerdictKind;
use std::collections::BTreeMap;

/// Most united causes in one class. More than this is no explanation any more.
const CAUSES_UNITED_MAX: usize = 32;

/// What a cause sits at. The order decides between equal explanations: the narrower first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One link.
    Pair(usize, usize),
    /// All links of a node.
    Node(usize),
    /// All links between two sites, or inside one.
    Sites(usize, usize),
    /// All links of a site to others.
    Uplink(usize),
    /// All links of the grid.
    Grid,
}

/// A scope with the faults that it explains.
pub struct Cause<'a> {
    pub scope: Scope,
    pub kind: VerdictKind,
    pub faults: Vec<Fault<'a>>,
    /// Links in the scope that work.
    pub working: usize,
}

/// The fewest causes behind all failing links between living nodes.
pub fn causes<'a>(roster: &Roster<'a>, standing: &Standing<'a>) -> Vec<Cause<'a>> {
    let faults = faults(roster, standing);
    if faults.is_empty() {
        return Vec::new();
    }
    let failing: Vec<(usize, usize)> = faults.iter().map(|fault| (fault.low, fault.high)).collect();
    let mut working: BTreeMap<Scope, usize> = BTreeMap::new();
    if faults.len() > 1 {
        for pair in known_pairs(roster, standing) {
            if failing.binary_search(&pair).is_err() {
                for scope in scopes(roster, pair) {
                    *working.entry(scope).or_default() += 1;
                }
            }
        }
    }
    // Cut links and poor links are different ailments, unless one cause explains no more.
    let (cut, poor): (Vec<Fault>, Vec<Fault>) = faults
        .into_iter()
        .partition(|fault| fault.kind == VerdictKind::LinkDown);
    let mut causes = cover(roster, cut, &working);
    causes.extend(cover(roster, poor, &working));
    causes
}

fn cover<'a>(
    roster: &Roster<'a>,
    mut left: Vec<Fault<'a>>,
    working: &BTreeMap<Scope, usize>,
) -> Vec<Cause<'a>> {
    let mut causes = Vec::new();
    while causes.len() < CAUSES_UNITED_MAX {
        let Some(scope) = best(roster, &left, working) else {
            break;
        };
        let inside = |fault: &Fault| scopes(roster, (fault.low, fault.high)).contains(&scope);
        let (explained, rest): (Vec<Fault>, Vec<Fault>) = left.into_iter().partition(inside);
        let kind = most_frequent(&explained);
        causes.push(Cause {
            scope,
            kind,
            faults: explained,
            working: works(working, scope),
        });
        left = rest;
    }
    causes.extend(left.into_iter().map(|fault| {
        let scope = Scope::Pair(fault.low, fault.high);
        Cause {
            scope,
            kind: fault.kind,
            faults: vec![fault],
            working: 0,
        }
    }));
    causes
}

/// The scope that explains most, if any explains two links or more and at least two thirds of
/// its links fail.
fn best(
    roster: &Roster<'_>,
    left: &[Fault<'_>],
    working: &BTreeMap<Scope, usize>,
) -> Option<Scope> {
    let mut failing: BTreeMap<Scope, usize> = BTreeMap::new();
    for fault in left {
        for scope in scopes(roster, (fault.low, fault.high)) {
            *failing.entry(scope).or_default() += 1;
        }
    }
    let mut best: Option<(usize, Scope)> = None;
    for (scope, failing) in failing {
        let working = works(working, scope);
        let explains = failing >= 2 && failing >= 2 * working;
        let gain = failing.saturating_sub(working);
        if explains && best.is_none_or(|(most, _)| gain > most) {
            best = Some((gain, scope));
        }
    }
    best.map(|(_, scope)| scope)
}

fn works(working: &BTreeMap<Scope, usize>, scope: Scope) -> usize {
    working.get(&scope).copied().unwrap_or(0)
}

/// Every scope that a link lies in, beyond itself.
fn scopes(roster: &Roster<'_>, (low, high): (usize, usize)) -> Vec<Scope> {
    let (a, b) = (roster.members[low].site, roster.members[high].site);
    let mut scopes = vec![
        Scope::Node(low),
        Scope::Node(high),
        Scope::Sites(a.min(b), a.max(b)),
        Scope::Grid,
    ];
    if a != b {
        scopes.extend([Scope::Uplink(a), Scope::Uplink(b)]);
    }
    scopes
}

fn most_frequent(faults: &[Fault<'_>]) -> VerdictKind {
    let number = |kind| faults.iter().filter(|fault| fault.kind == kind).count();
    let kinds = [
        VerdictKind::Degraded,
        VerdictKind::LinkPartial,
        VerdictKind::LinkDown,
    ];
    kinds
        .into_iter()
        .max_by_key(|kind| number(*kind))
        .unwrap_or(VerdictKind::Degraded)
}
