//! A grid of 50 nodes in five sites that all probe each other, and what befalls it: figures
//! that wander and are published by dead-band, links that lose and flap, nodes that restart,
//! hosts that are busy, a site that is cut off. All from a seed.

use andon_model::{
    Evidence, FlowCount, FlowHits, Heard, HostHealth, LinkReason, LinkState, LinkView, LossPair,
    Name, NodeKey, NodeKind, NodeState, NodeView, PictureDigest, PictureView, Position, Reach,
    RttUs, SiteId, Timestamp, Transport, Verdict, VerdictKind,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How much goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// A production grid on ordinary days: see [`Grid::minute`].
    Ordinary,
    /// All figures of all links move every minute: more than the dead-bands let through.
    Storm,
}

/// A small generator, since the same seed must make the same month.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// 0..1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// 0..below.
    pub fn below(&mut self, below: usize) -> usize {
        (self.next() % below.max(1) as u64) as usize
    }

    /// About -3..3, most often near 0.
    fn bell(&mut self) -> f64 {
        (0..6).map(|_| self.share()).sum::<f64>() - 3.0
    }
}

/// The grid, and what is wrong with it.
pub struct Grid {
    pub view: PictureView,
    weather: Weather,
    dice: Dice,
    /// Of each link: its own median, and minutes of loss that are left.
    base_us: Vec<f64>,
    lossy: Vec<u16>,
    /// What ends when, by minute: links and nodes that come back.
    back: BTreeMap<u64, Vec<Trouble>>,
    minutes: u64,
}

#[derive(Clone, Copy)]
enum Trouble {
    Link(usize),
    Node(usize),
    Site(usize),
}

/// Which links something concerns.
type Which = Box<dyn Fn(&LinkView) -> bool>;

const SITES: usize = 5;

fn site_of(node: usize) -> usize {
    node % SITES
}

impl Grid {
    pub fn new(nodes: usize, weather: Weather, seed: u64, now: Timestamp) -> Self {
        let mut dice = Dice::new(seed);
        let ids: Vec<Name> = (0..nodes)
            .map(|n| {
                format!(
                    "{}-node-{n:02}",
                    ["fra", "nyc", "sin", "gru", "syd"][site_of(n)]
                )
                .into()
            })
            .collect();
        let start = now - Duration::from_secs(9 * 86_400);
        let mut view = PictureView {
            digest: PictureDigest(u128::from(seed)),
            generated_at: now,
            me: ids[0].to_string(),
            nodes: Vec::new(),
            links: Vec::new(),
            verdicts: Vec::new(),
        };
        let mut base_us = Vec::new();
        for (n, id) in ids.iter().enumerate() {
            view.nodes.push(NodeView {
                id: id.to_string(),
                key: Some(NodeKey(dice.next())),
                site: SiteId::new(["fra", "nyc", "sin", "gru", "syd"][site_of(n)]).ok(),
                kind: NodeKind::Andon,
                state: NodeState::Up,
                since: Some(start),
                addresses: vec![format!("10.{}.0.{n}:8777", site_of(n))],
                labels: BTreeMap::from([("role".into(), "web".into())]),
                version: Some("0.1.0".into()),
                started_at: Some(start),
                reach: Some(Reach::Open),
                host: Some(HostHealth::default()),
                clock_offset_us: None,
                fingerprint: Some(format!("{:064x}", dice.next())),
                position: Some(Position {
                    x: dice.share() as f32,
                    y: dice.share() as f32,
                }),
            });
            for (m, to) in ids.iter().enumerate().filter(|(m, _)| *m != n) {
                let far = site_of(n).abs_diff(site_of(m));
                let base = 200.0 + 30_000.0 * far as f64 + 2_000.0 * dice.share();
                base_us.push(base);
                view.links.push(LinkView {
                    from: id.clone(),
                    to: to.clone(),
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
                        p50: Some(three_bits(base)),
                        p99: Some(three_bits(base * 1.3)),
                    },
                    rtt_baseline_us: Some(three_bits(base)),
                    heard: Heard::Arriving,
                    since: Some(start),
                    via: false,
                    detail: None,
                });
            }
        }
        // As the judge puts them.
        view.nodes
            .sort_by(|a, b| (&a.site, &a.id).cmp(&(&b.site, &b.id)));
        let mut order: Vec<usize> = (0..view.links.len()).collect();
        order.sort_by(|a, b| {
            let key = |n: usize| (&view.links[n].from, &view.links[n].to);
            key(*a).cmp(&key(*b))
        });
        view.links = order.iter().map(|n| view.links[*n].clone()).collect();
        let base_us = order.iter().map(|n| base_us[*n]).collect();
        let lossy = vec![0; order.len()];
        Self {
            view,
            weather,
            dice,
            base_us,
            lossy,
            back: BTreeMap::new(),
            minutes: 0,
        }
    }

    /// A minute passes. An ordinary day has some 150 links that degrade or go partial, ten
    /// that flap, four nodes that go down, every few days a site that is cut off, and figures
    /// that wander with the hour and the noise.
    pub fn minute(&mut self, now: Timestamp) {
        self.minutes += 1;
        self.view.generated_at = now;
        let hour = (self.minutes % 1440) as f64 / 1440.0 * std::f64::consts::TAU;
        let load = 1.0 + 0.1 * hour.sin();
        for index in 0..self.view.links.len() {
            self.figures(index, load);
        }
        for index in 0..self.view.nodes.len() {
            if self.dice.share() < 0.05 {
                let delay = three_bits(80.0 + 400.0 * self.dice.share().powi(4));
                if let Some(host) = &mut self.view.nodes[index].host {
                    host.scheduling_delay_us_p99 = delay;
                }
            }
        }
        let due = self.back.split_off(&(self.minutes + 1));
        for trouble in std::mem::replace(&mut self.back, due)
            .into_values()
            .flatten()
        {
            self.mend(trouble, now);
        }
        let per_day = |count: f64| count / 1440.0;
        if self.dice.share() < per_day(150.0) {
            let link = self.dice.below(self.view.links.len());
            self.hurt(Trouble::Link(link), now);
        }
        if self.dice.share() < per_day(4.0) {
            let node = self.dice.below(self.view.nodes.len());
            self.hurt(Trouble::Node(node), now);
        }
        if self.dice.share() < per_day(0.3) {
            let site = self.dice.below(SITES);
            self.hurt(Trouble::Site(site), now);
        }
        self.view.digest.0 = self.view.digest.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
    }

    /// Seconds pass within an incident: its verdicts' figures move.
    pub fn moment(&mut self, now: Timestamp) -> bool {
        self.view.generated_at = now;
        let share = (self.dice.share() * 30.0).round();
        let Some(verdict) = self.view.verdicts.first_mut() else {
            return false;
        };
        let subject = verdict.subject.clone();
        verdict.sentence = format!("{subject} loses {share} % of its probes; others pass");
        let evidences = verdict.evidence.len();
        if evidences > 0 {
            let at = self.dice.below(evidences);
            verdict.evidence[at].observation = format!("loses {share} % of its probes");
        }
        true
    }

    /// The dead-bands of the prober: twofold at once, a quarter every so often.
    fn figures(&mut self, index: usize, load: f64) {
        let base = self.base_us[index];
        let fresh = base * load * (1.0 + 0.04 * self.dice.bell());
        let tail = fresh * (1.2 + 0.15 / (0.02 + self.dice.share()));
        if self.dice.share() < 0.0004 {
            self.lossy[index] = 1 + self.dice.below(12) as u16;
        }
        let loss = if self.lossy[index] > 0 {
            self.lossy[index] -= 1;
            (self.dice.share() * 4.0).round() as f32 * 0.005
        } else {
            0.0
        };
        let storm = self.weather == Weather::Storm;
        let wobble = 1.0 + self.dice.share();
        let link = &mut self.view.links[index];
        if link.state == LinkState::Down || link.state == LinkState::Unknown {
            return;
        }
        if storm {
            link.rtt_us.p50 = Some(three_bits(base * wobble));
            link.rtt_us.p99 = Some(three_bits(base * wobble * 3.0));
            link.loss.forward = Some((wobble * 20.0).round() as f32 * 0.005);
            link.loss.return_ = Some(((2.0 - wobble) * 20.0).round() as f32 * 0.005);
            return;
        }
        let moved = |old: Option<u32>, fresh: f64, slack: f64| {
            let old = f64::from(old.unwrap_or(0));
            let (low, high) = (old.min(fresh), old.max(fresh));
            high > low * 1.25 + slack
        };
        if moved(link.rtt_us.p50, fresh, 100.0) {
            link.rtt_us.p50 = Some(three_bits(fresh));
        }
        if moved(link.rtt_us.p99, tail, 10_000.0) {
            link.rtt_us.p99 = Some(three_bits(tail));
        }
        link.loss.forward = Some(loss);
    }

    fn hurt(&mut self, trouble: Trouble, now: Timestamp) {
        let minutes = 1 + self.dice.below(15) as u64;
        match trouble {
            Trouble::Link(index) => {
                let partial = self.dice.share() < 0.5;
                let ok = 1 + self.dice.below(7) as u16;
                let link = &mut self.view.links[index];
                (link.state, link.reason) = if partial {
                    (LinkState::Partial, None)
                } else {
                    (LinkState::Degraded, Some(LinkReason::Loss))
                };
                link.flows.ok = if partial { ok } else { 8 };
                link.since = Some(now);
                let (from, to) = (link.from.to_string(), link.to.to_string());
                self.speak(
                    VerdictKind::LinkPartial,
                    format!("{from}→{to}"),
                    &[index],
                    now,
                );
            }
            Trouble::Node(node) => {
                self.view.nodes[node].state = NodeState::Down;
                self.view.nodes[node].since = Some(now);
                let id = self.view.nodes[node].id.clone();
                let touched = self.touch(now, |link| link.from == *id || link.to == *id);
                self.speak(VerdictKind::NodeDown, id, &touched, now);
            }
            Trouble::Site(site) => {
                let name = ["fra", "nyc", "sin", "gru", "syd"][site];
                let touched = self.touch(now, |link| {
                    link.from.starts_with(name) != link.to.starts_with(name)
                });
                self.speak(VerdictKind::SiteCutOff, name.to_owned(), &touched, now);
            }
        }
        self.back
            .entry(self.minutes + minutes)
            .or_default()
            .push(trouble);
    }

    fn touch(&mut self, now: Timestamp, which: impl Fn(&LinkView) -> bool) -> Vec<usize> {
        let mut touched = Vec::new();
        for (index, link) in self.view.links.iter_mut().enumerate() {
            if which(link) {
                link.state = LinkState::Down;
                link.reason = Some(LinkReason::Silent);
                link.flows.ok = 0;
                link.rtt_us = RttUs::default();
                link.heard = Heard::Silent;
                link.since = Some(now);
                touched.push(index);
            }
        }
        touched
    }

    fn mend(&mut self, trouble: Trouble, now: Timestamp) {
        let (subject, which): (String, Which) = match trouble {
            Trouble::Link(index) => {
                let link = &self.view.links[index];
                let (from, to) = (link.from.clone(), link.to.clone());
                let subject = format!("{from}→{to}");
                (
                    subject,
                    Box::new(move |link| link.from == from && link.to == to),
                )
            }
            Trouble::Node(node) => {
                self.view.nodes[node].state = NodeState::Up;
                self.view.nodes[node].since = Some(now);
                self.view.nodes[node].started_at = Some(now);
                let id = self.view.nodes[node].id.clone();
                let subject = id.clone();
                (
                    subject,
                    Box::new(move |link| link.from == *id || link.to == *id),
                )
            }
            Trouble::Site(site) => {
                let name = ["fra", "nyc", "sin", "gru", "syd"][site];
                let cut =
                    move |link: &LinkView| link.from.starts_with(name) != link.to.starts_with(name);
                (name.to_owned(), Box::new(cut))
            }
        };
        for (index, link) in self.view.links.iter_mut().enumerate() {
            if which(link) {
                link.state = LinkState::Up;
                link.reason = None;
                link.flows.ok = 8;
                link.heard = Heard::Arriving;
                link.rtt_us.p50 = Some(three_bits(self.base_us[index]));
                link.rtt_us.p99 = Some(three_bits(self.base_us[index] * 1.3));
                link.since = Some(now);
            }
        }
        self.view
            .verdicts
            .retain(|verdict| verdict.subject != subject);
    }

    fn speak(&mut self, kind: VerdictKind, subject: String, links: &[usize], now: Timestamp) {
        if self.view.verdicts.iter().any(|old| old.subject == subject) {
            return;
        }
        let name = |index: &usize| {
            let link = &self.view.links[*index];
            format!("{}→{}", link.from, link.to)
        };
        let evidence = links.iter().take(40).map(|index| Evidence {
            observer: self.view.links[*index].from.to_string(),
            observation: format!("no probe to {} was answered", self.view.links[*index].to),
            supports: true,
            since: Some(now),
        });
        self.view.verdicts.push(Verdict {
            id: format!("{kind:?}:{subject}"),
            kind,
            sentence: format!("{subject} is not reached by {} observers", links.len()),
            confidence: 0.93,
            evidence: evidence.collect(),
            since: now,
            from: None,
            to: None,
            hops: Vec::new(),
            effect: None,
            flows: Some(FlowHits {
                failed: links.len() as u32 * 8,
                total: links.len() as u32 * 8,
            }),
            links: links.iter().take(200).map(name).collect(),
            services: Vec::new(),
            subject,
        });
    }
}

/// As the prober publishes round trips.
fn three_bits(value: f64) -> u32 {
    let value = value as u32;
    let drop = value.checked_ilog2().unwrap_or(0).saturating_sub(2);
    if drop == 0 {
        return value;
    }
    value.saturating_add(1 << (drop - 1)) >> drop << drop
}
