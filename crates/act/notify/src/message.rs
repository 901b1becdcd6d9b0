//! What a message says, before any medium's form: kept in the outbox until it is delivered.

use crate::phase::Phase;
use crate::plan::Plan;
use andon_model::{Incident, Severity, Timestamp};
use serde::{Deserialize, Serialize};

/// Incidents that a message with several lists by name.
pub const LISTED_MAX: usize = 10;
/// Verdicts, pieces of evidence and lines of the timeline that travel with an incident; the
/// whole is one click away.
const VERDICTS_MAX: usize = 10;
const EVIDENCE_MAX: usize = 10;
const TIMELINE_MAX: usize = 50;
/// Other deduplication keys that are closed together with the main one.
const OTHER_KEYS_MAX: usize = 8;

/// One incident in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// Its sentence.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// Start of the first symptom.
    pub opened_at: Timestamp,
    /// Where people look at it.
    pub link: Option<String>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// What it is about.
    pub phase: Phase,
    /// Deduplication key: the incident's id; of several, that of the worst.
    pub key: String,
    /// Further keys under which the same may have been told, to be closed as well.
    pub other_keys: Vec<String>,
    /// The subject under which it was first told, so that mails form one thread.
    pub subject: String,
    /// The worst of it.
    pub severity: Severity,
    /// The incident, where it is one; shortened.
    pub incident: Option<Box<Incident>>,
    /// The incidents, worst first, at most [`LISTED_MAX`]; one, where it is one.
    pub items: Vec<Item>,
    /// Incidents beyond those listed.
    pub more: usize,
    /// When it was written.
    pub at: Timestamp,
    /// Which node tells it.
    pub by: String,
    /// It could not be told while it was open: why.
    pub late: Option<String>,
    /// Where people look at it.
    pub link: Option<String>,
}

impl Message {
    /// About one incident.
    pub fn about(phase: Phase, incident: &Incident, plan: &Plan, by: &str, at: Timestamp) -> Self {
        let item = item(incident, plan);
        Self {
            phase,
            key: incident.id.clone(),
            other_keys: Vec::new(),
            subject: incident.title.clone(),
            severity: incident.severity,
            link: item.link.clone(),
            incident: Some(Box::new(shortened(incident))),
            items: vec![item],
            more: 0,
            at,
            by: by.into(),
            late: None,
        }
    }

    /// About several, worst first. `beyond` are incidents that are not even in `incidents`.
    /// At least one incident has to be given.
    pub fn together(
        phase: Phase,
        incidents: &[&Incident],
        beyond: usize,
        plan: &Plan,
        by: &str,
        at: Timestamp,
    ) -> Option<Self> {
        let mut sorted = incidents.to_vec();
        sorted.sort_by(|a, b| {
            let order = |one: &Incident| (std::cmp::Reverse(one.severity), one.opened_at);
            (order(a), &a.id).cmp(&(order(b), &b.id))
        });
        let first = sorted.first()?;
        let mut message = Self::about(phase, first, plan, by, at);
        if sorted.len() > 1 {
            message.incident = None;
            message.items = sorted
                .iter()
                .take(LISTED_MAX)
                .map(|incident| item(incident, plan))
                .collect();
            message.more = sorted.len().saturating_sub(LISTED_MAX) + beyond;
            message.link = plan.console.clone();
        }
        Some(message)
    }

    /// Adds keys that are to be closed as well.
    pub fn close_also(&mut self, keys: impl IntoIterator<Item = String>) {
        for key in keys {
            let known = key == self.key || self.other_keys.contains(&key);
            if !known && self.other_keys.len() < OTHER_KEYS_MAX {
                self.other_keys.push(key);
            }
        }
    }

    /// How many incidents it tells of.
    pub fn count(&self) -> usize {
        self.items.len() + self.more
    }
}

fn item(incident: &Incident, plan: &Plan) -> Item {
    Item {
        id: incident.id.clone(),
        title: incident.title.clone(),
        severity: incident.severity,
        opened_at: incident.opened_at,
        link: plan.link(&incident.id),
    }
}

/// The incident as it travels: whole in its fields, short in its lists.
fn shortened(incident: &Incident) -> Incident {
    let mut short = incident.clone();
    short.verdicts.truncate(VERDICTS_MAX);
    for verdict in &mut short.verdicts {
        verdict.evidence.truncate(EVIDENCE_MAX);
    }
    let spare = short.timeline.len().saturating_sub(TIMELINE_MAX);
    // The first line tells how it began; the newest ones how it goes.
    short.timeline.drain(spare.min(1)..spare.min(1) + spare);
    short
}
