//! Keepers of real nodes: two that hold copies, killed in turns; one that is away while senders
//! are killed; queues that are full.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use support::events::{ask, count, queue, send, text};
use support::fleet::{Fleet, Node};
use support::pouring::{Pouring, noise, nothing_waits, whole};
use support::{LIMIT, hold, http, text as text_of, wait_for, wait_within};

/// Without the machine's own metrics, so that queues hold what the test sends.
const QUIET: &str = "[ingest.system]\nenabled = false\n";

#[track_caller]
fn has_lanes(node: &Node, lanes: &[&str]) {
    wait_for(&format!("{} to know its keepers", node.id), || {
        let metrics = http::get(node.address, "/metrics")?.body;
        let knows = |lane: &&str| metrics.contains(&format!("andon_spool_keeper{{lane=\"{lane}\""));
        hold(lanes.iter().all(knows), || format!("{lanes:?}"))
    });
}

#[test]
fn two_keepers_have_everything_each_and_either_may_be_killed_while_events_come_in() {
    let fleet = Fleet::new("keepers-two");
    let keep = ["--keep", "true"];
    let a = fleet.node("a").args(&keep).config(QUIET).start();
    let seed = a.address;
    let b = fleet.node("b").args(&keep).config(QUIET).join(seed).start();
    let other = b.address;
    let web = fleet.node("web").args(&["--keep", "false"]).config(QUIET);
    let web = web.join(seed).join(other).start();
    for node in [&a, &b, &web] {
        has_lanes(node, &["main", "copy"]);
    }
    // Events come in at a node that keeps none, and at a keeper.
    let pourings = [
        Pouring::into(web.address, "web"),
        Pouring::into(a.address, "a"),
    ];
    pourings.iter().for_each(Pouring::more);
    let b = b.kill();
    pourings.iter().for_each(Pouring::more);
    let total = || -> u64 { pourings.iter().map(Pouring::so_far).sum() };
    let least = total();
    // One is dead, and nothing is missing: neither what came before nor what comes.
    wait_within(
        3 * LIMIT,
        Duration::from_millis(100),
        "a whole answer of one",
        || {
            let answer = ask(
                web.address,
                &json!({"dataset": "load", "from": "-1d", "calc": [{"op": "count"}]}),
            )?;
            let there = answer["rows"][0][0].as_u64().unwrap_or(0);
            hold(answer["partial"] == false && there >= least, || {
                format!("{least}: {answer}")
            })
        },
    );
    let b = b.start();
    pourings.iter().for_each(Pouring::more);
    let acknowledged: u64 = pourings.into_iter().map(Pouring::end).sum();
    whole(web.address, acknowledged, "all of it from both");
    nothing_waits(web.address);
    nothing_waits(a.address);
    // Each alone has everything, once.
    let plan = a.kill();
    whole(web.address, acknowledged, "all of it from b alone");
    whole(b.address, acknowledged, "all of it from b itself");
    wait_for("the datasets, though one of their keepers is dead", || {
        let datasets = http::get(web.address, "/api/v1/datasets")?.body;
        let datasets: Value = serde_json::from_str(&datasets).map_err(|error| error.to_string())?;
        hold(datasets[0]["rows"] == acknowledged, || datasets.to_string())
    });
    let a = plan.start();
    whole(a.address, acknowledged, "all of it from both again");
    let b = b.kill();
    whole(web.address, acknowledged, "all of it from a alone");
    // Neither: that is said, and why.
    let plan = a.kill();
    wait_for("an answer that says who is missing", || {
        match text(web.address, "load | count") {
            Ok(answer) => hold(answer["partial"] == true, || answer.to_string()),
            Err(error) => hold(
                error.contains("away") || error.contains("missing") || error.contains("cannot"),
                || error,
            ),
        }
    });
    let (_a, _b) = (plan.start(), b.start());
    whole(web.address, acknowledged, "all of it after all");
}

#[test]
fn a_second_keeper_that_came_later_or_was_away_for_too_long_says_what_it_lacks() {
    let fleet = Fleet::new("keepers-late");
    let keep = ["--keep", "true"];
    let a = fleet.node("a").args(&keep).config(QUIET).start();
    wait_for("the first", || a.picture());
    send(a.address, "early", &[], "{\"n\":1}\n").unwrap();
    let small = format!("{QUIET}[spool]\nbytes_max = \"1MB\"\n");
    let web = fleet.node("web").args(&["--keep", "false"]).config(&small);
    let web = web.join(a.address).start();
    has_lanes(&web, &["main"]);
    let b = fleet
        .node("b")
        .args(&keep)
        .config(QUIET)
        .join(a.address)
        .start();
    for node in [&a, &b, &web] {
        has_lanes(node, &["main", "copy"]);
    }
    send(a.address, "late", &[], "{\"n\":1}\n").unwrap();
    wait_for("what came late, from both", || {
        let copies = queue(a.address, "late")?;
        hold(copies["copies"] == 0, || copies.to_string())
    });
    let plan = a.kill();
    // The one that is left tells what it has in full, and what not.
    wait_for("what the other has", || {
        let late = text(web.address, "late | count")?;
        hold(late["partial"] == false && late["rows"][0][0] == 1, || {
            late.to_string()
        })
    });
    wait_for("what it lacks", || {
        let early = text(web.address, "early | count")?;
        let says = early["notes"].to_string().contains("of a");
        hold(early["partial"] == true && says, || early.to_string())
    });
    // More than the queue holds: it is not lost, as one of the two has it.
    let mut sent = 0;
    wait_within(3 * LIMIT, Duration::ZERO, "the queue to be full", || {
        let answer = send(web.address, "load", &[], &noise(sent, 100_000))?;
        sent += answer["accepted"].as_u64().unwrap_or(0);
        let queue = queue(web.address, "load")?;
        hold(queue["kept_once"].as_u64() > Some(0), || queue.to_string())
    });
    let queued = queue(web.address, "load").unwrap();
    assert_eq!(
        queued["dropped"],
        json!({"damaged": 0, "newest": 0, "oldest": 0}),
        "{queued}"
    );
    let metrics = http::get(web.address, "/metrics").unwrap().body;
    assert!(
        metrics.contains("andon_spool_kept_once_total{stream=\"load\"}"),
        "{metrics}"
    );
    whole(web.address, sent, "all that was sent");
    let a = plan.start();
    nothing_waits(web.address);
    whole(
        web.address,
        sent,
        "all that was sent, though one lacks some",
    );
    whole(a.address, sent, "the same from the one that lacks some");
    drop(b);
    wait_for("that something is missing", || {
        let answer = text(a.address, "load | count")?;
        hold(answer["partial"] == true, || answer.to_string())
    });
}

/// Sends twenty events, each with an id.
fn send_some(node: &Node, name: &str) {
    let body: String = (0..20)
        .map(|line| format!("{{\"id\":\"{name}-{line}\"}}\n"))
        .collect();
    let sent = wait_for("events to be taken", || {
        send(node.address, "load", &[], &body)
    });
    assert_eq!(sent["accepted"], 20, "{sent}");
}

/// Reads a tail until so many different events were seen; none may come twice.
#[track_caller]
fn seen_once(tail: &Receiver<http::Event>, seen: &mut BTreeSet<String>, count: usize) {
    while seen.len() < count {
        let (name, event) = tail.recv_timeout(3 * LIMIT).unwrap();
        if name == "event" {
            let id = text_of(&event["id"]);
            assert!(seen.insert(id), "twice: {event}");
        }
    }
}

#[test]
fn a_keeper_that_comes_back_without_its_disk_says_what_it_lacks_and_copies_answer_for_it() {
    let fleet = Fleet::new("keepers-lost");
    let keep = ["--keep", "true"];
    let a = fleet.node("a").args(&keep).config(QUIET).start();
    let seed = a.address;
    let b = fleet.node("b").args(&keep).config(QUIET).join(seed).start();
    let other = b.address;
    let web = fleet.node("web").args(&["--keep", "false"]).config(QUIET);
    let web = web.join(seed).join(other).start();
    for node in [&a, &b, &web] {
        has_lanes(node, &["main", "copy"]);
    }
    // Both keepers tell of each event; whoever watches sees it once.
    let tail = http::subscribe(web.address, "/api/v1/tail?dataset=load");
    let (name, watching) = tail.recv_timeout(LIMIT).unwrap();
    assert_eq!(
        (name.as_str(), &watching["nodes"]),
        ("watching", &json!(["a", "b"]))
    );
    let mut seen = BTreeSet::new();
    for (round, node) in [&web, &a, &b, &web, &a, &b].into_iter().enumerate() {
        send_some(node, &format!("{}-{round}", node.id));
        seen_once(&tail, &mut seen, 20 * (round + 1));
    }
    drop(tail);
    for node in [&a, &b, &web] {
        nothing_waits(node.address);
    }
    whole(web.address, 120, "all of it");
    // One loses the disk that its events and copies were on, and nobody calls it otherwise.
    let plan = a.kill();
    for folder in ["events", "events-copies"] {
        std::fs::remove_dir_all(plan.data_dir.join(folder)).unwrap();
    }
    let a = plan.start();
    whole(web.address, 120, "all of it, from the one that has it");
    whole(a.address, 120, "the same where it was lost");
    send_some(&web, "after");
    for node in [&a, &b, &web] {
        nothing_waits(node.address);
    }
    whole(web.address, 140, "what came since, too");
    wait_for("the loss to be counted", || {
        let metrics = http::get(web.address, "/metrics")?.body;
        let lines = metrics.lines();
        let mut lost = lines.filter(|line| line.starts_with("andon_spool_stores_lost_total"));
        hold(lost.any(|line| !line.ends_with(" 0")), || {
            "no loss".to_owned()
        })
    });
    // Alone it says what it has not.
    let b = b.kill();
    wait_for("an answer that says what is lost", || {
        let answer = text(web.address, "load | count | last 1h")?;
        let says = answer["notes"].to_string().contains("lost");
        hold(answer["partial"] == true && says, || answer.to_string())
    });
    let b = b.start();
    whole(web.address, 140, "all of it again");
    // A sender whose queue is lost begins anew, and that is not taken for what it once sent.
    let plan = web.kill();
    std::fs::remove_dir_all(plan.data_dir.join("spool")).unwrap();
    let web = plan.start();
    // What came before it knows where copies go would be at one keeper alone.
    has_lanes(&web, &["main", "copy"]);
    send_some(&web, "anew");
    whole(b.address, 160, "what a new sender of that name sent");
}

#[test]
fn a_sender_killed_again_and_again_and_a_keeper_that_is_away_lose_nothing() {
    let fleet = Fleet::new("keepers-sender");
    let mut keeper = fleet
        .node("keeper")
        .args(&["--keep", "true"])
        .config(QUIET)
        .start();
    let web = fleet.node("web").args(&["--keep", "false"]).config(QUIET);
    let mut web = web.join(keeper.address).start();
    wait_for("the sender", || web.picture());
    let pouring = Pouring::into(web.address, "web");
    for round in 0..5 {
        pouring.more();
        web = web.kill().start();
        if round == 2 {
            keeper = keeper.kill().start();
        }
    }
    let away = keeper.kill();
    pouring.more();
    web = web.kill().start();
    pouring.more();
    let keeper = away.start();
    let acknowledged = pouring.end();
    whole(keeper.address, acknowledged, "all that was acknowledged");
    nothing_waits(web.address);
    assert_eq!(count(web.address, "load"), Ok(acknowledged));
}

#[test]
fn full_queues_do_what_their_policies_say_count_it_and_send_the_rest() {
    let fleet = Fleet::new("keepers-full");
    let config = format!(
        "{QUIET}[spool]\nbytes_max = \"1MB\"\n[spool.streams]\nold = \"drop_oldest\"\nnew = \"drop_newest low\"\nurgent = \"block high 2MB\"\n"
    );
    let web = fleet
        .node("web")
        .args(&["--keep", "false"])
        .config(&config)
        .start();
    let at = web.address;
    wait_for("the node", || web.picture());
    let lines = |batch: u64| noise(batch, 100_000);
    // A queue that blocks asks to wait; the request is refused once it has waited.
    let mut kept = 0;
    for stream in ["old", "new"] {
        for batch in 0..30 {
            let sent = send(at, stream, &[], &lines(batch)).unwrap();
            assert_eq!(sent["accepted"], 1, "{sent}");
        }
        let queue = queue(at, stream).unwrap();
        let dropped = |reason: &str| queue["dropped"][reason].as_u64().unwrap();
        let (reason, other) = match stream {
            "old" => ("oldest", "newest"),
            _ => ("newest", "oldest"),
        };
        let waits = queue["events"].as_u64().unwrap();
        assert!(dropped(reason) > 0 && dropped(other) == 0, "{queue}");
        assert_eq!(waits + dropped(reason), 30, "{queue}");
        assert!(
            queue["bytes"].as_u64() <= queue["bytes_max"].as_u64(),
            "{queue}"
        );
        let counted = format!(
            "andon_spool_dropped_total{{stream=\"{stream}\",reason=\"{reason}\"}} {}",
            dropped(reason)
        );
        let metrics = http::get(at, "/metrics").unwrap().body;
        assert!(metrics.contains(&counted), "{counted}");
        kept += waits;
    }
    // Asked to wait, a client comes again; what it sent once may be there, and is counted below.
    let mut number = 0;
    let full = wait_within(3 * LIMIT, Duration::ZERO, "the queue to be full", || {
        number += 1;
        let sent = send(at, "urgent", &[], &lines(number));
        let full = queue(at, "urgent")?;
        let is_full = full["refused"].as_u64() > Some(0);
        hold(is_full, || format!("{sent:?} {full}")).map(|()| full)
    });
    let blocked = full["events"].as_u64().unwrap();
    assert_eq!(full["pushed"], blocked, "{full}");
    assert!(full["bytes"].as_u64() <= Some(2_000_000), "{full}");
    assert_eq!(
        (&full["policy"], &full["priority"]),
        (&json!("block"), &json!("high"))
    );
    // A keeper comes: all that is left arrives.
    let keeper = fleet.node("keeper").args(&["--keep", "true"]).config(QUIET);
    let keeper = keeper.join(at).start();
    let every = Duration::from_millis(100);
    wait_within(3 * LIMIT, every, "all that was kept", || {
        let there: u64 = ["old", "new", "urgent"]
            .iter()
            .map(|stream| count(keeper.address, stream).unwrap_or(0))
            .sum();
        // A request that waited may have been taken once there was room.
        let expected = kept + blocked..=kept + blocked + 3;
        let seen = format!("{there} of {expected:?}");
        hold(expected.contains(&there), || seen)
    });
    let only =
        |question| text(keeper.address, question).map(|answer| answer["rows"][0][0].as_f64());
    let newest = wait_for("the newest", || only("old | max(n) | last 1h"));
    let oldest = wait_for("the oldest", || only("new | min(n) | last 1h"));
    assert_eq!((newest, oldest), (Some(29.0), Some(0.0)));
    wait_for("room again", || {
        let sent = send(at, "urgent", &[], "{\"n\":-1}\n")?;
        hold(sent["accepted"] == 1, || sent.to_string())
    });
}

/// What changes without a restart changes, and what does not is named.
#[test]
fn a_hangup_changes_limits_and_says_which_settings_need_a_restart() {
    let fleet = Fleet::new("keepers-hangup");
    let node = fleet
        .node("one")
        .args(&["--keep", "false"])
        .config(QUIET)
        .start();
    wait_for("the node", || node.picture());
    send(node.address, "load", &[], "{\"n\":1}\n").unwrap();
    assert_eq!(queue(node.address, "load").unwrap()["policy"], "block");
    let config =
        "[store]\ncopies = 1\nage_max = \"2d\"\n[spool.streams]\nload = \"drop_newest 3MB\"\n";
    std::fs::write(node.plan.config_file(), format!("{QUIET}{config}")).unwrap();
    node.signal(nix::sys::signal::Signal::SIGHUP);
    wait_for("other limits", || {
        let queue = queue(node.address, "load")?;
        let is_new = queue["policy"] == "drop_newest" && queue["bytes_max"] == 3_000_000;
        hold(is_new, || queue.to_string())
    });
    node.logged(&["only when the node restarts", "store.copies"])
        .unwrap();
    assert!(
        node.logged(&["only when the node restarts", "store.age_max"])
            .is_err()
    );
}
