//! The store's answers against those of a loop over all events that is too simple to be wrong,
//! wherever the events are: in memory, in segments, merged, out of order, of mixed types.
#![allow(clippy::unwrap_used)]

mod common;

use andon_model::event::{Event, Value};
use andon_model::query::{Answer, Calc, CalcOp, Cell, ExemplarKind};
use andon_model::time::Timestamp;
use andon_store::{
    Budget, Cancel, Condition, Lookup, LookupRow, ResolvedQuery, ScanError, Store, Test,
};
use common::{Dice, Folder, ask, open};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SECOND: i64 = 1_000_000;

fn some_event(dice: &mut Dice, number: u64) -> Event {
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

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

fn same(left: &Value, right: &Value) -> bool {
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

fn holds(test: &Test, value: Option<&Value>) -> bool {
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

fn failed(event: &Event) -> bool {
    let text = |value: &Value, word: &str| matches!(value, Value::Text(text) if text == word);
    event.get("status").is_some_and(|value| {
        text(value, "error") || number(value).is_some_and(|value| value >= 500.0)
    }) || event.get("error") == Some(&Value::Bool(true))
}

/// As the store names groups: numbers are one, whatever their type.
fn name(value: Option<&Value>) -> String {
    match value {
        None => "-".into(),
        Some(value) => match number(value) {
            Some(value) => format!("n{value}"),
            None => format!("{value:?}"),
        },
    }
}

fn cell_name(cell: &Cell) -> String {
    match cell {
        Cell::Null => "-".into(),
        Cell::Value(value) => name(Some(value)),
        Cell::Bins(_) => "bins".into(),
    }
}

/// What a loop finds: by group the results in the order of calculations, quantiles exact.
fn expected(events: &[Event], query: &ResolvedQuery) -> BTreeMap<Vec<String>, Vec<Option<f64>>> {
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

fn check(answer: &Answer, events: &[Event], query: &ResolvedQuery, context: &str) {
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

fn some_query(dice: &mut Dice) -> ResolvedQuery {
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

#[test]
fn answers_are_those_of_a_plain_loop_wherever_the_events_are() {
    let folder = Folder::new("answers");
    let mut dice = Dice(42);
    let mut store = open(&folder.0);
    let mut events = Vec::new();
    for round in 0..8 {
        for _ in 0..6 {
            let count = dice.below(300);
            let more: Vec<Event> = (0..count)
                .map(|_| some_event(&mut dice, events.len() as u64))
                .collect();
            store.append("web", &more).unwrap();
            events.extend(more);
        }
        match round {
            2..=5 => store.seal().unwrap(),
            6 => {
                store.maintain(Timestamp(0)).unwrap();
                assert!(store.stats().segments_merged >= 4, "{:?}", store.stats());
            }
            7 => {
                drop(store);
                store = open(&folder.0);
            }
            _ => {}
        }
        for question in 0..25 {
            let query = some_query(&mut dice);
            let context = format!("round {round}, question {question}");
            check(&ask(&store, &query), &events, &query, &context);
        }
    }
    assert!(store.check().damage.is_empty());
}

fn all(dataset: &str) -> ResolvedQuery {
    ResolvedQuery::new(dataset, Timestamp(i64::MIN / 2), Timestamp(i64::MAX / 2))
}

fn count(store: &Store, dataset: &str) -> i64 {
    let mut query = all(dataset);
    query.calcs = vec![Calc {
        op: CalcOp::Count,
        key: None,
    }];
    match ask(store, &query).rows[0][0] {
        Cell::Value(Value::Integer(count)) => count,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn raw_events_come_newest_first_and_stop_at_the_limit() {
    let folder = Folder::new("raw");
    let store = open(&folder.0);
    for part in 0..5i64 {
        // Each part reaches into the one before: no segment is all newer than another.
        let event = |number: i64| {
            Event::new(Timestamp(part * 600 + number)).with("number", number.to_string())
        };
        let events: Vec<Event> = (0..1_000).map(event).collect();
        store.append("web", &events).unwrap();
        if part < 4 {
            store.seal().unwrap();
        }
    }
    let mut query = all("web");
    query.limit = 7;
    let answer = ask(&store, &query);
    let times: Vec<String> = answer.rows.iter().map(|row| cell_name(&row[0])).collect();
    let wanted: Vec<String> = (0..7)
        .map(|back| name(Some(&Value::Text(Timestamp(3_399 - back).to_string()))))
        .collect();
    assert_eq!(times, wanted);
    query.filters = vec![Condition {
        key: "number".into(),
        test: Test::Equal(Value::from("13")),
    }];
    assert_eq!(ask(&store, &query).rows.len(), 5);
    query.filters.clear();
    query.order_by = vec![andon_store::Order {
        column: "time".into(),
        direction: andon_store::Direction::Ascending,
    }];
    query.limit = 3;
    let oldest = ask(&store, &query);
    assert_eq!(cell_name(&oldest.rows[0][1]), name(Some(&Value::from("0"))));
}

#[test]
fn a_joined_value_is_the_last_not_after_the_event_else_the_first() {
    let folder = Folder::new("join");
    let store = open(&folder.0);
    let event = |at: i64, host: &str| Event::new(Timestamp(at)).with("host", host);
    let mut own = event(60, "a");
    own.set("version", Value::from("own"));
    let events = [
        event(5, "a"),
        event(15, "a"),
        event(25, "a"),
        event(5, "b"),
        event(5, "c"),
        own,
    ];
    store.append("web", &events).unwrap();
    let row = |at: i64, version: &str| LookupRow {
        at: Timestamp(at),
        values: vec![Some(Value::from(version))],
    };
    let mut query = all("web");
    query.lookup = Some(Lookup {
        dataset: "hosts".into(),
        on: "host".into(),
        take: vec!["version".into()],
        rows: [
            ("a".to_owned(), vec![row(10, "a1"), row(20, "a2")]),
            ("b".to_owned(), vec![row(10, "b1")]),
        ]
        .into(),
    });
    query.calcs = vec![Calc {
        op: CalcOp::Count,
        key: None,
    }];
    for sealed in [false, true] {
        if sealed {
            store.seal().unwrap();
        }
        let counts = |query: &ResolvedQuery| -> BTreeMap<String, String> {
            let rows = ask(&store, query).rows;
            rows.iter()
                .map(|row| (cell_name(&row[0]), cell_name(&row[1])))
                .collect()
        };
        let text = |text: &str| name(Some(&Value::from(text)));
        query.group_by = vec!["hosts.version".into()];
        let wanted = [
            (text("a1"), "n2".to_owned()),
            (text("a2"), "n2".to_owned()),
            (text("b1"), "n1".to_owned()),
            ("-".to_owned(), "n1".to_owned()),
        ];
        assert_eq!(counts(&query), BTreeMap::from(wanted));
        query.group_by = vec!["version".into()];
        let bare = counts(&query);
        assert_eq!(
            (&bare[&text("own")], &bare[&text("a2")]),
            (&"n1".to_owned(), &"n1".to_owned())
        );
        query.filters = vec![Condition {
            key: "hosts.version".into(),
            test: Test::Equal(Value::from("a1")),
        }];
        assert_eq!(counts(&query).len(), 1);
        query.filters.clear();
    }
}

#[test]
fn exemplars_are_the_slowest_the_newest_failed_and_typical_ones() {
    let folder = Folder::new("exemplars");
    let store = open(&folder.0);
    let event = |number: i64| {
        let mut event = Event::new(Timestamp(number));
        event.set("duration_ms", Value::Integer(number));
        event.set(
            "status",
            Value::Integer(if number % 100 == 0 { 500 } else { 200 }),
        );
        event
    };
    let events: Vec<Event> = (1..=999).map(event).collect();
    store.append("web", &events[..500]).unwrap();
    store.seal().unwrap();
    store.append("web", &events[500..]).unwrap();
    let mut query = all("web");
    query.calcs = vec![Calc {
        op: CalcOp::Count,
        key: None,
    }];
    query.exemplars = 3;
    let answer = ask(&store, &query);
    let of = |kind: ExemplarKind| -> Vec<i64> {
        let found = answer
            .exemplars
            .iter()
            .filter(|exemplar| exemplar.why == kind);
        found.map(|exemplar| exemplar.at.0).collect()
    };
    assert_eq!(of(ExemplarKind::Slowest), [999, 998, 997]);
    assert_eq!(of(ExemplarKind::Failed), [900, 800, 700]);
    assert!(
        of(ExemplarKind::Typical)
            .iter()
            .all(|at| (492..=508).contains(at))
    );
    assert_eq!(of(ExemplarKind::Typical).len(), 3);
}

#[test]
fn a_question_ends_when_cancelled_and_says_when_its_time_or_memory_was_not_enough() {
    let folder = Folder::new("bounds");
    let store = open(&folder.0);
    let event = |number: i64| Event::new(Timestamp(number)).with("id", format!("{number}"));
    for part in 0..4i64 {
        let events: Vec<Event> = (part * 20_000..(part + 1) * 20_000).map(event).collect();
        store.append("web", &events).unwrap();
    }
    let mut query = all("web");
    query.calcs = vec![Calc {
        op: CalcOp::Count,
        key: None,
    }];
    query.group_by = vec!["id".into()];
    query.limit = 100_000;
    let cancel = Cancel::new();
    cancel.cancel();
    let cancelled = store.scan(&query, &cancel, &Budget::default());
    assert!(matches!(cancelled, Err(ScanError::Cancelled)));
    let no_time = Budget {
        time: Duration::ZERO,
        ..Budget::default()
    };
    let answer = store.ask(&query, &Cancel::new(), &no_time).unwrap();
    assert!(
        answer.partial && answer.notes[0].contains("stopped after"),
        "{:?}",
        answer.notes
    );
    let no_memory = Budget {
        memory_bytes: 1 << 20,
        ..Budget::default()
    };
    let answer = store.ask(&query, &Cancel::new(), &no_memory).unwrap();
    assert!(
        answer.partial
            && answer
                .notes
                .iter()
                .any(|note| note.contains("too many groups"))
    );
    assert!(answer.rows.len() < 80_000);
    let mut shown = 0;
    let often = Budget {
        progress_every: Duration::ZERO,
        ..Budget::default()
    };
    let whole = store.scan_with(&query, &Cancel::new(), &often, &mut |early, progress| {
        assert!(early.is_partial && progress.done <= progress.total);
        shown += 1;
    });
    assert_eq!(whole.unwrap().groups.len(), 80_000);
    query.filters = vec![Condition {
        key: "id".into(),
        test: Test::Matches("(".into()),
    }];
    let pattern = store.scan(&query, &Cancel::new(), &Budget::default());
    assert!(matches!(pattern, Err(ScanError::Pattern { .. })), "{shown}");
}

#[test]
fn partial_answers_of_two_stores_add_up_to_that_of_one() {
    let folders = [
        Folder::new("both"),
        Folder::new("left"),
        Folder::new("right"),
    ];
    let stores: Vec<Store> = folders.iter().map(|folder| open(&folder.0)).collect();
    let mut dice = Dice(7);
    let events: Vec<Event> = (0..4_000)
        .map(|number| some_event(&mut dice, number))
        .collect();
    stores[0].append("web", &events).unwrap();
    let (left, right) = events.split_at(1_500);
    stores[1].append("web", left).unwrap();
    stores[2].append("web", right).unwrap();
    for question in 0..20 {
        let query = some_query(&mut dice);
        let scan = |store: &Store| {
            store
                .scan(&query, &Cancel::new(), &Budget::default())
                .unwrap()
        };
        let mut sum = scan(&stores[1]);
        sum.merge(scan(&stores[2]));
        check(
            &sum.finish(&query),
            &events,
            &query,
            &format!("question {question}"),
        );
    }
}

#[test]
fn a_million_different_keys_are_kept_and_found() {
    let folder = Folder::new("keys");
    let store = open(&folder.0);
    let event = |number: i64| {
        let mut event = Event::new(Timestamp(number));
        for part in 0..20 {
            event.set(&format!("key-{}", number * 20 + part), Value::Integer(part));
        }
        event
    };
    for part in 0..10i64 {
        let events: Vec<Event> = (part * 500..(part + 1) * 500).map(event).collect();
        let receipt = store.append("wild", &events).unwrap();
        assert_eq!(receipt.counters.attributes_refused, 0);
    }
    for sealed in [false, true] {
        if sealed {
            store.seal().unwrap();
            store.maintain(Timestamp(0)).unwrap();
        }
        for number in [0, 1_023, 1_024, 55_555, 99_999] {
            let mut query = all("wild");
            query.calcs = vec![Calc {
                op: CalcOp::Max,
                key: Some(format!("key-{number}")),
            }];
            query.filters = vec![Condition {
                key: format!("key-{number}"),
                test: Test::Exists,
            }];
            let answer = ask(&store, &query);
            assert_eq!(
                cell_name(&answer.rows[0][0]),
                format!("n{}", number % 20),
                "{number} sealed {sealed}"
            );
        }
        assert_eq!(count(&store, "wild"), 5_000);
    }
}
