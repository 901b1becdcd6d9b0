//! One node's promises: in simulated time, then over real sockets.

mod flows;
mod real;
mod world;
use world::{Fate, World, ms};

use andon_model::{Heard, LinkReason, LinkState};

/// Steps until a link has a state; returns the milliseconds it took.
fn until(world: &mut World, limit_ms: u64, fits: impl Fn(&World) -> bool) -> u64 {
    let start = world.now_ms();
    while !fits(world) {
        assert!(
            world.now_ms() - start < limit_ms,
            "not within {limit_ms} ms: {:?}",
            world.states()
        );
        world.run(10);
    }
    world.now_ms() - start
}

fn healthy(nodes: usize) -> World {
    let mut world = World::new(nodes, 7);
    until(&mut world, 1_000, |w| w.all(LinkState::Up));
    world.run(20_000);
    assert!(world.all(LinkState::Up));
    world
}

#[test]
fn five_nodes_are_all_up_within_half_a_second() {
    for seed in 0..10 {
        let mut world = World::new(5, seed);
        let took = until(&mut world, 500, |w| w.all(LinkState::Up));
        assert!(took <= 400, "{took}");
        assert!(world.report(0, 1).flows.ok == 8);
    }
}

#[test]
fn a_frozen_node_is_down_on_all_others_within_one_and_a_half_seconds() {
    for seed in 0..10 {
        let mut world = healthy(5);
        world.run(seed * 37);
        world.frozen.insert(4);
        let took = until(&mut world, 1_500, |w| {
            (0..4).all(|n| w.state(n, 4) == LinkState::Down)
        });
        assert!(took >= 900, "{took}");
        assert_eq!(world.report(0, 4).reason, Some(LinkReason::Silent));
        assert!(
            until(&mut world, 1_000, |w| (0..4)
                .all(|n| w.report(n, 4).heard == Heard::Silent))
                < 1_000
        );
        assert!((0..4).all(|n| (0..4).all(|m| n == m || world.state(n, m) == LinkState::Up)));
    }
}

#[test]
fn a_link_that_dies_as_a_whole_is_never_called_partial() {
    for phase in 0..8 {
        let mut world = healthy(3);
        world.run(phase * 37);
        let freezes = phase % 2 == 0;
        if freezes {
            world.frozen.insert(2);
        } else {
            world.dead.insert(2);
        }
        until(&mut world, 1_500, |w| {
            for observer in [0, 1] {
                assert_ne!(w.state(observer, 2), LinkState::Partial, "phase {phase}");
            }
            w.state(0, 2) == LinkState::Down && w.state(1, 2) == LinkState::Down
        });
    }
}

#[test]
fn a_killed_node_refuses_and_is_down_sooner() {
    let mut world = healthy(3);
    world.dead.insert(2);
    let took = until(&mut world, 1_000, |w| {
        w.state(0, 2) == LinkState::Down && w.state(1, 2) == LinkState::Down
    });
    assert!(took < 900, "{took}");
    assert_eq!(world.report(0, 2).reason, Some(LinkReason::Refused));
}

#[test]
fn a_frozen_node_that_wakes_blames_nobody() {
    let mut world = healthy(3);
    world.frozen.insert(2);
    world.run(30_000);
    world.frozen.remove(&2);
    for _ in 0..500 {
        world.run(10);
        assert!(world.state(2, 0) == LinkState::Up && world.report(2, 0).heard == Heard::Arriving);
    }
    assert!(world.all(LinkState::Up), "{:?}", world.states());
}

#[test]
fn one_direction_cut_is_told_by_who_is_heard() {
    let mut world = healthy(3);
    world.fault = Box::new(|p| {
        if p.from_node == 0 && p.to_node == 1 {
            Fate::Lost
        } else {
            Fate::Passes
        }
    });
    until(&mut world, 1_500, |w| {
        w.state(0, 1) == LinkState::Down && w.state(1, 0) == LinkState::Down
    });
    until(&mut world, 700, |w| w.report(1, 0).heard == Heard::Silent);
    assert_eq!(
        world.report(0, 1).heard,
        Heard::Arriving,
        "the other way still passes"
    );
    assert_eq!(world.state(0, 2), LinkState::Up);
}

#[test]
fn one_dead_flow_of_eight_is_partial_within_two_seconds() {
    for seed in 0..8 {
        let mut world = healthy(2);
        world.run(seed * 131);
        world.fault = Box::new(|p| {
            if p.from_node == 0 && p.flow == Some(3) && p.question {
                Fate::Lost
            } else {
                Fate::Passes
            }
        });
        let took = until(&mut world, 2_300, |w| w.state(0, 1) == LinkState::Partial);
        assert!(took >= 400, "{took}");
        let report = world.report(0, 1);
        assert_eq!((report.flows.ok, report.flows.total), (7, 8));
        assert_eq!(world.state(1, 0), LinkState::Up);
        world.run(5_000);
        assert_eq!(world.state(0, 1), LinkState::Partial);
        world.fault = Box::new(|_| Fate::Passes);
        until(&mut world, 2_000, |w| w.state(0, 1) == LinkState::Up);
        for _ in 0..300 {
            world.run(100);
            assert_eq!(world.state(0, 1), LinkState::Up, "no echo of the outage");
        }
    }
}

#[test]
fn loss_is_degraded_and_its_direction_is_told() {
    for (forward, back) in [(0.07, 0.0), (0.0, 0.07)] {
        let mut world = healthy(2);
        world.fault = Box::new(move |p| {
            let share = if p.question { forward } else { back };
            if p.from_node + p.to_node == 1 && (p.from_node == 0) == p.question && p.chance < share
            {
                Fate::Lost
            } else {
                Fate::Passes
            }
        });
        until(&mut world, 30_000, |w| w.state(0, 1) == LinkState::Degraded);
        assert_eq!(world.report(0, 1).reason, Some(LinkReason::Loss));
        world.run(60_000);
        assert_eq!(world.state(0, 1), LinkState::Degraded);
        let loss = world.report(0, 1).loss;
        let (told, not) = if forward > 0.0 {
            (loss.forward, loss.return_)
        } else {
            (loss.return_, loss.forward)
        };
        assert!(
            (0.03..0.13).contains(&told.unwrap()) && not.unwrap() < 0.015,
            "{loss:?}"
        );
        world.fault = Box::new(|_| Fate::Passes);
        until(&mut world, 30_000, |w| w.state(0, 1) == LinkState::Up);
    }
}

#[test]
fn thirty_percent_loss_is_told_within_five_seconds_and_is_never_down() {
    let mut world = healthy(2);
    world.fault = Box::new(|p| {
        if p.chance < 0.16 {
            Fate::Lost
        } else {
            Fate::Passes
        }
    });
    until(&mut world, 5_000, |w| {
        matches!(w.state(0, 1), LinkState::Degraded | LinkState::Partial)
    });
    for _ in 0..1_200 {
        world.run(100);
        assert_ne!(world.state(0, 1), LinkState::Down);
    }
}

#[test]
fn a_latency_step_is_degraded_and_small_wobble_is_not() {
    let mut world = healthy(2);
    world.fault = Box::new(|p| Fate::Late(ms((p.chance * 2.0) as u64)));
    world.run(60_000);
    assert!(world.all(LinkState::Up));
    world.fault = Box::new(|_| Fate::Late(ms(20)));
    let took = until(&mut world, 15_000, |w| w.state(0, 1) == LinkState::Degraded);
    assert!(took > 2_000, "{took}");
    assert_eq!(world.report(0, 1).reason, Some(LinkReason::Latency));
    world.fault = Box::new(|_| Fate::Passes);
    until(&mut world, 20_000, |w| w.state(0, 1) == LinkState::Up);
}

#[test]
fn a_busy_host_alarms_nobody() {
    let mut world = healthy(3);
    // Node 2 is woken up to 900 ms late, again and again, and says that it is busy.
    for round in 0..120u64 {
        world.run(100 + round % 7 * 90);
        world.frozen.insert(2);
        world.run(300 + round % 5 * 150);
        world.frozen.remove(&2);
        assert!(
            world.all(LinkState::Up),
            "round {round}: {:?}",
            world.states()
        );
    }
    assert!(world.host(2).busy);
    assert!(!world.host(0).busy);
}

#[test]
fn a_mended_link_is_up_soon_and_one_that_flaps_is_damped() {
    let mut world = healthy(2);
    let mut times = Vec::new();
    for _ in 0..5 {
        world.fault = Box::new(|_| Fate::Lost);
        until(&mut world, 1_500, |w| w.state(0, 1) == LinkState::Down);
        world.fault = Box::new(|_| Fate::Passes);
        times.push(until(&mut world, 9_000, |w| w.state(0, 1) == LinkState::Up));
    }
    assert!(times[0] < 1_700, "{times:?}");
    assert!(times[4] > times[0] + 2_000, "{times:?}");
}

#[test]
fn what_never_answers_is_unknown_then_down_and_frames_step_in() {
    let mut world = World::new(2, 1);
    world.fault = Box::new(|p| {
        if p.flow.is_some() {
            Fate::Lost
        } else {
            Fate::Passes
        }
    });
    world.run(2_000);
    assert_eq!(world.state(0, 1), LinkState::Unknown);
    until(&mut world, 3_000, |w| w.state(0, 1) == LinkState::Down);
    world.connect(0, 1);
    until(&mut world, 2_500, |w| {
        w.state(0, 1) == LinkState::Up && w.state(1, 0) == LinkState::Up
    });
    assert_eq!(world.report(0, 1).transport, andon_model::Transport::Tcp);
    assert_eq!(world.report(0, 1).flows.total, 1);
    world.fault = Box::new(|_| Fate::Passes);
    until(&mut world, 3_000, |w| {
        w.report(0, 1).transport == andon_model::Transport::Udp
    });
    world.run(3_000);
    assert!(world.all(LinkState::Up), "{:?}", world.states());
}

#[test]
fn a_clock_hours_off_is_told_and_harms_nothing() {
    let mut world = World::new(2, 3);
    world.skew(1, 7_200_000_000);
    until(&mut world, 1_000, |w| w.all(LinkState::Up));
    world.run(3_000);
    assert_eq!(world.report(0, 1).clock_offset_us, Some(7_200_000_000));
    assert_eq!(world.report(1, 0).clock_offset_us, Some(-7_200_000_000));
    assert!(world.report(0, 1).rtt_us.p50.unwrap() < 3_000);
}

#[test]
fn the_budget_stretches_all_links_evenly() {
    let mut world = World::with_budget(20, 5, 40);
    world.run(20_000);
    let before = world.sent(0);
    world.run(10_000);
    let rate = (world.sent(0) - before) / 10;
    assert!((25..=40).contains(&rate), "{rate} a second");
    assert!(world.all(LinkState::Up), "{:?}", world.states());
    assert!(world.coverage(0) < 0.3);
}

#[test]
fn who_probes_us_unplanned_is_reported_as_not_probed_and_heard() {
    let mut world = World::new(2, 3);
    world.unplan(1);
    world.run(3_000);
    let report = world.report(1, 0);
    assert_eq!(
        (report.state, report.heard),
        (LinkState::NotProbed, Heard::Arriving)
    );
    world.frozen.insert(0);
    world.run(1_500);
    assert_eq!(world.report(1, 0).heard, Heard::Silent);
}

#[test]
fn a_quiet_link_publishes_nothing_for_minutes() {
    let mut world = healthy(3);
    world.fault =
        Box::new(|p| Fate::Late(std::time::Duration::from_micros((p.chance * 150.0) as u64)));
    world.run(40_000);
    let (before, mut changes) = (world.reports(0), 0);
    for _ in 0..180 {
        world.run(1_000);
        changes += usize::from(world.reports(0) != before);
    }
    assert_eq!(changes, 0);
}

#[test]
fn a_healthy_hour_with_rare_loss_raises_no_alarm() {
    let mut world = World::new(4, 9);
    world.fault = Box::new(|p| {
        if p.chance < 0.002 {
            Fate::Lost
        } else {
            Fate::Late(ms((p.chance * 30.0) as u64))
        }
    });
    world.run(3_000);
    for second in 0..1_800 {
        world.run(1_000);
        assert!(
            world.all(LinkState::Up),
            "second {second}: {:?}",
            world.states()
        );
    }
}
