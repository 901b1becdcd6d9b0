//! Two and more wires over loopback sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "real time and real sockets"
)]

use crate::note::Note;
use crate::stamp::{ERROR_ESTIMATE, NtpTime, PACKET_BYTES, SenderPacket, StampKeys};
use crate::{PlannedLink, WireCommand, WireConfig, WireEvent, WireHandle, WireStats, spawn};
use andon_model::{Heard, LinkReport, LinkState, NodeKey, Peer};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const KEY: [u8; 32] = [5; 32];

struct Real {
    key: NodeKey,
    address: SocketAddr,
    handle: WireHandle,
    events: Receiver<WireEvent>,
    links: Vec<LinkReport>,
    stats: WireStats,
    gossip: Vec<(SocketAddr, Vec<u8>)>,
}

fn start(number: u64, host: u8) -> Real {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let (tx, events) = channel();
    let config = WireConfig {
        socket,
        flows: 8,
        round: Duration::from_secs(1),
        budget_pps: 2_000,
        stamp_keys: vec![KEY],
        me: NodeKey(number),
        rng_seed: [number as u8; 32],
    };
    let handle = spawn(config, Box::new(move |event| drop(tx.send(event)))).unwrap();
    Real {
        key: NodeKey(number),
        address,
        handle,
        events,
        links: vec![],
        stats: WireStats::default(),
        gossip: vec![],
    }
}

fn meet(nodes: &[&Real]) {
    let members: Vec<(NodeKey, Vec<IpAddr>)> = nodes
        .iter()
        .map(|n| (n.key, vec![n.address.ip()]))
        .collect();
    for node in nodes {
        node.handle.send(WireCommand::Members(members.clone()));
        let plan = nodes
            .iter()
            .filter(|far| far.key != node.key)
            .map(|far| PlannedLink {
                to: far.key,
                address: Some(far.address),
                connection: None,
                via: false,
            });
        node.handle.send(WireCommand::Plan(plan.collect()));
    }
}

impl Real {
    /// Waits for the links to fit; returns how long it took.
    fn until(&mut self, limit: Duration, fits: impl Fn(&Real) -> bool) -> Duration {
        let start = Instant::now();
        while !fits(self) {
            let left = limit.checked_sub(start.elapsed());
            let Some(left) = left else {
                panic!("not within {limit:?}: {:?} {:?}", self.links, self.stats)
            };
            match self.events.recv_timeout(left) {
                Ok(WireEvent::Links(links)) => self.links = links,
                Ok(WireEvent::Stats(stats)) => self.stats = stats,
                Ok(WireEvent::Gossip { from, bytes }) => self.gossip.push((from, bytes)),
                _ => {}
            }
        }
        start.elapsed()
    }

    fn link(&self, to: NodeKey) -> Option<&LinkReport> {
        self.links.iter().find(|report| report.to == Peer::Node(to))
    }

    fn is(&self, to: NodeKey, state: LinkState) -> bool {
        self.link(to).is_some_and(|report| report.state == state)
    }
}

#[test]
fn two_wires_find_each_other_up_and_one_that_stops_is_told_down() {
    let (mut a, b) = (start(1, 1), start(2, 1));
    meet(&[&a, &b]);
    let (b_key, b_address) = (b.key, b.address);
    let up = a.until(Duration::from_secs(5), |a| a.is(b_key, LinkState::Up));
    a.until(Duration::from_secs(5), |a| {
        a.link(b_key)
            .is_some_and(|r| r.heard == Heard::Arriving && r.flows.ok == 8)
    });
    let rtt = a.link(b_key).and_then(|r| r.rtt_us.p50).unwrap();
    assert!(rtt < 50_000, "{rtt}");
    let (tx, detail) = channel();
    let reply = Box::new(move |detail| drop(tx.send(detail)));
    a.handle.send(WireCommand::Detail { to: b_key, reply });
    let detail = detail
        .recv_timeout(Duration::from_secs(5))
        .unwrap()
        .unwrap();
    assert_eq!(detail.flows.len(), 8);
    assert_eq!(detail.address, Some(b_address));
    b.handle.stop();
    let down = a.until(Duration::from_secs(5), |a| a.is(b_key, LinkState::Down));
    let reason = a.link(b_key).and_then(|r| r.reason);
    a.until(Duration::from_secs(5), |a| {
        a.link(b_key).is_some_and(|r| r.heard == Heard::Silent)
    });
    eprintln!("up after {up:?}, down after {down:?} ({reason:?}), rtt {rtt} us");
    assert!(
        up < Duration::from_secs(1) && down < Duration::from_secs(2),
        "{up:?} {down:?}"
    );
}

#[test]
fn gossip_passes_unread_and_rubbish_gets_no_answer() {
    let (a, mut b) = (start(3, 1), start(4, 1));
    a.handle.send(WireCommand::SendGossip {
        to: b.address,
        bytes: vec![0xa9, 1, 2, 3],
    });
    b.until(Duration::from_secs(5), |b| !b.gossip.is_empty());
    assert_eq!(b.gossip[0], (a.address, vec![0xa9, 1, 2, 3]));

    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let question = SenderPacket {
        sequence: 1,
        sent: NtpTime(1),
        error: ERROR_ESTIMATE,
        ssid: 1,
        note: Note::default(),
    };
    let mut rubbish: Vec<Vec<u8>> = (0..300usize)
        .map(|n| (0..n).map(|i| (i * n % 128) as u8).collect())
        .collect();
    rubbish.push(question.signed(&StampKeys::new(&[[6; 32]])).to_vec());
    rubbish.push(question.plain().to_vec());
    rubbish.push(question.signed(&StampKeys::new(&[KEY]))[..PACKET_BYTES - 1].to_vec());
    for bytes in &rubbish {
        stranger.send_to(bytes, b.address).unwrap();
    }
    let count = rubbish.len() as u64;
    b.until(Duration::from_secs(5), |b| b.stats.rejected == count);
    let mut buffer = [0; 200];
    assert!(
        stranger.recv_from(&mut buffer).is_err(),
        "nothing is answered"
    );
    // And a proper question still is, with its own size.
    stranger
        .send_to(&question.signed(&StampKeys::new(&[KEY])), b.address)
        .unwrap();
    assert_eq!(
        stranger.recv_from(&mut buffer).unwrap(),
        (PACKET_BYTES, b.address)
    );
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    for bind in ["0.0.0.0:0", "[::]:0"] {
        let Ok(socket) = UdpSocket::bind(bind) else {
            eprintln!("NOT RUN: this host cannot bind {bind}");
            continue;
        };
        let port = socket.local_addr().unwrap().port();
        let config = WireConfig {
            socket,
            flows: 1,
            round: Duration::from_secs(1),
            budget_pps: 100,
            stamp_keys: vec![KEY],
            me: NodeKey(9),
            rng_seed: [9; 32],
        };
        let (tx, events) = channel();
        let wire = spawn(config, Box::new(move |event| drop(tx.send(event)))).unwrap();
        let asker = UdpSocket::bind("127.0.0.1:0").unwrap();
        asker
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let question = SenderPacket {
            sequence: 1,
            sent: NtpTime(1),
            error: ERROR_ESTIMATE,
            ssid: 1,
            note: Note::default(),
        };
        let to = SocketAddr::from(([127, 0, 0, 77], port));
        asker
            .send_to(&question.signed(&StampKeys::new(&[KEY])), to)
            .unwrap();
        assert_eq!(asker.recv_from(&mut [0; 200]).unwrap().1, to, "{bind}");
        // Gossip passes the same port both ways, with IPv4 told as IPv4.
        asker.send_to(&[0x80], to).unwrap();
        let gossip = std::iter::from_fn(|| events.recv_timeout(Duration::from_secs(5)).ok())
            .find_map(|event| {
                if let WireEvent::Gossip { from, .. } = event {
                    Some(from)
                } else {
                    None
                }
            });
        assert_eq!(gossip, Some(asker.local_addr().unwrap()), "{bind}");
        wire.send(WireCommand::SendGossip {
            to: asker.local_addr().unwrap(),
            bytes: vec![0xff],
        });
        assert_eq!(asker.recv_from(&mut [0; 200]).unwrap().0, 1, "{bind}");
        wire.stop();
    }
}

#[test]
fn ipv6_is_probed_alike() {
    let Ok(socket) = UdpSocket::bind("[::1]:0") else {
        eprintln!("NOT RUN: this host has no IPv6 loopback");
        return;
    };
    let far = socket.local_addr().unwrap();
    let config = |socket, number: u64| WireConfig {
        socket,
        flows: 4,
        round: Duration::from_secs(1),
        budget_pps: 1_000,
        stamp_keys: vec![KEY],
        me: NodeKey(number),
        rng_seed: [number as u8; 32],
    };
    let wire = spawn(config(socket, 11), Box::new(drop)).unwrap();
    let mut a = start(12, 1);
    let link = PlannedLink {
        to: NodeKey(11),
        address: Some(far),
        connection: None,
        via: true,
    };
    a.handle.send(WireCommand::Plan(vec![link]));
    a.until(Duration::from_secs(5), |a| a.is(NodeKey(11), LinkState::Up));
    assert!(a.link(NodeKey(11)).is_some_and(|report| report.via));
    wire.stop();
}
