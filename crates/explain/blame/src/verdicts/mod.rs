//! The fewest causes that explain what fails and are not contradicted by what works.
//!
//! In this order: [`reach`] (who is reached at all), then the hops
//! that [`crate::path`] blames, then the links among those that live ([`pairs`] finds what is wrong between two nodes, [`fold`] unites what one cause explains,
//! [`phrase`] and [`united`] say it), then [`outside`] (targets and neighbours),
//! [`heartbeats`] and [`remarks`]. An earlier
//! step takes away what it explains: no link is blamed for a dead node at its end.

mod fold;
mod heartbeats;
mod outside;
mod pairs;
mod phrase;
mod reach;
mod remarks;
mod united;

use crate::neighbours::Bug;
use crate::path::PathFaults;
use crate::roster::Roster;
use crate::standing::Standing;
use crate::targets::Target;
use andon_model::{Evidence, Timestamp, Verdict, VerdictKind};

/// Most verdicts in a document. A person reads the first few; the counts in the last sentence
/// tell of the rest.
pub const VERDICTS_MAX: usize = 200;

/// Most observations listed with a verdict. Its sentence has the full counts.
pub const EVIDENCE_MAX: usize = 16;

/// All verdicts, worst first.
pub fn all(
    roster: &Roster<'_>,
    standing: &Standing<'_>,
    targets: &[Target<'_>],
    bugs: &[Bug<'_>],
    paths: &PathFaults<'_>,
) -> Vec<Verdict> {
    let mut verdicts = match reach::isolated(roster, standing, targets) {
        Some(isolated) => vec![isolated],
        None => {
            let mut verdicts = reach::sites_and_nodes(roster, standing);
            verdicts.extend(paths.verdicts(roster, standing, targets));
            verdicts.extend(
                fold::causes(roster, standing, paths)
                    .iter()
                    .map(|cause| phrase::cause(roster, standing, cause)),
            );
            verdicts.extend(outside::targets(roster, standing, targets));
            verdicts.extend(outside::neighbours(roster, standing, bugs));
            verdicts
        }
    };
    verdicts.extend(heartbeats::all(roster, standing));
    verdicts.extend(remarks::all(roster, standing));
    verdicts.sort_by(|a, b| (rank(a.kind), a.since, &a.id).cmp(&(rank(b.kind), b.since, &b.id)));
    cut(&mut verdicts);
    verdicts
}

/// Keeps the worst and lets the last one kept say how many are not shown.
fn cut(verdicts: &mut Vec<Verdict>) {
    let more = verdicts.len().saturating_sub(VERDICTS_MAX);
    verdicts.truncate(VERDICTS_MAX);
    if let (Some(last), 1..) = (verdicts.last_mut(), more) {
        last.sentence
            .push_str(&format!(" (And {more} more verdicts, not listed.)"));
    }
}

/// What to read first.
fn rank(kind: VerdictKind) -> u8 {
    match kind {
        VerdictKind::Isolated => 0,
        VerdictKind::SiteCutOff => 1,
        VerdictKind::NodeDown => 2,
        VerdictKind::TargetDown => 3,
        VerdictKind::PathFault => 4,
        VerdictKind::LinkDown => 5,
        VerdictKind::LinkPartial => 6,
        VerdictKind::HeartbeatMissing => 7,
        VerdictKind::Degraded => 8,
        VerdictKind::IdConflict => 9,
        VerdictKind::ClockSkew => 10,
        VerdictKind::HostBusy => 11,
    }
}

/// As in JSON; heads a verdict's id.
fn kind_name(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::Isolated => "isolated",
        VerdictKind::SiteCutOff => "site_cut_off",
        VerdictKind::NodeDown => "node_down",
        VerdictKind::TargetDown => "target_down",
        VerdictKind::PathFault => "path_fault",
        VerdictKind::LinkDown => "link_down",
        VerdictKind::LinkPartial => "link_partial",
        VerdictKind::Degraded => "degraded",
        VerdictKind::HeartbeatMissing => "heartbeat_missing",
        VerdictKind::IdConflict => "id_conflict",
        VerdictKind::ClockSkew => "clock_skew",
        VerdictKind::HostBusy => "host_busy",
    }
}

/// A verdict without direction; callers add `from` and `to` where it has one.
pub fn verdict(
    kind: VerdictKind,
    subject: &str,
    sentence: String,
    confidence: f32,
    evidence: Vec<Evidence>,
    since: Timestamp,
) -> Verdict {
    let id = format!("{}:{subject}", kind_name(kind));
    let mut evidence = evidence;
    evidence.truncate(EVIDENCE_MAX);
    Verdict {
        id,
        kind,
        subject: subject.to_owned(),
        sentence,
        confidence,
        evidence,
        since,
        from: None,
        to: None,
        hops: Vec::new(),
        effect: None,
        flows: None,
        links: Vec::new(),
        services: Vec::new(),
    }
}

/// Links that one verdict names at most.
pub const LINKS_MAX: usize = 200;

/// How sure: each observer that agrees halves the doubt, each that could and does not agree
/// takes its share. In hundredths, so that equal evidence prints equal.
pub fn confidence(agree: usize, could: usize) -> f32 {
    if agree == 0 || could == 0 {
        return 0.0;
    }
    let share = agree as f64 / could.max(agree) as f64;
    let doubt = 0.5_f64.powi(i32::try_from(agree).unwrap_or(i32::MAX));
    ((share * (1.0 - doubt) * 100.0).round() / 100.0).min(0.99) as f32
}

pub fn evidence(
    observer: &str,
    observation: String,
    supports: bool,
    since: Option<Timestamp>,
) -> Evidence {
    Evidence {
        observer: observer.to_owned(),
        observation,
        supports,
        since,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_grows_with_those_who_agree_and_falls_with_those_who_do_not() {
        assert_eq!(
            [confidence(1, 1), confidence(2, 2), confidence(4, 4)],
            [0.5, 0.75, 0.94]
        );
        assert_eq!(
            [confidence(2, 4), confidence(0, 3), confidence(900, 900)],
            [0.38, 0.0, 0.99]
        );
    }
}
