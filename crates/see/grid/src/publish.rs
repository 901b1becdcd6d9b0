//! When what this node observes is worth a row. States travel at once; figures only when they
//! moved materially, and seldom. A quiet grid is quiet.

use crate::chunk::{Chunks, ENTRY_BYTES_MAX};
use crate::io::OwnSlice;
use crate::payload::encode;
use crate::row::{self, PAYLOAD_BYTES_MAX, RowIndex};
use andon_model::{HostHealth, Identity, Instant, LinkReport, Neighbour, Peer, TargetId};
use std::collections::BTreeMap;
use std::time::Duration;

/// A link's or host's figures are published at most this often. Halved, a grid with jittery
/// links sends twice as much for figures that nobody acts on.
pub const FIGURES_EVERY: Duration = Duration::from_secs(10);
/// Loss must move by this much of all packets,
const LOSS_STEP: f32 = 0.01;
/// and by this share of the larger value.
const LOSS_SHARE: f32 = 0.25;
/// Round-trip time must move by this much,
const RTT_STEP_US: u32 = 300;
/// and by this share of the larger value.
const RTT_SHARE: f32 = 0.30;
/// A bad clock's offset must move by this much.
const CLOCK_STEP_US: u64 = 50_000;
/// The host's scheduling delay must move by this much, and by half.
const DELAY_STEP_US: u32 = 5_000;

/// Turns own slices into rows: those that changed materially.
pub struct Publisher {
    singles: BTreeMap<RowIndex, Vec<u8>>,
    host: Option<(HostHealth, Instant)>,
    published: BTreeMap<Peer, (LinkReport, Instant)>,
    links: Chunks<Peer>,
    targets: Chunks<TargetId>,
    neighbours: Chunks<String>,
    paths: Chunks<Peer>,
    incidents: Chunks<String>,
    remarks: Chunks<u64>,
    heartbeats: Chunks<String>,
    waiting: Option<Box<OwnSlice>>,
    next_wake: Option<Instant>,
    left_out: u64,
}

impl Default for Publisher {
    fn default() -> Self {
        Self {
            singles: BTreeMap::new(),
            host: None,
            published: BTreeMap::new(),
            links: Chunks::new(row::LINKS),
            targets: Chunks::new(row::TARGETS),
            neighbours: Chunks::new(row::NEIGHBOURS),
            paths: Chunks::new(row::PATHS),
            incidents: Chunks::new(row::INCIDENTS),
            remarks: Chunks::new(row::REMARKS),
            heartbeats: Chunks::new(row::HEARTBEATS),
            waiting: None,
            next_wake: None,
            left_out: 0,
        }
    }
}

impl Publisher {
    /// Entries that were too large or too many, since start.
    pub fn left_out(&self) -> u64 {
        self.left_out
            + self.links.refused
            + self.targets.refused
            + self.neighbours.refused
            + self.paths.refused
            + self.incidents.refused
            + self.remarks.refused
            + self.heartbeats.refused
    }

    /// When figures that were held back may be published.
    pub fn next_wake(&self) -> Option<Instant> {
        self.next_wake
    }

    /// Publishes what was held back, where it is due.
    pub fn wake(&mut self, now: Instant) -> Vec<(RowIndex, Vec<u8>)> {
        match self.waiting.take() {
            Some(slice) if self.next_wake.is_some_and(|at| at <= now) => self.publish(now, slice),
            waiting => {
                self.waiting = waiting;
                Vec::new()
            }
        }
    }

    /// Rows to write, the identity first.
    pub fn publish(&mut self, now: Instant, slice: Box<OwnSlice>) -> Vec<(RowIndex, Vec<u8>)> {
        self.next_wake = None;
        let mut changed = Vec::new();
        self.set_single(row::IDENTITY, encode(&slice.identity), &mut changed);
        self.publish_host(now, slice.host, &mut changed);
        self.publish_links(now, &slice.links);
        self.publish_lists(&slice);
        self.publish_access(&slice.access, &mut changed);
        changed.extend(self.links.take_changed());
        changed.extend(self.targets.take_changed());
        changed.extend(self.neighbours.take_changed());
        changed.extend(self.paths.take_changed());
        changed.extend(self.incidents.take_changed());
        changed.extend(self.remarks.take_changed());
        changed.extend(self.heartbeats.take_changed());
        self.waiting = self.next_wake.map(|_| slice);
        changed
    }

    /// Everything that is published, for a later life of the same node.
    pub fn rows(&self) -> Vec<(RowIndex, Vec<u8>)> {
        let mut rows: Vec<_> = self
            .singles
            .iter()
            .map(|(index, payload)| (*index, payload.clone()))
            .collect();
        rows.extend(self.links.rows());
        rows.extend(self.targets.rows());
        rows.extend(self.neighbours.rows());
        rows.extend(self.paths.rows());
        rows.extend(self.incidents.rows());
        rows.extend(self.remarks.rows());
        rows.extend(self.heartbeats.rows());
        rows
    }

    /// Replaces the identity alone.
    pub fn set_identity(&mut self, identity: &Identity) -> Vec<(RowIndex, Vec<u8>)> {
        let mut changed = Vec::new();
        self.set_single(row::IDENTITY, encode(identity), &mut changed);
        changed
    }

    fn set_single(
        &mut self,
        index: RowIndex,
        payload: Vec<u8>,
        changed: &mut Vec<(RowIndex, Vec<u8>)>,
    ) {
        if self.singles.get(&index) == Some(&payload) {
            return;
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        self.singles.insert(index, payload.clone());
        changed.push((index, payload));
    }

    fn publish_host(
        &mut self,
        now: Instant,
        host: HostHealth,
        changed: &mut Vec<(RowIndex, Vec<u8>)>,
    ) {
        let is_due = match &self.host {
            None => true,
            Some((old, _)) if old.busy != host.busy => true,
            Some((old, at)) => {
                let (old, new) = (old.scheduling_delay_us_p99, host.scheduling_delay_us_p99);
                let moved = old.abs_diff(new) > DELAY_STEP_US.max(old.max(new) / 2);
                moved && self.is_due(now, *at)
            }
        };
        if is_due {
            self.host = Some((host, now));
            self.set_single(row::HOST, encode(&host), changed);
        }
    }

    fn publish_links(&mut self, now: Instant, links: &BTreeMap<Peer, LinkReport>) {
        self.published.retain(|peer, _| links.contains_key(peer));
        self.links.retain(|peer| links.contains_key(peer));
        for (peer, report) in links {
            let is_due = match self.published.get(peer) {
                None => true,
                Some((old, _)) if is_news(old, report) => true,
                Some((old, at)) => {
                    let at = *at;
                    moved_materially(old, report) && self.is_due(now, at)
                }
            };
            if is_due {
                self.set_link(now, peer, report);
            }
        }
        for peer in self.links.riding_along() {
            if let Some(report) = links.get(&peer) {
                self.set_link(now, &peer, report);
            }
        }
    }

    fn set_link(&mut self, now: Instant, peer: &Peer, report: &LinkReport) {
        if self
            .published
            .get(peer)
            .is_some_and(|(old, _)| old == report)
        {
            return;
        }
        if self.links.set(peer.clone(), encode(report)) {
            self.published.insert(peer.clone(), (report.clone(), now));
        }
    }

    fn publish_lists(&mut self, slice: &OwnSlice) {
        let hosts: Vec<&str> = slice
            .neighbours
            .iter()
            .map(|neighbour| neighbour.host.as_str())
            .collect();
        self.targets
            .retain(|id| slice.targets.iter().any(|target| target.id == *id));
        self.neighbours
            .retain(|host| hosts.contains(&host.as_str()));
        for target in &slice.targets {
            self.targets.set(target.id.clone(), encode(target));
        }
        for neighbour in &slice.neighbours {
            let (entry, is_cut) = encode_neighbour(neighbour);
            self.left_out += u64::from(is_cut && !self.neighbours.holds(&neighbour.host, &entry));
            self.neighbours.set(neighbour.host.clone(), entry);
        }
        set_all(&mut self.paths, &slice.paths, |report| report.to.clone());
        set_all(&mut self.incidents, &slice.incidents, |claim| {
            claim.id.clone()
        });
        set_all(&mut self.remarks, &slice.remarks, |remark| remark.sequence);
        set_all(&mut self.heartbeats, &slice.heartbeats, |beat| {
            beat.name.clone()
        });
    }

    fn publish_access(&mut self, access: &[Vec<u8>], changed: &mut Vec<(RowIndex, Vec<u8>)>) {
        let (first, count) = row::ACCESS;
        self.left_out += access.len().saturating_sub(usize::from(count)) as u64;
        for (index, record) in
            (first..first + count).zip(access.iter().map(Some).chain(std::iter::repeat(None)))
        {
            match record {
                Some(record) => self.set_single(index, record.clone(), changed),
                None if self.singles.contains_key(&index) => {
                    self.set_single(index, Vec::new(), changed)
                }
                None => {}
            }
        }
    }

    /// Whether figures published at `at` may be replaced; where not, notes when they may.
    fn is_due(&mut self, now: Instant, at: Instant) -> bool {
        let due = at + FIGURES_EVERY;
        if due <= now {
            return true;
        }
        self.next_wake = Some(self.next_wake.map_or(due, |wake| wake.min(due)));
        false
    }
}

/// Makes a list of rows hold just these entries.
fn set_all<T: minicbor::Encode<()>, K: Ord + Clone>(
    chunks: &mut Chunks<K>,
    entries: &[T],
    key: impl Fn(&T) -> K,
) {
    let keys: std::collections::BTreeSet<K> = entries.iter().map(&key).collect();
    chunks.retain(|held| keys.contains(held));
    for entry in entries {
        chunks.set(key(entry), encode(entry));
    }
}

/// Cuts what a neighbour reports of others until it fits a row; whether anything was cut.
fn encode_neighbour(neighbour: &Neighbour) -> (Vec<u8>, bool) {
    let mut entry = encode(neighbour);
    let mut short = neighbour.clone();
    let mut is_cut = false;
    while entry.len() > ENTRY_BYTES_MAX && !short.sees.is_empty() {
        let keep = short.sees.len() / 2;
        short.sees = std::mem::take(&mut short.sees)
            .into_iter()
            .take(keep)
            .collect();
        entry = encode(&short);
        is_cut = true;
    }
    (entry, is_cut)
}

/// What is told at once: everything but figures.
fn is_news(old: &LinkReport, new: &LinkReport) -> bool {
    let told = |report: &LinkReport| {
        (
            report.state,
            report.reason,
            report.transport,
            report.flows,
            report.heard,
            report.since,
            report.via,
        )
    };
    told(old) != told(new)
        || old.detail != new.detail
        || old.clock_offset_us.is_some() != new.clock_offset_us.is_some()
        || old.rtt_us.p50.is_some() != new.rtt_us.p50.is_some()
}

fn moved_materially(old: &LinkReport, new: &LinkReport) -> bool {
    loss_moved(old.loss.forward, new.loss.forward)
        || loss_moved(old.loss.return_, new.loss.return_)
        || rtt_moved(old.rtt_us.p50, new.rtt_us.p50)
        || rtt_moved(old.rtt_us.p99, new.rtt_us.p99)
        || rtt_moved(old.rtt_baseline_us, new.rtt_baseline_us)
        || old
            .clock_offset_us
            .unwrap_or(0)
            .abs_diff(new.clock_offset_us.unwrap_or(0))
            > CLOCK_STEP_US
}

fn loss_moved(old: Option<f32>, new: Option<f32>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => (old - new).abs() > LOSS_STEP.max(old.max(new) * LOSS_SHARE),
        (old, new) => old.is_some() != new.is_some(),
    }
}

fn rtt_moved(old: Option<u32>, new: Option<u32>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => {
            let share = (old.max(new) as f32 * RTT_SHARE) as u32;
            old.abs_diff(new) > RTT_STEP_US.max(share)
        }
        (old, new) => old.is_some() != new.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{decode, decode_list};
    use andon_model::{
        Identity, LinkReason, LinkState, LossPair, NodeId, NodeKey, Presence, Reach, RttUs, SiteId,
        Timestamp, Transport,
    };

    fn slice(links: u64) -> Box<OwnSlice> {
        let identity = Identity {
            id: NodeId::new("a").unwrap(),
            site: SiteId::new("s").unwrap(),
            labels: BTreeMap::new(),
            version: String::new(),
            started_at: Timestamp(0),
            addresses: Vec::new(),
            fingerprint: [0; 32],
            presence: Presence::Here,
            reach: Reach::Open,
        };
        let mut slice = OwnSlice::of(identity);
        for key in 0..links {
            let peer = Peer::Node(NodeKey(key));
            let mut report = LinkReport::unknown(peer.clone(), Transport::Udp, Timestamp(0));
            report.state = LinkState::Up;
            report.rtt_us = RttUs {
                p50: Some(10_000),
                p99: Some(12_000),
            };
            report.loss = LossPair {
                forward: Some(0.0),
                return_: Some(0.0),
            };
            slice.links.insert(peer, report);
        }
        Box::new(slice)
    }

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000)
    }

    #[test]
    fn what_does_not_change_is_not_sent() {
        let mut publisher = Publisher::default();
        let rows = publisher.publish(at(0), slice(64));
        assert_eq!(rows[0].0, row::IDENTITY);
        assert!(rows.len() <= 8, "{} rows for 64 links", rows.len());
        assert!(
            rows.iter()
                .all(|(_, payload)| payload.len() <= PAYLOAD_BYTES_MAX)
        );
        for second in 1..100 {
            let mut same = slice(64);
            for link in same.links.values_mut() {
                // Noise: a little more or less each time.
                link.rtt_us.p50 = Some(10_000 + (second as u32 % 7) * 100);
                link.loss.forward = Some(0.002 * (second % 3) as f32);
            }
            same.host.scheduling_delay_us_p99 = 100 * (second as u32 % 9);
            assert!(
                publisher.publish(at(second), same).is_empty(),
                "second {second}"
            );
        }
        assert_eq!(publisher.next_wake(), None);
    }

    #[test]
    fn a_state_travels_at_once_and_alone() {
        let mut publisher = Publisher::default();
        publisher.publish(at(0), slice(64));
        let mut changed = slice(64);
        let link = changed.links.get_mut(&Peer::Node(NodeKey(33))).unwrap();
        (link.state, link.reason) = (LinkState::Down, Some(LinkReason::Silent));
        let rows = publisher.publish(at(1), changed);
        assert_eq!(rows.len(), 1);
        let reports = decode_list::<LinkReport>(&rows[0].1).unwrap().entries;
        let down: Vec<_> = reports
            .iter()
            .filter(|report| report.state == LinkState::Down)
            .collect();
        assert_eq!(down.len(), 1);
        assert_eq!(down[0].to, Peer::Node(NodeKey(33)));
    }

    #[test]
    fn figures_that_moved_wait_their_turn_and_are_not_lost() {
        let mut publisher = Publisher::default();
        publisher.publish(at(0), slice(1));
        let mut slower = slice(1);
        slower
            .links
            .values_mut()
            .for_each(|link| link.rtt_us.p50 = Some(20_000));
        assert!(publisher.publish(at(3), slower).is_empty());
        assert_eq!(publisher.next_wake(), Some(at(10)));
        assert!(publisher.wake(at(9)).is_empty());
        // Nobody publishes again, yet the figure goes out when its time has come.
        let rows = publisher.wake(at(10));
        let reports = decode_list::<LinkReport>(&rows[0].1).unwrap().entries;
        assert_eq!(reports[0].rtt_us.p50, Some(20_000));
        assert_eq!(publisher.next_wake(), None);
    }

    #[test]
    fn links_and_records_that_go_are_taken_back() {
        let mut publisher = Publisher::default();
        let mut first = slice(3);
        first.access = vec![b"one".to_vec(), b"two".to_vec()];
        publisher.publish(at(0), first);
        let rows = publisher.publish(at(1), slice(2));
        let indices: Vec<RowIndex> = rows.iter().map(|(index, _)| *index).collect();
        assert_eq!(indices, [row::ACCESS.0, row::ACCESS.0 + 1, row::LINKS.0]);
        assert!(rows[0].1.is_empty() && rows[1].1.is_empty());
        assert_eq!(
            decode_list::<LinkReport>(&rows[2].1).unwrap().entries.len(),
            2
        );
    }

    #[test]
    fn a_talkative_neighbour_is_cut_and_counted_once() {
        let mut publisher = Publisher::default();
        let mut loud = slice(0);
        let sees = (0..400).map(|n| (format!("bug-{n}"), Some(true))).collect();
        loud.neighbours.push(Neighbour {
            host: "10.0.0.1:8777".into(),
            id: "LAN".into(),
            alive: Some(true),
            build: String::new(),
            since: Timestamp(0),
            rtt_us: None,
            sees,
        });
        let rows = publisher.publish(at(0), loud.clone());
        let (_, payload) = rows
            .iter()
            .find(|(index, _)| *index == row::NEIGHBOURS.0)
            .unwrap();
        assert!(
            !decode_list::<Neighbour>(payload).unwrap().entries[0]
                .sees
                .is_empty()
        );
        assert!(publisher.publish(at(1), loud).is_empty());
        assert_eq!(publisher.left_out(), 1);
    }

    #[test]
    fn an_identity_reads_back() {
        let slice = slice(0);
        assert_eq!(
            decode::<Identity>(&encode(&slice.identity)).unwrap(),
            slice.identity
        );
    }
}
