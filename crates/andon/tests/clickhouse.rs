//! ClickHouse behind real nodes: real servers, killed and brought back, and history moved there.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../../keep/clickhouse/tests/real/mod.rs"]
mod real;
mod support;

use real::Servers;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::events::{ask, count, send, text, waiting};
use support::fleet::{Fleet, Node, Plan, andon};
use support::{hold, http, wait_for, wait_within};

/// A node that keeps its events on these servers.
fn on_clickhouse(fleet: &Fleet, id: &str, servers: &Servers) -> Plan {
    fleet.node(id).config(&configuration(servers))
}

fn configuration(servers: &Servers) -> String {
    let urls = json!(servers.urls()).to_string();
    let cluster = match servers.urls().len() {
        1 => "",
        _ => "clickhouse_cluster = \"andon\"\n",
    };
    format!("[ingest.system]\nenabled = false\n[store]\nclickhouse = {urls}\n{cluster}")
}

fn get(node: SocketAddr, path: &str) -> Result<Value, String> {
    let answer = http::get(node, path)?;
    match answer.status {
        200 => serde_json::from_str(&answer.body).map_err(|error| error.to_string()),
        status => Err(format!("{path}: {status}: {}", answer.body)),
    }
}

/// The begin of an hour that is over, in milliseconds since 1970.
fn hour(ago: u64) -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    (since.as_secs() / 3_600 - ago) * 3_600_000
}

/// A question with its time filled in.
fn within(question: &str, begin: u64) -> String {
    let minute = |minutes: u64| begin + minutes * 60_000;
    let range = format!("from {} to {}", begin - 7_200_000, minute(60));
    let later = format!("from {} to {}", minute(5), minute(10));
    question.replace("RANGE", &range).replace("LATER", &later)
}

/// Two hundred requests over ten minutes of an hour, and the hosts they ran on.
fn requests(begin: u64) -> (String, String) {
    let line = |n: u64| {
        let region = if n.is_multiple_of(2) { "eu" } else { "us" };
        json!({
            "ts": begin + n * 3_000, "region": region,
            "status": if n.is_multiple_of(10) { 503 } else { 200 }, "duration_ms": 10 + n,
            "host": format!("web-{}", n % 4), "trace_id": format!("{:032x}", n / 5),
            "span_id": format!("{n:016x}"), "name": "GET /", "body": format!("request {n}"),
        })
        .to_string()
    };
    let requests: Vec<String> = (0..200).map(line).collect();
    let host = |n: u64| {
        let kernel = if n.is_multiple_of(2) { "6.1" } else { "6.2" };
        json!({"ts": begin - 3_600_000, "host": format!("web-{n}"), "kernel": kernel}).to_string()
    };
    let hosts: Vec<String> = (0..4).map(host).collect();
    (requests.join("\n") + "\n", hosts.join("\n") + "\n")
}

/// Questions as people and the console ask them; all are to be answered alike.
const QUESTIONS: [&str; 12] = [
    "requests | by region | count, error_share, avg(duration_ms), max(duration_ms) | RANGE",
    "requests | by region, 1m | count, sum(duration_ms) | order time, region | RANGE",
    "requests | where status >= 500 | by host | count | order host | RANGE",
    "requests | by region | p50(duration_ms), p99(duration_ms) | order region | RANGE",
    "requests | by 2m | heatmap(duration_ms) | order time | RANGE",
    "requests | join hosts on host take kernel | by kernel | count, avg(duration_ms) | order kernel | RANGE",
    "requests | by region | count | compare -5m | order region | LATER",
    "requests | where body contains \"request 19\" | count, distinct(host) | RANGE",
    "requests | where body matches \"request 1\\d$\" | top 20 | RANGE",
    "requests | where host in (web-1, web-3) and region exists | by host | percent, rate | order host | RANGE",
    "requests | by region | count | top 1 by count | exemplars 2 | RANGE",
    "requests | where host = nobody | count | RANGE",
];

/// What an answer says, without what it cost: numbers to nine digits, and cells by the names of
/// their columns, since stores keep keys in different orders.
fn said(mut answer: Value) -> Value {
    answer.as_object_mut().unwrap().remove("stats");
    let columns = answer["columns"].as_array().unwrap().clone();
    for row in answer["rows"].as_array_mut().unwrap() {
        let cells = row.as_array().unwrap().iter();
        let named = columns
            .iter()
            .zip(cells)
            .filter(|(_, cell)| !cell.is_null());
        let named = named.map(|(column, cell)| (support::text(&column["name"]), cell.clone()));
        *row = Value::Object(named.collect());
    }
    for exemplar in answer["exemplars"].as_array_mut().unwrap() {
        // Of those that failed and the typical ones any will do.
        match exemplar["why"].as_str() {
            Some("slowest") => {}
            Some("failed") => assert_eq!(exemplar["attributes"]["status"], 503, "{exemplar}"),
            _ => assert!(
                exemplar["attributes"]["duration_ms"].is_number(),
                "{exemplar}"
            ),
        }
        if exemplar["why"] != "slowest" {
            *exemplar = exemplar["why"].clone();
        }
    }
    // Each store finds as many of them as lie near enough.
    answer["exemplars"].as_array_mut().unwrap().dedup();
    let mut kinds: Vec<String> = columns.iter().map(Value::to_string).collect();
    kinds.sort();
    answer["columns"] = json!(kinds);
    fn round(value: &mut Value) {
        match value {
            Value::Number(number) => {
                let text = format!("{:.9e}", number.as_f64().unwrap());
                *value = json!(text.parse::<f64>().unwrap());
            }
            Value::Array(all) => all.iter_mut().for_each(round),
            Value::Object(all) => all.values_mut().for_each(round),
            _ => {}
        }
    }
    round(&mut answer);
    answer
}

/// All numbers of an answer's rows.
fn numbers(answer: &Value) -> impl Iterator<Item = f64> {
    let rows = answer["rows"].as_array().unwrap().iter();
    let cells = rows.flat_map(|row| row.as_array().unwrap());
    cells.filter_map(Value::as_f64)
}

fn without_node(mut value: Value) -> String {
    fn strip(value: &mut Value) {
        match value {
            Value::Array(all) => all.iter_mut().for_each(strip),
            Value::Object(all) => {
                all.remove("andon.node");
                all.values_mut().for_each(strip);
            }
            Value::String(text) if text == "embedded" || text == "clickhouse" => {
                *text = "node".to_owned();
            }
            _ => {}
        }
    }
    strip(&mut value);
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn a_node_on_clickhouse_answers_as_one_with_its_own_store() {
    let Some(servers) = Servers::start(1, "a node on ClickHouse") else {
        return;
    };
    let fleet = Fleet::new("clickhouse-node");
    let plain = "[ingest.system]\nenabled = false\n";
    let embedded = fleet.node("embedded").config(plain).start();
    let other = Fleet::new("clickhouse-node-2");
    let node = on_clickhouse(&other, "clickhouse", &servers).start();
    let begin = hour(3);
    let (requests, hosts) = requests(begin);
    let tail = {
        wait_for("the node", || node.picture());
        http::subscribe(
            node.address,
            "/api/v1/tail?dataset=requests&q=status%20%3E%3D%20500",
        )
    };
    for at in [embedded.address, node.address] {
        let sent = wait_for("events to be taken", || {
            send(at, "requests", &[], &requests)
        });
        assert_eq!(sent["accepted"], 200, "{sent}");
        send(at, "hosts", &[], &hosts).unwrap();
        wait_for("all of them", || {
            let all = text(at, &within("requests | count | RANGE", begin))?;
            let hosts = text(at, &within("hosts | count | RANGE", begin))?;
            hold(all["rows"][0][0] == 200 && hosts["rows"][0][0] == 4, || {
                format!("{all} {hosts}")
            })
        });
    }
    for question in QUESTIONS.map(|question| within(question, begin)) {
        let here = wait_for("its own store", || text(embedded.address, &question));
        let there = wait_for("ClickHouse", || text(node.address, &question));
        if question.contains("p50") {
            // Between two of a hundred values one takes the middle, the other the lower one.
            for (here, there) in numbers(&here).zip(numbers(&there)) {
                let is_near = (here - there).abs() <= 0.02 * here;
                assert!(is_near, "{question}: {here} {there}");
            }
            continue;
        }
        let (here, there) = (without_node(said(here)), without_node(said(there)));
        assert_eq!(here, there, "{question}");
    }
    for wrong in ["requests | whre a = 1", "requests | p9(x)"] {
        let here = text(embedded.address, wrong).unwrap_err();
        assert_eq!(here, text(node.address, wrong).unwrap_err(), "{wrong}");
    }
    // What the console asks besides.
    let name = |all: &Value| {
        all.as_array()
            .unwrap()
            .iter()
            .map(|one| support::text(&one["name"]))
            .collect::<Vec<_>>()
    };
    for path in ["/api/v1/datasets", "/api/v1/datasets/requests/keys"] {
        let mut here = name(&get(embedded.address, path).unwrap());
        let mut there = name(&get(node.address, path).unwrap());
        here.sort();
        there.sort();
        assert_eq!(here, there, "{path}");
    }
    let datasets = get(node.address, "/api/v1/datasets").unwrap();
    assert_eq!(datasets[1]["rows"], 200, "{datasets}");
    assert!(datasets[1]["from"].is_string(), "{datasets}");
    for path in [
        "/api/v1/datasets/requests/values?key=region&prefix=e",
        "/api/v1/datasets/requests/values?key=status",
    ] {
        let here = get(embedded.address, path).unwrap();
        assert_eq!(here, get(node.address, path).unwrap(), "{path}");
    }
    let trace = "/api/v1/traces/00000000000000000000000000000003?dataset=requests&from=-1d";
    let here = without_node(get(embedded.address, trace).unwrap());
    assert_eq!(here, without_node(get(node.address, trace).unwrap()));
    assert_eq!(here.matches("\"span_id\"").count(), 5, "{here}");
    let watching = tail.recv_timeout(support::LIMIT).unwrap();
    assert_eq!(watching.0, "watching");
    let seen = tail.recv_timeout(support::LIMIT).unwrap();
    assert_eq!((seen.0.as_str(), &seen.1["status"]), ("event", &json!(503)));
    let url = format!("http://{}", node.address);
    let out = node.run(&[
        "query",
        &within(QUESTIONS[0], begin),
        "--csv",
        "--node",
        &url,
    ]);
    let told = String::from_utf8_lossy(&out.stdout);
    assert!(told.contains("eu,100,"), "{told} {out:?}");
    retention_drops_whole_days(&node);
    let early = http::request(
        node.address,
        "POST",
        "/api/v1/query",
        &[
            ("accept", "text/event-stream"),
            ("content-type", "application/json"),
        ],
        &json!({"text": within(QUESTIONS[0], begin)}).to_string(),
    );
    assert!(early.unwrap().body.contains("event: answer"));
}

/// What a dataset has beyond its size goes by the day, oldest first and without a restart. Age
/// counts from arrival: what is imported from long ago stays.
fn retention_drops_whole_days(node: &Node) {
    let mut seed = 1_u64;
    let mut line = || {
        let noise: String = (0..8)
            .map(|_| {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                format!("{:08x}", seed >> 32)
            })
            .collect();
        format!("{{\"ts\":{},\"noise\":\"{noise}\"}}\n", hour(72))
    };
    for _ in 0..5 {
        let lines: String = (0..8_000).map(|_| line()).collect();
        send(node.address, "large", &[], &lines).unwrap();
    }
    send(node.address, "large", &[], "{\"n\":2}\n").unwrap();
    let lines = format!("{{\"ts\":{},\"n\":1}}\n{{\"n\":2}}\n", hour(72));
    send(node.address, "imported", &[], &lines).unwrap();
    let rows = |dataset: &str| {
        let answer = text(node.address, &format!("{dataset} | count | last 10d"))?;
        Ok::<_, String>(answer["rows"][0][0].clone())
    };
    wait_for("old events", || {
        let (large, imported) = (rows("large")?, rows("imported")?);
        hold(large == 40_001 && imported == 2, || large.to_string())
    });
    let config = node.plan.config_file();
    let before = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        format!("{before}[store.retention]\nlarge = \"1MB\"\nimported = \"1d\"\n"),
    )
    .unwrap();
    node.signal(nix::sys::signal::Signal::SIGHUP);
    wait_for("old events to go", || {
        let left = rows("large")?;
        hold(left == 1, || left.to_string())
    });
    assert_eq!(rows("imported"), Ok(json!(2)));
}

/// Batches of fifty under a name each, sent again until they are taken, as a good client does.
fn pour(node: SocketAddr, from: u64, to: u64) {
    for batch in from..to {
        let lines: String = (0..50)
            .map(|line| {
                format!("{{\"id\":\"{batch}-{line}\",\"pad\":\"some text that is longer\"}}\n")
            })
            .collect();
        let name = format!("batch-{batch}");
        wait_for_quietly(|| {
            let sent = send(node, "load", &[("idempotency-key", &name)], &lines)?;
            hold(sent["accepted"] == 50, || sent.to_string())
        });
    }
}

fn wait_for_quietly(mut look: impl FnMut() -> Result<(), String>) {
    let start = std::time::Instant::now();
    while let Err(seen) = look() {
        assert!(start.elapsed() < 3 * support::LIMIT, "{seen}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn all_once(node: SocketAddr, expected: u64) {
    wait_within(
        3 * support::LIMIT,
        Duration::from_millis(200),
        "all that was acknowledged",
        || {
            let there = count(node, "load")?;
            hold(there == expected, || format!("{there} of {expected}"))
        },
    );
    let question = json!({"dataset": "load", "from": "-1d", "calc": [{"op": "count"}], "group_by": ["id"], "order_by": ["-count"], "limit": 1});
    let most = ask(node, &question).unwrap();
    assert_eq!(most["rows"][0][1], 1, "{most}");
}

#[test]
fn clickhouse_and_the_node_may_be_killed_and_nothing_is_lost_or_twice() {
    let Some(mut servers) = Servers::start(1, "ClickHouse away") else {
        return;
    };
    let fleet = Fleet::new("clickhouse-away");
    let mut node = on_clickhouse(&fleet, "one", &servers).start();
    let at = node.address;
    wait_for("the node", || node.picture());
    pour(at, 0, 20);
    all_once(at, 1_000);
    for round in 1..=3_u64 {
        let batch = round * 40;
        pour(at, batch - 20, batch - 10);
        // While a block is on its way.
        servers.kill(0);
        pour(at, batch - 10, batch);
        node = node.kill().start();
        wait_for("what waits to be told", || {
            let waits = waiting(at, "load")?;
            hold(waits >= 500, || waits.to_string())
        });
        let failure = text(at, "load | count").unwrap_err();
        assert!(failure.contains("ClickHouse"), "{failure}");
        // It is said where people look.
        let metrics = http::get(at, "/metrics").unwrap().body;
        assert!(metrics.contains("andon_spool_events{stream=\"load\"}"));
        servers.restart(0);
        pour(at, batch, batch + 20);
        node = node.kill().start();
        all_once(at, (batch + 20) * 50);
    }
    wait_for("an empty queue", || {
        let waits = waiting(at, "load")?;
        hold(waits == 0, || waits.to_string())
    });
    drop(node);
}

#[test]
fn of_two_servers_one_may_be_killed_and_a_node_without_clickhouse_asks_through_one_that_has_it() {
    let Some(mut servers) = Servers::start(2, "two servers behind nodes") else {
        return;
    };
    let fleet = Fleet::new("clickhouse-two");
    let keeper = on_clickhouse(&fleet, "keeper", &servers)
        .args(&["--keep", "true"])
        .start();
    let plain = "[ingest.system]\nenabled = false\n";
    let web = fleet
        .node("web")
        .join(keeper.address)
        .args(&["--keep", "false"])
        .config(plain)
        .start();
    wait_for("both to know each other", || {
        let picture = web.picture()?;
        hold(picture.nodes.len() == 2, || picture.nodes.len().to_string())
    });
    pour(web.address, 0, 10);
    pour(keeper.address, 10, 20);
    all_once(web.address, 1_000);
    all_once(keeper.address, 1_000);
    // Blocks are spread over the servers.
    for batch in 20..60 {
        pour(keeper.address, batch, batch + 1);
    }
    all_once(keeper.address, 3_000);
    let both = wait_for("an answer of both", || {
        text(keeper.address, "load | count | last 1h")
    });
    assert_eq!(both["partial"], false, "{both}");
    servers.kill(0);
    let partial = wait_for("a partial answer", || {
        let answer = text(web.address, "load | count | last 1h")?;
        hold(answer["partial"] == true, || answer.to_string()).map(|()| answer)
    });
    assert!(
        partial["notes"].to_string().contains("does not answer"),
        "{partial}"
    );
    let left = partial["rows"][0][0].as_u64().unwrap();
    // Events go on to the one that is left.
    pour(web.address, 60, 70);
    wait_within(
        3 * support::LIMIT,
        Duration::from_millis(200),
        "events on the other",
        || {
            let there = count(keeper.address, "load")?;
            hold(there == left + 500, || format!("{there} of {left} and 500"))
        },
    );
    let datasets = get(web.address, "/api/v1/datasets").unwrap();
    assert_eq!(datasets[0]["name"], "load", "{datasets}");
    servers.restart(0);
    all_once(web.address, 3_500);
}

/// `andon store migrate`, killed at random moments and begun again.
#[test]
fn history_moves_to_clickhouse_though_the_move_is_killed_again_and_again() {
    let Some(servers) = Servers::start(1, "moving to ClickHouse") else {
        return;
    };
    let fleet = Fleet::new("clickhouse-move");
    let plain = "[ingest.system]\nenabled = false\n";
    let node = fleet.node("one").config(plain).start();
    let at = node.address;
    wait_for("the node", || node.picture());
    // Many hours with some events each, and one hour with more than one batch.
    for ago in 1..=60_u64 {
        let lines: String = (0..if ago == 30 { 2_000 } else { 100 })
            .map(|n| {
                let ts = hour(ago) + n;
                format!("{{\"ts\":{ts},\"id\":\"{ago}-{n}\",\"x\":{n}.5,\"ok\":true}}\n")
            })
            .collect();
        let sent = send(at, "load", &[], &lines).unwrap();
        assert_eq!(sent["rejected_total"], 0, "{sent}");
    }
    let expected = 59 * 100 + 2_000;
    let everything = "load | count, sum(x), min(x), max(x) | last 4d";
    let before = text(at, everything).unwrap();
    assert_eq!(before["rows"][0][0], expected, "{before}");
    let plan = node.leave();
    let plan = plan.config(&configuration(&servers));
    let command = || {
        let mut command: Command = andon(fleet.folder.path());
        command.args(["store", "migrate", "--json", "--data-dir"]);
        command
            .arg(&plan.data_dir)
            .arg("--config")
            .arg(plan.config_file());
        command
    };
    for round in 1..=6 {
        let mut moving = command().stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(60 * round));
        let _ = moving.kill();
        let _ = moving.wait();
    }
    let done = command().output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(told["slices_done"], told["slices"], "{told}");
    let again: Value = serde_json::from_slice(&command().output().unwrap().stdout).unwrap();
    assert_eq!(
        (&again["written"], &again["known"]),
        (&json!(0), &json!(0)),
        "{again}"
    );
    let node: Node = plan.start();
    let after = wait_for("the answer of ClickHouse", || text(at, everything));
    assert_eq!(after["rows"], before["rows"], "{after}");
    drop(node);
}
