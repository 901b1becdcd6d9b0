//! Rows as a table, numbers to the right.

use super::plain::{cell, cut, padded, safe, width};
use andon_model::query::{Answer, Cell, ColumnKind};

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
    let widths = widths(answer, &heads, &rows, width_max);
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

/// Whether a table of so many columns shows every cell whole, but for the last one's end.
pub(super) fn fits(answer: &Answer, width_max: usize) -> bool {
    let widest = answer.columns.iter().enumerate().map(|(index, column)| {
        let cells = answer.rows.iter().filter_map(|row| row.get(index));
        let cells = cells.map(|value| width(&cell(value)));
        cells.chain([width(&safe(&column.name))]).max().unwrap_or(0)
    });
    let last = answer.columns.len().saturating_sub(1);
    let widest: Vec<usize> = widest.collect();
    let is_short = widest.iter().take(last).all(|width| *width <= CELL_MAX);
    is_short && widest.iter().sum::<usize>() + GAP * last <= width_max
}

/// As wide as the widest cell; where that is too much, the widest columns give way first, and
/// times never.
fn widths(answer: &Answer, heads: &[String], rows: &[Vec<String>], width_max: usize) -> Vec<usize> {
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
        let giving = widths.iter_mut().enumerate();
        let giving = giving.filter(|(index, _)| answer.columns[*index].kind != ColumnKind::Time);
        let Some((_, widest)) = giving.max_by_key(|(_, width)| **width) else {
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
