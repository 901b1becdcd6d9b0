//! A crowd: many nodes behind one UDP port, so that one real node can be measured in a large
//! grid on a small machine. The crowd speaks real gossip and answers real probes; what its
//! nodes say of each other is made up.

use andon_grid::row::RowKey;
use andon_grid::{
    Endpoint, Grid, GridConfig, GridInput, GridKey, GridOutput, KeyRing, OwnSlice, StoreLimits,
};
use andon_model::{
    FlowCount, Identity, Instant, LinkReport, LinkState, LossPair, NodeId, NodeKey, Peer, Presence,
    Reach, RttUs, SiteId, Timestamp, Transport,
};
use andon_probe::{WireCommand, WireConfig, WireEvent};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the crowd looks like.
pub struct Shape {
    /// Nodes.
    pub nodes: usize,
    /// Sites they stand in.
    pub sites: usize,
    /// Links that each reports; at most `nodes - 1`.
    pub links: usize,
    /// Link states that change each second, over the whole crowd.
    pub changes_per_s: u64,
}

struct Member {
    grid: Grid,
    slice: OwnSlice,
}

/// Runs a crowd until killed.
pub fn run(listen: SocketAddr, key_file: &Path, shape: &Shape) {
    let text = std::fs::read_to_string(key_file).expect("a key file");
    let key: GridKey = text.trim().parse().expect("a grid key");
    let ring = KeyRing {
        primary: key,
        accepted: Vec::new(),
    };
    let start = std::time::Instant::now();
    let now = || Instant(u64::try_from(start.elapsed().as_micros()).unwrap_or(0) + 1_000_000);

    let mut members = members(listen, &ring, shape, now());
    let mut speaker = Grid::new(config([0xfe; 32], &ring), now());
    speaker.adopt(now(), rows(&members));
    let own = OwnSlice::of(identity("crowd", "site-0", listen));
    speaker.handle(now(), GridInput::Publish(Box::new(own)));

    let socket = UdpSocket::bind(listen).expect("the crowd's port is free");
    let (tx, rx) = mpsc::sync_channel(65_536);
    let wire = andon_probe::spawn(
        WireConfig {
            socket,
            flows: 1,
            round: Duration::from_secs(1),
            budget_pps: 1_000,
            stamp_keys: ring.keys().map(GridKey::stamp_key).collect(),
            me: speaker.me(),
            rng_seed: [1; 32],
        },
        Box::new(move |event| {
            if let WireEvent::Gossip { from, bytes } = event {
                let _ = tx.try_send((from, bytes));
            }
        }),
    )
    .expect("the crowd's prober starts");
    println!(
        "a crowd of {} nodes in {} sites at {listen}; Ctrl-C ends it",
        shape.nodes, shape.sites
    );

    let mut changed = 0_u64;
    loop {
        while let Some(output) = speaker.poll() {
            if let GridOutput::Send {
                to: Endpoint::Udp(to),
                bytes,
            } = output
            {
                wire.send(WireCommand::SendGossip { to, bytes });
            }
        }
        let wait = speaker
            .next_wake()
            .map_or(Duration::from_millis(50), |at| at.since(now()));
        match rx.recv_timeout(wait.min(Duration::from_millis(50))) {
            Ok((from, bytes)) => {
                speaker.handle(
                    now(),
                    GridInput::Datagram {
                        from: Endpoint::Udp(from),
                        bytes,
                    },
                );
            }
            Err(_) => speaker.wake(now()),
        }
        let due = shape.changes_per_s * start.elapsed().as_millis() as u64 / 1_000;
        while changed < due {
            let member = &mut members[(changed as usize * 37) % shape.nodes];
            flip(&mut member.slice);
            member
                .grid
                .handle(now(), GridInput::Publish(Box::new(member.slice.clone())));
            while member.grid.poll().is_some() {}
            let fresh = member
                .grid
                .store()
                .rows_between(RowKey::FIRST, RowKey::LAST);
            let fresh: Vec<_> = fresh.map(|(_, row)| row.clone()).collect();
            speaker.adopt(now(), fresh.into_iter());
            changed += 1;
        }
    }
}

/// Turns one link to degraded, or back.
fn flip(slice: &mut OwnSlice) {
    if let Some(link) = slice.links.values_mut().next() {
        link.state = match link.state {
            LinkState::Up => LinkState::Degraded,
            _ => LinkState::Up,
        };
        link.since = utc();
    }
}

fn members(listen: SocketAddr, ring: &KeyRing, shape: &Shape, now: Instant) -> Vec<Member> {
    let mut members: Vec<Member> = (0..shape.nodes)
        .map(|index| {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&(index as u64 + 1).to_be_bytes());
            let site = format!("site-{}", index % shape.sites);
            Member {
                grid: Grid::new(config(seed, ring), now),
                slice: OwnSlice::of(identity(&format!("n{index:04}"), &site, listen)),
            }
        })
        .collect();
    let keys: Vec<NodeKey> = members.iter().map(|member| member.grid.me()).collect();
    for (index, member) in members.iter_mut().enumerate() {
        for step in 1..=shape.links.min(shape.nodes - 1) {
            let to = if shape.links >= shape.nodes - 1 {
                index + step
            } else {
                index + step * 7
            };
            let far = to % shape.nodes % shape.sites != index % shape.sites;
            let key = Peer::Node(keys[to % shape.nodes]);
            member
                .slice
                .links
                .insert(key.clone(), link(key, far, index + step));
        }
        member.slice.links.remove(&Peer::Node(keys[index]));
        member
            .grid
            .handle(now, GridInput::Publish(Box::new(member.slice.clone())));
        while member.grid.poll().is_some() {}
    }
    members
}

fn rows(members: &[Member]) -> impl Iterator<Item = std::sync::Arc<andon_grid::row::Row>> {
    members.iter().flat_map(|member| {
        let rows = member
            .grid
            .store()
            .rows_between(RowKey::FIRST, RowKey::LAST);
        rows.map(|(_, row)| row.clone()).collect::<Vec<_>>()
    })
}

fn config(signing_seed: [u8; 32], ring: &KeyRing) -> GridConfig {
    GridConfig {
        signing_seed,
        keys: ring.clone(),
        epoch: u64::try_from(utc().0).unwrap_or(0),
        random_seed: signing_seed,
        limits: StoreLimits::default(),
    }
}

fn identity(id: &str, site: &str, address: SocketAddr) -> Identity {
    Identity {
        id: NodeId::new(id).expect("a good id"),
        site: SiteId::new(site).expect("a good site"),
        labels: BTreeMap::from([("role".to_owned(), "crowd".to_owned())]),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: utc(),
        addresses: vec![address],
        fingerprint: [0; 32],
        presence: Presence::Here,
        reach: Reach::Open,
    }
}

fn link(to: Peer, far: bool, salt: usize) -> LinkReport {
    let p50 = if far {
        20_000 + (salt % 50) as u32 * 1_000
    } else {
        200 + (salt % 7) as u32 * 20
    };
    LinkReport {
        state: LinkState::Up,
        flows: FlowCount { ok: 8, total: 8 },
        loss: LossPair {
            forward: Some(0.0),
            return_: Some(0.0),
        },
        rtt_us: RttUs {
            p50: Some(p50),
            p99: Some(p50 * 3 / 2),
        },
        rtt_baseline_us: Some(p50),
        ..LinkReport::unknown(to, Transport::Udp, utc())
    }
}

fn utc() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(0))
}
