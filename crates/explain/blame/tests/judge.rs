//! What happened, and what is said about it. One line a case.
#![allow(clippy::unwrap_used)]

mod scenario;

use andon_blame::{GRID_NODES_MAX_FOR_MISSING_PAIRS, judge};
use andon_model::{Heard, LinkReason, LinkState, NodeKey, Peer, Picture, Transport, VerdictKind};
use scenario::{BREAK, NOW, START, Scenario, grid, healthy, link, not_up, summary};

const FIVE: &str = "a@x b@x c@y d@y e@z";

/// Judged by `me`: the verdicts, and the nodes that are not up.
#[track_caller]
fn check(scenario: Scenario, me: &str, verdicts: &str, nodes: &str) {
    let view = scenario.seen_by(me);
    assert_eq!(summary(&view), verdicts, "{:#?}", view.verdicts);
    assert_eq!(not_up(&view), nodes);
}

#[test]
fn health_needs_no_words() {
    for size in ["a@x", "a@x b@y", FIVE] {
        check(grid(size), "a", "", "");
    }
}

#[test]
fn one_cause_of_several_links_says_which_they_are() {
    let mut scenario = grid(FIVE);
    for (from, to) in [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")] {
        scenario = scenario.partial(from, to, 3).partial(to, from, 3);
    }
    let view = scenario.seen_by("a");
    let verdict = &view.verdicts[0];
    assert_eq!(view.verdicts.len(), 1, "{:#?}", view.verdicts);
    assert_eq!(verdict.links.len(), 8, "{verdict:#?}");
    assert!(verdict.links.contains(&"b→d".to_owned()));
}

#[test]
fn a_dead_node_is_one_verdict_and_its_links_are_none() {
    check(grid(FIVE).kill("d"), "a", "NodeDown d", "d Down");
    check(grid(FIVE).kill("e"), "a", "NodeDown e", "e Down");
    check(
        grid(FIVE).kill("a").after(5).kill("d"),
        "b",
        "NodeDown a, NodeDown d",
        "a Down, d Down",
    );
    check(grid("a@x b@y").kill("b"), "a", "NodeDown b", "b Down");
    check(
        grid(FIVE).unprobed("a", "d").unprobed("b", "d").kill("d"),
        "a",
        "NodeDown d",
        "d Down",
    );
}

#[test]
fn a_cut_link_names_its_direction_and_accuses_no_node() {
    check(grid(FIVE).cut("a", "d"), "b", "LinkDown a→d", "");
    check(grid(FIVE).cut("d", "a"), "b", "LinkDown d→a", "");
    check(grid(FIVE).cut_both("a", "d"), "b", "LinkDown a↔d", "");
    check(grid("a@x b@y c@z").cut("a", "b"), "c", "LinkDown a→b", "");
    check(grid("a@x b@y c@z").cut("a", "b"), "a", "LinkDown a→b", "");
    check(
        grid(FIVE).cut("a", "d").cut("b", "e"),
        "c",
        "LinkDown a→d, LinkDown b→e",
        "",
    );
}

#[test]
fn the_direction_that_passes_is_up_though_its_round_trip_fails() {
    let view = grid(FIVE).cut("a", "d").seen_by("e");
    assert_eq!(link(&view, "a", "d"), "Down");
    assert_eq!(link(&view, "d", "a"), "Up (round trip Down)");
    let back = view
        .links
        .iter()
        .find(|link| link.from == "d" && link.to == "a")
        .unwrap();
    assert_eq!(
        (back.loss.forward, back.loss.return_),
        (Some(0.0), Some(1.0))
    );
    let verdict = &view.verdicts[0];
    assert_eq!(
        (verdict.from.as_deref(), verdict.to.as_deref()),
        (Some("a"), Some("d"))
    );

    let view = grid(FIVE).cut_both("a", "d").seen_by("e");
    assert_eq!(
        [link(&view, "a", "d"), link(&view, "d", "a")],
        ["Down", "Down"]
    );
}

#[test]
fn without_the_far_ends_word_the_direction_is_left_open() {
    let scenario = grid(FIVE).cut_both("a", "d").unprobed("d", "a");
    check(scenario, "b", "LinkDown a→d", "");
    let unknown = grid(FIVE)
        .cut_both("a", "d")
        .report("a", "d", |report| report.heard = Heard::NotExpected)
        .report("d", "a", |report| report.heard = Heard::NotExpected);
    check(unknown, "b", "LinkDown a↔d", "");
}

#[test]
fn links_of_a_dead_node_are_unknown_and_links_to_it_are_down() {
    let view = grid(FIVE).kill("d").seen_by("a");
    for other in ["a", "b", "c", "e"] {
        assert_eq!(link(&view, other, "d"), "Down");
        assert_eq!(link(&view, "d", other), "Unknown");
    }
    let stale = view.links.iter().find(|link| link.from == "d").unwrap();
    assert_eq!(
        (stale.rtt_us.p50, stale.since, stale.flows.total),
        (None, Some(BREAK), 0)
    );
    assert_eq!(
        view.nodes.iter().find(|node| node.id == "d").unwrap().since,
        Some(BREAK)
    );
}

#[test]
fn a_cut_off_site_blames_itself_not_the_others() {
    let split = || grid(FIVE).split("a b", "c d e");
    check(split(), "a", "SiteCutOff x", "c Down, d Down, e Down");
    check(split(), "b", "SiteCutOff x", "c Down, d Down, e Down");
    check(split(), "c", "SiteCutOff x", "a Down, b Down");
    check(split(), "e", "SiteCutOff x", "a Down, b Down");
}

#[test]
fn two_halves_that_cannot_tell_say_so() {
    let split = || grid("a@x b@x c@y d@y").split("a b", "c d");
    check(split(), "a", "SiteCutOff y", "c Down, d Down");
    check(split(), "d", "SiteCutOff x", "a Down, b Down");
    assert!(split().seen_by("a").verdicts[0].confidence <= 0.5);
    check(
        grid("a@x b@x c@y d@y e@y").split("a b", "c d e"),
        "a",
        "SiteCutOff x",
        "c Down, d Down, e Down",
    );
    check(
        grid("a@x b@x c@y d@y e@y").split("a b", "c d e"),
        "e",
        "SiteCutOff x",
        "a Down, b Down",
    );
}

#[test]
fn sites_that_fell_apart_in_time_are_not_one_cause() {
    let scenario = grid(FIVE).kill("c").after(30).kill("d");
    check(scenario, "a", "NodeDown c, NodeDown d", "c Down, d Down");
    let quickly = grid(FIVE).kill("c").after(4).kill("d");
    check(quickly, "a", "NodeDown c, NodeDown d", "c Down, d Down");
    let others = grid("a@x b@x c@y e@z").kill("c").after(30).kill("e");
    check(others, "a", "NodeDown c, NodeDown e", "c Down, e Down");
}

#[test]
fn who_reaches_nobody_blames_himself_alone() {
    let alone = || grid(FIVE).split("a", "b c d e");
    check(alone(), "a", "Isolated a", "b Down, c Down, d Down, e Down");
    check(alone(), "b", "NodeDown a", "a Down");
    let noisy = alone()
        .target("shop", "", "a", "timed out")
        .lossy("b", "c", 0.3);
    check(
        noisy,
        "a",
        "Isolated a",
        "b Down, c Down, d Down, e Down, shop Down",
    );
}

#[test]
fn what_is_not_known_yet_is_suspect_and_no_fault() {
    let young = grid("a@x b@y c@z")
        .waiting("a", "b")
        .waiting("a", "c")
        .waiting("b", "c")
        .waiting("b", "a")
        .waiting("c", "a")
        .waiting("c", "b");
    check(young.clone(), "a", "", "b Suspect, c Suspect");
    assert_eq!(link(&young.seen_by("a"), "a", "b"), "Unknown");
}

#[test]
fn one_cut_link_makes_no_suspect_and_most_of_them_do() {
    check(grid("a@x b@x c@x").cut("a", "b"), "c", "LinkDown a→b", "");
    check(
        grid("a@x b@x c@x d@x").split("a b", "d"),
        "c",
        "LinkDown d",
        "d Suspect",
    );
}

#[test]
fn a_node_that_left_is_left_and_nothing_else() {
    let view = grid(FIVE).leave("d").seen_by("a");
    assert_eq!(
        (summary(&view).as_str(), not_up(&view).as_str()),
        ("", "d Left")
    );
    let about = |end: &str| {
        view.links
            .iter()
            .filter(|l| l.from == end || l.to == end)
            .count()
    };
    assert_eq!(
        (about("d"), about("a")),
        (0, 6),
        "no line leads to who left"
    );
    let told = grid(FIVE)
        .neighbour("a", "LAN", Some(true), &[("d", Some(true))])
        .leave("d")
        .seen_by("a");
    assert_eq!(link(&told, "LAN", "d"), "none");
}

#[test]
fn links_that_answer_poorly_name_their_way() {
    check(grid(FIVE).lossy("a", "d", 0.2), "b", "Degraded a→d", "");
    check(grid(FIVE).lossy("d", "a", 0.2), "b", "Degraded d→a", "");
    check(grid(FIVE).partial("a", "d", 7), "b", "LinkPartial a→d", "");
    check(grid(FIVE).slow("a", "d", 80_000), "b", "Degraded a↔d", "");
    let view = grid(FIVE).lossy("a", "d", 0.2).seen_by("b");
    assert_eq!(
        [link(&view, "a", "d"), link(&view, "d", "a")],
        ["Degraded", "Up (round trip Degraded)"]
    );
    check(
        grid(FIVE).cut("a", "d").lossy("b", "e", 0.1),
        "c",
        "LinkDown a→d, Degraded b→e",
        "",
    );
}

#[test]
fn many_links_with_one_cause_are_one_verdict() {
    let into = |node: &str| {
        ["a", "b", "c", "d"]
            .iter()
            .fold(grid(FIVE), |grid, from| grid.lossy(from, node, 0.1))
    };
    check(into("e"), "a", "Degraded e", "");
    let between = grid("a@x b@x c@y d@y e@z")
        .slow("a", "c", 90_000)
        .slow("a", "d", 91_000)
        .slow("b", "c", 92_000)
        .slow("b", "d", 93_000);
    check(between, "e", "Degraded x↔y", "");
    let uplink = grid(FIVE)
        .partial("a", "c", 4)
        .partial("a", "d", 4)
        .partial("a", "e", 4)
        .partial("b", "c", 4)
        .partial("b", "d", 4)
        .partial("b", "e", 4);
    let said = uplink.seen_by("a").verdicts[0].sentence.clone();
    assert!(
        said.contains("lose some of their flows: 48 of 96"),
        "{said}"
    );
    check(uplink, "a", "LinkPartial x", "");
    let cut = grid(FIVE).split("a b", "c d");
    check(cut, "e", "LinkDown x↔y", "");
    let mixed = grid("a@x b@x c@x d@x")
        .split("a b", "d")
        .partial("c", "d", 4);
    check(mixed, "c", "LinkDown d", "d Suspect");
    let unrelated = grid("a@x b@x c@y d@y e@z f@z")
        .lossy("a", "d", 0.1)
        .lossy("b", "e", 0.1);
    check(unrelated, "c", "Degraded a→d, Degraded b→e", "");
}

#[test]
fn a_busy_host_is_never_a_bad_network() {
    let busy = |node: &str| {
        ["a", "c", "d", "e"]
            .iter()
            .fold(grid(FIVE).busy(node), |grid, other| {
                grid.slow("b", other, 90_000)
            })
    };
    check(busy("b"), "a", "HostBusy b", "");
    let several = || grid(FIVE).busy("b").busy("d").busy("e");
    check(several(), "a", "HostBusy 3 hosts", "");
    let (one, more) = (busy("b").seen_by("a"), several().seen_by("a"));
    assert_eq!(one.verdicts[0].id, more.verdicts[0].id);
    let told: Vec<&str> = more.verdicts[0]
        .evidence
        .iter()
        .map(|e| e.observer.as_str())
        .collect();
    assert_eq!(told, ["b", "d", "e"]);
    assert_eq!(
        link(&busy("b").seen_by("a"), "b", "c"),
        "Up (round trip Degraded)"
    );
    check(
        grid(FIVE).busy("b").lossy("b", "c", 0.2),
        "a",
        "Degraded b→c, HostBusy b",
        "",
    );
}

#[test]
fn a_clock_that_is_off_is_remarked_once_and_dates_nothing() {
    let hour = 3_600_000_000;
    check(grid(FIVE).clock("c", hour), "a", "ClockSkew c", "");
    check(grid("a@x b@y").clock("b", hour), "a", "ClockSkew a", "");
    let view = grid(FIVE)
        .clock("c", hour)
        .kill("e")
        .report("c", "e", |report| {
            report.since = BREAK + std::time::Duration::from_secs(3_600)
        })
        .seen_by("a");
    assert_eq!(summary(&view), "NodeDown e, ClockSkew c");
    assert_eq!(view.verdicts[0].since, BREAK);
    // A clock that is behind would date the cut to an hour ago.
    let view = grid(FIVE)
        .clock("c", -hour)
        .cut("a", "c")
        .report("c", "a", |report| {
            report.since = BREAK - std::time::Duration::from_secs(3_600)
        })
        .seen_by("b");
    assert_eq!(summary(&view), "LinkDown a→c, ClockSkew c");
    assert_eq!(view.verdicts[0].since, BREAK);
}

#[test]
fn two_nodes_with_one_id_are_told_apart_and_both_named() {
    let view = grid(FIVE).twin("b", "z").seen_by("a");
    assert_eq!(summary(&view), "IdConflict b");
    let ids: Vec<&str> = view.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "b~96ab96", "e"]);
    check(
        grid(FIVE).twin("b", "z").kill("b-twin"),
        "a",
        "NodeDown b~96ab96",
        "b~96ab96 Down",
    );
}

#[test]
fn who_is_reached_keeps_the_name_whoever_started_first() {
    // The one that started first is dead: the living one has the name, wherever one looks.
    for me in ["a", "b-twin", "e"] {
        check(
            grid(FIVE).twin("b", "z").kill("b"),
            me,
            "NodeDown b~02ab02",
            "b~02ab02 Down",
        );
    }
}

#[test]
fn loss_towards_a_dead_node_was_measured_by_nobody() {
    let view = grid(FIVE).kill("d").seen_by("a");
    let dead = view.links.iter().filter(|link| link.to == "d");
    assert_eq!(dead.clone().count(), 4);
    for link in dead {
        assert_eq!((link.loss.forward, link.loss.return_), (None, None));
    }
}

/// `node` finds the target slow.
fn slow_target(scenario: Scenario, node: &str, reason: LinkReason) -> Scenario {
    let mut scenario = scenario;
    let key = scenario.key(node);
    let links = &mut scenario.slices.get_mut(&key).unwrap().links;
    let target = Peer::Target(andon_model::TargetId::new("shop").unwrap());
    let mut report = links.remove(&target).unwrap();
    (report.state, report.reason) = (LinkState::Degraded, Some(reason));
    links.insert(report);
    scenario
}

#[test]
fn a_target_that_few_find_slow_is_no_fault_of_the_target() {
    let shop = || grid(FIVE).target("shop", "a b c", "", "");
    let slow = |scenario, node| slow_target(scenario, node, LinkReason::Latency);
    check(slow(shop(), "a"), "d", "", "");
    let most = || slow(slow(shop(), "a"), "b");
    check(most(), "d", "Degraded shop", "");
    // What busy hosts measure is held against nobody, other trouble is.
    check(most().busy("a").busy("b"), "d", "HostBusy 2 hosts", "");
    let view = most().busy("a").seen_by("d");
    assert_eq!(link(&view, "a", "shop"), "Up (round trip Degraded)");
    assert_eq!(link(&view, "b", "shop"), "Degraded");
    let wrong = |scenario, node| slow_target(scenario, node, LinkReason::Answer);
    check(
        wrong(wrong(shop(), "a"), "b").busy("a").busy("b"),
        "d",
        "Degraded shop, HostBusy 2 hosts",
        "",
    );
    check(
        grid(FIVE).target("shop", "b c", "a", "timed out"),
        "d",
        "LinkDown a→shop",
        "shop Suspect",
    );
}

#[test]
fn a_target_that_nobody_declares_any_more_is_gone() {
    let mut scenario = grid(FIVE).target("shop", "b", "c", "timed out");
    for slice in scenario.slices.values_mut() {
        slice.targets.clear();
    }
    check(scenario.clone(), "a", "", "");
    assert_eq!(link(&scenario.seen_by("a"), "b", "shop"), "none");
    let left = grid(FIVE).target("shop", "b", "c", "timed out").leave("a");
    check(left, "b", "", "a Left");
    let down = grid(FIVE).target("shop", "b", "", "").kill("a");
    assert_eq!(
        link(&down.seen_by("b"), "b", "shop"),
        "Up",
        "its declarer may be back at once"
    );
}

#[test]
fn targets_are_judged_by_those_who_ask() {
    check(grid(FIVE).target("shop", "a b", "", ""), "a", "", "");
    check(
        grid(FIVE).target("shop", "", "a b", "status 503"),
        "a",
        "TargetDown shop",
        "shop Down",
    );
    check(
        grid(FIVE).target("shop", "b c", "a", "timed out"),
        "d",
        "LinkDown a→shop",
        "shop Suspect",
    );
    check(
        grid(FIVE).target("shop", "c", "a b", "timed out"),
        "d",
        "LinkDown shop",
        "shop Suspect",
    );
    check(
        grid(FIVE).target("shop", "b", "e", "timed out").kill("e"),
        "a",
        "NodeDown e",
        "e Down",
    );
    let clash = grid(FIVE).target("a", "b", "", "").seen_by("a");
    assert!(clash.nodes.iter().any(|node| node.id == "a~target"));
}

#[test]
fn gridbug_neighbours_are_boxes_of_their_own_kind() {
    let scenario = grid("a@x b@y")
        .neighbour(
            "a",
            "LAN",
            Some(true),
            &[
                ("DMZ", Some(false)),
                ("a", Some(true)),
                ("stranger", Some(true)),
            ],
        )
        .neighbour("b", "LAN", Some(true), &[])
        .neighbour("a", "DMZ", Some(false), &[("LAN", Some(true))])
        .neighbour("a", "b", None, &[]);
    let view = scenario.seen_by("a");
    assert_eq!(
        (summary(&view).as_str(), not_up(&view).as_str()),
        ("TargetDown DMZ", "DMZ Down, b~gridbug Suspect")
    );
    assert_eq!(link(&view, "a", "LAN"), "Up");
    assert_eq!(link(&view, "b", "LAN"), "Up");
    assert_eq!(
        [
            link(&view, "LAN", "a"),
            link(&view, "LAN", "DMZ"),
            link(&view, "DMZ", "LAN")
        ],
        ["Up", "Down", "Unknown"]
    );
    let told = view.links.iter().find(|link| link.from == "LAN").unwrap();
    assert_eq!(
        (told.detail.as_deref(), told.transport),
        (Some("reported by GridBug"), Some(Transport::GridBug))
    );
}

#[test]
fn pairs_that_nobody_probes_are_said_in_small_grids_and_left_out_of_large_ones() {
    let view = grid(FIVE).unprobed("a", "d").seen_by("b");
    assert_eq!([link(&view, "a", "d"), summary(&view)], ["NotProbed", ""]);
    assert_eq!(view.links.len(), 20);

    let nodes: Vec<String> = (0..=GRID_NODES_MAX_FOR_MISSING_PAIRS)
        .map(|number| format!("n{number}@x"))
        .collect();
    let view = grid(&nodes.join(" ")).unprobed("n0", "n1").seen_by("n2");
    assert_eq!(link(&view, "n0", "n1"), "none");
}

#[test]
fn a_node_whose_inbound_way_alone_is_cut_runs() {
    let deaf = ["a", "b", "c", "e"]
        .iter()
        .fold(grid(FIVE), |grid, other| grid.cut(other, "d"));
    let view = deaf.seen_by("a");
    assert_eq!(summary(&view), "NodeDown d");
    assert!(
        view.verdicts[0].sentence.contains("It runs"),
        "{}",
        view.verdicts[0].sentence
    );
}

#[test]
fn a_node_that_only_talks_is_alive() {
    let outbound = ["a", "b"].iter().fold(grid("a@x b@x c@y"), |grid, other| {
        grid.report(other, "c", |report| report.state = LinkState::NotProbed)
    });
    check(outbound, "a", "", "");
}

#[test]
fn the_picture_of_a_stranger_or_of_nobody_is_judged_too() {
    let stranger = judge(&grid(FIVE).picture(), NodeKey(7), NOW);
    assert_eq!(
        (stranger.me.as_str(), stranger.verdicts.len()),
        ("0000000000000007", 0)
    );
    let nobody = judge(&Picture::default(), NodeKey(7), NOW);
    assert_eq!((nobody.nodes.len(), nobody.links.len()), (0, 0));
}

#[test]
fn hostile_slices_are_judged_without_harm() {
    let mut scenario = grid("a@x b@y c@z");
    let a = scenario.key("a");
    let slice = scenario.slices.get_mut(&a).unwrap();
    for number in 0..10_000 {
        let to = Peer::Node(NodeKey(number));
        slice.links.insert(healthy(to));
    }
    let oneself = Peer::Node(a);
    slice.links.insert(healthy(oneself));
    let absurd = |report: &mut andon_model::LinkReport| {
        report.state = LinkState::Degraded;
        report.reason = Some(LinkReason::Loss);
        report.loss.forward = Some(f32::NAN);
        report.loss.return_ = Some(f32::INFINITY);
        report.flows.ok = u16::MAX;
        report.clock_offset_us = Some(i64::MIN);
        report.since = andon_model::Timestamp(i64::MIN);
        report.detail = Some("\u{202e}<b>\x1b[31m".repeat(1_000));
    };
    let view = scenario
        .report("a", "b", absurd)
        .report("b", "a", absurd)
        .seen_by("c");
    assert_eq!(view.links.len(), 6);
    let link = view
        .links
        .iter()
        .find(|link| link.from == "a" && link.to == "b")
        .unwrap();
    assert_eq!(
        (link.loss.forward, link.loss.return_, link.flows.ok),
        (None, None, 8)
    );
    assert!(
        link.detail.as_deref().unwrap().len() <= 256
            && !link.detail.as_deref().unwrap().contains('\x1b')
    );
    assert_eq!(view.verdicts[0].kind, VerdictKind::Degraded);
    assert!(
        view.nodes
            .iter()
            .all(|node| node.since >= Some(START) || node.id != "c")
    );
}
