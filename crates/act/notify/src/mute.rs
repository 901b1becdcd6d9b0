//! What is not told although it happens: silences and maintenance windows.

use crate::hours::Hours;
use crate::plan::{Plan, like};
use andon_model::{Incident, Severity, Timestamp};
use std::collections::BTreeSet;

/// Which incidents are meant. All conditions that are given have to hold; an empty list is
/// no condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Incidents within these sites alone.
    pub sites: Vec<String>,
    /// Incidents about these nodes alone.
    pub nodes: Vec<String>,
    /// Whose cause matches one of these, `*` standing for anything.
    pub causes: Vec<String>,
    /// At most so severe.
    pub severity: Option<Severity>,
}

impl Scope {
    /// An incident that also touches something else is not covered: that is news.
    pub fn covers(&self, incident: &Incident) -> bool {
        let radius = &incident.blast_radius;
        (self.sites.is_empty() || within(&self.sites, &radius.sites, incident))
            && (self.nodes.is_empty() || within(&self.nodes, &radius.nodes, incident))
            && (self.causes.is_empty()
                || self.causes.iter().any(|cause| like(cause, &incident.cause)))
            && self
                .severity
                .is_none_or(|severity| incident.severity <= severity)
    }
}

/// A fault of a silenced node or site drags its neighbours' links into the blast radius;
/// so it is enough that every verdict is about one of them.
fn within(silenced: &[String], hit: &[String], incident: &Incident) -> bool {
    let all_hit = !hit.is_empty() && hit.iter().all(|one| silenced.contains(one));
    let about = |verdict: &andon_model::Verdict| {
        let ends = [
            Some(&verdict.subject),
            verdict.from.as_ref(),
            verdict.to.as_ref(),
        ];
        ends.into_iter().flatten().any(|one| silenced.contains(one))
    };
    all_hit || (!incident.verdicts.is_empty() && incident.verdicts.iter().all(about))
}

/// When something is maintained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// Once.
    Once {
        /// First moment.
        from: Timestamp,
        /// Moment after the last.
        until: Timestamp,
    },
    /// Every week.
    Weekly(Hours),
}

impl Window {
    /// Whether it lasts at `at`.
    pub fn contains(&self, at: Timestamp) -> bool {
        match self {
            Window::Once { from, until } => (*from..*until).contains(&at),
            Window::Weekly(hours) => hours.contain(at),
        }
    }
}

/// Why an incident is not told at `at`, for the timeline; `None` when it is.
pub fn muted(plan: &Plan, incident: &Incident, at: Timestamp) -> Option<String> {
    let working = plan
        .maintenance
        .iter()
        .find(|maintenance| maintenance.window.contains(at) && maintenance.scope.covers(incident));
    if let Some(maintenance) = working {
        return Some(format!("maintenance ({})", maintenance.reason));
    }
    let silence = plan
        .silences
        .iter()
        .find(|silence| at < silence.until && silence.scope.covers(incident))?;
    Some(format!(
        "silenced until {} ({})",
        silence.until, silence.reason
    ))
}

/// Names that a scope mentions, for showing.
pub fn describe(scope: &Scope) -> String {
    let mut parts = Vec::new();
    let mut list = |word: &str, names: &[String]| {
        if !names.is_empty() {
            let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            let names: Vec<&str> = names.into_iter().collect();
            parts.push(format!("{word} {}", names.join(", ")));
        }
    };
    list("sites", &scope.sites);
    list("nodes", &scope.nodes);
    list("causes", &scope.causes);
    if let Some(severity) = scope.severity {
        parts.push(format!("up to {}", crate::text::severity(severity)));
    }
    if parts.is_empty() {
        return "everything".into();
    }
    parts.join("; ")
}
