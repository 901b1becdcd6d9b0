//! What traces alone say of links that carry nothing at all: where they end, or that they show
//! nothing.

use super::sightings::hops_of;
use crate::roster::Roster;
use crate::standing::Standing;
use crate::words::count;
use andon_model::path::{PATH_ROUTES_MAX, PathReport};
use andon_model::{LinkState, Peer};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The hop after which most traces to some nodes end.
#[derive(Debug, PartialEq, Eq)]
pub struct TraceEnds {
    /// The last hop that answers.
    pub after: IpAddr,
    /// The next one on the way as it was.
    pub before: Option<IpAddr>,
    /// Flows whose traces end there, and all that were traced.
    pub flows: usize,
    pub of: usize,
    /// Who traced most of them.
    pub observer: usize,
}

impl TraceEnds {
    /// Of the flows that living nodes lead to these unreached ones. `None` unless most of the
    /// traces agree.
    pub fn of(roster: &Roster<'_>, standing: &Standing<'_>, unreached: &[usize]) -> Option<Self> {
        type Ends = BTreeMap<(IpAddr, Option<IpAddr>), BTreeMap<usize, usize>>;
        let mut ends = Ends::new();
        let mut total = 0;
        for observer in standing.living() {
            let member = &roster.members[observer];
            for path in &member.slice.paths {
                let Peer::Node(key) = &path.to else { continue };
                let far = roster.index_of_key(key);
                let Some(far) = far.filter(|far| unreached.contains(far)) else {
                    continue;
                };
                let down = member
                    .report_on(far)
                    .is_some_and(|report| report.state == LinkState::Down);
                for route in path.routes.iter().take(PATH_ROUTES_MAX).filter(|_| down) {
                    let hops = hops_of(path, route);
                    let answered = usize::from(route.answered).min(hops.len());
                    let last = hops[..answered].iter().rev().flatten().next();
                    let (Some(after), false) = (last, route.reached) else {
                        continue;
                    };
                    let before = hops[answered..].iter().flatten().next().copied();
                    let flows = route.flows.len().min(andon_model::path::PATH_FLOWS_MAX);
                    let end = ends.entry((*after, before)).or_default();
                    *end.entry(observer).or_default() += flows;
                    total += flows;
                }
            }
        }
        let ((after, before), by) = ends
            .into_iter()
            .max_by_key(|(_, by)| by.values().sum::<usize>())?;
        let flows: usize = by.values().sum();
        let (observer, _) = by.into_iter().max_by_key(|(_, flows)| *flows)?;
        (flows * 2 > total).then_some(Self {
            after,
            before,
            flows,
            of: total,
            observer,
        })
    }

    /// `traces of 12 of 16 flows end after 10.0.2.1, before 10.0.4.2`.
    pub fn words(&self) -> String {
        let of = count(self.of, "flow");
        let before = self.before.map(|hop| format!(", before {hop}"));
        format!(
            "traces of {} of {of} end after {}{}",
            self.flows,
            self.after,
            before.unwrap_or_default()
        )
    }

    /// The addresses, nearest first.
    pub fn hops(&self) -> Vec<String> {
        let hops = [Some(self.after), self.before];
        hops.into_iter()
            .flatten()
            .map(|hop| hop.to_string())
            .collect()
    }
}

/// What a member tells of the ways to another one.
pub fn path_to<'a>(roster: &Roster<'a>, observer: usize, far: usize) -> Option<&'a PathReport> {
    let key = roster.members[far].key;
    let mut paths = roster.members[observer].slice.paths.iter();
    paths.find(|path| path.to == Peer::Node(key))
}

/// Whether a link was traced and none of its hops answered, as in most clouds.
pub fn shows_no_hops(path: &PathReport) -> bool {
    let mut routes = path.routes.iter().take(PATH_ROUTES_MAX).peekable();
    routes.peek().is_some() && routes.all(|route| hops_of(path, route).iter().all(Option::is_none))
}
