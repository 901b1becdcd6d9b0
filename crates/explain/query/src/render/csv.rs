//! Answers as CSV (RFC 4180): for programs, so nothing is shortened or rounded.

use andon_model::query::{Answer, Cell};

/// An answer with a line of names first. Nothing is an empty cell; bins are JSON.
pub fn csv(answer: &Answer) -> String {
    let mut out = String::new();
    line(
        answer.columns.iter().map(|column| column.name.clone()),
        &mut out,
    );
    for row in &answer.rows {
        line(row.iter().map(cell), &mut out);
    }
    out
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Value(value) => value.to_string(),
        Cell::Bins(bins) => serde_json::to_string(bins).unwrap_or_default(),
    }
}

fn line(cells: impl Iterator<Item = String>, out: &mut String) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(',');
        }
        match cell.contains(['"', ',', '\n', '\r']) {
            true => {
                out.push('"');
                out.push_str(&cell.replace('"', "\"\""));
                out.push('"');
            }
            false => out.push_str(&cell),
        }
    }
    out.push_str("\r\n");
}
