//! What an incident is called, and what could be told to customers of it.

use andon_model::{BlastRadius, IncidentState, PathEffect, Severity, Verdict, VerdictKind};

/// Longest title, characters.
const TITLE_CHARS_MAX: usize = 140;

/// A short name that stays while figures in the verdict's sentence change.
pub fn title(verdict: &Verdict) -> String {
    let subject = &verdict.subject;
    let text = match verdict.kind {
        VerdictKind::Isolated => format!("{subject} reaches nobody"),
        VerdictKind::SiteCutOff => format!("Site {subject} is cut off"),
        VerdictKind::NodeDown => format!("{subject} is down"),
        VerdictKind::TargetDown => format!("{subject} fails"),
        VerdictKind::PathFault => path_fault(verdict),
        VerdictKind::LinkDown => match (&verdict.from, &verdict.to) {
            (Some(from), Some(to)) => format!("Nothing passes from {from} to {to}"),
            _ => format!("Nothing passes on {subject}"),
        },
        VerdictKind::LinkPartial => format!("Some flows die on {subject}"),
        VerdictKind::Degraded => format!("{subject} is worse than usual"),
        VerdictKind::HeartbeatMissing => format!("Heartbeat {subject} has stopped"),
        VerdictKind::IdConflict => format!("Two nodes call themselves {subject}"),
        VerdictKind::ClockSkew => format!("The clock of {subject} is wrong"),
        VerdictKind::HostBusy => format!("{subject} is too busy"),
    };
    if text.chars().count() <= TITLE_CHARS_MAX {
        return text;
    }
    let mut short: String = text.chars().take(TITLE_CHARS_MAX).collect();
    short.push('…');
    short
}

fn path_fault(verdict: &Verdict) -> String {
    let does = match verdict.effect {
        Some(PathEffect::Loss) => "Packets are lost",
        Some(PathEffect::Latency) => "Packets are delayed",
        Some(PathEffect::Mtu) => "Large packets die",
        Some(PathEffect::Blackhole) | None => "Flows die",
    };
    let place = match &verdict.hops[..] {
        [] => "on the way".to_owned(),
        [one] => format!("at {one}"),
        [one, other] => format!("between {one} and {other}"),
        [first, .., last] => format!("between {first} and {last}"),
    };
    match (&verdict.from, &verdict.to) {
        (Some(from), Some(to)) if verdict.links.len() <= 1 => {
            format!("{does} {place} ({from} → {to})")
        }
        (Some(from), Some(to)) => format!(
            "{does} {place} ({from} → {to} and {} more)",
            verdict.links.len() - 1
        ),
        _ => format!("{does} {place}"),
    }
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
