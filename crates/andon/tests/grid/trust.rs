//! Who is in, and as whom: strangers, namesakes, copies, and a key that changes.

use crate::support::fleet::{Fleet, Node, keygen, refs};
use crate::support::sight::{
    Watch, all_show, all_well, link_is, node, node_is, pictures, says, says_nothing,
    whatever_is_down,
};
use crate::support::{hold, wait_for};
use andon_model::{LinkState, NodeState, NodeView, PictureView, VerdictKind};
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

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
    let nodes = fleet.start(&["a", "b", "c"]);
    wait_for("three nodes that agree", || all_well(&refs(&nodes)));
    let watch = Watch::start(&refs(&nodes), whatever_is_down);
    let names = key_names(&nodes[0]);
    let [old] = &names[..] else {
        panic!("one key, not {names:?}")
    };
    let new_key = change_key(&nodes[0], &["add"]);
    let new_file = fleet.folder.write("new.key", &new_key);
    let names = key_names(&nodes[0]);
    let new = &names[1];
    let steps: [(&str, Vec<&str>); 3] = [
        ("add", vec!["add", "--from", new_file.to_str().unwrap()]),
        ("promote", vec!["promote", new]),
        ("drop", vec!["drop", old]),
    ];
    for (number, (step, change)) in (1..).zip(&steps) {
        for node in &nodes {
            let has_it_already = node.id == "a" && *step == "add";
            if !has_it_already {
                change_key(node, change);
            }
            node.signal(Signal::SIGHUP);
            wait_for(&format!("{step} on {}", node.id), || {
                let read = node.log().matches("configuration read again").count();
                hold(read == number, || format!("read {read} times"))
            });
        }
        wait_for(&format!("all well after {step}"), || {
            all_well(&refs(&nodes))
        });
    }
    assert_eq!(key_names(&nodes[2]), std::slice::from_ref(new));
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
    // Its first picture may not be drawn yet.
    wait_for("a picture of itself alone", || {
        let nodes = late.picture().map_or(0, |picture| picture.nodes.len());
        (nodes == 1).then_some(()).ok_or(format!("{nodes} nodes"))
    });

    let late = late.kill();
    std::fs::write(&late.key_file, &new_key).unwrap();
    let late = late.start();
    wait_for("it to join with the new key", || {
        all_well(&[&nodes[0], &nodes[1], &nodes[2], &late])
    });
}

/// `andon key` on a node's file; what it prints.
#[track_caller]
fn change_key(node: &Node, change: &[&str]) -> String {
    let file = ["--key-file", node.plan.key_file.to_str().unwrap()];
    let done = node.run(&[&["key"], change, &file].concat());
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// Names of the keys in a node's file, the one that seals first.
fn key_names(node: &Node) -> Vec<String> {
    let listed = change_key(node, &["list"]);
    let names = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
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
