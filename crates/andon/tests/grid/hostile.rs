//! Rubbish at the port, from somebody without the key: nothing of it enters, stops or grows a node.

use crate::support::fleet::{Fleet, refs};
use crate::support::sight::{Watch, all_well, whatever_is_down};
use crate::support::{hold, http, wait_for};
use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Datagrams sent; at the rate below this takes two seconds.
const DATAGRAMS: usize = 20_000;
/// Sent without a pause. Doubled, they fill what a socket holds, and probes are lost with them:
/// a flood that fills the line is a fault of the network, which is not what is tested here.
const BURST: usize = 100;
/// Connections of each kind, held at once.
const CONNECTIONS: usize = 150;
/// What a node may grow by while it counts what it refuses: buffers and counters, not a heap.
const GROWTH_KIB_MAX: u64 = 12 * 1_024;

#[test]
fn rubbish_at_the_port_harms_nobody() {
    let fleet = Fleet::new("hostile");
    let nodes = fleet.start(&["a", "b", "c"]);
    wait_for("three nodes that agree", || all_well(&refs(&nodes)));
    let target = nodes[0].address;
    let before = resident_kib(nodes[0].pid());
    let watch = Watch::start(&refs(&nodes), |view| {
        let mut odd = whatever_is_down(view);
        odd.extend((view.nodes.len() != 3).then(|| format!("{:?}", view.nodes)));
        odd
    });

    let held = hold_connections(target);
    throw_datagrams(target);
    // An honest newcomer over the same port, while the connections are held.
    let asked = http::get(target, "/api/v1/me").unwrap();
    assert_eq!(asked.status, 200, "{}", asked.body);
    wait_for("pictures of a while", || {
        watch.has_looked(Duration::from_secs(3))
    });
    wait_for("all well beside the rubbish", || all_well(&refs(&nodes)));
    let odd = watch.end();
    assert!(odd.is_empty(), "{odd:#?}");

    wait_for("refusals in the figures", || {
        let figures = http::get(target, "/metrics")?.body;
        let refused: f64 = figures
            .lines()
            .filter(|line| {
                [
                    "gossip_foreign_key",
                    "gossip_forged",
                    "gossip_truncated",
                    "probe_rejected",
                ]
                .iter()
                .any(|name| line.starts_with(&format!("andon_{name}")))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        // The system may drop some before the node reads them.
        hold(refused > DATAGRAMS as f64 / 4.0, || {
            format!("{refused} of {DATAGRAMS} were counted")
        })
    });
    let after = resident_kib(nodes[0].pid());
    println!("{before} KiB before, {after} KiB after");
    assert!(
        after < before + GROWTH_KIB_MAX,
        "grew from {before} to {after} KiB"
    );
    drop(held);
    for node in &nodes {
        let panicked = node.logged(&["panicked"]);
        assert!(panicked.is_err(), "{panicked:?}");
        let lines = node.log().lines().count();
        assert!(lines < 200, "rubbish does not fill the log: {lines} lines");
    }
}

/// Connections that say nothing, begin a frame, claim an impossible one, or send half a request.
fn hold_connections(to: SocketAddr) -> Vec<TcpStream> {
    let beginnings: [&[u8]; 6] = [
        b"",
        b"\xa7",
        b"\xa7\xff\xff",
        b"\xa7\x00\x10half",
        b"GET / HTTP/1.1\r\nhost: ",
        b"\x16\x03\x01\x02\x00",
    ];
    let connect = |beginning: &[u8]| {
        let mut stream = TcpStream::connect(to).ok()?;
        stream.write_all(beginning).ok()?;
        Some(stream)
    };
    (0..CONNECTIONS)
        .filter_map(|number| connect(beginnings[number % beginnings.len()]))
        .collect()
}

/// Datagrams of every length, with every first byte: gossip's, STAMP's and others.
fn throw_datagrams(to: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // xorshift64*: the same rubbish in each run.
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    let mut bytes = [0; 1_500];
    for number in 0..DATAGRAMS {
        let length = usize::try_from(random() % 1_500).unwrap();
        for chunk in bytes.chunks_mut(8) {
            let rubbish = random().to_le_bytes();
            chunk.copy_from_slice(&rubbish[..chunk.len()]);
        }
        bytes[0] = match number % 3 {
            0 => 0xa9,
            1 => 0,
            _ => bytes[0],
        };
        let _ = socket.send_to(&bytes[..length], to);
        if number % BURST == 0 {
            std::thread::sleep(Duration::from_millis(10)); // the rate, not a wait
        }
    }
}

/// Memory of a process.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
