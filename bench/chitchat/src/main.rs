//! Andon's gossip beside chitchat's, both in simulated time in the same run:
//! `cargo run --release --manifest-path bench/chitchat/Cargo.toml [nodes] [changes]`.
//!
//! Each node holds 64 entries of about 60 bytes; rounds of 200 ms, three peers a round;
//! 20 % of all packets are lost; Andon's take 5-40 ms each, chitchat's arrive at once, since its
//! in-process transport knows no delay. One entry of one node changes: how long
//! until all have it, what a quiet grid sends, how large a packet gets. chitchat runs with
//! its compressed digest (V1), without encryption or signatures; Andon with both.

#[path = "../../../crates/see/grid/tests/sim/mod.rs"]
#[allow(dead_code, clippy::all)]
mod sim;

use async_trait::async_trait;
use chitchat::transport::{ChannelTransport, RecvOutcome, SendOutcome, Socket, Transport};
use chitchat::{
    ChitchatConfig, ChitchatEnvelope, ChitchatHandle, ChitchatId, FailureDetectorConfig,
    ProtocolVersion, spawn_chitchat,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ROUND: Duration = Duration::from_millis(200);
const LOSS: f64 = 0.2;
const ENTRIES: usize = 64;

struct Figures {
    changes: Vec<Duration>,
    quiet_bytes_per_node_second: u64,
    largest_packet: u64,
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let mut next = |usual| arguments.next().and_then(Result::ok).unwrap_or(usual);
    let (nodes, changes) = (next(200), next(10));
    println!("{nodes} nodes, {ENTRIES} entries each, 20 % loss, {changes} changes");
    println!("| gossip | change → all, median | worst | quiet, B/s a node | largest packet |");
    println!("| --- | --- | --- | --- | --- |");
    print("Andon (sealed and signed)", andon(nodes, changes));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    print("chitchat 0.13", runtime.block_on(chitchat(nodes, changes)));
}

fn print(name: &str, mut figures: Figures) {
    figures.changes.sort();
    let worst = figures.changes.last().copied().unwrap_or_default();
    let median = figures.changes.get(figures.changes.len() / 2).copied();
    println!(
        "| {name} | {:.2} s | {:.2} s | {} | {} B |",
        median.unwrap_or_default().as_secs_f64(),
        worst.as_secs_f64(),
        figures.quiet_bytes_per_node_second,
        figures.largest_packet
    );
}

fn andon(count: usize, changes: usize) -> Figures {
    use andon_model::Peer;
    let net = sim::Net {
        delay_us: (5_000, 40_000),
        loss: LOSS,
        twice: 0.0,
    };
    let mut world = sim::World::new(1, net);
    for index in 0..count {
        let seeds: &[usize] = if index == 0 { &[] } else { &[0] };
        world.add(seeds);
    }
    let keys: Vec<_> = (0..count).map(|index| world.key(index)).collect();
    for index in 0..count {
        let links = (1..=ENTRIES.min(count - 1)).map(|step| keys[(index + step * 7) % count]);
        let links = links.map(|key| (Peer::Node(key), sim::link(key, &mut world.random)));
        let links = links.collect();
        world.change(index, |slice| slice.links = links);
    }
    let agree = |world: &mut sim::World| {
        let step = Duration::from_millis(10);
        world.run_until(Duration::from_secs(120), step, sim::World::agrees)
    };
    agree(&mut world).expect("the grid agrees within two minutes");
    world.run(Duration::from_secs(6));
    let mut times = Vec::new();
    for change in 0..changes {
        world.flip((change * 37) % count);
        times.push(agree(&mut world).unwrap_or(Duration::MAX));
        world.run(Duration::from_secs(1));
    }
    world.run(Duration::from_secs(6));
    let sent = |world: &sim::World| -> u64 {
        let nodes = world.nodes.iter();
        nodes.map(|node| node.grid.counters().sent_bytes).sum()
    };
    let before = sent(&world);
    world.run(Duration::from_secs(5));
    Figures {
        changes: times,
        quiet_bytes_per_node_second: (sent(&world) - before) / 5 / count as u64,
        largest_packet: world.largest as u64,
    }
}

/// Loses what goes through chitchat's own in-process transport.
#[derive(Clone)]
struct Weather {
    inner: ChannelTransport,
    random: Arc<Mutex<ChaCha8Rng>>,
    sent: Arc<AtomicU64>,
    largest: Arc<AtomicU64>,
}

struct WeatherSocket {
    inner: Box<dyn Socket>,
    weather: Weather,
}

#[async_trait]
impl Transport for Weather {
    async fn open(&self, at: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        Ok(Box::new(WeatherSocket {
            inner: self.inner.open(at).await?,
            weather: self.clone(),
        }))
    }
}

#[async_trait]
impl Socket for WeatherSocket {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        self.inner.local_addr()
    }

    async fn send(
        &mut self,
        to: SocketAddr,
        envelope: ChitchatEnvelope,
    ) -> anyhow::Result<SendOutcome> {
        let outcome = self.inner.send(to, envelope).await?;
        let bytes = outcome.num_bytes_sent as u64;
        self.weather.sent.fetch_add(bytes, Ordering::Relaxed);
        self.weather.largest.fetch_max(bytes, Ordering::Relaxed);
        Ok(outcome)
    }

    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        loop {
            let outcome = self.inner.recv().await?;
            let mut random = self.weather.random.lock().expect("never poisoned");
            if random.random::<f64>() >= LOSS {
                return Ok(outcome);
            }
        }
    }
}

async fn chitchat(count: usize, changes: usize) -> Figures {
    let weather = Weather {
        inner: ChannelTransport::default(),
        random: Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(1))),
        sent: Arc::default(),
        largest: Arc::default(),
    };
    let address = |index: usize| SocketAddr::from(([127, 0, 0, 1], 10_000 + index as u16));
    let mut nodes: Vec<ChitchatHandle> = Vec::new();
    for index in 0..count {
        let config = ChitchatConfig {
            chitchat_id: ChitchatId::new(format!("node-{index}"), 0, address(index)),
            cluster_id: "bench".into(),
            gossip_interval: ROUND,
            listen_addr: address(index),
            seed_nodes: vec![address(0).to_string()],
            failure_detector_config: FailureDetectorConfig::default(),
            marked_for_deletion_grace_period: Duration::from_secs(3_600),
            catchup_callback: None,
            extra_liveness_predicate: None,
            protocol_version: ProtocolVersion::V1,
        };
        let entries = (0..ENTRIES).map(|entry| (format!("link-{entry}"), "x".repeat(60)));
        let handle = spawn_chitchat(config, entries.collect(), &weather).await;
        nodes.push(handle.expect("a node starts"));
    }
    let holds = async |nodes: &[ChitchatHandle], owner: usize, value: &str| {
        let id = nodes[owner].chitchat_id().clone();
        for node in nodes {
            let has = node
                .with_chitchat(|state| {
                    let entry = state.node_state(&id).and_then(|held| held.get("link-0"));
                    entry == Some(value)
                })
                .await;
            if !has {
                return false;
            }
        }
        true
    };
    let agree = async |nodes: &[ChitchatHandle], owner: usize, value: &str| {
        let start = tokio::time::Instant::now();
        while !holds(nodes, owner, value).await {
            if start.elapsed() > Duration::from_secs(120) {
                return Duration::MAX;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        start.elapsed()
    };
    for owner in 0..count {
        agree(&nodes, owner, &"x".repeat(60)).await;
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut times = Vec::new();
    for change in 0..changes {
        let (owner, value) = ((change * 37) % count, format!("{change:060}"));
        nodes[owner]
            .with_chitchat(|state| state.self_node_state().set("link-0", &value))
            .await;
        times.push(agree(&nodes, owner, &value).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    let before = weather.sent.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(5)).await;
    Figures {
        changes: times,
        quiet_bytes_per_node_second: (weather.sent.load(Ordering::Relaxed) - before)
            / 5
            / count as u64,
        largest_packet: weather.largest.load(Ordering::Relaxed),
    }
}
