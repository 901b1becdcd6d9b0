//! What ClickHouse answers, as rows of the one model.

use crate::bins;
use crate::error::{ClickHouseError, exception, one_line};
use crate::layout::{Hot, hot, whole};
use crate::select::{Output, Select, event_columns};
use andon_model::event::{Event, Value};
use andon_model::query::{Calc, CalcOp, Cell};
use andon_model::time::Timestamp;
use andon_store::{Lookup, ResolvedQuery};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Rows as JSONCompact has them, and what they cost.
#[derive(Debug, Default, Deserialize)]
pub struct Rows {
    /// Cells in the order of the statement.
    pub data: Vec<Vec<Json>>,
    /// What was read.
    #[serde(default)]
    pub statistics: Statistics,
}

/// What a statement cost.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub struct Statistics {
    /// Rows looked at.
    #[serde(default)]
    pub rows_read: u64,
    /// Bytes of columns read.
    #[serde(default)]
    pub bytes_read: u64,
}

/// Reads an answer. An error that came after the begin of it is found in its place.
pub fn read(bytes: &[u8], server: &str) -> Result<Rows, ClickHouseError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let tail = &bytes[bytes.len().saturating_sub(4_096)..];
        match exception(&String::from_utf8_lossy(tail)) {
            Some((code, message)) => ClickHouseError::Refused {
                server: server.to_owned(),
                code,
                message,
            },
            None => ClickHouseError::Garbled {
                server: server.to_owned(),
                reason: one_line(&error.to_string()),
            },
        }
    })
}

/// A number, also where it is written as a text: whole ones of 64 bits, and what has no end.
pub fn number(json: &Json) -> f64 {
    match json {
        Json::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Json::String(text) => text.parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

/// A whole number.
pub fn integer(json: &Json) -> i64 {
    match json {
        Json::Number(number) => number.as_i64().unwrap_or(0),
        Json::String(text) => text.parse().unwrap_or(0),
        _ => 0,
    }
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

/// What a text in the form of [`crate::key::Key::typed`] stands for.
pub fn typed(typed: &str) -> Option<Value> {
    let rest = typed.get(1..)?;
    Some(match typed.as_bytes()[0] {
        b't' => Value::Text(rest.to_owned()),
        b'i' => Value::Integer(rest.parse().ok()?),
        b'f' => Value::Float(rest.parse().ok()?),
        b'b' => Value::Bool(rest == "1"),
        _ => return None,
    })
}

/// Rows of groups.
pub fn groups(
    rows: &Rows,
    select: &Select,
    query: &ResolvedQuery,
    totals: Option<&Totals>,
) -> Vec<Vec<Cell>> {
    let steps: Vec<usize> = select
        .outputs
        .iter()
        .map(|(_, column)| heatmap_steps(rows, *column))
        .collect();
    let mut out = Vec::with_capacity(rows.data.len());
    for row in &rows.data {
        let mut part = 0;
        let outputs = select.outputs.iter().zip(&steps);
        let cells = outputs.map(|((output, column), steps)| {
            let json = row.get(*column).unwrap_or(&Json::Null);
            match output {
                Output::Time => Cell::Value(Value::Text(Timestamp(integer(json)).to_string())),
                Output::Key => typed(text(json)).map_or(Cell::Null, Cell::Value),
                Output::Whole => Cell::Value(Value::Integer(integer(json))),
                Output::Number => float(number(json)),
                Output::Quantile { place } => {
                    let bin = list(json).get(*place).map_or(f64::NAN, number);
                    float(bins::middle(bin))
                }
                Output::Bins => bins_of(json, *steps),
                Output::Part => {
                    let bucket = query.bucket.and(row.first()).map_or(0, integer);
                    let whole = totals.and_then(|totals| totals.get(bucket, part));
                    let whole = whole.filter(|whole| *whole != 0.0);
                    part += 1;
                    float(whole.map_or(f64::NAN, |whole| number(json) * 100.0 / whole))
                }
            }
        });
        out.push(cells.collect());
    }
    out
}

fn float(number: f64) -> Cell {
    match number.is_nan() {
        true => Cell::Null,
        false => Cell::Value(Value::Float(number)),
    }
}

/// Bins of a cell and their counts, lowest first.
fn pairs(json: &Json) -> Vec<(f64, u64)> {
    let both = list(json);
    let (Some(bins), Some(counts)) = (both.first(), both.get(1)) else {
        return Vec::new();
    };
    let pairs = list(bins).iter().zip(list(counts));
    let count = |json: &Json| u64::try_from(integer(json)).unwrap_or(0);
    let mut pairs: Vec<(f64, u64)> = pairs.map(|(bin, n)| (number(bin), count(n))).collect();
    pairs.sort_by(|left, right| left.0.total_cmp(&right.0));
    pairs
}

/// Steps a doubling with which all rows' bins together are few enough.
fn heatmap_steps(rows: &Rows, column: usize) -> usize {
    let cells = rows.data.iter().filter_map(|row| row.get(column));
    let all: Vec<f64> = cells.flat_map(pairs).map(|(bin, _)| bin).collect();
    bins::steps(&all)
}

fn bins_of(json: &Json, steps: usize) -> Cell {
    let mut coarse: Vec<(f64, u64)> = Vec::new();
    for (bin, count) in pairs(json) {
        let bound = bins::lower(bin, steps);
        match coarse.last_mut() {
            Some((last, sum)) if *last == bound => *sum += count,
            _ => coarse.push((bound, count)),
        }
    }
    Cell::Bins(coarse)
}

/// The wholes that parts are parts of, by bucket.
#[derive(Debug, Default)]
pub struct Totals(BTreeMap<i64, Vec<f64>>);

impl Totals {
    /// Reads the answer to [`crate::select::totals`].
    pub fn of(rows: &Rows) -> Self {
        let rows = rows.data.iter().filter_map(|row| {
            let (bucket, wholes) = row.split_first()?;
            Some((integer(bucket), wholes.iter().map(number).collect()))
        });
        Self(rows.collect())
    }

    fn get(&self, bucket: i64, part: usize) -> Option<f64> {
        self.0
            .get(&bucket)
            .and_then(|wholes| wholes.get(part))
            .copied()
    }
}

/// Whether a group that has nothing in it is a row: a question without groups has one row.
pub fn empty_row(query: &ResolvedQuery) -> Vec<Cell> {
    let cell = |calc: &Calc| match calc.op {
        CalcOp::Count | CalcOp::Distinct => Cell::Value(Value::Integer(0)),
        CalcOp::Rate => Cell::Value(Value::Float(0.0)),
        _ => Cell::Null,
    };
    query.calcs.iter().map(cell).collect()
}

/// Raw events as [`crate::select::events`] asks for them; what a join brings is set as
/// `<dataset>.<key>`, and as `<key>` where the event has none of that name.
pub fn events(rows: &Rows, lookup: Option<&Lookup>) -> Vec<Event> {
    let names = event_columns();
    let events = rows.data.iter().map(|row| {
        let cells: BTreeMap<&str, &Json> = names.iter().map(String::as_str).zip(row).collect();
        let mut event = event(&cells);
        if let Some(lookup) = lookup {
            for (take, json) in lookup.take.iter().zip(row.iter().skip(names.len())) {
                let Some(value) = typed(text(json)) else {
                    continue;
                };
                if event.get(take).is_none() {
                    event.set(take, value.clone());
                }
                event.set(&format!("{}.{take}", lookup.dataset), value);
            }
        }
        event
    });
    events.collect()
}

fn event(cells: &BTreeMap<&str, &Json>) -> Event {
    let cell = |name: &str| cells.get(name).copied().unwrap_or(&Json::Null);
    let mut attributes: BTreeMap<String, Value> = BTreeMap::new();
    for (name, json) in cells {
        match hot(name) {
            Some(Hot::Word | Hot::Text) if !text(json).is_empty() => {
                attributes.insert((*name).to_owned(), Value::Text(text(json).to_owned()));
            }
            Some(Hot::Number) if !number(json).is_nan() => {
                let value = numeric(number(json), integer(cell(&whole(name))) == 1);
                attributes.insert((*name).to_owned(), value);
            }
            _ => {}
        }
    }
    for (key, value) in list(cell("text_keys"))
        .iter()
        .zip(list(cell("text_values")))
    {
        attributes.insert(text(key).to_owned(), Value::Text(text(value).to_owned()));
    }
    let wholes = list(cell("number_whole"));
    let numbers = list(cell("number_keys"))
        .iter()
        .zip(list(cell("number_values")));
    for ((key, value), whole) in numbers.zip(wholes) {
        attributes.insert(
            text(key).to_owned(),
            numeric(number(value), integer(whole) == 1),
        );
    }
    for (key, value) in list(cell("bool_keys"))
        .iter()
        .zip(list(cell("bool_values")))
    {
        attributes.insert(text(key).to_owned(), Value::Bool(integer(value) == 1));
    }
    for (key, value) in list(cell("exact_keys"))
        .iter()
        .zip(list(cell("exact_values")))
    {
        attributes.insert(text(key).to_owned(), Value::Integer(integer(value)));
    }
    Event {
        at: Timestamp(integer(cell("at_us"))),
        attributes: attributes.into_iter().collect(),
    }
}

fn numeric(number: f64, whole: bool) -> Value {
    match whole {
        true => Value::Integer(number as i64),
        false => Value::Float(number),
    }
}
