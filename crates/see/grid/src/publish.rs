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
            waiting: None,
            next_wake: None,
            left_out: 0,
        }
    }
}

impl Publisher {
    /// Entries that were too large or too many, since start.
    pub fn left_out(&self) -> u64 {
        self.left_out + self.links.refused + self.targets.refused + self.neighbours.refused
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
