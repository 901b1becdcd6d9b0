//! The unit that gossip carries: one numbered row of one owner, signed by it, and passed on
//! byte for byte. A node needs no understanding of a payload to relay it, so rows and fields
//! of a newer version cross an older node unharmed.
//!
//! ```text
//! owner's public key 32 | epoch 8 | version 8 | index 2 | length 2 | payload | signature 64
//! ```

use crate::bytes::Reader;
use andon_model::NodeKey;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// Largest payload: with the row's head, the message's and the seal's it still fits one datagram.
pub const PAYLOAD_BYTES_MAX: usize = 1_100;
const HEAD_BYTES: usize = 52;
const SIGNATURE_BYTES: usize = 64;
/// Largest row.
pub const ROW_BYTES_MAX: usize = HEAD_BYTES + PAYLOAD_BYTES_MAX + SIGNATURE_BYTES;
/// What the signature covers begins with this, so that it can mean nothing else.
const CONTEXT: &[u8] = b"andon row 1\0";

/// Which row of its owner; fixed meanings below, all others are passed on and not understood.
pub type RowIndex = u16;
/// Who the node is: [`andon_model::Identity`].
pub const IDENTITY: RowIndex = 0;
/// How its host fares: [`andon_model::HostHealth`].
pub const HOST: RowIndex = 1;
/// First of the rows that hold links, and how many there are.
pub const LINKS: (RowIndex, u16) = (16, 1_008);
/// First of the rows that hold declared targets, and how many there are.
pub const TARGETS: (RowIndex, u16) = (1_024, 256);
/// First of the rows that hold GridBug neighbours, and how many there are.
pub const NEIGHBOURS: (RowIndex, u16) = (1_280, 256);
/// First of the rows that hold access records, opaque here, and how many there are.
pub const ACCESS: (RowIndex, u16) = (1_536, 64);
/// First of the rows that hold traced paths, and how many there are.
pub const PATHS: (RowIndex, u16) = (2_048, 1_024);
/// First of the rows that hold incidents, and how many there are.
pub const INCIDENTS: (RowIndex, u16) = (3_072, 64);
/// First of the rows that hold remarks on incidents, and how many there are.
pub const REMARKS: (RowIndex, u16) = (3_136, 256);
/// First of the rows that hold heartbeats, and how many there are.
pub const HEARTBEATS: (RowIndex, u16) = (3_392, 256);

/// Where a row stands among all rows of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// Whose row.
    pub owner: NodeKey,
    /// Which of its rows.
    pub index: RowIndex,
}

impl RowKey {
    /// Before all others.
    pub const FIRST: RowKey = RowKey {
        owner: NodeKey(0),
        index: 0,
    };
    /// Behind all others.
    pub const LAST: RowKey = RowKey {
        owner: NodeKey(u64::MAX),
        index: u16::MAX,
    };
}

/// What orders the contents of one row: a later life of its owner outranks an earlier one,
/// then a later version; the mark settles what should not happen, two contents of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowVersion {
    /// The owner's life.
    pub epoch: u64,
    /// The version within it.
    pub version: u64,
    /// Head of the row's hash.
    pub mark: u32,
}

/// Why bytes are no row. Nothing was changed by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Shorter than it says, or longer than rows are.
    #[error("malformed row")]
    Malformed,
    /// Not signed by its owner.
    #[error("row is not signed by its owner")]
    Signature,
}

/// A row whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    bytes: Box<[u8]>,
    hash: u128,
}

/// Bytes that have the shape of a row; who wrote them is not proved yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    bytes: &'a [u8],
}

impl Row {
    /// Writes and signs a row. `None` where the payload exceeds [`PAYLOAD_BYTES_MAX`].
    pub fn sign(
        key: &SigningKey,
        epoch: u64,
        version: u64,
        index: RowIndex,
        payload: &[u8],
    ) -> Option<Self> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return None;
        }
        let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len() + SIGNATURE_BYTES);
        bytes.extend(key.verifying_key().as_bytes());
        bytes.extend(epoch.to_be_bytes());
        bytes.extend(version.to_be_bytes());
        bytes.extend(index.to_be_bytes());
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend(payload);
        let signature = key.sign(&signed_text(&bytes));
        bytes.extend(signature.to_bytes());
        Some(Self::proved(&bytes))
    }

    fn proved(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.into(),
            hash: hash_of(bytes),
        }
    }

    /// As sent and relayed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first 16 bytes of the SHA-256 of the row's bytes.
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// The same row as a claim, for reading its fields.
    pub fn claim(&self) -> Claim<'_> {
        Claim { bytes: &self.bytes }
    }

    /// Where it stands.
    pub fn key(&self) -> RowKey {
        self.claim().key()
    }

    /// What orders it among other contents of the same row.
    pub fn version(&self) -> RowVersion {
        RowVersion {
            epoch: self.claim().epoch(),
            version: self.claim().number(),
            mark: mark_of(self.hash),
        }
    }

    /// What it says, in CBOR.
    pub fn payload(&self) -> &[u8] {
        self.claim().payload()
    }
}

impl<'a> Claim<'a> {
    /// Takes bytes that have the shape of one whole row.
    pub fn read(bytes: &'a [u8]) -> Result<Self, RowError> {
        let mut reader = Reader(bytes);
        reader.take(HEAD_BYTES - 2).ok_or(RowError::Malformed)?;
        let length = usize::from(reader.u16().ok_or(RowError::Malformed)?);
        if length > PAYLOAD_BYTES_MAX || reader.0.len() != length + SIGNATURE_BYTES {
            return Err(RowError::Malformed);
        }
        Ok(Self { bytes })
    }

    /// As received.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The owner's Ed25519 public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.field(0)
    }

    /// The owner's life.
    pub fn epoch(&self) -> u64 {
        u64::from_be_bytes(self.field(32))
    }

    /// The version within the life.
    pub fn number(&self) -> u64 {
        u64::from_be_bytes(self.field(40))
    }

    /// Where it stands.
    pub fn key(&self) -> RowKey {
        RowKey {
            owner: NodeKey::of(&self.public_key()),
            index: u16::from_be_bytes(self.field(48)),
        }
    }

    /// What orders it among other contents of the same row.
    pub fn version(&self) -> RowVersion {
        RowVersion {
            epoch: self.epoch(),
            version: self.number(),
            mark: mark_of(hash_of(self.bytes)),
        }
    }

    /// What it says.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEAD_BYTES..self.bytes.len() - SIGNATURE_BYTES]
    }

    /// Checks the signature: about 50 µs, so ask last.
    pub fn prove(&self) -> Result<Row, RowError> {
        let (signed, signature) = self.bytes.split_at(self.bytes.len() - SIGNATURE_BYTES);
        let signature = Signature::from_slice(signature).map_err(|_| RowError::Malformed)?;
        let key = VerifyingKey::from_bytes(&self.public_key()).map_err(|_| RowError::Signature)?;
        key.verify_strict(&signed_text(signed), &signature)
            .map_err(|_| RowError::Signature)?;
        Ok(Row::proved(self.bytes))
    }

    fn field<const N: usize>(&self, start: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.bytes[start..start + N]);
        field
    }
}

fn signed_text(bytes: &[u8]) -> Vec<u8> {
    [CONTEXT, bytes].concat()
}

fn hash_of(bytes: &[u8]) -> u128 {
    let hash = Sha256::digest(bytes);
    let mut head = [0; 16];
    head.copy_from_slice(&hash[..16]);
    u128::from_be_bytes(head)
}

fn mark_of(hash: u128) -> u32 {
    (hash >> 96) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_row_reads_back_as_signed(
            seed: [u8; 32], epoch: u64, version: u64, index: u16,
            payload in proptest::collection::vec(any::<u8>(), 0..=PAYLOAD_BYTES_MAX)
        ) {
            let row = Row::sign(&SigningKey::from_bytes(&seed), epoch, version, index, &payload).unwrap();
            prop_assert!(row.bytes().len() <= ROW_BYTES_MAX);
            let claim = Claim::read(row.bytes()).unwrap();
            prop_assert_eq!(claim.payload(), &payload[..]);
            prop_assert_eq!((claim.epoch(), claim.number(), claim.key().index), (epoch, version, index));
            prop_assert_eq!(claim.version(), row.version());
            prop_assert_eq!(claim.prove().unwrap(), row);
        }

        #[test]
        fn whatever_is_changed_the_signature_no_longer_holds(place in 0usize..126, bit in 0u8..8) {
            let row = Row::sign(&SigningKey::from_bytes(&[3; 32]), 5, 6, 7, b"0123456789").unwrap();
            let mut bytes = row.bytes().to_vec();
            bytes[place] ^= 1 << bit;
            prop_assert!(Claim::read(&bytes).and_then(|claim| claim.prove()).is_err());
        }
    }

    #[test]
    fn rows_of_the_wrong_length_are_refused() {
        let key = SigningKey::from_bytes(&[3; 32]);
        assert!(Row::sign(&key, 1, 1, 1, &[0; PAYLOAD_BYTES_MAX + 1]).is_none());
        let row = Row::sign(&key, 1, 1, 1, b"abc").unwrap();
        for length in 0..row.bytes().len() {
            assert_eq!(
                Claim::read(&row.bytes()[..length]).unwrap_err(),
                RowError::Malformed
            );
        }
        assert!(Claim::read(&[row.bytes(), b"x"].concat()).is_err());
    }
}
