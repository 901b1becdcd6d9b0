//! What an attacker can send, with and without the grid key: nothing panics, nothing grows,
//! nobody speaks for another, nothing unfit for a screen is shown.
#![allow(clippy::unwrap_used, reason = "a test")]

mod sim;

use andon_grid::row::{self, Row, RowKey};
use andon_grid::seal::{MESSAGE_BYTES_MAX, Sealer};
use andon_grid::store::Grave;
use andon_grid::wire::{self, HashRange, Head, Outgoing, Part};
use andon_grid::{
    Endpoint, Grid, GridInput, GridKey, GridNotice, GridOutput, KeyRing, StoreLimits, fuzz, payload,
};
use andon_model::{Instant, NodeKey, Timestamp};
use ed25519_dalek::SigningKey;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sim::{KEY, Net, World, address_of, identity};
use std::sync::Arc;
use std::time::Duration;

const FROM: Endpoint = Endpoint::Udp(std::net::SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 66, 6, 6)),
    8777,
));

/// Someone who holds the grid key and writes what it likes.
struct Insider {
    sealer: Sealer,
    signing: SigningKey,
}

impl Insider {
    fn new(seed: u8) -> Self {
        Self {
            sealer: Sealer::new(&KeyRing::of(GridKey::generate(KEY)), [seed; 16]),
            signing: SigningKey::from_bytes(&[seed; 32]),
        }
    }

    fn send(&mut self, grid: &mut Grid, now: Instant, parts: &[Outgoing]) {
        for message in wire::pack(self.head(), parts) {
            self.send_raw(grid, now, &message);
        }
    }

    fn send_raw(&mut self, grid: &mut Grid, now: Instant, message: &[u8]) {
        let bytes = self.sealer.seal(message).unwrap();
        grid.handle(now, GridInput::Datagram { from: FROM, bytes });
    }

    fn head(&self) -> Head {
        let from = NodeKey::of(self.signing.verifying_key().as_bytes());
        Head {
            from,
            to: None,
            ask: true,
            answer: false,
            push: true,
            more: true,
            token: 1,
        }
    }
}

fn victim(limits: StoreLimits) -> (Grid, Instant) {
    let now = Instant(1_000_000);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let config = andon_grid::GridConfig {
        limits,
        ..sim::config(200, 5, &mut random)
    };
    let mut grid = Grid::new(config, now);
    let slice = andon_grid::OwnSlice::of(identity("victim", "here", address_of(0)));
    grid.handle(now, GridInput::Publish(Box::new(slice)));
    (grid, now)
}

fn drain(grid: &mut Grid) -> (u64, Vec<GridNotice>) {
    let (mut bytes_sent, mut notices) = (0, Vec::new());
    while let Some(output) = grid.poll() {
        match output {
            GridOutput::Send { bytes, .. } => bytes_sent += bytes.len() as u64,
            GridOutput::Notice(notice) => notices.push(notice),
            _ => {}
        }
    }
    (bytes_sent, notices)
}

fn check_small(grid: &Grid) {
    let [contacts, seeds, connections, questions] = grid.contacts().sizes();
    assert!(contacts <= 2_000 && seeds <= 256 && connections <= 256 && questions <= 1_024);
    assert!(grid.store().grave_count() <= 4_096);
}

#[test]
fn a_million_random_datagrams_change_nothing() {
    let (mut grid, now) = victim(StoreLimits::default());
    let digest = grid.store().digest();
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut noise = vec![0; 2_000];
    random.fill_bytes(&mut noise);
    for round in 0..1_000_000u32 {
        let start = random.random_range(0..1_000);
        let mut bytes = noise[start..start + (round as usize % 90)].to_vec();
        if round % 3 == 0 && bytes.len() > 1 {
            (bytes[0], bytes[1]) = (0xA9, 1);
        }
        grid.handle(now, GridInput::Datagram { from: FROM, bytes });
    }
    drain(&mut grid);
    assert_eq!(grid.store().digest(), digest);
    assert_eq!(grid.counters().seal.opened, 0);
    assert_eq!(grid.counters().received, 1_000_000);
    check_small(&grid);
}

#[test]
fn real_traffic_cut_flipped_replayed_and_swollen_is_refused() {
    let (mut grid, now) = victim(StoreLimits::default());
    let mut insider = Insider::new(3);
    let good: Vec<Vec<u8>> = (0..200)
        .map(|n| {
            insider
                .sealer
                .seal(
                    &wire::pack(
                        insider.head(),
                        &[Part::Want(RowKey {
                            owner: NodeKey(n),
                            index: 0,
                        })],
                    )[0],
                )
                .unwrap()
        })
        .collect();
    let mut random = ChaCha8Rng::seed_from_u64(4);
    for datagram in &good {
        let mut flipped = datagram.clone();
        let place = random.random_range(0..flipped.len());
        flipped[place] ^= 1 << random.random_range(0..8);
        let cut = datagram[..random.random_range(0..datagram.len())].to_vec();
        let swollen = [datagram.clone(), vec![0; 1_400]].concat();
        for bytes in [flipped, cut, swollen] {
            grid.handle(now, GridInput::Datagram { from: FROM, bytes });
        }
    }
    assert_eq!(grid.counters().seal.opened, 0);
    // Out of order they are all taken, a second time none.
    for _ in 0..2 {
        for datagram in good.iter().rev() {
            grid.handle(
                now,
                GridInput::Datagram {
                    from: FROM,
                    bytes: datagram.clone(),
                },
            );
        }
    }
    assert_eq!(grid.counters().seal.opened, 200);
    assert_eq!(grid.counters().seal.replayed, 200);
}

#[test]
fn rubbish_inside_a_good_seal_neither_panics_nor_grows() {
    let (mut grid, now) = victim(StoreLimits::default());
    let mut insider = Insider::new(5);
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let row = Arc::new(
        Row::sign(
            &insider.signing,
            1,
            1,
            0,
            &payload::encode(&identity("a", "b", address_of(1))),
        )
        .unwrap(),
    );
    let range = HashRange {
        first: RowKey::FIRST,
        last: RowKey::LAST,
        hash: 1,
        count: 9,
    };
    let grave = Grave {
        owner: grid.me(),
        epoch: 3,
        version: 9,
    };
    let parts = [
        Part::Hash(range),
        Part::Row(row.clone()),
        Part::Hint(row.key(), row.version()),
        Part::Grave(grave),
    ];
    let real = wire::pack(insider.head(), &parts).remove(0);
    let rounds = if cfg!(debug_assertions) {
        5_000
    } else {
        100_000
    };
    for round in 0..rounds {
        let mut message = real.clone();
        if round % 4 == 0 {
            message = vec![0; random.random_range(0..MESSAGE_BYTES_MAX)];
            random.fill_bytes(&mut message);
        } else {
            for _ in 0..random.random_range(1..4) {
                let place = random.random_range(0..message.len());
                message[place] = random.random();
            }
        }
        let now = Instant(now.0 + round * 1_000);
        insider.send_raw(&mut grid, now, &message);
        grid.wake(now);
        drain(&mut grid);
    }
    assert!(grid.counters().malformed > 0);
    assert!(grid.store().owner_count() <= 2);
    check_small(&grid);
}

#[test]
fn nobody_speaks_for_another() {
    let mut world = World::new(7, Net::LAN);
    for _ in 0..3 {
        world.add(&[0]);
    }
    world.run(Duration::from_secs(2));
    let digest = world.nodes[0].grid.store().digest();
    let real = world.nodes[0]
        .grid
        .store()
        .row(RowKey {
            owner: world.key(1),
            index: 0,
        })
        .unwrap()
        .clone();
    let (now, mut insider) = (world.instant(0), Insider::new(8));
    // The victim's row with a later version, but not the victim's signature.
    let mut forged = real.bytes().to_vec();
    forged[47] += 1;
    let mut message = wire::pack(insider.head(), &[]).remove(0);
    message.push(6);
    message.extend((forged.len() as u16).to_be_bytes());
    message.extend(&forged);
    insider.send_raw(&mut world.nodes[0].grid, now, &message);
    assert_eq!(world.nodes[0].grid.counters().store.forged, 1);
    // An older, truly signed row goes nowhere either: what is held is the newest.
    insider.send(&mut world.nodes[0].grid, now, &[Part::Row(real)]);
    assert_eq!(world.nodes[0].grid.store().digest(), digest);
    // Nor can it bury who is alive.
    let grave = Grave {
        owner: world.key(1),
        epoch: u64::MAX,
        version: u64::MAX,
    };
    insider.send(&mut world.nodes[0].grid, now, &[Part::Grave(grave)]);
    assert!(
        world.nodes[0]
            .grid
            .store()
            .slices()
            .contains_key(&world.key(1))
    );
}

#[test]
fn a_name_with_markup_is_passed_on_but_never_shown() {
    let (mut grid, now) = victim(StoreLimits::default());
    let mut insider = Insider::new(9);
    let bytes = payload::encode(&identity("aaaaaaaa", "here", address_of(1)));
    let text: Vec<u8> = bytes
        .windows(8)
        .position(|w| w == b"aaaaaaaa")
        .map(|at| {
            let mut bytes = bytes.clone();
            bytes[at..at + 8].copy_from_slice(b"<script>");
            bytes
        })
        .unwrap();
    let row = Arc::new(Row::sign(&insider.signing, 1, 1, row::IDENTITY, &text).unwrap());
    insider.send(&mut grid, now, &[Part::Row(row.clone())]);
    assert!(grid.store().row(row.key()).is_some());
    assert_eq!(grid.store().slices().len(), 1);
    let (_, notices) = drain(&mut grid);
    assert!(notices.contains(&GridNotice::InvalidRow {
        owner: row.key().owner,
        index: row::IDENTITY
    }));
}

#[test]
fn free_text_is_cleaned_before_anyone_sees_it() {
    let (mut grid, now) = victim(StoreLimits::default());
    let mut insider = Insider::new(10);
    let mut odd = identity("odd", "here", address_of(1));
    odd.version = "1\u{202e}\x1b[2J".into();
    odd.labels.insert("a\nb".into(), "\u{0}c".into());
    odd.started_at = Timestamp(i64::MAX);
    let row = Arc::new(
        Row::sign(
            &insider.signing,
            1,
            1,
            row::IDENTITY,
            &payload::encode(&odd),
        )
        .unwrap(),
    );
    let key = row.key().owner;
    insider.send(&mut grid, now, &[Part::Row(row)]);
    let shown = &grid.picture().slices[&key].identity;
    assert_eq!(shown.version, "1[2J");
    assert_eq!(
        shown.labels.iter().next().unwrap(),
        (&"ab".to_string(), &"c".to_string())
    );
}

#[test]
fn invented_owners_and_rows_stop_at_the_limit() {
    let limits = StoreLimits {
        owners: 200,
        rows_per_owner: 50,
        bytes: 100_000,
    };
    let (mut grid, now) = victim(limits);
    let mut insider = Insider::new(11);
    for n in 0..600u32 {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&n.to_be_bytes());
        let name = identity(&format!("n{n}"), "x", address_of(1));
        let row = Row::sign(
            &SigningKey::from_bytes(&seed),
            1,
            1,
            0,
            &payload::encode(&name),
        )
        .unwrap();
        insider.send(&mut grid, now, &[Part::Row(Arc::new(row))]);
    }
    assert_eq!(grid.store().owner_count(), 200);
    for index in 0..200 {
        let row = Row::sign(&SigningKey::from_bytes(&[0; 32]), 1, 2, index, &[0; 1_000]).unwrap();
        insider.send(&mut grid, now, &[Part::Row(Arc::new(row))]);
    }
    assert!(grid.store().byte_count() <= 100_000 && grid.store().row_count() <= 260);
    assert!(grid.counters().store.limit_hit >= 400);
    let (_, notices) = drain(&mut grid);
    assert_eq!(
        notices
            .iter()
            .filter(|n| matches!(n, GridNotice::StoreFull { .. }))
            .count(),
        1
    );
}

#[test]
fn one_datagram_never_draws_more_than_a_bounded_answer() {
    let (mut grid, now) = victim(StoreLimits::default());
    let signing = SigningKey::from_bytes(&[12; 32]);
    let rows =
        (0..1_000).map(|index| Arc::new(Row::sign(&signing, 1, 1, index, &[1; 1_000]).unwrap()));
    grid.adopt(now, rows);
    drain(&mut grid);
    let mut insider = Insider::new(13);
    let all = HashRange {
        first: RowKey::FIRST,
        last: RowKey::LAST,
        hash: 1,
        count: 1,
    };
    let wants: Vec<Outgoing> = (0..90)
        .map(|index| {
            Part::Want(RowKey {
                owner: NodeKey::of(signing.verifying_key().as_bytes()),
                index,
            })
        })
        .collect();
    for parts in [vec![Part::Hash(all); 20], wants, nothing_held()] {
        insider.send(&mut grid, now, &parts);
        let (bytes, _) = drain(&mut grid);
        assert!(bytes <= 60_000, "{bytes} bytes for one datagram");
    }
}

/// "I hold nothing", which asks for everything.
fn nothing_held() -> Vec<Outgoing> {
    wire::version_ranges(RowKey::FIRST, RowKey::LAST, std::iter::empty())
        .into_iter()
        .map(Part::Versions)
        .collect()
}

#[test]
fn every_parser_survives_noise_and_mutations() {
    let signing = SigningKey::from_bytes(&[14; 32]);
    let mut random = ChaCha8Rng::seed_from_u64(15);
    let name = payload::encode(&identity("a", "b", address_of(3)));
    let report = payload::encode(&sim::link(NodeKey(3), &mut random));
    let list = payload::encode_list([report.as_slice(), report.as_slice()].into_iter());
    let row = Row::sign(&signing, 1, 2, 3, &list).unwrap();
    let head = Insider::new(1).head();
    let range = HashRange {
        first: RowKey::FIRST,
        last: RowKey::LAST,
        hash: 1,
        count: 9,
    };
    let message =
        wire::pack(head, &[Part::Hash(range), Part::Row(Arc::new(row.clone()))]).remove(0);
    let corpus = [
        name,
        list,
        row.bytes().to_vec(),
        message,
        GridKey::generate(KEY).to_string().into_bytes(),
    ];
    let parsers: [fn(&[u8]); 5] = [
        fuzz::fuzz_datagram,
        fuzz::fuzz_message,
        fuzz::fuzz_row,
        fuzz::fuzz_payload,
        fuzz::fuzz_key,
    ];
    let rounds = if cfg!(debug_assertions) {
        2_000
    } else {
        50_000
    };
    for round in 0..rounds {
        let mut bytes = corpus[round % corpus.len()].clone();
        match round % 3 {
            0 => random.fill_bytes(&mut bytes),
            1 => bytes.truncate(random.random_range(0..bytes.len())),
            _ => {}
        }
        for _ in 0..random.random_range(0..4) {
            if let Some(byte) = bytes
                .len()
                .checked_sub(1)
                .map(|last| random.random_range(0..=last))
            {
                bytes[byte] = random.random();
            }
        }
        for parser in parsers {
            parser(&bytes);
        }
    }
}
