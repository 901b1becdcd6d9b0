//! The links between nodes, as directed lines of the document.

use crate::direction::{Way, clean_loss, ways};
use crate::nodes::TEXT_BYTES_MAX;
use crate::roster::Roster;
use crate::standing::Standing;
use andon_model::id::to_plain_text;
use andon_model::{
    FlowCount, Heard, LinkReason, LinkReport, LinkState, LinkView, LossPair, Name, RttUs, Timestamp,
};

/// Up to this many nodes, pairs that nobody probes are listed too, as `not_probed`: 2,450
/// links at most. Beyond it most pairs are not probed, and the list would be that fact.
pub const GRID_NODES_MAX_FOR_MISSING_PAIRS: usize = 50;

/// One view per report between members that are in the grid, by `from`, then `to`. A node that
/// left has no links: its box says all there is, and dead lines to it would hide living ones.
pub fn views(roster: &Roster<'_>, standing: &Standing<'_>) -> Vec<LinkView> {
    let present = roster.members.iter().filter(|member| !member.left).count();
    let list_missing = present <= GRID_NODES_MAX_FOR_MISSING_PAIRS;
    let reports: usize = roster
        .members
        .iter()
        .map(|member| member.reports.len())
        .sum();
    let missing = if list_missing { present * present } else { 0 };
    let mut links = Vec::with_capacity(reports + missing);

    let here = roster.members.iter().enumerate();
    for (observer, member) in here.filter(|(_, member)| !member.left) {
        for (far, report) in &member.reports {
            if report.state != LinkState::NotProbed && !roster.members[*far].left {
                links.push(view(roster, standing, observer, *far, report));
            }
        }
        if list_missing {
            for (far, other) in roster.members.iter().enumerate() {
                let asked = member
                    .report_on(far)
                    .is_some_and(|report| report.state != LinkState::NotProbed);
                if far != observer && !other.left && !asked {
                    links.push(bare(
                        member.name.clone(),
                        other.name.clone(),
                        LinkState::NotProbed,
                        None,
                    ));
                }
            }
        }
    }
    links
}

fn view(
    roster: &Roster<'_>,
    standing: &Standing<'_>,
    observer: usize,
    far: usize,
    report: &LinkReport,
) -> LinkView {
    let (from, to) = (&roster.members[observer], &roster.members[far]);
    let (from_name, to_name) = (from.name.clone(), to.name.clone());
    if !standing.alive[observer] {
        return bare(
            from_name,
            to_name,
            LinkState::Unknown,
            standing.since[observer],
        );
    }
    let far_report = if standing.alive[far] {
        to.report_on(observer)
    } else {
        None
    };
    let mut view = of_report(from_name, to_name, report);
    let ways = ways(report, far_report);
    // Silence of a dead far end is no loss that anybody measured.
    if report.state == LinkState::Down && standing.alive[far] {
        view.loss.forward = share(ways.there).or(view.loss.forward);
        view.loss.return_ = share(ways.back).or(view.loss.return_);
    }
    let passes_there = ways.there == Way::Passes && ways.back == Way::Fails;
    if passes_there || is_excused(roster, observer, far, report) {
        view.state = LinkState::Up;
        view.round_trip = Some(report.state);
    }
    view
}

/// A busy host at either end makes a link look slow. That is not the network's fault.
pub fn is_excused(roster: &Roster<'_>, observer: usize, far: usize, report: &LinkReport) -> bool {
    is_slow_by_host(roster, observer, report) || is_slow_by_host(roster, far, report)
}

/// A report of latency alone, and the host of `end` is busy enough to be the cause.
pub fn is_slow_by_host(roster: &Roster<'_>, end: usize, report: &LinkReport) -> bool {
    let slow = report.state == LinkState::Degraded && report.reason == Some(LinkReason::Latency);
    slow && roster.members[end].slice.host.busy
}

fn share(way: Way) -> Option<f32> {
    match way {
        Way::Passes => Some(0.0),
        Way::Fails => Some(1.0),
        Way::Unknown => None,
    }
}

/// A view of what the observer reports, as it reports it.
pub fn of_report(from: impl Into<Name>, to: impl Into<Name>, report: &LinkReport) -> LinkView {
    LinkView {
        from: from.into(),
        to: to.into(),
        state: report.state,
        reason: report.reason,
        round_trip: None,
        transport: Some(report.transport),
        flows: FlowCount {
            ok: report.flows.ok.min(report.flows.total),
            total: report.flows.total,
        },
        loss: clean_loss(report.loss),
        rtt_us: report.rtt_us,
        rtt_baseline_us: report.rtt_baseline_us,
        heard: report.heard,
        since: Some(report.since),
        via: report.via,
        detail: report
            .detail
            .as_deref()
            .map(|text| to_plain_text(text, TEXT_BYTES_MAX).into()),
    }
}

/// A view of which nothing but the state is known.
pub fn bare(
    from: impl Into<Name>,
    to: impl Into<Name>,
    state: LinkState,
    since: Option<Timestamp>,
) -> LinkView {
    LinkView {
        from: from.into(),
        to: to.into(),
        state,
        reason: None,
        round_trip: None,
        transport: None,
        flows: FlowCount::default(),
        loss: LossPair::default(),
        rtt_us: RttUs::default(),
        rtt_baseline_us: None,
        heard: Heard::NotExpected,
        since,
        via: false,
        detail: None,
    }
}
