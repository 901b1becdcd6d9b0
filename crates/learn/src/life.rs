//! One incident: its verdicts come and go, and with them its state.

use crate::cause::{Places, Touch, cause, rank, severity};
use crate::id::hash;
use crate::words;
use andon_model::incident::{CAUSE_BYTES_MAX, CAUSES_MAX, TITLE_BYTES_MAX};
use andon_model::{
    BlastRadius, Incident, IncidentClaim, IncidentState, Instant, Remark, RemarkKind, Severity,
    TimelineEntry, TimelineKind, Timestamp, Verdict,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Verdicts gone for so long count as gone: less, and a fault that blinks looks mended.
pub const CLEAR_AFTER: Duration = Duration::from_secs(3);
/// Gone for so long, the incident is over. Each return doubles it.
pub const HOLD: Duration = Duration::from_secs(60);
/// It is never held longer.
pub const HOLD_MAX: Duration = Duration::from_secs(600);
/// An incident that was over for less is opened again by the same cause, instead of a new one.
pub const REOPEN_WITHIN: Duration = Duration::from_secs(600);
/// Lines of one timeline. Past it the middle is left out, since its beginning and its end
/// tell most.
const TIMELINE_MAX: usize = 300;
/// Verdicts kept of one incident.
const VERDICTS_MAX: usize = 64;
/// Ids under which one incident was known.
const ALIASES_MAX: usize = 8;
/// A verdict's change of confidence that is worth a line.
const CONFIDENCE_STEP: f32 = 0.25;
/// Two lines on changes of one verdict stand so far apart.
const CHANGE_EVERY: Duration = Duration::from_secs(10);

/// A verdict of an incident.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Held {
    verdict: Verdict,
    stands: bool,
    /// As last told in the timeline.
    told: (f32, Vec<String>),
    told_at: Timestamp,
    /// What it said some seconds ago, and before that: while a fault heals, a verdict's last
    /// words are about the healing.
    #[serde(skip)]
    before: [Option<Verdict>; 2],
    #[serde(skip)]
    before_at: Timestamp,
}

impl Held {
    fn new(verdict: &Verdict, at: Timestamp) -> Self {
        Self {
            verdict: verdict.clone(),
            stands: true,
            told: (verdict.confidence, verdict.hops.clone()),
            told_at: at,
            before: [None, None],
            before_at: at,
        }
    }

    /// Takes a verdict's present words.
    fn renew(&mut self, utc: Timestamp, verdict: &Verdict) {
        let earlier = std::mem::replace(&mut self.verdict, verdict.clone());
        if utc.since(self.before_at) >= CLEAR_AFTER {
            let [last, _] = std::mem::take(&mut self.before);
            self.before = [Some(earlier), last];
            self.before_at = utc;
        }
    }

    /// It is gone: what it said while it stood is what is remembered.
    fn clear(&mut self, utc: Timestamp) {
        self.stands = false;
        self.told_at = utc;
        if let [_, Some(settled)] = std::mem::take(&mut self.before) {
            self.verdict = settled;
        }
    }
}

/// One incident.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Life {
    /// Its present name.
    pub id: String,
    /// Former names.
    pub aliases: Vec<String>,
    /// What it was named after.
    pub cause: String,
    /// Hashes of all causes that belong to it.
    pub causes: BTreeSet<u64>,
    /// Start of the first symptom.
    pub opened_at: Timestamp,
    /// How far it is.
    pub state: IncidentState,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// The node that told of it, where this one did not see it itself.
    pub hearsay_of: Option<String>,
    severity: Severity,
    title: String,
    held: BTreeMap<String, Held>,
    blast: BlastRadius,
    timeline: Vec<TimelineEntry>,
    reopened: u32,
    /// Somebody closed it, or said that it is mitigated, while its verdicts stand.
    set_by_hand: bool,
    applied: BTreeSet<(String, u64)>,
    /// Since when no verdict stands.
    #[serde(skip)]
    gone: Option<Instant>,
}

impl Life {
    /// An incident that begins with these verdicts, the leading one first.
    pub fn open(id: String, name: String, verdicts: &[&Verdict], places: &Places<'_>) -> Self {
        let opened_at = verdicts.iter().map(|v| v.since).min().unwrap_or_default();
        let mut life = Self {
            id,
            aliases: Vec::new(),
            cause: name,
            causes: BTreeSet::new(),
            opened_at,
            state: IncidentState::Open,
            resolved_at: None,
            hearsay_of: None,
            severity: Severity::Minor,
            title: String::new(),
            held: BTreeMap::new(),
            blast: BlastRadius::default(),
            timeline: Vec::new(),
            reopened: 0,
            set_by_hand: false,
            applied: BTreeSet::new(),
            gone: None,
        };
        let first = verdicts
            .iter()
            .flat_map(|verdict| &verdict.evidence)
            .filter(|evidence| evidence.supports)
            .filter_map(|evidence| Some((evidence.since?, evidence)))
            .min_by_key(|(since, _)| *since);
        let (at, text, by) = match first {
            Some((since, evidence)) => (
                since.min(opened_at),
                format!("{} {}", evidence.observer, evidence.observation),
                None,
            ),
            None => (opened_at, "first symptom".to_owned(), None),
        };
        life.note(at, TimelineKind::FirstSymptom, text, by);
        for verdict in verdicts {
            life.attach(opened_at, verdict, places);
        }
        life
    }

    /// An incident that only others told of.
    pub fn hearsay(claim: &IncidentClaim, teller: &str) -> Self {
        let severity = claim.severity.unwrap_or(Severity::Minor);
        let mut life = Self {
            id: claim.id.clone(),
            aliases: Vec::new(),
            cause: claim.cause.clone(),
            causes: claim.causes.iter().copied().collect(),
            opened_at: claim.opened_at,
            state: claim.state,
            resolved_at: claim.resolved_at,
            hearsay_of: Some(teller.to_owned()),
            severity,
            title: claim.title.clone(),
            held: BTreeMap::new(),
            blast: BlastRadius::default(),
            timeline: Vec::new(),
            reopened: 0,
            set_by_hand: false,
            applied: BTreeSet::new(),
            gone: None,
        };
        let text = format!("seen by {teller}, not by this node");
        life.note(
            claim.opened_at,
            TimelineKind::FirstSymptom,
            text,
            Some(teller.to_owned()),
        );
        life
    }

    /// Whether it goes on.
    pub fn is_live(&self) -> bool {
        self.state != IncidentState::Resolved
    }

    /// Whether it goes by that name.
    pub fn is_called(&self, id: &str) -> bool {
        self.id == id || self.aliases.iter().any(|alias| alias == id)
    }

    /// Whether that verdict is one of its.
    pub fn holds(&self, verdict_id: &str) -> bool {
        self.held.contains_key(verdict_id)
    }

    /// Whether a verdict of this cause that touches this belongs to it.
    pub fn claims(&self, cause_hash: u64, touch: &Touch, places: &Places<'_>) -> bool {
        if self.causes.contains(&cause_hash) {
            return true;
        }
        self.is_live()
            && self
                .held
                .values()
                .any(|held| touch.belongs_with(&Touch::of(&held.verdict, places)))
    }

    /// Whether it was over so short a time ago that the same cause opens it again.
    pub fn may_reopen(&self, utc: Timestamp) -> bool {
        self.resolved_at
            .is_some_and(|resolved| utc.since(resolved) <= REOPEN_WITHIN)
    }

    /// Whether its verdicts are still of interest to it: it goes on, or would go on if they
    /// came back, or was closed by hand while they stand.
    pub fn follows(&self, utc: Timestamp) -> bool {
        self.is_live() || self.may_reopen(utc) || self.set_by_hand
    }

    /// Takes a verdict in.
    pub fn attach(&mut self, at: Timestamp, verdict: &Verdict, places: &Places<'_>) {
        if self.held.len() >= VERDICTS_MAX {
            // Room is made by the one that went longest ago; if all stand, their number tells.
            let gone = self.held.iter().filter(|(_, held)| !held.stands);
            let oldest = gone
                .min_by_key(|(_, held)| held.told_at)
                .map(|(id, _)| id.clone());
            match oldest {
                Some(id) => drop(self.held.remove(&id)),
                None => return,
            }
        }
        let name = cause(verdict, places);
        if self.causes.len() < CAUSES_MAX {
            self.causes.insert(hash(&name));
        }
        self.hearsay_of = None;
        self.severity = self.severity.max(severity(verdict));
        let text = told(verdict);
        self.note(at.max(verdict.since), TimelineKind::Verdict, text, None);
        self.held.insert(verdict.id.clone(), Held::new(verdict, at));
        self.name_after_leading();
    }

    /// Looks at what stands; returns whether anything to be told at once changed, or only
    /// the words of a verdict.
    pub fn see(&mut self, utc: Timestamp, standing: &BTreeMap<&str, &Verdict>) -> Seen {
        let mut seen = Seen::Nothing;
        let mut lines = Vec::new();
        for (id, held) in &mut self.held {
            let Some(verdict) = standing.get(id.as_str()) else {
                if held.stands {
                    held.clear(utc);
                    lines.push((
                        TimelineKind::Cleared,
                        format!("no longer: {}", words::title(&held.verdict)),
                    ));
                }
                continue;
            };
            if !held.stands {
                held.stands = true;
                held.told_at = utc;
                lines.push((TimelineKind::Verdict, told(verdict)));
            }
            if held.verdict != **verdict {
                seen = seen.max(Seen::Words);
                let (confidence, hops) = &held.told;
                let moved = (verdict.confidence - confidence).abs() >= CONFIDENCE_STEP
                    || *hops != verdict.hops;
                if moved && utc.since(held.told_at) >= CHANGE_EVERY {
                    held.told = (verdict.confidence, verdict.hops.clone());
                    held.told_at = utc;
                    lines.push((TimelineKind::Changed, told(verdict)));
                }
                self.severity = self.severity.max(severity(verdict));
                held.renew(utc, verdict);
            }
        }
        for (kind, text) in lines {
            seen = Seen::News;
            self.note(utc, kind, text, None);
        }
        if seen > Seen::Nothing {
            self.name_after_leading();
        }
        seen
    }

    /// Lets time work: what is gone long enough is mitigated, then over. Returns whether the
    /// state changed.
    pub fn age(&mut self, at: Instant, utc: Timestamp) -> bool {
        if self.hearsay_of.is_some() {
            return false;
        }
        let before = self.state;
        if self.stands() {
            self.gone = None;
            if !self.set_by_hand && self.state != IncidentState::Open {
                self.reopen(utc);
            }
            return self.state != before;
        }
        let gone = *self.gone.get_or_insert(at);
        self.set_by_hand &= at.since(gone) < CLEAR_AFTER;
        if self.state == IncidentState::Open && at.since(gone) >= CLEAR_AFTER {
            self.state = IncidentState::Mitigated;
            self.note(
                utc,
                TimelineKind::Mitigated,
                "its symptoms are gone".into(),
                None,
            );
        }
        if self.state == IncidentState::Mitigated && at.since(gone) >= self.hold() {
            self.resolve(utc, "stayed well", None);
        }
        self.state != before
    }

    /// When [`Life::age`] has something to do next.
    pub fn next_wake(&self) -> Option<Instant> {
        let gone = self.gone?;
        match self.state {
            IncidentState::Open => Some(gone + CLEAR_AFTER),
            IncidentState::Mitigated => Some(gone + self.hold()),
            IncidentState::Resolved => self.set_by_hand.then_some(gone + CLEAR_AFTER),
        }
    }

    /// Takes what others claim of the same incident: the earliest name stays.
    pub fn adopt(&mut self, claim: &IncidentClaim) -> bool {
        let before = (
            self.id.clone(),
            self.opened_at,
            self.aliases.len(),
            self.causes.len(),
        );
        for cause in &claim.causes {
            if self.causes.len() < CAUSES_MAX {
                self.causes.insert(*cause);
            }
        }
        if claim.id == self.id {
            // A claim far from ours is another life of the same name, or a lie.
            if self.opened_at.since(claim.opened_at) <= REOPEN_WITHIN {
                self.opened_at = self.opened_at.min(claim.opened_at);
            }
        } else if (claim.opened_at, &claim.id) < (self.opened_at, &self.id)
            && self.opened_at.since(claim.opened_at) <= REOPEN_WITHIN
        {
            let old = std::mem::replace(&mut self.id, claim.id.clone());
            self.aliases.retain(|alias| *alias != claim.id);
            self.alias(old);
            self.opened_at = claim.opened_at;
        } else {
            self.alias(claim.id.clone());
        }
        before
            != (
                self.id.clone(),
                self.opened_at,
                self.aliases.len(),
                self.causes.len(),
            )
    }

    /// Takes another incident of this node in: they turned out to be one.
    pub fn merge(&mut self, other: Life) {
        let Life {
            held,
            timeline,
            causes,
            aliases,
            ..
        } = other;
        let (first, second) = if (other.opened_at, &other.id) < (self.opened_at, &self.id) {
            (other.id, std::mem::take(&mut self.id))
        } else {
            (std::mem::take(&mut self.id), other.id)
        };
        self.id = first;
        self.opened_at = self.opened_at.min(other.opened_at);
        for alias in aliases.into_iter().chain([second]) {
            self.alias(alias);
        }
        self.causes.extend(causes);
        while self.causes.len() > CAUSES_MAX {
            self.causes.pop_last();
        }
        for (id, verdict) in held {
            if self.held.len() < VERDICTS_MAX {
                self.held.entry(id).or_insert(verdict);
            }
        }
        self.timeline.extend(timeline);
        self.timeline.sort_by_key(|entry| entry.at);
        self.severity = self.severity.max(other.severity);
        self.reopened = self.reopened.max(other.reopened);
        self.hearsay_of = self.hearsay_of.take().and(other.hearsay_of);
        self.applied.extend(other.applied);
        if self.blast.links_total < other.blast.links_total {
            self.blast = other.blast;
        }
        self.name_after_leading();
    }

    /// Verdicts that stand.
    pub fn standing(&self) -> Vec<&Verdict> {
        let standing = self.held.values().filter(|held| held.stands);
        standing.map(|held| &held.verdict).collect()
    }

    /// Takes the radius of what stands; at its worst it is remembered.
    pub fn hits(&mut self, blast: BlastRadius) -> bool {
        let size = |blast: &BlastRadius| {
            let flows = blast.flows.map_or(0, |flows| flows.failed);
            (
                blast.links_total,
                blast.nodes.len() + blast.services.len(),
                flows,
            )
        };
        let is_worse = size(&blast) > size(&self.blast);
        if is_worse {
            self.blast = blast;
        }
        is_worse
    }

    /// Carries out what a remark says, once.
    pub fn apply(&mut self, node: &str, remark: &Remark) -> bool {
        if self.applied.contains(&(node.to_owned(), remark.sequence)) {
            return false;
        }
        if self.applied.len() >= 4 * TIMELINE_MAX {
            self.applied.pop_first();
        }
        self.applied.insert((node.to_owned(), remark.sequence));
        match remark.what {
            RemarkKind::Mitigated if self.state == IncidentState::Open => {
                self.state = IncidentState::Mitigated;
                self.set_by_hand = true;
            }
            RemarkKind::Resolved if self.is_live() => {
                self.state = IncidentState::Resolved;
                self.resolved_at = Some(remark.at);
                self.set_by_hand = true;
            }
            _ => {}
        }
        true
    }

    /// Takes the state that others give an incident which this node did not see.
    pub fn hear(
        &mut self,
        utc: Timestamp,
        state: IncidentState,
        resolved_at: Option<Timestamp>,
    ) -> bool {
        if self.hearsay_of.is_none() || self.set_by_hand || self.state == state {
            return false;
        }
        self.state = state;
        self.resolved_at = match state {
            IncidentState::Resolved => Some(resolved_at.unwrap_or(utc)),
            _ => None,
        };
        true
    }

    /// As it travels in the grid.
    pub fn claim(&self) -> IncidentClaim {
        let short = |text: &str, max: usize| {
            let end = (0..=max.min(text.len()))
                .rev()
                .find(|end| text.is_char_boundary(*end));
            text[..end.unwrap_or(0)].to_owned()
        };
        IncidentClaim {
            id: self.id.clone(),
            cause: short(&self.cause, CAUSE_BYTES_MAX),
            opened_at: self.opened_at,
            state: self.state,
            aliases: self.aliases.clone(),
            causes: self.causes.iter().copied().collect(),
            severity: Some(self.severity),
            title: short(&self.title, TITLE_BYTES_MAX),
            resolved_at: self.resolved_at,
        }
    }

    /// As people read it. `remarks`: those on this incident, with the node of each, oldest
    /// first.
    pub fn document(&self, remarks: &[(&str, &Remark)]) -> Incident {
        let mut timeline = self.timeline.clone();
        let (mut acknowledged_by, mut owner) = (None, None);
        for (node, remark) in remarks {
            match &remark.what {
                RemarkKind::Acknowledged => acknowledged_by = Some(remark.who.clone()),
                RemarkKind::Owned(who) => owner = Some(who.clone()).filter(|who| !who.is_empty()),
                _ => {}
            }
            timeline.push(line(node, remark));
        }
        timeline.sort_by_key(|entry| entry.at);
        if timeline.len() > TIMELINE_MAX {
            timeline.drain(TIMELINE_MAX / 3..timeline.len() - TIMELINE_MAX * 2 / 3);
        }
        let mut verdicts: Vec<&Held> = self.held.values().collect();
        verdicts.sort_by_key(|held| (!held.stands, rank(&held.verdict), held.verdict.since));
        Incident {
            id: self.id.clone(),
            aliases: self.aliases.clone(),
            state: self.state,
            severity: self.severity,
            title: self.title.clone(),
            cause: self.cause.clone(),
            opened_at: self.opened_at,
            resolved_at: self.resolved_at,
            acknowledged_by,
            owner,
            reopened: self.reopened,
            verdicts: verdicts
                .into_iter()
                .map(|held| held.verdict.clone())
                .collect(),
            blast_radius: self.blast.clone(),
            timeline,
            status_page: words::status_page(self.state, self.severity, &self.blast),
        }
    }

    fn stands(&self) -> bool {
        self.held.values().any(|held| held.stands)
    }

    fn reopen(&mut self, utc: Timestamp) {
        self.state = IncidentState::Open;
        self.resolved_at = None;
        self.reopened += 1;
        self.note(utc, TimelineKind::Reopened, "came back".into(), None);
    }

    fn resolve(&mut self, utc: Timestamp, why: &str, by: Option<String>) {
        self.state = IncidentState::Resolved;
        self.resolved_at = Some(utc);
        self.note(utc, TimelineKind::Resolved, why.to_owned(), by);
    }

    fn hold(&self) -> Duration {
        (HOLD * 2u32.saturating_pow(self.reopened.min(8))).min(HOLD_MAX)
    }

    fn alias(&mut self, id: String) {
        if id != self.id && !self.aliases.contains(&id) && self.aliases.len() < ALIASES_MAX {
            self.aliases.push(id);
        }
    }

    fn name_after_leading(&mut self) {
        let leading = self
            .held
            .values()
            .min_by_key(|held| (!held.stands, rank(&held.verdict), held.verdict.since));
        if let Some(held) = leading {
            self.title = words::title(&held.verdict);
        }
    }

    fn note(&mut self, at: Timestamp, kind: TimelineKind, text: String, by: Option<String>) {
        if self.timeline.len() >= TIMELINE_MAX {
            self.timeline.remove(TIMELINE_MAX / 3);
        }
        self.timeline.push(TimelineEntry { at, kind, text, by });
    }
}

/// What a look at the standing verdicts found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// All as before.
    Nothing,
    /// Figures or words changed.
    Words,
    /// A verdict came, went or changed materially.
    News,
}

fn told(verdict: &Verdict) -> String {
    let percent = (verdict.confidence * 100.0).round();
    format!("{} (confidence {percent} %)", verdict.sentence)
}

fn line(node: &str, remark: &Remark) -> TimelineEntry {
    let (kind, text) = match &remark.what {
        RemarkKind::Acknowledged => (TimelineKind::Acknowledged, "acknowledged".to_owned()),
        RemarkKind::Owned(who) if who.is_empty() => {
            (TimelineKind::Owned, "nobody owns it any more".to_owned())
        }
        RemarkKind::Owned(who) => (TimelineKind::Owned, format!("owned by {who}")),
        RemarkKind::Note(text) => (TimelineKind::Note, text.clone()),
        RemarkKind::Mitigated => (TimelineKind::Mitigated, "said to be mitigated".to_owned()),
        RemarkKind::Resolved => (TimelineKind::Resolved, "closed by hand".to_owned()),
        RemarkKind::Notified { route, phase } => (
            TimelineKind::Notified,
            format!("{route} was told ({phase})"),
        ),
        RemarkKind::NotifyFailed { route, why } => (
            TimelineKind::NotifyFailed,
            format!("{route} could not be told: {why}"),
        ),
    };
    let is_person = !matches!(
        remark.what,
        RemarkKind::Notified { .. } | RemarkKind::NotifyFailed { .. }
    );
    let by = if is_person {
        remark.who.clone()
    } else {
        node.to_owned()
    };
    TimelineEntry {
        at: remark.at,
        kind,
        text,
        by: Some(by),
    }
}
