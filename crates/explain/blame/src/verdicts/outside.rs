//! What is wrong with what is no node: targets and GridBug neighbours.

use super::{confidence, evidence, verdict};
use crate::direction::is_conclusive;
use crate::links::is_slow_by_host;
use crate::neighbours::Bug;
use crate::nodes::TEXT_BYTES_MAX;
use crate::roster::Roster;
use crate::standing::{Standing, outage_start};
use crate::targets::Target;
use crate::words::{count, list};
use andon_model::id::to_plain_text;
use andon_model::{
    Evidence, LinkReason, LinkReport, LinkState, NodeState, Timestamp, Verdict, VerdictKind,
};

pub fn targets(
    roster: &Roster<'_>,
    standing: &Standing<'_>,
    targets: &[Target<'_>],
) -> Vec<Verdict> {
    targets
        .iter()
        .filter_map(|target| judge_target(roster, standing, target))
        .collect()
}

fn judge_target(
    roster: &Roster<'_>,
    standing: &Standing<'_>,
    target: &Target<'_>,
) -> Option<Verdict> {
    let asked: Vec<(usize, &LinkReport)> = target
        .reports
        .iter()
        .copied()
        .filter(|(observer, report)| standing.alive[*observer] && is_conclusive(report.state))
        .collect();
    let in_state = |states: &[LinkState]| -> Vec<(usize, &LinkReport)> {
        asked
            .iter()
            .copied()
            .filter(|(_, report)| states.contains(&report.state))
            .collect()
    };
    let down = in_state(&[LinkState::Down]);
    let mut poor = in_state(&[LinkState::Partial, LinkState::Degraded]);
    poor.retain(|(observer, report)| !is_slow_by_host(roster, *observer, report));
    let address = to_plain_text(&target.spec.address, TEXT_BYTES_MAX);
    let name = format!("{} ({address})", target.id);
    let all = |failing: usize| match (failing, asked.len()) {
        (1, 1) => format!(
            "{}, the only node that asks, says so",
            roster.members[asked[0].0].id
        ),
        (failing, total) => format!("{failing} of {} that ask say so", count(total, "node")),
    };

    let (kind, failing, sentence) = if down.is_empty() && poor.is_empty() {
        return None;
    } else if down.is_empty() {
        // Most askers find nothing wrong: it is the few askers' own way or host.
        if poor.len() * 2 < asked.len() {
            return None;
        }
        let sentence = format!(
            "{name} answers worse than usual{}: {}.",
            words_of(&poor),
            all(poor.len())
        );
        (VerdictKind::Degraded, poor, sentence)
    } else if target.state == NodeState::Down {
        let wrong = down
            .iter()
            .filter(|(_, report)| report.reason == Some(LinkReason::Answer))
            .count();
        let what = if wrong * 2 > down.len() {
            "answers wrongly"
        } else {
            "does not answer"
        };
        let sentence = format!("{name} {what}{}: {}.", words_of(&down), all(down.len()));
        (VerdictKind::TargetDown, down, sentence)
    } else {
        let names = |reports: &[(usize, &LinkReport)]| {
            list(
                reports
                    .iter()
                    .map(|(observer, _)| roster.members[*observer].id.as_str()),
            )
        };
        let good: Vec<(usize, &LinkReport)> = asked
            .iter()
            .copied()
            .filter(|(_, report)| report.state != LinkState::Down)
            .collect();
        let sentence = format!(
            "{name} fails for {}{}, while it answers {}. So it is the way there rather than the target.",
            names(&down),
            words_of(&down),
            names(&good)
        );
        (VerdictKind::LinkDown, down, sentence)
    };

    let subject = match (kind, &failing[..]) {
        (VerdictKind::LinkDown, [(observer, _)]) => {
            format!("{}→{}", roster.members[*observer].id, target.id)
        }
        _ => target.id.clone(),
    };
    // Others whom the target answers speak for a fault of the way, not against it.
    let could = if kind == VerdictKind::LinkDown {
        failing.len()
    } else {
        asked.len()
    };
    let mut verdict = verdict(
        kind,
        &subject,
        sentence,
        confidence(failing.len(), could),
        observations(roster, standing, &asked),
        outage_start(
            failing
                .iter()
                .map(|(observer, report)| standing.started(*observer, report.since)),
        )?,
    );
    if kind == VerdictKind::LinkDown {
        verdict.to = Some(target.id.clone());
        if let [(observer, _)] = failing[..] {
            verdict.from = Some(roster.members[observer].id.clone());
        }
    }
    Some(verdict)
}

/// The observers' own words, if they have any, most frequent first.
fn words_of(reports: &[(usize, &LinkReport)]) -> String {
    let mut details: Vec<&str> = reports
        .iter()
        .filter_map(|(_, report)| report.detail.as_deref())
        .collect();
    details.sort_unstable();
    let most = details
        .chunk_by(|a, b| a == b)
        .max_by_key(|group| group.len())
        .and_then(|group| group.first());
    most.map_or_else(String::new, |detail| {
        format!(" (“{}”)", to_plain_text(detail, TEXT_BYTES_MAX))
    })
}

fn observations(
    roster: &Roster<'_>,
    standing: &Standing<'_>,
    asked: &[(usize, &LinkReport)],
) -> Vec<Evidence> {
    let mut all: Vec<Evidence> = asked
        .iter()
        .map(|(observer, report)| {
            let what = match (report.state, report.detail.as_deref()) {
                (LinkState::Up, _) => "is answered".to_owned(),
                (_, Some(detail)) => to_plain_text(detail, TEXT_BYTES_MAX),
                (LinkState::Down, None) => "gets no answer".to_owned(),
                (_, None) => "is answered worse than usual".to_owned(),
            };
            let since: Timestamp = standing.started(*observer, report.since);
            evidence(
                &roster.members[*observer].id,
                what,
                report.state != LinkState::Up,
                Some(since),
            )
        })
        .collect();
    all.sort_by_key(|evidence| !evidence.supports);
    all
}

pub fn neighbours(roster: &Roster<'_>, standing: &Standing<'_>, bugs: &[Bug<'_>]) -> Vec<Verdict> {
    let down = bugs.iter().filter(|bug| bug.state == NodeState::Down);
    down.filter_map(|bug| {
        let living = || {
            bug.seen
                .iter()
                .filter(|(observer, _)| standing.alive[*observer])
        };
        let failing = living().filter(|(_, seen)| seen.alive == Some(false));
        let evidence: Vec<Evidence> = failing
            .map(|(observer, seen)| {
                let since = standing.started(*observer, seen.since);
                evidence(
                    &roster.members[*observer].id,
                    "gets no answer to GridBug's ping".to_owned(),
                    true,
                    Some(since),
                )
            })
            .collect();
        let agree = evidence.len();
        let sentence = format!(
            "GridBug neighbour {} ({}) does not answer {}.",
            bug.id,
            bug.host(),
            list(evidence.iter().map(|evidence| evidence.observer.as_str())),
        );
        Some(verdict(
            VerdictKind::TargetDown,
            &bug.id,
            sentence,
            confidence(agree, agree),
            evidence,
            bug.since?,
        ))
    })
    .collect()
}
