//! Views in, records out: what changed since the last view. Remembers hashes and figures
//! rather than a second picture, and reads no clock.

use crate::bytes::{put_i, put_u};
use crate::marks::{LinkChanges, LinkMarks};
use crate::pack::{pack, pack_once};
use crate::record::{Occasion, kind, put_record};
use crate::texts::Texts;
use andon_model::{
    HostHealth, Incident, IncidentState, NodeView, PictureDigest, PictureView, Severity, Timestamp,
    Verdict,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// What is known of a node as it was written.
#[derive(Debug, Clone, Copy)]
struct NodeMark {
    content: u64,
    now: NodeFigures,
    written: NodeFigures,
    round: u64,
}

/// What of a node is told with the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct NodeFigures {
    scheduling_delay_us: u32,
    clock_offset_us: Option<i64>,
}

/// What is told of an incident when it changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct IncidentNote {
    pub(crate) id: String,
    pub(crate) state: IncidentState,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    pub(crate) acknowledged_by: Option<String>,
    pub(crate) owner: Option<String>,
}

/// Turns views into records.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    seed: RandomState,
    texts: Texts,
    me: Option<u32>,
    digest: PictureDigest,
    links: LinkMarks,
    nodes: BTreeMap<u32, NodeMark>,
    /// By number of the id; the hash of all of it.
    verdicts: BTreeMap<u32, u64>,
    standing: Vec<u32>,
    /// By id, since they outlive segments.
    incidents: Option<BTreeMap<String, u64>>,
    round: u64,
    /// The next record is a whole picture.
    whole: bool,
    /// Nobody looked before it.
    life: bool,
    out: Vec<u8>,
    records: u64,
    /// Records larger than any may be.
    too_large: u64,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            whole: true,
            life: true,
            ..Self::default()
        }
    }

    /// Forgets what was written: the next view is written whole, as a segment's first record.
    pub(crate) fn begin(&mut self) {
        self.texts.forget();
        self.me = None;
        self.links.forget();
        self.nodes = BTreeMap::new();
        self.verdicts = BTreeMap::new();
        self.standing = Vec::new();
        self.whole = true;
    }

    /// The same after a time in which nobody looked.
    pub(crate) fn begin_life(&mut self) {
        self.begin();
        self.life = true;
    }

    /// Whether the next view is to be written whole.
    pub(crate) fn is_fresh(&self) -> bool {
        self.whole
    }

    /// How many texts the segment holds.
    pub(crate) fn texts(&self) -> usize {
        self.texts.len()
    }

    /// Bytes that wait to be taken.
    pub(crate) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Records made since the start.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Records left out since the start, for their size.
    pub(crate) fn too_large(&self) -> u64 {
        self.too_large
    }

    /// The records made since the last call, as frames.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// A view was shown.
    pub(crate) fn view(&mut self, at: Timestamp, view: &PictureView) {
        let mut changes = Changes::default();
        let me = self.texts.number(&view.me);
        if self.me != Some(me) {
            self.me = Some(me);
            put_u(&mut changes.me, me.into());
        }
        self.digest = view.digest;
        self.compare_nodes(&view.nodes, &mut changes);
        self.links
            .compare(&mut self.texts, at, &view.links, &mut changes.links);
        self.compare_verdicts(&view.verdicts, &mut changes);
        if self.whole || !changes.is_empty() {
            self.write(at, Occasion::Change, &changes);
        }
    }

    /// A minute is over: the figures of the view compared last. Always written, so that it is known that there was a
    /// recorder then; nothing before the first view.
    pub(crate) fn minute(&mut self, at: Timestamp, view: &PictureView) {
        if self.whole {
            return;
        }
        let mut changes = Changes {
            link_figures: self.links.minute(&view.links),
            ..Changes::default()
        };
        for (number, mark) in &mut self.nodes {
            if mark.now != mark.written {
                mark.written = mark.now;
                put_u(&mut changes.node_figures, (*number).into());
                put_u(
                    &mut changes.node_figures,
                    mark.now.scheduling_delay_us.into(),
                );
                put_i(
                    &mut changes.node_figures,
                    mark.now.clock_offset_us.unwrap_or(i64::MIN),
                );
            }
        }
        self.write(at, Occasion::Minute, &changes);
    }

    /// Incidents as they stand. What had begun before the first call is not told as news.
    pub(crate) fn incidents(&mut self, at: Timestamp, incidents: &[Incident]) {
        if self.whole {
            return;
        }
        let known = self.incidents.take();
        let mut marks = BTreeMap::new();
        let mut changes = Changes::default();
        for incident in incidents {
            let note = IncidentNote {
                id: incident.id.clone(),
                state: incident.state,
                severity: incident.severity,
                title: incident.title.clone(),
                acknowledged_by: incident.acknowledged_by.clone(),
                owner: incident.owner.clone(),
            };
            let hash = self.seed.hash_one(&note);
            let is_news = match &known {
                Some(known) => known.get(&note.id) != Some(&hash),
                None => false,
            };
            if is_news {
                pack(&mut changes.incidents, &mut self.texts, &note);
            }
            marks.insert(note.id, hash);
        }
        self.incidents = Some(marks);
        if !changes.is_empty() {
            self.write(at, Occasion::Change, &changes);
        }
    }

    fn compare_nodes(&mut self, nodes: &[NodeView], changes: &mut Changes) {
        self.round += 1;
        for node in nodes {
            let number = self.texts.number(&node.id);
            let content = node_hash(&self.seed, node);
            let now = NodeFigures {
                scheduling_delay_us: node.host.map_or(0, |host| host.scheduling_delay_us_p99),
                clock_offset_us: node.clock_offset_us,
            };
            let known = self.nodes.get(&number).copied();
            let same = known.filter(|mark| mark.content == content);
            if same.is_none() {
                put_u(&mut changes.nodes, number.into());
                pack_once(&mut changes.nodes, &mut self.texts, node);
            }
            let mark = NodeMark {
                content,
                now,
                written: same.map_or(now, |mark| mark.written),
                round: self.round,
            };
            self.nodes.insert(number, mark);
        }
        if self.nodes.len() > nodes.len() {
            let round = self.round;
            self.nodes.retain(|number, mark| {
                let here = mark.round == round;
                if !here {
                    put_u(&mut changes.nodes_gone, (*number).into());
                }
                here
            });
        }
    }

    fn compare_verdicts(&mut self, verdicts: &[Verdict], changes: &mut Changes) {
        let mut standing = Vec::with_capacity(verdicts.len());
        for verdict in verdicts {
            let number = self.texts.number(&verdict.id);
            let hash = verdict_hash(&self.seed, verdict);
            if self.verdicts.insert(number, hash) != Some(hash) {
                put_u(&mut changes.verdicts, number.into());
                pack(&mut changes.verdicts, &mut self.texts, verdict);
            }
            standing.push(number);
        }
        if standing != self.standing {
            self.verdicts.retain(|number, _| standing.contains(number));
            changes.standing_changed = true;
            for number in &standing {
                put_u(&mut changes.standing, (*number).into());
            }
            self.standing = standing;
        }
    }

    fn write(&mut self, at: Timestamp, occasion: Occasion, changes: &Changes) {
        let occasion = match (self.whole, self.life) {
            (true, true) => Occasion::Life,
            (true, false) => Occasion::Whole,
            (false, _) => occasion,
        };
        let texts = self.texts.take_fresh().unwrap_or_default();
        let digest = self.digest.0.to_le_bytes();
        let mut standing = Vec::new();
        if changes.standing_changed {
            // Also when none stands any more: the count goes first.
            put_u(&mut standing, self.standing.len() as u64);
            standing.extend_from_slice(&changes.standing);
        }
        let sections: [(u8, &[u8]); 12] = [
            (kind::TEXTS, &texts),
            (kind::DIGEST, &digest),
            (kind::ME, &changes.me),
            (kind::NODES_GONE, &changes.nodes_gone),
            (kind::NODES, &changes.nodes),
            (kind::LINKS_GONE, &changes.links.gone),
            (kind::LINKS, &changes.links.changed),
            (kind::VERDICTS, &changes.verdicts),
            (kind::VERDICTS_STANDING, &standing),
            (kind::LINK_FIGURES, &changes.link_figures),
            (kind::NODE_FIGURES, &changes.node_figures),
            (kind::INCIDENTS, &changes.incidents),
        ];
        if put_record(&mut self.out, at, occasion, &sections) {
            self.whole = false;
            self.life = false;
            self.records += 1;
        } else {
            // What it held is lost, texts included: begin anew.
            self.too_large += 1;
            self.begin();
        }
    }
}

/// Contents of a record's sections.
#[derive(Debug, Default)]
struct Changes {
    me: Vec<u8>,
    nodes: Vec<u8>,
    nodes_gone: Vec<u8>,
    links: LinkChanges,
    verdicts: Vec<u8>,
    standing: Vec<u8>,
    standing_changed: bool,
    link_figures: Vec<u8>,
    node_figures: Vec<u8>,
    incidents: Vec<u8>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        let all = [
            &self.me,
            &self.nodes,
            &self.nodes_gone,
            &self.links.changed,
            &self.links.gone,
            &self.verdicts,
            &self.link_figures,
            &self.node_figures,
            &self.incidents,
        ];
        all.iter().all(|content| content.is_empty()) && !self.standing_changed
    }
}

/// What of a node is told at once: everything but its figures.
fn node_hash(seed: &RandomState, node: &NodeView) -> u64 {
    let NodeView {
        id: _,
        key,
        site,
        kind,
        state,
        since,
        addresses,
        labels,
        version,
        started_at,
        reach,
        host,
        clock_offset_us: _,
        fingerprint,
        position,
    } = node;
    let busy = host.map(
        |HostHealth {
             scheduling_delay_us_p99: _,
             busy,
         }| busy,
    );
    let position = position.map(|position| (position.x.to_bits(), position.y.to_bits()));
    let mut hasher = seed.build_hasher();
    (key, site, kind, state, since, addresses, labels).hash(&mut hasher);
    (version, started_at, reach, busy, fingerprint, position).hash(&mut hasher);
    hasher.finish()
}

fn verdict_hash(seed: &RandomState, verdict: &Verdict) -> u64 {
    let Verdict {
        id: _,
        kind,
        subject,
        sentence,
        confidence,
        evidence,
        since,
        from,
        to,
        hops,
        effect,
        flows,
        links,
        services,
    } = verdict;
    let mut hasher = seed.build_hasher();
    (kind, subject, sentence, confidence.to_bits(), since).hash(&mut hasher);
    (from, to, hops, effect, flows, links, services).hash(&mut hasher);
    for evidence in evidence {
        let andon_model::Evidence {
            observer,
            observation,
            supports,
            since,
        } = evidence;
        (observer, observation, supports, since).hash(&mut hasher);
    }
    evidence.len().hash(&mut hasher);
    hasher.finish()
}
