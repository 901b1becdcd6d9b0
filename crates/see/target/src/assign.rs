//! Who asks a target. Every node comes to the same answer from the declaration alone.

use andon_model::{NodeId, NodeKey, SiteId, TargetSpec};

/// What this node goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// Its key.
    pub key: NodeKey,
    /// Its id.
    pub id: NodeId,
    /// Where it stands.
    pub site: SiteId,
}

/// Whether the node `me` asks this target: when named itself, when its site is named, or,
/// where the declaration names nobody, when it declared the target.
pub fn mine(spec: &TargetSpec, declared_by: NodeKey, me: &Me) -> bool {
    if spec.from_nodes.is_empty() && spec.from_sites.is_empty() {
        return declared_by == me.key;
    }
    spec.from_nodes.contains(&me.id) || spec.from_sites.contains(&me.site)
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::{ProbeKind, TargetId};

    #[test]
    fn a_target_is_asked_by_those_its_declaration_names() {
        let me = Me {
            key: NodeKey(1),
            id: NodeId::new("web-1").unwrap(),
            site: SiteId::new("fra").unwrap(),
        };
        let check = |nodes: &[&str], sites: &[&str], declared_by: u64, expected: bool| {
            let spec = TargetSpec {
                id: TargetId::new("t").unwrap(),
                address: "a:1".into(),
                probe: ProbeKind::Tcp,
                from_nodes: nodes.iter().map(|n| NodeId::new(*n).unwrap()).collect(),
                from_sites: sites.iter().map(|s| SiteId::new(*s).unwrap()).collect(),
                interval_ms: 1000,
                timeout_ms: 1000,
            };
            assert_eq!(
                mine(&spec, NodeKey(declared_by), &me),
                expected,
                "{nodes:?} {sites:?}"
            );
        };
        check(&[], &[], 1, true);
        check(&[], &[], 2, false);
        check(&["web-1"], &[], 2, true);
        check(&["web-2"], &[], 1, false);
        check(&[], &["fra"], 2, true);
        check(&["web-2"], &["ams", "fra"], 2, true);
        check(&["web-2"], &["ams"], 2, false);
    }
}
