//! A keeper with two clocks that the test moves, and views to show it.

use crate::{HistoryOptions, Keeper, NextStep, Reader};
use andon_model::{
    Evidence, FlowCount, Heard, HostHealth, Incident, Instant, LinkReason, LinkState, LinkView,
    LossPair, NodeKey, NodeKind, NodeState, NodeView, PictureDigest, PictureView, Position, Reach,
    RttUs, SiteId, Timestamp, Transport, Verdict, VerdictKind,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// 2026-11-20 03:00:00 UTC.
pub(crate) const START: Timestamp = Timestamp(1_795_143_600_000_000);

pub(crate) fn scratch() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("andon-history-{}-{number}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

pub(crate) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) fn s(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A keeper at work.
pub(crate) struct World {
    pub(crate) keeper: Keeper,
    pub(crate) reader: Reader,
    pub(crate) options: HistoryOptions,
    pub(crate) now: Instant,
    pub(crate) utc: Timestamp,
    pub(crate) view: Arc<PictureView>,
    pub(crate) incidents: Arc<Vec<Incident>>,
    next: NextStep,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut options = HistoryOptions::new(scratch());
        options.free_min = 0;
        Self::with(options)
    }

    pub(crate) fn with(options: HistoryOptions) -> Self {
        let (keeper, reader) = Keeper::new(options.clone());
        let now = Instant(1_000_000);
        Self {
            keeper,
            reader,
            options,
            now,
            utc: START,
            view: Arc::new(grid(0)),
            incidents: Arc::default(),
            next: NextStep {
                earliest: now,
                latest: now,
            },
        }
    }

    /// The process is killed and started again: what was not written is gone.
    pub(crate) fn restart(&mut self) {
        let (keeper, reader) = Keeper::new(self.options.clone());
        (self.keeper, self.reader) = (keeper, reader);
        self.now = Instant(1_000_000);
        self.next = NextStep {
            earliest: self.now,
            latest: self.now,
        };
    }

    pub(crate) fn step(&mut self) {
        self.next = self
            .keeper
            .step(self.now, self.utc, &self.view, Some(&self.incidents));
    }

    /// A view is shown; the keeper sees it as soon as it looks. Returns when it was shown.
    pub(crate) fn show(&mut self, mut view: PictureView) -> Timestamp {
        let wait = self.next.earliest.since(self.now);
        self.pass(wait);
        view.generated_at = self.utc;
        self.view = Arc::new(view);
        self.step();
        self.utc
    }

    /// Time passes, and the keeper is called when it wants to be.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while self.next.latest < end {
            let wait = self.next.latest.since(self.now);
            self.now = self.now + wait;
            self.utc = self.utc + wait;
            let before = self.next;
            self.step();
            assert!(
                self.next != before || wait > Duration::ZERO,
                "it stands still"
            );
        }
        let rest = end.since(self.now);
        self.now = end;
        self.utc = self.utc + rest;
        self.step();
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.options.dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.options.dir);
    }
}

/// A grid of so many nodes that all see each other.
pub(crate) fn grid(nodes: u32) -> PictureView {
    let ids: Vec<String> = (0..nodes).map(|n| format!("n{n:03}")).collect();
    let mut view = PictureView {
        digest: PictureDigest(7),
        generated_at: START,
        me: "n000".into(),
        nodes: ids.iter().map(|id| node(id)).collect(),
        links: Vec::new(),
        verdicts: Vec::new(),
    };
    for from in &ids {
        for to in ids.iter().filter(|to| *to != from) {
            view.links.push(link(from, to));
        }
    }
    view
}

pub(crate) fn node(id: &str) -> NodeView {
    let digit = id.bytes().last().unwrap_or(0) % 3;
    NodeView {
        id: id.into(),
        key: Some(NodeKey(u64::from(digit))),
        site: Some(SiteId::new(format!("site-{digit}")).unwrap()),
        kind: NodeKind::Andon,
        state: NodeState::Up,
        since: Some(START - s(86_400)),
        addresses: vec!["10.0.0.1:8777".into()],
        labels: BTreeMap::from([("role".into(), "web".into())]),
        version: Some("0.1.0".into()),
        started_at: Some(START - s(86_400)),
        reach: Some(Reach::Open),
        host: Some(HostHealth::default()),
        clock_offset_us: None,
        fingerprint: Some("ab".repeat(32)),
        position: Some(Position { x: 0.25, y: 0.75 }),
    }
}

pub(crate) fn link(from: &str, to: &str) -> LinkView {
    LinkView {
        from: from.into(),
        to: to.into(),
        state: LinkState::Up,
        reason: None,
        round_trip: None,
        transport: Some(Transport::Udp),
        flows: FlowCount { ok: 8, total: 8 },
        loss: LossPair {
            forward: Some(0.0),
            return_: Some(0.0),
        },
        rtt_us: RttUs {
            p50: Some(1024),
            p99: Some(2048),
        },
        rtt_baseline_us: Some(1024),
        heard: Heard::Arriving,
        since: Some(START - s(3600)),
        via: false,
        detail: None,
    }
}

pub(crate) fn down(view: &mut PictureView, from: &str, to: &str, at: Timestamp) {
    let link = link_mut(view, from, to);
    link.state = LinkState::Down;
    link.reason = Some(LinkReason::Silent);
    link.flows.ok = 0;
    link.rtt_us = RttUs::default();
    link.since = Some(at);
}

pub(crate) fn link_mut<'a>(view: &'a mut PictureView, from: &str, to: &str) -> &'a mut LinkView {
    let mut links = view.links.iter_mut();
    links
        .find(|link| link.from == *from && link.to == *to)
        .unwrap()
}

pub(crate) fn verdict(subject: &str, sentence: &str) -> Verdict {
    Verdict {
        id: format!("link_down:{subject}"),
        kind: VerdictKind::LinkDown,
        subject: subject.into(),
        sentence: sentence.into(),
        confidence: 0.9,
        evidence: vec![Evidence {
            observer: "n000".into(),
            observation: "no probe was answered".into(),
            supports: true,
            since: Some(START),
        }],
        since: START,
        from: Some("n000".into()),
        to: Some("n001".into()),
        hops: vec!["10.0.2.1".into()],
        effect: None,
        flows: None,
        links: vec!["n000→n001".into()],
        services: Vec::new(),
    }
}
