//! What one node holds of the grid: the newest content of every row, and the slices read from
//! them. A row is proved once, on entry, and never goes backwards.

use crate::reading::read_slice;
use crate::row::{self, Claim, Row, RowIndex, RowKey, RowVersion};
use andon_model::{Instant, NodeKey, Picture, PictureDigest, Presence, Slice};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a store holds at most; what would exceed it is refused and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// Nodes. Holders of the grid key can invent owners; this bounds what that costs.
    pub owners: usize,
    /// Rows of one node: 1,000 rows hold about 16,000 links.
    pub rows_per_owner: usize,
    /// Bytes of all rows; slices read from them take about as much again.
    pub bytes: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            owners: 10_000,
            rows_per_owner: 1_600,
            bytes: 64 << 20,
        }
    }
}

/// How long a node that left stays in the picture.
pub const LEFT_KEPT: Duration = Duration::from_secs(3_600);
/// How long it is remembered that a node was forgotten. Longer than [`LEFT_KEPT`], so that no
/// node that still holds its rows brings them back.
pub const BURIED_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Forgotten nodes remembered at most; beyond, the one buried first may come back until it is
/// forgotten again.
pub const BURIED_MAX: usize = 4_096;

/// What happened to the rows that were offered, since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreCounters {
    /// Taken: new, or newer than what was held.
    pub news: u64,
    /// Held already.
    pub known: u64,
    /// Older than what was held.
    pub older: u64,
    /// Not signed by their owner.
    pub forged: u64,
    /// Of another public key with the same [`NodeKey`].
    pub other_key: u64,
    /// Of a node that was forgotten.
    pub buried: u64,
    /// Refused since a limit of [`StoreLimits`] was reached.
    pub limit_hit: u64,
    /// Rows whose payload was not understood or held an invalid name; held and passed on, not shown.
    pub invalid_rows: u64,
    /// Entries of lists that were not understood; their neighbours are shown.
    pub unread_entries: u64,
    /// Rows looked at while slices were read: what showing the picture costs.
    pub rows_read: u64,
    /// Graves given up since [`BURIED_MAX`] was reached.
    pub graves_evicted: u64,
}

/// What became of an offered row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// Taken.
    News {
        /// An older content of this row, or of this owner's earlier life, was held before.
        replaced: bool,
    },
    /// Held already.
    Known,
    /// Older than what is held.
    Older,
    /// Not taken, and counted.
    Refused,
}

/// What a look at the changed rows found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEvent {
    /// A node is shown that was not.
    Appeared(NodeKey),
    /// A shown node says that it left.
    Left(NodeKey),
    /// A row is held but cannot be shown.
    Invalid(RowKey),
}

/// A forgotten node: contents up to this are not taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grave {
    /// Whose.
    pub owner: NodeKey,
    /// Its life.
    pub epoch: u64,
    /// Its last known version in that life.
    pub version: u64,
}

struct Owner {
    public_key: [u8; 32],
    epoch: u64,
    rows: BTreeMap<RowIndex, Arc<Row>>,
    hash: u128,
    left_at: Option<Instant>,
}

impl Owner {
    fn version_max(&self) -> u64 {
        self.rows
            .values()
            .map(|row| row.version().version)
            .max()
            .unwrap_or(0)
    }
}

/// Rows by owner and index, and the picture read from them.
pub struct Store {
    limits: StoreLimits,
    owners: BTreeMap<NodeKey, Owner>,
    hash: u128,
    rows: usize,
    bytes: usize,
    graves: BTreeMap<NodeKey, (Grave, Instant)>,
    unread: BTreeSet<NodeKey>,
    shared: BTreeSet<NodeKey>,
    slices: BTreeMap<NodeKey, Arc<Slice>>,
    counters: StoreCounters,
}

impl Store {
    /// An empty store.
    pub fn new(limits: StoreLimits) -> Self {
        Self {
            limits,
            owners: BTreeMap::new(),
            hash: 0,
            rows: 0,
            bytes: 0,
            graves: BTreeMap::new(),
            unread: BTreeSet::new(),
            shared: BTreeSet::new(),
            slices: BTreeMap::new(),
            counters: StoreCounters::default(),
        }
    }

    /// How often what happened.
    pub fn counters(&self) -> &StoreCounters {
        &self.counters
    }

    /// Rows held.
    pub fn row_count(&self) -> usize {
        self.rows
    }

    /// Bytes of the rows held.
    pub fn byte_count(&self) -> usize {
        self.bytes
    }

    /// Rows held of one node.
    pub fn rows_of(&self, owner: NodeKey) -> usize {
        self.owners.get(&owner).map_or(0, |owner| owner.rows.len())
    }

    /// Nodes of which rows are held.
    pub fn owner_count(&self) -> usize {
        self.owners.len()
    }

    /// Graves remembered.
    pub fn grave_count(&self) -> usize {
        self.graves.len()
    }

    /// Offers a row that came from outside.
    pub fn offer(&mut self, claim: &Claim<'_>) -> Entered {
        let entered = match self.weigh(claim) {
            Entered::News { replaced } => match claim.prove() {
                Ok(row) => {
                    self.insert(Arc::new(row));
                    Entered::News { replaced }
                }
                Err(_) => {
                    self.counters.forged += 1;
                    Entered::Refused
                }
            },
            entered => entered,
        };
        match entered {
            Entered::News { .. } => self.counters.news += 1,
            Entered::Known => self.counters.known += 1,
            Entered::Older => self.counters.older += 1,
            Entered::Refused => {}
        }
        entered
    }

    /// Takes a row that is proved already: one's own, or one shared within a process.
    pub fn take(&mut self, row: Arc<Row>) -> Entered {
        let entered = self.weigh(&row.claim());
        if matches!(entered, Entered::News { .. }) {
            self.insert(row);
        }
        entered
    }

    /// Shows slices that were read from the same rows already, so that a simulation of many
    /// nodes holds them once.
    pub fn share_slices(&mut self, slices: &BTreeMap<NodeKey, Arc<Slice>>) {
        for (key, slice) in slices {
            let version = (slice.epoch, slice.version);
            let owner = self.owners.get(key);
            if owner.is_some_and(|owner| (owner.epoch, owner.version_max()) == version) {
                self.slices.insert(*key, slice.clone());
                self.unread.remove(key);
                self.shared.insert(*key);
            }
        }
    }

    /// What would become of a row, were its signature good.
    fn weigh(&mut self, claim: &Claim<'_>) -> Entered {
        let RowKey { owner: key, index } = claim.key();
        if self.is_buried(key, claim.epoch(), claim.number()) {
            self.counters.buried += 1;
            return Entered::Refused;
        }
        let mut freed = 0;
        let mut replaced = false;
        match self.owners.get(&key) {
            None if self.owners.len() >= self.limits.owners => return self.limit(),
            None => {}
            Some(owner) if owner.public_key != claim.public_key() => {
                self.counters.other_key += 1;
                return Entered::Refused;
            }
            Some(owner) if claim.epoch() < owner.epoch => return Entered::Older,
            Some(owner) if claim.epoch() > owner.epoch => replaced = true,
            Some(owner) => match owner.rows.get(&index) {
                Some(row) if claim.version() == row.version() => return Entered::Known,
                Some(row) if claim.version() < row.version() => return Entered::Older,
                Some(row) => {
                    freed = row.bytes().len();
                    replaced = true;
                }
                None if owner.rows.len() >= self.limits.rows_per_owner => return self.limit(),
                None => {}
            },
        }
        if self.bytes + claim.bytes().len() > self.limits.bytes + freed {
            return self.limit();
        }
        Entered::News { replaced }
    }

    fn limit(&mut self) -> Entered {
        self.counters.limit_hit += 1;
        Entered::Refused
    }

    fn insert(&mut self, row: Arc<Row>) {
        let claim = row.claim();
        let RowKey { owner: key, index } = claim.key();
        let epoch = claim.epoch();
        if self
            .owners
            .get(&key)
            .is_some_and(|owner| owner.epoch < epoch)
        {
            self.clear(key);
        }
        self.graves.remove(&key);
        let owner = self.owners.entry(key).or_insert_with(|| Owner {
            public_key: claim.public_key(),
            epoch,
            rows: BTreeMap::new(),
            hash: 0,
            left_at: None,
        });
        owner.epoch = epoch;
        let (bytes, hash) = (row.bytes().len(), row.hash());
        let old = owner.rows.insert(index, row);
        let (old_bytes, old_hash) = old
            .as_ref()
            .map_or((0, 0), |old| (old.bytes().len(), old.hash()));
        owner.hash = owner.hash.wrapping_add(hash).wrapping_sub(old_hash);
        self.hash = self.hash.wrapping_add(hash).wrapping_sub(old_hash);
        self.bytes = self.bytes + bytes - old_bytes;
        self.rows += usize::from(old.is_none());
        self.unread.insert(key);
    }

    /// Drops an owner's rows; what is shown of it stays until [`Store::read_changes`].
    fn clear(&mut self, key: NodeKey) -> Option<Grave> {
        let owner = self.owners.remove(&key)?;
        self.hash = self.hash.wrapping_sub(owner.hash);
        self.rows -= owner.rows.len();
        self.bytes -= owner
            .rows
            .values()
            .map(|row| row.bytes().len())
            .sum::<usize>();
        Some(Grave {
            owner: key,
            epoch: owner.epoch,
            version: owner.version_max(),
        })
    }

    /// Forgets a node: it leaves the picture, and what is known of it so far is not taken
    /// again. Whatever it publishes later is.
    pub fn forget(&mut self, now: Instant, key: NodeKey) {
        if let Some(grave) = self.clear(key) {
            self.slices.remove(&key);
            self.unread.insert(key);
            self.bury(now, grave);
        }
    }

    fn bury(&mut self, now: Instant, grave: Grave) {
        self.graves.insert(grave.owner, (grave, now));
        if self.graves.len() > BURIED_MAX {
            let oldest = self
                .graves
                .iter()
                .min_by_key(|(_, (_, at))| *at)
                .map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                self.graves.remove(&oldest);
                self.counters.graves_evicted += 1;
            }
        }
    }

    /// Another node has forgotten an owner. Follows only where that contradicts nothing: the
    /// owner left, or `is_gone` says that it is not reached from here either.
    pub fn hear_of_grave(&mut self, now: Instant, grave: Grave, is_gone: bool) {
        let Some(owner) = self.owners.get(&grave.owner) else {
            return;
        };
        let covers = (owner.epoch, owner.version_max()) <= (grave.epoch, grave.version);
        if covers && (is_gone || owner.left_at.is_some()) {
            self.forget(now, grave.owner);
        }
    }

    /// Drops who left long ago, and graves that are no longer needed. Whether the picture changed.
    pub fn tidy(&mut self, now: Instant) -> bool {
        self.graves
            .retain(|_, (_, at)| now.since(*at) < BURIED_KEPT);
        let gone: Vec<NodeKey> = self
            .owners
            .iter()
            .filter(|(_, owner)| owner.left_at.is_some_and(|at| now.since(at) > LEFT_KEPT))
            .map(|(key, _)| *key)
            .collect();
        for key in &gone {
            self.forget(now, *key);
        }
        !gone.is_empty()
    }

    /// The grave of an owner, where there is one that covers this content.
    pub fn grave(&self, owner: NodeKey, epoch: u64, version: u64) -> Option<Grave> {
        let (grave, _) = self.graves.get(&owner)?;
        ((epoch, version) <= (grave.epoch, grave.version)).then_some(*grave)
    }

    fn is_buried(&self, owner: NodeKey, epoch: u64, version: u64) -> bool {
        self.grave(owner, epoch, version).is_some()
    }

    /// A row.
    pub fn row(&self, key: RowKey) -> Option<&Arc<Row>> {
        self.owners.get(&key.owner)?.rows.get(&key.index)
    }

    /// The life of an owner.
    pub fn epoch(&self, owner: NodeKey) -> Option<u64> {
        self.owners.get(&owner).map(|owner| owner.epoch)
    }

    /// What orders the content that is held of a row.
    pub fn version(&self, key: RowKey) -> Option<RowVersion> {
        self.row(key).map(|row| row.version())
    }

    /// Rows from `first` to `last`, both included, in order.
    pub fn rows_between(
        &self,
        first: RowKey,
        last: RowKey,
    ) -> impl Iterator<Item = (RowKey, &Arc<Row>)> {
        let owners = (first <= last).then(|| self.owners.range(first.owner..=last.owner));
        owners.into_iter().flatten().flat_map(move |(key, owner)| {
            let from = if *key == first.owner { first.index } else { 0 };
            let to = if *key == last.owner {
                last.index
            } else {
                RowIndex::MAX
            };
            owner.rows.range(from..=to).map(|(index, row)| {
                (
                    RowKey {
                        owner: *key,
                        index: *index,
                    },
                    row,
                )
            })
        })
    }

    /// Combined hash of the rows from `first` to `last`, and how many they are.
    pub fn sum_between(&self, first: RowKey, last: RowKey) -> (u128, u32) {
        if (first, last) == (RowKey::FIRST, RowKey::LAST) {
            return (self.hash, self.rows as u32);
        }
        let (mut hash, mut count) = (0u128, 0u32);
        if first > last {
            return (hash, count);
        }
        for (key, owner) in self.owners.range(first.owner..=last.owner) {
            let from = if *key == first.owner { first.index } else { 0 };
            let to = if *key == last.owner {
                last.index
            } else {
                RowIndex::MAX
            };
            if (from, to) == (0, RowIndex::MAX) {
                hash = hash.wrapping_add(owner.hash);
                count += owner.rows.len() as u32;
                continue;
            }
            for row in owner.rows.range(from..=to).map(|(_, row)| row) {
                hash = hash.wrapping_add(row.hash());
                count += 1;
            }
        }
        (hash, count)
    }

    /// Reads the slices whose rows changed. Returns whose they are and what is worth telling.
    pub fn read_changes(&mut self, now: Instant) -> (BTreeSet<NodeKey>, Vec<StoreEvent>) {
        let mut events = Vec::new();
        let mut changed = std::mem::take(&mut self.shared);
        for key in std::mem::take(&mut self.unread) {
            changed.insert(key);
            let Some(owner) = self.owners.get(&key) else {
                continue;
            };
            let reading = read_slice(&owner.rows);
            self.counters.rows_read += owner.rows.len() as u64;
            self.counters.invalid_rows += reading.invalid.len() as u64;
            self.counters.unread_entries += reading.unread_entries;
            let invalid = reading
                .invalid
                .into_iter()
                .map(|index| RowKey { owner: key, index });
            events.extend(invalid.map(StoreEvent::Invalid));
            let before = self.slices.get(&key).map(|slice| slice.identity.presence);
            let Some(slice) = reading.slice else {
                // The first rows of a later life may come before its identity: what was shown
                // stays for those moments, so that a restart does not flicker.
                if owner.rows.contains_key(&row::IDENTITY) {
                    self.slices.remove(&key);
                }
                continue;
            };
            let presence = slice.identity.presence;
            if before.is_none() {
                events.push(StoreEvent::Appeared(key));
            }
            if presence == Presence::Left && before != Some(Presence::Left) {
                events.push(StoreEvent::Left(key));
            }
            self.slices.insert(key, Arc::new(slice));
            if let Some(owner) = self.owners.get_mut(&key) {
                owner.left_at = match presence {
                    Presence::Here => None,
                    Presence::Left => owner.left_at.or(Some(now)),
                };
            }
        }
        (changed, events)
    }

    /// What is shown. Slices are shared, not copied.
    pub fn picture(&self) -> Picture {
        Picture {
            digest: self.digest(),
            slices: self.slices.clone(),
        }
    }

    /// The slices that are shown.
    pub fn slices(&self) -> &BTreeMap<NodeKey, Arc<Slice>> {
        &self.slices
    }

    /// Equal on nodes that hold the same rows, understood or not.
    pub fn digest(&self) -> PictureDigest {
        PictureDigest(self.hash)
    }

    /// Access records of all nodes: owner, number of the record, its bytes.
    pub fn access_rows(&self) -> impl Iterator<Item = (NodeKey, u16, &[u8])> {
        let (first, count) = row::ACCESS;
        self.owners.iter().flat_map(move |(key, owner)| {
            owner
                .rows
                .range(first..first + count)
                .filter(|(_, row)| !row.payload().is_empty())
                .map(move |(index, row)| (*key, index - first, row.payload()))
        })
    }
}
