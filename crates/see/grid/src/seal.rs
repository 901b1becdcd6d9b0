//! The seal of a datagram: encrypted and authenticated with a key of the grid, and accepted
//! once only. Who the sender is within the grid is not proved here; rows carry their own
//! signatures.
//!
//! ```text
//! 0xA9 | version 1 | key id 4 | sender tag 16 | counter 8 | ciphertext | tag 16
//! ```
//! Sender tag and counter are the nonce. The tag is random per start of a process, so a nonce
//! never repeats although nothing is remembered across starts.

use crate::key::{KeyId, KeyRing};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::collections::BTreeMap;

/// Largest datagram sent or accepted: below what any path of today carries unfragmented.
pub const DATAGRAM_BYTES_MAX: usize = 1_400;
/// What the seal adds to a message.
pub const SEAL_BYTES: usize = HEAD_BYTES + NONCE_BYTES + AUTH_BYTES;
/// Largest message inside a seal.
pub const MESSAGE_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - SEAL_BYTES;
/// First byte of a sealed datagram. At least 0x80, which tells it from STAMP on the same port.
pub const MAGIC: u8 = 0xA9;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 6;
const NONCE_BYTES: usize = 24;
const AUTH_BYTES: usize = 16;

/// Packets of one sender that may arrive out of order before the late one is taken for a replay.
pub const REPLAY_WINDOW: u64 = 1_024;
/// Senders whose windows are remembered, about 250 bytes each. Beyond, the one heard least
/// recently is forgotten; its old packets could then be replayed, which changes nothing that
/// rows of an older version could change, namely nothing.
pub const SENDERS_MAX: usize = 4_096;

/// Random per start of a process: who sealed a datagram, without saying who.
pub type SenderTag = [u8; 16];

/// Why a datagram was not opened. Nothing was changed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Shorter than any sealed datagram, or not one.
    #[error("no sealed datagram")]
    Truncated,
    /// Longer than [`DATAGRAM_BYTES_MAX`].
    #[error("longer than {DATAGRAM_BYTES_MAX} bytes")]
    Oversized,
    /// Sealed in a way that this program does not know.
    #[error("sealed by another version")]
    Version,
    /// Sealed with a key that is not in the ring.
    #[error("sealed with a key of another grid")]
    ForeignKey,
    /// Does not open with the key that it names.
    #[error("forged or damaged")]
    Forged,
    /// Accepted before, or too old to tell.
    #[error("replayed")]
    Replayed,
}

/// How often each kind of refusal happened, since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SealCounters {
    /// Datagrams sealed.
    pub sealed: u64,
    /// Datagrams opened.
    pub opened: u64,
    /// Too short, or without the magic byte.
    pub truncated: u64,
    /// Too long, on the way in or out.
    pub oversized: u64,
    /// Of another version of the seal.
    pub version: u64,
    /// Of another grid.
    pub foreign_key: u64,
    /// Damaged, or made without the key.
    pub forged: u64,
    /// Seen before, or too old to tell.
    pub replayed: u64,
    /// Senders forgotten since [`SENDERS_MAX`] was reached.
    pub senders_evicted: u64,
}

/// A datagram that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Which process sealed it.
    pub sender: SenderTag,
    /// What it held.
    pub message: Vec<u8>,
}

/// Seals and opens the datagrams of one process.
pub struct Sealer {
    keys: Vec<(KeyId, XChaCha20Poly1305)>,
    tag: SenderTag,
    counter: u64,
    senders: Senders,
    counters: SealCounters,
}

impl Sealer {
    /// `tag`: random per start of the process, never reused.
    pub fn new(ring: &KeyRing, tag: SenderTag) -> Self {
        Self {
            keys: ciphers(ring),
            tag,
            counter: 0,
            senders: Senders::default(),
            counters: SealCounters::default(),
        }
    }

    /// Takes another ring; windows and counters stay.
    pub fn set_keys(&mut self, ring: &KeyRing) {
        self.keys = ciphers(ring);
    }

    /// The tag that this process seals with.
    pub fn tag(&self) -> &SenderTag {
        &self.tag
    }

    /// How often what happened.
    pub fn counters(&self) -> &SealCounters {
        &self.counters
    }

    /// Seals a message with the primary key. `None`, and counted, where it is longer than
    /// [`MESSAGE_BYTES_MAX`].
    pub fn seal(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        if message.len() > MESSAGE_BYTES_MAX {
            self.counters.oversized += 1;
            return None;
        }
        let (id, cipher) = self.keys.first()?;
        self.counter += 1;
        let mut datagram = Vec::with_capacity(SEAL_BYTES + message.len());
        datagram.extend([MAGIC, VERSION]);
        datagram.extend(id.0);
        datagram.extend(self.tag);
        datagram.extend(self.counter.to_be_bytes());
        let (head, nonce) = datagram.split_at(HEAD_BYTES);
        let sealed = cipher
            .encrypt(
                &nonce_of(nonce),
                Payload {
                    msg: message,
                    aad: head,
                },
            )
            .ok()?;
        datagram.extend(sealed);
        self.counters.sealed += 1;
        Some(datagram)
    }

    /// Opens a datagram, once.
    pub fn open(&mut self, datagram: &[u8]) -> Result<Opened, SealError> {
        let opened = self.try_open(datagram);
        let counter = match &opened {
            Ok(_) => &mut self.counters.opened,
            Err(SealError::Truncated) => &mut self.counters.truncated,
            Err(SealError::Oversized) => &mut self.counters.oversized,
            Err(SealError::Version) => &mut self.counters.version,
            Err(SealError::ForeignKey) => &mut self.counters.foreign_key,
            Err(SealError::Forged) => &mut self.counters.forged,
            Err(SealError::Replayed) => &mut self.counters.replayed,
        };
        *counter += 1;
        self.counters.senders_evicted = self.senders.evicted;
        opened
    }

    fn try_open(&mut self, datagram: &[u8]) -> Result<Opened, SealError> {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            return Err(SealError::Oversized);
        }
        if datagram.len() < SEAL_BYTES || datagram[0] != MAGIC {
            return Err(SealError::Truncated);
        }
        if datagram[1] != VERSION {
            return Err(SealError::Version);
        }
        let (head, rest) = datagram.split_at(HEAD_BYTES);
        let (nonce, sealed) = rest.split_at(NONCE_BYTES);
        let (_, cipher) = self
            .keys
            .iter()
            .find(|(id, _)| id.0 == head[2..])
            .ok_or(SealError::ForeignKey)?;
        let (tag, counter) = nonce.split_at(16);
        let sender: SenderTag = tag.try_into().map_err(|_| SealError::Truncated)?;
        let counter = u64::from_be_bytes(counter.try_into().map_err(|_| SealError::Truncated)?);
        if !self.senders.is_fresh(&sender, counter) {
            return Err(SealError::Replayed);
        }
        let message = cipher
            .decrypt(
                &nonce_of(nonce),
                Payload {
                    msg: sealed,
                    aad: head,
                },
            )
            .map_err(|_| SealError::Forged)?;
        self.senders.accept(sender, counter);
        Ok(Opened { sender, message })
    }
}

fn ciphers(ring: &KeyRing) -> Vec<(KeyId, XChaCha20Poly1305)> {
    ring.keys()
        .map(|key| (key.id(), XChaCha20Poly1305::new(&key.gossip_key().into())))
        .collect()
}

fn nonce_of(bytes: &[u8]) -> XNonce {
    let mut nonce = XNonce::default();
    nonce.copy_from_slice(bytes);
    nonce
}

/// Which packets of which sender were accepted. Filled by authentic packets only.
#[derive(Default)]
struct Senders {
    windows: BTreeMap<SenderTag, Window>,
    by_use: BTreeMap<u64, SenderTag>,
    uses: u64,
    evicted: u64,
}

impl Senders {
    fn is_fresh(&self, sender: &SenderTag, counter: u64) -> bool {
        self.windows
            .get(sender)
            .is_none_or(|window| window.is_fresh(counter))
    }

    fn accept(&mut self, sender: SenderTag, counter: u64) {
        self.uses += 1;
        let window = self.windows.entry(sender).or_default();
        window.accept(counter);
        let used_before = std::mem::replace(&mut window.used, self.uses);
        self.by_use.remove(&used_before);
        self.by_use.insert(self.uses, sender);
        if self.windows.len() > SENDERS_MAX
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.windows.remove(&oldest);
            self.evicted += 1;
        }
    }
}

const WINDOW_WORDS: usize = (REPLAY_WINDOW / 64) as usize;

/// A sliding window over the counters of one sender, as in RFC 6479: a ring of words, of
/// which the one being entered is cleared.
#[derive(Default)]
struct Window {
    highest: u64,
    words: [u64; WINDOW_WORDS],
    used: u64,
}

impl Window {
    fn is_fresh(&self, counter: u64) -> bool {
        if counter > self.highest {
            return true;
        }
        let oldest_word = (self.highest / 64).saturating_sub(WINDOW_WORDS as u64 - 1);
        counter / 64 >= oldest_word && self.words[slot(counter)] & (1 << (counter % 64)) == 0
    }

    fn accept(&mut self, counter: u64) {
        if counter > self.highest {
            let entered = (counter / 64 - self.highest / 64).min(WINDOW_WORDS as u64);
            for step in 0..entered {
                self.words[slot(counter - step * 64)] = 0;
            }
            self.highest = counter;
        }
        self.words[slot(counter)] |= 1 << (counter % 64);
    }
}

fn slot(counter: u64) -> usize {
    (counter / 64) as usize % WINDOW_WORDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::GridKey;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn sealer(key: u8, tag: u8) -> Sealer {
        Sealer::new(&KeyRing::of(GridKey::generate([key; 32])), [tag; 16])
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_once(message in proptest::collection::vec(any::<u8>(), 0..=MESSAGE_BYTES_MAX)) {
            let (mut a, mut b) = (sealer(1, 1), sealer(1, 2));
            let datagram = a.seal(&message).unwrap();
            prop_assert!(datagram.len() <= DATAGRAM_BYTES_MAX);
            prop_assert_eq!(b.open(&datagram).unwrap().message, message);
            prop_assert_eq!(b.open(&datagram).unwrap_err(), SealError::Replayed);
        }

        #[test]
        fn a_flipped_bit_is_noticed(place in 0usize..100, bit in 0u8..8) {
            let (mut a, mut b) = (sealer(1, 1), sealer(1, 2));
            let mut datagram = a.seal(&[0; 100 - SEAL_BYTES]).unwrap();
            datagram[place] ^= 1 << bit;
            prop_assert!(b.open(&datagram).is_err());
            datagram[place] ^= 1 << bit;
            prop_assert!(b.open(&datagram).is_ok());
        }

        /// The window agrees with a plain set of what was accepted, within its width.
        #[test]
        fn the_window_forgets_nothing_within_its_width(
            steps in proptest::collection::vec((0u64..3_000, any::<bool>()), 1..300)
        ) {
            let (mut window, mut seen, mut highest) = (Window::default(), BTreeSet::new(), 0u64);
            for (step, ahead) in steps {
                let counter = if ahead { highest + step / 10 } else { highest.saturating_sub(step) };
                let fresh = window.is_fresh(counter);
                if seen.contains(&counter) {
                    prop_assert!(!fresh);
                } else if highest.saturating_sub(counter) < REPLAY_WINDOW - 64 {
                    prop_assert!(fresh);
                }
                if fresh {
                    window.accept(counter);
                    seen.insert(counter);
                    highest = highest.max(counter);
                }
            }
        }
    }

    #[test]
    fn a_rotation_passes_without_a_lost_datagram() {
        let (old, new) = (GridKey::generate([1; 32]), GridKey::generate([2; 32]));
        let mut a = Sealer::new(&KeyRing::of(old.clone()), [1; 16]);
        let mut b = Sealer::new(&KeyRing::of(old.clone()), [2; 16]);
        b.set_keys(&KeyRing {
            primary: old.clone(),
            accepted: vec![new.clone()],
        });
        assert!(b.open(&a.seal(b"x").unwrap()).is_ok());
        a.set_keys(&KeyRing {
            primary: new.clone(),
            accepted: vec![old],
        });
        assert!(b.open(&a.seal(b"x").unwrap()).is_ok());
        assert!(a.open(&b.seal(b"x").unwrap()).is_ok());
        b.set_keys(&KeyRing::of(new));
        assert!(a.open(&b.seal(b"x").unwrap()).is_ok());
    }

    #[test]
    fn each_refusal_is_counted_by_its_kind() {
        let (mut a, mut b, mut foreign) = (sealer(1, 1), sealer(1, 2), sealer(9, 3));
        let datagram = a.seal(b"x").unwrap();
        assert_eq!(b.open(&datagram[..40]).unwrap_err(), SealError::Truncated);
        assert_eq!(b.open(&[0; 1_401]).unwrap_err(), SealError::Oversized);
        assert_eq!(
            b.open(&foreign.seal(b"x").unwrap()).unwrap_err(),
            SealError::ForeignKey
        );
        let mut newer = datagram.clone();
        newer[1] = 2;
        assert_eq!(b.open(&newer).unwrap_err(), SealError::Version);
        assert!(a.seal(&[0; MESSAGE_BYTES_MAX + 1]).is_none());
        let counters = b.counters();
        assert_eq!(
            (
                counters.truncated,
                counters.oversized,
                counters.foreign_key,
                counters.version
            ),
            (1, 1, 1, 1)
        );
    }

    #[test]
    fn a_flood_of_senders_stays_within_the_limit() {
        let mut b = sealer(1, 0);
        let ring = KeyRing::of(GridKey::generate([1; 32]));
        for index in 0..SENDERS_MAX as u128 + 10 {
            let mut a = Sealer::new(&ring, index.to_be_bytes());
            b.open(&a.seal(b"x").unwrap()).unwrap();
        }
        assert_eq!(b.senders.windows.len(), SENDERS_MAX);
        assert_eq!(b.senders.by_use.len(), SENDERS_MAX);
        assert_eq!(b.counters().senders_evicted, 10);
    }
}
