//! Words, shapes and tones of states; how figures and times are written.

use super::page::{Tone, cut};
use andon_model::{LinkState, NodeState, PictureView, Timestamp};

/// Longest name shown before it is cut.
pub(super) const NAME_WIDTH_MAX: usize = 24;

/// Widest of the names, within bounds.
pub(super) fn name_width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .min(NAME_WIDTH_MAX)
}

pub(super) fn pad(name: &str, width: usize) -> String {
    let name = cut(name, width, true);
    format!("{name:<width$}")
}

pub(super) fn dash() -> String {
    "–".to_owned()
}

pub(super) fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

pub(super) fn percent(share: f32) -> String {
    let percent = share * 100.0;
    if percent == 0.0 || percent >= 9.95 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

pub(super) fn milliseconds(us: u32) -> String {
    match us {
        0..10_000 => format!("{:.2} ms", f64::from(us) / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", f64::from(us) / 1e3),
        _ => format!("{:.1} s", f64::from(us) / 1e6),
    }
}

/// `2026-11-20 03:20:00 UTC`.
pub(super) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).map_or_else(
        || text.clone(),
        |text| format!("{} UTC", text.replace('T', " ")),
    )
}

/// `for 4 min`, as of the document's making.
pub(super) fn age(view: &PictureView, since: Timestamp) -> String {
    let seconds = view.generated_at.since(since).as_secs();
    match seconds {
        0..120 => format!("for {seconds} s"),
        120..7_200 => format!("for {} min", seconds / 60),
        7_200..172_800 => format!("for {} h", seconds / 3_600),
        _ => format!("for {} d", seconds / 86_400),
    }
}

pub(super) fn node_shape(state: NodeState) -> &'static str {
    match state {
        NodeState::Up => "●",
        NodeState::Suspect => "?",
        NodeState::Down => "✗",
        NodeState::Left => "○",
    }
}

pub(super) fn node_word(state: NodeState) -> &'static str {
    match state {
        NodeState::Up => "up",
        NodeState::Suspect => "suspect",
        NodeState::Down => "down",
        NodeState::Left => "left",
    }
}

pub(super) fn node_tone(state: NodeState) -> Tone {
    match state {
        NodeState::Up => Tone::Good,
        NodeState::Suspect => Tone::Poor,
        NodeState::Down => Tone::Bad,
        NodeState::Left => Tone::Faint,
    }
}

pub(super) fn link_shape(state: LinkState) -> &'static str {
    match state {
        LinkState::Up => "●",
        LinkState::Partial => "◐",
        LinkState::Degraded => "▲",
        LinkState::Down => "✗",
        LinkState::Unknown => "?",
        LinkState::NotProbed => "·",
        LinkState::Left => "○",
    }
}

pub(super) fn link_word(state: LinkState) -> &'static str {
    match state {
        LinkState::Up => "up",
        LinkState::Partial => "partial",
        LinkState::Degraded => "degraded",
        LinkState::Down => "down",
        LinkState::Unknown => "unknown",
        LinkState::NotProbed => "not probed",
        LinkState::Left => "left",
    }
}

pub(super) fn link_tone(state: LinkState) -> Tone {
    match state {
        LinkState::Up => Tone::Good,
        LinkState::Partial | LinkState::Degraded => Tone::Poor,
        LinkState::Down => Tone::Bad,
        LinkState::Unknown | LinkState::NotProbed | LinkState::Left => Tone::Faint,
    }
}
