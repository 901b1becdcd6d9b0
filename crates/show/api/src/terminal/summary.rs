//! What the links of one node say together.

use super::words::{dash, milliseconds, percent};
use andon_model::{LinkState, LinkView, NodeKind, PictureView};
use std::collections::BTreeMap;

/// What several links say together.
#[derive(Clone, Default)]
pub(super) struct Summary {
    up: usize,
    asked: usize,
    rtt_us: Vec<u32>,
    loss: Option<f32>,
}

impl Summary {
    pub(super) fn add(&mut self, link: &LinkView) {
        if matches!(
            link.state,
            LinkState::NotProbed | LinkState::Left | LinkState::Unknown
        ) {
            return;
        }
        self.asked += 1;
        self.up += usize::from(link.state == LinkState::Up);
        if link.state == LinkState::Down {
            return; // Its state says so; its loss would hide that of the links that live.
        }
        self.rtt_us.extend(link.rtt_us.p50);
        for loss in [link.loss.forward, link.loss.return_].into_iter().flatten() {
            self.loss = Some(self.loss.map_or(loss, |worst| worst.max(loss)));
        }
    }

    /// `4 of 5`, those that are up of those that are known.
    pub(super) fn links(&self) -> String {
        if self.asked == 0 {
            dash()
        } else {
            format!("{} of {}", self.up, self.asked)
        }
    }

    /// The middle one of the links' medians.
    pub(super) fn rtt(&self) -> String {
        let mut rtts = self.rtt_us.clone();
        rtts.sort_unstable();
        rtts.get(rtts.len() / 2)
            .map_or_else(dash, |us| milliseconds(*us))
    }

    /// The worst of any link, either way.
    pub(super) fn loss(&self) -> String {
        self.loss.map_or_else(dash, percent)
    }
}

/// By observer, over its links to other nodes.
pub(super) fn summaries(view: &PictureView) -> BTreeMap<&str, Summary> {
    let is_node: BTreeMap<&str, bool> = view
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node.kind == NodeKind::Andon))
        .collect();
    let mut summaries: BTreeMap<&str, Summary> = BTreeMap::new();
    for link in view
        .links
        .iter()
        .filter(|link| is_node.get(link.to.as_str()).copied().unwrap_or(false))
    {
        summaries.entry(&link.from).or_default().add(link);
    }
    summaries
}
