//! What routers and hosts say of packets that we sent, as the kernel's error queue hands it
//! over. Everything here may be forged: it is read with bounds, and believed only by
//! [`super::flight`], which compares the quoted packet with what is in flight.

use serde::Serialize;
use std::net::IpAddr;

/// Labels read from one answer. Real stacks have one to four.
const LABELS_MAX: usize = 8;
/// RFC 4884 §7: version of the extension structure.
const EXTENSION_VERSION: u8 = 2;
/// RFC 4950 §3: class and type of an MPLS label stack.
const MPLS_STACK: [u8; 2] = [1, 1];

/// Where an error comes from, by the kernel's `ee_origin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This host itself.
    Local,
    /// ICMP.
    Icmp,
    /// ICMPv6.
    Icmp6,
}

/// What an error says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The packet's time ran out there.
    TimeExceeded,
    /// Nobody listens at that port: the far host itself answers.
    PortUnreachable,
    /// It cannot or must not be passed on.
    Unreachable,
    /// It is too large for the next hop.
    TooBig {
        /// The largest packet that passes, in bytes with its IP header; 0 if it was not told.
        mtu: u32,
    },
    /// Something else.
    Other,
}

impl ErrorKind {
    /// Reads ICMP's type and code (RFC 792, 1191, 4443) and the kernel's `ee_info`.
    pub fn of(origin: Origin, kind: u8, code: u8, too_long: bool, info: u32) -> Self {
        match (origin, kind, code) {
            (Origin::Local, _, _) if too_long => Self::TooBig { mtu: info },
            (Origin::Icmp, 11, 0) | (Origin::Icmp6, 3, 0) => Self::TimeExceeded,
            (Origin::Icmp, 3, 3) | (Origin::Icmp6, 1, 4) => Self::PortUnreachable,
            (Origin::Icmp, 3, 4) | (Origin::Icmp6, 2, _) => Self::TooBig { mtu: info },
            (Origin::Icmp, 3, _) | (Origin::Icmp6, 1, _) => Self::Unreachable,
            _ => Self::Other,
        }
    }
}

/// One entry of the error queue, without the packet that it quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathError {
    /// What it says.
    pub kind: ErrorKind,
    /// Who says it; `None` where this host does.
    pub by: Option<IpAddr>,
    /// Time to live with which the message arrived here.
    pub reply_ttl: Option<u8>,
    /// Where in the quote its extension begins (RFC 4884), as the kernel computed it.
    pub extension_at: Option<u16>,
}

/// One label of an MPLS stack, as a router quotes it (RFC 4950).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MplsLabel {
    /// The label, 20 bits.
    pub label: u32,
    /// Traffic class, 3 bits.
    pub tc: u8,
    /// The last of its stack.
    pub bottom: bool,
    /// Its time to live.
    pub ttl: u8,
}

/// Reads the label stack from an extension structure. Empty where there is none, or where a
/// length does not fit: a stack cut short would name wrong labels.
pub fn mpls_labels(extension: &[u8]) -> Vec<MplsLabel> {
    let [first, _, _, _, objects @ ..] = extension else {
        return Vec::new();
    };
    if first >> 4 != EXTENSION_VERSION {
        return Vec::new();
    }
    let mut rest = objects;
    while let [high, low, class, kind, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(body) = length.checked_sub(4).and_then(|body| after.get(..body)) else {
            return Vec::new();
        };
        if [*class, *kind] == MPLS_STACK {
            return body
                .chunks_exact(4)
                .take(LABELS_MAX)
                .map(label_of)
                .collect();
        }
        rest = &after[body.len()..];
    }
    Vec::new()
}

fn label_of(entry: &[u8]) -> MplsLabel {
    let word = entry
        .iter()
        .fold(0u32, |word, byte| word << 8 | u32::from(*byte));
    MplsLabel {
        label: word >> 12,
        tc: (word >> 9 & 7) as u8,
        bottom: word & 0x100 != 0,
        ttl: (word & 0xff) as u8,
    }
}

/// Feeds rubbish to the readers of this module; they must return.
pub fn fuzz_icmp(bytes: &[u8]) {
    let [origin, kind, code, rest @ ..] = bytes else {
        return;
    };
    let origin = match origin % 3 {
        0 => Origin::Local,
        1 => Origin::Icmp,
        _ => Origin::Icmp6,
    };
    let _ = ErrorKind::of(origin, *kind, *code, origin == Origin::Local, 0);
    assert!(mpls_labels(rest).len() <= LABELS_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_families_say_the_same_in_other_numbers() {
        let check = |origin, kind, code, expected| {
            assert_eq!(ErrorKind::of(origin, kind, code, false, 1400), expected);
        };
        check(Origin::Icmp, 11, 0, ErrorKind::TimeExceeded);
        check(Origin::Icmp6, 3, 0, ErrorKind::TimeExceeded);
        check(Origin::Icmp, 3, 3, ErrorKind::PortUnreachable);
        check(Origin::Icmp6, 1, 4, ErrorKind::PortUnreachable);
        check(Origin::Icmp, 3, 4, ErrorKind::TooBig { mtu: 1400 });
        check(Origin::Icmp6, 2, 0, ErrorKind::TooBig { mtu: 1400 });
        check(Origin::Icmp, 3, 13, ErrorKind::Unreachable);
        check(Origin::Icmp6, 1, 0, ErrorKind::Unreachable);
        check(Origin::Icmp, 11, 1, ErrorKind::Other);
        check(Origin::Icmp, 0, 0, ErrorKind::Other);
        check(Origin::Local, 3, 3, ErrorKind::Other);
        let local = ErrorKind::of(Origin::Local, 0, 0, true, 1500);
        assert_eq!(local, ErrorKind::TooBig { mtu: 1500 });
    }

    #[test]
    fn a_label_stack_is_read_behind_other_objects() {
        let interface = [0, 8, 2, 0, 9, 9, 9, 9];
        let stack = [0, 12, 1, 1, 0x05, 0xdc, 0x12, 0x3f, 0x00, 0x01, 0x0d, 0xff];
        let bytes = [&[0x20, 0, 0, 0][..], &interface, &stack].concat();
        let label = |label, tc, bottom, ttl| MplsLabel {
            label,
            tc,
            bottom,
            ttl,
        };
        assert_eq!(
            mpls_labels(&bytes),
            [label(24_001, 1, false, 63), label(16, 6, true, 255)]
        );
        assert_eq!(mpls_labels(&bytes[..bytes.len() - 1]), []);
        assert_eq!(mpls_labels(&[]), []);
    }

    proptest! {
        #[test]
        fn rubbish_is_read_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            fuzz_icmp(&bytes);
        }
    }
}
