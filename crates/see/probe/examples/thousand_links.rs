//! 1,000 links of 8 flows once a second, from one wire to reflectors on loopback: what it
//! costs the prober's thread, beside a floor that sends and receives the same packets with
//! nothing in between.
//!
//! `cargo run --release -p andon-probe --example thousand_links [seconds] [links]`
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a benchmark"
)]

use andon_model::{LinkState, NodeKey};
use andon_probe::{PlannedLink, WireCommand, WireConfig, WireEvent, WireHandle, WireStats, spawn};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const FLOWS: u16 = 8;
/// User and system time in `/proc` are in hundredths of a second on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse::<u64>().ok());
    let seconds = arguments.next().unwrap_or(20);
    let links = arguments.next().unwrap_or(1_000);
    let (reflector, port) = reflector();
    let (prober, events) = prober();
    let plan = (0..links).map(|n| PlannedLink {
        to: NodeKey(1_000 + n),
        address: Some(SocketAddr::from((
            Ipv4Addr::from(0x7f00_0002 + n as u32),
            port,
        ))),
        connection: None,
        via: false,
    });
    prober.send(WireCommand::Plan(plan.collect()));
    let threads = wire_threads();
    let prober_thread = threads
        .last()
        .expect("the prober's thread was started last")
        .clone();

    // Warm up until all are up, then measure.
    let start = Instant::now();
    let mut states = (0, WireStats::default());
    while states.0 < links as usize && start.elapsed() < Duration::from_secs(20) {
        collect(&events, &mut states, Duration::from_millis(200));
    }
    println!(
        "{} of {links} links up after {:.1} s",
        states.0,
        start.elapsed().as_secs_f64()
    );
    collect(&events, &mut states, Duration::from_secs(2));
    let (before, cpu, start) = (states.1, cpu_ticks(&prober_thread), Instant::now());
    collect(&events, &mut states, Duration::from_secs(seconds));
    let (after, elapsed) = (states.1, start.elapsed().as_secs_f64());
    let share = (cpu_ticks(&prober_thread) - cpu) / TICKS_PER_SECOND / elapsed;
    // Of those judged: what is in flight at either end of the window is neither.
    let sent = after.probes_sent - before.probes_sent;
    let answered = after.probes_answered - before.probes_answered;
    let lost = after.probes_lost.saturating_sub(before.probes_lost);
    println!(
        "prober: {:.0} probes/s, {:.3} % answered, {:.1} % of a core",
        sent as f64 / elapsed,
        100.0 * answered as f64 / (answered + lost).max(1) as f64,
        100.0 * share
    );
    println!(
        "links up {}, lost {}, kernel drops {}, unsent {}, memory {} kB",
        states.0,
        after.probes_lost,
        after.kernel_drops,
        after.probes_unsent,
        resident_kb()
    );
    prober.stop();
    reflector.stop();

    let floor = floor(sent as f64 / elapsed, Duration::from_secs(seconds.min(10)));
    println!(
        "floor: the same rate by sendto and recv, one by one, batched each 4 ms: {:.1} % of a core",
        100.0 * floor
    );
    println!("ratio {:.2}", share / floor);
}

fn config(socket: UdpSocket, me: u64) -> WireConfig {
    WireConfig {
        socket,
        flows: FLOWS,
        round: Duration::from_secs(1),
        budget_pps: 20_000,
        stamp_keys: vec![[7; 32]],
        me: NodeKey(me),
        rng_seed: [me as u8; 32],
    }
}

fn reflector() -> (WireHandle, u16) {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
    let port = socket.local_addr().expect("bound").port();
    (
        spawn(config(socket, 1), Box::new(drop)).expect("a wire"),
        port,
    )
}

fn prober() -> (WireHandle, Receiver<WireEvent>) {
    let (tx, events) = channel();
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
    (
        spawn(
            config(socket, 2),
            Box::new(move |event| drop(tx.send(event))),
        )
        .expect("a wire"),
        events,
    )
}

/// Takes events for a while: how many links are up, and the newest counters.
fn collect(events: &Receiver<WireEvent>, states: &mut (usize, WireStats), span: Duration) {
    let start = Instant::now();
    while let Some(left) = span.checked_sub(start.elapsed()) {
        match events.recv_timeout(left) {
            Ok(WireEvent::Links(links)) => {
                states.0 = links
                    .iter()
                    .filter(|link| link.state == LinkState::Up)
                    .count();
            }
            Ok(WireEvent::Stats(stats)) => states.1 = stats,
            _ => {}
        }
    }
}

/// The `stat` files of the wires' threads, oldest first.
fn wire_threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let mut threads: Vec<(u32, String)> = tasks
        .flatten()
        .filter_map(|task| {
            Some((
                task.file_name().to_str()?.parse().ok()?,
                task.path().display().to_string(),
            ))
        })
        .filter(|(_, path)| {
            std::fs::read_to_string(format!("{path}/comm"))
                .is_ok_and(|name| name.trim() == "andon-wire")
        })
        .collect();
    threads.sort();
    threads
        .into_iter()
        .map(|(_, path)| format!("{path}/stat"))
        .collect()
}

fn cpu_ticks(stat: &str) -> f64 {
    let text = std::fs::read_to_string(stat).expect("the thread runs");
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let field = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    field(11) + field(12)
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

/// Share of a core for a loop that sends 112 bytes at this rate, each 4 ms what is due, to
/// an echo thread, and takes the echoes; no ciphers, no bookkeeping.
fn floor(rate: f64, span: Duration) -> f64 {
    let echo = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = echo.local_addr().expect("bound");
    echo.set_read_timeout(Some(Duration::from_secs(1)))
        .expect("set");
    let echoing = std::thread::Builder::new().spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = echo.recv_from(&mut buffer) {
            let _ = echo.send_to(&buffer[..length], from);
        }
    });
    let asking = std::thread::Builder::new()
        .name("floor".into())
        .spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            socket.set_nonblocking(true).expect("set");
            let id = std::fs::read_link("/proc/thread-self")
                .expect("Linux")
                .display()
                .to_string();
            let stat = format!("/proc/{id}/stat");
            let (before, start, mut sent, mut buffer) =
                (cpu_ticks(&stat), Instant::now(), 0.0, [0; 2048]);
            while start.elapsed() < span {
                let due = start.elapsed().as_secs_f64() * rate;
                while sent < due {
                    let _ = socket.send_to(&[0; 112], to);
                    sent += 1.0;
                }
                while socket.recv_from(&mut buffer).is_ok() {}
                std::thread::park_timeout(Duration::from_millis(4));
            }
            (cpu_ticks(&stat) - before) / TICKS_PER_SECOND / start.elapsed().as_secs_f64()
        });
    let share = asking.expect("a thread").join().expect("the floor ran");
    let _ = echoing.expect("a thread").join();
    share
}
