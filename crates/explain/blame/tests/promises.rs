//! What holds for every picture: no panic, same in same out, unique ids, and one judgement on
//! all nodes of a partition.
#![allow(clippy::unwrap_used)]

mod scenario;

use andon_blame::{EVIDENCE_MAX, VERDICTS_MAX, judge};
use andon_model::{
    Heard, LinkReason, LinkState, NodeKey, NodeState, Peer, PictureView, Presence, Timestamp,
};
use proptest::prelude::*;
use scenario::{NOW, Scenario, grid};
use std::collections::BTreeSet;

const STATES: [LinkState; 7] = [
    LinkState::Up,
    LinkState::Partial,
    LinkState::Degraded,
    LinkState::Down,
    LinkState::Unknown,
    LinkState::NotProbed,
    LinkState::Left,
];
const HEARD: [Heard; 3] = [Heard::NotExpected, Heard::Arriving, Heard::Silent];
const REASONS: [Option<LinkReason>; 6] = [
    None,
    Some(LinkReason::Loss),
    Some(LinkReason::Latency),
    Some(LinkReason::Refused),
    Some(LinkReason::Answer),
    Some(LinkReason::Silent),
];

/// One report changed at random: who, of whom, how.
type Change = (usize, usize, usize, usize, usize, f32, i64);

/// A grid in which everything may be said of everybody.
fn any_scenario() -> impl Strategy<Value = Scenario> {
    let change = (
        0..9_usize,
        0..9_usize,
        0..7_usize,
        0..3_usize,
        0..6_usize,
        any::<f32>(),
        any::<i64>(),
    );
    let odd = proptest::collection::vec((0..9_usize, 0..4_u8), 0..4);
    (2..9_usize, proptest::collection::vec(change, 0..80), odd).prop_map(|(size, changes, odd)| {
        let nodes: Vec<String> = (0..size)
            .map(|number| format!("n{number}@s{}", number % 3))
            .collect();
        let mut scenario = grid(&nodes.join(" "));
        for change in changes {
            scenario = apply(scenario, size, change);
        }
        for (node, what) in odd {
            let name = format!("n{}", node % size);
            let key = scenario.key(&name);
            match what {
                0 => scenario.slices.get_mut(&key).unwrap().identity.presence = Presence::Left,
                1 => scenario = scenario.busy(&name),
                2 => scenario = scenario.neighbour(&name, "n1", Some(false), &[("n0", Some(true))]),
                _ => scenario = scenario.target("n0", "", &name, "status 500"),
            }
        }
        scenario
    })
}

fn apply(
    scenario: Scenario,
    size: usize,
    (from, to, state, heard, reason, loss, since): Change,
) -> Scenario {
    let (from, to) = (format!("n{}", from % size), format!("n{}", to % size));
    scenario.report(&from, &to, |report| {
        report.state = STATES[state];
        report.heard = HEARD[heard];
        report.reason = REASONS[reason];
        report.loss.forward = Some(loss);
        report.since = Timestamp(since);
        report.clock_offset_us = (since % 3 == 0).then_some(since);
        report.flows.ok = u16::try_from(since.rem_euclid(20)).unwrap();
    })
}

/// What all nodes of a partition must agree on.
fn judgement(view: &PictureView) -> String {
    format!("{:#?}\n{:#?}\n{:#?}", view.nodes, view.links, view.verdicts)
}

/// Whom `me` reaches, itself or through others: the promise's own reckoning.
fn reached(scenario: &Scenario, me: NodeKey) -> BTreeSet<NodeKey> {
    let mut reached = BTreeSet::from([me]);
    loop {
        let more: Vec<NodeKey> = reached
            .iter()
            .flat_map(|key| scenario.slices[key].links.iter())
            .filter(|(_, report)| match report.state {
                LinkState::Up | LinkState::Partial | LinkState::Degraded => true,
                LinkState::NotProbed => report.heard == Heard::Arriving,
                _ => false,
            })
            .filter_map(|(peer, _)| {
                if let Peer::Node(key) = peer {
                    Some(*key)
                } else {
                    None
                }
            })
            .filter(|key| !reached.contains(key))
            .filter(|key| {
                scenario
                    .slices
                    .get(key)
                    .is_some_and(|slice| slice.identity.presence == Presence::Here)
            })
            .collect();
        if more.is_empty() {
            return reached;
        }
        reached.extend(more);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_picture_is_judged_the_same_twice_and_within_bounds(scenario in any_scenario()) {
        let picture = scenario.picture();
        for me in scenario.slices.keys() {
            let view = judge(&picture, *me, NOW);
            prop_assert_eq!(judgement(&view), judgement(&judge(&picture, *me, NOW)));

            let ids: BTreeSet<&str> = view.nodes.iter().map(|node| node.id.as_str()).collect();
            prop_assert_eq!(ids.len(), view.nodes.len(), "ids are unique");
            let ends = view.links.iter().flat_map(|link| [&link.from, &link.to]);
            prop_assert!(ends.into_iter().all(|end| ids.contains(end.as_str())), "links lead to boxes");
            let pairs: BTreeSet<(&str, &str)> =
                view.links.iter().map(|link| (link.from.as_str(), link.to.as_str())).collect();
            prop_assert_eq!(pairs.len(), view.links.len(), "one line per direction");
            let order: Vec<_> = view.links.iter().map(|link| (&link.from, &link.to)).collect();
            prop_assert!(order.is_sorted());

            prop_assert!(view.verdicts.len() <= VERDICTS_MAX);
            let verdict_ids: BTreeSet<&str> = view.verdicts.iter().map(|verdict| verdict.id.as_str()).collect();
            prop_assert_eq!(verdict_ids.len(), view.verdicts.len(), "verdict ids are unique: {:?}", verdict_ids);
            for verdict in &view.verdicts {
                prop_assert!((0.0..=1.0).contains(&verdict.confidence));
                prop_assert!(verdict.evidence.len() <= EVIDENCE_MAX);
                prop_assert!(verdict.sentence.ends_with(['.', ')']), "{}", verdict.sentence);
            }
            for link in &view.links {
                let shares = [link.loss.forward, link.loss.return_];
                prop_assert!(shares.into_iter().flatten().all(|share| (0.0..=1.0).contains(&share)));
                prop_assert!(link.flows.ok <= link.flows.total);
            }
        }
    }

    #[test]
    fn all_nodes_of_a_partition_judge_alike(scenario in any_scenario()) {
        let picture = scenario.picture();
        for me in scenario.slices.keys() {
            let mine = reached(&scenario, *me);
            for other in mine.iter().filter(|other| reached(&scenario, **other).contains(me)) {
                let (a, b) = (judge(&picture, *me, NOW), judge(&picture, *other, NOW));
                prop_assert_eq!(judgement(&a), judgement(&b), "{} and {}", a.me, b.me);
            }
        }
    }

    #[test]
    fn who_is_reached_is_never_down_and_who_is_down_is_missed_by_somebody(scenario in any_scenario()) {
        let picture = scenario.picture();
        for me in scenario.slices.keys() {
            let alive = reached(&scenario, *me);
            let view = judge(&picture, *me, NOW);
            for node in view.nodes.iter().filter(|node| node.key.is_some()) {
                let key = node.key.unwrap();
                let missed = alive.iter().any(|observer| {
                    let report = scenario.slices[observer].links.get(&Peer::Node(key));
                    report.is_some_and(|report| report.state == LinkState::Down)
                });
                let down = node.state == NodeState::Down;
                prop_assert!(!(down && alive.contains(&key)), "{} lives", node.id);
                prop_assert!(!down || missed, "nobody misses {}", node.id);
            }
        }
    }
}
