//! What is wrong, in sentences; of a path fault also where, how much of it, and what it does.

use super::LIST_MAX;
use super::page::{Page, Tone};
use super::words::age;
use andon_model::{PathEffect, PictureView, Verdict, VerdictKind};

/// Hops named of a set that the evidence cannot tell apart.
const HOPS_MAX: usize = 6;

/// Draws them.
pub(super) fn draw(page: &mut Page, view: &PictureView) {
    if view.verdicts.is_empty() {
        return;
    }
    let faulty = view.verdicts.iter().any(|verdict| verdict.kind.is_fault());
    page.rule(if faulty { "what is wrong" } else { "remarks" });
    for verdict in view.verdicts.iter().take(LIST_MAX) {
        let (shape, tone, words) = kind(verdict);
        let sure = format!(
            "{} · {:.0} % sure",
            age(view, verdict.since),
            verdict.confidence * 100.0
        );
        let head = [
            (" ", tone),
            (shape, tone),
            (" ", tone),
            (words, tone),
            (" ", tone),
            (&*verdict.subject, Tone::Strong),
        ];
        page.line(&head, &sure);
        page.paragraph(&verdict.sentence, 3);
        for (what, words) in place(verdict) {
            let what = format!("   {what:<8}");
            page.line(&[(&what, Tone::Faint), (&words, Tone::Plain)], "");
        }
    }
    page.more(view.verdicts.len().saturating_sub(LIST_MAX), 3);
}

/// Where a path fault is, how many flows it hits, and what it does to them, line by line.
fn place(verdict: &Verdict) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some((last, before)) = verdict.hops.split_last() {
        // The set is named nearest first: nothing within it can be told apart.
        let words = match (before, verdict.hops.len()) {
            ([], _) => last.clone(),
            ([first], _) => format!("between {first} and {last}, or at one of them"),
            (_, total) if total > HOPS_MAX => format!(
                "one of {} and {} more",
                verdict.hops[..HOPS_MAX].join(", "),
                total - HOPS_MAX
            ),
            _ => format!("one of {} and {last}", before.join(", ")),
        };
        lines.push(("where", words));
    }
    let effect = verdict.effect.map(effect_words);
    let flows = verdict
        .flows
        .map(|flows| format!("{} of {} flows", flows.failed, flows.total));
    let hit: Vec<String> = effect.map(str::to_owned).into_iter().chain(flows).collect();
    if !hit.is_empty() {
        lines.push(("effect", hit.join(" · ")));
    }
    if !verdict.services.is_empty() {
        let named: Vec<&str> = verdict
            .services
            .iter()
            .take(HOPS_MAX)
            .map(String::as_str)
            .collect();
        let more = verdict.services.len() - named.len();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        lines.push(("hits", named.join(", ") + &more));
    }
    lines
}

fn effect_words(effect: PathEffect) -> &'static str {
    match effect {
        PathEffect::Blackhole => "nothing passes",
        PathEffect::Loss => "a share is lost",
        PathEffect::Latency => "it takes longer",
        PathEffect::Mtu => "small packets pass, large ones do not",
    }
}

fn kind(verdict: &Verdict) -> (&'static str, Tone, &'static str) {
    match verdict.kind {
        VerdictKind::Isolated => ("✗", Tone::Bad, "isolated"),
        VerdictKind::SiteCutOff => ("✗", Tone::Bad, "site cut off"),
        VerdictKind::NodeDown => ("✗", Tone::Bad, "node down"),
        VerdictKind::TargetDown => ("✗", Tone::Bad, "target down"),
        VerdictKind::PathFault => ("✗", Tone::Bad, "path fault"),
        VerdictKind::LinkDown => ("✗", Tone::Bad, "link down"),
        VerdictKind::LinkPartial => ("◐", Tone::Poor, "link partial"),
        VerdictKind::Degraded => ("▲", Tone::Poor, "degraded"),
        VerdictKind::HeartbeatMissing => ("✗", Tone::Bad, "heartbeat missing"),
        VerdictKind::IdConflict => ("▲", Tone::Poor, "id conflict"),
        VerdictKind::ClockSkew => ("·", Tone::Faint, "clock skew"),
        VerdictKind::HostBusy => ("·", Tone::Faint, "host busy"),
    }
}
