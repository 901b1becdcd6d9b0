//! One link in a record: about twenty bytes.

use crate::bytes::{Rubbish, Take, put_bytes, put_i, put_u};
use crate::figures::Figures;
use crate::pack::named;
use crate::texts::Texts;
use andon_model::{FlowCount, Heard, LinkReason, LinkState, LinkView, Name, Timestamp, Transport};
use std::hash::{Hash, Hasher};

/// The places in these lists are on disk: append only.
const STATES: [LinkState; 7] = [
    LinkState::Up,
    LinkState::Partial,
    LinkState::Degraded,
    LinkState::Down,
    LinkState::Unknown,
    LinkState::NotProbed,
    LinkState::Left,
];
const REASONS: [LinkReason; 6] = [
    LinkReason::Loss,
    LinkReason::Latency,
    LinkReason::Refused,
    LinkReason::Answer,
    LinkReason::Silent,
    LinkReason::Mtu,
];
const TRANSPORTS: [Transport; 8] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Icmp,
    Transport::TcpConnect,
    Transport::Http,
    Transport::Tls,
    Transport::Dns,
    Transport::GridBug,
];
const HEARD: [Heard; 3] = [Heard::NotExpected, Heard::Arriving, Heard::Silent];

/// Which flags byte says what.
const VIA: u64 = 1;
const HAS_SINCE: u64 = 2;
const HAS_DETAIL: u64 = 4;
const HAS_FIGURES: u64 = 8;

/// Place of an item plus one; zero is none, or what this version has no place for.
fn place<T: PartialEq>(list: &[T], item: Option<&T>) -> u64 {
    let place = item.and_then(|item| list.iter().position(|known| known == item));
    place.map_or(0, |place| place as u64 + 1)
}

fn at_place<T: Copy>(list: &[T], place: u64) -> Option<T> {
    let index = usize::try_from(place.checked_sub(1)?).ok()?;
    list.get(index).copied()
}

/// What of a link is told at once when it changes: everything but its figures.
pub(crate) fn hash_content(link: &LinkView, hasher: &mut impl Hasher) {
    let LinkView {
        from: _,
        to: _,
        state,
        reason,
        round_trip,
        transport,
        flows,
        loss: _,
        rtt_us: _,
        rtt_baseline_us: _,
        heard,
        since,
        via,
        detail,
    } = link;
    // The figures are told with the minute; whether there are any is told at once.
    (
        state, reason, round_trip, transport, flows, heard, since, via, detail,
    )
        .hash(hasher);
}

/// Writes a link, length first so that later versions may append to it.
pub(crate) fn put_link(
    out: &mut Vec<u8>,
    texts: &mut Texts,
    at: Timestamp,
    (from, to): (u32, u32),
    link: &LinkView,
) {
    let figures = Figures::of(link);
    let mut flags = 0;
    if link.via {
        flags |= VIA;
    }
    if link.since.is_some() {
        flags |= HAS_SINCE;
    }
    if link.detail.is_some() {
        flags |= HAS_DETAIL;
    }
    if figures != Figures::NONE {
        flags |= HAS_FIGURES;
    }
    let mut body = Vec::with_capacity(32);
    put_u(&mut body, from.into());
    put_u(&mut body, to.into());
    put_u(&mut body, flags);
    put_u(&mut body, place(&STATES, Some(&link.state)));
    put_u(&mut body, place(&REASONS, link.reason.as_ref()));
    put_u(&mut body, place(&STATES, link.round_trip.as_ref()));
    put_u(&mut body, place(&TRANSPORTS, link.transport.as_ref()));
    put_u(&mut body, place(&HEARD, Some(&link.heard)));
    put_u(&mut body, link.flows.ok.into());
    put_u(&mut body, link.flows.total.into());
    if let Some(since) = link.since {
        // A change is told when it happens: the difference is short.
        put_i(&mut body, at.0.wrapping_sub(since.0));
    }
    if let Some(detail) = &link.detail {
        put_u(&mut body, texts.number(detail).into());
    }
    if flags & HAS_FIGURES != 0 {
        body.extend_from_slice(&figures.codes());
    }
    put_bytes(out, &body);
}

/// A link as it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkRecord {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) state: LinkState,
    pub(crate) flows: FlowCount,
    pub(crate) figures: Figures,
    reason: Option<LinkReason>,
    round_trip: Option<LinkState>,
    transport: Option<Transport>,
    heard: Heard,
    since: Option<Timestamp>,
    via: bool,
    detail: Option<u32>,
}

impl LinkRecord {
    /// Reads one link.
    pub(crate) fn take(take: &mut Take<'_>, at: Timestamp) -> Result<Self, Rubbish> {
        let mut body = Take(take.bytes()?);
        let (from, to) = (body.u32()?, body.u32()?);
        let flags = body.u()?;
        let state = at_place(&STATES, body.u()?).unwrap_or(LinkState::Unknown);
        let reason = at_place(&REASONS, body.u()?);
        let round_trip = at_place(&STATES, body.u()?);
        let transport = at_place(&TRANSPORTS, body.u()?);
        let heard = at_place(&HEARD, body.u()?).unwrap_or_default();
        let flows = FlowCount {
            ok: body.u16()?,
            total: body.u16()?,
        };
        let since = if flags & HAS_SINCE != 0 {
            Some(Timestamp(at.0.wrapping_sub(body.i()?)))
        } else {
            None
        };
        let detail = if flags & HAS_DETAIL != 0 {
            Some(body.u32()?)
        } else {
            None
        };
        let figures = if flags & HAS_FIGURES != 0 {
            Figures::of_codes(body.array()?)
        } else {
            Figures::NONE
        };
        Ok(Self {
            from,
            to,
            state,
            flows,
            figures,
            reason,
            round_trip,
            transport,
            heard,
            since,
            via: flags & VIA != 0,
            detail,
        })
    }

    /// Whether all that it refers to is there.
    pub(crate) fn check(&self, texts: &[Name]) -> Result<(), Rubbish> {
        let last = self.from.max(self.to).max(self.detail.unwrap_or(0));
        named(texts, last).map(|_| ())
    }

    /// The link as the picture shows it.
    pub(crate) fn view(&self, texts: &[Name]) -> Result<LinkView, Rubbish> {
        let detail = match self.detail {
            Some(number) => Some(named(texts, number)?.as_str().into()),
            None => None,
        };
        Ok(LinkView {
            from: named(texts, self.from)?.clone(),
            to: named(texts, self.to)?.clone(),
            state: self.state,
            reason: self.reason,
            round_trip: self.round_trip,
            transport: self.transport,
            flows: self.flows,
            loss: self.figures.loss(),
            rtt_us: self.figures.rtt_us(),
            rtt_baseline_us: self.figures.rtt_baseline_us(),
            heard: self.heard,
            since: self.since,
            via: self.via,
            detail,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A match without a wildcard: whoever adds a variant learns here that it needs a place.
    #[test]
    fn every_variant_has_its_place() {
        for (index, state) in STATES.iter().enumerate() {
            let expected = match state {
                LinkState::Up => 0,
                LinkState::Partial => 1,
                LinkState::Degraded => 2,
                LinkState::Down => 3,
                LinkState::Unknown => 4,
                LinkState::NotProbed => 5,
                LinkState::Left => 6,
            };
            assert_eq!(index, expected);
        }
        for (index, reason) in REASONS.iter().enumerate() {
            let expected = match reason {
                LinkReason::Loss => 0,
                LinkReason::Latency => 1,
                LinkReason::Refused => 2,
                LinkReason::Answer => 3,
                LinkReason::Silent => 4,
                LinkReason::Mtu => 5,
            };
            assert_eq!(index, expected);
        }
        for (index, transport) in TRANSPORTS.iter().enumerate() {
            let expected = match transport {
                Transport::Udp => 0,
                Transport::Tcp => 1,
                Transport::Icmp => 2,
                Transport::TcpConnect => 3,
                Transport::Http => 4,
                Transport::Tls => 5,
                Transport::Dns => 6,
                Transport::GridBug => 7,
            };
            assert_eq!(index, expected);
        }
        for (index, heard) in HEARD.iter().enumerate() {
            let expected = match heard {
                Heard::NotExpected => 0,
                Heard::Arriving => 1,
                Heard::Silent => 2,
            };
            assert_eq!(index, expected);
        }
    }
}
