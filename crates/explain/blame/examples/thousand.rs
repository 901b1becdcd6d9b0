//! Prints how long a thousand nodes with 64 links each take to judge: healthy, with a dead
//! site, with every link poor; and in a fat tree where all ways of 8 flows a link are known,
//! healthy, with a dead switch, with a cut cable, with gray loss. Run with `--release`; a word
//! picks the fat trees that have it in their name.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods)] // It prints, and it measures.

#[path = "../tests/world/mod.rs"]
mod world;

use andon_blame::judge;
use andon_model::slice::Identity;
use andon_model::{
    FlowCount, Heard, HostHealth, LinkReason, LinkReport, LinkState, NodeId, NodeKey, Peer,
    Picture, PictureDigest, Presence, Reach, SiteId, Slice, Timestamp, Transport,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use world::Dice;
use world::faults::{Fault, Harm, Place};
use world::probes::{EYES, Eyes};
use world::topology::fat_tree;

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
    measure("every link poor", |_, _| LinkState::Degraded)?;
    fabric();
    Ok(())
}

/// 1,024 hosts at 320 switches.
fn fabric() {
    let mut dice = Dice::new(1);
    let network = fat_tree(&mut dice, 16, 0.1);
    let cable = Place::Cable(128, 256);
    let dead = Harm::Blackhole { of_flows: 1.0 };
    let faults = [
        ("healthy", vec![]),
        (
            "a dead core switch",
            vec![Fault::new(Place::Router(256), dead, true)],
        ),
        (
            "a dead aggregation switch",
            vec![Fault::new(Place::Router(129), dead, true)],
        ),
        ("a cut cable", vec![Fault::new(cable, dead, true)]),
        (
            "a cable that loses 5 %",
            vec![Fault::new(cable, Harm::Loss(0.05), true)],
        ),
        (
            "three faults",
            vec![
                Fault::new(cable, dead, true),
                Fault::new(Place::Router(260), Harm::Loss(0.02), true),
                Fault::new(Place::OneWay(140, 30), dead, false),
            ],
        ),
    ];
    let wanted = std::env::args().nth(1);
    for (what, faults) in faults {
        if wanted
            .as_ref()
            .is_some_and(|wanted| !what.contains(wanted.as_str()))
        {
            continue;
        }
        let eyes = Eyes {
            peers: 64,
            row_bytes: 1_250,
            ..EYES
        };
        let (picture, _) = world::probes::picture(&mut dice, &network, &faults, eyes);
        let routes: usize = picture
            .slices
            .values()
            .flat_map(|slice| &slice.paths)
            .map(|path| path.routes.len())
            .sum();
        time(
            &format!("fat tree, {routes} routes, {what}"),
            &picture,
            world::probes::key(0),
        );
    }
}

fn measure(
    what: &str,
    state: impl Fn(u32, u32) -> LinkState,
) -> Result<(), andon_model::NameError> {
    time(what, &picture(state)?, key(0));
    Ok(())
}

fn time(what: &str, picture: &Picture, me: NodeKey) {
    let mut times: Vec<Duration> = Vec::new();
    let mut verdicts = 0;
    let mut links = 0;
    for _ in 0..ROUNDS {
        let start = cpu();
        let view = judge(picture, me, Timestamp(1_793_000_000_000_000));
        times.push(cpu() - start);
        (verdicts, links) = (view.verdicts.len(), view.links.len());
    }
    times.sort_unstable();
    println!(
        "{what}: {} nodes, {links} links, {verdicts} verdicts: median {:.1} ms, least {:.1} ms, most {:.1} ms",
        picture.slices.len(),
        times[ROUNDS / 2].as_secs_f64() * 1e3,
        times[0].as_secs_f64() * 1e3,
        times[ROUNDS - 1].as_secs_f64() * 1e3,
    );
}

/// Time that this thread has spent on a core, where the system tells: others share the machine.
fn cpu() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(Instant::now);
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let spent = spent.and_then(|text| text.split(' ').next()?.parse().ok());
    spent.map_or_else(|| start.elapsed(), Duration::from_nanos)
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
            heartbeats: Vec::new(),
        };
        slices.insert(slice.key(), Arc::new(slice));
    }
    Ok(Picture {
        digest: PictureDigest(1),
        slices,
    })
}
