//! One sentence for many failing links that share a cause.

use super::fold::{Cause, Scope};
use super::pairs::Fault;
use super::phrase::{name, observation};
use super::{LINKS_MAX, confidence, kind_name, verdict};
use crate::direction::Way;
use crate::roster::Roster;
use crate::standing::Standing;
use crate::words::{count, list, percent_range};
use andon_model::{Evidence, Verdict, VerdictKind};

/// Which way packets die, relative to a scope with two sides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    In,
    Out,
    Mixed,
}

/// The verdict on a cause that explains several links.
pub fn many_links(roster: &Roster<'_>, standing: &Standing<'_>, cause: &Cause<'_>) -> Verdict {
    let (failing, total) = (cause.faults.len(), cause.faults.len() + cause.working);
    let flow = flow(roster, cause);
    let site = |site: usize| roster.sites[site].as_str();
    let quantity = if cause.working == 0 {
        format!("All {failing}")
    } else {
        format!("{failing} of {total}")
    };

    let (id_head, subject, whose) = match cause.scope {
        Scope::Node(node) => {
            let name = name(roster, node);
            let whose = match flow {
                Flow::In => format!("links into {name}"),
                Flow::Out => format!("links out of {name}"),
                Flow::Mixed => format!("links of {name}"),
            };
            ("", name.to_owned(), whose)
        }
        Scope::Sites(a, b) if a == b => (
            "site:",
            site(a).to_owned(),
            format!("links inside site {}", site(a)),
        ),
        Scope::Sites(a, b) => match flow {
            Flow::In => (
                "site:",
                format!("{}→{}", site(a), site(b)),
                format!("links from site {} to site {}", site(a), site(b)),
            ),
            Flow::Out => (
                "site:",
                format!("{}→{}", site(b), site(a)),
                format!("links from site {} to site {}", site(b), site(a)),
            ),
            Flow::Mixed => (
                "site:",
                format!("{}↔{}", site(a), site(b)),
                format!("links between sites {} and {}", site(a), site(b)),
            ),
        },
        Scope::Uplink(a) => {
            let whose = match flow {
                Flow::In => format!("links into site {}", site(a)),
                Flow::Out => format!("links out of site {}", site(a)),
                Flow::Mixed => format!("links between site {} and the others", site(a)),
            };
            ("site:", site(a).to_owned(), whose)
        }
        Scope::Grid | Scope::Pair(..) => ("", "grid".to_owned(), "links of the grid".to_owned()),
    };
    let sentence = format!(
        "{quantity} {whose} {}{}. {}",
        ailment(cause),
        figures_of_many(cause),
        why(roster, cause)
    );
    let evidence: Vec<Evidence> = cause
        .faults
        .iter()
        .flat_map(|fault| &fault.words)
        .map(|word| observation(roster, standing, word))
        .collect();
    let since = cause
        .faults
        .iter()
        .map(|fault| fault.since)
        .min()
        .unwrap_or_default();
    let mut verdict = verdict(
        cause.kind,
        &subject,
        sentence,
        confidence(failing, total),
        evidence,
        since,
    );
    verdict.id = format!("{}:{id_head}{subject}", kind_name(cause.kind));
    verdict.links = cause
        .faults
        .iter()
        .flat_map(|fault| &fault.words)
        .map(|word| format!("{}→{}", name(roster, word.observer), name(roster, word.far)))
        .collect();
    verdict.links.sort_unstable();
    verdict.links.truncate(LINKS_MAX);
    (verdict.from, verdict.to) = match (cause.scope, flow) {
        (Scope::Sites(a, b), Flow::Out) if a != b => {
            (Some(site(b).to_owned()), Some(site(a).to_owned()))
        }
        (Scope::Sites(a, b), _) if a != b => (Some(site(a).to_owned()), Some(site(b).to_owned())),
        (Scope::Node(_) | Scope::Uplink(_), Flow::In) => (None, Some(subject)),
        (Scope::Node(_) | Scope::Uplink(_), Flow::Out) => (Some(subject), None),
        _ => (None, None),
    };
    verdict
}

/// Whether all faults agree on one way: into the scope (for two sites: from the first to the
/// second), or out of it.
fn flow(roster: &Roster<'_>, cause: &Cause<'_>) -> Flow {
    let inner = |fault: &Fault| match cause.scope {
        Scope::Node(node) => Some(node),
        Scope::Sites(a, b) if a == b => None,
        Scope::Sites(_, site) | Scope::Uplink(site) => [fault.low, fault.high]
            .into_iter()
            .find(|end| roster.members[*end].site == site),
        Scope::Grid | Scope::Pair(..) => None,
    };
    let agree = |outward: bool| {
        cause.faults.iter().all(|fault| {
            let Some(inner) = inner(fault) else {
                return false;
            };
            let outer = if inner == fault.low {
                fault.high
            } else {
                fault.low
            };
            let (here, there) = if outward {
                (inner, outer)
            } else {
                (outer, inner)
            };
            fault.way_from(here) == Way::Fails && fault.way_from(there) != Way::Fails
        })
    };
    match (agree(false), agree(true)) {
        (true, false) => Flow::In,
        (false, true) => Flow::Out,
        _ => Flow::Mixed,
    }
}

fn ailment(cause: &Cause<'_>) -> &'static str {
    match cause.kind {
        VerdictKind::LinkDown => "carry nothing",
        VerdictKind::LinkPartial => "lose some of their flows",
        _ if cause.faults.iter().all(Fault::is_slow) => "are slow",
        _ => "lose packets",
    }
}

fn figures_of_many(cause: &Cause<'_>) -> String {
    if cause.kind == VerdictKind::LinkDown {
        return String::new();
    }
    if cause.kind == VerdictKind::LinkPartial {
        let words = cause.faults.iter().flat_map(|fault| &fault.words);
        let (dead, total) = words.fold((0, 0), |(dead, total), word| {
            let flows = word.report.flows;
            let gone = u32::from(flows.total.saturating_sub(flows.ok));
            (dead + gone, total + u32::from(flows.total))
        });
        return format!(": {dead} of {total}");
    }
    if cause.faults.iter().all(Fault::is_slow) {
        let ratios = cause
            .faults
            .iter()
            .filter_map(Fault::slowness)
            .filter(|(_, usual)| *usual > 0);
        let ratios: Vec<f64> = ratios
            .map(|(now, usual)| f64::from(now) / f64::from(usual))
            .collect();
        let least = ratios.iter().copied().min_by(f64::total_cmp);
        let most = ratios.iter().copied().max_by(f64::total_cmp);
        return match (least, most) {
            (Some(least), Some(most)) => {
                let (least, most) = (format!("{least:.1}"), format!("{most:.1}"));
                let range = if least == most {
                    most
                } else {
                    format!("{least} to {most}")
                };
                format!(": {range} times their usual round trip")
            }
            _ => String::new(),
        };
    }
    let worst = |fault: &Fault| {
        let losses = [fault.loss_from(fault.low), fault.loss_from(fault.high)];
        losses.into_iter().flatten().max_by(f32::total_cmp)
    };
    let losses: Vec<f32> = cause.faults.iter().filter_map(worst).collect();
    match (
        losses.iter().copied().min_by(f32::total_cmp),
        losses.iter().copied().max_by(f32::total_cmp),
    ) {
        (Some(least), Some(most)) => format!(": {}", percent_range(least, most)),
        _ => String::new(),
    }
}

fn why(roster: &Roster<'_>, cause: &Cause<'_>) -> String {
    let mut observers: Vec<usize> = cause
        .faults
        .iter()
        .flat_map(|fault| &fault.words)
        .map(|word| word.observer)
        .collect();
    observers.sort_unstable();
    observers.dedup();
    let others = observers
        .iter()
        .copied()
        .filter(|observer| cause.scope != Scope::Node(*observer));
    let names = list(others.map(|observer| name(roster, observer)));
    let faults = count(cause.faults.len(), "broken link");
    let place = match cause.scope {
        Scope::Node(node) => format!(
            "One cause at {} explains it better than {faults}",
            name(roster, node)
        ),
        Scope::Sites(a, b) if a == b => format!(
            "One cause in site {} explains it better than {faults}",
            roster.sites[a]
        ),
        Scope::Sites(..) => {
            format!("One cause on the way between them explains it better than {faults}")
        }
        Scope::Uplink(a) => format!(
            "One cause at site {}'s uplink explains it better than {faults}",
            roster.sites[a]
        ),
        Scope::Grid | Scope::Pair(..) => "Look for what they share".to_owned(),
    };
    format!("Seen by {names}. {place}.")
}
