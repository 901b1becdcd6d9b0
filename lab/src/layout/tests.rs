use super::*;
use crate::scenario::Scenario;
use std::path::Path;

fn scenario(network: &str) -> Scenario {
    let text = format!("{network}\n[[never]]\nverdict = \"fault\"\n");
    Scenario::parse(Path::new("try.toml"), &text).unwrap()
}

const DIAMOND: &str = r#"
[[node]]
id = "a"
site = "a"
[[node]]
id = "b"
site = "b"
[[router]]
name = "r1"
[[router]]
name = "left"
[[router]]
name = "right"
[[router]]
name = "r2"
[[wire]]
ends = ["a", "r1"]
[[wire]]
ends = ["r1", "left", "r2"]
[[wire]]
ends = ["r1", "right", "r2"]
[[wire]]
ends = ["r2", "b"]
net = "10.0.1.0/30"
"#;

/// The next hops of a router towards a node, by name.
fn next_hops(scenario: &Scenario, layout: &Layout, router: usize, node: usize) -> Vec<String> {
    let address = layout.address(node).unwrap();
    let routes = layout.routes.get(&Place::Router(router)).unwrap();
    let route = routes
        .iter()
        .find(|route| overlap(route.to.unwrap(), (address, 30)))
        .unwrap();
    let via = route.via.iter();
    via.map(|(via, _)| scenario.name_of(layout.owner(*via).unwrap()).to_owned())
        .collect()
}

#[test]
fn equal_paths_are_all_taken_and_longer_ones_are_not() {
    let scenario = scenario(DIAMOND);
    let layout = Layout::plan(&scenario);
    assert_eq!(next_hops(&scenario, &layout, 0, 1), ["left", "right"]);
    assert_eq!(next_hops(&scenario, &layout, 3, 0), ["left", "right"]);
    assert_eq!(next_hops(&scenario, &layout, 1, 1), ["r2"]);
    let default = &layout.routes[&Place::Node(0)][0];
    assert_eq!((default.to, default.via.len()), (None, 1));
}

#[test]
fn networks_that_are_given_are_kept_and_no_other_touches_them() {
    let layout = Layout::plan(&scenario(DIAMOND));
    assert_eq!(layout.subnets[5].0.to_string(), "10.0.1.0");
    for (at, one) in layout.subnets.iter().enumerate() {
        for other in &layout.subnets[at + 1..] {
            assert!(!overlap(*one, *other), "{one:?} {other:?}");
        }
    }
}

#[test]
fn every_address_has_one_owner_in_both_families() {
    for family in ["v4", "v6"] {
        let text = DIAMOND.replace("net = \"10.0.1.0/30\"\n", "");
        let scenario = scenario(&format!("ip = \"{family}\"\n{text}"));
        let layout = Layout::plan(&scenario);
        let mut seen = std::collections::BTreeSet::new();
        for place in scenario.places() {
            for address in layout.addresses(place) {
                assert!(seen.insert(address), "{address} twice");
                assert_eq!(layout.owner(address), Some(place));
                assert_eq!(address.is_ipv6(), family == "v6");
            }
        }
        assert_eq!(seen.len(), scenario.wires.len() * 2);
    }
}

#[test]
fn faults_are_rules_at_the_right_routers() {
    let faults = r#"
        [[fault]]
        name = "hole"
        kind = "blackhole"
        at = "right"
        towards = "r2"
        senders = "a"
        one_flow_of = 4
        [[fault]]
        name = "rain"
        kind = "loss"
        at = ["left", "right"]
        percent = 0.5
        protocol = "udp"
    "#;
    let scenario = scenario(&format!("{DIAMOND}{faults}"));
    let layout = Layout::plan(&scenario);
    let hole = rules::rules(&scenario, &layout, 0);
    assert_eq!(hole.len(), 1);
    assert_eq!(hole[0].0, Place::Router(2));
    assert!(
        hole[0].1.contains(
            "oifname { \"w4\" } ip saddr { 10.0.2.1 } meta l4proto { tcp, udp } jhash ip saddr . ip daddr . @th,0,32 mod 4 seed 0x1 == 0 counter drop"
        ),
        "{}",
        hole[0].1
    );
    let rain = rules::rules(&scenario, &layout, 1);
    assert_eq!(rain.len(), 2);
    assert!(
        rain[0]
            .1
            .contains("meta l4proto udp numgen random mod 1000 < 5 counter drop")
    );
    assert_eq!(
        rules::describe(&scenario, &scenario.faults[0]),
        "right drops one flow of 4 towards r2 sent by a"
    );
}

#[test]
fn what_a_filter_dropped_is_the_sum_of_its_counters() {
    let listing = "table inet fault_0 { chain a { x counter packets 12 bytes 900 drop } chain b { counter packets 3 bytes 1 drop } }";
    assert_eq!(rules::dropped(listing), 15);
}
