//! Prints how long a thousand nodes with 64 links each take to judge: healthy, with a dead
//! site, and with every link poor. Run with `--release`.
#![allow(clippy::print_stdout, clippy::disallowed_methods)] // It prints, and it measures.

use andon_blame::judge;
use andon_model::slice::Identity;
use andon_model::{
    FlowCount, Heard, HostHealth, LinkReason, LinkReport, LinkState, NodeId, NodeKey, Peer,
    Picture, PictureDigest, Presence, Reach, SiteId, Slice, Timestamp, Transport,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NODES: u32 = 1_000;
const SITES: u32 = 10;
const LINKS_PER_NODE: u32 = 64;
const ROUNDS: usize = 15;

fn main() -> Result<(), andon_model::NameError> {
    let dead_site = |from: u32, to: u32| match (from % SITES == 3, to % SITES == 3) {
        (false, true) | (true, false) => LinkState::Down,
        _ => LinkState::Up,
    };
    measure("healthy", |_, _| LinkState::Up)?;
    measure("one site cut off", dead_site)?;
    measure("every seventh link poor", |from, to| {
        if (from + to) % 7 == 0 {
            LinkState::Degraded
        } else {
            LinkState::Up
        }
    })?;
    measure("every link poor", |_, _| LinkState::Degraded)
}

fn measure(
    what: &str,
    state: impl Fn(u32, u32) -> LinkState,
) -> Result<(), andon_model::NameError> {
    let picture = picture(state)?;
    let mut times: Vec<Duration> = Vec::new();
    let mut verdicts = 0;
    let mut links = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let view = judge(&picture, key(0), Timestamp(1_793_000_000_000_000));
        times.push(start.elapsed());
        (verdicts, links) = (view.verdicts.len(), view.links.len());
    }
    times.sort_unstable();
    println!(
        "{what}: {NODES} nodes, {links} links, {verdicts} verdicts: median {:.1} ms, least {:.1} ms, most {:.1} ms",
        times[ROUNDS / 2].as_secs_f64() * 1e3,
        times[0].as_secs_f64() * 1e3,
        times[ROUNDS - 1].as_secs_f64() * 1e3,
    );
    Ok(())
}

fn public_key(number: u32) -> [u8; 32] {
    let mut public_key = [0; 32];
    public_key[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    public_key
}

fn key(number: u32) -> NodeKey {
    NodeKey::of(&public_key(number))
}

fn picture(state: impl Fn(u32, u32) -> LinkState) -> Result<Picture, andon_model::NameError> {
    let since = Timestamp(1_792_999_000_000_000);
    let mut slices = BTreeMap::new();
    for number in 0..NODES {
        let links = (1..=LINKS_PER_NODE).map(|step| {
            let far = (number + step * 17) % NODES;
            let peer = Peer::Node(key(far));
            let mut report = LinkReport::unknown(peer, Transport::Udp, since);
            report.state = state(number, far);
            report.reason = (report.state == LinkState::Degraded).then_some(LinkReason::Loss);
            report.flows = FlowCount { ok: 8, total: 8 };
            report.heard = if report.state == LinkState::Down {
                Heard::Silent
            } else {
                Heard::Arriving
            };
            report
        });
        let slice = Slice {
            public_key: public_key(number),
            epoch: 1,
            version: 1,
            identity: Identity {
                id: NodeId::new(format!("node-{number:04}"))?,
                site: SiteId::new(format!("site-{:02}", number % SITES))?,
                labels: BTreeMap::new(),
                version: "0.1.0".to_owned(),
                started_at: since,
                addresses: Vec::new(),
                fingerprint: [7; 32],
                presence: Presence::Here,
                reach: Reach::Open,
            },
            host: HostHealth::default(),
            links: links.collect(),
            targets: Vec::new(),
            neighbours: Vec::new(),
            paths: Vec::new(),
            incidents: Vec::new(),
            remarks: Vec::new(),
        };
        slices.insert(slice.key(), Arc::new(slice));
    }
    Ok(Picture {
        digest: PictureDigest(1),
        slices,
    })
}
