//! Who probes whom: a pure function of the membership, computed alike on every node. A small
//! grid is a full mesh; a large one is sampled so that what a node spends stays bounded, every
//! node keeps several observers, and one node that comes or goes changes few pairs. Every
//! chosen pair is probed from both ends, since both ends' reports tell the direction of a fault.
//! After Pingmesh (SIGCOMM 2015): within the site, between sites, and across all.

use andon_model::{NodeKey, SiteId};
use std::collections::{BTreeMap, BTreeSet};

/// Largest grid in which everybody probes everybody. Doubled, such a grid sends four times as much.
pub const MESH_NODES_MAX: usize = 32;
/// Largest site in which everybody probes everybody, when the grid is no full mesh.
pub const MESH_SITE_MAX: usize = 17;
/// Most sites of which each pair is probed; beyond, sites stand on rings as nodes do.
pub const MESH_SITES_MAX: usize = 12;
/// Pairs of nodes that represent one pair of sites.
pub const PAIRS_PER_SITE_PAIR: u64 = 4;

/// Rings of all nodes: four neighbours each way on the first give every node eight observers
/// for certain; two more rings keep the whole well connected.
const ALL_NODES: Rings = Rings {
    near: 4,
    others: 2,
    name: 1,
};
/// Rings of a large site: sixteen peers.
const SITE_NODES: Rings = Rings {
    near: 2,
    others: 6,
    name: 2,
};
/// Rings of sites, where they are many: eight neighbour sites.
const SITES: Rings = Rings {
    near: 2,
    others: 2,
    name: 3,
};

/// Whom `me` probes, in order of keys; empty where `me` is no member.
///
/// `rotation` rises slowly by one, alike on all nodes (for example every five minutes of UTC):
/// each step replaces one of the four representatives of each pair of sites.
pub fn plan(members: &[(NodeKey, SiteId)], me: NodeKey, rotation: u64) -> Vec<NodeKey> {
    let members: BTreeMap<NodeKey, &SiteId> =
        members.iter().map(|(key, site)| (*key, site)).collect();
    let Some(my_site) = members.get(&me) else {
        return Vec::new();
    };
    if members.len() <= MESH_NODES_MAX {
        return members.into_keys().filter(|key| *key != me).collect();
    }
    let mut sites: BTreeMap<&SiteId, Vec<NodeKey>> = BTreeMap::new();
    for (key, site) in &members {
        sites.entry(site).or_default().push(*key);
    }
    let mut chosen = BTreeSet::new();
    let everybody: Vec<u64> = members.keys().map(|key| key.0).collect();
    chosen.extend(
        ALL_NODES
            .neighbours(&everybody, me.0)
            .into_iter()
            .map(NodeKey),
    );
    let neighbours = &sites[my_site];
    if neighbours.len() <= MESH_SITE_MAX {
        chosen.extend(neighbours);
    } else {
        let keys: Vec<u64> = neighbours.iter().map(|key| key.0).collect();
        chosen.extend(SITE_NODES.neighbours(&keys, me.0).into_iter().map(NodeKey));
    }
    for other in sites_to_probe(&sites, my_site) {
        for (mine, theirs) in
            representatives((my_site, neighbours), (other, &sites[other]), rotation)
        {
            if mine == me {
                chosen.insert(theirs);
            }
        }
    }
    chosen.remove(&me);
    chosen.into_iter().collect()
}

fn sites_to_probe<'a>(
    sites: &BTreeMap<&'a SiteId, Vec<NodeKey>>,
    mine: &SiteId,
) -> Vec<&'a SiteId> {
    let others = sites.keys().copied().filter(|site| *site != mine);
    if sites.len() <= MESH_SITES_MAX {
        return others.collect();
    }
    let names: Vec<u64> = sites.keys().map(|site| hash_text(site.as_str())).collect();
    let near = SITES.neighbours(&names, hash_text(mine.as_str()));
    others
        .filter(|site| near.contains(&hash_text(site.as_str())))
        .collect()
}

/// The pairs of nodes that stand for a pair of sites, the first site's node first. The same
/// from either side, and no pair twice.
fn representatives(
    (site, nodes): (&SiteId, &[NodeKey]),
    (other_site, other_nodes): (&SiteId, &[NodeKey]),
    rotation: u64,
) -> Vec<(NodeKey, NodeKey)> {
    if site > other_site {
        let turned = representatives((other_site, other_nodes), (site, nodes), rotation);
        return turned.into_iter().map(|(a, b)| (b, a)).collect();
    }
    let all = nodes.len() as u64 * other_nodes.len() as u64;
    if all <= PAIRS_PER_SITE_PAIR {
        return nodes
            .iter()
            .flat_map(|a| other_nodes.iter().map(|b| (*a, *b)))
            .collect();
    }
    let names = mix(hash_text(site.as_str()), hash_text(other_site.as_str()));
    let mut pairs = Vec::new();
    for slot in 0..PAIRS_PER_SITE_PAIR {
        // Slots rotate one after the other, so three of four pairs always stay.
        let turn = (rotation + slot) / PAIRS_PER_SITE_PAIR;
        let seed = mix(names, mix(slot, turn));
        let pair = (0..).map(|attempt| {
            let seed = mix(seed, attempt);
            (
                highest(nodes, mix(seed, 1)),
                highest(other_nodes, mix(seed, 2)),
            )
        });
        pairs.extend(
            pair.filter(|pair| !pairs.contains(pair))
                .take(1)
                .collect::<Vec<_>>(),
        );
    }
    pairs
}

/// Rendezvous hashing: who comes or goes changes only what it wins or held.
fn highest(nodes: &[NodeKey], seed: u64) -> NodeKey {
    nodes
        .iter()
        .copied()
        .max_by_key(|node| (mix(seed, node.0), *node))
        .unwrap_or(NodeKey(0))
}

/// Several circles on which members stand by their hash. Probing one's neighbours both ways
/// gives everybody as many observers as observed, and a newcomer only moves its neighbours.
struct Rings {
    /// Neighbours each way on the first ring.
    near: usize,
    /// Further rings, one neighbour each way.
    others: u64,
    /// Sets the rings of one kind apart from those of another.
    name: u64,
}

impl Rings {
    fn neighbours(&self, members: &[u64], me: u64) -> BTreeSet<u64> {
        let mut chosen = BTreeSet::new();
        for ring in 0..=self.others {
            let reach = if ring == 0 { self.near } else { 1 };
            // For one ring the mix is one to one, so no two members stand at the same place.
            let place = |member: u64| mix(mix(self.name, ring), member);
            let mine = place(me);
            let others = members.iter().copied().filter(|member| *member != me);
            chosen.extend(nearest(
                others.clone().map(|m| (place(m).wrapping_sub(mine), m)),
                reach,
            ));
            chosen.extend(nearest(
                others.map(|m| (mine.wrapping_sub(place(m)), m)),
                reach,
            ));
        }
        chosen
    }
}

/// The members at the smallest distances.
fn nearest(places: impl Iterator<Item = (u64, u64)>, count: usize) -> impl Iterator<Item = u64> {
    let mut found: Vec<(u64, u64)> = Vec::with_capacity(count + 1);
    for place in places {
        if found.len() < count || found.last().is_some_and(|farthest| place < *farthest) {
            let at = found.partition_point(|held| *held < place);
            found.insert(at, place);
            found.truncate(count);
        }
    }
    found.into_iter().map(|(_, member)| member)
}

/// Finaliser of SplitMix64 over both numbers: fixed for all versions, since nodes of different
/// versions must agree.
fn mix(a: u64, b: u64) -> u64 {
    let mut x = a.rotate_left(25) ^ b.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// FNV-1a, then mixed.
fn hash_text(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(hash, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Plans = BTreeMap<NodeKey, BTreeSet<NodeKey>>;

    fn members(sites: usize, per_site: usize, seed: u64) -> Vec<(NodeKey, SiteId)> {
        (0..sites * per_site)
            .map(|n| {
                (
                    NodeKey(mix(seed, n as u64)),
                    SiteId::new(format!("site-{}", n % sites)).unwrap(),
                )
            })
            .collect()
    }

    fn plans(members: &[(NodeKey, SiteId)], rotation: u64) -> Plans {
        members
            .iter()
            .map(|(key, _)| (*key, plan(members, *key, rotation).into_iter().collect()))
            .collect()
    }

    fn most(plans: &Plans) -> usize {
        plans.values().map(BTreeSet::len).max().unwrap()
    }

    fn fewest_observers(plans: &Plans) -> usize {
        let mut observers: BTreeMap<NodeKey, usize> = plans.keys().map(|key| (*key, 0)).collect();
        for key in plans.values().flatten() {
            *observers.get_mut(key).unwrap() += 1;
        }
        observers.into_values().min().unwrap()
    }

    fn pairs(plans: &Plans) -> BTreeSet<(NodeKey, NodeKey)> {
        plans
            .iter()
            .flat_map(|(from, to)| to.iter().map(|to| (*from, *to)))
            .collect()
    }

    #[test]
    fn a_thousand_nodes_in_ten_sites_stay_within_the_promise() {
        let members = members(10, 100, 1);
        let plans = plans(&members, 7);
        assert!(most(&plans) <= 64, "{}", most(&plans));
        assert!(fewest_observers(&plans) >= 8);
        let site: BTreeMap<_, _> = members.iter().cloned().collect();
        let mut between: BTreeMap<(SiteId, SiteId), usize> = BTreeMap::new();
        for (from, to) in pairs(&plans) {
            *between
                .entry((site[&from].clone(), site[&to].clone()))
                .or_default() += 1;
        }
        assert_eq!(between.len(), 100);
        assert!(between.values().all(|pairs| *pairs >= 4));
    }

    #[test]
    fn many_tiny_sites_and_one_huge_one_stay_bounded() {
        for (sites, per_site) in [(500, 2), (400, 1), (1, 400), (12, 3), (40, 10)] {
            let plans = plans(&members(sites, per_site, 2), 3);
            assert!(
                most(&plans) <= 64,
                "{sites} sites of {per_site}: {}",
                most(&plans)
            );
            assert!(fewest_observers(&plans) >= 8, "{sites} sites of {per_site}");
        }
    }

    #[test]
    fn a_lone_node_among_large_sites_is_not_overrun() {
        let mut members = members(11, 90, 3);
        members.push((NodeKey(4), SiteId::new("alone").unwrap()));
        let plans = plans(&members, 0);
        assert!(most(&plans) <= 64, "{}", most(&plans));
        assert!(fewest_observers(&plans) >= 8);
    }

    #[test]
    fn a_rotation_step_keeps_most_pairs() {
        let members = members(10, 40, 4);
        let (before, after) = (pairs(&plans(&members, 10)), pairs(&plans(&members, 11)));
        let changed = before.symmetric_difference(&after).count();
        // 45 pairs of sites, one of four pairs each, both directions, gone and come.
        assert!(changed > 0 && changed <= 45 * 2 * 2 * 2, "{changed}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn every_plan_is_bounded_covering_and_mutual(
            sites in 1usize..25, per_site in 1usize..14, seed: u64, rotation in 0u64..1_000_000
        ) {
            let members = members(sites, per_site, seed);
            let plans = plans(&members, rotation);
            prop_assert!(most(&plans) <= 64);
            prop_assert!(fewest_observers(&plans) >= 8.min(members.len() - 1));
            let pairs = pairs(&plans);
            prop_assert!(pairs.iter().all(|(from, to)| from != to && pairs.contains(&(*to, *from))));
        }

        #[test]
        fn one_node_that_comes_changes_few_pairs(sites in 1usize..14, per_site in 8usize..24, seed: u64) {
            let mut members = members(sites, per_site, seed);
            prop_assume!(members.len() > MESH_NODES_MAX + 1);
            let newcomer = members.pop().unwrap();
            let before = pairs(&plans(&members, 5));
            members.push(newcomer.clone());
            let after = pairs(&plans(&members, 5));
            let others = before.symmetric_difference(&after)
                .filter(|(from, to)| *from != newcomer.0 && *to != newcomer.0)
                .count();
            // A site that outgrows its mesh changes once; else the ring neighbours move on.
            let outgrew = per_site == MESH_SITE_MAX + 1;
            prop_assert!(outgrew || others <= 160, "{others} of {}", before.len());
        }
    }
}
