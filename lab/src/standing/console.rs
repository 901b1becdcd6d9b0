//! Ports on this machine's loopback that lead to the loopback of a node's namespace, so that a
//! browser here reaches its console. No wire joins the two: the grid gets no path by it.

use crate::scenario::Scenario;
use crate::world::LabError;
use crate::world::netns::Netns;
use crate::world::nodes::PORT;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Ports that are tried for one console before giving up.
const TRIES: u16 = 200;
/// Connections at once to one console; a browser opens about eight.
const CONNECTIONS_MAX: usize = 64;

/// Ports that are open and not yet answered.
pub(super) struct Consoles {
    listeners: Vec<TcpListener>,
}

impl Consoles {
    /// One port a node, from `first` upwards, others where one is in use.
    pub fn listen(scenario: &Scenario, first: u16) -> Result<Self, LabError> {
        let mut next = first;
        let mut listeners = Vec::new();
        for _ in &scenario.nodes {
            let mut tries = 0;
            let listener = loop {
                match TcpListener::bind((Ipv4Addr::LOCALHOST, next)) {
                    Ok(listener) => break listener,
                    Err(error) if tries == TRIES || next == u16::MAX => {
                        return Err(LabError::io("find a free port")(error));
                    }
                    Err(_) => {}
                }
                tries += 1;
                next += 1;
            };
            next = next.saturating_add(1);
            listeners.push(listener);
        }
        Ok(Self { listeners })
    }

    /// Answers them from now on, and returns the ports. Ends with the process.
    pub fn serve(self, netns: impl Fn(usize) -> Netns) -> Result<Vec<u16>, LabError> {
        let mut ports = Vec::new();
        for (node, listener) in self.listeners.into_iter().enumerate() {
            let address = listener.local_addr();
            ports.push(address.map_err(LabError::io("open a console"))?.port());
            let netns = netns(node);
            std::thread::Builder::new()
                .name(format!("console {node}"))
                .spawn(move || accept(&listener, &netns))
                .map_err(LabError::io("open a console"))?;
        }
        Ok(ports)
    }
}

fn accept(listener: &TcpListener, netns: &Netns) {
    let open = Arc::new(AtomicUsize::new(0));
    // This thread opens no other sockets, so that it can live in the node's namespace.
    if netns.enter().is_err() {
        return;
    }
    for near in listener.incoming().flatten() {
        if open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            continue;
        }
        let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)) else {
            continue;
        };
        let ways = [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))];
        for (from, to) in ways {
            let (Ok(from), Ok(to)) = (from, to) else {
                continue;
            };
            let open = Arc::clone(&open);
            open.fetch_add(1, Ordering::Relaxed);
            let copy = move || {
                carry(from, to);
                open.fetch_sub(1, Ordering::Relaxed);
            };
            if std::thread::Builder::new().spawn(copy).is_err() {
                break;
            }
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
