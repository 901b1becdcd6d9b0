//! What one route knows of one incident: what was told, by whomever, and what is due.

use crate::case::{Told, Word};
use crate::phase::Phase;
use crate::plan::Route;
use andon_model::{BlastRadius, Incident, IncidentState, Instant, NodeKey, Severity, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A remark may arrive before the change that it tells of is seen here.
const EARLY_MAX: Duration = Duration::from_secs(15);
/// After another node told of the end, this node may see the incident open for so long before
/// it is told as open again.
pub const END_LAG_MAX: Duration = Duration::from_secs(60);
/// Remarks of one incident that are remembered as heard.
const HEARD_MAX: usize = 512;
/// Nodes whose message was refused before the rest of the grid takes the refusal for good.
const REFUSALS_MAX: usize = 3;
/// Nodes and services by which an incident has to grow, besides doubling, to be told again.
const GROWTH_MIN: usize = 3;

/// A step that is due, or waits for its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// What is to be said.
    pub phase: Phase,
    /// Since when.
    pub since: Instant,
}

/// What one route knows of one incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// The route was told that it is there, and not yet that it is over.
    pub told_open: bool,
    /// It was told at some time.
    pub ever_told: bool,
    /// It was told that somebody has taken note.
    pub told_acknowledged: bool,
    /// The severity that was told.
    pub told_severity: Severity,
    /// Nodes and services hit, as they were told.
    pub told_extent: usize,
    /// Severity and extent of what the letter under way says.
    pub written: (Severity, usize),
    /// Deduplication key under which it was told.
    pub key: String,
    /// Keys of the same incident under its other ids.
    pub other_keys: Vec<String>,
    /// Title under which it was first told.
    pub subject: String,
    /// Start of the first symptom.
    pub opened_at: Timestamp,
    /// The message could not be delivered; the severity of the attempt.
    pub gave_up: Option<Severity>,
    /// It could not be told while it was open: why.
    pub late: Option<String>,
    /// Somebody's silence already cost it a count.
    pub suppressed: bool,
    /// Remarks that were taken into account.
    pub heard: BTreeSet<(Timestamp, NodeKey, String)>,
    /// Nodes whose message was refused.
    pub refused_by: BTreeSet<NodeKey>,
    /// Milliseconds until the next reminder, as of the last time the state was saved.
    pub remind_in_ms: Option<u64>,
    /// When the next reminder is due.
    #[serde(skip)]
    pub next_remind: Option<Instant>,
    /// When others' remarks of a phase last arrived.
    #[serde(skip)]
    pub heard_at: BTreeMap<Phase, Instant>,
    /// The step that waits.
    #[serde(skip)]
    pub pending: Option<Pending>,
    /// Held back by hours, a silence or maintenance when last looked at.
    #[serde(skip)]
    pub muted: bool,
    /// The letter under way.
    #[serde(skip)]
    pub letter: Option<u64>,
    /// Since when the incident is no longer listed.
    #[serde(skip)]
    pub absent_since: Option<Instant>,
}

impl Thread {
    /// Nothing told yet.
    pub fn new(incident: &Incident) -> Self {
        Self {
            told_open: false,
            ever_told: false,
            told_acknowledged: false,
            told_severity: incident.severity,
            told_extent: 0,
            written: (incident.severity, 0),
            key: incident.id.clone(),
            other_keys: Vec::new(),
            subject: incident.title.clone(),
            opened_at: incident.opened_at,
            gave_up: None,
            late: None,
            suppressed: false,
            heard: BTreeSet::new(),
            refused_by: BTreeSet::new(),
            remind_in_ms: None,
            next_remind: None,
            heard_at: BTreeMap::new(),
            pending: None,
            muted: false,
            letter: None,
            absent_since: None,
        }
    }

    /// What this route should be told of the incident, and since when.
    pub fn wanted(&self, incident: &Incident, route: &Route, now: Instant) -> Option<Pending> {
        let phase = match (incident.state, self.told_open) {
            (IncidentState::Open, false) => self.wants_opening(incident)?,
            (IncidentState::Open, true) => {
                if self.grew(incident) {
                    Phase::Grew
                } else if self.owes_acknowledgement(incident, route) {
                    Phase::Acknowledged
                } else {
                    return self.wants_reminder(incident, now);
                }
            }
            (IncidentState::Mitigated, true) if self.owes_acknowledgement(incident, route) => {
                Phase::Acknowledged
            }
            (IncidentState::Resolved, true) => Phase::Resolved,
            (IncidentState::Mitigated | IncidentState::Resolved, _) => return None,
        };
        let since = match self.pending {
            Some(pending) if pending.phase == phase => pending.since,
            _ => now,
        };
        Some(Pending { phase, since })
    }

    fn wants_opening(&self, incident: &Incident) -> Option<Phase> {
        let given_up = self.gave_up.is_some_and(|at| incident.severity <= at)
            || self.refused_by.len() >= REFUSALS_MAX;
        match (given_up, self.ever_told) {
            (true, _) => None,
            (false, true) => Some(Phase::Reopened),
            (false, false) => Some(Phase::Opened),
        }
    }

    fn wants_reminder(&self, incident: &Incident, now: Instant) -> Option<Pending> {
        let since = self.next_remind.filter(|at| *at <= now)?;
        let nobody = incident.acknowledged_by.is_none() && incident.owner.is_none();
        nobody.then_some(Pending {
            phase: Phase::Reminder,
            since,
        })
    }

    fn grew(&self, incident: &Incident) -> bool {
        let extent = extent(&incident.blast_radius);
        incident.severity > self.told_severity
            || (extent >= self.told_extent * 2 && extent >= self.told_extent + GROWTH_MIN)
    }

    fn owes_acknowledgement(&self, incident: &Incident, route: &Route) -> bool {
        let somebody = incident.acknowledged_by.is_some() || incident.owner.is_some();
        route.medium.keeps_alerts() && somebody && !self.told_acknowledged
    }

    /// Another node's remark of this phase came so lately that it means the change which is
    /// seen here only now.
    pub fn heard_early(&self, phase: Phase, now: Instant) -> bool {
        let early = matches!(phase, Phase::Grew | Phase::Acknowledged);
        let heard = self.heard_at.get(&phase);
        early && heard.is_some_and(|at| now.since(*at) <= EARLY_MAX)
    }

    /// The route was told this, by this node or another.
    pub fn said(&mut self, phase: Phase, incident: &Incident, route: &Route, now: Instant) {
        let remind_at = route.remind.map(|span| now + span);
        match phase {
            Phase::Opened | Phase::Reopened => {
                self.told_open = true;
                self.ever_told = true;
                self.told_acknowledged = false;
                self.gave_up = None;
                self.heard_at.remove(&Phase::Resolved);
                self.take_extent(incident);
                self.next_remind = remind_at;
            }
            Phase::Grew => {
                self.take_extent(incident);
                self.next_remind = remind_at;
            }
            Phase::Reminder => self.next_remind = remind_at,
            Phase::Acknowledged => self.told_acknowledged = true,
            Phase::Resolved => {
                self.told_open = false;
                self.told_acknowledged = false;
                self.next_remind = None;
                self.late = None;
            }
            Phase::Test => {}
        }
        if self
            .pending
            .is_some_and(|pending| answers(phase, pending.phase))
        {
            self.pending = None;
        }
    }

    /// The route will not be told this: what is told next goes on from there.
    pub fn failed(&mut self, phase: Phase, incident: &Incident, route: &Route, now: Instant) {
        match phase {
            Phase::Opened | Phase::Reopened => self.gave_up = Some(incident.severity),
            phase => self.said(phase, incident, route, now),
        }
        self.pending = None;
    }

    /// A letter about the incident as it is now was written.
    pub fn wrote(&mut self, letter: u64, incident: &Incident) {
        (self.letter, self.pending) = (Some(letter), None);
        self.written = (incident.severity, extent(&incident.blast_radius));
    }

    /// The letter was delivered: what it says was told, whatever the incident is by now.
    pub fn delivered(&mut self, phase: Phase, incident: &Incident, route: &Route, now: Instant) {
        self.said(phase, incident, route, now);
        if phase.opens() || phase == Phase::Grew {
            (self.told_severity, self.told_extent) = self.written;
        }
    }

    fn take_extent(&mut self, incident: &Incident) {
        self.told_severity = incident.severity;
        self.told_extent = extent(&incident.blast_radius);
    }

    /// Takes another node's remark into account; says whether it was not known.
    pub fn hear(&mut self, told: &Told) -> bool {
        let word = match &told.word {
            Word::Said(phase, _) => phase.as_str(),
            Word::Failed => "failed",
        };
        let known = !self.heard.insert((told.at, told.by, word.to_owned()));
        while self.heard.len() > HEARD_MAX {
            self.heard.pop_first();
        }
        !known
    }

    /// Takes into account that another node told this.
    pub fn heard_said(&mut self, phase: Phase, incident: &Incident, route: &Route, now: Instant) {
        self.heard_at.insert(phase, now);
        match (phase, incident.state) {
            // This node sees it later; whether it really goes on shows soon.
            (Phase::Resolved, IncidentState::Open) => {}
            // The other half of a healed partition tells its old news.
            (Phase::Opened | Phase::Reopened, IncidentState::Resolved) if self.ever_told => {}
            _ => self.said(phase, incident, route, now),
        }
    }

    /// Another node told it under this key.
    pub fn heard_key(&mut self, key: String) {
        if self.told_open && self.key != key {
            self.other_keys.push(key);
        } else {
            self.key = key;
        }
    }

    /// Settles what another node's word of the end means, once this node sees the end too, or
    /// sees for long that it goes on. Says whether the end was told by the other.
    pub fn settle_end(&mut self, state: IncidentState, now: Instant) -> bool {
        let Some(heard) = self.heard_at.get(&Phase::Resolved).copied() else {
            return false;
        };
        let ended = state == IncidentState::Resolved && self.told_open;
        let goes_on = state == IncidentState::Open && now.since(heard) > END_LAG_MAX;
        if ended || goes_on {
            self.told_open = false;
            self.next_remind = None;
            self.heard_at.remove(&Phase::Resolved);
        }
        ended
    }

    /// The other half of a partition, or another node alone, knew the same incident under
    /// another id: what was told of either was told of both.
    pub fn join(&mut self, other: Thread) {
        self.told_open |= other.told_open;
        self.ever_told |= other.ever_told;
        self.other_keys.push(other.key);
        self.other_keys.extend(other.other_keys);
        self.heard.extend(other.heard);
        self.letter = self.letter.or(other.letter);
        self.next_remind = self.next_remind.max(other.next_remind);
    }

    /// The incident as this route knew it, for one that no list holds any more.
    pub fn ghost(&self, id: &str) -> Incident {
        Incident {
            id: id.into(),
            aliases: Vec::new(),
            state: IncidentState::Resolved,
            severity: self.told_severity,
            title: self.subject.clone(),
            cause: String::new(),
            opened_at: self.opened_at,
            resolved_at: None,
            acknowledged_by: None,
            owner: None,
            reopened: 0,
            verdicts: Vec::new(),
            blast_radius: BlastRadius::default(),
            timeline: Vec::new(),
            status_page: String::new(),
        }
    }
}

/// Whether having been told `said` makes telling `planned` needless.
pub fn answers(said: Phase, planned: Phase) -> bool {
    said == planned || (said.opens() && planned.opens())
}

fn extent(radius: &BlastRadius) -> usize {
    radius.nodes.len() + radius.services.len()
}
