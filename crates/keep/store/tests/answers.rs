//! The store's answers against those of a loop over all events that is too simple to be wrong,
//! wherever the events are: in memory, in segments, merged, out of order, of mixed types.
#![allow(clippy::unwrap_used)]

mod common;

use andon_model::event::{Event, Value};
use andon_model::query::{Calc, CalcOp, Cell, ExemplarKind};
use andon_model::time::Timestamp;
use andon_store::{
    Budget, Cancel, Condition, Lookup, LookupRow, ResolvedQuery, ScanError, Store, Test,
};
use common::oracle::{cell_name, check, name, some_event, some_query};
use common::{Dice, Folder, ask, open};
use std::collections::BTreeMap;
use std::time::Duration;

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
