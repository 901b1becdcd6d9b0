//! Nodes find each other, die, freeze, move, leave and come back.

use crate::support::fleet::{Fleet, Node, Plan, refs};
use crate::support::sight::{
    Watch, all_show, all_well, link_is, node, node_is, says, says_nothing,
};
use crate::support::stream::Streamed;
use crate::support::{self, hold, http, wait_for};
use andon_model::{LinkState, NodeState, VerdictKind};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

const FIVE: [&str; 5] = ["web-1", "db-1", "web-2", "db-2", "edge"];

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
    let told = nodes[0].logged(&["INFO", "node joined", "\"id\":\"db-2\""]);
    assert!(told.is_ok(), "{told:?}");
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
