//! A member that publishes as much as one may: real nodes hold it within seconds, and answer
//! people meanwhile. Rows are the same in `see/grid/tests/world.rs`; here what is shown and
//! planned from them is real too.
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // the support modules say where logs are kept

mod support;

use andon_grid::{
    Endpoint, Grid, GridConfig, GridInput, GridOutput, KeyRing, OwnSlice, StoreLimits,
};
use andon_model::{
    FlowCount, Identity, Instant, LinkReport, LinkState, NodeId, NodeKey, Peer, Presence, Reach,
    RttUs, SiteId, Timestamp, Transport,
};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::fleet::Fleet;
use support::{hold, wait_for};

/// Links that fill about 1,000 rows.
const LINKS: u64 = 18_000;

#[test]
fn a_member_of_a_thousand_rows_is_held_by_all_within_seconds() {
    let fleet = Fleet::new("giant");
    let nodes = fleet.start(&["a", "b", "c"]);
    wait_for("three nodes that agree", || {
        support::sight::all_well(&nodes.iter().collect::<Vec<_>>())
    });
    let giant = Giant::start(&fleet.key, nodes[0].address);
    wait_for("three nodes that hold the giant's rows", || {
        nodes.iter().try_for_each(|node| {
            let metrics = support::http::get(node.address, "/metrics")?.body;
            let line = metrics.lines().find_map(|line| {
                line.strip_prefix("andon_gossip_rows_total ")?
                    .parse::<f64>()
                    .ok()
            });
            hold(line.is_some_and(|rows| rows >= 700.0), || {
                format!("{} took {line:?} rows", node.id)
            })
        })
    });
    drop(giant);
}

/// A core of its own behind a plain socket.
struct Giant {
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Giant {
    fn start(key: &str, seed: SocketAddr) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (ring, over) = (KeyRing::of(key.parse().unwrap()), is_over.clone());
        let thread = std::thread::spawn(move || speak(ring, seed, &over));
        Self {
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Giant {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

fn speak(keys: KeyRing, seed: SocketAddr, is_over: &AtomicBool) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(5)))
        .unwrap();
    let start = std::time::Instant::now();
    let now = || Instant(10_000_000 + u64::try_from(start.elapsed().as_micros()).unwrap());
    let config = GridConfig {
        signing_seed: [77; 32],
        keys,
        epoch: 1_700_000_000_000_000,
        random_seed: [78; 32],
        limits: StoreLimits::default(),
    };
    let mut grid = Grid::new(config, now());
    let links = (0..LINKS).map(|far| {
        let to = Peer::Node(NodeKey(1_000_000 + far));
        let since = Timestamp(1_700_000_000_000_000);
        let rtt = 200 + far as u32;
        let report = LinkReport {
            state: LinkState::Up,
            flows: FlowCount { ok: 8, total: 8 },
            rtt_us: RttUs {
                p50: Some(rtt),
                p99: Some(rtt * 2),
            },
            rtt_baseline_us: Some(rtt),
            ..LinkReport::unknown(to.clone(), Transport::Udp, since)
        };
        (to, report)
    });
    let slice = OwnSlice {
        links: links.collect(),
        ..OwnSlice::of(identity(socket.local_addr().unwrap()))
    };
    grid.handle(now(), GridInput::Seeds(vec![seed]));
    grid.handle(now(), GridInput::Publish(Box::new(slice)));
    let mut buffer = [0; 2_048];
    while !is_over.load(Ordering::Relaxed) {
        while let Some(output) = grid.poll() {
            if let GridOutput::Send {
                to: Endpoint::Udp(to),
                bytes,
            } = output
            {
                let _ = socket.send_to(&bytes, to);
            }
        }
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let bytes = buffer[..length].to_vec();
            let from = Endpoint::Udp(from);
            grid.handle(now(), GridInput::Datagram { from, bytes });
        }
        if grid.next_wake().is_some_and(|at| at <= now()) {
            grid.wake(now());
        }
    }
}

fn identity(address: SocketAddr) -> Identity {
    Identity {
        id: NodeId::new("giant").unwrap(),
        site: SiteId::new("far").unwrap(),
        labels: BTreeMap::new(),
        version: "0.1.0".into(),
        started_at: Timestamp(1_700_000_000_000_000),
        addresses: vec![address],
        fingerprint: [0; 32],
        presence: Presence::Here,
        reach: Reach::Open,
    }
}
