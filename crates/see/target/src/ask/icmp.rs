//! ICMP echo over the kernel's unprivileged datagram sockets (Linux `ping_group_range`).
//! The kernel fills in identifier and checksum and hands over only answers to our own.

use super::name::Resolver;
use super::progress::{Phase, Progress};
use super::{Answered, Failure};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::net::UdpSocket;

const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
/// 8 bytes of header, 8 of a random token, and zeros up to ping's customary 64.
const PACKET_BYTES: usize = 64;

/// Sends one echo request and waits for its reply.
pub async fn ask(
    resolver: &Resolver,
    host: &str,
    progress: &Progress,
) -> Result<Answered, Failure> {
    let address = resolver.first(host, 0, progress).await?;
    progress.enter(Phase::FirstByte);
    let socket = socket(address).map_err(|error| not_permitted(&error))?;
    let (sequence, token): (u16, u64) = (rand::random(), rand::random());
    let sent = Instant::now();
    let packet = request(address.is_ipv6(), sequence, token);
    let doing = || format!("echo to {}", address.ip());
    socket
        .send(&packet)
        .await
        .map_err(|error| Failure::io(&error, &doing()))?;
    let mut buffer = [0; 256];
    loop {
        let length = socket
            .recv(&mut buffer)
            .await
            .map_err(|error| Failure::io(&error, &doing()))?;
        if is_reply(&buffer[..length], address.is_ipv6(), sequence, token) {
            return Ok(Answered::good(sent.elapsed(), ""));
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let (domain, protocol) = match address {
        SocketAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        SocketAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.connect(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn not_permitted(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::not_asked(
            "ICMP is not permitted: this process's group is outside the sysctl net.ipv4.ping_group_range",
        ),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            Failure::io(error, "echo")
        }
        _ => Failure::not_asked(format!("no ICMP socket: {error}")),
    }
}

fn request(v6: bool, sequence: u16, token: u64) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    packet[0] = if v6 { ECHO_REQUEST_V6 } else { ECHO_REQUEST_V4 };
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[8..16].copy_from_slice(&token.to_be_bytes());
    packet
}

fn is_reply(packet: &[u8], v6: bool, sequence: u16, token: u64) -> bool {
    let kind = if v6 { ECHO_REPLY_V6 } else { ECHO_REPLY_V4 };
    packet.len() >= 16
        && packet[0] == kind
        && packet[1] == 0
        && packet[6..8] == sequence.to_be_bytes()
        && packet[8..16] == token.to_be_bytes()
}

pub(super) fn fuzz(bytes: &[u8]) {
    let _ = is_reply(bytes, false, 0, 0) || is_reply(bytes, true, 0, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_reply_to_our_own_request_counts() {
        let mut packet = request(false, 7, 42);
        assert!(!is_reply(&packet, false, 7, 42), "a request is no reply");
        packet[0] = ECHO_REPLY_V4;
        assert!(is_reply(&packet, false, 7, 42));
        assert!(!is_reply(&packet, false, 8, 42));
        assert!(!is_reply(&packet, false, 7, 43));
        assert!(!is_reply(&packet[..15], false, 7, 42));
        assert!(!is_reply(&packet, true, 7, 42));
    }

    proptest! {
        #[test]
        fn rubbish_is_no_reply(packet: Vec<u8>) {
            prop_assert!(!is_reply(&packet, true, 0x1234, 0x5678_9abc_def0));
        }
    }
}
