//! How many pictures a second a node serves, with wrk beside it on the same cores.

use crate::fleet::{Bench, Fleet, wait};
use crate::http;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// `GET /api/v1/picture` at 5 nodes, and at 100 nodes in full mesh, compressed.
pub fn rates(bench: &Bench) {
    let fleet = Fleet::start(bench, 5);
    fleet
        .wait_healthy(Instant::now(), PATIENCE)
        .expect("a healthy grid");
    std::thread::sleep(Duration::from_secs(3));
    wrk(
        "picture of 5 nodes",
        fleet.nodes[0].address,
        "identity",
        30_000.0,
        Some(5.0),
    );
    drop(fleet);

    let fleet = Fleet::start(bench, 1);
    let port = "127.0.0.1:19778";
    let mut crowd = Command::new(std::env::current_exe().expect("this program's path"))
        .args([
            "crowd",
            "--nodes",
            "98",
            "--links",
            "97",
            "--changes-per-s",
            "0",
            "--listen",
            port,
            "--key-file",
        ])
        .arg(fleet.key_file())
        .stdout(Stdio::null())
        .spawn()
        .expect("the crowd starts");
    std::thread::sleep(Duration::from_secs(2));
    let node = fleet.join(bench, port);
    wait(Instant::now(), PATIENCE, || {
        let figures = http::get_text(node.address, "/metrics").unwrap_or_default();
        figures.contains("andon_nodes{state=\"up\"} 100")
            || figures.contains("andon_nodes{state=\"up\"} 99")
    });
    std::thread::sleep(Duration::from_secs(3));
    wrk(
        "picture of 100 nodes, 9,500 links, gzip",
        node.address,
        "gzip",
        2_000.0,
        None,
    );
    let _ = crowd.kill();
    let _ = crowd.wait();
}

fn wrk(what: &str, address: SocketAddr, encoding: &str, rate_min: f64, p99_ms_max: Option<f64>) {
    let run = Command::new("wrk")
        .args(["-t1", "-c16", "-d8s", "--latency", "-H"])
        .arg(format!("accept-encoding: {encoding}"))
        .arg(format!("http://{address}/api/v1/picture"))
        .output();
    let Ok(run) = run else {
        println!("{what}: NOT MEASURED, wrk is not installed (apt-get install wrk)");
        return;
    };
    let text = String::from_utf8_lossy(&run.stdout);
    let field = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(name))?;
        line.split_whitespace().nth(1).map(str::to_owned)
    };
    let rate = field("Requests/sec:")
        .and_then(|rate| rate.parse::<f64>().ok())
        .unwrap_or(0.0);
    let p99_ms = field("99%")
        .and_then(|time| milliseconds(&time))
        .unwrap_or(f64::NAN);
    let errors = text
        .lines()
        .find(|line| line.contains("Non-2xx"))
        .unwrap_or("no errors");
    let good = rate >= rate_min && p99_ms_max.is_none_or(|limit| p99_ms <= limit);
    println!(
        "{what:<42} {rate:>8.0} /s (at least {rate_min:.0})  p99 {p99_ms:.1} ms{}  {}  {}",
        p99_ms_max.map_or(String::new(), |limit| format!(" (limit {limit:.0})")),
        errors.trim(),
        if good { "ok" } else { "MISSED" }
    );
}

/// wrk's `812.00us`, `1.24ms`, `1.02s` in milliseconds.
fn milliseconds(text: &str) -> Option<f64> {
    let (number, factor) = if let Some(number) = text.strip_suffix("us") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1.0)
    } else {
        (text.strip_suffix('s')?, 1_000.0)
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}
