//! What goes over NATS is encrypted and authenticated with a key that is derived from the grid
//! key for this alone: whoever runs NATS sees sizes, times, and from which node to which keeper.
//!
//! ```text
//! 0xAE | version 1 | key id 4 | nonce 24, random | ciphertext | tag 16
//! ```
//! Played again, a message changes nothing: its keeper knows parcels by their source and number.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

/// First byte.
const MAGIC: u8 = 0xAE;
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 6;
const NONCE_BYTES: usize = 24;
/// What the seal adds.
pub const SEAL_BYTES: usize = HEAD_BYTES + NONCE_BYTES + 16;

/// A key, and what names it in clear.
pub type SealKey = ([u8; 4], [u8; 32]);

/// Why something was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too short, or of another kind.
    #[error("it is nothing that a node sealed")]
    NotSealed,
    /// By a later version, perhaps.
    #[error("it is sealed by another version")]
    Version,
    /// With a key that is not known here.
    #[error("it is sealed with a key of another grid, or one that was taken away")]
    ForeignKey,
    /// It does not open with the key that it names.
    #[error("it is forged or damaged")]
    Forged,
}

/// Seals and opens.
#[derive(Clone)]
pub struct Seal {
    keys: Vec<([u8; 4], XChaCha20Poly1305)>,
}

impl Seal {
    /// `keys`: the first seals, all open.
    pub fn new(keys: &[SealKey]) -> Self {
        let cipher = |(id, key): &SealKey| (*id, XChaCha20Poly1305::new(&(*key).into()));
        Self {
            keys: keys.iter().map(cipher).collect(),
        }
    }

    /// Seals a message; `None` where there is no key, or the system has no randomness.
    pub fn seal(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (id, cipher) = self.keys.first()?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(SEAL_BYTES + message.len());
        sealed.extend([MAGIC, VERSION]);
        sealed.extend(id);
        let payload = Payload {
            msg: message,
            aad: &sealed,
        };
        let closed = cipher.encrypt(&nonce_of(&nonce), payload).ok()?;
        sealed.extend(nonce);
        sealed.extend(closed);
        Some(sealed)
    }

    /// What is in a sealed message.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        if sealed.len() < SEAL_BYTES || sealed[0] != MAGIC {
            return Err(SealError::NotSealed);
        }
        if sealed[1] != VERSION {
            return Err(SealError::Version);
        }
        let (head, rest) = sealed.split_at(HEAD_BYTES);
        let (nonce, closed) = rest.split_at(NONCE_BYTES);
        let mut keys = self.keys.iter();
        let known = keys.find(|(id, _)| id == &head[2..]);
        let (_, cipher) = known.ok_or(SealError::ForeignKey)?;
        let payload = Payload {
            msg: closed,
            aad: head,
        };
        let opened = cipher.decrypt(&nonce_of(nonce), payload);
        opened.map_err(|_| SealError::Forged)
    }
}

fn nonce_of(bytes: &[u8]) -> XNonce {
    let mut nonce = XNonce::default();
    nonce.copy_from_slice(bytes);
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OLD: SealKey = ([1; 4], [1; 32]);
    const NEW: SealKey = ([2; 4], [2; 32]);

    #[test]
    fn a_grid_that_changes_its_key_opens_both_and_strangers_neither() {
        let (before, during, after) =
            (Seal::new(&[OLD]), Seal::new(&[NEW, OLD]), Seal::new(&[NEW]));
        let (old, new) = (before.seal(b"x").unwrap(), during.seal(b"x").unwrap());
        assert_ne!(
            old[6..],
            before.seal(b"x").unwrap()[6..],
            "each has its nonce"
        );
        for sealed in [&old, &new] {
            assert_eq!(during.open(sealed).unwrap(), b"x");
        }
        assert_eq!(after.open(&new).unwrap(), b"x");
        assert_eq!(after.open(&old), Err(SealError::ForeignKey));
        let stranger = Seal::new(&[(OLD.0, [9; 32])]);
        assert_eq!(stranger.open(&old), Err(SealError::Forged));
        assert!(Seal::new(&[]).seal(b"x").is_none());
    }

    proptest! {
        #[test]
        fn a_changed_bit_is_noticed(place: prop::sample::Index, bit in 0_u8..8) {
            let seal = Seal::new(&[OLD]);
            let mut sealed = seal.seal(b"what is in it").unwrap();
            let place = place.index(sealed.len());
            sealed[place] ^= 1 << bit;
            prop_assert!(seal.open(&sealed).is_err());
            prop_assert!(seal.open(&sealed[..place]).is_err());
        }
    }
}
