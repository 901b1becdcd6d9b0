//! Whose probes arrive here. With both ends' reports this tells which way of a link is cut:
//! it is the only witness of the direction towards us.
//!
//! *Silent* stays while the node is a member, since a cut can last for days. Who judges must
//! ask too whether the far node still means to probe us (its own report of the link says so).

use crate::note::Note;
use crate::now::Attentive;
use crate::silent_flows::SilentFlows;
use crate::stamp::{NtpTime, ssid};
use andon_model::{Heard, NodeKey};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Members known. As many as a grid may have; beyond it, probes are answered but not told of.
const MEMBERS_MAX: usize = 16_384;
/// Arrivals that make a node heard.
const ARRIVALS_MIN: u32 = 3;
/// Silence is this many usual distances of arrivals...
const SILENT_DISTANCES: f64 = 9.0;
/// ...at least this long,
const SILENT_MIN: Duration = Duration::from_millis(1_000);
/// ...and at most.
const SILENT_MAX: Duration = Duration::from_secs(10);
/// A pause longer than this starts the count of arrivals anew.
const ARRIVALS_WITHIN: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Arrivals {
    heard: Heard,
    last: Attentive,
    run: u32,
    distance_us: f64,
    newest: NtpTime,
    flows: SilentFlows,
}

/// Arrivals by node.
#[derive(Debug, Default)]
pub struct HeardTable {
    by_ssid: BTreeMap<u16, Vec<(NodeKey, Vec<IpAddr>)>>,
    arrivals: BTreeMap<NodeKey, Arrivals>,
    /// Nodes whose silent flows changed; bounded by the members.
    silent_changed: BTreeSet<NodeKey>,
    changed: bool,
}

impl HeardTable {
    /// Takes all members with their addresses; others are forgotten.
    pub fn members(&mut self, members: Vec<(NodeKey, Vec<IpAddr>)>) {
        self.by_ssid.clear();
        let mut kept = BTreeMap::new();
        for (key, addresses) in members.into_iter().take(MEMBERS_MAX) {
            if let Some(arrivals) = self.arrivals.remove(&key) {
                kept.insert(key, arrivals);
            }
            let addresses = addresses.iter().map(IpAddr::to_canonical).collect();
            self.by_ssid
                .entry(ssid(key))
                .or_default()
                .push((key, addresses));
        }
        self.changed |= !self.arrivals.is_empty();
        self.arrivals = kept;
    }

    /// A probe with this session id, sent at this time by its sender's clock, arrived from this
    /// address. Returns whether it is a sign of life. What its note says of the sender's flows
    /// is taken in if it is.
    ///
    /// `continues`: it follows the probes of a session that was a sign of life before. Others
    /// must be newer than all that came of this node, or a probe captured before its death and
    /// sent from another port would bring it to life. After a restart with a clock that went
    /// back, a node is thus heard once its clock is where it was.
    pub fn arrived(
        &mut self,
        now: Attentive,
        ssid: u16,
        from: IpAddr,
        sent: NtpTime,
        note: &Note,
        continues: bool,
    ) -> bool {
        let from = from.to_canonical();
        let key = match self.by_ssid.get(&ssid).map(Vec::as_slice) {
            Some([(key, _)]) => *key,
            Some(several) => {
                let mut fitting = several
                    .iter()
                    .filter(|(_, addresses)| addresses.contains(&from));
                match (fitting.next(), fitting.next()) {
                    (Some((key, _)), None) => *key,
                    _ => return false,
                }
            }
            None => return false,
        };
        let is_first = !self.arrivals.contains_key(&key);
        let arrivals = self.arrivals.entry(key).or_insert(Arrivals {
            heard: Heard::NotExpected,
            last: now,
            run: 0,
            distance_us: 1_000_000.0,
            newest: sent,
            flows: SilentFlows::default(),
        });
        let is_newest = is_first || sent.micros_since(arrivals.newest) > 0;
        if !is_newest && !continues {
            return false;
        }
        if is_newest {
            arrivals.newest = sent;
        }
        let distance = now.since(arrivals.last);
        if distance > ARRIVALS_WITHIN && arrivals.heard != Heard::Arriving {
            arrivals.run = 0;
        }
        if arrivals.run > 0 && arrivals.heard != Heard::Silent {
            let distance_us = distance.as_micros() as f64;
            // Fast while it is new: the first round is denser than the usual.
            let weight = if arrivals.run < 16 { 0.25 } else { 0.05 };
            arrivals.distance_us += (distance_us - arrivals.distance_us) * weight;
        }
        arrivals.last = now;
        arrivals.run = arrivals.run.saturating_add(1);
        if arrivals.heard != Heard::Arriving && arrivals.run >= ARRIVALS_MIN {
            arrivals.heard = Heard::Arriving;
            self.changed = true;
        }
        if arrivals.flows.arrived(now, note) {
            self.silent_changed.insert(key);
        }
        true
    }

    /// Judges silence. To be called often, after what arrived was handled.
    pub fn wake(&mut self, now: Attentive) {
        for arrivals in self.arrivals.values_mut() {
            let patience = Duration::from_micros((arrivals.distance_us * SILENT_DISTANCES) as u64);
            if arrivals.heard == Heard::Arriving
                && now.since(arrivals.last) > patience.clamp(SILENT_MIN, SILENT_MAX)
            {
                arrivals.heard = Heard::Silent;
                arrivals.run = 0;
                self.changed = true;
            }
        }
    }

    /// Whether this node's probes arrive.
    pub fn heard(&self, node: NodeKey) -> Heard {
        self.arrivals
            .get(&node)
            .map_or(Heard::NotExpected, |arrivals| arrivals.heard)
    }

    /// Source ports of this node's flows that stopped arriving while others still arrive, as
    /// the node itself names them; sorted.
    pub fn silent_from(&self, now: Attentive, node: NodeKey) -> Vec<u16> {
        self.arrivals
            .get(&node)
            .filter(|arrivals| arrivals.heard == Heard::Arriving)
            .map_or_else(Vec::new, |arrivals| arrivals.flows.ports(now))
    }

    /// Source ports of this node's flows that arrive here although it finds them dead; sorted.
    pub fn arriving_from(&self, now: Attentive, node: NodeKey) -> Vec<u16> {
        self.arrivals
            .get(&node)
            .filter(|arrivals| arrivals.heard == Heard::Arriving)
            .map_or_else(Vec::new, |arrivals| arrivals.flows.arriving(now))
    }

    /// Nodes whose silent flows changed since last asked.
    pub fn take_silent_changed(&mut self) -> BTreeSet<NodeKey> {
        std::mem::take(&mut self.silent_changed)
    }

    /// Nodes that probe us or did.
    pub fn view(&self) -> impl Iterator<Item = (NodeKey, Heard)> {
        self.arrivals
            .iter()
            .map(|(key, arrivals)| (*key, arrivals.heard))
            .filter(|(_, h)| *h != Heard::NotExpected)
    }

    /// Whether anything changed since last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn probed(
        table: &mut HeardTable,
        key: NodeKey,
        from_ms: u64,
        count: u64,
        every_ms: u64,
    ) -> u64 {
        for i in 0..count {
            let at = Attentive((from_ms + i * every_ms) * 1000);
            table.wake(at);
            let sent = sent_at(from_ms + i * every_ms);
            table.arrived(at, ssid(key), ME, sent, &Note::default(), false);
        }
        from_ms + count * every_ms
    }

    #[test]
    fn silence_is_told_after_about_a_second_and_scales_with_the_usual_rate() {
        for (every_ms, at_most_ms) in [(125, 1_200), (500, 4_700)] {
            let key = NodeKey(5);
            let mut table = HeardTable::default();
            table.members(vec![(key, vec![ME])]);
            let end = probed(&mut table, key, 1_000, 60, every_ms);
            assert_eq!(table.heard(key), Heard::Arriving);
            table.wake(Attentive((end - every_ms + 990) * 1000));
            assert_eq!(table.heard(key), Heard::Arriving);
            table.wake(Attentive((end + at_most_ms) * 1000));
            assert_eq!(table.heard(key), Heard::Silent);
            probed(&mut table, key, end + 5_000, 3, every_ms);
            assert_eq!(table.heard(key), Heard::Arriving);
        }
    }

    fn sent_at(ms: u64) -> NtpTime {
        NtpTime((ms << 32) / 1_000)
    }

    #[test]
    fn captured_probes_do_not_keep_a_dead_node_heard() {
        let key = NodeKey(5);
        let mut table = HeardTable::default();
        table.members(vec![(key, vec![ME])]);
        let end = probed(&mut table, key, 1_000, 60, 125);
        for ms in (end..end + 3_000).step_by(100) {
            let (at, old) = (Attentive(ms * 1000), sent_at(ms - end + 1_000));
            table.wake(at);
            assert!(!table.arrived(at, ssid(key), ME, old, &Note::default(), false));
        }
        assert_eq!(table.heard(key), Heard::Silent);
        // A flow whose probes overtake each other, or whose sender's clock was set back, goes on.
        let at = Attentive((end + 3_000) * 1000);
        assert!(table.arrived(at, ssid(key), ME, sent_at(1_000), &Note::default(), true));
    }

    #[test]
    fn strangers_and_ambiguous_ids_are_not_heard() {
        let mut table = HeardTable::default();
        table.members(vec![(NodeKey(5), vec![ME])]);
        probed(&mut table, NodeKey(6), 0, 20, 100);
        assert_eq!(table.view().count(), 0);
        let clash = (0..200_000)
            .map(NodeKey)
            .find(|k| k.0 != 5 && ssid(*k) == ssid(NodeKey(5)))
            .unwrap();
        table.members(vec![(NodeKey(5), vec![ME]), (clash, vec![])]);
        probed(&mut table, clash, 3_000, 20, 100);
        assert_eq!(
            table.heard(NodeKey(5)),
            Heard::Arriving,
            "the address decides"
        );
    }
}
