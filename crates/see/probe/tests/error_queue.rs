//! What a real kernel makes of ICMP errors that no router here would send: label stacks, quotes
//! of eight bytes, forgeries, a flood. A raw socket on loopback plays the network, which needs
//! root; the wire itself needs nothing.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "real sockets and real time"
)]

use andon_model::{LinkState, NodeKey, Peer};
use andon_probe::{
    HopKind, PlannedLink, TraceDetail, TraceTo, WireCommand, WireConfig, WireEvent, WireHandle,
    WireStats, spawn,
};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const FAR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 50);
const PORT: u16 = 33_434;
const TIME_EXCEEDED: u8 = 11;
const UNREACHABLE: u8 = 3;

fn hop(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

fn checksum(bytes: &[u8]) -> u16 {
    let sum = bytes.chunks(2).fold(0u32, |sum, pair| {
        sum + (u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
    });
    let sum = (sum & 0xffff) + (sum >> 16);
    !(((sum & 0xffff) + (sum >> 16)) as u16)
}

/// An ICMP error as a whole IP packet. `length`: of the quoted datagram, in words (RFC 4884).
fn error(from: Ipv4Addr, to: Ipv4Addr, kind: u8, length: u8, body: &[u8]) -> Vec<u8> {
    let code = if kind == UNREACHABLE { 3 } else { 0 };
    let mut icmp = vec![kind, code, 0, 0, 0, length, 0, 0];
    icmp.extend_from_slice(body);
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let total = (20 + icmp.len()) as u16;
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 61, 1, 0, 0];
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet.extend_from_slice(&from.octets());
    packet.extend_from_slice(&to.octets());
    packet.extend_from_slice(&icmp);
    packet
}

/// Plays four hops towards [`FAR`], each with a habit of its own, until told to stop.
struct FakeNetwork {
    stop: Arc<AtomicBool>,
    _holds_the_port: UdpSocket,
}

impl FakeNetwork {
    /// `None` without the privilege to open raw sockets.
    fn start() -> Option<Self> {
        let raw = |protocol| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(protocol)));
        let (Ok(ears), Ok(mouth)) = (raw(17), raw(255)) else {
            eprintln!("NOT RUN: raw sockets need root");
            return None;
        };
        // Bound, so that the kernel itself does not answer.
        let holds_the_port = UdpSocket::bind((FAR, PORT)).unwrap();
        ears.set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new();
        let play = move || {
            let mut buffer = vec![0u8; 4_096];
            while !stopped.load(Ordering::Relaxed) {
                let Ok(length) = std::io::Read::read(&mut &ears, &mut buffer) else {
                    continue;
                };
                let packet = &buffer[..length];
                if packet.len() < 28
                    || packet[16..20] != FAR.octets()
                    || packet[22..24] != PORT.to_be_bytes()
                {
                    continue;
                }
                let source: [u8; 4] = packet[12..16].try_into().unwrap();
                for answer in answers(packet, source.into()) {
                    let to = SocketAddr::from((source, 0));
                    let _ = mouth.send_to(&answer, &to.into());
                }
            }
        };
        thread.spawn(play).unwrap();
        Some(Self {
            stop,
            _holds_the_port: holds_the_port,
        })
    }
}

impl Drop for FakeNetwork {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What the hop at which this packet's time runs out says.
fn answers(packet: &[u8], to: Ipv4Addr) -> Vec<Vec<u8>> {
    match packet[8] {
        1 => {
            // 128 bytes of the datagram, then a stack of two labels.
            let mut body = packet.to_vec();
            body.resize(128, 0);
            let mut extension = vec![0x20, 0, 0, 0, 0, 12, 1, 1];
            extension.extend_from_slice(&[0x05, 0xdc, 0x12, 0x3f, 0x00, 0x01, 0x0d, 0xff]);
            let sum = checksum(&extension);
            extension[2..4].copy_from_slice(&sum.to_be_bytes());
            body.extend_from_slice(&extension);
            vec![error(hop(101), to, TIME_EXCEEDED, 32, &body)]
        }
        2 => vec![error(hop(102), to, TIME_EXCEEDED, 0, &packet[..28])],
        3 => {
            let mut forged = packet.to_vec();
            forged[30] ^= 0x40;
            let mut other = packet.to_vec();
            other[50] ^= 1;
            vec![
                error(hop(66), to, TIME_EXCEEDED, 0, &forged),
                error(hop(67), to, TIME_EXCEEDED, 0, &other),
                error(hop(103), to, TIME_EXCEEDED, 0, packet),
                error(hop(68), to, TIME_EXCEEDED, 0, packet),
            ]
        }
        _ => vec![error(FAR, to, UNREACHABLE, 0, packet)],
    }
}

struct Wire {
    handle: WireHandle,
    address: SocketAddr,
    events: Receiver<WireEvent>,
    stats: WireStats,
    state: Option<LinkState>,
}

fn wire(number: u64) -> Wire {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let (tx, events) = channel();
    let config = WireConfig {
        socket,
        flows: 4,
        round: Duration::from_secs(1),
        budget_pps: 2_000,
        stamp_keys: vec![[5; 32]],
        me: NodeKey(number),
        rng_seed: [number as u8; 32],
    };
    Wire {
        handle: spawn(config, Box::new(move |event| drop(tx.send(event)))).unwrap(),
        address,
        events,
        stats: WireStats::default(),
        state: None,
    }
}

impl Wire {
    fn trace(&self, flows: u16) -> TraceDetail {
        let (tx, detail) = channel();
        self.handle.send(WireCommand::Trace {
            to: TraceTo::Address((FAR, PORT).into()),
            flows,
            reply: Box::new(move |detail| drop(tx.send(detail))),
        });
        let detail = detail.recv_timeout(Duration::from_secs(20)).unwrap();
        detail.unwrap()
    }

    fn probe(&self, far: &Wire, number: u64) {
        self.handle.send(WireCommand::Plan(vec![PlannedLink {
            to: NodeKey(number),
            address: Some(far.address),
            connection: None,
            via: false,
        }]));
    }

    fn until(&mut self, what: &str, fits: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !fits(self) {
            let left = end.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(WireEvent::Links(links)) => {
                    let link = links
                        .iter()
                        .find(|link| matches!(link.to, Peer::Node(NodeKey(2))));
                    self.state = link.map(|link| link.state);
                }
                Ok(WireEvent::Stats(stats)) => self.stats = stats,
                Ok(_) => {}
                Err(_) => panic!("{what}: {:?} {:?}", self.state, self.stats),
            }
        }
    }
}

#[test]
fn labels_short_quotes_and_forgeries_are_told_for_what_they_are() {
    let Some(_network) = FakeNetwork::start() else {
        return;
    };
    let wire = wire(1);
    let detail = wire.trace(4);
    assert_eq!(detail.flows.len(), 4);
    for flow in &detail.flows {
        assert!(flow.reached, "{flow:?}");
        let addresses: Vec<Vec<IpAddr>> =
            flow.hops.iter().map(|hop| hop.addresses.clone()).collect();
        let expected = [hop(101), hop(102), hop(103), FAR].map(|ip| vec![IpAddr::from(ip)]);
        assert_eq!(addresses, expected);
        assert!(flow.hops.iter().all(|hop| hop.kind == HopKind::Answered));
        let labels: Vec<(u32, u8)> = flow.hops[0]
            .mpls
            .iter()
            .map(|label| (label.label, label.ttl))
            .collect();
        assert_eq!(labels, [(24_001, 63), (16, 255)]);
        assert!(flow.hops[1].mpls.is_empty());
    }
    wire.handle.stop();
}

#[test]
fn a_flood_of_errors_neither_stops_probing_nor_costs_much() {
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)));
    let Ok(mouth) = raw else {
        eprintln!("NOT RUN: raw sockets need root");
        return;
    };
    let (mut near, far) = (wire(1), wire(2));
    near.probe(&far, 2);
    near.until("up", |wire| wire.state == Some(LinkState::Up));
    let (tx, detail) = channel();
    let reply = Box::new(move |detail| drop(tx.send(detail)));
    let to = NodeKey(2);
    near.handle.send(WireCommand::Detail { to, reply });
    let ports: Vec<u16> = detail
        .recv_timeout(Duration::from_secs(5))
        .unwrap()
        .unwrap()
        .flows
        .iter()
        .map(|flow| flow.port)
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let far_port = far.address.port();
    let flood = move || {
        let localhost = Ipv4Addr::LOCALHOST;
        let mut sent = 0u64;
        while !stopped.load(Ordering::Relaxed) {
            for port in &ports {
                // As if a router spoke of our packet: addresses and ports are right.
                let mut quoted = vec![0x45, 0, 0, 140, 0, 0, 0, 0, 1, 17, 0, 0];
                quoted.extend_from_slice(&localhost.octets());
                quoted.extend_from_slice(&localhost.octets());
                quoted.extend_from_slice(&port.to_be_bytes());
                quoted.extend_from_slice(&far_port.to_be_bytes());
                quoted.extend_from_slice(&[0, 120, 0, 0]);
                quoted.extend_from_slice(&[sent as u8; 112]);
                let packet = error(hop(66), localhost, TIME_EXCEEDED, 0, &quoted);
                let to = SocketAddr::from((localhost, 0));
                let _ = mouth.send_to(&packet, &to.into());
                sent += 1;
            }
        }
        sent
    };
    let thread = std::thread::Builder::new().spawn(flood).unwrap();
    near.until("muted", |wire| wire.stats.errors_muted > 4);
    assert!(near.stats.errors_foreign > 0);
    assert_eq!(near.state, Some(LinkState::Up));
    let before = near.stats.probes_answered;
    near.until("still probing", |wire| {
        wire.stats.probes_answered > before + 12
    });
    assert_eq!(near.state, Some(LinkState::Up));
    stop.store(true, Ordering::Relaxed);
    let sent = thread.join().unwrap();
    eprintln!(
        "{sent} forged errors; {} read, muted {} times, {} probes lost",
        near.stats.errors_foreign, near.stats.errors_muted, near.stats.probes_lost
    );
    near.handle.stop();
    far.handle.stop();
}
