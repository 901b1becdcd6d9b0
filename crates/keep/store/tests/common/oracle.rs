//! A loop over all events that is too simple to be wrong, and what it is asked.

use super::Dice;
use andon_model::event::{Event, Value};
use andon_model::query::{Answer, Calc, CalcOp, Cell};
use andon_model::time::Timestamp;
use andon_store::{Condition, ResolvedQuery, Test};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Microseconds.
pub const SECOND: i64 = 1_000_000;

/// An event with gaps, mixed types, and now and then from another time.
pub fn some_event(dice: &mut Dice, number: u64) -> Event {
    let at = match dice.below(10) {
        0 => dice.below(3_000) as i64 * SECOND,
        _ => number as i64 * SECOND / 2,
    };
    let mut event = Event::new(Timestamp(at));
    event.set("service.name", format!("service-{}", dice.below(4)));
    match dice.below(6) {
        0 => {}
        1 => event.set("status", Value::from("error")),
        2 => event.set("status", Value::Integer(503)),
        3 => event.set("status", Value::Float(200.0)),
        _ => event.set("status", Value::Integer(200 + dice.below(3) as i64)),
    }
    match dice.below(5) {
        0 => event.set("duration_ms", Value::Integer(dice.below(100) as i64)),
        1 => {}
        _ => event.set(
            "duration_ms",
            Value::Float(dice.below(100_000) as f64 / 100.0),
        ),
    }
    if dice.below(7) == 0 {
        event.set("error", Value::Bool(dice.below(2) == 0));
    }
    let words = [
        "Timeout",
        "reading",
        "from",
        "db-1",
        "OK",
        "Connection refused",
    ];
    let word = |dice: &mut Dice| words[dice.below(6) as usize];
    event.set(
        "body",
        format!("{} {} {number} {}", word(dice), word(dice), word(dice)),
    );
    event
}

/// A value as a number.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

/// Whether two values are one.
pub fn same(left: &Value, right: &Value) -> bool {
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

/// Whether a condition holds.
pub fn holds(test: &Test, value: Option<&Value>) -> bool {
    let Some(value) = value else {
        return matches!(test, Test::NotEqual(_));
    };
    let order = |other: &Value| match (value, other) {
        (Value::Text(left), Value::Text(right)) => Some(left.as_str().cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => number(value)?.partial_cmp(&number(other)?),
    };
    let text = match value {
        Value::Text(text) => Some(text.as_str()),
        _ => None,
    };
    match test {
        Test::Equal(other) => same(value, other),
        Test::NotEqual(other) => !same(value, other),
        Test::Less(other) => order(other).is_some_and(|order| order.is_lt()),
        Test::AtMost(other) => order(other).is_some_and(|order| order.is_le()),
        Test::More(other) => order(other).is_some_and(|order| order.is_gt()),
        Test::AtLeast(other) => order(other).is_some_and(|order| order.is_ge()),
        Test::In(others) => others.iter().any(|other| same(value, other)),
        Test::Contains(part) => {
            text.is_some_and(|text| text.to_lowercase().contains(&part.to_lowercase()))
        }
        Test::Matches(pattern) => {
            // The only two that are asked below.
            text.is_some_and(|text| match pattern.as_str() {
                "^Timeout" => text.starts_with("Timeout"),
                _ => text.split(' ').any(|word| word == "db-1"),
            })
        }
        Test::Exists => true,
    }
}

pub fn failed(event: &Event) -> bool {
    let text = |value: &Value, word: &str| matches!(value, Value::Text(text) if text == word);
    event.get("status").is_some_and(|value| {
        text(value, "error") || number(value).is_some_and(|value| value >= 500.0)
    }) || event.get("error") == Some(&Value::Bool(true))
}

/// As the store names groups: numbers are one, whatever their type.
pub fn name(value: Option<&Value>) -> String {
    match value {
        None => "-".into(),
        Some(value) => match number(value) {
            Some(value) => format!("n{value}"),
            None => format!("{value:?}"),
        },
    }
}

pub fn cell_name(cell: &Cell) -> String {
    match cell {
        Cell::Null => "-".into(),
        Cell::Value(value) => name(Some(value)),
        Cell::Bins(_) => "bins".into(),
    }
}

/// What a loop finds: by group the results in the order of calculations, quantiles exact.
pub fn expected(
    events: &[Event],
    query: &ResolvedQuery,
) -> BTreeMap<Vec<String>, Vec<Option<f64>>> {
    let mut groups: BTreeMap<Vec<String>, Vec<&Event>> = BTreeMap::new();
    for event in events {
        let in_time = event.at >= query.from && event.at < query.to;
        let mut filters = query.filters.iter();
        if !in_time || !filters.all(|filter| holds(&filter.test, event.get(&filter.key))) {
            continue;
        }
        let time = query.bucket.map(|width| {
            let width = width.as_micros() as i64;
            format!(
                "{:?}",
                Value::Text(Timestamp(event.at.0.div_euclid(width) * width).to_string())
            )
        });
        let keys = query.group_by.iter().map(|key| name(event.get(key)));
        groups
            .entry(time.into_iter().chain(keys).collect())
            .or_default()
            .push(event);
    }
    let results = |events: &Vec<&Event>| {
        let calc = |calc: &Calc| {
            let values: Vec<&Value> = match &calc.key {
                Some(key) => events.iter().filter_map(|event| event.get(key)).collect(),
                None => Vec::new(),
            };
            let mut numbers: Vec<f64> = values.iter().filter_map(|value| number(value)).collect();
            numbers.sort_by(f64::total_cmp);
            let some = |value: f64| (!numbers.is_empty()).then_some(value);
            let quantile = |share: f64| {
                let rank = share * (numbers.len().max(1) - 1) as f64;
                let below = numbers.get(rank.floor() as usize)?;
                let above = numbers.get(rank.ceil() as usize)?;
                Some(below + (above - below) * rank.fract())
            };
            match calc.op {
                CalcOp::Count if calc.key.is_none() => Some(events.len() as f64),
                CalcOp::Count => Some(values.len() as f64),
                CalcOp::Sum => some(numbers.iter().sum()),
                CalcOp::Avg => some(numbers.iter().sum::<f64>() / numbers.len() as f64),
                CalcOp::Min => numbers.first().copied(),
                CalcOp::Max => numbers.last().copied(),
                CalcOp::P50 => quantile(0.5),
                CalcOp::P99 => quantile(0.99),
                CalcOp::ErrorShare => {
                    let failed = events.iter().filter(|event| failed(event)).count();
                    Some(failed as f64 / events.len() as f64)
                }
                CalcOp::Distinct => {
                    let distinct: BTreeSet<String> =
                        values.iter().map(|value| name(Some(value))).collect();
                    Some(distinct.len() as f64)
                }
                _ => unreachable!("not asked here"),
            }
        };
        query.calcs.iter().map(calc).collect()
    };
    groups
        .iter()
        .map(|(key, events)| (key.clone(), results(events)))
        .collect()
}

/// Fails unless an answer is what the loop finds.
pub fn check(answer: &Answer, events: &[Event], query: &ResolvedQuery, context: &str) {
    assert!(!answer.partial, "{context}: {:?}", answer.notes);
    let expected = expected(events, query);
    let keys = query.group_by.len() + usize::from(query.bucket.is_some());
    if keys == 0 && expected.is_empty() {
        return assert_eq!(answer.rows.len(), 1, "{context}");
    }
    assert_eq!(answer.rows.len(), expected.len(), "{context}: {query:?}");
    for row in &answer.rows {
        let key: Vec<String> = row[..keys].iter().map(cell_name).collect();
        let wanted = expected
            .get(&key)
            .unwrap_or_else(|| panic!("{context}: no group {key:?}"));
        for ((cell, wanted), calc) in row[keys..].iter().zip(wanted).zip(&query.calcs) {
            let told = match cell {
                Cell::Value(value) => number(value),
                _ => None,
            };
            let allowed = match calc.op {
                CalcOp::P50 | CalcOp::P99 => 0.008,
                CalcOp::Distinct if wanted.is_some_and(|wanted| wanted > 1_024.0) => 0.025,
                _ => 1e-9,
            };
            let close = match (told, wanted) {
                (Some(told), Some(wanted)) => {
                    (told - wanted).abs() <= allowed * wanted.abs().max(1e-9)
                }
                (None, None) => true,
                _ => false,
            };
            assert!(
                close,
                "{context}: {calc:?} of {key:?} is {told:?}, not {wanted:?}"
            );
        }
    }
}

/// A question with conditions, groups, buckets and all calculations.
pub fn some_query(dice: &mut Dice) -> ResolvedQuery {
    let (from, to) = match dice.below(3) {
        0 => (0, 10_000 * SECOND),
        1 => (300 * SECOND, 900 * SECOND),
        _ => (-5 * SECOND, dice.below(2_000) as i64 * SECOND),
    };
    let mut query = ResolvedQuery::new("web", Timestamp(from), Timestamp(to));
    let mut conditions = [
        ("status", Test::Equal(Value::Integer(200))),
        ("status", Test::NotEqual(Value::Float(200.0))),
        ("status", Test::AtLeast(Value::Integer(201))),
        ("status", Test::Equal(Value::from("error"))),
        ("status", Test::Exists),
        ("service.name", Test::Equal(Value::from("service-1"))),
        (
            "service.name",
            Test::In(vec![Value::from("service-2"), Value::from("none")]),
        ),
        ("service.name", Test::NotEqual(Value::from("service-1"))),
        ("service.name", Test::More(Value::from("service-1"))),
        ("duration_ms", Test::Less(Value::Float(50.5))),
        (
            "duration_ms",
            Test::In(vec![Value::Integer(7), Value::Float(8.0)]),
        ),
        ("error", Test::Equal(Value::Bool(true))),
        ("body", Test::Contains("CONNECTION ref".into())),
        ("body", Test::Contains("timeout".into())),
        ("body", Test::Matches("^Timeout".into())),
        ("body", Test::Matches(r"\bdb-1\b".into())),
        ("body", Test::Contains("not there at all".into())),
        ("nowhere", Test::Exists),
        ("nowhere", Test::NotEqual(Value::Integer(1))),
    ]
    .map(|(key, test)| Condition {
        key: key.into(),
        test,
    });
    for _ in 0..dice.below(3) {
        let place = dice.below(conditions.len() as u64) as usize;
        query.filters.push(conditions[place].clone());
        conditions.swap(place, 0);
    }
    for key in ["service.name", "status", "error", "duration_ms", "nowhere"] {
        if dice.below(4) == 0 {
            query.group_by.push(key.into());
        }
    }
    if dice.below(3) == 0 {
        query.bucket = Some(Duration::from_secs(60));
    }
    let calcs = [
        (CalcOp::Count, None),
        (CalcOp::Count, Some("error")),
        (CalcOp::Sum, Some("duration_ms")),
        (CalcOp::Avg, Some("duration_ms")),
        (CalcOp::Min, Some("duration_ms")),
        (CalcOp::Max, Some("status")),
        (CalcOp::P50, Some("duration_ms")),
        (CalcOp::P99, Some("duration_ms")),
        (CalcOp::ErrorShare, None),
        (CalcOp::Distinct, Some("service.name")),
        (CalcOp::Distinct, Some("status")),
        (CalcOp::Distinct, Some("body")),
    ];
    query.calcs = calcs
        .into_iter()
        .map(|(op, key)| Calc {
            op,
            key: key.map(str::to_owned),
        })
        .collect();
    query.limit = 100_000;
    query
}
