//! Events on real nodes: taken in, kept, asked; killed in the middle; sent to keepers.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::events::{ask, count, send, text};
use support::fleet::Fleet;
use support::{hold, http, wait_for};

#[test]
fn events_are_taken_and_asked_over_the_one_port() {
    let fleet = Fleet::new("events-walk");
    let node = fleet.node("one").start();
    let at = node.address;
    let body = "{\"ts\":\"2026-11-20T03:20:00Z\",\"region\":\"eu\",\"status\":200,\"duration_ms\":10,\"trace_id\":\"ab\"}\n\
                {\"ts\":1795144801000,\"region\":\"us\",\"status\":503,\"duration_ms\":40,\"a\":{\"b\":true}}\n\
                {\"ts\":\"never\"\n";
    let answer = wait_for("events to be taken", || send(at, "requests", &[], body));
    assert_eq!(answer["accepted"], 2, "{answer}");
    assert_eq!(answer["rejected"][0]["line"], 3, "{answer}");

    let question = json!({
        "dataset": "requests", "from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z",
        "where": [{"key": "duration_ms", "op": ">", "value": 1}],
        "group_by": ["region"], "calc": [{"op": "count"}, {"op": "error_share"}], "exemplars": 1
    });
    let answer = ask(at, &question).unwrap();
    assert_eq!(
        answer["rows"],
        json!([["eu", 1, 0.0], ["us", 1, 1.0]]),
        "{answer}"
    );
    assert_eq!(answer["partial"], false, "{answer}");
    assert_eq!(answer["exemplars"][0]["attributes"]["andon.node"], "one");

    // Mistakes are told with their place.
    let wrong = text(at, "requests | whre a = 1").unwrap_err();
    assert!(
        wrong.contains("400") && wrong.contains("where") && wrong.contains("span"),
        "{wrong}"
    );
    let wrong = ask(
        at,
        &json!({"dataset": "requests", "calc": [{"op": "p9", "key": "x"}]}),
    )
    .unwrap_err();
    assert!(
        wrong.contains("calc[0].op") && wrong.contains("p90"),
        "{wrong}"
    );
    let wrong = send(at, "no%20name", &[], "{}").unwrap_err();
    assert!(wrong.contains("400"), "{wrong}");

    let trace = http::get(
        at,
        "/api/v1/traces/ab?dataset=requests&from=2026-11-20T00:00:00Z",
    )
    .unwrap();
    assert_eq!(trace.status, 200, "{}", trace.body);
    assert!(trace.body.contains("\"spans\""), "{}", trace.body);
    let datasets = http::get(at, "/api/v1/datasets").unwrap();
    assert!(datasets.body.contains("\"requests\""), "{}", datasets.body);
    let values = http::get(at, "/api/v1/datasets/requests/values?key=region&prefix=e").unwrap();
    assert_eq!(values.body, "[\"eu\"]");
    let metrics = http::get(at, "/metrics").unwrap();
    assert!(
        metrics
            .body
            .contains("andon_ingest_accepted_total{input=\"events\"} 2")
    );

    // The machine is measured without a word of configuration.
    wait_for("the machine's own metrics", || {
        let answer = text(
            at,
            "metrics | where name = system.memory.usage | by andon.node | count",
        )?;
        hold(answer["rows"][0][0] == "one", || answer.to_string())
    });
}

#[test]
fn the_command_line_sends_imports_asks_and_checks() {
    let fleet = Fleet::new("events-cli");
    let node = fleet.node("one").start();
    let url = format!("http://{}", node.address);
    wait_for("the node", || node.picture());
    let run = |args: &[&str]| {
        let out = node.run(&[args, &["--node", &url]].concat());
        let both = [out.stdout.as_slice(), out.stderr.as_slice()].concat();
        (out.status.code(), String::from_utf8(both).unwrap())
    };
    let lines: String = (0..5_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let file = fleet
        .folder
        .write("some.ndjson", &format!("{lines}rubbish\n"));
    let file = file.to_str().unwrap();
    for _ in 0..2 {
        let (code, told) = run(&["import", file, "--dataset", "some"]);
        assert_eq!(code, Some(1), "{told}");
        assert!(
            told.contains("5000 events are kept in some, 1 lines are not"),
            "{told}"
        );
        assert!(told.contains("some.ndjson:5001: "), "{told}");
    }
    assert_eq!(
        count(node.address, "some"),
        Ok(5_000),
        "a repeated import adds nothing"
    );

    let (_, id) = run(&["event", "begin", "backup", "db=orders"]);
    let (code, told) = run(&["event", "end", id.trim(), "--status", "error"]);
    assert_eq!(code, Some(0), "{told}");
    let trace = id.split('-').next().unwrap();
    let path = format!("/api/v1/traces/{trace}?dataset=events");
    let trace: Value = serde_json::from_str(&http::get(node.address, &path).unwrap().body).unwrap();
    assert_eq!(trace["spans"][0]["failed"], true, "{trace}");
    let (code, told) = run(&["query", "some | count | last 1h", "--csv"]);
    assert_eq!((code, told.as_str()), (Some(0), "count\r\n5000\r\n"));
    let (code, told) = run(&["query", "some | cuont"]);
    assert!(
        code == Some(2) && told.contains('^') && told.contains("count"),
        "{told}"
    );

    let dir = node.plan.data_dir.clone();
    let dir = dir.to_str().unwrap();
    let busy = node.run(&["store", "check", "--data-dir", dir]);
    assert!(String::from_utf8_lossy(&busy.stderr).contains("stop the node first"));
    let plan = node.leave();
    let ended = support::fleet::andon(fleet.folder.path())
        .args([
            "store",
            "check",
            "--data-dir",
            plan.data_dir.to_str().unwrap(),
            "--json",
        ])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let out = support::fleet::andon(fleet.folder.path())
        .args(["store", "export", "some", "--data-dir", dir])
        .output()
        .unwrap();
    let exported = String::from_utf8(out.stdout).unwrap();
    assert_eq!(exported.lines().count(), 5_000);
    assert!(exported.contains("\"n\":4999"));
}

#[test]
fn who_may_send_and_who_may_ask() {
    let fleet = Fleet::new("events-rights");
    let strict = "[ingest]\nloopback = false\n[http]\nloopback_viewer = false\n";
    let node = fleet.node("one").config(strict).start();
    let at = node.address;
    let dir = node.plan.data_dir.to_str().unwrap().to_owned();
    let token = |role: &str| {
        let out = node.run(&["token", "create", "--role", role, "--data-dir", &dir]);
        assert!(out.status.success(), "{out:?}");
        let secret = String::from_utf8(out.stdout).unwrap();
        format!("Bearer {}", secret.trim())
    };
    let refused = wait_for("a refusal", || {
        let refused = send(at, "x", &[], "{\"a\":1}\n").unwrap_err();
        hold(refused.contains("401"), || refused.clone()).map(|()| refused)
    });
    assert!(refused.contains("--role ingest"), "{refused}");
    let (ingest, viewer) = (token("ingest"), token("viewer"));
    let sent = send(at, "x", &[("authorization", &ingest)], "{\"a\":1}\n").unwrap();
    assert_eq!(sent["accepted"], 1);
    let refused = send(at, "x", &[("authorization", &viewer)], "{\"a\":1}\n").unwrap_err();
    assert!(refused.contains("403"), "{refused}");
    for path in [
        "/api/v1/picture",
        "/api/v1/datasets",
        "/metrics",
        "/api/v1/tail?dataset=x",
    ] {
        let answer = http::request(at, "GET", path, &[("authorization", &ingest)], "").unwrap();
        assert_eq!(answer.status, 403, "{path}: an ingest token sees nothing");
    }
}

#[test]
fn a_node_killed_while_it_takes_events_loses_none_that_it_acknowledged_and_has_none_twice() {
    let fleet = Fleet::new("events-kill");
    let mut node = fleet.node("one").start();
    let at = node.address;
    wait_for("the node", || node.picture());
    let is_over = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let senders: Vec<_> = (0..3_u64)
        .map(|sender| {
            let (is_over, acknowledged) = (Arc::clone(&is_over), Arc::clone(&acknowledged));
            std::thread::spawn(move || {
                let mut batches = Vec::new();
                for batch in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return batches;
                    }
                    let body: String = (0..50)
                        .map(|line| format!("{{\"id\":\"{sender}-{batch}-{line}\"}}\n"))
                        .collect();
                    // Sent again under its name until it is acknowledged, as a good client does.
                    let name = format!("{sender}-{batch}");
                    let headers = [("idempotency-key", name.as_str())];
                    while send(at, "load", &headers, &body).is_err() {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    acknowledged.fetch_add(50, Ordering::Relaxed);
                    batches.push(batch);
                }
                batches
            })
        })
        .collect();
    for kill in 1..=4_u64 {
        wait_for("some events to be taken", || {
            let taken = acknowledged.load(Ordering::Relaxed);
            hold(taken >= kill * 400, || taken.to_string())
        });
        node = node.kill().start();
    }
    is_over.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.join().unwrap();
    }
    let expected = acknowledged.load(Ordering::Relaxed);
    wait_for("all that was acknowledged, once", || {
        let taken = count(at, "load")?;
        hold(taken == expected, || format!("{taken} of {expected}"))
    });
    let question = json!({"dataset": "load", "from": "-1d", "calc": [{"op": "count"}], "group_by": ["id"], "order_by": ["-count"], "limit": 1});
    let most = ask(at, &question).unwrap();
    assert_eq!(most["rows"][0][1], 1, "{most}");
    drop(node);
}

/// A keeper and a node that sends it what it reads of a file.
#[test]
fn a_line_written_on_one_node_is_seen_by_a_question_on_another_within_two_seconds() {
    let fleet = Fleet::new("events-ship");
    let keeper = fleet.node("keeper").args(&["--keep", "true"]).start();
    let log = fleet.folder.path().join("app.log");
    std::fs::write(&log, "").unwrap();
    let config = format!(
        "[ingest]\n[[ingest.files]]\npaths = [{:?}]\ndataset = \"app\"\n",
        log.to_str().unwrap()
    );
    let web = fleet
        .node("web")
        .join(keeper.address)
        .args(&["--keep", "false"])
        .config(&config)
        .start();
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    let mut line = |text: &str| {
        file.write_all(format!("{text}\n").as_bytes()).unwrap();
    };
    line("level=info msg=first");
    wait_for("the first line at the keeper", || {
        hold(count(keeper.address, "app")? == 1, || "not yet".to_owned())
    });
    // A question to the node that keeps nothing is answered by the keeper.
    let mut slowest = Duration::ZERO;
    for number in 2..=6 {
        let written = Instant::now();
        line(&format!("level=error msg=boom n={number}"));
        wait_for("the line", || {
            hold(count(web.address, "app")? == number, || {
                "not yet".to_owned()
            })
        });
        slowest = slowest.max(written.elapsed());
    }
    println!("slowest: {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");

    // The keeper is away: what is written meanwhile waits, and comes once.
    let plan = keeper.kill();
    for number in 7..=20 {
        line(&format!("level=error msg=away n={number}"));
    }
    wait_for("what waits to be told", || {
        let spool: Value = serde_json::from_str(&http::get(web.address, "/api/v1/spool")?.body)
            .map_err(|error| error.to_string())?;
        let app = spool
            .as_array()
            .into_iter()
            .flatten()
            .find(|stream| stream["stream"] == "app");
        hold(app.is_some_and(|app| app["events"] == 14), || {
            spool.to_string()
        })
    });
    // Killed as well, while it waits.
    let web = web.kill().start();
    wait_for("partial answers to be told as such", || {
        let answer = text(web.address, "app | count");
        match answer {
            Ok(answer) => hold(answer["partial"] == true, || answer.to_string()),
            Err(error) => hold(error.contains("keeper"), || error),
        }
    });
    let keeper = plan.start();
    wait_for("what waited", || {
        let events = count(web.address, "app")?;
        hold(events == 20, || events.to_string())
    });
    let answer = text(
        keeper.address,
        "app | by n | count | last 1h | top 1 by count",
    )
    .unwrap();
    assert_eq!(answer["rows"][0][1], 1, "{answer}");
    wait_for("an empty queue", || {
        let spool: Value = serde_json::from_str(&http::get(web.address, "/api/v1/spool")?.body)
            .map_err(|error| error.to_string())?;
        let waiting: u64 = spool
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|stream| stream["events"].as_u64())
            .sum();
        hold(waiting == 0, || spool.to_string())
    });
}

#[test]
fn nodes_without_a_keeper_keep_their_own_and_any_of_them_answers_for_all() {
    let fleet = Fleet::new("events-all");
    let mut nodes = fleet.start(&["a", "b", "c"]);
    for node in &nodes {
        let body = format!("{{\"who\":\"{}\",\"ms\":5}}\n", node.id);
        wait_for("an event to be taken", || {
            send(node.address, "who", &[], &body)
        });
    }
    let all = |at| {
        let answer = text(at, "who | by who | count, p50(ms) | last 1h")?;
        let rows = answer["rows"].as_array().cloned().unwrap_or_default();
        let by_who: BTreeMap<String, u64> = rows
            .iter()
            .map(|row| (support::text(&row[0]), row[1].as_u64().unwrap_or(0)))
            .collect();
        Ok::<_, String>((by_who.len(), answer["partial"] == true, answer))
    };
    for node in &nodes {
        wait_for("all three in one answer", || {
            let (count, is_partial, answer) = all(node.address)?;
            hold(count == 3 && !is_partial, || answer.to_string())
        });
    }
    let c = nodes.pop().unwrap();
    let plan = c.kill();
    wait_for("an answer that says what is missing", || {
        let (count, is_partial, answer) = all(nodes[0].address)?;
        let says = answer["notes"].to_string().contains("c ");
        hold(count == 2 && is_partial && says, || answer.to_string())
    });
    let _c = plan.start();
    wait_for("all three again", || {
        let (count, is_partial, answer) = all(nodes[0].address)?;
        hold(count == 3 && !is_partial, || answer.to_string())
    });
}
