//! Traces in simulated networks: what each kind of router makes of them.

mod network;
mod reports;
use network::{Arrival, FAR, Network, PORT, chain, ip};

use crate::trace::detail::{HopKind, Matched, TraceState};
use crate::trace::icmp::{ErrorKind, PathError};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Two equal ways: 1, then 2 or 3, then 4.
fn two_ways(flow: u16) -> Vec<IpAddr> {
    if flow.is_multiple_of(2) {
        chain(&[1, 2, 4])
    } else {
        chain(&[1, 3, 4])
    }
}

/// Routers that limit their answers as Linux does.
fn limited(network: &mut Network, lasts: &[u8]) {
    for last in lasts {
        network.router(ip(*last), |router| router.limit = Some((6.0, 1.0)));
    }
}

fn known(network: &Network, flows: u16) -> bool {
    (0..flows).all(|flow| {
        let hops = network.hops(flow);
        !hops.is_empty() && !hops.contains(&0)
    })
}

#[test]
fn each_flow_s_own_way_is_known_and_a_healthy_link_is_then_left_alone() {
    let mut network = Network::new(8, two_ways);
    let took = network.until(8_000, |network| known(network, 8));
    assert!(took < 8_000, "{took}");
    for flow in 0..8u16 {
        let expected = if flow.is_multiple_of(2) {
            [1, 2, 4]
        } else {
            [1, 3, 4]
        };
        assert_eq!(network.hops(flow), expected);
    }
    network.run(10_000);
    let before = network.sent.len();
    assert!(before < 8 * 7, "{before}");
    network.run(600_000);
    let each_minute = (network.sent.len() - before) / 10;
    assert!((20..45).contains(&each_minute), "{each_minute}");
    assert!(
        network
            .sent
            .iter()
            .all(|(_, probe)| probe.ttl <= 4 || probe.ttl == 32)
    );
}

#[test]
fn the_far_end_is_found_at_each_distance() {
    for distance in 1..=31u8 {
        let way: Vec<u8> = (1..distance).collect();
        let expected = way.clone();
        let mut network = Network::new(1, move |_| chain(&way));
        network.until(40_000, |network| {
            network.view(0).is_some_and(|view| view.reached)
        });
        assert_eq!(network.hops(0), expected);
        assert_eq!(network.tracer.distance(FAR), Some(distance));
    }
}

#[test]
fn a_silent_hop_stays_silent_and_is_not_asked_for_ever() {
    let mut network = Network::new(4, |_| chain(&[1, 2, 3, 4]));
    network.router(ip(2), |router| router.answers = false);
    network.run(30_000);
    for flow in 0..4 {
        assert_eq!(network.hops(flow), [1, 0, 3, 4]);
        assert!(network.view(flow).unwrap().reached);
    }
    let asked = network
        .sent
        .iter()
        .filter(|(_, probe)| probe.ttl == 2)
        .count();
    assert!(asked <= 4 * 2 * 3, "{asked}");
}

#[test]
fn routers_that_limit_their_answers_are_asked_slowly_and_known_in_the_end() {
    let mut network = Network::new(16, two_ways);
    limited(&mut network, &[1, 2, 3, 4]);
    let took = network.until(30_000, |network| known(network, 16));
    assert!(took > 5_000, "{took}");
    network.run(1_000);
    let asked = network
        .sent
        .iter()
        .filter(|(_, probe)| probe.ttl == 1)
        .count();
    assert!(asked < 26, "{asked} packets for 16 answers");
}

#[test]
fn flows_that_die_behind_a_router_are_placed_within_a_second() {
    let mut network = Network::new(16, two_ways);
    limited(&mut network, &[1, 2, 3, 4]);
    network.until(40_000, |network| known(network, 16));
    network.run(2_000);
    network.router(ip(3), |router| router.drops = true);
    for flow in (1..16).step_by(2) {
        network.trouble(flow, true, 1);
    }
    network.run(400);
    for flow in (1..16).step_by(2) {
        network.trouble(flow, false, 4);
    }
    let placed = |network: &Network| {
        let views = (1..16).step_by(2).filter_map(|flow| network.view(flow));
        let fresh: Vec<_> = views.filter(|view| view.is_fresh).collect();
        fresh.len() >= 4 && fresh.iter().all(|view| view.answered == 2 && !view.reached)
    };
    let took = network.until(1_000, placed);
    assert!(took <= 1_000, "{took}");
    for flow in (1..16).step_by(2) {
        assert_eq!(network.hops(flow), [1, 3, 4], "the last way it took");
    }
    // A minute of it: bounded, and it never says otherwise.
    let before = network.sent.len();
    for _ in 0..60 {
        network.run(1_000);
        let views = (1..16).step_by(2).filter_map(|flow| network.view(flow));
        let views: Vec<_> = views.filter(|view| view.is_fresh).collect();
        assert!(views.iter().all(|view| !view.reached && view.answered <= 2));
        assert!(views.iter().any(|view| view.answered == 2), "{views:?}");
    }
    let a_second = (network.sent.len() - before) / 60;
    assert!(a_second < 40, "{a_second}");
    network.router(ip(3), |router| router.drops = false);
    for flow in (1..16).step_by(2) {
        network.trouble(flow, true, 0);
    }
    network.run(5_000);
    for flow in 0..16 {
        assert!(network.view(flow).unwrap().reached);
    }
}

#[test]
fn a_router_that_is_gone_leaves_the_one_before_it_as_the_last() {
    let mut network = Network::new(4, two_ways);
    network.until(20_000, |network| known(network, 4));
    network.router(ip(3), |router| {
        (router.drops, router.answers) = (true, false)
    });
    network.trouble(1, false, 4);
    network.until(1_500, |network| {
        network
            .view(1)
            .is_some_and(|view| view.is_fresh && view.answered == 1)
    });
    assert_eq!(network.hops(1), [1, 3, 4]);
}

#[test]
fn a_hop_that_was_silent_gets_its_name_when_it_answers_a_dead_flow() {
    let mut network = Network::new(2, two_ways);
    network.router(ip(3), |router| router.answers = false);
    network.run(10_000);
    assert_eq!(network.hops(1), [1, 0, 4]);
    network.router(ip(3), |router| {
        (router.drops, router.answers) = (true, true)
    });
    network.trouble(1, false, 4);
    network.until(5_000, |network| {
        network
            .view(1)
            .is_some_and(|view| view.is_fresh && view.answered == 2)
    });
    assert_eq!(network.hops(1), [1, 3, 4]);
}

#[test]
fn a_loss_by_chance_costs_one_packet() {
    let mut network = Network::new(4, two_ways);
    network.until(20_000, |network| known(network, 4));
    network.run(1_000);
    let before = network.sent.len();
    network.trouble(2, true, 1);
    network.run(100);
    network.trouble(2, true, 0);
    network.run(1_000);
    assert_eq!(network.sent.len() - before, 1);
    assert!(network.view(2).unwrap().reached);
}

#[test]
fn a_flow_that_turns_off_its_way_is_told_with_what_was_met() {
    let mut network = Network::new(1, |_| chain(&[1, 2, 4]));
    network.until(10_000, |network| known(network, 1));
    network.ways = Box::new(|_, _| chain(&[1, 5, 6]));
    network.router(ip(5), |router| router.drops = true);
    network.trouble(0, false, 4);
    network.until(2_000, |network| {
        network.view(0).is_some_and(|view| view.is_fresh)
    });
    let view = network.view(0).unwrap();
    assert_eq!(network.hops(0), [1, 5]);
    assert_eq!(
        (view.answered, view.reached, view.is_complete),
        (2, false, false)
    );
}

#[test]
fn a_way_that_changes_is_followed() {
    let mut network = Network::new(2, |_| chain(&[1, 2, 4]));
    network.until(10_000, |network| known(network, 2));
    network.ways = Box::new(|_, _| chain(&[1, 7, 8, 4]));
    network.run(90_000);
    assert_eq!(network.hops(0), [1, 7, 8, 4]);
    assert_eq!(network.hops(1), [1, 7, 8, 4]);
    assert!(!network.view(0).unwrap().is_balanced);
    network.ways = Box::new(|_, _| chain(&[9]));
    network.run(90_000);
    assert_eq!(network.hops(0), [9]);
}

#[test]
fn balancing_by_packet_is_told_and_a_changed_way_is_not_taken_for_it() {
    let mut network = Network::new(2, |_| Vec::new());
    network.ways = Box::new(|_, packet| {
        // Each packet takes one of two ways, in no order.
        if packet.wrapping_mul(0x9e37_79b9) >> 7 & 1 == 0 {
            chain(&[1, 2, 4])
        } else {
            chain(&[1, 3, 4])
        }
    });
    network.run(400_000);
    assert!((0..2).all(|flow| network.view(flow).unwrap().is_balanced));
    network.ask(network.to, 2, true);
    network.run(10_000);
    let hops = &network.traced[0].flows[0].hops;
    assert_eq!(
        (hops[0].kind, hops[2].kind),
        (HopKind::Answered, HopKind::Answered)
    );
}

#[test]
fn short_quotes_are_told_apart_by_asking_one_at_a_time() {
    let mut network = Network::new(3, |_| chain(&[1, 2, 3]));
    network.router(ip(1), |router| router.quotes = 0);
    network.router(ip(2), |router| router.quotes = 0);
    network.until(30_000, |network| known(network, 3));
    for flow in 0..3 {
        assert_eq!(network.hops(flow), [1, 2, 3]);
    }
    assert!(network.tracer.counts().ambiguous > 0);
    network.ask(network.to, 3, true);
    network.run(10_000);
    for flow in &network.traced[0].flows {
        let matched: Vec<Option<Matched>> = flow.hops.iter().map(|hop| hop.matched).collect();
        let (alone, quote) = (Some(Matched::Alone), Some(Matched::Quote));
        assert_eq!(matched, [alone, alone, quote, quote]);
    }
}

#[test]
fn a_loop_and_an_endless_way_end() {
    for way in [vec![1, 2, 1, 2], (1..=60).collect::<Vec<u8>>()] {
        let way: Vec<IpAddr> = chain(&way).into_iter().cycle().take(120).collect();
        let mut network = Network::new(2, move |_| way.clone());
        network.ask(SocketAddr::new(ip(200), 33_434), 2, false);
        network.run(14_000);
        let flows = &network.traced[0].flows;
        assert!(
            flows
                .iter()
                .all(|flow| !flow.reached && flow.hops.len() <= 32)
        );
        assert!(flows.iter().all(|flow| flow.state == TraceState::Unknown));
        network.run(600_000);
        let a_second = network.sent.len() / 614;
        assert!(a_second < 5, "{a_second}");
    }
}

#[test]
fn a_plain_address_is_reached_where_it_refuses() {
    let mut network = Network::new(1, |_| chain(&[1, 2]));
    network.is_node = false;
    let to = SocketAddr::new(ip(200), 33_434);
    network.ask(to, 6, false);
    network.run(14_000);
    let detail = &network.traced[0];
    assert_eq!((detail.address, detail.flows.len()), (to, 6));
    for (flow, port) in detail.flows.iter().zip(PORT..) {
        assert_eq!((flow.port, flow.reached, flow.hops.len()), (port, true, 3));
        assert_eq!(flow.state, TraceState::Alive);
        let last = flow.hops.last().unwrap();
        assert_eq!((last.ttl, &last.addresses[..]), (3, &[ip(200)][..]));
        assert!(last.rtt_us.is_some_and(|rtt| (1_000..2_000).contains(&rtt)));
        assert!(flow.answered >= 1 && flow.sent >= flow.answered);
    }
    assert!(
        network
            .sent
            .iter()
            .filter(|(_, probe)| probe.to == to)
            .all(|(_, probe)| !probe.is_signed)
    );
}

#[test]
fn a_plain_address_that_limits_its_answers_or_hides_behind_silence_is_reached_too() {
    let mut network = Network::new(1, |_| chain(&[1, 2, 3]));
    network.is_node = false;
    network.router(ip(200), |router| router.limit = Some((6.0, 1.0)));
    let to = SocketAddr::new(ip(200), 33_434);
    network.ask(to, 12, false);
    network.run(14_000);
    for flow in &network.traced[0].flows {
        assert_eq!((flow.reached, flow.hops.len()), (true, 4), "{flow:?}");
    }
    network.ways = Box::new(|_, _| chain(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
    for last in 2..=9 {
        network.router(ip(last), |router| router.answers = false);
    }
    network.run(20_000);
    network.ask(to, 1, false);
    network.run(14_000);
    let flow = &network.traced[1].flows[0];
    assert_eq!((flow.reached, flow.hops.len()), (true, 10), "{flow:?}");
}

#[test]
fn a_router_that_refuses_is_the_end_of_the_way() {
    let mut network = Network::new(1, |_| chain(&[1, 2, 3]));
    network.until(10_000, |network| known(network, 1));
    network.router(ip(2), |router| {
        (router.drops, router.says_unreachable) = (true, true)
    });
    network.trouble(0, false, 4);
    network.ask(network.to, 1, true);
    network.run(10_000);
    let flow = &network.traced[0].flows[0];
    assert_eq!((flow.state, flow.reached), (TraceState::Dead, false));
    let last = flow.hops.last().unwrap();
    assert_eq!(
        (last.kind, &last.addresses[..]),
        (HopKind::Unreachable, &[ip(2)][..])
    );
}

#[test]
fn address_translation_is_told_where_it_shows() {
    // 3 hides a router behind its own address: the message comes from farther away.
    let mut network = Network::new(1, |_| chain(&[1, 3, 13, 200]));
    network.ask(SocketAddr::new(ip(200), 9), 1, false);
    network.is_node = false;
    network.run(14_000);
    let hops = &network.traced[0].flows[0].hops;
    assert_eq!(
        hops.iter().map(|hop| hop.nat).collect::<Vec<_>>(),
        [false, false, false, true, false]
    );
    assert_eq!(
        hops[3].addresses,
        [ip(200)],
        "the far end's address speaks as a router"
    );
}

#[test]
fn ipv6_is_traced_alike() {
    let v6 = |last: u16| IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last));
    let mut network = Network::to(v6(99), 4, move |flow, _| {
        vec![v6(1), v6(2 + flow % 2), v6(4)]
    });
    network.until(20_000, |network| known(network, 4));
    assert_eq!(network.hops(0), [1, 2, 4]);
    assert_eq!(network.hops(1), [1, 3, 4]);
}

#[test]
fn while_we_do_not_look_nobody_is_silent() {
    let mut network = Network::new(2, |_| chain(&[1, 2, 3]));
    network.until(10_000, |network| known(network, 2));
    network.trouble(0, true, 1);
    // Frozen for a minute with packets in flight: their answers come when we look again.
    network.now = network.now + std::time::Duration::from_secs(60);
    network.missed_us += 60_000_000;
    network.step();
    let view = network.view(0).unwrap();
    assert!(view.reached, "{view:?}");
}

#[test]
fn a_flood_of_forged_errors_changes_nothing() {
    let mut network = Network::new(4, two_ways);
    network.until(20_000, |network| known(network, 4));
    network.router(ip(3), |router| router.drops = true);
    network.trouble(1, false, 4);
    for round in 0..200u64 {
        for forged in 0..50u64 {
            let mut quote = vec![0; 112];
            quote[..8].copy_from_slice(&(round * 7_919 + forged * 104_729).to_be_bytes());
            let error = PathError {
                kind: ErrorKind::TimeExceeded,
                by: Some(ip(66)),
                reply_ttl: Some(1),
                extension_at: Some(128),
            };
            let (flow, to) = ((forged % 4) as u16, network.to);
            network.arrive(
                0,
                Arrival::Error {
                    flow,
                    to,
                    error,
                    quote,
                },
            );
        }
        network.run(10);
    }
    assert_eq!(network.hops(1), [1, 3, 4]);
    assert_eq!(network.view(1).unwrap().answered, 2);
    let detail = network.tracer.detail(FAR, PORT + 1).unwrap();
    assert!(
        detail
            .hops
            .iter()
            .all(|hop| !hop.addresses.contains(&ip(66)))
    );
}

#[test]
fn traces_are_within_their_budget_and_those_that_nobody_can_run_are_refused() {
    let mut network = Network::new(64, |flow| chain(&[1, (flow % 50) as u8 + 2, 100, 101, 102]));
    for ask in 0..40 {
        let ports: Vec<(u16, u16)> = (0..64).map(|flow| (flow, PORT + flow)).collect();
        let to = SocketAddr::new(ip(200 + (ask % 50) as u8), 33_434 + ask as u16);
        let now = network.at();
        network.tracer.ask(now, ask, to, &ports, None);
    }
    network.run(14_000);
    let sent = network.sent.len();
    assert!(sent <= 14 * 400 + 100, "{sent}");
    assert_eq!((network.traced.len(), network.refused), (8, 32));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever comes from the error queue: no panic, and no hop that is not on the way.
    #[test]
    fn rubbish_on_the_error_queue_makes_no_hops(
        errors in prop::collection::vec(
            (0u16..6, 0u8..5, any::<u8>(), prop::option::of(any::<u16>()),
             prop::collection::vec(any::<u8>(), 4..160), 0u64..400_000),
            1..60,
        )
    ) {
        let mut network = Network::new(4, two_ways);
        for (flow, kind, by, extension_at, quote, after_us) in errors {
            let kind = match kind {
                0 => ErrorKind::TimeExceeded,
                1 => ErrorKind::PortUnreachable,
                2 => ErrorKind::Unreachable,
                3 => ErrorKind::TooBig { mtu: 0 },
                _ => ErrorKind::Other,
            };
            let error = PathError {
                kind,
                by: Some(ip(by)),
                reply_ttl: Some(by),
                extension_at: extension_at.filter(|at| usize::from(*at) >= 4),
            };
            let to = network.to;
            network.arrive(after_us, Arrival::Error { flow, to, error, quote });
        }
        network.run(20_000);
        let hops: BTreeSet<u8> = (0..4).flat_map(|flow| network.hops(flow)).collect();
        prop_assert!(hops.is_subset(&BTreeSet::from([1, 2, 3, 4])), "{:?}", hops);
    }
}
