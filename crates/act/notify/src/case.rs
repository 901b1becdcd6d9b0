//! What is known of an incident: the incident itself, and who told whom.

use crate::phase::Phase;
use andon_model::{Incident, NodeKey, Picture, RemarkKind, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One incident, with what the grid says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The incident.
    pub incident: Arc<Incident>,
    /// What nodes told of it, oldest first by their clocks.
    pub told: Vec<Told>,
}

/// A node's remark that it told somebody, or could not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// When, by the clock of the node that says so.
    pub at: Timestamp,
    /// Which node.
    pub by: NodeKey,
    /// Which route.
    pub route: String,
    /// What came of it.
    pub word: Word,
}

/// What a node says of a route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// It told this, under the key of an alert where that is not the incident's id.
    Said(Phase, Option<String>),
    /// It could not.
    Failed,
}

/// Joins incidents with the remarks that travel in the grid.
pub fn cases(incidents: &[Arc<Incident>], picture: &Picture) -> Vec<Case> {
    let mut home: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, incident) in incidents.iter().enumerate() {
        for alias in &incident.aliases {
            home.insert(alias, index);
        }
    }
    // An id outranks another incident's alias.
    for (index, incident) in incidents.iter().enumerate() {
        home.insert(&incident.id, index);
    }
    let mut told: Vec<Vec<Told>> = vec![Vec::new(); incidents.len()];
    for (by, slice) in &picture.slices {
        for remark in &slice.remarks {
            let (route, word) = match &remark.what {
                RemarkKind::Notified { route, phase } => match Phase::read_remark(phase) {
                    Some((phase, key)) => (route, Word::Said(phase, key)),
                    None => continue,
                },
                RemarkKind::NotifyFailed { route, .. } => (route, Word::Failed),
                _ => continue,
            };
            if let Some(index) = home.get(remark.incident.as_str()) {
                told[*index].push(Told {
                    at: remark.at,
                    by: *by,
                    route: route.clone(),
                    word,
                });
            }
        }
    }
    let join = |(incident, mut told): (&Arc<Incident>, Vec<Told>)| {
        told.sort();
        Case {
            incident: Arc::clone(incident),
            told,
        }
    };
    incidents.iter().zip(told).map(join).collect()
}
