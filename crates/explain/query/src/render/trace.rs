//! A waterfall in lines: who below whom, when, and how long.

use super::plain::{cut, number, padded, safe, width};
use crate::waterfall::{Place, Span, Waterfall};

/// Columns of bars at least.
const BARS_MIN: usize = 10;
/// Columns of a name at most.
const NAME_MAX: usize = 48;
/// Levels that are indented; deeper ones stand below each other.
const INDENT_MAX: usize = 16;

/// A trace as lines of at most about `width_max` columns.
pub fn waterfall(trace: &Waterfall, width_max: usize) -> String {
    if trace.spans.is_empty() {
        return "nothing found\n".to_owned();
    }
    let names: Vec<String> = trace.spans.iter().map(name).collect();
    let widest = names
        .iter()
        .map(|name| width(name))
        .max()
        .unwrap_or(0)
        .min(NAME_MAX);
    let room = width_max.saturating_sub(widest + 16).max(BARS_MIN);
    let mut out = format!("{}  {}\n", trace.start, duration(trace.duration_us));
    for (span, name) in trace.spans.iter().zip(&names) {
        let name = padded(&cut(name, widest), widest, false);
        let bar = bar(span, trace.duration_us, room);
        let mark = if span.failed { " ✗" } else { "" };
        let line = format!("{name} {bar} {}{mark}", duration(span.duration_us));
        out.push_str(line.trim_end());
        out.push('\n');
    }
    if trace.left_out > 0 {
        out.push_str(&format!("{} more spans are left out\n", trace.left_out));
    }
    out
}

fn name(span: &Span) -> String {
    let indent = "  ".repeat(span.depth.min(INDENT_MAX));
    let mark = match span.place {
        Place::Orphan => "? ",
        Place::Loop => "∞ ",
        Place::Root | Place::Child => "",
    };
    let service = match span.service.is_empty() {
        true => String::new(),
        false => format!("{}: ", safe(&span.service)),
    };
    format!("{indent}{mark}{service}{}", safe(&span.name))
}

fn bar(span: &Span, whole_us: u64, room: usize) -> String {
    let part = |us: u64| (us as f64 / whole_us.max(1) as f64 * room as f64).round() as usize;
    let before = part(span.offset_us).min(room - 1);
    let length = part(span.duration_us).clamp(1, room - before);
    let shape = if span.duration_us == 0 { "·" } else { "█" };
    let after = room - before - length;
    format!(
        "{}{}{}",
        " ".repeat(before),
        shape.repeat(length),
        " ".repeat(after)
    )
}

fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", number(us as f64 / 1e3)),
        _ => format!("{} s", number(us as f64 / 1e6)),
    }
}
