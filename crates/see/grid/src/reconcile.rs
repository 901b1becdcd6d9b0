//! How two nodes find what either lacks: range-based set reconciliation. Each says what it
//! holds between two places, in sum; where the sums differ, in smaller ranges, then row by
//! row; then rows pass. The cost follows the difference, not the grid.
//! Source: A. Meyer, "Range-Based Set Reconciliation" (2022).

use crate::row::{Row, RowKey, RowVersion};
use crate::store::Store;
use crate::wire::{HashRange, Incoming, Outgoing, Part, VersionRange, version_ranges};
use andon_model::NodeKey;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Ranges a mismatch is split into: all of them fit one message.
const SPLIT: u32 = 16;
/// Rows up to which a range is told row by row: about one message.
pub const LIST_ROWS_MAX: u32 = 80;
/// Bytes of rows in one answer, about 30 datagrams: within a socket's receive buffer.
const ANSWER_BYTES_MAX: usize = 40_000;
/// Requests in one answer: three messages full.
const WANTS_MAX: usize = 256;
/// Ranges in one answer: where everything differs, the first ones will do.
const RANGES_MAX: usize = 64;
/// Graves told in one answer.
const GRAVES_MAX: usize = 32;

/// What to send back.
#[derive(Debug, Default)]
pub struct Answer {
    /// In order of importance.
    pub parts: Vec<Outgoing>,
    /// More would have been sent, but for the limits.
    pub more: bool,
}

/// The answer to the parts of one message.
///
/// `start`: any number; where there is more to send than fits, the choice begins there, so
/// that several nodes that answer the same question send different rows.
pub fn answer(store: &Store, parts: &[Incoming<'_>], start: u64) -> Answer {
    let mut reply = Reply::default();
    for part in parts {
        match part {
            Part::Hash(range) => reply.compare_sum(store, range),
            Part::Versions(range) => reply.compare_versions(store, range),
            Part::Want(key) => reply.rows.extend(store.row(*key).cloned()),
            Part::Hint(key, version) => reply.compare_row(store, *key, *version),
            Part::Observed(_) | Part::Row(_) | Part::Grave(_) => {}
        }
    }
    reply.finish(start)
}

/// What is held, in one part or a few: row by row where that fits one message, else in sum.
pub fn summary(store: &Store, in_detail: bool) -> Vec<Outgoing> {
    let (first, last) = (RowKey::FIRST, RowKey::LAST);
    if in_detail && store.row_count() <= LIST_ROWS_MAX as usize {
        return list(store, first, last);
    }
    let (hash, count) = store.sum_between(first, last);
    vec![Part::Hash(HashRange {
        first,
        last,
        hash,
        count,
    })]
}

fn list(store: &Store, first: RowKey, last: RowKey) -> Vec<Outgoing> {
    let rows = store
        .rows_between(first, last)
        .map(|(key, row)| (key, row.version()));
    version_ranges(first, last, rows)
        .into_iter()
        .map(Part::Versions)
        .collect()
}

#[derive(Default)]
struct Reply {
    ranges: Vec<Outgoing>,
    wants: BTreeSet<RowKey>,
    rows: Vec<Arc<Row>>,
    graves: BTreeMap<NodeKey, Outgoing>,
}

impl Reply {
    fn compare_sum(&mut self, store: &Store, theirs: &HashRange) {
        let (hash, count) = store.sum_between(theirs.first, theirs.last);
        if (hash, count) == (theirs.hash, theirs.count) || theirs.first > theirs.last {
            return;
        }
        if count <= LIST_ROWS_MAX {
            self.ranges.extend(list(store, theirs.first, theirs.last));
        } else {
            self.ranges
                .extend(split(store, theirs.first, theirs.last, count));
        }
    }

    fn compare_versions(&mut self, store: &Store, theirs: &VersionRange) {
        let epochs: BTreeMap<NodeKey, u64> = theirs
            .rows
            .iter()
            .map(|(key, version)| (key.owner, version.epoch))
            .collect();
        for (key, version) in &theirs.rows {
            self.compare_row(store, *key, *version);
        }
        let listed: BTreeSet<RowKey> = theirs.rows.iter().map(|(key, _)| *key).collect();
        for (key, row) in store.rows_between(theirs.first, theirs.last) {
            // Of a later life of its owner the other side knows already: these rows are past.
            let is_past = epochs
                .get(&key.owner)
                .is_some_and(|epoch| *epoch > row.version().epoch);
            if !listed.contains(&key) && !is_past {
                self.rows.push(row.clone());
            }
        }
    }

    fn compare_row(&mut self, store: &Store, key: RowKey, theirs: RowVersion) {
        let owner = key.owner;
        if let Some(grave) = store.grave(owner, theirs.epoch, theirs.version) {
            self.graves.insert(owner, Part::Grave(grave));
            return;
        }
        let is_past = store.epoch(owner).is_some_and(|held| held > theirs.epoch);
        match store.row(key) {
            Some(row) if row.version() > theirs => self.rows.push(row.clone()),
            Some(row) if row.version() == theirs => {}
            None if is_past => {}
            Some(_) | None => {
                self.wants.insert(key);
            }
        }
    }

    fn finish(mut self, start: u64) -> Answer {
        let more = self.wants.len() > WANTS_MAX || self.ranges.len() > RANGES_MAX;
        let mut answer = Answer {
            parts: Vec::new(),
            more,
        };
        if !self.rows.is_empty() {
            let middle = (start % self.rows.len() as u64) as usize;
            let total: usize = self.rows.iter().map(|row| row.bytes().len()).sum();
            if total > ANSWER_BYTES_MAX {
                self.rows.rotate_left(middle);
            }
        }
        let mut sent = BTreeSet::new();
        let mut bytes = 0;
        let mut rows = Vec::new();
        for row in self.rows {
            if bytes + row.bytes().len() > ANSWER_BYTES_MAX {
                answer.more = true;
                break;
            }
            if sent.insert(row.key()) {
                bytes += row.bytes().len();
                rows.push(Part::Row(row));
            }
        }
        answer
            .parts
            .extend(self.ranges.into_iter().take(RANGES_MAX));
        answer
            .parts
            .extend(self.graves.into_values().take(GRAVES_MAX));
        answer
            .parts
            .extend(self.wants.into_iter().take(WANTS_MAX).map(Part::Want));
        answer.parts.extend(rows);
        answer
    }
}

/// Ranges of about equally many rows that together cover `first..=last`.
fn split(store: &Store, first: RowKey, last: RowKey, count: u32) -> Vec<Outgoing> {
    let size = count.div_ceil(SPLIT).max(1);
    let mut ranges = Vec::new();
    let mut open = HashRange {
        first,
        last,
        hash: 0,
        count: 0,
    };
    for (key, row) in store.rows_between(first, last) {
        if open.count >= size {
            // The range ends just before this row, so that what lies between belongs to it.
            let end = previous_key(key);
            ranges.push(Part::Hash(HashRange { last: end, ..open }));
            open = HashRange {
                first: key,
                last,
                hash: 0,
                count: 0,
            };
        }
        open.hash = open.hash.wrapping_add(row.hash());
        open.count += 1;
    }
    ranges.push(Part::Hash(open));
    ranges
}

/// The place before this one; the first place is its own predecessor.
fn previous_key(key: RowKey) -> RowKey {
    match (key.index.checked_sub(1), key.owner.0.checked_sub(1)) {
        (Some(index), _) => RowKey {
            owner: key.owner,
            index,
        },
        (None, Some(owner)) => RowKey {
            owner: NodeKey(owner),
            index: u16::MAX,
        },
        (None, None) => RowKey::FIRST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreLimits;
    use crate::wire::{self, Head};
    use andon_model::Instant;
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    /// Owner, row, epoch, version, said in few bytes.
    type Spec = (u8, u16, u8, u8);

    fn store(specs: &[Spec]) -> Store {
        let mut store = Store::new(StoreLimits::default());
        for (owner, index, epoch, version) in specs {
            let key = SigningKey::from_bytes(&[*owner; 32]);
            let row = Row::sign(
                &key,
                u64::from(*epoch),
                u64::from(*version),
                *index,
                &[0; 10],
            );
            store.take(Arc::new(row.unwrap()));
        }
        store
    }

    /// One conversation: how many messages until nobody has anything to say.
    fn converse(a: &mut Store, b: &mut Store, in_detail: bool) -> usize {
        let head = Head {
            from: NodeKey(1),
            to: None,
            ask: false,
            answer: false,
            push: false,
            more: false,
            token: 0,
        };
        let mut to_b = wire::pack(head, &summary(a, in_detail));
        let mut messages = 0;
        for turn in 0..60 {
            if to_b.is_empty() {
                break;
            }
            messages += to_b.len();
            let (listener, mut replies) =
                (if turn % 2 == 0 { &mut *b } else { &mut *a }, Vec::new());
            for message in &to_b {
                let (_, parts) = wire::read(message).unwrap();
                for part in &parts {
                    match part {
                        Part::Row(claim) => {
                            listener.offer(claim);
                        }
                        Part::Grave(grave) => listener.hear_of_grave(Instant(0), *grave, true),
                        _ => {}
                    }
                }
                let answer = answer(listener, &parts, 7);
                if !answer.parts.is_empty() {
                    replies.extend(wire::pack(head, &answer.parts));
                }
            }
            to_b = replies;
        }
        messages
    }

    fn specs() -> impl Strategy<Value = Vec<Spec>> {
        proptest::collection::vec((0u8..12, 0u16..40, 0u8..3, 0u8..3), 0..160)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn two_stores_agree_after_conversations(a in specs(), b in specs(), in_detail: bool) {
            let (mut a, mut b) = (store(&a), store(&b));
            for _ in 0..8 {
                converse(&mut a, &mut b, in_detail);
            }
            prop_assert_eq!(a.digest(), b.digest());
            prop_assert_eq!(converse(&mut a, &mut b, false), 1);
        }
    }

    #[test]
    fn the_cost_follows_the_difference_and_not_the_grid() {
        let specs: Vec<Spec> = (0..3_000u32)
            .map(|n| ((n % 250) as u8, (n / 250) as u16, 1, 1))
            .collect();
        let (mut a, mut b) = (store(&specs), store(&specs));
        let (owner, index, epoch, _) = specs[1_234];
        let row = Row::sign(
            &SigningKey::from_bytes(&[owner; 32]),
            epoch.into(),
            2,
            index,
            &[1; 10],
        );
        a.take(Arc::new(row.unwrap()));
        assert_ne!(a.digest(), b.digest());
        let messages = converse(&mut a, &mut b, true);
        assert_eq!(a.digest(), b.digest());
        assert!(messages <= 7, "{messages} messages for one row");
    }

    #[test]
    fn rows_of_a_past_life_are_neither_wanted_nor_sent() {
        let (old, new) = (store(&[(1, 0, 1, 5), (1, 9, 1, 6)]), store(&[(1, 0, 2, 1)]));
        let ask = |from: &Store, to: &Store| {
            let claims = summary(from, true).into_iter().map(|part| match part {
                Part::Versions(range) => Part::Versions(range),
                part => panic!("no list but {part:?}"),
            });
            answer(to, &claims.collect::<Vec<_>>(), 0).parts
        };
        let key = |index| {
            new.rows_between(RowKey::FIRST, RowKey::LAST)
                .next()
                .map(|(key, _)| RowKey { index, ..key })
        };
        assert_eq!(ask(&new, &old), [Part::Want(key(0).unwrap())]);
        let rows: Vec<Outgoing> = new
            .row(key(0).unwrap())
            .cloned()
            .map(Part::Row)
            .into_iter()
            .collect();
        assert_eq!(ask(&old, &new), rows);
    }

    #[test]
    fn what_is_buried_is_not_brought_back_and_news_of_it_are() {
        let (mut a, mut b) = (
            store(&[(1, 0, 1, 5), (2, 0, 1, 1)]),
            store(&[(1, 0, 1, 5), (2, 0, 1, 1)]),
        );
        let owner = NodeKey::of(SigningKey::from_bytes(&[1; 32]).verifying_key().as_bytes());
        a.forget(Instant(0), owner);
        converse(&mut b, &mut a, true);
        assert_eq!((a.owner_count(), b.owner_count()), (1, 1));
        let news = Row::sign(&SigningKey::from_bytes(&[1; 32]), 1, 6, 0, b"alive").unwrap();
        b.take(Arc::new(news));
        converse(&mut b, &mut a, true);
        assert_eq!((a.owner_count(), b.owner_count()), (2, 2));
        assert_eq!(a.digest(), b.digest());
    }
}
