//! Datagrams: syslog, StatsD and Graphite over UDP. While the sink is full nothing is read, so
//! the kernel's buffer fills and then drops; the kernel counts that, and so do we.

use super::protocols::syslog_record;
use super::{Outlet, wall_clock};
use crate::decode::line::LineDecoder;
use crate::decode::{graphite, statsd};
use crate::reject::{Decoded, Reason};
use crate::sink::Patience;
use andon_model::time::Timestamp;
use std::time::Duration;
use tokio::net::UdpSocket;

/// Datagrams of one batch.
const DATAGRAMS_MAX: usize = 2048;
/// A batch of datagrams ends once its events take so much.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How often the kernel is asked what it dropped.
const DROPS_EVERY: Duration = Duration::from_secs(10);

/// What datagrams carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datagrams {
    /// One syslog record each (RFC 5426).
    Syslog,
    /// Lines of StatsD.
    Statsd,
    /// Lines of Graphite.
    Graphite,
}

impl Datagrams {
    fn decode(self, inner: &mut LineDecoder, bytes: &[u8], received: Timestamp, out: &mut Decoded) {
        match self {
            Self::Syslog => syslog_record(inner, bytes, 0, received, out),
            Self::Statsd => statsd::decode(bytes, received, out),
            Self::Graphite => {
                for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
                    graphite::decode(line, number as u64 + 1, received, out);
                }
            }
        }
    }
}

/// Reads datagrams until it is cancelled.
pub async fn serve(socket: UdpSocket, kind: Datagrams, outlet: Outlet) {
    let port = socket.local_addr().map_or(0, |address| address.port());
    let mut inner = LineDecoder::default();
    let mut buffer = vec![0; 65_536];
    let mut dropped = dropped_by_kernel(port);
    let mut drops = tokio::time::interval(DROPS_EVERY);
    loop {
        let first = tokio::select! {
            received = socket.recv(&mut buffer) => received,
            _ = drops.tick() => {
                let now = dropped_by_kernel(port);
                outlet.counters.reject(Reason::NotKept, now.saturating_sub(dropped));
                dropped = now;
                continue;
            }
            () = outlet.cancel.cancelled() => break,
        };
        let received = wall_clock();
        let mut out = Decoded::default();
        let mut next = first;
        let mut datagrams = 0;
        // An error here is an ICMP answer to something sent, which we never do.
        while let Ok(bytes) = next {
            outlet.counters.read(bytes);
            kind.decode(&mut inner, &buffer[..bytes], received, &mut out);
            datagrams += 1;
            if datagrams >= DATAGRAMS_MAX || out.bytes() > BATCH_BYTES {
                break;
            }
            next = socket.try_recv(&mut buffer);
        }
        if outlet.deliver(out, None, Patience::Forever).await.is_err()
            && outlet.cancel.is_cancelled()
        {
            break;
        }
    }
    let now = dropped_by_kernel(port);
    outlet
        .counters
        .reject(Reason::NotKept, now.saturating_sub(dropped));
}

fn dropped_by_kernel(port: u16) -> u64 {
    let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"];
    let texts = tables
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok());
    texts.map(|text| drops(&text, port)).sum()
}

/// Datagrams dropped by sockets on a port, of the text of `/proc/net/udp`.
fn drops(table: &str, port: u16) -> u64 {
    let of_line = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (_, local) = words.get(1)?.rsplit_once(':')?;
        let is_ours = u16::from_str_radix(local, 16).ok()? == port;
        is_ours.then(|| words.last()?.parse::<u64>().ok()).flatten()
    };
    table.lines().skip(1).filter_map(of_line).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_drops_are_read_by_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             1: 00000000:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 5 2 0 17\n\
             2: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 6 2 0 3\n";
        assert_eq!(drops(table, 0x202), 17);
        assert_eq!(drops(table, 0x35), 3);
        assert_eq!(drops(table, 9), 0);
        assert_eq!(drops("rubbish", 9), 0);
    }
}
