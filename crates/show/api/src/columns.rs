//! The picture with its links in columns: at 1,000 nodes a tenth of the bytes, and arrays that
//! the console draws from as they are.

use andon_model::{LinkState, LinkView, NodeView, PictureDigest, PictureView, Timestamp, Verdict};
use serde::Serialize;
use std::collections::HashMap;

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
    #[schema(value_type = Vec<String>)]
    states: Vec<LinkState>,
    /// Index of the observer in `nodes`.
    from: Vec<u32>,
    /// Index of the far end in `nodes`.
    to: Vec<u32>,
    /// Index in `states`.
    state: Vec<u8>,
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
    /// Milliseconds since 1970.
    since: Vec<Option<i64>>,
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
        self.from.push(from);
        self.to.push(to);
        self.state.push(code(link.state));
        self.ok.push(link.flows.ok);
        self.total.push(link.flows.total);
        self.loss_forward.push(link.loss.forward.map(permille));
        self.loss_return.push(link.loss.return_.map(permille));
        self.rtt_p50.push(link.rtt_us.p50);
        self.rtt_p99.push(link.rtt_us.p99);
        self.since.push(link.since.map(|since| since.0 / 1000));
    }
}

fn code(state: LinkState) -> u8 {
    match state {
        LinkState::Up => 0,
        LinkState::Partial => 1,
        LinkState::Degraded => 2,
        LinkState::Down => 3,
        LinkState::Unknown => 4,
        LinkState::NotProbed => 5,
        LinkState::Left => 6,
    }
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
    fn codes_name_their_states_and_small_loss_stays_visible() {
        for (index, state) in STATES.iter().enumerate() {
            assert_eq!(usize::from(code(*state)), index);
        }
        assert_eq!(
            [0.0, 0.0001, 0.25, 1.0, 7.0, f32::NAN].map(permille),
            [0, 1, 250, 1000, 1000, 0]
        );
    }
}
