//! STAMP packets: RFC 8762 authenticated mode (between nodes) and unauthenticated mode (for
//! routers' reflectors), with the session id of RFC 8972.
//!
//! Authenticated packets of both directions have 112 bytes, so a reflector never amplifies.
//! The HMAC covers the first 96 bytes (RFC 8762 §4.4). Must-be-zero fields are written as
//! zero and not looked at when read, as the RFC says, but for those that carry a [`Note`].
//!
//! A large question is padded by RFC 8972 §4.1's extra padding; its answer has the plain size.

use crate::note::{AnswerNote, Note, Purpose};
use andon_model::{NodeKey, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Bytes of an authenticated packet, in both directions.
pub const PACKET_BYTES: usize = 112;
/// Bytes of the largest question: what an Ethernet frame holds over IPv4.
pub const LARGE_BYTES_MAX: usize = 1_472;
/// Head of a TLV: flags, type, length.
const TLV_BYTES: usize = 4;
/// Flags of a TLV as a sender sets them: not recognised, until a reflector says otherwise.
const TLV_UNRECOGNISED: u8 = 0x80;
/// Type of extra padding (RFC 8972 §5.1).
const TLV_EXTRA_PADDING: u8 = 1;
/// Bytes of an unauthenticated packet, in both directions.
pub const PLAIN_BYTES: usize = 44;
/// Bytes that the HMAC covers: "the first six blocks" of RFC 8762 §4.4.
const COVERED_BYTES: usize = 96;
/// Sequence numbers stay below: their top byte tells STAMP from gossip on the shared port.
pub const SEQUENCE_END: u32 = 0x8000_0000;
/// Keys accepted at once. Rotation needs two; doubled, rubbish would cost twice as much.
pub const KEYS_MAX: usize = 4;
/// Seconds from the NTP era (1900) to the Unix epoch.
const NTP_TO_UNIX_SECONDS: i64 = 2_208_988_800;

/// Why bytes are no STAMP packet of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// Not the size of a packet of this mode.
    #[error("{0} bytes are no STAMP packet of this mode")]
    Size(usize),
    /// No accepted key signed it.
    #[error("no accepted key signed it")]
    Foreign,
    /// Its sequence number is one of gossip's first bytes.
    #[error("sequence number {0} is out of range")]
    Sequence(u32),
}

/// A 64-bit NTP timestamp (seconds and fraction since 1900). Only differences are taken, so
/// the end of the era in 2036 passes unnoticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The NTP form of a UTC time, to a microsecond.
    pub fn of(time: Timestamp) -> Self {
        let seconds = time
            .0
            .div_euclid(1_000_000)
            .wrapping_add(NTP_TO_UNIX_SECONDS) as u64;
        let micros = time.0.rem_euclid(1_000_000) as u64;
        Self((seconds << 32) | ((micros << 32) / 1_000_000))
    }

    /// Microseconds from `earlier` to this time; negative if this one is earlier.
    pub fn micros_since(self, earlier: NtpTime) -> i64 {
        let span = i128::from(self.0.wrapping_sub(earlier.0) as i64);
        ((span * 1_000_000 + (1 << 31)) >> 32) as i64
    }
}

/// RFC 4656 §4.1.2: S (synchronised), Z (format), scale, multiplier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorEstimate(pub u16);

/// We promise nothing about our clock: not synchronised, NTP format, about a millisecond.
pub const ERROR_ESTIMATE: ErrorEstimate = ErrorEstimate(22 << 8 | 1);

/// Keys of STAMP sessions: the first signs, all verify.
#[derive(Clone)]
pub struct StampKeys(Vec<Hmac<Sha256>>);

impl std::fmt::Debug for StampKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StampKeys({} keys)", self.0.len())
    }
}

impl StampKeys {
    /// Takes keys, at most [`KEYS_MAX`]. Without any, nothing is signed and nothing accepted.
    pub fn new(keys: &[[u8; 32]]) -> Self {
        // HMAC takes keys of any length, so none is left out.
        Self(
            keys.iter()
                .take(KEYS_MAX)
                .filter_map(|key| Hmac::new_from_slice(key).ok())
                .collect(),
        )
    }

    fn sign(&self, packet: &mut [u8; PACKET_BYTES]) {
        if let Some(key) = self.0.first() {
            let mut mac = key.clone();
            mac.update(&packet[..COVERED_BYTES]);
            packet[COVERED_BYTES..].copy_from_slice(&mac.finalize().into_bytes()[..16]);
        }
    }

    fn verify(&self, bytes: &[u8]) -> Result<(), StampError> {
        if bytes.len() < PACKET_BYTES {
            return Err(StampError::Size(bytes.len()));
        }
        let signed = self.0.iter().any(|key| {
            let mut mac = key.clone();
            mac.update(&bytes[..COVERED_BYTES]);
            mac.verify_truncated_left(&bytes[COVERED_BYTES..PACKET_BYTES])
                .is_ok()
        });
        if signed {
            Ok(())
        } else {
            Err(StampError::Foreign)
        }
    }
}

/// Session id of all probes that a node sends, never zero (RFC 8972 §3). Ids can clash;
/// the source address decides then.
pub fn ssid(node: NodeKey) -> u16 {
    let digest = Sha256::digest(node.0.to_be_bytes());
    u16::from_be_bytes([digest[0], digest[1]]).max(1)
}

/// What a session-sender asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderPacket {
    /// Counts per flow of a link; below [`SEQUENCE_END`].
    pub sequence: u32,
    /// T1: when it was sent.
    pub sent: NtpTime,
    /// How good the sender's clock is.
    pub error: ErrorEstimate,
    /// RFC 8972 session id; 0 if the sender uses none.
    pub ssid: u16,
    /// What our own nodes add.
    pub note: Note,
}

/// What a session-reflector answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReflectorPacket {
    /// The reflector's own count of the session (stateful mode).
    pub sequence: u32,
    /// T3: when the answer was sent.
    pub sent: NtpTime,
    /// How good the reflector's clock is.
    pub error: ErrorEstimate,
    /// The session id of the question.
    pub ssid: u16,
    /// T2: when the question came.
    pub received: NtpTime,
    /// The question's own fields; of its note the purpose alone.
    pub asked: SenderPacket,
    /// Time to live of the question as it arrived; 255 where the reflector cannot tell.
    pub asked_ttl: u8,
    /// The reflector answers large questions.
    pub knows_large: bool,
}

impl SenderPacket {
    /// As an authenticated packet.
    pub fn signed(&self, keys: &StampKeys) -> [u8; PACKET_BYTES] {
        let mut packet = [0; PACKET_BYTES];
        put(&mut packet, 0, &self.sequence.to_be_bytes());
        put(&mut packet, 16, &self.sent.0.to_be_bytes());
        put(&mut packet, 24, &self.error.0.to_be_bytes());
        put(&mut packet, 26, &self.ssid.to_be_bytes());
        self.note.put(&mut packet);
        keys.sign(&mut packet);
        packet
    }

    /// As an authenticated packet, padded to `bytes`, at most [`LARGE_BYTES_MAX`].
    pub fn signed_large(&self, keys: &StampKeys, bytes: usize) -> Vec<u8> {
        let bytes = bytes.clamp(PACKET_BYTES + TLV_BYTES, LARGE_BYTES_MAX);
        let padding = u16::try_from(bytes - PACKET_BYTES - TLV_BYTES).unwrap_or(u16::MAX);
        let mut packet = Vec::with_capacity(bytes);
        packet.extend_from_slice(&self.signed(keys));
        packet.extend_from_slice(&[TLV_UNRECOGNISED, TLV_EXTRA_PADDING]);
        packet.extend_from_slice(&padding.to_be_bytes());
        packet.resize(bytes, 0);
        packet
    }

    /// Reads and verifies an authenticated packet, a padded one if it says itself that it is.
    pub fn verified(bytes: &[u8], keys: &StampKeys) -> Result<Self, StampError> {
        if bytes.len() != PACKET_BYTES && !is_padded(bytes) {
            return Err(StampError::Size(bytes.len()));
        }
        keys.verify(bytes)?;
        let packet = Self::signed_fields(bytes);
        let is_large = packet.note.purpose == Purpose::Large;
        if is_large != (bytes.len() > PACKET_BYTES) {
            return Err(StampError::Size(bytes.len()));
        }
        if packet.sequence >= SEQUENCE_END {
            return Err(StampError::Sequence(packet.sequence));
        }
        Ok(packet)
    }

    /// Reads our own packet as the kernel hands it back with an error. It was never on the
    /// wire in this form, so it is only matched against what is in flight.
    pub fn returned(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= PACKET_BYTES).then(|| Self::signed_fields(bytes))
    }

    fn signed_fields(bytes: &[u8]) -> Self {
        Self {
            sequence: u32::from_be_bytes(take(bytes, 0)),
            sent: NtpTime(u64::from_be_bytes(take(bytes, 16))),
            error: ErrorEstimate(u16::from_be_bytes(take(bytes, 24))),
            ssid: u16::from_be_bytes(take(bytes, 26)),
            note: Note::take(bytes),
        }
    }

    /// As an unauthenticated packet, for reflectors that hold no key of ours.
    pub fn plain(&self) -> [u8; PLAIN_BYTES] {
        let mut packet = [0; PLAIN_BYTES];
        put(&mut packet, 0, &self.sequence.to_be_bytes());
        put(&mut packet, 4, &self.sent.0.to_be_bytes());
        put(&mut packet, 12, &self.error.0.to_be_bytes());
        put(&mut packet, 14, &self.ssid.to_be_bytes());
        packet
    }

    /// Reads an unauthenticated packet; extensions behind it (RFC 8972 TLVs) are not read.
    pub fn from_plain(bytes: &[u8]) -> Result<Self, StampError> {
        if bytes.len() < PLAIN_BYTES {
            return Err(StampError::Size(bytes.len()));
        }
        Ok(Self {
            sequence: u32::from_be_bytes(take(bytes, 0)),
            sent: NtpTime(u64::from_be_bytes(take(bytes, 4))),
            error: ErrorEstimate(u16::from_be_bytes(take(bytes, 12))),
            ssid: u16::from_be_bytes(take(bytes, 14)),
            note: Note::default(),
        })
    }
}

impl ReflectorPacket {
    /// As an authenticated packet.
    pub fn signed(&self, keys: &StampKeys) -> [u8; PACKET_BYTES] {
        let mut packet = [0; PACKET_BYTES];
        put(&mut packet, 0, &self.sequence.to_be_bytes());
        put(&mut packet, 16, &self.sent.0.to_be_bytes());
        put(&mut packet, 24, &self.error.0.to_be_bytes());
        put(&mut packet, 26, &self.ssid.to_be_bytes());
        put(&mut packet, 32, &self.received.0.to_be_bytes());
        put(&mut packet, 48, &self.asked.sequence.to_be_bytes());
        put(&mut packet, 64, &self.asked.sent.0.to_be_bytes());
        put(&mut packet, 72, &self.asked.error.0.to_be_bytes());
        packet[80] = self.asked_ttl;
        AnswerNote {
            purpose: self.asked.note.purpose,
            knows_large: self.knows_large,
        }
        .put(&mut packet);
        keys.sign(&mut packet);
        packet
    }

    /// Reads and verifies an authenticated packet.
    pub fn verified(bytes: &[u8], keys: &StampKeys) -> Result<Self, StampError> {
        if bytes.len() != PACKET_BYTES {
            return Err(StampError::Size(bytes.len()));
        }
        keys.verify(bytes)?;
        let ssid = u16::from_be_bytes(take(bytes, 26));
        let note = AnswerNote::take(bytes);
        Ok(Self {
            sequence: u32::from_be_bytes(take(bytes, 0)),
            sent: NtpTime(u64::from_be_bytes(take(bytes, 16))),
            error: ErrorEstimate(u16::from_be_bytes(take(bytes, 24))),
            ssid,
            received: NtpTime(u64::from_be_bytes(take(bytes, 32))),
            asked: SenderPacket {
                sequence: u32::from_be_bytes(take(bytes, 48)),
                sent: NtpTime(u64::from_be_bytes(take(bytes, 64))),
                error: ErrorEstimate(u16::from_be_bytes(take(bytes, 72))),
                ssid,
                note: Note::of(note.purpose),
            },
            asked_ttl: bytes[80],
            knows_large: note.knows_large,
        })
    }

    /// As an unauthenticated packet.
    pub fn plain(&self) -> [u8; PLAIN_BYTES] {
        let mut packet = [0; PLAIN_BYTES];
        put(&mut packet, 0, &self.sequence.to_be_bytes());
        put(&mut packet, 4, &self.sent.0.to_be_bytes());
        put(&mut packet, 12, &self.error.0.to_be_bytes());
        put(&mut packet, 14, &self.ssid.to_be_bytes());
        put(&mut packet, 16, &self.received.0.to_be_bytes());
        put(&mut packet, 24, &self.asked.sequence.to_be_bytes());
        put(&mut packet, 28, &self.asked.sent.0.to_be_bytes());
        put(&mut packet, 36, &self.asked.error.0.to_be_bytes());
        packet[40] = self.asked_ttl;
        packet
    }

    /// Reads an unauthenticated packet; extensions behind it are not read.
    pub fn from_plain(bytes: &[u8]) -> Result<Self, StampError> {
        if bytes.len() < PLAIN_BYTES {
            return Err(StampError::Size(bytes.len()));
        }
        let ssid = u16::from_be_bytes(take(bytes, 14));
        Ok(Self {
            sequence: u32::from_be_bytes(take(bytes, 0)),
            sent: NtpTime(u64::from_be_bytes(take(bytes, 4))),
            error: ErrorEstimate(u16::from_be_bytes(take(bytes, 12))),
            ssid,
            received: NtpTime(u64::from_be_bytes(take(bytes, 16))),
            asked: SenderPacket {
                sequence: u32::from_be_bytes(take(bytes, 24)),
                sent: NtpTime(u64::from_be_bytes(take(bytes, 28))),
                error: ErrorEstimate(u16::from_be_bytes(take(bytes, 36))),
                ssid,
                note: Note::default(),
            },
            asked_ttl: bytes[40],
            knows_large: false,
        })
    }
}

/// Whether an authenticated packet is an answer: a question has no receive time. Needed where
/// both directions share one stream (frames over TCP).
pub fn is_answer(bytes: &[u8]) -> bool {
    bytes.len() == PACKET_BYTES && bytes[32..40].iter().any(|byte| *byte != 0)
}

/// Whether a packet is followed by extra padding to its end, and nothing else.
fn is_padded(bytes: &[u8]) -> bool {
    let end = PACKET_BYTES + TLV_BYTES;
    (end..=LARGE_BYTES_MAX).contains(&bytes.len())
        && bytes[PACKET_BYTES + 1] == TLV_EXTRA_PADDING
        && usize::from(u16::from_be_bytes(take(bytes, PACKET_BYTES + 2))) == bytes.len() - end
}

/// Feeds rubbish to every reader of this module; it must return.
pub fn fuzz_stamp(bytes: &[u8]) {
    let keys = StampKeys::new(&[[7; 32]]);
    let _ = SenderPacket::verified(bytes, &keys);
    let _ = ReflectorPacket::verified(bytes, &keys);
    let _ = SenderPacket::returned(bytes);
    let _ = is_answer(bytes);
    if let Ok(packet) = SenderPacket::from_plain(bytes) {
        let read = SenderPacket::verified(&packet.signed(&keys), &keys);
        assert!(
            packet.sequence >= SEQUENCE_END || read == Ok(packet),
            "reads back as written"
        );
    }
    if let Ok(packet) = ReflectorPacket::from_plain(bytes) {
        assert_eq!(
            ReflectorPacket::verified(&packet.signed(&keys), &keys),
            Ok(packet)
        );
    }
}

fn put(packet: &mut [u8], at: usize, field: &[u8]) {
    packet[at..at + field.len()].copy_from_slice(field);
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn question() -> impl Strategy<Value = SenderPacket> {
        (0..SEQUENCE_END, any::<u64>(), any::<u16>(), any::<u16>()).prop_map(
            |(sequence, sent, error, ssid)| SenderPacket {
                sequence,
                sent: NtpTime(sent),
                error: ErrorEstimate(error),
                ssid,
                note: Note::default(),
            },
        )
    }

    fn note() -> impl Strategy<Value = Note> {
        let dead = (0..64u8, any::<u16>(), any::<u16>()).prop_map(|(flow, port, silent_ms)| {
            crate::note::DeadFlow {
                flow,
                port,
                silent_ms,
            }
        });
        let purposes = [Purpose::Probe, Purpose::Trace, Purpose::Scout];
        let dead = proptest::option::of(dead);
        (0..3usize, any::<u8>(), any::<u8>(), any::<u16>(), dead).prop_map(
            move |(purpose, flow, flows, port, dead)| Note {
                purpose: purposes[purpose],
                flow,
                flows,
                port,
                dead,
            },
        )
    }

    fn answer() -> impl Strategy<Value = ReflectorPacket> {
        (
            question(),
            any::<u32>(),
            any::<u64>(),
            any::<u64>(),
            any::<u8>(),
        )
            .prop_map(
                |(asked, sequence, sent, received, asked_ttl)| ReflectorPacket {
                    sequence,
                    sent: NtpTime(sent),
                    error: ERROR_ESTIMATE,
                    ssid: asked.ssid,
                    received: NtpTime(received),
                    asked,
                    asked_ttl,
                    knows_large: false,
                },
            )
    }

    proptest! {
        #[test]
        fn packets_read_back_as_written(question in question(), answer in answer()) {
            let keys = StampKeys::new(&[[1; 32]]);
            prop_assert_eq!(SenderPacket::verified(&question.signed(&keys), &keys), Ok(question));
            prop_assert_eq!(SenderPacket::from_plain(&question.plain()), Ok(question));
            prop_assert_eq!(ReflectorPacket::verified(&answer.signed(&keys), &keys), Ok(answer));
            prop_assert_eq!(ReflectorPacket::from_plain(&answer.plain()), Ok(answer));
            prop_assert!(!is_answer(&question.signed(&keys)));
        }

        #[test]
        fn notes_read_back_as_written_and_only_large_questions_are_padded(
            question in question(), note in note(), bytes in 0..2_000usize
        ) {
            let keys = StampKeys::new(&[[1; 32]]);
            let question = SenderPacket { note, ..question };
            prop_assert_eq!(SenderPacket::verified(&question.signed(&keys), &keys), Ok(question));
            prop_assert!(!is_answer(&question.signed(&keys)));
            let padded = question.signed_large(&keys, bytes);
            prop_assert!(SenderPacket::verified(&padded, &keys).is_err());
            let large = SenderPacket { note: Note { purpose: Purpose::Large, ..note }, ..question };
            let padded = large.signed_large(&keys, bytes);
            prop_assert_eq!(padded.len(), bytes.clamp(116, 1_472));
            prop_assert_eq!(SenderPacket::verified(&padded, &keys), Ok(large));
            prop_assert!(SenderPacket::verified(&padded[..padded.len() - 1], &keys).is_err());
            prop_assert!(SenderPacket::verified(&large.signed(&keys), &keys).is_err());
        }

        #[test]
        fn a_flipped_bit_is_refused(question in question(), bit in 0..PACKET_BYTES * 8) {
            let keys = StampKeys::new(&[[1; 32]]);
            let mut packet = question.signed(&keys);
            packet[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(SenderPacket::verified(&packet, &keys), Err(StampError::Foreign));
        }

        #[test]
        fn rubbish_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            fuzz_stamp(&bytes);
        }

        #[test]
        fn ntp_differences_are_those_of_utc(a in 0i64..4_000_000_000_000_000, span in -60_000_000i64..60_000_000) {
            let difference = NtpTime::of(Timestamp(a + span)).micros_since(NtpTime::of(Timestamp(a)));
            prop_assert!((difference - span).abs() <= 1, "{} for {}", difference, span);
        }
    }

    #[test]
    fn fields_stand_where_the_rfc_puts_them() {
        let asked = SenderPacket {
            sequence: 1,
            sent: NtpTime(2),
            error: ErrorEstimate(3),
            ssid: 4,
            note: Note::default(),
        };
        let answer = ReflectorPacket {
            sequence: 5,
            sent: NtpTime(6),
            error: ErrorEstimate(7),
            ssid: 4,
            received: NtpTime(8),
            asked,
            asked_ttl: 9,
            knows_large: false,
        };
        let keys = StampKeys::new(&[[1; 32]]);
        let set = |bytes: &[u8]| -> Vec<usize> {
            (0..bytes.len()).filter(|at| bytes[*at] != 0).collect()
        };
        assert_eq!(set(&asked.signed(&keys)[..96]), [3, 23, 25, 27]);
        assert_eq!(set(&asked.plain()), [3, 11, 13, 15]);
        assert_eq!(
            set(&answer.signed(&keys)[..96]),
            [3, 23, 25, 27, 39, 51, 71, 73, 80]
        );
        assert_eq!(set(&answer.plain()), [3, 11, 13, 15, 23, 27, 35, 37, 40]);
    }

    #[test]
    fn the_hmac_is_that_of_rfc_2104_over_96_bytes() {
        // Written out from the definition, beside the library that the codec uses.
        let key = [9; 32];
        let packet = SenderPacket {
            sequence: 77,
            sent: NtpTime(5),
            error: ERROR_ESTIMATE,
            ssid: 3,
            note: Note::default(),
        }
        .signed(&StampKeys::new(&[key]));
        let pad =
            |byte: u8| -> Vec<u8> { (0..64).map(|i| key.get(i).unwrap_or(&0) ^ byte).collect() };
        let inner = Sha256::digest([&pad(0x36)[..], &packet[..96]].concat());
        let outer = Sha256::digest([&pad(0x5c)[..], &inner[..]].concat());
        assert_eq!(packet[96..], outer[..16]);
    }

    #[test]
    fn all_keys_verify_and_the_first_signs() {
        let (old, both) = (
            StampKeys::new(&[[1; 32]]),
            StampKeys::new(&[[2; 32], [1; 32]]),
        );
        let new = StampKeys::new(&[[2; 32]]);
        let packet = SenderPacket {
            sequence: 1,
            sent: NtpTime(1),
            error: ERROR_ESTIMATE,
            ssid: 1,
            note: Note::default(),
        };
        assert!(SenderPacket::verified(&packet.signed(&old), &both).is_ok());
        assert!(SenderPacket::verified(&packet.signed(&both), &new).is_ok());
        assert!(SenderPacket::verified(&packet.signed(&both), &old).is_err());
        assert!(
            SenderPacket::verified(&packet.signed(&StampKeys::new(&[])), &StampKeys::new(&[]))
                .is_err()
        );
    }
}
