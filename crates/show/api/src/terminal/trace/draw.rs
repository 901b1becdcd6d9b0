//! The drawing of a trace on a terminal: the fan of ways, and beside each hop its figures.
//! Pure: figures in, text out.

use super::fan::{End, Row, RowKind, rows};
use super::tally::{HopTally, Tally};
use crate::terminal::TerminalOptions;
use crate::terminal::page::{Page, Tone};
use crate::trace::TraceFlowState;
use std::net::{IpAddr, SocketAddr};

/// Figures beside a hop: flows, loss, answered of sent, best and median round trip.
const FIGURES: [(&str, usize); 5] = [
    ("flows", 10),
    ("loss", 7),
    ("answered", 10),
    ("best", 9),
    ("median", 9),
];

/// Least columns for the hops.
const LEFT_MIN: usize = 20;

/// How the flows fare, all in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All flows live.
    Through,
    /// Some flows are dead.
    Dead,
    /// Of some, or of none, that is known.
    Unclear,
}

/// How the flows of the last round fare.
pub fn outcome(tally: &Tally) -> Outcome {
    let mut flows = tally.flows.values();
    if tally
        .flows
        .values()
        .any(|flow| flow.state == TraceFlowState::Dead)
    {
        return Outcome::Dead;
    }
    let lives = flows.all(|flow| flow.state == TraceFlowState::Alive || flow.reached);
    if lives && !tally.flows.is_empty() {
        Outcome::Through
    } else {
        Outcome::Unclear
    }
}

/// Draws all rounds so far. `remark` says what went wrong with the newest, if anything.
pub fn draw(tally: &Tally, remark: Option<&str>, options: &TerminalOptions) -> String {
    let mut page = Page::new(options);
    head(&mut page, tally);
    let rows = rows(tally);
    let all = tally.flows.len();
    let figures: usize = FIGURES.iter().map(|(_, width)| width).sum();
    let left = rows
        .iter()
        .filter(|row| !matches!(row.kind, RowKind::End { .. }))
        .map(|row| place(row, tally).chars().count())
        .max()
        .unwrap_or(0);
    let left = left.clamp(LEFT_MIN, page.width().saturating_sub(figures).max(LEFT_MIN));
    let head: String = FIGURES
        .iter()
        .map(|(name, width)| format!("{name:>width$}"))
        .collect();
    page.line(
        &[(&" ".repeat(left), Tone::Faint), (&head, Tone::Faint)],
        "",
    );
    for row in &rows {
        line(&mut page, row, tally, all, left);
    }
    foot(&mut page, tally, &rows);
    if let Some(remark) = remark {
        page.paragraph(remark, 1);
    }
    page.into_text()
}

fn head(page: &mut Page, tally: &Tally) {
    let Some(newest) = &tally.newest else { return };
    let flows = tally.flows.values();
    let number = |state| flows.clone().filter(|flow| flow.state == state).count();
    let mut words = vec![flows_in_words(tally.flows.len())];
    for (state, word) in [
        (TraceFlowState::Alive, "alive"),
        (TraceFlowState::Dead, "dead"),
        (TraceFlowState::Unknown, "unknown"),
    ] {
        match number(state) {
            0 => {}
            number => words.push(format!("{number} {word}")),
        }
    }
    let title = format!("{} → {}", newest.from, newest.to);
    page.line(
        &[(" TRACE  ", Tone::Strong), (&title, Tone::Strong)],
        &words.join(" · "),
    );
    let round = match tally.rounds {
        1 => String::new(),
        rounds => format!("round {rounds}"),
    };
    page.line(&[(&format!(" to {}", newest.address), Tone::Faint)], &round);
    page.line(&[], "");
}

/// What stands at the left of a line.
fn place(row: &Row, tally: &Tally) -> String {
    match &row.kind {
        RowKind::Hop { ttl, hop, far_end } => {
            format!(
                " {}{ttl:>2}  {}",
                row.lead,
                hop_in_words(hop, *far_end, tally)
            )
        }
        RowKind::Straight => format!(" {}straight on", row.lead),
        RowKind::End { end, before } => {
            let flows = flows_in_words(row.flows);
            let one = row.flows == 1;
            let words = match end {
                End::Nowhere => format!(
                    "✗ {flows} {} dead, and no hop answers",
                    if one { "is" } else { "are" }
                ),
                End::Dead => format!("✗ {flows} {} here", if one { "dies" } else { "die" }),
                End::TurnedBack => {
                    format!(
                        "✗ {flows} {} turned back here",
                        if one { "is" } else { "are" }
                    )
                }
                End::Hidden => format!(
                    "● {flows} {} through, unseen from here on",
                    if one { "gets" } else { "get" }
                ),
                End::Silent => format!("? {flows}: nothing answers from here on"),
            };
            let before = if before.is_empty() {
                String::new()
            } else {
                format!("; before, next was {}", before.join(" or "))
            };
            // Under the address of the hop, not under its number.
            format!(" {}    {words}{before}", row.lead)
        }
    }
}

fn hop_in_words(hop: &HopTally, far_end: bool, tally: &Tally) -> String {
    if hop.addresses.is_empty() {
        return "· · ·".to_owned();
    }
    let mut words = hop.addresses.join(" or ");
    if far_end && let Some(newest) = &tally.newest {
        let address = newest.address.as_str();
        let is_name = newest.to != address
            && newest.to.parse::<IpAddr>().is_err()
            && newest.to.parse::<SocketAddr>().is_err();
        words += &if is_name {
            format!("  {}", newest.to)
        } else {
            "  far end".to_owned()
        };
    }
    if hop.addresses.len() > 1 {
        words += "  by packet";
    }
    if hop.nat {
        words += "  NAT";
    }
    if !hop.mpls.is_empty() {
        words += &format!("  MPLS {}", hop.mpls.join("/"));
    }
    words
}

fn line(page: &mut Page, row: &Row, tally: &Tally, all: usize, left: usize) {
    let text = place(row, tally);
    let RowKind::Hop { hop, far_end, .. } = &row.kind else {
        let tone = match &row.kind {
            RowKind::End {
                end: End::Dead | End::Nowhere | End::TurnedBack,
                ..
            } => Tone::Bad,
            RowKind::End {
                end: End::Silent, ..
            } => Tone::Poor,
            RowKind::End {
                end: End::Hidden, ..
            } => Tone::Good,
            RowKind::Hop { .. } | RowKind::Straight => Tone::Faint,
        };
        return page.line(&[(&text, tone)], "");
    };
    let text: String = if text.chars().count() > left {
        text.chars()
            .take(left.saturating_sub(1))
            .chain(['…'])
            .collect()
    } else {
        format!("{text:<left$}")
    };
    let tone = match (hop.addresses.is_empty(), *far_end) {
        (true, _) => Tone::Faint,
        (false, true) => Tone::Strong,
        (false, false) => Tone::Plain,
    };
    let flows = if row.flows == all {
        all.to_string()
    } else {
        format!("{} of {all}", row.flows)
    };
    let [loss, answered, best, median] = figures(hop);
    let lossy = if hop.answered < hop.sent && !hop.addresses.is_empty() {
        Tone::Poor
    } else {
        Tone::Plain
    };
    page.line(
        &[
            (&text, tone),
            (&format!("{flows:>10}"), Tone::Plain),
            (&format!("{loss:>7}"), lossy),
            (&format!("{answered:>10}"), Tone::Faint),
            (&format!("{best:>9}"), Tone::Plain),
            (&format!("{median:>9}"), Tone::Plain),
        ],
        "",
    );
}

/// Loss, answered of sent, best and median round trip; dashes where nothing was measured.
fn figures(hop: &HopTally) -> [String; 4] {
    let dash = || "–".to_owned();
    let (loss, answered) = match hop.sent {
        0 => (dash(), dash()),
        sent => {
            // A document's figures are bounded; f64 holds them well enough for a percentage.
            let lost = (sent - hop.answered.min(sent)) as f64 / sent as f64 * 100.0;
            let loss = if lost == 0.0 || lost >= 9.95 {
                format!("{lost:.0} %")
            } else {
                format!("{lost:.1} %")
            };
            (loss, format!("{}/{sent}", hop.answered))
        }
    };
    // Whoever never answers has no loss to speak of.
    let loss = if hop.addresses.is_empty() {
        dash()
    } else {
        loss
    };
    let mut rtts: Vec<u32> = hop.rtts_us.iter().copied().collect();
    rtts.sort_unstable();
    let best = rtts.first().map_or_else(dash, |us| milliseconds(*us));
    let median = rtts
        .get(rtts.len() / 2)
        .map_or_else(dash, |us| milliseconds(*us));
    [loss, answered, best, median]
}

fn milliseconds(us: u32) -> String {
    match us {
        0..10_000 => format!("{:.2} ms", f64::from(us) / 1e3),
        10_000..100_000 => format!("{:.1} ms", f64::from(us) / 1e3),
        _ => format!("{:.0} ms", f64::from(us) / 1e3),
    }
}

fn flows_in_words(number: usize) -> String {
    if number == 1 {
        "1 flow".to_owned()
    } else {
        format!("{number} flows")
    }
}

/// What it all means, in a sentence or two.
fn foot(page: &mut Page, tally: &Tally, rows: &[Row]) {
    let all = tally.flows.len();
    let dead = tally
        .flows
        .values()
        .filter(|flow| flow.state == TraceFlowState::Dead)
        .count();
    page.line(&[], "");
    let (shape, tone, words) = match outcome(tally) {
        Outcome::Through if all == 1 => ("●", Tone::Good, "The flow gets through.".to_owned()),
        Outcome::Through => ("●", Tone::Good, format!("All {all} flows get through.")),
        Outcome::Dead if dead == all => ("✗", Tone::Bad, "No flow gets through.".to_owned()),
        Outcome::Dead => {
            let verb = if dead == 1 { "does" } else { "do" };
            let words = format!("{dead} of {} {verb} not get through.", flows_in_words(all));
            ("✗", Tone::Bad, words)
        }
        Outcome::Unclear => (
            "?",
            Tone::Poor,
            "Whether all flows get through is not known: the far end answers nothing.".to_owned(),
        ),
    };
    page.line(
        &[(" ", tone), (shape, tone), (" ", tone), (&words, tone)],
        "",
    );
    let loses = |wanted: bool| {
        rows.iter().any(|row| {
            matches!(&row.kind, RowKind::Hop { hop, far_end, .. }
                if *far_end == wanted && hop.answered < hop.sent && !hop.addresses.is_empty())
        })
    };
    if loses(false) && !loses(true) && dead == 0 {
        page.paragraph(
            "Loss at hops alone, with none at the far end, is routers that answer sparingly.",
            3,
        );
    }
}
