//! The stateful session-reflector of RFC 8762: counts per session, so that the asker can tell
//! loss on the way there from loss on the way back. Only authenticated questions reach it, and
//! no answer is larger than its question: nothing here amplifies. Questions that are no probes
//! (large ones, traces, scouts) are answered without a session: they must not be counted as
//! probes, nor take a session's place.

use crate::now::Now;
use crate::stamp::{ERROR_ESTIMATE, NtpTime, ReflectorPacket, SenderPacket};
use andon_model::Instant;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Sessions remembered: 1,000 askers of 16 flows. Beyond it the oldest counts start anew,
/// which costs the asker one judgement of direction. Doubled, 1.5 MB more.
pub const SESSIONS_MAX: usize = 16_384;
/// Questions answered to one address in a second: 1,000 nodes of 8 flows behind one NAT,
/// twice over.
pub const SOURCE_PPS_MAX: u32 = 16_384;
/// Addresses whose rate is watched within one second.
const SOURCES_MAX: usize = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SessionKey {
    from: SocketAddr,
    local: Option<IpAddr>,
    ssid: u16,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    next_sequence: u32,
    asked: u32,
    sent: NtpTime,
    is_trusted: bool,
}

/// Counters of the reflector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReflectorCounts {
    /// Questions answered.
    pub reflected: u64,
    /// Questions over the rate.
    pub limited: u64,
    /// Sessions forgotten for newer ones.
    pub evicted: u64,
}

/// An answer, and what the question was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reflection {
    /// What to send back.
    pub packet: ReflectorPacket,
    /// A probe, and no repetition: what comes twice is answered, but is no sign of life.
    pub fresh: bool,
    /// Follows the earlier questions of a session that is trusted, see [`Reflector::trust`].
    pub continues: bool,
}

/// Sessions of all askers. Two generations stand for "least recently used": when the young
/// one is half of the limit, it becomes the old one, and the old one is forgotten.
#[derive(Debug, Default)]
pub struct Reflector {
    young: BTreeMap<SessionKey, Session>,
    old: BTreeMap<SessionKey, Session>,
    sources: BTreeMap<IpAddr, u32>,
    sources_second: u64,
    counts: ReflectorCounts,
}

impl Reflector {
    /// Answers a verified question that came from `from` to our address `local` at `received`;
    /// `None` if this source asks too often.
    pub fn reflect(
        &mut self,
        now: Now,
        received: Instant,
        asked: SenderPacket,
        from: SocketAddr,
        local: Option<IpAddr>,
        ttl: u8,
    ) -> Option<Reflection> {
        if !self.within_rate(now.at, from.ip()) {
            self.counts.limited += 1;
            return None;
        }
        let answer = |sequence| ReflectorPacket {
            sequence,
            sent: NtpTime::of(now.utc),
            error: ERROR_ESTIMATE,
            ssid: asked.ssid,
            received: NtpTime::of(now.utc_of(received)),
            asked,
            asked_ttl: ttl,
            knows_large: true,
        };
        self.counts.reflected += 1;
        if !asked.note.purpose.is_counted() {
            return Some(Reflection {
                packet: answer(0),
                fresh: false,
                continues: false,
            });
        }
        let session = self.session(
            SessionKey {
                from,
                local,
                ssid: asked.ssid,
            },
            &asked,
        );
        let fresh = session.next_sequence == 0
            || asked.sequence > session.asked
            || asked.sent.micros_since(session.sent) > 0;
        let continues = session.is_trusted && asked.sequence > session.asked;
        let packet = answer(session.next_sequence);
        session.next_sequence = session.next_sequence.wrapping_add(1);
        if fresh {
            (session.asked, session.sent) = (asked.sequence, asked.sent);
        }
        Some(Reflection {
            packet,
            fresh,
            continues,
        })
    }

    /// The questions of this session come from the node itself and are no captured ones:
    /// from now on their order is proof enough.
    pub fn trust(&mut self, from: SocketAddr, local: Option<IpAddr>, ssid: u16) {
        let key = SessionKey { from, local, ssid };
        if let Some(session) = self.young.get_mut(&key) {
            session.is_trusted = true;
        }
    }

    /// Counters.
    pub fn counts(&self) -> ReflectorCounts {
        self.counts
    }

    /// Sessions remembered.
    pub fn sessions(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn session(&mut self, key: SessionKey, asked: &SenderPacket) -> &mut Session {
        if !self.young.contains_key(&key) && self.young.len() >= SESSIONS_MAX / 2 {
            self.counts.evicted += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
        }
        let old = self.old.remove(&key);
        let fresh = Session {
            next_sequence: 0,
            asked: asked.sequence,
            sent: asked.sent,
            is_trusted: false,
        };
        self.young.entry(key).or_insert(old.unwrap_or(fresh))
    }

    fn within_rate(&mut self, now: Instant, source: IpAddr) -> bool {
        let second = now.0 / 1_000_000;
        if second != self.sources_second {
            self.sources_second = second;
            self.sources.clear();
        }
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            return false;
        }
        let count = self.sources.entry(source).or_insert(0);
        *count += 1;
        *count <= SOURCE_PPS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::{Note, Purpose};
    use crate::now::Attentive;
    use andon_model::Timestamp;

    fn now(us: u64) -> Now {
        Now {
            at: Instant(us),
            attentive: Attentive(us),
            utc: Timestamp(us as i64),
        }
    }

    fn asked(sequence: u32) -> SenderPacket {
        SenderPacket {
            sequence,
            sent: NtpTime(u64::from(sequence) << 20),
            error: ERROR_ESTIMATE,
            ssid: 9,
            note: Note::default(),
        }
    }

    #[test]
    fn each_session_counts_for_itself_and_repetitions_are_no_sign_of_life() {
        let mut reflector = Reflector::default();
        let mut ask = |sequence, port| {
            let from = SocketAddr::from(([10, 0, 0, 1], port));
            let reflection = reflector
                .reflect(now(1), Instant(1), asked(sequence), from, None, 64)
                .unwrap();
            (reflection.packet.sequence, reflection.fresh)
        };
        assert_eq!(ask(5, 1), (0, true));
        assert_eq!(ask(7, 1), (1, true));
        assert_eq!(ask(7, 2), (0, true));
        assert_eq!(ask(7, 1), (2, false));
        assert_eq!(ask(8, 1), (3, true));
    }

    #[test]
    fn what_is_no_probe_is_answered_and_not_counted() {
        let mut reflector = Reflector::default();
        let from = SocketAddr::from(([10, 0, 0, 1], 5));
        let mut ask = |sequence, purpose| {
            let question = SenderPacket {
                note: Note::of(purpose),
                ..asked(sequence)
            };
            let (at, back) = (now(10_000_000), Instant(10_000_000));
            let reflection = reflector.reflect(at, back, question, from, None, 64);
            let reflection = reflection.unwrap();
            (reflection.packet.sequence, reflection.fresh)
        };
        assert_eq!(ask(5, Purpose::Probe), (0, true));
        assert_eq!(ask(6, Purpose::Large), (0, false));
        assert_eq!(ask(7, Purpose::Trace), (0, false));
        assert_eq!(ask(8, Purpose::Scout), (0, false));
        assert_eq!(ask(6, Purpose::Probe), (1, true));
    }

    #[test]
    fn sessions_and_rates_are_bounded() {
        let mut reflector = Reflector::default();
        for i in 0..60_000u32 {
            let from = SocketAddr::from((
                (0x0a00_0000 + i / 60_000).to_be_bytes(),
                (i % 60_000) as u16,
            ));
            reflector.reflect(
                now(u64::from(i) * 1000),
                Instant(0),
                asked(i),
                from,
                None,
                64,
            );
        }
        assert!(
            reflector.sessions() <= SESSIONS_MAX,
            "{}",
            reflector.sessions()
        );
        assert!(reflector.counts().evicted > 0);
        let from = SocketAddr::from(([10, 0, 0, 1], 1));
        let answered = (0..SOURCE_PPS_MAX + 100)
            .filter(|i| {
                reflector
                    .reflect(now(99_000_000), Instant(0), asked(*i), from, None, 64)
                    .is_some()
            })
            .count();
        assert_eq!(answered, SOURCE_PPS_MAX as usize);
    }
}
