//! What changed between two pictures. A pure function, run once per change for all who watch.

use andon_model::{LinkView, NodeView, PictureDigest, PictureView, Timestamp, Verdict};
use serde::Serialize;
use std::collections::HashMap;

/// The changes from one picture to the next.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Delta<'a> {
    #[schema(value_type = String)]
    digest: PictureDigest,
    #[schema(value_type = String)]
    generated_at: Timestamp,
    /// Nodes that are new or changed.
    nodes: Vec<&'a NodeView>,
    /// Links that are new or changed.
    links: Vec<&'a LinkView>,
    /// What is no more.
    gone: Gone<'a>,
    /// All verdicts.
    verdicts: &'a [Verdict],
}

/// What is no more.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct Gone<'a> {
    /// Ids.
    nodes: Vec<&'a str>,
    /// Pairs of ids, from and to.
    #[schema(value_type = Vec<Vec<String>>)]
    links: Vec<(&'a str, &'a str)>,
}

impl<'a> Delta<'a> {
    /// The changes from `old` to `new`; `None` if only `generated_at` differs.
    pub(crate) fn between(old: &'a PictureView, new: &'a PictureView) -> Option<Self> {
        let (nodes, gone_nodes) = changes(&old.nodes, &new.nodes, |node| node.id.as_str());
        let (links, gone_links) = changes(&old.links, &new.links, |link| {
            (link.from.as_str(), link.to.as_str())
        });
        let same = nodes.is_empty()
            && links.is_empty()
            && gone_nodes.is_empty()
            && gone_links.is_empty()
            && old.digest == new.digest
            && old.verdicts == new.verdicts;
        let delta = Delta {
            digest: new.digest,
            generated_at: new.generated_at,
            nodes,
            links,
            gone: Gone {
                nodes: gone_nodes,
                links: gone_links,
            },
            verdicts: &new.verdicts,
        };
        (!same).then_some(delta)
    }
}

/// Items of `new` that are not the same in `old`, and keys of `old` that `new` lacks.
fn changes<'a, T: PartialEq, K: std::hash::Hash + Eq>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&'a T) -> K,
) -> (Vec<&'a T>, Vec<K>) {
    // Mostly the same things in the same order: then no table is needed.
    let aligned = old.len() == new.len()
        && old
            .iter()
            .zip(new)
            .all(|(one, other)| key(one) == key(other));
    if aligned {
        let changed = old
            .iter()
            .zip(new)
            .filter(|(one, other)| one != other)
            .map(|(_, other)| other);
        return (changed.collect(), Vec::new());
    }
    let mut before: HashMap<K, &T> = old.iter().map(|item| (key(item), item)).collect();
    let changed = new
        .iter()
        .filter(|item| before.remove(&key(item)) != Some(*item))
        .collect();
    let gone = old
        .iter()
        .map(&key)
        .filter(|key| before.contains_key(key))
        .collect();
    (changed, gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &[(u8, u8)], new: &[(u8, u8)], changed: &[(u8, u8)], gone: &[u8]) {
        let (found, lost) = changes(old, new, |item| item.0);
        assert_eq!(found.into_iter().copied().collect::<Vec<_>>(), changed);
        assert_eq!(lost, gone);
    }

    #[test]
    fn changes_are_what_is_new_or_different_and_what_is_gone() {
        check(&[], &[], &[], &[]);
        check(&[(1, 0), (2, 0)], &[(1, 0), (2, 0)], &[], &[]);
        check(&[(1, 0), (2, 0)], &[(1, 0), (2, 9)], &[(2, 9)], &[]);
        check(&[(1, 0), (2, 0)], &[(2, 0), (3, 0)], &[(3, 0)], &[1]);
        check(&[(1, 0), (2, 0)], &[(2, 5)], &[(2, 5)], &[1]);
        check(&[(1, 0)], &[], &[], &[1]);
    }
}
