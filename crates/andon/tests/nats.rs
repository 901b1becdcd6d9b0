//! Events from site to site over a real NATS server: killed, full, and strangers on it. The
//! nodes that send and the keepers are never joined: NATS is their only way to each other.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use support::events::{ask, queue, send};
use support::fleet::{Fleet, Plan};
use support::nats::Nats;
use support::pouring::{Pouring, noise, nothing_waits, whole};
use support::{LIMIT, hold, http, wait_for, wait_within};

/// Without the machine's own metrics, so that queues hold what the test sends.
fn config(nats: &Nats, more: &str) -> String {
    format!(
        "[ingest.system]\nenabled = false\n[spool]\nnats = \"{}\"\n{more}",
        nats.url()
    )
}

fn keeper(fleet: &Fleet, nats: &Nats, id: &str) -> Plan {
    let plan = fleet.node(id).site("b").args(&["--keep", "true"]);
    plan.config(&config(nats, "nats_bytes_max = \"200MB\"\n"))
}

/// A figure of a node's `/metrics`, by its name with labels.
fn figure(node: SocketAddr, name: &str) -> Result<u64, String> {
    let page = http::get(node, "/metrics")?.body;
    let mut lines = page.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = line.ok_or_else(|| format!("no {name}"))?;
    line.trim().parse().map_err(|_| line.to_owned())
}

#[track_caller]
fn reaches(node: SocketAddr, name: &str, least: u64) {
    wait_within(3 * LIMIT, Duration::from_millis(100), name, || {
        let is = figure(node, name)?;
        hold(is >= least, || format!("{is} of {least}"))
    });
}

#[test]
fn events_reach_another_site_over_nats_alone_while_it_and_both_ends_are_killed() {
    let fleet = Fleet::new("nats-killed");
    let Some(mut nats) = Nats::start(&fleet.folder, "") else {
        return;
    };
    // It begins before there is a keeper, a stream, or anybody to send to.
    let web = fleet.node("web.1").site("a").config(&config(&nats, ""));
    let web = web.start();
    let at = web.address;
    wait_for("the node", || web.picture());
    let pouring = Pouring::into(at, "one");
    pouring.more();
    let hub = keeper(&fleet, &nats, "hub").start();
    reaches(hub.address, "andon_nats_events_total{way=\"take\"}", 200);
    // Rubbish of strangers is let go of, and holds nobody up.
    nats.publish("andon.events.andon.a.stranger.hub", "rubbish")
        .unwrap();
    reaches(
        hub.address,
        "andon_nats_refused_total{reason=\"not_sealed\"}",
        1,
    );
    nats.kill();
    pouring.more();
    wait_for("the queue to hold", || {
        let waits = queue(at, "load")?["events"].as_u64() > Some(100);
        let connected = figure(at, "andon_nats_connected{way=\"main\"}")?;
        hold(waits && connected == 0, || {
            format!("connected: {connected}")
        })
    });
    nats.resume();
    pouring.more();
    // Without its keeper NATS holds what comes, also over its own death.
    let hub = hub.kill();
    pouring.more();
    nothing_waits_long(at);
    nats.kill();
    nats.resume();
    let web = web.kill();
    let web = web.start();
    pouring.more();
    let hub = hub.start();
    pouring.more();
    let sent = pouring.end();
    nothing_waits(at);
    whole(hub.address, sent, "all of them, each once");
    assert_eq!(figure(hub.address, "andon_nats_missing_total"), Ok(0));
    assert_eq!(figure(hub.address, "andon_nats_waiting"), Ok(0));
    // The sender keeps none itself, and knows no other node.
    assert_eq!(web.picture().unwrap().nodes.len(), 1);
    assert_eq!(web.picture().unwrap().nodes[0].labels.len(), 0);
}

/// What waited for the keeper is on NATS, while more keeps coming.
#[track_caller]
fn nothing_waits_long(node: SocketAddr) {
    let arrived = || queue(node, "load").map(|queue| queue["arrived"].as_u64().unwrap_or(0));
    let before = arrived().unwrap();
    wait_within(
        3 * LIMIT,
        Duration::from_millis(100),
        "NATS to hold",
        || {
            let now = arrived()?;
            hold(now >= before + 200, || format!("{now} after {before}"))
        },
    );
}

#[test]
fn a_full_stream_lets_events_wait_on_their_node_and_large_ones_go_in_parts() {
    let fleet = Fleet::new("nats-full");
    let Some(nats) = Nats::start(&fleet.folder, "max_payload: 32KB") else {
        return;
    };
    let hub = fleet.node("hub").site("b").args(&["--keep", "true"]);
    let hub = hub.config(&config(&nats, "nats_bytes_max = \"1MB\"\n"));
    let hub = hub.start();
    let web = fleet.node("web").site("a").config(&config(&nats, ""));
    let web = web.start();
    let at = web.address;
    wait_for("the node", || web.picture());
    send(at, "load", &[], "{\"id\":\"first\"}\n").unwrap();
    whole(hub.address, 1, "the first");
    let hub = hub.kill();
    for number in 0..30 {
        send(at, "load", &[], &noise(number, 100_000)).unwrap();
    }
    // A record is whole on NATS, or waits.
    let waits = wait_for("the stream to be full", || {
        web.logged(&["do not go over NATS", "maximum bytes exceeded"])?;
        Ok(queue(at, "load")?["events"].as_u64().unwrap())
    });
    assert!((15..30).contains(&waits), "{waits}");
    assert!(figure(at, "andon_nats_failures_total{way=\"main\"}").unwrap() > 0);
    let hub = hub.start();
    whole(hub.address, 31, "the rest");
    nothing_waits(at);
    assert_eq!(figure(hub.address, "andon_nats_missing_total"), Ok(0));
    let pad = noise(17, 100_000);
    let pad = pad.split('"').nth(9).unwrap();
    let question = json!({"dataset": "load", "from": "-1d", "calc": [{"op": "count"}],
        "where": [{"key": "n", "op": "=", "value": 17}, {"key": "pad", "op": "=", "value": pad}]});
    let answer = ask(hub.address, &question).unwrap();
    assert_eq!(answer["rows"][0][0], 1, "put together as it was");
}

#[test]
fn two_keepers_hold_copies_of_what_comes_over_nats_and_either_may_be_killed() {
    let fleet = Fleet::new("nats-copies");
    let Some(nats) = Nats::start(&fleet.folder, "") else {
        return;
    };
    let one = keeper(&fleet, &nats, "one").start();
    let two = keeper(&fleet, &nats, "two").join(one.address).start();
    for (node, other) in [(&one, "two"), (&two, "one")] {
        wait_for("the keepers", || {
            let view = node.picture()?;
            let knows = view.nodes.iter().any(|node| node.id == other);
            hold(knows, || format!("{} alone", node.id))
        });
        reaches(node.address, "andon_nats_connected{way=\"take\"}", 1);
    }
    let web = fleet.node("web").site("a").config(&config(&nats, ""));
    let web = web.start();
    let at = web.address;
    wait_for("the node", || web.picture());
    let metrics = wait_for("both keepers", || {
        let metrics = http::get(at, "/metrics")?.body;
        let has = |lane: &str| metrics.contains(&format!("andon_spool_keeper{{lane=\"{lane}\""));
        hold(has("main") && has("copy"), || "one".to_owned())?;
        Ok(metrics)
    });
    let pouring = Pouring::into(at, "one");
    pouring.more();
    let (main, other) = match metrics.contains("lane=\"main\",keeper=\"one\"") {
        true => (one, two),
        false => (two, one),
    };
    let main = main.kill();
    pouring.more();
    let sent = pouring.end();
    wait_within(3 * LIMIT, Duration::from_millis(100), "the copies", || {
        let queue = queue(at, "load")?;
        hold(queue["copies"] == 0 && queue["events"] == 0, || {
            queue.to_string()
        })
    });
    whole(other.address, sent, "from the copies");
    let main = main.start();
    let other = other.kill();
    whole(main.address, sent, "from the keeper that was away");
    drop(other);
}

#[test]
fn a_login_that_is_refused_is_told_and_loses_nothing() {
    let fleet = Fleet::new("nats-login");
    let Some(nats) = Nats::start(&fleet.folder, "") else {
        return;
    };
    let wrong = config(&nats, "").replace("crt@", "wrong@");
    let web = fleet.node("web").site("a").config(&wrong).start();
    wait_for("the refusal", || {
        web.logged(&["ERROR", "do not go over NATS", "Authorization Violation"])
    });
    assert!(web.logged(&["wrong"]).is_err(), "a password is logged");
    wait_for("room", || send(web.address, "load", &[], "{\"id\":1}\n"));
    let hub = keeper(&fleet, &nats, "hub").start();
    let web = web.leave().config(&config(&nats, "")).start();
    whole(hub.address, 1, "what waited");
    nothing_waits(web.address);
}
