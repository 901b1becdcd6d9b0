//! Real node processes on loopback, ended when dropped.

use crate::http;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What to measure and how often.
pub struct Bench {
    /// The binary.
    pub andon: PathBuf,
    /// Repetitions.
    pub runs: usize,
}

/// One running node.
pub struct Node {
    /// Its id.
    pub id: String,
    /// Its port.
    pub address: SocketAddr,
    child: Child,
}

/// Several nodes that share a key.
pub struct Fleet {
    /// The nodes.
    pub nodes: Vec<Node>,
    dir: PathBuf,
}

/// A port that is free for UDP and TCP, below the range that the system hands out by itself:
/// another node's flows would take one of those before its node has started.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 61;
        let port = u16::try_from(12_000 + number % 18_000).expect("below 30,000");
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
}

impl Fleet {
    /// Starts `count` nodes in three sites, all joining the first.
    pub fn start(bench: &Bench, count: usize) -> Self {
        let dir = std::env::temp_dir().join(format!(
            "andon-bench-{}-{}",
            std::process::id(),
            free_port()
        ));
        fs::create_dir_all(&dir).expect("a scratch directory");
        let key = dir.join("grid.key");
        let keygen = Command::new(&bench.andon)
            .arg("keygen")
            .output()
            .expect("andon keygen runs");
        fs::write(&key, keygen.stdout).expect("key written");
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let mut nodes = Vec::new();
        for (index, port) in ports.iter().enumerate() {
            let id = format!("n{}", index + 1);
            let address: SocketAddr = ([127, 0, 0, 1], *port).into();
            let log = File::create(dir.join(format!("{id}.log"))).expect("log");
            let mut command = Command::new(&bench.andon);
            command
                .args([
                    "node",
                    "--id",
                    &id,
                    "--site",
                    ["fra", "nyc", "sgp"][index % 3],
                ])
                .args(["--listen", &address.to_string()])
                .arg("--key-file")
                .arg(&key)
                .arg("--data-dir")
                .arg(dir.join(&id))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log);
            if index > 0 {
                command.args(["--join", &format!("127.0.0.1:{}", ports[0])]);
            }
            nodes.push(Node {
                id,
                address,
                child: command.spawn().expect("andon node starts"),
            });
        }
        Self { nodes, dir }
    }

    /// The key file that the nodes share.
    pub fn key_file(&self) -> PathBuf {
        self.dir.join("grid.key")
    }

    /// Starts one more node, which joins at `seed`; it ends when dropped.
    pub fn join(&self, bench: &Bench, seed: &str) -> Guest {
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let child = Command::new(&bench.andon)
            .args(["node", "--id", "guest", "--site", "site-0", "--join", seed])
            .args(["--listen", &address.to_string()])
            .arg("--key-file")
            .arg(self.key_file())
            .arg("--data-dir")
            .arg(self.dir.join("guest"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("andon node starts");
        Guest(Node {
            id: "guest".to_owned(),
            address,
            child,
        })
    }

    /// Waits until every node shows the same digest and all links up; the time it took.
    pub fn wait_healthy(&self, since: Instant, limit: Duration) -> Option<Duration> {
        wait(since, limit, || {
            let pictures: Vec<Value> = self.nodes.iter().filter_map(Node::picture).collect();
            pictures.len() == self.nodes.len()
                && pictures
                    .iter()
                    .all(|p| p["digest"] == pictures[0]["digest"])
                && pictures.iter().all(|p| all_up(p, self.nodes.len()))
        })
    }
}

/// Polls `condition` every few milliseconds; the time since `since` when it first held.
pub fn wait(
    since: Instant,
    limit: Duration,
    mut condition: impl FnMut() -> bool,
) -> Option<Duration> {
    while since.elapsed() < limit {
        if condition() {
            return Some(since.elapsed());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// Whether a picture shows `count` nodes, a full mesh of links, all up, and no verdict.
pub fn all_up(picture: &Value, count: usize) -> bool {
    let nodes = picture["nodes"].as_array().map_or(0, Vec::len);
    let links = picture["links"].as_array().cloned().unwrap_or_default();
    nodes == count
        && links.len() == count * (count - 1)
        && links.iter().all(|link| link["state"] == "up")
}

impl Node {
    /// What this node shows.
    pub fn picture(&self) -> Option<Value> {
        http::get(self.address, "/api/v1/picture")
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(self.pid(), signal);
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid fits"))
    }
}

/// A node outside the fleet, ended when dropped.
pub struct Guest(Node);

impl std::ops::Deref for Guest {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.0
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.child.kill();
        let _ = self.0.child.wait();
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let _ = kill(node.pid(), Signal::SIGCONT);
            let _ = node.child.kill();
            let _ = node.child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A row of a benchmark's table: median, 95th percentile, worst, and the limit.
pub fn report(what: &str, mut times: Vec<Duration>, missed: usize, limit: Duration) {
    times.sort();
    let at = |share: f64| {
        let last = times.len().saturating_sub(1);
        times
            .get(((last as f64) * share).ceil() as usize)
            .copied()
            .unwrap_or_default()
    };
    let verdict = if missed == 0 && at(0.95) <= limit {
        "ok"
    } else {
        "MISSED"
    };
    println!(
        "{what:<58} median {:>7.3} s  p95 {:>7.3} s  max {:>7.3} s  n {:>3}  not seen {missed}  limit {:>4.1} s  {verdict}",
        at(0.5).as_secs_f64(),
        at(0.95).as_secs_f64(),
        at(1.0).as_secs_f64(),
        times.len(),
        limit.as_secs_f64(),
    );
}
