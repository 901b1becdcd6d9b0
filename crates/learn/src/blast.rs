//! What an incident hits: nodes, sites, links, services, share of flows.

use crate::cause::{Places, Touch};
use andon_model::{
    BlastRadius, FlowHits, LinkState, LinkView, NodeKind, PictureView, Verdict, VerdictKind,
};
use std::collections::{BTreeMap, BTreeSet};

/// Links listed by name; the count is of all.
const LINKS_MAX: usize = 200;
/// Nodes and services listed by name.
const NAMES_MAX: usize = 200;

/// The radius of these verdicts in this view.
pub fn radius(verdicts: &[&Verdict], view: &PictureView, places: &Places<'_>) -> BlastRadius {
    let touches: Vec<Touch> = verdicts
        .iter()
        .map(|verdict| Touch::of(verdict, places))
        .collect();
    let targets: BTreeSet<&str> = view
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Target)
        .map(|node| node.id.as_str())
        .collect();
    let named: BTreeSet<&str> = verdicts
        .iter()
        .flat_map(|verdict| verdict.links.iter().map(String::as_str))
        .collect();

    let mut links: BTreeMap<String, &LinkView> = BTreeMap::new();
    let (mut flows_all, mut links_total) = (0u64, 0u32);
    let mut hit = FlowHits {
        failed: 0,
        total: 0,
    };
    for link in &view.links {
        let total = u32::from(link.flows.total);
        flows_all += u64::from(total);
        if !is_failing(link) && named.is_empty() {
            continue;
        }
        let name = format!("{}→{}", link.from, link.to);
        let is_hit = named.contains(name.as_str())
            || is_failing(link) && touches.iter().any(|touch| holds(touch, link, places));
        if !is_hit {
            continue;
        }
        links_total += 1;
        hit.total += total;
        hit.failed += total.saturating_sub(u32::from(link.flows.ok));
        if links.len() < LINKS_MAX {
            links.insert(name, link);
        }
    }

    let mut nodes: BTreeSet<String> = touches.iter().flat_map(|t| t.nodes.clone()).collect();
    let mut sites: BTreeSet<String> = touches.iter().flat_map(|t| t.sites.clone()).collect();
    let whole: BTreeSet<&String> = touches.iter().flat_map(|t| &t.whole_sites).collect();
    for node in &view.nodes {
        let site = node.site.as_ref().map(|site| site.as_str().to_owned());
        if site.as_ref().is_some_and(|site| whole.contains(site)) {
            nodes.insert(node.id.clone());
        }
    }
    let mut services: BTreeSet<String> = verdicts
        .iter()
        .flat_map(|verdict| verdict.services.iter().cloned())
        .collect();
    for verdict in verdicts {
        if verdict.kind == VerdictKind::TargetDown {
            services.insert(verdict.subject.clone());
        }
    }
    for link in links.values() {
        nodes.insert(link.from.to_string());
        if targets.contains(link.to.as_str()) {
            services.insert(link.to.to_string());
        } else {
            nodes.insert(link.to.to_string());
        }
    }
    nodes.retain(|node| !targets.contains(node.as_str()));
    sites.extend(
        nodes
            .iter()
            .filter_map(|node| places.site(node))
            .map(str::to_owned),
    );
    // Targets often have no flows; a share of nothing is no share.
    let share =
        (flows_all > 0 && hit.total > 0).then(|| (f64::from(hit.failed) / flows_all as f64) as f32);
    BlastRadius {
        nodes: nodes.into_iter().take(NAMES_MAX).collect(),
        sites: sites.into_iter().take(NAMES_MAX).collect(),
        links: links.into_keys().collect(),
        links_total,
        services: services.into_iter().take(NAMES_MAX).collect(),
        flows: (hit.total > 0).then_some(hit),
        share,
    }
}

fn is_failing(link: &LinkView) -> bool {
    matches!(
        link.state,
        LinkState::Down | LinkState::Partial | LinkState::Degraded
    )
}

fn holds(touch: &Touch, link: &LinkView, places: &Places<'_>) -> bool {
    let (from, to) = (link.from.as_str(), link.to.as_str());
    let (low, high) = (from.min(to).to_owned(), from.max(to).to_owned());
    let site_of = |node: &str| places.site(node).map(str::to_owned);
    let at_whole = |node: &str| {
        touch.whole_nodes.contains(node)
            || site_of(node).is_some_and(|site| touch.whole_sites.contains(&site))
    };
    touch.pairs.contains(&(low, high)) || at_whole(from) || at_whole(to)
}
