//! Trace packets in flight, and whose answer it is. What nobody asked for is told apart here:
//! an answer counts only for a packet that is in flight, on its own flow, to its own
//! destination, and with all that is quoted of it equal to what was sent.

use super::detail::Matched;
use crate::stamp::{SenderPacket, StampKeys};
use andon_model::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Trace packets remembered. With the budget's 500 a second and two seconds' memory, full
/// only if clocks jump.
pub const FLIGHT_MAX: usize = 4_096;
/// Answers are believed for so long: routers answer from slow processors.
const FORGET_AFTER: Duration = Duration::from_secs(2);
/// The trace of packets whose trace is over. They still fly, and a short quote may be theirs.
const NO_RUN: u64 = u64::MAX;
/// Bytes of a quote that name the packet: its sequence number.
pub const SEQUENCE_BYTES: usize = 4;
/// Bytes of a packet that are compared: all before its signature.
const FIELD_BYTES: usize = 96;

/// What a packet's answers are told by: the flow and where it went.
pub type FlowKey = (u16, (IpAddr, u16));

/// A trace packet in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flown {
    /// The trace that sent it.
    pub run: u64,
    /// Its time to live.
    pub ttl: u8,
    /// Its flow and destination.
    pub key: FlowKey,
    /// What was sent.
    pub packet: SenderPacket,
    /// When.
    pub sent: Instant,
}

/// Whose answer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This packet's.
    Known(Flown, Matched),
    /// Too little is quoted, and several are in flight.
    Ambiguous,
    /// Of nothing in flight.
    Foreign,
}

/// Packets in flight, by sequence number.
#[derive(Debug, Default)]
pub struct Flight {
    flown: BTreeMap<u32, Flown>,
    by_key: BTreeMap<FlowKey, BTreeSet<u32>>,
    /// Oldest first.
    order: VecDeque<(Instant, u32)>,
}

/// A flow's destination without what only the kernel fills in.
pub fn flow_key(flow: u16, to: SocketAddr) -> FlowKey {
    (flow, (to.ip().to_canonical(), to.port()))
}

impl Flight {
    /// Whether one more would be too many.
    pub fn is_full(&self) -> bool {
        self.flown.len() >= FLIGHT_MAX
    }

    /// Whether a sequence number is in use.
    pub fn holds(&self, sequence: u32) -> bool {
        self.flown.contains_key(&sequence)
    }

    /// When the last packet in flight on a flow to a destination is forgotten at the latest;
    /// `None` if there is none.
    pub fn clear_at(&self, key: FlowKey) -> Option<Instant> {
        let sequences = self.by_key.get(&key)?;
        let flown = sequences
            .iter()
            .filter_map(|sequence| self.flown.get(sequence));
        flown.map(|flown| flown.sent + FORGET_AFTER).max()
    }

    /// A packet leaves.
    pub fn launch(&mut self, flown: Flown) {
        let sequence = flown.packet.sequence;
        self.by_key.entry(flown.key).or_default().insert(sequence);
        self.order.push_back((flown.sent + FORGET_AFTER, sequence));
        self.flown.insert(sequence, flown);
    }

    /// The owner of an error that quotes `quote`, the packet's bytes as far as the router
    /// gives them. It is in flight no longer.
    pub fn quoted(&mut self, key: FlowKey, quote: &[u8]) -> Owner {
        if quote.len() < SEQUENCE_BYTES {
            return self.alone(key);
        }
        let sequence = quote
            .iter()
            .take(SEQUENCE_BYTES)
            .fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        match self.flown.get(&sequence) {
            Some(flown) if flown.key == key && is_quote_of(quote, &flown.packet) => {
                let flown = *flown;
                self.land(&flown);
                Owner::Known(flown, Matched::Quote)
            }
            _ => Owner::Foreign,
        }
    }

    /// The owner of the far end's own answer to `asked`. It is in flight no longer.
    pub fn answered(&mut self, key: FlowKey, asked: &SenderPacket) -> Option<Flown> {
        let flown = *self.flown.get(&asked.sequence)?;
        if flown.key != key || flown.packet.sent != asked.sent {
            return None;
        }
        self.land(&flown);
        Some(flown)
    }

    /// Forgets what has flown too long.
    pub fn forget(&mut self, now: Instant) {
        while let Some((until, sequence)) = self.order.front().copied()
            && until <= now
        {
            self.order.pop_front();
            // Its number may be in use again, by a packet that leaves later.
            if let Some(flown) = self.flown.get(&sequence).copied()
                && flown.sent + FORGET_AFTER <= now
            {
                self.land(&flown);
            }
        }
    }

    /// A trace is over: its packets' answers are nobody's.
    pub fn drop_run(&mut self, run: u64) {
        for flown in self.flown.values_mut().filter(|flown| flown.run == run) {
            flown.run = NO_RUN;
        }
    }

    fn alone(&mut self, key: FlowKey) -> Owner {
        let Some(sequences) = self.by_key.get(&key) else {
            return Owner::Foreign;
        };
        let mut sequences = sequences.iter();
        match (sequences.next(), sequences.next()) {
            (Some(only), None) => match self.flown.get(only).copied() {
                Some(flown) => {
                    self.land(&flown);
                    Owner::Known(flown, Matched::Alone)
                }
                None => Owner::Foreign,
            },
            _ => Owner::Ambiguous,
        }
    }

    fn land(&mut self, flown: &Flown) {
        let sequence = flown.packet.sequence;
        self.flown.remove(&sequence);
        if let Some(sequences) = self.by_key.get_mut(&flown.key) {
            sequences.remove(&sequence);
            if sequences.is_empty() {
                self.by_key.remove(&flown.key);
            }
        }
    }
}

/// Whether all that is quoted equals what was sent. The signature is left out: keys change.
fn is_quote_of(quote: &[u8], packet: &SenderPacket) -> bool {
    let sent = packet.signed(&StampKeys::new(&[]));
    let compared = quote.len().min(FIELD_BYTES);
    quote[..compared] == sent[..compared]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::{Note, Purpose};
    use crate::stamp::{ERROR_ESTIMATE, NtpTime};
    use proptest::prelude::*;

    fn flown(sequence: u32, ttl: u8, flow: u16) -> Flown {
        Flown {
            run: 1,
            ttl,
            key: flow_key(flow, SocketAddr::from(([10, 0, 0, 9], 8777))),
            packet: SenderPacket {
                sequence,
                sent: NtpTime(u64::from(sequence) << 7),
                error: ERROR_ESTIMATE,
                ssid: 5,
                note: Note::of(Purpose::Trace),
            },
            sent: Instant(1_000),
        }
    }

    fn bytes(flown: &Flown) -> [u8; 112] {
        flown.packet.signed(&StampKeys::new(&[[1; 32]]))
    }

    #[test]
    fn an_error_counts_for_the_quoted_packet_alone() {
        let (a, b) = (flown(0x7f00_0001, 3, 0), flown(0x7f00_0002, 4, 0));
        let mut flight = Flight::default();
        flight.launch(a);
        flight.launch(b);
        let other = flow_key(1, SocketAddr::from(([10, 0, 0, 9], 8777)));
        assert_eq!(flight.quoted(other, &bytes(&b)), Owner::Foreign);
        let elsewhere = flow_key(0, SocketAddr::from(([10, 0, 0, 8], 8777)));
        assert_eq!(flight.quoted(elsewhere, &bytes(&b)), Owner::Foreign);
        let mut forged = bytes(&b);
        forged[20] ^= 1;
        assert_eq!(flight.quoted(a.key, &forged), Owner::Foreign);
        assert_eq!(
            flight.quoted(a.key, &bytes(&b)[..20]),
            Owner::Known(b, Matched::Quote)
        );
        assert_eq!(
            flight.quoted(a.key, &bytes(&b)),
            Owner::Foreign,
            "only once"
        );
    }

    #[test]
    fn a_short_quote_counts_only_for_a_packet_that_flies_alone() {
        let (a, b) = (flown(0x7f00_0001, 3, 0), flown(0x7f00_0002, 4, 0));
        let mut flight = Flight::default();
        assert_eq!(flight.quoted(a.key, &[]), Owner::Foreign);
        flight.launch(a);
        flight.launch(b);
        flight.launch(flown(0x7f00_0003, 4, 1));
        assert_eq!(flight.quoted(a.key, &[]), Owner::Ambiguous);
        assert!(flight.answered(b.key, &b.packet).is_some());
        assert_eq!(flight.quoted(a.key, &[]), Owner::Known(a, Matched::Alone));
    }

    #[test]
    fn what_flies_too_long_is_forgotten() {
        let mut flight = Flight::default();
        flight.launch(flown(0x7f00_0001, 3, 0));
        let key = flown(0, 0, 0).key;
        assert_eq!(flight.clear_at(key), Some(Instant(2_001_000)));
        flight.forget(Instant(2_000_000));
        assert!(flight.clear_at(key).is_some());
        flight.forget(Instant(2_001_000));
        assert_eq!((flight.clear_at(key), flight.flown.len()), (None, 0));
    }

    proptest! {
        #[test]
        fn rubbish_is_never_taken_for_an_answer(quote in prop::collection::vec(any::<u8>(), 4..200)) {
            let mut flight = Flight::default();
            for i in 0..50 {
                flight.launch(flown(0x7f00_0000 + i, i as u8, 0));
            }
            prop_assert_eq!(flight.quoted(flown(0, 0, 0).key, &quote), Owner::Foreign);
        }

        #[test]
        fn one_wrong_bit_is_a_forgery(bit in 32usize..768, length in 96usize..=112) {
            let sent = flown(0x7f00_0007, 3, 0);
            let mut flight = Flight::default();
            flight.launch(sent);
            let mut quote = bytes(&sent);
            quote[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(flight.quoted(sent.key, &quote[..length]), Owner::Foreign);
        }
    }
}
