//! The nodes by site: each on its line, or a line per site where there are many.

use super::LIST_MAX;
use super::page::{Page, Tone};
use super::summary::summaries;
use super::words::{age, dash, name_width, node_shape, node_tone, node_word, pad};
use andon_model::{NodeKind, NodeState, NodeView, PictureView};
use std::collections::BTreeMap;

/// Up to this many nodes each has its line; beyond it a site has one, and its sick nodes.
const NODE_LINES_MAX: usize = 40;

/// Draws them.
pub(super) fn draw(page: &mut Page, view: &PictureView) {
    let mut by_site: BTreeMap<&str, Vec<&NodeView>> = BTreeMap::new();
    for node in view
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Andon)
    {
        by_site
            .entry(node.site.as_ref().map_or("", |site| site.as_str()))
            .or_default()
            .push(node);
    }
    let total: usize = by_site.values().map(Vec::len).sum();
    if total == 0 {
        return;
    }
    page.rule("nodes by site");
    let summaries = summaries(view);
    let names = name_width(by_site.values().flatten().map(|node| node.id.as_str()));
    if total > NODE_LINES_MAX {
        site_lines(page, &by_site);
        return;
    }
    let head = row(names, "", ["state", "links", "rtt", "loss", "since"]);
    page.line(&[("    ", Tone::Faint), (&head, Tone::Faint)], "");
    for (site, members) in by_site {
        page.line(&[(" ", Tone::Strong), (site, Tone::Strong)], "");
        for node in members {
            let summary = summaries.get(node.id.as_str()).cloned().unwrap_or_default();
            let since = node.since.map_or_else(dash, |since| age(view, since));
            let (links, rtt, loss) = (summary.links(), summary.rtt(), summary.loss());
            let cells = [node_word(node.state), &links, &rtt, &loss, &since];
            line(page, node.state, &row(names, &node.id, cells));
        }
    }
}

/// The line of one node: its shape, then cells that are coloured only if it is not up.
pub(super) fn line(page: &mut Page, state: NodeState, cells: &str) {
    let tone = node_tone(state);
    let cells_tone = match state {
        NodeState::Up => Tone::Plain,
        NodeState::Suspect | NodeState::Down | NodeState::Left => tone,
    };
    page.line(
        &[
            ("  ", tone),
            (node_shape(state), tone),
            (" ", tone),
            (cells, cells_tone),
        ],
        "",
    );
}

/// A name and five columns.
fn row(names: usize, name: &str, cells: [&str; 5]) -> String {
    let [state, links, rtt, loss, since] = cells;
    format!(
        "{}  {state:<7}  {links:>7}  {rtt:>8}  {loss:>6}  {since:>9}",
        pad(name, names)
    )
}

/// One line per site, with its nodes that are not up.
fn site_lines(page: &mut Page, by_site: &BTreeMap<&str, Vec<&NodeView>>) {
    let names = name_width(by_site.keys().copied());
    for (site, members) in by_site {
        let sick: Vec<&&NodeView> = members
            .iter()
            .filter(|node| node.state != NodeState::Up)
            .collect();
        let up = format!("{} of {} up", members.len() - sick.len(), members.len());
        let worst = sick
            .iter()
            .map(|node| node.state)
            .filter(|state| *state != NodeState::Left)
            .max();
        let state = worst.unwrap_or(NodeState::Up);
        let tone = node_tone(state);
        let head = format!(" {}  {up}", pad(site, names));
        page.line(
            &[(" ", tone), (node_shape(state), tone), (&head, Tone::Plain)],
            "",
        );
        for node in sick.iter().take(LIST_MAX) {
            let tone = node_tone(node.state);
            let words = format!(" {} {}", node.id, node_word(node.state));
            page.line(
                &[
                    ("     ", tone),
                    (node_shape(node.state), tone),
                    (&words, tone),
                ],
                "",
            );
        }
        page.more(sick.len().saturating_sub(LIST_MAX), 5);
    }
}
