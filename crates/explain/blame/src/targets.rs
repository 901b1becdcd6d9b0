//! Targets: what is probed and is no node. Their state is what those say who ask.

use crate::direction::{is_conclusive, reaches};
use crate::links;
use crate::nodes::TEXT_BYTES_MAX;
use crate::roster::Roster;
use crate::standing::{Standing, outage_start};
use andon_model::id::to_plain_text;
use andon_model::{
    LinkReport, LinkState, LinkView, NodeKind, NodeState, NodeView, Peer, ProbeKind, TargetId,
    TargetSpec, Timestamp,
};
use std::collections::BTreeMap;

/// One target and who reports on it.
pub struct Target<'a> {
    /// Unique within the document.
    pub id: String,
    /// As declared.
    pub spec: &'a TargetSpec,
    /// By observer; those of nodes that nobody reaches are shown and do not count.
    pub reports: Vec<(usize, &'a LinkReport)>,
    pub state: NodeState,
    pub since: Option<Timestamp>,
}

/// Targets that present nodes declare, by their declared id. Reports on a target that nobody
/// declares any more are left over from when somebody did: an asker drops them a moment later.
pub fn gather<'a>(roster: &mut Roster<'a>, standing: &Standing<'a>) -> Vec<Target<'a>> {
    type Found<'a> = (Option<&'a TargetSpec>, Vec<(usize, &'a LinkReport)>);
    let mut found: BTreeMap<&'a TargetId, Found<'a>> = BTreeMap::new();
    for (observer, member) in roster
        .members
        .iter()
        .enumerate()
        .filter(|(_, member)| !member.left)
    {
        for spec in &member.slice.targets {
            found.entry(&spec.id).or_default().0.get_or_insert(spec);
        }
        for (peer, report) in member.slice.links.iter() {
            if let Peer::Target(id) = peer {
                found.entry(id).or_default().1.push((observer, report));
            }
        }
    }
    found
        .into_iter()
        .filter_map(|(id, (spec, reports))| {
            let spec = spec?;
            let (state, since) = state(standing, &reports);
            let id = roster.name_for(id.as_str(), "target", "target");
            Some(Target {
                id,
                spec,
                reports,
                state,
                since,
            })
        })
        .collect()
}

fn state(
    standing: &Standing<'_>,
    reports: &[(usize, &LinkReport)],
) -> (NodeState, Option<Timestamp>) {
    let living = || {
        reports
            .iter()
            .filter(|(observer, _)| standing.alive[*observer])
    };
    let started =
        |(observer, report): &(usize, &LinkReport)| standing.started(*observer, report.since);
    let asked = living()
        .filter(|(_, report)| is_conclusive(report.state))
        .count();
    let failing = || living().filter(|(_, report)| report.state == LinkState::Down);
    match failing().count() {
        _ if asked == 0 => (NodeState::Suspect, None),
        0 => (
            NodeState::Up,
            living()
                .filter(|(_, report)| reaches(report.state))
                .map(started)
                .min(),
        ),
        failed if failed == asked => (NodeState::Down, outage_start(failing().map(started))),
        _ => (NodeState::Suspect, outage_start(failing().map(started))),
    }
}

impl Target<'_> {
    pub fn view(&self) -> NodeView {
        let probe = probe_name(&self.spec.probe).to_owned();
        let labels = BTreeMap::from([("probe".to_owned(), probe)]);
        NodeView {
            id: self.id.clone(),
            key: None,
            site: None,
            kind: NodeKind::Target,
            state: self.state,
            since: self.since,
            addresses: vec![to_plain_text(&self.spec.address, TEXT_BYTES_MAX)],
            labels,
            version: None,
            started_at: None,
            reach: None,
            host: None,
            clock_offset_us: None,
            fingerprint: None,
            position: None,
        }
    }
}

fn probe_name(probe: &ProbeKind) -> &'static str {
    match probe {
        ProbeKind::Icmp => "icmp",
        ProbeKind::Tcp => "tcp",
        ProbeKind::Http { .. } => "http",
        ProbeKind::Tls { .. } => "tls",
        ProbeKind::Dns { .. } => "dns",
        ProbeKind::Stamp => "stamp",
    }
}

/// Adds one line per observer and target.
pub fn link_views(
    targets: &[Target<'_>],
    roster: &Roster<'_>,
    standing: &Standing<'_>,
    links: &mut Vec<LinkView>,
) {
    for target in targets {
        for (observer, report) in &target.reports {
            let from = &roster.members[*observer].id;
            links.push(match (standing.alive[*observer], report.state) {
                (_, LinkState::NotProbed) => continue,
                (true, _) => {
                    let mut view = links::of_report(from, &target.id, report);
                    if links::is_slow_by_host(roster, *observer, report) {
                        view.state = LinkState::Up;
                        view.round_trip = Some(report.state);
                    }
                    view
                }
                (false, _) => links::bare(
                    from,
                    &target.id,
                    LinkState::Unknown,
                    standing.since[*observer],
                ),
            });
        }
    }
}
