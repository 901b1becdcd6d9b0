//! The sentences that people read at three in the morning, word by word.
#![allow(clippy::unwrap_used)]

mod scenario;

use andon_model::HeartbeatState;
use scenario::{Scenario, grid};

const GRID: &str = "fra1-db@fra1 fra1-web@fra1 nyc1-db@nyc1 nyc1-web@nyc1 sin1-edge@sin1";

fn sentences(scenario: Scenario, me: &str) -> String {
    let view = scenario.seen_by(me);
    let lines = view.verdicts.iter().map(|verdict| {
        format!(
            "{} [{:.2}] {}",
            verdict.id, verdict.confidence, verdict.sentence
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_dead_node() {
    insta::assert_snapshot!(sentences(grid(GRID).kill("nyc1-db"), "fra1-db"), @"node_down:nyc1-db [0.94] nyc1-db in nyc1 is down: all 4 nodes that probe it get no answer, and its own probes stopped too.");
}

#[test]
fn a_node_whose_program_stopped() {
    insta::assert_snapshot!(sentences(["fra1-db", "fra1-web", "nyc1-web", "sin1-edge"].iter().fold(grid(GRID).kill("nyc1-db"), |grid, other| grid.report(other, "nyc1-db", |report| report.reason = Some(andon_model::LinkReason::Refused))), "fra1-db"), @"node_down:nyc1-db [0.94] nyc1-db in nyc1 is down: all 4 nodes that probe it get no answer. Its host answers that nobody listens, so the host runs and the program does not.");
}

#[test]
fn a_node_that_is_deaf() {
    insta::assert_snapshot!(sentences(["fra1-db", "fra1-web", "nyc1-web", "sin1-edge"].iter().fold(grid(GRID), |grid, other| grid.cut(other, "nyc1-db")), "fra1-db"), @"node_down:nyc1-db [0.94] nyc1-db in nyc1 is not reached: all 4 nodes that probe it get no answer, though its own probes still arrive at 4 nodes. It runs; look at what blocks the way in (firewall, route, listen address).");
}

#[test]
fn one_of_two() {
    insta::assert_snapshot!(sentences(grid("a@x b@y").kill("b"), "a"), @"node_down:b [0.50] b in y is down: a, the only node that probes it, gets no answer. With two nodes alone it cannot be told which of them is at fault.");
}

#[test]
fn a_site_cut_off_from_its_own_side() {
    insta::assert_snapshot!(sentences(grid(GRID).split("fra1-db fra1-web", "nyc1-db nyc1-web sin1-edge"), "fra1-db"), @"site_cut_off:fra1 [0.75] This side, site fra1 with 2 nodes, is cut off from nyc1 (2 nodes) and sin1 (1 node): nobody there answers, while fra1's own nodes reach each other. All other sites fell silent at once, so the fault is most likely at fra1's uplink.");
}

#[test]
fn a_site_cut_off_from_the_other_side() {
    insta::assert_snapshot!(sentences(grid(GRID).split("fra1-db fra1-web", "nyc1-db nyc1-web sin1-edge"), "sin1-edge"), @"site_cut_off:fra1 [0.88] Site fra1 is cut off: none of its 2 nodes answers the 3 nodes elsewhere that ask, and nothing arrives from there. All at once points to the site's uplink or power, not to each node.");
}

#[test]
fn two_halves() {
    insta::assert_snapshot!(sentences(grid("a@x b@x c@y d@y").split("a b", "c d"), "a"), @"site_cut_off:y [0.50] Sites x and y are cut off from each other: none of y's 2 nodes answers the 2 nodes of x. From one side alone it cannot be told which of them lost its uplink.");
}

#[test]
fn isolated() {
    insta::assert_snapshot!(sentences(grid(GRID).split("sin1-edge", "fra1-db fra1-web nyc1-db nyc1-web").target("gateway", "sin1-edge", "", ""), "sin1-edge"), @"isolated:sin1-edge [0.94] sin1-edge reaches nobody: none of the 4 nodes that it probes answers. All of them at once, so the fault is most likely here: look at this host's own network. Targets still answer it (1 of 1), so it is not the whole network but what leads to the grid.");
}

#[test]
fn one_direction_cut() {
    insta::assert_snapshot!(sentences(grid(GRID).cut("fra1-web", "nyc1-db"), "sin1-edge"), @"link_down:fra1-web↔nyc1-db [0.99] Nothing gets from fra1-web to nyc1-db, while nyc1-db's own probes still arrive at fra1-web: one direction is cut, the way back passes. Other nodes reach both, so it is the link and not a node.");
}

#[test]
fn both_directions_cut() {
    insta::assert_snapshot!(sentences(grid(GRID).cut_both("fra1-web", "nyc1-db"), "sin1-edge"), @"link_down:fra1-web↔nyc1-db [0.99] Nothing passes between fra1-web and nyc1-db, in either direction: neither hears the other's probes. Other nodes reach both, so it is the link and not a node.");
}

#[test]
fn a_direction_unknown() {
    insta::assert_snapshot!(sentences(grid(GRID).cut_both("fra1-web", "nyc1-db").unprobed("nyc1-db", "fra1-web").report("fra1-web", "nyc1-db", |report| report.heard = andon_model::Heard::NotExpected), "sin1-edge"), @"link_down:fra1-web↔nyc1-db [0.94] fra1-web gets no answer from nyc1-db. Which direction is cut is not known, since nyc1-db does not probe fra1-web. Other nodes reach both, so it is the link and not a node.");
}

#[test]
fn some_flows_die() {
    insta::assert_snapshot!(sentences(grid(GRID).partial("fra1-web", "nyc1-db", 7), "sin1-edge"), @"link_partial:fra1-web↔nyc1-db [0.75] 7 of 8 flows from fra1-web to nyc1-db die and the others pass: one of several paths is broken, or one member of a bundle. They die on the way there; the way back passes. Both ends see it.");
}

#[test]
fn a_lossy_link() {
    insta::assert_snapshot!(sentences(grid(GRID).lossy("fra1-web", "nyc1-db", 0.125), "sin1-edge"), @"degraded:fra1-web↔nyc1-db [0.75] The link from fra1-web to nyc1-db loses packets: 12 % on the way to nyc1-db, 0 % on the way back. Both ends see it.");
}

#[test]
fn a_slow_link() {
    insta::assert_snapshot!(sentences(grid(GRID).slow("fra1-web", "nyc1-db", 48_000), "sin1-edge"), @"degraded:fra1-web↔nyc1-db [0.75] The link between fra1-web and nyc1-db is slow: 48 ms round trip, usually 12 ms. Both ends see it.");
}

#[test]
fn all_links_into_a_node() {
    insta::assert_snapshot!(sentences(["fra1-db", "nyc1-db", "nyc1-web", "sin1-edge"].iter().zip([0.03, 0.06, 0.12, 0.07]).fold(grid(GRID), |grid, (from, loss)| grid.lossy(from, "fra1-web", loss)), "sin1-edge"), @"degraded:fra1-web [0.94] All 4 links into fra1-web lose packets: 3.0 to 12 %. Seen by fra1-db, nyc1-db, nyc1-web and sin1-edge. One cause at fra1-web explains it better than 4 broken links.");
}

#[test]
fn two_sites_apart() {
    insta::assert_snapshot!(sentences(grid(GRID).split("fra1-db fra1-web", "nyc1-db nyc1-web"), "sin1-edge"), @"link_down:site:fra1↔nyc1 [0.94] All 4 links between sites fra1 and nyc1 carry nothing. Seen by fra1-db, fra1-web, nyc1-db and nyc1-web. One cause on the way between them explains it better than 4 broken links.");
}

#[test]
fn a_slow_uplink() {
    insta::assert_snapshot!(sentences(["nyc1-db", "nyc1-web", "fra1-db", "fra1-web"].iter().fold(grid(GRID), |grid, other| grid.slow("sin1-edge", other, 90_000)), "sin1-edge"), @"degraded:sin1-edge [0.94] All 4 links of sin1-edge are slow: 7.5 times their usual round trip. Seen by fra1-db, fra1-web, nyc1-db and nyc1-web. One cause at sin1-edge explains it better than 4 broken links.");
}

#[test]
fn a_target_down() {
    insta::assert_snapshot!(sentences(grid(GRID).target("shop", "", "fra1-db nyc1-db sin1-edge", "status 503"), "fra1-db"), @"target_down:shop [0.88] shop (http://shop.example/) answers wrongly (“status 503”): 3 of 3 nodes that ask say so.");
}

#[test]
fn a_target_down_from_one_place() {
    insta::assert_snapshot!(sentences(grid(GRID).target("shop", "fra1-db nyc1-db", "sin1-edge", "timed out"), "fra1-db"), @"link_down:sin1-edge→shop [0.50] shop (http://shop.example/) fails for sin1-edge (“timed out”), while it answers fra1-db and nyc1-db. So it is the way there rather than the target.");
}

#[test]
fn remarks() {
    insta::assert_snapshot!(sentences(grid(GRID).twin("fra1-db", "sin1").clock("nyc1-db", -7_200_000_000).busy("nyc1-web"), "fra1-db"), @"
    id_conflict:fra1-db [0.99] 2 nodes carry the id fra1-db: fra1-db at 10.0.0.1:8777 (site fra1) and fra1-db~96ab96 at 10.0.0.150:8777 (site sin1). Give each its own --id; until then the one that started later is shown with a mark.
    clock_skew:nyc1-db [0.97] The clock of nyc1-db is 2 h behind the others: 5 of 5 nodes that measure it agree. Times that it reports are off by as much.
    host_busy:hosts [0.90] The host of nyc1-web is too busy for exact figures: its prober wakes up to 180 ms late. Latency that it measures, or that others measure to it, is not held against the network.
    ");
}

#[test]
fn several_busy_hosts() {
    insta::assert_snapshot!(sentences(grid(GRID).busy("nyc1-db").busy("nyc1-web"), "fra1-db"), @"host_busy:hosts [0.90] 2 hosts are too busy for exact figures: nyc1-db and nyc1-web. Their probers wake up to 180 ms late. Latency that they measure, or that others measure to them, is not held against the network.");
}

#[test]
fn a_gridbug_that_is_silent() {
    insta::assert_snapshot!(sentences(grid(GRID).neighbour("fra1-db", "LAN", Some(false), &[]), "fra1-db"), @"target_down:LAN [0.50] GridBug neighbour LAN (lan.lan:8777) does not answer fra1-db.");
}

#[test]
fn a_heartbeat_that_stops() {
    let missing = || grid(GRID).heartbeat("fra1-db", "nightly.backup", HeartbeatState::Missing, 30);
    insta::assert_snapshot!(sentences(missing(), "sin1-edge"), @"heartbeat_missing:nightly.backup [0.90] Heartbeat nightly.backup has stopped: one should come every 60 s, and the last came from job-1 at 2026-10-26T07:32:50.000Z, to fra1-db. Look whether what sends it still runs, and still reaches fra1-db.");
    // A later word of another node counts, and one that hears it outweighs all.
    for (state, since) in [(HeartbeatState::Beating, 10), (HeartbeatState::Stopped, 40)] {
        let heard = missing().heartbeat("nyc1-db", "nightly.backup", state, since);
        assert_eq!(sentences(heard, "sin1-edge"), "", "{state:?}");
    }
    let earlier = missing().heartbeat("nyc1-db", "nightly.backup", HeartbeatState::Stopped, 20);
    assert!(sentences(earlier, "sin1-edge").starts_with("heartbeat_missing:nightly.backup"));
}
