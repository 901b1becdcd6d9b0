//! What each node said at the end, for someone who has to find out why it was not what was
//! expected: verdicts with their hops by name, and links that are not up.

use crate::layout::Layout;
use crate::scenario::Scenario;
use andon_model::{LinkState, PictureView, Verdict};

/// Most links that are told of one node.
const LINKS_MAX: usize = 12;

/// Lines for people.
pub(super) fn diagnose(
    scenario: &Scenario,
    layout: &Layout,
    pictures: &[Option<PictureView>],
) -> Vec<String> {
    let mut lines = Vec::new();
    for (node, picture) in scenario.nodes.iter().zip(pictures) {
        let Some(view) = picture else {
            lines.push(format!("{}: never answered", node.id));
            continue;
        };
        lines.push(format!("{} (digest {}):", node.id, view.digest));
        for verdict in &view.verdicts {
            lines.push(format!("  {}", of_verdict(scenario, layout, verdict)));
        }
        let sick = view
            .links
            .iter()
            .filter(|link| !matches!(link.state, LinkState::Up | LinkState::NotProbed));
        let sick: Vec<_> = sick.collect();
        for link in sick.iter().take(LINKS_MAX) {
            let percent = |share: Option<f32>| match share {
                Some(share) => format!("{:.1} %", share * 100.0),
                None => "?".into(),
            };
            lines.push(format!(
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
            ));
        }
        if sick.len() > LINKS_MAX {
            lines.push(format!("  and {} more links", sick.len() - LINKS_MAX));
        }
        if view.verdicts.is_empty() && sick.is_empty() {
            lines.push("  all is well".into());
        }
    }
    lines
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
