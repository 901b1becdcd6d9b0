//! What is told to the grid of the ways that were traced.

use super::network::{FAR, Network, chain, ip};
use super::two_ways;
use crate::paths::{PathBoard, REPORT_BYTES_MAX, REPORTS_MAX};
use andon_model::{NodeKey, PathReport, Peer, Route};
use std::net::{IpAddr, Ipv6Addr};

/// Runs on, and returns what was told meanwhile.
fn told(network: &mut Network, board: &mut PathBoard, span_ms: u64) -> Vec<Vec<PathReport>> {
    let mut told = Vec::new();
    for _ in 0..span_ms / 50 {
        network.run(50);
        board.mark(network.tracer.take_changed());
        let health = |_| Some(network.health.clone());
        let reports = board.wake(network.at(), &network.tracer, [FAR].into_iter(), health);
        told.extend(reports);
    }
    told
}

fn count(network: &mut Network, lost: u32) {
    for flow in &mut network.health.flows {
        (flow.sent, flow.lost_forward) = (60, lost);
    }
}

fn hops(report: &PathReport, route: &Route) -> Vec<Option<IpAddr>> {
    report.hops(route).collect()
}

#[test]
fn flows_are_grouped_by_way_and_a_quiet_link_tells_nothing_more() {
    let (mut network, mut board) = (Network::new(8, two_ways), PathBoard::default());
    count(&mut network, 0);
    let first = told(&mut network, &mut board, 60_000);
    let report = &first.last().unwrap()[0];
    assert_eq!(report.to, Peer::Node(FAR));
    assert_eq!(report.routes.len(), 2);
    for route in &report.routes {
        assert_eq!(
            (route.answered, route.reached, route.flows.len()),
            (3, true, 4)
        );
        assert_eq!((route.sent, route.dead.len()), (256, 0));
        let second = hops(report, route)[1].unwrap();
        let odd = u16::from(second == ip(3));
        assert!(route.flows.iter().all(|port| port % 2 == odd));
    }
    for second in 0..600u32 {
        // Wobble that is no news.
        for flow in &mut network.health.flows {
            flow.sent = 58 + second % 5;
            flow.rtt_us_p50 = Some(950 + second % 100);
            flow.lost_return = u32::from(second % 97 == 0 && flow.flow == 3);
        }
        let told = told(&mut network, &mut board, 1_000);
        assert!(told.is_empty(), "second {second}: {told:?}");
    }
    for flow in &mut network.health.flows {
        flow.rtt_us_p50 = Some(20_000);
    }
    let slow = told(&mut network, &mut board, 20_000);
    for route in &slow.last().unwrap()[0].routes {
        assert_eq!(
            (route.rtt_us, route.rtt_usual_us),
            (Some(20_480), Some(1_024))
        );
    }
}

#[test]
fn dead_flows_are_told_apart_with_how_far_they_came_and_living_ones_stay() {
    let (mut network, mut board) = (Network::new(16, two_ways), PathBoard::default());
    for last in 1..=4 {
        network.router(ip(last), |router| router.limit = Some((6.0, 1.0)));
    }
    told(&mut network, &mut board, 40_000);
    network.router(ip(3), |router| router.drops = true);
    for flow in (1..16).step_by(2) {
        network.trouble(flow, false, 4);
        board.mark([FAR]);
    }
    let told = told(&mut network, &mut board, 30_000);
    for reports in &told {
        for route in reports[0]
            .routes
            .iter()
            .filter(|route| !route.dead.is_empty())
        {
            // At first by their last way alone, then with where the traces ended; never else.
            assert_eq!(
                hops(&reports[0], route),
                chain(&[1, 3, 4]).into_iter().map(Some).collect::<Vec<_>>()
            );
            assert_eq!((route.answered, route.reached), (2, false), "{reports:?}");
        }
    }
    let report = &told.last().unwrap()[0];
    let dead: usize = report.routes.iter().map(|route| route.dead.len()).sum();
    assert_eq!(dead, 8);
    let living = report
        .routes
        .iter()
        .find(|route| route.dead.is_empty())
        .unwrap();
    assert_eq!((living.flows.len(), living.reached), (8, true));
    assert!(told.len() <= 8, "{} reports in half a minute", told.len());
}

#[test]
fn a_link_without_routers_tells_nothing_until_it_fails() {
    let (mut network, mut board) = (Network::new(4, |_| Vec::new()), PathBoard::default());
    assert_eq!(
        told(&mut network, &mut board, 90_000),
        Vec::<Vec<PathReport>>::new()
    );
    network.ways = Box::new(|_, _| chain(&[1]));
    network.router(ip(1), |router| {
        (router.drops, router.answers) = (true, false)
    });
    network.trouble(2, false, 4);
    board.mark([FAR]);
    let told = told(&mut network, &mut board, 5_000);
    let report = &told.last().unwrap()[0];
    let failing: Vec<&Route> = report
        .routes
        .iter()
        .filter(|route| !route.dead.is_empty())
        .collect();
    assert_eq!(
        (failing.len(), failing[0].hops.len(), failing[0].reached),
        (1, 0, false)
    );
}

#[test]
fn counts_that_move_are_told_and_not_too_often() {
    let (mut network, mut board) = (Network::new(8, two_ways), PathBoard::default());
    count(&mut network, 0);
    told(&mut network, &mut board, 60_000);
    let mut reports = 0;
    for second in 0..60u32 {
        count(&mut network, second / 4);
        reports += told(&mut network, &mut board, 1_000).len();
    }
    assert!((3..=12).contains(&reports), "{reports}");
}

#[test]
fn reports_are_bounded_and_failing_routes_stay() {
    // 64 flows, 64 ways of eight IPv6 hops: far more than a row holds.
    let v6 = |a: u16, b: u16| IpAddr::from(Ipv6Addr::new(0xfd00, a, b, 7, 7, 7, 7, 7));
    let way = move |flow, _| (0..8).map(|hop| v6(flow, hop)).collect();
    let mut network = Network::to(v6(999, 9), 64, way);
    let mut board = PathBoard::default();
    told(&mut network, &mut board, 120_000);
    network.router(v6(63, 3), |router| router.drops = true);
    network.trouble(63, false, 4);
    board.mark([FAR]);
    let told = told(&mut network, &mut board, 10_000);
    let report = &told.last().unwrap()[0];
    assert!(minicbor::to_vec(report).unwrap().len() <= REPORT_BYTES_MAX);
    assert!(report.routes.len() > 1 && report.routes.len() < 64);
    let failing = &report.routes[0];
    assert_eq!((failing.dead.len(), failing.answered), (1, 4));
    assert_eq!(hops(report, failing)[3], Some(v6(63, 3)));
    assert!(
        report
            .routes
            .iter()
            .all(|route| hops(report, route).iter().all(Option::is_some))
    );

    // And no more links than a node may tell of.
    let links: Vec<NodeKey> = (0..600).map(NodeKey).collect();
    let mut board = PathBoard::default();
    let mut health = network.health.clone();
    health
        .flows
        .iter_mut()
        .for_each(|flow| flow.alive = Some(false));
    network.run(0);
    let mut now = network.at();
    now.at = now.at + std::time::Duration::from_secs(3_600);
    let each = |link| {
        Some(crate::paths::LinkHealth {
            to: link,
            ..health.clone()
        })
    };
    let reports = board
        .wake(now, &network.tracer, links.iter().copied(), each)
        .unwrap_or_default();
    assert!(reports.len() <= REPORTS_MAX, "{}", reports.len());
}
