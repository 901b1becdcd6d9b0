//! Targets and neighbours: who of ours reaches them.

use super::LIST_MAX;
use super::nodes::line;
use super::page::Page;
use super::summary::Summary;
use super::words::{name_width, node_word, pad};
use andon_model::{NodeKind, NodeView, PictureView};
use std::collections::BTreeMap;

/// Draws them.
pub(super) fn draw(page: &mut Page, view: &PictureView) {
    let boxes: Vec<&NodeView> = view
        .nodes
        .iter()
        .filter(|node| node.kind != NodeKind::Andon)
        .collect();
    if boxes.is_empty() {
        return;
    }
    page.rule("targets and neighbours");
    let mut seen: BTreeMap<&str, Summary> = BTreeMap::new();
    for link in &view.links {
        seen.entry(&link.to).or_default().add(link);
    }
    let names = name_width(boxes.iter().map(|node| node.id.as_str()));
    for node in boxes.iter().take(LIST_MAX) {
        let summary = seen.get(node.id.as_str()).cloned().unwrap_or_default();
        let mark = if node.kind == NodeKind::GridBug {
            "GridBug "
        } else {
            ""
        };
        let address = node.addresses.first().map_or("", String::as_str);
        let cells = format!(
            "{}  {:<7}  {:>7}  {:>8}  {mark}{address}",
            pad(&node.id, names),
            node_word(node.state),
            summary.links(),
            summary.rtt()
        );
        line(page, node.state, &cells);
    }
    page.more(boxes.len().saturating_sub(LIST_MAX), 4);
}
