//! Grids of real node processes on loopback: they find each other, lose each other, and say so.
//!
//! What needs hours, a thousand nodes or a clock that is wrong is simulated in `see/grid`.
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // timings, and what cannot be tested here

mod support;

use andon_model::{
    LinkState, NodeKind, NodeState, NodeView, PictureView, Reach, Transport, VerdictKind,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::fleet::{Fleet, Node, Plan, keygen};
use support::relay::TcpOnly;
use support::server::{Asked, Server};
use support::sight::{
    Watch, all_show, all_well, link, link_is, node, node_is, pictures, says, says_nothing,
    whatever_is_down,
};
use support::{free_port, hold, http, skip, wait_every, wait_for};

const FIVE: [&str; 5] = ["web-1", "db-1", "web-2", "db-2", "edge"];

fn refs(nodes: &[Node]) -> Vec<&Node> {
    nodes.iter().collect()
}

#[test]
fn five_nodes_agree_lose_one_heal_and_let_one_go() {
    let fleet = Fleet::new("five");
    let mut nodes = fleet.start(&FIVE);
    wait_for("five nodes that agree", || all_well(&refs(&nodes)));
    wait_for("a status that is the picture", || {
        status_is_the_picture(&nodes[4])
    });

    let events = http::subscribe(nodes[0].address, "/api/v1/picture/stream");
    let mut streamed = Streamed::default();
    let lost = nodes.remove(3);
    let key = node(&lost.picture().unwrap(), "db-2").unwrap().key;
    let lost = lost.kill();
    let survivors = refs(&nodes);
    wait_for("a killed node in all pictures", || {
        all_show(&survivors, |view| {
            node_is(view, "db-2", NodeState::Down)?;
            says(view, VerdictKind::NodeDown, "db-2")?;
            for other in survivors.iter().map(|node| &node.id) {
                link_is(view, other, "db-2", LinkState::Down)?;
                link_is(view, "db-2", other, LinkState::Unknown)?;
            }
            Ok(())
        })
    });
    wait_for("exit code 1 on every survivor", || {
        survivors.iter().try_for_each(|node| node.status_is(1))
    });
    wait_for("deltas that lead to the picture", || {
        events
            .try_iter()
            .for_each(|(name, data)| streamed.take(&name, data));
        streamed.equals(&http::get(nodes[0].address, "/api/v1/picture")?.body)?;
        hold(streamed.deltas > 0, || "no delta yet".into())?;
        hold(streamed.wholes == 1, || {
            "the whole picture came again".into()
        })
    });

    let back = lost.start();
    nodes.push(back);
    wait_for("the node to come back", || all_well(&refs(&nodes)));
    let again = node(&nodes[4].picture().unwrap(), "db-2").unwrap().key;
    assert_eq!(again, key, "the same data directory is the same identity");
    wait_for("exit code 0 again", || {
        nodes.iter().try_for_each(|node| node.status_is(0))
    });

    let going = nodes.remove(0);
    let watch = Watch::start(&refs(&nodes), |view| {
        let is_down = node_is(view, "web-1", NodeState::Down).is_ok();
        let faults = says_nothing(view).err();
        is_down
            .then(|| format!("{} shows it down", view.me))
            .into_iter()
            .chain(faults)
            .collect()
    });
    going.leave();
    wait_for("it to be shown as left", || {
        all_show(&refs(&nodes), |view| {
            node_is(view, "web-1", NodeState::Left)
        })
    });
    // Longer than probes take to call a silent node down.
    wait_for("pictures of a while after", || {
        watch.has_looked(Duration::from_secs(3))
    });
    assert!(
        nodes.iter().all(|node| node.status_is(0).is_ok()),
        "leaving is no fault"
    );
    let odd = watch.end();
    assert!(odd.is_empty(), "leaving is not dying: {odd:#?}");
}

fn status_is_the_picture(node: &Node) -> Result<(), String> {
    let status = node.status(&["--json"]);
    assert_eq!(status.status.code(), Some(0));
    let mut printed: Value = serde_json::from_slice(&status.stdout).unwrap();
    let mut asked: Value =
        serde_json::from_str(&http::get(node.address, "/api/v1/picture")?.body).unwrap();
    for document in [&mut printed, &mut asked] {
        document.as_object_mut().unwrap().remove("generated_at");
    }
    hold(printed == asked, || {
        format!("{printed:#}\nis not\n{asked:#}")
    })
}

/// A picture as a console keeps it: one whole one, then what changed.
#[derive(Default)]
struct Streamed {
    nodes: BTreeMap<String, Value>,
    links: BTreeMap<(String, String), Value>,
    rest: BTreeMap<&'static str, Value>,
    wholes: u32,
    deltas: u32,
}

impl Streamed {
    fn take(&mut self, name: &str, data: Value) {
        match name {
            "picture" => {
                *self = Self {
                    wholes: self.wholes + 1,
                    deltas: self.deltas,
                    ..Self::default()
                };
            }
            "delta" => self.deltas += 1,
            _ => return,
        }
        for gone in data["gone"]["nodes"].as_array().into_iter().flatten() {
            self.nodes.remove(gone.as_str().unwrap());
        }
        for gone in data["gone"]["links"].as_array().into_iter().flatten() {
            self.links.remove(&(text(&gone[0]), text(&gone[1])));
        }
        for node in data["nodes"].as_array().into_iter().flatten() {
            self.nodes.insert(text(&node["id"]), node.clone());
        }
        for link in data["links"].as_array().into_iter().flatten() {
            self.links
                .insert((text(&link["from"]), text(&link["to"])), link.clone());
        }
        for name in ["digest", "verdicts"] {
            self.rest.insert(name, data[name].clone());
        }
    }

    fn equals(&self, document: &str) -> Result<(), String> {
        let mut asked = Self::default();
        asked.take("picture", serde_json::from_str(document).unwrap());
        let same =
            asked.nodes == self.nodes && asked.links == self.links && asked.rest == self.rest;
        hold(same, || {
            format!("streamed {:?}, asked {:?}", self.rest, asked.rest)
        })
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn a_node_freezes_thaws_and_moves_to_another_address() {
    let fleet = Fleet::new("moves");
    // One list of seeds for all, themselves among them; one of them accepts and never answers.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let plans: Vec<Plan> = ["a", "b", "c"].iter().map(|id| fleet.node(id)).collect();
    let seeds: Vec<SocketAddr> = plans.iter().map(|plan| plan.address).collect();
    let mute_at = mute.local_addr().unwrap();
    let start = |plan: Plan| {
        seeds
            .iter()
            .fold(plan.join(mute_at), |plan, seed| plan.join(*seed))
            .start()
    };
    let mut nodes: Vec<Node> = plans.into_iter().map(start).collect();
    wait_for("three nodes that agree", || all_well(&refs(&nodes)));

    nodes[1].signal(Signal::SIGSTOP);
    wait_for("a frozen node in the other pictures", || {
        all_show(&[&nodes[0], &nodes[2]], |view| {
            node_is(view, "b", NodeState::Down)?;
            link_is(view, "a", "b", LinkState::Down)?;
            link_is(view, "b", "a", LinkState::Unknown)?;
            link_is(view, "a", "c", LinkState::Up)?;
            link_is(view, "c", "a", LinkState::Up)
        })
    });
    nodes[1].signal(Signal::SIGCONT);
    wait_for("it to thaw", || all_well(&refs(&nodes)));

    let moved = nodes.remove(1).kill();
    let elsewhere = support::free_address();
    nodes.push(moved.listen(elsewhere).start());
    wait_for("it at another address", || {
        all_well(&refs(&nodes))?;
        all_show(&refs(&nodes), |view| {
            let seen = &node(view, "b")?.addresses;
            hold(*seen == [elsewhere.to_string()], || {
                format!("{} sees it at {seen:?}", view.me)
            })
        })
    });
    for node in &nodes {
        wait_for("the mute seed to be told", || {
            node.logged(&["WARN", "no answer from this seed", &mute_at.to_string()])
        });
        let panicked = node.logged(&["panicked"]);
        assert!(panicked.is_err(), "{panicked:?}");
    }
}

#[test]
fn a_node_finds_its_grid_again_when_all_its_seeds_are_gone() {
    let fleet = Fleet::new("seedless");
    let nodes = fleet.start(&["a", "b", "c"]);
    wait_for("three nodes that agree", || all_well(&refs(&nodes)));
    let mut plans: Vec<Plan> = nodes.into_iter().map(Node::leave).collect();
    plans.remove(0);
    let nodes: Vec<Node> = plans
        .into_iter()
        .map(|plan| plan.forget_seeds().start())
        .collect();
    wait_for("two nodes without seeds to find each other", || {
        let carried = |view: &_| {
            link_is(view, "b", "c", LinkState::Up)?;
            link_is(view, "c", "b", LinkState::Up)
        };
        all_show(&refs(&nodes), carried)
    });
    let survivors: Vec<Plan> = nodes.into_iter().map(Node::kill).collect();
    let nodes: Vec<Node> = survivors.into_iter().map(Plan::start).collect();
    wait_for("the same after kill -9 of both", || {
        all_show(&refs(&nodes), |view| link_is(view, "b", "c", LinkState::Up))
    });
}

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
fn strangers_stay_outside_and_namesakes_are_told() {
    let fleet = Fleet::new("strangers");
    let nodes = fleet.start(&["a", "b"]);
    wait_for("two nodes that agree", || all_well(&refs(&nodes)));
    let watch = Watch::start(&refs(&nodes), |view| {
        let mut odd = whatever_is_down(view);
        odd.extend(
            node(view, "stranger")
                .ok()
                .map(|_| "a stranger is in the picture".into()),
        );
        odd
    });

    let other_key = keygen(&fleet.folder);
    let plan = fleet.node("stranger");
    std::fs::write(&plan.key_file, format!("{other_key}\n")).unwrap();
    let stranger = plan.join(nodes[0].address).start();
    for side in [&nodes[0], &stranger] {
        wait_for(&format!("{} to tell of the other key", side.id), || {
            side.logged(&["WARN", "another grid key", "same key file", "127.0.0.1"])
        });
    }
    wait_for("the stranger to see itself alone", || {
        let view = stranger.picture()?;
        let ids: Vec<_> = view.nodes.iter().map(|node| &node.id).collect();
        hold(ids == ["stranger"], || format!("it sees {ids:?}"))
    });

    let twin = |number: u32| {
        fleet
            .node(&format!("twin-{number}"))
            .named("twin")
            .join(nodes[0].address)
    };
    let (one, two) = (twin(1).start(), twin(2).start());
    let four = [&nodes[0], &nodes[1], &one, &two];
    let is_second = |id: &str| id.starts_with("twin~") && id.len() == "twin~".len() + 6;
    wait_for("both namesakes in all pictures", || {
        all_show(&four, |view| {
            node_is(view, "twin", NodeState::Up)?;
            let second = view.nodes.iter().find(|node| is_second(&node.id));
            hold(
                second.is_some_and(|node| node.state == NodeState::Up),
                || format!("{:?}", view.nodes),
            )?;
            hold(view.nodes.len() == 4 && view.links.len() == 12, || {
                format!("{:?}", view.links)
            })?;
            let lame = view.links.iter().find(|link| link.state != LinkState::Up);
            hold(lame.is_none(), || format!("{lame:?}"))?;
            says(view, VerdictKind::IdConflict, "twin")
        })
    });
    for side in four {
        wait_for(&format!("{} at {} to tell", side.id, side.address), || {
            side.logged(&["ERROR", "several nodes carry this id", "\"id\":\"twin\""])
        });
    }
    let steady = Watch::start(&four, move |view| {
        let names = view
            .nodes
            .iter()
            .filter(|node| node.id == "twin" || is_second(&node.id));
        let names: Vec<_> = names
            .map(|node| (node.id.clone(), node.key, node.state))
            .collect();
        let mut odd = whatever_is_down(view);
        odd.push(format!("the twins are {names:?}"));
        odd
    });
    wait_for("pictures of the namesakes for a while", || {
        steady.has_looked(Duration::from_secs(3))
    });
    let seen = steady.end();
    assert_eq!(
        seen.len(),
        1,
        "neither flaps, and all name them alike: {seen:#?}"
    );

    let odd = watch.end();
    assert!(odd.is_empty(), "{odd:#?}");
}

#[test]
fn a_key_is_changed_on_living_nodes() {
    let fleet = Fleet::new("rotation");
    let (old, new) = (fleet.key.clone(), keygen(&fleet.folder));
    let nodes = fleet.start(&["a", "b", "c"]);
    wait_for("three nodes that agree", || all_well(&refs(&nodes)));
    let watch = Watch::start(&refs(&nodes), whatever_is_down);
    let steps = [
        format!("{old}\n{new}\n"),
        format!("{new}\n{old}\n"),
        format!("{new}\n"),
    ];
    for (number, keys) in (1..).zip(&steps) {
        for node in &nodes {
            std::fs::write(&node.plan.key_file, keys).unwrap();
            node.signal(Signal::SIGHUP);
            wait_for(&format!("step {number} on {}", node.id), || {
                let read = node.log().matches("configuration read again").count();
                hold(read == number, || format!("read {read} times"))
            });
        }
        wait_for(&format!("all well after step {number}"), || {
            all_well(&refs(&nodes))
        });
    }
    wait_for("pictures of a while after", || {
        watch.has_looked(Duration::from_secs(3))
    });
    let odd = watch.end();
    assert!(odd.is_empty(), "no link went down: {odd:#?}");

    // A file with an error changes nothing, and is told by line.
    std::fs::write(&nodes[0].plan.key_file, "andon1-rubbish\n").unwrap();
    nodes[0].signal(Signal::SIGHUP);
    wait_for("the error to be told", || {
        nodes[0].logged(&["ERROR", "the old one stays in force", "a.key:1"])
    });

    let late = fleet.node("late").join(nodes[0].address).start();
    wait_for("a node with the old key to be told", || {
        late.logged(&["another grid key"])
    });
    all_well(&refs(&nodes)).unwrap();
    assert_eq!(late.picture().unwrap().nodes.len(), 1);

    let late = late.kill();
    std::fs::write(&late.key_file, format!("{new}\n")).unwrap();
    let late = late.start();
    wait_for("it to join with the new key", || {
        all_well(&[&nodes[0], &nodes[1], &nodes[2], &late])
    });
}

#[test]
fn where_udp_is_closed_all_goes_through_the_tcp_port() {
    let fleet = Fleet::new("tcp");
    // Each advertises a port behind which only TCP passes; one is reached by via instead.
    let plan = |id: &str| {
        let plan = fleet.node(id);
        let wall = TcpOnly::towards(plan.address);
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
    let view = nodes[3].picture().unwrap();
    let mut addresses = node(&view, "both").unwrap().addresses.clone();
    addresses.sort();
    assert_eq!(
        addresses,
        [
            at("127.0.0.1", port).to_string(),
            at("[::1]", port).to_string()
        ]
    );
}

#[test]
fn targets_and_gridbugs_are_in_every_picture() {
    let fleet = Fleet::new("targets");
    let shop_at = support::free_address();
    let healthy = |_: &Asked| (200, "all is well".to_owned());
    let shop = Server::start(shop_at, healthy);
    let lan = gridbug(fleet.folder.path().display().to_string());
    let config = format!(
        "[[target]]\nid = \"shop\"\naddress = \"http://{shop_at}/health\"\nprobe = \"http\"\n\
         status = \"200\"\nbody = \"well\"\nfrom_sites = [\"fra\"]\ninterval = \"500ms\"\ntimeout = \"400ms\"\n\
         [gridbug]\nkey = \"{GRIDKEY}\"\nseeds = [\"{}\"]\npoll = \"1s\"\n",
        lan.address
    );
    let first = fleet.node("fra-1").site("fra").config(&config);
    let config_file = first.config_file();
    let first = first.start();
    let seed = first.address;
    let join = |id, site| fleet.node(id).site(site).join(seed).start();
    let nodes = [first, join("fra-2", "fra"), join("nyc-1", "nyc")];
    let shows = |state: LinkState| {
        all_show(&refs(&nodes), |view| {
            hold(node(view, "shop")?.kind == NodeKind::Target, || {
                format!("{:?}", view.nodes)
            })?;
            link_is(view, "fra-1", "shop", state)?;
            link_is(view, "fra-2", "shop", state)?;
            hold(link(view, "nyc-1", "shop").is_err(), || {
                "nyc asks too".into()
            })
        })
    };
    wait_for("a target that is up", || shows(LinkState::Up));
    let view = nodes[2].picture().unwrap();
    assert_eq!(
        link(&view, "fra-2", "shop").unwrap().transport,
        Some(Transport::Http)
    );

    wait_for("a GridBug in all pictures", || {
        all_show(&refs(&nodes), |view| {
            let bugs = view
                .nodes
                .iter()
                .filter(|node| node.kind == NodeKind::GridBug);
            let bugs: Vec<_> = bugs.map(|bug| (bug.id.as_str(), bug.state)).collect();
            hold(bugs.contains(&("LAN", NodeState::Up)), || {
                format!("{} sees {bugs:?}", view.me)
            })
        })
    });
    gridbug_calls(nodes[0].address, lan.address);
    assert_eq!(
        http::get(nodes[1].address, "/ping").unwrap().status,
        404,
        "only where configured"
    );

    drop(shop);
    wait_for("a target that is down", || {
        shows(LinkState::Down)?;
        all_show(&refs(&nodes), |view| {
            says(view, VerdictKind::TargetDown, "shop")
        })
    });
    nodes[2].status_is(1).unwrap();
    let _shop = Server::start(shop_at, healthy);
    wait_for("a target that healed", || {
        shows(LinkState::Up)?;
        all_show(&refs(&nodes), says_nothing)
    });

    // SIGHUP: another target for one site, a label; an error changes nothing and is told.
    let moved = config
        .replace("\"shop\"", "\"till\"")
        .replace("fra\"]", "nyc\"]");
    std::fs::write(
        &config_file,
        format!("labels = {{ role = \"web\" }}\n{moved}"),
    )
    .unwrap();
    nodes[0].signal(Signal::SIGHUP);
    wait_for("a target in place of another", || {
        all_show(&refs(&nodes), |view| {
            link_is(view, "nyc-1", "till", LinkState::Up)?;
            hold(link(view, "fra-1", "till").is_err(), || {
                "fra still asks".into()
            })?;
            hold(node(view, "shop").is_err(), || {
                "the shop is still there".into()
            })?;
            hold(node(view, "fra-1")?.labels.contains_key("role"), || {
                "no label".into()
            })?;
            says_nothing(view)
        })
    });
    std::fs::write(&config_file, "[[target]]\nid = \"till\"\n").unwrap();
    nodes[0].signal(Signal::SIGHUP);
    wait_for("the error to be told", || {
        nodes[0].logged(&["ERROR", "the old one stays in force", "andon.toml:1"])
    });
    all_show(&refs(&nodes), |view| {
        link_is(view, "nyc-1", "till", LinkState::Up)
    })
    .unwrap();
}

const GRIDKEY: &str = "their GRIDKEY";

/// A GridBug named LAN that knows nobody else.
fn gridbug(build: String) -> Server {
    let address = support::free_address();
    Server::start(address, move |asked| {
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/ping") | ("POST", "/post") => (200, json!({"status": "OK"}).to_string()),
            ("GET", "/bugs" | "/gridbugs.json") => {
                let host = address.to_string();
                let bugs = json!({
                    "version": 1, "gridbugs": [{"host": host, "id": "LAN", "alive": true}],
                    "node_id": "LAN", "node_role": "node", "node_build": build, "node_host": host,
                });
                (200, bugs.to_string())
            }
            _ => (404, "{}".into()),
        }
    })
}

#[track_caller]
fn gridbug_calls(to: SocketAddr, lan: SocketAddr) {
    let asked = http::get(to, "/ping").unwrap();
    assert_eq!(asked.status, 200);
    assert_eq!(
        serde_json::from_str::<Value>(&asked.body).unwrap(),
        json!({"status": "OK"})
    );
    let bugs: Value = serde_json::from_str(&http::get(to, "/bugs").unwrap().body).unwrap();
    assert_eq!(
        (&bugs["node_id"], &bugs["version"]),
        (&json!("fra-1"), &json!(1))
    );
    let known = bugs["gridbugs"].as_array().unwrap();
    assert!(
        known
            .iter()
            .any(|bug| bug["id"] == "LAN" && bug["alive"] == true),
        "{bugs:#}"
    );
    let post = json!({
        "version": 1, "gridbugs": [], "node_id": "LAN", "node_role": "node",
        "node_build": "0.1.0", "node_host": lan.to_string(),
    });
    let posted = |key: &str| {
        http::request(to, "POST", "/post", &[("key", key)], &post.to_string())
            .unwrap()
            .status
    };
    assert_eq!(posted("a wrong key"), 401);
    assert_eq!(posted(GRIDKEY), 200);
}

#[test]
fn copies_of_one_data_directory_become_two_nodes() {
    let fleet = Fleet::new("copies");
    let nodes = fleet.start(&["a", "b", "original"]);
    wait_for("three nodes that agree", || all_well(&refs(&nodes)));
    let key = node(&nodes[0].picture().unwrap(), "original").unwrap().key;
    let [a, b, original] = nodes.try_into().ok().unwrap();
    let original = original.leave();
    let copy = fleet.node("copy").join(a.address);
    let cp = Command::new("cp")
        .arg("-a")
        .args([&original.data_dir, &copy.data_dir])
        .status();
    assert!(cp.unwrap().success());
    let (original, copy) = (original.start(), copy.start());
    let told = |node: &Node| {
        node.logged(&[
            "ERROR",
            "a copy of this one's data directory",
            "new identity",
        ])
    };
    wait_for("one of them to be told", || told(&original).or(told(&copy)));
    let four = [&a, &b, &original, &copy];
    let keys = wait_for("two nodes instead of one", || {
        let mut keys = BTreeSet::new();
        for view in pictures(&four)? {
            let living: Vec<_> = view
                .nodes
                .iter()
                .filter(|node| node.state == NodeState::Up)
                .collect();
            hold(living.len() == 4, || {
                format!("{} shows {:?}", view.me, view.nodes)
            })?;
            for (one, other) in living
                .iter()
                .flat_map(|one| living.iter().map(move |other| (one, other)))
            {
                if one.key != other.key {
                    link_is(&view, &one.id, &other.id, LinkState::Up)?;
                }
            }
            let others = view.nodes.iter().filter(|node| node.state != NodeState::Up);
            let is_ghost = |node: &NodeView| node.key == key && node.state == NodeState::Left;
            let ghosts: Vec<_> = others.filter(|node| !is_ghost(node)).collect();
            hold(ghosts.is_empty(), || {
                format!("{} shows {ghosts:?}", view.me)
            })?;
            says_nothing(&view)?;
            keys.insert(living.iter().map(|node| node.key).collect::<Vec<_>>());
        }
        hold(keys.len() == 1, || format!("{keys:?}"))?;
        Ok(keys)
    });
    let steady = Watch::start(&four, |view| {
        let living = view.nodes.iter().filter(|node| node.state == NodeState::Up);
        vec![format!(
            "{:?}",
            living
                .map(|node| (&node.id, node.key))
                .collect::<BTreeMap<_, _>>()
        )]
    });
    wait_for("pictures of a while after", || {
        steady.has_looked(Duration::from_secs(3))
    });
    let seen = steady.end();
    assert_eq!(seen.len(), 1, "nobody flaps: {seen:#?}");
    let loud = original.log().matches("WARN").count() + copy.log().matches("WARN").count();
    assert!(
        loud < 10,
        "the same is not told again and again:\n{}\n{}",
        original.log(),
        copy.log()
    );

    let (original, copy) = (original.leave().start(), copy.leave().start());
    wait_for("the same two after a restart", || {
        let living = |view: &PictureView| -> Vec<_> {
            let living = view.nodes.iter().filter(|node| node.state == NodeState::Up);
            living.map(|node| node.key).collect()
        };
        let seen = [&a, &original, &copy].map(|node| node.picture().map(|view| living(&view)));
        let same = seen
            .iter()
            .all(|seen| seen.as_ref().is_ok_and(|seen| keys.contains(seen)));
        hold(same, || format!("{keys:?} became {seen:?}"))
    });
}

#[test]
fn a_full_disk_does_not_stop_a_node() {
    if Command::new("prlimit").arg("--version").output().is_err() {
        return skip("a full disk", "there is no prlimit to forbid writing with");
    }
    let fleet = Fleet::new("full");
    let first = fleet.node("full").unsinkable().start();
    let other = fleet.node("other").join(first.address).start();
    let mut nodes = vec![first, other];
    wait_for("two nodes that agree", || all_well(&refs(&nodes)));
    let admin = token(&nodes[0], "admin");
    wait_every(Duration::from_millis(300), "the token to be known", || {
        let made = make_token(&nodes[0], &admin, "before");
        hold(made.status == 201, || format!("{made:?}"))
    });

    // No file may grow, its log's neither.
    limit_files(&nodes[0], "0");
    let other = nodes.remove(1).kill();
    wait_for("a death seen by a node with a full disk", || {
        node_is(&nodes[0].picture()?, "other", NodeState::Down)
    });
    let made = make_token(&nodes[0], &admin, "unrecorded");
    assert_eq!(
        made.status, 507,
        "what cannot be recorded is not done: {}",
        made.body
    );
    nodes.push(other.start());
    nodes.push(fleet.node("late").join(nodes[1].address).start());
    wait_for("all well with a full disk", || all_well(&refs(&nodes)));

    limit_files(&nodes[0], "unlimited");
    wait_for("room again", || {
        let made = make_token(&nodes[0], &admin, "recorded");
        hold(made.status == 201, || format!("{made:?}"))
    });
    let names = nodes[0].run(&[
        "token",
        "list",
        "--data-dir",
        nodes[0].plan.data_dir.to_str().unwrap(),
    ]);
    let names = String::from_utf8(names.stdout).unwrap();
    assert!(
        names.contains("recorded") && !names.contains("unrecorded"),
        "{names}"
    );
    verify_audit(&nodes[0], 0);
    nodes.swap_remove(0).leave();
}

fn limit_files(node: &Node, bytes: &str) {
    let limit = format!("--fsize={bytes}:");
    let set = Command::new("prlimit")
        .args(["--pid", &node.pid().to_string(), &limit])
        .status();
    assert!(set.unwrap().success());
}

/// A new token of that role, made beside the running node.
fn token(node: &Node, role: &str) -> String {
    let dir = node.plan.data_dir.to_str().unwrap();
    let made = node.run(&[
        "token",
        "create",
        "--role",
        role,
        "--name",
        role,
        "--data-dir",
        dir,
    ]);
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Asks the node for another token, as the bearer of one.
fn make_token(node: &Node, token: &str, name: &str) -> http::Answer {
    let body = json!({"name": name, "role": "viewer"}).to_string();
    let headers = [("authorization", bearer(token))];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    http::request(node.address, "POST", "/api/v1/tokens", &headers, &body).unwrap()
}

#[track_caller]
fn verify_audit(node: &Node, code: i32) -> String {
    let dir = node.plan.data_dir.to_str().unwrap();
    let verified = node.run(&["audit", "verify", "--data-dir", dir]);
    let told = [verified.stdout, verified.stderr].concat();
    let told = String::from_utf8(told).unwrap();
    assert_eq!(verified.status.code(), Some(code), "{told}");
    told
}

#[test]
fn people_have_roles_and_what_they_change_is_recorded() {
    let fleet = Fleet::new("people");
    let node = fleet.node("alone").start();
    let at = node.address;
    wait_for("the node", || {
        node_is(&node.picture()?, "alone", NodeState::Up)
    });

    let me = |headers: &[(&str, &str)]| {
        let answer = http::request(at, "GET", "/api/v1/me", headers, "").unwrap();
        let document: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        (
            answer.status,
            document["role"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let viewer = |status| {
        (
            status,
            if status == 200 {
                "viewer".to_owned()
            } else {
                String::new()
            },
        )
    };
    assert_eq!(me(&[]), viewer(200), "on the machine itself one may look");
    assert_eq!(
        me(&[("x-forwarded-for", "203.0.113.9")]),
        viewer(401),
        "but not through a proxy"
    );
    assert_eq!(
        me(&[("host", "evil.example")]).0,
        403,
        "nor as another host"
    );
    assert_eq!(
        me(&[("authorization", "Bearer andon_rubbish")]),
        viewer(401)
    );
    let https = format!("https://{at}");
    let over_tls = node.run(&["status", "--node", &https, "--insecure", "--json"]);
    assert!(
        String::from_utf8_lossy(&over_tls.stdout).contains("\"alone\""),
        "{over_tls:?}"
    );

    let (admin, looker) = (token(&node, "admin"), token(&node, "viewer"));
    // Ten wrong tokens in a minute, and nobody of this address is listened to.
    wait_every(Duration::from_millis(300), "tokens to be known", || {
        let seen = me(&[("authorization", &bearer(&admin))]);
        hold(seen == (200, "admin".to_owned()), || format!("{seen:?}"))
    });
    assert_eq!(me(&[("authorization", &bearer(&looker))]), viewer(200));
    let no_role = http::request(at, "POST", "/api/v1/tokens", &[], "{}").unwrap();
    assert_eq!(
        no_role.status, 403,
        "looking on this machine is not changing: {}",
        no_role.body
    );
    assert_eq!(make_token(&node, &looker, "board").status, 403);
    let made = make_token(&node, &admin, "board");
    assert_eq!(made.status, 201, "{}", made.body);
    let board = text(&serde_json::from_str::<Value>(&made.body).unwrap()["token"]);
    assert_eq!(me(&[("authorization", &bearer(&board))]), viewer(200));
    let foreign = [
        ("authorization", bearer(&admin)),
        ("origin", "https://evil.example".into()),
    ];
    let foreign = foreign
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let crossed = http::request(at, "DELETE", "/api/v1/tokens/board", &foreign, "").unwrap();
    assert_eq!(crossed.status, 403, "{}", crossed.body);

    let dir = node.plan.data_dir.to_str().unwrap();
    assert!(
        node.run(&["token", "revoke", "board", "--data-dir", dir])
            .status
            .success()
    );
    wait_for("a revoked token to be refused", || {
        let seen = me(&[("authorization", &bearer(&board))]);
        hold(seen == viewer(401), || format!("{seen:?}"))
    });
    let gone = [("authorization", bearer(&admin))];
    let gone = gone.each_ref().map(|(name, value)| (*name, value.as_str()));
    let gone = http::request(at, "DELETE", "/api/v1/tokens/viewer", &gone, "").unwrap();
    assert_eq!(gone.status, 204, "{}", gone.body);
    assert_eq!(
        me(&[("authorization", &bearer(&looker))]),
        viewer(401),
        "at once"
    );

    let told = verify_audit(&node, 0);
    assert!(told.contains("2 records"), "{told}");
    let log = node.plan.data_dir.join("audit.jsonl");
    let whole = std::fs::read_to_string(&log).unwrap();
    assert!(
        whole.contains("token.create") && whole.contains("\"board\"") && !whole.contains(&board)
    );
    std::fs::write(&log, whole.replacen("board", "bored", 1)).unwrap();
    let told = verify_audit(&node, 1);
    assert!(told.contains("line 1"), "{told}");

    // A damaged record is no reason for a blind spot: the node starts, sets it aside and says so.
    let node = node.leave().start();
    wait_for("the node to start beside a forged log", || node.picture());
    node.logged(&["ERROR", "audit"]).unwrap();
    verify_audit(&node, 0);
    let kept = std::fs::read_dir(&node.plan.data_dir)
        .unwrap()
        .map_while(Result::ok);
    let aside = kept.filter(|file| {
        file.file_name()
            .to_string_lossy()
            .starts_with("audit.jsonl.broken")
    });
    assert_eq!(aside.count(), 1, "the forged log is kept");
}
