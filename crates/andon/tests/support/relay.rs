//! A firewall before one node, to be advertised instead of the node's own port: TCP always
//! passes, UDP as the test wants. Needs no root and no network of its own.

use super::free_address;
use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How soon its threads see that it ended.
const LOOK: Duration = Duration::from_millis(200);
/// Largest datagram carried.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// What happens to datagrams, either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Udp {
    /// They pass.
    Open,
    /// They vanish, and nobody is told that they do.
    Closed,
}

pub struct Firewall {
    pub address: SocketAddr,
    /// TCP connections that came in.
    pub connections: Arc<AtomicU64>,
    switch: Arc<Switch>,
}

#[derive(Default)]
struct Switch {
    is_udp_open: AtomicBool,
    has_ended: AtomicBool,
}

impl Switch {
    fn passes(&self) -> bool {
        self.is_udp_open.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }
}

impl Firewall {
    pub fn before(node: SocketAddr, udp: Udp) -> Self {
        let address = free_address();
        let socket = UdpSocket::bind(address).unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let switch = Arc::new(Switch::default());
        let connections = Arc::new(AtomicU64::new(0));
        let (shared, count) = (Arc::clone(&switch), Arc::clone(&connections));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.is_over() {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
                if let Ok(far) = TcpStream::connect(node) {
                    join(&stream, &far);
                    join(&far, &stream);
                }
            }
        });
        let shared = Arc::clone(&switch);
        thread::spawn(move || carry_datagrams(&socket, node, &shared));
        let firewall = Self {
            address,
            connections,
            switch,
        };
        firewall.set(udp);
        firewall
    }

    /// Opens or closes it for datagrams.
    pub fn set(&self, udp: Udp) {
        self.switch
            .is_udp_open
            .store(udp == Udp::Open, Ordering::Relaxed);
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        self.switch.has_ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn join(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    to.set_nodelay(true).unwrap();
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
        let _ = from.shutdown(Shutdown::Read);
    });
}

/// Each source gets a socket of its own towards the node, as NAT does it.
fn carry_datagrams(outer: &UdpSocket, node: SocketAddr, switch: &Arc<Switch>) {
    let mut inner: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
    let mut bytes = [0; DATAGRAM_BYTES_MAX];
    outer.set_read_timeout(Some(LOOK)).unwrap();
    while !switch.is_over() {
        let Ok((length, from)) = outer.recv_from(&mut bytes) else {
            continue;
        };
        if !switch.passes() {
            continue;
        }
        let socket = inner.entry(from).or_insert_with(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(node).unwrap();
            let (back, outer) = (socket.try_clone().unwrap(), outer.try_clone().unwrap());
            let switch = Arc::clone(switch);
            thread::spawn(move || carry_back(&back, &outer, from, &switch));
            socket
        });
        let _ = socket.send(&bytes[..length]);
    }
}

fn carry_back(inner: &UdpSocket, outer: &UdpSocket, to: SocketAddr, switch: &Switch) {
    let mut bytes = [0; DATAGRAM_BYTES_MAX];
    inner.set_read_timeout(Some(LOOK)).unwrap();
    while !switch.is_over() {
        if let Ok(length) = inner.recv(&mut bytes)
            && switch.passes()
        {
            let _ = outer.send_to(&bytes[..length], to);
        }
    }
}
