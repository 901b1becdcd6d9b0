//! Who is in the picture, by unique name and by index. All later steps speak of members by
//! index: a thousand nodes with 64 links each leave no time to compare names.

use crate::standing::reached;
use andon_model::{LinkReport, Name, NodeKey, Peer, Picture, Presence, SiteId, Slice};
use std::collections::{BTreeMap, BTreeSet};

/// One node of the grid.
pub struct Member<'a> {
    /// Unique within the document.
    pub id: String,
    /// The same, shared by all links that name it.
    pub name: Name,
    pub key: NodeKey,
    pub slice: &'a Slice,
    /// Index into [`Roster::sites`].
    pub site: usize,
    /// Left the grid on purpose.
    pub left: bool,
    /// What it reports of other members, by their index; none of itself or of strangers.
    pub reports: Vec<(usize, &'a LinkReport)>,
}

impl<'a> Member<'a> {
    /// What this member reports of the one at `index`.
    pub fn report_on(&self, index: usize) -> Option<&'a LinkReport> {
        let place = self
            .reports
            .binary_search_by_key(&index, |(to, _)| *to)
            .ok()?;
        Some(self.reports[place].1)
    }
}

/// All nodes of the picture, ordered by their unique id.
pub struct Roster<'a> {
    pub members: Vec<Member<'a>>,
    /// Ordered by name.
    pub sites: Vec<&'a SiteId>,
    /// The judging node; `None` if its own slice is not in the picture.
    pub me: Option<usize>,
    /// Ids that several keys claim: the indices of the claimants, the keeper of the bare id first.
    pub conflicts: Vec<Vec<usize>>,
    /// Indices by key, sorted.
    by_key: Vec<(NodeKey, usize)>,
    names: Names,
}

impl<'a> Roster<'a> {
    /// Gives every slice its unique name and resolves keys to indices. Of several that claim one
    /// id, one that `me` reaches keeps it bare: what is not up cannot take a living node's name.
    pub fn of(picture: &'a Picture, me: NodeKey) -> Self {
        let roster = Self::named(picture, me, |_| true);
        if roster.conflicts.is_empty() {
            return roster;
        }
        let reached = reached(&roster);
        let alive: BTreeSet<NodeKey> = roster
            .members
            .iter()
            .zip(reached)
            .filter_map(|(member, reached)| reached.then_some(member.key))
            .collect();
        Self::named(picture, me, |key| alive.contains(key))
    }

    /// Names given to those that live first, then by start, then by key.
    fn named(picture: &'a Picture, me: NodeKey, alive: impl Fn(&NodeKey) -> bool) -> Self {
        let mut claims: Vec<(&NodeKey, &'a Slice)> = picture
            .slices
            .iter()
            .map(|(key, slice)| (key, slice.as_ref()))
            .collect();
        claims.sort_by_cached_key(|(key, slice)| {
            let identity = &slice.identity;
            (&identity.id, !alive(key), identity.started_at, **key)
        });

        let mut sites: Vec<&SiteId> = claims
            .iter()
            .map(|(_, slice)| &slice.identity.site)
            .collect();
        sites.sort_unstable();
        sites.dedup();

        let mut names = Names::default();
        let mut named: Vec<(String, NodeKey, &'a Slice)> = Vec::with_capacity(claims.len());
        for (key, slice) in &claims {
            let hex = key.to_string();
            let id = slice.identity.id.as_str();
            named.push((names.take(id, &hex[..6], &hex), **key, *slice));
        }
        named.sort_by(|a, b| a.0.cmp(&b.0));

        let mut by_key: Vec<(NodeKey, usize)> = named
            .iter()
            .enumerate()
            .map(|(index, (_, key, _))| (*key, index))
            .collect();
        by_key.sort_unstable();
        let index_of = |key: &NodeKey| {
            let place = by_key.binary_search_by_key(key, |(key, _)| *key).ok()?;
            Some(by_key[place].1)
        };

        let members: Vec<Member<'a>> = named
            .into_iter()
            .enumerate()
            .map(|(own_index, (id, key, slice))| {
                let mut reports: Vec<(usize, &LinkReport)> = slice
                    .links
                    .iter()
                    .filter_map(|(peer, report)| match peer {
                        Peer::Node(far) => Some((index_of(far)?, report)),
                        Peer::Target(_) => None,
                    })
                    .filter(|(far, _)| *far != own_index)
                    .collect();
                reports.sort_unstable_by_key(|(far, _)| *far);
                let site = sites.binary_search(&&slice.identity.site).unwrap_or(0);
                let left = slice.identity.presence == Presence::Left;
                Member {
                    name: Name::from(&id),
                    id,
                    key,
                    slice,
                    site,
                    left,
                    reports,
                }
            })
            .collect();

        let mut conflicts = Vec::new();
        for group in claims.chunk_by(|a, b| a.1.identity.id == b.1.identity.id) {
            if group.len() > 1 {
                conflicts.push(group.iter().filter_map(|(key, _)| index_of(key)).collect());
            }
        }
        let me = index_of(&me);
        Self {
            members,
            sites,
            me,
            conflicts,
            by_key,
            names,
        }
    }

    /// Index of the member with this key.
    pub fn index_of_key(&self, key: &NodeKey) -> Option<usize> {
        let place = self
            .by_key
            .binary_search_by_key(key, |(key, _)| *key)
            .ok()?;
        Some(self.by_key[place].1)
    }

    /// How many members each site has, those that left not counted.
    pub fn site_sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.sites.len()];
        for member in self.members.iter().filter(|member| !member.left) {
            sizes[member.site] += 1;
        }
        sizes
    }

    /// A unique id for a box that is no node: `wanted`, else with one of the two suffixes.
    pub fn name_for(&mut self, wanted: &str, suffix: &str, long_suffix: &str) -> String {
        self.names.take(wanted, suffix, long_suffix)
    }

    /// Index of the member with this unique id.
    pub fn index_of_id(&self, id: &str) -> Option<usize> {
        self.members
            .binary_search_by(|member| member.id.as_str().cmp(id))
            .ok()
    }
}

/// Hands out names, each once.
#[derive(Default)]
struct Names {
    /// Taken names, and how many numbered variants of each were given.
    taken: BTreeMap<String, u32>,
}

impl Names {
    /// `wanted`, or `wanted~suffix`, or `wanted~long_suffix`, or that with a number.
    fn take(&mut self, wanted: &str, suffix: &str, long_suffix: &str) -> String {
        let mut name = wanted.to_owned();
        for suffix in [suffix, long_suffix] {
            if !self.taken.contains_key(&name) {
                self.taken.insert(name.clone(), 0);
                return name;
            }
            name = format!("{wanted}~{suffix}");
        }
        loop {
            let Some(count) = self.taken.get_mut(&name) else {
                self.taken.insert(name.clone(), 0);
                return name;
            };
            *count = count.saturating_add(1);
            name = format!("{name}~{count}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_handed_out_once_whatever_is_asked() {
        let mut names = Names::default();
        let mut given = std::collections::BTreeSet::new();
        for _ in 0..2_000 {
            assert!(given.insert(names.take("a", "123456", "1234567890abcdef")));
        }
        assert!(
            given.contains("a")
                && given.contains("a~123456")
                && given.contains("a~1234567890abcdef")
        );
    }
}
