//! Checksums of UDP and TCP in a frame. The kernel leaves them to the network card, a cable
//! between namespaces is none, and a frame that passes through a relay must have them.

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ETHERNET: usize = 14;

/// Puts the right checksum into an Ethernet frame; leaves what it does not know as it is.
pub(super) fn complete(frame: &mut [u8]) {
    let Some(kind) = frame.get(12..14) else {
        return;
    };
    let kind = u16::from_be_bytes([kind[0], kind[1]]);
    let packet = &mut frame[ETHERNET..];
    let found = match kind {
        IPV4 => ipv4(packet),
        IPV6 => ipv6(packet),
        _ => None,
    };
    let Some((protocol, addresses, payload)) = found else {
        return;
    };
    let (place, least) = match protocol {
        UDP => (6, 8),
        TCP => (16, 20),
        _ => return,
    };
    let Some(segment) = packet
        .get_mut(payload)
        .filter(|segment| segment.len() >= least)
    else {
        return;
    };
    segment[place..place + 2].fill(0);
    let pseudo = addresses + u32::from(protocol) + segment.len() as u32;
    let sum = match fold(pseudo + sum(segment)) {
        // UDP writes 0 as all ones, since 0 means none.
        0 if protocol == UDP => 0xffff,
        sum => sum,
    };
    segment[place..place + 2].copy_from_slice(&sum.to_be_bytes());
}

type Segment = (u8, u32, std::ops::Range<usize>);

fn ipv4(packet: &[u8]) -> Option<Segment> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x3fff;
    let fits = header >= 20 && header <= total && total <= packet.len() && fragment == 0;
    fits.then(|| (packet[9], sum(&packet[12..20]), header..total))
}

fn ipv6(packet: &[u8]) -> Option<Segment> {
    let length = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
    let end = 40 + length;
    (end <= packet.len()).then(|| (packet[6], sum(&packet[8..40]), 40..end))
}

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
            [high] => u32::from(*high) << 8,
            _ => 0,
        })
        .sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::complete;

    /// A UDP datagram from 10.0.0.1:1 to 10.0.0.2:2 with the payload "hi", checksum as given.
    fn frame(checksum: [u8; 2]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00, 0x45, 0, 0, 30, 0, 0, 0x40, 0, 64, 17, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2, 0, 10]);
        frame.extend(checksum);
        frame.extend(*b"hi");
        frame
    }

    #[test]
    fn a_datagram_gets_its_checksum_whatever_stood_there() {
        // 0x0a00+0x0001+0x0a00+0x0002 + 17+10 + 1+2+10 + 0x6869 = 0x7c94, inverted 0x836b.
        let right = frame([0x83, 0x6b]);
        for before in [[0, 0], [0xab, 0xcd]] {
            let mut found = frame(before);
            complete(&mut found);
            assert_eq!(found, right);
        }
    }

    #[test]
    fn rubbish_is_left_as_it_is() {
        for length in 0..60 {
            let mut bytes = vec![0xff; length];
            complete(&mut bytes);
            assert_eq!(bytes, vec![0xff; length]);
            let mut cut = frame([1, 2]);
            cut.truncate(length.min(43));
            let before = cut.clone();
            complete(&mut cut);
            assert_eq!(cut, before);
        }
    }
}
