//! Failing links as sentences: one link here, many that share a cause in [`super::united`].

use super::fold::{Cause, Scope};
use super::pairs::{Fault, Word};
use super::{confidence, evidence, kind_name, united, verdict};
use crate::direction::{Way, clean_loss};
use crate::path::{path_to, shows_no_hops};
use crate::roster::Roster;
use crate::standing::Standing;
use crate::words::{milliseconds, percent};
use andon_model::{Evidence, Heard, LinkReason, LinkReport, LinkState, Verdict, VerdictKind};

/// Nodes named as witnesses that both ends of a cut link live.
const WITNESSES_MAX: usize = 3;

/// The verdict on one cause.
pub fn cause(roster: &Roster<'_>, standing: &Standing<'_>, cause: &Cause<'_>) -> Verdict {
    match (cause.scope, &cause.faults[..]) {
        (Scope::Pair(..), [fault]) => one_link(roster, standing, fault),
        _ => united::many_links(roster, standing, cause),
    }
}

pub fn name<'r>(roster: &'r Roster<'_>, index: usize) -> &'r str {
    &roster.members[index].id
}

/// Which direction of a link a verdict is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// From this node to that one; the way back passes or is not known.
    OneWay {
        from: usize,
        to: usize,
        back_passes: bool,
    },
    Both,
    /// Not known, and only this node misses answers from that one.
    UnknownSeenBy {
        from: usize,
        to: usize,
    },
    /// Not known, and both ends miss answers.
    Unknown,
}

fn direction(fault: &Fault<'_>) -> Direction {
    let (low, high) = (fault.low, fault.high);
    if fault.is_slow() {
        return Direction::Unknown; // A round trip's time belongs to no direction.
    }
    match (fault.ways.there, fault.ways.back) {
        (Way::Fails, Way::Fails) => Direction::Both,
        (Way::Fails, back) => Direction::OneWay {
            from: low,
            to: high,
            back_passes: back == Way::Passes,
        },
        (there, Way::Fails) => Direction::OneWay {
            from: high,
            to: low,
            back_passes: there == Way::Passes,
        },
        _ => match &fault.words[..] {
            [word] => Direction::UnknownSeenBy {
                from: word.observer,
                to: word.far,
            },
            _ => Direction::Unknown,
        },
    }
}

fn one_link(roster: &Roster<'_>, standing: &Standing<'_>, fault: &Fault<'_>) -> Verdict {
    let direction = direction(fault);
    let (from, to) = match direction {
        Direction::OneWay { from, to, .. } | Direction::UnknownSeenBy { from, to } => (from, to),
        Direction::Both | Direction::Unknown => (fault.low, fault.high),
    };
    let (from_name, to_name) = (name(roster, from), name(roster, to));
    let arrow = match direction {
        Direction::OneWay { .. } | Direction::UnknownSeenBy { .. } => "→",
        Direction::Both | Direction::Unknown => "↔",
    };
    let mut sentence = match fault.kind {
        VerdictKind::LinkDown => cut_link(roster, fault, direction, from_name, to_name),
        VerdictKind::LinkPartial => partial_link(fault, direction, from_name, to_name),
        _ => poor_link(fault, direction, from, from_name, to_name),
    };
    let others: Vec<usize> = standing.seen[to]
        .reached_by
        .iter()
        .copied()
        .filter(|observer| *observer != from && standing.seen[from].reached_by.contains(observer))
        .take(WITNESSES_MAX)
        .collect();
    if fault.kind == VerdictKind::LinkDown && !others.is_empty() {
        sentence += " Other nodes reach both, so it is the link and not a node.";
    } else if fault.kind != VerdictKind::LinkDown {
        sentence += match (fault.words.len(), fault.contradicted) {
            (2.., _) => " Both ends see it.",
            (_, true) => " The other end sees nothing of it.",
            _ => "",
        };
    }
    let mut traced = fault
        .words
        .iter()
        .filter_map(|word| path_to(roster, word.observer, word.far))
        .peekable();
    if !fault.is_slow() && traced.peek().is_some() && traced.all(shows_no_hops) {
        sentence += " Its traces show no hops, so where on the way cannot be told.";
    }

    let mut seen: Vec<Evidence> = fault
        .words
        .iter()
        .map(|word| observation(roster, standing, word))
        .collect();
    if fault.kind == VerdictKind::LinkDown {
        for (at, of) in [(to, from), (from, to)] {
            seen.extend(hearing(roster, at, of));
        }
        seen.extend(others.iter().map(|observer| {
            evidence(
                name(roster, *observer),
                format!("reaches both {from_name} and {to_name}"),
                true,
                None,
            )
        }));
    }
    let supports = seen.iter().filter(|evidence| evidence.supports).count();
    let could = supports + usize::from(fault.contradicted);
    let subject = format!("{from_name}{arrow}{to_name}");
    let mut verdict = verdict(
        fault.kind,
        &subject,
        sentence,
        confidence(supports, could),
        seen,
        fault.since,
    );
    // The direction may become known a moment later; it is the same trouble.
    let (low, high) = (name(roster, fault.low), name(roster, fault.high));
    verdict.id = format!("{}:{low}↔{high}", kind_name(fault.kind));
    verdict.from = Some(from_name.to_owned());
    verdict.to = Some(to_name.to_owned());
    verdict
}

fn cut_link(
    roster: &Roster<'_>,
    fault: &Fault<'_>,
    direction: Direction,
    from: &str,
    to: &str,
) -> String {
    let arrives = |at: usize, of: usize| {
        roster.members[at]
            .report_on(of)
            .is_some_and(|report| report.heard == Heard::Arriving)
    };
    match direction {
        Direction::OneWay {
            back_passes: true, ..
        } => format!(
            "Nothing gets from {from} to {to}, while {to}'s own probes still arrive at {from}: one direction is cut, the way back passes."
        ),
        Direction::OneWay {
            back_passes: false, ..
        } => format!(
            "Nothing gets from {from} to {to}. Whether the way back passes is not known, since nobody probes it."
        ),
        Direction::Both => {
            format!(
                "Nothing passes between {from} and {to}, in either direction: neither hears the other's probes."
            )
        }
        _ if arrives(fault.low, fault.high) && arrives(fault.high, fault.low) => format!(
            "No answers between {from} and {to}, although probes arrive both ways: look for a filter or an address \
             translation that stops the answers."
        ),
        Direction::UnknownSeenBy { .. } => format!(
            "{from} gets no answer from {to}. Which direction is cut is not known, since {to} does not probe {from}."
        ),
        Direction::Unknown => {
            format!(
                "{from} and {to} get no answer from each other. Which direction is cut is not known."
            )
        }
    }
}

/// `from a to b`, or `between a and b` where the direction is both or not known.
fn along(direction: Direction, from: &str, to: &str) -> String {
    match direction {
        Direction::OneWay { .. } | Direction::UnknownSeenBy { .. } => {
            format!("from {from} to {to}")
        }
        Direction::Both | Direction::Unknown => format!("between {from} and {to}"),
    }
}

fn partial_link(fault: &Fault<'_>, direction: Direction, from: &str, to: &str) -> String {
    let along = along(direction, from, to);
    let flows = fault.words.iter().map(|word| word.report.flows);
    let worst = flows.max_by_key(|flows| (flows.total.saturating_sub(flows.ok), flows.total));
    let dead = worst.map(|flows| (flows.total.saturating_sub(flows.ok), flows.total));
    let mut sentence = match dead {
        Some((dead, total)) if dead > 0 => format!(
            "{dead} of {total} flows {along} die and the others pass: one of several paths is broken, or one member of a bundle."
        ),
        _ => format!("Some flows {along} die and the others pass: one of several paths is broken."),
    };
    sentence += match direction {
        Direction::OneWay {
            back_passes: true, ..
        } => " They die on the way there; the way back passes.",
        Direction::OneWay { .. } => " They die on the way there.",
        Direction::Both => " Packets die both ways.",
        _ => " On which way is not known.",
    };
    sentence
}

fn poor_link(
    fault: &Fault<'_>,
    direction: Direction,
    from_index: usize,
    from: &str,
    to: &str,
) -> String {
    if fault.is_slow() {
        return match fault.slowness() {
            Some((now, usual)) => format!(
                "The link between {from} and {to} is slow: {} round trip, usually {}.",
                milliseconds(now),
                milliseconds(usual)
            ),
            None => format!("The link between {from} and {to} answers more slowly than usual."),
        };
    }
    let to_index = if from_index == fault.low {
        fault.high
    } else {
        fault.low
    };
    let along = along(direction, from, to);
    match (fault.loss_from(from_index), fault.loss_from(to_index)) {
        (Some(there), Some(back)) => format!(
            "The link {along} loses packets: {} on the way to {to}, {} on the way back.",
            percent(there),
            percent(back)
        ),
        (Some(there), None) => format!(
            "The link {along} loses packets: {} on the way to {to}.",
            percent(there)
        ),
        (None, Some(back)) => format!(
            "The link {along} loses packets: {} on the way to {from}.",
            percent(back)
        ),
        (None, None) => {
            format!("The link {along} loses more packets than usual; on which way is not known.")
        }
    }
}

pub fn observation(roster: &Roster<'_>, standing: &Standing<'_>, word: &Word<'_>) -> Evidence {
    let far = name(roster, word.far);
    let what = match word.report.state {
        LinkState::Down if word.report.reason == Some(LinkReason::Refused) => {
            format!("is told by {far}'s host that nobody listens")
        }
        LinkState::Down => format!("gets no answer from {far}"),
        _ => figures(far, word.report),
    };
    let since = standing.started(word.observer, word.report.since);
    evidence(name(roster, word.observer), what, true, Some(since))
}

fn figures(far: &str, report: &LinkReport) -> String {
    let mut parts = Vec::new();
    if report.flows.total > 0 {
        parts.push(format!(
            "{} of {} flows answer",
            report.flows.ok.min(report.flows.total),
            report.flows.total
        ));
    }
    let loss = clean_loss(report.loss);
    parts.extend(
        loss.forward
            .map(|loss| format!("{} lost on the way there", percent(loss))),
    );
    parts.extend(
        loss.return_
            .map(|loss| format!("{} lost on the way back", percent(loss))),
    );
    if let (Some(now), Some(usual)) = (report.rtt_us.p50, report.rtt_baseline_us) {
        parts.push(format!(
            "{} round trip, usually {}",
            milliseconds(now),
            milliseconds(usual)
        ));
    }
    if parts.is_empty() {
        format!("is answered worse than usual by {far}")
    } else {
        format!("to {far}: {}", parts.join(", "))
    }
}

/// What `at` says of the probes of `of`.
fn hearing(roster: &Roster<'_>, at: usize, of: usize) -> Option<Evidence> {
    let heard = roster.members[at].report_on(of)?.heard;
    let of = name(roster, of);
    let what = match heard {
        Heard::NotExpected => return None,
        Heard::Arriving => format!("still receives {of}'s probes"),
        Heard::Silent => format!("no longer receives {of}'s probes"),
    };
    Some(evidence(name(roster, at), what, true, None))
}
