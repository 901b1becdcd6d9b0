//! A firewall that lets TCP through and swallows UDP: a port that nodes advertise instead of
//! their own.

use super::free_address;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

pub struct TcpOnly {
    pub address: SocketAddr,
    /// Connections that came in.
    pub connections: Arc<AtomicU64>,
    /// Bound and never read: datagrams vanish, and nobody is told that they do.
    _udp: UdpSocket,
    ended: Arc<AtomicBool>,
}

impl TcpOnly {
    pub fn towards(node: SocketAddr) -> Self {
        let address = free_address();
        let udp = UdpSocket::bind(address).unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicU64::new(0));
        let (is_over, count) = (Arc::clone(&ended), Arc::clone(&connections));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
                if let Ok(far) = TcpStream::connect(node) {
                    join(&stream, &far);
                    join(&far, &stream);
                }
            }
        });
        Self {
            address,
            connections,
            _udp: udp,
            ended,
        }
    }
}

impl Drop for TcpOnly {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
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
