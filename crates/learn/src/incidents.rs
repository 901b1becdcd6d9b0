//! All incidents of a node: which verdict belongs to which, what the others claim, what
//! people say. The core.

use crate::blast::radius;
use crate::cause::{Places, Touch, cause, rank};
use crate::id::{hash, incident_id};
use crate::life::{Life, Seen};
use andon_model::incident::{NOTE_BYTES_MAX, WHO_BYTES_MAX};
use andon_model::{
    Incident, IncidentClaim, IncidentState, Instant, PictureView, Remark, RemarkKind, Timestamp,
    Verdict, VerdictKind,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Incidents remembered. The oldest that is over gives way; history keeps the rest.
pub const INCIDENTS_MAX: usize = 200;
/// Incidents claimed in the grid.
const CLAIMS_MAX: usize = 64;
/// An incident that is over is claimed for so long, so that nobody opens it under another name.
const CLAIM_AFTER_END: Duration = Duration::from_secs(900);
/// Remarks that one node publishes.
const REMARKS_MAX: usize = 200;
/// Remarks of other nodes looked at.
const REMARKS_HEARD_MAX: usize = 4_096;
/// Verdicts of one view looked at.
const VERDICTS_MAX: usize = 200;
/// Incidents of one other node that this one shows without having seen them.
const HEARSAY_MAX: usize = 16;
/// A claim has to stand for so long before it is shown as hearsay: mostly the own verdict follows.
const HEARSAY_AFTER: Duration = Duration::from_secs(10);
/// Documents whose words alone changed are told so often.
const WORDS_EVERY: Duration = Duration::from_secs(1);

/// Both kinds of time.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For deciding.
    pub at: Instant,
    /// For people.
    pub utc: Timestamp,
}

/// Something came in.
#[derive(Debug)]
pub enum Input {
    /// What this node judges.
    View(Arc<PictureView>),
    /// What the other living nodes claim and remark, each with its node's id.
    Grid {
        /// Claims.
        claims: Vec<(String, IncidentClaim)>,
        /// Remarks.
        remarks: Vec<(String, Remark)>,
    },
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// All incidents changed: unresolved first, newest first.
    Incidents(Arc<Vec<Incident>>),
    /// What this node publishes changed.
    Publish {
        /// Its incidents.
        claims: Vec<IncidentClaim>,
        /// Its remarks.
        remarks: Vec<Remark>,
    },
    /// What is to be kept across a restart changed: write [`Incidents::saved`].
    Save,
}

/// Why a remark was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemarkError {
    /// No incident goes by that name.
    #[error("there is no incident {0}")]
    Unknown(String),
    /// Empty where text is needed.
    #[error("the note is empty")]
    Empty,
    /// Longer than travels in one row.
    #[error("the note is longer than {NOTE_BYTES_MAX} bytes")]
    TooLong,
}

/// What survives a restart.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Saved {
    lives: Vec<Life>,
    remarks: Vec<Remark>,
    sequence: u64,
}

#[derive(Debug)]
struct Pending {
    first: Instant,
}

/// The core.
#[derive(Debug)]
pub struct Incidents {
    me: String,
    lives: BTreeMap<String, Life>,
    pending: BTreeMap<String, Pending>,
    view: Option<Arc<PictureView>>,
    claims: Vec<(String, IncidentClaim)>,
    heard: Vec<(String, Remark)>,
    claim_since: BTreeMap<String, Instant>,
    remarks: Vec<Remark>,
    sequence: u64,
    words_due: Option<Instant>,
    told_at: Instant,
    published: (Vec<IncidentClaim>, Vec<Remark>),
    news: bool,
    outputs: VecDeque<Output>,
}

impl Incidents {
    /// Of the node that people call `me`, going on with what it kept.
    pub fn new(me: String, saved: Saved) -> Self {
        Self {
            me,
            lives: saved
                .lives
                .into_iter()
                .take(INCIDENTS_MAX)
                .map(|life| (life.id.clone(), life))
                .collect(),
            remarks: saved.remarks,
            sequence: saved.sequence,
            pending: BTreeMap::new(),
            view: None,
            claims: Vec::new(),
            heard: Vec::new(),
            claim_since: BTreeMap::new(),
            words_due: None,
            told_at: Instant(0),
            published: (Vec::new(), Vec::new()),
            news: true,
            outputs: VecDeque::new(),
        }
    }

    /// Something came in.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::View(view) => self.view = Some(view),
            Input::Grid { claims, remarks } => {
                self.claims = claims;
                self.heard = remarks;
                self.heard.truncate(REMARKS_HEARD_MAX);
            }
        }
        self.wake(now);
    }

    /// Somebody says something about an incident here.
    pub fn remark(
        &mut self,
        now: Now,
        incident: &str,
        who: &str,
        what: RemarkKind,
    ) -> Result<(), RemarkError> {
        let id = self
            .find(incident)
            .ok_or_else(|| RemarkError::Unknown(incident.to_owned()))?;
        match &what {
            RemarkKind::Note(text) if text.trim().is_empty() => return Err(RemarkError::Empty),
            RemarkKind::Note(text) if text.len() > NOTE_BYTES_MAX => {
                return Err(RemarkError::TooLong);
            }
            RemarkKind::Owned(owner) if owner.len() > WHO_BYTES_MAX => {
                return Err(RemarkError::TooLong);
            }
            _ => {}
        }
        self.sequence += 1;
        self.remarks.push(Remark {
            sequence: self.sequence,
            incident: id,
            at: now.utc,
            who: who.to_owned(),
            what,
        });
        let too_many = self.remarks.len().saturating_sub(REMARKS_MAX);
        self.remarks.drain(..too_many);
        self.news = true;
        self.wake(now);
        Ok(())
    }

    /// Time has passed.
    pub fn wake(&mut self, now: Now) {
        if let Some(view) = self.view.clone() {
            self.see(now, &view);
        }
        self.hear(now);
        self.apply_remarks();
        for life in self.lives.values_mut() {
            self.news |= life.age(now.at, now.utc);
        }
        self.forget();
        self.tell(now);
    }

    /// When to wake it.
    pub fn next_wake(&self) -> Option<Instant> {
        let view = self.view.as_ref();
        let settle = view
            .into_iter()
            .flat_map(|view| &view.verdicts)
            .filter_map(|verdict| {
                Some(self.pending.get(&verdict.id)?.first + settle(verdict.kind))
            });
        let lives = self.lives.values().filter_map(Life::next_wake);
        let hearsay = self
            .claim_since
            .values()
            .map(|since| *since + HEARSAY_AFTER);
        settle
            .chain(lives)
            .chain(hearsay)
            .chain(self.words_due)
            .min()
    }

    /// What to do; until `None`.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Unresolved first, newest first.
    pub fn view(&self) -> Vec<Incident> {
        let mut by_incident: BTreeMap<&str, Vec<(&str, &Remark)>> = BTreeMap::new();
        for (node, remark) in self.all_remarks() {
            by_incident
                .entry(&remark.incident)
                .or_default()
                .push((node, remark));
        }
        let mut lives: Vec<&Life> = self.lives.values().collect();
        lives.sort_by_key(|life| {
            (
                !life.is_live(),
                std::cmp::Reverse(life.opened_at),
                life.id.clone(),
            )
        });
        lives
            .into_iter()
            .map(|life| {
                let names = std::iter::once(&life.id).chain(&life.aliases);
                let mut remarks: Vec<_> = names
                    .filter_map(|name| by_incident.get(name.as_str()))
                    .flatten()
                    .copied()
                    .collect();
                remarks.sort_by_key(|(node, remark)| (remark.at, *node, remark.sequence));
                life.document(&remarks)
            })
            .collect()
    }

    /// For a later run of the node.
    pub fn saved(&self) -> Saved {
        Saved {
            lives: self.lives.values().cloned().collect(),
            remarks: self.remarks.clone(),
            sequence: self.sequence,
        }
    }

    fn find(&self, name: &str) -> Option<String> {
        let life = self.lives.values().find(|life| life.is_called(name))?;
        Some(life.id.clone())
    }

    fn all_remarks(&self) -> impl Iterator<Item = (&str, &Remark)> {
        let heard = self.heard.iter().filter(|(node, _)| *node != self.me);
        let heard = heard.map(|(node, remark)| (node.as_str(), remark));
        self.remarks
            .iter()
            .map(|remark| (self.me.as_str(), remark))
            .chain(heard)
    }

    fn see(&mut self, now: Now, view: &PictureView) {
        let places = Places::of(view);
        let faults: Vec<&Verdict> = view
            .verdicts
            .iter()
            .filter(|verdict| verdict.kind.is_fault())
            .take(VERDICTS_MAX)
            .collect();
        let standing: BTreeMap<&str, &Verdict> =
            faults.iter().map(|v| (v.id.as_str(), *v)).collect();
        let followed = |life: &&mut Life| life.follows(now.utc);
        for life in self.lives.values_mut().filter(followed) {
            match life.see(now.utc, &standing) {
                Seen::News => self.news = true,
                Seen::Words => {
                    self.words_due.get_or_insert(self.told_at + WORDS_EVERY);
                }
                Seen::Nothing => {}
            }
        }
        self.pending
            .retain(|id, _| standing.contains_key(id.as_str()));
        for verdict in &faults {
            let is_held = |life: &Life| life.holds(&verdict.id) && life.follows(now.utc);
            if self.lives.values().any(is_held) {
                self.pending.remove(&verdict.id);
            } else if !self.join(now, verdict, &places) {
                let first = Pending { first: now.at };
                self.pending.entry(verdict.id.clone()).or_insert(first);
            }
        }
        self.open_due(now, &faults, &places);
        for life in self.lives.values_mut().filter(|life| life.is_live()) {
            let standing = life.standing();
            if !standing.is_empty() {
                let blast = radius(&standing, view, &places);
                if life.hits(blast) {
                    self.words_due.get_or_insert(self.told_at + WORDS_EVERY);
                }
            }
        }
    }

    /// Puts a verdict to the incident that it belongs to; several become one.
    fn join(&mut self, now: Now, verdict: &Verdict, places: &Places<'_>) -> bool {
        let (cause, touch) = (hash(&cause(verdict, places)), Touch::of(verdict, places));
        let homes: Vec<String> = self
            .lives
            .values()
            .filter(|life| life.is_live() || life.may_reopen(now.utc))
            .filter(|life| life.claims(cause, &touch, places))
            .map(|life| life.id.clone())
            .collect();
        let Some(mut home) = self.unite(homes) else {
            return false;
        };
        home.attach(now.utc, verdict, places);
        self.lives.insert(home.id.clone(), home);
        self.pending.remove(&verdict.id);
        self.news = true;
        true
    }

    /// Takes these incidents out, as one.
    fn unite(&mut self, ids: Vec<String>) -> Option<Life> {
        let mut lives = ids.into_iter().filter_map(|id| self.lives.remove(&id));
        let mut first = lives.next()?;
        for other in lives {
            first.merge(other);
        }
        Some(first)
    }

    fn open_due(&mut self, now: Now, faults: &[&Verdict], places: &Places<'_>) {
        loop {
            let is_due = |verdict: &&&Verdict| {
                let pending = self.pending.get(&verdict.id);
                pending.is_some_and(|pending| now.at >= pending.first + settle(verdict.kind))
            };
            let due = faults.iter().filter(is_due);
            let Some(seed) = due.min_by_key(|v| (rank(v), v.since, v.id.clone())) else {
                return;
            };
            let mut members: Vec<&Verdict> = vec![seed];
            let mut rest: Vec<&Verdict> = faults
                .iter()
                .copied()
                .filter(|v| v.id != seed.id && self.pending.contains_key(&v.id))
                .collect();
            loop {
                let touches: Vec<Touch> = members.iter().map(|v| Touch::of(v, places)).collect();
                let (belong, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|verdict| {
                    let touch = Touch::of(verdict, places);
                    touches.iter().any(|member| member.belongs_with(&touch))
                });
                rest = others;
                if belong.is_empty() {
                    break;
                }
                members.extend(belong);
            }
            members.sort_by_key(|v| (rank(v), v.since, v.id.clone()));
            for member in &members {
                self.pending.remove(&member.id);
            }
            let name = cause(members[0], places);
            let opened_at = members.iter().map(|v| v.since).min().unwrap_or(now.utc);
            let life = Life::open(incident_id(&name, opened_at), name, &members, places);
            let life = match self.lives.remove(&life.id) {
                Some(mut former) => {
                    former.merge(life);
                    former
                }
                None => life,
            };
            self.lives.insert(life.id.clone(), life);
            self.news = true;
        }
    }

    /// What the others claim: the same incident gets the same name, and what only they saw is
    /// shown as hearsay.
    fn hear(&mut self, now: Now) {
        let claims = std::mem::take(&mut self.claims);
        let mut waiting = BTreeMap::new();
        let mut hearsay: BTreeMap<String, usize> = BTreeMap::new();
        for teller in self
            .lives
            .values()
            .filter_map(|life| life.hearsay_of.clone())
        {
            *hearsay.entry(teller).or_default() += 1;
        }
        let mut states: BTreeMap<String, (IncidentState, Option<Timestamp>)> = BTreeMap::new();
        let me = self.me.clone();
        for (node, claim) in claims.iter().filter(|(node, _)| *node != me) {
            let is_live = claim.state != IncidentState::Resolved;
            let same = |life: &&Life| {
                life.is_called(&claim.id)
                    || claim.aliases.iter().any(|alias| life.is_called(alias))
                    || is_live
                        && life.is_live()
                        && claim.causes.iter().any(|cause| life.causes.contains(cause))
            };
            let ids: Vec<String> = self
                .lives
                .values()
                .filter(same)
                .map(|l| l.id.clone())
                .collect();
            let united = ids.len() > 1;
            if let Some(mut life) = self.unite(ids) {
                self.news |= life.adopt(claim) || united;
                let state = (claim.state, claim.resolved_at);
                let held = states.entry(life.id.clone()).or_insert(state);
                *held = (*held).min(state);
                self.lives.insert(life.id.clone(), life);
                continue;
            }
            let is_recent = claim
                .resolved_at
                .is_none_or(|at| now.utc.since(at) <= CLAIM_AFTER_END);
            let count = hearsay.entry(node.clone()).or_default();
            if !is_recent || *count >= HEARSAY_MAX {
                continue;
            }
            *count += 1;
            let since = *self.claim_since.get(&claim.id).unwrap_or(&now.at);
            if now.at >= since + HEARSAY_AFTER {
                self.lives
                    .insert(claim.id.clone(), Life::hearsay(claim, node));
                states.insert(claim.id.clone(), (claim.state, claim.resolved_at));
                self.news = true;
            } else {
                waiting.insert(claim.id.clone(), since);
            }
        }
        self.claim_since = waiting;
        for life in self.lives.values_mut() {
            let (state, resolved_at) = states
                .get(&life.id)
                .copied()
                .unwrap_or((IncidentState::Resolved, None));
            self.news |= life.hear(now.utc, state, resolved_at);
        }
        self.claims = claims;
    }

    fn apply_remarks(&mut self) {
        let remarks: Vec<(String, Remark)> = self
            .all_remarks()
            .map(|(node, remark)| (node.to_owned(), remark.clone()))
            .collect();
        for (node, remark) in remarks {
            let life = self
                .lives
                .values_mut()
                .find(|life| life.is_called(&remark.incident));
            if let Some(life) = life {
                self.news |= life.apply(&node, &remark);
            }
        }
    }

    fn forget(&mut self) {
        while self.lives.len() > INCIDENTS_MAX {
            let over = self.lives.values().filter(|life| !life.is_live());
            let oldest = over
                .min_by_key(|life| life.opened_at)
                .or_else(|| self.lives.values().min_by_key(|life| life.opened_at))
                .map(|life| life.id.clone());
            let Some(id) = oldest else { break };
            self.lives.remove(&id);
        }
        let names: BTreeSet<&str> = self
            .lives
            .values()
            .flat_map(|life| std::iter::once(&life.id).chain(&life.aliases))
            .map(String::as_str)
            .collect();
        self.remarks
            .retain(|remark| names.contains(remark.incident.as_str()));
    }

    fn tell(&mut self, now: Now) {
        let words = self.words_due.is_some_and(|due| due <= now.at);
        if !self.news && !words {
            return;
        }
        if self.news {
            self.outputs.push_back(Output::Save);
        }
        self.news = false;
        self.words_due = None;
        self.told_at = now.at;
        self.outputs
            .push_back(Output::Incidents(Arc::new(self.view())));
        let mut claimed: Vec<&Life> = self
            .lives
            .values()
            .filter(|life| life.hearsay_of.is_none())
            .filter(|life| {
                life.resolved_at
                    .is_none_or(|at| now.utc.since(at) <= CLAIM_AFTER_END)
            })
            .collect();
        claimed.sort_by_key(|life| (!life.is_live(), std::cmp::Reverse(life.opened_at)));
        let claims: Vec<IncidentClaim> = claimed
            .into_iter()
            .take(CLAIMS_MAX)
            .map(Life::claim)
            .collect();
        let publish = (claims, self.remarks.clone());
        if publish != self.published {
            self.published = publish.clone();
            let (claims, remarks) = publish;
            self.outputs.push_back(Output::Publish { claims, remarks });
        }
    }
}

/// How long a verdict has to stand before it opens an incident of its own: longer where a
/// larger cause may follow, or where it may pass by itself.
fn settle(kind: VerdictKind) -> Duration {
    Duration::from_millis(match kind {
        VerdictKind::SiteCutOff | VerdictKind::PathFault | VerdictKind::Isolated => 300,
        VerdictKind::NodeDown => 1_000,
        VerdictKind::TargetDown | VerdictKind::HeartbeatMissing => 1_500,
        VerdictKind::LinkDown | VerdictKind::LinkPartial => 3_000,
        VerdictKind::Degraded | VerdictKind::IdConflict => 5_000,
        VerdictKind::ClockSkew | VerdictKind::HostBusy => 60_000,
    })
}
