//! Which peers to open a connection to, because they cannot reach this node by themselves.
//!
//! A firewall that lets answers in but no questions makes this node look dead to others while
//! it sees them well. Such a node opens the connection, and the others probe it through that.

use andon_model::{Instant, LinkState, NodeKey, Peer, Picture};
use std::collections::BTreeMap;
use std::time::Duration;

/// One-sidedness is believed after so long; shorter, a slow start would open connections.
const PATIENCE: Duration = Duration::from_secs(4);
/// Most peers that a connection is opened to for this reason.
const DIALS_MAX: usize = 32;

/// Remembers since when a peer is seen by us but does not see us.
#[derive(Debug, Default)]
pub struct Reachability {
    one_sided: BTreeMap<NodeKey, Instant>,
}

impl Reachability {
    /// Peers that have been one-sided for long enough to help them.
    pub fn helped(&mut self, now: Instant, picture: &Picture, me: NodeKey) -> Vec<NodeKey> {
        let Some(own) = picture.slices.get(&me) else {
            return Vec::new();
        };
        let mut still = BTreeMap::new();
        for (peer, report) in own.links.iter() {
            let Peer::Node(key) = peer else { continue };
            if !answers(report.state) {
                continue;
            }
            let Some(theirs) = picture.slices.get(key) else {
                continue;
            };
            let sees_us = theirs
                .links
                .get(&Peer::Node(me))
                .is_some_and(|back| answers(back.state));
            let asks_us = theirs.links.contains_key(&Peer::Node(me));
            if asks_us && !sees_us {
                still.insert(*key, self.one_sided.get(key).copied().unwrap_or(now));
            }
        }
        self.one_sided = still;
        let patient = self
            .one_sided
            .iter()
            .filter(|(_, since)| now.since(**since) >= PATIENCE);
        patient.map(|(key, _)| *key).take(DIALS_MAX).collect()
    }
}

fn answers(state: LinkState) -> bool {
    matches!(
        state,
        LinkState::Up | LinkState::Partial | LinkState::Degraded
    )
}
