//! The first lines: how the grid is, how large it is, who sees it so.

use super::page::{Page, Tone};
use super::words::{count, moment, node_shape};
use super::{Health, health};
use andon_model::{LinkState, LinkView, NodeKind, NodeState, PictureView, Transport};
use std::collections::BTreeSet;

/// Draws them.
pub(super) fn draw(page: &mut Page, view: &PictureView) {
    let faults = view
        .verdicts
        .iter()
        .filter(|verdict| verdict.kind.is_fault())
        .count();
    let remarks = view.verdicts.len() - faults;
    let (shape, tone, mut words) = match health(view) {
        Health::Well => (
            node_shape(NodeState::Up),
            Tone::Good,
            "All is well".to_owned(),
        ),
        Health::Wrong if faults == 1 => (
            node_shape(NodeState::Down),
            Tone::Bad,
            "One thing is wrong".to_owned(),
        ),
        Health::Wrong => (
            node_shape(NodeState::Down),
            Tone::Bad,
            format!("{faults} things are wrong"),
        ),
        Health::Unclear => (
            node_shape(NodeState::Suspect),
            Tone::Poor,
            "Cannot tell yet: no link is known".to_owned(),
        ),
    };
    if remarks > 0 {
        words += &format!(", {}", count(remarks, "remark"));
    }
    let present = || {
        view.nodes
            .iter()
            .filter(|node| node.kind == NodeKind::Andon && node.state != NodeState::Left)
    };
    let mut sites: Vec<_> = present().map(|node| &node.site).collect();
    sites.sort_unstable();
    sites.dedup();
    let links = view
        .links
        .iter()
        .filter(|link| !matches!(link.state, LinkState::NotProbed | LinkState::Left))
        .count();
    let size = format!(
        "{} · {} · {}",
        count(present().count(), "node"),
        count(sites.len(), "site"),
        count(links, "link")
    );

    page.line(
        &[
            (" ANDON  ", Tone::Strong),
            (shape, tone),
            (" ", tone),
            (&words, tone),
        ],
        &size,
    );
    let digest = view.digest.to_string();
    let digest = digest.get(..8).unwrap_or(&digest);
    let seen = format!(" seen by {} at {}", view.me, moment(view.generated_at));
    page.line(&[(&seen, Tone::Faint)], &format!("digest {digest}"));
    if let Some(words) = over_tcp(view) {
        page.line(&[(" ", Tone::Poor), (&words, Tone::Poor)], "");
    }
}

/// That UDP does not pass is no fault, and yet figures over TCP mean something else: loss is
/// hidden by resending, and one late packet holds up those behind it.
fn over_tcp(view: &PictureView) -> Option<String> {
    let nodes: BTreeSet<&str> = view
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Andon)
        .map(|node| node.id.as_str())
        .collect();
    let carrying = |link: &&LinkView| {
        let carries = matches!(
            link.state,
            LinkState::Up | LinkState::Partial | LinkState::Degraded
        );
        carries && nodes.contains(link.from.as_str()) && nodes.contains(link.to.as_str())
    };
    let links: Vec<&LinkView> = view.links.iter().filter(carrying).collect();
    let tcp = links
        .iter()
        .filter(|link| link.transport == Some(Transport::Tcp))
        .count();
    let verb = if tcp == 1 { "runs" } else { "run" };
    (tcp > 0).then(|| {
        format!(
            "{tcp} of {} {verb} over TCP: UDP does not pass",
            count(links.len(), "link")
        )
    })
}
