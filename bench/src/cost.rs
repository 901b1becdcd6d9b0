//! What a node costs, and whether it stays quiet while nothing is wrong.

use crate::fleet::{Bench, Fleet};
use crate::http;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

fn rss_mib(pid: i32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// User and system time of a process in seconds.
fn cpu_s(pid: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<f64> = after
        .split_whitespace()
        .filter_map(|f| f.parse().ok())
        .collect();
    // The first field after the name is a letter and drops out: utime and stime are 10 and 11.
    (fields.get(10).unwrap_or(&f64::NAN) + fields.get(11).unwrap_or(&f64::NAN)) / 100.0
}

/// Memory and CPU of the nodes of a quiet grid of five over a minute.
pub fn cost(bench: &Bench) {
    let fleet = Fleet::start(bench, 5);
    fleet
        .wait_healthy(Instant::now(), PATIENCE)
        .expect("a healthy grid");
    std::thread::sleep(Duration::from_secs(5));
    let pids: Vec<i32> = fleet.nodes.iter().map(|node| node.pid().as_raw()).collect();
    let before: Vec<f64> = pids.iter().map(|pid| cpu_s(*pid)).collect();
    std::thread::sleep(Duration::from_secs(60));
    for ((pid, before), node) in pids.iter().zip(before).zip(&fleet.nodes) {
        let cpu = (cpu_s(*pid) - before) / 60.0 * 100.0;
        let rss = rss_mib(*pid);
        let verdict = if cpu <= 1.0 && rss <= 12.0 {
            "ok"
        } else {
            "MISSED"
        };
        println!(
            "{}: {rss:.1} MiB RSS (limit 12)  {cpu:.2} % of a core (limit 1)  {verdict}",
            node.id
        );
    }
}

/// Memory and CPU of one real node in a grid of a thousand, played by a crowd.
pub fn thousand(bench: &Bench) {
    let fleet = Fleet::start(bench, 1);
    let crowd_port = "127.0.0.1:19777";
    let crowd = std::env::current_exe().expect("this program's path");
    let mut crowd = std::process::Command::new(crowd)
        .args([
            "crowd",
            "--changes-per-s",
            "0",
            "--listen",
            crowd_port,
            "--key-file",
        ])
        .arg(fleet.key_file())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the crowd starts");
    std::thread::sleep(Duration::from_secs(8));
    let joined = Instant::now();
    let node = fleet.join(bench, crowd_port);
    let nodes = || {
        let figures = http::get_text(node.address, "/metrics").unwrap_or_default();
        let up = figures
            .lines()
            .find_map(|line| line.strip_prefix("andon_nodes{state=\"up\"} "));
        up.and_then(|count| count.parse::<usize>().ok())
            .unwrap_or(0)
    };
    let took = crate::fleet::wait(joined, PATIENCE * 4, || nodes() >= 1_000);
    std::thread::sleep(Duration::from_secs(45));
    let pid = node.pid().as_raw();
    let before = cpu_s(pid);
    std::thread::sleep(Duration::from_secs(30));
    let cpu = (cpu_s(pid) - before) / 30.0 * 100.0;
    let rss = rss_mib(pid);
    println!(
        "a node that holds the picture of {} nodes: joined in {took:?}, {rss:.1} MiB RSS (limit 45), {cpu:.2} % of a core  {}",
        nodes(),
        if rss <= 45.0 { "ok" } else { "MISSED" }
    );
    let _ = crowd.kill();
    let _ = crowd.wait();
}

/// Counts verdicts and links that are not up while every core is kept busy.
pub fn soak(bench: &Bench, minutes: u64) {
    let fleet = Fleet::start(bench, 5);
    fleet
        .wait_healthy(Instant::now(), PATIENCE)
        .expect("a healthy grid");
    let stop = Arc::new(AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let burners: Vec<_> = (0..cores)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut x = 1_u64;
                while !stop.load(Ordering::Relaxed) {
                    for _ in 0..100_000 {
                        x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005) + 1);
                    }
                }
            })
        })
        .collect();
    let started = Instant::now();
    let mut alarms = BTreeMap::<String, usize>::new();
    let mut looks = 0;
    while started.elapsed() < Duration::from_secs(minutes * 60) {
        std::thread::sleep(Duration::from_millis(500));
        for node in &fleet.nodes {
            let Some(picture) = node.picture() else {
                continue;
            };
            looks += 1;
            for verdict in picture["verdicts"].as_array().into_iter().flatten() {
                let remark = matches!(verdict["kind"].as_str(), Some("host_busy" | "clock_skew"));
                if !remark {
                    *alarms.entry(verdict["sentence"].to_string()).or_default() += 1;
                }
            }
            for link in picture["links"].as_array().into_iter().flatten() {
                if link["state"] != "up" {
                    let name = format!("{}→{} {}", link["from"], link["to"], link["state"]);
                    *alarms.entry(name).or_default() += 1;
                }
            }
        }
    }
    let incidents: BTreeSet<String> = fleet
        .nodes
        .iter()
        .filter_map(|node| http::get(node.address, "/api/v1/incidents"))
        .flat_map(|list| list.as_array().cloned().unwrap_or_default())
        .map(|incident| format!("{}: {}", incident["id"], incident["title"]))
        .collect();
    stop.store(true, Ordering::Relaxed);
    burners.into_iter().for_each(|burner| drop(burner.join()));
    println!(
        "soak of {minutes} min, {cores} cores busy, {looks} pictures looked at: {} false alarms (limit 0), {} incidents (limit 0)",
        alarms.len(),
        incidents.len()
    );
    for incident in incidents {
        println!("  {incident}");
    }
    for (alarm, count) in alarms {
        println!("  {count:>6} x {alarm}");
    }
}
