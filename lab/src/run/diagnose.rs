//! What each node said at the end, for someone who has to find out why it was not what was
//! expected: verdicts with their hops by name, and links that are not up.

use crate::layout::Layout;
use crate::scenario::Scenario;
use andon_model::view::LinkView;
use andon_model::{LinkState, PictureView, Verdict};

/// Most links that are told of one node.
const LINKS_MAX: usize = 12;

/// Lines for people. Nodes that say the same are told of once.
pub(super) fn diagnose(
    scenario: &Scenario,
    layout: &Layout,
    pictures: &[Option<PictureView>],
) -> Vec<String> {
    let mut told: Vec<(Vec<&str>, Vec<String>)> = Vec::new();
    for (node, picture) in scenario.nodes.iter().zip(pictures) {
        let said = match picture {
            Some(view) => of_picture(scenario, layout, view),
            None => vec!["  never answered".to_owned()],
        };
        match told.iter_mut().find(|(_, before)| *before == said) {
            Some((nodes, _)) => nodes.push(&node.id),
            None => told.push((vec![&node.id], said)),
        }
    }
    let mut lines = Vec::new();
    for (nodes, said) in told {
        lines.push(format!("{}:", nodes.join(", ")));
        lines.extend(said);
    }
    lines
}

fn of_picture(scenario: &Scenario, layout: &Layout, view: &PictureView) -> Vec<String> {
    let mut lines: Vec<String> = view
        .verdicts
        .iter()
        .map(|verdict| format!("  {}", of_verdict(scenario, layout, verdict)))
        .collect();
    let sick = view
        .links
        .iter()
        .filter(|link| !matches!(link.state, LinkState::Up | LinkState::NotProbed));
    let sick: Vec<_> = sick.collect();
    lines.extend(sick.iter().take(LINKS_MAX).map(|link| of_link(link)));
    if sick.len() > LINKS_MAX {
        lines.push(format!("  and {} more links", sick.len() - LINKS_MAX));
    }
    if lines.is_empty() {
        lines.push("  all is well".into());
    }
    lines
}

fn of_link(link: &LinkView) -> String {
    let percent = |share: Option<f32>| match share {
        Some(share) => format!("{:.1} %", share * 100.0),
        None => "?".into(),
    };
    format!(
        "  link {}→{} {:?} {:?}, flows {} of {}, loss {} there {} back, rtt {:?} µs",
        link.from,
        link.to,
        link.state,
        link.reason,
        link.flows.ok,
        link.flows.total,
        percent(link.loss.forward),
        percent(link.loss.return_),
        link.rtt_us.p50
    )
}

fn of_verdict(scenario: &Scenario, layout: &Layout, verdict: &Verdict) -> String {
    let hops: Vec<String> = verdict
        .hops
        .iter()
        .map(|hop| {
            let owner = hop.parse().ok().and_then(|address| layout.owner(address));
            match owner {
                Some(place) => format!("{hop}={}", scenario.name_of(place)),
                None => format!("{hop}=?"),
            }
        })
        .collect();
    let flows = verdict
        .flows
        .map(|flows| format!(", flows {} of {}", flows.failed, flows.total));
    format!(
        "{:?} {:.2} {:?} {} hops [{}]{}: {}",
        verdict.kind,
        verdict.confidence,
        verdict.effect,
        verdict.id,
        hops.join(" "),
        flows.unwrap_or_default(),
        verdict.sentence
    )
}
