//! One entry for each parser of bytes from the network, for fuzzers and for the bounded tests
//! that run the same way every time. None may panic, whatever the bytes.

use crate::key::{GridKey, KeyRing};
use crate::payload::{decode, decode_list};
use crate::row::Claim;
use crate::seal::Sealer;
use crate::wire;
use andon_model::{Heartbeat, HostHealth, Identity, LinkReport, Neighbour, TargetSpec};

/// A datagram as it comes from the socket.
pub fn fuzz_datagram(bytes: &[u8]) {
    let ring = KeyRing::of(GridKey::generate([7; 32]));
    let _ = Sealer::new(&ring, [1; 16]).open(bytes);
}

/// What was inside a seal.
pub fn fuzz_message(bytes: &[u8]) {
    if let Some((head, parts)) = wire::read(bytes) {
        assert!(parts.len() <= bytes.len(), "parts out of nothing: {head:?}");
    }
}

/// One row.
pub fn fuzz_row(bytes: &[u8]) {
    if let Ok(claim) = Claim::read(bytes) {
        let _ = (claim.key(), claim.version(), claim.payload(), claim.prove());
    }
}

/// A row's payload, as each kind that there is.
pub fn fuzz_payload(bytes: &[u8]) {
    let _ = decode::<Identity>(bytes);
    let _ = decode::<HostHealth>(bytes);
    let _ = decode_list::<LinkReport>(bytes);
    let _ = decode_list::<TargetSpec>(bytes);
    let _ = decode_list::<Neighbour>(bytes);
    let _ = decode_list::<Heartbeat>(bytes);
}

/// The text of a grid key.
pub fn fuzz_key(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = text.parse::<GridKey>();
    }
}
