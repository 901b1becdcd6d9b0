//! The same question at an earlier time, beside: for each number what it was before, and by
//! how many percent it changed.

use super::Source;
use super::asking::{Asking, RunError};
use crate::resolve::Plan;
use andon_model::event::Value;
use andon_model::query::{Answer, Cell, Column, ColumnKind, LIMIT_MAX};
use andon_model::time::Timestamp;
use andon_store::{Direction, Order};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

/// Asks twice and puts the answers side by side. Groups that only the earlier time has are
/// rows too: what has vanished is news.
pub(super) fn run(
    plan: &Plan,
    before: Duration,
    source: &dyn Source,
    asking: &Asking<'_>,
) -> Result<Answer, RunError> {
    let limit = plan.query.limit;
    let mut query = plan.query.clone();
    // Which rows come first may depend on both times, so neither is cut before they meet.
    query.limit = LIMIT_MAX;
    let now = source.answer(&query, asking)?;
    query.from = query.from - before;
    query.to = query.to - before;
    query.exemplars = 0;
    let earlier = source.answer(&query, &asking.besides(now.stats.elapsed_ms))?;
    let mut answer = beside(now, earlier, before);
    let order = match plan.compare_order.is_empty() {
        true => &plan.query.order_by,
        false => &plan.compare_order,
    };
    if !order.is_empty() {
        sort(&mut answer, order);
    }
    answer.rows.truncate(limit);
    Ok(answer)
}

fn beside(now: Answer, earlier: Answer, before: Duration) -> Answer {
    let is_key = |column: &Column| matches!(column.kind, ColumnKind::Time | ColumnKind::Key);
    let keys = now
        .columns
        .iter()
        .take_while(|column| is_key(column))
        .count();
    let mut old: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
    let mut vanished = Vec::new();
    for row in earlier.rows {
        let name = name(&row, keys, &now.columns, before);
        vanished.push(name.clone());
        old.insert(name, row);
    }
    let mut rows = Vec::with_capacity(now.rows.len());
    for row in now.rows {
        let before_row = old.remove(&name(&row, keys, &now.columns, Duration::ZERO));
        rows.push(wide(&row, before_row.as_deref(), keys, &now.columns));
    }
    for name in vanished {
        if let Some(row) = old.remove(&name) {
            let mut gone = row.clone();
            for (cell, column) in gone.iter_mut().zip(&now.columns) {
                match column.kind {
                    ColumnKind::Time => *cell = later(cell, before),
                    ColumnKind::Key => {}
                    ColumnKind::Number | ColumnKind::Heatmap => *cell = Cell::Null,
                }
            }
            rows.push(wide(&gone, Some(&row), keys, &now.columns));
        }
    }
    let mut columns = Vec::new();
    for column in now.columns {
        let beside = column.kind == ColumnKind::Number;
        let name = column.name.clone();
        columns.push(column);
        for suffix in ["before", "change"].into_iter().filter(|_| beside) {
            columns.push(Column {
                name: format!("{name}.{suffix}"),
                kind: ColumnKind::Number,
            });
        }
    }
    let mut notes = now.notes;
    notes.extend(
        earlier
            .notes
            .into_iter()
            .map(|note| format!("at the earlier time: {note}")),
    );
    let mut stats = now.stats;
    stats.rows_scanned += earlier.stats.rows_scanned;
    stats.bytes_scanned += earlier.stats.bytes_scanned;
    stats.elapsed_ms += earlier.stats.elapsed_ms;
    Answer {
        columns,
        rows,
        exemplars: now.exemplars,
        partial: now.partial || earlier.partial,
        notes,
        stats,
        ..Answer::default()
    }
}

/// What makes a row the same row at both times.
fn name(row: &[Cell], keys: usize, columns: &[Column], before: Duration) -> String {
    let cells = row.iter().take(keys).zip(columns);
    let parts = cells.map(|(cell, column)| match column.kind {
        ColumnKind::Time => format!("{:?}", later(cell, before)),
        _ => format!("{cell:?}"),
    });
    parts.collect::<Vec<_>>().join("\u{0}")
}

fn later(cell: &Cell, by: Duration) -> Cell {
    let Cell::Value(Value::Text(text)) = cell else {
        return cell.clone();
    };
    match Timestamp::parse(text) {
        Ok(time) => Cell::Value(Value::Text((time + by).to_string())),
        Err(_) => cell.clone(),
    }
}

fn wide(row: &[Cell], before: Option<&[Cell]>, keys: usize, columns: &[Column]) -> Vec<Cell> {
    let mut out = Vec::new();
    for (index, (cell, column)) in row.iter().zip(columns).enumerate() {
        out.push(cell.clone());
        if index < keys || column.kind != ColumnKind::Number {
            continue;
        }
        let old = before
            .and_then(|row| row.get(index))
            .cloned()
            .unwrap_or(Cell::Null);
        out.push(old.clone());
        out.push(match (number(cell), number(&old)) {
            (Some(now), Some(old)) if old != 0.0 => {
                Cell::Value(Value::Float((now - old) / old.abs() * 100.0))
            }
            _ => Cell::Null,
        });
    }
    out
}

fn number(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Value(value) => value.number(),
        Cell::Null | Cell::Bins(_) => None,
    }
}

/// Sorts rows by columns; nothing comes last whichever way, and what is equal stays in place.
pub fn sort(answer: &mut Answer, orders: &[Order]) {
    let places: Vec<(usize, Direction)> = orders
        .iter()
        .filter_map(|order| {
            let mut columns = answer.columns.iter();
            let place = columns.position(|column| column.name == order.column)?;
            Some((place, order.direction))
        })
        .collect();
    answer.rows.sort_by(|left, right| {
        for (place, direction) in &places {
            let order = cells(&left[*place], &right[*place], *direction);
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    });
}

fn cells(left: &Cell, right: &Cell, direction: Direction) -> Ordering {
    let value = |cell: &Cell| match cell {
        Cell::Value(value) => Some(value.clone()),
        Cell::Null | Cell::Bins(_) => None,
    };
    let (left, right) = match (value(left), value(right)) {
        (Some(left), Some(right)) => (left, right),
        (left, right) => return right.is_some().cmp(&left.is_some()),
    };
    let kind = |value: &Value| match value {
        Value::Bool(_) => 0,
        Value::Integer(_) | Value::Float(_) => 1,
        Value::Text(_) => 2,
    };
    let order = kind(&left)
        .cmp(&kind(&right))
        .then_with(|| crate::predicate::compare(&left, &right).unwrap_or(Ordering::Equal));
    match direction {
        Direction::Ascending => order,
        Direction::Descending => order.reverse(),
    }
}
