//! Flows that die, lose or are too narrow, beside others that do not: equal paths behind a
//! router, in simulated time.

use super::world::{Fate, Passing, World};
use super::{healthy, until};
use andon_model::{LinkReason, LinkState, Transport};
use std::collections::BTreeSet;

/// Loses what `hits`, both ways of the pair alike.
fn lose(world: &mut World, hits: impl Fn(&Passing) -> bool + 'static) {
    world.fault = Box::new(move |p| {
        if p.flow.is_some() && hits(p) {
            Fate::Lost
        } else {
            Fate::Passes
        }
    });
}

fn mend(world: &mut World) {
    world.fault = Box::new(|_| Fate::Passes);
}

/// Source ports of a link's flows for which this holds, sorted.
fn ports(world: &World, from: usize, to: usize, which: impl Fn(&Flow) -> bool) -> Vec<u16> {
    let flows = world.flows(from, to);
    let mut ports: Vec<u16> = flows.iter().filter(|f| which(f)).map(|f| f.port).collect();
    ports.sort_unstable();
    ports
}

type Flow = crate::paths::FlowHealth;

fn is_dead(flow: &Flow) -> bool {
    flow.alive == Some(false)
}

#[test]
fn one_of_two_paths_dead_is_partial_soon_and_stays_so() {
    let mut times = Vec::new();
    for seed in 0..8 {
        let mut world = World::new(2, seed);
        world.run(5_000 + seed * 137);
        lose(&mut world, |p| p.from_node == 0 && p.path(2) == 0);
        times.push(until(&mut world, 2_000, |w| {
            w.state(0, 1) == LinkState::Partial
        }));
        let mut counts = BTreeSet::new();
        for _ in 0..60 {
            world.run(500);
            let report = world.report(0, 1);
            assert_eq!(report.state, LinkState::Partial, "seed {seed}");
            assert_eq!(report.reason, Some(LinkReason::Loss));
            counts.insert((report.flows.ok, report.flows.total));
        }
        let (ok, total) = *counts.last().unwrap();
        assert!(total == 64 && (12..52).contains(&ok), "{counts:?}");
        mend(&mut world);
        until(&mut world, 3_500, |w| w.state(0, 1) == LinkState::Up);
        for _ in 0..300 {
            world.run(100);
            let report = world.report(0, 1);
            assert_eq!(
                report.state,
                LinkState::Up,
                "no echo of the outage, seed {seed}"
            );
            assert!(
                report.loss.forward.is_none_or(|loss| loss == 0.0),
                "{report:?}"
            );
        }
        assert_eq!(world.report(0, 1).flows.total, 8);
    }
    times.sort_unstable();
    assert!(times[6] <= 1_700, "{times:?}");
}

#[test]
fn forty_percent_random_loss_is_degraded_and_not_partial() {
    let mut partial = 0;
    for seed in 0..3 {
        let mut world = World::new(2, seed);
        world.run(20_000);
        world.fault = Box::new(|p| {
            if p.question && p.chance < 0.4 {
                Fate::Lost
            } else {
                Fate::Passes
            }
        });
        until(&mut world, 5_000, |w| w.state(0, 1) == LinkState::Degraded);
        for _ in 0..1_200 {
            world.run(100);
            assert_ne!(world.state(0, 1), LinkState::Down);
            partial += usize::from(world.state(0, 1) == LinkState::Partial);
        }
    }
    assert!(partial <= 30, "{partial} of 3600 looks");
}

#[test]
fn one_dead_path_of_sixteen_is_found() {
    let (mut times, mut by_its_own) = (Vec::new(), 0);
    for seed in 0..16 {
        let mut world = World::new(2, 100 + seed);
        world.run(8_000);
        lose(&mut world, |p| p.from_node == 0 && p.path(16) == 3);
        let partial =
            |w: &World| w.state(0, 1) == LinkState::Partial || w.state(1, 0) == LinkState::Partial;
        times.push(until(&mut world, 60_000, partial));
        world.run(4_000);
        // Whoever noticed, the one whose way it is looks for itself.
        by_its_own += usize::from(world.state(0, 1) == LinkState::Partial);
        // The burst tells how many, and that does not change when it slows down.
        for _ in 0..30 {
            let report = world.report(0, 1);
            if report.state == LinkState::Partial {
                assert!(report.flows.total - report.flows.ok < 16, "{report:?}");
            }
            assert!(partial(&world), "seed {seed}: {:?}", world.states());
            world.run(1_000);
        }
    }
    times.sort_unstable();
    assert!(times[14] <= 10_000, "{times:?}");
    assert!(by_its_own >= 14, "{by_its_own} of 16");
}

#[test]
fn one_percent_loss_on_one_of_eight_paths_is_seen_on_its_flows() {
    let mut times = Vec::new();
    for seed in 0..6 {
        let mut world = World::new(4, 200 + seed);
        world.run(30_000);
        // Nodes 0 and 1 on one side, 2 and 3 on the other; the path carries both ways.
        lose(&mut world, |p| {
            (p.from_node < 2) != (p.to_node < 2) && p.path(8) == 5 && p.chance < 0.01
        });
        let evident = |w: &World| {
            let pairs = [(0, 2), (0, 3), (1, 2), (1, 3)];
            let both = pairs.into_iter().flat_map(|(a, b)| [(a, b), (b, a)]);
            both.map(|(a, b)| w.flows(a, b).iter().filter(|f| f.lost_forward > 0).count())
                .sum::<usize>()
                >= 4
        };
        times.push(until(&mut world, 180_000, evident));
        assert!(
            world.all(LinkState::Up),
            "a burst never alarms: {:?}",
            world.states()
        );
    }
    times.sort_unstable();
    assert!(times[5] <= 60_000, "{times:?}");
}

#[test]
fn the_far_end_names_the_flows_that_stopped_arriving_and_no_others() {
    for (question, seed) in [(true, 1), (false, 2), (true, 3), (false, 4)] {
        let mut world = healthy(2);
        lose(&mut world, move |p| {
            p.question == question && p.path(3) == seed % 3
        });
        until(&mut world, 2_500, |w| w.state(0, 1) == LinkState::Partial);
        let mut seen = BTreeSet::new();
        for _ in 0..400 {
            world.run(100);
            let dead = ports(&world, 0, 1, is_dead);
            let silent = world.silent_from(1, 0);
            if question {
                assert!(
                    silent.iter().all(|port| dead.contains(port)),
                    "{silent:?} {dead:?}"
                );
                seen.insert(silent.len() == dead.len());
            } else {
                assert!(silent.is_empty(), "{silent:?}");
            }
        }
        assert_eq!(seen.contains(&true), question);
        mend(&mut world);
        world.run(6_000);
        assert!(world.silent_from(1, 0).is_empty());
    }
}

#[test]
fn silence_towards_us_is_told_within_two_seconds() {
    for seed in 0..10 {
        let mut world = World::new(2, seed);
        world.run(9_000 + 91 * seed);
        lose(&mut world, |p| {
            p.from_node == 0 && p.question && p.flow == Some(5)
        });
        let took = until(&mut world, 2_500, |w| !w.silent_from(1, 0).is_empty());
        assert_eq!(world.silent_from(1, 0), ports(&world, 0, 1, is_dead));
        assert!(took >= 500, "{took}");
    }
}

#[test]
fn ports_change_in_the_course_of_time_and_nobody_notices() {
    let mut world = healthy(2);
    let before = ports(&world, 0, 1, |_| true);
    for second in 0..1_000 {
        world.run(1_000);
        assert!(
            world.all(LinkState::Up),
            "second {second}: {:?}",
            world.states()
        );
        assert!(world.silent_from(1, 0).is_empty() && world.silent_from(0, 1).is_empty());
    }
    let after = ports(&world, 0, 1, |_| true);
    assert!(
        before.iter().all(|port| !after.contains(port)),
        "{before:?} {after:?}"
    );
    let stats = world.stats(0);
    assert_eq!((stats.probes_lost, stats.answers_unmatched), (0, 0));
}

#[test]
fn a_dead_flow_keeps_its_port() {
    let mut world = healthy(2);
    lose(&mut world, |p| {
        p.from_node == 0 && p.question && p.path(2) == 0
    });
    world.run(5_000);
    let dead = ports(&world, 0, 1, is_dead);
    world.run(300_000);
    let still = ports(&world, 0, 1, is_dead);
    assert!(
        dead.iter().all(|port| still.contains(port)),
        "{dead:?} {still:?}"
    );
}

#[test]
fn a_path_that_swallows_large_packets_is_told() {
    for seed in 0..6 {
        let mut world = World::new(2, seed);
        world.run(20_000);
        assert!(world.all(LinkState::Up));
        lose(&mut world, |p| {
            p.from_node == 0 && p.path(2) == 0 && p.bytes > 1_300
        });
        let took = until(&mut world, 20_000, |w| w.state(0, 1) == LinkState::Degraded);
        assert_eq!(world.report(0, 1).reason, Some(LinkReason::Mtu));
        assert_eq!(world.state(1, 0), LinkState::Up);
        assert!(took >= 1_000, "{took}");
        world.run(4_000);
        let narrow = ports(&world, 0, 1, |flow| flow.large_lost);
        for _ in 0..60 {
            world.run(1_000);
            assert_eq!(world.state(0, 1), LinkState::Degraded);
            // A flow that gets another port may meet it too; none that met it is let go of.
            let still = ports(&world, 0, 1, |flow| flow.large_lost);
            assert!(narrow.iter().all(|port| still.contains(port)), "{still:?}");
        }
        assert!(!narrow.is_empty() && narrow.len() < 8, "{narrow:?}");
        mend(&mut world);
        until(&mut world, 8_000, |w| w.state(0, 1) == LinkState::Up);
        assert_eq!(world.report(0, 1).flows.ok, 8);
    }
}

#[test]
fn large_packets_that_never_passed_are_told_after_half_a_minute() {
    let mut world = World::new(2, 5);
    lose(&mut world, |p| p.bytes > 1_300);
    world.run(28_000);
    assert!(world.all(LinkState::Up), "{:?}", world.states());
    until(&mut world, 12_000, |w| w.state(0, 1) == LinkState::Degraded);
    assert_eq!(world.report(0, 1).reason, Some(LinkReason::Mtu));
}

#[test]
fn a_lossy_link_is_not_called_narrow() {
    let mut world = World::new(2, 4);
    world.run(10_000);
    world.fault = Box::new(|p| {
        if p.chance < 0.25 {
            Fate::Lost
        } else {
            Fate::Passes
        }
    });
    for _ in 0..600 {
        world.run(1_000);
        assert_ne!(world.report(0, 1).reason, Some(LinkReason::Mtu));
    }
}

#[test]
fn udp_that_closes_is_replaced_by_frames_and_comes_back_when_it_is_steady() {
    let mut world = healthy(2);
    world.connect(0, 1);
    world.run(5_000);
    assert_eq!(world.report(0, 1).transport, Transport::Udp);
    lose(&mut world, |_| true);
    let down = until(&mut world, 1_500, |w| w.state(0, 1) == LinkState::Down);
    let report = world.report(0, 1);
    assert_eq!((report.rtt_us.p50, report.loss.forward), (None, None));
    let up = until(&mut world, 15_000, |w| w.state(0, 1) == LinkState::Up);
    assert!(
        (9_000..14_000).contains(&up),
        "down after {down}, up after {up}"
    );
    assert_eq!(world.report(0, 1).transport, Transport::Tcp);
    for _ in 0..600 {
        world.run(100);
        assert_eq!(world.state(0, 1), LinkState::Up);
        assert_eq!(world.report(0, 1).transport, Transport::Tcp);
    }
    mend(&mut world);
    let back = until(&mut world, 12_000, |w| {
        w.report(0, 1).transport == Transport::Udp
    });
    assert!((4_500..9_000).contains(&back), "{back}");
    for _ in 0..300 {
        world.run(100);
        let report = world.report(0, 1);
        assert_eq!(report.state, LinkState::Up, "{report:?}");
        assert_eq!(report.flows.ok, report.flows.total, "{report:?}");
    }
}

#[test]
fn what_carries_nothing_at_all_stays_down_beside_a_connection() {
    let mut world = healthy(2);
    world.connect(0, 1);
    world.run(5_000);
    world.fault = Box::new(|_| Fate::Lost);
    let took = until(&mut world, 1_500, |w| w.state(0, 1) == LinkState::Down);
    for _ in 0..900 {
        world.run(100);
        let report = world.report(0, 1);
        assert_eq!(report.state, LinkState::Down, "down after {took}");
        assert_eq!(report.transport, Transport::Udp);
    }
    mend(&mut world);
    until(&mut world, 3_500, |w| w.state(0, 1) == LinkState::Up);
}

#[test]
fn a_link_that_heals_as_a_whole_stays_on_udp() {
    let mut world = healthy(2);
    world.connect(0, 1);
    world.run(5_000);
    world.fault = Box::new(|_| Fate::Lost);
    world.run(40_000);
    assert_eq!(world.state(0, 1), LinkState::Down);
    mend(&mut world);
    for _ in 0..100 {
        world.run(100);
        assert_eq!(world.report(0, 1).transport, Transport::Udp);
    }
    assert_eq!(world.state(0, 1), LinkState::Up);
}

#[test]
fn udp_that_opens_and_closes_does_not_make_a_link_waver() {
    let mut world = healthy(2);
    world.connect(0, 1);
    // Open for ten seconds, closed for thirty, again and again.
    let (mut changes, mut before) = (0, Transport::Udp);
    for round in 0..30 {
        mend(&mut world);
        for half in 0..2 {
            for _ in 0..(if half == 0 { 100 } else { 300 }) {
                world.run(100);
                let transport = world.report(0, 1).transport;
                changes += usize::from(transport != before);
                before = transport;
            }
            lose(&mut world, |_| true);
        }
        assert!(changes <= 2 * (round + 1), "{changes}");
    }
    assert!(changes <= 6, "{changes}");
}
