//! Path faults in small grids, word by word: what the evidence says, and what it does not.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod scenario;

use andon_model::{PictureView, Verdict, VerdictKind};
use scenario::{Scenario, Way, grid, summary, way};

const PAIR: &str = "web@x fulfilment@y";
const VIA_A: &str = "10.0.1.1 10.0.3.1 10.0.5.2";
const VIA_B: &str = "10.0.1.1 10.0.2.1 10.0.4.2";
const BACK_A: &str = "10.0.9.1 10.0.5.1 10.0.3.2";
const BACK_B: &str = "10.0.9.1 10.0.4.1 10.0.2.2";

fn lines(view: &PictureView) -> String {
    let lines = view.verdicts.iter().map(|verdict| {
        let hops = verdict.hops.join(" ");
        let flows = verdict.flows.map(|f| format!("{}/{}", f.failed, f.total));
        format!(
            "{} [{:.2}] {{{hops}}} {} {}",
            verdict.id,
            verdict.confidence,
            flows.unwrap_or_default(),
            verdict.sentence
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn path_faults(view: &PictureView) -> Vec<&Verdict> {
    let verdicts = view.verdicts.iter();
    verdicts
        .filter(|v| v.kind == VerdictKind::PathFault)
        .collect()
}

/// 9 flows over the one router, 7 over the other, there; 8 and 8 back.
fn two_ways(there: [Way; 2], back: [Way; 2]) -> Scenario {
    grid(PAIR)
        .ways("web", "fulfilment", &there)
        .ways("fulfilment", "web", &back)
        .tells("fulfilment", "web", &there)
        .tells("web", "fulfilment", &back)
}

fn healthy_back() -> [Way; 2] {
    [way(BACK_A, 0..8), way(BACK_B, 8..16)]
}

#[test]
fn half_of_the_flows_die_behind_one_router() {
    let there = [way(VIA_A, 0..9), way(VIA_B, 9..16).dead(2)];
    // Answers to fulfilment's flows come this way too, and half of them die.
    let back = [way(BACK_A, 0..4), way(BACK_A, 4..8).dead(3).back()];
    let view = two_ways(there, back).seen_by("web");
    insta::assert_snapshot!(lines(&view));
    assert_eq!(view.verdicts[0].links, ["fulfilment→web", "web→fulfilment"]);
    assert_eq!(
        (
            view.verdicts[0].from.as_deref(),
            view.verdicts[0].to.as_deref()
        ),
        (Some("web"), Some("fulfilment"))
    );
}

#[test]
fn a_router_dead_both_ways_is_one_verdict() {
    let there = [way(VIA_A, 0..9), way(VIA_B, 9..16).dead(1)];
    let back = [way(BACK_A, 0..8), way(BACK_B, 8..16).dead(1)];
    let view = two_ways(there, back).seen_by("fulfilment");
    assert_eq!(view.verdicts.len(), 1, "{}", lines(&view));
    let hops = &view.verdicts[0].hops;
    assert!(hops.iter().any(|hop| hop == "10.0.2.1"), "{hops:?}");
}

#[test]
fn without_the_far_ends_word_it_is_less_sure() {
    let there = [way(VIA_A, 0..9), way(VIA_B, 9..16).dead(2)];
    let view = grid(PAIR).ways("web", "fulfilment", &there).seen_by("web");
    insta::assert_snapshot!(lines(&view));
}

#[test]
fn where_traces_show_nothing_the_link_is_said_to_be_partial() {
    let there = [way("* * *", 0..9), way("* * *", 9..16).dead(0)];
    let view = two_ways(there, healthy_back()).seen_by("web");
    insta::assert_snapshot!(lines(&view));
}

#[test]
fn silent_hops_are_named_by_what_is_around_them() {
    let there = [
        way("10.0.1.1 10.0.3.1 10.0.5.2", 0..9),
        way("10.0.1.1 * 10.0.4.2", 9..16).dead(1),
    ];
    let view = two_ways(there, healthy_back()).seen_by("web");
    insta::assert_snapshot!(lines(&view));
}

#[test]
fn a_hole_where_flows_die_is_not_what_living_flows_show_there() {
    let there = [
        way("10.0.1.1 10.0.3.1 10.0.5.2", 0..9),
        way("10.0.1.1 * 10.0.5.2", 9..16).dead(1),
    ];
    let view = two_ways(there, healthy_back()).seen_by("web");
    assert_eq!(
        view.verdicts[0].hops,
        ["10.0.1.1", "10.0.5.2"],
        "{}",
        lines(&view)
    );
}

#[test]
fn gray_loss_on_one_of_two_ways() {
    let there = [
        way(VIA_A, 0..9).loses(0, 700),
        way(VIA_B, 9..16).loses(23, 540),
    ];
    let view = two_ways(there, healthy_back()).seen_by("web");
    insta::assert_snapshot!(lines(&view));
}

#[test]
fn large_packets_die_on_one_of_two_ways() {
    let there = [way(VIA_A, 0..9), way(VIA_B, 9..16).small_only()];
    let view = two_ways(there, healthy_back()).seen_by("web");
    insta::assert_snapshot!(lines(&view));
}

#[test]
fn one_of_two_ways_is_slow() {
    let there = [way(VIA_A, 0..9), way(VIA_B, 9..16).takes(52_000)];
    let view = two_ways(there, healthy_back()).seen_by("web");
    insta::assert_snapshot!(lines(&view));
}

#[test]
fn a_long_way_is_no_slow_one() {
    let mut long = way(VIA_B, 9..16).takes(52_000);
    long = long.usually(52_000);
    let view = two_ways([way(VIA_A, 0..9), long], healthy_back()).seen_by("web");
    assert_eq!(summary(&view), "");
}

#[test]
fn two_nodes_alone_tell_on_which_of_two_ways_much_is_lost() {
    for lost in [23, 40, 60, 108] {
        let there = [
            way(VIA_A, 0..9).loses(0, 700),
            way(VIA_B, 9..16).loses(lost, 540),
        ];
        let view = two_ways(there, healthy_back())
            .lossy("web", "fulfilment", lost as f32 / 1_240.0)
            .seen_by("web");
        let said = lines(&view);
        assert!(said.starts_with("path_fault:10.0.2.1 "), "{lost}: {said}");
    }
}

#[test]
fn losses_count_until_a_host_is_so_late_that_it_misses_answers() {
    let said = |late_ms: u32| {
        let there = [
            way(VIA_A, 0..9).loses(0, 700),
            way(VIA_B, 9..16).loses(60, 540).takes(90_000),
        ];
        summary(
            &two_ways(there, healthy_back())
                .late("fulfilment", late_ms)
                .seen_by("web"),
        )
    };
    assert!(said(200).contains("PathFault"), "{}", said(200));
    assert_eq!(said(300), "HostBusy fulfilment");
}

/// `n` nodes behind one switch, linked to `n` behind another, over two switches between.
fn many(n: usize, dead: bool) -> Scenario {
    let nodes: Vec<String> = (0..2 * n).map(|i| format!("n{i:02}@s{}", i / n)).collect();
    let mut scenario = grid(&nodes.join(" "));
    for a in 0..n {
        for b in n..2 * n {
            for (from, to) in [(a, b), (b, a)] {
                let side = if from < n { 1 } else { 2 };
                let via = |middle: usize| {
                    format!(
                        "10.{side}.0.{from} 10.{side}.{middle}.1 10.{}.{middle}.2",
                        3 - side
                    )
                };
                let broken = way(&via(7), 4..8);
                let broken = if dead { broken.dead(1) } else { broken };
                let ways = [way(&via(6), 0..4), broken];
                let (from, to) = (format!("n{from:02}"), format!("n{to:02}"));
                scenario = scenario.ways(&from, &to, &ways).tells(&to, &from, &ways);
            }
        }
    }
    scenario
}

#[test]
fn a_dead_switch_under_many_links_is_one_verdict() {
    let view = many(12, true).seen_by("n00");
    assert_eq!(view.verdicts.len(), 1, "{}", lines(&view));
    let verdict = &view.verdicts[0];
    assert_eq!(verdict.links.len(), 200, "as many as are listed");
    assert_eq!(
        verdict.flows.map(|flows| (flows.failed, flows.total)),
        Some((1_152, 2_304))
    );
    assert!(
        verdict.hops.iter().all(|hop| hop.contains(".7.")),
        "{:?}",
        verdict.hops
    );
    assert!(verdict.confidence > 0.95);
    assert_eq!(summary(&many(12, false).seen_by("n00")), "");
}

#[test]
fn one_liar_cannot_blame_a_hop_that_others_pass() {
    let mut scenario = many(4, false);
    // n00 claims that everything over 10.1.7.1 dies, on all its links, with 64 flows each.
    for to in 4..8 {
        let broken = way("10.1.0.0 10.1.7.1 10.2.7.2", 100..164).dead(2);
        scenario = scenario.ways(
            "n00",
            &format!("n{to:02}"),
            &[way("10.1.0.0 10.1.6.1 10.2.6.2", 0..4), broken],
        );
    }
    let view = scenario.seen_by("n05");
    for verdict in path_faults(&view) {
        let blames = verdict.hops.iter().any(|hop| hop == "10.1.7.1");
        assert!(!blames || verdict.confidence < 0.5, "{}", lines(&view));
    }
}

#[test]
fn a_router_that_answers_nothing_misleads_nobody() {
    // Traces of dead flows end after the first hop, but 10.0.2.1 forwards others well.
    let nodes = "web@x shop@x fulfilment@y";
    let broken = [way(VIA_A, 0..8), way(VIA_B, 8..16).dead(1)];
    let fine = [
        way("10.0.1.1 10.0.3.1 10.0.6.2", 0..8),
        way("10.0.1.1 10.0.2.1 10.0.7.2", 8..16),
    ];
    let view = grid(nodes)
        .ways("web", "fulfilment", &broken)
        .tells("fulfilment", "web", &broken)
        .ways("web", "shop", &fine)
        .ways(
            "shop",
            "fulfilment",
            &[way("10.0.8.1 10.0.3.1 10.0.5.2", 0..8)],
        )
        .seen_by("shop");
    insta::assert_snapshot!(lines(&view));
}

#[test]
fn a_site_cut_off_tells_where_traces_end() {
    let mut scenario = grid("a@x b@x c@y d@y e@z").split("a b", "c d e");
    for far in ["a", "b"] {
        for from in ["c", "e"] {
            scenario = scenario.ways(
                from,
                far,
                &[way("10.0.1.1 10.0.2.1 10.0.3.1", 0..8).dead(2)],
            );
        }
    }
    let view = scenario.seen_by("e");
    insta::assert_snapshot!(lines(&view));
}

#[test]
fn the_name_stays_while_the_evidence_grows() {
    let names = |dead: std::ops::Range<u16>, answered| {
        let there = [
            way(VIA_A, 0..9),
            way(VIA_B, 9..dead.start),
            way(VIA_B, dead).dead(answered),
        ];
        let view = two_ways_of(&there).seen_by("web");
        path_faults(&view)
            .iter()
            .map(|v| v.id.clone())
            .collect::<Vec<_>>()
    };
    let first = names(9..16, 2);
    assert_eq!(first.len(), 1);
    for answered in [1, 2, 3] {
        for dead in [9..16, 9..40, 9..12] {
            assert_eq!(names(dead.clone(), answered), first, "{dead:?} {answered}");
        }
    }
}

fn two_ways_of(there: &[Way]) -> Scenario {
    grid(PAIR)
        .ways("web", "fulfilment", there)
        .ways("fulfilment", "web", &healthy_back())
        .tells("fulfilment", "web", there)
}

#[test]
fn all_nodes_say_the_same() {
    let scenario = many(6, true);
    let first = lines(&scenario.seen_by("n00"));
    for node in 1..12 {
        assert_eq!(lines(&scenario.seen_by(&format!("n{node:02}"))), first);
    }
}
