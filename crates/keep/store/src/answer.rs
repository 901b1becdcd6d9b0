//! What a store found, in a form that adds up: two stores' partial answers merged and then
//! finished say what one store with the events of both would.

use crate::plan::{Direction, Order, ResolvedQuery, TIME_COLUMN, calc_name};
use crate::scan::keys::KeyValue;
use crate::scan::measure::{KeyState, needs};
use crate::scan::worker::micros;
use crate::sketch::Histogram;
use crate::sketch::histogram::STEPS;
use andon_model::event::{Event, Value};
use andon_model::query::{
    Answer, Calc, CalcOp, Cell, Column, ColumnKind, Exemplar, ExemplarKind, QueryStats,
};
use andon_model::time::Timestamp;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Bins of a heatmap at most: about what a screen shows, with room for a few outliers.
const HEATMAP_BINS: i32 = 64;

/// What a group is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// Begin of its time bucket, microseconds since 1970.
    pub time: Option<i64>,
    /// Values in the order of `group_by`.
    pub values: Vec<KeyValue>,
}

/// What was worked out for a group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupState {
    /// Events in it.
    pub count: u64,
    /// Those that failed, where asked for.
    pub errors: u64,
    /// In the order in which the question's calculations first name their keys.
    pub keys: Vec<KeyState>,
}

/// An event that stands for others, and what decides between several.
#[derive(Debug, Clone, PartialEq)]
pub struct ExemplarRow {
    /// Why it was picked.
    pub why: ExemplarKind,
    /// Its `duration_ms`, if it has one.
    pub size: Option<f64>,
    /// The event.
    pub event: Event,
}

/// What one store, or one thread, found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PartialAnswer {
    /// By name, in order.
    pub groups: BTreeMap<GroupKey, GroupState>,
    /// Raw events, where those were asked for; in the order asked for.
    pub events: Vec<Event>,
    /// At most three times as many as were asked for, from each store.
    pub exemplars: Vec<ExemplarRow>,
    /// `duration_ms` of a sample of the events, where exemplars were asked for.
    pub sizes: Histogram,
    /// Whether something that belongs to it is missing.
    pub is_partial: bool,
    /// What is missing, and why.
    pub notes: BTreeSet<String>,
    /// Events not counted since their groups were too many.
    pub rows_left_out: u64,
    /// What it cost.
    pub stats: QueryStats,
}

impl PartialAnswer {
    /// Adds what another found in other events.
    pub fn merge(&mut self, other: Self) {
        if self.groups.is_empty() {
            self.groups = other.groups;
        } else {
            for (key, state) in other.groups {
                match self.groups.entry(key) {
                    std::collections::btree_map::Entry::Vacant(place) => {
                        place.insert(state);
                    }
                    std::collections::btree_map::Entry::Occupied(mut place) => {
                        place.get_mut().merge(state);
                    }
                }
            }
        }
        self.events.extend(other.events);
        self.exemplars.extend(other.exemplars);
        self.sizes.merge(&other.sizes);
        self.is_partial |= other.is_partial;
        self.notes.extend(other.notes);
        self.rows_left_out += other.rows_left_out;
        self.stats.rows_scanned += other.stats.rows_scanned;
        self.stats.bytes_scanned += other.stats.bytes_scanned;
        self.stats.elapsed_ms = self.stats.elapsed_ms.max(other.stats.elapsed_ms);
    }

    /// The answer as people and programs read it.
    pub fn finish(self, query: &ResolvedQuery) -> Answer {
        let mut answer = Answer {
            partial: self.is_partial,
            notes: self.notes.iter().cloned().collect(),
            stats: self.stats,
            ..Answer::default()
        };
        if self.rows_left_out > 0 {
            let rows = self.rows_left_out;
            answer
                .notes
                .push(format!("{rows} events are in no group of this answer"));
        }
        answer.exemplars = pick(self.exemplars, &self.sizes, query.exemplars);
        if query.wants_events() {
            (answer.columns, answer.rows) = event_rows(self.events, query);
        } else {
            answer.columns = columns(query);
            answer.rows = group_rows(self.groups, query);
        }
        sort(&mut answer, query);
        answer.rows.truncate(query.limit);
        answer
    }
}

impl GroupState {
    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.errors += other.errors;
        for (own, other) in self.keys.iter_mut().zip(other.keys) {
            own.present += other.present;
            own.numbers.merge(&other.numbers);
            match (&mut own.histogram, other.histogram) {
                (Some(own), Some(other)) => own.merge(&other),
                (own, other) => *own = own.take().or(other),
            }
            match (&mut own.distinct, other.distinct) {
                (Some(own), Some(other)) => own.merge(&other),
                (own, other) => *own = own.take().or(other),
            }
        }
    }
}

fn columns(query: &ResolvedQuery) -> Vec<Column> {
    let column = |name: String, kind| Column { name, kind };
    let time = query
        .bucket
        .map(|_| column(TIME_COLUMN.to_owned(), ColumnKind::Time));
    let keys = query.group_by.iter();
    let keys = keys.map(|key| column(key.clone(), ColumnKind::Key));
    let calcs = query.calcs.iter().map(|calc| {
        let kind = match calc.op {
            CalcOp::Heatmap => ColumnKind::Heatmap,
            _ => ColumnKind::Number,
        };
        column(calc_name(calc), kind)
    });
    time.into_iter().chain(keys).chain(calcs).collect()
}

fn group_rows(mut groups: BTreeMap<GroupKey, GroupState>, query: &ResolvedQuery) -> Vec<Vec<Cell>> {
    let needs = needs(query);
    if groups.is_empty() && query.group_by.is_empty() && query.bucket.is_none() {
        // Nothing is an answer too: no events, and nothing else known of them.
        let nothing = GroupState {
            keys: needs.iter().map(|_| KeyState::default()).collect(),
            ..GroupState::default()
        };
        let key = GroupKey {
            time: None,
            values: Vec::new(),
        };
        groups.insert(key, nothing);
    }
    let place = |calc: &Calc| {
        let key = calc.key.as_ref()?;
        needs.iter().position(|need| need.key == *key)
    };
    let places: Vec<Option<usize>> = query.calcs.iter().map(place).collect();
    let calcs: Vec<(&Calc, Option<usize>)> = query.calcs.iter().zip(places).collect();
    let wholes: Vec<BTreeMap<Option<i64>, f64>> =
        calcs.iter().map(|calc| wholes(&groups, *calc)).collect();
    let steps: Vec<usize> = calcs
        .iter()
        .map(|calc| heatmap_steps(&groups, calc.1))
        .collect();
    let mut rows = Vec::with_capacity(groups.len());
    for (key, state) in &groups {
        let mut row = Vec::with_capacity(1 + key.values.len() + calcs.len());
        row.extend(key.time.map(time_cell));
        row.extend(key.values.iter().map(KeyValue::cell));
        for (index, (calc, place)) in calcs.iter().enumerate() {
            let key_state = place.and_then(|place| state.keys.get(place));
            row.push(match calc.op {
                CalcOp::Rate => rate(query, key.time, amount(state, key_state)),
                CalcOp::Percent => {
                    let whole = wholes[index].get(&key.time).copied().unwrap_or(0.0);
                    let part = part(state, key_state);
                    number((whole != 0.0).then(|| part / whole * 100.0))
                }
                CalcOp::Heatmap => {
                    let histogram = key_state.and_then(|state| state.histogram.as_ref());
                    histogram.map_or(Cell::Null, |all| Cell::Bins(all.bins(steps[index])))
                }
                op => cell(op, state, key_state),
            });
        }
        rows.push(row);
    }
    rows
}

fn time_cell(at: i64) -> Cell {
    Cell::Value(Value::Text(Timestamp(at).to_string()))
}

fn number(value: Option<f64>) -> Cell {
    value.map_or(Cell::Null, |value| Cell::Value(Value::Float(value)))
}

fn whole_number(value: u64) -> Cell {
    Cell::Value(Value::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
}

/// Events of a group, or those that have the key.
fn amount(state: &GroupState, key: Option<&KeyState>) -> u64 {
    key.map_or(state.count, |key| key.present)
}

/// What a group adds to the whole: its events, or its key's sum.
fn part(state: &GroupState, key: Option<&KeyState>) -> f64 {
    key.map_or(state.count as f64, |key| key.numbers.sum)
}

fn cell(op: CalcOp, state: &GroupState, key: Option<&KeyState>) -> Cell {
    let numbers = key
        .map(|key| &key.numbers)
        .filter(|numbers| numbers.count > 0);
    let quantile = |share| key?.histogram.as_ref()?.quantile(share);
    match op {
        CalcOp::Count => whole_number(amount(state, key)),
        CalcOp::Sum => number(numbers.map(|numbers| numbers.sum)),
        CalcOp::Avg => number(numbers.map(|numbers| numbers.sum / numbers.count as f64)),
        CalcOp::Min => number(numbers.map(|numbers| numbers.min)),
        CalcOp::Max => number(numbers.map(|numbers| numbers.max)),
        CalcOp::P50 => number(quantile(0.5)),
        CalcOp::P90 => number(quantile(0.9)),
        CalcOp::P95 => number(quantile(0.95)),
        CalcOp::P99 => number(quantile(0.99)),
        CalcOp::P999 => number(quantile(0.999)),
        CalcOp::ErrorShare => {
            let share = state.errors as f64 / state.count as f64;
            number((state.count > 0).then_some(share))
        }
        CalcOp::Distinct => {
            let distinct = key.and_then(|key| key.distinct.as_ref());
            whole_number(distinct.map_or(0, |distinct| distinct.count()))
        }
        CalcOp::Rate | CalcOp::Percent | CalcOp::Heatmap => Cell::Null,
    }
}

/// A second of the bucket, as far as it is asked for, or of the whole time asked for.
fn rate(query: &ResolvedQuery, bucket: Option<i64>, count: u64) -> Cell {
    let (from, to) = match (bucket, query.bucket) {
        (Some(begin), Some(width)) => {
            let end = begin.saturating_add(micros(width));
            (begin.max(query.from.0), end.min(query.to.0))
        }
        _ => (query.from.0, query.to.0),
    };
    let seconds = to.saturating_sub(from) as f64 / 1e6;
    number((seconds > 0.0).then(|| count as f64 / seconds))
}

fn wholes(
    groups: &BTreeMap<GroupKey, GroupState>,
    (calc, place): (&Calc, Option<usize>),
) -> BTreeMap<Option<i64>, f64> {
    let mut wholes = BTreeMap::new();
    if calc.op == CalcOp::Percent {
        for (key, state) in groups {
            let key_state = place.and_then(|place| state.keys.get(place));
            *wholes.entry(key.time).or_default() += part(state, key_state);
        }
    }
    wholes
}

/// Steps a doubling with which all groups' bins together are few enough.
fn heatmap_steps(groups: &BTreeMap<GroupKey, GroupState>, place: Option<usize>) -> usize {
    let histograms = groups
        .values()
        .filter_map(|state| state.keys.get(place?)?.histogram.as_ref());
    let ends: Vec<(i32, i32)> = histograms.filter_map(Histogram::ends).collect();
    let first = ends.iter().map(|ends| ends.0).min().unwrap_or(0);
    let last = ends.iter().map(|ends| ends.1).max().unwrap_or(0);
    let mut steps = STEPS;
    while steps > 1 && (last - first) / (STEPS / steps) as i32 + 1 > HEATMAP_BINS {
        steps /= 2;
    }
    steps
}

/// Raw events as rows: time, then each key in the order in which it first occurs.
fn event_rows(mut events: Vec<Event>, query: &ResolvedQuery) -> (Vec<Column>, Vec<Vec<Cell>>) {
    sort_events(&mut events, query);
    events.truncate(query.limit);
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut columns = vec![Column {
        name: TIME_COLUMN.to_owned(),
        kind: ColumnKind::Time,
    }];
    for (name, _) in events.iter().flat_map(|event| &event.attributes) {
        if !places.contains_key(name.as_str()) {
            places.insert(name, columns.len());
            columns.push(Column {
                name: name.clone(),
                kind: ColumnKind::Key,
            });
        }
    }
    let rows = events.iter().map(|event| {
        let mut row = vec![Cell::Null; columns.len()];
        row[0] = time_cell(event.at.0);
        for (name, value) in &event.attributes {
            if let Some(&place) = places.get(name.as_str()) {
                row[place] = Cell::Value(value.clone());
            }
        }
        row
    });
    let rows = rows.collect();
    (columns, rows)
}

/// Whether the oldest raw events are wanted rather than the newest.
pub(crate) fn oldest_first(query: &ResolvedQuery) -> bool {
    let first = query.order_by.first();
    first
        .is_some_and(|order| order.column == TIME_COLUMN && order.direction == Direction::Ascending)
}

/// Newest first, or as asked for.
pub(crate) fn sort_events(events: &mut [Event], query: &ResolvedQuery) {
    match oldest_first(query) {
        true => events.sort_by_key(|event| event.at),
        false => events.sort_by_key(|event| std::cmp::Reverse(event.at)),
    }
}

fn sort(answer: &mut Answer, query: &ResolvedQuery) {
    let place = |name: &str| answer.columns.iter().position(|column| column.name == name);
    let mut orders: Vec<(usize, Direction)> = Vec::new();
    for Order { column, direction } in &query.order_by {
        orders.extend(place(column).map(|place| (place, *direction)));
    }
    if orders.is_empty() {
        if query.wants_events() {
            return;
        }
        orders.extend(query.bucket.map(|_| (0, Direction::Ascending)));
        let first = usize::from(query.bucket.is_some()) + query.group_by.len();
        orders.extend(query.calcs.first().map(|_| (first, Direction::Descending)));
    }
    // Groups come sorted by their names, and this keeps them so where all else is equal.
    answer.rows.sort_by(|left, right| {
        let mut orders = orders.iter();
        let found = orders.find_map(|&(place, direction)| {
            let order = compare(&left[place], &right[place], direction);
            (order != Ordering::Equal).then_some(order)
        });
        found.unwrap_or(Ordering::Equal)
    });
}

/// Nothing comes last in both directions.
fn compare(left: &Cell, right: &Cell, direction: Direction) -> Ordering {
    let rank = |cell: &Cell| match cell {
        Cell::Value(Value::Bool(_)) => 0,
        Cell::Value(Value::Integer(_) | Value::Float(_)) => 1,
        Cell::Value(Value::Text(_)) => 2,
        Cell::Bins(_) => 3,
        Cell::Null => 4,
    };
    let order = match (left, right) {
        (Cell::Null, _) | (_, Cell::Null) => return rank(left).cmp(&rank(right)),
        (Cell::Value(Value::Text(left)), Cell::Value(Value::Text(right))) => left.cmp(right),
        (Cell::Value(Value::Bool(left)), Cell::Value(Value::Bool(right))) => left.cmp(right),
        (Cell::Value(left), Cell::Value(right)) => match (left.number(), right.number()) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            _ => rank(&Cell::Value(left.clone())).cmp(&rank(&Cell::Value(right.clone()))),
        },
        _ => rank(left).cmp(&rank(right)),
    };
    match direction {
        Direction::Ascending => order,
        Direction::Descending => order.reverse(),
    }
}

/// Of each kind so many, those that deserve it most.
fn pick(mut rows: Vec<ExemplarRow>, sizes: &Histogram, count: usize) -> Vec<Exemplar> {
    let median = sizes.quantile(0.5).unwrap_or(0.0);
    let rank = |kind: ExemplarKind| match kind {
        ExemplarKind::Slowest => 0,
        ExemplarKind::Failed => 1,
        ExemplarKind::Typical => 2,
    };
    rows.sort_by(|left, right| {
        let size = |row: &ExemplarRow| row.size.unwrap_or(f64::NEG_INFINITY);
        let kind = rank(left.why).cmp(&rank(right.why));
        let deserves = match left.why {
            ExemplarKind::Slowest => size(right).total_cmp(&size(left)),
            ExemplarKind::Failed => Ordering::Equal,
            ExemplarKind::Typical => (size(left) - median)
                .abs()
                .total_cmp(&(size(right) - median).abs()),
        };
        kind.then(deserves).then(right.event.at.cmp(&left.event.at))
    });
    let mut taken = [0usize; 3];
    let mut picked = Vec::new();
    for row in rows {
        let taken = &mut taken[rank(row.why)];
        if *taken < count {
            *taken += 1;
            picked.push(Exemplar {
                why: row.why,
                at: row.event.at,
                attributes: row.event.attributes.into_iter().collect(),
            });
        }
    }
    picked
}
