//! A grid is upgraded node by node: what a newer node says crosses an older one byte for byte,
//! and what the older one understands of it, it shows.
#![allow(clippy::unwrap_used, reason = "a test")]

mod sim;

use andon_grid::payload;
use andon_grid::row::{self, Row, RowKey};
use andon_model::{NodeKey, Peer};
use ed25519_dalek::SigningKey;
use sim::{Net, World, address_of, identity};
use std::sync::Arc;
use std::time::Duration;

/// Adds field 99 to a CBOR map of fewer than 23 fields.
fn with_a_new_field(mut map: Vec<u8>) -> Vec<u8> {
    assert!((0xa0..0xb7).contains(&map[0]));
    map[0] += 1;
    map.extend([0x18, 99, 0x82, 1, 0x63, b'n', b'e', b'w']);
    map
}

#[test]
fn rows_of_a_newer_version_cross_older_nodes_unharmed() {
    let mut world = World::new(
        1,
        Net {
            loss: 0.1,
            ..Net::LAN
        },
    );
    for index in 0..4usize {
        // A chain: each knows only the one before.
        world.add(&[index.saturating_sub(1)]);
    }
    let newer = SigningKey::from_bytes(&[77; 32]);
    let name = with_a_new_field(payload::encode(&identity("newer", "lab", address_of(20))));
    let mut random = world.random.clone();
    let known = payload::encode(&sim::link(NodeKey(1), &mut random));
    let extended = with_a_new_field(payload::encode(&sim::link(NodeKey(2), &mut random)));
    // A link state that does not exist yet.
    let mut unknown = payload::encode(&sim::link(NodeKey(3), &mut random));
    let state = unknown.windows(2).position(|w| w == [1, 0]).unwrap();
    unknown[state + 1] = 23;
    let links = with_a_new_field(payload::encode_list(
        [&known[..], &extended, &unknown].into_iter(),
    ));
    let rows: Vec<Arc<Row>> = [
        (row::IDENTITY, name),
        (row::LINKS.0, links),
        (9, b"no cbor at all".to_vec()),
        (60_000, vec![0xff; 1_100]),
    ]
    .into_iter()
    .enumerate()
    .map(|(n, (index, payload))| {
        Arc::new(Row::sign(&newer, 3, n as u64 + 1, index, &payload).unwrap())
    })
    .collect();
    let now = world.instant(0);
    world.nodes[0].grid.adopt(now, rows.iter().cloned());
    let agreed = world.run_until(
        Duration::from_secs(20),
        Duration::from_millis(50),
        |world| {
            world.agrees()
                && world
                    .nodes
                    .iter()
                    .all(|node| node.grid.store().owner_count() == 5)
        },
    );
    assert!(agreed.is_some());
    let owner = NodeKey::of(newer.verifying_key().as_bytes());
    for node in &world.nodes {
        let held: Vec<&[u8]> = node
            .grid
            .store()
            .rows_between(
                RowKey { owner, index: 0 },
                RowKey {
                    owner,
                    index: u16::MAX,
                },
            )
            .map(|(_, row)| row.bytes())
            .collect();
        let sent: Vec<&[u8]> = [&rows[0], &rows[2], &rows[1], &rows[3]]
            .iter()
            .map(|row| row.bytes())
            .collect();
        assert_eq!(held, sent);
        let slice = &node.grid.picture().slices[&owner];
        assert_eq!(slice.identity.id.as_str(), "newer");
        assert_eq!(
            slice.links.keys().cloned().collect::<Vec<_>>(),
            [Peer::Node(NodeKey(1)), Peer::Node(NodeKey(2))]
        );
        assert!(node.grid.counters().store.unread_entries >= 1);
    }
}
