//! STAMP in unauthenticated mode, towards routers' own reflectors.
//! Source: RFC 8762 §4.2.1 (test packet), §4.3.1 (reflected packet), 44 bytes each.

use super::name::Resolver;
use super::progress::{Phase, Progress};
use super::{Answered, Failure};
use crate::question::HostPort;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::UdpSocket;

/// Length of both packets.
pub const PACKET_BYTES: usize = 44;
/// Seconds from 1900 (NTP) to 1970 (Unix).
const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;
/// Clock unsynchronised, multiplier 1 (RFC 4656 §4.1.2): we use its differences alone.
const ERROR_ESTIMATE: u16 = 0x0001;
/// A reflector's own time beyond this is a wrong clock, not a slow reflector.
const REFLECTOR_TIME_MAX: Duration = Duration::from_secs(1);

/// What is of use in a reflected packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reflection {
    /// Between receiving and answering, by the reflector's own clock.
    reflector_time: Duration,
}

/// Sends one test packet and waits for its reflection. The round trip is without the
/// reflector's own time (RFC 8762 §4.3.1 carries both of its timestamps).
pub async fn ask(
    resolver: &Resolver,
    at: &HostPort,
    progress: &Progress,
) -> Result<Answered, Failure> {
    let address = resolver.first(&at.host, at.port, progress).await?;
    progress.enter(Phase::FirstByte);
    let doing = || format!("STAMP to {address}");
    let failed = |error: std::io::Error| Failure::io(&error, &doing());
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    socket.connect(address).await.map_err(failed)?;
    // Below 0x8000_0000, as node-to-node probes are.
    let sequence = rand::random::<u32>() >> 1;
    let sent_at = ntp_now();
    let sent = Instant::now();
    socket
        .send(&test_packet(sequence, sent_at))
        .await
        .map_err(failed)?;
    let mut buffer = [0; 512];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        let elapsed = sent.elapsed();
        if let Some(reflection) = read_reflection(&buffer[..length], sequence, sent_at) {
            let rtt = elapsed
                .checked_sub(reflection.reflector_time)
                .unwrap_or(elapsed);
            return Ok(Answered::good(rtt, ""));
        }
    }
}

fn test_packet(sequence: u32, sent_at: u64) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    packet[0..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..12].copy_from_slice(&sent_at.to_be_bytes());
    packet[12..14].copy_from_slice(&ERROR_ESTIMATE.to_be_bytes());
    packet
}

/// Reads a reflected packet; `None` unless it answers this very test packet.
fn read_reflection(packet: &[u8], sequence: u32, sent_at: u64) -> Option<Reflection> {
    let field = |range: std::ops::Range<usize>| -> Option<u64> {
        let bytes = packet.get(range)?;
        Some(
            bytes
                .iter()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        )
    };
    packet.get(..PACKET_BYTES)?;
    let answers_ours = field(24..28)? == u64::from(sequence) && field(28..36)? == sent_at;
    if !answers_ours {
        return None;
    }
    let (answered, received) = (field(4..12)?, field(16..24)?);
    let reflector_time = ntp_span(answered.saturating_sub(received));
    let believable = reflector_time <= REFLECTOR_TIME_MAX;
    Some(Reflection {
        reflector_time: if believable {
            reflector_time
        } else {
            Duration::ZERO
        },
    })
}

pub(super) fn fuzz(bytes: &[u8]) {
    let _ = read_reflection(bytes, 0, 0);
}

fn ntp_now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = since.as_secs().wrapping_add(NTP_TO_UNIX_SECONDS);
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    seconds << 32 | fraction
}

fn ntp_span(units: u64) -> Duration {
    let nanos = ((units & 0xffff_ffff) * 1_000_000_000) >> 32;
    Duration::from_secs(units >> 32) + Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reflected(sequence: u32, sent_at: u64) -> [u8; PACKET_BYTES] {
        let mut packet = [0; PACKET_BYTES];
        packet[4..12].copy_from_slice(&(10_u64 << 32 | 1 << 31).to_be_bytes());
        packet[16..24].copy_from_slice(&(10_u64 << 32).to_be_bytes());
        packet[24..28].copy_from_slice(&sequence.to_be_bytes());
        packet[28..36].copy_from_slice(&sent_at.to_be_bytes());
        packet
    }

    #[test]
    fn a_reflection_answers_its_own_test_packet_alone() {
        let packet = reflected(7, 99);
        let half_a_second = Some(Reflection {
            reflector_time: Duration::from_millis(500),
        });
        assert_eq!(read_reflection(&packet, 7, 99), half_a_second);
        assert_eq!(read_reflection(&packet, 8, 99), None);
        assert_eq!(read_reflection(&packet, 7, 98), None);
        assert_eq!(read_reflection(&packet[..43], 7, 99), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(packet: Vec<u8>) {
            let _ = read_reflection(&packet, 0, 0);
            let _ = ntp_span(u64::MAX >> (packet.len() % 64));
        }
    }
}
