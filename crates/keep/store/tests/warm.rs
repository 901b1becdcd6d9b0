//! What stays in memory between questions changes how quickly they are answered, never what
//! is answered; and it has a limit.
#![allow(clippy::unwrap_used)]

mod common;

use andon_model::event::{Event, Value};
use andon_model::query::{Answer, Calc, CalcOp, Cell, ExemplarKind};
use andon_model::time::Timestamp;
use andon_store::{Options, ResolvedQuery, Store};
use common::oracle::{SECOND, check, number, some_event, some_query};
use common::{Dice, Folder, ask, options, segment_files};

/// Columns of some blocks, but not of all.
const LITTLE: usize = 12_000;

/// Sizes that have no place in a histogram's usual doublings are among these.
fn wild_size(dice: &mut Dice) -> Value {
    match dice.below(12) {
        0 => Value::Float(0.0),
        1 => Value::Float(-2.5),
        2 => Value::Float(f64::NAN),
        3 => Value::Float(1e300),
        4 => Value::Integer(i64::MIN),
        5 => Value::from("large"),
        6 => Value::Integer(dice.below(1_000) as i64),
        _ => Value::Float(dice.below(1_000_000) as f64 / 1_000.0),
    }
}

fn calc(op: CalcOp, key: &str) -> Calc {
    let key = (!key.is_empty()).then(|| key.to_owned());
    Calc { op, key }
}

/// Some calculations of a question, so that each way to work one out is taken alone, too.
fn some_calcs(dice: &mut Dice, query: &mut ResolvedQuery) {
    match dice.below(4) {
        0 => {}
        1 => query.calcs = vec![calc(CalcOp::P99, "duration_ms"), calc(CalcOp::Count, "")],
        2 => {
            query.calcs = vec![
                calc(CalcOp::ErrorShare, ""),
                calc(CalcOp::P50, "duration_ms"),
            ]
        }
        _ => query.calcs.retain(|_| dice.below(3) == 0),
    }
    if query.calcs.is_empty() {
        query.calcs = vec![calc(CalcOp::Count, "")];
    }
    query.exemplars = dice.below(3) as usize * 3;
}

/// All of an answer but what it cost. Sums differ in their last bits: which of two threads adds
/// what depends on who is free.
fn told(answer: &Answer) -> String {
    let cell = |cell: &Cell| match cell {
        Cell::Value(Value::Float(number)) => format!("{number:.9e}"),
        cell => format!("{cell:?}"),
    };
    let rows: Vec<Vec<String>> = answer
        .rows
        .iter()
        .map(|row| row.iter().map(cell).collect())
        .collect();
    format!(
        "{rows:?} {:?} {:?} {:?}",
        answer.exemplars, answer.partial, answer.notes
    )
}

/// The slowest of the events that count are the exemplars; the loop is too simple to be wrong.
fn check_slowest(answer: &Answer, events: &[Event], query: &ResolvedQuery, context: &str) {
    if !query.filters.is_empty() {
        return;
    }
    let size = |event: &Event| event.get("duration_ms").and_then(number);
    let inside = events
        .iter()
        .filter(|event| event.at >= query.from && event.at < query.to);
    let mut sizes: Vec<f64> = inside.filter_map(size).collect();
    sizes.sort_by(|left, right| right.total_cmp(left));
    sizes.truncate(query.exemplars);
    let slowest = answer
        .exemplars
        .iter()
        .filter(|one| one.why == ExemplarKind::Slowest);
    let mut found: Vec<f64> = slowest
        .map(|one| number(&one.attributes["duration_ms"]).unwrap())
        .collect();
    found.sort_by(|left, right| right.total_cmp(left));
    assert_eq!(found, sizes, "{context}");
}

#[test]
fn answers_are_the_same_with_all_some_and_nothing_in_memory() {
    let folder = Folder::new("warm");
    let mut dice = Dice(99);
    let mut events = Vec::new();
    let store = Store::open(&folder.0, options()).unwrap();
    for part in 0..6 {
        let more: Vec<Event> = (0..400 + part * 150)
            .map(|_| {
                let mut event = some_event(&mut dice, events.len() as u64);
                event.set("size", wild_size(&mut dice));
                if part == 3 {
                    // A segment of rows of one shape, where no row need be looked up.
                    event = Event::new(event.at)
                        .with("service.name", "service-1")
                        .with("status", Value::Integer(200 + dice.below(2) as i64 * 303))
                        .with("duration_ms", Value::Float(1.0 + dice.below(99_999) as f64));
                }
                events.push(event.clone());
                event
            })
            .collect();
        store.append("web", &more).unwrap();
        if part < 5 {
            store.seal().unwrap();
        }
    }
    assert_eq!(store.stats().segments, 5);
    drop(store);
    let questions: Vec<ResolvedQuery> = (0..20)
        .map(|_| {
            let mut query = some_query(&mut dice);
            some_calcs(&mut dice, &mut query);
            query
        })
        .collect();
    let wild: Vec<ResolvedQuery> = questions
        .iter()
        .map(|query| ResolvedQuery {
            calcs: vec![calc(CalcOp::P50, "size"), calc(CalcOp::Heatmap, "size")],
            ..query.clone()
        })
        .collect();
    let mut first: Vec<String> = Vec::new();
    for bytes in [0, LITTLE, 64 << 20] {
        let store = Store::open(
            &folder.0,
            Options {
                warm_bytes_max: bytes,
                ..options()
            },
        )
        .unwrap();
        // Asked twice: what the first one kept is what the second one finds.
        for round in 0..2 {
            for (number, query) in questions.iter().chain(&wild).enumerate() {
                let answer = ask(&store, query);
                assert!(store.stats().bytes_warm <= bytes as u64, "{query:?}");
                if round == 0 && number < questions.len() {
                    let context = format!("{bytes} bytes, question {number}");
                    check(&answer, &events, query, &context);
                    check_slowest(&answer, &events, query, &context);
                }
                let answer = told(&answer);
                match first.get(number) {
                    None => first.push(answer),
                    Some(first) => assert_eq!(&answer, first, "{bytes} bytes, {query:?}"),
                }
            }
        }
        let stats = store.stats();
        assert_eq!(stats.bytes_warm > 0, bytes > 0, "{stats:?}");
        assert_eq!(stats.warm_hits > 0, bytes > 0, "{stats:?}");
    }
}

#[test]
fn what_is_merged_or_dropped_is_not_answered_from_memory() {
    let folder = Folder::new("warm-gone");
    let store = Store::open(&folder.0, options()).unwrap();
    let mut query = ResolvedQuery::new("web", Timestamp(0), Timestamp(1_000 * SECOND));
    query.calcs = vec![calc(CalcOp::Count, ""), calc(CalcOp::P50, "duration_ms")];
    query.group_by = vec!["service.name".into()];
    let mut rows = Vec::new();
    for part in 0..5i64 {
        let event = |number: i64| {
            Event::new(Timestamp(part * 100 * SECOND + number))
                .with("service.name", format!("service-{}", number % 3))
                .with("duration_ms", Value::Float(10.0))
        };
        let events: Vec<Event> = (0..600).map(event).collect();
        store.append("web", &events).unwrap();
        store.seal().unwrap();
        rows.push(told(&ask(&store, &query)));
    }
    assert!(rows.windows(2).all(|pair| pair[0] != pair[1]));
    store.maintain(Timestamp(0)).unwrap();
    assert!(store.stats().segments_merged > 0);
    assert_eq!(told(&ask(&store, &query)), rows[4]);
    // A file that goes bad while its columns are in memory is found when it is looked after.
    let file = &segment_files(&folder.0, "web")[0];
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(file, &bytes).unwrap();
    assert_eq!(store.check().damage.len(), 1);
    assert!(ask(&store, &query).partial);
}
