//! Many failing links, few causes: greedy set cover. A cause explains the links that fail in
//! its scope and is contradicted by those in it that work; the one that explains most and is
//! contradicted least is taken first, until what is left stands alone.

use super::pairs::{Fault, faults, known_pairs};
use crate::path::PathFaults;
use crate::roster::Roster;
use crate::standing::Standing;
use andon_model::VerdictKind;
use std::collections::BTreeMap;

/// Most united causes in one class. More than this is no explanation any more.
const CAUSES_UNITED_MAX: usize = 32;

/// What a cause sits at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
pub fn causes<'a>(
    roster: &Roster<'a>,
    standing: &Standing<'a>,
    paths: &PathFaults<'_>,
) -> Vec<Cause<'a>> {
    let mut faults = faults(roster, standing);
    let failing: Vec<(usize, usize)> = faults.iter().map(|fault| (fault.low, fault.high)).collect();
    // A hop that is named says more than the links that it harms.
    faults.retain(|fault| !paths.explains(roster, fault.low, fault.high));
    if faults.is_empty() {
        return Vec::new();
    }
    let mut working = Tally::of(roster);
    if faults.len() > 1 {
        for pair in known_pairs(roster, standing) {
            if failing.binary_search(&pair).is_err() {
                working.add(roster, pair);
            }
        }
    }
    // Cut links and poor links are different ailments.
    let (cut, mut poor): (Vec<Fault>, Vec<Fault>) = faults
        .into_iter()
        .partition(|fault| fault.kind == VerdictKind::LinkDown);
    let mut causes = cover(roster, cut, &working);
    // What cuts most links of a scope also harms those of it that still carry something.
    poor.retain(|fault| {
        let pair = (fault.low, fault.high);
        !causes.iter().any(|cause| holds(roster, cause.scope, pair))
    });
    causes.extend(cover(roster, poor, &working));
    causes
}

fn cover<'a>(roster: &Roster<'a>, mut left: Vec<Fault<'a>>, working: &Tally) -> Vec<Cause<'a>> {
    let mut causes = Vec::new();
    while causes.len() < CAUSES_UNITED_MAX {
        let Some(scope) = best(roster, &left, working) else {
            break;
        };
        let (explained, rest): (Vec<Fault>, Vec<Fault>) = left
            .into_iter()
            .partition(|fault| holds(roster, scope, (fault.low, fault.high)));
        let kind = most_frequent(&explained);
        causes.push(Cause {
            scope,
            kind,
            faults: explained,
            working: working.at(scope),
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
fn best(roster: &Roster<'_>, left: &[Fault<'_>], working: &Tally) -> Option<Scope> {
    let mut failing = Tally::of(roster);
    for fault in left {
        failing.add(roster, (fault.low, fault.high));
    }
    let mut best: Option<(usize, Scope)> = None;
    for (scope, failing) in failing.scopes() {
        let working = working.at(scope);
        let explains = failing >= 2 && failing >= 2 * working;
        let gain = failing.saturating_sub(working);
        if explains && best.is_none_or(|(most, _)| gain > most) {
            best = Some((gain, scope));
        }
    }
    best.map(|(_, scope)| scope)
}

/// Whether a link lies in a scope.
fn holds(roster: &Roster<'_>, scope: Scope, (low, high): (usize, usize)) -> bool {
    let (a, b) = (roster.members[low].site, roster.members[high].site);
    match scope {
        Scope::Pair(one, other) => (low, high) == (one, other),
        Scope::Node(node) => low == node || high == node,
        Scope::Sites(one, other) => (a.min(b), a.max(b)) == (one, other),
        Scope::Uplink(site) => (a == site) != (b == site),
        Scope::Grid => true,
    }
}

/// Links counted by every scope that they lie in.
struct Tally {
    nodes: Vec<usize>,
    sites: BTreeMap<(usize, usize), usize>,
    uplinks: Vec<usize>,
    grid: usize,
}

impl Tally {
    fn of(roster: &Roster<'_>) -> Self {
        let (nodes, uplinks) = (vec![0; roster.members.len()], vec![0; roster.sites.len()]);
        Self {
            nodes,
            sites: BTreeMap::new(),
            uplinks,
            grid: 0,
        }
    }

    fn add(&mut self, roster: &Roster<'_>, (low, high): (usize, usize)) {
        let (a, b) = (roster.members[low].site, roster.members[high].site);
        self.nodes[low] += 1;
        self.nodes[high] += 1;
        *self.sites.entry((a.min(b), a.max(b))).or_default() += 1;
        if a != b {
            self.uplinks[a] += 1;
            self.uplinks[b] += 1;
        }
        self.grid += 1;
    }

    fn at(&self, scope: Scope) -> usize {
        match scope {
            Scope::Pair(..) => 0,
            Scope::Node(node) => self.nodes[node],
            Scope::Sites(a, b) => self.sites.get(&(a, b)).copied().unwrap_or(0),
            Scope::Uplink(site) => self.uplinks[site],
            Scope::Grid => self.grid,
        }
    }

    /// Every scope with its count, narrower ones first: between equal explanations the
    /// narrower is taken.
    fn scopes(&self) -> impl Iterator<Item = (Scope, usize)> + '_ {
        let nodes = self
            .nodes
            .iter()
            .enumerate()
            .map(|(node, count)| (Scope::Node(node), *count));
        let sites = self
            .sites
            .iter()
            .map(|((a, b), count)| (Scope::Sites(*a, *b), *count));
        let uplinks = self
            .uplinks
            .iter()
            .enumerate()
            .map(|(site, count)| (Scope::Uplink(site), *count));
        nodes
            .chain(sites)
            .chain(uplinks)
            .chain([(Scope::Grid, self.grid)])
    }
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
