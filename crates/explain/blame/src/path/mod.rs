//! Which hop is at fault: from the ways of all nodes' flows, and how they fare on them, to the
//! fewest hops, stretches and routers that explain what fails and are not contradicted by what
//! works.
//!
//! In this order: [`reports`] says whose word counts and [`fate`] on which way a flow died;
//! [`sightings`] turns it all into numbers over [`points`]; [`candidates`] are what may be at
//! fault ([`routers`] joins the addresses of one); [`model`] weighs an explanation and
//! [`search`] finds the best; [`cause`] names what is left, with [`traces`] to tell apart what
//! end to end evidence cannot; [`merge`] joins what is one thing; [`phrase`] says it,
//! and [`services`] whom it hits. [`ends`] is for links of which nothing but traces is left.
//!
//! Who lies about ways can accuse only what his own links pass, counts for a bounded weight,
//! and is outweighed by two that see the contrary.

mod candidates;
mod cause;
mod ends;
mod fate;
mod merge;
mod model;
mod phrase;
mod points;
mod reports;
mod routers;
mod search;
mod services;
mod sightings;
mod traces;

pub use cause::HOPS_NAMED_MAX;
pub use ends::{TraceEnds, path_to, shows_no_hops};
pub use points::ADDRESSES_MAX;
pub use sightings::SIGHTINGS_MAX;

use crate::roster::Roster;
use crate::standing::Standing;
use crate::targets::Target;
use andon_model::{LinkReason, LinkState, Verdict};
use cause::PathCause;
use reports::{LinkPaths, Reports};
use sightings::{AILMENTS, Ailment, Sightings};

/// Flows of one link that may fail on other ways than they are said to take.
const STRAY_FLOWS_MAX: u32 = 2;

/// All that is at fault on the ways between living nodes.
pub struct PathFaults<'a> {
    reports: Reports<'a>,
    sightings: Sightings,
    causes: Vec<PathCause>,
}

impl<'a> PathFaults<'a> {
    /// `digest`: the picture's.
    pub fn of(
        roster: &Roster<'a>,
        standing: &Standing<'_>,
        targets: &[Target<'a>],
        digest: u128,
    ) -> Self {
        let reports = Reports::of(roster, standing, targets);
        let sightings = Sightings::gather(roster, &reports, digest);
        let causes = AILMENTS
            .into_iter()
            .flat_map(|ailment| cause::causes(&sightings, ailment))
            .collect();
        let causes = merge::merge(&sightings, causes);
        let mut faults = Self {
            reports,
            sightings,
            causes,
        };
        faults.find_fars(roster);
        faults
    }

    /// Where only a sample of links was weighed: the ends of all links that the causes fail.
    fn find_fars(&mut self, roster: &Roster<'_>) {
        for number in std::mem::take(&mut self.sightings.left_out) {
            let report = &self.reports.all[number as usize];
            for route in self.sightings.of_report(roster, &self.reports, report) {
                for cause in &mut self.causes {
                    let mut ailments = cause.ailments.iter();
                    let fails = ailments.any(|ailment| route.counts[*ailment as usize].bad() > 0);
                    if fails && cause.is_on(&route.points) {
                        cause.sources.insert(report.observer);
                        cause.fars.insert(report.far);
                    }
                }
            }
        }
    }

    /// One verdict a cause.
    pub fn verdicts(
        &self,
        roster: &Roster<'_>,
        standing: &Standing<'_>,
        targets: &[Target<'_>],
    ) -> Vec<Verdict> {
        let phrasing = phrase::Phrasing {
            roster,
            standing,
            targets,
            reports: &self.reports,
            sightings: &self.sightings,
        };
        let mut verdicts: Vec<Verdict> = self
            .causes
            .iter()
            .map(|cause| phrasing.verdict(cause))
            .collect();
        // Worst first; of two with one name the worse stands.
        let mut names = std::collections::BTreeSet::new();
        verdicts.retain(|verdict| names.insert(verdict.id.clone()));
        verdicts
    }

    /// Whether the causes found explain what is wrong between two nodes, so that nothing else
    /// needs to be said of it.
    pub fn explains(&self, roster: &Roster<'_>, a: usize, b: usize) -> bool {
        if self.causes.is_empty() {
            return false;
        }
        let both = [(a as u32, b as u32), (b as u32, a as u32)];
        let reports = both
            .into_iter()
            .filter_map(|(from, to)| self.reports.find(from, to));
        let (mut explained, mut left) = (0, 0);
        for report in reports {
            let (more, less) = self.explained_of(roster, report);
            explained += more;
            left += less;
        }
        explained > 0 && left * 2 <= explained
    }

    /// Failures of one link that the causes explain, and those that they do not.
    fn explained_of(&self, roster: &Roster<'_>, report: &LinkPaths<'_>) -> (u32, u32) {
        let ailments = match (report.link.state, report.link.reason) {
            (LinkState::Down | LinkState::Partial, _) => &[Ailment::Blackhole][..],
            (LinkState::Degraded, Some(LinkReason::Latency)) => &[Ailment::Latency],
            (LinkState::Degraded, _) => &[Ailment::Loss, Ailment::Mtu],
            _ => return (0, 0),
        };
        let (mut explained, mut left, mut guess) = (0, 0, 0);
        for route in self.sightings.of_report(roster, &self.reports, report) {
            for ailment in ailments {
                let mut causes = self
                    .causes
                    .iter()
                    .filter(|cause| cause.ailments.contains(ailment));
                // Where the way from one node to another is not known, other ways from the one
                // or to the other are the best guess.
                let may_fail = |from: u32, to: u32| {
                    let mut causes = causes.clone();
                    causes.any(|cause| cause.sources.contains(&from) || cause.fars.contains(&to))
                };
                let counts = route.counts[*ailment as usize];
                let otherwise = match ailment {
                    Ailment::Blackhole => route.dead_otherwise,
                    Ailment::Latency => counts.open + route.slow_otherwise,
                    _ => counts.open,
                };
                let may_fail_there = may_fail(report.observer, report.far);
                if otherwise > 0 && may_fail(report.far, report.observer) {
                    explained += otherwise;
                }
                if causes.any(|cause| cause.is_on(&route.points)) {
                    explained += counts.bad();
                } else if !route.is_whole && may_fail_there {
                    explained += counts.there;
                } else if route.is_whole {
                    left += counts.there;
                    guess += if may_fail_there { counts.there } else { 0 };
                }
            }
        }
        if guess == left && left <= STRAY_FLOWS_MAX {
            return (explained + left, 0); // Traced before the network changed.
        }
        (explained, left)
    }
}
