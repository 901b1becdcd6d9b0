//! What an incident is called, and what could be told to customers of it.

use andon_model::{BlastRadius, IncidentState, Severity, Verdict};

/// Longest title, characters.
const TITLE_CHARS_MAX: usize = 140;

/// The first sentence of the leading verdict, without its details.
pub fn title(verdict: &Verdict) -> String {
    let sentence = verdict.sentence.trim();
    // A full stop within an address or a number has no space behind it.
    let end = sentence.find(". ").unwrap_or(sentence.len());
    let first = sentence[..end].trim_end_matches('.');
    let first = match first.find(": ") {
        Some(colon) if colon > 15 => &first[..colon],
        _ => first,
    };
    let mut title: String = first.chars().take(TITLE_CHARS_MAX).collect();
    if first.chars().count() > TITLE_CHARS_MAX {
        title.push('…');
    }
    title
}

/// A draft for the status page: no hosts and no addresses, only what a customer could notice.
pub fn status_page(state: IncidentState, severity: Severity, blast: &BlastRadius) -> String {
    let places = match &blast.sites[..] {
        [] => "part of our network".to_owned(),
        [one] => one.clone(),
        [one, other] => format!("{one} and {other}"),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    };
    let services = match &blast.services[..] {
        [] => String::new(),
        some => format!(" Affected: {}.", some.join(", ")),
    };
    match state {
        IncidentState::Open => {
            let effect = match (severity, blast.share) {
                (Severity::Critical, _) => "are not reachable for some or all requests",
                (Severity::Major, _) => "fail or hang for a part of the requests",
                (Severity::Minor, _) => "may be slower than usual",
            };
            format!(
                "We are investigating a network problem at {places}: connections {effect}.{services} \
                 We know where the fault is and will post again as soon as it is mended."
            )
        }
        IncidentState::Mitigated => format!(
            "The network problem at {places} no longer affects connections.{services} We keep watching it."
        ),
        IncidentState::Resolved => {
            format!("The network problem at {places} is resolved.{services}")
        }
    }
}
