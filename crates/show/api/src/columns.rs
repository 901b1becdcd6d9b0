//! The picture with its links in columns: at 1,000 nodes a tenth of the bytes, and arrays that
//! the console draws from as they are.

use andon_model::{
    Heard, LinkReason, LinkState, LinkView, NodeView, PictureDigest, PictureView, Timestamp,
    Transport, Verdict,
};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// The states of a link by their code in `links.state`.
const STATES: [LinkState; 7] = [
    LinkState::Up,
    LinkState::Partial,
    LinkState::Degraded,
    LinkState::Down,
    LinkState::Unknown,
    LinkState::NotProbed,
    LinkState::Left,
];

/// What carries the probes, by its code in `links.transport`.
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

/// Why a link is not up, by its code in `links.reason`.
const REASONS: [LinkReason; 6] = [
    LinkReason::Loss,
    LinkReason::Latency,
    LinkReason::Refused,
    LinkReason::Answer,
    LinkReason::Silent,
    LinkReason::Mtu,
];

/// Whether the far node's probes arrive, by its code in `links.heard`.
const HEARD: [Heard; 3] = [Heard::NotExpected, Heard::Arriving, Heard::Silent];

/// The picture, compact.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Columns<'a> {
    #[schema(value_type = String)]
    digest: PictureDigest,
    #[schema(value_type = String)]
    generated_at: Timestamp,
    me: &'a str,
    /// As in the whole picture; `links.from` and `links.to` are indices into it.
    nodes: &'a [NodeView],
    links: LinkColumns,
    verdicts: &'a [Verdict],
}

/// Links, one array a field; the same index is the same link in all of them.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct LinkColumns {
    /// The names of the codes in `state`.
    states: Vec<LinkState>,
    /// The names of the codes in `transport`.
    transports: Vec<Transport>,
    /// The names of the codes in `reason`.
    reasons: Vec<LinkReason>,
    /// The names of the codes in `heard`.
    hearings: Vec<Heard>,
    /// Index of the observer in `nodes`.
    from: Vec<u32>,
    /// Index of the far end in `nodes`.
    to: Vec<u32>,
    /// Index in `states`.
    state: Vec<u8>,
    /// Index in `states` of what the observer's own round trips say, where that differs.
    round_trip: Vec<Option<u8>>,
    /// Index in `reasons`, where the link is not up.
    reason: Vec<Option<u8>>,
    /// Index in `transports`.
    transport: Vec<Option<u8>>,
    /// Index in `hearings`.
    heard: Vec<u8>,
    /// 1 through a *via* address.
    via: Vec<u8>,
    /// Flows that answer.
    ok: Vec<u16>,
    /// Flows probed.
    total: Vec<u16>,
    /// Permille, `null` where not measured.
    loss_forward: Vec<Option<u16>>,
    /// Permille, `null` where not measured.
    loss_return: Vec<Option<u16>>,
    /// Microseconds.
    rtt_p50: Vec<Option<u32>>,
    /// Microseconds.
    rtt_p99: Vec<Option<u32>>,
    /// The usual median, microseconds.
    rtt_baseline: Vec<Option<u32>>,
    /// Milliseconds since 1970.
    since: Vec<Option<i64>>,
    /// What targets answered, in words, by the link's index: few links have it.
    detail: BTreeMap<u32, Box<str>>,
    /// Links left out since an end of theirs is not in `nodes`.
    dangling: u32,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(view: &'a PictureView) -> Self {
        let index: HashMap<&str, u32> = view
            .nodes
            .iter()
            .zip(0..)
            .map(|(node, index)| (node.id.as_str(), index))
            .collect();
        let mut links = LinkColumns {
            states: STATES.to_vec(),
            transports: TRANSPORTS.to_vec(),
            reasons: REASONS.to_vec(),
            hearings: HEARD.to_vec(),
            ..LinkColumns::default()
        };
        for link in &view.links {
            match (index.get(link.from.as_str()), index.get(link.to.as_str())) {
                (Some(from), Some(to)) => links.push(*from, *to, link),
                _ => links.dangling += 1,
            }
        }
        Self {
            digest: view.digest,
            generated_at: view.generated_at,
            me: &view.me,
            nodes: &view.nodes,
            links,
            verdicts: &view.verdicts,
        }
    }
}

impl LinkColumns {
    fn push(&mut self, from: u32, to: u32, link: &LinkView) {
        if let (Some(detail), Ok(place)) = (&link.detail, u32::try_from(self.from.len())) {
            self.detail.insert(place, detail.clone());
        }
        self.from.push(from);
        self.to.push(to);
        self.state.push(code(&STATES, &link.state));
        self.round_trip
            .push(link.round_trip.map(|state| code(&STATES, &state)));
        self.reason
            .push(link.reason.map(|reason| code(&REASONS, &reason)));
        self.transport
            .push(link.transport.map(|by| code(&TRANSPORTS, &by)));
        self.heard.push(code(&HEARD, &link.heard));
        self.via.push(u8::from(link.via));
        self.ok.push(link.flows.ok);
        self.total.push(link.flows.total);
        self.loss_forward.push(link.loss.forward.map(permille));
        self.loss_return.push(link.loss.return_.map(permille));
        self.rtt_p50.push(link.rtt_us.p50);
        self.rtt_p99.push(link.rtt_us.p99);
        self.rtt_baseline.push(link.rtt_baseline_us);
        self.since.push(link.since.map(|since| since.0 / 1000));
    }
}

/// The place of a word in its list. The lists hold all words there are, which a test checks.
fn code<T: PartialEq>(words: &[T], word: &T) -> u8 {
    let place = words.iter().position(|known| known == word);
    place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(u8::MAX)
}

/// Loss that is there is never shown as none: at least one permille.
fn permille(share: f32) -> u16 {
    let rounded = (share.clamp(0.0, 1.0) * 1000.0).round();
    // Within 0..=1000 by the clamp; NaN becomes 0.
    let permille = rounded as u16;
    if permille == 0 && share > 0.0 {
        1
    } else {
        permille
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_all_words_and_small_loss_stays_visible() {
        // A word that a list lacks is unknown to whoever reads the columns. New words of the
        // model make these lines fail to compile.
        let all = |state: LinkState| match state {
            LinkState::Up
            | LinkState::Partial
            | LinkState::Degraded
            | LinkState::Down
            | LinkState::Unknown
            | LinkState::NotProbed
            | LinkState::Left => STATES.len(),
        };
        assert_eq!(all(LinkState::Up), 7);
        let all = |transport: Transport| match transport {
            Transport::Udp
            | Transport::Tcp
            | Transport::Icmp
            | Transport::TcpConnect
            | Transport::Http
            | Transport::Tls
            | Transport::Dns
            | Transport::GridBug => TRANSPORTS.len(),
        };
        assert_eq!(all(Transport::Udp), 8);
        let all = |reason: LinkReason| match reason {
            LinkReason::Loss
            | LinkReason::Latency
            | LinkReason::Refused
            | LinkReason::Answer
            | LinkReason::Silent
            | LinkReason::Mtu => REASONS.len(),
        };
        assert_eq!(all(LinkReason::Loss), 6);
        let all = |heard: Heard| match heard {
            Heard::NotExpected | Heard::Arriving | Heard::Silent => HEARD.len(),
        };
        assert_eq!(all(Heard::Silent), 3);
        assert_eq!(code(&STATES, &LinkState::Left), 6);
        assert_eq!(
            [0.0, 0.0001, 0.25, 1.0, 7.0, f32::NAN].map(permille),
            [0, 1, 250, 1000, 1000, 0]
        );
    }
}
