//! The grid key: who holds it may take part. One secret, and one key derived from it per use,
//! so that what leaks from one use is worth nothing in another.

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroize;

/// How the text of a key begins; the digit is the version of the text form.
const PREFIX: &str = "andon1-";
/// Check bytes behind the secret: 1 of 16 million typos passes for another key. Three make
/// the text a whole number of base-32 digits.
const CHECK_BYTES: usize = 3;
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const TEXT_DIGITS: usize = (32 + CHECK_BYTES) * 8 / 5;

/// Keys accepted beside the primary one. A rotation needs two; each further one costs every
/// node a lookup per datagram.
pub const ACCEPTED_KEYS_MAX: usize = 8;

/// Why a text is no grid key. The secret itself never appears in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another kind of text.
    #[error("a grid key begins with {PREFIX:?}; print one with `andon keygen`")]
    Prefix,
    /// Cut off, or joined with something else.
    #[error("a grid key has {TEXT_DIGITS} characters behind {PREFIX:?}, this one has {0}")]
    Length(usize),
    /// A character that keys do not use, and where it stands.
    #[error("a grid key uses a-z and 2-7 only, not {found:?} at position {position}")]
    Character {
        /// The offending character.
        found: char,
        /// Its index in the whole text, counted from 1.
        position: usize,
    },
    /// The check digits do not fit: the key was mistyped, which is another thing than a wrong key.
    #[error("the check digits of this grid key do not fit: a character was mistyped or lost")]
    Mistyped,
}

/// The secret that admits a node to the grid. Wiped from memory when dropped; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct GridKey([u8; 32]);

impl Drop for GridKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The first four bytes of a hash of the key, sent in clear, so that a receiver picks the
/// right key of its ring and tells a foreign grid from a forgery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 4]);

impl GridKey {
    /// A key from 32 bytes of the system's randomness.
    pub fn generate(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// Key of the gossip's seal.
    pub fn gossip_key(&self) -> [u8; 32] {
        self.derive(b"gossip")
    }

    /// Key of authenticated STAMP probes.
    pub fn stamp_key(&self) -> [u8; 32] {
        self.derive(b"stamp")
    }

    /// Key by which nodes of one grid know each other over HTTP.
    pub fn peer_http_key(&self) -> [u8; 32] {
        self.derive(b"peer http")
    }

    /// Key of the seal of events that go over other people's queues.
    pub fn events_key(&self) -> [u8; 32] {
        self.derive(b"events")
    }

    /// What names this key in clear.
    pub fn id(&self) -> KeyId {
        let name = self.derive(b"key id");
        KeyId([name[0], name[1], name[2], name[3]])
    }

    /// Source: RFC 5869, with SHA-256 and the use as `info`.
    fn derive(&self, usage: &[u8]) -> [u8; 32] {
        let mut key = [0; 32];
        let info = [b"andon 1 ".as_slice(), usage].concat();
        Hkdf::<Sha256>::new(None, &self.0)
            .expand(&info, &mut key)
            .expect("32 bytes are less than HKDF's limit of 8,160");
        key
    }

    fn check(&self) -> [u8; CHECK_BYTES] {
        let hash = Sha256::new()
            .chain_update(b"andon grid key check")
            .chain_update(self.0)
            .finalize();
        [hash[0], hash[1], hash[2]]
    }
}

/// The text form, secret included: for key files and for `andon keygen`, never for logs.
impl fmt::Display for GridKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        let (mut held, mut bits) = (0u32, 0);
        for byte in self.0.iter().chain(&self.check()) {
            held = (held << 8) | u32::from(*byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                write!(f, "{}", char::from(DIGITS[(held >> bits) as usize & 31]))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for GridKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GridKey(hidden)")
    }
}

impl FromStr for GridKey {
    type Err = KeyError;

    /// Reads the text form; white space around it and upper case are forgiven.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim().to_ascii_lowercase();
        let digits = text.strip_prefix(PREFIX).ok_or(KeyError::Prefix)?;
        let mut bytes = Vec::with_capacity(32 + CHECK_BYTES);
        let (mut held, mut bits) = (0u32, 0);
        for (index, found) in digits.chars().enumerate() {
            let digit = DIGITS.iter().position(|digit| char::from(*digit) == found);
            let Some(digit) = digit else {
                return Err(KeyError::Character {
                    found,
                    position: PREFIX.len() + index + 1,
                });
            };
            held = (held << 5) | digit as u32;
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                bytes.push((held >> bits) as u8);
            }
        }
        if digits.len() != TEXT_DIGITS {
            return Err(KeyError::Length(digits.len()));
        }
        let mut secret = [0; 32];
        secret.copy_from_slice(&bytes[..32]);
        let key = Self(secret);
        let fits = key.check() == bytes[32..];
        bytes.zeroize();
        secret.zeroize();
        if fits {
            Ok(key)
        } else {
            Err(KeyError::Mistyped)
        }
    }
}

/// The key that a node seals with, and those that it also opens: what makes a rotation
/// possible without a minute of downtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRing {
    /// Seals what this node sends.
    pub primary: GridKey,
    /// Also opened; of these the first [`ACCEPTED_KEYS_MAX`] count.
    pub accepted: Vec<GridKey>,
}

impl KeyRing {
    /// A ring of one key.
    pub fn of(primary: GridKey) -> Self {
        Self {
            primary,
            accepted: Vec::new(),
        }
    }

    /// All keys that open, the primary one first.
    pub fn keys(&self) -> impl Iterator<Item = &GridKey> {
        std::iter::once(&self.primary).chain(self.accepted.iter().take(ACCEPTED_KEYS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_reads_back_as_written(secret: [u8; 32]) {
            let key = GridKey::generate(secret);
            prop_assert_eq!(format!(" {key}\n").parse::<GridKey>().unwrap(), key.clone());
            prop_assert_eq!(key.to_string().to_uppercase().parse::<GridKey>().unwrap(), key);
        }

        #[test]
        fn a_typo_is_told_from_a_wrong_key(secret: [u8; 32], place in 0..TEXT_DIGITS, shift in 1usize..32) {
            let mut text = GridKey::generate(secret).to_string().into_bytes();
            let digit = &mut text[PREFIX.len() + place];
            let old = DIGITS.iter().position(|d| d == digit).unwrap();
            *digit = DIGITS[(old + shift) % 32];
            let parsed = String::from_utf8(text).unwrap().parse::<GridKey>();
            prop_assert_eq!(parsed.unwrap_err(), KeyError::Mistyped);
        }
    }

    #[test]
    fn what_is_no_key_is_told_why() {
        let text = GridKey::generate([7; 32]).to_string();
        assert_eq!("hello".parse::<GridKey>().unwrap_err(), KeyError::Prefix);
        assert_eq!(
            text[..text.len() - 1].parse::<GridKey>().unwrap_err(),
            KeyError::Length(55)
        );
        let odd = text.replace(&text[10..11], "!");
        assert!(matches!(
            odd.parse::<GridKey>().unwrap_err(),
            KeyError::Character { found: '!', .. }
        ));
    }

    #[test]
    fn each_use_has_its_own_key_and_debug_hides_all() {
        let key = GridKey::generate([7; 32]);
        let derived = [
            key.gossip_key(),
            key.stamp_key(),
            key.peer_http_key(),
            key.events_key(),
            [7; 32],
        ];
        for (index, one) in derived.iter().enumerate() {
            assert!(derived[..index].iter().all(|other| other != one));
        }
        assert_eq!(format!("{key:?}"), "GridKey(hidden)");
    }
}
