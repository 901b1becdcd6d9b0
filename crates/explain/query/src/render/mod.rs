//! Answers in a terminal: pure functions from an answer and a width to text. What came from
//! outside is shown without anything that steers a terminal.
//!
//! Read in this order: [`plain`] (cells as text), [`table`](mod@table), [`record`] (raw events), [`spark`] (series),
//! [`heat`] (heatmaps), [`trace`] (waterfalls), [`csv`](mod@csv).

pub mod csv;
pub mod heat;
pub mod plain;
pub mod record;
pub mod spark;
pub mod table;
#[cfg(test)]
mod tests;
pub mod trace;

pub use csv::csv;
pub use heat::heatmap;
pub use record::{exemplars, records};
pub use spark::sparklines;
pub use table::table;
pub use trace::waterfall;

use andon_model::query::{Answer, ColumnKind};

/// An answer in the form that suits it: heatmap, series or table; then its exemplars, and what
/// is to be said of it.
pub fn answer(answer: &Answer, width: usize) -> String {
    let has = |kind| answer.columns.iter().any(|column| column.kind == kind);
    let series = has(ColumnKind::Time) && has(ColumnKind::Number) && answer.rows.len() > 2;
    let mut out = if has(ColumnKind::Heatmap) {
        heatmap(answer, width)
    } else if series {
        sparklines(answer, width)
    } else if has(ColumnKind::Time) && !has(ColumnKind::Number) && !table::fits(answer, width) {
        records(answer, width)
    } else {
        table(answer, width)
    };
    if !answer.exemplars.is_empty() {
        out.push('\n');
        out.push_str(&exemplars(&answer.exemplars, width));
    }
    out.push_str(&footer(answer));
    out
}

/// What an answer cost, and what it lacks.
pub fn footer(answer: &Answer) -> String {
    let mut out = String::new();
    for note in &answer.notes {
        out.push_str(&format!("! {}\n", plain::safe(note)));
    }
    let stats = &answer.stats;
    out.push_str(&format!(
        "{}{} rows from {} events, {} read, {:.0} ms\n",
        if answer.partial { "partial: " } else { "" },
        answer.rows.len(),
        plain::grouped(stats.rows_scanned),
        plain::bytes(stats.bytes_scanned),
        stats.elapsed_ms,
    ));
    out
}
