//! The words of a message, in plain text: short, what is wrong and where first, then the link,
//! then a draft for the status page. Media only wrap them in their form.

use crate::hours::Zone;
use crate::message::Message;
use crate::phase::Phase;
use andon_model::id::to_plain_text;
use andon_model::{Incident, Severity};
use std::time::Duration;

/// Longest subject line, bytes; mail programs show less.
const SUBJECT_BYTES_MAX: usize = 240;
/// Longest sentence taken over from an incident, bytes.
const SENTENCE_BYTES_MAX: usize = 600;
/// Names of one list that are spelt out.
const NAMES_MAX: usize = 6;
/// Pieces of evidence that are spelt out.
const EVIDENCE_MAX: usize = 3;

/// How much it matters, in a word.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Minor => "minor",
        Severity::Major => "major",
        Severity::Critical => "critical",
    }
}

/// A span of time for people: `45 s`, `2 m 5 s`, `12 m`, `1 h 30 m`, `2 d 3 h`.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes @ 0..10) => two(minutes, "m", seconds % 60, "s"),
        (0, 0, minutes) => format!("{minutes} m"),
        (0, hours, minutes) => two(hours, "h", minutes, "m"),
        (days, hours, _) => two(days, "d", hours, "h"),
    }
}

/// One line: how bad, and what.
pub fn headline(message: &Message) -> String {
    let severity = severity(message.severity);
    let tag = match message.phase {
        Phase::Opened => severity.to_owned(),
        Phase::Reopened => format!("{severity}, again"),
        Phase::Grew => format!("{severity}, grew"),
        Phase::Reminder => format!("{severity}, still open"),
        Phase::Acknowledged => "taken note of".into(),
        Phase::Resolved => "over".into(),
        Phase::Test => "test".into(),
    };
    clean(&format!("[{tag}] {}", what(message)), SUBJECT_BYTES_MAX)
}

fn what(message: &Message) -> String {
    let title = message
        .items
        .first()
        .map_or(message.subject.as_str(), |item| item.title.as_str());
    match message.count() {
        0 | 1 => title.to_owned(),
        count => format!("{count} incidents: {title}, and {} more", count - 1),
    }
}

/// The subject of all mails about an incident, so that they form one thread.
pub fn subject(message: &Message) -> String {
    let subject = match message.count() {
        0 | 1 => message.subject.clone(),
        _ => what(message),
    };
    clean(&format!("[andon] {subject}"), SUBJECT_BYTES_MAX)
}

/// The lines after the headline, without the link and the draft for the status page.
pub fn lines(message: &Message, zone: &Zone) -> Vec<String> {
    let mut lines = Vec::new();
    match &message.incident {
        Some(incident) => one(&mut lines, message, incident, zone),
        None => several(&mut lines, message, zone),
    }
    if let Some(why) = &message.late {
        let why = if why.is_empty() { "no answer" } else { why };
        lines.push(format!("It could not be told while it was open: {why}."));
    }
    lines
        .into_iter()
        .map(|line| clean(&line, SENTENCE_BYTES_MAX))
        .filter(|line| !line.is_empty())
        .collect()
}

fn one(lines: &mut Vec<String>, message: &Message, incident: &Incident, zone: &Zone) {
    if message.phase == Phase::Test {
        lines.push("Somebody tries this route. Nothing is wrong.".into());
        return;
    }
    let since = zone.show(incident.opened_at);
    let lead = incident.verdicts.first();
    if let Some(verdict) = lead.filter(|verdict| verdict.sentence != incident.title) {
        lines.push(verdict.sentence.clone());
    }
    match message.phase {
        Phase::Resolved => {
            let end = incident.resolved_at.unwrap_or(message.at);
            lines.push(format!(
                "Over since {}; it began {since} and lasted {}.",
                zone.show(end),
                span(end.since(incident.opened_at))
            ));
        }
        _ => lines.push(format!(
            "Since {since}, for {}.",
            span(message.at.since(incident.opened_at))
        )),
    }
    lines.extend(hits(incident));
    if let Some(by) = incident
        .owner
        .as_ref()
        .or(incident.acknowledged_by.as_ref())
    {
        lines.push(format!("In the hands of {by}."));
    } else if message.phase == Phase::Reminder {
        lines.push("Nobody has taken note of it yet.".into());
    }
    if message.phase == Phase::Resolved {
        return;
    }
    let evidence = lead
        .map(|verdict| verdict.evidence.as_slice())
        .unwrap_or_default();
    for piece in evidence
        .iter()
        .filter(|piece| piece.supports)
        .take(EVIDENCE_MAX)
    {
        lines.push(format!("{}: {}", piece.observer, piece.observation));
    }
}

fn several(lines: &mut Vec<String>, message: &Message, zone: &Zone) {
    for item in &message.items {
        let severity = severity(item.severity);
        let link = item.link.as_deref().map(|link| format!(" {link}"));
        lines.push(format!(
            "[{severity}] {}, since {}{}",
            item.title,
            zone.show(item.opened_at),
            link.unwrap_or_default()
        ));
    }
    if message.more > 0 {
        lines.push(format!("and {} more", message.more));
    }
}

/// What it hits; `None` where nothing is known.
fn hits(incident: &Incident) -> Option<String> {
    let radius = &incident.blast_radius;
    let mut parts = Vec::new();
    let mut list = |one: &str, many: &str, names: &[String]| match names {
        [] => {}
        [name] => parts.push(format!("{one} {name}")),
        names if names.len() <= NAMES_MAX => parts.push(format!("{many} {}", names.join(", "))),
        names => parts.push(format!(
            "{many} {} and {} more",
            names[..NAMES_MAX].join(", "),
            names.len() - NAMES_MAX
        )),
    };
    list("service", "services", &radius.services);
    list("site", "sites", &radius.sites);
    list("node", "nodes", &radius.nodes);
    match radius.links_total {
        0 => {}
        1 => parts.push("1 link".into()),
        links => parts.push(format!("{links} links")),
    }
    if let Some(flows) = radius.flows.filter(|flows| flows.total > 0) {
        parts.push(format!("{} of {} flows fail", flows.failed, flows.total));
    }
    (!parts.is_empty()).then(|| format!("Hits {}.", parts.join("; ")))
}

/// The draft for the status page, where the incident has one and it is still of use.
pub fn status_page(message: &Message) -> Option<String> {
    let incident = message.incident.as_deref()?;
    let text = clean(&incident.status_page, 2_000);
    (!text.is_empty()).then_some(text)
}

/// All of it as plain text.
pub fn whole(message: &Message, zone: &Zone) -> String {
    let mut text = headline(message);
    text.push_str("\n\n");
    text.push_str(&body(message, zone));
    text
}

/// All but the headline.
pub fn body(message: &Message, zone: &Zone) -> String {
    let mut text = String::new();
    for line in lines(message, zone) {
        text.push_str(&line);
        text.push('\n');
    }
    if let Some(link) = &message.link {
        text.push_str(&format!("\n{link}\n"));
    }
    if let Some(draft) = status_page(message) {
        text.push_str(&format!("\nFor the status page:\n{draft}\n"));
    }
    text.push_str(&format!("\n{}\n", footer(message)));
    text
}

/// Who says it, and under which key.
pub fn footer(message: &Message) -> String {
    clean(
        &format!("Told by {}, incident {}.", message.by, message.key),
        SENTENCE_BYTES_MAX,
    )
}

/// Without control characters and direction marks, and not too long.
pub fn clean(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return to_plain_text(text, bytes_max);
    }
    format!("{}…", to_plain_text(text, bytes_max.saturating_sub(3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_as_much_detail_as_people_need() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 m"),
            (115, "1 m 55 s"),
            (659, "10 m"),
            (5_400, "1 h 30 m"),
            (7_200, "2 h"),
            (183_600, "2 d 3 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn what_is_cut_says_so_and_stays_within_its_bound() {
        assert_eq!(clean("abc", 3), "abc");
        assert_eq!(clean("ab\u{202e}c", 10), "abc");
        let cut = clean(&"ä".repeat(100), 20);
        assert!(cut.ends_with('…') && cut.len() <= 20, "{cut}");
    }
}
