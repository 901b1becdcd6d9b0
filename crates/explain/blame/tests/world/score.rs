//! How well a judgement fits what is really broken.

use super::Dice;
use super::faults::{self, Fault, Harm, Place};
use super::probes::{Eyes, NOW, Traces, key, picture};
use super::topology::{self, Network};
use andon_blame::judge;
use andon_model::{Verdict, VerdictKind};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Evidence below which nobody could tell: single flows and lost probes are chance.
const DEAD_MIN: u32 = 6;
const LOST_MIN: u32 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    FatTree,
    Wan,
}

/// Sums over worlds.
#[derive(Debug, Default, Clone)]
pub struct Score {
    pub worlds: u32,
    pub faults: u32,
    /// Left too little evidence to be seen.
    pub faint: u32,
    /// Named, of those that are not faint.
    pub named: u32,
    /// Of the named, by one hop, a pair, or one router.
    pub narrow: u32,
    pub verdicts: u32,
    /// Path faults that name nothing that is broken.
    pub wrong: u32,
    /// Worlds with such a one.
    pub wrong_worlds: u32,
    /// Other verdicts that were left, by kind.
    pub others: BTreeMap<String, u32>,
    pub micros: Vec<u64>,
    /// What went wrong, to look into.
    pub notes: Vec<String>,
}

impl Score {
    pub fn named_share(&self) -> f64 {
        f64::from(self.named) / f64::from((self.faults - self.faint).max(1))
    }

    pub fn narrow_share(&self) -> f64 {
        f64::from(self.narrow) / f64::from(self.named.max(1))
    }

    pub fn wrong_share(&self) -> f64 {
        f64::from(self.wrong) / f64::from(self.verdicts.max(1))
    }

    pub fn add(&mut self, other: Score) {
        self.worlds += other.worlds;
        self.faults += other.faults;
        self.faint += other.faint;
        self.named += other.named;
        self.narrow += other.narrow;
        self.verdicts += other.verdicts;
        self.wrong += other.wrong;
        self.wrong_worlds += other.wrong_worlds;
        for (kind, count) in other.others {
            *self.others.entry(kind).or_default() += count;
        }
        self.micros.extend(other.micros);
        self.notes.extend(other.notes);
    }
}

/// One world, judged.
pub fn world(seed: u64, shape: Shape, eyes: Eyes, faults: Option<usize>) -> Score {
    let mut dice = Dice::new(seed);
    let silent = 0.1;
    let network = match shape {
        Shape::FatTree => topology::fat_tree(&mut dice, 8, silent),
        Shape::Wan => topology::wan(&mut dice, silent),
    };
    let number = faults.unwrap_or_else(|| 1 + dice.below(3));
    let faults = faults::any(&mut dice, &network, number);
    let (picture, traces) = picture(&mut dice, &network, &faults, eyes);
    #[allow(clippy::disallowed_methods)] // It measures.
    let start = std::time::Instant::now();
    let view = judge(&picture, key(0), NOW);
    let micros = start.elapsed().as_micros() as u64;
    let mut score = mark(&network, &faults, &traces, &view.verdicts);
    score.micros.push(micros);
    score
        .notes
        .iter_mut()
        .for_each(|note| note.insert_str(0, &format!("seed {seed} {shape:?}: ")));
    score
}

fn mark(network: &Network, faults: &[Fault], traces: &[Traces], verdicts: &[Verdict]) -> Score {
    let mut score = Score {
        worlds: 1,
        faults: faults.len() as u32,
        ..Score::default()
    };
    let blamed: Vec<&Verdict> = verdicts
        .iter()
        .filter(|verdict| verdict.kind == VerdictKind::PathFault)
        .collect();
    for verdict in verdicts
        .iter()
        .filter(|verdict| verdict.kind != VerdictKind::PathFault)
    {
        *score
            .others
            .entry(format!("{:?}", verdict.kind))
            .or_default() += 1;
    }
    for (fault, traces) in faults.iter().zip(traces) {
        // Behind a silent router that hosts stand at there is nothing to name but the hosts.
        let nameless = matches!(fault.place, Place::Router(at) if network.routers[at].silent
            && network.hosts.iter().any(|host| host.router == at));
        let faint = nameless
            || match fault.harm {
                Harm::Blackhole { .. } => traces.dead < DEAD_MIN,
                Harm::Loss(_) => traces.lost < LOST_MIN,
            };
        let by: Vec<&&Verdict> = blamed
            .iter()
            .filter(|verdict| names(network, fault, &hops(verdict)))
            .collect();
        if faint {
            score.faint += 1;
        } else if by.is_empty() {
            score.notes.push(format!(
                "MISSED {fault:?} {traces:?} {}",
                describe(network, fault)
            ));
        } else {
            score.named += 1;
            let narrow = by.iter().any(|verdict| is_narrow(network, &hops(verdict)));
            score.narrow += u32::from(narrow);
            if !narrow {
                score.notes.push(format!(
                    "WIDE {fault:?} {:?} {}",
                    by[0].hops, by[0].sentence
                ));
            }
        }
    }
    score.verdicts = blamed.len() as u32;
    for verdict in blamed {
        if !faults
            .iter()
            .any(|fault| names(network, fault, &hops(verdict)))
        {
            score.wrong += 1;
            let routers: Vec<Option<usize>> = hops(verdict)
                .iter()
                .map(|hop| router_of(network, *hop))
                .collect();
            score.notes.push(format!(
                "WRONG {:?} routers {routers:?} [{:.2}] {} BROKEN {faults:?} {traces:?}",
                verdict.hops, verdict.confidence, verdict.sentence
            ));
        }
    }
    score.wrong_worlds = u32::from(score.wrong > 0);
    score
}

fn describe(network: &Network, fault: &Fault) -> String {
    match fault.place {
        Place::OneWay(a, b) | Place::Cable(a, b) => format!(
            "{a}{}→{} {b}{}",
            if network.routers[a].silent {
                "(silent)"
            } else {
                ""
            },
            network.address(a, b),
            if network.routers[b].silent {
                "(silent)"
            } else {
                ""
            },
        ),
        Place::Router(a) => format!("silent: {}", network.routers[a].silent),
    }
}

fn hops(verdict: &Verdict) -> Vec<IpAddr> {
    verdict
        .hops
        .iter()
        .map(|hop| hop.parse().unwrap())
        .collect()
}

fn router_of(network: &Network, address: IpAddr) -> Option<usize> {
    (0..network.routers.len()).find(|router| network.addresses(*router).contains(&address))
}

/// Whether what is named holds what is broken. A cable is named by the address at its far end;
/// if that router never answers, by both sides of it.
fn names(network: &Network, fault: &Fault, hops: &[IpAddr]) -> bool {
    let has = |address: IpAddr| hops.contains(&address);
    let has_router = |router: usize| network.addresses(router).into_iter().any(has);
    let has_around = |router: usize, but: usize| {
        let ports = network.routers[router].ports.iter();
        ports
            .filter(|(other, _, _)| *other != but)
            .any(|(other, _, _)| has_router(*other))
    };
    let carries_hosts = |router: usize| network.hosts.iter().any(|host| host.router == router);
    let one_way = |a: usize, b: usize| {
        let (near, far) = (network.routers[a].silent, network.routers[b].silent);
        match (near, far) {
            (_, false) => has(network.address(a, b)),
            (false, true) => has_router(a),
            // Where hosts stand at a silent router, they are all that can be named on its side.
            (true, true) => {
                let (before, after) = (has_around(a, b), has_around(b, a));
                (before || after && carries_hosts(a)) && (after || carries_hosts(b))
            }
        }
    };
    match fault.place {
        Place::OneWay(a, b) => one_way(a, b),
        Place::Cable(a, b) => one_way(a, b) || one_way(b, a),
        Place::Router(a) if !network.routers[a].silent => has_router(a),
        Place::Router(a) => has_around(a, usize::MAX),
    }
}

/// One hop, a pair of neighbours, or addresses of one router.
fn is_narrow(network: &Network, hops: &[IpAddr]) -> bool {
    let mut routers: Vec<Option<usize>> = hops.iter().map(|hop| router_of(network, *hop)).collect();
    routers.sort_unstable();
    routers.dedup();
    routers.len() <= 2
}
