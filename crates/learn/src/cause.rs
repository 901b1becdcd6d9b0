//! What a verdict is about, in the form in which two verdicts can be held against each other:
//! its cause, what it touches, and whether another is part of the same trouble.

use andon_model::{NodeKind, NodeState, PictureView, Severity, Timestamp, Verdict, VerdictKind};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Verdicts that begin within this of each other and share a site are one trouble: one fault
/// shows at different observers at different moments.
const TOGETHER: Duration = Duration::from_secs(10);

/// Sites of nodes, and which sites nobody reaches.
#[derive(Debug, Default)]
pub struct Places<'a> {
    site_of: BTreeMap<&'a str, &'a str>,
    living: BTreeSet<&'a str>,
    lost: BTreeSet<&'a str>,
}

impl<'a> Places<'a> {
    /// Of a view.
    pub fn of(view: &'a PictureView) -> Self {
        let mut places = Places::default();
        for node in &view.nodes {
            let Some(site) = &node.site else { continue };
            let site = site.as_str();
            places.site_of.insert(&node.id, site);
            if node.kind == NodeKind::Andon {
                match node.state {
                    NodeState::Up | NodeState::Suspect => places.living.insert(site),
                    NodeState::Down => places.lost.insert(site),
                    NodeState::Left => false,
                };
            }
        }
        places.lost = &places.lost - &places.living;
        places
    }

    /// The site of a node.
    pub fn site(&self, node: &str) -> Option<&'a str> {
        self.site_of.get(node).copied()
    }
}

/// The cause of a verdict, named so that both sides of a partition, and observers that see
/// more or less of the same trouble, give it the same name.
pub fn cause(verdict: &Verdict, places: &Places<'_>) -> String {
    match verdict.kind {
        VerdictKind::Isolated | VerdictKind::NodeDown => format!("node:{}", verdict.subject),
        VerdictKind::SiteCutOff => {
            let side = |sites: &BTreeSet<&str>| {
                let names: Vec<&str> = sites.iter().copied().collect();
                names.join("+")
            };
            let (here, there) = (side(&places.living), side(&places.lost));
            if here.is_empty() || there.is_empty() {
                return format!("site:{}", verdict.subject);
            }
            let (first, second) = (here.clone().min(there.clone()), here.max(there));
            format!("sites:{first}|{second}")
        }
        VerdictKind::LinkDown | VerdictKind::LinkPartial | VerdictKind::Degraded => {
            format!("link:{}", verdict.subject)
        }
        _ => verdict.id.clone(),
    }
}

/// What a verdict touches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Touch {
    /// Nodes that it is about, or at an end of a link hit.
    pub nodes: BTreeSet<String>,
    /// Their sites.
    pub sites: BTreeSet<String>,
    /// Links hit, ends sorted.
    pub pairs: BTreeSet<(String, String)>,
    /// Addresses of guilty hops.
    pub hops: BTreeSet<String>,
    /// Everything at these nodes belongs to it.
    pub whole_nodes: BTreeSet<String>,
    /// Everything at these sites belongs to it.
    pub whole_sites: BTreeSet<String>,
    /// Since when.
    pub since: Timestamp,
}

impl Touch {
    /// Of one verdict.
    pub fn of(verdict: &Verdict, places: &Places<'_>) -> Self {
        let mut touch = Touch {
            since: verdict.since,
            hops: verdict.hops.iter().cloned().collect(),
            ..Touch::default()
        };
        for link in &verdict.links {
            if let Some((from, to)) = link.split_once('→') {
                touch.link(from, to);
            }
        }
        if let (Some(from), Some(to)) = (&verdict.from, &verdict.to) {
            touch.link(from, to);
        }
        match verdict.kind {
            VerdictKind::SiteCutOff => {
                touch.sites.insert(verdict.subject.clone());
                touch.whole_sites.insert(verdict.subject.clone());
                touch
                    .sites
                    .extend(places.lost.iter().map(|site| (*site).to_owned()));
            }
            VerdictKind::NodeDown | VerdictKind::Isolated | VerdictKind::TargetDown => {
                touch.nodes.insert(verdict.subject.clone());
                touch.whole_nodes.insert(verdict.subject.clone());
            }
            // A link's subject is `a→b` or `a↔b`; a united one names a node or sites.
            _ => {
                if let Some((from, to)) = verdict.subject.split_once(['→', '↔']) {
                    if places.site(from).is_some() || places.site(to).is_some() {
                        touch.link(from, to);
                    } else {
                        touch.sites.extend([from.to_owned(), to.to_owned()]);
                    }
                } else if places.site(&verdict.subject).is_some() {
                    touch.nodes.insert(verdict.subject.clone());
                }
            }
        }
        let sites = touch.nodes.iter().filter_map(|node| places.site(node));
        let sites: Vec<String> = sites.map(str::to_owned).collect();
        touch.sites.extend(sites);
        touch
    }

    fn link(&mut self, from: &str, to: &str) {
        let (low, high) = (from.min(to).to_owned(), from.max(to).to_owned());
        self.nodes.extend([low.clone(), high.clone()]);
        self.pairs.insert((low, high));
    }

    /// Whether the two are parts of one trouble.
    pub fn belongs_with(&self, other: &Touch) -> bool {
        self.covers(other)
            || other.covers(self)
            || !self.hops.is_disjoint(&other.hops)
            || !self.pairs.is_disjoint(&other.pairs)
            || (self.began_with(other) && !self.sites.is_disjoint(&other.sites))
    }

    fn covers(&self, other: &Touch) -> bool {
        !self.whole_nodes.is_disjoint(&other.nodes) || !self.whole_sites.is_disjoint(&other.sites)
    }

    fn began_with(&self, other: &Touch) -> bool {
        self.since.since(other.since) <= TOGETHER && other.since.since(self.since) <= TOGETHER
    }
}

/// How much a verdict matters.
pub fn severity(verdict: &Verdict) -> Severity {
    use andon_model::PathEffect;
    match (verdict.kind, verdict.effect) {
        (
            VerdictKind::SiteCutOff
            | VerdictKind::NodeDown
            | VerdictKind::Isolated
            | VerdictKind::TargetDown,
            _,
        ) => Severity::Critical,
        (VerdictKind::PathFault, Some(PathEffect::Loss | PathEffect::Latency))
        | (VerdictKind::Degraded | VerdictKind::IdConflict, _) => Severity::Minor,
        (
            VerdictKind::PathFault
            | VerdictKind::LinkDown
            | VerdictKind::LinkPartial
            | VerdictKind::HeartbeatMissing,
            _,
        ) => Severity::Major,
        (VerdictKind::ClockSkew | VerdictKind::HostBusy, _) => Severity::Minor,
    }
}

/// What to name an incident after: lower goes first.
pub fn rank(verdict: &Verdict) -> u8 {
    match verdict.kind {
        VerdictKind::SiteCutOff => 0,
        VerdictKind::Isolated => 1,
        VerdictKind::PathFault => 2,
        VerdictKind::NodeDown => 3,
        VerdictKind::TargetDown => 4,
        VerdictKind::LinkDown => 5,
        VerdictKind::LinkPartial => 6,
        VerdictKind::HeartbeatMissing => 7,
        VerdictKind::Degraded => 8,
        VerdictKind::IdConflict => 9,
        VerdictKind::ClockSkew | VerdictKind::HostBusy => 10,
    }
}
