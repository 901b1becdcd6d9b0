//! Grids in a simulated world: whatever the network does, rows never go backwards, and once it
//! lets enough through, all hold the same picture.
#![allow(clippy::unwrap_used, reason = "a world is a test")]

mod sim;

use andon_grid::{GridInput, GridKey, GridNotice, KeyRing};
use andon_model::{NodeId, NodeKey, Presence};
use rand::RngExt;
use sim::{KEY, Net, World, for_seeds};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Unoptimised ciphers are slow: the full numbers run with `--release`.
const MANY: u64 = if cfg!(debug_assertions) { 4 } else { 200 };
const FEW: u64 = if cfg!(debug_assertions) { 1 } else { 3 };
const LARGE: usize = if cfg!(debug_assertions) { 80 } else { 200 };

/// A grid of `count` nodes that know only the first, agreed.
fn grid(seed: u64, net: Net, count: usize) -> World {
    let mut world = World::new(seed, net);
    for _ in 0..count {
        world.add(&[0]);
    }
    let agreed = world.run_until(20 * SECOND, 50 * MS, |world| {
        world.all_show(count) && world.agrees()
    });
    assert!(agreed.is_some(), "{count} nodes did not find each other");
    world
}

#[test]
fn five_nodes_start_cold_within_half_a_second() {
    for_seeds("five_nodes_start", 0..MANY.min(20), |seed| {
        let mut world = World::new(seed, Net::LAN);
        for _ in 0..5 {
            world.add(&[0]);
        }
        let took = world.run_until(5 * SECOND, MS, |world| world.all_show(5) && world.agrees());
        assert!(took.is_some_and(|took| took <= 500 * MS), "{took:?}");
    });
}

#[test]
fn a_change_reaches_a_small_grid_in_milliseconds() {
    for_seeds("a_change_reaches", 0..MANY.min(20), |seed| {
        let mut world = grid(seed, Net::LAN, 5);
        world.link_all();
        world.run(10 * SECOND);
        world.flip(seed as usize % 5);
        let took = world.run_until(SECOND, MS / 4, World::agrees);
        assert!(took.is_some_and(|took| took <= 5 * MS), "{took:?}");
    });
}

#[test]
fn small_grids_agree_whatever_the_network_does() {
    for_seeds("small_grids", 0..MANY, |seed| {
        let mut world = World::new(seed, Net::BAD);
        let count = world.random.random_range(5..=12);
        world.net.loss = world.random.random_range(0.0..0.3);
        for _ in 0..count {
            world.add(&[0]);
        }
        let agreed = world.run_until(20 * SECOND, 100 * MS, |world| {
            world.all_show(count) && world.agrees()
        });
        assert!(agreed.is_some(), "{count} nodes did not find each other");
        world.link_all();
        for _ in 0..5 {
            let index = world.random.random_range(0..count);
            world.flip(index);
            world.run(100 * MS);
            world.check_forward();
        }
        let agreed = world.run_until(10 * SECOND, 50 * MS, World::agrees);
        assert!(agreed.is_some(), "no agreement after the last change");

        // Cut in two, change both halves, heal.
        for node in world.nodes.iter_mut().skip(count / 2) {
            node.side = 1;
        }
        world.run(5 * SECOND);
        world.flip(0);
        world.flip(count - 1);
        let agreed = world.run_until(10 * SECOND, 100 * MS, World::agrees);
        assert!(agreed.is_some(), "the halves do not agree among themselves");
        world.nodes.iter_mut().for_each(|node| node.side = 0);
        let agreed = world.run_until(15 * SECOND, 100 * MS, World::agrees);
        assert!(agreed.is_some(), "a healed partition does not merge");
        world.check_forward();

        // Restart one with a clock that went back, let another leave.
        let back = world.random.random_range(0..7_200_000_000i64);
        world.restart(1, 1_000_000 - back, &[0]);
        world.input(2, GridInput::Leave);
        world.run(2 * SECOND);
        let (me, left) = (world.key(1), world.key(2));
        let is_done = |world: &World| {
            world.agrees()
                && world.nodes.iter().all(|node| {
                    let slices = node.grid.store().slices();
                    slices.len() == count
                        && slices[&me].epoch == world.nodes[1].grid.epoch()
                        && slices[&left].identity.presence == Presence::Left
                })
        };
        assert!(
            world.run_until(15 * SECOND, 100 * MS, is_done).is_some(),
            "restart or leaving is not known to all"
        );
        world.check_forward();
        world.check_bounds();
    });
}

#[test]
fn two_hundred_nodes_agree_despite_loss() {
    for_seeds("two_hundred", 0..FEW, |seed| {
        let mut world = big(seed, LARGE);
        for _ in 0..3 {
            world.flip(world.nodes.len() / 2);
            let took = world.run_until(5 * SECOND, 20 * MS, World::agrees);
            assert!(took.is_some_and(|took| took <= 2 * SECOND), "{took:?}");
        }
        let newcomer = world.add(&[0, 1]);
        let took = world.run_until(10 * SECOND, 100 * MS, |world| {
            world.all_show(LARGE + 1) && world.agrees()
        });
        assert!(took.is_some(), "newcomer {newcomer} does not catch up");
        for (index, node) in world.nodes.iter_mut().enumerate() {
            node.side = (index % 2) as u8;
        }
        world.run(3 * SECOND);
        world.flip(7);
        world.flip(8);
        world.run(3 * SECOND);
        world.nodes.iter_mut().for_each(|node| node.side = 0);
        let took = world.run_until(20 * SECOND, 100 * MS, World::agrees);
        assert!(took.is_some(), "a healed partition does not merge");
        world.check_bounds();
    });
}

/// A large grid that agrees already: everybody holds the rows of everybody.
fn big(seed: u64, count: usize) -> World {
    let mut world = World::new(
        seed,
        Net {
            delay_us: (5_000, 40_000),
            loss: 0.2,
            twice: 0.01,
        },
    );
    for _ in 0..count {
        world.add(&[]);
    }
    let rows: Vec<_> = world
        .nodes
        .iter()
        .flat_map(|node| {
            let all = (
                andon_grid::row::RowKey::FIRST,
                andon_grid::row::RowKey::LAST,
            );
            node.grid
                .store()
                .rows_between(all.0, all.1)
                .map(|(_, row)| row.clone())
        })
        .collect();
    for index in 0..count {
        let now = world.instant(index);
        world.nodes[index].grid.adopt(now, rows.iter().cloned());
    }
    assert!(world.agrees());
    world
}

/// Links that fill about 1,000 rows: as many as one node may publish.
fn fill(world: &mut World, index: usize) {
    let links: Vec<_> = (0..18_000u64)
        .map(|far| sim::link(NodeKey(1_000_000 + far), &mut world.random))
        .collect();
    world.change(index, |slice| {
        slice.links = links.into_iter().map(|l| (l.to.clone(), l)).collect();
    });
}

#[test]
fn a_member_of_a_thousand_rows_is_known_to_all_in_seconds() {
    for loss in [0.0, 0.1] {
        let net = Net { loss, ..Net::LAN };
        let mut world = grid(1, net, 5);
        let large = world.add(&[0, 1]);
        fill(&mut world, large);
        let rows = world.nodes[large].grid.store().rows_of(world.key(large));
        assert!(rows > 900, "{rows} rows");
        let held = world.nodes[large].grid.store().byte_count() as u64;
        let sent = |world: &World| -> u64 {
            world
                .nodes
                .iter()
                .map(|n| n.grid.counters().sent_bytes)
                .sum()
        };
        let before = sent(&world);
        let took = world.run_until(60 * SECOND, 100 * MS, |world| {
            world.all_show(6) && world.agrees()
        });
        let cost = (sent(&world) - before) / (5 * held);
        assert!(took.is_some_and(|took| took <= 3 * SECOND), "{took:?}");
        assert!(cost <= 4, "each row was sent {cost} times to each");
        world.run(3 * SECOND);
        let links = |world: &World, index: usize| {
            world.nodes[index].grid.store().slices()[&world.key(large)]
                .links
                .len()
        };
        assert!((0..6).all(|index| links(&world, index) == links(&world, large)));
        // Read row by row, it would be read a thousand times over.
        for node in &world.nodes {
            let read = node.grid.counters().store.rows_read;
            assert!(read <= 40 * rows as u64, "{read} rows read to show {rows}");
        }
        world.check_bounds();
    }
}

#[test]
fn a_node_without_udp_joins_over_frames() {
    for_seeds("without_udp", 0..MANY.min(20), |seed| {
        let mut world = grid(seed, Net::LAN, 4);
        let closed = world.add(&[0]);
        world.nodes[closed].udp_closed = true;
        let took = world.run_until(10 * SECOND, 10 * MS, |world| {
            world.all_show(5) && world.agrees()
        });
        assert!(took.is_some_and(|took| took <= 2_500 * MS), "{took:?}");
        // Once known, its changes travel over frames as fast as others'.
        world.run(10 * SECOND);
        world.flip(closed);
        let took = world.run_until(5 * SECOND, MS, World::agrees);
        assert!(took.is_some_and(|took| took <= 50 * MS), "{took:?}");
        let routes = world.nodes[closed].grid.routes();
        assert!(routes.values().any(|route| route.connection.is_some()));
        assert!(routes.values().all(|route| route.udp != Some(true)));
        world.check_bounds();
    });
}

#[test]
fn a_node_that_nobody_can_reach_takes_part_through_its_own_connections() {
    for_seeds("nobody_can_reach", 0..MANY.min(20), |seed| {
        let mut world = grid(seed, Net::LAN, 4);
        let inner = world.add(&[0]);
        world.nodes[inner].udp_closed = true;
        world.nodes[inner].unreachable = true;
        let took = world.run_until(20 * SECOND, 10 * MS, |world| {
            world.all_show(5) && world.agrees()
        });
        assert!(took.is_some(), "not joined");
        world.run(10 * SECOND);
        world.flip(0);
        let took = world.run_until(5 * SECOND, MS, World::agrees);
        assert!(took.is_some_and(|took| took <= SECOND), "{took:?}");
    });
}

#[test]
fn two_nodes_between_which_udp_is_filtered_connect() {
    let mut world = grid(4, Net::LAN, 4);
    world.cut.insert((1, 2));
    world.run(30 * SECOND);
    for (from, to) in [(1, 2), (2, 1)] {
        let route = &world.nodes[from].grid.routes()[&world.key(to)];
        assert!(
            route.connection.is_some() && route.udp != Some(true),
            "{route:?}"
        );
    }
    let route = &world.nodes[1].grid.routes()[&world.key(0)];
    assert!(
        route.connection.is_none() && route.udp == Some(true),
        "{route:?}"
    );
}

#[test]
fn udp_that_opens_again_is_used_again() {
    let mut world = grid(3, Net::LAN, 4);
    world.nodes[2].udp_closed = true;
    world.run(20 * SECOND);
    world.flip(2);
    assert!(
        world
            .run_until(5 * SECOND, 10 * MS, World::agrees)
            .is_some()
    );
    world.nodes[2].udp_closed = false;
    world.run(120 * SECOND);
    let routes = world.nodes[2].grid.routes();
    assert!(
        routes.values().all(|route| route.udp == Some(true)),
        "{routes:?}"
    );
}

#[test]
fn a_connection_that_carries_probes_is_not_spare() {
    let connections = |world: &World| -> std::collections::BTreeSet<_> {
        let routes = world.nodes[2].grid.routes();
        routes
            .values()
            .filter_map(|route| route.connection)
            .collect()
    };
    let mut world = grid(3, Net::LAN, 4);
    world.nodes[2].udp_closed = true;
    world.run(20 * SECOND);
    let carrying = connections(&world);
    assert!(!carrying.is_empty());
    // Gossip passes over UDP again, and probes do not.
    world.nodes[2].udp_closed = false;
    for node in 0..4 {
        world.input(node, GridInput::Carrying(carrying.clone()));
    }
    world.run(180 * SECOND);
    assert_eq!(connections(&world), carrying);
    for node in 0..4 {
        world.input(node, GridInput::Carrying(Default::default()));
    }
    world.run(180 * SECOND);
    assert!(connections(&world).is_empty());
}

#[test]
fn a_rotation_of_the_grid_key_loses_nobody() {
    let mut world = grid(5, Net::BAD, 6);
    let (old, new) = (GridKey::generate(KEY), GridKey::generate([77; 32]));
    let steps = [
        KeyRing {
            primary: old.clone(),
            accepted: vec![new.clone()],
        },
        KeyRing {
            primary: new.clone(),
            accepted: vec![old],
        },
        KeyRing::of(new),
    ];
    for ring in steps {
        for index in 0..6 {
            world.input(index, GridInput::Keys(ring.clone()));
            world.flip(index);
            world.run(300 * MS);
        }
        assert!(
            world
                .run_until(10 * SECOND, 50 * MS, World::agrees)
                .is_some()
        );
    }
    assert!(
        world
            .nodes
            .iter()
            .all(|node| node.grid.counters().seal.foreign_key == 0)
    );
}

#[test]
fn a_node_learns_its_outside_address() {
    let mut world = grid(6, Net::LAN, 4);
    world.run(2 * SECOND);
    for node in &world.nodes {
        assert_eq!(node.outside, Some(node.address));
    }
}

#[test]
fn what_goes_wrong_at_joining_is_told() {
    let mut world = grid(7, Net::LAN, 2);
    // A seed where nobody is.
    let lonely = world.add(&[40]);
    // Another key.
    let foreign = world.add(&[0]);
    let ring = KeyRing::of(GridKey::generate([1; 32]));
    world.input(foreign, GridInput::Keys(ring));
    // The same id twice.
    let double = world.add(&[0]);
    world.change(double, |slice| {
        slice.identity.id = NodeId::new("node-0").unwrap()
    });
    world.run(15 * SECOND);
    let told = |index: usize, what: fn(&GridNotice) -> bool| {
        world.nodes[index]
            .notices
            .iter()
            .filter(|n| what(n))
            .count()
    };
    assert_eq!(
        told(lonely, |n| matches!(n, GridNotice::SeedSilent { .. })),
        1
    );
    // Once for its datagrams, once for the connection that it tried; and it is told as well.
    assert!((1..=2).contains(&told(0, |n| matches!(n, GridNotice::ForeignKey { .. }))));
    assert!(told(foreign, |n| matches!(n, GridNotice::ForeignKey { .. })) >= 1);
    assert!(world.nodes[0].grid.counters().seal.foreign_key > 1);
    for index in [0, 1, double] {
        assert_eq!(
            told(
                index,
                |n| matches!(n, GridNotice::SameId { keys, .. } if keys.len() == 2)
            ),
            1
        );
    }
    assert!(
        !world.nodes[0]
            .grid
            .store()
            .slices()
            .contains_key(&world.key(foreign))
    );
}

#[test]
fn a_copied_identity_is_told_and_a_restart_is_not() {
    let mut world = grid(8, Net::LAN, 4);
    for _ in 0..2 {
        world.restart(1, -3_600_000_000, &[0]);
        world.run(30 * SECOND);
    }
    let cloned = |world: &World, index: usize| {
        world.nodes[index]
            .notices
            .contains(&GridNotice::ClonedIdentity)
    };
    assert!(!cloned(&world, 1));
    assert!(
        world.nodes[1]
            .notices
            .iter()
            .any(|n| matches!(n, GridNotice::ClockWentBack { .. }))
    );
    // A second process with the same signing key, at another address.
    let clone = world.add(&[0]);
    let mut random = world.random.clone();
    let mut config = sim::config(0, world.nodes[1].grid.epoch() + 5, &mut random);
    config.signing_seed = [9; 32];
    config.signing_seed[..8].copy_from_slice(&1u64.to_be_bytes());
    let now = world.instant(clone);
    world.nodes[clone].grid = andon_grid::Grid::new(config, now);
    let slice = world.nodes[clone].slice.clone();
    world.input(clone, GridInput::Publish(Box::new(slice)));
    world.input(clone, GridInput::Seeds(vec![sim::address_of(0)]));
    world.run(10 * SECOND);
    assert!(cloned(&world, 1) || cloned(&world, clone));
    world.check_bounds();
}

#[test]
fn a_forgotten_node_stays_away_until_it_speaks_again() {
    let mut world = grid(9, Net::LAN, 5);
    let key = world.key(4);
    world.nodes[4].is_alive = false;
    world.run(5 * SECOND);
    for index in 0..4 {
        let reachable = [(key, false)].into();
        world.input(index, GridInput::Reachable(reachable));
    }
    // One forgets it first; the others, who do not reach it either, follow.
    let now = world.instant(0);
    world.nodes[0].grid.forget(now, key);
    world.run(10 * SECOND);
    assert!(world.agrees() && world.all_show(4));
    // It was frozen, not dead.
    world.nodes[4].is_alive = true;
    let now = world.instant(4);
    world.nodes[4].grid.wake(now);
    world.pump(4);
    let took = world.run_until(10 * SECOND, 50 * MS, |world| {
        world.agrees() && world.all_show(5)
    });
    assert!(took.is_some(), "a forgotten node cannot come back");
}

#[test]
fn who_left_fades_after_an_hour_everywhere() {
    let mut world = grid(10, Net::LAN, 4);
    world.input(3, GridInput::Leave);
    world.run(SECOND);
    assert!(world.nodes[3].grid.has_left());
    world.nodes[3].is_alive = false;
    let key = world.key(3);
    assert!(world.all_show(4));
    assert!(
        (0..3).all(
            |i| world.nodes[i].grid.store().slices()[&key].identity.presence == Presence::Left
        )
    );
    // A late joiner holds it from its own first sight, and lets go with the others.
    world.sleep(50 * 60 * SECOND);
    world.run(SECOND);
    world.add(&[0]);
    world.run(SECOND);
    assert!(world.all_show(5));
    world.sleep(12 * 60 * SECOND);
    world.run(5 * SECOND);
    assert!(world.all_show(4) && world.agrees());
}

#[test]
fn a_quiet_grid_is_quiet() {
    let mut world = grid(11, Net::LAN, 5);
    world.link_all();
    world.run(20 * SECOND);
    let sent = |world: &World| {
        world
            .nodes
            .iter()
            .map(|node| node.grid.counters().sent_bytes)
            .sum::<u64>()
    };
    let before = sent(&world);
    world.run(60 * SECOND);
    let per_node_second = (sent(&world) - before) / 60 / 5;
    assert!(per_node_second < 2_000, "{per_node_second} bytes a second");
}
