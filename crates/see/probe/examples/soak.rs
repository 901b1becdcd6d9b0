//! Wires that all probe each other on loopback while every core is kept busy: each change of
//! state is a false alarm. Prints them, and what a wire's thread costs.
//!
//! `cargo run --release -p andon-probe --example soak [seconds] [wires] [burners]`
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a benchmark"
)]

use andon_model::{HostHealth, LinkState, NodeKey, Peer};
use andon_probe::{PlannedLink, WireCommand, WireConfig, WireEvent, WireHandle, spawn};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

static STOP: AtomicBool = AtomicBool::new(false);

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse::<u64>().ok());
    let seconds = Duration::from_secs(arguments.next().unwrap_or(60));
    let count = arguments.next().unwrap_or(5);
    let burners = arguments.next().unwrap_or(4);
    let (tx, events) = channel();
    let mut wires: Vec<(NodeKey, SocketAddr, WireHandle)> = Vec::new();
    for number in 1..=count {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("bound");
        let config = WireConfig {
            socket,
            flows: 8,
            round: Duration::from_secs(1),
            budget_pps: 10_000,
            stamp_keys: vec![[7; 32]],
            me: NodeKey(number),
            rng_seed: [number as u8; 32],
        };
        let tx = tx.clone();
        let wire = spawn(
            config,
            Box::new(move |event| drop(tx.send((number, event)))),
        )
        .expect("a wire");
        wires.push((NodeKey(number), address, wire));
    }
    let start = Instant::now();
    for (me, _, wire) in &wires {
        wire.send(WireCommand::Members(
            wires
                .iter()
                .map(|(key, at, _)| (*key, vec![at.ip()]))
                .collect(),
        ));
        let far = wires.iter().filter(|(key, _, _)| key != me);
        let link = |(to, at, _): &(NodeKey, SocketAddr, WireHandle)| PlannedLink {
            to: *to,
            address: Some(*at),
            connection: None,
            via: false,
        };
        wire.send(WireCommand::Plan(far.map(link).collect()));
    }
    let burning: Vec<_> = (0..burners)
        .map(|_| {
            std::thread::Builder::new()
                .name("burner".into())
                .spawn(burn)
                .expect("a thread")
        })
        .collect();
    let mut states: BTreeMap<(u64, Peer), LinkState> = BTreeMap::new();
    let (mut alarms, mut up_at) = (0, None);
    let mut hosts: BTreeMap<u64, HostHealth> = BTreeMap::new();
    while let Some(left) = seconds.checked_sub(start.elapsed()) {
        let Ok((number, event)) = events.recv_timeout(left) else {
            break;
        };
        match event {
            WireEvent::Links(links) => {
                for link in links {
                    let old = states.insert((number, link.to.clone()), link.state);
                    if up_at.is_some() && old != Some(link.state) {
                        alarms += 1;
                        println!(
                            "{:8.3} s {number} to {:?}: {old:?} -> {:?} {:?} {:?} {:?}",
                            start.elapsed().as_secs_f64(),
                            link.to,
                            link.state,
                            link.reason,
                            link.flows,
                            link.loss
                        );
                    }
                }
                let all = states.len() as u64 == count * (count - 1);
                if up_at.is_none() && all && states.values().all(|state| *state == LinkState::Up) {
                    up_at = Some(start.elapsed());
                }
            }
            WireEvent::Host(host) => drop(hosts.insert(number, host)),
            _ => {}
        }
    }
    println!(
        "all {} links up after {up_at:?}; {alarms} changes of state in {seconds:?} beside {burners} burners",
        states.len()
    );
    println!("hosts: {hosts:?}");
    for (name, share) in threads(start.elapsed()) {
        println!("{name}: {share:.2} % of a core");
    }
    STOP.store(true, Ordering::Relaxed);
    burning.into_iter().for_each(|thread| drop(thread.join()));
    wires.into_iter().for_each(|(_, _, wire)| wire.stop());
}

fn burn() {
    let mut value = 1u64;
    while !STOP.load(Ordering::Relaxed) {
        for _ in 0..10_000 {
            value = std::hint::black_box(
                value
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1),
            );
        }
    }
}

fn threads(elapsed: Duration) -> Vec<(String, f64)> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let stat = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("stat")).ok();
    tasks
        .flatten()
        .filter_map(stat)
        .filter(|text| text.contains("andon-wire"))
        .filter_map(|text| {
            let fields: Vec<f64> = text
                .rsplit(')')
                .next()?
                .split_whitespace()
                .map(|field| field.parse().unwrap_or(0.0))
                .collect();
            Some((
                "wire".to_owned(),
                (fields.get(11)? + fields.get(12)?) / elapsed.as_secs_f64(),
            ))
        })
        .collect()
}
