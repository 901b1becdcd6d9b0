//! What is no node of the grid: targets and GridBug neighbours.

use crate::support::fleet::{Fleet, refs};
use crate::support::server::{Asked, Server};
use crate::support::sight::{all_show, link, link_is, node, says, says_nothing};
use crate::support::{self, hold, http, wait_for};
use andon_model::{LinkState, NodeKind, NodeState, Transport, VerdictKind};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::net::SocketAddr;

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
