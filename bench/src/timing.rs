//! How long until everybody sees it.

use crate::fleet::{Bench, Fleet, Node, all_up, report, wait};
use crate::http;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// Five nodes, one seed, cold start until the same digest and all links up everywhere.
pub fn cold(bench: &Bench) {
    let mut times = Vec::new();
    let mut missed = 0;
    for _ in 0..bench.runs {
        let started = Instant::now();
        let fleet = Fleet::start(bench, 5);
        match fleet.wait_healthy(started, PATIENCE) {
            Some(time) => times.push(time),
            None => missed += 1,
        }
    }
    report(
        "cold start of 5: same digest, all links up",
        times,
        missed,
        Duration::from_millis(1_500),
    );
}

/// Whether a survivor shows a lost node: links to it down, links from it unknown.
fn shows_lost(picture: &Value, lost: &[&str]) -> bool {
    let is_lost = |id: &Value| lost.iter().any(|lost| id == lost);
    let links = picture["links"].as_array().cloned().unwrap_or_default();
    let to_lost = links
        .iter()
        .filter(|l| is_lost(&l["to"]) && !is_lost(&l["from"]));
    let from_lost = links.iter().filter(|l| is_lost(&l["from"]));
    to_lost.clone().count() > 0
        && to_lost.into_iter().all(|l| l["state"] == "down")
        && from_lost.into_iter().all(|l| l["state"] == "unknown")
}

/// kill -9 of one of five until every survivor shows it.
pub fn kill(bench: &Bench) {
    let mut times = Vec::new();
    let mut missed = 0;
    for run in 0..bench.runs {
        let fleet = Fleet::start(bench, 5);
        if fleet.wait_healthy(Instant::now(), PATIENCE).is_none() {
            missed += 1;
            continue;
        }
        std::thread::sleep(Duration::from_millis(3_000 + 137 * run as u64 % 1_000));
        let victim = &fleet.nodes[run % 5];
        let killed = Instant::now();
        victim.signal(Signal::SIGKILL);
        let seen = wait(killed, PATIENCE, || {
            let mut survivors = fleet.nodes.iter().filter(|node| node.id != victim.id);
            survivors.all(|node| {
                node.picture()
                    .is_some_and(|p| shows_lost(&p, &[&victim.id]))
            })
        });
        match seen {
            Some(time) => times.push(time),
            None => missed += 1,
        }
    }
    report(
        "kill -9 of 1 of 5: shown by every survivor",
        times,
        missed,
        Duration::from_secs(2),
    );
}

/// SIGSTOP of one and of two of five, and the healthy links' probe rate meanwhile.
pub fn freeze(bench: &Bench) {
    // The rates take half a minute a run; a quarter of the runs tells as much.
    let runs = (bench.runs / 4).max(2);
    for frozen in [1, 2] {
        let mut times = Vec::new();
        let mut missed = 0;
        let mut rates = Vec::new();
        for run in 0..runs {
            let fleet = Fleet::start(bench, 5);
            if fleet.wait_healthy(Instant::now(), PATIENCE).is_none() {
                missed += 1;
                continue;
            }
            std::thread::sleep(Duration::from_millis(3_000 + 137 * run as u64 % 1_000));
            let before = healthy_rate(&fleet.nodes[frozen..]);
            let victims: Vec<&str> = fleet.nodes[..frozen]
                .iter()
                .map(|n| n.id.as_str())
                .collect();
            let stopped = Instant::now();
            fleet.nodes[..frozen]
                .iter()
                .for_each(|node| node.signal(Signal::SIGSTOP));
            let seen = wait(stopped, PATIENCE, || {
                let mut survivors = fleet.nodes[frozen..].iter();
                survivors.all(|node| node.picture().is_some_and(|p| shows_lost(&p, &victims)))
            });
            let during = healthy_rate(&fleet.nodes[frozen..]);
            if let (Some(before), Some(during)) = (before, during) {
                rates.push(during / before);
            }
            match seen {
                Some(time) => times.push(time),
                None => missed += 1,
            }
        }
        let what = format!("SIGSTOP of {frozen} of 5: shown by every survivor");
        report(&what, times, missed, Duration::from_secs(3));
        rates.sort_by(f64::total_cmp);
        let worst = rates.first().copied().unwrap_or(0.0) * 100.0;
        let verdict = if worst >= 99.0 { "ok" } else { "MISSED" };
        println!(
            "  probe rate of a healthy link meanwhile: worst {worst:.1} % of before  limit 99 %  {verdict}"
        );
    }
}

/// Probes a second on the links between `nodes`, counted by their observers over a time long
/// enough that one probe more or less is less than the limit.
fn healthy_rate(nodes: &[Node]) -> Option<f64> {
    let sent = || -> Option<f64> {
        let mut total = 0.0;
        for (from, to) in nodes.iter().flat_map(|a| nodes.iter().map(move |b| (a, b))) {
            if from.id != to.id {
                let path = format!("/api/v1/links/{}/{}", from.id, to.id);
                let detail = http::get(from.address, &path)?;
                let flows = detail["flows"].as_array()?;
                total += flows
                    .iter()
                    .filter_map(|flow| flow["sent"].as_f64())
                    .sum::<f64>();
            }
        }
        Some(total)
    };
    let first = sent()?;
    let started = Instant::now();
    std::thread::sleep(Duration::from_secs(12));
    Some((sent()? - first) / started.elapsed().as_secs_f64())
}

/// One direction of one link cut through the demo's relays until all five nodes name it.
pub fn cut(bench: &Bench) {
    let mut demo = Command::new(&bench.andon)
        .args(["demo", "--no-script", "--no-browser", "--port", "19877"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("andon demo starts");
    let output = demo.stdout.take().expect("piped");
    std::thread::spawn(move || BufReader::new(output).lines().for_each(drop));
    let first: SocketAddr = ([127, 0, 0, 1], 19_877).into();
    let (times, missed) = cut_runs(bench, first);
    report(
        "one direction of one link cut: named by all 5",
        times,
        missed,
        Duration::from_millis(2_500),
    );
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(demo.id()).expect("a pid fits")),
        Signal::SIGINT,
    );
    let _ = demo.wait();
}

fn cut_runs(bench: &Bench, first: SocketAddr) -> (Vec<Duration>, usize) {
    let mut times = Vec::new();
    let mut missed = 0;
    let healthy = |nodes: &[SocketAddr]| {
        let mut pictures = nodes.iter().map(|node| http::get(*node, "/api/v1/picture"));
        nodes.len() == 5 && pictures.all(|p| p.is_some_and(|p| all_up(&p, 5)))
    };
    let mut nodes = Vec::new();
    wait(Instant::now(), PATIENCE, || {
        nodes = node_addresses(first);
        healthy(&nodes)
    });
    let mut faults = Vec::new();
    wait(Instant::now(), PATIENCE, || {
        let demo = http::get(first, "/api/v1/demo").unwrap_or_default();
        faults = demo["faults"].as_array().cloned().unwrap_or_default();
        !faults.is_empty()
    });
    let one_way = faults.iter().find(|fault| fault["kind"] == "cut_one_way");
    let Some(fault) = one_way else {
        return (times, bench.runs);
    };
    for _ in 0..bench.runs {
        std::thread::sleep(Duration::from_secs(4));
        let cut = Instant::now();
        http::post(
            first,
            "/api/v1/demo/fault",
            &json!({"id": fault["id"], "active": true}),
        );
        let named = wait(cut, PATIENCE, || {
            nodes.iter().all(|node| {
                let picture = http::get(*node, "/api/v1/picture").unwrap_or_default();
                let verdicts = picture["verdicts"].as_array().cloned().unwrap_or_default();
                verdicts.iter().any(|v| {
                    v["kind"] == "link_down" && v["from"] == fault["from"] && v["to"] == fault["to"]
                })
            })
        });
        match named {
            Some(time) => times.push(time),
            None => missed += 1,
        }
        http::post(
            first,
            "/api/v1/demo/fault",
            &json!({"id": fault["id"], "active": false}),
        );
        wait(Instant::now(), PATIENCE, || healthy(&nodes));
    }
    (times, missed)
}

fn node_addresses(first: SocketAddr) -> Vec<SocketAddr> {
    let picture = http::get(first, "/api/v1/picture").unwrap_or_default();
    let nodes = picture["nodes"].as_array().cloned().unwrap_or_default();
    let address = |node: &Value| node["addresses"][0].as_str()?.parse().ok();
    nodes.iter().filter_map(address).collect()
}
