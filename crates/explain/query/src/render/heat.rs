//! Heatmaps in blocks: time or groups to the right, values upwards on a log scale.

use super::plain::{cell, cut, grouped, number, padded, safe};
use andon_model::query::{Answer, Cell, ColumnKind};

/// Shades by how many events; the first is none.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
/// Lines of one heatmap.
const LINES: usize = 20;
/// Columns of the scale on the left.
const SCALE: usize = 9;

/// Each heatmap column of an answer as a picture of at most `width_max` columns.
pub fn heatmap(answer: &Answer, width_max: usize) -> String {
    let mut out = String::new();
    for (index, column) in answer.columns.iter().enumerate() {
        if column.kind == ColumnKind::Heatmap {
            out.push_str(&format!("{}\n", safe(&column.name)));
            out.push_str(&match answer.rows.as_slice() {
                [only] => histogram(&bins(only.get(index)), width_max),
                _ => picture(answer, index, width_max),
            });
        }
    }
    out
}

fn picture(answer: &Answer, index: usize, width_max: usize) -> String {
    let room = width_max.saturating_sub(SCALE + 2).max(1);
    let each = answer.rows.len().div_ceil(room).max(1);
    let columns: Vec<Vec<(f64, u64)>> = answer
        .rows
        .chunks(each)
        .map(|rows| rows.iter().flat_map(|row| bins(row.get(index))).collect())
        .collect();
    let all = || {
        columns
            .iter()
            .flatten()
            .filter(|(bound, count)| *bound > 0.0 && *count > 0)
    };
    let least = all().map(|(bound, _)| *bound).fold(f64::INFINITY, f64::min);
    let most = all().map(|(bound, _)| *bound).fold(0.0, f64::max);
    if most == 0.0 {
        return "nothing above zero\n".to_owned();
    }
    let (low, high) = (least.ln(), most.ln().max(least.ln() + 1e-9));
    let line_of = |bound: f64| {
        let part = (bound.ln() - low) / (high - low);
        ((part * (LINES - 1) as f64).round() as usize).min(LINES - 1)
    };
    let mut cells = vec![vec![0_u64; columns.len()]; LINES];
    let mut below = 0;
    for (at, column) in columns.iter().enumerate() {
        for (bound, count) in column {
            match *bound > 0.0 {
                true => cells[line_of(*bound)][at] += count,
                false => below += count,
            }
        }
    }
    let densest = cells.iter().flatten().copied().max().unwrap_or(0);
    let mut out = String::new();
    for line in (0..LINES).rev() {
        let scale = match line % 5 == 4 || line == 0 {
            true => scale_at(low, high, line),
            false => String::new(),
        };
        let shades: String = cells[line]
            .iter()
            .map(|count| shade(*count, densest))
            .collect();
        let line = format!("{} │{shades}", padded(&cut(&scale, SCALE), SCALE, true));
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.push_str(&format!(
        "{} └{}\n",
        " ".repeat(SCALE),
        "─".repeat(columns.len())
    ));
    let ends = [answer.rows.first(), answer.rows.last()].map(|row| name(answer, row));
    out.push_str(&format!(
        "{}  {} to {}\n",
        " ".repeat(SCALE),
        ends[0],
        ends[1]
    ));
    if below > 0 {
        out.push_str(&format!(
            "{} events at or below zero are not shown\n",
            grouped(below)
        ));
    }
    out
}

/// The values of one row alone: a bar for each step of the scale.
fn histogram(bins: &[(f64, u64)], width_max: usize) -> String {
    let above = || {
        bins.iter()
            .filter(|(bound, count)| *bound > 0.0 && *count > 0)
    };
    let least = above()
        .map(|(bound, _)| *bound)
        .fold(f64::INFINITY, f64::min);
    let most = above().map(|(bound, _)| *bound).fold(0.0, f64::max);
    if most == 0.0 {
        return "nothing above zero\n".to_owned();
    }
    let (low, high) = (least.ln(), most.ln().max(least.ln() + 1e-9));
    let mut lines = [0_u64; LINES];
    for (bound, count) in above() {
        let part = (bound.ln() - low) / (high - low);
        lines[((part * (LINES - 1) as f64).round() as usize).min(LINES - 1)] += count;
    }
    let densest = lines.iter().copied().max().unwrap_or(1).max(1);
    let counts = lines.map(grouped);
    let room = counts.iter().map(String::len).max().unwrap_or(0);
    let room = width_max.saturating_sub(SCALE + 3 + room).max(1);
    let mut out = String::new();
    for line in (0..LINES).rev() {
        let scale = padded(&cut(&scale_at(low, high, line), SCALE), SCALE, true);
        let halves = (lines[line] as f64 / densest as f64 * 2.0 * room as f64).round() as usize;
        let mut bar = "█".repeat(halves / 2) + ["", "▌"][halves % 2];
        if bar.is_empty() && lines[line] > 0 {
            bar.push('▏');
        }
        match lines[line] {
            0 => out.push_str(&format!("{scale} │\n")),
            _ => out.push_str(&format!("{scale} │{bar} {}\n", counts[line])),
        }
    }
    let below: u64 = bins
        .iter()
        .filter(|bin| bin.0 <= 0.0)
        .map(|bin| bin.1)
        .sum();
    if below > 0 {
        out.push_str(&format!(
            "{} events at or below zero are not shown\n",
            grouped(below)
        ));
    }
    out
}

/// The value at a line of the scale, without zeros at its end.
fn scale_at(low: f64, high: f64, line: usize) -> String {
    let value = (low + (high - low) * line as f64 / (LINES - 1) as f64).exp();
    let text = number(tidy(value));
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Without the last digits, which are what the logarithm left.
fn tidy(number: f64) -> f64 {
    let scale = 10_f64.powi(6 - number.abs().log10().ceil() as i32);
    (number * scale).round() / scale
}

fn bins(cell: Option<&Cell>) -> Vec<(f64, u64)> {
    match cell {
        Some(Cell::Bins(bins)) => bins.clone(),
        _ => Vec::new(),
    }
}

/// Few events are seen too, and much is told from very much: between a share and its logarithm.
fn shade(count: u64, densest: u64) -> char {
    if count == 0 {
        return SHADES[0];
    }
    let part = (count as f64 / densest.max(1) as f64).powf(0.4);
    SHADES[((part * 4.0).ceil() as usize).clamp(1, 4)]
}

fn name(answer: &Answer, row: Option<&Vec<Cell>>) -> String {
    let Some(row) = row else { return String::new() };
    let keys = row.iter().zip(&answer.columns);
    let keys = keys.filter(|(_, column)| matches!(column.kind, ColumnKind::Time | ColumnKind::Key));
    cut(
        &keys.map(|(key, _)| cell(key)).collect::<Vec<_>>().join(" "),
        40,
    )
}
