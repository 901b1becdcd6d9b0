//! The grid that plugs are pulled on: wires, processes, and which faults are in force.

use super::cast::{CAST, index};
use super::children::{Children, Script};
use super::faults::{FAULTS, Harm, by_id};
use super::folder::Folder;
use super::relay::{Port, Sky};
use super::weather::Weather;
use crate::cli::Failure;
use crate::config::keys;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// Ports tried behind the wanted one before any free port will do.
const PORTS_TRIED: u16 = 40;

/// Wires and processes.
pub struct Stage {
    sky: Sky,
    children: Children,
    active: BTreeSet<&'static str>,
    /// Where each node is asked, by index in the cast.
    pub addresses: Vec<SocketAddr>,
}

impl Stage {
    /// Lays the wires and starts all nodes.
    pub async fn set(
        first_port: u16,
        folder: &Folder,
        control: SocketAddr,
    ) -> Result<Self, Failure> {
        let failed = |what: &'static str| {
            move |error: io::Error| Failure::new(format!("cannot {what} for the demo: {error}"))
        };
        keys::make(&folder.path().join("grid.key")).map_err(failed("write a key"))?;
        std::fs::write(folder.path().join("andon.toml"), "")
            .map_err(failed("write a configuration"))?;
        let addresses = ports(first_port).map_err(failed("find free ports"))?;
        let sky = Sky::new();
        let mut relays = BTreeMap::new();
        for from in 0..CAST.len() {
            for to in (0..CAST.len()).filter(|to| *to != from) {
                let port = Port::take().await.map_err(failed("open a relay"))?;
                relays.insert((from, to), port.address().map_err(failed("open a relay"))?);
                port.carry(
                    (from, to),
                    addresses[to],
                    addresses[from].port(),
                    sky.clone(),
                );
            }
        }
        let scripts = (0..CAST.len()).map(|from| Script {
            listen: addresses[from],
            join: (from != 0).then(|| relays[&(from, 0)]),
            via: relays
                .iter()
                .filter(|((of, _), _)| *of == from)
                .map(|((_, to), at)| (*to, *at))
                .collect(),
        });
        let mut children = Children::new(folder.path(), control, scripts.collect());
        for node in 0..CAST.len() {
            children.start(node).map_err(failed("start a node"))?;
        }
        Ok(Self {
            sky,
            children,
            active: BTreeSet::new(),
            addresses,
        })
    }

    /// Whether a fault is in force.
    pub fn is_active(&self, fault: &str) -> bool {
        self.active.contains(fault)
    }

    /// Puts a fault into force, or mends it. Returns whether that changed anything.
    pub fn switch(&mut self, fault: &'static str, on: bool) -> io::Result<bool> {
        let changed = if on {
            self.active.insert(fault)
        } else {
            self.active.remove(fault)
        };
        let Some(fault) = by_id(fault).filter(|_| changed) else {
            return Ok(false);
        };
        self.sky.set(Weather::of(&self.active));
        match (fault.harm, on) {
            (Harm::Freeze(id), true) => self.children.freeze(index(id)),
            (Harm::Freeze(id), false) => self.children.thaw(index(id)),
            (Harm::Kill(id), true) => self.children.kill(index(id)),
            (Harm::Kill(id), false) => self.children.start(index(id))?,
            _ => {}
        }
        Ok(true)
    }

    /// Mends everything.
    pub fn heal(&mut self) -> io::Result<()> {
        for fault in FAULTS {
            self.switch(fault.id, false)?;
        }
        Ok(())
    }

    /// Nodes that ended without being killed, and their last words.
    pub fn fallen(&mut self) -> Vec<(usize, String)> {
        self.children.fallen()
    }

    /// Starts a node that fell.
    pub fn start(&mut self, node: usize) -> io::Result<()> {
        self.children.start(node)
    }
}

/// One loopback address for each node, free for UDP and TCP: the wanted port and those behind
/// it, others where these are taken.
fn ports(first: u16) -> io::Result<Vec<SocketAddr>> {
    let mut held = Vec::new();
    let wanted = (0..PORTS_TRIED)
        .filter_map(|step| first.checked_add(step))
        .filter(|port| *port != 0);
    for port in wanted.chain(std::iter::repeat_n(0, 100)) {
        if held.len() == CAST.len() {
            break;
        }
        let Ok(tcp) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else {
            continue;
        };
        let address = tcp.local_addr()?;
        if let Ok(udp) = UdpSocket::bind(address) {
            held.push((address, tcp, udp));
        }
    }
    if held.len() < CAST.len() {
        return Err(io::Error::other("fewer than five ports are free"));
    }
    Ok(held.into_iter().map(|(address, _, _)| address).collect())
}
