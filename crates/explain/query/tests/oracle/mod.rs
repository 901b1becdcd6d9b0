//! A store that keeps events in a list and answers by walking over all of them: slow, plain,
//! and what every other store is held against.

#![allow(dead_code)]

use andon_model::event::{Event, Value, key};
use andon_model::query::*;
use andon_model::time::Timestamp;
use andon_query::predicate::Predicate;
use andon_query::run::compare::sort;
use andon_query::run::dataset::OnEarly;
use andon_query::run::{Dataset, DatasetError, Limits, Partial};
use andon_query::waterfall::failed;
use andon_store::{Cancel, Direction, Lookup, Order, ResolvedQuery};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

pub struct Naive {
    pub name: String,
    pub datasets: BTreeMap<String, Vec<Event>>,
    pub broken: bool,
}

impl Naive {
    pub fn new(datasets: impl IntoIterator<Item = (&'static str, Vec<Event>)>) -> Self {
        Self {
            name: "naive".into(),
            datasets: datasets
                .into_iter()
                .map(|(name, events)| (name.to_owned(), events))
                .collect(),
            broken: false,
        }
    }
}

#[derive(Clone)]
pub struct Found {
    pub events: Vec<Event>,
}

impl Dataset for Naive {
    type Partial = Found;
    fn label(&self) -> String {
        self.name.clone()
    }
    fn scan(
        &self,
        query: &ResolvedQuery,
        _: &Limits,
        cancel: &Cancel,
        mut early: Option<OnEarly<'_, Found>>,
    ) -> Result<Found, DatasetError> {
        if self.broken {
            return Err(DatasetError::Failed {
                reason: "its disk is gone".into(),
                help: "replace it".into(),
            });
        }
        let predicate = Predicate::new(&query.filters).unwrap();
        let events = self
            .datasets
            .get(&query.dataset)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut found = Found { events: Vec::new() };
        let part = events.len().div_ceil(4).max(1);
        for (index, part) in events.chunks(part).enumerate() {
            if cancel.is_cancelled() {
                return Err(DatasetError::Cancelled);
            }
            let in_time = part
                .iter()
                .filter(|event| query.from <= event.at && event.at < query.to);
            for event in in_time {
                let wide = joined(event, query.lookup.as_ref());
                if predicate.matches(&wide) {
                    found.events.push(if query.wants_events() {
                        event.clone()
                    } else {
                        wide
                    });
                }
            }
            if let Some(early) = &mut early {
                early(&found, (index + 1) as f64 / 4.0);
            }
        }
        Ok(found)
    }
}

/// The event with what the join brings.
fn joined(event: &Event, lookup: Option<&Lookup>) -> Event {
    let mut wide = event.clone();
    let Some(lookup) = lookup else { return wide };
    let Some(value) = event.get(&lookup.on) else {
        return wide;
    };
    let Some(rows) = lookup.rows.get(&value.to_string()) else {
        return wide;
    };
    let last = rows.iter().rev().find(|row| row.at <= event.at);
    let row = last.unwrap_or(&rows[0]);
    for (take, value) in lookup.take.iter().zip(&row.values) {
        if let Some(value) = value {
            if event.get(take).is_none() {
                wide.set(take, value.clone());
            }
            wide.set(&format!("{}.{take}", lookup.dataset), value.clone());
        }
    }
    wide
}

impl Partial for Found {
    fn merge(&mut self, other: Self) {
        self.events.extend(other.events);
    }
    fn elapsed_ms(&self) -> f64 {
        0.0
    }
    fn events_mut(&mut self) -> &mut Vec<Event> {
        &mut self.events
    }
    fn answer(self, query: &ResolvedQuery) -> Answer {
        if query.wants_events() {
            return raw(&self.events, query);
        }
        let mut groups: BTreeMap<Vec<String>, (Vec<Cell>, Vec<&Event>)> = BTreeMap::new();
        if query.group_by.is_empty() && query.bucket.is_none() {
            groups.insert(Vec::new(), (Vec::new(), Vec::new()));
        }
        for event in &self.events {
            let mut cells = Vec::new();
            if let Some(bucket) = query.bucket {
                let width = bucket.as_micros() as i64;
                let begin = event.at.0.div_euclid(width) * width;
                cells.push(Cell::Value(Value::Text(Timestamp(begin).to_string())));
            }
            cells.extend(query.group_by.iter().map(|key| match event.get(key) {
                Some(value) => Cell::Value(grouped(value)),
                None => Cell::Null,
            }));
            let name = cells.iter().map(|cell| format!("{cell:?}")).collect();
            groups
                .entry(name)
                .or_insert_with(|| (cells, Vec::new()))
                .1
                .push(event);
        }
        let mut rows = Vec::new();
        for (cells, events) in groups.values() {
            let mut row = cells.clone();
            let same_bucket = |other: &&Event| match query.bucket {
                Some(bucket) => {
                    let width = bucket.as_micros() as i64;
                    other.at.0.div_euclid(width) == events[0].at.0.div_euclid(width)
                }
                None => true,
            };
            for calc in &query.calcs {
                let whole: Vec<&Event> = match calc.op {
                    CalcOp::Percent => self.events.iter().filter(same_bucket).collect(),
                    _ => Vec::new(),
                };
                let begin = match (query.bucket, events.first()) {
                    (Some(bucket), Some(event)) => {
                        let width = bucket.as_micros() as i64;
                        Some(event.at.0.div_euclid(width) * width)
                    }
                    _ => None,
                };
                row.push(work_out(calc, events, &whole, (query, begin)));
            }
            rows.push(row);
        }
        let columns = query.column_names().into_iter().map(|name| {
            let kind = if query.bucket.is_some() && name == "time" {
                ColumnKind::Time
            } else if query.group_by.contains(&name) {
                ColumnKind::Key
            } else if name.starts_with("heatmap(") {
                ColumnKind::Heatmap
            } else {
                ColumnKind::Number
            };
            Column { name, kind }
        });
        let mut answer = Answer {
            columns: columns.collect(),
            rows,
            ..Answer::default()
        };
        let mut orders = query.order_by.clone();
        if orders.is_empty() {
            let order = |column: &str, direction| Order {
                column: column.to_owned(),
                direction,
            };
            if query.bucket.is_some() {
                orders.push(order("time", Direction::Ascending));
            }
            if let Some(calc) = query.calcs.first() {
                orders.push(order(&andon_store::calc_name(calc), Direction::Descending));
            }
        }
        sort(&mut answer, &orders);
        answer.rows.truncate(query.limit);
        answer
    }
}

/// Numbers that are the same are one group, whatever their type.
fn grouped(value: &Value) -> Value {
    match value {
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Value::Integer(*number as i64)
        }
        other => other.clone(),
    }
}

fn raw(events: &[Event], query: &ResolvedQuery) -> Answer {
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|event| event.at);
    if query
        .order_by
        .first()
        .is_none_or(|order| order.direction == Direction::Descending)
    {
        events.reverse();
    }
    events.truncate(query.limit);
    let keys: BTreeSet<&String> = events
        .iter()
        .flat_map(|event| event.attributes.iter().map(|(key, _)| key))
        .collect();
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
    };
    let mut columns = vec![column("time", ColumnKind::Time)];
    columns.extend(keys.iter().map(|key| column(key, ColumnKind::Key)));
    let rows = events.iter().map(|event| {
        let mut row = vec![Cell::Value(Value::Text(event.at.to_string()))];
        row.extend(keys.iter().map(|key| match event.get(key) {
            Some(value) => Cell::Value(value.clone()),
            None => Cell::Null,
        }));
        row
    });
    Answer {
        rows: rows.collect(),
        columns,
        ..Answer::default()
    }
}

fn work_out(
    calc: &Calc,
    events: &[&Event],
    whole: &[&Event],
    (query, begin): (&ResolvedQuery, Option<i64>),
) -> Cell {
    let values = |events: &[&Event]| -> Vec<Value> {
        let key = calc.key.as_deref();
        let found = events.iter().filter_map(|event| event.get(key?).cloned());
        found.collect()
    };
    let numbers = |events: &[&Event]| -> Vec<f64> {
        let mut numbers: Vec<f64> = values(events)
            .iter()
            .filter_map(Value::number)
            .filter(|x| !x.is_nan())
            .collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    };
    let number =
        |number: Option<f64>| number.map_or(Cell::Null, |number| Cell::Value(Value::Float(number)));
    let whole_number = |count: usize| Cell::Value(Value::Integer(count as i64));
    let count = match calc.key {
        Some(_) => values(events).len(),
        None => events.len(),
    };
    let own = numbers(events);
    let sum = |numbers: &[f64]| (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>());
    // Between which two numbers it lies: which rank a share of a whole is, is a matter of taste.
    let quantile = |share: f64| {
        let last = own.len().checked_sub(1);
        let Some(last) = last else { return Cell::Null };
        let low = (share * last as f64).floor() as usize;
        let high = (share * own.len() as f64).ceil() as usize;
        Cell::Bins(vec![(own[low.min(last)], 0), (own[high.min(last)], 0)])
    };
    match calc.op {
        CalcOp::Count => whole_number(count),
        CalcOp::Rate => {
            let (from, to) = match (begin, query.bucket) {
                (Some(begin), Some(width)) => (
                    begin.max(query.from.0),
                    (begin + width.as_micros() as i64).min(query.to.0),
                ),
                _ => (query.from.0, query.to.0),
            };
            number(Some(count as f64 / ((to - from) as f64 / 1e6)))
        }
        CalcOp::Sum => number(sum(&own)),
        CalcOp::Avg => number(sum(&own).map(|sum| sum / own.len() as f64)),
        CalcOp::Min => number(own.first().copied()),
        CalcOp::Max => number(own.last().copied()),
        CalcOp::P50 => quantile(0.5),
        CalcOp::P90 => quantile(0.9),
        CalcOp::P95 => quantile(0.95),
        CalcOp::P99 => quantile(0.99),
        CalcOp::P999 => quantile(0.999),
        CalcOp::ErrorShare => {
            let bad = events.iter().filter(|event| failed(event)).count();
            number((!events.is_empty()).then(|| bad as f64 / events.len() as f64))
        }
        CalcOp::Distinct => {
            let distinct: BTreeSet<String> = values(events)
                .iter()
                .map(|value| format!("{value:?}"))
                .collect();
            whole_number(distinct.len())
        }
        CalcOp::Percent => {
            let amount = |events: &[&Event]| match calc.key {
                None => events.len() as f64,
                Some(_) => sum(&numbers(events)).unwrap_or(0.0),
            };
            let whole = amount(whole);
            number((whole != 0.0).then(|| amount(events) * 100.0 / whole))
        }
        CalcOp::Heatmap => {
            let finite = own.iter().filter(|x| x.is_finite()).count();
            Cell::Bins(vec![(0.0, finite as u64)])
        }
    }
}

/// Whether another store's answer is the oracle's: the same groups, whole numbers exactly,
/// others within rounding, quantiles within 1 %, heatmaps by their sum.
pub fn same(query: &ResolvedQuery, ours: &Answer, theirs: &Answer) -> Result<(), String> {
    let names = |answer: &Answer| -> Vec<String> {
        answer
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect()
    };
    if names(ours) != names(theirs) {
        return Err(format!(
            "columns {:?}, not {:?}",
            names(theirs),
            names(ours)
        ));
    }
    if ours.rows.len() != theirs.rows.len() {
        return Err(format!(
            "{} rows, not {}\n{:?}\n{:?}",
            theirs.rows.len(),
            ours.rows.len(),
            theirs.rows,
            ours.rows
        ));
    }
    let keys = usize::from(query.bucket.is_some()) + query.group_by.len();
    let name = |row: &Vec<Cell>| format!("{:?}", &row[..keys]);
    let mut by_name: BTreeMap<String, &Vec<Cell>> =
        theirs.rows.iter().map(|row| (name(row), row)).collect();
    for row in &ours.rows {
        let Some(other) = by_name.remove(&name(row)) else {
            return Err(format!(
                "group {} is missing; there are {:?}",
                name(row),
                by_name.keys().next()
            ));
        };
        for (index, calc) in query.calcs.iter().enumerate() {
            let (left, right) = (&row[keys + index], &other[keys + index]);
            if !alike(calc.op, left, right) {
                return Err(format!(
                    "{} of {} is {right:?}, not {left:?}",
                    andon_store::calc_name(calc),
                    name(row)
                ));
            }
        }
    }
    Ok(())
}

fn alike(op: CalcOp, left: &Cell, right: &Cell) -> bool {
    let number = |cell: &Cell| match cell {
        Cell::Value(value) => value.number(),
        _ => None,
    };
    match (left, right) {
        (left, right) if left == right => true,
        (Cell::Bins(bounds), Cell::Value(value)) => {
            let number = value.number().unwrap_or(f64::NAN);
            let (low, high) = (bounds[0].0, bounds[1].0);
            let slack = |bound: f64| bound.abs() * 0.01 + 1e-9;
            low - slack(low) <= number && number <= high + slack(high)
        }
        (Cell::Bins(left), Cell::Bins(right)) => {
            let sum = |bins: &[(f64, u64)]| bins.iter().map(|(_, count)| count).sum::<u64>();
            sum(left) == sum(right)
        }
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) if left == right => true,
            (Some(left), Some(right)) => {
                let most = match op {
                    CalcOp::Count => 0.0,
                    CalcOp::Distinct => 0.02,
                    _ => 1e-6,
                };
                (left - right).abs() <= most * left.abs().max(1e-9)
            }
            _ => false,
        },
    }
}

pub const START: i64 = 1_763_700_000_000_000;
pub const MINUTE: i64 = 60_000_000;

/// Events of an hour with all kinds of values, some keys changing their type.
pub fn requests(count: usize, seed: u64) -> Vec<Event> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut events = Vec::with_capacity(count);
    for _ in 0..count {
        let mut event = Event::new(Timestamp(START + rng.random_range(0..60 * MINUTE)));
        event.set("region", format!("r{}", rng.random_range(0..5)));
        event.set(key::HOST, format!("h{}", rng.random_range(0..40)));
        if rng.random_bool(0.9) {
            let ms = 10.0 * (-rng.random::<f64>().max(1e-9).ln()).exp();
            match rng.random_bool(0.2) {
                true => event.set(key::DURATION_MS, Value::Integer(ms as i64)),
                false => event.set(key::DURATION_MS, Value::Float(ms)),
            }
        }
        match rng.random_range(0..20) {
            0 => event.set(key::STATUS, "error"),
            1 => event.set(key::STATUS, Value::Integer(503)),
            2 => {}
            _ => event.set(
                key::STATUS,
                Value::Integer([200, 204, 404][rng.random_range(0..3)]),
            ),
        }
        match rng.random_range(0..6) {
            0 => event.set("odd", Value::Bool(rng.random_bool(0.5))),
            1 => event.set(
                "odd",
                Value::Float(f64::from(rng.random_range(-3..3)) + 0.5),
            ),
            2 => event.set("odd", Value::Integer(rng.random_range(-3..3))),
            3 => event.set("odd", ["x", "", "it's \\ \"odd\""][rng.random_range(0..3)]),
            4 => event.set("odd", Value::Integer(i64::MAX - rng.random_range(0..2))),
            _ => {}
        }
        let body = [
            "Connection reset by peer",
            "connection RESET\nby 10.0.0.7",
            "ok",
            "über 50% done",
        ][rng.random_range(0..4)];
        event.set(key::BODY, body);
        if rng.random_bool(0.05) {
            event.set(
                key::SEVERITY,
                ["error", "fatal", "info"][rng.random_range(0..3)],
            );
        }
        if rng.random_bool(0.02) {
            event.set("error", Value::Bool(rng.random_bool(0.5)));
        }
        events.push(event);
    }
    events
}

/// Hosts and their kernels, some of which change in the middle of the hour.
pub fn hosts(seed: u64) -> Vec<Event> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut events = Vec::new();
    for host in 0..35 {
        for _ in 0..rng.random_range(1..4) {
            let at = START + rng.random_range(-600..60) * MINUTE;
            let mut event = Event::new(Timestamp(at)).with(key::HOST, format!("h{host}"));
            event.set(
                "kernel",
                ["6.1.0", "6.2.0", "6.12.1"][rng.random_range(0..3)],
            );
            if rng.random_bool(0.5) {
                event.set("cores", Value::Integer(rng.random_range(1..64)));
            }
            // A key that requests have too.
            event.set("region", "from the host");
            events.push(event);
        }
    }
    events
}

/// Questions of all kinds, the same for the same seed.
pub fn questions(count: usize, seed: u64) -> Vec<String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut one = |of: &[&str]| of[rng.random_range(0..of.len())].to_owned();
    let conditions = [
        "status >= 500",
        "status = error",
        "status != 200",
        "region in (r1, r2, r9)",
        "odd exists",
        "odd = true",
        "odd > -1",
        "odd = \"\"",
        "odd in (0.5, x, false, 1)",
        "odd = \"it's \\\\ \\\"odd\\\"\"",
        "odd >= 9223372036854775000",
        "odd < x",
        "body contains reset",
        "body matches \"(?i)RESET.by\"",
        "body matches \"^[a-zü]+ \\d+%\"",
        "missing != 5",
        "host.name = h7",
        "host.name >= h3",
        "duration_ms > 12.5 and duration_ms <= 100",
        "region matches \"[12]\"",
        "missing exists",
        "error = true",
    ];
    let joined = [
        "kernel = \"6.2.0\"",
        "hosts.kernel != \"6.2.0\"",
        "cores >= 8",
        "hosts.region exists",
        "cores exists",
    ];
    let calcs = [
        "count",
        "count(odd)",
        "rate",
        "rate(odd)",
        "sum(duration_ms)",
        "avg(duration_ms)",
        "min(odd)",
        "max(odd)",
        "p50(duration_ms)",
        "p90(duration_ms)",
        "p95(duration_ms)",
        "p99(duration_ms)",
        "p999(duration_ms)",
        "error_share",
        "distinct(host.name)",
        "distinct(odd)",
        "percent",
        "percent(duration_ms)",
        "heatmap(duration_ms)",
        "sum(missing)",
        "p99(missing)",
        "avg(region)",
    ];
    let groups = ["region", "host.name", "odd", "status", "missing", "error"];
    let mut questions = Vec::new();
    for _ in 0..count {
        let mut stages = vec!["requests".to_owned()];
        let join = one(&["", "", "join hosts on host.name take kernel, cores, region"]);
        let with_join = !join.is_empty();
        stages.push(join);
        for _ in 0..one(&["0", "0", "1", "2"]).parse::<usize>().unwrap() {
            stages.push(format!("where {}", one(&conditions)));
        }
        if with_join && one(&["y", "n"]) == "y" {
            stages.push(format!("where {}", one(&joined)));
        }
        let mut by: BTreeSet<String> = BTreeSet::new();
        for _ in 0..one(&["0", "1", "1", "2"]).parse::<usize>().unwrap() {
            let own = one(&groups);
            by.insert(match with_join && one(&["y", "n"]) == "y" {
                true => one(&["kernel", "hosts.kernel", "cores", "hosts.region"]),
                false => own,
            });
        }
        let bucket = one(&["", "", "1m", "7m", "1h"]);
        if !bucket.is_empty() {
            by.insert(bucket);
        }
        if !by.is_empty() {
            stages.push(format!(
                "by {}",
                by.into_iter().collect::<Vec<_>>().join(", ")
            ));
        }
        let mut asked: BTreeSet<String> = BTreeSet::new();
        for _ in 0..one(&["1", "2", "4"]).parse::<usize>().unwrap() {
            asked.insert(one(&calcs));
        }
        if with_join && one(&["y", "n"]) == "y" {
            asked.insert(one(&[
                "avg(cores)",
                "distinct(kernel)",
                "max(hosts.cores)",
                "count(hosts.cores)",
            ]));
        }
        stages.push(asked.into_iter().collect::<Vec<_>>().join(", "));
        stages.push(one(&[
            "from 1763700000000 to 1763703600000",
            "from 1763700600000 to 1763702400000",
        ]));
        stages.push("top 100000".to_owned());
        stages.retain(|stage| !stage.is_empty());
        questions.push(stages.join(" | "));
    }
    questions
}
