//! Ways into the grid: seeds of every kind, a TCP port alone, both families of addresses.

use crate::support::fleet::{Fleet, Node, Plan, refs};
use crate::support::relay::{Firewall, Udp};
use crate::support::server::{Asked, Server};
use crate::support::sight::{
    Watch, all_show, all_well, carries, link, link_is, node, node_is, says_nothing,
    whatever_is_down,
};
use crate::support::{self, free_port, hold, skip, wait_for};
use andon_model::{LinkState, LinkView, NodeState, Reach, Transport};
use nix::sys::signal::Signal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[test]
fn seeds_come_from_files_urls_names_and_the_environment() {
    let fleet = Fleet::new("seeds");
    let first = fleet.node("first").start();
    let seed = first.address;
    let list = format!("# the shop's grid\n\n{seed}  # first\n");
    let file = fleet.folder.write("seeds.txt", &list);
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let web = Server::start(support::free_address(), move |asked: &Asked| {
        // The first answer is an error: a node asks again.
        match (asked.path.as_str(), count.fetch_add(1, Ordering::Relaxed)) {
            ("/seeds?grid=shop", 1..) => (200, list.clone()),
            _ => (503, "no".into()),
        }
    });
    let by_env = fleet.bare("by-env");
    let (listen, data_dir) = (by_env.address.to_string(), by_env.data_dir.clone());
    let by_env = by_env
        .env("ANDON_ID", "by-env")
        .env("ANDON_SITE", "container")
        .env("ANDON_LISTEN", &listen)
        .env("ANDON_ADVERTISE", &listen)
        .env("ANDON_JOIN", &seed.to_string())
        .env("ANDON_KEY", &fleet.key)
        .env("ANDON_LABELS", "role=web,tier=2")
        .env("ANDON_DATA_DIR", data_dir.to_str().unwrap());
    let nodes = [
        first,
        fleet
            .node("by-file")
            .args(&["--seeds", file.to_str().unwrap()])
            .start(),
        fleet
            .node("by-url")
            .args(&[
                "--seeds",
                &format!("http://{}/seeds?grid=shop", web.address),
            ])
            .start(),
        fleet
            .node("by-name")
            .args(&["--join", &format!("localhost:{}", seed.port())])
            .start(),
        by_env.start(),
        // Nobody can open a connection to it, but answers pass, as through most NAT.
        fleet
            .node("behind-nat")
            .args(&["--advertise", "none"])
            .join(seed)
            .start(),
    ];
    wait_for("six nodes, each joined its way", || all_well(&refs(&nodes)));
    assert!(asked.load(Ordering::Relaxed) >= 2);
    nodes[2].logged(&["503", "asked again"]).unwrap();
    let view = nodes[0].picture().unwrap();
    let by_env = node(&view, "by-env").unwrap();
    assert_eq!(
        by_env.site.as_ref().map(ToString::to_string).as_deref(),
        Some("container")
    );
    assert_eq!(by_env.labels.get("role").map(String::as_str), Some("web"));
    let by_file = node(&view, "by-file").unwrap();
    let own = nodes[1].address.to_string();
    assert_eq!(by_file.addresses, [own], "it learned where peers see it");
}

#[test]
fn where_udp_is_closed_all_goes_through_the_tcp_port() {
    let fleet = Fleet::new("tcp");
    // Each advertises a port behind which only TCP passes; one is reached by via instead.
    let plan = |id: &str| {
        let plan = fleet.node(id);
        let wall = Firewall::before(plan.address, Udp::Closed);
        (plan, wall)
    };
    let ((a, wall_a), (b, wall_b), (c, wall_c)) = (plan("a"), plan("b"), plan("c"));
    let (at_a, at_b) = (wall_a.address.to_string(), wall_b.address.to_string());
    let nobody = format!("127.0.0.1:{}", free_port());
    let via_c = format!("c={}", wall_c.address);
    let hidden = |id: &str| {
        let plan = fleet
            .node(id)
            .args(&["--advertise", "none", "--via", &via_c]);
        plan.join(wall_a.address).start()
    };
    let nodes = vec![
        a.args(&["--advertise", &at_a, "--via", &via_c]).start(),
        b.args(&["--advertise", &at_b, "--via", &via_c])
            .join(wall_a.address)
            .start(),
        c.args(&["--advertise", &nobody])
            .join(wall_a.address)
            .start(),
        hidden("hidden-1"),
        hidden("hidden-2"),
    ];
    wait_for("links over TCP", || {
        all_show(&refs(&nodes), |view| {
            let all: Vec<&str> = view.nodes.iter().map(|node| node.id.as_str()).collect();
            hold(all == ["a", "b", "c", "hidden-1", "hidden-2"], || {
                format!("{all:?}")
            })?;
            for from in &all {
                node_is(view, from, NodeState::Up)?;
                for to in all.iter().filter(|to| *to != from) {
                    let seen = link(view, from, to)?;
                    let is_fit = if from.starts_with("hidden") && to.starts_with("hidden") {
                        // Nobody can open a connection between them; that is no fault.
                        matches!(seen.state, LinkState::Unknown | LinkState::NotProbed)
                    } else {
                        seen.state == LinkState::Up && seen.transport == Some(Transport::Tcp)
                    };
                    hold(is_fit, || {
                        format!("{} shows {from}->{to} {seen:?}", view.me)
                    })?;
                }
            }
            says_nothing(view)
        })
    });
    let view = nodes[1].picture().unwrap();
    assert_eq!(
        node(&view, "hidden-1").unwrap().reach,
        Some(Reach::Outbound)
    );
    assert!(node(&view, "hidden-1").unwrap().addresses.is_empty());
    assert!(link(&view, "a", "c").unwrap().via, "marked as via");
    assert!(wall_a.connections.load(Ordering::Relaxed) > 0);
    nodes.iter().for_each(|node| node.status_is(0).unwrap());

    let watch = Watch::start(&refs(&nodes), whatever_is_down);
    wait_for("pictures of a while", || {
        watch.has_looked(Duration::from_secs(3))
    });
    let odd = watch.end();
    assert!(odd.is_empty(), "{odd:#?}");

    // A dead node is a dead node over TCP as well.
    let mut nodes = nodes;
    nodes.remove(1).kill();
    wait_for("a killed node behind TCP", || {
        all_show(&refs(&nodes), |view| {
            node_is(view, "b", NodeState::Down)?;
            link_is(view, "a", "b", LinkState::Down)?;
            link_is(view, "a", "hidden-1", LinkState::Up)
        })
    });
}

#[test]
fn news_still_travel_when_udp_is_closed_and_links_heal_when_it_opens() {
    let fleet = Fleet::new("udp");
    let plans = ["a", "b", "c"].map(|id| fleet.node(id));
    let walls = plans
        .each_ref()
        .map(|plan| Firewall::before(plan.address, Udp::Open));
    let config_file = plans[0].config_file();
    let start = |(plan, wall): (Plan, &Firewall)| {
        let plan = plan.args(&["--advertise", &wall.address.to_string()]);
        plan.join(walls[0].address).start()
    };
    let nodes: Vec<Node> = plans.into_iter().zip(&walls).map(start).collect();
    // Degraded counts: latency through the walls is the test's own.
    let well_over_udp = || {
        all_show(&refs(&nodes), |view| {
            let is_fit =
                |link: &LinkView| carries(link.state) && link.transport == Some(Transport::Udp);
            let other = view.links.iter().find(|link| !is_fit(link));
            hold(other.is_none() && view.links.len() == 6, || {
                format!("{} shows {other:?} of {}", view.me, view.links.len())
            })
        })
    };
    wait_for("links over UDP", well_over_udp);
    walls.iter().for_each(|wall| wall.set(Udp::Closed));
    wait_for("the closing to be seen", || {
        hold(well_over_udp().is_err(), || "all is well over UDP".into())
    });
    std::fs::write(config_file, "labels = { told = \"late\" }\n").unwrap();
    nodes[0].signal(Signal::SIGHUP);
    wait_for("news over TCP", || {
        all_show(&refs(&nodes), |view| {
            hold(node(view, "a")?.labels.contains_key("told"), || {
                format!("{} was not told", view.me)
            })
        })
    });
    walls.iter().for_each(|wall| wall.set(Udp::Open));
    wait_for("links over UDP again", well_over_udp);
}

#[test]
fn both_families_of_addresses_join_one_grid() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return skip("IPv6", "this machine has no [::1]");
    }
    let fleet = Fleet::new("families");
    let port = free_port();
    let at = |host: &str, port: u16| -> SocketAddr { format!("{host}:{port}").parse().unwrap() };
    let both = fleet.node("both").listen(at("[::]", port)).start();
    let six = |id: &str| {
        fleet
            .node(id)
            .listen(at("[::1]", free_port()))
            .join(at("[::1]", port))
    };
    let nodes = [
        both,
        six("six-1").start(),
        six("six-2").start(),
        fleet.node("four").join(at("127.0.0.1", port)).start(),
    ];
    let pairs = [
        ("both", "six-1"),
        ("both", "six-2"),
        ("both", "four"),
        ("six-1", "six-2"),
    ];
    wait_for("links of both families", || {
        all_show(&refs(&nodes), |view| {
            for (one, other) in pairs {
                link_is(view, one, other, LinkState::Up)?;
                link_is(view, other, one, LinkState::Up)?;
            }
            for id in ["both", "six-1", "six-2", "four"] {
                node_is(view, id, NodeState::Up)?;
            }
            says_nothing(view)
        })
    });
    let both = [
        at("127.0.0.1", port).to_string(),
        at("[::1]", port).to_string(),
    ];
    wait_for("both addresses of the one in between", || {
        let mut addresses = node(&nodes[3].picture()?, "both")?.addresses.clone();
        addresses.sort();
        hold(addresses == both, || format!("{addresses:?}"))
    });
}
