//! Raw events that are too wide for a table: each as a line of its own, or several, so that
//! nothing that someone looks for is cut off.

use super::plain::{cell, cut, safe, width};
use andon_model::query::{Answer, Cell, ColumnKind, Exemplar, ExemplarKind};
use std::collections::BTreeMap;

/// Characters of one value that are shown; `--json` has all of them.
const VALUE_MAX: usize = 2_000;
/// Blanks before the second line of a record.
const INDENT: usize = 4;
/// Columns of a line at least, however narrow the terminal.
const LINE_MIN: usize = 20;
/// From so many events on, what all of them share is told once.
const SHARED_FROM: usize = 3;
/// The attribute that needs no name.
const BODY: &str = "body";

/// Events, newest first as they come: when, what was said, and all else by name.
pub fn records(answer: &Answer, width_max: usize) -> String {
    let shared = shared(answer);
    let mut out = String::new();
    for row in &answer.rows {
        let mut when = String::from("-");
        let (mut said, mut rest) = (Vec::new(), Vec::new());
        for (index, (column, value)) in answer.columns.iter().zip(row).enumerate() {
            match value {
                value if column.kind == ColumnKind::Time => when = cell(value),
                Cell::Null => {}
                value if column.name == BODY => said.push(short(value)),
                _ if shared.contains_key(&index) => {}
                value => rest.push(pair(&column.name, value)),
            }
        }
        said.append(&mut rest);
        wrapped(&when, &said, width_max, &mut out);
    }
    if !shared.is_empty() {
        let shared: Vec<String> = shared.into_values().collect();
        wrapped("in all:", &shared, width_max, &mut out);
    }
    out
}

/// What all events of an answer have in common, by column.
fn shared(answer: &Answer) -> BTreeMap<usize, String> {
    let mut shared = BTreeMap::new();
    if answer.rows.len() < SHARED_FROM {
        return shared;
    }
    for (index, column) in answer.columns.iter().enumerate() {
        let first = answer.rows[0].get(index);
        let is_shared = answer.rows.iter().all(|row| row.get(index) == first);
        if let Some(value) = first.filter(|value| is_shared && !matches!(value, Cell::Null))
            && column.kind == ColumnKind::Key
            && column.name != BODY
        {
            shared.insert(index, pair(&column.name, value));
        }
    }
    shared
}

/// A value with all its digits.
fn short(value: &Cell) -> String {
    let text = match value {
        Cell::Value(value) => safe(&value.to_string()),
        other => cell(other),
    };
    cut(&text, VALUE_MAX)
}

fn pair(name: &str, value: &Cell) -> String {
    let mut value = short(value);
    if value.is_empty() || value.contains([' ', '"', '=']) {
        value = format!("\"{}\"", value.replace('"', "\\\""));
    }
    format!("{}={value}", safe(name))
}

/// Exemplars: why, when, and what each says.
pub fn exemplars(exemplars: &[Exemplar], width_max: usize) -> String {
    let mut out = String::new();
    for exemplar in exemplars {
        let why = match exemplar.why {
            ExemplarKind::Slowest => "slowest",
            ExemplarKind::Failed => "failed ",
            ExemplarKind::Typical => "typical",
        };
        let said: BTreeMap<_, _> = exemplar.attributes.iter().collect();
        let said = said.into_iter();
        let said: Vec<String> = said
            .map(|(name, value)| pair(name, &Cell::Value(value.clone())))
            .collect();
        let head = format!("{why}  {}", exemplar.at);
        wrapped(&head, &said, width_max, &mut out);
    }
    out
}

/// A head and parts on lines of at most so many columns, broken between parts; within one only
/// where it is longer than a line.
fn wrapped(head: &str, parts: &[String], width_max: usize, out: &mut String) {
    let width_max = width_max.max(LINE_MIN);
    out.push_str(head);
    let mut used = width(head);
    for (index, part) in parts.iter().enumerate() {
        // Two blanks after the head, one between parts.
        let gap = if index == 0 { 2 } else { 1 };
        let mut part = part.as_str();
        let fits_here = used + gap + width(part) <= width_max;
        let fits_below = INDENT + width(part) <= width_max;
        if !fits_here && (fits_below || used + gap >= width_max) {
            begin_line(out, &mut used);
        } else {
            out.push_str(&" ".repeat(gap));
            used += gap;
        }
        loop {
            let fits = head_of(part, width_max.saturating_sub(used));
            out.push_str(&part[..fits]);
            used += width(&part[..fits]);
            part = &part[fits..];
            if part.is_empty() {
                break;
            }
            begin_line(out, &mut used);
        }
    }
    out.push('\n');
}

fn begin_line(out: &mut String, used: &mut usize) {
    out.push('\n');
    out.push_str(&" ".repeat(INDENT));
    *used = INDENT;
}

/// Bytes of a text's begin that take at most so many columns; one character at least.
fn head_of(text: &str, columns: usize) -> usize {
    let mut used = 0;
    for (place, letter) in text.char_indices() {
        used += width(letter.encode_utf8(&mut [0; 4]));
        if used > columns && place > 0 {
            return place;
        }
    }
    text.len()
}
