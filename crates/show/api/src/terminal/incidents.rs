//! The incidents that are open: what people work on, and whether somebody does.

use super::LIST_MAX;
use super::page::{Page, Tone};
use super::words::{age, count};
use andon_model::{Incident, IncidentState, PictureView, Severity};

/// Draws them; nothing where none is open.
pub(super) fn draw(page: &mut Page, view: &PictureView, incidents: &[Incident]) {
    let open: Vec<&Incident> = incidents
        .iter()
        .filter(|incident| incident.state == IncidentState::Open)
        .collect();
    if open.is_empty() {
        return;
    }
    page.rule(&count(open.len(), "open incident"));
    for incident in open.iter().take(LIST_MAX) {
        let (shape, tone, words) = severity(incident.severity);
        let head = [
            (" ", tone),
            (shape, tone),
            (" ", tone),
            (words, tone),
            (" ", tone),
            (&*incident.id, Tone::Strong),
        ];
        page.line(&head, &age(view, incident.opened_at));
        page.paragraph(&incident.title, 3);
        let (words, tone) = care(incident);
        page.line(&[("   ", tone), (&words, tone)], "");
    }
    page.more(open.len().saturating_sub(LIST_MAX), 3);
}

/// Who cares for it: what somebody who just woke up asks first.
fn care(incident: &Incident) -> (String, Tone) {
    let mut words: Vec<String> = Vec::new();
    if let Some(owner) = &incident.owner {
        words.push(format!("owned by {owner}"));
    }
    if let Some(who) = &incident.acknowledged_by {
        words.push(format!("acknowledged by {who}"));
    }
    let tone = if words.is_empty() {
        words.push("nobody has acknowledged it".to_owned());
        Tone::Poor
    } else {
        Tone::Plain
    };
    if incident.reopened > 0 {
        words.push(format!("came back {}", times(incident.reopened)));
    }
    (words.join(" · "), tone)
}

fn times(number: u32) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{number} times"),
    }
}

fn severity(severity: Severity) -> (&'static str, Tone, &'static str) {
    match severity {
        Severity::Critical => ("✗", Tone::Bad, "critical"),
        Severity::Major => ("▲", Tone::Poor, "major"),
        Severity::Minor => ("·", Tone::Faint, "minor"),
    }
}
