//! The store alone: order, limits, forgetting, and what is shown of it.
#![allow(clippy::unwrap_used, reason = "a test")]

mod sim;

use andon_grid::payload;
use andon_grid::row::{self, Row};
use andon_grid::store::{BURIED_MAX, Entered, Store, StoreLimits};
use andon_model::{Instant, NodeKey, Presence};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use sim::{address_of, identity};
use std::sync::Arc;

fn signing(seed: u16) -> SigningKey {
    let mut bytes = [1; 32];
    bytes[..2].copy_from_slice(&seed.to_be_bytes());
    SigningKey::from_bytes(&bytes)
}

fn named(seed: u16, epoch: u64, version: u64) -> Row {
    let name = payload::encode(&identity(&format!("n{version}"), "s", address_of(1)));
    Row::sign(&signing(seed), epoch, version, row::IDENTITY, &name).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// In whatever order rows come, what is held in the end is the same, and right.
    #[test]
    fn the_newest_wins_in_any_order(
        specs in proptest::collection::btree_set((0u16..3, 0u64..3, 0u64..4, 0u16..3), 1..40),
        seed: u64,
    ) {
        let rows: Vec<Row> = specs
            .iter()
            .map(|(owner, epoch, version, index)| Row::sign(&signing(*owner), *epoch, *version, *index, &[7]).unwrap())
            .collect();
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|row| row.hash() ^ u128::from(seed) << 64 ^ u128::from(seed));
        let (mut a, mut b) = (Store::new(StoreLimits::default()), Store::new(StoreLimits::default()));
        for row in &rows {
            a.offer(&row.claim());
        }
        for row in &shuffled {
            b.take(Arc::new(row.clone()));
        }
        prop_assert_eq!(a.digest(), b.digest());
        prop_assert_eq!((a.row_count(), a.byte_count()), (b.row_count(), b.byte_count()));
        for row in &rows {
            let epoch = specs.iter().filter(|spec| signing(spec.0) == signing_of(row, &specs)).map(|spec| spec.1).max();
            prop_assert_eq!(a.epoch(row.key().owner), epoch);
        }
    }
}

fn signing_of(row: &Row, specs: &std::collections::BTreeSet<(u16, u64, u64, u16)>) -> SigningKey {
    let owner = |seed: u16| NodeKey::of(signing(seed).verifying_key().as_bytes());
    let seed = specs
        .iter()
        .map(|spec| spec.0)
        .find(|seed| owner(*seed) == row.key().owner)
        .unwrap();
    signing(seed)
}

#[test]
fn a_restart_does_not_flicker() {
    let mut store = Store::new(StoreLimits::default());
    store.take(Arc::new(named(1, 1, 1)));
    store.read_changes(Instant(0));
    let key = named(1, 1, 1).key().owner;
    let host = Row::sign(
        &signing(1),
        2,
        2,
        row::HOST,
        &payload::encode(&andon_model::HostHealth::default()),
    )
    .unwrap();
    assert_eq!(store.offer(&host.claim()), Entered::News { replaced: true });
    store.read_changes(Instant(0));
    assert_eq!(
        store.slices()[&key].epoch,
        1,
        "still shown until the new life says who it is"
    );
    store.take(Arc::new(named(1, 2, 1)));
    store.read_changes(Instant(0));
    assert_eq!(store.slices()[&key].epoch, 2);
    assert_eq!(store.offer(&named(1, 1, 9).claim()), Entered::Older);
}

#[test]
fn graves_are_bounded_and_who_left_fades() {
    let mut store = Store::new(StoreLimits::default());
    for seed in 0..BURIED_MAX as u16 + 5 {
        let row = Arc::new(named(seed, 1, 1));
        let owner = row.key().owner;
        store.take(row);
        store.forget(Instant(u64::from(seed)), owner);
    }
    assert_eq!(store.grave_count(), BURIED_MAX);
    assert_eq!(store.counters().graves_evicted, 5);
    assert_eq!(store.digest().0, 0);
    let hour = 3_600_000_000;
    assert!(!store.tidy(Instant(23 * hour)));
    assert_eq!(store.grave_count(), BURIED_MAX);
    store.tidy(Instant(25 * hour));
    assert_eq!(store.grave_count(), 0);

    let mut gone = identity("gone", "s", address_of(1));
    gone.presence = Presence::Left;
    let row = Row::sign(&signing(3), 5, 1, row::IDENTITY, &payload::encode(&gone)).unwrap();
    store.take(Arc::new(row.clone()));
    store.read_changes(Instant(30 * hour));
    assert!(!store.tidy(Instant(30 * hour + hour)));
    assert!(store.tidy(Instant(31 * hour + 1)));
    assert_eq!(store.offer(&row.claim()), Entered::Refused);
}

#[test]
fn access_records_pass_through_unread() {
    let mut store = Store::new(StoreLimits::default());
    for (number, bytes) in [(0, &b"token one"[..]), (1, b""), (2, b"\xff\x00")] {
        let row = Row::sign(
            &signing(1),
            1,
            number + 1,
            row::ACCESS.0 + number as u16,
            bytes,
        )
        .unwrap();
        store.take(Arc::new(row));
    }
    let records: Vec<_> = store
        .access_rows()
        .map(|(_, number, bytes)| (number, bytes.to_vec()))
        .collect();
    assert_eq!(
        records,
        [(0, b"token one".to_vec()), (2, b"\xff\x00".to_vec())]
    );
}
