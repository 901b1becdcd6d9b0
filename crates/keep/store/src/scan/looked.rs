//! Values that a row has no column for: another dataset's that are taken beside, and those of
//! keys beyond the columns of a batch.

use super::lane::Lane;
use crate::batch::read_rest;
use crate::column::{Column, ColumnType, Dict, Values};
use crate::plan::{Lookup, LookupRow};
use andon_model::event::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Codes of one dictionary turned into codes of another.
pub(super) struct CodeTable {
    pub(super) codes: Vec<u16>,
    pub(super) dict: Arc<Dict>,
}

/// The values of one key among attributes that have no column of their own.
pub(super) fn rest_columns(rest: &Lane, name: &str, rows: usize) -> Vec<Lane> {
    let mut made: BTreeMap<ColumnType, Column> = BTreeMap::new();
    let texts = rest.values();
    let wanted = serde_json::to_string(name).unwrap_or_default();
    for row in 0..rows as u32 {
        let Some(place) = rest.place(row) else {
            continue;
        };
        let text = texts.text(place);
        if !text.contains(&wanted) {
            continue;
        }
        let found = read_rest(text).into_iter().find(|(key, _)| key == name);
        if let Some((_, value)) = found {
            push(&mut made, row, &value);
        }
    }
    let lane = |column| Lane::own(column, rows);
    made.into_values().map(lane).collect()
}

pub(super) fn push(columns: &mut BTreeMap<ColumnType, Column>, row: u32, value: &Value) {
    let kind = ColumnType::of(value);
    let column = columns.entry(kind).or_insert_with(|| Column::empty(kind));
    if !column.mark(row as usize) {
        return;
    }
    match (&mut column.values, value) {
        (Values::Bool(values), Value::Bool(value)) => values.push(*value),
        (Values::Integer(values), Value::Integer(value)) => values.push(*value),
        (Values::Float(values), Value::Float(value)) => values.push(*value),
        (_, Value::Text(text)) => column.push_text(text),
        _ => {}
    }
}

/// What one value of the joined key stands for.
#[derive(Clone, Copy)]
enum Found<'a> {
    Nothing,
    One(&'a Value),
    /// It depends on when.
    Several(&'a [LookupRow]),
}

fn find<'a>(lookup: &'a Lookup, column: usize, on: &str) -> Found<'a> {
    let value = |row: &'a LookupRow| row.values.get(column).and_then(Option::as_ref);
    match lookup.rows.get(on).map(Vec::as_slice) {
        None | Some([]) => Found::Nothing,
        Some(rows) => {
            let first = value(&rows[0]);
            match rows.iter().all(|row| value(row) == first) {
                true => first.map_or(Found::Nothing, Found::One),
                false => Found::Several(rows),
            }
        }
    }
}

fn resolve<'a>(found: Found<'a>, column: usize, at: i64) -> Option<&'a Value> {
    match found {
        Found::Nothing => None,
        Found::One(value) => Some(value),
        Found::Several(rows) => {
            let after = rows.partition_point(|row| row.at.0 <= at);
            rows[after.saturating_sub(1)].values.get(column)?.as_ref()
        }
    }
}

/// A looked-up key's columns, for the rows that are not `taken`.
pub(super) fn looked_up(
    lookup: &Lookup,
    column: usize,
    on: &[Lane],
    at: &[i64],
    taken: Option<&[bool]>,
) -> Vec<Lane> {
    let rows = at.len();
    let mut made: BTreeMap<ColumnType, Column> = BTreeMap::new();
    for lane in on {
        let known: Vec<Found<'_>> = match lane.values() {
            Values::Codes { dict, .. } => {
                let texts = dict.texts().iter();
                texts.map(|text| find(lookup, column, text)).collect()
            }
            _ => Vec::new(),
        };
        for (row, &at) in at.iter().enumerate() {
            if taken.is_some_and(|taken| taken[row]) {
                continue;
            }
            let Some(place) = lane.place(row as u32) else {
                continue;
            };
            let found = match lane.values() {
                Values::Codes { codes, .. } => known[usize::from(codes[place])],
                Values::Text(texts) => find(lookup, column, texts.get(place)),
                values => find(lookup, column, &values.get(place).to_string()),
            };
            if let Some(value) = resolve(found, column, at) {
                push(&mut made, row as u32, value);
            }
        }
    }
    let lane = |column| Lane::own(column, rows);
    made.into_values().map(lane).collect()
}

/// What each text of a dictionary stands for, where that is always one other text.
pub(super) fn code_table(lookup: &Lookup, column: usize, dict: &Dict) -> Option<CodeTable> {
    let mut taken = Dict::default();
    let mut codes = Vec::with_capacity(dict.len());
    for text in dict.texts().iter() {
        match find(lookup, column, text) {
            Found::One(Value::Text(text)) => {
                codes.push(taken.intern(text, crate::column::DICT_MAX)? as u16);
            }
            _ => return None,
        }
    }
    let dict = Arc::new(taken);
    Some(CodeTable { codes, dict })
}
