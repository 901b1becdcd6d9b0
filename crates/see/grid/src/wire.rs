//! One gossip message, as it stands inside a seal: a head, then parts, each with its kind and
//! length, so that parts of a newer version are skipped.
//!
//! ```text
//! from 8 | to 8 (0 = whoever) | flags 1 | token 8 | parts: kind 1, length 2, body
//! ```

use crate::bytes::{Reader, put_address};
use crate::row::{Claim, Row, RowKey, RowVersion};
use crate::seal::MESSAGE_BYTES_MAX;
use crate::store::Grave;
use andon_model::NodeKey;
use std::net::SocketAddr;
use std::sync::Arc;

const HEAD_BYTES: usize = 25;
const PART_HEAD_BYTES: usize = 3;
const RANGE_BYTES: usize = 20;
/// Largest body of a part that still fits a message of its own.
pub const PART_BYTES_MAX: usize = MESSAGE_BYTES_MAX - HEAD_BYTES - PART_HEAD_BYTES;

const ASK: u8 = 1;
const ANSWER: u8 = 2;
const PUSH: u8 = 4;
const MORE: u8 = 8;

const OBSERVED: u8 = 1;
const HASH: u8 = 2;
const VERSIONS: u8 = 3;
const WANT: u8 = 4;
const HINT: u8 = 5;
const ROW: u8 = 6;
const GRAVE: u8 = 7;

/// Who speaks, to whom, and what it expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The sender, by its own word.
    pub from: NodeKey,
    /// The receiver, where the sender knows it.
    pub to: Option<NodeKey>,
    /// The sender wants an answer, even an empty one, with this token.
    pub ask: bool,
    /// Answers the message that carried this token.
    pub answer: bool,
    /// Rows are news to be passed on.
    pub push: bool,
    /// The sender holds more for the receiver than it sent: ask again.
    pub more: bool,
    /// Ties an answer to its question.
    pub token: u64,
}

/// All rows between two places, by their combined hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashRange {
    /// First place, included.
    pub first: RowKey,
    /// Last place, included.
    pub last: RowKey,
    /// Sum of the rows' hashes.
    pub hash: u128,
    /// How many rows.
    pub count: u32,
}

/// All rows between two places, one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    /// First place, included.
    pub first: RowKey,
    /// Last place, included.
    pub last: RowKey,
    /// In order; what is missing between the two places the sender does not hold.
    pub rows: Vec<(RowKey, RowVersion)>,
}

/// One part of a message. `R` is how a row is held: proved to send, a claim when received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<R> {
    /// You appear to me at this address.
    Observed(SocketAddr),
    /// I hold this, in sum.
    Hash(HashRange),
    /// I hold this, in detail.
    Versions(VersionRange),
    /// Send me this row.
    Want(RowKey),
    /// I hold this content of a row, which changed lately.
    Hint(RowKey, RowVersion),
    /// A row.
    Row(R),
    /// I have forgotten this node.
    Grave(Grave),
}

/// A part to send.
pub type Outgoing = Part<Arc<Row>>;
/// A part that was received.
pub type Incoming<'a> = Part<Claim<'a>>;

/// Writes parts into as few messages as they need, in order, none longer than
/// [`MESSAGE_BYTES_MAX`]; at least one. Only the last carries `more`. A part that would not
/// fit a message of its own is left out.
pub fn pack(head: Head, parts: &[Outgoing]) -> Vec<Vec<u8>> {
    let mut messages = vec![write_head(head)];
    for part in parts {
        let (kind, body) = write_part(part);
        if body.len() > PART_BYTES_MAX {
            continue;
        }
        let full = messages
            .last()
            .is_none_or(|m| m.len() + PART_HEAD_BYTES + body.len() > MESSAGE_BYTES_MAX);
        if full {
            // Only the first message is the question: one question, one answer.
            messages.push(write_head(Head { ask: false, ..head }));
        }
        if let Some(message) = messages.last_mut() {
            message.push(kind);
            message.extend((body.len() as u16).to_be_bytes());
            message.extend(body);
        }
    }
    let last = messages.len() - 1;
    for message in &mut messages[..last] {
        message[16] &= !MORE;
    }
    messages
}

/// Reads a message; `None` where it is malformed.
pub fn read(message: &[u8]) -> Option<(Head, Vec<Incoming<'_>>)> {
    let mut reader = Reader(message);
    let from = reader.key()?;
    let to = reader.u64()?;
    let flags = reader.u8()?;
    let head = Head {
        from,
        to: (to != 0).then_some(NodeKey(to)),
        ask: flags & ASK != 0,
        answer: flags & ANSWER != 0,
        push: flags & PUSH != 0,
        more: flags & MORE != 0,
        token: reader.u64()?,
    };
    let mut parts = Vec::new();
    while !reader.is_empty() {
        let kind = reader.u8()?;
        let length = usize::from(reader.u16()?);
        let body = reader.take(length)?;
        parts.extend(read_part(kind, body)?);
    }
    Some((head, parts))
}

fn write_head(head: Head) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MESSAGE_BYTES_MAX);
    bytes.extend(head.from.0.to_be_bytes());
    bytes.extend(head.to.map_or(0, |to| to.0).to_be_bytes());
    let flags = [
        (head.ask, ASK),
        (head.answer, ANSWER),
        (head.push, PUSH),
        (head.more, MORE),
    ];
    bytes.push(
        flags
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, flag)| flag)
            .sum(),
    );
    bytes.extend(head.token.to_be_bytes());
    bytes
}

fn write_part(part: &Outgoing) -> (u8, Vec<u8>) {
    let mut body = Vec::new();
    let kind = match part {
        Part::Observed(address) => {
            put_address(&mut body, *address);
            OBSERVED
        }
        Part::Hash(range) => {
            put_key(&mut body, range.first);
            put_key(&mut body, range.last);
            body.extend(range.hash.to_be_bytes());
            body.extend(range.count.to_be_bytes());
            HASH
        }
        Part::Versions(range) => {
            put_key(&mut body, range.first);
            put_key(&mut body, range.last);
            for group in range
                .rows
                .chunk_by(|(a, av), (b, bv)| a.owner == b.owner && av.epoch == bv.epoch)
            {
                body.extend(group[0].0.owner.0.to_be_bytes());
                body.extend(group[0].1.epoch.to_be_bytes());
                body.extend((group.len() as u16).to_be_bytes());
                for (key, version) in group {
                    body.extend(key.index.to_be_bytes());
                    put_number(&mut body, version.version);
                    body.extend(version.mark.to_be_bytes());
                }
            }
            VERSIONS
        }
        Part::Want(key) => {
            put_key(&mut body, *key);
            WANT
        }
        Part::Hint(key, version) => {
            put_key(&mut body, *key);
            body.extend(version.epoch.to_be_bytes());
            put_number(&mut body, version.version);
            body.extend(version.mark.to_be_bytes());
            HINT
        }
        Part::Row(row) => {
            body.extend(row.bytes());
            ROW
        }
        Part::Grave(grave) => {
            body.extend(grave.owner.0.to_be_bytes());
            body.extend(grave.epoch.to_be_bytes());
            put_number(&mut body, grave.version);
            GRAVE
        }
    };
    (kind, body)
}

/// `None`: malformed. `Some(None)`: of a newer version, to be skipped.
#[allow(
    clippy::option_option,
    reason = "unknown and malformed are different answers"
)]
fn read_part(kind: u8, body: &[u8]) -> Option<Option<Incoming<'_>>> {
    let mut reader = Reader(body);
    let part = match kind {
        OBSERVED => Part::Observed(reader.address()?),
        HASH => Part::Hash(HashRange {
            first: key(&mut reader)?,
            last: key(&mut reader)?,
            hash: reader.u128()?,
            count: reader.u32()?,
        }),
        VERSIONS => Part::Versions(read_versions(&mut reader)?),
        WANT => Part::Want(key(&mut reader)?),
        HINT => {
            let place = key(&mut reader)?;
            let epoch = reader.u64()?;
            Part::Hint(
                place,
                RowVersion {
                    epoch,
                    version: number(&mut reader)?,
                    mark: reader.u32()?,
                },
            )
        }
        ROW => return Some(Some(Part::Row(Claim::read(body).ok()?))),
        GRAVE => Part::Grave(Grave {
            owner: reader.key()?,
            epoch: reader.u64()?,
            version: number(&mut reader)?,
        }),
        _ => return Some(None),
    };
    Some(Some(part))
}

/// Rows must lie between the two places and rise: what follows relies on it.
fn read_versions(reader: &mut Reader<'_>) -> Option<VersionRange> {
    let mut range = VersionRange {
        first: key(reader)?,
        last: key(reader)?,
        rows: Vec::new(),
    };
    while !reader.is_empty() {
        let owner = reader.key()?;
        let epoch = reader.u64()?;
        for _ in 0..reader.u16()? {
            let place = RowKey {
                owner,
                index: reader.u16()?,
            };
            let version = RowVersion {
                epoch,
                version: number(reader)?,
                mark: reader.u32()?,
            };
            let rises = range.rows.last().is_none_or(|(before, _)| *before < place);
            if !rises || place < range.first || place > range.last {
                return None;
            }
            range.rows.push((place, version));
        }
    }
    Some(range)
}

/// Cuts versions into ranges that each fit a message and together cover `first..=last`.
pub fn version_ranges(
    first: RowKey,
    last: RowKey,
    rows: impl Iterator<Item = (RowKey, RowVersion)>,
) -> Vec<VersionRange> {
    let mut ranges = Vec::new();
    let mut open = VersionRange {
        first,
        last,
        rows: Vec::new(),
    };
    let mut bytes = RANGE_BYTES;
    for (place, version) in rows {
        let new_group = open
            .rows
            .last()
            .is_none_or(|(before, _)| before.owner != place.owner);
        let cost = if new_group { 18 } else { 0 } + 6 + number_bytes(version.version);
        if bytes + cost > PART_BYTES_MAX {
            let before = open.rows.last().map_or(first, |(before, _)| *before);
            let next = VersionRange {
                first: next_key(before),
                last,
                rows: Vec::new(),
            };
            let full = std::mem::replace(&mut open, next);
            ranges.push(VersionRange {
                last: before,
                ..full
            });
            bytes = RANGE_BYTES + 18;
        }
        bytes += cost;
        open.rows.push((place, version));
    }
    ranges.push(open);
    ranges
}

/// The place behind this one; the last place is its own successor.
pub fn next_key(key: RowKey) -> RowKey {
    match (key.index.checked_add(1), key.owner.0.checked_add(1)) {
        (Some(index), _) => RowKey {
            owner: key.owner,
            index,
        },
        (None, Some(owner)) => RowKey {
            owner: NodeKey(owner),
            index: 0,
        },
        (None, None) => RowKey::LAST,
    }
}

fn put_key(bytes: &mut Vec<u8>, key: RowKey) {
    bytes.extend(key.owner.0.to_be_bytes());
    bytes.extend(key.index.to_be_bytes());
}

fn key(reader: &mut Reader<'_>) -> Option<RowKey> {
    Some(RowKey {
        owner: reader.key()?,
        index: reader.u16()?,
    })
}

/// Seven bits a byte, low ones first; the top bit says that more follow (LEB128).
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn number_bytes(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

fn number(reader: &mut Reader<'_>) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = reader.u8()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place() -> impl Strategy<Value = RowKey> {
        (any::<u64>(), any::<u16>()).prop_map(|(owner, index)| RowKey {
            owner: NodeKey(owner),
            index,
        })
    }

    fn version() -> impl Strategy<Value = RowVersion> {
        (any::<u64>(), any::<u64>(), any::<u32>()).prop_map(|(epoch, version, mark)| RowVersion {
            epoch,
            version,
            mark,
        })
    }

    fn part() -> impl Strategy<Value = Outgoing> {
        prop_oneof![
            any::<std::net::SocketAddrV4>().prop_map(|a| Part::Observed(a.into())),
            (any::<u128>(), any::<u16>()).prop_map(|(ip, port)| {
                Part::Observed(SocketAddr::new(std::net::Ipv6Addr::from(ip).into(), port))
            }),
            (place(), place(), any::<u128>(), any::<u32>()).prop_map(
                |(first, last, hash, count)| Part::Hash(HashRange {
                    first,
                    last,
                    hash,
                    count
                })
            ),
            proptest::collection::btree_map(place(), version(), 0..30).prop_map(|rows| {
                let mut ranges = version_ranges(RowKey::FIRST, RowKey::LAST, rows.into_iter());
                Part::Versions(ranges.remove(0))
            }),
            place().prop_map(Part::Want),
            (place(), version()).prop_map(|(place, version)| Part::Hint(place, version)),
            (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(owner, epoch, version)| {
                Part::Grave(Grave {
                    owner: NodeKey(owner),
                    epoch,
                    version,
                })
            }),
        ]
    }

    proptest! {
        #[test]
        fn messages_read_back_as_packed(
            parts in proptest::collection::vec(part(), 0..60),
            flags: [bool; 4], token: u64
        ) {
            let [ask, answer, push, more] = flags;
            let head = Head { from: NodeKey(1), to: Some(NodeKey(2)), ask, answer, push, more, token };
            let messages = pack(head, &parts);
            let mut found = Vec::new();
            for (index, message) in messages.iter().enumerate() {
                prop_assert!(message.len() <= MESSAGE_BYTES_MAX);
                let (read_head, read_parts) = read(message).unwrap();
                let is_last = index + 1 == messages.len();
                prop_assert_eq!(read_head, Head { ask: ask && index == 0, more: more && is_last, ..head });
                found.extend(read_parts.into_iter().map(|part| match part {
                    Part::Observed(x) => Outgoing::Observed(x),
                    Part::Hash(x) => Part::Hash(x),
                    Part::Versions(x) => Part::Versions(x),
                    Part::Want(x) => Part::Want(x),
                    Part::Hint(x, y) => Part::Hint(x, y),
                    Part::Grave(x) => Part::Grave(x),
                    Part::Row(_) => unreachable!("no row was packed"),
                }));
            }
            prop_assert_eq!(found, parts);
        }

        #[test]
        fn version_ranges_cover_everything_and_fit(
            rows in proptest::collection::btree_map(place(), version(), 0..600)
        ) {
            let ranges = version_ranges(RowKey::FIRST, RowKey::LAST, rows.clone().into_iter());
            prop_assert_eq!(ranges[0].first, RowKey::FIRST);
            prop_assert_eq!(ranges[ranges.len() - 1].last, RowKey::LAST);
            for pair in ranges.windows(2) {
                prop_assert_eq!(next_key(pair[0].last), pair[1].first);
            }
            for range in &ranges {
                let (_, body) = write_part(&Part::Versions(range.clone()));
                prop_assert!(body.len() <= PART_BYTES_MAX);
                prop_assert_eq!(&read_versions(&mut Reader(&body)).unwrap(), range);
            }
            let all: Vec<_> = ranges.into_iter().flat_map(|range| range.rows).collect();
            prop_assert_eq!(all, rows.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn rubbish_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1_400)) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn a_part_of_a_newer_version_is_skipped() {
        let head = Head {
            from: NodeKey(1),
            to: None,
            ask: true,
            answer: false,
            push: false,
            more: false,
            token: 7,
        };
        let mut message = pack(head, &[Part::Want(RowKey::FIRST)]).remove(0);
        message.extend([200, 0, 3, 1, 2, 3]);
        assert_eq!(read(&message).unwrap().1, vec![Part::Want(RowKey::FIRST)]);
    }
}
