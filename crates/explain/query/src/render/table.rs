//! Rows as a table, numbers to the right.

use super::plain::{cell, cut, padded, safe, width};
use andon_model::query::{Answer, Cell, ColumnKind, Exemplar, ExemplarKind};
use std::collections::BTreeMap;

/// Columns of the widest cell that is shown whole while others are cut.
const CELL_MAX: usize = 60;
/// Columns that no cell is narrower than.
const CELL_MIN: usize = 6;
/// Between two columns.
const GAP: usize = 2;

/// An answer as a table of at most `width_max` columns; raw events keep to one line each.
pub fn table(answer: &Answer, width_max: usize) -> String {
    if answer.rows.is_empty() {
        return "nothing found\n".to_owned();
    }
    let heads: Vec<String> = answer
        .columns
        .iter()
        .map(|column| safe(&column.name))
        .collect();
    let rows: Vec<Vec<String>> = answer
        .rows
        .iter()
        .map(|row| row.iter().map(cell).collect())
        .collect();
    let right: Vec<bool> = (0..heads.len())
        .map(|index| is_number(answer, index))
        .collect();
    let widths = widths(&heads, &rows, width_max);
    let mut out = String::new();
    line(&heads, &widths, &right, &mut out);
    for row in &rows {
        line(row, &widths, &right, &mut out);
    }
    out
}

fn is_number(answer: &Answer, index: usize) -> bool {
    if answer.columns[index].kind == ColumnKind::Number {
        return true;
    }
    let mut cells = answer.rows.iter().filter_map(|row| row.get(index));
    let number = |cell: &Cell| match cell {
        Cell::Value(value) => value.number().is_some(),
        Cell::Null => true,
        Cell::Bins(_) => false,
    };
    cells.all(number)
}

/// As wide as the widest cell; where that is too much, the widest columns give way first.
fn widths(heads: &[String], rows: &[Vec<String>], width_max: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = heads.iter().map(|head| width(head)).collect();
    for row in rows {
        for (widest, text) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(text));
        }
    }
    // The last column, most often the message, may take what is left.
    let last = widths.len().saturating_sub(1);
    for widest in widths.iter_mut().take(last) {
        *widest = (*widest).min(CELL_MAX);
    }
    let room = width_max.saturating_sub(GAP * last);
    while widths.iter().sum::<usize>() > room {
        let Some(widest) = widths.iter_mut().max_by_key(|width| **width) else {
            break;
        };
        if *widest <= CELL_MIN {
            break;
        }
        *widest -= 1;
    }
    widths
}

fn line(cells: &[String], widths: &[usize], right: &[bool], out: &mut String) {
    let mut text = String::new();
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            text.push_str(&" ".repeat(GAP));
        }
        let columns = widths.get(index).copied().unwrap_or(CELL_MIN);
        let right = right.get(index).copied().unwrap_or(false);
        text.push_str(&padded(&cut(cell, columns), columns, right));
    }
    out.push_str(text.trim_end());
    out.push('\n');
}

/// Exemplars, each in a line: why, when, and what it says.
pub fn exemplars(exemplars: &[Exemplar], width_max: usize) -> String {
    let mut out = String::new();
    for exemplar in exemplars {
        let why = match exemplar.why {
            ExemplarKind::Slowest => "slowest",
            ExemplarKind::Failed => "failed ",
            ExemplarKind::Typical => "typical",
        };
        let said: BTreeMap<_, _> = exemplar.attributes.iter().collect();
        let said: Vec<String> = said
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let text = format!("{why}  {}  {}", exemplar.at, safe(&said.join(" ")));
        out.push_str(&cut(&text, width_max.max(CELL_MIN)));
        out.push('\n');
    }
    out
}
